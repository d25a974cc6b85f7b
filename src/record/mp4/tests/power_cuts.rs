//! Power fails at every point of a recording, and of its repair.

use std::path::Path;

use super::script::Random;
use super::{ClosedFile, NAME, Script, SimDisk, part, repaired};
use crate::record::disk::Disk;

/// A recording, and what is certain at each point of it.
struct Session {
    disk: SimDisk,
    /// What a file with so many of the fragments has.
    expected: Vec<ClosedFile>,
    /// Numbers of operations, with the number of fragments that are on the disk from then on.
    certain: Vec<(usize, usize)>,
}

impl Session {
    /// Records some fragments, with a sync after some of them, an eviction here and there, and closes
    /// the file.
    fn new(seed: u64) -> Session {
        let disk = SimDisk::new();
        let mut script = Script::new(seed);
        let mut random = Random(seed ^ 0x5EED);
        let mut writer = script.writer(&disk);
        let mut certain = vec![(disk.operations(), 0)];
        for _ in 0..10 {
            let mut cut = script.cut();
            // With few bytes, nothing of the fragment is written before.
            let most = match random.below(5) {
                0 => 300_000,
                1 => 1_000,
                _ => usize::MAX,
            };
            let _ = script.append(&mut writer, &mut cut, most);
            if random.below(3) == 0 {
                writer.sync().unwrap();
                certain.push((disk.operations(), script.appended.len()));
            }
        }
        let before = disk.operations();
        writer.close(&disk).unwrap().unwrap();
        // The first thing that the close syncs is all fragments.
        let synced = (before..disk.operations()).find(|n| disk.describe(*n).starts_with("Sync("));
        certain.push((synced.unwrap() + 1, script.appended.len()));
        let all = script.appended.len();
        Session {
            disk,
            expected: (0..=all)
                .map(|fragments| script.expected(fragments))
                .collect(),
            certain,
        }
    }

    fn certain_after(&self, operations: usize) -> usize {
        let done = self.certain.iter().rfind(|(after, _)| *after <= operations);
        done.map_or(0, |(_, fragments)| *fragments)
    }

    /// Repairs a disk after a power cut, and checks what is on it. Returns the number of fragments.
    fn check(&self, disk: &SimDisk, operations: usize, what: &str) -> usize {
        let last = operations
            .checked_sub(1)
            .map(|last| self.disk.describe(last));
        let what = format!("{what}, power fails after operation {operations}, {last:?}");
        let (has_part, has_name) = (disk.exists(&part()), disk.exists(Path::new(NAME)));
        let least = self.certain_after(operations);
        if !has_part && !has_name {
            assert!(least == 0 && operations < 2, "{what}: no file");
            return 0;
        }
        assert!(!(has_part && has_name), "{what}: two files");
        if has_name {
            // The close was done.
            let bytes = disk.bytes(NAME).unwrap();
            let read = ClosedFile::parse(&bytes);
            assert!(Some(&read) == self.expected.last(), "{what}");
            return read.notes;
        }
        let Some((extent, read)) = repaired(disk) else {
            assert_eq!(least, 0, "{what}: nothing is left");
            return 0;
        };
        assert!(
            read.notes >= least,
            "{what}: {} of {least} fragments",
            read.notes
        );
        assert_eq!(extent.fragments as usize, read.notes, "{what}");
        assert!(read == self.expected[read.notes], "{what}: other samples");
        read.notes
    }
}

/// What reaches the disk: with each number, a sector less often.
fn keeps(random: &mut Random, style: u64) -> impl FnMut() -> bool {
    move || match style % 5 {
        0 => false,
        1 => true,
        2 => random.below(2) == 0,
        3 => random.below(12) != 0,
        _ => random.below(12) == 0,
    }
}

#[test]
fn every_power_cut_leaves_what_was_synced() {
    let mut cuts = 0;
    let mut more_than_synced = 0;
    for seed in 0..8 {
        let session = Session::new(seed);
        for operations in 0..=session.disk.operations() {
            for style in 0..5 {
                let mut random = Random(seed << 32 | (operations as u64) << 8 | style);
                let disk = session
                    .disk
                    .crash(operations, &mut keeps(&mut random, style));
                let what = format!("recording {seed}, style {style}");
                let left = session.check(&disk, operations, &what);
                more_than_synced += usize::from(left > session.certain_after(operations));
                cuts += 1;
            }
        }
    }
    assert!(cuts >= 1_000, "only {cuts} cuts");
    assert!(
        more_than_synced >= cuts / 20,
        "{more_than_synced} of {cuts}"
    );
}

#[test]
fn power_that_fails_during_a_repair_loses_nothing_more() {
    let mut cuts = 0;
    for seed in 10..14 {
        let session = Session::new(seed);
        let all = session.disk.operations();
        for _ in 0..12 {
            let mut random = Random(seed << 16 | cuts);
            let operations = 2 + random.below(all as u64 - 3) as usize;
            let disk = session.disk.crash(operations, &mut keeps(&mut random, 2));
            if !disk.exists(&part()) {
                continue;
            }
            // What the first repair finds is what every later one must find.
            let whole = disk.crash(0, &mut || true);
            let left = session.check(&whole, operations, "the first repair");
            for stop in 0..=whole.operations() {
                for style in 0..5 {
                    cuts += 1;
                    let mut random = Random(seed << 32 | (stop as u64) << 8 | style);
                    let again = whole.crash(stop, &mut keeps(&mut random, style));
                    let what = format!("repair of {seed} at {operations} stopped at {stop}");
                    if left == 0 {
                        continue;
                    }
                    if again.exists(Path::new(NAME)) {
                        let read = ClosedFile::parse(&again.bytes(NAME).unwrap());
                        assert!(read == session.expected[left], "{what}");
                    } else {
                        let (_, read) = repaired(&again).expect(&what);
                        assert!(read == session.expected[left], "{what}");
                    }
                }
            }
        }
    }
    assert!(cuts >= 1_000, "only {cuts} cuts");
}
