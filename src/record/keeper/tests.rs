mod fake;
mod month;

use std::path::Path;

use super::*;
use crate::record::name::{FileName, Format, part_path};
use crate::rtmp::stream_key::StreamKey;
use fake::{FakeDisk, FakeMend};

/// 2026-11-28, 11:30:00.
const TODAY: WallMillis = 1_795_865_400_000;

const MINUTE: u64 = 60_000;
const GB: u64 = 1_000_000_000;

fn door() -> StreamKey {
    StreamKey::new("live", "door").unwrap()
}

fn name(minute: u64) -> FileName {
    FileName::dated(TODAY + minute * MINUTE, Format::Mp4)
}

fn closed(minute: u64) -> PathBuf {
    path(&door(), name(minute))
}

/// A keeper with its disk, and the time, which is the same on both clocks.
struct Bench {
    disk: Arc<FakeDisk>,
    catalog: Arc<Mutex<Catalog>>,
    keeper: Keeper,
    now: Millis,
    next: Millis,
}

impl Bench {
    fn new(total: u64, limits: Limits) -> Bench {
        let disk = FakeDisk::new(total);
        let catalog = Arc::default();
        disk.watch(&catalog);
        let mend = Box::new(FakeMend(Arc::clone(&disk)));
        let own_disk: Arc<dyn Disk> = disk.clone();
        let keeper = Keeper::new(own_disk, Arc::clone(&catalog), limits, mend);
        Bench {
            disk,
            catalog,
            keeper,
            now: 0,
            next: 0,
        }
    }

    /// Takes the steps that are due in the next `passed` ms. Returns the events as text.
    fn pass(&mut self, passed: Millis) -> Vec<String> {
        let (end, mut said) = (self.now + passed, Vec::new());
        while self.next <= end {
            self.now = self.now.max(self.next);
            self.next = self.keeper.step(self.now, TODAY + self.now, &mut |event| {
                said.push(text(&event))
            });
        }
        self.now = end;
        said
    }

    /// Takes one step before its time.
    fn call(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        self.next = self.keeper.step(self.now, TODAY + self.now, &mut |event| {
            said.push(text(&event))
        });
        said
    }

    fn catalog(&self) -> std::sync::MutexGuard<'_, Catalog> {
        lock(&self.catalog)
    }
}

fn text(event: &Event) -> String {
    match event {
        Event::Listed { files, .. } => format!("listed {files}"),
        Event::State { from, to, .. } => format!("{from:?} -> {to:?}"),
        Event::Removed(oldest) => format!("removed {}", oldest.name),
        Event::Vanished(path) => format!("vanished {}", short(path)),
        Event::Repaired(path) => format!("repaired {}", short(path)),
        Event::RemovedEmpty(path) => format!("empty {}", short(path)),
        Event::Failed(path, _) => format!("failed {}", short(path)),
    }
}

fn short(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn nothing_is_written_before_the_files_are_listed() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.disk.put(closed(0), 1_000, TODAY + 5_000);
    assert!(!bench.catalog().condition.is_usable());
    assert_eq!(bench.pass(0), ["listed 1"]);
    let mut catalog = bench.catalog();
    assert!(catalog.condition.is_usable());
    assert!(catalog.condition.take_room(GB));
    assert!(!catalog.condition.take_room(40 * GB));
    let report = catalog.report();
    assert_eq!(
        (report.files, report.recordings, report.total),
        (1, 1_000, Some(32 * GB))
    );
}

#[test]
fn a_disk_that_is_gone_is_tried_every_30_s_and_listed_anew() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.disk.put(closed(0), 1_000, TODAY + 5_000);
    bench.pass(5_000);
    bench.disk.inside().is_gone = true;
    assert_eq!(bench.pass(10_000), ["Fine -> Gone"]);
    assert!(!bench.catalog().condition.is_usable());
    assert_eq!(bench.catalog().condition.since, Some(TODAY + 10_000));
    assert_eq!(bench.pass(40_000), [""; 0]);
    bench.disk.inside().is_gone = false;
    bench.disk.put(closed(1), 1_000, TODAY + MINUTE + 5_000);
    assert_eq!(bench.pass(30_000), ["listed 2", "Gone -> Fine"]);
    assert!(bench.catalog().condition.is_usable());
}

