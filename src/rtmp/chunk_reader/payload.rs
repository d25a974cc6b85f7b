//! Where the bytes of messages under assembly are kept.

use crate::rtmp::Error;

/// Where the payload of a message under assembly is kept.
pub trait Payload {
    /// Appends as many of `bytes` as there is room for; returns how many.
    fn extend(&mut self, bytes: &[u8]) -> usize;
    /// Bytes so far.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Gives the memory back, but for a little that the next message will need.
    fn clear(&mut self);
    /// The bytes, in order, in as many slices as they lie in.
    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone;
}

/// Makes empty payloads: an arena, or [`Heap`].
pub trait PayloadSource {
    /// What it makes.
    type Payload: Payload;
    /// An empty payload, which holds no memory yet.
    fn payload(&self) -> Self::Payload;

    /// Pays for so many bytes, in all, that a reader's own tables take from now on.
    fn pay(&self, bytes: usize) -> Result<(), Error> {
        let _ = bytes;
        Ok(())
    }
}

/// Payloads in ordinary vectors, for clients and tests.
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
