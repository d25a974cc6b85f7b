//! What of the segments is listed, kept and found.

use super::{Open, Part, Segment, Segments, target_for};

/// Target durations of segments that are listed at least, with parts and without (RFC 8216bis,
/// 6.2.2).
const LISTED: u32 = 3;

/// Fewest segments listed, however long.
const MIN_LISTED: usize = 4;

/// Target durations for which Apple's players are shown something.
const FILLED: u32 = 4;

/// Segments and parts listed at most, however short: a little more than there are of the shortest
/// ones in the time above, so that a listing takes 6 KB at most.
const MAX_LISTED: usize = 24;
const MAX_LISTED_PARTS: u64 = 96;

/// What a media playlist says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// EXT-X-TARGETDURATION, in seconds.
    pub target: u32,
    /// Longest part in ms; `None`: there are no parts.
    pub part_target: Option<u32>,
    /// The segments that are complete, at least one.
    pub segments: Vec<Segment>,
    /// Segments that the first playlists lack in front of these to be as long as playlists are.
    pub missing: u64,
    /// How long each of them is said to be, in seconds.
    pub missing_duration: u32,
    /// The one that isn't, without length and end.
    pub open: Option<Segment>,
    /// The part that comes next: number of its segment, its place in it.
    pub next: (u64, u64),
    /// Nothing will come any more.
    pub is_ended: bool,
    /// What segments may come to take, in bits per second: twice what any has taken.
    pub bandwidth: u32,
    parts: Vec<Part>,
    /// Number of the first of `parts`.
    first_part: u64,
}

/// What somebody wants to be in the playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The segment with this number.
    Segment(u64),
    /// A part: number of the segment, place in it.
    Part(u64, u64),
}

/// Whether there is what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// It is there.
    Yes(T),
    /// It comes soon.
    NotYet,
    /// There is no such thing, or no longer.
    No,
}

impl Listing {
    /// Whether all that is listed begins with keyframes.
    pub fn is_independent(&self) -> bool {
        let mut all = self.segments.iter().chain(&self.open);
        all.all(|segment| segment.is_independent)
    }

    /// Bytes that its lists take.
    pub fn memory(&self) -> usize {
        let (segments, parts) = (self.segments.capacity(), self.parts.capacity());
        segments * size_of::<Segment>() + parts * size_of::<Part>()
    }

    /// The parts of a segment that are listed.
    pub fn parts(&self, segment: &Segment) -> &[Part] {
        let index = |number: u64| usize::try_from(number.checked_sub(self.first_part)?).ok();
        let range = index(segment.parts.start).zip(index(segment.parts.end));
        range
            .and_then(|(start, end)| self.parts.get(start..end))
            .unwrap_or_default()
    }
}

impl Segments {
    /// The target duration in seconds, once it is promised.
    pub fn target(&self) -> Option<u32> {
        self.target
    }

    /// Number of the first message of the open segment; `u64::MAX` if none is open.
    pub fn open_from(&self) -> u64 {
        let open = self.open.as_ref().map(|open| open.segment.messages.start);
        open.unwrap_or(u64::MAX)
    }

    /// Number of the oldest message that HLS needs: of what playlists list; if somebody has read
    /// some, also of what they no longer list, for its own duration and that of the longest playlist
    /// (RFC 8216bis, 6.2.2).
    pub fn needed_from(&self, is_read: bool) -> u64 {
        let mut needed_from = self.open_from();
        // Of the segments behind this one.
        let (mut count, mut behind) = (0, 0);
        for segment in self.lists.all_segments().rev() {
            // A long one that is older may have to stay longer.
            let kept = 2 * self.longest_listed + segment.duration;
            if !self.is_enough(count, behind) || is_read && behind < kept {
                needed_from = segment.messages.start;
            }
            count += 1;
            behind += segment.duration;
        }
        needed_from
    }

    /// Whether so many segments of so many ms are as much as is to be listed.
    fn is_enough(&self, count: usize, duration: u32) -> bool {
        duration >= self.target_ms() * LISTED && count >= MIN_LISTED || count >= MAX_LISTED
    }

    /// The target duration, or what would be promised now, in ms.
    fn target_ms(&self) -> u32 {
        let target = self.target.unwrap_or_else(|| {
            let held = self.lists.all_segments().map(|segment| segment.duration);
            target_for(held.max().unwrap_or(0))
        });
        target * 1_000
    }

