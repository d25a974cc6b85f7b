//! Thirty days with four streams, on a disk that others use as well, with restarts in between.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::fake::{FakeDisk, FakeFile, FakeMend, Inside};
use super::{Event, GB, MINUTE, TODAY};
use crate::live::{Millis, lock};
use crate::record::WallMillis;
use crate::record::catalog::Catalog;
use crate::record::clock::{Clock, is_next_segment};
use crate::record::disk::Disk;
use crate::record::keeper::Keeper;
use crate::record::name::{FileName, Format, parse_path, part_path, path};
use crate::record::report::DiskState;
use crate::record::space::{Limits, length_to_set_aside};
use crate::rtmp::stream_key::StreamKey;

/// The length of a fragment, in ms.
const FRAGMENT: Millis = 20_000;

const SEGMENT: Millis = 10 * MINUTE;
const DAY: u64 = 86_400_000;
const TOTAL: u64 = 64 * GB;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// A stream that is recorded: only what concerns the list and space.
struct Camera {
    stream: StreamKey,
    /// Bytes per fragment.
    rate: u64,
    clock: Clock,
    file: Option<Open>,
    last_len: u64,
    /// The newest names, of unset clocks and of set ones.
    newest: [Option<FileName>; 2],
    files: usize,
    bytes: u64,
    /// The number of fragments for which there was no room.
    refused: usize,
}

struct Open {
    name: FileName,
    began: WallMillis,
    steps: u32,
    file: FakeFile,
}

/// One start of the server after the other.
struct Site {
    disk: Arc<FakeDisk>,
    catalog: Arc<Mutex<Catalog>>,
    keeper: Keeper,
    limits: Limits,
    /// Whether the file system can set space aside.
    can_allocate: bool,
    cameras: Vec<Camera>,
    /// The server's clock, real time, and how far the wall clock is behind it.
    now: Millis,
    time: u64,
    behind: u64,
    next: Millis,
    boot: u16,
    others_at_look: u64,
    removed: usize,
    states: Vec<DiskState>,
    random: Random,
}

impl Site {
    fn new(limits: Limits, can_allocate: bool, seed: u64) -> Site {
        let disk = FakeDisk::new(TOTAL);
        let rates = [
            ("live/door", 10_000_000),
            ("live/Gate", 5_000_000),
            ("garage/a:b", 2_600_000),
            ("garage", 1_200_000),
        ];
        let cameras = rates.map(|(name, rate)| Camera {
            stream: StreamKey::new("", name).unwrap(),
            rate,
            clock: Clock::new(),
            file: None,
            last_len: 0,
            newest: [None; 2],
            files: 0,
            bytes: 0,
            refused: 0,
        });
        let keeper = keeper(&disk, &Arc::default(), limits);
        let mut site = Site {
            catalog: Arc::default(),
            keeper,
            limits,
            can_allocate,
            cameras: cameras.into(),
            now: 0,
            time: TODAY,
            behind: 0,
            next: 0,
            boot: 0,
            others_at_look: 0,
            removed: 0,
            states: Vec::new(),
            random: Random(seed),
            disk,
        };
        site.check_removals();
        site.restart();
        site
    }

    /// Checks every file that goes: it is the oldest closed one, and there is little room.
    fn check_removals(&self) {
        let limits = self.limits;
        self.disk.on_remove(move |inside: &Inside, path: &Path| {
            let (_, name, is_part) = parse_path(path).expect("only recordings go");
            if is_part {
                assert_eq!(inside.files[path].len, 0, "an open file goes");
                return;
            }
            // Whether the clock is set decides which of them.
            let oldest = inside.closed.each_ref().map(|closed| closed.first());
            let mut oldest = oldest.iter().flatten();
            assert!(oldest.any(|(oldest, _)| *oldest == name), "{name}");
            let above_floor = inside.free().saturating_sub(limits.floor(TOTAL));
            let below_max = limits.max.unwrap_or(u64::MAX).saturating_sub(inside.own);
            assert!(
                above_floor.min(below_max) < TOTAL / 16,
                "{above_floor} {below_max}"
            );
        });
    }

