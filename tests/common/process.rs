//! Programs started by a test: their output is collected, and they end when dropped.

use std::fmt;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::wait_until;

/// A running program.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// The output of a program so far, and the thread that collects it.
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Output {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let thread = pipe.map(|mut pipe| {
            let bytes = Arc::clone(&bytes);
            thread::spawn(move || {
                let mut buffer = [0; 8192];
                while let Ok(len @ 1..) = pipe.read(&mut buffer) {
                    let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                    bytes.extend_from_slice(&buffer[..len]);
                }
            })
        });
        Output { bytes, thread }
    }

    fn with<T>(&self, look: impl FnOnce(&str) -> T) -> T {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        look(&String::from_utf8_lossy(&bytes))
    }

    /// Waits until the program has closed its end of the pipe.
    fn finish(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A process as seen from outside. Its figures are `None` once it has ended.
#[derive(Clone, Copy)]
pub(crate) struct Id(u32);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Id {
    /// Returns a number from /proc/PID/status, such as "Threads" or "VmRSS" (in kB).
    pub(crate) fn status(self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Returns the resident size of the heap in kB. Thread stacks and large allocations lie elsewhere.
    pub(crate) fn heap(self) -> Option<u64> {
        let maps = fs::read_to_string(format!("/proc/{}/smaps", self.0)).ok()?;
        let (_, heap) = maps.split_once("[heap]")?;
        let resident = heap.lines().find_map(|line| line.strip_prefix("Rss:"))?;
        resident.split_whitespace().next()?.parse().ok()
    }

    /// Returns the number of open descriptors.
    pub(crate) fn descriptors(self) -> Option<u64> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.0)).ok()?;
        Some(entries.count() as u64)
    }
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Program {
        let name = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot run {name}: {error}. This test needs it installed"),
        };
        let stdout = Output::of(child.stdout.take());
        let stderr = Output::of(child.stderr.take());
        Program {
            name,
            child,
            stdout,
            stderr,
        }
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.with(str::to_owned)
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.with(str::to_owned)
    }

    pub(crate) fn with_stdout<T>(&self, look: impl FnOnce(&str) -> T) -> T {
        self.stdout.with(look)
    }

    pub(crate) fn with_stderr<T>(&self, look: impl FnOnce(&str) -> T) -> T {
        self.stderr.with(look)
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> Id {
        Id(self.child.id())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by its name, such as `TERM` or `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        // Uses the shell's built-in `kill`, since not every machine has the program.
        let line = format!("kill -{signal} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &line]).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{} gets {signal}",
            self.name
        );
    }

    /// Kills the program.
    pub(crate) fn kill(&mut self) {
        // The program may have ended on its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills the program if it is still running, and collects the rest of its output.
    pub(crate) fn stop(&mut self) {
        self.kill();
        self.stdout.finish();
        self.stderr.finish();
    }

    /// Waits until the program ends on its own.
    pub(crate) fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let mut status = None;
        wait_until(&format!("{} ends", self.name), timeout, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        self.stdout.finish();
        self.stderr.finish();
        status.unwrap_or_default()
    }

    /// Waits until the program ends on its own with exit code 0.
    pub(crate) fn wait_for_success(&mut self, timeout: Duration) {
        let status = self.wait(timeout);
        assert!(
            status.success(),
            "{}: {status}\n{}",
            self.name,
            self.stderr()
        );
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program that must succeed. Returns its output.
pub(crate) fn run(command: &mut Command) -> String {
    let mut program = Program::start(command);
    program.wait_for_success(Duration::from_secs(120));
    program.stdout()
}
