//! Where segments and parts begin and end.

use super::*;

#[test]
fn segments_begin_at_keyframes_once_they_are_long_enough() {
    for (name, frames, expected, target) in [
        ("each second", 25, vec![2_000; 4], 2),
        ("every two seconds", 50, vec![2_000; 4], 2),
        ("1.2 s", 30, vec![2_400; 4], 3),
        ("10 s", 250, vec![10_000; 4], 10),
        ("10.4 s", 260, vec![10_400; 4], 10),
        ("1.8 s", 45, vec![3_600; 4], 4),
        ("4 s", 100, vec![4_000; 4], 4),
        ("8.32 s", 208, vec![8_320; 4], 9),
    ] {
        let mut stream = TestStream::new();
        stream.gops(10, frames);
        assert_eq!(stream.lengths(), expected, "{name}");
        assert_eq!(stream.segments.target, Some(target), "{name}");
        assert!(
            stream
                .listing()
                .segments
                .iter()
                .all(|segment| segment.is_independent)
        );
    }
}

#[test]
fn a_part_ends_before_the_frame_that_would_make_it_too_long() {
    for (name, step, expected) in [
        ("25 frames a second", 40, [520, 520, 520, 440, 0]),
        ("50", 20, [520, 520, 520, 440, 0]),
        ("24", 41, [492, 492, 492, 492, 41]),
        ("15", 66, [462, 462, 462, 462, 198]),
        ("10", 100, [1_000, 1_000, 0, 0, 0]),
    ] {
        let mut stream = TestStream::new();
        let frames = 2_000_u64.div_ceil(step);
        for index in 0..5 * frames {
            stream.frame(step, index % frames == 0);
        }
        let expected: Vec<_> = expected.into_iter().filter(|length| *length > 0).collect();
        // The first segment was cut before the frame rate was known.
        let newest = stream.listing().segments.last().unwrap().number;
        assert_eq!(stream.part_lengths(newest), expected, "{name}");
    }
}

#[test]
fn streams_with_a_low_frame_rate_have_no_parts() {
    let mut stream = TestStream::new();
    for index in 0..40 {
        stream.frame(250, index % 8 == 0);
    }
    let listing = stream.listing();
    assert_eq!((listing.part_target, listing.target), (None, 2));
    assert_eq!(listing.open, None);
    assert!(
        listing
            .segments
            .iter()
            .all(|segment| listing.parts(segment).is_empty())
    );
    // A request for a part counts as a request for its segment.
    let newest = listing.segments.last().unwrap().number;
    assert_eq!(
        stream.segments.has(Wanted::Part(newest, 9)),
        Lookup::Found(())
    );
    assert_eq!(
        stream.segments.has(Wanted::Part(newest + 1, 0)),
        Lookup::NotYet
    );
}

#[test]
fn a_late_frame_begins_the_next_part() {
    let mut stream = TestStream::new();
    stream.gops(2, 50);
    stream.listing();
    stream.frame(40, true);
    for _ in 0..10 {
        stream.frame(40, false);
    }
    // The frame lasts from 440 ms on.
    stream.frame(160, false);
    assert_eq!(stream.part_lengths(3), [440]);
    for _ in 0..10 {
        stream.frame(40, false);
    }
    assert_eq!(stream.part_lengths(3), [440, 520]);
    assert_eq!(stream.segments.next(), (3, 2));
}

#[test]
fn a_keyframe_begins_a_part_if_the_previous_part_is_long_enough() {
    for (frames, expected, independent) in [
        (25, [520, 480, 520, 480, 0], vec![0, 2]),
        (12, [480, 480, 480, 480, 0], vec![0, 1, 2, 3]),
        // The keyframe is in the middle of a part.
        (20, [520, 520, 520, 520, 320], vec![0]),
    ] {
        let mut stream = TestStream::new();
        stream.gops(16, frames);
        let expected: Vec<_> = expected.into_iter().filter(|length| *length > 0).collect();
        let listing = stream.listing();
        let newest = listing.segments.last().unwrap();
        assert_eq!(stream.part_lengths(newest.number), expected, "{frames}");
        let parts = listing.parts(newest).iter().enumerate();
        let with_keyframe = parts.filter(|(_, part)| part.is_independent);
        let with_keyframe: Vec<_> = with_keyframe.map(|(index, _)| index).collect();
        assert_eq!(with_keyframe, independent, "{frames}");
    }
}

#[test]
fn no_target_duration_is_promised_before_a_segment_is_complete() {
    let mut stream = TestStream::new();
    stream.gops(1, 100);
    assert!(!stream.segments.promise());
    assert_eq!(stream.segments.target, None);
    stream.gops(1, 60);
    let listing = stream.listing();
    let [only] = &listing.segments[..] else {
        panic!("{listing:?}")
    };
    assert_eq!((only.duration, only.is_independent), (4_000, true));
    assert_eq!(listing.target, 4);
}