#[test]
fn a_disk_that_isnt_there_at_the_start_is_awaited() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.disk.inside().is_gone = true;
    assert_eq!(bench.pass(20_000), ["Fine -> Gone"]);
    bench.disk.inside().is_gone = false;
    assert_eq!(bench.pass(30_000), ["listed 0", "Gone -> Fine"]);
}

#[test]
fn a_disk_that_became_read_only_isnt_listed_again() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.pass(5_000);
    bench.disk.inside().is_read_only = true;
    assert_eq!(bench.pass(10_000), ["Fine -> ReadOnly"]);
    bench.disk.inside().is_read_only = false;
    assert_eq!(bench.pass(30_000), ["ReadOnly -> Fine"]);
    assert_eq!(bench.disk.inside().lists, 1);
}

#[test]
fn trouble_of_a_recorder_counts_for_30_s() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.pass(5_000);
    bench.catalog().condition.report_trouble(DiskState::Failing);
    assert!(!bench.catalog().condition.is_usable());
    assert_eq!(bench.call(), ["Fine -> Failing"]);
    assert_eq!(bench.pass(29_000), [""; 0]);
    assert_eq!(bench.pass(1_000), ["Failing -> Fine"]);
}

#[test]
fn a_file_goes_when_the_file_system_refuses_to_write_in_spite_of_its_space() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.disk.put(closed(0), 1_000, TODAY + 5_000);
    bench.disk.put(closed(1), 1_000, TODAY + MINUTE + 5_000);
    bench.pass(5_000);
    bench.catalog().condition.report_trouble(DiskState::Full);
    assert_eq!(bench.call(), ["removed 2026-11-28T11-30-00Z.mp4"]);
    assert!(bench.catalog().condition.is_usable());
    bench.catalog().condition.report_trouble(DiskState::Full);
    assert_eq!(bench.call(), ["removed 2026-11-28T11-31-00Z.mp4"]);
    bench.catalog().condition.report_trouble(DiskState::Full);
    assert_eq!(bench.call(), ["Fine -> Full"]);
    assert_eq!(bench.pass(10_000), ["Full -> Fine"]);
}

#[test]
fn the_oldest_files_go_one_by_one_until_there_is_room() {
    let limits = Limits {
        max: Some(20 * GB),
        free: None,
    };
    let mut bench = Bench::new(32 * GB, limits);
    for minute in 0..40 {
        bench
            .disk
            .put(closed(minute), GB, TODAY + (minute + 1) * MINUTE);
    }
    let said = bench.pass(0);
    assert_eq!(said[0], "listed 40");
    // 20 are above the cap, and some room is needed.
    let names = (0..21).map(|minute| format!("removed {}", name(minute)));
    assert_eq!(said[1..], names.collect::<Vec<_>>());
    assert_eq!(bench.disk.inside().files.len(), 19);
    assert_eq!(bench.catalog().totals().bytes, 19 * GB);
    assert_eq!(bench.pass(60_000), [""; 0]);
}

#[test]
fn files_dont_go_in_vain_while_the_space_of_those_before_isnt_free_yet() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    for minute in 0..20 {
        bench
            .disk
            .put(closed(minute), GB, TODAY + (minute + 1) * MINUTE);
    }
    bench.disk.inside().others = 12 * GB - 500_000_000;
    bench.disk.inside().are_held = true;
    let said = bench.pass(50_000);
    assert_eq!(said.len(), 3, "{said:?}");
    // They can't all be held for good.
    let said = bench.pass(60_000);
    assert_eq!(said.len(), 2, "{said:?}");
    {
        let mut inside = bench.disk.inside();
        inside.are_held = false;
        inside.others -= 4 * GB;
    }
    bench.pass(10_000);
    assert!(bench.catalog().condition.take_room(GB));
    assert_eq!(bench.disk.inside().files.len(), 16);
}

