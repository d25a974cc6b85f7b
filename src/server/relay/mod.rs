//! The threads of pushes and pulls, and who has asked for them.
//!
//! | thread                         | does                                    | waits in          |
//! |--------------------------------|-----------------------------------------|-------------------|
//! | one per stream that is pushed  | connects, answers the server            | `read`, or a tick |
//! | one per pull                   | connects, publishes what it receives    | `read`, or a tick |
//!
//! The media that are pushed don't pass through the thread of the push: its socket is a subscriber's, to
//! which the publisher's thread sends.

mod end;
mod local;
mod pull;
mod push;
mod run;

use std::io;
use std::iter;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::client::Action;
use super::{Shared, thread};
use crate::config::{Config, Pull, Push};
use crate::live::report::ViewerReport;
use crate::live::signal::Signal;
use crate::live::stream::Stream;
use crate::live::{Millis, lock};
use crate::net::tls::TlsClient;
use crate::relay::report::RelayReport;
use crate::rtmp::printable::Printable;
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::via::{CIRCLE, ServerId, Via};
pub(in crate::server) use run::Run;

/// The number of pushes and of pulls that a server may have, and of streams that it pushes at once. Each of
/// these has a thread.
const MOST: usize = 256;

/// The stack of a thread that resolves names and does TLS handshakes, in bytes.
const STACK_LEN: usize = if cfg!(debug_assertions) { 1024 } else { 256 } * 1024;

/// How long the end of the server waits for pushes and pulls to say goodbye, and then to end.
const POLITE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module's documentation.
pub(in crate::server) struct Relays {
    /// The name of this server for servers on the way of a stream.
    pub(in crate::server) own: ServerId,
    /// The servers that are trusted.
    trusted: TlsClient,
    next_id: AtomicU64,
    lists: Mutex<Lists>,
    /// Notified when a thread ends.
    ended: Signal,
}

#[derive(Default)]
struct Lists {
    pushes: Vec<Wanted>,
    pulls: Vec<(u64, Pull)>,
    /// The pushes of streams, each with its thread.
    pushed: Vec<(Arc<Stream>, Arc<Run>)>,
    pulled: Vec<Arc<Run>>,
}

struct Wanted {
    id: u64,
    push: Push,
    /// Since when none of its streams is pushed, unless one is.
    waits_since: Millis,
}

impl Relays {
    /// No pushes and pulls yet. They will trust the certificates in a file, besides those of the system.
    pub(in crate::server) fn new(ca: Option<PathBuf>) -> io::Result<Arc<Relays>> {
        let trusted = TlsClient::new(ca);
        trusted.check()?;
        let mut random = [0; 4];
        let _ = getrandom::fill(&mut random);
        Ok(Arc::new(Relays {
            own: ServerId::new(random),
            trusted,
            next_id: AtomicU64::new(1),
            lists: Mutex::default(),
            ended: Signal::default(),
        }))
    }

