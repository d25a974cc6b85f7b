//! Recorders: the cuts of a log, and what is kept for them.

mod begin;
mod forms;
mod kept;
#[cfg(feature = "record")]
mod last;
mod publishers;
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
