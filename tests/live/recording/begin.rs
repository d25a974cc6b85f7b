//! With what a recording begins.

use super::*;

#[test]
fn a_recording_begins_with_the_newest_keyframe_or_earlier() {
    let first = |preroll| {
        let fixture = published();
        // Keeps everything.
        let _all = Recorder::of(&fixture, Form::Mp4);
        gops(&fixture, 0, 10, 25);
        let mut recorder = Recorder::with(&fixture, Form::Mp4, preroll);
        fixture.wait(4_000);
        recorder.poll(&fixture);
        assert!(recorder.cuts[0].is_start);
        recorder.cuts[0].samples[0].timestamp
    };
    assert_eq!(first(None), 9_000);
    // The newest frame has arrived at 9,960 ms.
    for (preroll, timestamp) in [
        (0, 9_000),
        (960, 9_000),
        (961, 8_000),
        (5_000, 4_000),
        (60_000, 0),
    ] {
        assert_eq!(first(Some(preroll)), timestamp, "{preroll}");
    }
}

#[test]
fn a_recording_has_the_keyframes_since_it_was_asked_for() {
    for form in [Form::Mp4, Form::Flv] {
        let fixture = Fixture::new();
        fixture.publish();
        let from = fixture.stream.record_start(None);
        // Encoders may send a second at once, before anybody has looked at the form.
        headers(&fixture);
        gops(&fixture, 0, 3, 25);
        let mut recorder = Recorder::from(&fixture, form, from);
        recorder.poll(&fixture);
        assert_eq!(recorder.counts(Kind::Video), [25; 2]);
        assert_eq!(recorder.missed(), 0);
    }
}

#[test]
fn before_the_first_keyframe_a_recording_waits() {
    for form in [Form::Mp4, Form::Flv] {
        let fixture = Fixture::new();
        let mut recorder = Recorder::of(&fixture, form);
        assert_eq!(recorder.poll(&fixture), Next::Wait);
        fixture.publish();
        headers(&fixture);
        fixture.audio(0, 100);
        assert_eq!(recorder.poll(&fixture), Next::Wait);
        gops(&fixture, 0, 3, 25);
        recorder.poll(&fixture);
        assert_eq!(recorder.starts(), [true, true]);
        assert_eq!(recorder.cuts[0].samples[0].kind, Kind::Video);
        assert_eq!(recorder.missed(), 0);
    }
}
