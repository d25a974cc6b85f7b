//! Disks that fail in every way.

use std::path::Path;
use std::sync::Arc;

use super::bench::*;
use super::recorded::{missing, names, numbers};
use crate::live::cut::Form;
use crate::live::lock;
use crate::record::disk::Disk;
use crate::record::disk::sim::{Faults, SimDisk};
use crate::record::mp4::reader::{Fragments, read_head};
use crate::record::recorder::Rules;
use crate::record::report::RecordingState;
use crate::record::space::Limits;

const FINE: Faults = Faults {
    capacity: None,
    is_refusing: false,
    is_read_only: false,
    is_failing: false,
    is_sync_failing: false,
    is_gone: false,
    fails_after: None,
};

fn faults() -> [(Faults, &'static [RecordingState]); 5] {
    use RecordingState::{DiskFull, DiskGone, ReadOnly};

    [
        (
            Faults {
                capacity: Some(1_000),
                ..FINE
            },
            &[DiskFull],
        ),
        (
            Faults {
                is_read_only: true,
                ..FINE
            },
            &[ReadOnly],
        ),
        (
            Faults {
                is_failing: true,
                ..FINE
            },
            &[DiskGone],
        ),
        (
            Faults {
                is_sync_failing: true,
                ..FINE
            },
            &[DiskGone],
        ),
        (
            Faults {
                is_gone: true,
                ..FINE
            },
            &[DiskGone],
        ),
    ]
}

#[test]
fn whatever_fails_is_said_and_passes_without_loss_while_memory_lasts() {
    for (number, (fault, states)) in faults().into_iter().enumerate() {
        // In begin; in append, or in the first sync.
        for before in [0, 5_000] {
            let mut bench = Bench::new(RULES);
            bench.publish();
            bench.pass(before);
            bench.fail(fault);
            bench.pass(20_000);
            let state = bench.state();
            assert!(
                states.contains(&state),
                "fault {number} after {before}: {state:?}"
            );
            let findings = bench.feed().stream.report(0).findings;
            assert!(!findings.is_empty(), "fault {number}");
            bench.fail(FINE);
            bench.pass(70_000);
            assert_eq!(
                bench.state(),
                RecordingState::Recording,
                "fault {number} after {before}"
            );
            let files = assert_whole(&mut bench, 0);
            assert!(files.len() <= 2, "fault {number}: {:?}", names(&files));
        }
    }
}

#[test]
fn a_close_that_fails_leaves_a_file_to_repair() {
    for (number, (fault, _)) in faults().into_iter().enumerate() {
        let mut bench = Bench::new(RULES);
        bench.publish();
        bench.pass(5_000);
        bench.feed().unpublish();
        bench.pass(3_000);
        bench.fail(fault);
        bench.end();
        bench.fail(FINE);
        let files = assert_whole(&mut bench, 0);
        assert_eq!(files.len(), 1, "fault {number}");
    }
}

#[test]
fn after_a_failed_sync_the_next_file_begins_at_once_and_after_the_second_later() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    bench.pass(9_000);
    let fails = Faults {
        is_sync_failing: true,
        ..FINE
    };
    bench.fail(fails);
    // Until the file is given up.
    while bench.disk.paths().len() == 1 && bench.recorder.file.is_some() {
        bench.pass(480);
        assert!(bench.feed().now < 20_000);
    }
    bench.fail(FINE);
    bench.pass(2_000);
    assert!(bench.recorder.file.is_some());
    assert_eq!(bench.state(), RecordingState::Recording);
    bench.fail(fails);
    while bench.recorder.file.is_some() {
        bench.pass(480);
        assert!(bench.feed().now < 40_000);
    }
    let failed = bench.feed().now;
    bench.fail(FINE);
    assert_eq!(bench.state(), RecordingState::DiskGone);
    while bench.recorder.file.is_none() {
        bench.pass(480);
        assert!(bench.feed().now < 90_000);
    }
    assert!(bench.feed().now - failed >= 29_000);
    bench.pass(5_000);
    assert_whole(&mut bench, 0);
}

/// Leaves no space but what is set aside for the open file.
fn fill(bench: &Bench) {
    let len = |path| bench.disk.bytes(path).map_or(0, |bytes| bytes.len() as u64);
    let paths = bench.disk.paths();
    let used = paths
        .iter()
        .map(|path| bench.disk.allocated(path).max(len(path)));
    bench.fail(Faults {
        capacity: Some(used.sum()),
        ..FINE
    });
}

