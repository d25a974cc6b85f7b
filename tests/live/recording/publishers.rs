//! Publishers that leave, return and change what they send.

use super::*;

#[test]
fn a_recording_goes_on_when_its_publisher_returns() {
    for form in [Form::Mp4, Form::Flv] {
        let fixture = published();
        let mut recorder = Recorder::of(&fixture, form);
        fixture.gop(0, 60);
        fixture.unpublish();
        fixture.wait(1_000);
        assert_eq!(recorder.poll(&fixture), Next::Wait);
        // The rest of the GOP doesn't wait for the publisher.
        assert_eq!(recorder.counts(Kind::Video).iter().sum::<usize>(), 60);
        let before = recorder.cuts.len();
        let (generation, now) = (fixture.generation.get(), fixture.now.get());
        let outlook = fixture.stream.advance(generation, now);
        assert!(!outlook.has_ended && outlook.until > Some(now + 10_000));
        fixture.wait(5_000);
        fixture.publish();
        headers(&fixture);
        gops(&fixture, 0, 2, 50);
        recorder.poll(&fixture);
        let next = &recorder.cuts[before];
        assert!(next.is_start, "{form:?}");
        assert_eq!(recorder.missed(), 0);
        let times = recorder.cuts.iter().flat_map(|cut| &cut.samples);
        let times = times.filter(|sample| sample.kind == Kind::Video);
        let times: Vec<_> = times.map(|sample| sample.timestamp).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
}

/// VP9 has its size in keyframes only. Audio before the first one of a publisher that returns with the same
/// header belongs to the same tracks.
#[test]
fn a_publisher_of_vp9_returns_with_the_same_tracks() {
    const HEADER: &[u8] = b"\x90vp09\x01\0\0\0\0\x0B\x82\x02\x02\x02\0\0";
    const KEYFRAME: &[u8] = b"\x91vp09\x82\x49\x83\x42\0\x4F\xF0\x2C\xD6\x06\x38";

    let fixture = Fixture::new();
    let mut recorder = Recorder::of(&fixture, Form::Mp4);
    for _ in 0..2 {
        fixture.publish();
        fixture.append(Kind::Video, 0, HEADER);
        fixture.append(Kind::Audio, 0, AAC_HEADER);
        fixture.audio(0, 100);
        for gop in 0..3 {
            fixture.append(Kind::Video, gop * 1_000 + 20, KEYFRAME);
            fixture.audio(gop * 1_000 + 500, 100);
        }
        fixture.unpublish();
        fixture.wait(2_000);
        recorder.poll(&fixture);
    }
    assert_eq!(recorder.counts(Kind::Video).iter().sum::<usize>(), 6);
    let tracks = &recorder.cuts[0].tracks;
    assert!(tracks.presentation.video.is_some());
    assert!(
        recorder
            .cuts
            .iter()
            .all(|cut| cut.tracks.is_same_as(tracks))
    );
}

#[test]
fn a_stream_waits_for_its_publisher_because_of_a_recorder_alone() {
    let fixture = published();
    let recorder = Recorder::of(&fixture, Form::Mp4);
    fixture.gop(0, 10);
    fixture.unpublish();
    let (generation, now) = (fixture.generation.get(), fixture.now.get());
    let until = |now| fixture.stream.advance(generation, now).until;
    assert!(until(now) > Some(now));
    assert_eq!(fixture.stream.report(now).peak_viewers, 0);
    fixture.stream.end_recording(recorder.place);
    assert_eq!(until(now), None);
}

#[test]
fn the_end_of_a_stream_is_recorded_and_then_it_is_over() {
    for form in [Form::Mp4, Form::Flv] {
        let fixture = published();
        let mut recorder = Recorder::of(&fixture, form);
        fixture.gop(0, 60);
        fixture.unpublish();
        fixture
            .stream
            .end(fixture.generation.get(), fixture.now.get());
        assert_eq!(recorder.poll(&fixture), Next::Over);
        assert_eq!(recorder.counts(Kind::Video).iter().sum::<usize>(), 60);
        assert_eq!(recorder.counts(Kind::Audio).iter().sum::<usize>(), 60);
        assert_eq!(recorder.poll(&fixture), Next::Over);
    }
}

#[test]
fn other_parameters_begin_another_cut_with_the_tracks_of_its_messages() {
    for form in [Form::Mp4, Form::Flv] {
        let fixture = published();
        let mut recorder = Recorder::of(&fixture, form);
        fixture.gop(0, 10);
        fixture.append(Kind::Video, 400, LARGE);
        fixture.audio(400, 100);
        fixture.gop(410, 10);
        fixture.gop(820, 1);
        // The recorder looks only now, when the newest tracks are others than the first cut's.
        recorder.poll(&fixture);
        let of = |cut: &Cut| {
            let video = cut.tracks.presentation.video.as_ref().unwrap();
            video.format.unwrap().size()
        };
        let sizes: Vec<_> = recorder.cuts.iter().map(of).collect();
        let (small, large) = (sizes[0], sizes[sizes.len() - 1]);
        assert_ne!(small, large);
        for cut in &recorder.cuts {
            let video = cut.preamble.nth(0).unwrap().1;
            assert_eq!(video, if of(cut) == small { SMALL } else { LARGE });
        }
        match form {
            // Audio that comes before the keyframe fits either tracks.
            Form::Mp4 => {
                assert_eq!(recorder.starts(), [true, true]);
                assert_eq!(recorder.counts(Kind::Audio), [11, 10]);
            }
            Form::Flv => {
                assert_eq!(recorder.starts(), [true, false, true]);
                assert_eq!(recorder.messages[20].1, LARGE);
            }
        }
    }
}

#[test]
fn what_a_publisher_sends_does_not_change_what_the_one_before_sent() {
    let fixture = Fixture::new();
    let mut recorder = Recorder::of(&fixture, Form::Mp4);
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    fixture.frame(0, true, 100);
    // It left before it was known whether there is audio.
    fixture.unpublish();
    fixture.publish();
    fixture.append(Kind::Video, 0, LARGE);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    gops(&fixture, 0, 2, 25);
    recorder.poll(&fixture);
    let headers = recorder
        .cuts
        .iter()
        .map(|cut| cut.preamble.nth(0).unwrap().1);
    assert_eq!(headers.collect::<Vec<_>>(), [SMALL, LARGE]);
}
