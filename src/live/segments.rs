//! HLS segments and parts of a stream: ranges of the log's messages, noted as they are appended.
//!
//! Nothing is stored but where each one begins and ends:
//!
//! ```text
//! log        K p a p p a p p a p K p a p p a p p a p K p a
//! segments   | 7                 | 8                 | 9 (open)
//! parts      | 0     | 1     | 2 | 0     | 1     | 2 | 0 (open)
//! ```
//!
//! A segment begins at a join point, once the one before is long enough; a GOP that is too long
//! is cut at a picture, and such a segment isn't independent. A part ends before the picture that
//! would make it longer than the part target.
//!
//! Invariants: a boundary is decided once, so what is fetched twice is equal; the numbers of the
//! segments held are contiguous, grow, and are never used again; the parts of a segment tile it.
//! (RFC 8216bis, 4.4.4, 6.2)

mod listing;

use std::collections::VecDeque;
use std::ops::Range;

use super::Millis;
pub use listing::{Found, Listing, Wanted};

/// Shortest segment, in ms, but for those cut off. A little less than 2 s, so that keyframes every
/// second or two are taken for what they are meant to be.
const MIN_SEGMENT: u32 = 1_900;

/// Longest segment while no target duration is promised, in ms.
const MAX_SEGMENT: u32 = 10_000;

/// A GOP longer than this is cut where it takes too much of the memory, in ms.
const MIN_CUT: u32 = 4_000;

/// Shortest first segment, in ms, when somebody asks before there is one.
const MIN_FIRST: u64 = 1_000;

/// A GOP is cut where it would become longer than the target duration by this, in ms: lengths are
/// rounded to whole seconds.
const ROUNDING: u32 = 450;

/// What the last picture may be late by then, in ms.
const SLACK: u32 = 49;

/// A step from one picture to the next that is longer than this says nothing of the next step.
const MAX_STEP: u32 = 250;

/// Longest part, in ms, for pictures that are not further apart than `PART_STEP`: parts are to
/// have at least 85 % of it. Meant to be half a second; what is more lets a GOP of whole seconds
/// have no tiny part at its end for its time stamps' sake.
const PART_TARGET: u32 = 520;
const PART_STEP: u32 = 75;

/// Segments held.
const MAX_SEGMENTS: usize = 64;

/// Parts held.
const MAX_PARTS: usize = 256;

/// Init segments that the segments held may want.
const MAX_VERSIONS: usize = 8;

/// What the segments are to know of a message.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// Its number in the log.
    pub number: u64,
    /// Decode time in ms, that only grows.
    pub time: u64,
    /// When it came.
    pub arrived: Millis,
    /// Length, with its framing.
    pub len: u32,
    /// Version of the init segment that it needs.
    pub version: u32,
    /// A part may begin here: at a picture; at every sound where there are no pictures.
    pub is_boundary: bool,
    /// A decoder can start here.
    pub is_join_point: bool,
}

/// A segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Media sequence number, counted from 1 through the stream's life: hls.js (1.7) doesn't see
    /// that it has got the parts of a segment 0.
    pub number: u64,
    /// Its messages, as far as they belong to the presentation.
    pub messages: Range<u64>,
    /// Decode time of its first picture, in ms.
    pub start: u64,
    /// Length in ms.
    pub duration: u32,
    /// When its first message came, but for the network's jitter, on the server's clock.
    pub date: Millis,
    /// Version of its init segment.
    pub version: u32,
    /// Discontinuities before its own, through the stream's life.
    pub discontinuities: u32,
    /// It doesn't go on where the one before ended.
    pub has_discontinuity: bool,
    /// It begins with a keyframe.
    pub is_independent: bool,
    /// Length, framing included.
    pub bytes: u64,
    /// Pictures in it; sounds where there are no pictures.
    pub pictures: u32,
    /// Its parts, counted through the stream's life.
    parts: Range<u64>,
}

/// A part of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its messages, as far as they belong to the presentation.
    pub messages: Range<u64>,
    /// Decode time of its first picture, in ms.
    pub start: u64,
    /// Length in ms.
    pub duration: u32,
    /// There is a keyframe in it.
    pub is_independent: bool,
}

