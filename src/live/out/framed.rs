//! A message as it goes out: its payload, with the bytes of its format and carrier around it.

use std::ops::Range;

use super::carrier;
use super::short_bytes::ShortBytes;
use crate::media::mp4::FRAGMENT_HEAD_LEN;
use crate::rtmp::chunk_writer::CHUNK_SIZE;

/// Longest head of a message: of a fragment of MP4 in a carrier.
const MAX_HEAD_LEN: usize = carrier::MAX_HEAD_LEN + FRAGMENT_HEAD_LEN;

/// See the module's documentation. Holds everything but the payload.
#[derive(Clone, Copy, Debug)]
pub struct FramedMessage {
    head: ShortBytes<MAX_HEAD_LEN>,
    /// Between two slices of the payload.
    between: ShortBytes<5>,
    tail: ShortBytes<6>,
    payload_len: u32,
    /// Longest run of payload without other bytes in it.
    slice_len: u32,
}

/// A part of a framed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of the format or the carrier.
    Framing(&'a [u8]),
    /// A range of the message's payload.
    Payload(Range<u64>),
}

impl FramedMessage {
    /// A message with nothing around its payload.
    pub(super) fn bare(payload_len: u32) -> FramedMessage {
        FramedMessage {
            head: ShortBytes::new(),
            between: ShortBytes::new(),
            tail: ShortBytes::new(),
            payload_len,
            slice_len: u32::MAX,
        }
    }

    /// The bytes in front of the payload.
    pub(super) fn head(&self) -> &[u8] {
        self.head.as_slice()
    }

    pub(super) fn push_head(&mut self, bytes: &[u8]) {
        self.head.push(bytes);
    }

    pub(super) fn push_tail(&mut self, bytes: &[u8]) {
        self.tail.push(bytes);
    }

    /// Cuts the payload into chunks, with these bytes between them.
    pub(super) fn split_into_chunks(&mut self, between: &[u8]) {
        self.between.push(between);
        self.slice_len = CHUNK_SIZE;
    }

    /// Length of the whole in bytes.
    pub fn total_len(&self) -> u64 {
        let payload = u64::from(self.payload_len);
        let seams = payload.div_ceil(self.slice_len.into()).saturating_sub(1);
        let around = self.head.len() + self.tail.len();
        around + payload + seams * self.between.len()
    }

    /// The pieces of the whole, without its first `skip` bytes.
    pub fn pieces(&self, skip: u64) -> impl Iterator<Item = Piece<'_>> {
        let (head, between) = (self.head.as_slice(), self.between.as_slice());
        let payload = u64::from(self.payload_len);
        let mut skip = skip;
        let slice_len = u64::from(self.slice_len);
        let slices = payload.div_ceil(slice_len).max(1);
        (0..slices)
            .flat_map(move |index| {
                let start = index * slice_len;
                let framing = if index == 0 { head } else { between };
                [
                    Piece::Framing(framing),
                    Piece::Payload(start..payload.min(start + slice_len)),
                ]
            })
            .chain([Piece::Framing(self.tail.as_slice())])
            .filter_map(move |piece| {
                let len = piece.len();
                let cut = skip.min(len);
                skip -= cut;
                (cut < len).then(|| piece.without_first(cut))
            })
    }
}

impl<'a> Piece<'a> {
    fn len(&self) -> u64 {
        match self {
            Piece::Framing(bytes) => bytes.len() as u64,
            Piece::Payload(range) => range.end - range.start,
        }
    }

    fn without_first(self, cut: u64) -> Piece<'a> {
        match self {
            Piece::Framing(bytes) => Piece::Framing(&bytes[cut as usize..]),
            Piece::Payload(range) => Piece::Payload(range.start + cut..range.end),
        }
    }
}
