//! Log lines: time in UTC, level, text.
//!
//! ```text
//! 2026-01-31 18:05:09.123 info  #17 live/door: publishing from 192.0.2.7:51234
//! ```
//!
//! The journal of systemd adds the time itself, and reads priorities: `<6>info  #17 live/door: ...`.
//!
//! `env_logger`'s own timestamps would add a calendar library of a few hundred kilobytes.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use brooklet::calendar;
use brooklet::server::thread::spawn;
use env_logger::Target;
use log::{Level, LevelFilter};

/// The maximum number of bytes of lines that wait to be written.
const BUFFER_LEN: usize = 64 * 1024;

/// The maximum length of the line with the number of omitted lines, in bytes.
const NOTICE_LEN: usize = 128;

/// The stack size of the thread that writes, in bytes.
pub(crate) const STACK_LEN: usize = 64 * 1024;

/// Lines on their way to standard error. A slow reader doesn't block the threads that log: a separate
/// thread writes, and lines that don't fit into the buffer in the meantime are dropped and counted.
#[derive(Clone)]
pub(crate) struct Logger {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    is_journal: bool,
    state: Mutex<State>,
    /// Notified when there is something to write, and when everything has been written.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Complete lines.
    lines: Vec<u8>,
    left_out: u64,
    /// Whether lines are being written.
    is_writing: bool,
}

/// Starts logging to standard error at this level, or as `RUST_LOG` says. Panics are logged, too.
pub(crate) fn init(level: Option<LevelFilter>) -> io::Result<Logger> {
    // `io::stderr` isn't used, because a thread that holds its lock may wait forever for a slow reader.
    let out = stderr()?;
    let is_journal = is_journal(&out);
    let logger = Logger::start(out, is_journal)?;
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Info);
    match level {
        Some(level) => builder.filter_level(level),
        None => builder.parse_default_env(),
    };
    builder.format(move |out, record| {
        let begin = begin(record.level(), is_journal);
        writeln!(out, "{begin} {}", record.args())
    });
    builder.target(Target::Pipe(Box::new(logger.clone())));
    builder.init();
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(|text| &**text));
        let text = text.unwrap_or_default();
        match panic.location() {
            Some(location) => log::error!("thread {name:?} panicked at {location}: {text:?}"),
            None => log::error!("thread {name:?} panicked: {text:?}"),
        }
    }));
    Ok(logger)
}

/// Prints the error that ends the program.
pub(crate) fn complain(error: &dyn fmt::Display) {
    let priority = if stderr().is_ok_and(|out| is_journal(&out)) {
        priority(Level::Error)
    } else {
        ""
    };
    eprintln!("{priority}brooklet: {error}");
}

fn stderr() -> io::Result<File> {
    Ok(io::stderr().as_fd().try_clone_to_owned()?.into())
}

/// Whether systemd has connected standard error to its journal (systemd.exec(5)). If so, the variable
/// contains the device and inode numbers. They are compared, since the children of a service inherit the
/// variable but may write elsewhere.
fn is_journal(out: &File) -> bool {
    let journal = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let metadata = out.metadata();
    metadata.is_ok_and(|found| journal == format!("{}:{}", found.dev(), found.ino()))
}

/// The priority of a level as in syslog and sd-daemon(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// The beginning of a line.
fn begin(level: Level, is_journal: bool) -> String {
    let name = level.as_str().to_ascii_lowercase();
    if is_journal {
        format!("{}{name:<5}", priority(level))
    } else {
        format!("{} {name:<5}", time(SystemTime::now()))
    }
}

impl Logger {
    fn start(mut out: impl Write + Send + 'static, is_journal: bool) -> io::Result<Logger> {
        let queue = Arc::new(Queue {
            is_journal,
            ..Queue::default()
        });
        queue.lock().lines = buffer()?;
        // Not by the thread, which would have nobody to tell that there is too little memory.
        let lines = buffer()?;
        let write = {
            let queue = Arc::clone(&queue);
            move || queue.write_to(&mut out, lines)
        };
        spawn("log", STACK_LEN, Box::new(write))?;
        Ok(Logger { queue })
    }

    /// Waits until everything is written, but at most for `timeout`.
    pub(crate) fn finish(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut state = self.queue.lock();
        while state.is_writing || !state.lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let result = self.queue.changed.wait_timeout(state, left);
            state = result.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Each call writes one line.
impl Write for Logger {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.queue.lock();
        if state.lines.len() + line.len() > BUFFER_LEN {
            state.left_out += 1;
        } else {
            state.lines.extend_from_slice(line);
            drop(state);
            self.queue.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes forever, by turns from two buffers, of which `lines` is the second. Lines that can't be
    /// written are lost, since there is no place to report that.
    fn write_to(&self, out: &mut impl Write, mut lines: Vec<u8>) {
        loop {
            let mut state = self.lock();
            state.is_writing = false;
            self.changed.notify_all();
            while state.lines.is_empty() && state.left_out == 0 {
                let result = self.changed.wait(state);
                state = result.unwrap_or_else(PoisonError::into_inner);
            }
            // Swapped, so that threads can log during the write, and no memory is allocated.
            std::mem::swap(&mut state.lines, &mut lines);
            let left_out = std::mem::take(&mut state.left_out);
            state.is_writing = true;
            drop(state);
            if left_out > 0 {
                let begin = begin(Level::Warn, self.is_journal);
                let _ = writeln!(
                    lines,
                    "{begin} {left_out} lines left out here: the log is read too slowly"
                );
            }
            let _ = out.write_all(&lines);
            lines.clear();
        }
    }
}

/// An empty buffer for lines.
fn buffer() -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    lines.try_reserve_exact(BUFFER_LEN + NOTICE_LEN)?;
    Ok(lines)
}

fn time(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = calendar::date_and_time(since.as_secs(), ' ');
    format!("{seconds}.{:03}", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A writer that accepts one piece each time that it is allowed to.
    struct Slow {
        may_take: mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.may_take.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn threads_that_log_never_wait_and_the_log_says_how_many_lines_are_missing() {
        let (take, may_take) = mpsc::channel();
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let out = Slow {
            may_take,
            taken: Arc::clone(&taken),
        };
        let mut logger = Logger::start(out, false).unwrap();
        let line = |number: usize| format!("{number:05}{}\n", "x".repeat(94));
        logger.write_all(line(0).as_bytes()).unwrap();
        while !logger.queue.lock().is_writing {
            thread::yield_now();
        }
        // One is being written, and some of the others fit into 64 KiB.
        for number in 1..=1000 {
            logger.write_all(line(number).as_bytes()).unwrap();
        }
        logger.finish(Duration::from_millis(1));
        assert!(taken.lock().unwrap().is_empty());
        drop(take);
        logger.finish(Duration::from_secs(3600));
        let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
        let fit = BUFFER_LEN / 100;
        let whole: String = (0..=fit).map(line).collect();
        let rest = text.strip_prefix(&whole).unwrap();
        let missing = format!("warn  {} lines left out here: the log", 1000 - fit);
        assert!(rest.contains(&missing), "{rest}");
        assert_eq!(rest.lines().count(), 1);
        // Later lines find an empty buffer.
        logger.write_all(line(7).as_bytes()).unwrap();
        logger.finish(Duration::from_secs(3600));
        assert!(taken.lock().unwrap().ends_with(line(7).as_bytes()));
    }

    #[test]
    fn times_have_milliseconds() {
        let time = time(UNIX_EPOCH + Duration::from_millis(1_735_689_599_007));
        assert_eq!(time, "2024-12-31 23:59:59.007");
    }
}
