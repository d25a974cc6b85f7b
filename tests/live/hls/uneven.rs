//! HLS of encoders with an unusual pace.

use brooklet::live::hls::segment::Segment;

use super::samples::{check_durations, samples};
use super::*;

/// Publishes a stream with a video track, and optionally an audio track.
fn begun(has_audio: bool) -> Fixture {
    let fixture = Fixture::with(4096, 0);
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    if has_audio {
        fixture.append(Kind::Audio, 0, AAC_HEADER);
    }
    fixture
}

/// Sends `ms` milliseconds of video and audio. `frames` decides whether a video frame that is due is
/// sent, and whether it is a keyframe; `audio` decides whether an audio frame is sent. Calls `each`
/// every 250 ms.
fn send(
    fixture: &Fixture,
    ms: u64,
    (step, frames): (u64, &dyn Fn(u64) -> Option<bool>),
    audio: Option<&dyn Fn(u64) -> bool>,
    each: &mut dyn FnMut(),
) {
    let mut audio_index = 0;
    for at in 0..ms {
        let now = fixture.now.get() as u32;
        if at % step == 0 {
            if let Some(is_keyframe) = frames(at) {
                fixture.frame(now, is_keyframe, 1_000);
            }
        }
        if at == audio_index * 1_024 * 1_000 / 44_100 {
            audio_index += 1;
            if audio.is_some_and(|are_sent| are_sent(at)) {
                fixture.audio(now, 100);
            }
        }
        if at % 250 == 0 {
            each();
        }
        fixture.wait(1);
    }
}

/// All segments that have been listed so far.
#[derive(Default)]
struct Seen {
    segments: Vec<Segment>,
    /// The time when the newest segment was listed, and the longest time between two listings.
    at: u64,
    longest: u64,
}

impl Seen {
    fn look(&mut self, fixture: &Fixture) {
        let now = fixture.now.get();
        let newest = self.segments.last().map_or(0, |newest| newest.number);
        let listing = listed(fixture);
        let segments = listing.into_iter().flat_map(|listing| listing.segments);
        let new: Vec<_> = segments.filter(|s| s.number > newest).collect();
        if !new.is_empty() {
            let first = if newest == 0 { now } else { self.at };
            self.longest = self.longest.max(now - first);
            self.at = now;
        }
        self.segments.extend(new);
    }

    /// Checks that the segments are contiguous, and that none is tiny.
    fn check(&self) {
        for pair in self.segments.windows(2) {
            let [before, after] = pair else { continue };
            assert_eq!(after.number, before.number + 1);
            assert_eq!(after.start, before.start + u64::from(before.duration));
            assert!(!after.has_discontinuity, "{after:?}");
            assert!(after.duration >= 500, "{after:?}");
        }
    }
}

#[test]
fn keyframes_closer_than_a_part_are_listed_with_or_without_an_earlier_request() {
    for step in [16_u64, 33, 40, 100, 250, 500, 1_000] {
        for gop in [step, 250, 500] {
            for (has_audio, is_asked) in [(true, true), (true, false), (false, false)] {
                let fixture = begun(has_audio);
                if is_asked {
                    ask(&fixture);
                }
                let is_keyframe = |at: u64| Some(at % gop.next_multiple_of(step) == 0);
                let audio: &dyn Fn(u64) -> bool = &|_| true;
                send(
                    &fixture,
                    12_000,
                    (step, &is_keyframe),
                    has_audio.then_some(audio),
                    &mut || {},
                );
                let listing = listed(&fixture).expect("a playlist");
                let what = (step, gop, has_audio, is_asked);
                assert!(listing.segments.len() >= 3, "{what:?}");
                check_durations(&listing, &samples(&fixture, &listing));
            }
        }
    }
}

#[test]
fn audio_continues_in_the_playlist_while_video_pauses_and_vice_versa() {
    for pause in [1_520, 3_000, 5_000, 15_000, 40_000, 100_000] {
        for (is_of_video, returns_with_keyframe) in [(true, true), (true, false), (false, true)] {
            let fixture = begun(true);
            ask(&fixture);
            let is_pause = |at: u64| (11_000..11_000 + pause).contains(&at);
            let phase = if returns_with_keyframe { 0 } else { 1_000 };
            let frames = |at: u64| match at {
                11_000.. if is_of_video && at < 11_000 + pause => None,
                ..11_000 => Some(at % 2_000 == 0),
                _ if is_of_video => Some((at - 11_000 - pause + phase) % 2_000 == 0),
                _ => Some(at % 2_000 == 0),
            };
            let audio = |at: u64| is_of_video || !is_pause(at);
            let mut seen = Seen::default();
            send(
                &fixture,
                24_000 + pause,
                (40, &frames),
                Some(&audio),
                &mut || {
                    seen.look(&fixture);
                },
            );
            seen.check();
            let what = (pause, is_of_video, returns_with_keyframe);
            // The GOP so far, the patience with the video, and the time between two looks.
            assert!(
                seen.longest <= 4_250,
                "{what:?}: nothing for {} ms",
                seen.longest
            );
            assert!(listing(&fixture).target <= 4, "{what:?}");
        }
    }
}

