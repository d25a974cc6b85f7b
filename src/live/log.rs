//! The log: the bounded history of one stream, messages end to end in blocks of the arena.
//!
//! ```text
//! block      [ payloads -->              <-- records ]
//! blocks     [ b0 .....70.. | 70 ][ ... ][ ..71..72.. | 72 71 ]
//! positions    ^base     ^first message               ^head
//! ```
//!
//! Payloads fill a block from the front. The records of the messages that begin in it grow from its
//! end, [`RECORD_LEN`] bytes each. A record holds an [`Entry`]. So the index is in the arena too, and a
//! stream of few small messages needs one block for both.
//!
//! Numbers (of messages) and positions (of bytes) are `u64`, start at 0 and only grow. Positions count
//! blocks as a whole. One function, [`Log::slices`], turns a position into a block and an offset. For a
//! message that was evicted, [`Log::entry`] returns `None`.
//!
//! Invariants: a message in the log is complete and immutable; its payload begins in the block that
//! has its record.

mod entry;
mod lookup;
mod room;

use std::collections::VecDeque;

use super::arena::{Account, Arena, BLOCK_LEN, Block};
use super::kind::Kind;
use super::{Millis, copy_front};
use crate::media::access_unit::UnitFormat;
pub use entry::{Entry, Meta, RECORD_LEN, Role, Sample};

/// The number of newest GOPs by whose size the need of the next one is estimated.
const GOPS: usize = 4;

/// The error that no block is left, and the log has none of its own to give up.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfBlocks;

/// The messages of a log that receivers still need, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// All messages from this one on are needed.
    pub from: u64,
    /// All messages from the first join point at or after this number are needed.
    pub join_point_from: u64,
}

impl Needs {
    /// No message that has been appended.
    pub const NOTHING: Needs = Needs {
        from: u64::MAX,
        join_point_from: u64::MAX,
    };

    /// Returns the messages that two receivers need together.
    pub fn and(self, other: Needs) -> Needs {
        Needs {
            from: self.from.min(other.from),
            join_point_from: self.join_point_from.min(other.join_point_from),
        }
    }
}

/// A block of a log.
struct Held {
    block: Block,
    /// The number of the first message that begins in it, or of the next message after it if none does.
    first: u64,
    /// The number of messages that begin in it.
    count: u16,
}

impl Held {
    /// The offset at which the records begin.
    fn payload_end(&self) -> usize {
        BLOCK_LEN - usize::from(self.count) * RECORD_LEN
    }
}

/// See the module's documentation.
pub struct Log {
    arena: Arena,
    /// The account from which blocks are taken. Opened by the publish, or by the first message.
    pub(super) account: Option<Account>,
    /// How long messages are kept for receivers that are behind, in ms.
    history: Millis,
    blocks: VecDeque<Held>,
    /// The position of the first byte of `blocks`.
    base: u64,
    /// The position at which the next payload may begin.
    head: u64,
    /// Number of the oldest message.
    first: u64,
    /// Number that the next message will get.
    next: u64,
    /// The newest message where receivers may start.
    join_point: Option<u64>,
    /// The newest message where files may start.
    file_start: Option<u64>,
    /// Receivers may not start at messages before this one.
    joinable_from: u64,
    /// The sizes in blocks of the last GOPs that ended.
    gops: [u32; GOPS],
    /// The number of blocks that are set aside in the account.
    protected: usize,
    /// Messages before this one have been sent to all receivers.
    needed_from: u64,
    /// The first message from which some receiver waits for a join point; from there on it needs
    /// everything.
    awaited_from: u64,
    /// Messages from this one on are kept, however old they are.
    kept_from: u64,
    /// Messages from this one on are kept for recorders, however old they are, while blocks are free.
    read_from: u64,
    /// Of the kept messages, those before this one are for future viewers. `None`: all of them are for
    /// present viewers.
    spare_to: Option<u64>,
    /// The numbers of frames of the first tracks so far.
    video_frames: u32,
    audio_frames: u32,
    /// The timestamp of the newest video frame, if there is one: the live edge of a re-stamped join.
    pub(super) video_timestamp: u32,
}