#[test]
fn the_target_duration_grows_with_a_longer_gop_and_a_gop_of_more_than_ten_seconds_is_cut() {
    let mut stream = TestStream::new();
    stream.gops(4, 50);
    assert_eq!(stream.listing().target, 2);
    stream.gops(1, 225);
    assert_eq!(stream.listing().target, 2, "it isn't listed");
    stream.gops(1, 300);
    assert_eq!(stream.listing().target, 10);
    stream.gops(2, 50);
    let listing = stream.listing();
    let what: Vec<_> = listing
        .segments
        .iter()
        .map(|segment| (segment.duration, segment.is_independent))
        .collect();
    // The rest of the 12 s ends at the next keyframe, however short it is.
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
fn a_segment_whose_first_frame_lasts_for_seconds_is_no_longer_than_others() {
    let mut stream = TestStream::new();
    for (step, is_keyframe) in [
        (30, true),
        (5_000, false),
        (5_000, true),
        (30, true),
        (5_000, false),
        (5_000, false),
    ] {
        stream.late_frame(step, is_keyframe, 0);
    }
    let listing = stream.listing();
    assert_eq!((listing.segments[0].duration, listing.target), (5_030, 10));
    stream.gops(2, 50);
    assert_eq!(stream.lengths(), [5_030, 10_030, 5_000, 2_000]);
}

#[test]
fn a_pause_longer_than_a_segment_may_be_is_a_discontinuity() {
    for (pause, expected) in [
        (900, (2_000, false)),
        (1_200, (2_000, true)),
        (30_000, (2_000, true)),
    ] {
        let mut stream = TestStream::new();
        stream.gops(4, 50);
        stream.listing();
        stream.frame(pause, true);
        stream.gops(2, 60);
        let listing = stream.listing();
        let after = listing.segments.last().unwrap();
        let before = &listing.segments[listing.segments.len() - 2];
        let what = (before.duration, after.has_discontinuity);
        assert_eq!(what, expected, "{pause}");
    }
}

#[test]
fn audio_without_video_is_cut_anywhere() {
    let mut stream = TestStream::new();
    stream.tracks = (0, 1);
    for _ in 0..400 {
        stream.time += 23;
        stream.audio();
    }
    assert_eq!(stream.lengths(), [1_909; 4]);
    assert_eq!(stream.part_lengths(4), [506, 506, 506, 391]);
}

#[test]
fn while_video_pauses_audio_cuts_segments_and_a_keyframe_begins_the_next_one() {
    // The segments after those of audio alone: length and number of frames.
    for (is_keyframe, expected) in [
        (true, [(1_173, 0), (1_977, 50), (2_000, 50)]),
        // Until the next keyframe, the video is in the segment of the audio.
        (false, [(1_909, 0), (2_150, 25), (2_000, 50)]),
    ] {
        let mut stream = TestStream::new();
        stream.gops(3, 50);
        stream.listing();
        stream.gops(1, 25);
        stream.audio_for(8_000);
        stream.frame(40, is_keyframe);
        for _ in 0..24 + 25 * u32::from(is_keyframe) {
            stream.frame(40, false);
        }
        stream.gops(1, 50);
        stream.frame(40, true);
        let all: Vec<_> = stream.segments.lists.all_segments().collect();
        for pair in all.windows(2) {
            let end = pair[0].start + u64::from(pair[0].duration);
            assert_eq!((pair[1].start, pair[1].has_discontinuity), (end, false));
        }
        let newest: Vec<_> = all.iter().rev().take(3).rev().collect();
        let what: Vec<_> = newest.iter().map(|s| (s.duration, s.frames)).collect();
        assert_eq!(what, expected, "{is_keyframe}");
        let are_independent: Vec<_> = newest.iter().map(|s| s.is_independent).collect();
        assert_eq!(are_independent, [false, is_keyframe, true]);
    }
}

#[test]
fn after_a_single_frame_audio_cuts_segments_too() {
    let mut stream = TestStream::new();
    stream.gops(1, 1);
    stream.audio_for(10_000);
    assert_eq!(stream.lengths(), [3_053, 1_909, 1_909, 1_909]);
}

/// A frame that comes after seconds is decoded when the previous one was due.
#[test]
fn a_segment_is_as_long_as_its_audio_where_video_is_decoded_seconds_early() {
    for pauses in [
        // Found by a property test: the first pause was taken for the usual interval.
        &[(7_912, false), (3_519, true)][..],
        // The usual interval, with keyframes only, and with a GOP that is too long.
        &[(5_000, true); 6],
        &[(5_000, false); 6],
        &[(9_000, true), (2_500, false), (9_000, true), (9_000, true)],
    ] {
        let mut stream = TestStream::new();
        stream.gops(1, 1);
        for (pause, is_keyframe) in pauses {
            stream.audio_for(*pause);
            stream.frame(40, *is_keyframe);
        }
        stream.gops(2, 50);
        let all: Vec<_> = stream.segments.lists.all_segments().collect();
        for segment in &all {
            let end = segment.start + u64::from(segment.duration);
            let times = stream.in_segment(segment).into_iter().map(|number| {
                let message = stream.messages[number as usize];
                if message.is_video { end } else { message.time }
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
