//! Threads, descriptors and memory of the real program.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::{Client, wait_until};

/// The program as a process, ended when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    output: Arc<Mutex<Vec<u8>>>,
    log: Arc<Mutex<Vec<u8>>>,
}

/// Reads to the end, on a thread, since what a program prints has to be read by somebody.
fn collect(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let bytes = Arc::<Mutex<Vec<u8>>>::default();
    let collected = Arc::clone(&bytes);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = pipe.read(&mut buffer) {
            lock(&collected).extend_from_slice(&buffer[..len]);
        }
    });
    bytes
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Starts the program on a free port of loopback and waits until it listens.
    pub(crate) fn start(options: &[&str]) -> Process {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_brooklet"))
            .args(["--rtmp", &port.to_string()])
            .args(options)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = collect(child.stderr.take().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("\nlistening for RTMP") {
            let len = lines.read_line(&mut greeting).unwrap();
            assert!(len > 0, "it ended at once: {greeting}");
        }
        let output = collect(lines);
        lock(&output).splice(0..0, greeting.into_bytes());
        Process {
            child,
            address: port,
            output,
            log,
        }
    }

    /// What it has printed so far: greeting and log.
    pub(crate) fn printed(&self) -> String {
        let [output, log] = [&self.output, &self.log].map(|bytes| lock(bytes).clone());
        String::from_utf8([output, log].concat()).unwrap()
    }

    /// A number of /proc/PID/status, such as "Threads" or "VmRSS" (in kB).
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_hundred_idle_connections_come_and_go_without_a_trace() {
    // Half of the places are for those who do nothing.
    let process = Process::start(&[
        "--max-connections",
        "512",
        "--max-per-address",
        "256",
        "--max-connect-rate",
        "1000",
        "--command-timeout",
        "10m",
    ]);
    let start = (process.status("Threads"), process.descriptors());
    println!(
        "at start: {start:?} threads and descriptors, {} kB",
        process.status("VmRSS")
    );

    let mut publisher = Client::publishing(process.address, "live", "door");
    let mut player = Client::playing(process.address, "live", "door");
    let idle: Vec<_> = (0..200)
        .map(|_| Client::connected(process.address, "live"))
        .collect();
    publisher.send_headers();
    for number in 0..100 {
        publisher.send_picture(number, number * 40, number % 25 == 0, 16_000);
        assert_eq!(player.wait_for_media().number(), number);
    }
    println!(
        "with 200 idle connections and a stream: {} threads, {} descriptors, {} kB",
        process.status("Threads"),
        process.descriptors(),
        process.status("VmRSS")
    );
    assert_eq!(process.status("Threads"), start.0 + 202);

    drop((idle, publisher, player));
    wait_until("threads and descriptors are back at the start", || {
        (process.status("Threads"), process.descriptors()) == start
    });
    println!("after they left: {} kB", process.status("VmRSS"));
}
