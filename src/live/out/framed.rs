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
        let slices = self.payload_len.div_ceil(self.slice_len);
        let between = u64::from(slices.saturating_sub(1)) * self.between.len();
        self.head.len() + u64::from(self.payload_len) + between + self.tail.len()
    }

    /// Passes all bytes to `put`, without the first `skip`, as slices. `payload` finds the slices of a
    /// range of the payload.
    pub(super) fn each_slice<'a, I: Iterator<Item = &'a [u8]>>(
        &'a self,
        mut skip: u64,
        payload: impl Fn(Range<u64>) -> I,
        mut put: impl FnMut(&'a [u8]),
    ) {
        // How much of the next `len` bytes is left out.
        let mut cut = |len: u64| {
            let cut = skip.min(len);
            skip -= cut;
            cut
        };
        let (payload_len, slice_len) = (u64::from(self.payload_len), u64::from(self.slice_len));
        let slices = u64::from(self.payload_len.div_ceil(self.slice_len)).max(1);
        for index in 0..=slices {
            let framing = match index {
                0 => self.head.as_slice(),
                _ if index < slices => self.between.as_slice(),
                _ => self.tail.as_slice(),
            };
            let rest = &framing[cut(framing.len() as u64) as usize..];
            if !rest.is_empty() {
                put(rest);
            }
            let start = payload_len.min(index * slice_len);
            let end = payload_len.min(start + slice_len);
            let range = start + cut(end - start)..end;
            if !range.is_empty() {
                payload(range).for_each(&mut put);
            }
        }
    }
}
