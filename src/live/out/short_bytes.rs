//! At most `N` bytes, stored in place: what stands around a payload is made without allocating.

/// See the module's documentation.
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
