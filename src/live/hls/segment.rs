//! A segment, its parts, and the samples that they are made of.

use std::ops::Range;

use crate::live::Millis;

/// The properties of a message that segments need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaSample {
    /// Its number in the log.
    pub number: u64,
    /// Where it begins in decode time, in ms. Only grows.
    pub time: u64,
    /// Where it ends in decode time, in ms.
    pub end: u64,
    /// When it arrived.
    pub arrived: Millis,
    /// Length as it is sent, framing included.
    pub len: u32,
    /// Version of the init segment that it needs.
    pub version: u32,
    /// Whether it is video; otherwise it is audio.
    pub is_video: bool,
    /// Whether the init segment of the open segment describes its track.
    pub fits: bool,
    /// Whether it belongs to the main track of the open segment: video, or audio if there is no video.
    /// Segments and parts begin with samples of the main track.
    pub is_main: bool,
    /// Whether a segment of its version may begin here: at a keyframe, or at any audio frame if there
    /// is no video.
    pub is_join_point: bool,
}

impl MediaSample {
    /// Whether a decoder can start with it.
    pub(super) fn is_independent(&self) -> bool {
        self.is_join_point || !self.is_video
    }

    /// When it is due, in ms: a video frame is decoded one frame early.
    pub(super) fn due(&self) -> u64 {
        if self.is_video { self.end } else { self.time }
    }
}

/// Selects the messages of a range that belong to a segment. Audio may already belong to the next
/// segment while the video of this one goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageSet {
    /// The number of the first message, and the number after the last one.
    pub(super) video: (u64, u64),
    pub(super) audio: (u64, u64),
}

impl MessageSet {
    /// All video from one message on, and all audio from another one on.
    pub(super) fn new(first_video: u64, first_audio: u64) -> MessageSet {
        MessageSet {
            video: (first_video, u64::MAX),
            audio: (first_audio, u64::MAX),
        }
    }

    /// Whether it contains a message.
    pub(super) fn contains(&self, number: u64, is_video: bool) -> bool {
        let (first, end) = if is_video { self.video } else { self.audio };
        (first..end).contains(&number)
    }

    /// Ends the track before this message, unless it has ended already.
    pub(super) fn end(&mut self, number: u64, is_video: bool) {
        let track = if is_video {
            &mut self.video
        } else {
            &mut self.audio
        };
        track.1 = track.1.min(number);
    }

    /// Whether neither track has ended.
    pub(super) fn is_open(&self) -> bool {
        self.video.1.min(self.audio.1) == u64::MAX
    }
}

/// A segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Media sequence number, counted from 1 through the stream's life: hls.js 1.7 doesn't notice
    /// that it has fetched the parts of a segment 0.
    pub number: u64,
    /// The range of messages that contains those of the segment.
    pub messages: Range<u64>,
    /// Selects the segment's messages within that range.
    pub(super) set: MessageSet,
    /// Decode time of its first frame, in ms.
    pub start: u64,
    /// Time from its first frame to that of the next segment, in ms.
    pub duration: u32,
    /// When its first frame arrived on the server's clock, network jitter removed.
    pub date: Millis,
    /// Version of its init segment.
    pub version: u32,
    /// The number of discontinuities before its own through the stream's life.
    pub discontinuities: u32,
    /// Whether it doesn't continue where the previous segment ended.
    pub has_discontinuity: bool,
    /// Whether it begins with a keyframe.
    pub is_independent: bool,
    /// Exact length of its file.
    pub bytes: u64,
    /// The number of video frames; of audio frames if there is no video.
    pub frames: u32,
    /// Numbers of its parts, counted through the stream's life.
    pub(super) parts: Range<u64>,
}

/// A part of a segment ("partial segment" in RFC 8216bis).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPart {
    /// The range of messages that contains those of the part; the segment's set selects them.
    pub messages: Range<u64>,
    /// Decode time of its first frame, in ms.
    pub start: u64,
    /// Time from its first frame to that of the next part, in ms.
    pub duration: u32,
    /// Exact length of its file.
    pub bytes: u32,
    /// Whether it begins with a keyframe.
    pub is_independent: bool,
}
