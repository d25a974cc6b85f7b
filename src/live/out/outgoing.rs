//! A message on its way to one receiver: framed, and without ModEx if the receiver can't read it.
//!
//! ```text
//! in the log      97 | 02 00 00 01 03 | hvc1 ...      first byte, ModEx, the rest
//! as it goes out  93 |                | hvc1 ...
//! ```
//!
//! Like the framing, this is a pure function of the message and of values that were fixed when the
//! receiver joined.

use std::ops::Range;
use std::slice;

use super::framed::FramedMessage;
use super::framing::Framing;
use super::message::Message;
use crate::live::capabilities::Capabilities;
use crate::live::log::{Entry, Log};

/// See the module's documentation.
pub(super) struct Outgoing {
    pub(super) framed: FramedMessage,
    /// The message as it was framed.
    pub(super) message: Message,
    /// Position in the log of the payload as it was published.
    position: u64,
    /// The number of payload bytes that are left out: from its start, or after its first byte if that
    /// is replaced.
    cut: u32,
    /// The replacement for the first byte, if ModEx was cut out after it.
    first: Option<u8>,
}

impl Outgoing {
    /// Frames the message with this number; with `restamped`, as a frame of a burst that is shown at
    /// that time.
    pub(super) fn new(
        framing: Framing,
        capabilities: Capabilities,
        number: u64,
        entry: &Entry,
        restamped: Option<u32>,
        log: &Log,
    ) -> Outgoing {
        let mut cut = 0;
        let mut first = None;
        if framing.format.is_mp4() {
            cut = u32::from(entry.meta.sample.body_offset);
        } else if entry.meta.mod_ex_len > 0 && !capabilities.has_mod_ex() {
            cut = u32::from(entry.meta.mod_ex_len);
            let byte = |offset: u32| {
                let mut slices = log.slices(entry.position, offset as usize, 1);
                slices.next().and_then(<[u8]>::first).copied().unwrap_or(0)
            };
            // The last byte of ModEx holds the packet type that the first byte gets without it.
            first = Some(byte(0) & 0xF0 | byte(cut) & 0x0F);
        }
        let mut message = Message::new(number, entry, cut);
        if let Some(timestamp) = restamped {
            message.restamp(timestamp);
        }
        Outgoing {
            framed: framing.frame(&message),
            message,
            position: entry.position,
            cut,
            first,
        }
    }

    /// Passes all bytes after the first `skip` to `put`, as slices.
    pub(super) fn each_slice<'a>(&'a self, skip: u64, log: &'a Log, put: &mut dyn FnMut(&'a [u8])) {
        let payload = |range: Range<u64>, put: &mut dyn FnMut(&'a [u8])| {
            let mut start = range.start;
            if let Some(first) = self.first.as_ref().filter(|_| start == 0) {
                put(slice::from_ref(first));
                start = 1;
            }
            let skip = u64::from(self.cut) + start;
            log.slices(self.position, skip as usize, (range.end - start) as usize)
                .for_each(put);
        };
        self.framed.each_slice(skip, &payload, put);
    }
}
