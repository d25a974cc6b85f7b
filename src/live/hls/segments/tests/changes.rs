//! A publisher that leaves or changes its configuration.

use super::*;

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
fn a_publisher_that_leaves_just_after_a_keyframe_leaves_no_segment() {
    for (frames, is_left) in [(1, false), (4, false), (5, true), (14, true)] {
        let mut source = Source::new();
        source.gops(3, 50);
        source.listing();
        source.gops(1, frames);
        let hint = source.segments.next();
        assert_eq!(source.segments.cut_off(), is_left, "{frames}");
        assert_eq!(source.segments.next(), (4 + u64::from(is_left), 0));
        assert!(hint.0 == 4, "{hint:?}");
        source.time += 5_000;
        // Once more.
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
        assert!(matches!(source.segments.part(4, 0), Lookup::Found(_)));
    }
}

/// Even numbers are video, odd numbers are audio.
#[test]
fn after_a_change_of_the_configuration_every_message_is_in_the_right_segment() {
    // What changes after 30 frames of the GOP, and how many more frames precede the keyframe.
    for (name, tracks, later, last_video, last_audio, first_audio) in [
        ("audio at the keyframe", (1, 2), 0, 358, 359, 361),
        ("audio shortly before", (1, 2), 5, 368, 359, 361),
        ("audio a moment before", (1, 2), 20, 398, 359, 361),
        ("audio long before", (1, 2), 30, 418, 359, 421),
        ("frame at the keyframe", (2, 1), 0, 358, 359, 361),
        ("video that can't be decoded", (2, 1), 5, 358, 369, 371),
        ("both", (2, 2), 0, 358, 359, 361),
        ("both, shortly before", (2, 2), 5, 358, 359, 361),
        ("no more audio", (1, 0), 0, 358, 359, u64::MAX),
    ] {
        let mut source = Source::new();
        source.gops(3, 50);
        source.listing();
        source.gops(1, 30);
        assert_eq!(source.number(), 360);
        source.tracks = tracks;
        for _ in 0..later {
            source.frame(40, false);
        }
        let keyframe = source.number();
        source.gops(2, 50);
        let listing = source.listing();
        let [.., before, after] = &listing.segments[..] else {
            panic!()
        };
        assert_eq!((before.version, after.version), (1, 2), "{name}");
        assert!(after.has_discontinuity && !before.has_discontinuity);
        let of = |segment, is_video: bool| {
            let numbers = source.in_segment(segment);
            let rest = u64::from(!is_video);
            let own = numbers.into_iter().filter(move |number| number % 2 == rest);
            own.collect::<Vec<_>>()
        };
        let all = |from: u64, to: u64| (from..=to).step_by(2).collect::<Vec<_>>();
        assert_eq!(of(before, true), all(300, last_video), "{name}");
        assert_eq!(of(before, false), all(301, last_audio), "{name}");
        assert_eq!(of(after, true), all(keyframe, keyframe + 98), "{name}");
        if first_audio < u64::MAX {
            assert_eq!(of(after, false), all(first_audio, keyframe + 99), "{name}");
        }
        assert_eq!(after.duration, 2_000);
        let frames = (last_video - 298) / 2;
        let left_out = (keyframe - 2 - last_video) / 2;
        // The audio alone isn't long enough to count.
        assert_eq!(u64::from(before.duration), frames * 40, "{name} {left_out}");
    }
}

#[test]
fn audio_that_starts_late_does_not_keep_video_from_being_listed() {
    let mut source = Source::new();
    source.tracks.1 = 0;
    for index in 0..250 {
        source.late_frame(40, index % 100 == 0, 0);
    }
    source.listing();
    let before = source.segments.next();
    source.tracks.1 = 1;
    for _ in 0..40 {
        source.frame(40, false);
    }
    assert_eq!(source.segments.next(), (before.0, before.1 + 3));
    for _ in 0..10 {
        source.frame(40, false);
    }
    let keyframe = source.number();
    source.frame(40, true);
    let newest = source.listing().segments.last().cloned().unwrap();
    assert_eq!((newest.duration, newest.version), (4_000, 1));
    let is_audio = |number: &u64| !source.messages[*number as usize].is_video;
    assert!(!source.in_segment(&newest).iter().any(is_audio));
    let open = source.segments.open.as_ref().unwrap();
    assert_eq!(open.segment.messages.start, keyframe);
    assert_eq!(
        (open.segment.version, open.segment.has_discontinuity),
        (2, true)
    );
}

#[test]
fn video_that_joins_audio_begins_with_a_keyframe_and_audio_continues_until_then() {
    let mut source = Source::new();
    source.tracks = (0, 1);
    let audio = |source: &mut Source| {
        source.time += 23;
        source.audio();
    };
    (0..200).for_each(|_| audio(&mut source));
    source.listing();
    source.tracks = (1, 1);
    (0..100).for_each(|_| audio(&mut source));
    assert_eq!(source.lengths(), [1_909; 3]);
    let keyframe = source.number();
    source.frame(0, true);
    let listing = source.listing();
    let newest = listing.segments.last().unwrap();
    // 300 frames, 3 * 83 of which are in the segments before.
    assert_eq!((newest.duration, newest.messages.end), (51 * 23, keyframe));
    source.gops(1, 60);
    source.gops(1, 1);
    let listing = source.listing();
    let newest = listing.segments.last().unwrap();
    assert_eq!((newest.version, newest.messages.start), (2, keyframe));
}
