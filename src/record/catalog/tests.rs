mod gaps;
mod steps;

use std::path::Path;

use proptest::prelude::*;

use super::scan::{Scan, Scanned};
use super::*;
use crate::record::disk::FoundFile;
use crate::record::name::{Format, path};

/// 2026-11-28, 11:30:00.
const TODAY: WallMillis = 1_795_865_400_000;

const MINUTE: u64 = 60_000;

fn key(name: &str) -> StreamKey {
    StreamKey::new("", name).unwrap()
}

fn name(minute: u64) -> FileName {
    FileName::dated(TODAY + minute * MINUTE, Format::Mp4)
}

fn scan(files: &[(&str, u64, WallMillis)], wall: WallMillis) -> Scanned {
    let mut scan = Scan::default();
    for &(path, len, modified) in files {
        let path = Path::new(path);
        scan.found(
            FoundFile {
                path,
                len,
                modified,
            },
            wall,
        );
    }
    scan.finish(wall)
}

fn all(catalog: &Catalog, stream: &str) -> Vec<File> {
    let mut files = Vec::new();
    catalog.files(&key(stream), 0..u64::MAX, None, usize::MAX, &mut files);
    files
}

fn spans(catalog: &Catalog, within: Range<WallMillis>) -> Vec<(u64, u64, u64)> {
    let mut spans = Vec::new();
    catalog.spans(&key("live/door"), within, usize::MAX, &mut spans);
    let minutes = |time: u64| (time - TODAY) / MINUTE;
    let spans = spans.iter();
    spans
        .map(|span| (minutes(span.from), minutes(span.to), span.bytes))
        .collect()
}

/// A file of `live/door` with one byte, from one minute to another.
fn record(catalog: &mut Catalog, from: u64, to: u64) {
    let (door, [from, to]) = (
        key("live/door"),
        [from, to].map(|minute| TODAY + minute * MINUTE),
    );
    let name = catalog.begin(&door, FileName::dated(from, Format::Mp4), from);
    catalog.close(&door, name, 1, to, to);
}

#[test]
fn a_file_is_listed_while_it_grows_and_afterwards() {
    let (mut catalog, door) = (Catalog::default(), key("live/door"));
    let wall = TODAY + 250;
    let name = catalog.begin(&door, FileName::dated(wall, Format::Mp4), wall);
    assert!(catalog.is_recording(&door));
    catalog.set_aside(&door, name, 5_000);
    catalog.grow(&door, name, 1_000, wall + 2_000, wall + 2_000);
    let mut expected = File {
        name,
        from: wall,
        to: wall + 2_000,
        len: 1_000,
        is_open: true,
    };
    assert_eq!(all(&catalog, "live/door"), [expected]);
    let totals = Totals {
        files: 1,
        bytes: 1_000,
        set_aside: 4_000,
        removable: 0,
    };
    assert_eq!(catalog.totals(), totals);
    assert_eq!(catalog.oldest_closed(Some(TODAY)), None);

    catalog.close(&door, name, 1_100, wall + 2_500, wall + 3_000);
    (expected.len, expected.to, expected.is_open) = (1_100, wall + 2_500, false);
    assert_eq!(catalog.find(&door, name), Some(expected));
    assert!(!catalog.is_recording(&door));
    assert_eq!(catalog.totals().removable, 1_100);
    assert_eq!(catalog.bytes_today(&door, wall), 1_100);
    assert_eq!(catalog.bytes_today(&door, wall + 86_400_000), 0);

    assert!(catalog.remove(&door, name));
    assert!(!catalog.remove(&door, name));
    assert_eq!(catalog.totals(), Totals::default());
    assert_eq!(catalog.next_stream(None), None);
}

#[test]
fn names_are_taken_in_every_format() {
    let (mut catalog, door) = (Catalog::default(), key("live/door"));
    for (format, expected) in [
        (Format::Flv, "2026-11-28T11-30-00Z.flv"),
        (Format::Mp4, "2026-11-28T11-30-00Z_2.mp4"),
        (Format::Mp4, "2026-11-28T11-30-00Z_3.mp4"),
    ] {
        let name = catalog.begin(&door, FileName::dated(TODAY, format), TODAY);
        assert_eq!(name.to_string(), expected);
    }
    // Taken on the disk, though not in the list.
    let taken = catalog.begin(&door, name(5), TODAY);
    catalog.remove(&door, taken);
    let next = catalog.begin(&door, taken.next(), TODAY);
    assert_eq!(next, name(5).next());
}

