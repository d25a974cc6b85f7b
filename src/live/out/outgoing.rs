//! A message on its way to one receiver: framed, and without the ModEx that it can't read.
//!
//! ```text
//! in the log      97 | 02 00 00 01 03 | hvc1 ...      first byte, ModEx, the rest
//! as it goes out  93 |                | hvc1 ...
//! ```
//!
//! Like the framing, this is a pure function of the message and of what was fixed when the
//! receiver joined.

use std::ops::Range;
use std::slice;

use crate::live::capabilities::Capabilities;
use super::framing::{Frame, Framing, Message};
use crate::live::log::{Entry, Log};

/// See the module's documentation.
pub(in crate::live) struct Outgoing {
    pub(in crate::live) frame: Frame,
    /// What was framed.
    pub(in crate::live) message: Message,
    /// Position in the log of the payload as it was published.
    position: u64,
    /// Bytes of it that are left out; of one without its ModEx, those behind the first one.
    cut: u32,
    /// In place of the first byte, if there was ModEx behind it.
    first: Option<u8>,
}

impl Outgoing {
    /// The message with this number; with `restamped`, a picture of a burst, which is shown at once
    /// and makes room for the next one.
    pub(in crate::live) fn new(
        framing: Framing,
        capabilities: Capabilities,
        number: u64,
        entry: &Entry,
        restamped: Option<u32>,
        log: &Log,
    ) -> Outgoing {
        let mut cut = 0;
        let mut first = None;
        if matches!(framing, Framing::Mp4 { .. }) {
            cut = u32::from(entry.meta.sample.body_offset);
        } else if entry.meta.mod_ex_len > 0 && !capabilities.has_mod_ex() {
            cut = u32::from(entry.meta.mod_ex_len);
            let byte = |offset: u32| {
                let mut slices = log.slices(entry.position, offset as usize, 1);
                slices.next().and_then(<[u8]>::first).copied().unwrap_or(0)
            };
            first = Some(byte(0) & 0xF0 | byte(cut) & 0x0F);
        }
        let mut message = Message::new(number, entry, cut);
        if let Some(timestamp) = restamped {
            message.restamp(timestamp);
        }
        Outgoing {
            frame: framing.frame(&message),
            message,
            position: entry.position,
            cut,
            first,
        }
    }

    /// A range of the payload.
    pub(in crate::live) fn payload<'a>(
        &'a self,
        range: Range<u64>,
        log: &'a Log,
    ) -> impl Iterator<Item = &'a [u8]> {
        let first = self.first.as_ref().filter(|_| range.start == 0);
        let start = range.start + first.map_or(0, |_| 1);
        let skip = u64::from(self.cut) + start;
        let rest = log.slices(self.position, skip as usize, (range.end - start) as usize);
        first.map(slice::from_ref).into_iter().chain(rest)
    }
}
