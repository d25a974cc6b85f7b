//! A case: a server process with its canary, measured before, during and after an attack.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::canary::{Canary, Load};
use crate::common::{Brooklet, SOON, poll_until, process};
use crate::outside::{Outside, Resident};

/// The memory for media of cases that don't choose another size, in MiB.
const MEMORY: u64 = 8;

/// The memory that a connection may occupy outside the arena, in kB: 10 of heap, the rest stack.
/// Unoptimized code uses more stack.
const PER_CONNECTION: u64 = if cfg!(debug_assertions) { 48 } else { 24 };

/// The memory that the rest of the server may occupy, in kB. In release builds this includes the program
/// and its libraries. In debug builds these are large, so only the growth of heap and stacks is included
/// there.
const REST: u64 = if cfg!(debug_assertions) { 1024 } else { 3_584 };

/// The number of messages that the canary has to deliver after the end of the attack.
const MORE: u64 = 20;

/// See the module's documentation.
pub(crate) struct Case {
    name: &'static str,
    outside: Arc<Outside>,
    // Declared before the server, so that the canary is notified first when the case is dropped.
    canary: Canary,
    sampler: Sampler,
    server: Brooklet,
    before: Figures,
}

/// A server's figures at one moment, or the highest figures of a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Resident memory, in kB.
    pub(crate) memory: u64,
    /// The part of it outside the arena.
    pub(crate) outside: Resident,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
}

/// The results of a case.
pub(crate) struct Shown {
    pub(crate) before: Figures,
    pub(crate) during: Figures,
    pub(crate) after: Figures,
    pub(crate) log: String,
}

impl Case {
    /// Starts a server with these options, in addition to those that all cases have.
    pub(crate) fn start(name: &'static str, options: &[&str]) -> Case {
        Case::start_with(name, MEMORY, Load::LIGHT, options)
    }

    /// Starts a case with a different amount of memory, in MiB, and a different canary.
    pub(crate) fn start_with(
        name: &'static str,
        memory: u64,
        load: Load,
        options: &[&str],
    ) -> Case {
        Case::with_server(name, memory, load, options, |options, prepare| {
            Ok(Brooklet::start_with(options, prepare))
        })
        .expect("it starts")
    }

    /// Starts a case with limited address space, in KiB. If that isn't enough, returns the server's
    /// output.
    pub(crate) fn start_within(
        name: &'static str,
        kib: u64,
        options: &[&str],
    ) -> Result<Case, String> {
        Case::with_server(name, MEMORY, Load::LIGHT, options, |options, prepare| {
            Brooklet::try_after(&format!("ulimit -v {kib}"), options, prepare)
        })
    }