#[test]
fn a_file_without_a_clock_has_its_duration() {
    let (mut catalog, door) = (Catalog::default(), key("live/door"));
    let name = catalog.begin(&door, FileName::booted(3, 765_432, Format::Mp4), 40_000);
    catalog.close(&door, name, 10, 52_500, 52_500);
    let file = catalog.find(&door, name).unwrap();
    assert_eq!(file.to - file.from, 12_500);
    assert_eq!(catalog.boots(), 3);
}

#[test]
fn the_oldest_closed_file_of_all_streams_goes_first() {
    let mut catalog = Catalog::default();
    let [door, gate] = ["live/door", "live/gate"].map(key);
    let open = catalog.begin(&door, name(0), TODAY);
    for (stream, minute) in [(&door, 2), (&gate, 1), (&gate, 3)] {
        catalog.begin(stream, name(minute), TODAY);
        catalog.close(stream, name(minute), minute, TODAY, TODAY);
    }
    let oldest = |catalog: &Catalog| {
        let oldest = catalog.oldest_closed(Some(TODAY))?;
        Some((oldest.stream, oldest.name, oldest.len))
    };
    assert_eq!(oldest(&catalog), Some((gate.clone(), name(1), 1)));
    catalog.set_state(&gate, name(1), State::Stuck);
    assert_eq!(oldest(&catalog), Some((door.clone(), name(2), 2)));
    catalog.remove(&door, name(2));
    assert_eq!(oldest(&catalog), Some((gate.clone(), name(3), 3)));
    catalog.close(&door, open, 7, TODAY, TODAY);
    assert_eq!(oldest(&catalog), Some((door, open, 7)));
}

#[test]
fn files_of_unset_clocks_are_the_newest_ones_until_the_clock_is_set() {
    let (mut catalog, door) = (Catalog::default(), key("live/door"));
    for name in [FileName::booted(2, 0, Format::Mp4), name(0)] {
        catalog.begin(&door, name, TODAY);
        catalog.close(&door, name, 1, TODAY, TODAY);
    }
    assert_eq!(catalog.oldest_closed(Some(TODAY)).unwrap().name.boot(), 2);
    assert_eq!(catalog.oldest_closed(None).unwrap().name, name(0));
    catalog.remove(&door, name(0));
    assert_eq!(catalog.oldest_closed(None).unwrap().name.boot(), 2);
}

#[test]
fn files_of_the_future_go_before_what_is_recorded_now() {
    let (mut catalog, door) = (Catalog::default(), key("live/door"));
    let year = 365 * 24 * 60;
    let names = [year, year + 1, 0, 1, 24 * 60].map(name);
    for name in names {
        catalog.begin(&door, name, TODAY);
        catalog.close(&door, name, 1, TODAY, TODAY);
    }
    for name in names {
        assert_eq!(catalog.oldest_closed(Some(TODAY)).unwrap().name, name);
        catalog.remove(&door, name);
    }
}

#[test]
fn files_without_a_gap_are_one_span() {
    let mut catalog = Catalog::default();
    for (from, to) in [(0, 10), (10, 20), (25, 30), (30, 31), (40, 50)] {
        record(&mut catalog, from, to);
    }
    assert_eq!(
        spans(&catalog, 0..u64::MAX),
        [(0, 20, 2), (25, 31, 2), (40, 50, 1)]
    );
    let within = |from, to| TODAY + from * MINUTE..TODAY + to * MINUTE;
    assert_eq!(spans(&catalog, within(12, 26)), [(10, 20, 1), (25, 30, 1)]);
    assert_eq!(spans(&catalog, within(20, 25)), []);
    assert_eq!(spans(&catalog, within(31, 41)), [(40, 50, 1)]);
    assert_eq!(spans(&catalog, within(50, 40)), []);
}

