//! The stream doctor's findings for whole streams, with simulated clocks, and the absence of findings
//! for good streams.

use brooklet::live::finding::{Finding, RecordingTrouble};
use brooklet::live::kind::Kind;
use brooklet::live::out::join::Join;
use brooklet::live::stream::Appended;
use brooklet::media::Medium;
use brooklet::rtmp::amf::Properties;

use crate::fixture::{AAC_HEADER, AVC_HEADER, Fixture, numbers};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// The sequence header of an H.264 track of 640x360 pixels at 25 frames per second.
const AVC_640X360: &[u8] = b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";

/// The sending pattern of a synthetic encoder.
#[derive(Clone, Copy)]
struct Habits {
    /// The time from a video frame to the next in ms, as a function of its number.
    video: Option<fn(u64) -> u64>,
    /// The number of frames from one keyframe to the next.
    gop: u64,
    /// The time from an audio frame to the next, in us.
    audio: Option<u64>,
    /// The network delay of a message in ms, as a function of its number.
    delay: fn(u64) -> u64,
}

/// H.264 at 25 frames per second, with a keyframe every two seconds, and AAC.
const USUAL: Habits = Habits {
    video: Some(|_| 40),
    gop: 50,
    audio: Some(21_333),
    delay: |_| 0,
};

/// Publishes with metadata that announces H.264 and AAC with these properties.
fn publish(fixture: &Fixture, metadata: &[(&str, f64)]) {
    fixture.publish();
    let properties = numbers(metadata);
    fixture
        .stream
        .set_metadata(
            fixture.generation.get(),
            Properties::of(&properties).as_ref(),
            fixture.now.get(),
        )
        .unwrap();
}

const METADATA: &[(&str, f64)] = &[
    ("width", 640.0),
    ("height", 360.0),
    ("framerate", 25.0),
    ("videocodecid", 7.0),
    ("audiocodecid", 10.0),
];

/// Runs an encoder for a while. Returns the findings with their times.
fn run(fixture: &Fixture, habits: Habits, duration: u64) -> Vec<(u64, Finding)> {
    let start = fixture.now.get();
    let (mut video_frames, mut audio_frames) = (0, 0);
    let (mut video_at, mut audio_at) = (0, 0);
    let mut told = Vec::new();
    if habits.video.is_some() {
        fixture.append(Kind::Video, 0, AVC_640X360);
    }
    if habits.audio.is_some() {
        fixture.append(Kind::Audio, 0, AAC_HEADER);
    }
    let mut number = 0;
    loop {
        let next_video = habits.video.map_or(u64::MAX, |_| video_at);
        let next_audio = habits.audio.map_or(u64::MAX, |_| audio_at / 1000);
        let at = next_video.min(next_audio);
        if at >= duration {
            return told;
        }
        let arrives = start + at + (habits.delay)(number);
        fixture.now.set(fixture.now.get().max(arrives));
        let timestamp = (start + at) as u32;
        if next_video <= next_audio {
            let is_keyframe = video_frames % habits.gop == 0;
            fixture.frame(timestamp, is_keyframe, if is_keyframe { 400 } else { 60 });
            video_at += habits.video.map_or(0, |step| step(video_frames));
            video_frames += 1;
        } else {
            fixture.audio(timestamp, 20);
            audio_at += habits.audio.unwrap_or_default();
            audio_frames += 1;
        }
        number = video_frames + audio_frames;
        let now = fixture.now.get();
        let findings = fixture.stream.pump(now).findings;
        told.extend(findings.into_iter().map(|finding| (now - start, finding)));
    }
}

fn findings(fixture: &Fixture) -> Vec<Finding> {
    fixture.stream.report(fixture.now.get()).findings
}

