use super::*;
use crate::live::finding::ClockRepair;
use crate::rtmp::amf0::Value;
use crate::rtmp::command::object;

fn examine(doctor: &mut Doctor, metadata: &[(&str, Value)], coded: Option<(u16, u16)>) {
    let mut bytes = Vec::new();
    object(metadata.iter().cloned()).emit(&mut bytes);
    doctor.examine(Properties::of(&bytes).as_ref(), coded);
}

/// Lets a doctor examine a publish with this metadata and this frame size.
fn examined(
    media: &[Medium],
    metadata: &[(&str, Value)],
    coded: Option<(u16, u16)>,
) -> Vec<Finding> {
    let mut doctor = Doctor::default();
    for medium in media {
        doctor.note_message(*medium, 1_000);
    }
    assert!(!doctor.is_examination_due(5_999));
    assert_eq!(doctor.is_examination_due(6_000), !media.is_empty());
    examine(&mut doctor, metadata, coded);
    assert!(!doctor.is_examination_due(7_000));
    doctor.take_news(7_000)
}

#[test]
fn announced_tracks_that_do_not_come_are_found() {
    use Medium::{Audio, Video};

    let number = |name: &'static str, number: f64| (name, Value::Number(number));
    let text = |name: &'static str, text: &str| (name, Value::String(text.to_owned()));
    let flag = |name: &'static str, flag: bool| (name, Value::Boolean(flag));
    for (name, media, metadata, missing) in [
        (
            "OBS, both there",
            &[Video, Audio][..],
            vec![number("videocodecid", 7.0), number("audiocodecid", 10.0)],
            None,
        ),
        (
            "a camera without a microphone that promises one",
            &[Video],
            vec![number("videocodecid", 7.0), number("audiocodecid", 10.0)],
            Some(Audio),
        ),
        (
            "the same with FourCCs in letters",
            &[Video],
            vec![text("videocodecid", "hvc1"), text("audiocodecid", "mp4a")],
            Some(Audio),
        ),
        (
            "a radio with a codec of video",
            &[Audio],
            vec![number("videocodecid", 7.0), number("audiocodecid", 10.0)],
            Some(Video),
        ),
        (
            "codecs that say none",
            &[Video],
            vec![number("audiocodecid", 0.0)],
            None,
        ),
        (
            "codecs that are taken back",
            &[Video],
            vec![number("audiocodecid", 10.0), flag("hasAudio", false)],
            None,
        ),
        (
            "empty codecs",
            &[Video],
            vec![text("audiocodecid", "")],
            None,
        ),
        ("no metadata", &[Video], vec![], None),
    ] {
        let missing: Vec<_> = missing.into_iter().map(Finding::MissingTrack).collect();
        assert_eq!(examined(media, &metadata, None), missing, "{name}");
    }
}

#[test]
fn a_track_that_comes_late_is_no_longer_missing() {
    let mut doctor = Doctor::default();
    doctor.note_message(Medium::Video, 0);
    examine(&mut doctor, &[("audiocodecid", Value::Number(10.0))], None);
    assert_eq!(doctor.take_news(0).len(), 1);
    doctor.note_message(Medium::Audio, 9_000);
    assert_eq!(doctor.findings(), []);
}

#[test]
fn frame_sizes_may_differ_by_the_rows_that_codecs_add() {
    let size = |width, height| {
        [
            ("width", Value::Number(width)),
            ("height", Value::Number(height)),
        ]
    };
    for (width, height, is_wrong) in [
        (1920.0, 1080.0, false),
        (1920.0, 1088.0, false),
        (1280.0, 720.0, true),
        (1080.0, 1920.0, true),
        (0.0, 0.0, false),
        (-1.0, 1080.0, false),
        (f64::NAN, f64::NAN, false),
        (1e300, 1080.0, true),
    ] {
        let found = examined(&[Medium::Video], &size(width, height), Some((1920, 1080)));
        assert_eq!(!found.is_empty(), is_wrong, "{width}x{height}");
        let unknown = examined(&[Medium::Video], &size(width, height), None);
        assert_eq!(unknown, []);
    }
}

/// The findings if the metadata announces this rate and frames follow each other in these steps.
fn rated(announced: f64, steps: impl Iterator<Item = u32>) -> Vec<Finding> {
    let mut doctor = Doctor::default();
    doctor.note_message(Medium::Video, 0);
    examine(
        &mut doctor,
        &[("framerate", Value::Number(announced))],
        None,
    );
    let mut window = Window::default();
    for step in steps {
        window.add(step);
        if window.ms >= 4_000 {
            doctor.note_window(&std::mem::take(&mut window));
        }
    }
    doctor.take_news(0)
}

#[test]
fn frame_rates_that_are_always_wrong_are_found() {
    let wrong = |announced, measured| {
        vec![Finding::FrameRate {
            announced,
            measured,
        }]
    };
    let even = |step: u32| std::iter::repeat_n(step, 16_000 / step as usize);
    assert_eq!(rated(30.0, even(40)), []);
    assert_eq!(rated(30.0, even(50)), wrong(30_000, 20_000));
    assert_eq!(rated(30.0, even(50).take(300)), []);
    assert_eq!(rated(24.0, even(40)), []);
    assert_eq!(rated(25.0, even(20)), wrong(25_000, 50_000));
    assert_eq!(rated(5.0, even(200)), []);
    assert_eq!(rated(0.0, even(40)), []);
    assert_eq!(rated(f64::NAN, even(40)), []);
    assert_eq!(rated(f64::INFINITY, even(40)), wrong(1_000_000, 25_000));
    // The announced rate is right half of the time.
    let now_and_then = (0..4_000).map(|index| if index / 150 % 2 == 0 { 33 } else { 66 });
    assert_eq!(rated(30.0, now_and_then), []);
    // A phone in the dark, where each frame takes its time.
    let uneven = (0..4_000).map(|index| [33, 66, 33, 100][index % 4]);
    assert_eq!(rated(30.0, uneven), []);
}

