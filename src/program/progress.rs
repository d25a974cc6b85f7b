//! What a program shows while it runs, and how it is stopped.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

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

/// Whether a signal asked the program to end.
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Catches the signals. The second of a kind ends the program at once.
    pub(crate) fn catch() -> io::Result<Stop> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
            flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Stop(stop))
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
