//! A recorder with its stream, its keeper and a disk in memory, on simulated clocks.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::allowance::Allowance;
use crate::live::arena::{Arena, BLOCK_LEN};
use crate::live::life::{Grace, Publisher};
use crate::live::lock;
use crate::live::out::sink::Sink;
use crate::live::stream::{Desks, Stream, StreamSettings};
use crate::media::Medium;
use crate::record::WallMillis;
use crate::record::disk::sim::{Faults, SimDisk};
use crate::record::disk::{Disk, DiskFile, FoundFile, Space};
use crate::record::keeper::Keeper;
use crate::record::mend::Mender;
use crate::record::mp4::tests::closed_file::ClosedFile;
use crate::record::recorder::{Recorder, Rules, Step};
use crate::record::report::{RecordingReport, RecordingState};
use crate::record::space::Limits;
use crate::record::staging::Staging;
use crate::record::store::Store;
use crate::rtmp::stream_key::StreamKey;

/// 2026-11-28, 11:30:00.
pub(super) const TODAY: WallMillis = 1_795_865_400_000;

/// H.264, Constrained Baseline, level 3.0, 640x360; and another one, level 3.1.
pub(super) const AVC: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";
pub(super) const OTHER_AVC: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xC0\x1F\xFF\xE1\0\x19\x67\x42\xC0\x1F\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";
pub(super) const AAC: &[u8] = b"\xAF\0\x12\x10";

struct NoSink;

impl Sink for NoSink {
    fn try_send(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    fn shutdown(&self) {}
    fn finish(&self) {}
}

/// A publisher, and the clocks.
pub(super) struct Feed {
    pub(super) stream: Arc<Stream>,
    pub(super) now: u64,
    /// The wall clock when the server's clock was 0.
    pub(super) wall: WallMillis,
    generation: u64,
    /// The number of frames so far, and of those since the last keyframe.
    pub(super) sent: u32,
    in_gop: u32,
    /// The number of video frames in a GOP.
    pub(super) gop: u32,
    /// The timestamp of the next frame.
    pub(super) timestamp: u32,
    /// The first bytes of keyframes and other frames.
    pub(super) tags: [u8; 2],
    pub(super) frame_len: usize,
    pub(super) is_live: bool,
    pub(super) has_audio: bool,
    /// How long each write takes, while the publisher goes on.
    pub(super) slow: u64,
    /// Whether no file can be created in the stream's folder.
    pub(super) is_refused: bool,
}

impl Feed {
    pub(super) fn clock(&self) -> (u64, WallMillis) {
        (self.now, self.wall + self.now)
    }

    pub(super) fn publish(&mut self, video: &[u8]) {
        let publisher = Publisher {
            connection: 1,
            is_trusted: true,
            address: [192, 0, 2, 1].into(),
            sink: Arc::new(NoSink),
            allowance: Allowance::default(),
        };
        self.generation = self.stream.publish(publisher, self.now).unwrap().generation;
        self.is_live = true;
        self.in_gop = 0;
        if !video.is_empty() {
            self.append(Medium::Video, video);
        }
        if self.has_audio {
            self.append(Medium::Audio, AAC);
        }
    }

    pub(super) fn unpublish(&mut self) {
        let grace = Grace {
            until: self.now + 60_000,
            longer_for_hls: 0,
        };
        self.stream.unpublish(self.generation, grace, self.now);
        self.is_live = false;
    }

    pub(super) fn append(&self, medium: Medium, payload: &[u8]) {
        let (stream, now) = (&self.stream, self.now);
        stream.heard(now);
        let payload = std::iter::once(payload);
        let timestamp = self.timestamp;
        let appended = stream.append(self.generation, medium, timestamp, payload, now);
        appended.unwrap();
    }

    fn frame(&mut self, medium: Medium, tag: &[u8], len: usize) {
        let mut payload = tag.to_vec();
        payload.extend(self.sent.to_be_bytes());
        payload.push(0x41);
        payload.resize(len, self.sent as u8);
        self.append(medium, &payload);
        self.sent += 1;
    }

    /// Lets time pass; frames come if there is a publisher. Even numbers are video, odd ones are audio.
    pub(super) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 40 {
            if self.is_live {
                let is_keyframe = self.in_gop % self.gop == 0;
                let tag = [self.tags[usize::from(!is_keyframe)], 1, 0, 0, 0];
                self.frame(Medium::Video, &tag, self.frame_len);
                if self.has_audio {
                    self.frame(Medium::Audio, &[0xAF, 1, 0, 0, 0], 60);
                }
                self.in_gop += 1;
            }
            self.now += 40;
            self.timestamp = self.timestamp.wrapping_add(40);
        }
    }
}

/// A disk whose writes and syncs take time.
struct SlowDisk {
    disk: SimDisk,
    feed: Arc<Mutex<Feed>>,
}

struct SlowFile {
    file: Box<dyn DiskFile>,
    feed: Arc<Mutex<Feed>>,
}

impl SlowFile {
    fn wait(&self) {
        let feed = &mut *lock(&self.feed);
        feed.pass(feed.slow);
    }
}