#[test]
fn good_streams_have_no_findings() {
    // Anything from 20 to 100 ms, without a pattern.
    let variable = |number: u64| 20 + number.wrapping_mul(0x9E37_79B9) % 81;
    let jitter = |number: u64| number.wrapping_mul(0x9E37_79B9) % 600;
    for (name, habits, announced, duration) in [
        ("an encoder, for two hours", USUAL, 25.0, 2 * HOUR),
        (
            "one on bad Wi-Fi",
            Habits {
                delay: jitter,
                ..USUAL
            },
            25.0,
            10 * MINUTE,
        ),
        (
            "variable frame rate",
            Habits {
                video: Some(variable),
                gop: 30,
                ..USUAL
            },
            30.0,
            HOUR,
        ),
        (
            "NTSC with a keyframe every four seconds",
            Habits {
                video: Some(|number| (number + 1) * 1001 / 30 - number * 1001 / 30),
                gop: 120,
                ..USUAL
            },
            29.97,
            HOUR,
        ),
        (
            "a camera of five pictures a second, for a day",
            Habits {
                video: Some(|_| 200),
                gop: 20,
                audio: None,
                ..USUAL
            },
            5.0,
            24 * HOUR,
        ),
        (
            "a picture every ten seconds, for a day",
            Habits {
                video: Some(|_| 10_000),
                gop: 1,
                audio: None,
                ..USUAL
            },
            0.0,
            24 * HOUR,
        ),
        (
            "sound alone",
            Habits {
                video: None,
                ..USUAL
            },
            0.0,
            2 * HOUR,
        ),
    ] {
        let fixture = Fixture::new();
        let mut metadata = METADATA.to_vec();
        metadata[2].1 = announced;
        metadata.retain(|(name, _)| match *name {
            "audiocodecid" => habits.audio.is_some(),
            _ => habits.video.is_some(),
        });
        publish(&fixture, &metadata);
        assert_eq!(run(&fixture, habits, duration), [], "{name}");
        assert_eq!(findings(&fixture), [], "{name}");
    }
}

#[test]
fn a_report_contains_the_measured_figures() {
    let fixture = Fixture::new();
    publish(&fixture, METADATA);
    let player = fixture.play(Join::Next);
    run(&fixture, USUAL, MINUTE);
    let now = fixture.now.get();
    let report = fixture.stream.report(now);
    assert!(report.is_live);
    assert_eq!((report.since, report.publisher.unwrap().0), (1_000, 1));
    assert_eq!(report.frame_rate, Some(25_000));
    assert_eq!(report.keyframe_interval, Some(2_000));
    assert_eq!(report.video.messages, 1_501);
    assert_eq!(report.audio.messages, 1 + 2_813);
    // 24 frames of 60 bytes and half of a keyframe, within a keyframe interval.
    let a_second = 8 * (24 * 60 + 60 + 170);
    assert_eq!(report.video.bits_per_second, a_second);
    let received = report.video.bits_per_second + report.audio.bits_per_second;
    assert!((received..received + 20_000).contains(&report.bits_out));
    assert_eq!((report.skips, report.dropped_messages), (0, 0));
    assert_eq!(report.viewers.counts, [1, 0, 0]);
    let viewer = fixture.stream.viewer_after(0, now).unwrap();
    assert_eq!(fixture.stream.viewer_after(viewer.id, now), None);
    assert_eq!(
        (viewer.protocol, viewer.since, viewer.lag),
        ("rtmp", 1_000, 0)
    );
    assert_eq!(viewer.delivered.bytes, report.bytes_out);
    let sent = report.video.bytes + report.audio.bytes;
    assert!((sent..sent + 100_000).contains(&report.bytes_out));

    let delivered = fixture.stream.leave(player.id).unwrap();
    let after = fixture.stream.report(now);
    assert_eq!((after.viewer_count(), after.peak_viewers), (0, 1));
    assert_eq!(after.bytes_out, delivered.bytes);
    fixture.unpublish();
    let after = fixture.stream.report(now);
    assert!(!after.is_live && after.publisher.is_none());
}

