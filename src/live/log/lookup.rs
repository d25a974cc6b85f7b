//! Looking up messages and their bytes in a log.

use std::ops::Range;

use super::{Entry, Log, Meta, RECORD_LEN};
use crate::live::Millis;
use crate::live::arena::{Account, BLOCK_LEN};
use crate::media::access_unit::{UnitFormat, clean_range};

impl Log {
    /// The number of the oldest message held.
    pub fn start(&self) -> u64 {
        self.first
    }

    /// The number that the next message will get.
    pub fn end(&self) -> u64 {
        self.next
    }

    /// The newest message where a receiver may start.
    pub fn join_point(&self) -> Option<u64> {
        self.join_point
    }

    /// The newest message where a receiver or a file may start. Files start only where every decoder
    /// can start.
    pub fn start_of(&self, is_file: bool) -> Option<u64> {
        if is_file {
            self.file_start
        } else {
            self.join_point
        }
    }

    /// The first message from `number` on where a receiver or a file may start.
    pub fn join_point_from(&self, number: u64, is_file: bool) -> Option<u64> {
        let newest = self.start_of(is_file).filter(|newest| *newest >= number)?;
        // Older join points need headers that receivers no longer get.
        let from = number.max(self.joinable_from).max(self.first);
        let mut all = (from..).zip(self.entries(from));
        let is_start = |meta: &Meta| meta.is_join_point && (meta.is_sync() || !is_file);
        let first = all.find(|(_, entry)| is_start(&entry.meta));
        Some(first.map_or(newest, |(number, _)| number))
    }

    /// The newest message up to `number` where a file may start, if there is one from `from` on.
    pub(in crate::live) fn start_before(&self, number: u64, from: u64) -> Option<u64> {
        /// The maximum number of messages that are examined: more than a GOP has.
        const MAX_EXAMINED: u64 = 4_096;

        let last = number.min(self.next.saturating_sub(1));
        let oldest = last.saturating_sub(MAX_EXAMINED);
        let from = from.max(self.joinable_from).max(self.first).max(oldest);
        let is_start = |entry: Entry| entry.meta.is_join_point && entry.meta.is_sync();
        let mut all = (from..=last).rev();
        all.find(|number| self.entry(*number).is_some_and(is_start))
    }

    /// The newest message that arrived at this time or earlier; the oldest one if none did.
    pub(in crate::live) fn newest_until(&self, arrived: Millis) -> u64 {
        let (mut low, mut high) = (self.first, self.next);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle) {
                Some(entry) if entry.meta.arrived <= arrived => low = middle + 1,
                _ => high = middle,
            }
        }
        low.saturating_sub(1).max(self.first)
    }

    /// The message with this number, unless it has been evicted or hasn't been appended yet.
    pub fn entry(&self, number: u64) -> Option<Entry> {
        let index = self.index_of(number)?;
        let held = self.blocks.get(index)?;
        let place = usize::try_from(number - held.first).ok()?;
        let at = BLOCK_LEN.checked_sub((place + 1) * RECORD_LEN)?;
        let record = held.block.bytes().get(at..)?.first_chunk()?;
        let base = self.base + (index * BLOCK_LEN) as u64;
        Some(Entry::decode(record, base))
    }

    /// The messages from `from` on.
    pub fn entries(&self, from: u64) -> impl Iterator<Item = Entry> {
        (from..self.next).map_while(|number| self.entry(number))
    }

    /// The index of the block in which a message begins.
    pub(super) fn index_of(&self, number: u64) -> Option<usize> {
        if !(self.first..self.next).contains(&number) {
            return None;
        }
        // Most receivers are at the head.
        let last = self.offset() / BLOCK_LEN;
        match self.blocks.get(last) {
            Some(held) if held.count > 0 && held.first <= number => Some(last),
            _ => self
                .blocks
                .partition_point(|held| held.first <= number)
                .checked_sub(1),
        }
    }

    /// The newest message.
    pub fn newest(&self) -> Option<Entry> {
        self.entry(self.next.checked_sub(1)?)
    }

    /// The number of bytes from a message's start to the head.
    pub fn bytes_behind(&self, entry: &Entry) -> u64 {
        self.head - entry.position
    }

    /// The number of bytes that the log may hold at present.
    pub fn capacity(&self) -> u64 {
        let account = self.account.as_ref();
        let blocks = account.map_or(self.arena.total_blocks(), Account::may_hold);
        (blocks * BLOCK_LEN) as u64
    }

    /// The number of blocks that the log holds.
    pub fn blocks_held(&self) -> usize {
        self.blocks.len()
    }

    /// Returns `len` bytes of a payload that begins at `position`, after the first `skip` bytes, as
    /// slices of the blocks in which they lie. Empty if the log doesn't hold the range: callers only
    /// ask for ranges of entries.
    pub fn slices(&self, position: u64, skip: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let mut from_base = position
            .checked_sub(self.base)
            .and_then(|from_base| usize::try_from(from_base).ok());
        let mut skip = skip;
        let mut left = len;
        std::iter::from_fn(move || {
            while left > 0 {
                let at = from_base?;
                let (index, offset) = (at / BLOCK_LEN, at % BLOCK_LEN);
                let held = self.blocks.get(index)?;
                let there = held.payload_end().saturating_sub(offset);
                // The rest lies in the next block, behind the records of this one.
                from_base = Some((index + 1) * BLOCK_LEN);
                if skip < there {
                    let from = offset + skip;
                    let take = left.min(there - skip);
                    skip = 0;
                    left -= take;
                    return held.block.bytes().get(from..from + take);
                }
                skip -= there;
            }
            None
        })
    }

    /// Whether the log holds a message and will hold it for some time, if it is kept: until as many
    /// bytes have arrived as an eighth of the log's capacity.
    pub fn is_safe(&self, number: u64) -> bool {
        let Some(entry) = self.entry(number) else {
            return false;
        };
        self.bytes_behind(&entry) <= self.capacity() / 8 * 7
    }

    /// Finds the next bytes of a video frame that containers may contain, starting at a place in a
    /// message. Returns the position of a payload, and a range in it.
    pub(super) fn next_clean(
        &self,
        at: &mut (u64, usize),
        format: UnitFormat,
    ) -> Option<(u64, Range<usize>)> {
        while at.0 < self.next {
            if let Some(entry) = self.entry(at.0).filter(Entry::is_part_of_frame) {
                let start = at.1.max(entry.meta.sample.body_offset.into());
                let left = (entry.len as usize).saturating_sub(start);
                let mut rest = self.slices(entry.position, start, left);
                let range = clean_range(format, start, &mut rest);
                if !range.is_empty() {
                    at.1 = range.end;
                    return Some((entry.position, range));
                }
            }
            *at = (at.0 + 1, 0);
        }
        None
    }
}
