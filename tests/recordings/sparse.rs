//! Long files, and files that end while they are sent.

use std::io::Read;

use super::*;
use common::Brooklet;

const GIB: u64 = 1 << 30;

#[test]
fn a_file_that_is_cut_while_it_is_sent_ends_the_connection() {
    let dir = TempDir::new();
    let name = files::write_sparse(dir.path(), "live/door", 64 << 20);
    let server = start(dir.path(), 1, |_| {});
    let mut client = HttpClient::connect(server.http_addresses()[0]);
    let target = format!("/recordings/live/door/{name}");
    client.request("GET", &target, "");
    client.wait_for_byte();
    let path = dir.join("live").join("door").join(&name);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(1_000).unwrap();
    let received = client.until_closed();
    assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(received.len() < 64 << 20);
}

#[test]
#[ignore = "sends 4 GB"]
fn memory_is_flat_while_four_gigabytes_are_sent() {
    let dir = TempDir::new();
    let len = 4 * GIB + 5;
    let name = files::write_sparse(dir.path(), "live/door", len);
    let folder = dir.path().to_str().unwrap();
    let arguments = [
        "--record",
        folder,
        "--record-streams",
        "none",
        "--record-free",
        "0",
    ];
    let server = Brooklet::start(&arguments);
    wait_until("the recording is listed", SOON, || {
        let list = list(server.http_address(), "");
        !list["recordings"].as_array().unwrap().is_empty()
    });
    let mut client = HttpClient::connect(server.http_address());
    let target = format!("/recordings/live/door/{name}");
    client.request("GET", &target, "");
    client.wait_for_byte();
    let before = server.status("VmRSS");
    let (mut received, mut most) = (0, before);
    let mut buffer = vec![0; 1 << 20];
    let mut socket = client.socket();
    while received < len {
        let read = socket.read(&mut buffer).unwrap() as u64;
        assert!(read > 0, "after {received} bytes");
        if received / GIB < (received + read) / GIB {
            // Slow: what the kernel takes is full, and the server waits.
            std::thread::sleep(std::time::Duration::from_secs(2));
            most = most.max(server.status("VmRSS"));
        }
        received += read;
    }
    println!("{received} bytes; resident: {before} KiB at first, {most} KiB at most");
    assert!(most < before + 256, "{before} to {most} KiB");
}