    fn with_server(
        name: &'static str,
        memory: u64,
        load: Load,
        options: &[&str],
        start: impl FnOnce(&[&str], fn(&mut Command)) -> Result<Brooklet, String>,
    ) -> Result<Case, String> {
        let size = format!("{memory}M");
        // A case tests one thing. Other cases test the limits on connections.
        let common = [
            "--memory",
            &size,
            "--max-connections=4000",
            "--max-per-address=4000",
        ];
        let options = [&common, options].concat();
        let server = start(&options, |command| {
            command.env("BROOKLET_MAX_CONNECT_RATE", "100000");
        })?;
        let outside = Arc::new(Outside::of(server.id(), memory << 20));
        let canary = Canary::start(server.address(), load);
        let before = Figures::of(server.id(), &outside).expect("the server runs");
        Ok(Case {
            name,
            canary,
            sampler: Sampler::start(server.id(), &outside),
            outside,
            server,
            before,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn http_address(&self) -> SocketAddr {
        self.server.http_address()
    }

    pub(crate) fn before(&self) -> Figures {
        self.before
    }

    /// Returns the resident size of the server's heap, in kB.
    pub(crate) fn heap(&self) -> u64 {
        self.server.id().heap().expect("the server runs")
    }

    /// Returns the current figures.
    pub(crate) fn now(&self) -> Figures {
        Figures::of(self.server.id(), &self.outside).expect("the server runs")
    }

    /// Returns the size of the server's address space, in kB.
    pub(crate) fn address_space(&self) -> u64 {
        self.server.status("VmSize")
    }

    /// Waits until at least `count` lines of the log contain these words.
    pub(crate) fn wait_for_log(&self, words: &str, count: usize) {
        self.server.wait_for_log(words, count);
    }

    /// Waits until as many connections are open as before the attack.
    pub(crate) fn wait_until_alone(&self) {
        let before = (self.before.threads, self.before.descriptors);
        self.wait_until("threads and descriptors are back", |now| {
            (now.threads, now.descriptors) == before
        });
    }

    /// Waits until the figures satisfy a condition.
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(Figures) -> bool) {
        let mut now = self.now();
        let held = poll_until(SOON, || {
            now = self.now();
            condition(now)
        });
        let before = self.before;
        assert!(
            held,
            "waited in vain until {what}: {now:?} after {before:?}"
        );
    }

    /// Checks that the canary delivers `messages` more messages while the attackers are still connected.
    pub(crate) fn canary_goes_on(&self, messages: u64) {
        self.canary.verdict(messages);
    }

    /// Returns the 99th percentile of the canary's delays since the last call, in ms.
    pub(crate) fn canary_p99(&self) -> u64 {
        self.canary.delays().received().take().2 as u64
    }

    /// Judges the case. Must be called when the attackers are gone; at most `connections` of them were
    /// connected at the same time.
    pub(crate) fn finish(mut self, connections: u64) -> Shown {
        let Case { name, before, .. } = self;
        self.wait_until_alone();
        let messages = self.canary.verdict(MORE);
        let after = self.now();
        let during = self.sampler.finish(self.server.id());
        println!(
            "{name}: RSS {}/{}/{} kB, without arena {}/{}/{} kB, threads {}/{}/{}, \
             descriptors {}/{}/{}, canary {messages} messages",
            before.memory,
            during.memory,
            after.memory,
            before.judged(),
            during.judged(),
            after.judged(),
            before.threads,
            during.threads,
            after.threads,
            before.descriptors,
            during.descriptors,
            after.descriptors,
        );
        // A connection that is being closed counts too, and two are the canary's.
        let connections = 2 + connections.max(during.threads - before.threads);
        let allowed = bound(before, connections);
        let used = during.judged();
        assert!(
            used <= allowed,
            "{name}: {used} kB outside of the arena, allowed are {allowed} kB for {connections} \
             connections"
        );
        assert!(self.server.is_running());
        let log = self.server.log();
        check_log(&log);
        Shown {
            before,
            during,
            after,
            log,
        }
    }
}

/// Returns the memory that a server may occupy outside its arena with this many connections, in kB.
fn bound(before: Figures, connections: u64) -> u64 {
    let idle = if cfg!(debug_assertions) {
        before.judged()
    } else {
        0
    };
    idle + connections * PER_CONNECTION + REST
}

impl Shown {
    /// Checks that the memory used during the attack was freed, apart from what the C library keeps for
    /// new threads.
    pub(crate) fn memory_is_back(&self) {
        let connections = self.during.threads - self.before.threads;
        let allowed = connections * PER_CONNECTION + 2 * 1024;
        let left = self.after.judged().saturating_sub(self.before.judged());
        assert!(
            left <= allowed,
            "{left} kB are still in use, allowed are {allowed} kB"
        );
    }

    /// Checks that memory grew by at most this much during the attack, in kB.
    pub(crate) fn memory_grew_at_most(&self, allowed: u64) {
        let growth = self.during.memory.saturating_sub(self.before.memory);
        assert!(
            growth <= allowed,
            "memory grew by {growth} kB, allowed are {allowed} kB"
        );
    }
}

impl Figures {
    /// Returns the figure to which the bound applies, in kB.
    pub(crate) fn judged(&self) -> u64 {
        match self.outside {
            Resident { own, .. } if cfg!(debug_assertions) => own,
            Resident { all, .. } => all,
        }
    }

    fn raise(&mut self, now: Figures) {
        self.outside.own = self.outside.own.max(now.outside.own);
        self.outside.all = self.outside.all.max(now.outside.all);
        self.threads = self.threads.max(now.threads);
        self.descriptors = self.descriptors.max(now.descriptors);
    }

    fn of(server: process::Id, outside: &Outside) -> Option<Figures> {
        Some(Figures {
            memory: server.status("VmRSS")?,
            outside: outside.now()?,
            threads: server.status("Threads")?,
            descriptors: server.descriptors()?,
        })
    }
}

/// Records the highest figures.
struct Sampler {
    highest: Arc<Mutex<Figures>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    fn start(server: process::Id, outside: &Arc<Outside>) -> Sampler {
        let highest = Arc::<Mutex<Figures>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let sample = {
            let outside = Arc::clone(outside);
            let (highest, is_over) = (Arc::clone(&highest), Arc::clone(&is_over));
            move || {
                while let Some(now) = Figures::of(server, &outside) {
                    highest.lock().unwrap().raise(now);
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    thread::sleep(Duration::from_millis(10));
                }
            }
        };
        Sampler {
            highest,
            is_over,
            thread: Some(thread::spawn(sample)),
        }
    }

    fn finish(&mut self, server: process::Id) -> Figures {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it only reads numbers");
        }
        Figures {
            // The kernel itself keeps the peak of resident memory.
            memory: server.status("VmHWM").expect("the server runs"),
            ..*self.highest.lock().unwrap()
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Checks that the log contains no error, no panic, no characters that could change how a line reads, no
/// line that the server didn't write, and no more text than the number of connections allows.
fn check_log(log: &str) {
    let connections = log.matches(" connected").count();
    // A connection may send a hundred commands at once, and each may cause a line.
    let (len, allowed) = (log.len(), 64 * 1024 + connections * 32 * 1024);
    assert!(
        len <= allowed,
        "{len} bytes of log for {connections} connections"
    );
    for line in log.lines() {
        assert!(line.chars().all(is_plain), "raw characters: {line:?}");
        // 2026-01-31 18:05:09.123 info  #17 live/door: ...
        let level = line.get(24..30).unwrap_or_default();
        let is_ours = line.starts_with("20")
            && ["error ", "warn  ", "info  ", "debug ", "trace "].contains(&level);
        assert!(is_ours, "a line of the log that isn't the server's: {line}");
        assert!(level != "error ", "an error: {line}");
    }
}

/// Whether a character is visible: not a control character, and not one that changes the writing
/// direction, has no width, or ends a line or paragraph.
fn is_plain(c: char) -> bool {
    let is_hidden = matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !is_hidden
}