    /// Takes note of what a segment takes, unless it is too short to tell.
    pub(super) fn note_bandwidth(&mut self, segment: &Segment) {
        let duration = segment.duration.max(1);
        if duration >= self.target_ms() / 2 {
            let rate = segment.bytes.saturating_mul(8_000) / u64::from(duration);
            self.peak = self.peak.max(u32::try_from(rate).unwrap_or(u32::MAX));
        }
    }

    /// Whether a player can begin with what there is. Those that look for the next segment as seldom
    /// as they may stutter for as long as they play when they begin too near to the end: mpv and
    /// GStreamer with one segment, VLC with two. A third long one isn't worth the wait.
    pub fn is_fit(&self) -> bool {
        /// Length of two segments that are enough, in ms.
        const LONG: u32 = 8_000;

        let held = self.lists.all_segments().map(|segment| segment.duration);
        // What the memory couldn't hold counts too: it won't hold more.
        let complete = self.begun.saturating_sub(1);
        self.lists.segments.len > 0 && (complete > 2 || complete == 2 && held.sum::<u32>() >= LONG)
    }

    /// What is to be listed; `None` while there is nothing. Promises a target duration, unless the
    /// stream `is_ended`. `is_safe` tells for a message's number whether the log will hold it for
    /// some time yet.
    pub fn listing(&mut self, is_ended: bool, is_safe: &dyn Fn(u64) -> bool) -> Option<Listing> {
        if !is_ended && !self.promise() {
            return None;
        }
        let target = self.target?;
        let target_ms = self.target_ms();
        let complete = self.lists.segments.len;
        let mut first = complete;
        let mut listed = 0;
        for segment in self.lists.all_segments().rev() {
            if self.is_enough(complete - first, listed)
                || segment.number < self.listed_from
                || !is_safe(segment.messages.start)
            {
                break;
            }
            listed += segment.duration;
            first -= 1;
        }
        let listed_from = self.lists.segment(first)?.number;
        let is_moved = std::mem::replace(&mut self.listed_from, listed_from) != listed_from;
        self.longest_listed = self.longest_listed.max(listed);
        // What has left a playlist doesn't come back, and what is listed doesn't change.
        self.missing = match self.missing {
            (_, 0) => (u8::MAX, target as u8),
            (_, duration) if is_moved => (0, duration),
            same => same,
        };
        let missing_duration = u32::from(self.missing.1);
        let duration_ms = (missing_duration * 1_000).max(1);
        let lacking = (duration_ms * FILLED).saturating_sub(listed);
        let missing = lacking.div_ceil(duration_ms).min(self.missing.0.into());
        self.missing.0 = missing as u8;
        let missing = u64::from(missing).min(listed_from);
        let mut segments = Vec::with_capacity(complete - first);
        segments.extend((first..complete).filter_map(|index| self.lists.segment(index)));
        // Parts of segments that ended longer ago are of no use.
        let mut first_part = self.parts_end();
        let mut since = 0;
        for segment in segments.iter().rev() {
            let is_enough = since >= target_ms * LISTED
                || self.parts_end() - segment.parts.start > MAX_LISTED_PARTS;
            if is_enough || !self.has_parts(segment) {
                break;
            }
            first_part = segment.parts.start;
            since += segment.duration;
        }
        let open = self
            .open
            .as_ref()
            .map(|open| self.with_parts(&open.segment));
        let open = open.filter(|open| self.has_parts(open) && !open.parts.is_empty());
        if let (Some(open), true) = (&open, since == 0) {
            first_part = open.parts.start;
        }
        let (skip, held) = (
            (first_part - self.first_part) as usize,
            self.lists.parts.len,
        );
        let mut parts = Vec::with_capacity(held.saturating_sub(skip));
        parts.extend((skip..held).filter_map(|index| self.lists.part(index)));
        Some(Listing {
            target,
            part_target: self.part_target(),
            segments,
            missing,
            missing_duration,
            open,
            next: self.next(),
            is_ended,
            bandwidth: self.peak.saturating_mul(2),
            parts,
            first_part,
        })
    }

