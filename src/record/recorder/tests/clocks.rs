//! What the wall clock does to files.

use super::bench::*;
use super::recorded::names;

/// 2027-03-28, 01:00:00, when summer time begins in Europe.
const SUMMER: u64 = 1_806_195_600_000;

#[test]
fn files_of_an_unset_clock_count_boots_until_it_is_set() {
    let mut bench = Bench::with(RULES, 1_024, 20_000);
    bench.publish();
    bench.pass(10_200);
    bench.feed().wall = TODAY - 11_200;
    bench.pass(10_000);
    let files = assert_whole(&mut bench, 0);
    let [booted, dated] = &files[..] else {
        panic!("{:?}", names(&files))
    };
    assert_eq!(booted.name, "0000-boot0001-000001s.mp4");
    assert!(dated.name.starts_with("2026-11-28T11-3"), "{}", dated.name);
    assert_eq!(dated.video[0] % 50, 0);
}

#[test]
fn steps_of_the_clock_begin_files_and_overwrite_nothing() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    for (n, step) in [
        0, -3_600_000, 3_600_000, -20_000, -20_000, 86_400_000, 6_000, 4_000,
    ]
    .into_iter()
    .enumerate()
    {
        let wall = bench.feed().wall;
        bench.feed().wall = wall.wrapping_add_signed(step);
        bench.pass(10_120 + n as u64 * 40);
    }
    let files = assert_whole(&mut bench, 0);
    // The last step is too small for a file.
    assert_eq!(files.len(), 7, "{:?}", names(&files));
}

#[test]
fn a_step_in_the_middle_of_a_long_gop_loses_nothing() {
    let mut bench = Bench::new(RULES);
    bench.feed().gop = 250;
    bench.publish();
    bench.pass(5_000);
    bench.feed().wall += 3_600_000;
    bench.pass(10_000);
    let files = assert_whole(&mut bench, 0);
    assert_eq!(
        names(&files),
        ["2026-11-28T11-30-00Z.mp4", "2026-11-28T12-30-10Z.mp4"]
    );
    // The first one ends by the clock with which it began.
    let mut listed = Vec::new();
    let key = bench.feed().stream.key().clone();
    let catalog = bench.store.catalog();
    catalog.files(&key, 0..u64::MAX, None, 9, &mut listed);
    let lengths = listed.iter().map(|file| file.to - file.from);
    assert!(lengths.max() < Some(11_000), "{listed:?}");
}

#[test]
fn two_files_of_one_second_have_two_names() {
    let mut bench = Bench::new(RULES);
    bench.feed().gop = 5;
    bench.publish();
    bench.pass(40);
    for _ in 0..3 {
        bench.recorder.begin_anew();
        bench.pass(240);
    }
    let files = assert_whole(&mut bench, 0);
    assert!(files.len() >= 3);
    assert!(files[1].name.ends_with("00Z_2.mp4"), "{:?}", names(&files));
}

#[test]
fn summer_time_changes_nothing() {
    let mut bench = Bench::with(RULES, 1_024, SUMMER - 5_000);
    bench.publish();
    bench.pass(12_000);
    let files = assert_whole(&mut bench, 0);
    assert_eq!(
        names(&files),
        ["2027-03-28T00-59-55Z.mp4", "2027-03-28T01-00-00Z.mp4"]
    );
}
