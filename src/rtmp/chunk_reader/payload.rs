//! Memory for the payloads of messages under assembly.

use crate::rtmp::Error;

/// The payload of a message under assembly.
pub trait Payload {
    /// Appends as many of `bytes` as there is memory for; returns their number.
    fn extend(&mut self, bytes: &[u8]) -> usize;
    /// The number of bytes so far.
    fn len(&self) -> usize;
    /// Whether there are no bytes yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Gives the memory back, except for a little that the next message will need.
    fn clear(&mut self);
    /// The bytes in order, in as many slices as they lie in.
    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone;
}

/// Makes empty payloads: an arena, or [`Heap`].
pub trait PayloadSource {
    /// The payloads that it makes.
    type Payload: Payload;
    /// Makes an empty payload, which holds no memory yet.
    fn payload(&self) -> Self::Payload;

    /// Pays for the reader's own tables, which take this many bytes in all from now on.
    fn pay(&self, bytes: usize) -> Result<(), Error> {
        let _ = bytes;
        Ok(())
    }
}

/// Payloads in vectors, for clients and tests.
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
