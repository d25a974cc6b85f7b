//! Where a receiver starts, and the burst of a join at the live edge.
//!
//! # The live-edge join
//!
//! Sent as they are, the pictures since the last keyframe would leave a player late for its whole
//! session, by up to a GOP. So they are stamped anew, 1 ms apart, to end at the live edge, and
//! the cached audio is left out but for the newest frames:
//!
//! ```text
//! log       K 1000   P 1040   P 1080   P 1120 |  P 1160      (ms)
//! sent      K 1117   P 1118   P 1119   P 1120 |  P 1160
//!                                             +-- end of the log at the join
//! ```

use super::Millis;
use super::kind::Kind;
use super::log::{Entry, Log};

/// Longest burst that the live-edge join stamps anew, in ms of media; a longer one is sent as it
/// was published. Measured with 750 pictures of 1280x720, joined 25 s into a GOP: ffplay, VLC and
/// mpv were 0.3, 1.2 and 1.4 s behind after 8 s, and 25 s behind without.
const MAX_BURST: Millis = 30_000;

/// Most pictures in such a burst.
const MAX_BURST_PICTURES: u32 = 1_000;

/// Cached audio frames sent at a live-edge join: players that probe for a tenth of a second would
/// otherwise miss the audio track.
const BURST_AUDIO_FRAMES: u32 = 4;

/// Where a receiver starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// At the newest keyframe, with the cached pictures stamped anew so that they end at the
    /// live edge.
    #[default]
    Live,
    /// At the newest keyframe, everything as it was published.
    Gop,
    /// At the next keyframe.
    Next,
}

impl Join {
    /// The choice of this name: `live`, `gop` or `next`.
    pub fn from_name(name: &str) -> Option<Join> {
        match name {
            "live" => Some(Join::Live),
            "gop" => Some(Join::Gop),
            "next" => Some(Join::Next),
            _ => None,
        }
    }
}

/// The re-stamped part of a live-edge join: messages before `end`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    end: u64,
    timestamp: u32,
    pictures: u32,
    audio_frames: u32,
}

impl Burst {
    /// The burst of a join at `number`, unless it is too long to be worth it.
    pub(super) fn to_live_edge(number: u64, log: &Log) -> Option<Burst> {
        let (first, newest) = (log.entry(number)?, log.newest()?);
        let pictures = newest.video_frames.wrapping_sub(first.video_frames);
        let span = log.video_timestamp().wrapping_sub(first.meta.timestamp);
        if pictures > MAX_BURST_PICTURES || Millis::from(span) > MAX_BURST {
            return None;
        }
        Some(Burst {
            end: log.end(),
            timestamp: log.video_timestamp(),
            pictures: newest.video_frames,
            audio_frames: newest.audio_frames,
        })
    }

    /// Whether this message and those behind it have their own time stamps.
    pub(super) fn is_over(&self, number: u64, log: &Log) -> bool {
        let entry = (number >= self.end).then(|| log.entry(number)).flatten();
        entry.is_some_and(|entry| self.pictures_behind(&entry).is_none())
    }

    /// Pictures from that of a message to the last one of the burst, which may go on behind it.
    fn pictures_behind(&self, entry: &Entry) -> Option<u32> {
        let behind = self.pictures.wrapping_sub(entry.video_frames);
        (behind as i32 >= 0).then_some(behind)
    }

    /// Whether a message is left out: cached audio that isn't among the newest.
    pub(super) fn leaves_out(&self, number: u64, entry: &Entry) -> bool {
        let frames_behind = self.audio_frames.wrapping_sub(entry.audio_frames);
        number < self.end && entry.meta.kind == Kind::Audio && frames_behind >= BURST_AUDIO_FRAMES
    }

    /// The timestamp of a picture of the burst; `None` for messages that keep their own.
    pub(super) fn timestamp(&self, entry: &Entry) -> Option<u32> {
        let behind = self.pictures_behind(entry);
        let behind = behind.filter(|_| entry.meta.kind == Kind::Video);
        Some(self.timestamp.wrapping_sub(behind?))
    }
}