/// A place where a part may begin.
#[derive(Clone, Copy)]
struct Boundary {
    number: u64,
    time: u64,
    arrived: Millis,
    is_join_point: bool,
}

/// The segment that is still growing, and the last of its parts.
struct Open {
    segment: Segment,
    part: Part,
    part_bytes: u64,
    part_pictures: u32,
    newest: Boundary,
    /// From the picture before the newest one to that, in ms.
    step: u32,
    /// Number of the last message, and one.
    end: u64,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Segments {
    complete: VecDeque<Segment>,
    open: Option<Open>,
    /// Complete ones, of complete segments and of the open one.
    parts: VecDeque<Part>,
    /// Parts that were given up.
    first_part: u64,
    /// Number of the segment that began last.
    begun: u64,
    discontinuities: u32,
    is_cut_off: bool,
    /// Date and time of the segment that began last, unless it was cut off.
    anchor: Option<(Millis, u64)>,
    /// Longest segment so far, in ms.
    longest: u32,
    /// In seconds, once it is promised.
    target: Option<u32>,
    part_target: Option<u32>,
    /// Parts before this one were cut for another part target.
    parts_from: u64,
    /// No segment before this one is listed any more.
    listed_from: u64,
}

impl Segments {
    /// Takes note of a message that belongs to the presentation. `max_bytes`: what a segment of a
    /// long GOP may take. True when a segment or a part is complete now.
    pub fn add(&mut self, unit: &Unit, max_bytes: u64) -> bool {
        let at = Boundary {
            number: unit.number,
            time: unit.time,
            arrived: unit.arrived,
            is_join_point: unit.is_join_point,
        };
        let mut is_news = false;
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.segment.version != unit.version)
        {
            is_news = self.cut_off();
        }
        if self.open.is_none() {
            if !unit.is_join_point {
                return is_news;
            }
            self.begin(at, unit.version);
        } else if unit.is_boundary {
            is_news |= self.cut(at, max_bytes);
        }
        if let Some(open) = &mut self.open {
            open.count(unit, at);
        }
        is_news
    }