    /// Pulls the plug, and starts again. Without a battery, the clock starts in 1970 and is set later.
    fn restart(&mut self) {
        for camera in &mut self.cameras {
            if let Some(open) = camera.file.take() {
                let path = part_path(&camera.stream, open.name);
                // Some of it is lost, and what was set aside stays.
                let lost = self.random.below(3) * camera.rate;
                let file = FakeFile {
                    len: open.file.len.saturating_sub(lost),
                    ..open.file
                };
                self.disk.inside().set(&path, Some(file));
            }
            camera.clock = Clock::new();
        }
        let is_unset = self.random.below(2) == 0;
        self.behind = if is_unset { self.time - 20_000 } else { 0 };
        self.catalog = Arc::default();
        self.disk.watch(&self.catalog);
        self.keeper = keeper(&self.disk, &self.catalog, self.limits);
        (self.now, self.next) = (0, 0);
        self.step();
        self.boot = lock(&self.catalog).boots() + 1;
        self.check_list();
    }

    /// Takes the keeper's steps that are due.
    fn step(&mut self) {
        while self.next <= self.now {
            let (mut removed, mut states) = (0, Vec::new());
            let wall = self.time - self.behind;
            self.next = self.keeper.step(self.now, wall, &mut |event| match event {
                Event::Removed(_) => removed += 1,
                Event::State { to, .. } => states.push(to),
                Event::Failed(path, error) => panic!("{}: {error}", path.display()),
                _ => {}
            });
            self.removed += removed;
            self.states.extend(states);
            self.others_at_look = self.disk.inside().others;
            // The next chore may be due at once.
            if self.next <= self.now + 100 {
                self.next = self.now;
            }
            if self.next == self.now && removed == 0 && !lock(&self.catalog).condition.has_damaged {
                break;
            }
            if self.next == self.now {
                self.now += 1;
                self.time += 1;
                self.next = self.now;
            }
        }
    }

    fn pass(&mut self) {
        self.now += FRAGMENT;
        self.time += FRAGMENT;
        // The network is there, and with it the time.
        if self.now > 60_000 {
            self.behind = 0;
        }
        self.step();
        for at in 0..self.cameras.len() {
            self.record(at);
        }
        let inside = self.disk.inside();
        if let Some(max) = self.limits.max {
            let catalog = lock(&self.catalog);
            let totals = catalog.totals();
            assert!(totals.bytes + totals.set_aside <= max, "{totals:?}");
        }
        drop(inside);
    }

    fn pass_minutes(&mut self, minutes: u64) {
        let end = self.time + minutes * MINUTE;
        while self.time < end {
            self.pass();
        }
    }

    /// Writes one fragment of a stream.
    fn record(&mut self, at: usize) {
        let wall = self.time - self.behind;
        self.cameras[at].clock.observe(self.now, wall);
        let time = self.cameras[at].clock.time_of(self.now);
        if !lock(&self.catalog).condition.is_usable() {
            self.close(at);
            self.cameras[at].refused += 1;
            return;
        }
        let is_over = |open: &Open| {
            open.steps != time.steps || is_next_segment(open.began, time.wall, SEGMENT)
        };
        if self.cameras[at].file.as_ref().is_some_and(is_over) {
            self.close(at);
        }
        if self.cameras[at].file.is_none() {
            let wanted = if time.is_set {
                FileName::dated(time.wall, Format::Mp4)
            } else {
                FileName::booted(self.boot, self.now, Format::Mp4)
            };
            self.begin(at, wanted, time.wall, time.steps);
        }
        let camera = &mut self.cameras[at];
        let open = camera.file.as_mut().unwrap();
        let len = camera.rate + self.random.below(camera.rate / 4);
        if !lock(&self.catalog).condition.take_room(len) {
            camera.refused += 1;
            return;
        }
        open.file.len += len;
        open.file.modified = self.time - self.behind;
        camera.bytes += len;
        let path = part_path(&camera.stream, open.name);
        let file = open.file;
        let (name, to) = (open.name, time.wall + FRAGMENT);
        self.write(&path, file);
        let mut catalog = lock(&self.catalog);
        catalog.grow(&self.cameras[at].stream, name, file.len, to, wall);
    }