#[test]
fn a_full_disk_is_used_again_when_others_have_made_room() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.disk.put("others.bin", GB, TODAY);
    bench.disk.inside().others = 31 * GB;
    assert_eq!(bench.pass(5_000), ["listed 0", "Fine -> Full"]);
    bench.disk.inside().others = 20 * GB;
    assert_eq!(bench.pass(10_000), ["Full -> Fine"]);
    assert!(
        bench
            .disk
            .inside()
            .files
            .contains_key(Path::new("others.bin"))
    );
}

#[test]
fn a_lack_of_room_is_seen_within_a_second_while_something_is_recorded() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.pass(5_000);
    bench.catalog().begin(&door(), name(0), TODAY);
    bench.call();
    let _ = bench.catalog().condition.take_room(u64::MAX);
    bench.disk.inside().others = 31 * GB;
    assert_eq!(bench.pass(1_000), ["Fine -> Full"]);
}

#[test]
fn open_files_and_others_never_go() {
    let limits = Limits {
        max: Some(GB),
        free: None,
    };
    let mut bench = Bench::new(32 * GB, limits);
    bench.disk.put("live/door/holiday.mp4", 9 * GB, TODAY);
    bench.pass(5_000);
    let name = bench.catalog().begin(&door(), name(0), TODAY);
    bench.disk.put(part_path(&door(), name), 2 * GB, TODAY);
    bench.catalog().grow(&door(), name, 2 * GB, TODAY, TODAY);
    assert_eq!(bench.pass(60_000), ["Fine -> Full"]);
    assert_eq!(bench.disk.inside().files.len(), 2);
}

#[test]
fn a_file_that_cant_be_removed_is_passed_over() {
    let limits = Limits {
        max: Some(2 * GB),
        free: None,
    };
    let mut bench = Bench::new(32 * GB, limits);
    for minute in 0..3 {
        bench
            .disk
            .put(closed(minute), GB, TODAY + (minute + 1) * MINUTE);
    }
    bench.disk.inside().bad.insert(closed(0));
    let said = bench.pass(5_000);
    let expected = [
        "listed 3",
        "failed 2026-11-28T11-30-00Z.mp4",
        "removed 2026-11-28T11-31-00Z.mp4",
        "removed 2026-11-28T11-32-00Z.mp4",
    ];
    assert_eq!(said, expected);
}

#[test]
fn files_that_others_have_removed_leave_the_list() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    for minute in 0..3 {
        bench
            .disk
            .put(closed(minute), GB, TODAY + (minute + 1) * MINUTE);
    }
    bench.pass(5_000);
    bench.disk.inside().set(&closed(1), None);
    for minute in 0..2 {
        bench
            .catalog()
            .condition
            .report_missing(&door(), name(minute));
    }
    assert_eq!(bench.call(), ["vanished 2026-11-28T11-31-00Z.mp4"]);
    assert_eq!(bench.catalog().totals().files, 2);
    // Also if they are found to be missing when they should go.
    bench.disk.inside().set(&closed(0), None);
    bench.catalog().condition.report_trouble(DiskState::Full);
    assert_eq!(bench.call(), ["vanished 2026-11-28T11-30-00Z.mp4"]);
    // But not while the whole disk is gone.
    bench.disk.inside().is_gone = true;
    bench.catalog().condition.report_missing(&door(), name(2));
    assert_eq!(bench.call(), ["Fine -> Gone"]);
    assert_eq!(bench.catalog().totals().files, 1);
}