    /// Whether a playlist would have this, or something newer.
    pub fn has(&self, wanted: Wanted) -> Found<()> {
        /// What may be asked for ahead of the newest part, in parts: 3 s.
        const ADVANCE: u64 = 6;

        let (number, part) = match wanted {
            Wanted::Part(number, part) if self.part_target().is_some() => (number, Some(part)),
            Wanted::Segment(number) | Wanted::Part(number, _) => (number, None),
        };
        let open = self.open.as_ref().map(|open| &open.segment);
        let growing = open.map_or(self.begun + 1, |open| open.number);
        let open = open.filter(|open| self.has_parts(open));
        let there = open.map_or(0, |open| self.parts_end() - open.parts.start);
        if number < growing {
            // Past the last part of a segment is the first one of the next.
            let last = self.lists.newest().filter(|last| last.number == number);
            let count = last.map_or(u64::MAX, |last| last.parts.end - last.parts.start);
            return match part {
                Some(part) if part >= count && there == 0 => Found::NotYet,
                _ => Found::Yes(()),
            };
        }
        let there = if number == growing { there } else { 0 };
        match part {
            _ if number > growing + 1 => Found::No,
            Some(part) if part < there => Found::Yes(()),
            Some(part) if part >= there + ADVANCE => Found::No,
            _ => Found::NotYet,
        }
    }

    /// The oldest version of an init segment that is of use.
    pub fn oldest_version(&self) -> Option<u32> {
        let open = self.open.as_ref().map(|open| open.segment.version);
        self.lists.segment(0).map(|oldest| oldest.version).or(open)
    }

    /// The newest version of an init segment that is of use.
    pub fn newest_version(&self) -> Option<u32> {
        let open = self.open.as_ref().map(|open| open.segment.version);
        open.or_else(|| Some(self.lists.newest()?.version))
    }

    /// Forgets the segments that want this version, or an older one.
    pub fn forget_version(&mut self, version: u32) {
        let is_gone = |segment: Segment| segment.version <= version;
        while self.lists.segment(0).is_some_and(is_gone) {
            self.lists.pop_segment();
        }
    }

    /// A segment that is complete.
    pub fn segment(&self, number: u64) -> Option<Segment> {
        let index = number.checked_sub(self.lists.segment(0)?.number)?;
        self.lists.segment(usize::try_from(index).ok()?)
    }

    /// The messages of a part, and the segment that it is of.
    pub fn part(&self, number: u64, part: u64) -> Found<(Part, Segment)> {
        let open = self.open.as_ref().map(|open| &open.segment);
        let open = open.filter(|open| open.number == number);
        let segment = match (self.segment(number), open) {
            (Some(segment), _) => segment,
            (None, Some(open)) => self.with_parts(open),
            (None, None) => Segment::default(),
        };
        let count = segment.parts.end - segment.parts.start;
        if part < count && self.holds_parts(&segment) {
            let index = segment.parts.start + part - self.first_part;
            if let Some(found) = self.lists.part(index as usize) {
                return Found::Yes((found, segment));
            }
        }
        if self.part_target().is_some() && (number, part) == self.next() {
            Found::NotYet
        } else {
            Found::No
        }
    }

    /// Number and place of the part that comes next.
    pub(super) fn next(&self) -> (u64, u64) {
        match &self.open {
            None => (self.begun + 1, 0),
            Some(open) if !self.has_parts(&open.segment) => (self.begun + 1, 0),
            Some(Open { segment, .. }) => (segment.number, self.parts_end() - segment.parts.start),
        }
    }

    /// The open segment with the parts that it has so far.
    fn with_parts(&self, open: &Segment) -> Segment {
        Segment {
            parts: open.parts.start..self.parts_end(),
            ..open.clone()
        }
    }

    /// The longest part, if parts are listed. They are not where keyframes are far apart: most parts
    /// don't begin with one then, and players that begin with such a part, or lose their place, show
    /// nothing until the next keyframe (Shaka 5.2), or give up (Video.js 8.24).
    fn part_target(&self) -> Option<u32> {
        /// Longest target duration of segments whose parts are listed, in seconds.
        const MAX_TARGET: u32 = 4;

        self.part_target
            .filter(|_| self.target.is_none_or(|target| target <= MAX_TARGET))
    }

    /// Whether the parts of a segment can be listed: all are held, and cut as promised.
    fn has_parts(&self, segment: &Segment) -> bool {
        self.part_target().is_some() && self.holds_parts(segment)
    }

    fn holds_parts(&self, segment: &Segment) -> bool {
        self.part_target.is_some() && segment.parts.start >= self.parts_from.max(self.first_part)
    }
}
