use std::collections::HashMap;

use proptest::prelude::*;

use super::lists::{MAX_PARTS, MAX_SEGMENTS};
use super::*;
use crate::live::arena::Arena;

/// Of a message, by its number: no two of the next hundreds take the same.
fn message_len(number: u64) -> u32 {
    900 + (number * 37 % 211) as u32
}

/// A stream under construction: what is appended, and what the log holds of it.
struct Source {
    segments: Segments,
    number: u64,
    time: u64,
    version: u32,
    log_start: u64,
    /// Messages that aren't pictures.
    sounds: Vec<u64>,
}

impl Source {
    fn new() -> Source {
        let mut segments = Segments::default();
        segments.set_block(Arena::new(0).take().unwrap());
        Source {
            segments,
            number: 0,
            time: 10_000,
            version: 1,
            log_start: 0,
            sounds: Vec::new(),
        }
    }

    fn add(&mut self, is_boundary: bool, is_join_point: bool) -> bool {
        let unit = Unit {
            number: self.number,
            time: self.time,
            arrived: self.time - 9_000,
            len: message_len(self.number),
            version: self.version,
            is_boundary,
            is_join_point,
        };
        self.number += 1;
        self.segments.prune(self.log_start);
        self.segments.add(&unit, 1_000_000)
    }

    /// A picture, this many ms after the one before; a sound follows.
    fn picture(&mut self, step: u64, is_keyframe: bool) -> bool {
        self.time += step;
        let is_news = self.add(true, is_keyframe);
        self.sounds.push(self.number);
        self.add(false, false) || is_news
    }

    /// GOPs of so many pictures, 40 ms apart.
    fn gops(&mut self, gops: u32, pictures: u32) {
        for index in 0..gops * pictures {
            self.picture(40, index % pictures == 0);
        }
    }

    fn listing(&mut self) -> Listing {
        self.segments.prune(self.log_start);
        assert!(self.segments.promise(), "nothing to list");
        let log_start = self.log_start;
        let listing = self.segments.listing(false, &|number| number >= log_start);
        listing.expect("something to list")
    }

    fn lengths(&mut self) -> Vec<u32> {
        let listing = self.listing();
        let lengths = listing.segments.iter().map(|segment| segment.duration);
        lengths.collect()
    }

    fn part_lengths(&mut self, number: u64) -> Vec<u32> {
        let listing = self.listing();
        let segment = listing.segments.iter().chain(&listing.open);
        let segment = segment.clone().find(|segment| segment.number == number);
        let parts = listing.parts(segment.unwrap());
        parts.iter().map(|part| part.duration).collect()
    }
}

#[test]
fn segments_begin_at_keyframes_once_they_are_long_enough() {
    for (name, pictures, expected, target) in [
        ("each second", 25, vec![2_000; 4], 2),
        ("every two seconds", 50, vec![2_000; 4], 2),
        ("1.2 s", 30, vec![2_400; 4], 3),
        ("4 s", 100, vec![4_000; 4], 4),
        ("8.32 s", 208, vec![8_320; 5], 9),
    ] {
        let mut source = Source::new();
        source.gops(10, pictures);
        assert_eq!(source.lengths(), expected, "{name}");
        assert_eq!(source.segments.target(), Some(target), "{name}");
        assert!(
            source
                .listing()
                .segments
                .iter()
                .all(|segment| segment.is_independent)
        );
    }
}

#[test]
fn a_part_ends_before_the_picture_that_would_make_it_too_long() {
    for (name, step, expected) in [
        ("25 pictures a second", 40, [520, 520, 520, 440, 0]),
        ("50", 20, [520, 520, 520, 440, 0]),
        ("24", 41, [492, 492, 492, 492, 41]),
        ("15", 66, [462, 462, 462, 462, 198]),
        ("10", 100, [1_000, 1_000, 0, 0, 0]),
    ] {
        let mut source = Source::new();
        let pictures = 2_000_u64.div_ceil(step);
        for index in 0..5 * pictures {
            source.picture(step, index % pictures == 0);
        }
        let expected: Vec<_> = expected.into_iter().filter(|length| *length > 0).collect();
        // The first segment was cut before it was known how fast the pictures come.
        let newest = source.listing().segments.last().unwrap().number;
        assert_eq!(source.part_lengths(newest), expected, "{name}");
    }
}

