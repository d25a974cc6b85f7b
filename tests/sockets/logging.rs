//! A log that isn't read, and a log that clients try to fill.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

#[cfg(feature = "record")]
use crate::client::{AAC_HEADER, AVC_320X240};
use crate::client::{Client, wait_until};
#[cfg(all(feature = "record", feature = "http"))]
use crate::common::http::HttpClient;
use crate::common::{Brooklet, TempDir, without_settings};

/// A server whose standard error no longer accepts any bytes.
struct Unread {
    child: Child,
    address: SocketAddr,
    _reader: UnixStream,
}

impl Unread {
    fn start() -> Unread {
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        let full = loop {
            if let Err(error) = writer.write(&[b'x'; 64]) {
                break error.kind();
            }
        };
        assert_eq!(full, ErrorKind::WouldBlock);
        writer.set_nonblocking(false).unwrap();
        let mut command = Command::new(crate::common::PROGRAM.unwrap());
        let mut child = without_settings(&mut command)
            .args(["--rtmp", "127.0.0.1:0", "--http", "off"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(OwnedFd::from(writer))
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            line.strip_prefix("listening for RTMP on 127.0.0.1:")?
                .parse()
                .ok()
        });
        Unread {
            child,
            address: (Ipv4Addr::LOCALHOST, port.unwrap()).into(),
            _reader: reader,
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_stalled_log_reader_blocks_no_connection_and_no_shutdown() {
    let mut server = Unread::start();
    let mut publisher = Client::publishing(server.address, "live", "door");
    let mut player = Client::playing(server.address, "live", "door");
    publisher.send_headers();
    for number in 0..100 {
        publisher.send_frame(number, number * 40, number % 25 == 0, 500);
        assert_eq!(player.wait_for_media().number(), number);
    }
    let asked = Instant::now();
    let line = format!("kill -TERM {}", server.child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &line])
            .status()
            .unwrap()
            .success()
    );
    let mut status = None;
    wait_until("it has ended", || {
        status = server.child.try_wait().unwrap();
        status.is_some()
    });
    println!("ended {} ms after SIGTERM", asked.elapsed().as_millis());
    assert!(status.unwrap().success());
}

#[test]
fn reconnecting_clients_neither_fill_the_log_nor_hide_publishers() {
    const ROUNDS: usize = 500;
    let server = Brooklet::start(&["--max-connect-rate", "10000"]);
    let camera = || {
        let local = Ipv4Addr::new(127, 0, 0, 2);
        let mut camera = Client::handshaken_from(local, server.address()).connect("live");
        camera.publish("door");
        assert_eq!(camera.wait_for_status().1, "NetStream.Publish.Start");
    };
    camera();
    let began = Instant::now();
    for number in 0..ROUNDS {
        let mut client = Client::connected(server.address(), "live");
        client.play(&format!("n{number}"));
        client.wait_for_status();
    }
    let seconds = began.elapsed().as_secs() as usize;
    camera();
    server.wait_for_log("live/door: publishing from 127.0.0.2", 2);
    server.wait_for_log("live/door: stopped publishing", 2);
    let count = |words: &str| server.with_log(|log| log.matches(words).count());
    let lines = count(" 127.0.0.1:");
    println!("{lines} lines about {ROUNDS} connections of one address in {seconds} s");
    // Two kinds of line.
    assert!(lines <= 2 * (50 + seconds + 1), "{lines} lines");
}

#[test]
fn names_are_logged_readably_and_cannot_forge_lines() {
    let server = Brooklet::start(&[]);
    for (name, shown) in [
        ("K\u{fc}che", "live/K\u{fc}che"),
        ("カメラ", "live/カメラ"),
        ("a\u{202e}b\u{2028}c", "live/a\\u{202e}b\\u{2028}c"),
    ] {
        let _publisher = Client::publishing(server.address(), "live", name);
        server.wait_for_log(&format!("{shown}: publishing from "), 1);
    }
    for name in ["a\u{1b}[2Jb", "a\nb"] {
        let mut publisher = Client::connected(server.address(), "live");
        publisher.publish(name);
        publisher.wait_for_status();
    }
    server.wait_for_log("a control character", 2);
    let unseen = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2028}".contains(c));
    let found = server.with_log(|log| log.find(unseen));
    assert_eq!(found, None);
}

