//! Space that is owed: files were removed, but it isn't free yet.
//!
//! Who has a removed file open keeps its space, such as a program that copies it, and some file systems free
//! space only with their next commit. Without patience, all recordings would go in vain.

use crate::live::Millis;
use crate::record::disk::Space;

/// How long space is awaited, in ms: twice as long as between the commits of btrfs.
const PATIENCE: Millis = 60_000;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Owed {
    /// In bytes.
    len: u64,
    until: Millis,
    /// The free space as last seen, and the bytes for which recorders had taken room by then.
    seen: (u64, u64),
}

impl Owed {
    /// Notes that a file of this length was removed.
    pub(super) fn add(&mut self, len: u64, now: Millis) {
        self.len = self.len.saturating_add(len);
        self.until = now.saturating_add(PATIENCE);
    }

    /// Compares the free space with what was last seen, and returns how much of it is still owed, in bytes.
    pub(super) fn settle(&mut self, space: Space, taken: u64, now: Millis) -> u64 {
        let (free, taken_before) = std::mem::replace(&mut self.seen, (space.free, taken));
        let written = taken.saturating_sub(taken_before);
        let freed = space.free.saturating_add(written).saturating_sub(free);
        self.len = self.len.saturating_sub(freed);
        if now >= self.until {
            self.len = 0;
        }
        self.len
    }
}
