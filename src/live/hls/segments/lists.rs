//! The lists of segments, parts and viewers: records of fixed size, in a block of the arena while
//! somebody watches. While nobody does, a few segments and parts lie on the heap.

use std::net::{IpAddr, Ipv6Addr};

use super::{Part, Segment, Share};
use crate::live::Millis;
use crate::live::arena::Block;

/// Segments, parts and addresses of viewers that are held in a block. Of segments of 10 s those of
/// 30 s are listed with parts, 20 to each, and as many stay that were; and there is the open one, and
/// what is left of the oldest.
pub(super) const MAX_SEGMENTS: usize = 32;
pub(super) const MAX_PARTS: usize = 192;
const MAX_VIEWERS: usize = 32;

/// Segments and parts that are held without one: what whoever asks first is given.
const FEW: usize = 4;
const FEW_PARTS: usize = 16;

const SEGMENT_LEN: usize = 88;
const PART_LEN: usize = 28;
const VIEWER_LEN: usize = 40;

/// Bytes on the heap without a block.
pub(in crate::live) const FEW_LEN: usize = FEW * SEGMENT_LEN + FEW_PARTS * PART_LEN;

/// Who asks for playlists, by address.
#[derive(Clone, Copy, Debug)]
pub struct Viewer {
    address: [u8; 16],
    /// When it did so last.
    pub asked: Millis,
    /// When it began.
    pub since: Millis,
    /// The connection by which it got one last; 0 before.
    pub connection: u64,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Lists {
    block: Option<Block>,
    few: Box<[u8]>,
    pub(super) segments: Ring,
    pub(super) parts: Ring,
    viewers: usize,
}

/// Which of the places of a list are in use: `len` from `first` on, round and round.
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

    /// From now on they lie there, and are as long as they may be.
    pub(super) fn set_block(&mut self, block: Block) {
        self.move_to(Some(block));
    }

    /// Gives up the block, and all but the newest of what is listed.
    pub(super) fn shrink(&mut self) -> usize {
        let parts = self.parts.len;
        if self.has_block() {
            self.move_to(None);
        }
        parts - self.parts.len
    }

    fn move_to(&mut self, block: Option<Block>) {
        let before = std::mem::replace(
            self,
            Lists {
                block,
                ..Lists::default()
            },
        );
        let skipped = before.segments.len.saturating_sub(self.capacities().0);
        for index in skipped..before.segments.len {
            if let Some(segment) = before.segment(index) {
                self.push_segment(&segment);
            }
        }
        let skipped = before.parts.len.saturating_sub(self.capacities().1);
        for index in skipped..before.parts.len {
            if let Some(part) = before.part(index) {
                self.push_part(&part);
            }
        }
    }

