//! Messages under assembly in blocks of the arena.

use super::arena::{Arena, BLOCK_LEN, Block};
use crate::rtmp::chunk_reader::{Payload, PayloadSource};

/// The payload of one message while its chunks arrive. Blocks are taken as bytes come and go home
/// when the message has been handled; the list itself is kept for the next message.
pub struct BlockPayload {
    arena: Arena,
    blocks: Vec<Block>,
    len: usize,
}

impl PayloadSource for Arena {
    type Payload = BlockPayload;

    fn payload(&self) -> BlockPayload {
        BlockPayload {
            arena: self.clone(),
            blocks: Vec::new(),
            len: 0,
        }
    }
}

impl Payload for BlockPayload {
    fn extend(&mut self, bytes: &[u8]) -> usize {
        let mut left = bytes;
        while !left.is_empty() {
            let offset = self.len % BLOCK_LEN;
            if self.len / BLOCK_LEN == self.blocks.len() {
                let Some(block) = self.arena.take() else {
                    break;
                };
                self.blocks.push(block);
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
        self.blocks.clear();
        self.len = 0;
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.blocks.iter().enumerate().map(|(index, block)| {
            let used = self.len.saturating_sub(index * BLOCK_LEN).min(BLOCK_LEN);
            &block.bytes()[..used]
        })
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
    fn a_full_arena_takes_what_fits_and_says_how_much() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let mut payload = arena.payload();
        let bytes = vec![7; BLOCK_LEN * 4 + 1];
        assert_eq!(payload.extend(&bytes), BLOCK_LEN * 4);
        assert_eq!(payload.extend(&[7]), 0);
        assert_eq!(payload.len(), BLOCK_LEN * 4);
    }
}