/// Whether an MP4 file says that messages are missing in it.
fn has_gap(disk: &SimDisk, path: &Path) -> bool {
    let file = disk.open(path).unwrap();
    let head = read_head(&*file).unwrap().unwrap();
    let mut fragments = Fragments::of_closed(&*file, head.len, head.closed_at.unwrap()).unwrap();
    let mut fragments = std::iter::from_fn(|| fragments.next(&*file).unwrap());
    fragments.any(|fragment| fragment.note.has_gap)
}

#[test]
fn a_file_goes_on_after_an_older_one_has_made_room() {
    for form in [Form::Mp4, Form::Flv] {
        let mut bench = Bench::new(Rules {
            form: Some(form),
            segment: 10_000,
            ..RULES
        });
        // The disk fills up in the middle of a GOP.
        (bench.feed().gop, bench.feed().frame_len) = (400, 10_000);
        bench.publish();
        bench.pass(21_000);
        assert_eq!(bench.disk.paths().len(), 2);
        // More than the last file was long.
        bench.feed().frame_len = 20_000;
        fill(&bench);
        bench.pass(9_000);
        assert_eq!(bench.state(), RecordingState::Recording);
        bench.fail(FINE);
        let sent = bench.feed().sent;
        let files = bench.files();
        assert_eq!(missing(&files, 800, sent), [0; 0]);
        assert_eq!(names(&files).len(), 1, "{:?}", names(&files));
        if form == Form::Mp4 {
            assert!(!has_gap(&bench.disk, &bench.disk.paths()[0]));
        }
        assert_eq!(
            (bench.report().missed_messages, bench.report().gaps),
            (0, 0)
        );
    }
}

#[test]
fn a_disk_that_refuses_for_no_reason_costs_a_file_in_ten_seconds() {
    let mut bench = Bench::new(Rules {
        segment: 2_000,
        ..RULES
    });
    bench.publish();
    bench.pass(60_000);
    let before = bench.disk.paths().len();
    bench.fail(Faults {
        is_refusing: true,
        ..FINE
    });
    bench.pass(31_000);
    bench.fail(FINE);
    let removed = before - bench.disk.paths().len();
    assert!((2..=5).contains(&removed), "{removed} of {before}");
    bench.pass(15_000);
    assert_eq!(bench.state(), RecordingState::Recording);
    assert_eq!(
        (bench.report().missed_messages, bench.report().gaps),
        (0, 0)
    );
}

#[test]
fn a_recorder_without_room_loses_nothing() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    bench.pass(5_000);
    // Less than a second has.
    bench.leave_room(6_000);
    bench.pass(15_000);
    assert_eq!(bench.state(), RecordingState::Behind);
    // What was written before is safe meanwhile.
    assert!(bench.report().last_sync.is_some());
    bench.is_kept = true;
    bench.pass(5_000);
    assert_eq!(bench.state(), RecordingState::Recording);
    let files = assert_whole(&mut bench, 0);
    assert_eq!(files.len(), 1);
}

#[test]
fn an_end_without_room_waits_for_the_keeper_and_no_longer() {
    for is_kept in [true, false] {
        let mut bench = Bench::new(RULES);
        bench.publish();
        bench.pass(5_000);
        bench.leave_room(0);
        bench.pass(2_000);
        bench.is_kept = is_kept;
        bench.end();
        let sent = bench.feed().sent;
        let files = bench.files();
        let missing = sent as usize - numbers(&files).len();
        assert_eq!(missing == 0, is_kept);
        assert_eq!(bench.report().missed_messages, missing as u64);
        assert_eq!(bench.store.catalog().open_count(), 0);
    }
}

#[test]
fn what_a_disk_that_stays_gone_has_missed_is_counted() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    bench.pass(5_000);
    bench.fail(Faults {
        is_gone: true,
        ..FINE
    });
    bench.pass(50_000);
    bench.end();
    bench.fail(FINE);
    let sent = bench.feed().sent;
    let files = bench.files();
    let missing = sent as usize - numbers(&files).len();
    assert!(missing > 2_000);
    assert_eq!(bench.report().missed_messages, missing as u64);
}

#[test]
fn a_disk_that_was_away_is_not_called_slow() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    bench.pass(5_000);
    bench.fail(Faults {
        is_gone: true,
        ..FINE
    });
    bench.pass(20_000);
    assert_eq!(bench.state(), RecordingState::DiskGone);
    bench.fail(FINE);
    let mut states = Vec::new();
    let feed = Arc::clone(&bench.feed);
    for _ in 0..100 {
        bench.feed().pass(480);
        bench.keep();
        bench.recorder.step(&|| lock(&feed).clock());
        states.push(bench.state());
    }
    states.dedup();
    assert_eq!(
        states,
        [RecordingState::DiskGone, RecordingState::Recording]
    );
}

