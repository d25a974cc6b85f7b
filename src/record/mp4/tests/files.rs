use std::io::ErrorKind;
use std::path::Path;

use super::script::{WALL, presentation};
use super::{ClosedFile, NAME, Script, SimDisk, part, repaired};
use crate::live::arena::{Arena, BLOCK_LEN};
use crate::live::cut::{Cut, CutSample};
use crate::live::kind::Kind;
use crate::media::mp4::Presentation;
use crate::media::mp4::read::InitMoov;
use crate::record::append::AppendError;
use crate::record::disk::sim::Faults;
use crate::record::disk::{Disk, Failure};
use crate::record::mp4::index::SUMMARY_LEN;
use crate::record::mp4::reader::{Fragments, read_head, read_moof};
use crate::record::mp4::repair::repair;
use crate::record::mp4::summary::{Summary, Sums};
use crate::record::mp4::writer::Mp4Writer;
use crate::record::staging::Staging;

/// Appends some fragments.
pub(super) fn record(script: &mut Script, writer: &mut Mp4Writer, count: usize) {
    for _ in 0..count {
        let mut cut = script.cut();
        script.append(writer, &mut cut, usize::MAX).unwrap();
    }
}

#[test]
fn a_closed_file_has_every_sample() {
    let disk = SimDisk::new();
    let mut script = Script::new(1);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 60);
    let open = *writer.extent();
    assert_eq!(disk.bytes(part()).unwrap().len() as u64, open.len);
    let extent = writer.close(&disk).unwrap().unwrap();
    let bytes = disk.bytes(NAME).unwrap();
    assert_eq!(extent.len, bytes.len() as u64);
    assert_eq!(
        (extent.from, extent.to, extent.duration),
        (open.from, open.to, open.duration)
    );
    assert_eq!(disk.modified(NAME), extent.to);
    assert!(ClosedFile::parse(&bytes) == script.expected(60));
    // What was set aside was given back, and the close wrote more than that.
    assert!(disk.allocated(NAME) <= extent.len);
}

#[test]
fn a_file_of_audio_alone_is_closed() {
    let disk = SimDisk::new();
    let mut script = Script::new(2);
    script.has_video = false;
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 9);
    writer.close(&disk).unwrap().unwrap();
    assert!(ClosedFile::parse(&disk.bytes(NAME).unwrap()) == script.expected(9));
}

#[test]
fn samples_of_other_tracks_are_dropped() {
    let disk = SimDisk::new();
    let mut script = Script::new(2);
    let video = Presentation {
        audio: None,
        ..presentation()
    };
    let mut writer = Mp4Writer::begin(&disk, Path::new(NAME), &video, WALL, 0).unwrap();
    record(&mut script, &mut writer, 5);
    writer.close(&disk).unwrap().unwrap();
    let read = ClosedFile::parse(&disk.bytes(NAME).unwrap());
    assert!(read.audio.is_empty());
    assert_eq!(read, script.expected(5));
}

#[test]
fn damage_in_what_was_synced_costs_nothing_else() {
    let disk = SimDisk::new();
    let mut script = Script::new(13);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 1);
    let first = writer.extent().len as usize;
    record(&mut script, &mut writer, 5);
    writer.sync().unwrap();
    record(&mut script, &mut writer, 1);
    let mut bytes = disk.bytes(part()).unwrap();
    // The last byte of a sample, in front of the checksum.
    bytes[first - 5] ^= 1;
    disk.put(part(), bytes);
    let (_, read) = repaired(&disk).unwrap();
    let expected = script.expected(7);
    assert_eq!((read.notes, read.video), (7, expected.video));
    assert_eq!(read.audio.len(), expected.audio.len());
    assert_ne!(read.audio, expected.audio);
}