#[test]
fn a_clock_that_was_set_back_makes_spans_that_overlap_one() {
    let mut catalog = Catalog::default();
    record(&mut catalog, 60, 70);
    record(&mut catalog, 0, 30);
    record(&mut catalog, 5, 10);
    record(&mut catalog, 30, 62);
    assert_eq!(spans(&catalog, 0..u64::MAX), [(0, 70, 4)]);
    let mut files = Vec::new();
    let within = TODAY + 20 * MINUTE..TODAY + 21 * MINUTE;
    catalog.files(&key("live/door"), within, None, 9, &mut files);
    assert_eq!(
        files.iter().map(|file| file.name).collect::<Vec<_>>(),
        [name(0)]
    );
}

#[test]
fn long_answers_come_in_pieces() {
    let mut catalog = Catalog::default();
    for minute in 0..10 {
        record(&mut catalog, minute * 2, minute * 2 + 1);
    }
    let (door, mut files, mut last) = (key("live/door"), Vec::new(), None);
    loop {
        let count = files.len();
        catalog.files(&door, 0..u64::MAX, last, 3, &mut files);
        last = files.last().map(|file: &File| file.name);
        if files.len() == count {
            break;
        }
    }
    assert_eq!(files, all(&catalog, "live/door"));
    let (mut spans, mut from) = (Vec::new(), 0);
    for _ in 0..4 {
        catalog.spans(&door, from..u64::MAX, 3, &mut spans);
        from = spans.last().map_or(0, |span: &Span| span.to);
    }
    assert_eq!(spans.len(), 10);
    assert_eq!(catalog.next_stream(None), Some(&door));
    assert_eq!(catalog.next_stream(Some(&door)), None);
}

#[test]
fn a_scan_takes_starts_from_names_and_ends_from_times() {
    let end = TODAY + 10 * MINUTE;
    let Scanned {
        catalog,
        strays,
        ignored,
    } = scan(
        &[
            ("live/door/2026-11-28T11-40-00Z.mp4", 20, end + 5 * MINUTE),
            ("live/door/2026-11-28T11-30-00Z.mp4", 10, end - 1_000),
            (
                "live/door/2026-11-28T11-50-00Z.mp4.part",
                30,
                end + 20 * MINUTE,
            ),
            ("live/door/notes.txt", 40, end),
            ("live/..hidden/2026-11-28T11-30-00Z.mp4", 40, end),
            ("live/Door/2026-11-28T11-30-00Z.mp4", 40, end),
            ("2026-11-28T11-30-00Z.mp4", 40, end),
        ],
        end + 30 * MINUTE,
    );
    let files = all(&catalog, "live/door");
    let files: Vec<_> = files
        .iter()
        .map(|file| (file.from, file.to, file.len))
        .collect();
    assert_eq!(
        files,
        [(TODAY, end - 1_000, 10), (end, end + 5 * MINUTE, 20)]
    );
    assert_eq!((strays.len(), ignored), (0, 4));
    assert_eq!(catalog.next_in(State::Unsure, None), None);
    let damaged = Some((key("live/door"), name(20)));
    assert_eq!(catalog.next_in(State::Damaged, None), damaged);
    assert_eq!(catalog.next_in(State::Damaged, damaged.as_ref()), None);
    assert_eq!(catalog.totals().bytes, 60);
    assert_eq!(catalog.bytes_today(&key("live/door"), end), 60);
}

#[test]
fn ends_that_cant_be_right_are_to_be_looked_at() {
    let now = TODAY + 30 * MINUTE;
    for (modified, to, is_unsure) in [
        (TODAY + MINUTE, TODAY + MINUTE, false),
        // FAT counts in steps of 2 s.
        (TODAY - 2_000, TODAY, false),
        (TODAY - 2_001, TODAY, true),
        (0, TODAY, true),
        (
            TODAY + 10 * MINUTE + 2_000,
            TODAY + 10 * MINUTE + 2_000,
            false,
        ),
        (TODAY + 10 * MINUTE + 2_001, TODAY + 10 * MINUTE, true),
        (now + 10 * MINUTE, TODAY, true),
        (u64::MAX, TODAY, true),
    ] {
        let next = ("live/door/2026-11-28T11-40-00Z.mp4", 2, now);
        let files = [("live/door/2026-11-28T11-30-00Z.mp4", 2, modified), next];
        let catalog = scan(&files, now).catalog;
        let unsure = catalog.next_in(State::Unsure, None);
        assert_eq!(unsure.is_some(), is_unsure, "{modified}");
        assert_eq!(all(&catalog, "live/door")[0].to, to, "{modified}");
    }
    let day = 86_400_000;
    for (modified, is_unsure) in [(TODAY + day, false), (TODAY + day + 1, true)] {
        let files = [("live/door/2026-11-28T11-30-00Z.mp4", 2, modified)];
        let catalog = scan(&files, TODAY + 9 * day).catalog;
        assert_eq!(catalog.next_in(State::Unsure, None).is_some(), is_unsure);
    }
}