#[test]
fn a_viewer_that_lags_and_skips_is_reported_as_such() {
    let fixture = Fixture::published();
    let player = fixture.play(Join::Live);
    fixture.gop(0, 25);
    player.sink.set_room(0);
    fixture.gop(1_000, 25);
    let report = fixture.stream.report(fixture.now.get());
    assert_eq!(report.viewers.lag, 1_000);
    fixture.gop(2_000, 25);
    fixture.gop(3_000, 25);
    player.sink.set_room(usize::MAX);
    fixture.pump();
    let report = fixture.stream.report(fixture.now.get());
    assert_eq!((report.skips, report.viewers.delivered.skips), (1, 1));
    assert!(report.skipped_messages > 50);
    assert_eq!(report.viewers.lag, 0);
    fixture.stream.leave(player.id).unwrap();
    let after = fixture.stream.report(fixture.now.get());
    assert_eq!((after.skips, after.viewers.delivered.skips), (1, 0));
    assert_eq!(after.skipped_messages, report.skipped_messages);
}

#[test]
fn each_fault_is_reported_once_per_publish() {
    let fixture = Fixture::new();
    let wrong = [
        ("width", 1280.0),
        ("height", 720.0),
        ("framerate", 60.0),
        ("videocodecid", 7.0),
        ("audiocodecid", 10.0),
    ];
    let habits = Habits {
        gop: 250,
        audio: None,
        // Every minute the network is down for two seconds.
        delay: |number| 2_000 - (number % 1500).min(50) * 40,
        ..USUAL
    };
    for publish_number in 0..2 {
        publish(&fixture, &wrong);
        let told = run(&fixture, habits, 10 * MINUTE);
        let ids: Vec<_> = told.iter().map(|(_, finding)| finding.id()).collect();
        assert_eq!(
            ids,
            [
                "missing-audio",
                "picture-size",
                "keyframe-interval",
                "frame-rate",
                "network-gaps"
            ],
            "publish {publish_number}"
        );
        assert!(told[..2].iter().all(|(at, _)| (5_000..7_100).contains(at)));
        assert!(told[3].0 < 25_000);
        let found = findings(&fixture);
        assert_eq!(found.len(), 5);
        let gaps = found.last().unwrap();
        let Finding::NetworkGaps { count, longest } = gaps else {
            panic!("{gaps:?}")
        };
        assert!(
            (8..=9).contains(count) && (2_000..2_100).contains(longest),
            "{gaps:?}"
        );
        fixture.unpublish();
        fixture.wait(1_000);
    }
}

#[test]
fn clock_jumps_are_found() {
    let fixture = Fixture::published();
    fixture.gop(0, 25);
    let timestamp = 100_000_000;
    fixture.frame(timestamp, true, 100);
    let pumped = fixture.stream.pump(fixture.now.get());
    let [finding @ Finding::Timestamps(_)] = pumped.findings[..] else {
        panic!("{:?}", pumped.findings)
    };
    assert_eq!(findings(&fixture), [finding]);
}

#[test]
fn a_gop_that_does_not_fit_is_found_when_its_keyframe_goes() {
    // A log may hold seven of the eight blocks.
    let fixture = Fixture::with(8, 0);
    fixture.publish();
    fixture.append(Kind::Video, 0, AVC_HEADER);
    let mut told = Vec::new();
    for index in 0..30 {
        fixture.frame(index * 40, index == 0, 4_000);
        told.extend(fixture.stream.pump(fixture.now.get()).findings);
        fixture.wait(40);
    }
    let memory = Finding::LargeGop { may_hold: 114_688 };
    assert_eq!(told, [memory]);
    assert_eq!(findings(&fixture), [memory]);
}

