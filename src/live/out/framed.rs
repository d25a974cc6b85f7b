//! A message as it is sent: its payload, with the bytes of its format and carrier around it.

use std::ops::Range;

use crate::media::mp4::FRAGMENT_HEAD_LEN;
use crate::media::short_bytes::ShortBytes;
use crate::rtmp::chunk_writer::CHUNK_SIZE;

/// Longest head of a piece in a carrier.
pub(super) const CARRIER_HEAD_LEN: usize = 10;

/// Longest head of a message: that of an MP4 fragment in a carrier.
const MAX_HEAD_LEN: usize = CARRIER_HEAD_LEN + FRAGMENT_HEAD_LEN;

/// See the module's documentation. Holds everything but the payload.
#[derive(Clone, Copy, Debug)]
pub struct FramedMessage {
    pub(super) head: ShortBytes<MAX_HEAD_LEN>,
    /// The bytes between two slices of the payload.
    between: ShortBytes<8>,
    pub(super) tail: ShortBytes<8>,
    payload_len: u32,
    /// The longest run of payload without other bytes in it, in bytes.
    slice_len: u32,
}

/// A function that passes the slices of a range of a payload to another function.
type SliceFinder<'f, 'a> = dyn Fn(Range<u64>, &mut dyn FnMut(&'a [u8])) + 'f;

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

    /// The total length in bytes.
    pub fn total_len(&self) -> u64 {
        let slices = self.payload_len.div_ceil(self.slice_len);
        let seams = slices.saturating_sub(1) as usize;
        let around = self.head.len() + seams * self.between.len() + self.tail.len();
        u64::from(self.payload_len) + around as u64
    }

    /// Passes all bytes after the first `skip` to `put`, as slices. `payload` passes on the slices of a
    /// range of the payload.
    pub(super) fn each_slice<'a>(
        &'a self,
        mut skip: u64,
        payload: &SliceFinder<'_, 'a>,
        put: &mut dyn FnMut(&'a [u8]),
    ) {
        // Returns how many of the next `len` bytes are left out.
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
                payload(range, put);
            }
        }
    }
}
