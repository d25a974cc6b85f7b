//! Listing, keeping and finding segments.

use super::{SegmentPart, Segments, target_for};
use crate::live::hls::segment::Segment;

/// Minimum length of a playlist, and of its segments with parts, in target durations (RFC 8216bis,
/// 6.2.2).
const LISTED: u32 = 3;

/// Minimum number of segments listed, however long these are.
const MIN_LISTED: usize = 4;

/// Minimum length of a playlist for Apple's players, in target durations.
const FILLED: u32 = 4;

/// Maximum numbers of segments and parts listed, however short these are: a little more than the
/// shortest ones need for the lengths above, so that a listing occupies 6 KB at most.
const MAX_LISTED: usize = 24;
const MAX_LISTED_PARTS: u64 = 96;

/// The content of a media playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// EXT-X-TARGETDURATION, in seconds.
    pub target: u32,
    /// Maximum length of a part in ms; `None` if no parts are listed.
    pub part_target: Option<u32>,
    /// The complete segments, at least one.
    pub segments: Vec<Segment>,
    /// The number of segments by which a first playlist is shorter than later ones.
    pub missing: u64,
    /// The declared length of each missing segment, in seconds.
    pub missing_duration: u32,
    /// The open segment, without length and end.
    pub open: Option<Segment>,
    /// The next part: number of its segment, index within it.
    pub next: (u64, u64),
    /// Whether the stream has ended.
    pub is_ended: bool,
    /// The bit rate that segments are expected to stay below: twice the peak so far.
    pub bandwidth: u32,
    parts: Vec<SegmentPart>,
    /// Number of the first of `parts`.
    first_part: u64,
}

/// The segment and part that a client wants the playlist to contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The segment with this number.
    Segment(u64),
    /// A part: number of its segment, index within it.
    Part(u64, u64),
}

/// The result of a search for a segment or part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    /// The file exists.
    Found(T),
    /// The file will exist soon.
    NotYet,
    /// The file doesn't exist, or no longer exists.
    Missing,
}

impl Listing {
    /// Whether every listed segment begins with a keyframe.
    pub(crate) fn is_independent(&self) -> bool {
        let mut all = self.segments.iter().chain(&self.open);
        all.all(|segment| segment.is_independent)
    }

    /// The heap memory of its lists, in bytes.
    pub fn memory(&self) -> usize {
        let (segments, parts) = (self.segments.capacity(), self.parts.capacity());
        segments * size_of::<Segment>() + parts * size_of::<SegmentPart>()
    }

    /// The listed parts of a segment.
    pub fn parts(&self, segment: &Segment) -> &[SegmentPart] {
        let index = |number: u64| usize::try_from(number.checked_sub(self.first_part)?).ok();
        let range = index(segment.parts.start).zip(index(segment.parts.end));
        range
            .and_then(|(start, end)| self.parts.get(start..end))
            .unwrap_or_default()
    }
}

impl Segments {
    /// Number of the first message of the open segment; `u64::MAX` if none is open.
    pub(crate) fn open_from(&self) -> u64 {
        self.open_segment()
            .map_or(u64::MAX, |open| open.messages.start)
    }

    /// Number of the oldest message that HLS needs: the segments that a playlist lists and, while the
    /// stream is watched, each segment that has left the playlist, for the duration of that segment and
    /// of the longest playlist (RFC 8216bis, 6.2.2).
    pub(crate) fn needed_from(&self, is_watched: bool) -> u64 {
        let mut needed_from = self.open_from();
        // The number and length of the newer segments.
        let (mut count, mut newer) = (0, 0);
        for segment in self.lists.all_segments().rev() {
            // No early exit: an older but longer segment may have to stay longer.
            let kept = 2 * self.longest_listed + segment.duration;
            if !self.is_enough(count, newer) || is_watched && newer < kept {
                needed_from = segment.messages.start;
            }
            count += 1;
            newer += segment.duration;
        }
        needed_from
    }

    /// Whether `count` segments of `duration` ms in total are enough for a playlist.
    fn is_enough(&self, count: usize, duration: u32) -> bool {
        duration >= self.target_ms() * LISTED && count >= MIN_LISTED || count >= MAX_LISTED
    }

