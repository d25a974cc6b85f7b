use std::collections::HashMap;

use proptest::prelude::*;

use super::lists::{MAX_PARTS, MAX_SEGMENTS};
use super::*;
use crate::live::arena::Arena;

/// Of a message, by its number: no two of the next hundreds take the same.
fn message_len(number: u64) -> u32 {
    900 + (number * 37 % 211) as u32
}

/// A message of the log.
#[derive(Clone, Copy, Debug)]
struct Message {
    is_picture: bool,
    is_keyframe: bool,
    /// Its track's configuration.
    config: u8,
    /// In decode time.
    time: u64,
    end: u64,
}

/// A stream under construction: what is appended, and what the log holds of it.
struct Source {
    segments: Segments,
    messages: Vec<Message>,
    /// When the newest picture was due, and how much earlier it was decoded.
    time: u64,
    step: u64,
    interval: u64,
    /// For how long there have been only sounds since, in ms.
    alone: u64,
    /// Configurations of the video and audio that come; 0: there is none.
    tracks: (u8, u8),
    versions: Vec<(u32, (u8, u8))>,
    log_start: u64,
    max_bytes: u64,
}

impl Source {
    fn new() -> Source {
        let mut segments = Segments::default();
        segments.set_block(Arena::new(0).take().unwrap());
        Source {
            segments,
            messages: Vec::new(),
            time: 10_000,
            step: 40,
            interval: 0,
            alone: 0,
            tracks: (1, 1),
            versions: Vec::new(),
            log_start: 0,
            max_bytes: 1_000_000,
        }
    }

    fn number(&self) -> u64 {
        self.messages.len() as u64
    }

    /// As the stream finds it.
    fn version(&mut self) -> u32 {
        let mut version = 1;
        if let Some((newest, tracks)) = self.versions.last().copied() {
            if tracks == self.tracks {
                return newest;
            }
            if tracks.1 != self.tracks.1 {
                self.segments.forget_sounds();
            }
            version = newest + 1;
        }
        let used = self.segments.newest_version();
        self.versions.retain(|(version, _)| used >= Some(*version));
        match self.versions.last() {
            Some((used, tracks)) if *tracks == self.tracks => *used,
            _ => {
                self.versions.push((version, self.tracks));
                version
            }
        }
    }

    fn tracks_of(&self, version: u32) -> (u8, u8) {
        let found = self.versions.iter().find(|(known, _)| *known == version);
        found.unwrap().1
    }

    fn add(&mut self, message: Message, arrived: u64) -> bool {
        let (number, is_picture) = (self.number(), message.is_picture);
        self.messages.push(message);
        self.segments.prune(self.log_start);
        let version = self.version();
        let open = self.segments.newest_version();
        let open = self.tracks_of(open.unwrap_or(version));
        let now = self.tracks;
        let unit = Unit {
            number,
            time: message.time,
            end: message.end,
            arrived,
            len: message_len(number),
            version,
            is_picture,
            fits: match is_picture {
                true => open.0 == now.0,
                false => open.1 == now.1,
            },
            is_boundary: (open.0 > 0) == is_picture,
            is_join_point: (now.0 > 0) == is_picture && (!is_picture || message.is_keyframe),
        };
        self.segments.add(&unit, self.max_bytes)
    }

    /// A picture alone, this many ms after the one before, which comes late.
    fn late_picture(&mut self, step: u64, is_keyframe: bool, delay: u64) -> bool {
        self.time += step;
        let step = step + std::mem::take(&mut self.alone);
        // After a pause the media clock begins anew.
        if !(is_keyframe && step > 1_000.max(self.interval * 3 / 2)) {
            self.step = step;
        }
        self.interval = step;
        let message = Message {
            is_picture: true,
            is_keyframe,
            config: self.tracks.0,
            time: self.time - self.step,
            end: self.time,
        };
        self.add(message, self.time - 9_000 + delay)
    }

    fn sound(&mut self) -> bool {
        let message = Message {
            is_picture: false,
            is_keyframe: false,
            config: self.tracks.1,
            time: self.time,
            end: self.time + 23,
        };
        self.add(message, self.time - 9_000)
    }

    /// Sounds for so many ms while the pictures pause.
    fn sounds(&mut self, ms: u64) {
        for _ in 0..ms / 23 {
            self.time += 23;
            self.alone += 23;
            self.sound();
        }
    }

