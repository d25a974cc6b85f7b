//! Messages under assembly in blocks of the arena.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::arena::{Arena, BLOCK_LEN, Block};
use crate::allowance::{Allowance, Taken};
use crate::rtmp::Error;
use crate::rtmp::chunk_reader::{Payload, PayloadSource};

/// The number of bytes on the heap before a message takes its first block. Commands fit, so clients can
/// connect while others hold all blocks, and a message that is begun and never continued holds no
/// block. The connection's allowance pays for the bytes; if it can't, a block is taken at once.
pub const SMALL_LEN: usize = 512;

/// The number of blocks by which the list of a message grows. No block is in two lists, so the arena
/// bounds their length.
const LIST_STEP: usize = 4;

/// The longest list that is kept for the next message, in blocks: that of a message of 256 KiB.
const MAX_KEPT_LIST: usize = 16;

/// Assembles the messages of one connection.
///
/// A publisher's assembly keeps some of the blocks that it has used for the next message, so that other
/// clients that wait for memory can't stop a running stream.
#[derive(Clone)]
pub struct Assembly {
    arena: Arena,
    shared: Rc<AssemblyBlocks>,
}

struct AssemblyBlocks {
    /// Whether blocks come from the strangers' share, as long as none are kept.
    is_bounded: bool,
    allowance: Allowance,
    /// Pays for the tables of the chunk reader.
    tables: RefCell<Option<Taken>>,
    /// The maximum number of spare blocks that are kept.
    most: Cell<usize>,
    spare: RefCell<Vec<Block>>,
    /// The number of blocks taken as a publisher that haven't been returned.
    held: Cell<usize>,
}

impl Assembly {
    /// An assembly that keeps no blocks, for a connection with this allowance.
    pub fn new(arena: Arena, allowance: Allowance) -> Assembly {
        Assembly::with(arena, allowance, true)
    }

    fn with(arena: Arena, allowance: Allowance, is_bounded: bool) -> Assembly {
        Assembly {
            arena,
            // Without `..default()`, which would put a second one on the thread's stack.
            shared: Rc::new(AssemblyBlocks {
                is_bounded,
                allowance,
                tables: RefCell::default(),
                most: Cell::new(0),
                spare: RefCell::default(),
                held: Cell::new(0),
            }),
        }
    }

    /// Keeps up to this many blocks from now on.
    pub fn keep(&self, most: usize) {
        self.shared.most.set(most);
        let mut spare = self.shared.spare.borrow_mut();
        self.forget(spare.len().saturating_sub(most));
        spare.truncate(most);
        let missing = most - spare.len();
        spare.reserve_exact(missing);
    }

    /// Takes a block: a spare one, or one from the arena.
    pub fn take(&self) -> Option<Block> {
        let spare = self.shared.spare.borrow_mut().pop();
        spare.or_else(|| match self.shared.most.get() {
            0 if self.shared.is_bounded => self.arena.take_as_stranger(),
            _ => {
                let block = self.arena.take_beside(self.shared.held.get())?;
                self.shared.held.set(self.shared.held.get() + 1);
                Some(block)
            }
        })
    }

    /// Counts blocks that were returned.
    fn forget(&self, blocks: usize) {
        let held = &self.shared.held;
        held.set(held.get().saturating_sub(blocks));
    }

    fn give_back(&self, blocks: &mut Vec<Block>) {
        let mut spare = self.shared.spare.borrow_mut();
        let most = self.shared.most.get().saturating_sub(spare.len());
        spare.extend(blocks.drain(blocks.len().saturating_sub(most)..));
        self.forget(blocks.len());
        blocks.clear();
    }
}

/// The payload of one message while its chunks arrive. Blocks are taken as bytes arrive and returned
/// when the message has been handled; a short list of them is kept for the next message.
pub struct BlockPayload {
    assembly: Assembly,
    /// All bytes, while they are few.
    small: Vec<u8>,
    /// The connection's payment for `small`.
    paid: Option<Taken>,
    blocks: Vec<Block>,
    len: usize,
}

impl PayloadSource for Arena {
    type Payload = BlockPayload;

    fn payload(&self) -> BlockPayload {
        Assembly::with(self.clone(), Allowance::default(), false).payload()
    }
}

