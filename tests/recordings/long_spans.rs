//! Spans of many files.

use std::fs::{self, File};
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use super::*;
use common::Brooklet;

const DAY: u64 = 24 * 3_600;

/// Files of ten minutes.
const FILE: u64 = 600;

/// Makes the kernel forget what it has read of a stream's files.
fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    }
}

/// Requests a byte of a span in the middle of the day; returns how long that took.
fn ask(address: SocketAddr, seconds: u64) -> Duration {
    let from = (DAY - seconds) / 2;
    let mut client = HttpClient::connect(address);
    let began = Instant::now();
    client.request(
        "GET",
        &span(from, from + seconds),
        "Range: bytes=1000000-1000000\r\n",
    );
    let answer = client.answer();
    assert_eq!(answer.status, 206, "{}", answer.text());
    began.elapsed()
}

#[test]
#[ignore = "writes the recordings of a day, 300 MB"]
fn a_day_is_planned_and_sent_with_flat_memory() {
    let dir = TempDir::new();
    let count = (DAY / FILE) as usize;
    files::write_with(dir.path(), "live/door", &vec![FILE; count], [20; 3]);
    let folder = dir.path().to_str().unwrap();
    let arguments = "--record-streams none --record-free 0 --max-connect-rate 1000 --record";
    let mut arguments: Vec<&str> = arguments.split(' ').collect();
    arguments.push(folder);
    let server = Brooklet::start(&arguments);
    let address = server.http_address();
    wait_until("the recordings are listed", SOON, || {
        !list(address, "")["recordings"]
            .as_array()
            .unwrap()
            .is_empty()
    });
    for seconds in [FILE, 3_600, DAY] {
        forget(&dir.join("live").join("door"));
        let cold = ask(address, seconds);
        let warm = (0..5).map(|_| ask(address, seconds)).min();
        println!(
            "{seconds} s: {cold:?} to a byte, then {:?}",
            warm.unwrap_or_default()
        );
    }

    let mut client = HttpClient::with_receive_buffer(address, 64 * 1024);
    client.request("GET", &span(0, DAY), "");
    client.wait_for_byte();
    let before = server.status("VmRSS");
    let (mut most, mut received) = (before, 0);
    let mut buffer = vec![0; 1 << 20];
    let mut socket = client.socket();
    // The tables, and some of the rest.
    while received < 100 << 20 {
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "after {received} bytes");
        if received >> 23 < (received + read) >> 23 {
            // Slow: what the kernel takes is full, and the server waits.
            std::thread::sleep(Duration::from_secs(1));
            most = most.max(server.status("VmRSS"));
        }
        received += read;
    }
    println!("{received} bytes; resident: {before} KiB at first, {most} KiB at most");
    assert!(most < before + 512, "{before} to {most} KiB");
}
