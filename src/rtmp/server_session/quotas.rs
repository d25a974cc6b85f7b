//! Quotas on what a client sends, for messages that cost processing time.

use super::Error;
use crate::rtmp::chunk_reader::FULL_CHUNK;
use crate::rtmp::rate::Rate;

/// The rate of commands: ten seconds of what the busiest client could reasonably send.
const COMMANDS: Rate = Rate::new(100, 10);

/// The rate of control messages. An encoder that acknowledges each message stays far below.
const CONTROLS: Rate = Rate::new(1000, 1000);

/// The number of chunks and messages without payload per second. Each costs as much time as one with 128
/// bytes.
const EMPTY_CHUNKS: u32 = 50_000;

/// The rate of bytes by which chunks fall short of 128: chunks that carry 100 bytes may arrive at nearly
/// five times the rate of empty ones. A file of audio frames of that size may be sent at 25 MB/s.
const MISSING_BYTES: Rate = Rate::new(EMPTY_CHUNKS * FULL_CHUNK, EMPTY_CHUNKS * FULL_CHUNK);

/// The number of consecutive commands without a readable name that are tolerated.
const MAX_UNREADABLE: u8 = 10;

pub(in crate::rtmp) struct Quotas {
    commands: Rate,
    controls: Rate,
    missing_bytes: Rate,
    /// The number of missing bytes that have already been charged to `missing_bytes`.
    counted: u64,
    /// The number of consecutive commands without a readable name.
    unreadable: u8,
}

impl Default for Quotas {
    fn default() -> Quotas {
        Quotas {
            commands: COMMANDS,
            controls: CONTROLS,
            missing_bytes: MISSING_BYTES,
            counted: 0,
            unreadable: 0,
        }
    }
}

impl Quotas {
    pub(in crate::rtmp) fn take_command(&mut self, now: u64) -> Result<(), Error> {
        let is_allowed = self.commands.take(1, now);
        check(is_allowed, "commands at a time", COMMANDS.capacity())
    }

    pub(in crate::rtmp) fn take_control(&mut self, now: u64) -> Result<(), Error> {
        let is_allowed = self.controls.take(1, now);
        let what = "control messages in a second";
        check(is_allowed, what, CONTROLS.capacity())
    }

    /// Charges the bytes that the chunk reader has newly counted; `total` is its count so far.
    pub(in crate::rtmp) fn take_missing_bytes(
        &mut self,
        total: u64,
        now: u64,
    ) -> Result<(), Error> {
        let new = total - std::mem::replace(&mut self.counted, total);
        let new = u32::try_from(new).unwrap_or(u32::MAX);
        let is_allowed = self.missing_bytes.take(new, now);
        let what = "chunks of less than 128 bytes in a second";
        check(is_allowed, what, EMPTY_CHUNKS.into())
    }

    /// Counts a command without a readable name. Some encoders send proprietary commands.
    pub(in crate::rtmp) fn take_unreadable(&mut self, error: Error) -> Result<(), Error> {
        self.unreadable += 1;
        let is_allowed = self.unreadable < MAX_UNREADABLE;
        is_allowed.then_some(()).ok_or(error)
    }

    pub(in crate::rtmp) fn note_readable(&mut self) {
        self.unreadable = 0;
    }
}

fn check(is_allowed: bool, what: &'static str, allowed: u64) -> Result<(), Error> {
    let limit = || Error::limit(what, allowed + 1, allowed);
    is_allowed.then_some(()).ok_or_else(limit)
}