    /// Segments and parts for which there is room.
    pub(super) fn capacities(&self) -> (usize, usize) {
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

    /// So many bytes from `at` on, to be written.
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
        let pictures = take_u32(&mut bytes)?;
        let parts = parts..parts + u64::from(take_u32(&mut bytes)?);
        let flags = take_u32(&mut bytes)?;
        let mut later = || Some(from + u64::from(take_u32(&mut bytes)?));
        // All sounds from its first message on are its own.
        let share = Share {
            pictures: (later()?, later()?),
            sounds: (from, later()?),
        };
        Some(Segment {
            number,
            messages,
            share,
            start,
            duration,
            date,
            version,
            discontinuities,
            has_discontinuity: flags & 1 != 0,
            is_independent: flags & 2 != 0,
            bytes: len,
            pictures,
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

    /// Adds a segment, if need be instead of the oldest.
    pub(super) fn push_segment(&mut self, segment: &Segment) {
        let capacity = self.capacities().0;
        if self.segments.len == capacity {
            self.pop_segment();
        }
        let at = self.segments.place(self.segments.len, capacity) * SEGMENT_LEN;
        self.segments.len += 1;
        let span = |range: &std::ops::Range<u64>| (range.end - range.start) as u32;
        let share = &segment.share;
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
            segment.pictures,
            span(&segment.parts),
            flags,
            after_first(share.pictures.0),
            after_first(share.pictures.1),
            after_first(share.sounds.1),
        ] {
            put(&mut out, &value.to_le_bytes());
        }
    }

    /// Forgets the oldest segment.
    pub(super) fn pop_segment(&mut self) {
        self.segments.pop_front(self.capacities().0);
    }

    /// A complete part, counted from the oldest.
    pub(super) fn part(&self, index: usize) -> Option<Part> {
        if index >= self.parts.len {
            return None;
        }
        let (segments, parts) = self.capacities();
        let at = segments * SEGMENT_LEN + self.parts.place(index, parts) * PART_LEN;
        let mut bytes = self.bytes().get(at..at + PART_LEN)?;
        let (from, start) = (take_u64(&mut bytes)?, take_u64(&mut bytes)?);
        let messages = from..from + u64::from(take_u32(&mut bytes)?);
        let (bytes, duration) = (take_u32(&mut bytes)?, take_u32(&mut bytes)?);
        Some(Part {
            messages,
            start,
            duration: duration >> 1,
            bytes,
            is_independent: duration & 1 != 0,
        })
    }

    /// Adds a part, if need be instead of the oldest; true if so.
    pub(super) fn push_part(&mut self, part: &Part) -> bool {
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

    /// Forgets the oldest part.
    pub(super) fn pop_part(&mut self) {
        self.parts.pop_front(self.capacities().1);
    }

    /// Notes that somebody asked for a playlist. Instead of one who hasn't for `time`, if need be;
    /// nobody is noted without a block.
    pub(super) fn note_viewer(&mut self, address: IpAddr, now: Millis, time: Millis) {
        if !self.has_block() {
            return;
        }
        let address = octets(address);
        let is_gone = |viewer: &Viewer| now.saturating_sub(viewer.asked) >= time;
        let known = (0..self.viewers).map(|place| (place, self.viewer(place)));
        let mut new = Viewer {
            address,
            asked: now,
            since: now,
            connection: 0,
        };
        let mut free = self.viewers;
        for (place, viewer) in known.rev() {
            let Some(viewer) = viewer else { continue };
            if viewer.address == address {
                if !is_gone(&viewer) {
                    new = Viewer {
                        asked: now,
                        ..viewer
                    };
                }
                free = place;
                break;
            }
            if is_gone(&viewer) {
                free = place;
            }
        }
        if free < MAX_VIEWERS {
            self.viewers = self.viewers.max(free + 1);
            self.put_viewer(free, &new);
        }
    }

    /// Notes the connection by which a viewer has asked; true for its first.
    pub(super) fn name_viewer(&mut self, address: IpAddr, connection: u64) -> bool {
        let address = octets(address);
        for place in 0..self.viewers {
            if let Some(viewer) = self.viewer(place).filter(|v| v.address == address) {
                self.put_viewer(
                    place,
                    &Viewer {
                        connection,
                        ..viewer
                    },
                );
                return viewer.connection == 0;
            }
        }
        false
    }

    /// One who hasn't asked for `time`, each once.
    pub(super) fn take_gone(&mut self, now: Millis, time: Millis) -> Option<Viewer> {
        for place in 0..self.viewers {
            let viewer = self
                .viewer(place)
                .filter(|viewer| viewer.connection > 0 && now.saturating_sub(viewer.asked) >= time);
            if let Some(viewer) = viewer {
                self.put_viewer(
                    place,
                    &Viewer {
                        connection: 0,
                        ..viewer
                    },
                );
                return Some(viewer);
            }
        }
        None
    }

    /// Those that have asked within `time`, each with its place.
    pub(super) fn viewers(
        &self,
        now: Millis,
        time: Millis,
    ) -> impl Iterator<Item = (usize, Viewer)> + '_ {
        let all = (0..self.viewers).filter_map(|place| Some((place, self.viewer(place)?)));
        all.filter(move |(_, viewer)| now.saturating_sub(viewer.asked) < time)
    }

    fn viewer(&self, place: usize) -> Option<Viewer> {
        let at = VIEWERS_AT + place * VIEWER_LEN;
        let bytes = self.bytes().get(at..at + VIEWER_LEN)?;
        let (address, mut bytes) = bytes.split_first_chunk::<16>()?;
        Some(Viewer {
            address: *address,
            asked: take_u64(&mut bytes)?,
            since: take_u64(&mut bytes)?,
            connection: take_u64(&mut bytes)?,
        })
    }

    fn put_viewer(&mut self, place: usize, viewer: &Viewer) {
        let mut out = self.record(VIEWERS_AT + place * VIEWER_LEN, VIEWER_LEN);
        put(&mut out, &viewer.address);
        for value in [viewer.asked, viewer.since, viewer.connection] {
            put(&mut out, &value.to_le_bytes());
        }
    }
}

/// Where viewers stand in a block.
const VIEWERS_AT: usize = MAX_SEGMENTS * SEGMENT_LEN + MAX_PARTS * PART_LEN;

const _: () = assert!(VIEWERS_AT + MAX_VIEWERS * VIEWER_LEN <= crate::live::arena::BLOCK_LEN);

fn octets(address: IpAddr) -> [u8; 16] {
    let address: Ipv6Addr = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.octets()
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