impl Log {
    /// Creates an empty log. It keeps the newest GOP for receivers that join, and up to `history` ms of
    /// messages for receivers that are behind, while blocks last.
    pub fn new(arena: Arena, history: Millis) -> Log {
        Log {
            arena,
            account: None,
            history,
            blocks: VecDeque::new(),
            base: 0,
            head: 0,
            first: 0,
            next: 0,
            join_point: None,
            file_start: None,
            joinable_from: 0,
            gops: [0; GOPS],
            protected: 0,
            needed_from: 0,
            awaited_from: u64::MAX,
            kept_from: u64::MAX,
            read_from: u64::MAX,
            spare_to: None,
            video_frames: 0,
            audio_frames: 0,
            video_timestamp: 0,
        }
    }

    /// Appends a message whose payload is the concatenation of `parts`. Evicts messages that no
    /// receiver needs, that are older than the history, or whose blocks other streams need more.
    /// Returns the number of the message.
    pub fn append<'a>(
        &mut self,
        meta: Meta,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<u64, OutOfBlocks> {
        let len = parts.clone().map(<[u8]>::len).sum();
        let position = self.begin(len, meta.arrived)?;
        for part in parts {
            self.write(part);
        }
        Ok(self.finish(meta, position, len))
    }

    /// Appends another copy of the frame that the messages from `from` to the end carry, without the
    /// units that containers forbid. `None` if nothing of it is left, or memory is short.
    pub(super) fn append_whole(
        &mut self,
        meta: Meta,
        from: u64,
        format: UnitFormat,
    ) -> Option<u64> {
        /// The number of bytes that are copied at once.
        const STEP: usize = 512;

        let mut at = (from, 0);
        let mut len = 0;
        while let Some((_, range)) = self.next_clean(&mut at, format) {
            len += range.len();
        }
        // Making room may evict the messages to be copied.
        let is_there = len > 0 && len <= 0xFF_FFFF && self.make_room(len, meta.arrived).is_ok();
        if !is_there || self.first > from {
            return None;
        }
        let position = self.begin(len, meta.arrived).ok()?;
        let mut at = (from, 0);
        let mut copied = [0; STEP];
        while let Some((position, range)) = self.next_clean(&mut at, format) {
            let mut start = range.start;
            while start < range.end {
                let slices = self.slices(position, start, STEP.min(range.end - start));
                let count = copy_front(slices, &mut copied);
                self.write(&copied[..count]);
                start += STEP;
            }
        }
        Some(self.finish(meta, position, len))
    }

    /// Makes room for a message and its record; returns the position of its payload.
    fn begin(&mut self, len: usize, now: Millis) -> Result<u64, OutOfBlocks> {
        let arena = &self.arena;
        let account = self.account.get_or_insert_with(|| arena.account());
        let least = (RECORD_LEN + len).div_ceil(BLOCK_LEN);
        // Checked first, so that nothing is evicted for a message that will never fit.
        if !account.can_hold(least) {
            return Err(OutOfBlocks);
        }
        self.make_room(len, now)?;
        let used = self.offset();
        let index = used / BLOCK_LEN;
        if self.room() < RECORD_LEN + len.min(1) && used % BLOCK_LEN > 0 {
            self.head = self.base + ((index + 1) * BLOCK_LEN) as u64;
        }
        if let Some(held) = self.blocks.get_mut(self.offset() / BLOCK_LEN) {
            // The record's place limits the room for payloads, so it is reserved before the payload is
            // written.
            if held.count == 0 {
                held.first = self.next;
            }
            held.count += 1;
        }
        Ok(self.head)
    }

    /// The distance from the base to the head, in bytes.
    fn offset(&self) -> usize {
        (self.head - self.base) as usize
    }