#[test]
fn a_damaged_file_beside_one_of_its_name_is_a_stray() {
    let files = [
        ("live/door/2026-11-28T11-30-00Z.mp4.part", 7, TODAY),
        ("live/door/2026-11-28T11-30-00Z.mp4", 5, TODAY),
    ];
    let scanned = scan(&files, TODAY);
    assert_eq!(scanned.strays, [(key("live/door"), name(0))]);
    assert_eq!(all(&scanned.catalog, "live/door")[0].len, 5);
}

#[test]
fn a_file_that_was_read_begins_to_the_millisecond() {
    let (mut catalog, door) = (Catalog::default(), key("live/door"));
    let dated = catalog.add_damaged(&door, name(0));
    catalog.settle(&door, dated, 10, TODAY + 878, 5_000);
    let file = catalog.find(&door, dated).unwrap();
    assert_eq!([file.from, file.to], [TODAY + 878, TODAY + 5_878]);
    // A clock that wasn't set says nothing.
    let booted = catalog.add_damaged(&door, FileName::booted(3, 765_000, Format::Mp4));
    catalog.settle(&door, booted, 10, 765_878, 5_000);
    let file = catalog.find(&door, booted).unwrap();
    assert_eq!(
        [file.from, file.to],
        [booted.start(), booted.start() + 5_000]
    );
}

#[test]
fn a_new_list_keeps_what_is_being_written() {
    let (mut catalog, door) = (Catalog::default(), key("live/door"));
    let open = catalog.begin(&door, name(0), TODAY);
    catalog.grow(&door, open, 10, TODAY + 5_000, TODAY);
    record(&mut catalog, 1, 2);
    let found = scan(
        &[
            ("live/door/2026-11-28T11-30-00Z.mp4.part", 7, TODAY),
            ("live/gate/2026-11-28T11-40-00Z.mp4", 5, TODAY + 15 * MINUTE),
        ],
        TODAY + 60 * MINUTE,
    );
    let today = catalog.bytes_today(&door, TODAY);
    catalog.replace(found.catalog);
    assert_eq!(catalog.bytes_today(&door, TODAY), today);
    assert_eq!(catalog.totals().bytes, 15);
    assert!(catalog.find(&door, open).unwrap().is_open);
    assert_eq!(catalog.next_in(State::Damaged, None), None);
    assert_eq!(all(&catalog, "live/door").len(), 1);
    catalog.abandon(&door, open);
    assert_eq!(catalog.next_in(State::Damaged, None), Some((door, open)));
}

#[test]
fn a_hundred_thousand_files_are_listed_quickly_in_little_memory() {
    let streams = ["live/door", "live/gate", "garage/a", "garage/b"].map(key);
    let mut paths = Vec::new();
    for stream in &streams {
        for minute in 0..25_000 {
            paths.push(path(stream, name(minute * 10)));
        }
    }
    let (ten, wall) = (10 * MINUTE, TODAY + 300_000 * MINUTE);
    let mut scanned = None;
    let began = std::time::Instant::now();
    let memory = allocation_counter::measure(|| {
        let mut scan = Scan::default();
        for (number, path) in paths.iter().enumerate() {
            let modified = TODAY + (number as u64 % 25_000 + 1) * ten;
            let len = 300_000_000;
            scan.found(
                FoundFile {
                    path,
                    len,
                    modified,
                },
                wall,
            );
        }
        scanned = Some(scan.finish(wall));
    });
    let listed_after = began.elapsed();
    let mut catalog = scanned.unwrap().catalog;
    let began = std::time::Instant::now();
    let mut last = None;
    for _ in 0..1_000 {
        let oldest = catalog.oldest_closed(Some(wall)).unwrap();
        assert!(last.is_none_or(|last| last <= oldest.name));
        last = Some(oldest.name);
        catalog.remove(&oldest.stream, oldest.name);
    }
    let removed_after = began.elapsed();
    let began = std::time::Instant::now();
    let mut spans = Vec::new();
    catalog.spans(&streams[0], 0..u64::MAX, 10, &mut spans);
    println!(
        "100,000 files: {} KB ({} KB at the most), listed in {listed_after:?}, 1,000 removed in \
         {removed_after:?}, all spans of a stream in {:?}",
        memory.bytes_current / 1_000,
        memory.bytes_max / 1_000,
        began.elapsed(),
    );
    assert_eq!(spans.len(), 1);
    assert_eq!(catalog.totals().files, 99_000);
    assert!(memory.bytes_current < 32 * 100_000, "{memory:?}");
    assert!(memory.bytes_max < 64 * 100_000, "{memory:?}");
}

