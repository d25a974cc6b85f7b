//! What is known of a stream from its messages. Pure; times are arguments.

use brooklet::media::track_info::TrackInfo;
use brooklet::{Medium, StreamMessage};

/// A step between timestamps of one track that is a jump rather than a pause, in ms.
const JUMP: i32 = 5_000;

/// Frames that are less far apart than this, in ms, at the beginning: those since the latest keyframe, to
/// which a server gives new timestamps so that its players start at the live edge (`--join live`). They say
/// nothing of rates.
const BURST_STEP: i32 = 2;

/// The first second, in ms, holds what the server kept of the past, which comes at once.
const UNEVEN_MS: u64 = 1_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// The time until play was accepted, in ms from the start.
    pub(super) accepted_ms: u64,
    /// When the first and the last frame came.
    pub(super) first_ms: Option<u64>,
    pub(super) last_ms: u64,
    /// Whether the stream ended meanwhile.
    pub(super) is_ended: bool,
    pub(super) video: Track,
    pub(super) audio: Track,
}

/// One track, or all tracks of a medium.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) info: Option<TrackInfo>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Keyframes of video.
    pub(super) keyframes: u64,
    /// The longest time between two of them, in ms.
    pub(super) keyframe_interval_ms: Option<u64>,
    /// Timestamps that went back, and steps of more than 5 s.
    pub(super) backward: u64,
    pub(super) jumps: u64,
    /// The longest step that isn't a jump, in ms.
    pub(super) longest_gap_ms: u64,
    /// The sum of all steps that aren't jumps: the length in ms.
    pub(super) length_ms: u64,
    /// The highest timestamp.
    last: Option<u32>,
    /// Whether the burst at the beginning, if there was one, is over.
    is_steady: bool,
    /// The frames whose length in time is known, and those since the latest step.
    measured: Span,
    waiting: Span,
    /// What was measured up to the first keyframe, and up to the latest.
    first_keyframe: Option<Span>,
    keyframe: Option<Span>,
    arrival: Arrival,
}

/// A part of a track.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    frames: u64,
    bytes: u64,
    ms: u64,
}

/// How evenly frames come.
#[derive(Debug, Default)]
struct Arrival {
    /// The arrival of the latest frame, minus its time in the stream, both from the first one on.
    late: i64,
    before: Option<(u32, u64)>,
    earliest: Option<i64>,
    latest: Option<i64>,
}

impl Analysis {
    /// Adds a message that came at this time in ms.
    pub(super) fn add(&mut self, message: &StreamMessage, now: u64) {
        let Some(medium) = message.medium() else {
            return;
        };
        let track = match medium {
            Medium::Video => &mut self.video,
            Medium::Audio => &mut self.audio,
        };
        if message.is_sequence_header() || track.info.is_none() {
            track.info = TrackInfo::read(medium, message.payload()).or(track.info);
        }
        if message.is_sequence_header() || message.payload().len() < 2 {
            return;
        }
        track.add(message);
        let begin = *self.first_ms.get_or_insert(now);
        self.last_ms = now;
        let is_even = now.saturating_sub(begin) >= UNEVEN_MS;
        track.arrival.add(message.timestamp(), now, is_even);
    }

    /// Whether frames have come.
    pub(super) fn is_live(&self) -> bool {
        self.first_ms.is_some()
    }

    /// Whether each track's timestamps are in order.
    pub(super) fn is_in_order(&self) -> bool {
        let tracks = [&self.video, &self.audio];
        tracks.iter().all(|track| track.backward + track.jumps == 0)
    }

    /// How far the tracks' ends are apart, in ms; positive if audio is ahead.
    pub(super) fn audio_ahead_ms(&self) -> Option<i64> {
        let (video, audio) = (self.video.last?, self.audio.last?);
        Some(i64::from(audio.wrapping_sub(video) as i32))
    }

    /// How much later frames came, measured by their timestamps, than the earliest one of their track, in
    /// ms; `None` if they didn't come for long enough.
    pub(super) fn jitter_ms(&self) -> Option<u64> {
        let tracks = [&self.video, &self.audio];
        tracks
            .iter()
            .filter_map(|track| track.arrival.jitter_ms())
            .max()
    }
}