#[test]
fn fragments_are_found_in_a_growing_file_and_in_the_index_of_a_closed_one() {
    let disk = SimDisk::new();
    let mut script = Script::new(3);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 50);
    let file = disk.open(&part()).unwrap();
    let head = read_head(file.as_ref()).unwrap().unwrap();
    let mut fragments = Fragments::new(&head, writer.extent().len);
    let mut found = Vec::new();
    let mut buffer = Vec::new();
    while let Some(fragment) = fragments.next(file.as_ref()).unwrap() {
        assert!(
            read_moof(file.as_ref(), &fragment, &mut buffer)
                .unwrap()
                .is_some()
        );
        found.push(fragment);
    }
    assert_eq!((found.len(), fragments.offset()), (50, writer.extent().len));
    writer.close(&disk).unwrap();

    let file = disk.open(Path::new(NAME)).unwrap();
    let head = read_head(file.as_ref()).unwrap().unwrap();
    let closed_at = head.closed_at.unwrap();
    let before = disk.counts().reads;
    let mut fragments = Fragments::of_closed(file.as_ref(), head.len, closed_at).unwrap();
    let of_index = std::iter::from_fn(|| fragments.next(file.as_ref()).unwrap());
    assert!(of_index.eq(found));
    assert!(disk.counts().reads <= before + 3);
}

#[test]
fn notes_tell_gaps_and_what_is_on_the_disk() {
    let disk = SimDisk::new();
    let mut script = Script::new(4);
    let mut writer = script.writer(&disk);
    let mut expected = Vec::new();
    let mut synced = writer.extent().len;
    for number in 0..20 {
        let mut cut = script.cut();
        let has_gap = cut.missed > 0;
        script.append(&mut writer, &mut cut, usize::MAX).unwrap();
        expected.push((has_gap, synced, true));
        if number % 5 == 0 {
            writer.sync().unwrap();
            synced = writer.extent().len;
        }
    }
    let file = disk.open(&part()).unwrap();
    let head = read_head(file.as_ref()).unwrap().unwrap();
    let mut fragments = Fragments::new(&head, u64::MAX);
    for expected in expected {
        let note = fragments.next(file.as_ref()).unwrap().unwrap().note;
        assert_eq!((note.has_gap, note.synced_to, note.is_start), expected);
    }
}

/// A cut of one frame.
fn one_frame(len: u32) -> Cut {
    let sample = CutSample {
        number: 1,
        kind: Kind::Video,
        timestamp: 0,
        len,
        decode_time: 0,
        duration: 40,
        composition_time: 0,
        is_sync: true,
    };
    Cut {
        samples: vec![sample],
        ..Cut::default()
    }
}

#[test]
fn a_fragment_whose_messages_leave_is_cut_off_and_the_next_one_says_so() {
    let disk = SimDisk::new();
    let mut script = Script::new(5);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 2);
    let before = *writer.extent();
    // More than is staged, so that a part of it was written.
    let outcome = script.append(&mut writer, &mut one_frame(900_000), 700_000);
    assert!(matches!(outcome, Err(AppendError::Evicted)));
    assert_eq!(*writer.extent(), before);
    assert!(disk.counts().bytes_written > before.len);
    assert_eq!(disk.bytes(part()).unwrap().len() as u64, before.len);
    assert!(disk.allocated(part()) >= 4 << 20);
    record(&mut script, &mut writer, 1);
    let file = disk.open(&part()).unwrap();
    let head = read_head(file.as_ref()).unwrap().unwrap();
    let mut fragments = Fragments::new(&head, u64::MAX);
    let gaps = std::iter::from_fn(|| fragments.next(file.as_ref()).unwrap());
    assert!(gaps.last().unwrap().note.has_gap);
    writer.close(&disk).unwrap();
    assert!(ClosedFile::parse(&disk.bytes(NAME).unwrap()) == script.expected(3));
}

#[test]
fn a_long_fragment_is_written_in_pieces_of_256_kib() {
    let disk = SimDisk::new();
    let mut script = Script::new(6);
    let mut writer = script.writer(&disk);
    let before = disk.counts().writes;
    script
        .append(&mut writer, &mut one_frame(1_000_000), usize::MAX)
        .unwrap();
    assert_eq!(disk.counts().writes - before, 4);
    assert_eq!(disk.counts().longest_write, 256 * 1024);
}

