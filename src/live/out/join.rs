//! The place where a receiver starts, and the burst of a join at the live edge.
//!
//! # The live-edge join
//!
//! If the video frames since the last keyframe were sent as they are, a player would be late for its
//! whole session, by up to a GOP. So they get new timestamps, 1 ms apart, that end at the live edge,
//! and cached audio is left out except for its newest frames:
//!
//! ```text
//! log       K 1000   P 1040   P 1080   P 1120 |  P 1160      (ms)
//! sent      K 1117   P 1118   P 1119   P 1120 |  P 1160
//!                                             +-- end of the log at the join
//! ```

use std::num::NonZeroU64;

use crate::live::Millis;
use crate::live::kind::Kind;
use crate::live::log::{Entry, Log};

/// Longest burst with new timestamps, in ms of media; a longer one is sent as it was published.
/// Measured with 750 frames of 1280x720, joined 25 s into a GOP: after 8 s, ffplay, VLC and mpv were
/// 0.3, 1.2 and 1.4 s behind, and 25 s behind without new timestamps.
const MAX_BURST: Millis = 30_000;

/// The maximum number of video frames in such a burst.
const MAX_BURST_FRAMES: u32 = 1_000;

/// The number of cached audio frames that are sent at a live-edge join. Without them, players that
/// probe for a tenth of a second would miss the audio track.
const BURST_AUDIO_FRAMES: u32 = 4;

/// Where a receiver starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// At the newest keyframe, with new timestamps for the cached video, which ends at the live edge.
    #[default]
    Live,
    /// At the newest keyframe, with everything as it was published.
    Gop,
    /// At the next keyframe.
    Next,
}

impl Join {
    /// Returns the choice with this name: `live`, `gop` or `next`.
    pub fn from_name(name: &str) -> Option<Join> {
        match name {
            "live" => Some(Join::Live),
            "gop" => Some(Join::Gop),
            "next" => Some(Join::Next),
            _ => None,
        }
    }
}

/// The part of a live-edge join that has new timestamps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    /// End of the log at the join.
    end: NonZeroU64,
    /// The timestamp of the last video frame, and the numbers of frames up to the end.
    timestamp: u32,
    video_frames: u32,
    audio_frames: u32,
}

impl Burst {
    /// The burst of a join at message `number`, unless it would be too long.
    pub(super) fn to_live_edge(number: u64, log: &Log) -> Option<Burst> {
        let (first, newest) = (log.entry(number)?, log.newest()?);
        let video_frames = newest.video_frames.wrapping_sub(first.video_frames);
        let span = log.video_timestamp.wrapping_sub(first.meta.timestamp);
        if video_frames > MAX_BURST_FRAMES || Millis::from(span) > MAX_BURST {
            return None;
        }
        Some(Burst {
            end: NonZeroU64::new(log.end())?,
            timestamp: log.video_timestamp,
            video_frames: newest.video_frames,
            audio_frames: newest.audio_frames,
        })
    }

    /// Whether this message and all messages after it keep their own timestamps.
    pub(super) fn is_over(&self, number: u64, log: &Log) -> bool {
        let entry = (number >= self.end.get()).then(|| log.entry(number));
        entry
            .flatten()
            .is_some_and(|entry| self.frames_after(&entry).is_none())
    }

    /// The number of video frames from the frame of a message to the last one of the burst. More
    /// messages of that last frame may follow the burst's end.
    fn frames_after(&self, entry: &Entry) -> Option<u32> {
        let after = self.video_frames.wrapping_sub(entry.video_frames);
        (after as i32 >= 0).then_some(after)
    }

    /// Whether a message is left out: cached audio that isn't among the newest.
    pub(super) fn leaves_out(&self, number: u64, entry: &Entry) -> bool {
        let frames_after = self.audio_frames.wrapping_sub(entry.audio_frames);
        let is_cached_audio = number < self.end.get() && entry.meta.kind == Kind::Audio;
        is_cached_audio && frames_after >= BURST_AUDIO_FRAMES
    }

    /// The timestamp of a video frame of the burst; `None` for messages that keep their own.
    pub(super) fn timestamp(&self, entry: &Entry) -> Option<u32> {
        let after = self.frames_after(entry);
        let after = after.filter(|_| entry.meta.kind == Kind::Video);
        Some(self.timestamp.wrapping_sub(after?))
    }
}
