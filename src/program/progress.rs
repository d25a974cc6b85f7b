//! What a program shows while it runs, and how it is stopped.

use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brooklet::server::thread;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::{exit, pipe};

use super::logger::STACK_LEN;

/// The time that a program has after a signal to finish what it has begun.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time between two changes of the line.
const INTERVAL: Duration = Duration::from_millis(500);

/// One line on a terminal, which is written again and again; nothing in a pipe.
pub(crate) struct Progress {
    is_shown: bool,
    start: Instant,
    last: Option<Instant>,
    bytes: u64,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress {
            is_shown: io::stderr().is_terminal(),
            start: Instant::now(),
            last: None,
            bytes: 0,
        }
    }

    /// Counts a message of this length.
    pub(crate) fn add(&mut self, len: usize) {
        self.bytes += len as u64;
        let now = Instant::now();
        let is_due = self.last.is_none_or(|last| now - last >= INTERVAL);
        if self.is_shown && is_due {
            self.last = Some(now);
            let ms = (now - self.start).as_millis().max(1) as u64;
            let (seconds, kbits) = (ms / 1000, self.bytes * 8 / ms);
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let kib = self.bytes / 1024;
            let _ = write!(
                io::stderr(),
                "\r{hours}:{minutes:02}:{seconds:02}  {kib} KiB  {kbits} kbit/s    "
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.last.is_some() {
            let _ = io::stderr().write_all(b"\n");
        }
    }
}

/// Whether a signal asked the program to end. Whatever the program waits for, it ends:
///
/// ```text
/// caught ---- begin ------------------------------ is_asked -> finishes what it has begun
///     a signal: at once      a signal, and 2 s, or another signal: at once
/// ```
pub(crate) struct Stop {
    /// The number of the latest signal; 0 if none came.
    signal: Arc<AtomicUsize>,
    has_begun: Arc<AtomicBool>,
}

impl Stop {
    /// Catches the signals.
    pub(crate) fn catch() -> Result<Stop, String> {
        Stop::start().map_err(|error| format!("cannot catch signals: {error}"))
    }

    fn start() -> io::Result<Stop> {
        let stop = Stop {
            signal: Arc::default(),
            has_begun: Arc::default(),
        };
        let (mut signals, handlers) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            // Before the byte that wakes the thread.
            flag::register_usize(signal, Arc::clone(&stop.signal), signal as usize)?;
            pipe::register(signal, handlers.try_clone()?)?;
        }
        let (signal, has_begun) = (Arc::clone(&stop.signal), Arc::clone(&stop.has_begun));
        let wait = move || {
            let _ = signals.read_exact(&mut [0]);
            if has_begun.load(Ordering::Relaxed) {
                let _ = signals.set_read_timeout(Some(PATIENCE));
                let _ = signals.read_exact(&mut [0]);
            }
            // Not through what the program does at its end, which might wait for a full pipe.
            exit(128 + signal.load(Ordering::Relaxed) as i32)
        };
        thread::spawn("signals", STACK_LEN, Box::new(wait))?;
        Ok(stop)
    }

    /// From now on there is something to finish after a signal.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }
}