    /// The target duration, or the one that would be promised now, in ms.
    fn target_ms(&self) -> u32 {
        let target = self.target.unwrap_or_else(|| {
            let held = self.lists.all_segments().map(|segment| segment.duration);
            target_for(held.max().unwrap_or(0))
        });
        target * 1_000
    }

    /// Notes the bit rate of a segment, unless it is too short to tell.
    pub(super) fn note_bandwidth(&mut self, segment: &Segment) {
        let duration = segment.duration.max(1);
        if duration >= self.target_ms() / 2 {
            let rate = segment.bytes.saturating_mul(8_000) / u64::from(duration);
            self.peak = self.peak.max(u32::try_from(rate).unwrap_or(u32::MAX));
        }
    }

    /// Whether a player can start with the segments held. Players that reload the playlist as seldom as
    /// they may stutter all the time if they start too close to its end: mpv and GStreamer with one
    /// segment, VLC with two. A third long segment isn't worth the wait.
    pub(crate) fn is_fit_to_start(&self) -> bool {
        /// Length of two segments that are enough, in ms.
        const LONG: u32 = 8_000;

        let held = self.lists.all_segments().map(|segment| segment.duration);
        // Segments that the memory couldn't hold count too: it won't hold more.
        let complete = self.begun.saturating_sub(1);
        self.lists.segments.len > 0 && (complete > 2 || complete == 2 && held.sum::<u32>() >= LONG)
    }

