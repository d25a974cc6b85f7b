//! A publisher that leaves or changes its configuration.

use super::*;

#[test]
fn a_publisher_that_returns_leaves_a_discontinuity_and_no_hole() {
    let mut stream = TestStream::new();
    stream.gops(3, 50);
    stream.listing();
    stream.gops(1, 20);
    assert!(stream.segments.cut_off());
    assert!(!stream.segments.cut_off());
    assert_eq!(stream.segments.next(), (5, 0));
    stream.time += 20_000;
    stream.gops(3, 50);
    let listing = stream.listing();
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
        let mut stream = TestStream::new();
        stream.gops(3, 50);
        stream.listing();
        stream.gops(1, frames);
        let hint = stream.segments.next();
        assert_eq!(stream.segments.cut_off(), is_left, "{frames}");
        assert_eq!(stream.segments.next(), (4 + u64::from(is_left), 0));
        assert!(hint.0 == 4, "{hint:?}");
        stream.time += 5_000;
        // Once more.
        stream.gops(1, 1);
        stream.segments.cut_off();
        stream.time += 5_000;
        stream.gops(2, 50);
        let listing = stream.listing();
        let newest = listing.segments.last().unwrap();
        assert_eq!(newest.number, 4 + u64::from(is_left));
        assert!(newest.has_discontinuity);
        assert_eq!(newest.discontinuities, 0);
        assert_eq!(listing.open.unwrap().discontinuities, 1);
        assert!(matches!(stream.segments.part(4, 0), Lookup::Found(_)));
    }
}

/// Even numbers are video, odd numbers are audio.
#[test]
fn after_a_change_of_the_configuration_every_message_is_in_the_right_segment() {
    // The change after 30 frames of the GOP, and the number of further frames before the keyframe.
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
        let mut stream = TestStream::new();
        stream.gops(3, 50);
        stream.listing();
        stream.gops(1, 30);
        assert_eq!(stream.number(), 360);
        stream.tracks = tracks;
        for _ in 0..later {
            stream.frame(40, false);
        }
        let keyframe = stream.number();
        stream.gops(2, 50);
        let listing = stream.listing();
        let [.., before, after] = &listing.segments[..] else {
            panic!()
        };
        assert_eq!((before.version, after.version), (1, 2), "{name}");
        assert!(after.has_discontinuity && !before.has_discontinuity);
        let of = |segment, is_video: bool| {
            let numbers = stream.in_segment(segment);
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
    let mut stream = TestStream::new();
    stream.tracks.1 = 0;
    for index in 0..250 {
        stream.late_frame(40, index % 100 == 0, 0);
    }
    stream.listing();
    let before = stream.segments.next();
    stream.tracks.1 = 1;
    for _ in 0..40 {
        stream.frame(40, false);
    }
    assert_eq!(stream.segments.next(), (before.0, before.1 + 3));
    for _ in 0..10 {
        stream.frame(40, false);
    }
    let keyframe = stream.number();
    stream.frame(40, true);
    let newest = stream.listing().segments.last().cloned().unwrap();
    assert_eq!((newest.duration, newest.version), (4_000, 1));
    let is_audio = |number: &u64| !stream.messages[*number as usize].is_video;
    assert!(!stream.in_segment(&newest).iter().any(is_audio));
    let open = stream.segments.open.as_ref().unwrap();
    assert_eq!(open.segment.messages.start, keyframe);
    assert_eq!(
        (open.segment.version, open.segment.has_discontinuity),
        (2, true)
    );
}

#[test]
fn video_that_joins_audio_begins_with_a_keyframe_and_audio_continues_until_then() {
    let mut stream = TestStream::new();
    stream.tracks = (0, 1);
    let audio = |stream: &mut TestStream| {
        stream.time += 23;
        stream.audio();
    };
    (0..200).for_each(|_| audio(&mut stream));
    stream.listing();
    stream.tracks = (1, 1);
    (0..100).for_each(|_| audio(&mut stream));
    assert_eq!(stream.lengths(), [1_909; 3]);
    let keyframe = stream.number();
    stream.frame(0, true);
    let listing = stream.listing();
    let newest = listing.segments.last().unwrap();
    // 300 frames, 3 * 83 of which are in the segments before.
    assert_eq!((newest.duration, newest.messages.end), (51 * 23, keyframe));
    stream.gops(1, 60);
    stream.gops(1, 1);
    let listing = stream.listing();
    let newest = listing.segments.last().unwrap();
    assert_eq!((newest.version, newest.messages.start), (2, keyframe));
}
