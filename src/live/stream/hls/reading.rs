//! A range of the log on its way to somebody who fetches it.

use std::io::{self, IoSlice};
use std::ops::Range;

use crate::live::kind::Kind;
use crate::live::log::{Entry, Log};
use crate::live::out::format::mp4::{Base, fragment};
use crate::live::out::message::Message;
use crate::live::out::slices::Slices;
use crate::live::segments::Share;
use crate::media::mp4::FRAGMENT_HEAD_LEN;

/// Messages that are looked at while the stream is locked, when nothing is read of them.
const STEP: usize = 64;

/// Bytes and slices that are offered while it is locked, at most: its publisher waits meanwhile.
const MAX_OFFER: u64 = 512 * 1024;
const MAX_SLICES: usize = 160;

/// Messages of the log on their way to somebody.
#[derive(Clone, Debug)]
pub struct Reading {
    next: u64,
    end: u64,
    share: Share,
    /// Bytes of the next one that were read.
    sent: u64,
    /// Bytes that are left.
    pub len: u64,
    /// There is video in it.
    pub has_video: bool,
    base: Base,
}

/// Messages have left the log before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted;

impl Reading {
    /// Messages that take so many bytes.
    pub(super) fn new(
        messages: Range<u64>,
        len: u64,
        share: Share,
        base: Base,
        has_video: bool,
    ) -> Reading {
        Reading {
            next: messages.start,
            end: messages.end,
            share,
            sent: 0,
            len,
            has_video,
            base,
        }
    }

    /// Offers what comes next as slices, behind `lead`, and goes on behind what was taken of it. What
    /// stands in front of the frames is made in `room`.
    pub(super) fn offer(
        &mut self,
        log: &Log,
        lead: &[u8],
        room: &mut [u8],
        take: &mut dyn FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<io::Result<usize>, Evicted> {
        if self.len > 0 && self.next < log.start() {
            return Err(Evicted);
        }
        let mut slices = Slices::<MAX_SLICES>::new();
        slices.push(lead);
        let mut left = self.len.min(MAX_OFFER);
        let mut sent = self.sent;
        let mut heads = room.chunks_exact_mut(FRAGMENT_HEAD_LEN);
        for (number, entry) in (self.next..self.end).zip(log.entries(self.next)) {
            if left == 0 || slices.is_full() {
                break;
            }
            if !self.has(number, &entry) {
                continue;
            }
            let Some(head) = heads.next() else {
                break;
            };
            let body_offset = entry.meta.sample.body_offset.into();
            let message = Message::new(number, &entry, body_offset);
            head.copy_from_slice(&fragment(&message, self.base).head());
            let body = log.slices(entry.position, body_offset as usize, message.len as usize);
            for bytes in std::iter::once(&*head).chain(body) {
                let cut = sent.min(bytes.len() as u64);
                sent -= cut;
                let bytes = &bytes[cut as usize..];
                let bytes = &bytes[..bytes.len().min(left as usize)];
                slices.push(bytes);
                left -= bytes.len() as u64;
            }
        }
        let taken = match take(slices.as_slice()) {
            Ok(taken) => taken,
            Err(error) => return Ok(Err(error)),
        };
        let mut of_body = taken.saturating_sub(lead.len()) as u64;
        while self.skip(log, &mut of_body)? {}
        Ok(Ok(taken))
    }

    /// Leaves out some of the next bytes, of which `left` are to be left out; true while there are
    /// others.
    pub(super) fn skip(&mut self, log: &Log, left: &mut u64) -> Result<bool, Evicted> {
        let mut entries = log.entries(self.next);
        for _ in 0..STEP {
            if *left == 0 || self.next == self.end || self.len == 0 {
                return Ok(false);
            }
            let entry = entries.next().ok_or(Evicted)?;
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
                self.next += 1;
                self.sent = 0;
            }
        }
        Ok(true)
    }

    /// Whether a message is one of those that are read.
    fn has(&self, number: u64, entry: &Entry) -> bool {
        is_sample(entry) && self.share.has(number, entry.meta.kind == Kind::Video)
    }
}

/// Whether a message is a picture or sound that MP4 can hold.
pub(super) fn is_sample(entry: &Entry) -> bool {
    entry.meta.sample.duration > 0
}

/// Length of a message with what stands before it, without making that.
pub(super) fn framed_len(entry: &Entry) -> u64 {
    let body_offset = entry.meta.sample.body_offset.into();
    FRAGMENT_HEAD_LEN as u64 + u64::from(entry.len.saturating_sub(body_offset))
}
