//! The detection of whether a type 3 chunk repeats the extended timestamp.
//!
//! The specification says that it does (5.3.1.3), but old librtmp and some hardware leave it out. Four
//! bytes that equal the timestamp are taken for a repetition; anything else is payload.

use super::chunk_stream::ChunkStream;

/// The bytes after a type 3 header. They are compared one by one as they arrive, so that a mismatch is
/// known immediately and no payload waits for bytes of a later chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    /// The index of the chunk stream.
    pub(super) stream: usize,
    seen: [u8; 4],
    len: usize,
}

impl Repeat {
    pub(super) fn new(stream: usize) -> Repeat {
        Repeat {
            stream,
            seen: [0; 4],
            len: 0,
        }
    }

    /// Compares the next byte. Returns whether the timestamp is repeated as soon as that is known, and
    /// `None` before.
    pub(super) fn push(&mut self, byte: u8, stream: &ChunkStream) -> Option<bool> {
        if let Some(slot) = self.seen.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
        let field = stream.extended.unwrap_or(0).to_be_bytes();
        // Some encoders repeat the message's timestamp even if the header had a delta.
        let timestamp = stream.timestamp.to_be_bytes();
        let is_known = stream.repeats == Some(true);
        if !is_known && !field.starts_with(self.seen()) && !timestamp.starts_with(self.seen()) {
            return Some(false);
        }
        (self.len == self.seen.len()).then_some(true)
    }

    /// Returns the bytes that were compared.
    pub(super) fn seen(&self) -> &[u8] {
        self.seen.get(..self.len).unwrap_or_default()
    }
}

/// Bytes that looked like an extended timestamp but turned out to be payload. They are read again,
/// before the input.
#[derive(Clone, Copy, Default)]
pub(super) struct PutBack {
    bytes: [u8; 4],
    start: usize,
    end: usize,
}

impl PutBack {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Puts `seen` before the remaining bytes. Four bytes of room are enough: either at most four bytes
    /// were taken since the buffer was last empty, or all of them came from the buffer.
    pub(super) fn put(&mut self, seen: &[u8]) {
        let left = *self;
        *self = PutBack::default();
        for (slot, byte) in self.bytes.iter_mut().zip(seen.iter().chain(left.bytes())) {
            *slot = *byte;
            self.end += 1;
        }
    }

    /// Consumes bytes.
    pub(super) fn advance(&mut self, len: usize) {
        self.start += len;
    }
}
