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

mod growth;
mod listing;
mod lists;

use std::net::IpAddr;
use std::ops::Range;

use super::Millis;
use super::arena::Block;
use growth::{Boundary, Open};
pub use listing::{Found, Listing, Wanted};
pub(super) use lists::FEW_LEN;
use lists::Lists;

/// Longest segment while no target duration is promised, in ms.
const MAX_SEGMENT: u32 = 10_000;

/// Shortest first segment, in ms, when somebody asks before there is one.
const MIN_FIRST: u64 = 1_000;

/// A GOP is cut where it would become longer than the target duration by this, in ms: lengths are
/// rounded to whole seconds.
const ROUNDING: u32 = 450;

/// Longest part, in ms, for pictures that are not further apart than `PART_STEP`: parts are to
/// have at least 85 % of it. Meant to be half a second; what is more lets a GOP of whole seconds
/// have no tiny part at its end for its time stamps' sake.
const PART_TARGET: u32 = 520;
const PART_STEP: u32 = 75;

/// What the segments are to know of a message.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// Its number in the log.
    pub number: u64,
    /// Decode time in ms, that only grows.
    pub time: u64,
    /// When it came.
    pub arrived: Millis,
    /// Length of what is sent of it, with its framing.
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
    /// Length, framing included: exactly what is sent of it.
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

/// See the module's documentation.
#[derive(Default)]
pub struct Segments {
    /// Complete segments; complete parts, of those and of the open one; viewers.
    lists: Lists,
    open: Option<Open>,
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
    /// The first segment of the first playlist.
    first_listed: Option<u64>,
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
            self.begin(at, unit.version, 0);
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
        let is_lost = |messages: Range<u64>| messages.start < log_start;
        while self.lists.segment(0).is_some_and(|s| is_lost(s.messages)) {
            self.lists.pop_segment();
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.segment.messages.start < log_start)
        {
            self.open = None;
            self.forget_anchor();
        }
        while self.lists.part(0).is_some_and(|p| is_lost(p.messages)) {
            self.lists.pop_part();
            self.first_part += 1;
        }
    }

    /// Whether more can be listed than what whoever asks first is given.
    pub fn has_block(&self) -> bool {
        self.lists.has_block()
    }

    /// From now on what is listed lies there: somebody watches.
    pub fn set_block(&mut self, block: Block) {
        self.lists.set_block(block);
    }

    /// Forgets all but what whoever asks first is given, and gives up the block: nobody watches.
    pub fn shrink(&mut self) {
        self.first_part += self.lists.shrink() as u64;
    }

    /// Notes that somebody asked for a playlist, in place of one who hasn't for so long.
    pub fn note_viewer(&mut self, address: IpAddr, now: Millis, time: Millis) {
        self.lists.note_viewer(address, now, time);
    }

    /// Addresses that asked for a playlist within a time.
    pub fn viewers(&self, now: Millis, time: Millis) -> usize {
        self.lists.viewers(now, time)
    }

    /// Promises a target duration, if that isn't done, when there is something to list. In a stream
    /// that nobody has asked for, the log holds little more than the newest GOP: then its parts so
    /// far become the first segment.
    pub fn promise(&mut self) -> bool {
        if self.target.is_some() {
            return true;
        }
        if self.lists.segments.len == 0 && !self.split_open() {
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
        let target = match self.lists.newest() {
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
        let parts = self.parts_end();
        let Some(open) = &mut self.open else {
            return false;
        };
        let length = open.part.start.saturating_sub(open.segment.start);
        if length < MIN_FIRST {
            return false;
        }
        let first = open.part.messages.start;
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
        self.first_part + self.lists.parts.len as u64
    }

    fn forget_anchor(&mut self) {
        self.anchor = None;
        self.is_cut_off = true;
    }
}

#[cfg(test)]
mod tests;
