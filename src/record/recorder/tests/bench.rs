//! A recorder with its stream, its keeper and a disk in memory, on simulated clocks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use super::feed::{AVC, Feed};
use super::recorded::{Recorded, missing};
use super::slow::SlowDisk;
use crate::live::arena::{Arena, BLOCK_LEN};
use crate::live::lock;
use crate::live::stream::{Desks, Stream, StreamSettings};
use crate::record::WallMillis;
use crate::record::disk::sim::{Faults, SimDisk};
use crate::record::keeper::Keeper;
use crate::record::mend::Mender;
use crate::record::recorder::{Recorder, Rules, Step};
use crate::record::report::{RecordingReport, RecordingState};
use crate::record::space::Limits;
use crate::record::staging::Staging;
use crate::record::store::Store;
use crate::rtmp::stream_key::StreamKey;

/// 2026-11-28, 11:30:00.
pub(super) const TODAY: WallMillis = 1_795_865_400_000;

/// See the module's documentation.
pub(super) struct Bench {
    pub(super) disk: SimDisk,
    pub(super) feed: Arc<Mutex<Feed>>,
    pub(super) store: Arc<Store>,
    pub(super) recorder: Recorder,
    keeper: Keeper,
    keeper_at: u64,
    /// Whether the keeper works.
    pub(super) is_kept: bool,
    pub(super) is_over: bool,
}

pub(super) const RULES: Rules = Rules {
    form: None,
    segment: 600_000,
    sync: Some(10_000),
    speed: None,
    preroll: None,
};

fn keeper(store: &Store, limits: Limits) -> Keeper {
    let (disk, catalog) = (store.disk(), store.shared_catalog());
    Keeper::new(
        Arc::clone(disk),
        Arc::clone(catalog),
        limits,
        Box::new(Mender),
    )
}

impl Bench {
    /// A stream that is published in an arena of 16 MiB.
    pub(super) fn new(rules: Rules) -> Bench {
        Bench::with(rules, 1_024, TODAY)
    }

    /// The same with limits of the space.
    pub(super) fn limited(limits: Limits) -> Bench {
        let mut bench = Bench::new(RULES);
        bench.keeper = keeper(&bench.store, limits);
        bench.keep();
        bench
    }

    /// `wall`: the wall clock at the beginning, when the server's clock is at 1 s.
    pub(super) fn with(rules: Rules, blocks: usize, wall: WallMillis) -> Bench {
        let arena = Arena::new(blocks * BLOCK_LEN);
        let settings = StreamSettings {
            arena: arena.clone(),
            history: 2_000,
            max_lag: 2_000,
            batch: 0,
            kept: rules.preroll.unwrap_or(0),
            is_hls_served: false,
            desks: Desks::default(),
        };
        let key = StreamKey::new("live", "door").unwrap();
        let stream = Arc::new(Stream::new(key, &settings));
        let feed = Arc::new(Mutex::new(Feed::new(Arc::clone(&stream), wall - 1_000)));
        let disk = SimDisk::new();
        let slow = SlowDisk::new(disk.clone(), Arc::clone(&feed));
        let store = Arc::new(Store::new(Arc::new(slow)));
        let limits = Limits {
            free: Some(0),
            max: None,
        };
        let keeper = keeper(&store, limits);
        let staging = Staging::new(&arena).unwrap();
        let recorder = Recorder::new(stream, Arc::clone(&store), staging, rules, 1_000);
        let mut bench = Bench {
            disk,
            feed,
            store,
            recorder,
            keeper,
            keeper_at: 0,
            is_kept: true,
            is_over: false,
        };
        bench.keep();
        bench
    }

    pub(super) fn feed(&self) -> MutexGuard<'_, Feed> {
        lock(&self.feed)
    }

    /// Asks for a recording of what is published now, in place of the one before, which is returned.
    pub(super) fn ask(&mut self, rules: Rules) -> Recorder {
        let (stream, now) = {
            let feed = self.feed();
            (Arc::clone(&feed.stream), feed.now)
        };
        let staging = Staging::new(&Arena::new(1 << 20)).unwrap();
        let new = Recorder::new(stream, Arc::clone(&self.store), staging, rules, now);
        self.is_over = false;
        std::mem::replace(&mut self.recorder, new)
    }

    /// Asks for the end of the recording.
    pub(super) fn finish(&mut self) {
        let until = self.feed().stream.end_of_recording();
        self.recorder.finish(until);
    }

    pub(super) fn publish(&self) {
        self.feed().publish(AVC);
    }

    pub(super) fn report(&self) -> &RecordingReport {
        self.recorder.report()
    }

    pub(super) fn state(&self) -> RecordingState {
        self.report().state
    }

    pub(super) fn fail(&self, faults: Faults) {
        self.disk.set_faults(faults);
    }

    /// Lets the keeper do what is due, or all that it was called for.
    pub(super) fn keep(&mut self) {
        let (now, wall) = self.feed().clock();
        if self.is_kept {
            self.keeper_at = self.keeper.step(now, wall, &mut |_| {});
        }
    }

    /// Leaves room for so many bytes, and no keeper that makes more.
    pub(super) fn leave_room(&mut self, len: u64) {
        self.is_kept = false;
        let condition = &mut self.store.catalog().condition;
        condition.set_room(len, condition.taken());
    }

    /// Lets the recorder do what is due.
    pub(super) fn step(&mut self) {
        let feed = Arc::clone(&self.feed);
        let clock = || lock(&feed).clock();
        let until = self.feed().now + 20_000;
        for _ in 0..1_000 {
            // A slow disk leaves no pause.
            if self.is_over || self.feed().now > until {
                return;
            }
            let step = self.recorder.step(&clock);
            self.is_over = step == Step::Over;
            self.keep();
            if step == Step::Wait {
                return;
            }
        }
        panic!("a recorder that finds no end");
    }

    /// Lets time pass, with a step every 480 ms.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.feed().now + ms;
        while self.feed().now < end {
            let left = end - self.feed().now;
            self.feed().pass(left.min(480).next_multiple_of(40));
            self.step();
        }
    }

    /// Ends the stream and the recording.
    pub(super) fn end(&mut self) {
        self.feed().end();
        for _ in 0..20 {
            if self.is_over {
                return;
            }
            self.step();
            let feed = &mut *self.feed();
            (feed.is_live, feed.slow) = (false, 0);
            feed.pass(480);
        }
        panic!("no end: {:?}", self.recorder.report());
    }

    /// Ends everything, has files repaired, and reads them.
    pub(super) fn files(&mut self) -> Vec<Recorded> {
        if !self.is_over {
            self.end();
        }
        self.repair();
        let paths = self.disk.paths();
        let read = |path: &PathBuf| Recorded::read(&self.disk, path);
        paths.iter().map(read).collect()
    }

    pub(super) fn repair(&mut self) {
        self.is_kept = true;
        for _ in 0..200 {
            self.feed().now += 1_000;
            self.keep();
        }
    }
}

/// Panics if not every frame from this one on is in a file.
pub(super) fn assert_whole(bench: &mut Bench, from: u32) -> Vec<Recorded> {
    let sent = bench.feed().sent;
    let files = bench.files();
    assert_eq!(missing(&files, from, sent), [0; 0]);
    let report = bench.report();
    assert_eq!((report.missed_messages, report.gaps), (0, 0));
    files
}
