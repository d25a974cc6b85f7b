//! The memory of all media: a fixed number of equal blocks, claimed once.
//!
//! ```text
//! Arena (32 MiB)   [block 16 KiB][block][block] ... [block]
//!                      |            |
//!                      |            +-- free, or in a log, or under assembly
//!                      +-- a `Block` is owned by whoever took it and goes home when dropped
//! ```
//!
//! Invariant: blocks are neither created nor destroyed after [`Arena::new`]; when none is left,
//! [`Arena::take`] says so and the caller evicts something of its own. Untouched blocks cost
//! address space only, and the block returned last is handed out first, so the resident size
//! follows what is really in use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;

/// Length of a block in bytes: large enough that a 4 Mbit/s picture is one or two slices for
/// `sendmsg`, small enough that an audio-only stream doesn't hoard.
pub const BLOCK_LEN: usize = 16 * 1024;

/// A handle on the arena; clones share the same blocks.
#[derive(Clone)]
pub struct Arena {
    shared: Arc<Shared>,
}

struct Shared {
    free: Mutex<Vec<&'static mut [u8]>>,
    total: usize,
    /// Logs that hold blocks, or soon will: the divisor of the fair share.
    logs: AtomicUsize,
}

/// A block on loan: [`BLOCK_LEN`] bytes with stale content.
pub struct Block {
    bytes: &'static mut [u8],
    home: Arc<Shared>,
}

/// Proof that a log is counted in [`Arena::fair_share`]; dropping it gives the share back.
pub struct Share {
    shared: Arc<Shared>,
}

impl Arena {
    /// Claims `bytes` of memory, rounded down to whole blocks (at least four).
    ///
    /// The address space is claimed for the rest of the process: blocks are slices of one leaked
    /// allocation. That makes them ownable without unsafe code and without a header per block,
    /// which would touch a page of each. A program that starts servers again and again should
    /// keep one arena and hand out clones.
    pub fn new(bytes: usize) -> Arena {
        let total = (bytes / BLOCK_LEN).max(4);
        let slab: &'static mut [u8] = vec![0; total * BLOCK_LEN].leak();
        // Popped from the end: the lowest addresses go first and stay in use.
        let free: Vec<_> = slab.chunks_exact_mut(BLOCK_LEN).rev().collect();
        Arena {
            shared: Arc::new(Shared {
                free: Mutex::new(free),
                total,
                logs: AtomicUsize::new(0),
            }),
        }
    }

    /// A block, or `None` when all are on loan.
    pub fn take(&self) -> Option<Block> {
        let bytes = lock(&self.shared.free).pop()?;
        Some(Block {
            bytes,
            home: Arc::clone(&self.shared),
        })
    }

    /// Blocks in all.
    pub fn total_blocks(&self) -> usize {
        self.shared.total
    }

    /// Blocks not on loan at this moment.
    pub fn free_blocks(&self) -> usize {
        lock(&self.shared.free).len()
    }

    /// Counts one more log among those that share the blocks.
    pub fn share(&self) -> Share {
        self.shared.logs.fetch_add(1, Ordering::Relaxed);
        Share {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Blocks that a log may hold now: with n logs, `total / (n + 1)`. The spare share is for
    /// messages under assembly.
    pub fn fair_share(&self) -> usize {
        (self.shared.total / (self.shared.logs.load(Ordering::Relaxed) + 1)).max(1)
    }
}

impl Block {
    /// The bytes, stale ones included: the owner knows how far it has written.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        lock(&self.home.free).push(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shared.logs.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_block_goes_home_and_is_handed_out_first() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let mut block = arena.take().unwrap();
        block.bytes_mut()[0] = 0x5A;
        let other = arena.take().unwrap();
        assert_eq!(arena.free_blocks(), 2);
        drop(block);
        assert_eq!(arena.take().unwrap().bytes()[0], 0x5A);
        drop(other);
        assert_eq!(arena.free_blocks(), 4);
    }

    #[test]
    fn an_empty_arena_hands_out_nothing() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let blocks: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        assert_eq!(blocks.len(), arena.total_blocks());
        assert!(arena.take().is_none());
    }

    #[test]
    fn logs_share_fairly_and_leave_a_share_for_assembly() {
        let arena = Arena::new(12 * BLOCK_LEN);
        assert_eq!(arena.fair_share(), 12);
        let one = arena.share();
        assert_eq!(arena.fair_share(), 6);
        let two = arena.share();
        assert_eq!(arena.fair_share(), 4);
        drop((one, two));
        assert_eq!(arena.fair_share(), 12);
    }
}