    /// A picture, this many ms after the one before; a sound follows.
    fn picture(&mut self, step: u64, is_keyframe: bool) -> bool {
        let is_news = self.late_picture(step, is_keyframe, 0);
        self.sound() || is_news
    }

    /// GOPs of so many pictures, 40 ms apart.
    fn gops(&mut self, gops: u32, pictures: u32) {
        for index in 0..gops * pictures {
            self.picture(40, index % pictures == 0);
        }
    }

    /// The numbers of what is in a segment.
    fn in_segment(&self, segment: &Segment) -> Vec<u64> {
        let has = |number: &u64| {
            let message = &self.messages[*number as usize];
            segment.share.has(*number, message.is_picture)
        };
        segment.messages.clone().filter(has).collect()
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
        ("10 s", 250, vec![10_000; 4], 10),
        ("10.4 s", 260, vec![10_400; 4], 10),
        ("1.8 s", 45, vec![3_600; 4], 4),
        ("4 s", 100, vec![4_000; 4], 4),
        ("8.32 s", 208, vec![8_320; 4], 9),
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
fn a_picture_that_is_late_begins_the_next_part() {
    let mut source = Source::new();
    source.gops(2, 50);
    source.listing();
    source.picture(40, true);
    for _ in 0..10 {
        source.picture(40, false);
    }
    // It lasts from 440 ms on.
    source.picture(160, false);
    assert_eq!(source.part_lengths(3), [440]);
    for _ in 0..10 {
        source.picture(40, false);
    }
    assert_eq!(source.part_lengths(3), [440, 520]);
    assert_eq!(source.segments.next(), (3, 2));
}

#[test]
fn keyframes_begin_parts_if_these_can_be_long_enough() {
    for (pictures, expected, independent) in [
        (25, [520, 480, 520, 480, 0], vec![0, 2]),
        (12, [480, 480, 480, 480, 0], vec![0, 1, 2, 3]),
        // They are in the middle.
        (20, [520, 520, 520, 520, 320], vec![0]),
    ] {
        let mut source = Source::new();
        source.gops(16, pictures);
        let expected: Vec<_> = expected.into_iter().filter(|length| *length > 0).collect();
        let listing = source.listing();
        let newest = listing.segments.last().unwrap();
        assert_eq!(source.part_lengths(newest.number), expected, "{pictures}");
        let parts = listing.parts(newest).iter().enumerate();
        let with_keyframe = parts.filter(|(_, part)| part.is_independent);
        let with_keyframe: Vec<_> = with_keyframe.map(|(index, _)| index).collect();
        assert_eq!(with_keyframe, independent, "{pictures}");
    }
}

#[test]
fn nothing_is_promised_before_a_segment_is_complete() {
    let mut source = Source::new();
    source.gops(1, 100);
    assert!(!source.segments.promise());
    assert_eq!(source.segments.target(), None);
    source.gops(1, 60);
    let listing = source.listing();
    let [only] = &listing.segments[..] else {
        panic!("{listing:?}")
    };
    assert_eq!((only.duration, only.is_independent), (4_000, true));
    assert_eq!(listing.target, 4);
}

#[test]
fn the_target_duration_grows_with_a_longer_gop_and_one_of_more_than_ten_seconds_is_cut() {
    let mut source = Source::new();
    source.gops(4, 50);
    assert_eq!(source.listing().target, 2);
    source.gops(1, 225);
    assert_eq!(source.listing().target, 2, "it isn't listed");
    source.gops(1, 300);
    assert_eq!(source.listing().target, 10);
    source.gops(2, 50);
    let listing = source.listing();
    let what: Vec<_> = listing
        .segments
        .iter()
        .map(|segment| (segment.duration, segment.is_independent))
        .collect();
    // What is left of the 12 s ends at the next keyframe, however short it is.
    let expected = [
        (2_000, true),
        (9_000, true),
        (10_440, true),
        (1_560, false),
        (2_000, true),
    ];
    assert_eq!(what[what.len() - 5..], expected);
    assert_eq!(listing.target, 10);
}

#[test]
fn a_segment_whose_first_picture_lasts_for_seconds_is_no_longer_than_others() {
    let mut source = Source::new();
    for (step, is_keyframe) in [
        (30, true),
        (5_000, false),
        (5_000, true),
        (30, true),
        (5_000, false),
        (5_000, false),
    ] {
        source.late_picture(step, is_keyframe, 0);
    }
    let listing = source.listing();
    assert_eq!((listing.segments[0].duration, listing.target), (5_030, 10));
    source.gops(2, 50);
    assert_eq!(source.lengths(), [5_030, 10_030, 5_000, 2_000]);
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
fn of_a_publisher_that_goes_just_after_a_keyframe_nothing_is_left() {
    for (pictures, is_left) in [(1, false), (4, false), (5, true), (14, true)] {
        let mut source = Source::new();
        source.gops(3, 50);
        source.listing();
        source.gops(1, pictures);
        let hint = source.segments.next();
        assert_eq!(source.segments.cut_off(), is_left, "{pictures}");
        assert_eq!(source.segments.next(), (4 + u64::from(is_left), 0));
        assert!(hint.0 == 4, "{hint:?}");
        source.time += 5_000;
        // It may do so once more.
        source.gops(1, 1);
        source.segments.cut_off();
        source.time += 5_000;
        source.gops(2, 50);
        let listing = source.listing();
        let newest = listing.segments.last().unwrap();
        assert_eq!(newest.number, 4 + u64::from(is_left));
        assert!(newest.has_discontinuity);
        assert_eq!(newest.discontinuities, 0);
        assert_eq!(listing.open.unwrap().discontinuities, 1);
        assert!(matches!(source.segments.part(4, 0), Found::Yes(_)));
    }
}

#[test]
fn a_clock_that_is_put_forward_takes_the_dates_with_it() {
    let mut source = Source::new();
    source.gops(3, 50);
    source.listing();
    let ahead = 900;
    source.time += ahead;
    for index in 0..101 {
        source.time += 40;
        let message = Message {
            is_picture: true,
            is_keyframe: index % 50 == 0,
            config: 1,
            time: source.time - 40,
            end: source.time,
        };
        source.add(message, source.time - 9_000 - ahead);
    }
    let listing = source.listing();
    let last = listing.segments.last().unwrap();
    assert_eq!(last.date, last.start + 40 - 9_000 - ahead);
}

/// Numbers of pictures and sounds: 2n and 2n + 1.
#[test]
fn at_other_parameters_every_picture_and_sound_goes_to_its_own_segment() {
    // What changes after 30 pictures of the GOP, and after how many more a keyframe comes.
    for (name, tracks, later, last_picture, last_sound, first_sound) in [
        ("sound at the keyframe", (1, 2), 0, 358, 359, 361),
        ("sound shortly before", (1, 2), 5, 368, 359, 361),
        ("sound a moment before", (1, 2), 20, 398, 359, 361),
        ("sound long before", (1, 2), 30, 418, 359, 421),
        ("picture at the keyframe", (2, 1), 0, 358, 359, 361),
        ("pictures that nobody can decode", (2, 1), 5, 358, 369, 371),
        ("both", (2, 2), 0, 358, 359, 361),
        ("both, shortly before", (2, 2), 5, 358, 359, 361),
        ("no more sound", (1, 0), 0, 358, 359, u64::MAX),
    ] {
        let mut source = Source::new();
        source.gops(3, 50);
        source.listing();
        source.gops(1, 30);
        assert_eq!(source.number(), 360);
        source.tracks = tracks;
        for _ in 0..later {
            source.picture(40, false);
        }
        let keyframe = source.number();
        source.gops(2, 50);
        let listing = source.listing();
        let [.., before, after] = &listing.segments[..] else {
            panic!()
        };
        assert_eq!((before.version, after.version), (1, 2), "{name}");
        assert!(after.has_discontinuity && !before.has_discontinuity);
        let of = |segment, is_picture: bool| {
            let numbers = source.in_segment(segment);
            let rest = u64::from(!is_picture);
            let own = numbers.into_iter().filter(move |number| number % 2 == rest);
            own.collect::<Vec<_>>()
        };
        let all = |from: u64, to: u64| (from..=to).step_by(2).collect::<Vec<_>>();
        assert_eq!(of(before, true), all(300, last_picture), "{name}");
        assert_eq!(of(before, false), all(301, last_sound), "{name}");
        assert_eq!(of(after, true), all(keyframe, keyframe + 98), "{name}");
        if first_sound < u64::MAX {
            assert_eq!(of(after, false), all(first_sound, keyframe + 99), "{name}");
        }
        assert_eq!(after.duration, 2_000);
        let pictures = (last_picture - 298) / 2;
        let left_out = (keyframe - 2 - last_picture) / 2;
        // Sound alone isn't so long here that it counts.
        assert_eq!(
            u64::from(before.duration),
            pictures * 40,
            "{name} {left_out}"
        );
    }
}

#[test]
fn sound_that_begins_late_doesnt_keep_pictures_from_being_listed() {
    let mut source = Source::new();
    source.tracks.1 = 0;
    for index in 0..250 {
        source.late_picture(40, index % 100 == 0, 0);
    }
    source.listing();
    let before = source.segments.next();
    source.tracks.1 = 1;
    for _ in 0..40 {
        source.picture(40, false);
    }
    assert_eq!(source.segments.next(), (before.0, before.1 + 3));
    for _ in 0..10 {
        source.picture(40, false);
    }
    let keyframe = source.number();
    source.picture(40, true);
    let newest = source.listing().segments.last().cloned().unwrap();
    assert_eq!((newest.duration, newest.version), (4_000, 1));
    let is_sound = |number: &u64| !source.messages[*number as usize].is_picture;
    assert!(!source.in_segment(&newest).iter().any(is_sound));
    let open = source.segments.open.as_ref().unwrap();
    assert_eq!(open.segment.messages.start, keyframe);
    assert_eq!(
        (open.segment.version, open.segment.has_discontinuity),
        (2, true)
    );
}

#[test]
fn pictures_that_join_sound_begin_with_a_keyframe_and_sound_goes_on_until_then() {
    let mut source = Source::new();
    source.tracks = (0, 1);
    let sound = |source: &mut Source| {
        source.time += 23;
        source.sound();
    };
    (0..200).for_each(|_| sound(&mut source));
    source.listing();
    source.tracks = (1, 1);
    (0..100).for_each(|_| sound(&mut source));
    assert_eq!(source.lengths(), [1_909; 3]);
    let keyframe = source.number();
    source.picture(0, true);
    let listing = source.listing();
    let newest = listing.segments.last().unwrap();
    // 300 frames, of which 3 * 83 are listed before.
    assert_eq!((newest.duration, newest.messages.end), (51 * 23, keyframe));
    source.gops(1, 60);
    source.gops(1, 1);
    let listing = source.listing();
    let newest = listing.segments.last().unwrap();
    assert_eq!((newest.version, newest.messages.start), (2, keyframe));
}

#[test]
fn what_pauses_leaves_a_discontinuity_if_it_is_longer_than_a_segment_may_be() {
    for (pause, expected) in [
        (900, (2_000, false)),
        (1_200, (2_000, true)),
        (30_000, (2_000, true)),
    ] {
        let mut source = Source::new();
        source.gops(4, 50);
        source.listing();
        source.picture(pause, true);
        source.gops(2, 60);
        let listing = source.listing();
        let after = listing.segments.last().unwrap();
        let before = &listing.segments[listing.segments.len() - 2];
        let what = (before.duration, after.has_discontinuity);
        assert_eq!(what, expected, "{pause}");
    }
}

#[test]
fn dates_follow_the_media_and_not_the_network() {
    let mut source = Source::new();
    // The first ones come late: they were waiting somewhere.
    for index in 0..400 {
        let delay = match index {
            0..10 => 700 - index * 40,
            // So do those of some seconds.
            120..270 => 500,
            _ => 30,
        };
        source.late_picture(40, index % 50 == 0, delay);
        if index == 60 {
            source.listing();
        }
    }
    let segments = source.listing().segments;
    for segment in &segments {
        // Its first picture was due one step after its decode time.
        let truth = segment.start + 40 - 9_000 + 30;
        assert!(segment.date.abs_diff(truth) <= 2, "{segment:?} {truth}");
    }
}

#[test]
fn a_date_that_was_wrong_is_led_to_the_right_one_slowly() {
    let mut source = Source::new();
    for index in 0..1_000 {
        let delay = if index < 150 { 100 } else { 0 };
        source.late_picture(40, index % 50 == 0, delay);
        if index % 50 == 49 && index > 100 {
            source.listing();
        }
    }
    let held: Vec<_> = source.segments.lists.all_segments().collect();
    for pair in held.windows(2) {
        let step = pair[1].date - pair[0].date;
        assert!((1_990..=2_001).contains(&step), "{step}");
    }
    let last = held.last().unwrap();
    assert_eq!(last.date, last.start + 40 - 9_000);
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
    source.tracks = (0, 1);
    for _ in 0..400 {
        source.time += 23;
        source.sound();
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

#[test]
fn while_pictures_pause_sounds_cut_segments_and_a_keyframe_begins_the_next_one() {
    // What comes behind the segments of sounds alone: length and pictures.
    for (is_keyframe, expected) in [
        (true, [(1_173, 0), (1_977, 50), (2_000, 50)]),
        // It is in the segment of the sounds, up to the next keyframe.
        (false, [(1_909, 0), (2_150, 25), (2_000, 50)]),
    ] {
        let mut source = Source::new();
        source.gops(3, 50);
        source.listing();
        source.gops(1, 25);
        source.sounds(8_000);
        source.picture(40, is_keyframe);
        for _ in 0..24 + 25 * u32::from(is_keyframe) {
            source.picture(40, false);
        }
        source.gops(1, 50);
        source.picture(40, true);
        let all: Vec<_> = source.segments.lists.all_segments().collect();
        for pair in all.windows(2) {
            let end = pair[0].start + u64::from(pair[0].duration);
            assert_eq!((pair[1].start, pair[1].has_discontinuity), (end, false));
        }
        let newest: Vec<_> = all.iter().rev().take(3).rev().collect();
        let what: Vec<_> = newest.iter().map(|s| (s.duration, s.pictures)).collect();
        assert_eq!(what, expected, "{is_keyframe}");
        let are_independent: Vec<_> = newest.iter().map(|s| s.is_independent).collect();
        assert_eq!(are_independent, [false, is_keyframe, true]);
    }
}

#[test]
fn behind_a_single_picture_sounds_cut_segments_too() {
    let mut source = Source::new();
    source.gops(1, 1);
    source.sounds(10_000);
    assert_eq!(source.lengths(), [3_053, 1_909, 1_909, 1_909]);
}

/// Pictures of every few seconds are decoded where the ones before were due, which others are not.
#[test]
fn a_segment_is_as_long_as_its_sounds_where_pictures_are_decoded_seconds_early() {
    for pauses in [
        // A property test found it: the first pause was taken for what is usual.
        &[(7_912, false), (3_519, true)][..],
        // What is usual: keyframes, and others of which one is cut for a GOP that is too long.
        &[(5_000, true); 6],
        &[(5_000, false); 6],
        &[(9_000, true), (2_500, false), (9_000, true), (9_000, true)],
    ] {
        let mut source = Source::new();
        source.gops(1, 1);
        for (pause, is_keyframe) in pauses {
            source.sounds(*pause);
            source.picture(40, *is_keyframe);
        }
        source.gops(2, 50);
        let all: Vec<_> = source.segments.lists.all_segments().collect();
        for segment in &all {
            let end = segment.start + u64::from(segment.duration);
            let times = source.in_segment(segment).into_iter().map(|number| {
                let message = source.messages[number as usize];
                if message.is_picture {
                    end
                } else {
                    message.time
                }
            });
            let last = times.max().unwrap();
            assert!(
                last < end + 1_050,
                "until {last}: {segment:?} of {pauses:?}"
            );
        }
        for pair in all.windows(2) {
            let end = pair[0].start + u64::from(pair[0].duration);
            assert_eq!((pair[1].start, pair[1].has_discontinuity), (end, false));
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Picture { step: u64, is_keyframe: bool },
    Sound,
    Sounds { ms: u64 },
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
            .prop_map(|(step, is_keyframe)| Step::Picture { step, is_keyframe }),
        100 => Just(Step::Sound),
        2 => (23..20_000_u64).prop_map(|ms| Step::Sounds { ms }),
        1 => (0..30_000_u64).prop_map(|after| Step::Return { after }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(video, audio)| Step::Headers { video, audio }),
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
    target: u32,
    part_target: Option<Option<u32>>,
    hints: Vec<(u64, u64)>,
}

impl Seen {
    fn check(&mut self, listing: &Listing, source: &Source) {
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
                segment.messages.start >= source.log_start,
                "it has left the log"
            );
            assert!(segment.messages.start < segment.messages.end);
            assert_eq!(segment.number, expected.number);
            assert_eq!(segment.discontinuities, expected.discontinuities);
            let own = source.in_segment(segment).into_iter();
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
    fn what_was_listed_once_stays_as_it_is_and_is_in_the_log(steps in steps(), has_sound in any::<bool>()) {
        let mut source = Source::new();
        let mut seen = Seen::default();
        for step in steps {
            match step {
                Step::Picture { step, is_keyframe } => {
                    if source.tracks.0 > 0 {
                        source.late_picture(step, is_keyframe, 0);
                    }
                }
                Step::Sound => {
                    if has_sound && source.tracks.1 > 0 {
                        source.sound();
                    }
                }
                Step::Sounds { ms } => {
                    if has_sound && source.tracks.1 > 0 {
                        source.sounds(ms);
                    }
                }
                Step::Return { after } => {
                    source.segments.cut_off();
                    source.time += after;
                }
                Step::Headers { video, audio } => source.tracks = (video, audio),
                Step::Evict { count } => source.log_start = (source.log_start + count).min(source.number()),
                Step::Ask => {
                    source.segments.prune(source.log_start);
                    if !source.segments.promise() {
                        continue;
                    }
                    let log_start = source.log_start;
                    let Some(listing) = source.segments.listing(false, &|number| number >= log_start) else {
                        continue;
                    };
                    seen.check(&listing, &source);
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
                    Found::Yes((part, _)) => prop_assert!(!part.messages.is_empty()),
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

/// What an encoder does.
#[derive(Clone, Debug)]
enum Act {
    /// Pictures of a GOP; a sound follows each, while there are any.
    Gop(Vec<u64>),
    /// It dies, and is back after a time.
    Death(u64),
    /// Other configurations.
    Change {
        video: u8,
        audio: u8,
    },
    Ask,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // GOPs of up to 10 s, of an even pace and of any.
    let gop = prop_oneof![
        (5..60_u64, 500..10_000_u64).prop_map(|(rate, length)| vec![
            1_000 / rate;
            (length * rate / 1_000).max(1)
                as usize
        ]),
        prop::collection::vec(1..150_u64, 1..120),
        prop::collection::vec(prop_oneof![9 => 30..36_u64, 1 => 20..450_u64], 1..200),
    ];
    let gop = gop.prop_map(|mut steps| {
        let mut length = 0;
        steps.retain(|step| {
            length += step;
            length <= 10_000
        });
        steps
    });
    let act = prop_oneof![
        12 => gop.prop_map(Act::Gop),
        1 => (0..5_000_u64).prop_map(Act::Death),
        2 => (1..3_u8, 0..3_u8).prop_map(|(video, audio)| Act::Change { video, audio }),
        4 => Just(Act::Ask),
    ];
    prop::collection::vec(act, 1..25)
}

/// What has become of the messages of a [`Source`].
#[derive(Default)]
struct Account {
    newest: Option<Segment>,
    /// Messages that no decoder could begin with or go on from: nobody misses them.
    excused: Vec<bool>,
    taken: Vec<bool>,
    /// What decoders have from the last keyframe on.
    video: Option<u8>,
    audio: Option<u8>,
    /// Sounds for which there is no keyframe yet, and their configuration.
    early: Vec<u64>,
    early_config: u8,
}

impl Account {
    /// Takes note of the newest message.
    fn note(&mut self, source: &Source) {
        let number = source.number() - 1;
        let message = source.messages[number as usize];
        self.taken.push(false);
        self.excused.push(false);
        let early_time = self
            .early
            .first()
            .map(|first| source.messages[*first as usize].time);
        match (message.is_picture, message.is_keyframe) {
            (true, true) => {
                self.video = Some(message.config);
                self.audio = Some(source.tracks.1);
                for number in self.early.drain(..) {
                    let is_far = early_time.unwrap() + 1_000 < message.time;
                    let is_other = self.early_config != source.tracks.1;
                    self.excused[number as usize] = is_far || is_other;
                }
            }
            (true, false) => {
                self.video = self.video.filter(|config| *config == message.config);
                self.excused[number as usize] = self.video.is_none();
            }
            _ if self.audio == Some(message.config) => {}
            _ => {
                self.audio = None;
                if self.early_config != message.config {
                    self.give_up();
                }
                self.early_config = message.config;
                self.early.push(number);
            }
        }
    }

    fn give_up(&mut self) {
        for number in self.early.drain(..) {
            self.excused[number as usize] = true;
        }
    }

    /// The publisher goes.
    fn end(&mut self, source: &mut Source) {
        let open = source.segments.open.as_ref();
        let begun = open.map(|open| open.segment.messages.start);
        let is_kept = source.segments.cut_off();
        self.check(source);
        self.give_up();
        (self.video, self.audio) = (None, None);
        assert_eq!(self.excused.len() as u64, source.number());
        if let Some(begun) = begun.filter(|_| !is_kept) {
            self.excused[begun as usize..].fill(true);
        }
    }

    /// Looks at what is complete since the last time.
    fn check(&mut self, source: &Source) {
        let newest = source.segments.lists.newest();
        if newest == self.newest {
            return;
        }
        let before = std::mem::replace(&mut self.newest, newest);
        let segment = self.newest.clone().unwrap();
        assert_eq!(segment.number, before.map_or(1, |before| before.number + 1));
        assert!(segment.is_independent);
        let tracks = source.tracks_of(segment.version);
        let message = |number: u64| source.messages[number as usize];
        let numbers = source.in_segment(&segment);
        for number in &numbers {
            let taken = &mut self.taken[*number as usize];
            assert!(
                !std::mem::replace(taken, true),
                "{number} is in two segments"
            );
            let expected = if message(*number).is_picture {
                tracks.0
            } else {
                tracks.1
            };
            assert_eq!(message(*number).config, expected);
        }
        let pictures = |from: u64, to: u64| {
            let numbers = numbers.iter().copied();
            let within = numbers.filter(move |number| (from..to).contains(number));
            let pictures = within.map(message).filter(|message| message.is_picture);
            pictures.collect::<Vec<_>>()
        };
        let all = pictures(0, u64::MAX);
        assert!(all[0].is_keyframe, "{segment:?}");
        let media = |pictures: &[Message]| pictures.last().unwrap().end - pictures[0].time;
        assert_eq!(segment.start, all[0].time);
        assert_eq!(u64::from(segment.duration), media(&all), "{segment:?}");
        let Some(target) = source.segments.part_target else {
            return;
        };
        let mut at = segment.messages.start;
        let count = segment.parts.end - segment.parts.start;
        if count == 0 || segment.parts.start < source.segments.parts_from {
            return;
        }
        let mut sum = 0;
        for index in 0..count {
            let Found::Yes((part, _)) = source.segments.part(segment.number, index) else {
                return;
            };
            let messages = &part.messages;
            assert_eq!(std::mem::replace(&mut at, messages.end), messages.start);
            let own = pictures(messages.start, messages.end);
            assert_eq!(u64::from(part.duration), media(&own));
            assert!(part.duration <= target);
            assert_eq!(part.is_independent, own[0].is_keyframe);
            sum += part.duration;
        }
        assert_eq!((at, sum), (segment.messages.end, segment.duration));
    }
}

proptest! {
    #[test]
    fn all_that_an_encoder_sends_is_in_segments_that_begin_with_keyframes(acts in acts()) {
        let mut source = Source::new();
        source.max_bytes = u64::MAX;
        let mut account = Account::default();
        for act in acts {
            match act {
                Act::Gop(steps) => {
                    for (index, step) in steps.into_iter().enumerate() {
                        source.late_picture(step, index == 0, 0);
                        account.note(&source);
                        account.check(&source);
                        if source.tracks.1 > 0 {
                            source.sound();
                            account.note(&source);
                        }
                    }
                }
                Act::Death(after) => {
                    account.end(&mut source);
                    source.time += after;
                }
                Act::Change { video, audio } => source.tracks = (video, audio),
                Act::Ask => {
                    source.segments.promise();
                }
            }
            // Some sounds of what comes next, before its keyframe.
            if source.tracks.1 > 0 {
                for _ in 0..source.number() % 3 {
                    source.sound();
                    account.note(&source);
                }
            }
        }
        account.end(&mut source);
        let end = account.newest.as_ref().map_or(0, |newest| newest.messages.end);
        for number in 0..end as usize {
            prop_assert!(
                account.taken[number] || account.excused[number],
                "{:?} is lost, the {}th", source.messages[number], number
            );
        }
    }
}

/// Pictures of a GOP and what comes before them: ms of sounds alone, and whether a keyframe is there.
fn pauses() -> impl Strategy<Value = Vec<(u64, bool, u32)>> {
    let pause = prop_oneof![2 => Just(0_u64), 2 => 0..4_000_u64, 1 => 0..40_000_u64];
    prop::collection::vec((pause, any::<bool>(), 1..120_u32), 2..12)
}

proptest! {
    /// Without another change there is no discontinuity either.
    #[test]
    fn where_pictures_pause_every_sound_is_in_the_segment_of_its_time(gops in pauses(), is_asked in any::<bool>()) {
        let mut source = Source::new();
        source.max_bytes = u64::MAX;
        let mut newest = 0;
        let mut taken = Vec::new();
        let mut end = None;
        for (index, (pause, is_keyframe, pictures)) in gops.into_iter().enumerate() {
            source.sounds(if index == 0 { 0 } else { pause });
            for picture in 0..pictures {
                source.picture(40, picture == 0 && (is_keyframe || index == 0));
                if is_asked {
                    source.segments.promise();
                }
                let Some(segment) = source.segments.lists.newest().filter(|s| s.number > newest) else {
                    continue;
                };
                // A pause makes some at once.
                for number in newest + 1..=segment.number {
                    let Some(segment) = source.segments.segment(number) else { continue };
                    prop_assert!(!segment.has_discontinuity);
                    prop_assert!((20..=MAX_SEGMENT).contains(&segment.duration), "{:?}", segment);
                    prop_assert_eq!(*end.get_or_insert(segment.start), segment.start);
                    end = Some(segment.start + u64::from(segment.duration));
                    for number in source.in_segment(&segment) {
                        let message = source.messages[number as usize];
                        taken.push(number);
                        if !message.is_picture {
                            let at = message.time;
                            let is_in = segment.start <= at + 1_000 && at < end.unwrap() + 1_050;
                            prop_assert!(is_in, "{:?} in {:?}", message, segment);
                        }
                    }
                }
                newest = segment.number;
            }
        }
        taken.sort_unstable();
        let all: Vec<_> = (0..taken.len() as u64).collect();
        prop_assert!(taken == all, "{} taken", taken.len());
    }
}

#[test]
fn while_nobody_watches_a_few_are_listed_and_the_newest_ones_stay_when_the_block_goes() {
    let mut source = Source::new();
    source.gops(20, 50);
    let all = source.listing();
    source.segments.note_viewer([127, 0, 0, 1].into(), 0, 100);
    assert_eq!(source.segments.viewers(99, 100).count(), 1);
    source.segments.shrink();
    assert!(!source.segments.has_block());
    let few = source.listing();
    assert_eq!(
        few.segments,
        all.segments[all.segments.len() - few.segments.len()..]
    );
    assert_eq!((few.open, few.next), (all.open, all.next));
    assert_eq!(source.segments.lists.parts.len, 16);
    assert_eq!(source.segments.viewers(0, 100).count(), 0);
    source.gops(3, 50);
    assert_eq!(source.segments.lists.segments.len, 4);
    let before = source.listing();
    source.segments.set_block(Arena::new(0).take().unwrap());
    assert_eq!(source.listing(), before);
    source.gops(3, 50);
    assert_eq!(source.segments.lists.segments.len, 7);
}

#[test]
fn a_viewer_is_told_once_when_it_comes_and_once_when_it_has_gone() {
    let mut source = Source::new();
    let segments = &mut source.segments;
    let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    assert!(!segments.name_viewer(one, 7), "nobody has asked");
    segments.note_viewer(one, 10, 100);
    assert!(segments.name_viewer(one, 7));
    segments.note_viewer(one, 90, 100);
    assert!(
        !segments.name_viewer(one, 8),
        "it comes by another connection"
    );
    // This one got nothing.
    segments.note_viewer(other, 90, 100);
    assert!(segments.take_gone(189, 100).is_none());
    let gone = segments.take_gone(190, 100).unwrap();
    assert_eq!((gone.connection, gone.since, gone.asked), (8, 10, 90));
    assert!(segments.take_gone(1_000, 100).is_none());
    segments.note_viewer(one, 1_000, 100);
    assert!(segments.name_viewer(one, 9), "it is back");
}
