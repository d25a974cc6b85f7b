//! The properties of a message that formats use: everything except the bytes of its payload.

use crate::live::kind::Kind;
use crate::live::log::{Entry, Sample};

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Its number in the log.
    pub number: u64,
    /// Audio, video or data.
    pub kind: Kind,
    /// Decode time in ms, wrapping.
    pub timestamp: u32,
    /// Length of the payload in bytes; for MP4, of the sample.
    pub len: u32,
    /// Whether a decoder can start with it.
    pub is_sync: bool,
    /// The times that MP4 needs.
    pub sample: Sample,
}

impl Message {
    /// A message of the log without the first `cut` bytes of its payload.
    pub(in crate::live) fn new(number: u64, entry: &Entry, cut: u32) -> Message {
        Message {
            number,
            kind: entry.meta.kind,
            timestamp: entry.meta.timestamp,
            len: entry.len.saturating_sub(cut),
            is_sync: entry.meta.is_sync(),
            sample: entry.meta.sample,
        }
    }

    /// A header of the preamble.
    pub(super) fn header(kind: Kind, timestamp: u32, len: u32) -> Message {
        Message {
            number: 0,
            kind,
            timestamp,
            len,
            is_sync: false,
            sample: Sample::default(),
        }
    }

    /// Turns the message into a frame of a burst: shown at `timestamp`, for 1 ms. As always in MP4, it
    /// is decoded when the previous frame is due.
    pub(super) fn restamp(&mut self, timestamp: u32) {
        let later = timestamp.wrapping_sub(self.timestamp) as i32;
        let due = self.sample.decode_time + u64::from(self.sample.duration);
        let due = due.saturating_add_signed(later.into());
        self.sample.decode_time = due.saturating_sub(1);
        self.sample.duration = 1;
        self.sample.composition_time = 1;
        self.timestamp = timestamp;
    }
}