impl PayloadSource for Assembly {
    type Payload = BlockPayload;

    fn payload(&self) -> BlockPayload {
        BlockPayload {
            assembly: self.clone(),
            small: Vec::new(),
            paid: None,
            blocks: Vec::new(),
            len: 0,
        }
    }

    fn pay(&self, bytes: usize) -> Result<(), Error> {
        let mut tables = self.shared.tables.borrow_mut();
        let allowance = &self.shared.allowance;
        let result = match &mut *tables {
            Some(taken) => taken.resize(bytes),
            None => allowance.take(bytes).map(|taken| *tables = Some(taken)),
        };
        result.map_err(|exceeded| {
            let what = "bytes that chunk streams take beyond what is left for the connection";
            Error::limit(what, exceeded.wanted as u64, exceeded.left as u64)
        })
    }
}

impl Payload for BlockPayload {
    fn extend(&mut self, bytes: &[u8]) -> usize {
        let is_small = self.len + bytes.len() <= SMALL_LEN && self.blocks.is_empty();
        if is_small && self.has_small() {
            self.small.extend_from_slice(bytes);
            self.len += bytes.len();
            return bytes.len();
        }
        if !self.small.is_empty() && !self.move_to_block() {
            return 0;
        }
        let mut left = bytes;
        while !left.is_empty() {
            let offset = self.len % BLOCK_LEN;
            if self.len / BLOCK_LEN == self.blocks.len() {
                let Some(block) = self.assembly.take() else {
                    break;
                };
                self.list(block);
            }
            let Some(block) = self.blocks.last_mut() else {
                break;
            };
            let (now, later) = left.split_at(left.len().min(BLOCK_LEN - offset));
            block.bytes_mut()[offset..offset + now.len()].copy_from_slice(now);
            self.len += now.len();
            left = later;
        }
        bytes.len() - left.len()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn clear(&mut self) {
        self.small.clear();
        self.assembly.give_back(&mut self.blocks);
        let is_publisher = self.assembly.shared.most.get() > 0;
        if !is_publisher {
            self.small = Vec::new();
            self.paid = None;
        }
        if !is_publisher || self.blocks.capacity() > MAX_KEPT_LIST {
            self.blocks = Vec::new();
        }
        self.len = 0;
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let small = Some(self.small.as_slice()).filter(|small| !small.is_empty());
        let blocks = self.blocks.iter().enumerate().map(|(index, block)| {
            let used = self.len.saturating_sub(index * BLOCK_LEN).min(BLOCK_LEN);
            &block.bytes()[..used]
        });
        small.into_iter().chain(blocks)
    }
}

impl Drop for BlockPayload {
    fn drop(&mut self) {
        self.assembly.forget(self.blocks.len());
    }
}

impl BlockPayload {
    /// Moves the few bytes into the first block. Returns false if there is no block.
    fn move_to_block(&mut self) -> bool {
        let Some(mut block) = self.assembly.take() else {
            return false;
        };
        block.bytes_mut()[..self.len].copy_from_slice(&self.small);
        self.small.clear();
        self.list(block);
        true
    }

    /// Whether a few bytes may be on the heap.
    fn has_small(&mut self) -> bool {
        if self.paid.is_none() {
            self.paid = self.assembly.shared.allowance.take(SMALL_LEN).ok();
            if self.paid.is_some() {
                self.small.reserve_exact(SMALL_LEN);
            }
        }
        self.paid.is_some()
    }

