//! Making room in a log: which messages are kept, and which are evicted.

use super::{Held, Log, Needs, OutOfBlocks, RECORD_LEN};
use crate::live::Millis;
use crate::live::arena::{Account, BLOCK_LEN, Block};

impl Log {
    /// Makes room for a message of `len` bytes.
    pub(super) fn make_room(&mut self, len: usize, now: Millis) -> Result<(), OutOfBlocks> {
        while self.first < self.kept_from.min(self.read_from) && self.has_useless(now) {
            self.evict(1);
        }
        // Other streams' needs have priority over this stream's next message.
        self.give_up(self.account.as_ref().map_or(0, Account::excess));
        while self.blocks_wanted(len) > self.blocks.len() {
            if self.has_too_much_spare() && self.has_useless(now) {
                self.evict(0);
                continue;
            }
            if let Some(block) = self.account.as_mut().and_then(Account::take) {
                self.push(block);
                continue;
            }
            // Evicting the last message frees every block, so this ends.
            if !self.evict(self.blocks.len()) {
                return Err(OutOfBlocks);
            }
        }
        Ok(())
    }

    /// Whether the oldest message is kept for future viewers, while other streams need its block more.
    fn has_too_much_spare(&self) -> bool {
        let account = self.account.as_ref();
        self.spare_end().is_some_and(|to| self.first < to)
            && account.is_some_and(Account::has_too_much_spare)
    }

    /// Whether no present receiver needs the oldest message.
    fn has_useless(&self, now: Millis) -> bool {
        let Some(oldest) = self.entry(self.first) else {
            return false;
        };
        // Files may start at an older keyframe than other receivers, so the older keyframe counts.
        let newest_gop = self.file_start.or(self.join_point);
        let is_in_newest_gop = newest_gop.is_some_and(|number| self.first >= number);
        let is_needed = self.first >= self.needed_from
            && now.saturating_sub(oldest.meta.arrived) <= self.history;
        !is_in_newest_gop && !is_needed
    }

    /// The number of blocks that the log needs in total for another message of `len` bytes.
    fn blocks_wanted(&self, len: usize) -> usize {
        let used = self.offset();
        let room = self.room();
        // A message begins in the current block only if that has room for its record and its first
        // byte.
        let (begun, first) = if room >= RECORD_LEN + len.min(1) {
            (used / BLOCK_LEN, room - RECORD_LEN)
        } else {
            (used.div_ceil(BLOCK_LEN), BLOCK_LEN - RECORD_LEN)
        };
        begun + 1 + len.saturating_sub(first).div_ceil(BLOCK_LEN)
    }

    /// Evicts the oldest message so that its blocks can be used elsewhere. Returns false if there is
    /// none.
    pub fn evict_oldest(&mut self) -> bool {
        self.evict(0)
    }

    /// Evicts the oldest message and returns the blocks that this frees, except for the last `keep`
    /// blocks. Those will be written again, and another stream could take them before this log does.
    fn evict(&mut self, keep: usize) -> bool {
        if self.first == self.next {
            return false;
        }
        self.first += 1;
        let first = self.first;
        self.join_point = self.join_point.filter(|number| *number >= first);
        self.file_start = self.file_start.filter(|number| *number >= first);
        let Some(oldest) = self.entry(self.first) else {
            // The log is empty: the next message begins in a fresh block.
            self.blocks.truncate(keep);
            self.head = self.head.next_multiple_of(BLOCK_LEN as u64);
            self.base = self.head;
            for held in &mut self.blocks {
                (held.first, held.count) = (self.next, 0);
            }
            return true;
        };
        while self.base + BLOCK_LEN as u64 <= oldest.position {
            let freed = self.blocks.pop_front();
            self.base += BLOCK_LEN as u64;
            if let Some(freed) = freed.filter(|_| self.blocks.len() < keep) {
                self.push(freed.block);
            }
        }
        true
    }

    fn push(&mut self, block: Block) {
        self.blocks.push_back(Held {
            block,
            first: self.next,
            count: 0,
        });
    }

    /// Takes a block for data other than messages, if need be by evicting the oldest messages.
    pub fn take_block(&mut self) -> Option<Block> {
        let arena = &self.arena;
        self.account.get_or_insert_with(|| arena.account());
        loop {
            let block = self.account.as_mut().and_then(Account::take);
            if block.is_some() || !self.evict(0) {
                return block;
            }
        }
    }

    /// Returns `count` blocks to the arena: first unwritten blocks, which remain when a message is much
    /// shorter than those evicted for it, then blocks of the oldest messages.
    pub fn give_up(&mut self, count: usize) {
        let blocks = self.blocks.len().saturating_sub(count);
        self.blocks.truncate(blocks.max(self.blocks_used()));
        while self.blocks.len() > blocks && self.evict(0) {}
        // An empty log needs none of its blocks.
        if self.first == self.next {
            self.blocks.truncate(blocks);
        }
    }

    /// Sets the messages that receivers still need. Messages that are older than these, and older than
    /// the newest GOP, needn't be kept.
    pub fn set_needs(&mut self, needs: Needs) {
        self.needed_from = needs.from;
        self.awaited_from = needs.join_point_from;
        // The awaited join point may already be in the log.
        if let Some(number) = self.join_point_from(self.awaited_from, false) {
            self.needed_from = self.needed_from.min(number);
        }
    }

    /// Keeps all messages from `number` on while blocks last, however old they are; `u64::MAX` for
    /// none. No viewer needs the messages before `spare_to` yet: they are given up when other streams
    /// need the blocks.
    pub fn set_kept_from(&mut self, number: u64, spare_to: Option<u64>) {
        let before = self.spare_end();
        (self.kept_from, self.spare_to) = (number, spare_to);
        self.note_spare(before);
    }

    /// Keeps all messages from `number` on for recorders, however old they are, while blocks are free;
    /// `u64::MAX` for none.
    pub(in crate::live) fn set_read_from(&mut self, number: u64) {
        let before = self.spare_end();
        self.read_from = number;
        self.note_spare(before);
    }

    /// The end of the messages that are kept, but not for present viewers.
    fn spare_end(&self) -> Option<u64> {
        let for_viewers = match self.spare_to {
            Some(spare_to) => return Some(spare_to),
            None => self.kept_from.min(self.next),
        };
        (self.read_from < for_viewers).then_some(for_viewers)
    }

    /// Notifies the account of the number of spare blocks. `before`: where they ended before.
    fn note_spare(&mut self, before: Option<u64>) {
        let spare_to = self.spare_end();
        if before.or(spare_to).is_none() {
            return;
        }
        let newest_gop = self.join_point.unwrap_or(self.next);
        let useful_from = spare_to.map_or(0, |to| to.min(newest_gop).min(self.needed_from));
        let spare = if useful_from > self.first {
            self.index_of(useful_from)
        } else {
            Some(0)
        };
        let spare = spare.unwrap_or(self.blocks.len().saturating_sub(1));
        if let Some(account) = self.account.as_mut() {
            account.set_spare(spare);
        }
    }
}