#[test]
fn a_close_writes_its_tables_at_once_or_in_as_few_pieces_as_memory_allows() {
    let disk = SimDisk::new();
    let mut script = Script::new(6);
    for (blocks, most) in [(64, 1), (6, 4)] {
        let arena = Arena::new(blocks * BLOCK_LEN);
        let mut staging = Staging::new(&arena).unwrap();
        let mut writer = script.writer(&disk);
        script.appended.clear();
        record(&mut script, &mut writer, 400);
        let (before, end) = (disk.counts().writes, writer.extent().len);
        let extent = writer.close_with(&disk, &mut staging).unwrap().unwrap();
        assert!(extent.len - end > 64 * 1024);
        // One more for the header.
        let writes = disk.counts().writes - before - 1;
        assert!((1..=most).contains(&writes), "{blocks} blocks: {writes}");
        assert_eq!(arena.free_blocks(), blocks - 2);
        let closed = ClosedFile::parse(&disk.bytes(NAME).unwrap());
        assert!(closed == script.expected(400));
        disk.remove(Path::new(NAME)).unwrap();
    }
}

#[test]
fn space_is_set_aside_and_given_back() {
    let disk = SimDisk::new();
    let path = Path::new(NAME);
    for aside in [0, 4 << 20, 110 << 20] {
        let writer = Mp4Writer::begin(&disk, path, &presentation(), WALL, aside).unwrap();
        assert_eq!(disk.allocated(part()), aside);
        assert!(writer.close(&disk).unwrap().is_none());
        assert!(disk.paths().is_empty());
    }
}

#[test]
fn a_full_disk_leaves_a_file_that_is_closed_once_there_is_space() {
    let disk = SimDisk::new();
    let mut script = Script::new(7);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 20);
    let fault = |capacity| Faults {
        capacity,
        ..Faults::default()
    };
    disk.set_faults(fault(Some(4 << 20)));
    let error = loop {
        let mut cut = script.cut();
        if let Err(error) = script.append(&mut writer, &mut cut, usize::MAX) {
            break error;
        }
    };
    let AppendError::Disk(error) = error else {
        panic!("{error}");
    };
    assert_eq!(Failure::of(&error), Failure::Full);
    let end = writer.extent().len;
    // What is set aside is given up by the close, but the tables don't fit.
    disk.set_faults(fault(Some(end + 1_000)));
    let error = writer.close(&disk).unwrap_err();
    assert_eq!(Failure::of(&error), Failure::Full);
    assert_eq!(disk.bytes(part()).unwrap().len() as u64, end);
    disk.set_faults(fault(None));
    let (_, read) = repaired(&disk).unwrap();
    assert!(read == script.expected(script.appended.len()));
}

#[test]
fn a_disk_that_fails_or_is_read_only_is_an_error_and_nothing_else() {
    let faults = [
        Faults {
            is_read_only: true,
            ..Faults::default()
        },
        Faults {
            is_failing: true,
            ..Faults::default()
        },
        Faults {
            is_gone: true,
            ..Faults::default()
        },
        Faults {
            fails_after: Some(1_000),
            ..Faults::default()
        },
    ];
    for fault in faults {
        let disk = SimDisk::new();
        let mut script = Script::new(8);
        let mut writer = script.writer(&disk);
        record(&mut script, &mut writer, 3);
        disk.set_faults(fault);
        let mut cut = script.cut();
        assert!(matches!(
            script.append(&mut writer, &mut cut, usize::MAX),
            Err(AppendError::Disk(_))
        ));
        if fault.fails_after.is_none() {
            assert!(writer.sync().is_err());
        }
        disk.set_faults(Faults::default());
        drop(writer);
        let (_, read) = repaired(&disk).unwrap();
        assert!(read == script.expected(3));
    }
}

#[test]
fn a_file_that_cannot_be_begun_is_not_there() {
    let disk = SimDisk::new();
    disk.set_faults(Faults {
        capacity: Some(100),
        ..Faults::default()
    });
    let begun = Mp4Writer::begin(&disk, Path::new(NAME), &presentation(), WALL, 0);
    assert_eq!(Failure::of(&begun.err().unwrap()), Failure::Full);
    assert!(disk.paths().is_empty());
}

#[test]
fn a_name_that_is_taken_can_be_replaced_by_another() {
    let disk = SimDisk::new();
    let mut script = Script::new(9);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 3);
    disk.create(Path::new(NAME)).unwrap();
    let error = writer.close(&disk).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let other = Path::new("live/door/a_2.mp4");
    repair(&disk, &part(), other).unwrap();
    assert!(ClosedFile::parse(&disk.bytes(other).unwrap()) == script.expected(3));
}