/// Starts and stops the program with standard error connected to a file, just as systemd connects it to
/// a socket; `JOURNAL_STREAM` names this file or another one. Returns the final contents of the file.
fn log_in_journal(is_this_one: bool, arguments: &[&str]) -> String {
    let folder = TempDir::new();
    let path = folder.join("journal");
    let file = File::create(&path).unwrap();
    let metadata = file.metadata().unwrap();
    let inode = metadata.ino() + u64::from(!is_this_one);
    let mut command = Command::new(crate::common::PROGRAM.unwrap());
    let mut child = without_settings(&mut command)
        .args(["--rtmp", "127.0.0.1:0", "--http", "off"])
        .args(arguments)
        .env("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    if lines.any(|line| line.starts_with("playing: ")) {
        let line = format!("kill -TERM {}", child.id());
        let status = Command::new("sh").args(["-c", &line]).status();
        assert!(status.unwrap().success());
    }
    child.wait().unwrap();
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn the_journal_of_systemd_gets_priorities_and_no_times() {
    let log = log_in_journal(true, &[]);
    let first = "<6>info  SIGTERM: stopping, 0 connections open\n<6>info  stopped\n";
    assert_eq!(log, first);
    for arguments in [["--memory", "lots"], ["--rtmp", "192.0.2.1:1"]] {
        let log = log_in_journal(true, &arguments);
        assert!(log.starts_with("<3>brooklet: "), "{log}");
    }
    // `JOURNAL_STREAM` names another file: standard error was redirected since.
    let log = log_in_journal(false, &[]);
    let (time, rest) = log.split_at(log.find(" info ").unwrap());
    assert!(
        rest.starts_with(" info  SIGTERM") && time.starts_with("20"),
        "{log}"
    );
    let log = log_in_journal(false, &["--memory", "lots"]);
    assert!(log.starts_with("brooklet: "), "{log}");
}

#[test]
fn the_log_names_a_waiting_player_and_what_is_live() {
    let server = Brooklet::start(&[]);
    let address = server.address();
    let _early = Client::playing(address, "live", "cam");
    server.wait_for_log("live/cam: playing to 127.0.0.1", 1);
    server.wait_for_log("waiting for its publisher; nothing is live", 1);
    let _cameras: Vec<_> = (1..=7)
        .map(|number| Client::publishing(address, "live", &format!("cam{number}")))
        .collect();
    let _wrong = Client::playing(address, "live", "kam1");
    server.wait_for_log(
        "waiting for its publisher; live: live/cam1, live/cam2, live/cam3, live/cam4, live/cam5 and \
         2 more",
        1,
    );
    let _right = Client::playing(address, "live", "cam1");
    server.wait_for_log("live/cam1: playing to 127.0.0.1", 1);
    let count = server.with_log(|log| log.matches("waiting for its publisher").count());
    assert_eq!(count, 2);
}

#[cfg(feature = "record")]
#[test]
fn a_recording_is_logged_when_it_begins_and_when_it_ends() {
    let folder = TempDir::new();
    let dir = folder.path().display().to_string();
    let server = Brooklet::start(&["--grace", "10ms", "--record-free", "off", "--record", &dir]);
    let mut camera = Client::publishing(server.address(), "live", "door");
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    for frame in 0..75 {
        camera.send_frame(frame, frame * 40, frame % 25 == 0, 10_000);
    }
    server.wait_for_log("live/door: recording to live/door/20", 1);
    drop(camera);
    server.wait_for_log(" gaps", 1);
    let end = "live/door: recorded 0.8 MB in 1 files, 3.0 s, 0 gaps";
    assert!(server.log().contains(end), "{}", server.log());
    let about_files = |log: &str| log.lines().filter(|line| line.contains("record")).count();
    // What the folder has is said at the start.
    assert_eq!(server.with_log(about_files), 3, "{}", server.log());
}

#[cfg(all(feature = "record", feature = "http"))]
#[test]
fn a_request_for_a_recording_is_logged_if_it_changes_something() {
    let folder = TempDir::new();
    let dir = folder.path().display().to_string();
    let options = ["--record-streams", "none", "--record-free", "off"];
    let server = Brooklet::start(&[&options[..], &["--record", &dir]].concat());
    let _camera = Client::publishing(server.address(), "live", "door");
    for (method, ends) in [("POST", 0), ("POST", 0), ("DELETE", 1)] {
        let mut client = HttpClient::connect(server.http_address());
        let target = "/api/v1/streams/live/door/recording";
        client.request(method, target, "Content-Length: 0\r\n");
        assert_eq!(client.answer().status, 200);
        server.wait_for_log("ended the recording of live/door through the API", ends);
    }
    let asked = |log: &str| {
        log.matches("asked through the API to record live/door")
            .count()
    };
    assert_eq!(server.with_log(asked), 1, "{}", server.log());
}