#[test]
fn a_gop_that_is_evicted_for_a_message_under_assembly_is_found() {
    let fixture = Fixture::published();
    fixture.gop(0, 10);
    let generation = fixture.generation.get();
    assert_eq!(findings(&fixture), []);
    while fixture.stream.evict_oldest(generation) {}
    let found = findings(&fixture);
    assert!(matches!(found[..], [Finding::LargeGop { .. }]), "{found:?}");
}

#[test]
fn a_message_that_does_not_fit_is_counted_and_found() {
    let fixture = Fixture::with(8, 0);
    fixture.publish();
    fixture.append(Kind::Video, 0, AVC_HEADER);
    let mut large = vec![0x17, 1, 0, 0, 0];
    large.resize(120_000, 0x41);
    let appended = fixture.append(Kind::Video, 0, &large);
    assert_eq!(appended, Appended::OutOfBlocks);
    let memory = Finding::LargeMessage {
        len: 120_000,
        may_hold: 114_688,
    };
    assert_eq!(fixture.stream.pump(fixture.now.get()).findings, [memory]);
    let report = fixture.stream.report(fixture.now.get());
    assert_eq!(report.dropped_messages, 1);
    assert_eq!(report.findings, [memory]);
}

#[test]
fn a_camera_that_never_sends_a_keyframe_is_found() {
    let fixture = Fixture::published();
    let mut told = Vec::new();
    for index in 0..300 {
        fixture.frame(index * 40, false, 100);
        told.extend(fixture.stream.pump(fixture.now.get()).findings);
        fixture.wait(40);
    }
    let no_start = Finding::NoStart {
        has_recovery_points: false,
    };
    let [first, Finding::KeyframeInterval { is_open: true, .. }] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(first, no_start);
}

#[test]
fn audio_alone_where_video_was_announced_is_found() {
    let fixture = Fixture::new();
    publish(&fixture, METADATA);
    let habits = Habits {
        video: None,
        ..USUAL
    };
    let told = run(&fixture, habits, MINUTE);
    let [(5_000..=5_100, Finding::MissingTrack(Medium::Video))] = told[..] else {
        panic!("{told:?}")
    };
}

#[test]
fn a_publish_that_brings_no_media_is_found() {
    let fixture = Fixture::new();
    publish(&fixture, METADATA);
    let pump = |now| {
        fixture.now.set(now);
        fixture.stream.pump(now).findings
    };
    let since = fixture.now.get();
    assert_eq!(pump(since + 4_999), []);
    assert_eq!(pump(since + 5_000), [Finding::NoMedia]);
    assert_eq!(pump(since + 6_000), []);
    assert_eq!(findings(&fixture), [Finding::NoMedia]);
    // A late track is no longer missing, and being late isn't a finding.
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    assert_eq!(pump(since + 7_000), []);
    assert_eq!(findings(&fixture), []);

    // Findings are per publish, and no media is expected after its end.
    fixture.unpublish();
    fixture.publish();
    let since = fixture.now.get();
    assert_eq!(pump(since + 5_000), [Finding::NoMedia]);
    fixture.publish();
    fixture.unpublish();
    assert_eq!(pump(since + 60_000), []);
}

#[test]
fn trouble_with_the_recording_outlives_a_publish() {
    let fixture = Fixture::new();
    let findings = || fixture.stream.report(fixture.now.get()).findings;
    let note = |trouble| fixture.stream.set_recording_trouble(trouble);
    fixture.publish();
    assert!(!note(None));
    // Only another kind of trouble is news.
    assert!(note(Some(RecordingTrouble::Behind(5_000))));
    assert!(!note(Some(RecordingTrouble::Behind(9_000))));
    let behind = Finding::Recording(RecordingTrouble::Behind(9_000));
    assert_eq!(findings(), [behind]);
    assert!(note(Some(RecordingTrouble::DiskGone)));
    fixture.unpublish();
    fixture.publish();
    let gone = Finding::Recording(RecordingTrouble::DiskGone);
    assert_eq!(findings(), [gone]);
    assert!(note(None));
    assert_eq!(findings(), []);
}
