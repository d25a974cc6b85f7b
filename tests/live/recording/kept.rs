//! What stays in the log for recorders, and what doesn't.

use super::*;

use brooklet::live::out::join::Join;

/// A stream in a small arena.
fn crowded(blocks: usize) -> Fixture {
    let fixture = Fixture::with(blocks, 0);
    fixture.publish();
    headers(&fixture);
    fixture
}

/// Sends GOPs of a second with frames of 4 kB.
fn film(fixture: &Fixture, from: u32, gops: u32) {
    for gop in 0..gops {
        for frame in 0..25 {
            let timestamp = from + gop * 1_000 + frame * 40;
            fixture.frame(timestamp, frame == 0, 4_000);
            fixture.audio(timestamp + 10, 100);
            fixture.pump();
            fixture.wait(40);
        }
    }
}

#[test]
fn a_recorder_that_lags_loses_nothing_as_long_as_blocks_are_free() {
    for form in [Form::Mp4, Form::Flv] {
        // 100 kB a second.
        let fixture = crowded(1024);
        let mut recorder = Recorder::of(&fixture, form);
        film(&fixture, 0, 60);
        let lag = fixture
            .stream
            .record_lag(&recorder.place, fixture.now.get());
        assert!(lag >= 60_000, "{lag}");
        recorder.poll(&fixture);
        assert_eq!(recorder.counts(Kind::Video), [25; 59]);
        assert_eq!(recorder.missed(), 0);
    }
}

#[test]
fn a_recorder_that_keeps_up_holds_hardly_more_than_none() {
    let held = |is_recorded: bool| {
        let fixture = Fixture::of_settings(1024, |settings| settings.is_hls_served = false);
        fixture.publish();
        headers(&fixture);
        let mut recorder = is_recorded.then(|| Recorder::of(&fixture, Form::Mp4));
        let mut most = 0;
        for second in 0..20 {
            film(&fixture, second * 1_000, 1);
            if let Some(recorder) = &mut recorder {
                recorder.poll(&fixture);
            }
            most = most.max(fixture.stream.report(fixture.now.get()).blocks);
        }
        most
    };
    let (with, without) = (held(true), held(false));
    assert!(with <= without + 8, "{with} blocks instead of {without}");
}

#[test]
fn what_was_evicted_is_counted_and_the_recording_goes_on_with_a_keyframe() {
    for form in [Form::Mp4, Form::Flv] {
        let fixture = crowded(64);
        let mut recorder = Recorder::of(&fixture, form);
        film(&fixture, 0, 3);
        recorder.poll(&fixture);
        let before = recorder.cuts.len();
        film(&fixture, 3_000, 30);
        recorder.poll(&fixture);
        let next = &recorder.cuts[before];
        assert!(next.missed > 500, "{} missed", next.missed);
        assert!(next.is_start);
        // Every message was cut or counted.
        for pair in recorder.cuts.windows(2) {
            let gap = pair[1].messages.start - pair[0].messages.end;
            assert_eq!(pair[1].missed, gap);
        }
        assert!(
            recorder.cuts[before + 1..]
                .iter()
                .all(|cut| cut.missed == 0)
        );
    }
}

#[test]
fn a_cut_that_leaves_the_log_while_it_is_copied_can_be_given_up() {
    let fixture = crowded(64);
    let mut recorder = Recorder::of(&fixture, Form::Mp4);
    film(&fixture, 0, 2);
    let mut cut = Cut::default();
    let stream = &fixture.stream;
    let next = stream.next_cut(&mut recorder.place, &mut cut, fixture.now.get());
    assert_eq!(next, Next::Cut);
    film(&fixture, 2_000, 30);
    assert_eq!(copied(stream, &cut.samples), Err(Evicted));
    recorder.place.note_lost(&cut);
    recorder.poll(&fixture);
    assert!(recorder.cuts[0].is_start);
    assert_eq!(
        recorder.cuts[0].missed,
        recorder.cuts[0].messages.start - cut.messages.start
    );
}

