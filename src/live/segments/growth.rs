//! The open segment: how it grows, and where it and its parts end.

use super::{Part, Segment, Segments, Unit};
use crate::live::Millis;

/// Shortest segment, in ms, but for those cut off. A little less than 2 s, so that keyframes every
/// second or two are taken for what they are meant to be.
const MIN_SEGMENT: u32 = 1_900;

/// A GOP longer than this is cut where it takes too much of the memory, in ms.
const MIN_CUT: u32 = 4_000;

/// What a picture that ends a segment may be later than was thought, in ms: together with the
/// rounding, less than what rounds to another second.
const SLACK: u32 = 49;

/// A step from one picture to the next that is longer than this says nothing of the next step.
const MAX_STEP: u32 = 250;

/// Init segments that the segments held may want.
const MAX_VERSIONS: usize = 8;

/// A place where a part may begin.
#[derive(Clone, Copy)]
pub(super) struct Boundary {
    pub(super) number: u64,
    pub(super) time: u64,
    pub(super) arrived: Millis,
    pub(super) is_join_point: bool,
}

/// The segment that is still growing, and the last of its parts.
pub(super) struct Open {
    pub(super) segment: Segment,
    pub(super) part: Part,
    pub(super) part_bytes: u64,
    pub(super) part_pictures: u32,
    pub(super) newest: Boundary,
    /// Bytes of that picture and of what came behind it.
    newest_bytes: u64,
    /// From the picture before the newest one to that, in ms.
    pub(super) step: u32,
    /// Number of the last message, and one.
    pub(super) end: u64,
}

impl Segments {
    /// Ends segment and part at `at`, or at the picture before, if they would become too long.
    pub(super) fn cut(&mut self, at: Boundary, max_bytes: u64) -> bool {
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
            let bytes = open.bytes_from(to);
            open.segment.bytes -= bytes;
            self.end_segment(to.number, to.time);
            if is_hole && to.is_join_point {
                self.forget_anchor();
            }
            self.begin(to, version, bytes);
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

    /// Begins a segment, which has so many bytes already.
    pub(super) fn begin(&mut self, at: Boundary, version: u32, bytes: u64) {
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
                bytes,
                pictures: 0,
                parts: part..part,
            },
            part: Part::at(at),
            part_bytes: bytes,
            part_pictures: 0,
            newest: at,
            newest_bytes: bytes,
            step: 0,
            end: at.number,
        });
        self.discontinuities += u32::from(has_discontinuity);
    }

    /// Ends the open segment before message `end`, at `time`.
    pub(super) fn end_segment(&mut self, end: u64, time: u64) {
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

    pub(super) fn push_segment(&mut self, segment: Segment) {
        self.longest = self.longest.max(segment.duration);
        self.lists.push_segment(&segment);
        while self.versions() > MAX_VERSIONS {
            self.lists.pop_segment();
        }
    }

    /// Init segments that the segments held want.
    fn versions(&self) -> usize {
        let versions = self.lists.all_segments().map(|segment| segment.version);
        let mut newest = None;
        let changes = versions.filter(|version| newest.replace(*version) != Some(*version));
        changes.count()
    }

    pub(super) fn push_part(&mut self, part: Part) {
        self.first_part += u64::from(self.lists.push_part(&part));
    }
}

impl Open {
    /// Length up to a picture, in ms.
    pub(super) fn len_to(&self, time: u64) -> u32 {
        difference(time, self.segment.start)
    }

    /// From the newest picture to this one, in ms.
    fn step_to(&self, time: u64) -> u32 {
        difference(time, self.newest.time)
    }

    /// Takes note of a message that belongs to the open part.
    pub(super) fn count(&mut self, unit: &Unit, at: Boundary) {
        self.end = unit.number + 1;
        self.segment.bytes += u64::from(unit.len);
        self.part_bytes += u64::from(unit.len);
        self.newest_bytes += u64::from(unit.len);
        if !unit.is_boundary {
            return;
        }
        self.segment.pictures += 1;
        self.part_pictures += 1;
        if self.newest.number != at.number {
            self.note_keyframe(at.number);
            self.step = self.step_to(at.time).min(MAX_STEP);
            self.newest = at;
            self.newest_bytes = unit.len.into();
        }
    }

    /// Bytes from a boundary on, which is the newest picture or what comes next.
    fn bytes_from(&self, at: Boundary) -> u64 {
        match at.number == self.newest.number {
            true => self.newest_bytes,
            false => 0,
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
        self.part_bytes = self.bytes_from(to);
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