    /// What comes next doesn't go on where this ended: the publisher is gone. True when a segment is
    /// complete now.
    pub fn cut_off(&mut self) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        let (end, time) = (open.end, open.newest.time + u64::from(open.step));
        self.end_segment(end, time);
        self.forget_anchor();
        true
    }

    /// Forgets what is no longer in the log.
    pub fn prune(&mut self, log_start: u64) {
        while self
            .complete
            .front()
            .is_some_and(|segment| segment.messages.start < log_start)
        {
            self.complete.pop_front();
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.segment.messages.start < log_start)
        {
            self.open = None;
            self.forget_anchor();
        }
        while self
            .parts
            .front()
            .is_some_and(|part| part.messages.start < log_start)
        {
            self.parts.pop_front();
            self.first_part += 1;
        }
    }

    /// Promises a target duration, if that isn't done, when there is something to list. In a stream
    /// that nobody has asked for, the log holds little more than the newest GOP: then its parts so
    /// far become the first segment.
    pub fn promise(&mut self) -> bool {
        if self.target.is_some() {
            return true;
        }
        if self.complete.is_empty() && !self.split_open() {
            return false;
        }
        let so_far = self
            .open
            .as_ref()
            .map_or(0, |open| open.len_to(open.newest.time));
        // A tenth of a second is the jitter of keyframes that are meant to come each second.
        let longest = self.longest.max(so_far).saturating_sub(100);
        self.target = Some(longest.div_ceil(1_000).clamp(2, MAX_SEGMENT / 1_000));
        self.set_part_target();
        true
    }

    /// The longest part of pictures that come as fast as those of the last segment.
    fn set_part_target(&mut self) {
        let target = match self.complete.back() {
            None => Some(PART_TARGET),
            Some(last) => match last.duration / last.pictures.max(1) {
                0..=PART_STEP => Some(PART_TARGET),
                step if step <= 2 * PART_STEP => Some(2 * PART_TARGET),
                _ => None,
            },
        };
        if self.part_target != target {
            self.part_target = target;
            self.parts_from = self.parts_end();
        }
    }

    /// Makes a segment of the complete parts of the open one.
    fn split_open(&mut self) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let length = open.part.start.saturating_sub(open.segment.start);
        if length < MIN_FIRST {
            return false;
        }
        let (first, parts) = (
            open.part.messages.start,
            self.first_part + self.parts.len() as u64,
        );
        self.begun += 1;
        let rest = Segment {
            number: self.begun,
            messages: first..first,
            start: open.part.start,
            date: open.segment.date + length,
            discontinuities: open.segment.discontinuities
                + u32::from(open.segment.has_discontinuity),
            has_discontinuity: false,
            is_independent: false,
            bytes: open.part_bytes,
            pictures: open.part_pictures,
            parts: parts..parts,
            ..open.segment
        };
        self.anchor = Some((rest.date, rest.start));
        let segment = std::mem::replace(&mut open.segment, rest);
        let segment = Segment {
            messages: segment.messages.start..first,
            duration: length as u32,
            bytes: segment.bytes.saturating_sub(open.part_bytes),
            pictures: segment.pictures.saturating_sub(open.part_pictures),
            parts: segment.parts.start..parts,
            ..segment
        };
        self.push_segment(segment);
        true
    }

    fn limit(&self) -> u32 {
        self.target
            .map_or(MAX_SEGMENT, |target| target * 1_000 + ROUNDING)
    }

    fn parts_end(&self) -> u64 {
        self.first_part + self.parts.len() as u64
    }

    fn forget_anchor(&mut self) {
        self.anchor = None;
        self.is_cut_off = true;
    }

    /// Ends segment and part at `at`, or at the picture before, if they would become too long.
    fn cut(&mut self, at: Boundary, max_bytes: u64) -> bool {
        let limit = self.limit();
        let mut is_news = false;
        while let Some(open) = &mut self.open {
            let length = open.len_to(at.time);
            let step = open.step_to(at.time).min(MAX_STEP);
            let is_natural = at.is_join_point
                && (length >= MIN_SEGMENT || !open.segment.is_independent)
                && length <= limit + SLACK;
            let next = length.saturating_add(step);
            let is_too_long = next > limit || next > MIN_CUT && open.segment.bytes > max_bytes;
            if !is_natural && !is_too_long {
                break;
            }
            let mut to = at;
            // It was thought that this picture would come in time.
            if !is_natural && length > limit && open.part.messages.start < open.newest.number {
                to = open.newest;
            }
            let version = open.segment.version;
            let is_hole = open.len_to(to.time) > limit + SLACK;
            self.end_segment(to.number, to.time);
            if is_hole && to.is_join_point {
                self.forget_anchor();
            }
            self.begin(to, version);
            if to.number == at.number {
                return true;
            }
            is_news = true;
        }
        self.cut_part(at) || is_news
    }

    fn cut_part(&mut self, at: Boundary) -> bool {
        let mut is_news = false;
        while let (Some(target), Some(open)) = (self.part_target, &mut self.open) {
            let length = difference(at.time, open.part.start);
            if length.saturating_add(open.step_to(at.time)) <= target {
                break;
            }
            let mut to = at;
            if length > target && open.part.messages.start < open.newest.number {
                to = open.newest;
            }
            let part = open.end_part(to, target);
            self.push_part(part);
            is_news = true;
            if to.number == at.number {
                break;
            }
        }
        is_news
    }

    fn begin(&mut self, at: Boundary, version: u32) {
        if self.target.is_none() {
            self.set_part_target();
        }
        let has_discontinuity = std::mem::take(&mut self.is_cut_off) && self.begun > 0;
        self.begun += 1;
        let date = match self.anchor {
            None => at.arrived,
            // The two clocks' seconds are not quite the same length.
            Some((date, time)) => {
                let date = date + at.time.saturating_sub(time);
                at.arrived.clamp(date.saturating_sub(1), date + 1)
            }
        };
        self.anchor = Some((date, at.time));
        let part = self.parts_end();
        self.open = Some(Open {
            segment: Segment {
                number: self.begun,
                messages: at.number..at.number,
                start: at.time,
                duration: 0,
                date,
                version,
                discontinuities: self.discontinuities,
                has_discontinuity,
                is_independent: at.is_join_point,
                bytes: 0,
                pictures: 0,
                parts: part..part,
            },
            part: Part::at(at),
            part_bytes: 0,
            part_pictures: 0,
            newest: at,
            step: 0,
            end: at.number,
        });
        self.discontinuities += u32::from(has_discontinuity);
    }

    /// Ends the open segment before message `end`, at `time`.
    fn end_segment(&mut self, end: u64, time: u64) {
        let limit = self.limit() + SLACK;
        let Some(mut open) = self.open.take() else {
            return;
        };
        let to = Boundary {
            number: end,
            time,
            ..open.newest
        };
        // A hole in the media isn't part of the segment's length.
        let in_media = open.newest.time + u64::from(open.step);
        let length = open.len_to(time);
        let length = match length > limit {
            true => open.len_to(in_media).min(limit),
            false => length,
        };
        if let Some(target) = self.part_target {
            let part = open.end_part(to, target);
            self.push_part(part);
        }
        let segment = Segment {
            messages: open.segment.messages.start..end,
            duration: length.max(1),
            parts: open.segment.parts.start..self.parts_end(),
            ..open.segment
        };
        self.push_segment(segment);
    }

    fn push_segment(&mut self, segment: Segment) {
        self.longest = self.longest.max(segment.duration);
        let versions = |complete: &VecDeque<Segment>| {
            let pairs = complete.iter().zip(complete.iter().skip(1));
            pairs.filter(|(a, b)| a.version != b.version).count() + 1
        };
        self.complete.push_back(segment);
        while self.complete.len() > MAX_SEGMENTS || versions(&self.complete) > MAX_VERSIONS {
            self.complete.pop_front();
        }
    }

    fn push_part(&mut self, part: Part) {
        if self.parts.len() >= MAX_PARTS {
            self.parts.pop_front();
            self.first_part += 1;
        }
        self.parts.push_back(part);
    }
}

