//! The lists of segments, parts and viewers: records of fixed size, in a block of the arena while the
//! stream is watched. Otherwise a few segments and parts lie on the heap.

mod viewers;

use super::segment::{MessageSet, Segment, SegmentPart};
use crate::live::arena::{BLOCK_LEN, Block};
pub use viewers::HlsViewer;
use viewers::{MAX_VIEWERS, VIEWER_LEN};

/// Segments and parts that a block has room for. Of segments of 10 s, those of the last 30 s are
/// listed with 20 parts each; as many stay that were listed before, the open one, and what is left of
/// the oldest.
pub(super) const MAX_SEGMENTS: usize = 32;
pub(super) const MAX_PARTS: usize = 192;

/// Segments and parts that are held without a block: enough for a first playlist.
const FEW: usize = 4;
const FEW_PARTS: usize = 16;

const SEGMENT_LEN: usize = 88;
const PART_LEN: usize = 28;

/// Bytes on the heap without a block.
pub(in crate::live) const FEW_LEN: usize = FEW * SEGMENT_LEN + FEW_PARTS * PART_LEN;

/// Where viewers begin in a block.
const VIEWERS_AT: usize = MAX_SEGMENTS * SEGMENT_LEN + MAX_PARTS * PART_LEN;

const _: () = assert!(VIEWERS_AT + MAX_VIEWERS * VIEWER_LEN <= BLOCK_LEN);

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Lists {
    block: Option<Block>,
    few: Box<[u8]>,
    pub(super) segments: Ring,
    pub(super) parts: Ring,
    viewers: usize,
}

/// The places of a ring buffer that are in use: `len` from `first` on.
#[derive(Clone, Copy, Default)]
pub(super) struct Ring {
    first: usize,
    pub(super) len: usize,
}

impl Ring {
    fn place(self, index: usize, capacity: usize) -> usize {
        (self.first + index) % capacity
    }

    fn pop_front(&mut self, capacity: usize) {
        self.first = self.place(1, capacity);
        self.len = self.len.saturating_sub(1);
    }
}

impl Lists {
    /// Whether they lie in a block.
    pub(super) fn has_block(&self) -> bool {
        self.block.is_some()
    }

    /// Moves them to a block, where they may have their full length.
    pub(super) fn set_block(&mut self, block: Block) {
        self.move_to(Some(block));
    }

    /// Gives up the block, the viewers, and all but the newest segments and parts. Returns the number
    /// of parts that were dropped.
    pub(super) fn shrink(&mut self) -> usize {
        let parts = self.parts.len;
        if self.has_block() {
            self.move_to(None);
        }
        parts - self.parts.len
    }

    fn move_to(&mut self, block: Option<Block>) {
        let moved = Lists {
            block,
            ..Lists::default()
        };
        let before = std::mem::replace(self, moved);
        let (max_segments, max_parts) = self.capacities();
        for index in before.segments.len.saturating_sub(max_segments)..before.segments.len {
            if let Some(segment) = before.segment(index) {
                self.push_segment(&segment);
            }
        }
        for index in before.parts.len.saturating_sub(max_parts)..before.parts.len {
            if let Some(part) = before.part(index) {
                self.push_part(&part);
            }
        }
    }

    /// The numbers of segments and parts that there is room for.
    fn capacities(&self) -> (usize, usize) {
        match self.block {
            Some(_) => (MAX_SEGMENTS, MAX_PARTS),
            None => (FEW, FEW_PARTS),
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.block {
            Some(block) => block.bytes(),
            None => &self.few,
        }
    }

    /// The `len` bytes from `at` on, to be written.
    fn record(&mut self, at: usize, len: usize) -> &mut [u8] {
        let bytes = match &mut self.block {
            Some(block) => block.bytes_mut(),
            None => {
                if self.few.is_empty() {
                    self.few = vec![0; FEW_LEN].into();
                }
                &mut self.few
            }
        };
        bytes.get_mut(at..at + len).unwrap_or_default()
    }

    /// A complete segment, counted from the oldest.
    pub(super) fn segment(&self, index: usize) -> Option<Segment> {
        if index >= self.segments.len {
            return None;
        }
        let at = self.segments.place(index, self.capacities().0) * SEGMENT_LEN;
        let mut bytes = self.bytes().get(at..at + SEGMENT_LEN)?;
        let from = take_u64(&mut bytes)?;
        let number = take_u64(&mut bytes)?;
        let start = take_u64(&mut bytes)?;
        let date = take_u64(&mut bytes)?;
        let len = take_u64(&mut bytes)?;
        let parts = take_u64(&mut bytes)?;
        let messages = from..from + u64::from(take_u32(&mut bytes)?);
        let duration = take_u32(&mut bytes)?;
        let version = take_u32(&mut bytes)?;
        let discontinuities = take_u32(&mut bytes)?;
        let frames = take_u32(&mut bytes)?;
        let parts = parts..parts + u64::from(take_u32(&mut bytes)?);
        let flags = take_u32(&mut bytes)?;
        let mut later = || Some(from + u64::from(take_u32(&mut bytes)?));
        // The audio of a complete segment always begins with its first message.
        let set = MessageSet {
            video: (later()?, later()?),
            audio: (from, later()?),
        };
        Some(Segment {
            number,
            messages,
            set,
            start,
            duration,
            date,
            version,
            discontinuities,
            has_discontinuity: flags & 1 != 0,
            is_independent: flags & 2 != 0,
            bytes: len,
            frames,
            parts,
        })
    }

    /// The newest segment.
    pub(super) fn newest(&self) -> Option<Segment> {
        self.segment(self.segments.len.checked_sub(1)?)
    }

    /// The segments, oldest first.
    pub(super) fn all_segments(&self) -> impl DoubleEndedIterator<Item = Segment> + '_ {
        (0..self.segments.len).filter_map(|index| self.segment(index))
    }