    fn list(&mut self, block: Block) {
        if self.blocks.len() == self.blocks.capacity() {
            self.blocks.reserve_exact(LIST_STEP);
        }
        self.blocks.push(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_spans_blocks_and_gives_them_back() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let mut payload = arena.payload();
        let bytes: Vec<u8> = (0..BLOCK_LEN * 2 + 5).map(|i| (i % 251) as u8).collect();
        for piece in bytes.chunks(1000) {
            assert_eq!(payload.extend(piece), piece.len());
        }
        assert_eq!(payload.parts().collect::<Vec<_>>().concat(), bytes);
        assert_eq!(arena.free_blocks(), 1);
        payload.clear();
        assert_eq!(arena.free_blocks(), 4);
        assert!(payload.is_empty());
    }

    #[test]
    fn a_few_bytes_take_no_block() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let bytes: Vec<u8> = (0..SMALL_LEN * 2).map(|i| (i % 251) as u8).collect();
        for piece in [1, 7, SMALL_LEN, SMALL_LEN * 2] {
            let mut payload = arena.payload();
            for (index, piece) in bytes.chunks(piece).enumerate() {
                assert_eq!(payload.extend(piece), piece.len());
                let len = payload.len();
                assert_eq!(payload.parts().collect::<Vec<_>>().concat(), bytes[..len]);
                let blocks = usize::from(len > SMALL_LEN);
                assert_eq!(arena.free_blocks(), 4 - blocks, "piece {index}");
            }
            payload.clear();
            assert_eq!(payload.parts().count(), 0);
            assert_eq!(arena.free_blocks(), 4);
        }
    }

    #[test]
    fn a_publisher_keeps_some_of_its_blocks_for_the_next_message() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let assembly = Assembly::new(arena.clone(), Allowance::default());
        assembly.keep(1);
        let mut payload = assembly.payload();
        payload.extend(&[7; 3 * BLOCK_LEN]);
        payload.clear();
        assert_eq!(arena.free_blocks(), 3);
        let _others: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        let mut next = assembly.payload();
        assert_eq!(next.extend(&[8; 2 * BLOCK_LEN]), BLOCK_LEN);
        next.clear();
        assembly.keep(0);
        assert_eq!(arena.free_blocks(), 1);
    }

    #[test]
    fn bytes_on_the_heap_are_paid_for_until_the_message_is_cleared() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let allowance = Allowance::new(SMALL_LEN + 10);
        let assembly = Assembly::new(arena.clone(), allowance.clone());
        let mut first = assembly.payload();
        first.extend(b"a few bytes");
        assert_eq!((allowance.left(), arena.free_blocks()), (10, 4));
        // The first one uses up the allowance, so the second one takes a block.
        let mut second = assembly.payload();
        second.extend(b"a few bytes");
        assert_eq!((allowance.left(), arena.free_blocks()), (10, 3));
        // A publisher's block is kept for the next message and stays paid for.
        assembly.keep(1);
        first.clear();
        assert_eq!(allowance.left(), 10);
        assembly.keep(0);
        first.clear();
        assert_eq!(allowance.left(), SMALL_LEN + 10);
        drop(second);
        assert_eq!(arena.free_blocks(), 4);

        assembly.pay(SMALL_LEN).unwrap();
        assembly.pay(20).unwrap();
        assert_eq!(allowance.left(), SMALL_LEN - 10);
        let error = assembly.pay(SMALL_LEN + 11).unwrap_err();
        assert!(matches!(
            error,
            Error::Limit {
                got: 503,
                allowed: 502,
                ..
            }
        ));
    }

    #[test]
    fn the_list_of_a_long_message_is_not_kept() {
        let arena = Arena::new(40 * BLOCK_LEN);
        let assembly = Assembly::new(arena.clone(), Allowance::default());
        assembly.keep(1);
        let mut payload = assembly.payload();
        payload.extend(&vec![7; 16 * BLOCK_LEN]);
        payload.clear();
        assert_eq!(payload.blocks.capacity(), 16);
        payload.extend(&vec![7; 40 * BLOCK_LEN]);
        payload.clear();
        assert_eq!(payload.blocks.capacity(), 0);
    }

    #[test]
    fn without_blocks_only_a_few_bytes_are_taken() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let _all: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        let mut payload = arena.payload();
        assert_eq!(payload.extend(&[7; SMALL_LEN]), SMALL_LEN);
        assert_eq!(payload.extend(&[7]), 0);
        assert_eq!(payload.len(), SMALL_LEN);
    }

    #[test]
    fn a_full_arena_takes_what_fits_and_says_how_much() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let mut payload = arena.payload();
        let bytes = vec![7; BLOCK_LEN * 4 + 1];
        assert_eq!(payload.extend(&bytes), BLOCK_LEN * 4);
        assert_eq!(payload.extend(&[7]), 0);
        assert_eq!(payload.len(), BLOCK_LEN * 4);
    }
}
