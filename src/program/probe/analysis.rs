//! What is known of a stream from its messages. Pure; times are arguments.

use brooklet::media::track_info::TrackInfo;
use brooklet::{Medium, StreamMessage};

/// A step between timestamps of one track that is a jump rather than a pause, in ms.
const JUMP: i32 = 5_000;

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
    /// Frames that came later, measured by their timestamps, than the earliest one, in ms.
    pub(super) jitter_ms: u64,
    /// The earliest arrival of a frame, minus its time in the stream.
    earliest: Option<i64>,
    /// The latest one, once what the server kept has come.
    latest: Option<i64>,
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
    pub(super) keyframe_interval_ms: u64,
    /// Timestamps that went back, and steps of more than 5 s.
    pub(super) backward: u64,
    pub(super) jumps: u64,
    /// The longest step that isn't a jump, in ms.
    pub(super) longest_gap_ms: u64,
    /// The sum of all steps that aren't jumps: the length in ms.
    pub(super) length_ms: u64,
    /// The highest timestamp.
    last: Option<u32>,
    /// The length at the latest keyframe.
    keyframe_at: Option<u64>,
}

impl Analysis {
    /// Adds a message that came at this time in ms.
    pub(super) fn add(&mut self, message: &StreamMessage, now: u64) {
        let track = match message.medium() {
            Some(Medium::Video) => &mut self.video,
            Some(Medium::Audio) => &mut self.audio,
            None => return,
        };
        let medium = message.medium().unwrap_or(Medium::Audio);
        if message.is_sequence_header() || track.info.is_none() {
            track.info = TrackInfo::read(medium, message.payload()).or(track.info);
        }
        if message.is_sequence_header() || message.payload().len() < 2 {
            return;
        }
        track.add(message);
        let begin = *self.first_ms.get_or_insert(now);
        self.last_ms = now;
        // The first second holds what the server kept of the past, which comes at once.
        if now.saturating_sub(begin) >= 1_000 {
            let late = now as i64 - i64::from(message.timestamp());
            let earliest = *self
                .earliest
                .insert(self.earliest.map_or(late, |e| e.min(late)));
            let latest = *self
                .latest
                .insert(self.latest.map_or(late, |l| l.max(late)));
            self.jitter_ms = (latest - earliest).unsigned_abs();
        }
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
}

impl Track {
    fn add(&mut self, message: &StreamMessage) {
        self.frames += 1;
        self.bytes += message.payload().len() as u64;
        let timestamp = message.timestamp();
        let step = self
            .last
            .map_or(0, |last| timestamp.wrapping_sub(last) as i32);
        match step {
            _ if step.unsigned_abs() > JUMP as u32 => self.jumps += 1,
            _ if step < 0 => self.backward += 1,
            _ => {
                let step = u64::from(step.unsigned_abs());
                self.length_ms += step;
                self.longest_gap_ms = self.longest_gap_ms.max(step);
            }
        }
        // One frame that is back in time is one fault, not one for each frame up to there.
        if !(-JUMP..0).contains(&step) {
            self.last = Some(timestamp);
        }
        if message.is_keyframe() {
            self.keyframes += 1;
            let interval = self.keyframe_at.map_or(0, |at| self.length_ms - at);
            self.keyframe_interval_ms = self.keyframe_interval_ms.max(interval);
            self.keyframe_at = Some(self.length_ms);
        }
    }

    /// Frames in 1000 s.
    pub(super) fn millihertz(&self) -> Option<u64> {
        let steps = self.frames.checked_sub(1)?;
        (steps * 1_000_000).checked_div(self.length_ms)
    }

    /// Bits per second of media.
    pub(super) fn bits_per_second(&self) -> Option<u64> {
        // The last frame has a length, too.
        let steps = self.frames.checked_sub(1).filter(|steps| *steps > 0)?;
        let length = self.length_ms + self.length_ms / steps;
        (self.bytes * 8_000).checked_div(length)
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
        assert_eq!(track.keyframe_interval_ms, 1_000);
        assert_eq!(track.keyframes, 5);
        assert_eq!(track.bits_per_second(), Some(25 * 10 * 8));
        assert_eq!((track.length_ms, track.longest_gap_ms), (4_000, 40));
        assert!(analysis.is_live() && analysis.is_in_order());
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