#[test]
fn a_closed_file_that_has_lost_its_end_is_closed_again() {
    let disk = SimDisk::new();
    let mut script = Script::new(11);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 10);
    let ends = writer.extent().len;
    writer.close(&disk).unwrap();
    let bytes = disk.bytes(NAME).unwrap();
    disk.remove(Path::new(NAME)).unwrap();
    for len in [ends as usize + 20, ends as usize, ends as usize - 1] {
        disk.put(part(), bytes[..len].to_vec());
        let (_, read) = repaired(&disk).unwrap();
        assert!(read == script.expected(if len as u64 >= ends { 10 } else { 9 }));
        disk.remove(Path::new(NAME)).unwrap();
    }
}

#[test]
fn damaged_files_are_cut_or_removed() {
    let disk = SimDisk::new();
    let mut script = Script::new(12);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 4);
    writer.sync().unwrap();
    record(&mut script, &mut writer, 2);
    let bytes = disk.bytes(part()).unwrap();
    // The first bytes say that it is a recording.
    for at in (40..bytes.len()).step_by(97) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        disk.put(part(), damaged);
        if repaired(&disk).is_some() {
            disk.remove(Path::new(NAME)).unwrap();
        }
        disk.put(part(), bytes[..at].to_vec());
        if let Some((_, read)) = repaired(&disk) {
            assert!(read == script.expected(read.notes));
            disk.remove(Path::new(NAME)).unwrap();
        }
    }
}

#[test]
fn a_file_of_another_program_is_left_as_it_is() {
    let disk = SimDisk::new();
    let bytes = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2avc1mp41".repeat(2);
    disk.put(part(), bytes.clone());
    let error = repair(&disk, &part(), Path::new(NAME)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(disk.bytes(part()), Some(bytes));
    // What a power cut leaves of a file that has just been begun.
    disk.put(part(), vec![0; 700]);
    assert!(repaired(&disk).is_none());
}

#[test]
fn a_file_that_has_lost_its_beginning_isnt_removed() {
    let disk = SimDisk::new();
    let mut script = Script::new(12);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 4);
    writer.sync().unwrap();
    let mut bytes = disk.bytes(part()).unwrap();
    bytes.resize(2 << 20, 0);
    for damaged in [0..512, 60..100] {
        let mut bytes = bytes.clone();
        bytes[damaged].fill(0);
        disk.put(part(), bytes.clone());
        let error = repair(&disk, &part(), Path::new(NAME)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(disk.bytes(part()) == Some(bytes));
    }
}

#[test]
fn a_summary_is_that_of_the_fragments_and_damaged_ones_are_none() {
    let disk = SimDisk::new();
    let mut script = Script::new(3);
    let mut writer = script.writer(&disk);
    record(&mut script, &mut writer, 30);
    let len = writer.close(&disk).unwrap().unwrap().len;
    let file = disk.open(Path::new(NAME)).unwrap();
    let head = read_head(&*file).unwrap().unwrap();
    let mut fragments = Fragments::new(&head, head.closed_at.unwrap());
    let first = fragments.next(&*file).unwrap().unwrap();
    let mut sums = Sums::begin(&first);
    while let Some(next) = fragments.next(&*file).unwrap() {
        sums.add(&next);
    }
    let expected = sums.finish(&*file).unwrap();
    for tracks in [None, Some(&head.init)] {
        let read = Summary::read(&*file, len, tracks).unwrap();
        assert_eq!(read, Some(expected));
    }
    let others = InitMoov {
        audio: None,
        ..head.init.clone()
    };
    assert_eq!(Summary::read(&*file, len, Some(&others)).unwrap(), None);
    let bytes = disk.bytes(NAME).unwrap();
    let damaged = Path::new("damaged");
    for at in bytes.len() - 8 - SUMMARY_LEN..bytes.len() - 8 {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x80;
        disk.put(damaged, bytes);
        let file = disk.open(damaged).unwrap();
        assert_eq!(Summary::read(&*file, len, None).unwrap(), None, "{at}");
    }
    for len in 0..SUMMARY_LEN as u64 + 8 {
        assert_eq!(Summary::read(&*file, len, None).unwrap(), None, "{len}");
    }
}
