//! Reads a range of the log as fragments of MP4, straight out of the log.

use std::io::{self, IoSlice};
use std::ops::Range;

use super::segment::MessageSet;
use crate::live::kind::Kind;
use crate::live::log::{Entry, Log};
use crate::live::out::format::mp4::{Base, fragment};
use crate::live::out::message::Message;
use crate::live::out::slices::Slices;
use crate::media::mp4::FRAGMENT_HEAD_LEN;

/// Maximum number of messages that are skipped under one lock.
const STEP: usize = 64;

/// Maximum numbers of bytes and slices that are offered under one lock: the publisher waits meanwhile.
const MAX_OFFER: u64 = 512 * 1024;
const MAX_SLICES: usize = 160;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct FragmentReader {
    next: u64,
    end: u64,
    set: MessageSet,
    /// The number of bytes of the next message that have been read.
    sent: u64,
    /// The number of bytes left.
    pub len: u64,
    /// Whether the tracks include video.
    pub has_video: bool,
    base: Base,
}

/// Messages have left the log before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted;

impl FragmentReader {
    /// Returns a reader of the newest keyframe, which is due at 0; `None` if there is none.
    pub(in crate::live) fn newest_keyframe(log: &Log) -> Option<FragmentReader> {
        // A keyframe that arrived in several messages is complete in a later one.
        const MAX_MESSAGES: usize = 256;

        let join_point = log.start_of(true)?;
        let is_keyframe = |(_, entry): &(u64, Entry)| {
            is_sample(entry) && entry.meta.kind == Kind::Video && entry.meta.is_sync()
        };
        let entries = (join_point..).zip(log.entries(join_point));
        let (number, entry) = entries.take(MAX_MESSAGES).find(is_keyframe)?;
        let base = Base {
            video: entry.meta.sample.decode_time,
            audio: 0,
        };
        let (messages, set) = (number..number + 1, MessageSet::new(number, number));
        let len = framed_len(&entry);
        Some(FragmentReader::new(messages, len, set, base, true))
    }

    /// Returns a reader of the messages of `set` within a range, `len` bytes in total.
    pub(super) fn new(
        messages: Range<u64>,
        len: u64,
        set: MessageSet,
        base: Base,
        has_video: bool,
    ) -> FragmentReader {
        FragmentReader {
            next: messages.start,
            end: messages.end,
            set,
            sent: 0,
            len,
            has_video,
            base,
        }
    }

    /// Offers `lead` and the next bytes of the range to `take` as slices, and advances by the number of
    /// bytes that it took. `room` is where the heads of fragments are written.
    pub(in crate::live) fn offer(
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
            if !self.includes(number, &entry) {
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
                // Only the first message may have been sent in part.
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

    /// Skips up to `left` bytes, and reduces `left` by the number skipped. True if there is more to
    /// skip.
    pub(in crate::live) fn skip(&mut self, log: &Log, left: &mut u64) -> Result<bool, Evicted> {
        let mut entries = log.entries(self.next);
        for _ in 0..STEP {
            if *left == 0 || self.next == self.end || self.len == 0 {
                return Ok(false);
            }
            let entry = entries.next().ok_or(Evicted)?;
            if !self.includes(self.next, &entry) {
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

    fn includes(&self, number: u64, entry: &Entry) -> bool {
        is_sample(entry) && self.set.contains(number, entry.meta.kind == Kind::Video)
    }
}

/// Whether a message is a frame that MP4 can hold.
pub(super) fn is_sample(entry: &Entry) -> bool {
    entry.meta.sample.duration > 0
}

/// The length of a message framed as a fragment, computed without framing it.
pub(super) fn framed_len(entry: &Entry) -> u64 {
    let body_offset = entry.meta.sample.body_offset.into();
    FRAGMENT_HEAD_LEN as u64 + u64::from(entry.len.saturating_sub(body_offset))
}