impl Open {
    /// Length up to a picture, in ms.
    fn len_to(&self, time: u64) -> u32 {
        difference(time, self.segment.start)
    }

    /// From the newest picture to this one, in ms.
    fn step_to(&self, time: u64) -> u32 {
        difference(time, self.newest.time)
    }

    /// Takes note of a message that belongs to the open part.
    fn count(&mut self, unit: &Unit, at: Boundary) {
        self.end = unit.number + 1;
        self.segment.bytes += u64::from(unit.len);
        self.part_bytes += u64::from(unit.len);
        if !unit.is_boundary {
            return;
        }
        self.segment.pictures += 1;
        self.part_pictures += 1;
        if self.newest.number != at.number {
            self.note_keyframe(at.number);
            self.step = self.step_to(at.time).min(MAX_STEP);
            self.newest = at;
        }
    }

    /// The newest picture stays in the open part, which goes on to `end` at least.
    fn note_keyframe(&mut self, end: u64) {
        if (self.part.messages.start..end).contains(&self.newest.number) {
            self.part.is_independent |= self.newest.is_join_point;
        }
    }

    /// Ends the open part, of which the next one begins at once.
    fn end_part(&mut self, to: Boundary, target: u32) -> Part {
        self.note_keyframe(to.number);
        self.part_bytes = 0;
        self.part_pictures = 0;
        let part = std::mem::replace(&mut self.part, Part::at(to));
        Part {
            messages: part.messages.start..to.number,
            duration: difference(to.time, part.start).clamp(1, target),
            ..part
        }
    }
}

impl Part {
    fn at(at: Boundary) -> Part {
        Part {
            messages: at.number..at.number,
            start: at.time,
            duration: 0,
            is_independent: false,
        }
    }
}

/// ms from one time to a later one.
fn difference(later: u64, earlier: u64) -> u32 {
    u32::try_from(later.saturating_sub(earlier)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
