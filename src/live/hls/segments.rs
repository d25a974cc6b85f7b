//! Segments and parts of a stream: ranges of the log's messages, recorded as the messages are appended.
//!
//! Only their boundaries are stored:
//!
//! ```text
//! log        K a v v a v v a v K v a v v a v v a v K v a     K keyframe, v other video, a audio
//! segments   | 7                 | 8                 | 9 (open)
//! parts      | 0     | 1     | 2 | 0     | 1     | 2 | 0 (open)
//! ```
//!
//! A segment begins with a keyframe, once the previous one is long enough. Only a GOP of more than
//! 10 s, or one of which the memory can't hold enough, is cut at another frame; the segment that
//! begins there isn't independent. A part ends before the frame that would make it longer than the
//! part target, and before a keyframe if it is nearly that long.
//!
//! A change of a decoder configuration needs a new init segment, and with it a new segment, which
//! begins at a keyframe too. Until then the open segment continues with the tracks that its own init
//! segment describes; messages that don't fit are left out of it. But audio that arrives shortly before
//! the keyframe belongs to the segment that begins there:
//!
//! ```text
//! log        K a v a v h A v A K A v A      h: the audio A needs another configuration than a
//! segment 7  K a v a v     v
//! segment 8                A   A K A v A
//! ```
//!
//! Invariants: a boundary is decided once, so a file that is fetched twice is the same; the numbers
//! of the segments held are contiguous, grow, and are never reused; the parts of a segment tile it.
//! (RFC 8216bis, 4.4.4, 6.2)

mod growth;
mod listing;

use super::lists::Lists;
use super::segment::{MediaSample, Segment, SegmentPart};
use growth::{EarlyAudio, OpenSegment};
pub(crate) use listing::Lookup;
pub use listing::{Listing, Wanted};

/// Minimum length of a segment, in ms, unless it is cut off. A little less than 2 s, so that
/// keyframes that are meant to come every second, or every other one, may be a bit early.
const MIN_SEGMENT: u32 = 1_900;

/// Longest GOP that isn't cut, in ms: 10 s and some slack for inexact keyframe intervals.
const MAX_GOP: u32 = 10_450;

/// Maximum length of a segment, in ms: short GOPs and then one of the maximum length.
const MAX_SEGMENT: u32 = MIN_SEGMENT + MAX_GOP;

/// A segment may exceed the target duration by this, in ms, since its duration is rounded to seconds.
const ROUNDING: u32 = 499;

/// Maximum length of a part, in ms, if frames are no more than `PART_STEP` apart: parts must have at
/// least 85 % of it. Half a second plus 20 ms of slack, so that rounded timestamps don't leave a tiny
/// last part in a GOP of whole seconds.
const PART_TARGET: u32 = 520;
const PART_STEP: u16 = 75;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Segments {
    /// The complete segments, the complete parts (including those of the open segment), and the
    /// viewers.
    pub(super) lists: Lists,
    open: Option<OpenSegment>,
    /// Audio that belongs to the next segment.
    early: Option<EarlyAudio>,
    /// The number of parts that were dropped, which is also the number of the first part held.
    first_part: u64,
    /// Number of the segment that began last.
    begun: u64,
    discontinuities: u32,
    is_cut_off: bool,
    /// The estimated delay between the time when a frame is due and its arrival, for the dates of
    /// segments; and the smallest delay since a date was last fixed.
    delay: Option<i64>,
    least: Option<i64>,
    /// Target duration in seconds, once promised.
    pub(super) target: Option<u32>,
    part_target: Option<u32>,
    /// The longest interval between two frames of the last segment, in ms.
    step: u16,
    /// When the newest frame was due, and the time since the previous frame was due, in ms.
    newest_due: u64,
    interval: u32,
    /// Parts before this one were cut for another part target.
    parts_from: u64,
    /// Segments before this one are no longer listed.
    listed_from: u64,
    /// The number of segments that the first playlist lacked and that haven't left it since, and their
    /// length in seconds. The length is 0 before the first playlist.
    missing: (u8, u8),
    /// Longest playlist so far, in ms.
    longest_listed: u32,
    /// The highest bit rate of a segment so far.
    peak: u32,
}

