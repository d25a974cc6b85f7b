//! The condition of the disk: what the keeper tells recorders, and they tell it.

use crate::record::WallMillis;
use crate::record::disk::Space;
use crate::record::name::FileName;
use crate::record::report::DiskState;
use crate::rtmp::stream_key::StreamKey;

/// The number of files that wait to be looked for; what else isn't there is found by the next one who asks.
const MAX_MISSED: usize = 16;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Condition {
    /// The state of the disk.
    pub state: DiskState,
    /// When that state began; `None` if it has been so since the start.
    pub since: Option<WallMillis>,
    /// The space of the file system as last seen; `None` while it isn't known.
    pub space: Option<Space>,
    /// Whether the files that were there have been listed. Before that nothing may be written.
    pub(in crate::record) is_listed: bool,
    /// Whether there may be files to repair.
    pub(in crate::record) has_damaged: bool,
    /// The length in bytes after which files end, so that several fit below floor and cap; `None` before the
    /// first look.
    pub(in crate::record) most_len: Option<u64>,
    /// The number of bytes that may be written until the keeper looks again.
    room: u64,
    /// The number of bytes for which room was taken since the start.
    taken: u64,
    /// The most that a recorder has asked for in vain, in bytes.
    refused: u64,
    /// What a recorder has run into.
    trouble: Option<DiskState>,
    /// Files that weren't there when they were opened.
    missed: Vec<(StreamKey, FileName)>,
}

impl Condition {
    /// Whether recordings may be written.
    pub fn is_usable(&self) -> bool {
        self.is_listed && self.state == DiskState::Fine && self.trouble.is_none()
    }

    /// Whether the keeper has looked at the disk.
    pub(in crate::record) fn is_known(&self) -> bool {
        self.space.is_some() || self.state != DiskState::Fine
    }

    /// Asks for room to write a number of bytes: to be called before they are written. If there isn't
    /// enough above the floor and below the cap: ask again after the keeper's next step, which should be
    /// soon.
    #[must_use]
    pub fn take_room(&mut self, len: u64) -> bool {
        let is_enough = len <= self.room;
        if is_enough {
            self.room -= len;
            self.taken = self.taken.saturating_add(len);
        } else {
            self.refused = self.refused.max(len);
        }
        is_enough
    }

    /// Asks for room to set aside up to a number of bytes for a file. Returns how many it may be, so
    /// that others have room as well.
    pub fn take_room_aside(&mut self, wanted: u64) -> u64 {
        let len = wanted.min(self.room / 4);
        let _ = self.take_room(len);
        len
    }

    /// Notes that a write has failed. Nothing is written until the keeper has looked at the disk.
    pub fn report_trouble(&mut self, trouble: DiskState) {
        self.trouble.get_or_insert(trouble);
    }

    /// Notes that a listed file wasn't there when it was opened. The keeper will look.
    pub fn report_missing(&mut self, stream: &StreamKey, name: FileName) {
        let missed = (stream.clone(), name);
        if self.missed.len() < MAX_MISSED && !self.missed.contains(&missed) {
            self.missed.push(missed);
        }
    }

    /// The number of bytes for which room was taken since the start.
    pub(in crate::record) fn taken(&self) -> u64 {
        self.taken
    }

    /// Sets the room that there was when this many bytes had been taken.
    pub(in crate::record) fn set_room(&mut self, room: u64, taken: u64) {
        self.room = room.saturating_sub(self.taken - taken);
    }

    /// Whether a recorder has asked for room in vain since the last look.
    pub(in crate::record) fn is_short(&self) -> bool {
        self.refused > 0
    }

    /// Returns the most that a recorder has asked for in vain since the last time, in bytes.
    pub(in crate::record) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    pub(in crate::record) fn take_trouble(&mut self) -> Option<DiskState> {
        self.trouble.take()
    }

    pub(in crate::record) fn take_missed(&mut self) -> Vec<(StreamKey, FileName)> {
        std::mem::take(&mut self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_leaves_room_for_others() {
        let mut condition = Condition::default();
        condition.set_room(1_000, 0);
        assert_eq!(condition.take_room_aside(4_000), 250);
        assert!(condition.take_room(750) && !condition.take_room(1));
        condition.set_room(1_000, 900);
        // 100 bytes were taken since then.
        assert_eq!(condition.take_room_aside(90), 90);
        assert!(!condition.take_room(811) && condition.take_room(810));
    }
}
