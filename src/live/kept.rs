//! Bytes that are kept as long as a stream: a few on the heap, more of them in a block of the arena.

use std::ops::Deref;

use super::arena::Block;

/// See the module's documentation.
pub(super) enum Kept {
    Heap(Box<[u8]>),
    /// A block, and the length of its content.
    Block(Block, usize),
}

impl Kept {
    /// Copies bytes into a block; `None` if they don't fit.
    pub(super) fn in_block(bytes: &[u8], mut block: Block) -> Option<Kept> {
        block
            .bytes_mut()
            .get_mut(..bytes.len())?
            .copy_from_slice(bytes);
        Some(Kept::Block(block, bytes.len()))
    }

    /// The number of bytes on the heap.
    pub(super) fn heap_len(&self) -> usize {
        match self {
            Kept::Heap(bytes) => bytes.len(),
            Kept::Block(..) => 0,
        }
    }
}

impl Deref for Kept {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Kept::Heap(bytes) => bytes,
            Kept::Block(block, len) => block.bytes().get(..*len).unwrap_or_default(),
        }
    }
}
