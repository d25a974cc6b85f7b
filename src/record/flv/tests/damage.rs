//! Damaged files.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::record::disk::Disk;
use crate::record::flv::extent;
use crate::record::flv::repair::{repair, repair_file};

/// A file in the making with 6 fragments, of which 3 are synced; and its length at the sync.
fn part() -> (Vec<u8>, Vec<Message>, u64) {
    static PART: LazyLock<(Vec<u8>, Vec<Message>, u64)> = LazyLock::new(record_part);
    PART.clone()
}

fn record_part() -> (Vec<u8>, Vec<Message>, u64) {
    let disk = SimDisk::new();
    let mut stream = Stream::new(6, 0);
    let mut writer = stream.begin(&disk);
    let mut staging = staging();
    let mut synced_to = 0;
    for (n, mut cut) in stream.cuts().into_iter().enumerate() {
        stream.append(&mut writer, &mut cut, &mut staging).unwrap();
        if n == 2 {
            writer.sync().unwrap();
            synced_to = writer.extent().len;
        }
    }
    drop(writer);
    (disk.bytes(PART).unwrap(), stream.messages, synced_to)
}

/// Repairs a file; `None` if nothing is left.
fn repaired(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let disk = SimDisk::new();
    disk.put(PART, bytes.clone());
    let repaired = repair(&disk, Path::new(PART), Path::new(PATH));
    if repaired
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::InvalidData)
    {
        assert!(disk.bytes(PART) == Some(bytes));
        return None;
    }
    repaired.unwrap();
    assert!(!disk.exists(Path::new(PART)));
    let bytes = disk.bytes(PATH)?;
    // Once more changes nothing.
    let mut file = disk.reopen(Path::new(PATH)).unwrap();
    let again = repair_file(file.as_mut()).unwrap().unwrap();
    assert!(disk.bytes(PATH).unwrap() == bytes);
    assert_eq!(again.len, bytes.len() as u64);
    let known = extent(file.as_ref()).unwrap().unwrap();
    assert_eq!((known.len, known.duration), (again.len, again.duration));
    Some(bytes)
}

#[test]
fn a_closed_file_stays_as_it_is() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(6, 0);
    stream.record(&disk).close(&disk).unwrap();
    let closed = disk.bytes(PATH).unwrap();
    assert!(repaired(closed.clone()) == Some(closed));
}

#[test]
fn a_file_that_ends_anywhere_keeps_its_whole_fragments() {
    let (part, all, _) = part();
    let ends: Vec<_> = tags(&part)
        .into_iter()
        .filter(is_mark)
        .map(|tag| tag.at + MARK_LEN)
        .collect();
    for len in (0..=part.len())
        .step_by(331)
        .chain(ends.iter().flat_map(|end| end - 1..=end + 1))
    {
        let whole = ends.iter().filter(|end| **end <= len).count();
        let found = repaired(part[..len.min(part.len())].to_vec());
        let found = found.map(|file| messages(&file)).unwrap_or_default();
        assert!(found == all[..whole * 50], "{len}");
    }
}

#[test]
fn what_was_not_synced_counts_if_its_checksum_is_right() {
    let (part, all, synced_to) = part();
    let ends: Vec<_> = tags(&part)
        .into_iter()
        .filter(is_mark)
        .map(|tag| tag.at + MARK_LEN)
        .collect();
    assert_eq!(ends[2] as u64, synced_to);
    // In the middle of a payload of each fragment.
    for (n, end) in ends.iter().enumerate() {
        let mut damaged = part.clone();
        let tag = tags(&part)
            .into_iter()
            .rfind(|tag| tag.at + 200 < *end)
            .unwrap();
        damaged[tag.at + 30] ^= 1;
        let found = messages(&repaired(damaged).unwrap());
        // A bit that has changed in what was synced costs nothing else.
        let expected = if n < 3 { 6 } else { n };
        assert_eq!(found.len(), expected * 50, "fragment {n}");
        let changed = found
            .iter()
            .zip(&all)
            .filter(|(found, sent)| found != sent)
            .count();
        assert_eq!(changed, usize::from(n < 3));
    }
}

#[test]
fn what_another_file_left_behind_is_not_taken_for_fragments() {
    let (part, all, _) = part();
    let end = tags(&part).into_iter().find(is_mark).unwrap().at + MARK_LEN;
    // The same messages, recorded at another time.
    let disk = SimDisk::new();
    let mut stream = Stream::new(6, 0);
    let mut writer = stream.begin(&disk);
    for mut cut in stream.cuts() {
        let mut source = |samples: &[CutSample], place: &mut CopyPlace, out: &mut [u8]| {
            stream.copy(samples, place, out)
        };
        writer
            .append(&mut cut, 5, &mut source, &mut staging())
            .unwrap();
    }
    let other = disk.bytes(PART).unwrap();
    let mixed = [&part[..end], &other[end..]].concat();
    let found = messages(&repaired(mixed).unwrap());
    assert!(found == all[..50]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn damaged_files_are_repaired_once(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 1usize..600), 1..4),
        len in any::<prop::sample::Index>(),
    ) {
        let (mut part, ..) = part();
        for (at, byte, count) in damage {
            let at = at.index(part.len());
            let end = part.len().min(at + count);
            part[at..end].fill(byte);
        }
        part.truncate(part.len() - len.index(part.len()) / 4);
        if let Some(file) = repaired(part) {
            tags(&file);
        }
    }

    #[test]
    fn arbitrary_files_never_panic(bytes: Vec<u8>, at in 0usize..200) {
        let (mut part, ..) = part();
        part.splice(at..at, bytes);
        repaired(part.clone());
        let disk = SimDisk::new();
        disk.put(PATH, part);
        let file = disk.open(Path::new(PATH)).unwrap();
        let _ = extent(file.as_ref()).unwrap();
    }
}

#[test]
fn a_file_without_its_beginning_isnt_removed() {
    let (bytes, _, _) = part();
    let mut lost = bytes;
    lost[..512].fill(0);
    lost.resize(2 << 20, 0);
    for bytes in [lost, b"another program's".to_vec()] {
        let disk = SimDisk::new();
        disk.put(PART, bytes.clone());
        let error = repair(&disk, Path::new(PART), Path::new(PATH)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(disk.bytes(PART) == Some(bytes));
    }
}
