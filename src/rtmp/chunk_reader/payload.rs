//! Memory for the payloads of messages under assembly.

use crate::rtmp::Error;

/// The payload of a message under assembly.
pub trait Payload {
    /// Appends as many of `bytes` as there is memory for, and returns their number.
    fn extend(&mut self, bytes: &[u8]) -> usize;
    /// Returns the number of bytes appended so far.
    fn len(&self) -> usize;
    /// Whether no bytes have been appended yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Drops the bytes and frees their memory, except for a little that the next message will need.
    fn clear(&mut self);
    /// Returns the bytes in order, in one or more slices.
    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone;
}

/// A source of empty payloads: an arena, or [`Heap`].
pub trait PayloadSource {
    /// The type of the payloads.
    type Payload: Payload;
    /// Makes an empty payload, which holds no memory yet.
    fn payload(&self) -> Self::Payload;

    /// Pays for the reader's own tables, which occupy this many bytes in total from now on.
    fn pay(&self, bytes: usize) -> Result<(), Error> {
        let _ = bytes;
        Ok(())
    }
}

/// A source of payloads in vectors, for clients and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

impl PayloadSource for Heap {
    type Payload = Vec<u8>;

    fn payload(&self) -> Vec<u8> {
        Vec::new()
    }
}

impl Payload for Vec<u8> {
    fn extend(&mut self, bytes: &[u8]) -> usize {
        self.extend_from_slice(bytes);
        bytes.len()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn clear(&mut self) {
        self.clear();
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        std::iter::once(self.as_slice())
    }
}