impl Track {
    fn add(&mut self, message: &StreamMessage) {
        let is_video = message.medium() == Some(Medium::Video);
        let bytes = message.payload().len() as u64;
        let timestamp = message.timestamp();
        let step = self.last.map(|last| timestamp.wrapping_sub(last) as i32);
        // Slices of one frame may be messages of their own.
        let is_same_frame = is_video && step == Some(0);
        let frames = u64::from(!is_same_frame);
        self.frames += frames;
        self.bytes += bytes;
        match step {
            None => {}
            Some(step) if step.unsigned_abs() > JUMP as u32 => {
                self.jumps += 1;
                // It isn't known how long the frame before lasted.
                self.waiting = Span::default();
            }
            Some(step) if step < 0 => self.backward += 1,
            Some(step) => self.step(step, is_same_frame),
        }
        self.waiting.frames += frames;
        self.waiting.bytes += bytes;
        // One frame that is back in time is one fault, not one for each frame up to there.
        if !step.is_some_and(|step| (-JUMP..0).contains(&step)) {
            self.last = Some(timestamp);
        }
        if message.is_keyframe() && !is_same_frame {
            self.keyframes += 1;
            if let Some(before) = self.keyframe {
                let interval = self.measured.ms - before.ms;
                let longest = self.keyframe_interval_ms.unwrap_or(0);
                self.keyframe_interval_ms = Some(interval.max(longest));
            }
            self.first_keyframe.get_or_insert(self.measured);
            self.keyframe = Some(self.measured);
        }
    }

    /// Goes on in time, before another frame is added.
    fn step(&mut self, step: i32, is_same_frame: bool) {
        let ms = u64::from(step.unsigned_abs());
        self.length_ms += ms;
        self.longest_gap_ms = self.longest_gap_ms.max(ms);
        self.is_steady |= step >= BURST_STEP;
        if !self.is_steady && !is_same_frame {
            (self.first_keyframe, self.keyframe) = (None, None);
            self.waiting = Span::default();
        } else if step > 0 {
            self.measured.frames += self.waiting.frames;
            self.measured.bytes += self.waiting.bytes;
            self.measured.ms += ms;
            self.waiting = Span::default();
        }
    }

    /// Frames in 1000 s.
    pub(super) fn millihertz(&self) -> Option<u64> {
        (self.measured.frames * 1_000_000).checked_div(self.measured.ms)
    }

    /// Bits per second of media. Of video, those from keyframe to keyframe, so that it doesn't matter how
    /// many large frames there are by chance.
    pub(super) fn bits_per_second(&self) -> Option<u64> {
        let from_keyframe_to_keyframe = match (self.first_keyframe, self.keyframe) {
            (Some(first), Some(last)) => {
                let bytes = last.bytes - first.bytes;
                (bytes * 8_000).checked_div(last.ms - first.ms)
            }
            _ => None,
        };
        from_keyframe_to_keyframe
            .or_else(|| (self.measured.bytes * 8_000).checked_div(self.measured.ms))
    }
}

impl Arrival {
    fn add(&mut self, timestamp: u32, now: u64, is_even: bool) {
        let before = self.before.replace((timestamp, now));
        let Some((last, then)) = before else { return };
        let step = timestamp.wrapping_sub(last) as i32;
        if step.unsigned_abs() > JUMP as u32 {
            // Another beginning.
            (self.late, self.earliest, self.latest) = (0, None, None);
            return;
        }
        self.late += (now - then) as i64 - i64::from(step);
        if is_even {
            let (earliest, latest) = (self.earliest, self.latest);
            self.earliest = Some(earliest.map_or(self.late, |at| at.min(self.late)));
            self.latest = Some(latest.map_or(self.late, |at| at.max(self.late)));
        }
    }

