//! Tracks that start late, change, or fit into no file.

use std::sync::Arc;

use brooklet::allowance::Allowance;
use brooklet::rtmp::amf::Properties;

use super::samples::{check_durations, samples};
use super::*;
use crate::files::{Fragment, LARGE, fragments};
use crate::fixture;

#[test]
fn a_stream_without_codecs_for_mp4_has_no_playlist() {
    let fixture = Fixture::new();
    assert_eq!(playlist(&fixture).unwrap_err(), Unavailable::NotFound);
    fixture.publish();
    for _ in 0..100 {
        fixture.append(Kind::Video, fixture.now.get() as u32, b"\x12\0\0\x84");
        fixture.append(Kind::Audio, fixture.now.get() as u32, b"\xB6\x01");
        fixture.wait(40);
    }
    assert_eq!(playlist(&fixture).unwrap_err(), Unavailable::NoCodec);
}

#[test]
fn audio_that_comes_a_little_later_is_in_the_first_segment() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    for index in 0..5 {
        fixture.frame(index * 40, index == 0, 1_000);
        fixture.wait(40);
    }
    fixture.append(Kind::Audio, 200, AAC_HEADER);
    for index in 5..100 {
        fixture.frame(index * 40, index % 50 == 0, 1_000);
        fixture.audio(index * 40, 100);
        fixture.wait(40);
    }
    let playlist = playlist(&fixture).unwrap();
    assert_eq!(numbers(&playlist.listing), [1]);
    assert_eq!(
        playlist.tracks.presentation.codecs(),
        "avc1.42C00D,mp4a.40.2"
    );
    let Ok(Look::Answer(Answer::Init(_, tracks))) = file(&fixture, FileKind::Init(0)) else {
        panic!("no init segment")
    };
    assert_eq!(tracks.presentation, playlist.tracks.presentation);
}

#[test]
fn audio_that_precedes_the_video_a_little_is_in_the_first_segment() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    for index in 0..10 {
        fixture.audio(index * 20, 100);
        fixture.wait(20);
    }
    fixture.append(Kind::Video, 200, SMALL);
    for index in 0..101 {
        fixture.frame(200 + index * 40, index % 50 == 0, 1_000);
        fixture.audio(200 + index * 40, 100);
        fixture.wait(40);
        ask(&fixture);
    }
    let listing = listing(&fixture);
    let what = listing.segments.iter();
    let what = what.map(|s| (s.number, s.has_discontinuity, s.duration));
    assert_eq!(
        what.collect::<Vec<_>>(),
        [(1, false, 2_000), (2, false, 2_000)]
    );
    let samples = samples(&fixture, &listing);
    check_durations(&listing, &samples);
    assert_eq!(samples.len(), 10 + 200);
}

#[test]
fn audio_alone_has_segments_once_no_video_is_expected() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    // Before anything can be listed: media is kept from then on.
    ask(&fixture);
    for index in 0..500 {
        fixture.audio(index * 23, 100);
        fixture.wait(23);
    }
    let listing = listing(&fixture);
    let lengths = listing.segments.iter().map(|s| (s.number, s.duration));
    // 82 frames of 1,024 samples at 44,100 Hz are 1904.04 ms.
    let lengths: Vec<_> = lengths.collect();
    assert_eq!(lengths.len(), 4, "{lengths:?}");
    assert!(
        lengths
            .iter()
            .all(|(_, length)| (1_904..=1_905).contains(length))
    );
    assert_eq!(listing.segments[0].number, 2);
}

#[test]
fn another_configuration_is_another_init_segment_and_the_old_one_stays_while_it_is_needed() {
    let fixture = watched(1024);
    fixture.append(Kind::Video, fixture.now.get() as u32, LARGE);
    gops(&fixture, 2);
    let both = listing(&fixture);
    let versions = both
        .segments
        .iter()
        .map(|s| (s.version, s.has_discontinuity));
    assert_eq!(
        versions.collect::<Vec<_>>(),
        [(0, false), (0, false), (0, false), (1, true)]
    );
    let init = |version| file(&fixture, FileKind::Init(version)).is_ok();
    assert!(init(0) && init(1));
    for _ in 0..10 {
        gops(&fixture, 1);
        listing(&fixture);
    }
    assert!(!init(0) && init(1));
}

