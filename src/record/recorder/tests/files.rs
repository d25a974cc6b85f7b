//! Which files a stream becomes.

use std::sync::Arc;

use super::bench::*;
use super::feed::{AVC, OTHER_AVC};
use super::recorded::{missing, names, numbers};
use crate::live::cut::Form;
use crate::live::lock;
use crate::media::Medium;
use crate::record::mp4::tests::closed_file::ClosedFile;
use crate::record::playback::plan::plan;
use crate::record::playback::span::SpanBody;
use crate::record::playback::{Body, Recordings};
use crate::record::recorder::{Rules, Step};
use crate::record::report::RecordingState;
use crate::record::space::length_to_set_aside;
use crate::rtmp::stream_key::StreamKey;

const BOTH: [Form; 2] = [Form::Mp4, Form::Flv];

fn rules(form: Form) -> Rules {
    Rules {
        form: Some(form),
        ..RULES
    }
}

#[test]
fn files_begin_with_the_first_keyframe_of_their_segment() {
    for form in BOTH {
        // Keyframes at 0.2 s of each second, or each fifth second: these are cut in pieces.
        for (gop, expected) in [(25, [0, 500, 1_000]), (125, [0, 500, 1_000])] {
            let segment = 10_000;
            let mut bench = Bench::with(
                Rules {
                    segment,
                    ..rules(form)
                },
                1_024,
                TODAY + 200,
            );
            bench.feed().gop = gop;
            bench.publish();
            bench.pass(24_000);
            let files = assert_whole(&mut bench, 0);
            let first: Vec<_> = files.iter().map(|file| file.video[0]).collect();
            assert_eq!(first, expected);
            let end = form_of(form);
            let wanted = ["00", "10", "20"].map(|s| format!("2026-11-28T11-30-{s}Z.{end}"));
            assert_eq!(names(&files), wanted);
        }
    }
}

fn form_of(form: Form) -> &'static str {
    match form {
        Form::Mp4 => "mp4",
        Form::Flv => "flv",
    }
}

#[test]
fn a_segment_that_ends_between_keyframes_waits_for_the_next() {
    let segment = 10_000;
    let mut bench = Bench::with(Rules { segment, ..RULES }, 1_024, TODAY + 7_000);
    // Keyframes at 7 s, 11 s, 15 s, 19 s, 23 s.
    bench.feed().gop = 100;
    bench.publish();
    bench.pass(18_000);
    let files = assert_whole(&mut bench, 0);
    let first: Vec<_> = files.iter().map(|file| file.video[0]).collect();
    assert_eq!(first, [0, 200, 800]);
    assert_eq!(files[1].name, "2026-11-28T11-30-11Z.mp4");
}

#[test]
fn a_publisher_that_returns_in_time_continues_the_file() {
    for form in BOTH {
        let mut bench = Bench::new(rules(form));
        bench.publish();
        bench.pass(5_400);
        bench.feed().unpublish();
        let syncs = bench.disk.counts().syncs;
        bench.pass(30_000);
        assert_eq!(bench.state(), RecordingState::Waiting);
        // What was written is safe, and nothing else has to be.
        assert!(bench.report().last_sync.is_some());
        assert_eq!(bench.disk.counts().syncs, syncs + 1);
        bench.feed().timestamp = 77;
        bench.publish();
        bench.pass(5_000);
        assert_eq!(bench.state(), RecordingState::Recording);
        let files = assert_whole(&mut bench, 0);
        assert_eq!(files.len(), 1);
        let times = &files[0].times;
        assert!(times.is_sorted());
        let step = times.windows(2).map(|two| two[1] - two[0]).max().unwrap();
        assert!((29_500..30_600).contains(&step), "{step}");
    }
}