#[test]
fn frames_that_come_every_few_seconds_are_contiguous_segments() {
    for seconds in [1, 2, 5, 10] {
        for has_audio in [false, true] {
            let fixture = begun(has_audio);
            ask(&fixture);
            let audio: &dyn Fn(u64) -> bool = &|_| true;
            let audio = has_audio.then_some(audio);
            let mut seen = Seen::default();
            let frames = |_| Some(true);
            let step = seconds * 1_000;
            send(
                &fixture,
                15 * step + 500,
                (step, &frames),
                audio,
                &mut || {
                    seen.look(&fixture);
                },
            );
            // The second frame may be mistaken for the end of a pause; after that, the interval is
            // known.
            seen.segments.drain(..seen.segments.len() - 6);
            seen.check();
            let expected = step.max(2_000) as u32;
            let lengths = seen.segments.iter().map(|segment| segment.duration);
            assert_eq!(lengths.collect::<Vec<_>>(), [expected; 6], "{seconds}");
            let listing = listing(&fixture);
            assert_eq!(
                (listing.target, listing.part_target),
                (expected / 1_000, None)
            );
            check_durations(&listing, &samples(&fixture, &listing));
        }
    }
}

#[test]
fn audio_in_bursts_with_one_timestamp_is_listed_frame_by_frame() {
    for (frames, has_video) in [(5, true), (20, true), (20, false)] {
        let fixture = Fixture::with(4096, 0);
        fixture.publish();
        if has_video {
            fixture.append(Kind::Video, 0, SMALL);
        }
        fixture.append(Kind::Audio, 0, AAC_HEADER);
        ask(&fixture);
        let (mut sent, mut listing) = (0, None);
        for at in 0..12_000_u64 {
            let now = fixture.now.get() as u32;
            if has_video && at % 40 == 0 {
                fixture.frame(now, at % 2_000 == 0, 1_000);
            }
            if at == sent * 1_024 * 1_000 / 44_100 {
                (0..frames).for_each(|_| _ = fixture.audio(now, 100));
                sent += frames;
            }
            if at > 9_000 && at % 500 == 0 {
                listing = listed(&fixture);
            }
            fixture.wait(1);
        }
        let samples = samples(&fixture, &listing.expect("a playlist"));
        let audio: Vec<_> = samples.iter().filter(|s| !s.is_video).collect();
        assert!(audio.len() > 300, "{} frames", audio.len());
        for pair in audio.windows(2) {
            assert_eq!(pair[1].time, pair[0].time + 1_024, "{frames} at a time");
        }
    }
}

/// The timestamp that a clock shows after some ms, and the doctor's words for such a clock.
type Say = fn(u32) -> u32;
const CLOCKS: [(Say, &str); 5] = [
    (|_| 0, "all timestamps are zero"),
    (|at| 700 + at % 7 * 10, "timestamps stand still"),
    (|at| at * 10, "timestamps run 10 times too fast"),
    (|at| at * 90, "timestamps run 90 times too fast"),
    (|at| at / 10 * 8, "timestamps run at 0.8 of real time"),
];

/// Runs a stream with such a clock, with requests from `asked` ms on. Returns the last listing, the
/// findings, and the time of the first listing.
fn listed_of(say: Say, ms: u32, asked: u32) -> (Fixture, Listing, Vec<String>, u32) {
    let fixture = begun(true);
    ask(&fixture);
    let (mut said, mut audio_index, mut listing, mut first) = (Vec::new(), 0, None, None);
    for at in 0..ms {
        if at % 40 == 0 {
            fixture.frame(say(at), at % 2_000 == 0, 1_000);
        }
        if at == audio_index * 1_024 * 1_000 / 44_100 {
            audio_index += 1;
            fixture.audio(say(at), 100);
        }
        let findings = fixture.stream.pump(fixture.now.get()).findings;
        said.extend(findings.iter().map(ToString::to_string));
        if at % 1_000 == 0 && at >= asked {
            listing = listed(&fixture);
            first = first.or(listing.is_some().then_some(at));
        }
        fixture.wait(1);
    }
    (fixture, listing.expect("a playlist"), said, first.unwrap())
}

#[test]
fn streams_with_a_useless_clock_are_listed_at_their_pace_of_arrival() {
    for (say, words) in CLOCKS {
        let (fixture, listing, said, _) = listed_of(say, 60_000, 0);
        assert!(said.iter().any(|said| said.starts_with(words)), "{said:?}");
        let newest = listing.segments.iter().rev().take(3);
        for segment in newest.clone() {
            let is_right = segment
                .duration
                .abs_diff(2_000)
                .min(segment.duration.abs_diff(4_000));
            assert!(is_right < 60, "{words}: {segment:?}");
            assert!(!segment.has_discontinuity, "{words}: {segment:?}");
        }
        let samples = samples(&fixture, &listing);
        let of = |number| {
            samples
                .iter()
                .filter(move |sample| sample.segment == number)
        };
        for segment in newest {
            let frames = of(segment.number).filter(|sample| sample.is_video).count();
            assert!(
                [49, 50, 51, 99, 100, 101].contains(&frames),
                "{words}: {frames}"
            );
            let audio = of(segment.number).count() - frames;
            let is_all = audio.abs_diff(frames * 86 / 50) < 4;
            assert!(is_all, "{words}: {audio} of {frames}");
        }
    }
}

/// Segments from before the clock was found to be too fast would last for minutes, with a frame now and
/// then.
#[test]
fn segments_of_a_clock_that_is_too_fast_are_dropped_once_that_is_known() {
    for (say, words) in CLOCKS {
        let (_, listing, _, first) = listed_of(say, 12_000, 3_000);
        assert!(first <= 8_000, "{words}: {first}");
        for segment in &listing.segments {
            assert!(segment.duration < 6_000, "{words}: {segment:?}");
            assert!(segment.frames >= 49, "{words}: {segment:?}");
        }
    }
}
