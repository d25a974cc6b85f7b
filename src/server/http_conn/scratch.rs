//! Blocks of the arena that connections borrow for a short time, for a long head or a piece of a
//! segment.
//!
//! All connections together may borrow an eighth of the arena, so that a slow client with many
//! connections can't exhaust the memory of the streams. If all blocks are on loan, clients get shorter
//! buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::live::arena::{Arena, Block};

/// One in this many blocks of the arena may be on loan.
const PART: usize = 8;

/// See the module's documentation.
pub(in crate::server) struct Scratches {
    arena: Arena,
    left: Arc<AtomicUsize>,
}

/// A block on loan.
pub(super) struct Scratch {
    block: Block,
    left: Arc<AtomicUsize>,
}

impl Scratches {
    pub(in crate::server) fn new(arena: Arena) -> Scratches {
        let left = (arena.total_blocks() / PART).max(1);
        Scratches {
            arena,
            left: Arc::new(AtomicUsize::new(left)),
        }
    }

    /// Borrows a block, if one is left.
    pub(super) fn take(&self) -> Option<Scratch> {
        let relaxed = Ordering::Relaxed;
        let less = |left: usize| left.checked_sub(1);
        self.left.fetch_update(relaxed, relaxed, less).ok()?;
        match self.arena.take() {
            Some(block) => Some(Scratch {
                block,
                left: Arc::clone(&self.left),
            }),
            None => {
                self.left.fetch_add(1, relaxed);
                None
            }
        }
    }
}

impl Scratch {
    pub(super) fn bytes(&self) -> &[u8] {
        self.block.bytes()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.block.bytes_mut()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::arena::BLOCK_LEN;

    #[test]
    fn no_more_than_an_eighth_is_on_loan() {
        let arena = Arena::new(32 * BLOCK_LEN);
        let scratches = Scratches::new(arena.clone());
        let held: Vec<_> = std::iter::from_fn(|| scratches.take()).collect();
        assert_eq!((held.len(), arena.free_blocks()), (4, 28));
        drop(held);
        assert_eq!(arena.free_blocks(), 32);
        let all: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        assert!(scratches.take().is_none());
        drop(all);
        assert!(scratches.take().is_some());
    }
}
