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
//! A segment begins with a keyframe, once the one before is long enough; only a GOP of more than 10 s,
//! or of more than the memory is to hold, is cut at another picture, and then such a segment isn't
//! independent. A part ends before the picture that would make it longer than the part target, and
//! before a keyframe if it is nearly as long.
//!
//! Another decoder configuration asks for another init segment, which begins at a keyframe too. Until
//! then, what the open segment has a track for goes on in it. What it has none for is left out, but
//! sounds that come shortly before the keyframe are in the segment that it begins:
//!
//! ```text
//! log        K s p s p h S p S K S p S      h: the sounds S need another configuration than s
//! segment 7  K s p s p     p
//! segment 8                S   S K S p S
//! ```
//!
//! Invariants: a boundary is decided once, so what is fetched twice is equal; the numbers of the
//! segments held are contiguous, grow, and are never used again; the parts of a segment tile it.
//! (RFC 8216bis, 4.4.4, 6.2)

mod growth;
mod listing;
mod lists;

use std::net::IpAddr;
use std::ops::Range;

use crate::live::Millis;
use crate::live::arena::Block;
use growth::{Early, Open};
pub use listing::{Found, Listing, Wanted};
pub(in crate::live) use lists::FEW_LEN;
use lists::Lists;
pub use lists::Viewer;

/// Shortest segment, in ms, but for those cut off. A little less than 2 s, so that keyframes every
/// second or two are taken for what they are meant to be.
const MIN_SEGMENT: u32 = 1_900;

/// Longest GOP that isn't cut, in ms. What is more than 10 s is for keyframes that don't come to the
/// ms.
const MAX_GOP: u32 = 10_450;

/// Longest segment, in ms: GOPs that are too short for one of their own, and such a one.
const MAX_SEGMENT: u32 = MIN_SEGMENT + MAX_GOP;

/// What a segment may be longer than the target duration, in ms, for it is rounded.
const ROUNDING: u32 = 499;

/// Longest part, in ms, for pictures that are not further apart than `PART_STEP`: parts are to
/// have at least 85 % of it. Meant to be half a second; what is more lets a GOP of whole seconds
/// have no tiny part at its end for its time stamps' sake.
const PART_TARGET: u32 = 520;
const PART_STEP: u16 = 75;

/// What the segments are to know of a message.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// Its number in the log.
    pub number: u64,
    /// Where it begins in decode time, in ms. Only grows.
    pub time: u64,
    /// Where it ends in decode time, in ms.
    pub end: u64,
    /// When it came.
    pub arrived: Millis,
    /// Length of what is sent of it, with its framing.
    pub len: u32,
    /// Version of the init segment that it needs.
    pub version: u32,
    /// Picture or sound.
    pub is_picture: bool,
    /// The init segment of the open segment has its track.
    pub fits: bool,
    /// A part of the open segment may begin here: at a picture; at every sound where there are no
    /// pictures.
    pub is_boundary: bool,
    /// A segment of its version may begin here: at a keyframe; at every sound where there are no
    /// pictures.
    pub is_join_point: bool,
}

impl Unit {
    /// Whether a decoder can start with it.
    fn is_start(&self) -> bool {
        self.is_join_point || !self.is_picture
    }

    /// When it is due, in ms: pictures are decoded early.
    fn due(&self) -> u64 {
        if self.is_picture { self.end } else { self.time }
    }
}

/// Of messages that others have a share in, which belong to a segment: from a first one to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::live) struct Share {
    pictures: (u64, u64),
    sounds: (u64, u64),
}

impl Share {
    /// All pictures and sounds from these on.
    pub(in crate::live) fn new(first_picture: u64, first_sound: u64) -> Share {
        Share {
            pictures: (first_picture, u64::MAX),
            sounds: (first_sound, u64::MAX),
        }
    }

    /// Whether a message belongs to it.
    pub(in crate::live) fn has(&self, number: u64, is_picture: bool) -> bool {
        let (first, end) = if is_picture {
            self.pictures
        } else {
            self.sounds
        };
        (first..end).contains(&number)
    }

    /// Nothing from this message on belongs to it.
    fn end(&mut self, number: u64, is_picture: bool) {
        let range = if is_picture {
            &mut self.pictures
        } else {
            &mut self.sounds
        };
        range.1 = range.1.min(number);
    }

    /// Whether neither its pictures nor its sounds have ended.
    fn goes_on(&self) -> bool {
        self.pictures.1.min(self.sounds.1) == u64::MAX
    }
}

/// A segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Media sequence number, counted from 1 through the stream's life: hls.js (1.7) doesn't see
    /// that it has got the parts of a segment 0.
    pub number: u64,
    /// Its messages, as far as they belong to the presentation, and to it.
    pub messages: Range<u64>,
    /// Which of these.
    pub(in crate::live) share: Share,
    /// Decode time of its first picture, in ms.
    pub start: u64,
    /// Length in ms: from the decode time of its first picture to that of the next segment's.
    pub duration: u32,
    /// When its first picture came, but for the network's jitter, on the server's clock.
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
    /// Its messages, as far as they belong to the segment.
    pub messages: Range<u64>,
    /// Decode time of its first picture, in ms.
    pub start: u64,
    /// Length in ms, as that of the segment.
    pub duration: u32,
    /// Length, framing included.
    pub bytes: u32,
    /// Its first picture is a keyframe.
    pub is_independent: bool,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Segments {
    /// Complete segments; complete parts, of those and of the open one; viewers.
    lists: Lists,
    open: Option<Open>,
    /// What is for the next one.
    early: Option<Early>,
    /// Parts that were given up.
    first_part: u64,
    /// Number of the segment that began last.
    begun: u64,
    discontinuities: u32,
    is_cut_off: bool,
    /// From when pictures are due to when they come, at least: for the dates of segments, and since
    /// the last date that was fixed.
    delay: Option<i64>,
    least: Option<i64>,
    /// In seconds, once it is promised.
    target: Option<u32>,
    part_target: Option<u32>,
    /// The longest from one picture of the last segment to the next, in ms.
    step: u16,
    /// When the newest picture was due, and how long after the one before, in ms.
    newest_due: u64,
    interval: u32,
    /// Parts before this one were cut for another part target.
    parts_from: u64,
    /// No segment before this one is listed any more.
    listed_from: u64,
    /// Segments that the first playlist lacked and that haven't left it since, and their length in
    /// seconds, which is 0 before the first playlist.
    missing: (u8, u8),
    /// Longest playlist so far, in ms.
    longest_listed: u32,
    /// The most that a segment took, in bits per second.
    peak: u32,
}

