//! A range of the log on its way to somebody who fetches it.

use std::ops::Range;

use crate::live::capabilities::Capabilities;
use crate::live::framing::{Base, Carrier, Framing, Piece};
use crate::live::log::{Entry, Log, Role};
use crate::live::outgoing::Outgoing;

/// Messages of the log on their way to somebody.
#[derive(Clone, Debug)]
pub struct Reading {
    next: u64,
    end: u64,
    /// Bytes of the next one that were read.
    sent: u64,
    /// Bytes that are left.
    pub len: u64,
    /// There is video in it.
    pub has_video: bool,
    framing: Framing,
}

/// Messages have left the log before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted;

impl Reading {
    pub(super) fn new(
        messages: Range<u64>,
        base: Base,
        has_video: bool,
        log: &Log,
    ) -> Result<Reading, Evicted> {
        let carrier = Carrier::Http;
        let framing = Framing::Mp4 { carrier, base };
        let mut len = 0;
        for number in messages.clone() {
            let entry = log.entry(number).ok_or(Evicted)?;
            if is_sample(&entry) {
                len += framed(framing, number, &entry, log).frame.total_len();
            }
        }
        Ok(Reading {
            next: messages.start,
            end: messages.end,
            sent: 0,
            len,
            has_video,
            framing,
        })
    }

    pub(super) fn read(&mut self, log: &Log, out: &mut [u8]) -> Result<usize, Evicted> {
        let mut room = out;
        let before = self.len;
        while let Some(outgoing) = self.outgoing(log)? {
            let (total, sent) = (outgoing.frame.total_len(), self.sent);
            let mut copy = |bytes: &[u8]| {
                let taken = bytes.len().min(room.len()).min(self.len as usize);
                let (now, later) = std::mem::take(&mut room).split_at_mut(taken);
                now.copy_from_slice(&bytes[..taken]);
                room = later;
                self.sent += taken as u64;
                self.len -= taken as u64;
            };
            for piece in outgoing.frame.pieces(sent) {
                match piece {
                    Piece::Framing(bytes) => copy(bytes),
                    Piece::Payload(range) => outgoing.payload(range, log).for_each(&mut copy),
                }
            }
            if self.sent < total {
                break;
            }
            self.go_on();
        }
        Ok((before - self.len) as usize)
    }

    pub(super) fn skip(&mut self, log: &Log, skip: u64) -> Result<(), Evicted> {
        let mut left = skip;
        while let Some(outgoing) = self.outgoing(log)?.filter(|_| left > 0) {
            let total = outgoing.frame.total_len();
            let taken = left.min(total - self.sent);
            self.sent += taken;
            self.len = self.len.saturating_sub(taken);
            left -= taken;
            if self.sent == total {
                self.go_on();
            }
        }
        Ok(())
    }

    /// The next message that is a sample, unless all were read.
    fn outgoing(&mut self, log: &Log) -> Result<Option<Outgoing>, Evicted> {
        while self.next < self.end && self.len > 0 {
            let entry = log.entry(self.next).ok_or(Evicted)?;
            if is_sample(&entry) {
                return Ok(Some(framed(self.framing, self.next, &entry, log)));
            }
            self.next += 1;
        }
        Ok(None)
    }

    fn go_on(&mut self) {
        self.next += 1;
        self.sent = 0;
    }
}

/// Whether a message is a picture or sound that MP4 can hold.
pub(super) fn is_sample(entry: &Entry) -> bool {
    entry.meta.sample.duration > 0 && entry.meta.role == Role::Media
}

fn framed(framing: Framing, number: u64, entry: &Entry, log: &Log) -> Outgoing {
    Outgoing::new(
        framing,
        Capabilities::everything(),
        number,
        entry,
        None,
        log,
    )
}
