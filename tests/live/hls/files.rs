//! Files: segments, parts, and ranges of them.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::files::{Fragment, fragments};

#[test]
fn a_segment_consists_of_its_messages_and_parts_and_is_the_same_for_everyone() {
    let fixture = watched(1024);
    gops(&fixture, 4);
    let listing = listing(&fixture);
    assert_eq!(numbers(&listing), [7, 8, 9, 10]);
    let mut frames = Vec::new();
    for number in numbers(&listing) {
        let whole = fetch(&fixture, FileKind::Segment(number), 16 * 1024).unwrap();
        for step in [1, 111, 5_000, 1 << 20] {
            let again = fetch(&fixture, FileKind::Segment(number), step).unwrap();
            assert!(again == whole, "segment {number} by {step}");
        }
        if number > 7 {
            assert!(parts(&fixture, &listing, number) == whole, "{number}");
        }
        let mut times = [None; 3];
        for fragment in fragments(&whole) {
            let Fragment::Sample {
                track,
                time,
                bytes,
                is_sync,
                ..
            } = fragment
            else {
                panic!("an init segment within a segment")
            };
            assert!(times[track as usize].replace(time) < Some(time));
            if track == 1 {
                frames.push((time, is_sync, bytes));
            }
        }
    }
    // Every frame exists once and is complete; frames are 40 ms apart, with a keyframe every two
    // seconds.
    assert_eq!(frames.len(), 200);
    for (index, (time, is_sync, bytes)) in frames.iter().enumerate() {
        assert_eq!(*time, frames[0].0 + 40 * index as u64);
        assert_eq!(*is_sync, index % 50 == 0);
        assert_eq!(bytes.len(), 995);
    }
    let Ok(Look::Answer(Answer::Init(_, tracks))) = file(&fixture, FileKind::Init(0)) else {
        panic!("not an init segment")
    };
    assert!(tracks.presentation.init_segment().len() > 500);
}

#[test]
fn names_of_another_life_or_of_nothing_are_not_found() {
    let fixture = watched(1024);
    for kind in [
        FileKind::Init(1),
        FileKind::Segment(7),
        FileKind::Segment(u64::MAX),
        FileKind::Part(7, 4),
        FileKind::Part(8, 0),
        FileKind::Part(u64::MAX, u64::MAX),
    ] {
        let error = file(&fixture, kind).unwrap_err();
        assert_eq!(error, Unavailable::NotFound, "{kind:?}");
    }
    let name = FileName {
        life: LIFE + 1,
        kind: FileKind::Segment(4),
    };
    let found = request(&fixture, HlsRequest::File(name));
    assert_eq!(found.unwrap_err(), Unavailable::NotFound);
}

#[test]
fn ranges_of_a_segment_are_the_right_bytes() {
    let fixture = watched(1024);
    let kind = FileKind::Segment(4);
    let whole = fetch(&fixture, kind, 5_000).unwrap();
    let last = whole.len() as u64;
    for (skip, len) in [
        (0, 1),
        (0, last),
        (1, 5_000),
        (1_107, 1),
        (50_000, 1 << 40),
        (last - 1, 1),
        (last, 0),
    ] {
        let mut reader = reader(&fixture, kind).unwrap();
        fixture.stream.cut(&mut reader, skip, len).unwrap();
        let expected = &whole[skip as usize..(skip + len).min(last) as usize];
        assert_eq!(reader.len, expected.len() as u64);
        let mut bytes = Vec::new();
        while read(&fixture, &mut reader, 1 << 20, &mut bytes).unwrap() > 0 {}
        assert!(bytes == expected, "{} bytes from {skip}", bytes.len());
    }
}

#[test]
fn a_reader_that_is_too_slow_gets_an_error() {
    let fixture = watched(16);
    let mut reader = reader(&fixture, FileKind::Segment(6)).unwrap();
    let mut bytes = Vec::new();
    let mut read = |most| read(&fixture, &mut reader, most, &mut bytes);
    assert_eq!(read(1_000), Ok(1_000));
    gops(&fixture, 4);
    assert_eq!(read(1_000), Err(Evicted));
}

/// Sends and lists six seconds of audio, and of video with frames of `len` bytes.
fn list_frames(fixture: &Fixture, len: usize) {
    for index in 0..151 {
        fixture.frame(index * 40, index % 50 == 0, len);
        fixture.audio(index * 40, 200);
        fixture.wait(40);
    }
    listing(fixture);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Holds for any amount of memory: a listed file exists when it is fetched, and never changes.
    #[test]
    fn every_listed_file_exists_and_never_changes(
        blocks in 8..200usize,
        gop in 5..200u32,
        len in 100..6_000usize,
        asks in prop::collection::vec(1..100usize, 5..60),
    ) {
        let fixture = published(blocks);
        let mut seen = HashMap::new();
        let mut sequence = 0;
        let mut index = 0;
        for frames in asks {
            for _ in 0..frames {
                let now = fixture.now.get() as u32;
                fixture.frame(now, index % gop == 0, len);
                fixture.audio(now, 200);
                fixture.wait(40);
                index += 1;
            }
            let Some(listing) = listed(&fixture) else {
                continue;
            };
            prop_assert!(numbers(&listing)[0] >= sequence);
            sequence = numbers(&listing)[0];
            for segment in &listing.segments {
                let number = segment.number;
                let bytes = fetch(&fixture, FileKind::Segment(number), 16 * 1024);
                let bytes = bytes.expect("a listed segment is in the log");
                let known = seen.entry(number).or_insert_with(|| bytes.clone());
                prop_assert!(*known == bytes, "segment {} has changed", number);
                if !listing.parts(segment).is_empty() {
                    prop_assert!(parts(&fixture, &listing, number) == bytes);
                }
            }
            let held = fixture.stream.report(0).blocks;
            prop_assert!(held <= blocks - blocks / 8);
        }
    }

    /// Holds for any length of the reads, and any room for the heads of fragments.
    #[test]
    fn the_bytes_are_the_same_at_any_pace(
        room in 112..20_000usize,
        lead in prop::collection::vec(any::<u8>(), 0..400),
        takes in prop::collection::vec(prop_oneof![0..300usize, 0..100_000usize], 1..40),
        len in 1..40_000usize,
    ) {
        let fixture = published(1024);
        list_frames(&fixture, len);
        let kind = FileKind::Segment(1);
        let whole = fetch(&fixture, kind, 1 << 20).unwrap();
        let mut reader = reader(&fixture, kind).unwrap();
        let (mut bytes, mut room) = (Vec::new(), vec![0; room]);
        let mut takes = takes.into_iter().chain(std::iter::repeat(10_000));
        while reader.len > 0 || bytes.len() < lead.len() {
            let most = takes.next().unwrap();
            let ahead = lead.get(bytes.len()..).unwrap_or_default();
            let before = bytes.len();
            let now = fixture.now.get();
            let sent = fixture.stream.send(&mut reader, ahead, &mut room, now, &mut |slices| {
                let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
                assert!(offered > 0 && offered <= 400 + 512 * 1024, "{offered}");
                for slice in slices {
                    let left = before + most - bytes.len();
                    bytes.extend_from_slice(&slice[..slice.len().min(left)]);
                }
                Ok(bytes.len() - before)
            });
            prop_assert_eq!(sent.unwrap().unwrap(), bytes.len() - before);
        }
        prop_assert!(bytes == [lead, whole].concat());
    }
}
