//! A range of the log on its way to somebody who fetches it.

use std::ops::Range;

use crate::live::capabilities::Capabilities;
use crate::live::framing::{Base, Carrier, Framing, Piece};
use crate::live::log::{Entry, Kind, Log, Role};
use crate::live::outgoing::Outgoing;
use crate::live::segments::Share;
use crate::media::mp4::FRAGMENT_HEAD_LEN;

/// Messages that are looked at while the stream is locked, when nothing is read of them.
const STEP: usize = 64;

/// Messages of the log on their way to somebody.
#[derive(Clone, Debug)]
pub struct Reading {
    next: u64,
    end: u64,
    share: Share,
    /// Bytes of the next one that were read.
    sent: u64,
    /// The messages before this one are measured.
    measured: u64,
    /// Bytes that are left, of the messages that are measured.
    pub len: u64,
    /// There is video in it.
    pub has_video: bool,
    framing: Framing,
}

/// Messages have left the log before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted;

impl Reading {
    pub(super) fn new(messages: Range<u64>, share: Share, base: Base, has_video: bool) -> Reading {
        let carrier = Carrier::Http;
        Reading {
            next: messages.start,
            end: messages.end,
            share,
            sent: 0,
            measured: messages.start,
            len: 0,
            has_video,
            framing: Framing::Mp4 { carrier, base },
        }
    }

    /// Takes note of the length of all messages, which is known.
    pub(super) fn set_measured(&mut self, len: u64) {
        self.len = len;
        self.measured = self.end;
    }

    /// Measures some more of the messages; true while there are others.
    pub(super) fn measure(&mut self, log: &Log) -> Result<bool, Evicted> {
        for number in (self.measured..self.end).take(STEP) {
            let entry = log.entry(number).ok_or(Evicted)?;
            if self.has(number, &entry) {
                self.len += framed_len(&entry);
            }
            self.measured = number + 1;
        }
        Ok(self.measured < self.end)
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

    /// Leaves out some of the next bytes, of which `left` are to be left out; true while there are
    /// others.
    pub(super) fn skip(&mut self, log: &Log, left: &mut u64) -> Result<bool, Evicted> {
        for _ in 0..STEP {
            if *left == 0 || self.next == self.end || self.len == 0 {
                return Ok(false);
            }
            let entry = log.entry(self.next).ok_or(Evicted)?;
            if !self.has(self.next, &entry) {
                self.next += 1;
                continue;
            }
            let total = framed_len(&entry);
            let taken = (*left).min(total - self.sent);
            self.sent += taken;
            self.len = self.len.saturating_sub(taken);
            *left -= taken;
            if self.sent == total {
                self.go_on();
            }
        }
        Ok(true)
    }

    /// The next message that is a sample, unless all were read.
    fn outgoing(&mut self, log: &Log) -> Result<Option<Outgoing>, Evicted> {
        while self.next < self.end && self.len > 0 {
            let entry = log.entry(self.next).ok_or(Evicted)?;
            if self.has(self.next, &entry) {
                return Ok(Some(framed(self.framing, self.next, &entry, log)));
            }
            self.next += 1;
        }
        Ok(None)
    }

    /// Whether a message is one of those that are read.
    fn has(&self, number: u64, entry: &Entry) -> bool {
        is_sample(entry) && self.share.has(number, entry.meta.kind == Kind::Video)
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

/// Length of a message with what stands before it, without making that.
pub(super) fn framed_len(entry: &Entry) -> u64 {
    let body_offset = entry.meta.sample.body_offset.into();
    FRAGMENT_HEAD_LEN as u64 + u64::from(entry.len.saturating_sub(body_offset))
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