#[test]
fn only_other_codec_parameters_begin_a_new_file() {
    for form in BOTH {
        for (video, count) in [(AVC, 1), (OTHER_AVC, 2)] {
            let mut bench = Bench::new(rules(form));
            bench.publish();
            bench.pass(5_000);
            bench.feed().unpublish();
            bench.pass(2_000);
            bench.feed().publish(video);
            bench.pass(5_000);
            let files = assert_whole(&mut bench, 0);
            assert_eq!(files.len(), count);
            if let Some(second) = files.get(1) {
                assert_eq!(second.video[0], 250);
            }
        }
    }
}

#[test]
fn a_stream_that_changes_to_codecs_without_mp4_goes_on_as_flv_and_back() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    bench.pass(5_000);
    bench.feed().unpublish();
    bench.pass(480);
    {
        // Sorenson H.263.
        let feed = &mut *bench.feed();
        feed.tags = [0x12, 0x22];
        feed.publish(b"");
    }
    bench.pass(9_960);
    bench.feed().unpublish();
    bench.pass(480);
    bench.feed().tags = [0x17, 0x27];
    bench.publish();
    bench.pass(5_000);
    let files = bench.files();
    let formats: Vec<_> = files
        .iter()
        .map(|file| file.name.rsplit_once('.').unwrap().1)
        .collect();
    assert_eq!(formats, ["mp4", "flv", "mp4"]);
    let sent = bench.feed().sent;
    // Without a sequence header, it takes 3 s until it is known what the publisher sends.
    let lost = missing(&files, 0, sent);
    assert!(
        lost.iter().all(|number| (250..400).contains(number)),
        "{lost:?}"
    );
}

#[test]
fn a_form_that_cannot_hold_the_stream_is_a_finding_until_another_publisher_comes() {
    let mut bench = Bench::new(rules(Form::Mp4));
    {
        let feed = &mut *bench.feed();
        (feed.tags, feed.has_audio) = ([0x12, 0x22], false);
        feed.publish(b"");
    }
    bench.pass(10_000);
    assert_eq!(bench.state(), RecordingState::NoFormat);
    bench.feed().unpublish();
    bench.pass(480);
    let first = bench.feed().sent;
    bench.feed().tags = [0x17, 0x27];
    bench.publish();
    bench.pass(5_000);
    assert_eq!(bench.state(), RecordingState::Recording);
    let files = bench.files();
    let sent = bench.feed().sent;
    assert_eq!(missing(&files, first, sent), [0; 0]);
}

#[test]
fn files_of_a_time_lapse_are_as_long_as_others_but_no_longer_than_a_day() {
    const DAY: u64 = 86_400_000;

    for (segment, speed, expected) in [
        (600_000, None, 600_000),
        (600_000, Some(60), 36_000_000),
        (600_000, Some(1_000), DAY),
        (2 * DAY, None, 2 * DAY),
        (2 * DAY, Some(60), 2 * DAY),
    ] {
        let rules = Rules {
            segment,
            speed,
            ..RULES
        };
        assert_eq!(rules.segment(), expected, "{segment} {speed:?}");
    }
}

#[test]
fn space_is_set_aside_by_the_length_of_the_last_file() {
    for form in BOTH {
        let mut bench = Bench::new(Rules {
            segment: 10_000,
            ..rules(form)
        });
        bench.feed().frame_len = 20_000;
        bench.publish();
        let path = |second| format!("live/door/2026-11-28T11-30-{second}Z.{}", form_of(form));
        bench.pass(1_960);
        let first = format!("{}.part", path("00"));
        assert_eq!(bench.disk.allocated(&first), length_to_set_aside(0));
        bench.pass(11_000);
        let len = bench.disk.bytes(path("00")).unwrap().len() as u64;
        let second = format!("{}.part", path("10"));
        assert_eq!(bench.disk.allocated(&second), length_to_set_aside(len));
        assert_whole(&mut bench, 0);
    }
}

#[test]
fn a_file_that_gets_too_long_ends_at_a_keyframe() {
    for form in BOTH {
        let mut bench = Bench::new(rules(form));
        bench.feed().frame_len = 200_000;
        bench.publish();
        bench.pass(18_000);
        let files = assert_whole(&mut bench, 0);
        assert_eq!(files.len(), 2);
        assert_eq!(files[1].video[0] % 50, 0);
    }
}

