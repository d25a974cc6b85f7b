//! Short byte strings of varying length, stored in place.

/// At most `N` bytes; `N` is at most 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortBytes<const N: usize> {
    /// The bytes after the first `len` are 0.
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> ShortBytes<N> {
    pub(crate) fn new() -> ShortBytes<N> {
        ShortBytes {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Appends bytes, or nothing if there isn't room for all of them.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let start = self.len();
        if let Some(free) = self.bytes.get_mut(start..start + bytes.len()) {
            free.copy_from_slice(bytes);
            self.len += bytes.len() as u8;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.into()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }
}
