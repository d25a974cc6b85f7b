//! Property: what was listed never changes.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::live::hls::lists::{MAX_PARTS, MAX_SEGMENTS};

#[derive(Clone, Debug)]
enum Step {
    Frame { step: u64, is_keyframe: bool },
    Audio,
    AudioFor { ms: u64 },
    Return { after: u64 },
    Headers { video: u8, audio: u8 },
    Evict { count: u64 },
    Ask,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pace = prop_oneof![
        6 => 30..45_u64,
        1 => 0..20_u64,
        1 => 60..400_u64,
        1 => Just(5_000_u64),
    ];
    let step = prop_oneof![
        300 => (pace, prop::bool::weighted(0.03))
            .prop_map(|(step, is_keyframe)| Step::Frame { step, is_keyframe }),
        100 => Just(Step::Audio),
        2 => (23..20_000_u64).prop_map(|ms| Step::AudioFor { ms }),
        1 => (0..30_000_u64).prop_map(|after| Step::Return { after }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(video, audio)| Step::Headers { video, audio }),
        3 => (0..300_u64).prop_map(|count| Step::Evict { count }),
        10 => Just(Step::Ask),
    ];
    prop::collection::vec(step, 1..1_500)
}

/// The data that must never change once it has been listed.
#[derive(Default)]
struct Seen {
    segments: HashMap<u64, Segment>,
    parts: HashMap<(u64, u64), SegmentPart>,
    sequence: u64,
    discontinuity_sequence: u32,
    target: u32,
    part_target: Option<Option<u32>>,
    hints: Vec<(u64, u64)>,
}

impl Seen {
    fn check(&mut self, listing: &Listing, stream: &TestStream) {
        let part_target = listing.part_target;
        match listing.target {
            ..=4 => assert_eq!(*self.part_target.get_or_insert(part_target), part_target),
            _ => assert_eq!(part_target, None),
        }
        assert!((2..=13).contains(&listing.target) && listing.target >= self.target);
        self.target = listing.target;
        let first = listing.segments.first().unwrap();
        assert!(first.number >= self.sequence);
        self.sequence = first.number;
        assert!(first.discontinuities >= self.discontinuity_sequence);
        self.discontinuity_sequence = first.discontinuities;

        let mut expected = first.clone();
        for segment in &listing.segments {
            assert!(
                segment.messages.start >= stream.log_start,
                "it has left the log"
            );
            assert!(segment.messages.start < segment.messages.end);
            assert_eq!(segment.number, expected.number);
            assert_eq!(segment.discontinuities, expected.discontinuities);
            let own = stream.in_segment(segment).into_iter();
            let bytes: u64 = own.map(|number| u64::from(message_len(number))).sum();
            assert_eq!(segment.bytes, bytes, "its length is known");
            assert!(segment.duration < listing.target * 1_000 + 500);
            if !segment.has_discontinuity {
                assert_eq!(segment.version, expected.version);
                assert!(segment.messages.start <= expected.messages.start);
            }
            let known = self
                .segments
                .entry(segment.number)
                .or_insert_with(|| segment.clone());
            assert_eq!(known, segment, "it has changed");
            expected = segment.clone();
            expected.number += 1;
            expected.discontinuities += u32::from(segment.has_discontinuity);
            expected.messages.start = segment.messages.end;
            self.check_parts(listing, segment, segment.messages.end);
        }
        if let Some(open) = &listing.open {
            assert_eq!(open.number, expected.number);
            self.check_parts(listing, open, u64::MAX);
        }
    }

    fn check_parts(&mut self, listing: &Listing, segment: &Segment, end: u64) {
        let parts = listing.parts(segment);
        let mut at = segment.messages.start;
        for (index, part) in parts.iter().enumerate() {
            assert_eq!(part.messages.start, at, "parts tile the segment");
            assert!(part.messages.end > at);
            assert!(part.duration <= listing.part_target.unwrap());
            at = part.messages.end;
            let key = (segment.number, index as u64);
            let known = self.parts.entry(key).or_insert_with(|| part.clone());
            assert_eq!(known, part, "it has changed");
        }
        if !parts.is_empty() && end < u64::MAX {
            assert_eq!(at, end, "parts tile the segment");
            let bytes: u64 = parts.iter().map(|part| u64::from(part.bytes)).sum();
            assert_eq!(bytes, segment.bytes, "parts tile the segment");
        }
    }
}

proptest! {
    #[test]
    fn what_was_listed_never_changes_and_is_in_the_log(steps in steps(), has_audio in any::<bool>()) {
        let mut stream = TestStream::new();
        let mut seen = Seen::default();
        for step in steps {
            match step {
                Step::Frame { step, is_keyframe } => {
                    if stream.tracks.0 > 0 {
                        stream.late_frame(step, is_keyframe, 0);
                    }
                }
                Step::Audio => {
                    if has_audio && stream.tracks.1 > 0 {
                        stream.audio();
                    }
                }
                Step::AudioFor { ms } => {
                    if has_audio && stream.tracks.1 > 0 {
                        stream.audio_for(ms);
                    }
                }
                Step::Return { after } => {
                    stream.segments.cut_off();
                    stream.time += after;
                }
                Step::Headers { video, audio } => stream.tracks = (video, audio),
                Step::Evict { count } => stream.log_start = (stream.log_start + count).min(stream.number()),
                Step::Ask => {
                    stream.segments.prune(stream.log_start);
                    if !stream.segments.promise() {
                        continue;
                    }
                    let log_start = stream.log_start;
                    let Some(listing) = stream.segments.listing(false, &|number| number >= log_start) else {
                        continue;
                    };
                    seen.check(&listing, &stream);
                    if listing.part_target.is_some() {
                        seen.hints.push(listing.next);
                        prop_assert_eq!(stream.segments.part(listing.next.0, listing.next.1), Lookup::NotYet);
                    }
                    prop_assert_eq!(stream.segments.has(Wanted::Part(listing.next.0, listing.next.1)), Lookup::NotYet);
                }
            }
            // A preload hint comes true, unless the log has lost the part.
            if let Some((number, part)) = seen.hints.last().copied() {
                match stream.segments.part(number, part) {
                    Lookup::Found((part, _)) => prop_assert!(!part.messages.is_empty()),
                    Lookup::NotYet => {}
                    Lookup::Missing => {
                        let is_lost = stream.segments.segment(number).is_none();
                        prop_assert!(is_lost, "no part {} of {}", part, number);
                        seen.hints.clear();
                    }
                }
            }
            prop_assert!(stream.segments.lists.segments.len <= MAX_SEGMENTS);
            prop_assert!(stream.segments.lists.parts.len <= MAX_PARTS);
        }
    }
}