/// The next publisher pays for the tracks of the previous one, as long as they are listed. If it can't
/// pay, they are no longer listed.
#[test]
fn a_publisher_that_cannot_pay_for_the_previous_tracks_still_has_files() {
    // The stream's header says 320x240, and its keyframes contain the parameter sets of 640x480.
    let size_in_the_end = |fixture: &Fixture, allowance: usize| {
        let sink = Arc::default();
        let allowance = Allowance::new(allowance);
        if let Err(busy) = fixture.try_publish_paid([127, 0, 0, 1], &sink, allowance) {
            panic!("{busy:?}");
        }
        fixture.append(Kind::Video, fixture.now.get() as u32, SMALL);
        fixture.append(Kind::Audio, fixture.now.get() as u32, AAC_HEADER);
        for _ in 0..12 {
            ask(fixture);
            let timestamp = fixture.now.get() as u32;
            let sets = [
                b"\0\0\0\x18",
                &LARGE[13..][..0x18],
                b"\0\0\0\x04\x68\xce\x0f\xc8",
            ];
            let keyframe = [
                &b"\x17\x01\0\0\0"[..],
                &sets.concat(),
                b"\0\0\0\x02\x65\x88",
            ]
            .concat();
            fixture.append(Kind::Video, timestamp, &keyframe);
            fixture.wait(40);
            fixture.frames(timestamp + 40, 49, false);
        }
        let tracks = fixture.stream.report(fixture.now.get()).tracks;
        let video = tracks.presentation.video.as_ref();
        video.and_then(|video| Some(video.format?.size()))
    };
    let is_enough = |allowance: &usize| {
        let fixture = Fixture::with(1024, 0);
        size_in_the_end(&fixture, *allowance) == Some((640, 480))
    };
    let enough = (0..8_000).step_by(128).find(is_enough).unwrap();

    let fixture = Fixture::with(1024, 0);
    fixture.publish();
    headers(&fixture);
    for number in 0..12_u8 {
        ask(&fixture);
        let now = fixture.now.get() as u32;
        // A difference after the parameter sets.
        fixture.append(
            Kind::Video,
            now,
            &[SMALL, &[0xFD, 0xF8, 0xF8, 0, number]].concat(),
        );
        fixture.gop(now, 50);
    }
    fixture.unpublish();
    // The newest of the previous headers is kept in any case.
    let enough = enough + 300;
    assert_eq!(
        size_in_the_end(&fixture, enough),
        Some((640, 480)),
        "{enough}"
    );
}

#[test]
fn audio_that_starts_late_and_unannounced_withholds_no_video() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    ask(&fixture);
    let frames = |from: u32, to: u32, has_audio: bool| {
        for index in from..to {
            fixture.frame(index * 40, index % 100 == 0, 1_000);
            if has_audio {
                fixture.audio(index * 40, 100);
            }
            fixture.wait(40);
        }
    };
    frames(0, 220, false);
    let before = listing(&fixture);
    fixture.append(Kind::Audio, 220 * 40, AAC_HEADER);
    frames(220, 290, true);
    let after = listing(&fixture);
    let (number, part) = before.next;
    assert_eq!(after.next.0, number);
    assert!(
        after.next.1 >= part + 5,
        "{:?} {:?}",
        before.next,
        after.next
    );
    let hinted = fetch(&fixture, FileKind::Part(number, part), 5_000).unwrap();
    let fragments = fragments(&hinted);
    let is_video = |fragment: &Fragment| matches!(fragment, Fragment::Sample { track: 1, .. });
    assert!(fragments.iter().all(is_video), "there is no audio track");
    frames(290, 401, true);
    let listing = listing(&fixture);
    let what = listing.segments.iter();
    let what = what.map(|s| (s.version, s.has_discontinuity, s.duration));
    let of_video = (0, false, 4_000);
    let expected = [of_video, of_video, of_video, (1, true, 4_000)];
    assert_eq!(what.collect::<Vec<_>>(), expected);
    let samples = samples(&fixture, &listing);
    check_durations(&listing, &samples);
    assert_eq!(samples.iter().filter(|s| s.is_video).count(), 400);
    // From the keyframe on there is all of the audio.
    let audio = samples.iter().filter(|sample| !sample.is_video);
    assert_eq!(audio.filter(|sample| sample.segment == 4).count(), 100);
}

#[test]
fn no_message_is_lost_when_the_configuration_changes() {
    /// AAC at 48,000 Hz.
    const OTHER_AAC: &[u8] = b"\xAF\0\x11\x90";

    for audio_before in 0..4 {
        let fixture = watched(1024);
        fixture.append(Kind::Audio, fixture.now.get() as u32, OTHER_AAC);
        for _ in 0..audio_before {
            fixture.audio(fixture.now.get() as u32, 100);
            fixture.wait(21);
        }
        gops(&fixture, 2);
        let listing = listing(&fixture);
        let samples = samples(&fixture, &listing);
        check_durations(&listing, &samples);
        for is_video in [true, false] {
            let own = samples.iter().filter(|s| s.is_video == is_video);
            let numbers: Vec<_> = own.map(|sample| sample.number).collect();
            let mut expected: Vec<_> = numbers.clone();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(numbers, expected, "in order, and none twice");
        }
        let mut all: Vec<_> = samples.iter().map(|sample| sample.number).collect();
        all.sort_unstable();
        let every: Vec<_> = (all[0]..all[0] + all.len() as u32).collect();
        assert_eq!(
            all, every,
            "{audio_before} audio frames before the keyframe"
        );
    }
}

#[test]
fn durations_are_right_from_the_first_frame_on_at_low_frame_rates() {
    for (rate, length) in [(5.0, 2_000), (10.0, 2_000), (25.0, 2_000)] {
        let fixture = Fixture::new();
        fixture.publish();
        let metadata = fixture::numbers(&[("framerate", rate)]);
        let properties = Properties::of(&metadata);
        let (generation, now) = (fixture.generation.get(), fixture.now.get());
        let set = fixture
            .stream
            .set_metadata(generation, properties.as_ref(), now);
        set.unwrap();
        headers(&fixture);
        ask(&fixture);
        let gop = 2 * rate as u32;
        for index in 0..=3 * gop {
            let now = fixture.now.get() as u32;
            fixture.frame(now, index % gop == 0, 1_000);
            fixture.audio(now, 100);
            fixture.wait(1_000 / rate as u64);
        }
        let listing = listing(&fixture);
        let lengths: Vec<_> = listing.segments.iter().map(|s| s.duration).collect();
        assert_eq!(lengths, [length; 3], "{rate}");
        check_durations(&listing, &samples(&fixture, &listing));
    }
}
