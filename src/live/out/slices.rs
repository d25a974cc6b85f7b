//! A vectored send under preparation, of at most `N` slices.

use std::io::IoSlice;

/// See the module's documentation.
pub(in crate::live) struct Slices<'a, const N: usize> {
    slices: [IoSlice<'a>; N],
    count: usize,
    /// The total number of bytes.
    pub(super) len: u64,
}

impl<'a, const N: usize> Slices<'a, N> {
    pub(in crate::live) fn new() -> Slices<'a, N> {
        Slices {
            slices: [IoSlice::new(&[]); N],
            count: 0,
            len: 0,
        }
    }

    /// Adds a slice. A slice that doesn't fit is left for the next send.
    pub(in crate::live) fn push(&mut self, bytes: &'a [u8]) {
        if let Some(slot) = self.slices.get_mut(self.count) {
            *slot = IoSlice::new(bytes);
            self.count += 1;
            self.len += bytes.len() as u64;
        }
    }

    /// Whether nothing more fits.
    pub(in crate::live) fn is_full(&self) -> bool {
        self.count == N
    }

    pub(in crate::live) fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.count]
    }
}
