//! A log that nobody reads, and one that somebody wants to fill.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::client::{Client, wait_until};

/// A server whose standard error takes nothing any more.
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
        let mut child = Command::new(env!("CARGO_BIN_EXE_brooklet"))
            .args(["--rtmp", "127.0.0.1:0", "--http", "off"])
            .env_remove("RUST_LOG")
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
fn nobody_waits_for_whoever_reads_the_log_and_a_signal_ends_it_all_the_same() {
    let mut server = Unread::start();
    let mut publisher = Client::publishing(server.address, "live", "door");
    let mut player = Client::playing(server.address, "live", "door");
    publisher.send_headers();
    for number in 0..100 {
        publisher.send_picture(number, number * 40, number % 25 == 0, 500);
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