    /// Adds a segment. If the list is full, it replaces the oldest one.
    pub(super) fn push_segment(&mut self, segment: &Segment) {
        let capacity = self.capacities().0;
        if self.segments.len == capacity {
            self.pop_segment();
        }
        let at = self.segments.place(self.segments.len, capacity) * SEGMENT_LEN;
        self.segments.len += 1;
        let span = |range: &std::ops::Range<u64>| (range.end - range.start) as u32;
        let after_first = |number: u64| (number - segment.messages.start) as u32;
        let flags = u32::from(segment.has_discontinuity) | u32::from(segment.is_independent) << 1;
        let mut out = self.record(at, SEGMENT_LEN);
        for value in [
            segment.messages.start,
            segment.number,
            segment.start,
            segment.date,
            segment.bytes,
            segment.parts.start,
        ] {
            put(&mut out, &value.to_le_bytes());
        }
        for value in [
            span(&segment.messages),
            segment.duration,
            segment.version,
            segment.discontinuities,
            segment.frames,
            span(&segment.parts),
            flags,
            after_first(segment.set.video.0),
            after_first(segment.set.video.1),
            after_first(segment.set.audio.1),
        ] {
            put(&mut out, &value.to_le_bytes());
        }
    }

    /// Drops the oldest segment.
    pub(super) fn pop_segment(&mut self) {
        self.segments.pop_front(self.capacities().0);
    }

    /// A complete part, counted from the oldest.
    pub(super) fn part(&self, index: usize) -> Option<SegmentPart> {
        if index >= self.parts.len {
            return None;
        }
        let (segments, parts) = self.capacities();
        let at = segments * SEGMENT_LEN + self.parts.place(index, parts) * PART_LEN;
        let mut bytes = self.bytes().get(at..at + PART_LEN)?;
        let (from, start) = (take_u64(&mut bytes)?, take_u64(&mut bytes)?);
        let messages = from..from + u64::from(take_u32(&mut bytes)?);
        let (bytes, duration) = (take_u32(&mut bytes)?, take_u32(&mut bytes)?);
        Some(SegmentPart {
            messages,
            start,
            duration: duration >> 1,
            bytes,
            is_independent: duration & 1 != 0,
        })
    }

    /// Adds a part. If the list is full, it replaces the oldest one; true if so.
    pub(super) fn push_part(&mut self, part: &SegmentPart) -> bool {
        let (segments, capacity) = self.capacities();
        let is_full = self.parts.len == capacity;
        if is_full {
            self.pop_part();
        }
        let at = segments * SEGMENT_LEN + self.parts.place(self.parts.len, capacity) * PART_LEN;
        self.parts.len += 1;
        let mut out = self.record(at, PART_LEN);
        put(&mut out, &part.messages.start.to_le_bytes());
        put(&mut out, &part.start.to_le_bytes());
        for value in [
            (part.messages.end - part.messages.start) as u32,
            part.bytes,
            part.duration << 1 | u32::from(part.is_independent),
        ] {
            put(&mut out, &value.to_le_bytes());
        }
        is_full
    }

    /// Drops the oldest part.
    pub(super) fn pop_part(&mut self) {
        self.parts.pop_front(self.capacities().1);
    }
}

fn put(out: &mut &mut [u8], bytes: &[u8]) {
    if let Some((now, later)) = std::mem::take(out).split_at_mut_checked(bytes.len()) {
        now.copy_from_slice(bytes);
        *out = later;
    }
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (value, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*value))
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (value, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*value))
}