    /// Begins the pushes and pulls of the configuration.
    pub(in crate::server) fn begin(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        config: &Config,
    ) -> io::Result<()> {
        let pushes = config.pushes.iter();
        let pushes = pushes.map(|push| self.push(shared, push.clone()));
        let pulls = config.pulls.iter();
        let pulls = pulls.map(|pull| self.pull(shared, pull.clone()));
        pushes.chain(pulls).try_for_each(|begun| match begun {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                log::warn!("a push or pull is wanted twice: {error}");
                Ok(())
            }
            begun => begun.map(drop),
        })
    }

    /// Why a client that names these servers in its `flashVer` is refused.
    pub(in crate::server) fn check(&self, flash_ver: &str) -> Result<(), &'static str> {
        Via::parse(flash_ver).check(self.own)
    }

    /// Why a client that names these servers may not publish a stream, or play it: what it sends would come
    /// back to one of them, since that plays the stream; or what it gets has come from there.
    #[inline(never)] // Keeps these locals off the stack of connection threads.
    pub(in crate::server) fn check_stream(
        &self,
        shared: &Shared,
        flash_ver: &str,
        action: Action,
        key: &StreamKey,
    ) -> Result<(), &'static str> {
        let via = Via::parse(flash_ver);
        let Some(stream) = shared.table.find(key).filter(|_| via != Via::default()) else {
            return Ok(());
        };
        let is_same = |connection| {
            let report = shared.connections.report_of(connection);
            report.is_some_and(|other| via.meets(&Via::parse(&other.client)))
        };
        let now = shared.now();
        let is_circle = match action {
            Action::Play => stream
                .report(now)
                .publisher
                .is_some_and(|(id, _)| is_same(id)),
            Action::Publish => {
                let after = |viewer: &ViewerReport| stream.viewer_after(viewer.id, now);
                let mut viewers = iter::successors(stream.viewer_after(0, now), after);
                viewers.any(|viewer| is_same(viewer.connection))
            }
        };
        match is_circle {
            true => Err(CIRCLE),
            false => Ok(()),
        }
    }

    /// The `flashVer` of a client that publishes this stream elsewhere: it names the servers through which
    /// the stream has come.
    fn flash_ver(&self, shared: &Shared, stream: &Stream) -> String {
        let publisher = stream.report(shared.now()).publisher;
        let publisher = publisher.and_then(|(id, _)| shared.connections.report_of(id));
        let via = publisher.map(|publisher| Via::parse(&publisher.client));
        let via = via.unwrap_or_default();
        let own = self.own.hop(stream.key());
        via.flash_ver(true, env!("CARGO_PKG_VERSION"), Some(own))
    }

    /// Pushes a stream that was just published wherever that is wanted.
    pub(in crate::server) fn published(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        stream: &Arc<Stream>,
    ) {
        let mut lists = lock(&self.lists);
        let Lists { pushes, pushed, .. } = &mut *lists;
        for Wanted { id, push, .. } in pushes.iter() {
            let Some(target) = push.target(stream.key()) else {
                continue;
            };
            // The last push of a publisher that returns goes on.
            let is_same = |of: &(Arc<Stream>, Arc<Run>)| {
                Arc::ptr_eq(&of.0, stream) && of.1.id == *id && !of.1.is_stopped()
            };
            if shared.is_stopping() || pushed.iter().any(is_same) {
                continue;
            }
            if pushed.len() >= MOST {
                log::warn!("{} isn't pushed: {MOST} streams are already", stream.key());
                return;
            }
            let run = Arc::new(Run::new(*id, stream.key().as_str(), target, false));
            pushed.push((Arc::clone(stream), Arc::clone(&run)));
            let (relays, shared) = (Arc::clone(self), Arc::clone(shared));
            let (stream, own) = (Arc::clone(stream), Arc::clone(&run));
            let thread = move || {
                let _listed = Listed(&relays, &shared, &own);
                push::run(&shared, &stream, &own);
            };
            if let Err(error) = thread::spawn("push", STACK_LEN, Box::new(thread)) {
                pushed.pop();
                let stream = Printable(&run.stream);
                log::error!("{stream} isn't pushed: no thread: {error}");
            }
        }
    }

    /// Begins a push. Returns its number. The same one twice would take the stream's key from itself, in
    /// turns.
    pub(in crate::server) fn push(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        push: Push,
    ) -> io::Result<u64> {
        let id;
        {
            let pushes = &mut lock(&self.lists).pushes;
            let known = pushes.iter().map(|wanted| (wanted.id, &wanted.push));
            id = self.new_id("push", known, &push)?;
            log::info!("push {id}: {push}");
            pushes.push(Wanted {
                id,
                push,
                waits_since: shared.now(),
            });
        }
        let streams = shared.table.streams().into_iter();
        for stream in streams.filter(|stream| stream.was_published()) {
            self.published(shared, &stream);
        }
        Ok(id)
    }

    /// The number of something new; an error if it is there already, or if there are too many.
    fn new_id<'a, T: PartialEq + 'a>(
        &self,
        name: &str,
        known: impl ExactSizeIterator<Item = (u64, &'a T)>,
        new: &T,
    ) -> io::Result<u64> {
        if known.len() >= MOST {
            let why = format!("there are {MOST} of them already");
            return Err(io::Error::other(why));
        }
        for (id, what) in known {
            if what == new {
                let why = format!("{name} {id} does that already");
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
            }
        }
        Ok(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Begins a pull. Returns its number.
    pub(in crate::server) fn pull(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        pull: Pull,
    ) -> io::Result<u64> {
        let mut lists = lock(&self.lists);
        if shared.is_stopping() {
            return Err(io::Error::other("the server ends"));
        }
        let known = lists.pulls.iter().map(|(id, pull)| (*id, pull));
        let id = self.new_id("pull", known, &pull)?;
        log::info!("pull {id}: {pull}");
        let stream = pull.stream.as_str();
        let run = Run::new(id, stream, pull.source.clone(), pull.is_on_demand);
        let run = Arc::new(run);
        lists.pulls.push((id, pull.clone()));
        lists.pulled.push(Arc::clone(&run));
        let (relays, shared) = (Arc::clone(self), Arc::clone(shared));
        let thread = move || {
            let _listed = Listed(&relays, &shared, &run);
            pull::run(&shared, &pull, &run);
        };
        let spawned = thread::spawn("pull", STACK_LEN, Box::new(thread));
        if spawned.is_err() {
            lists.pulls.pop();
            lists.pulled.pop();
        }
        spawned.map(|_| id)
    }

    fn pull_of(&self, key: &StreamKey) -> Option<Arc<Run>> {
        let lists = lock(&self.lists);
        let mut pulled = lists.pulled.iter();
        let run = pulled.find(|run| run.stream == key.as_str() && !run.is_stopped());
        run.map(Arc::clone)
    }

    /// Wakes the pull of a stream that somebody has begun to watch.
    pub(in crate::server) fn watched(&self, key: &StreamKey) {
        if let Some(run) = self.pull_of(key) {
            run.wake();
        }
    }

    /// Waits for a stream that is pulled on demand, for a viewer over HTTP, whose answer depends on it.
    /// Returns `None` at once if there is no such pull, or if the stream isn't live in time.
    #[cfg(feature = "http")]
    pub(in crate::server) fn fetch(&self, shared: &Shared, key: &StreamKey) -> Option<Arc<Stream>> {
        const WAIT: Millis = 5_000;
        const LOOK: Millis = 50;

        let until = shared.now() + WAIT;
        let run = self.pull_of(key)?;
        run.want(until);
        while shared.now() < until && !run.is_stopped() && !shared.is_stopping() {
            let stream = shared.table.find(key);
            if stream.as_ref().is_some_and(|stream| stream.is_live()) {
                return stream;
            }
            std::thread::sleep(Duration::from_millis(LOOK));
        }
        None
    }

    /// Ends a push; false if there is none with this number.
    pub(in crate::server) fn stop_push(&self, id: u64) -> bool {
        let lists = &mut *lock(&self.lists);
        let before = lists.pushes.len();
        lists.pushes.retain(|wanted| wanted.id != id);
        let runs = lists.pushed.iter().filter(|(_, run)| run.id == id);
        runs.for_each(|(_, run)| run.stop());
        lists.pushes.len() < before
    }

    /// Ends a pull; false if there is none with this number.
    pub(in crate::server) fn stop_pull(&self, id: u64) -> bool {
        let lists = &mut *lock(&self.lists);
        let before = lists.pulls.len();
        lists.pulls.retain(|(other, _)| *other != id);
        let runs = lists.pulled.iter().filter(|run| run.id == id);
        runs.for_each(|run| run.stop());
        lists.pulls.len() < before
    }

    /// The figures of all pushes, by number: one for each stream that is pushed, or one for a push that
    /// waits for its streams.
    pub(in crate::server) fn pushes(&self, now: Millis) -> Vec<RelayReport> {
        let lists = lock(&self.lists);
        let mut reports = Vec::new();
        for wanted in &lists.pushes {
            let Wanted { id, push, .. } = wanted;
            let of_push = lists.pushed.iter().filter(|(_, run)| run.id == *id);
            let before = reports.len();
            reports.extend(of_push.map(|(_, run)| run.report(now)));
            if reports.len() == before {
                reports.push(RelayReport {
                    id: *id,
                    stream: push.streams.text(),
                    target: push.shown(),
                    since: wanted.waits_since,
                    why: Some("nobody publishes it".to_owned()),
                    ..RelayReport::default()
                });
            }
        }
        reports
    }

    /// The figures of all pulls, by number.
    pub(in crate::server) fn pulls(&self, now: Millis) -> Vec<RelayReport> {
        let lists = lock(&self.lists);
        let is_wanted = |run: &&Arc<Run>| !run.is_stopped();
        let runs = lists.pulled.iter().filter(is_wanted);
        runs.map(|run| run.report(now)).collect()
    }

    /// Ends all pushes and pulls at the end of the server, and waits for that, but not for long.
    pub(in crate::server) fn finish(&self) {
        let mut lists = lock(&self.lists);
        let is_empty = |lists: &Lists| lists.pushed.is_empty() && lists.pulled.is_empty();
        for patience in [POLITE, PATIENCE] {
            let pushed = lists.pushed.iter().map(|(_, run)| run);
            for run in pushed.chain(&lists.pulled) {
                if patience == POLITE {
                    run.stop();
                } else {
                    run.cut();
                }
            }
            let deadline = Instant::now() + patience;
            while !is_empty(&lists) {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                lists = self.ended.wait(lists, left);
            }
        }
    }
}

/// An entry of the lists of threads, taken off when dropped, even after a panic.
struct Listed<'a>(&'a Relays, &'a Shared, &'a Arc<Run>);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let Listed(relays, shared, own) = self;
        let mut lists = lock(&relays.lists);
        let wanted = lists.pushes.iter_mut().filter(|push| push.id == own.id);
        wanted.for_each(|push| push.waits_since = shared.now());
        lists.pushed.retain(|(_, other)| !Arc::ptr_eq(other, own));
        lists.pulled.retain(|other| !Arc::ptr_eq(other, own));
        relays.ended.notify();
    }
}
