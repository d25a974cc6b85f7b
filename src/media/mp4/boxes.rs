//! A writer of boxes, each with a size, four letters, and a body (ISO/IEC 14496-12, 4.2).
//!
//! ```text
//! 00 00 00 10 66 72 6D 61   size 16, "frma"
//! 61 76 63 31 00 00 00 00   body: numbers, and other boxes
//! ```
//!
//! The size of a box is only known at its end, and is filled in then.

/// A buffer of boxes and bytes.
pub(super) struct Boxes(pub(super) Vec<u8>);

/// The position of an open box.
#[must_use]
pub(super) struct Begun(usize);

impl Boxes {
    #[inline(never)]
    pub(super) fn begin(&mut self, name: &[u8; 4]) -> Begun {
        let begun = Begun(self.0.len());
        self.u32(0);
        self.bytes(name);
        begun
    }

    /// Begins a box with a version and flags.
    pub(super) fn begin_full(&mut self, name: &[u8; 4], version_and_flags: u32) -> Begun {
        let begun = self.begin(name);
        self.u32(version_and_flags);
        begun
    }

    pub(super) fn end(&mut self, begun: Begun) {
        self.end_with(begun, 0);
    }

    /// Ends a box that has another `more` bytes, which aren't in this buffer.
    #[inline(never)]
    pub(super) fn end_with(&mut self, Begun(start): Begun, more: u64) {
        let len = (self.0.len().saturating_sub(start) as u64).saturating_add(more) as u32;
        if let Some(size) = self.0.get_mut(start..start.saturating_add(4)) {
            size.copy_from_slice(&len.to_be_bytes());
        }
    }

    // Not inlined, like the other methods: otherwise every call would contain the code that grows the
    // vector.
    #[inline(never)]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    #[inline(never)]
    pub(super) fn zeros(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    pub(super) fn u8(&mut self, number: u8) {
        self.bytes(&[number]);
    }

    pub(super) fn u16(&mut self, number: u16) {
        self.bytes(&number.to_be_bytes());
    }

    #[inline(never)]
    pub(super) fn u32(&mut self, number: u32) {
        self.bytes(&number.to_be_bytes());
    }

    #[cfg(feature = "record")]
    pub(super) fn u64(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_box_includes_its_contents() {
        let mut boxes = Boxes(Vec::new());
        let outer = boxes.begin(b"moof");
        let inner = boxes.begin_full(b"tfhd", 0x0002_0000);
        boxes.u32(1);
        boxes.end(inner);
        let empty = boxes.begin(b"free");
        boxes.end(empty);
        boxes.end(outer);
        assert_eq!(
            boxes.0,
            b"\0\0\0\x20moof\0\0\0\x10tfhd\0\x02\0\0\0\0\0\x01\0\0\0\x08free"
        );
    }
}
