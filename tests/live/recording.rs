//! Recorders: the cuts of a log, and what is kept for them.

mod kept;
#[cfg(feature = "record")]
mod last;
mod random;

use brooklet::live::cut::{CopyPlace, Cut, CutSample, Evicted, Form, Next};
use brooklet::live::kind::Kind;
use brooklet::live::stream::{RecordPlace, Stream};

use crate::files::{LARGE, SMALL};
use crate::fixture::{AAC_HEADER, Fixture};

/// A message: its kind, and its bytes in a file.
type Message = (Kind, Vec<u8>);

/// A recorder that keeps in memory what it records.
struct Recorder {
    place: RecordPlace,
    cuts: Vec<Cut>,
    messages: Vec<Message>,
}

impl Recorder {
    fn of(fixture: &Fixture, form: Form) -> Recorder {
        Recorder::with(fixture, form, None)
    }

    fn with(fixture: &Fixture, form: Form, preroll: Option<u64>) -> Recorder {
        Recorder::from(fixture, form, fixture.stream.record_start(preroll))
    }

    fn from(fixture: &Fixture, form: Form, from: u64) -> Recorder {
        Recorder {
            place: fixture.stream.begin_recording(form, from),
            cuts: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Records all cuts that there are. Returns why there are no more.
    fn poll(&mut self, fixture: &Fixture) -> Next {
        let mut cut = Cut::default();
        loop {
            let next = fixture
                .stream
                .next_cut(&mut self.place, &mut cut, fixture.now.get());
            if next != Next::Cut {
                assert!(cut.samples.is_empty());
                return next;
            }
            let messages = copied(&fixture.stream, &cut.samples).unwrap();
            self.messages.extend(messages);
            self.cuts.push(cut.clone());
        }
    }

    /// The number of samples of a kind in each cut.
    fn counts(&self, kind: Kind) -> Vec<usize> {
        let count = |cut: &Cut| cut.samples.iter().filter(|s| s.kind == kind).count();
        self.cuts.iter().map(count).collect()
    }

    fn starts(&self) -> Vec<bool> {
        self.cuts.iter().map(|cut| cut.is_start).collect()
    }

    fn missed(&self) -> u64 {
        self.cuts.iter().map(|cut| cut.missed).sum()
    }
}

/// Copies samples in small pieces.
fn copied(stream: &Stream, samples: &[CutSample]) -> Result<Vec<Message>, Evicted> {
    let mut place = CopyPlace::default();
    let mut bytes = Vec::new();
    let mut out = [0; 777];
    loop {
        let len = stream.copy(samples, &mut place, &mut out)?;
        if len == 0 {
            break;
        }
        bytes.extend(&out[..len]);
    }
    assert_eq!(place.index, samples.len());
    let mut bytes = bytes.as_slice();
    let messages = samples.iter().map(|sample| {
        let (message, rest) = bytes.split_at(sample.len as usize);
        bytes = rest;
        (sample.kind, message.to_vec())
    });
    let messages = messages.collect();
    assert!(bytes.is_empty());
    Ok(messages)
}

/// A stream that MP4 can hold.
fn published() -> Fixture {
    let fixture = Fixture::new();
    fixture.publish();
    headers(&fixture);
    fixture
}

fn headers(fixture: &Fixture) {
    fixture.append(Kind::Video, 0, SMALL);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
}

/// Sends GOPs of 25 frames per second. Each video frame is followed by an audio frame.
fn gops(fixture: &Fixture, from: u32, gops: u32, frames: u32) {
    for gop in 0..gops {
        fixture.gop(from + gop * frames * 40, frames);
    }
}

#[test]
fn a_gop_is_a_cut_once_the_next_one_begins() {
    let fixture = published();
    let mut recorder = Recorder::of(&fixture, Form::Mp4);
    for gop in 0..3 {
        fixture.gop(gop * 2_000, 50);
        assert_eq!(recorder.poll(&fixture), Next::Wait);
        assert_eq!(recorder.cuts.len(), gop as usize);
    }
    assert_eq!(recorder.counts(Kind::Video), [50, 50]);
    assert_eq!(recorder.counts(Kind::Audio), [50, 50]);
    assert_eq!(recorder.starts(), [true, true]);
    assert_eq!(recorder.missed(), 0);
    let [first, second] = &recorder.cuts[..] else {
        panic!()
    };
    assert_eq!(first.messages.end, second.messages.start);
    assert!(first.samples[0].is_sync && second.samples[0].is_sync);
    assert!(second.tracks.presentation.video.is_some());
    assert!(second.tracks.presentation.audio.is_some());
    // Tag headers are left out.
    assert_eq!(first.samples[0].len, 1_000 - 5);
    assert_eq!(first.samples[1].len, 100 - 2);
}

#[test]
fn durations_reach_to_the_next_sample_of_the_track_so_that_gaps_stay() {
    let fixture = published();
    let mut recorder = Recorder::of(&fixture, Form::Mp4);
    for (timestamp, is_keyframe) in [(0, true), (40, false), (440, false), (480, false)] {
        fixture.frame(timestamp, is_keyframe, 100);
        fixture.audio(timestamp, 100);
        fixture.wait(40);
    }
    fixture.frame(520, true, 100);
    recorder.poll(&fixture);
    let samples = &recorder.cuts[0].samples;
    for kind in [Kind::Video, Kind::Audio] {
        let samples = samples.iter().filter(|sample| sample.kind == kind);
        let samples: Vec<_> = samples.collect();
        for pair in samples.windows(2) {
            let end = pair[0].decode_time + u64::from(pair[0].duration);
            assert_eq!(end, pair[1].decode_time);
        }
        assert!(samples.last().unwrap().duration > 0);
    }
    let total: u32 = samples
        .iter()
        .filter(|sample| sample.kind == Kind::Video)
        .map(|sample| sample.duration)
        .sum();
    assert!((500..560).contains(&total), "{total}");
}

#[test]
fn a_long_gop_is_cut_every_second() {
    let fixture = published();
    let mut recorder = Recorder::of(&fixture, Form::Mp4);
    gops(&fixture, 0, 1, 250);
    fixture.gop(10_000, 1);
    recorder.poll(&fixture);
    // The last piece is as long as a GOP that isn't cut.
    assert_eq!(recorder.counts(Kind::Video)[..8], [25; 8]);
    assert_eq!(recorder.counts(Kind::Video)[8..], [50]);
    let starts = recorder.starts();
    assert!(starts[0] && starts[1..].iter().all(|is_start| !is_start));
}

#[test]
fn audio_alone_is_cut_every_second() {
    for form in [Form::Mp4, Form::Flv] {
        let fixture = Fixture::new();
        fixture.publish();
        fixture.append(Kind::Audio, 0, AAC_HEADER);
        let mut recorder = Recorder::of(&fixture, form);
        for frame in 0..200 {
            fixture.audio(frame * 20, 50);
            fixture.wait(20);
        }
        recorder.poll(&fixture);
        // It takes a moment until it is known that there is no video.
        assert!(recorder.cuts.len() >= 2);
        assert!(recorder.counts(Kind::Audio).iter().all(|n| *n == 50));
        assert!(recorder.starts().iter().all(|is_start| *is_start));
    }
}

#[test]
fn what_was_sent_before_a_silence_is_cut_after_a_while() {
    let fixture = published();
    let mut recorder = Recorder::of(&fixture, Form::Mp4);
    fixture.gop(0, 10);
    recorder.poll(&fixture);
    assert_eq!(recorder.cuts.len(), 0);
    fixture.wait(4_000);
    recorder.poll(&fixture);
    assert_eq!(recorder.counts(Kind::Video), [10]);
    fixture.frames(400, 10, false);
    fixture.gop(800, 1);
    recorder.poll(&fixture);
    assert_eq!(recorder.counts(Kind::Video), [10, 10]);
    assert_eq!(recorder.starts(), [true, false]);
}

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

#[test]
fn flv_has_the_messages_as_they_were_sent_and_data() {
    let fixture = published();
    let mut flv = Recorder::of(&fixture, Form::Flv);
    let mut mp4 = Recorder::of(&fixture, Form::Mp4);
    let slice = |first: u8, unit: &[u8]| {
        let head = [first, 1, 0, 0, 0];
        [&head[..], &(unit.len() as u32).to_be_bytes(), unit].concat()
    };
    let sent: Vec<Message> = vec![
        (Kind::Video, slice(0x17, b"\x65\x88\x01")),
        (Kind::Video, slice(0x17, b"\x65\x42\x02")),
        (Kind::Script, b"\x02\0\x02hi".to_vec()),
        (Kind::Video, slice(0x27, b"\x41\x9A\x03")),
        (Kind::Audio, b"\xAF\x01audio".to_vec()),
        (Kind::Video, slice(0x27, b"\x41\x42\x04")),
        (Kind::Video, slice(0x27, b"\x41\x9A\x05")),
    ];
    let times = [0, 0, 10, 40, 45, 40, 80];
    for ((kind, payload), time) in sent.iter().zip(times) {
        match kind {
            Kind::Script => fixture.data(time, payload),
            kind => drop(fixture.append(*kind, time, payload)),
        }
    }
    fixture.wait(4_000);
    flv.poll(&fixture);
    mp4.poll(&fixture);
    assert_eq!(flv.messages, sent);
    // Frames are put together, without the bytes around them.
    let whole = |parts: [&[u8]; 2]| {
        let units = parts.map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat());
        (Kind::Video, units.concat())
    };
    let expected = [
        // That frames come in parts is known when the second part arrives.
        (Kind::Video, sent[0].1[5..].to_vec()),
        whole([b"\x65\x88\x01", b"\x65\x42\x02"]),
        (Kind::Audio, b"audio".to_vec()),
        whole([b"\x41\x9A\x03", b"\x41\x42\x04"]),
    ];
    assert_eq!(mp4.messages, expected);
    assert_eq!(mp4.starts(), [true, true]);
}

#[test]
fn mp4_has_the_first_track_and_flv_has_all() {
    let fixture = published();
    let mut flv = Recorder::of(&fixture, Form::Flv);
    let mut mp4 = Recorder::of(&fixture, Form::Mp4);
    let sized = |id: u8, body: &[u8]| [&[id, 0, 0, body.len() as u8], body].concat();
    let tracks = |first: &[u8], second: &[u8]| {
        let (first, second) = (sized(0, first), sized(1, second));
        [&b"\x96\x11avc1"[..], &first, &second].concat()
    };
    let (own, other) = (b"\0\0\x53\0\0\0\x02\x65\x01", b"\0\0\x53\0\0\0\x02\x65\x02");
    fixture.append(Kind::Video, 0, &tracks(own, other));
    fixture.append(Kind::Audio, 0, b"\xAF\x01\x21\x00");
    fixture.append(Kind::Audio, 0, b"\x95\x01Opus\x01\xFC\x01");
    fixture.wait(4_000);
    flv.poll(&fixture);
    mp4.poll(&fixture);
    let audio = (Kind::Audio, b"\x21\x00".to_vec());
    let expected = [(Kind::Video, b"\0\0\0\x02\x65\x01".to_vec()), audio];
    assert_eq!(mp4.messages, expected);
    // The time from decoding to presentation is that of the message, and a frame more.
    let times = mp4.cuts[0].samples[0].composition_time;
    assert!((0x53..0x53 + 100).contains(&times), "{times}");
    let expected: [Message; 4] = [
        (Kind::Video, [b"\x17\x01", &own[..]].concat()),
        (Kind::Video, [b"\x96\x01avc1\x01", &other[..]].concat()),
        (Kind::Audio, b"\xAF\x01\x21\x00".to_vec()),
        (Kind::Audio, b"\x95\x01Opus\x01\xFC\x01".to_vec()),
    ];
    assert_eq!(flv.messages, expected);
}

#[test]
fn a_recording_begins_with_the_newest_keyframe_or_earlier() {
    let fixture = published();
    // Keeps everything.
    let all = Recorder::of(&fixture, Form::Mp4);
    gops(&fixture, 0, 10, 25);
    let first = |preroll| {
        let mut recorder = Recorder::with(&fixture, Form::Mp4, preroll);
        fixture.wait(4_000);
        recorder.poll(&fixture);
        fixture.now.set(fixture.now.get() - 4_000);
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
    drop(all);
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

#[test]
fn the_form_is_that_which_holds_all_of_the_stream() {
    let fixture = Fixture::new();
    assert_eq!(fixture.stream.record_form(), None);
    fixture.publish();
    headers(&fixture);
    assert_eq!(fixture.stream.record_form(), Some(Form::Mp4));
    let fixture = Fixture::new();
    fixture.publish();
    // Sorenson and MP3.
    fixture.append(Kind::Video, 0, b"\x12\0\0\x84");
    fixture.append(Kind::Audio, 0, b"\x2F\xFF\xFB\x90\x64");
    assert_eq!(fixture.stream.record_form(), Some(Form::Flv));
}