#[test]
fn what_is_lost_before_the_publisher_leaves_is_a_gap() {
    let mut bench = Bench::new(RULES);
    // A file can't begin with the rest of a GOP.
    bench.feed().gop = 130;
    bench.publish();
    bench.pass(8_400);
    bench.fail(Faults {
        is_read_only: true,
        ..FINE
    });
    bench.pass(1_440);
    bench.feed().unpublish();
    bench.fail(FINE);
    bench.pass(75_000);
    bench.end();
    assert!(bench.report().missed_messages > 0);
    assert_eq!(bench.report().gaps, 1);
}

#[test]
fn a_disk_that_is_slower_than_memory_lasts_leaves_counted_gaps() {
    let mut bench = Bench::with(RULES, 64, TODAY);
    bench.feed().frame_len = 4_000;
    bench.publish();
    bench.pass(5_000);
    bench.feed().slow = 30_000;
    bench.pass(1_000);
    bench.feed().slow = 0;
    bench.pass(5_000);
    let sent = bench.feed().sent;
    let files = bench.files();
    let missing = sent as usize - numbers(&files).len();
    let report = bench.report();
    assert!(missing > 500, "{missing}");
    assert_eq!(report.missed_messages, missing as u64);
    assert!((1..=2).contains(&report.gaps), "{}", report.gaps);
    assert_eq!(files.len(), 1);
}

#[test]
fn a_close_on_a_slow_disk_takes_a_few_writes() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    bench.pass(300_000);
    bench.feed().unpublish();
    bench.pass(5_000);
    bench.feed().slow = 2_000;
    let before = bench.disk.counts().writes;
    bench.finish();
    bench.step();
    assert!(bench.is_over);
    // The tables and the header, each with a sync.
    assert_eq!(bench.disk.counts().writes - before, 2);
    assert_eq!(bench.report().longest_write, 8_000);
}

#[test]
fn a_file_that_somebody_removes_is_noticed_with_the_next_sync() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    bench.pass(15_000);
    let [part] = &bench.disk.paths()[..] else {
        panic!("more than one file");
    };
    bench.disk.remove(part).unwrap();
    bench.pass(30_000);
    assert_eq!(bench.disk.paths().len(), 1);
    assert_eq!(bench.state(), RecordingState::Recording);
    let sent = bench.feed().sent;
    let files = bench.files();
    let missing = missing(&files, 0, sent);
    // What was in it, and what was written until then.
    assert!(missing.len() < 27 * 72, "{}", missing.len());
}

#[test]
fn files_end_early_where_little_space_is_for_them() {
    let mut bench = Bench::limited(Limits {
        free: Some(0),
        max: Some(6_000_000),
    });
    bench.feed().frame_len = 10_000;
    bench.publish();
    bench.pass(30_000);
    for _ in 0..200 {
        bench.pass(1_000);
        assert_eq!(bench.state(), RecordingState::Recording);
        let len = bench.store.catalog().totals().bytes;
        assert!((3_000_000..6_000_000).contains(&len), "{len}");
    }
    assert_eq!(bench.report().gaps, 0);
}

#[test]
fn what_is_lost_at_the_very_end_is_a_gap() {
    let mut bench = Bench::new(RULES);
    // GOPs of 5 s, which are cut in pieces.
    bench.feed().gop = 130;
    bench.publish();
    bench.pass(23_000);
    bench.fail(Faults {
        is_read_only: true,
        ..FINE
    });
    bench.pass(1_000);
    bench.feed().unpublish();
    bench.fail(FINE);
    bench.pass(75_000);
    let sent = u64::from(bench.feed().sent);
    let files = bench.files();
    let report = bench.report();
    assert!(report.missed_messages >= sent - numbers(&files).len() as u64);
    assert!(sent > numbers(&files).len() as u64);
    assert_eq!(report.gaps, 1);
}

#[test]
fn a_folder_that_cant_be_used_stops_no_other_recording() {
    let mut bench = Bench::new(RULES);
    bench.feed().is_refused = true;
    bench.publish();
    bench.pass(25_000);
    assert_eq!(bench.state(), RecordingState::Failing);
    assert!(bench.store.catalog().condition.is_usable());
    bench.feed().is_refused = false;
    bench.pass(40_000);
    assert_eq!(bench.state(), RecordingState::Recording);
    assert_whole(&mut bench, 0);
}
