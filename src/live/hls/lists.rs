//! The lists of segments, parts and viewers: records of fixed size, in a block of the arena while the
//! stream is watched. Otherwise a few segments and parts lie on the heap.

mod viewers;

use byteorder::{ByteOrder, LittleEndian};

use super::segment::{MessageSet, Segment, SegmentPart};
use crate::live::arena::{BLOCK_LEN, Block};
pub use viewers::HlsViewer;
use viewers::{MAX_VIEWERS, VIEWER_LEN};

/// The numbers of segments and parts that fit in a block. With segments of 10 s, those of the last 30 s
/// are listed, with 20 parts each; the block also holds as many that were listed before, the open
/// segment, and the rest of the oldest one.
pub(super) const MAX_SEGMENTS: usize = 32;
pub(super) const MAX_PARTS: usize = 192;

/// The numbers of segments and parts that are held without a block: enough for a first playlist.
const FEW: usize = 4;
const FEW_PARTS: usize = 16;

const SEGMENT_LEN: usize = record_len(6, 10);
const PART_LEN: usize = record_len(2, 3);

/// The length of a record of `long` numbers of 8 bytes and `short` numbers of 4 bytes.
const fn record_len(long: usize, short: usize) -> usize {
    8 * long + 4 * short
}

/// The heap memory of lists without a block, in bytes.
pub(in crate::live) const FEW_LEN: usize = FEW * SEGMENT_LEN + FEW_PARTS * PART_LEN;

/// The offset of the viewers in a block.
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

/// The slots of a ring buffer that are in use: `len` of them, from `first` on.
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
    /// Whether the lists are in a block.
    pub(super) fn has_block(&self) -> bool {
        self.block.is_some()
    }

    /// Moves the lists to a block, which holds their full length, or back to the heap, which holds only
    /// the newest segments and parts, and no viewers. Returns the number of parts that were dropped.
    pub(super) fn move_to(&mut self, block: Option<Block>) -> usize {
        let moved = Lists {
            block,
            ..Lists::default()
        };
        let before = std::mem::replace(self, moved);
        for segment in before.all_segments() {
            self.push_segment(&segment);
        }
        for index in 0..before.parts.len {
            if let Some(part) = before.part(index) {
                self.push_part(&part);
            }
        }
        before.parts.len - self.parts.len
    }

    /// The maximum numbers of segments and parts.
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

    /// Reads the numbers of the record at a position.
    fn load<const LONG: usize, const SHORT: usize>(
        &self,
        at: usize,
    ) -> Option<([u64; LONG], [u32; SHORT])> {
        let record = self.bytes().get(at..at + record_len(LONG, SHORT))?;
        let (mut long, mut short) = ([0; LONG], [0; SHORT]);
        let (long_bytes, short_bytes) = record.split_at(8 * LONG);
        LittleEndian::read_u64_into(long_bytes, &mut long);
        LittleEndian::read_u32_into(short_bytes, &mut short);
        Some((long, short))
    }

    /// Writes the record at a position.
    fn store<const LONG: usize, const SHORT: usize>(
        &mut self,
        at: usize,
        long: [u64; LONG],
        short: [u32; SHORT],
    ) {
        let bytes = match &mut self.block {
            Some(block) => block.bytes_mut(),
            None => {
                if self.few.is_empty() {
                    self.few = vec![0; FEW_LEN].into();
                }
                &mut self.few
            }
        };
        if let Some(record) = bytes.get_mut(at..at + record_len(LONG, SHORT)) {
            let (long_bytes, short_bytes) = record.split_at_mut(8 * LONG);
            LittleEndian::write_u64_into(&long, long_bytes);
            LittleEndian::write_u32_into(&short, short_bytes);
        }
    }

    /// The complete segment at `index`, counted from the oldest.
    pub(super) fn segment(&self, index: usize) -> Option<Segment> {
        if index >= self.segments.len {
            return None;
        }
        let at = self.segments.place(index, self.capacities().0) * SEGMENT_LEN;
        let (long, short) = self.load::<6, 10>(at)?;
        let [from, number, start, date, bytes, first_part] = long;
        let [len, duration, version, discontinuities, frames, ..] = short;
        let [.., parts, flags, video, video_end, audio_end] = short;
        let after_first = |offset: u32| from + u64::from(offset);
        Some(Segment {
            number,
            messages: from..after_first(len),
            set: MessageSet {
                video: (after_first(video), after_first(video_end)),
                // The audio of a complete segment always begins with its first message.
                audio: (from, after_first(audio_end)),
            },
            start,
            duration,
            date,
            version,
            discontinuities,
            has_discontinuity: flags & 1 != 0,
            is_independent: flags & 2 != 0,
            bytes,
            frames,
            parts: first_part..first_part + u64::from(parts),
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
        let long = [
            segment.messages.start,
            segment.number,
            segment.start,
            segment.date,
            segment.bytes,
            segment.parts.start,
        ];
        let short = [
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
        ];
        self.store(at, long, short);
    }

    /// Drops the oldest segment.
    pub(super) fn pop_segment(&mut self) {
        self.segments.pop_front(self.capacities().0);
    }

    /// The complete part at `index`, counted from the oldest.
    pub(super) fn part(&self, index: usize) -> Option<SegmentPart> {
        if index >= self.parts.len {
            return None;
        }
        let (segments, parts) = self.capacities();
        let at = segments * SEGMENT_LEN + self.parts.place(index, parts) * PART_LEN;
        let ([from, start], [len, bytes, duration]) = self.load(at)?;
        Some(SegmentPart {
            messages: from..from + u64::from(len),
            start,
            duration: duration >> 1,
            bytes,
            is_independent: duration & 1 != 0,
        })
    }

    /// Adds a part. If the list is full, it replaces the oldest one, and the result is true.
    pub(super) fn push_part(&mut self, part: &SegmentPart) -> bool {
        let (segments, capacity) = self.capacities();
        let is_full = self.parts.len == capacity;
        if is_full {
            self.pop_part();
        }
        let at = segments * SEGMENT_LEN + self.parts.place(self.parts.len, capacity) * PART_LEN;
        self.parts.len += 1;
        let len = (part.messages.end - part.messages.start) as u32;
        let duration = part.duration << 1 | u32::from(part.is_independent);
        let long = [part.messages.start, part.start];
        self.store(at, long, [len, part.bytes, duration]);
        is_full
    }

    /// Drops the oldest part.
    pub(super) fn pop_part(&mut self) {
        self.parts.pop_front(self.capacities().1);
    }
}