#[test]
fn viewers_lose_nothing_to_a_recorder_that_never_reads() {
    let skips = |is_recorded: bool| {
        let fixture = crowded(64);
        let recorder = is_recorded.then(|| Recorder::of(&fixture, Form::Mp4));
        film(&fixture, 0, 10);
        let mut player = fixture.play(Join::Gop);
        player.got();
        let mut lost = 0;
        for second in 10..30 {
            // Behind by almost a second, at times.
            player.sink.set_room(0);
            film(&fixture, second * 1_000, 1);
            player.sink.set_room(usize::MAX);
            fixture.pump();
            lost += 50 - player.media().len() as i64;
        }
        drop(recorder);
        (lost, fixture.stream.report(fixture.now.get()).skips)
    };
    assert_eq!(skips(true), skips(false));
}

#[test]
fn a_recording_that_has_ended_frees_its_blocks() {
    let fixture = Fixture::of_settings(1024, |settings| settings.is_hls_served = false);
    fixture.publish();
    headers(&fixture);
    let recorder = Recorder::of(&fixture, Form::Mp4);
    film(&fixture, 0, 30);
    let blocks = |fixture: &Fixture| fixture.stream.report(fixture.now.get()).blocks;
    assert!(blocks(&fixture) > 150);
    fixture.stream.end_recording(recorder.place);
    film(&fixture, 30_000, 2);
    assert!(blocks(&fixture) < 30);
}

#[test]
fn the_last_seconds_are_kept_for_those_who_ask_later() {
    let fixture = Fixture::of_settings(1024, |settings| {
        settings.is_hls_served = false;
        settings.kept = 10_000;
    });
    fixture.publish();
    headers(&fixture);
    film(&fixture, 0, 30);
    let mut recorder = Recorder::with(&fixture, Form::Mp4, Some(10_000));
    recorder.poll(&fixture);
    let first = recorder.cuts[0].samples[0].timestamp;
    assert!((18_000..=20_000).contains(&first), "{first}");
    // Not much more than asked for.
    let blocks = fixture.stream.report(fixture.now.get()).blocks;
    assert!((60..100).contains(&blocks), "{blocks}");
}

#[test]
fn what_is_kept_for_later_is_given_up_when_another_stream_needs_it() {
    // 64 blocks are a megabyte: ten seconds of this stream.
    let fixture = Fixture::of_settings(64, |settings| {
        settings.is_hls_served = false;
        settings.kept = 30_000;
    });
    fixture.publish();
    headers(&fixture);
    film(&fixture, 0, 30);
    let blocks = fixture.stream.report(fixture.now.get()).blocks;
    assert!((8..=40).contains(&blocks), "{blocks}");
    assert!(fixture.arena.free_blocks() >= 12);
}

#[test]
fn recording_allocates_nothing_in_the_steady_state() {
    for form in [Form::Mp4, Form::Flv] {
        let fixture = crowded(1024);
        let mut place = fixture.stream.begin_recording(form, 0);
        let (mut cut, mut out) = (Cut::default(), vec![0; 16 * 1024]);
        let mut record = |now| {
            let mut bytes = 0;
            while fixture.stream.next_cut(&mut place, &mut cut, now) == Next::Cut {
                let mut place = CopyPlace::default();
                while place.index < cut.samples.len() {
                    let samples = &cut.samples;
                    bytes += fixture.stream.copy(samples, &mut place, &mut out).unwrap();
                }
            }
            bytes
        };
        film(&fixture, 0, 5);
        assert!(record(fixture.now.get()) > 100_000);
        film(&fixture, 5_000, 5);
        let (now, mut bytes) = (fixture.now.get(), 0);
        let allocations = allocation_counter::measure(|| bytes = record(now));
        assert!(bytes > 400_000);
        assert_eq!(allocations.count_total, 0);
    }
}
