//! A message as it goes out: its payload, with the bytes of its format and carrier around it.

use std::ops::Range;

use crate::media::mp4::FRAGMENT_HEAD_LEN;
use crate::rtmp::chunk_writer::CHUNK_SIZE;

/// Longest head of a piece in a carrier.
pub(super) const CARRIER_HEAD_LEN: usize = 10;

/// Longest head of a message: of a fragment of MP4 in a carrier.
const MAX_HEAD_LEN: usize = CARRIER_HEAD_LEN + FRAGMENT_HEAD_LEN;

/// At most `N` bytes, stored in place.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShortBytes<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> ShortBytes<N> {
    pub(super) fn new() -> ShortBytes<N> {
        ShortBytes {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Appends bytes, for which there must be room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    pub(super) fn len(&self) -> u64 {
        self.len.into()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// See the module's documentation. Holds everything but the payload.
#[derive(Clone, Copy, Debug)]
pub struct FramedMessage {
    pub(super) head: ShortBytes<MAX_HEAD_LEN>,
    /// Between two slices of the payload.
    between: ShortBytes<5>,
    pub(super) tail: ShortBytes<6>,
    payload_len: u32,
    /// Longest run of payload without other bytes in it.
    slice_len: u32,
}

/// A part of a framed message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<'a> {
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

    /// Passes all bytes to `put`, without the first `skip`, as slices. `payload` finds the slices of a
    /// range of the payload.
    pub(super) fn each_slice<'a, I: Iterator<Item = &'a [u8]>>(
        &'a self,
        skip: u64,
        payload: impl Fn(Range<u64>) -> I,
        mut put: impl FnMut(&'a [u8]),
    ) {
        for piece in self.pieces(skip) {
            match piece {
                Piece::Framing(bytes) => put(bytes),
                Piece::Payload(range) => payload(range).for_each(&mut put),
            }
        }
    }

    /// The pieces of the whole, without its first `skip` bytes.
    fn pieces(&self, skip: u64) -> impl Iterator<Item = Piece<'_>> {
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