    fn begin(&mut self, at: usize, wanted: FileName, wall: WallMillis, steps: u32) {
        let camera = &mut self.cameras[at];
        let (name, aside) = {
            let mut catalog = lock(&self.catalog);
            let mut wanted = wanted;
            loop {
                let name = catalog.begin(&camera.stream, wanted, wall);
                let inside = self.disk.inside();
                let is_taken = |path: PathBuf| inside.files.contains_key(&path);
                if !is_taken(path(&camera.stream, name))
                    && !is_taken(part_path(&camera.stream, name))
                {
                    let wanted = length_to_set_aside(camera.last_len);
                    let aside = catalog.condition.take_room_aside(wanted);
                    catalog.set_aside(&camera.stream, name, aside);
                    break (name, aside);
                }
                drop(inside);
                catalog.remove(&camera.stream, name);
                wanted = name.next();
            }
        };
        // Boots are counted anew once all files of earlier ones are gone.
        let newest = &mut camera.newest[usize::from(name.boot() == 0)];
        let newest = newest.replace(name).filter(|newest| {
            let path = path(&camera.stream, *newest);
            newest.boot() == 0 || self.disk.inside().files.contains_key(&path)
        });
        assert!(
            newest.is_none_or(|newest| newest < name),
            "{newest:?} {name}"
        );
        camera.files += 1;
        let file = FakeFile {
            len: 0,
            allocated: if self.can_allocate { aside } else { 0 },
            modified: wall,
        };
        camera.file = Some(Open {
            name,
            began: wall,
            steps,
            file,
        });
        let path = part_path(&camera.stream, name);
        self.write(&path, file);
    }

    /// What is written must leave the floor free, whatever others have done since the last look.
    fn write(&self, path: &Path, file: FakeFile) {
        let mut inside = self.disk.inside();
        let before = inside.free();
        inside.set(path, Some(file));
        let after = inside.free();
        if after < before {
            let others = inside.others.saturating_sub(self.others_at_look);
            assert!(
                after + others >= self.limits.floor(TOTAL),
                "{after} {others}"
            );
            assert!(after > 0 || inside.total == inside.others);
        }
    }

    fn close(&mut self, at: usize) {
        let camera = &mut self.cameras[at];
        let Some(Open { name, mut file, .. }) = camera.file.take() else {
            return;
        };
        let wall = self.time - self.behind;
        file.allocated = 0;
        // FAT counts in steps of 2 s.
        file.modified = file.modified / 2_000 * 2_000;
        let [part, path] = [part_path(&camera.stream, name), path(&camera.stream, name)];
        let mut inside = self.disk.inside();
        inside.set(&part, None);
        assert!(inside.set(&path, Some(file)).is_none(), "overwritten");
        drop(inside);
        camera.last_len = file.len;
        lock(&self.catalog).close(&camera.stream, name, file.len, wall, wall);
    }

    /// The list is what is on the disk.
    fn check_list(&self) {
        let (catalog, inside) = (lock(&self.catalog), self.disk.inside());
        let mut listed = BTreeSet::new();
        let mut last = None;
        while let Some(stream) = catalog.next_stream(last.as_ref()).cloned() {
            let mut files = Vec::new();
            catalog.files(&stream, 0..u64::MAX, None, usize::MAX, &mut files);
            assert!(files.windows(2).all(|pair| pair[0].name < pair[1].name));
            listed.extend(files.iter().map(|file| {
                let path = if file.is_open { part_path } else { path };
                (path(&stream, file.name), file.len)
            }));
            last = Some(stream);
        }
        // What a crash left and had nothing in it may still be there.
        let there = inside
            .files
            .iter()
            .map(|(path, file)| (path.clone(), file.len));
        let there = there.filter(|(path, _)| parse_path(path).is_some());
        assert_eq!(listed, there.collect());
        let bytes: u64 = listed.iter().map(|(_, len)| len).sum();
        assert_eq!(catalog.totals().bytes, bytes);
    }