#[test]
fn an_end_in_the_middle_keeps_what_is_in_memory() {
    for form in BOTH {
        let mut bench = Bench::new(rules(form));
        bench.feed().gop = 100;
        bench.publish();
        bench.pass(9_000);
        let sent = bench.feed().sent;
        bench.finish();
        bench.feed().pass(1_000);
        bench.step();
        assert!(bench.is_over);
        let files = bench.files();
        assert_eq!(numbers(&files), (0..sent).collect::<Vec<_>>());
        assert_eq!(bench.report().missed_messages, 0);
    }
}

#[test]
fn a_new_file_that_is_asked_for_begins_with_a_keyframe() {
    let mut bench = Bench::new(RULES);
    bench.publish();
    bench.pass(5_480);
    bench.recorder.begin_anew();
    bench.pass(5_000);
    let files = assert_whole(&mut bench, 0);
    assert_eq!(files.len(), 2);
    assert_eq!(files[1].video[0] % 50, 0);
}

#[test]
fn what_came_before_is_recorded_as_far_as_asked() {
    for (preroll, first) in [(None, 950), (Some(5_000), 700), (Some(60_000), 0)] {
        let kept = preroll.or(Some(60_000));
        let mut bench = Bench::new(Rules {
            preroll: kept,
            ..RULES
        });
        bench.publish();
        bench.feed().pass(19_960);
        bench.ask(Rules { preroll, ..RULES });
        bench.step();
        bench.pass(5_000);
        let files = assert_whole(&mut bench, first);
        assert_eq!(files.len(), 1, "{preroll:?}");
    }
}

#[test]
fn what_one_recording_has_is_in_no_other() {
    let preroll = Some(10_000);
    let rules = Rules { preroll, ..RULES };
    for is_over in [true, false] {
        let mut bench = Bench::new(rules);
        bench.publish();
        bench.pass(9_480);
        bench.finish();
        if is_over {
            bench.step();
        }
        let mut first = bench.ask(rules);
        bench.pass(480);
        // The first one may still have to write when the second one has begun.
        let feed = Arc::clone(&bench.feed);
        while first.step(&|| lock(&feed).clock()) != Step::Over {}
        bench.pass(5_000);
        let sent = bench.feed().sent;
        let found = numbers(&bench.files());
        // In the middle of a GOP, no file can begin.
        let expected = (0..474).chain(500..sent);
        assert_eq!(found, Vec::from_iter(expected));
    }
}

#[test]
fn a_time_lapse_has_evenly_spaced_keyframes_and_no_audio() {
    for form in BOTH {
        // The timestamps wrap after 10 s, and the publisher's clock jumps after 20 s.
        let speed = Some(10);
        let mut bench = Bench::new(Rules {
            speed,
            ..rules(form)
        });
        bench.feed().timestamp = 10_000_u32.wrapping_neg();
        bench.publish();
        bench.pass(20_160);
        bench.feed().timestamp += 500_000_000;
        bench.pass(20_160);
        let files = bench.files();
        assert_eq!(files.len(), 1);
        let [file] = &files[..] else { panic!() };
        assert_eq!(file.video, (0..41).map(|n| n * 50).collect::<Vec<_>>());
        assert!(file.audio.is_empty());
        let steps = file.times.windows(2).map(|two| two[1] - two[0]);
        let uneven: Vec<_> = steps.filter(|step| !(95..=105).contains(step)).collect();
        assert!(uneven.is_empty(), "{form:?} {uneven:?} {:?}", file.times);
    }
}

