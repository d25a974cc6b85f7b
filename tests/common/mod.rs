//! Code shared by the tests: the server under test, clients, guarded programs, media.
//!
//! This module never sleeps for a fixed time and hopes for the best: [`wait_until`] polls a condition
//! and fails at a deadline. Everything that a test starts ends when its guard is dropped.

// Each test file is a separate crate, and uses only a part of this module.
#![allow(dead_code)]

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod ffmpeg8;
pub(crate) mod framehash;
pub(crate) mod http;
pub(crate) mod media;
pub(crate) mod nginx;
pub(crate) mod packets;
pub(crate) mod process;
pub(crate) mod publisher;
pub(crate) mod random;
pub(crate) mod servers;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brooklet::{Config, Server};
use process::{Id, Program};

/// The path of the program under test, if it is built.
pub(crate) const PROGRAM: Option<&str> = option_env!("CARGO_BIN_EXE_brooklet");

/// The deadline for anything that is nearly immediate on an idle machine: longer than any of the
/// server's own timeouts, and long enough for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Polls until a condition holds or the timeout expires. Returns whether the condition held.
pub(crate) fn poll_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Waits until a condition holds. If it doesn't hold before the deadline, fails the test and names the
/// condition.
pub(crate) fn wait_until(what: &str, timeout: Duration, condition: impl FnMut() -> bool) {
    let held = poll_until(timeout, condition);
    assert!(held, "waited {timeout:?} in vain until {what}");
}

/// Checks that a condition holds all the time for a given duration.
pub(crate) fn all_the_while(what: &str, duration: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        assert!(condition(), "no longer true: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A folder that is removed when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("brooklet-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a folder for the test can be made");
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes the environment variables that the program would read: it refuses to start if it finds one
/// that only the tests know.
pub(crate) fn without_settings(command: &mut Command) -> &mut Command {
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("BROOKLET_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG")
}

/// The real program, listening on free ports of the loopback address.
pub(crate) struct Brooklet {
    program: Program,
    port: u16,
    http_port: u16,
}

impl Brooklet {
    /// Starts the program with additional arguments, and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Brooklet {
        Brooklet::start_with(arguments, |_| {})
    }

    /// Like [`start`](Brooklet::start), but `prepare` changes the command first, such as its
    /// environment.
    pub(crate) fn start_with(arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Brooklet {
        let command = Command::new(PROGRAM.expect("it is built with the feature cli"));
        let started = Brooklet::start_by(command, arguments, prepare);
        started.unwrap_or_else(|error| panic!("brooklet ended at once:\n{error}"))
    }

    /// Starts the program from a shell that runs a command first, such as one that sets limits.
    pub(crate) fn start_after(shell: &str, arguments: &[&str]) -> Brooklet {
        let started = Brooklet::try_after(shell, arguments, |_| {});
        started.unwrap_or_else(|error| panic!("brooklet ended at once:\n{error}"))
    }

    /// Like [`start_after`](Brooklet::start_after), but returns the program's output if it ends
    /// immediately.
    pub(crate) fn try_after(
        shell: &str,
        arguments: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Brooklet, String> {
        let mut command = Command::new("sh");
        let line = format!("{shell} && exec \"$0\" \"$@\"");
        command.args([
            "-c",
            &line,
            PROGRAM.expect("it is built with the feature cli"),
        ]);
        Brooklet::start_by(command, arguments, prepare)
    }

    fn start_by(
        mut command: Command,
        arguments: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Brooklet, String> {
        let http = if cfg!(feature = "http") {
            "127.0.0.1:0"
        } else {
            "off"
        };
        command.args(["--rtmp", "127.0.0.1:0", "--http", http]);
        command.args(arguments);
        without_settings(&mut command);
        prepare(&mut command);
        let mut program = Program::start(&mut command);
        let mut has_ended = false;
        // The line after the two that give the addresses, one for each protocol.
        wait_until("brooklet says where it listens", SOON, || {
            has_ended = !program.is_running();
            has_ended || program.with_stdout(|text| text.contains("\nplaying: "))
        });
        if has_ended {
            program.stop();
            return Err(program.stderr());
        }
        let stdout = program.stdout();
        let port = |protocol| {
            let start = format!("listening for {protocol} on 127.0.0.1:");
            let mut lines = stdout.lines();
            let port = lines.find_map(|line| line.strip_prefix(&start)?.parse().ok());
            port.unwrap_or_default()
        };
        Ok(Brooklet {
            port: port("RTMP"),
            http_port: port("HTTP"),
            program,
        })
    }

    /// Returns the URL for publishing and playing a stream over RTMP.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{name}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Returns the address on which the program listens for HTTP.
    pub(crate) fn http_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.http_port).into()
    }

    pub(crate) fn log(&self) -> String {
        self.program.stderr()
    }

    /// Returns the start-up text and the log written so far.
    pub(crate) fn printed(&self) -> String {
        self.program.stdout() + &self.program.stderr()
    }

    /// Waits until at least `count` lines of the log contain these words.
    pub(crate) fn wait_for_log(&self, words: &str, count: usize) {
        wait_until(
            &format!("the log says {words:?} {count} times"),
            SOON,
            || {
                self.program
                    .with_stderr(|log| log.lines().filter(|l| l.contains(words)).count() >= count)
            },
        );
    }

    pub(crate) fn with_log<T>(&self, look: impl FnOnce(&str) -> T) -> T {
        self.program.with_stderr(look)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> Id {
        self.program.id()
    }

    /// Returns a number from /proc/PID/status, such as "Threads" or "VmRSS" (in kB).
    pub(crate) fn status(&self, name: &str) -> u64 {
        self.id().status(name).expect("it runs")
    }

    /// Returns the number of open descriptors.
    pub(crate) fn descriptors(&self) -> u64 {
        self.id().descriptors().expect("it runs")
    }

    /// Sends SIGTERM, and waits until the program has ended with exit code 0.
    pub(crate) fn stop(self) {
        self.stop_by("TERM");
    }

    /// Like [`stop`](Brooklet::stop), with any signal.
    pub(crate) fn stop_by(mut self, signal: &str) {
        self.program.signal(signal);
        self.program.wait_for_success(SOON);
    }
}

impl Drop for Brooklet {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("brooklet's log:\n{}", self.log());
        }
    }
}

/// Starts a server inside the test's process, on free ports of the loopback address.
pub(crate) fn start_library_server(configure: impl FnOnce(&mut Config)) -> Server {
    let mut config = client::on_free_ports(Config::default());
    configure(&mut config);
    Server::start(config).expect("a free port of the loopback address can be listened on")
}