#[test]
fn what_a_crash_left_is_repaired_and_not_shown_until_then() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench
        .disk
        .put(part_path(&door(), name(0)), 5_000, TODAY + 5_000);
    bench
        .disk
        .put(part_path(&door(), name(1)), 0, TODAY + MINUTE);
    // Its name is taken, and so is the next one.
    bench.disk.put(part_path(&door(), name(2)), 7_000, TODAY);
    bench.disk.put(closed(2), 1_000, TODAY + 2 * MINUTE + 1_000);
    bench.disk.put(
        path(&door(), name(2).next()),
        1_000,
        TODAY + 2 * MINUTE + 1_000,
    );
    bench.call();
    assert_eq!(bench.catalog().find(&door(), name(0)), None);
    let mut said = bench.pass(5_000);
    said.sort();
    let expected = [
        "empty 2026-11-28T11-31-00Z.mp4.part",
        "repaired 2026-11-28T11-30-00Z.mp4",
        "repaired 2026-11-28T11-32-00Z_3.mp4",
    ];
    assert_eq!(said, expected);
    let file = bench.catalog().find(&door(), name(0)).unwrap();
    assert_eq!(
        (file.from, file.to, file.len),
        (TODAY, TODAY + 5_000, 5_000)
    );
    let paths: Vec<_> = bench
        .disk
        .inside()
        .files
        .keys()
        .map(|path| short(path))
        .collect();
    assert!(
        paths.iter().all(|path| !path.ends_with(".part")),
        "{paths:?}"
    );
    assert_eq!(paths.len(), 4);
    assert_eq!(bench.catalog().totals().bytes, 14_000);
}

#[test]
fn a_repair_that_fails_is_tried_less_and_less_often_and_then_given_up() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    let part = part_path(&door(), name(0));
    bench.disk.put(&part, 5_000, TODAY + 5_000);
    bench.disk.inside().bad.insert(part);
    assert_eq!(bench.pass(20_000).len(), 2);
    assert_eq!(bench.disk.inside().repairs, 1);
    assert_eq!(bench.pass(20_000), [""; 0]);
    assert_eq!(bench.disk.inside().repairs, 2);
    assert_eq!(
        bench.pass(100 * MINUTE),
        ["failed 2026-11-28T11-30-00Z.mp4.part"]
    );
    assert_eq!(bench.disk.inside().repairs, 8);
    bench.pass(100 * MINUTE);
    assert_eq!(bench.disk.inside().repairs, 8);
    assert_eq!(bench.disk.inside().files.len(), 1);
}

#[test]
fn a_file_that_a_recorder_gave_up_is_repaired_while_the_next_one_is_written() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    bench.pass(5_000);
    for minute in 0..2 {
        bench.catalog().begin(&door(), name(minute), TODAY);
        bench
            .disk
            .put(part_path(&door(), name(minute)), 5_000, TODAY);
    }
    assert_eq!(bench.pass(20_000), [""; 0]);
    bench.catalog().abandon(&door(), name(0));
    assert_eq!(bench.pass(10_000), ["repaired 2026-11-28T11-30-00Z.mp4"]);
    assert!(bench.catalog().find(&door(), name(1)).unwrap().is_open);
}

#[test]
fn files_of_which_the_end_isnt_known_are_looked_at() {
    let mut bench = Bench::new(32 * GB, Limits::default());
    // Copied from another card: all have the same time.
    for minute in 0..30 {
        bench.disk.put(closed(minute), 20_000, TODAY + 40 * MINUTE);
    }
    bench.disk.inside().bad.insert(closed(3));
    bench.pass(0);
    bench.disk.inside().set(&closed(20), None);
    let said = bench.pass(10_000);
    assert_eq!(said, ["vanished 2026-11-28T11-50-00Z.mp4"]);
    let catalog = bench.catalog();
    assert_eq!(catalog.next_in(State::Unsure, None), None);
    for (minute, duration) in [(0, 20_000), (3, 0), (28, 20_000)] {
        let file = catalog.find(&door(), name(minute)).unwrap();
        assert_eq!(file.to - file.from, duration, "{minute}");
    }
}