#[test]
fn slow_pictures_have_no_parts() {
    let mut source = Source::new();
    for index in 0..40 {
        source.picture(250, index % 8 == 0);
    }
    let listing = source.listing();
    assert_eq!((listing.part_target, listing.target), (None, 2));
    assert_eq!(listing.open, None);
    assert!(
        listing
            .segments
            .iter()
            .all(|segment| listing.parts(segment).is_empty())
    );
    // A part is as good as its segment.
    let newest = listing.segments.last().unwrap().number;
    assert_eq!(source.segments.has(Wanted::Part(newest, 9)), Found::Yes(()));
    assert_eq!(
        source.segments.has(Wanted::Part(newest + 1, 0)),
        Found::NotYet
    );
}

#[test]
fn a_picture_that_is_late_leaves_the_one_before_to_the_next_part() {
    let mut source = Source::new();
    source.gops(2, 50);
    source.listing();
    source.picture(40, true);
    for _ in 0..10 {
        source.picture(40, false);
    }
    // Expected at 440 ms, which a part can hold.
    source.picture(160, false);
    source.picture(40, false);
    assert_eq!(source.part_lengths(3), [400]);
    assert_eq!(source.segments.next(), (3, 1));
    for _ in 0..8 {
        source.picture(40, false);
    }
    assert_eq!(source.part_lengths(3), [400, 520]);
}

#[test]
fn who_asks_before_a_segment_is_complete_gets_the_parts_so_far_as_one() {
    let mut source = Source::new();
    source.picture(40, true);
    for _ in 0..24 {
        source.picture(40, false);
    }
    assert!(!source.segments.promise(), "one second isn't complete");
    for _ in 0..30 {
        source.picture(40, false);
    }
    let listing = source.listing();
    let [only] = &listing.segments[..] else {
        panic!("{listing:?}")
    };
    assert_eq!((only.duration, only.is_independent), (2_080, true));
}

#[test]
fn a_gop_longer_than_promised_is_cut_at_a_picture() {
    let mut source = Source::new();
    source.gops(4, 50);
    source.listing();
    source.gops(1, 300);
    source.gops(3, 50);
    let listing = source.listing();
    let what: Vec<_> = listing
        .segments
        .iter()
        .map(|segment| (segment.duration, segment.is_independent))
        .collect();
    // 12 s are four times 2.44 s and a rest, which ends at the next keyframe however short it is.
    assert_eq!(what[0], (2_440, false));
    assert_eq!(what[1..], [(2_240, false), (2_000, true), (2_000, true)]);
}

#[test]
fn a_publisher_that_returns_leaves_a_discontinuity_and_no_hole() {
    let mut source = Source::new();
    source.gops(3, 50);
    source.listing();
    source.gops(1, 20);
    assert!(source.segments.cut_off());
    assert!(!source.segments.cut_off());
    assert_eq!(source.segments.next(), (5, 0));
    source.time += 20_000;
    source.gops(3, 50);
    let listing = source.listing();
    let what: Vec<_> = listing
        .segments
        .iter()
        .map(|segment| {
            (
                segment.duration,
                segment.has_discontinuity,
                segment.discontinuities,
            )
        })
        .collect();
    assert_eq!(
        what,
        [
            (2_000, false, 0),
            (2_000, false, 0),
            (800, false, 0),
            (2_000, true, 0),
            (2_000, false, 1)
        ]
    );
    let [.., before, after, _] = &listing.segments[..] else {
        panic!()
    };
    assert_eq!(after.date - before.date, 20_800);
}

#[test]
fn another_init_segment_ends_the_segment_and_waits_for_a_keyframe() {
    let mut source = Source::new();
    source.gops(3, 50);
    source.listing();
    source.version = 2;
    let end = source.number;
    assert!(source.picture(40, false));
    source.picture(40, false);
    source.gops(2, 50);
    let listing = source.listing();
    let [.., before, after] = &listing.segments[..] else {
        panic!()
    };
    assert_eq!((before.version, before.messages.end), (1, end));
    assert_eq!((after.version, after.messages.start), (2, end + 4));
    assert!(after.has_discontinuity);
}

