//! Power cuts.

use std::path::Path;

use super::*;
use crate::record::disk::Disk;
use crate::record::flv::repair::repair;
use crate::record::part::Repaired;

/// A generator of numbers that look random.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.0 >> 33
    }
}

/// What a recording guarantees after this many operations of the disk.
struct Promise {
    operations: usize,
    /// The number of messages that can't get lost.
    messages: usize,
}

/// Repairs what a power cut has left, and returns the number of messages that are there.
fn check(disk: &SimDisk, all: &[Message], context: &str) -> usize {
    let (part, path) = (Path::new(PART), Path::new(PATH));
    if disk.exists(part) {
        match repair(disk, part, path).expect(context) {
            Repaired::Removed => return 0,
            Repaired::Closed(extent) => check_closed(&disk.bytes(PATH).unwrap(), &extent),
        }
    }
    let Some(file) = disk.bytes(PATH) else {
        return 0;
    };
    let found = messages(&file);
    assert!(found == all[..found.len()], "{context}: not a prefix");
    assert!(
        number(&properties(&file), "duration") > Some(0.0),
        "{context}"
    );
    found.len()
}

#[test]
fn power_may_fail_at_any_moment() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(12, 0);
    let all = stream.messages.clone();
    let mut promises = Vec::new();
    let mut promise = |disk: &SimDisk, messages| {
        promises.push(Promise {
            operations: disk.operations(),
            messages,
        });
    };
    let mut writer = stream.begin(&disk);
    let mut staging = staging();
    for (n, mut cut) in stream.cuts().into_iter().enumerate() {
        stream.append(&mut writer, &mut cut, &mut staging).unwrap();
        if n % 4 == 2 {
            writer.sync().unwrap();
            promise(&disk, (n + 1) * 50);
        }
    }
    writer.close(&disk).unwrap();
    promise(&disk, all.len());

    let mut random = Random(1);
    let mut cuts = 0;
    for operations in 0..=disk.operations() {
        let promised = promises.iter().rev().find(|p| p.operations <= operations);
        let promised = promised.map_or(0, |promise| promise.messages);
        for kept_of_8 in [0, 1, 4, 7, 7, 8].repeat(8) {
            let after = disk.crash(operations, &mut || random.next() % 8 < kept_of_8);
            let context = format!("after {operations} operations, {kept_of_8}/8 kept");
            let found = check(&after, &all, &context);
            assert!(found >= promised, "{context}: {found} of {promised}");
            cuts += 1;
        }
    }
    assert!(cuts >= 1_000, "{cuts}");
}

#[test]
fn power_may_fail_again_during_the_repair() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(5, 0);
    let all = stream.messages.clone();
    let mut writer = stream.record(&disk);
    writer.sync().unwrap();
    drop(writer);
    let mut part = disk.bytes(PART).unwrap();
    part.extend([9; 700]);
    let damaged = SimDisk::new();
    let mut file = damaged.create(Path::new(PART)).unwrap();
    file.write_at(0, &[std::io::IoSlice::new(&part)]).unwrap();
    file.sync().unwrap();
    let before = damaged.operations();
    repair(&damaged, Path::new(PART), Path::new(PATH)).unwrap();
    let mut random = Random(2);
    for operations in before..=damaged.operations() {
        for kept_of_8 in [0, 1, 4, 7, 8].repeat(10) {
            let after = damaged.crash(operations, &mut || random.next() % 8 < kept_of_8);
            let context = format!("after {operations} operations, {kept_of_8}/8 kept");
            assert_eq!(check(&after, &all, &context), all.len());
        }
    }
}
