//! Signals to programs that wait for something that doesn't come.

use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;

use super::*;

/// The numbers of SIGINT and SIGTERM.
const SIGNALS: [(&str, i32); 2] = [("INT", 2), ("TERM", 15)];

/// Sends a signal once the program catches it, and returns how the program ends.
fn signal(program: &mut Running, name: &str) -> Option<i32> {
    let id = program.0.id();
    let catches_term = || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
        mask & 1 << (15 - 1) != 0
    };
    wait_until("signals are caught", SOON, catches_term);
    send(program, name);
    end(program)
}

fn send(program: &Running, name: &str) {
    let line = format!("kill -{name} {}", program.0.id());
    let status = Command::new("sh").args(["-c", &line]).status();
    assert!(status.unwrap().success());
}

/// Waits until the program ends, and returns its exit code.
fn end(program: &mut Running) -> Option<i32> {
    let mut status = None;
    wait_until("the program ends", SOON, || {
        status = program.0.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap().code()
}

#[test]
fn a_signal_ends_a_program_that_waits_for_its_input() {
    let fifo = path("silent.fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    for (name, number) in SIGNALS {
        // Nobody writes, so that it isn't even opened.
        let file = fifo.to_str().unwrap();
        let mut program = start(&["publish", file, "rtmp://127.0.0.1/live/key-47"]);
        assert_eq!(signal(&mut program, name), Some(128 + number), "{name}");

        let mut command = command(&["publish", "-", "rtmp://127.0.0.1/live/key-47"]);
        let mut program = Running(command.stdin(Stdio::piped()).spawn().unwrap());
        let _silent = program.0.stdin.take();
        assert_eq!(signal(&mut program, name), Some(128 + number), "{name}");
    }
    fs::remove_file(fifo).unwrap();
}

#[test]
fn a_signal_ends_a_publisher_whose_input_has_become_silent() {
    let server = server(Config::default());
    let url = url(&server, "silent-input");
    let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
    let mut command = command(&["publish", "--no-pace", "-", &url]);
    let mut program = Running(command.stdin(Stdio::piped()).spawn().unwrap());
    let mut input = program.0.stdin.take().unwrap();
    input.write_all(&flv(&messages())).unwrap();
    let mut last = 0;
    while last < 24 {
        let message = player.recv(SOON).unwrap().unwrap();
        if message.medium() == Some(Medium::Audio) && !message.is_sequence_header() {
            last = message.payload()[2];
        }
    }
    assert_eq!(signal(&mut program, "TERM"), Some(128 + 15));
}

#[test]
fn a_signal_ends_a_program_whose_server_is_silent() {
    let source = path("silent.flv");
    fs::write(&source, flv(&messages())).unwrap();
    let file = source.to_str().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtmp://{}/live/key-47", silent.local_addr().unwrap());
    let http = url.replace("rtmp:", "http:");
    for (arguments, (name, number)) in [
        (&["publish", file, &url][..], SIGNALS[0]),
        (&["play", &url], SIGNALS[1]),
        (&["play", &http], SIGNALS[0]),
        (&["probe", &url], SIGNALS[1]),
    ] {
        let patience = [arguments, &["--timeout", "600s"]].concat();
        let mut program = start(&patience);
        let (_connection, _) = silent.accept().unwrap();
        let code = signal(&mut program, name);
        assert_eq!(code, Some(128 + number), "{arguments:?}");
    }
    let _ = fs::remove_file(source);
}

#[test]
fn a_signal_ends_a_player_whose_reader_has_stopped() {
    let server = server(Config::default());
    let url = url(&server, "stopped-reader");
    for second in [None, Some("INT")] {
        let (_reader, mut full) = UnixStream::pair().unwrap();
        full.set_nonblocking(true).unwrap();
        let error = loop {
            if let Err(error) = full.write(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        full.set_nonblocking(false).unwrap();
        let mut command = command(&["play", &url, "-"]);
        command.stdin(Stdio::null()).stdout(OwnedFd::from(full));
        let mut program = Running(command.spawn().unwrap());
        wait_until("the player waits", SOON, || server.connection_count() == 1);
        if let Some(second) = second {
            send(&program, second);
            // It is over before a second signal comes, if the player hadn't begun.
            let line = format!("kill -INT {}", program.0.id());
            let _ = Command::new("sh").args(["-c", &line]).output();
            assert_eq!(end(&mut program), Some(128 + 2));
        } else {
            assert_eq!(signal(&mut program, "TERM"), Some(128 + 15));
        }
        wait_until("its connection ends", SOON, || {
            server.connection_count() == 0
        });
    }
}

#[test]
fn a_signal_ends_a_publisher_whose_server_has_stopped_reading() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = free.local_addr().unwrap().to_string();
    drop(free);
    let server = Program::start(&mut command(&["--rtmp", &place, "--http", "off"]));
    let is_up = || std::net::TcpStream::connect(&*place).is_ok();
    wait_until("the server listens", SOON, is_up);
    let url = format!("rtmp://{place}/live/stopped-server");
    let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
    let arguments = ["publish", "--no-pace", "--timeout", "600s", "-", &url];
    let mut command = command(&arguments);
    let mut program = Running(command.stdin(Stdio::piped()).spawn().unwrap());
    let mut input = program.0.stdin.take().unwrap();
    let mut large = messages();
    input.write_all(&flv(&large)).unwrap();
    player.recv(SOON).unwrap().unwrap();
    server.signal("STOP");
    // More than the buffers of two sockets hold.
    let mut frame = vec![0x27, 1, 0, 0, 0];
    frame.resize(12 << 20, 1);
    large = vec![(9, 2000, frame.clone()), (9, 2040, frame)];
    let writer = thread::spawn(move || {
        // Ends with the program.
        let _ = input.write_all(&flv(&large)[13..]);
    });
    let id = program.0.id();
    let mut before = None;
    wait_until("it sends no more", SOON, || {
        let io = fs::read_to_string(format!("/proc/{id}/io")).unwrap();
        let is_much = io.lines().any(|line| {
            let len = line.strip_prefix("rchar: ").map(|len| len.parse::<u64>());
            len.is_some_and(|len| len.unwrap() > 12 << 20)
        });
        is_much
            && before
                .replace(io.clone())
                .is_some_and(|before| before == io)
    });
    let code = signal(&mut program, "TERM");
    // It may have been asked just before it would have waited.
    assert!(matches!(code, Some(0 | 143)), "{code:?}");
    writer.join().unwrap();
}