#[test]
fn figures_tell_what_was_written_and_how_long_it_took() {
    let mut bench = Bench::new(RULES);
    assert_eq!(
        (bench.report().since, bench.report().file.as_ref()),
        (1_000, None)
    );
    bench.publish();
    bench.pass(5_000);
    let report = bench.report();
    assert_eq!(report.state, RecordingState::Recording);
    let name = "live/door/2026-11-28T11-30-00Z.mp4";
    assert_eq!(report.file.as_deref(), Some(name));
    assert_eq!((report.longest_write, report.last_sync), (0, None));
    assert!(report.behind <= 2_000);
    bench.pass(10_000);
    assert!(
        bench
            .report()
            .last_sync
            .is_some_and(|at| (11_000..14_000).contains(&at))
    );
    bench.feed().slow = 2_000;
    bench.pass(2_000);
    bench.feed().slow = 0;
    assert!((2_000..=6_000).contains(&bench.report().longest_write));
    bench.feed().pass(20_000);
    bench.pass(0);
    assert_whole(&mut bench, 0);
    let len = bench.disk.bytes(name).unwrap().len() as u64;
    assert_eq!(bench.report().bytes, len);
}

#[test]
fn video_without_audio_is_recorded_even_if_its_publisher_falls_silent_at_once() {
    let mut bench = Bench::new(RULES);
    bench.feed().has_audio = false;
    bench.publish();
    bench.pass(1_000);
    // It stays connected.
    bench.feed().is_live = false;
    for _ in 0..10 {
        bench.pass(1_000);
        let feed = bench.feed();
        feed.stream.pump(feed.now);
    }
    assert_eq!(bench.state(), RecordingState::Recording);
    bench.end();
    assert_eq!(bench.files()[0].video.len(), 25);
}

#[test]
fn sound_alone_is_recorded_from_its_first_message_on() {
    // AAC with its header; Speex, which MP4 has no name for.
    for (tag, extension) in [([0xAF, 1], "mp4"), ([0xB6, 1], "flv")] {
        for form in [None, Some(Form::Flv)] {
            let mut bench = Bench::new(Rules { form, ..RULES });
            bench.feed().has_audio = tag[0] == 0xAF;
            bench.feed().publish(&[]);
            bench.feed().is_live = false;
            for number in 0..250_u32 {
                let [a, b, c, d] = number.to_be_bytes();
                let payload = [tag[0], tag[1], 0, 0, 0, a, b, c, d, 0x41];
                bench.feed().append(Medium::Audio, &payload);
                bench.pass(40);
            }
            let extension = form.map_or(extension, |_| "flv");
            let [file] = &bench.files()[..] else { panic!() };
            assert!(file.name.ends_with(extension), "{}", file.name);
            assert_eq!(
                file.audio,
                (0..250).collect::<Vec<_>>(),
                "{tag:x?} {form:?}"
            );
        }
    }
}

#[test]
fn the_files_of_a_time_lapse_follow_each_other_without_a_gap() {
    let mut bench = Bench::new(Rules {
        speed: Some(10),
        segment: 2_000,
        ..rules(Form::Mp4)
    });
    bench.feed().gop = 125;
    bench.publish();
    bench.pass(60_000);
    assert_eq!(bench.files().len(), 3);
    let key = StreamKey::new("live", "door").unwrap();
    let mut spans = Vec::new();
    bench
        .store
        .catalog()
        .spans(&key, 0..u64::MAX, 9, &mut spans);
    assert_eq!(spans.len(), 1);
    let recordings = Recordings {
        catalog: bench.store.shared_catalog().clone(),
        disk: bench.store.disk().clone(),
    };
    let plan = plan(&recordings, &key, 0, u64::MAX, &mut |_| true).unwrap();
    let mut body = SpanBody::new(recordings, key, plan).unwrap();
    let mut bytes = vec![0; body.len() as usize];
    let mut done = 0;
    while done < bytes.len() {
        done += body.read(done as u64, &mut bytes[done..]).unwrap();
    }
    let times = ClosedFile::parse_span(&bytes).video;
    let times: Vec<u64> = times.iter().map(|frame| frame.time).collect();
    assert_eq!(times, (0..12).map(|n| n * 500).collect::<Vec<_>>());
}
