//! Staging: bytes of a file on their way to the disk, so that few writes are long instead of many short.
//!
//! ```text
//! log --copy--> [block 16 KiB][block] ... [block]   2 to 16 blocks of the arena
//!               `----------- one write ---------'   up to 256 KiB
//! ```
//!
//! Two blocks are kept as long as the recording lasts. The others are taken when there is much to write,
//! if the arena has blocks that nobody else claims, and returned afterwards.

use std::io::{self, IoSlice};

use super::disk::DiskFile;
use crate::live::arena::{Account, Arena, BLOCK_LEN, Block};

/// The number of blocks that are kept.
const FEWEST: usize = 2;

/// The maximum number of blocks: 256 KiB.
const MOST: usize = 16;

/// See the module's documentation.
pub struct Staging {
    account: Account,
    blocks: Vec<Block>,
    /// The number of bytes in the blocks.
    len: usize,
}

impl Staging {
    /// Takes the first blocks; `None` if the arena has none.
    pub fn new(arena: &Arena) -> Option<Staging> {
        let mut account = arena.account();
        // Counts as no stream, and takes only what no stream claims.
        account.set_running(false);
        let mut staging = Staging {
            account,
            blocks: Vec::with_capacity(MOST),
            len: 0,
        };
        staging.grow(FEWEST);
        (staging.blocks.len() == FEWEST).then_some(staging)
    }

    /// The number of bytes that aren't written yet.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The free bytes that follow those that aren't written yet; empty when a [`flush`](Self::flush) is due.
    pub fn room(&mut self) -> &mut [u8] {
        let index = self.len / BLOCK_LEN;
        if index == self.blocks.len() && index < MOST {
            self.grow(index + 1);
        }
        let block = self.blocks.get_mut(index);
        block.map_or(&mut [], |block| {
            &mut block.bytes_mut()[self.len % BLOCK_LEN..]
        })
    }

    /// Takes over bytes that were written into the [`room`](Self::room).
    pub fn extend(&mut self, count: usize) {
        self.len = (self.len + count).min(self.blocks.len() * BLOCK_LEN);
    }

    /// Copies bytes, and writes when there is no more room. `offset` is the position in the file of the
    /// first byte that isn't written yet, and moves on.
    pub fn push(
        &mut self,
        file: &mut dyn DiskFile,
        offset: &mut u64,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.room();
            let count = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            room[..count].copy_from_slice(now);
            bytes = later;
            self.extend(count);
            if count == 0 {
                self.flush(file, offset)?;
            }
        }
        Ok(())
    }

    /// Writes all bytes at a position in the file, which moves on. If that fails, they are lost.
    pub fn flush(&mut self, file: &mut dyn DiskFile, offset: &mut u64) -> io::Result<()> {
        let len = std::mem::take(&mut self.len);
        if len == 0 {
            return Ok(());
        }
        let mut slices = [(); MOST].map(|()| IoSlice::new(&[]));
        let mut left = len;
        let mut count = 0;
        for (slice, block) in slices.iter_mut().zip(&self.blocks) {
            let now = left.min(BLOCK_LEN);
            *slice = IoSlice::new(&block.bytes()[..now]);
            left -= now;
            count += usize::from(now > 0);
        }
        file.write_at(*offset, &slices[..count])?;
        *offset += len as u64;
        Ok(())
    }

    /// As much room as there is, for bytes that its user writes. It must be [released](Self::release).
    pub fn whole(&mut self) -> Vec<&mut [u8]> {
        self.grow(MOST);
        self.blocks.iter_mut().map(Block::bytes_mut).collect()
    }

    /// Forgets what isn't written, and returns the blocks that aren't kept.
    pub fn release(&mut self) {
        self.len = 0;
        self.blocks.truncate(FEWEST);
    }

    fn grow(&mut self, count: usize) {
        while self.blocks.len() < count {
            match self.account.take() {
                Some(block) => self.blocks.push(block),
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{BLOCK_LEN, FEWEST, MOST, Staging};
    use crate::live::arena::Arena;
    use crate::record::disk::Disk;
    use crate::record::disk::sim::SimDisk;

    #[test]
    fn bytes_arrive_in_order_in_few_writes() {
        let arena = Arena::new(64 * BLOCK_LEN);
        let mut staging = Staging::new(&arena).unwrap();
        let disk = SimDisk::new();
        let mut file = disk.create(Path::new("a")).unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32)
            .map(|i| (i.wrapping_mul(i) >> 8) as u8)
            .collect();
        let mut offset = 0;
        for piece in bytes.chunks(7_777) {
            staging.push(file.as_mut(), &mut offset, piece).unwrap();
        }
        staging.flush(file.as_mut(), &mut offset).unwrap();
        assert_eq!(offset, 1_000_000);
        assert!(disk.bytes("a").unwrap() == bytes);
        let counts = disk.counts();
        assert_eq!((counts.writes, counts.longest_write), (4, MOST * BLOCK_LEN));
        staging.release();
        assert_eq!(arena.free_blocks(), 64 - FEWEST);
        drop(staging);
        assert_eq!(arena.free_blocks(), 64);
    }

    #[test]
    fn two_blocks_are_enough_when_the_arena_is_full() {
        let arena = Arena::new(64 * BLOCK_LEN);
        let mut staging = Staging::new(&arena).unwrap();
        let mut stream = arena.account();
        let held: Vec<_> = std::iter::from_fn(|| stream.take()).collect();
        let others: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        assert!(arena.free_blocks() == 0 && held.len() > others.len());
        assert!(Staging::new(&arena).is_none());
        let disk = SimDisk::new();
        let mut file = disk.create(Path::new("a")).unwrap();
        let mut offset = 0;
        let bytes = vec![7; 100_000];
        staging.push(file.as_mut(), &mut offset, &bytes).unwrap();
        staging.flush(file.as_mut(), &mut offset).unwrap();
        assert!(disk.bytes("a").unwrap() == bytes);
    }
}