/// The findings if frames arrive every 40 ms, in GOPs of these lengths.
fn keyed(gops: &[u32]) -> Vec<Finding> {
    let mut doctor = Doctor::default();
    for frames in gops {
        for index in 0..*frames {
            doctor.note_video_frame(index == 0, Some(40), Some(25_000));
        }
    }
    doctor.take_news(0)
}

#[test]
fn keyframes_that_are_too_far_apart_are_found() {
    let found = |interval, is_open| {
        vec![Finding::KeyframeInterval {
            interval,
            is_open,
            frame_rate: Some(25_000),
        }]
    };
    assert_eq!(keyed(&[50, 50, 50]), []);
    assert_eq!(keyed(&[100, 100, 106, 1]), []);
    assert_eq!(keyed(&[50, 107, 50]), found(4_280, false));
    assert_eq!(keyed(&[250, 250, 250]), found(10_000, false));
    assert_eq!(keyed(&[251]), []);
    assert_eq!(keyed(&[260]), found(10_360, true));
}

#[test]
fn video_without_any_keyframe_is_found() {
    let mut doctor = Doctor::default();
    doctor.note_message(Medium::Video, 1_000);
    doctor.note_message(Medium::Audio, 20_000);
    assert_eq!(doctor.take_news(0), []);
    doctor.note_message(Medium::Video, 11_001);
    assert_eq!(
        doctor.take_news(0),
        [Finding::KeyframeInterval {
            interval: 10_001,
            is_open: true,
            frame_rate: None
        }]
    );
}

#[test]
fn a_gap_in_the_timestamps_is_no_long_interval() {
    let mut doctor = Doctor::default();
    for gop in 0..10 {
        for index in 0..50 {
            let step = if gop > 0 && index == 25 { 9_000 } else { 40 };
            doctor.note_video_frame(index == 0, Some(step), None);
        }
    }
    assert_eq!(doctor.take_news(0), []);
}

/// The findings if audio arrives at these times with these timestamps.
fn arrived(messages: &[(Millis, u32)]) -> Vec<Finding> {
    let mut doctor = Doctor::default();
    for (now, timestamp) in messages {
        doctor.note_arrival(Kind::Audio, *timestamp, *now);
    }
    doctor.take_news(0)
}

#[test]
fn silences_that_the_timestamps_do_not_explain_are_found() {
    let gaps = |count, longest| vec![Finding::NetworkGaps { count, longest }];
    assert_eq!(arrived(&[(0, 0), (2_920, 40), (2_921, 80)]), []);
    assert_eq!(arrived(&[(0, 0), (3_000, 40)]), gaps(1, 3_000));
    let three = [
        (0, 0),
        (1_500, 40),
        (1_501, 1_500),
        (3_100, 1_540),
        (4_700, 1_580),
    ];
    assert_eq!(arrived(&three[..4]), []);
    assert_eq!(arrived(&three), gaps(3, 1_600));
    // Silences an hour apart.
    let rare: Vec<_> = (0..20)
        .flat_map(|hour| [(hour * 3_600_000, 0), (hour * 3_600_000 + 2_000, 40)])
        .collect();
    assert_eq!(arrived(&rare), []);
    // The encoder paused, or dropped the media that the network couldn't carry.
    assert_eq!(arrived(&[(0, 0), (5_000, 5_000), (10_000, 8_000)]), []);
}

#[test]
fn a_missing_track_is_logged_even_if_all_media_was_missing_before() {
    let mut doctor = Doctor::default();
    doctor.note_silence(0, EXAMINATION);
    assert_eq!(doctor.take_news(EXAMINATION), [Finding::NoMedia]);
    doctor.note_message(Medium::Video, 6_000);
    assert_eq!(doctor.findings(), []);
    examine(&mut doctor, &[("audiocodecid", Value::Number(10.0))], None);
    let missing = Finding::MissingTrack(Medium::Audio);
    assert_eq!(doctor.take_news(11_000), [missing]);
}

#[test]
fn each_is_logged_once() {
    let mut doctor = Doctor::default();
    doctor.find(Finding::LargeGop { may_hold: 1 });
    assert_eq!(doctor.take_news(0).len(), 1);
    doctor.find(Finding::LargeGop { may_hold: 2 });
    assert_eq!(doctor.take_news(1 << 40), []);
    assert_eq!(doctor.findings(), [Finding::LargeGop { may_hold: 2 }]);
}

#[test]
fn jumps_and_dropped_messages_are_logged_again_once_in_a_while() {
    let jump = |total| ClockRepair {
        jump_ms: 5_000,
        is_start: false,
        total,
    };
    let dropped = |len| Finding::LargeMessage { len, may_hold: 1 };
    let mut doctor = Doctor::default();
    doctor.find(Finding::Timestamps(jump(1)));
    doctor.find(dropped(1));
    let both = |total, len| [Finding::Timestamps(jump(total)), dropped(len)];
    assert_eq!(doctor.take_news(100), both(1, 1));
    assert_eq!(doctor.take_news(20_000), [], "nothing is new");
    // Only the newest finding of each kind is logged.
    for number in 2..5 {
        doctor.find(Finding::Timestamps(jump(number)));
        doctor.find(dropped(number));
    }
    assert_eq!(doctor.take_news(1_099), []);
    assert_eq!(doctor.take_news(1_100), both(4, 4)[1..]);
    assert_eq!(doctor.take_news(10_099), []);
    assert_eq!(doctor.take_news(10_100), both(4, 4)[..1]);
    assert_eq!(doctor.findings(), both(4, 4));
}