impl Segments {
    /// Takes note of a message that belongs to the presentation. `max_bytes`: what a segment of a
    /// long GOP may take. True when a segment has begun, or one or a part is complete now.
    pub fn add(&mut self, unit: &Unit, max_bytes: u64) -> bool {
        let mut is_news = false;
        let unit = &self.placed(unit);
        let fits = self
            .open
            .as_ref()
            .is_some_and(|open| unit.fits && open.segment.share.has(unit.number, unit.is_picture));
        let is_same = self.open.as_ref().is_some_and(|open| {
            open.segment.version == unit.version && open.segment.share.goes_on()
        });
        if unit.is_join_point && !is_same {
            is_news = true;
            self.change(unit);
        } else if !fits {
            self.leave_out(unit);
            return false;
        } else if unit.is_boundary || self.is_alone(unit) {
            is_news = self.cut(unit, max_bytes);
        }
        self.count(unit);
        is_news
    }

    /// The sounds that are to come don't go on from those that came.
    pub fn forget_sounds(&mut self) {
        self.early = None;
    }

    /// What comes next doesn't go on where this ended: the publisher is gone. True when a segment is
    /// complete now.
    pub fn cut_off(&mut self) -> bool {
        self.forget_sounds();
        if self.open.is_none() {
            return false;
        }
        let is_news = self.end_open();
        self.forget_date();
        is_news
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
            self.forget_date();
        }
        if self
            .early
            .as_ref()
            .is_some_and(|early| early.number < log_start)
        {
            self.early = None;
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

    /// Notes the connection by which a viewer has got a playlist; true for its first.
    pub fn name_viewer(&mut self, address: IpAddr, connection: u64) -> bool {
        self.lists.name_viewer(address, connection)
    }

    /// A viewer that hasn't asked for so long, each once.
    pub fn take_gone(&mut self, now: Millis, time: Millis) -> Option<Viewer> {
        self.lists.take_gone(now, time)
    }

    /// Those that asked for a playlist within a time, each with its place in the list.
    pub fn viewers(&self, now: Millis, time: Millis) -> impl Iterator<Item = (usize, Viewer)> + '_ {
        self.lists.viewers(now, time)
    }

    /// Promises a target duration, if that isn't done, once there is a segment to list: what the
    /// segments so far need, of which those who ask first see the newest.
    pub fn promise(&mut self) -> bool {
        if self.target.is_none() && self.lists.segments.len > 0 {
            let held = self.lists.all_segments().map(|segment| segment.duration);
            let open = self.open.as_ref();
            let so_far = open.map_or(0, |open| open.len_to(open.pictures_end));
            let longest = held.max().unwrap_or(0).max(so_far);
            self.target = Some(target_for(longest.min(MAX_SEGMENT)));
            self.set_part_target();
        }
        self.target.is_some()
    }

    /// A target duration that is promised becomes what a segment of this length needs, in ms.
    /// (RFC 8216bis, 4.4.3.1, wants it to be the same for ever. But then a GOP that is longer than
    /// those before would have to be cut, and players stutter where a segment doesn't begin with a
    /// keyframe; none was found that minds a target duration that grows.)
    fn grow_target(&mut self, length: u32) {
        if let Some(target) = &mut self.target {
            if length > *target * 1_000 + ROUNDING {
                *target = target_for(length);
            }
        }
    }

    /// The longest part of pictures that come as those of the last segment: all but the last one of a
    /// segment are to have at least 85 % of it, whatever the next picture's step.
    fn set_part_target(&mut self) {
        let target = match self.step {
            0..=PART_STEP => Some(PART_TARGET),
            step if step <= 2 * PART_STEP => Some(2 * PART_TARGET),
            _ => None,
        };
        if self.part_target != target {
            self.part_target = target;
            // Not those of the open segment, whose first one may have grown too long.
            self.parts_from = self.parts_end() + u64::from(self.open.is_some());
        }
    }

    /// Longest segment that the target duration allows, in ms.
    fn limit(&self) -> u32 {
        self.target
            .map_or(MAX_SEGMENT, |target| target * 1_000 + ROUNDING)
    }

    fn parts_end(&self) -> u64 {
        self.first_part + self.lists.parts.len as u64
    }

    /// What comes next is a discontinuity, also in time.
    fn forget_date(&mut self) {
        (self.delay, self.least) = (None, None);
        self.is_cut_off = true;
    }
}

/// The target duration in seconds for segments of so many ms. A tenth of a second is the jitter of
/// keyframes that are meant to come each second.
fn target_for(length: u32) -> u32 {
    let needed = length.saturating_sub(100).div_ceil(1_000);
    needed.clamp(2, ((length + 500) / 1_000).max(10))
}

#[cfg(test)]
mod tests;