    /// The content of the media playlist; `None` while there is nothing to list. Promises a target
    /// duration, unless the stream `is_ended`. `is_safe` tells whether the log will hold the message
    /// with a given number for some time.
    pub(crate) fn listing(
        &mut self,
        is_ended: bool,
        is_safe: &dyn Fn(u64) -> bool,
    ) -> Option<Listing> {
        if !is_ended && !self.promise() {
            return None;
        }
        let target = self.target?;
        let complete = self.lists.segments.len;
        let mut first = complete;
        let mut listed = 0;
        // A segment that has left the playlist doesn't come back, and one that the log may soon evict
        // isn't listed any more.
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
        let (missing, missing_duration) =
            self.update_missing(target, listed, listed_from, is_moved);
        let mut segments = Vec::with_capacity(complete - first);
        segments.extend((first..complete).filter_map(|index| self.lists.segment(index)));
        let open = self.open_segment().map(|open| self.with_parts(open));
        let open = open.filter(|open| self.has_parts(open) && !open.parts.is_empty());
        let first_part = self.first_listed_part(&segments, open.as_ref());
        let skip = (first_part - self.first_part) as usize;
        let held = self.lists.parts.len;
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

    /// Updates and returns the number of segments missing from a playlist that lists `listed` ms from
    /// segment `listed_from` on, and their length in seconds.
    fn update_missing(
        &mut self,
        target: u32,
        listed: u32,
        listed_from: u64,
        is_moved: bool,
    ) -> (u64, u32) {
        // A segment that has left the playlist doesn't come back, and the others don't change.
        self.missing = match self.missing {
            (_, 0) => (u8::MAX, target as u8),
            (_, duration) if is_moved => (0, duration),
            same => same,
        };
        let duration = u32::from(self.missing.1);
        let duration_ms = (duration * 1_000).max(1);
        let lacking = (duration_ms * FILLED).saturating_sub(listed);
        let missing = lacking.div_ceil(duration_ms).min(self.missing.0.into());
        self.missing.0 = missing as u8;
        (u64::from(missing).min(listed_from), duration)
    }

    /// Number of the first part to list. Parts of segments further back than the minimum length of a
    /// playlist are of no use.
    fn first_listed_part(&self, segments: &[Segment], open: Option<&Segment>) -> u64 {
        let mut first_part = self.parts_end();
        let mut newer = 0;
        for segment in segments.iter().rev() {
            let is_enough = newer >= self.target_ms() * LISTED
                || self.parts_end() - segment.parts.start > MAX_LISTED_PARTS;
            if is_enough || !self.has_parts(segment) {
                break;
            }
            first_part = segment.parts.start;
            newer += segment.duration;
        }
        match open {
            Some(open) if newer == 0 => open.parts.start,
            _ => first_part,
        }
    }

    /// Whether a playlist would contain this segment or part, or a newer one.
    pub(crate) fn has(&self, wanted: Wanted) -> Lookup<()> {
        /// How far a request may be ahead of the newest part, in parts: 3 s.
        const ADVANCE: u64 = 6;

        let (number, part) = match wanted {
            Wanted::Part(number, part) if self.part_target().is_some() => (number, Some(part)),
            Wanted::Segment(number) | Wanted::Part(number, _) => (number, None),
        };
        let open = self.open_segment();
        let growing = open.map_or(self.begun + 1, |open| open.number);
        let open = open.filter(|open| self.has_parts(open));
        let there = open.map_or(0, |open| self.parts_end() - open.parts.start);
        if number < growing {
            // The part after the last one of a segment is the first one of the next.
            let last = self.lists.newest().filter(|last| last.number == number);
            let count = last.map_or(u64::MAX, |last| last.parts.end - last.parts.start);
            return match part {
                Some(part) if part >= count && there == 0 => Lookup::NotYet,
                _ => Lookup::Found(()),
            };
        }
        let there = if number == growing { there } else { 0 };
        match part {
            _ if number > growing + 1 => Lookup::Missing,
            Some(part) if part < there => Lookup::Found(()),
            Some(part) if part >= there + ADVANCE => Lookup::Missing,
            _ => Lookup::NotYet,
        }
    }

    /// The version of the oldest init segment that a segment needs.
    pub(crate) fn oldest_version(&self) -> Option<u32> {
        let open = self.open_segment().map(|open| open.version);
        self.lists.segment(0).map(|oldest| oldest.version).or(open)
    }

    /// The version of the newest init segment that a segment needs.
    pub(crate) fn newest_version(&self) -> Option<u32> {
        let open = self.open_segment().map(|open| open.version);
        open.or_else(|| Some(self.lists.newest()?.version))
    }

    /// Drops the segments that need this version, or an older one.
    pub(crate) fn forget_version(&mut self, version: u32) {
        let is_gone = |segment: Segment| segment.version <= version;
        while self.lists.segment(0).is_some_and(is_gone) {
            self.lists.pop_segment();
        }
    }

    /// The complete segment with this number.
    pub(crate) fn segment(&self, number: u64) -> Option<Segment> {
        let index = number.checked_sub(self.lists.segment(0)?.number)?;
        self.lists.segment(usize::try_from(index).ok()?)
    }

    /// A part, and the segment that it belongs to.
    pub(crate) fn part(&self, number: u64, part: u64) -> Lookup<(SegmentPart, Segment)> {
        let open = self.open_segment().filter(|open| open.number == number);
        let open = open.map(|open| self.with_parts(open));
        let segment = self.segment(number).or(open).unwrap_or_default();
        let count = segment.parts.end - segment.parts.start;
        if part < count && self.holds_parts(&segment) {
            let index = segment.parts.start + part - self.first_part;
            if let Some(found) = self.lists.part(index as usize) {
                return Lookup::Found((found, segment));
            }
        }
        if self.part_target().is_some() && (number, part) == self.next() {
            Lookup::NotYet
        } else {
            Lookup::Missing
        }
    }

    /// Segment number and index of the next part.
    pub(super) fn next(&self) -> (u64, u64) {
        match self.open_segment() {
            Some(open) if self.has_parts(open) => {
                (open.number, self.parts_end() - open.parts.start)
            }
            _ => (self.begun + 1, 0),
        }
    }

    /// The open segment, with the range of its parts so far.
    fn with_parts(&self, open: &Segment) -> Segment {
        Segment {
            parts: open.parts.start..self.parts_end(),
            ..open.clone()
        }
    }

    /// Maximum length of a part, if parts are listed. They aren't if keyframes are far apart: then
    /// most parts don't begin with one, and players that start with such a part, or lose their place,
    /// show nothing until the next keyframe (Shaka 5.2), or give up (Video.js 8.24).
    fn part_target(&self) -> Option<u32> {
        /// Maximum target duration of streams whose parts are listed, in seconds.
        const MAX_TARGET: u32 = 4;

        self.part_target
            .filter(|_| self.target.is_none_or(|target| target <= MAX_TARGET))
    }

    /// Whether the parts of a segment can be listed: all of them are held, and cut for the part target.
    fn has_parts(&self, segment: &Segment) -> bool {
        self.part_target().is_some() && self.holds_parts(segment)
    }

    fn holds_parts(&self, segment: &Segment) -> bool {
        self.part_target.is_some() && segment.parts.start >= self.parts_from.max(self.first_part)
    }
}