impl SlowDisk {
    fn slow(&self, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        let feed = Arc::clone(&self.feed);
        Ok(Box::new(SlowFile { file: file?, feed }))
    }
}

impl Disk for SlowDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if lock(&self.feed).is_refused {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.slow(self.disk.create(path))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path)
    }
    fn reopen(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.reopen(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
    fn list(&self, found: &mut dyn FnMut(FoundFile<'_>)) -> io::Result<()> {
        self.disk.list(found)
    }
    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
    fn check(&self) -> io::Result<()> {
        self.disk.check()
    }
    fn claim(&self) -> io::Result<()> {
        self.disk.claim()
    }
}

impl DiskFile for SlowFile {
    fn write_at(&mut self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        self.wait();
        self.file.write_at(offset, slices)
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.wait();
        self.file.sync()
    }
    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn is_removed(&self) -> bool {
        self.file.is_removed()
    }
    fn set_modified(&mut self, to: WallMillis) -> io::Result<()> {
        self.file.set_modified(to)
    }
}

/// A closed file.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Its name, without folder.
    pub(super) name: String,
    /// The numbers of its frames, and the times of those that are video, in ms.
    pub(super) video: Vec<u32>,
    pub(super) audio: Vec<u32>,
    pub(super) times: Vec<u64>,
}

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
        let feed = Arc::new(Mutex::new(Feed {
            stream: Arc::clone(&stream),
            now: 1_000,
            wall: wall - 1_000,
            generation: 0,
            sent: 0,
            in_gop: 0,
            gop: 25,
            timestamp: 0,
            tags: [0x17, 0x27],
            frame_len: 200,
            is_live: false,
            has_audio: true,
            slow: 0,
            is_refused: false,
        }));
        let disk = SimDisk::new();
        let slow = SlowDisk {
            disk: disk.clone(),
            feed: Arc::clone(&feed),
        };
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

    /// Asks for a recording of what is published now.
    pub(super) fn ask(&mut self, rules: Rules) {
        let (stream, now) = {
            let feed = self.feed();
            (Arc::clone(&feed.stream), feed.now)
        };
        let staging = Staging::new(&Arena::new(1 << 20)).unwrap();
        self.recorder = Recorder::new(stream, Arc::clone(&self.store), staging, rules, now);
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
    fn keep(&mut self) {
        let (now, wall) = self.feed().clock();
        if self.is_kept {
            self.keeper_at = self.keeper.step(now, wall, &mut |_| {});
        }
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
        {
            let feed = self.feed();
            feed.stream.end(feed.generation, feed.now);
        }
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
        paths.iter().map(|path| self.read(path)).collect()
    }

    pub(super) fn repair(&mut self) {
        self.is_kept = true;
        for _ in 0..200 {
            self.feed().now += 1_000;
            self.keep();
        }
    }

    fn read(&self, path: &PathBuf) -> Recorded {
        let bytes = self.disk.bytes(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(!name.ends_with(".part"), "{name} is left");
        if name.ends_with(".flv") {
            return read_flv(name, &bytes);
        }
        let file = ClosedFile::parse(&bytes);
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
        Recorded {
            name,
            video: file
                .video
                .iter()
                .map(|frame| number(&frame.bytes))
                .collect(),
            audio: file
                .audio
                .iter()
                .map(|frame| number(&frame.bytes[3..]))
                .collect(),
            times: file.video.iter().map(|frame| frame.time).collect(),
        }
    }
}

fn read_flv(name: String, bytes: &[u8]) -> Recorded {
    let mut recorded = Recorded {
        name,
        video: Vec::new(),
        audio: Vec::new(),
        times: Vec::new(),
    };
    let mut rest = &bytes[13..];
    while !rest.is_empty() {
        let len = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let time = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
        let payload = &rest[11..11 + len];
        let number = || u32::from_be_bytes(payload[5..9].try_into().unwrap());
        match rest[0] {
            9 if payload[1] == 1 => {
                recorded.video.push(number());
                recorded.times.push(time.into());
            }
            8 if payload[1] == 1 => recorded.audio.push(number()),
            _ => {}
        }
        rest = &rest[11 + len + 4..];
    }
    recorded
}

/// All numbers in files, sorted. Panics if one is there twice, or if a file isn't in order.
pub(super) fn numbers(files: &[Recorded]) -> Vec<u32> {
    let mut all = Vec::new();
    for file in files {
        for track in [&file.video, &file.audio] {
            assert!(track.is_sorted(), "{file:?}");
            all.extend(track);
        }
    }
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(count, all.len(), "frames that were recorded twice");
    all
}

/// The numbers that are in no file.
pub(super) fn missing(files: &[Recorded], from: u32, sent: u32) -> Vec<u32> {
    let there = numbers(files);
    assert!(
        there.first().is_none_or(|first| *first >= from),
        "{:?} before {from}",
        there.first()
    );
    (from..sent)
        .filter(|number| there.binary_search(number).is_err())
        .collect()
}

pub(super) fn names(files: &[Recorded]) -> Vec<&str> {
    files.iter().map(|file| &*file.name).collect()
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