    /// The number of free bytes in the block at the head.
    fn room(&self) -> usize {
        let used = self.offset();
        let held = self.blocks.get(used / BLOCK_LEN);
        held.map_or(0, |held| held.payload_end() - used % BLOCK_LEN)
    }

    /// Writes the record of a message whose payload has been written; returns its number.
    fn finish(&mut self, meta: Meta, position: u64, len: usize) -> u64 {
        // Receivers of one track and of all tracks must count alike.
        if meta.role == Role::Media && !meta.needs.has_multitrack() {
            match meta.kind {
                Kind::Video => {
                    self.video_frames = self.video_frames.wrapping_add(1);
                    self.video_timestamp = meta.timestamp;
                }
                Kind::Audio => self.audio_frames = self.audio_frames.wrapping_add(1),
                Kind::Data | Kind::Script => {}
            }
        }
        let number = self.next;
        self.next += 1;
        let entry = Entry {
            meta,
            position,
            // Fits: lengths have 24 bits in RTMP.
            len: len as u32,
            video_frames: self.video_frames,
            audio_frames: self.audio_frames,
        };
        let index = (position - self.base) as usize / BLOCK_LEN;
        let base = self.base + (index * BLOCK_LEN) as u64;
        if let Some(held) = self.blocks.get_mut(index) {
            let at = held.payload_end();
            held.block.bytes_mut()[at..at + RECORD_LEN].copy_from_slice(&entry.encode(base));
        }
        // In the blocks that only hold the rest of this message, the next message is the first to
        // begin.
        for held in self.blocks.iter_mut().skip(index + 1) {
            held.first = self.next;
        }
        if meta.is_join_point {
            self.gops.rotate_right(1);
            self.gops[0] = self.gop_blocks() as u32;
            self.join_point = Some(number);
            if meta.is_sync() {
                self.file_start = self.join_point;
            }
            if number >= self.awaited_from {
                self.needed_from = self.needed_from.min(number);
                self.awaited_from = u64::MAX;
            }
        }
        self.protect();
        number
    }

    /// The number of blocks that have been written to.
    fn blocks_used(&self) -> usize {
        self.offset().div_ceil(BLOCK_LEN)
    }

    /// The number of blocks of the newest GOP, or of what is left of it.
    fn gop_blocks(&self) -> usize {
        let index = self.join_point.and_then(|number| self.index_of(number));
        self.blocks_used().saturating_sub(index.unwrap_or(0))
    }

    /// Protects as many blocks as the largest of the newest GOPs, including the one that is still
    /// growing.
    fn protect(&mut self) {
        let so_far = self.gops.iter().copied().max().unwrap_or(0) as usize;
        let wanted = so_far.max(self.gop_blocks());
        // Only blocks that are held can be protected, besides those that are protected already.
        let wanted = wanted.min(self.blocks.len().max(self.protected));
        if wanted != self.protected {
            self.protected = wanted;
            if let Some(account) = &mut self.account {
                account.protect(wanted);
            }
        }
    }

    /// Forbids receivers to start at an older message, because the decoder configuration has changed.
    pub fn clear_join_point(&mut self) {
        (self.join_point, self.file_start) = (None, None);
        self.joinable_from = self.next;
    }

    /// Writes a part of a payload at the head, across as many blocks as needed.
    fn write(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            let used = self.offset();
            let room = self.room();
            // Records fill the rest of this block: continue in the next one.
            if room == 0 && used % BLOCK_LEN > 0 {
                self.head = self.base + used.next_multiple_of(BLOCK_LEN) as u64;
                continue;
            }
            let Some(held) = self.blocks.get_mut(used / BLOCK_LEN) else {
                return;
            };
            let (now, later) = part.split_at(part.len().min(room));
            let offset = used % BLOCK_LEN;
            held.block.bytes_mut()[offset..offset + now.len()].copy_from_slice(now);
            self.head += now.len() as u64;
            part = later;
        }
    }
}

#[cfg(test)]
mod tests;