impl Segments {
    /// Adds a message. Cuts a long GOP when its segment holds more than `max_bytes`. Returns whether a
    /// segment has begun, or a segment or part has become complete.
    pub(crate) fn add(&mut self, sample: &MediaSample, max_bytes: u64) -> bool {
        let mut is_news = false;
        let sample = &self.placed(sample);
        let open = self.open_segment();
        let fits = open
            .is_some_and(|open| sample.fits && open.set.contains(sample.number, sample.is_video));
        let is_same = open.is_some_and(|open| open.version == sample.version && open.set.is_open());
        if sample.is_join_point && !is_same {
            is_news = true;
            self.change(sample);
        } else if !fits {
            self.leave_out(sample);
            return false;
        } else if sample.is_main || self.stands_in_for_video(sample) {
            is_news = self.cut(sample, max_bytes);
        }
        self.count(sample);
        is_news
    }

    /// Drops the audio for the next segment, because the media that follow don't continue it.
    pub(crate) fn forget_early_audio(&mut self) {
        self.early = None;
    }

    /// Ends the open segment because the publisher is gone, and makes the next segment discontinuous.
    /// Returns whether a segment has become complete.
    pub(crate) fn cut_off(&mut self) -> bool {
        self.early = None;
        if self.open.is_none() {
            return false;
        }
        let is_news = self.end_open();
        self.forget_date();
        is_news
    }

    /// Drops the segments and parts that are no longer in the log.
    pub(crate) fn prune(&mut self, log_start: u64) {
        while (self.lists.segment(0)).is_some_and(|oldest| oldest.messages.start < log_start) {
            self.lists.pop_segment();
        }
        if self.open_from() < log_start {
            self.open = None;
            self.forget_date();
        }
        self.early.take_if(|early| early.number < log_start);
        while (self.lists.part(0)).is_some_and(|oldest| oldest.messages.start < log_start) {
            self.lists.pop_part();
            self.first_part += 1;
        }
    }

    /// Drops everything except what a first playlist lists, and gives up the block, because the stream
    /// isn't watched.
    pub(crate) fn shrink(&mut self) {
        if self.lists.has_block() {
            self.first_part += self.lists.move_to(None) as u64;
        }
    }

    /// Promises a target duration as soon as there is a segment to list, unless one is promised
    /// already. It is computed from the segments so far, of which a first playlist lists the newest.
    pub(crate) fn promise(&mut self) -> bool {
        if self.target.is_none() && self.lists.segments.len > 0 {
            let held = self.lists.all_segments().map(|segment| segment.duration);
            let open = self.open.as_ref();
            let so_far = open.map_or(0, |open| open.len_to(open.main_end));
            let longest = held.max().unwrap_or(0).max(so_far);
            self.target = Some(target_for(longest.min(MAX_SEGMENT)));
            self.set_part_target();
        }
        self.target.is_some()
    }

    /// Raises the promised target duration if a segment of this length, in ms, needs that.
    /// (RFC 8216bis, 4.4.3.1, doesn't allow it to change. But then a GOP longer than those before
    /// would have to be cut, and players stutter where a segment doesn't begin with a keyframe; no
    /// player was found that minds a growing target duration.)
    fn grow_target(&mut self, length: u32) {
        if let Some(target) = &mut self.target {
            if length > *target * 1_000 + ROUNDING {
                *target = target_for(length);
            }
        }
    }

    /// Sets the part target for frames as frequent as those of the last segment: every part of a
    /// segment but the last must have at least 85 % of it, whatever the interval to the next frame.
    fn set_part_target(&mut self) {
        let target = match self.step {
            0..=PART_STEP => Some(PART_TARGET),
            step if step <= 2 * PART_STEP => Some(2 * PART_TARGET),
            _ => None,
        };
        if self.part_target != target {
            self.part_target = target;
            // Parts of the open segment don't count: its first one may be too long already.
            self.parts_from = self.parts_end() + u64::from(self.open.is_some());
        }
    }

    /// Maximum length of a segment under the target duration, in ms.
    fn limit(&self) -> u32 {
        self.target
            .map_or(MAX_SEGMENT, |target| target * 1_000 + ROUNDING)
    }

    fn open_segment(&self) -> Option<&Segment> {
        self.open.as_ref().map(|open| &open.segment)
    }

    fn parts_end(&self) -> u64 {
        self.first_part + self.lists.parts.len as u64
    }

    /// Makes the next segment a discontinuity, also in its date.
    fn forget_date(&mut self) {
        (self.delay, self.least) = (None, None);
        self.is_cut_off = true;
    }
}

/// The target duration in seconds for segments of `length` ms. Keyframes that are meant to come every
/// second may be late by a tenth of a second.
fn target_for(length: u32) -> u32 {
    let needed = length.saturating_sub(100).div_ceil(1_000);
    needed.clamp(2, ((length + 500) / 1_000).max(10))
}

#[cfg(test)]
mod tests;