#[test]
fn dates_follow_the_media_and_not_the_network() {
    let mut source = Source::new();
    source.gops(1, 50);
    for index in 0..200 {
        source.time += 40;
        let unit = Unit {
            number: source.number,
            time: source.time,
            // Some come half a second late.
            arrived: source.time - 9_000 + [0, 500][usize::from(index == 100)],
            len: 1_000,
            version: 1,
            is_boundary: true,
            is_join_point: index % 50 == 0,
        };
        source.number += 1;
        source.segments.add(&unit, 1_000_000);
    }
    let dates: Vec<_> = source.listing().segments.iter().map(|s| s.date).collect();
    let steps: Vec<_> = dates.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(steps, [2_000, 2_000, 2_001]);
}

#[test]
fn what_is_asked_for_is_there_or_comes_or_is_refused() {
    let mut source = Source::new();
    source.gops(3, 50);
    source.listing();
    // Segments 1 and 2 are complete; of 3 three parts: its last picture is at 1960 ms.
    let part = Wanted::Part;
    for (wanted, found) in [
        (Wanted::Segment(1), Found::Yes(())),
        (Wanted::Segment(2), Found::Yes(())),
        (Wanted::Segment(3), Found::NotYet),
        (Wanted::Segment(4), Found::NotYet),
        (Wanted::Segment(5), Found::No),
        (Wanted::Segment(u64::MAX), Found::No),
        (part(1, 77), Found::Yes(())),
        (part(2, 3), Found::Yes(())),
        (part(2, 4), Found::Yes(())),
        (part(3, 2), Found::Yes(())),
        (part(3, 3), Found::NotYet),
        (part(3, 8), Found::NotYet),
        (part(3, 9), Found::No),
        (part(4, 0), Found::NotYet),
        (part(4, 6), Found::No),
        (part(5, 0), Found::No),
        (part(u64::MAX, u64::MAX), Found::No),
    ] {
        assert_eq!(source.segments.has(wanted), found, "{wanted:?}");
    }
    source.gops(1, 1);
    assert_eq!(source.segments.has(part(3, 3)), Found::Yes(()));
    assert_eq!(
        source.segments.has(part(3, 4)),
        Found::NotYet,
        "part 0 of 4"
    );
    assert_eq!(source.segments.part(4, 0), Found::NotYet);
    assert_eq!(source.segments.part(4, 1), Found::No);
    assert_eq!(source.segments.part(3, 4), Found::No);
    assert!(matches!(source.segments.part(3, 3), Found::Yes(_)));
}

#[test]
fn sound_alone_is_cut_anywhere() {
    let mut source = Source::new();
    for _ in 0..400 {
        source.time += 23;
        source.add(true, true);
    }
    assert_eq!(source.lengths(), [1_909; 4]);
    assert_eq!(source.part_lengths(4), [506, 506, 506, 391]);
}

#[test]
fn only_what_is_safe_in_the_log_is_listed_and_what_was_left_out_stays_out() {
    let mut source = Source::new();
    source.gops(6, 50);
    source.listing();
    let from = |listing: Option<Listing>| listing.map(|listing| listing.segments[0].number);
    assert_eq!(from(source.segments.listing(false, &|_| true)), Some(2));
    assert_eq!(
        from(source.segments.listing(false, &|number| number >= 300)),
        Some(4)
    );
    assert_eq!(from(source.segments.listing(false, &|_| true)), Some(4));
    assert_eq!(from(source.segments.listing(false, &|_| false)), None);
}

#[derive(Clone, Debug)]
enum Step {
    Picture { step: u64, is_keyframe: bool },
    Sound,
    Return { after: u64 },
    Headers,
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
            .prop_map(|(step, is_keyframe)| Step::Picture { step, is_keyframe }),
        100 => Just(Step::Sound),
        1 => (0..30_000_u64).prop_map(|after| Step::Return { after }),
        1 => Just(Step::Headers),
        3 => (0..300_u64).prop_map(|count| Step::Evict { count }),
        10 => Just(Step::Ask),
    ];
    prop::collection::vec(step, 1..1_500)
}

/// What must never change once it was seen.
#[derive(Default)]
struct Seen {
    segments: HashMap<u64, Segment>,
    parts: HashMap<(u64, u64), Part>,
    sequence: u64,
    discontinuity_sequence: u32,
    target: Option<(u32, Option<u32>)>,
    hints: Vec<(u64, u64)>,
}