    fn jitter_ms(&self) -> Option<u64> {
        Some((self.latest? - self.earliest?).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(timestamp: u32, is_key: bool) -> StreamMessage {
        let first = if is_key { 0x17 } else { 0x27 };
        StreamMessage::video(timestamp, vec![first, 1, 0, 0, 0, 0, 0, 0, 1, 0x41])
    }

    #[test]
    fn rates_and_intervals_are_those_of_the_timestamps() {
        let mut analysis = Analysis::default();
        // Everything comes at once, across the wrap of timestamps.
        for frame in 0..101 {
            let timestamp = (u32::MAX - 999).wrapping_add(frame * 40);
            analysis.add(&video(timestamp, frame % 25 == 0), 7);
        }
        let track = &analysis.video;
        assert_eq!(track.millihertz(), Some(25_000));
        assert_eq!(track.keyframe_interval_ms, Some(1_000));
        assert_eq!(track.keyframes, 5);
        assert_eq!(track.bits_per_second(), Some(25 * 10 * 8));
        assert_eq!((track.length_ms, track.longest_gap_ms), (4_000, 40));
        assert!(analysis.is_live() && analysis.is_in_order());
    }

    /// A second of 25 frames, each keyframe with 1000 bytes.
    fn second(begin: u32) -> impl Iterator<Item = StreamMessage> {
        (0..25).map(move |frame| {
            let mut payload = vec![0x27, 1, 0, 0, 0, 0, 0, 0, 91, 0x41];
            if frame == 0 {
                payload[0] = 0x17;
                payload.resize(1000, 0);
            }
            payload.resize(payload.len().max(100), 0);
            StreamMessage::video(begin + frame * 40, payload)
        })
    }

    #[test]
    fn frames_with_new_timestamps_at_the_beginning_are_no_rate() {
        for seconds in 1..5 {
            let mut analysis = Analysis::default();
            // The live-edge join: 1 ms apart, up to the latest frame.
            for (frame, message) in (0..).zip(second(0).take(20)) {
                let payload = message.payload().to_vec();
                analysis.add(&StreamMessage::video(741 + frame, payload), 5);
            }
            for (frame, message) in (20..).zip(second(0).skip(20)) {
                analysis.add(&message, frame * 40);
            }
            for begin in 1..seconds {
                for message in second(begin * 1000) {
                    analysis.add(&message, message.timestamp().into());
                }
            }
            let track = &analysis.video;
            assert_eq!(track.millihertz(), Some(25_000));
            let bits = if seconds < 3 {
                25 * 800
            } else {
                25 * 800 + 900 * 8
            };
            let expected = match seconds {
                // One keyframe among 30 frames.
                2 => (30 * 100 + 900) * 8000 / (30 * 40),
                _ => bits,
            };
            assert_eq!(track.bits_per_second(), Some(expected), "{seconds}");
            assert_eq!(track.keyframes, u64::from(seconds));
            let interval = (seconds >= 3).then_some(1_000);
            assert_eq!(track.keyframe_interval_ms, interval);
            assert_eq!(track.longest_gap_ms, 40);
            assert!(analysis.is_in_order());
            assert_eq!(analysis.jitter_ms().is_some(), seconds > 1);
        }
    }

    #[test]
    fn a_server_that_sends_the_past_as_it_was_changes_no_rate() {
        let mut analysis = Analysis::default();
        for message in second(0).chain(second(1000)) {
            analysis.add(&message, 3);
        }
        analysis.add(&second(2000).next().unwrap(), 7);
        let track = &analysis.video;
        assert_eq!(track.bits_per_second(), Some(25 * 800 + 900 * 8));
        assert_eq!(track.keyframe_interval_ms, Some(1_000));
        assert_eq!((track.millihertz(), track.frames), (Some(25_000), 51));
    }

    #[test]
    fn slices_of_a_frame_are_one_frame() {
        let mut analysis = Analysis::default();
        for message in second(0) {
            for _ in 0..3 {
                analysis.add(&message, 0);
            }
        }
        let track = &analysis.video;
        assert_eq!((track.frames, track.keyframes), (25, 1));
        assert_eq!(track.millihertz(), Some(25_000));
    }

    #[test]
    fn arrival_is_measured_by_track_across_wraps_and_jumps() {
        let mut analysis = Analysis::default();
        let audio = |timestamp| StreamMessage::audio(timestamp, &b"\xAF\x01\0"[..]);
        for frame in 0..100 {
            let now = 40 * u64::from(frame);
            let begin = if frame < 50 { u32::MAX - 300 } else { 700_000 };
            let at = begin.wrapping_add(frame * 40);
            // Every fifth one is late. Audio is half a second behind.
            analysis.add(&video(at, false), now + u64::from(frame % 5 == 0) * 30);
            analysis.add(&audio(at.wrapping_sub(500)), now + 30);
        }
        assert_eq!(analysis.jitter_ms(), Some(30));
        assert_eq!(analysis.audio_ahead_ms(), Some(-500));
    }

    #[test]
    fn timestamps_that_go_back_or_jump_are_counted() {
        let mut analysis = Analysis::default();
        for timestamp in [0, 40, 20, 80, 60_080, 60_120, 0, 40] {
            analysis.add(&video(timestamp, false), 0);
        }
        assert_eq!((analysis.video.backward, analysis.video.jumps), (1, 2));
        assert!(!analysis.is_in_order());
        assert_eq!(analysis.video.length_ms, 160);
    }

    #[test]
    fn nothing_is_live_without_a_frame() {
        let mut analysis = Analysis::default();
        analysis.add(&StreamMessage::data(0, &b"\x02\0\0"[..]), 0);
        analysis.add(&StreamMessage::audio(0, &b"\xAF\0\x12\x10"[..]), 0);
        assert!(!analysis.is_live());
        assert!(analysis.audio.info.is_some());
    }
}