proptest! {
    /// The list against a plain one.
    #[test]
    fn files_and_sums_are_those_of_a_plain_list(
        steps in prop::collection::vec((0usize..3, 0u64..40, 0u64..5, 0u8..6), 1..120),
        within in (0u64..45, 0u64..45),
    ) {
        let streams = ["a", "live/a", "live/b"].map(key);
        let mut catalog = Catalog::default();
        let mut plain: Vec<(usize, File)> = Vec::new();
        for (at, minute, length, what) in steps {
            let stream = &streams[at];
            let wall = TODAY + minute * MINUTE;
            let of_stream = |file: &&mut (usize, File)| file.0 == at;
            match what {
                0 | 1 => {
                    let wanted = FileName::dated(wall, Format::Mp4);
                    let name = catalog.begin(stream, wanted, wall);
                    prop_assert!(plain.iter().all(|(of, file)| *of != at || file.name != name));
                    plain.push((at, File { name, from: wall, to: wall, len: 0, is_open: true }));
                    if name.start() != wall {
                        plain.last_mut().unwrap().1.from = name.start();
                        plain.last_mut().unwrap().1.to = name.start();
                    }
                }
                2 | 3 => {
                    let mut open = plain.iter_mut().filter(of_stream);
                    if let Some((_, file)) = open.find(|(_, file)| file.is_open) {
                        file.to = file.from + length * MINUTE;
                        file.len = length;
                        file.is_open = what == 2;
                        if file.is_open {
                            catalog.grow(stream, file.name, length, file.to, wall);
                        } else {
                            catalog.close(stream, file.name, length, file.to, wall);
                        }
                    }
                }
                _ => {
                    if let Some(oldest) = catalog.oldest_closed(Some(TODAY)) {
                        let closed = plain.iter().filter(|(_, file)| !file.is_open);
                        let first = closed.clone().map(|(_, file)| file.name).min();
                        prop_assert_eq!(Some(oldest.name), first);
                        let is_it = |of: usize, file: &File| {
                            streams[of] == oldest.stream && file.name == oldest.name
                        };
                        prop_assert!(closed.clone().any(|(of, file)| is_it(*of, file)));
                        plain.retain(|(of, file)| !is_it(*of, file));
                        catalog.remove(&oldest.stream, oldest.name);
                    } else {
                        prop_assert!(plain.iter().all(|(_, file)| file.is_open));
                    }
                }
            }
        }
        plain.sort_by_key(|(of, file)| (*of, file.name));
        let bytes: u64 = plain.iter().map(|(_, file)| file.len).sum();
        prop_assert_eq!(catalog.totals().bytes, bytes);
        prop_assert_eq!(catalog.totals().files, plain.len());
        let within = TODAY + within.0 * MINUTE..TODAY + within.1 * MINUTE;
        for (at, stream) in streams.iter().enumerate() {
            let of_stream = plain.iter().filter(|(of, _)| *of == at).map(|(_, file)| *file);
            prop_assert_eq!(all(&catalog, stream.as_str()), of_stream.clone().collect::<Vec<_>>());
            let mut found = Vec::new();
            catalog.files(stream, within.clone(), None, 1_000, &mut found);
            let expected = of_stream.filter(|file| {
                file.from < within.end && within.start < file.to.max(file.from + 1)
            });
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}