    /// Others write, remove what they have written, and sometimes a recording.
    fn disturb(&mut self) {
        let others = self.random.below(12) * GB / 2;
        let mut inside = self.disk.inside();
        inside.others = others.min(inside.others + inside.free());
        let [_, closed] = &inside.closed;
        if closed.is_empty() {
            return;
        }
        let at = self.random.below(closed.len() as u64) as usize;
        let path = closed.iter().nth(at).map(|(_, path)| path.clone()).unwrap();
        inside.set(&path, None);
        drop(inside);
        let (stream, name, _) = parse_path(&path).unwrap();
        lock(&self.catalog).condition.report_missing(&stream, name);
    }
}

fn keeper(disk: &Arc<FakeDisk>, catalog: &Arc<Mutex<Catalog>>, limits: Limits) -> Keeper {
    let mend = Box::new(FakeMend(Arc::clone(disk)));
    let disk: Arc<dyn Disk> = disk.clone();
    Keeper::new(disk, Arc::clone(catalog), limits, mend)
}

/// Some days under these limits.
fn days(days: u64, limits: Limits, can_allocate: bool, seed: u64) {
    let mut site = Site::new(limits, can_allocate, seed);
    let end = site.time + days * DAY;
    let mut checked = site.time;
    let mut restarts = 0;
    while site.time < end {
        site.pass();
        if site.random.below(2_000) == 0 {
            site.disturb();
        }
        if site.random.below(8_000) == 0 {
            site.restart();
            restarts += 1;
        }
        if site.time > checked + DAY / 4 {
            site.check_list();
            checked = site.time;
        }
    }
    for camera in &site.cameras {
        println!(
            "{}: {} files, {} GB, {} fragments without room",
            camera.stream,
            camera.files,
            camera.bytes / GB,
            camera.refused
        );
        assert!(camera.refused < 2_000, "{}", camera.refused);
    }
    let inside = site.disk.inside();
    println!(
        "{restarts} restarts, {} files removed, {} left, {} changes of the state, {} GB free",
        site.removed,
        inside.files.len(),
        site.states.len(),
        inside.free() / GB
    );
    assert!(site.removed as u64 > days * 150 && inside.files.len() > 100);
}

#[test]
fn a_month_above_a_floor() {
    days(30, Limits::default(), true, 1);
}

#[test]
fn days_above_a_floor_on_a_file_system_that_sets_no_space_aside() {
    days(10, Limits::default(), false, 2);
}

#[test]
fn a_month_below_a_cap() {
    let limits = Limits {
        max: Some(20 * GB),
        free: None,
    };
    days(30, limits, true, 3);
}

#[test]
fn a_disk_that_others_fill_is_full_until_they_leave() {
    let mut site = Site::new(Limits::default(), true, 4);
    for _ in 0..3 {
        site.pass_minutes(180);
        // They take what recordings leave, until removing all of these wouldn't help.
        for _ in 0..60 {
            let mut inside = site.disk.inside();
            inside.others += inside.free().saturating_sub(GB);
            drop(inside);
            site.pass_minutes(1);
        }
        assert_eq!(site.states.last(), Some(&DiskState::Full));
        let figures = |site: &Site| {
            let written: u64 = site.cameras.iter().map(|camera| camera.bytes).sum();
            (site.removed, site.disk.inside().files.len(), written)
        };
        let before = figures(&site);
        site.pass_minutes(60);
        assert_eq!(figures(&site), before);
        site.disk.inside().others = 0;
        site.pass_minutes(10);
        assert_eq!(site.states.last(), Some(&DiskState::Fine));
        assert!(figures(&site).2 > before.2);
        site.check_list();
    }
}