impl Seen {
    fn check(&mut self, listing: &Listing, log_start: u64) {
        let promise = (listing.target, listing.part_target);
        assert_eq!(*self.target.get_or_insert(promise), promise);
        let first = listing.segments.first().unwrap();
        assert!(first.number >= self.sequence);
        self.sequence = first.number;
        assert!(first.discontinuities >= self.discontinuity_sequence);
        self.discontinuity_sequence = first.discontinuities;

        let mut expected = first.clone();
        for segment in &listing.segments {
            assert!(segment.messages.start >= log_start, "it has left the log");
            assert!(segment.messages.start < segment.messages.end);
            assert_eq!(segment.number, expected.number);
            assert_eq!(segment.discontinuities, expected.discontinuities);
            let bytes = segment.messages.clone().map(|n| u64::from(message_len(n)));
            assert_eq!(segment.bytes, bytes.sum::<u64>(), "its length is known");
            assert!(segment.messages.start >= expected.messages.start);
            assert!(
                segment.duration + 500 < listing.target * 1_000 + 1_000,
                "{segment:?}"
            );
            if !segment.has_discontinuity && segment.version == expected.version {
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
        }
    }
}

proptest! {
    #[test]
    fn what_was_listed_once_stays_as_it_is_and_is_in_the_log(steps in steps(), has_sound in any::<bool>()) {
        let mut source = Source::new();
        let mut seen = Seen::default();
        for step in steps {
            match step {
                Step::Picture { step, is_keyframe } => {
                    source.time += step;
                    source.add(true, is_keyframe);
                }
                Step::Sound => {
                    let number = source.number;
                    if has_sound {
                        source.add(false, false);
                        source.sounds.push(number);
                    }
                }
                Step::Return { after } => {
                    source.segments.cut_off();
                    source.time += after;
                }
                Step::Headers => source.version += 1,
                Step::Evict { count } => source.log_start = (source.log_start + count).min(source.number),
                Step::Ask => {
                    source.segments.prune(source.log_start);
                    if !source.segments.promise() {
                        continue;
                    }
                    let log_start = source.log_start;
                    let Some(listing) = source.segments.listing(false, &|number| number >= log_start) else {
                        continue;
                    };
                    seen.check(&listing, log_start);
                    if listing.part_target.is_some() {
                        seen.hints.push(listing.next);
                        prop_assert_eq!(source.segments.part(listing.next.0, listing.next.1), Found::NotYet);
                    }
                    prop_assert_eq!(source.segments.has(Wanted::Part(listing.next.0, listing.next.1)), Found::NotYet);
                }
            }
            // A hint comes true, unless the log has lost it.
            if let Some((number, part)) = seen.hints.last().copied() {
                match source.segments.part(number, part) {
                    Found::Yes((messages, _)) => prop_assert!(messages.start < messages.end),
                    Found::NotYet => {}
                    Found::No => {
                        let is_lost = source.segments.segment(number).is_none();
                        prop_assert!(is_lost, "no part {} of {}", part, number);
                        seen.hints.clear();
                    }
                }
            }
            prop_assert!(source.segments.lists.segments.len <= MAX_SEGMENTS);
            prop_assert!(source.segments.lists.parts.len <= MAX_PARTS);
        }
    }
}

#[test]
fn while_nobody_watches_a_few_are_listed_and_the_newest_ones_stay_when_the_block_goes() {
    let mut source = Source::new();
    source.gops(20, 50);
    let all = source.listing();
    source.segments.note_viewer([127, 0, 0, 1].into(), 0, 100);
    assert_eq!(source.segments.viewers(99, 100), 1);
    source.segments.shrink();
    assert!(!source.segments.has_block());
    let few = source.listing();
    assert_eq!(
        few.segments,
        all.segments[all.segments.len() - few.segments.len()..]
    );
    assert_eq!((few.open, few.next), (all.open, all.next));
    assert_eq!(source.segments.lists.parts.len, 24);
    assert_eq!(source.segments.viewers(0, 100), 0);
    source.gops(3, 50);
    assert_eq!(source.segments.lists.segments.len, 4);
    let before = source.listing();
    source.segments.set_block(Arena::new(0).take().unwrap());
    assert_eq!(source.listing(), before);
    source.gops(3, 50);
    assert_eq!(source.segments.lists.segments.len, 7);
}
