//! The memory of all media: a fixed number of equal blocks, claimed once and shared by need.
//!
//! ```text
//! Arena (32 MiB)   [block 16 KiB][block][block] ... [block]
//!                      |            |
//!                      |            +-- free, or in a log, or under assembly
//!                      +-- a `Block` belongs to its taker and returns to the pool when dropped
//! ```
//!
//! Invariant: blocks are neither created nor destroyed after [`Arena::new`]. Untouched blocks cost
//! address space only, and the block that was returned last is handed out first, so the resident size
//! follows what is in use.
//!
//! # Who gets a block when blocks are short
//!
//! Each stream has an [`Account`], which takes the blocks that it needs as long as there are enough.
//! When there aren't, a *level* limits how many blocks an account may hold: the largest number that
//! still leaves enough blocks for all accounts if none of them holds more.
//!
//! ```text
//! needs     2  3  40  25  400        of 100 blocks
//! gets      2  3  35  25   35        level 35
//! ```
//!
//! An account below the level gets the block that it asks for. An account above the level gives up
//! its oldest blocks: when it takes the next one, or when another account asks it to (see
//! [`Holder`]). Until then blocks come from a reserve. Streams without a publisher have level 0.
//!
//! *Spare* blocks are kept for future viewers. They count as free: when blocks are short, they are
//! given up before all others, whatever the level. As long as blocks aren't short, all accounts
//! together keep at most half of all blocks as spare ones and leave one and a half times the reserve
//! free; the accounts that keep the most give them up first.
//!
//! As many blocks as an account's newest GOPs occupied are *protected*: they are set aside for the
//! account even while it holds fewer, and even above the level. At most half of all blocks are
//! protected for one account, and at most three quarters for all accounts. So later streams can't push
//! out earlier ones: they share the other blocks, or are refused at once when there are none (see
//! [`ArenaFull`]).

mod account;
mod pool;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::allowance::one_client;
pub use account::Account;
use pool::{ASSEMBLY, PLENTY, Pool, RESERVE, STRANGER};
pub use pool::{BLOCK_LEN, Block, Holder};

/// The maximum length of list entries per block, in bytes: in the free list, and in the list of the log
/// that holds the block, even while that list grows.
const LISTED_LEN: usize = 16 + 3 * 48;

/// A handle on the arena; clones share the same blocks.
#[derive(Clone)]
pub struct Arena {
    pool: Arc<Pool>,
}

/// The reason why no account was opened for another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArenaFull {
    /// The arena has no blocks for another stream.
    InAll {
        /// The number of streams that are published.
        streams: usize,
        /// The number of bytes that these streams hold.
        bytes: usize,
    },
    /// The client already has this many streams.
    PerClient(usize),
}

impl fmt::Display for ArenaFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArenaFull::InAll { streams, bytes } => write!(
                f,
                "no memory for another stream: {streams} streams hold {} kB (raise --memory)",
                bytes / 1000
            ),
            ArenaFull::PerClient(streams) => write!(
                f,
                "{streams} streams come from this address already (raise --max-per-address)"
            ),
        }
    }
}

impl Arena {
    /// Claims `bytes` of memory, rounded down to whole blocks (at least four).
    ///
    /// The address space is claimed for the rest of the process: blocks are slices of one leaked
    /// allocation. So a block can be owned without unsafe code and without a header per block, which
    /// would touch a page of each block. An arena reuses the blocks of earlier arenas that were
    /// dropped.
    pub fn new(bytes: usize) -> Arena {
        let total = (bytes / BLOCK_LEN).max(4);
        Arena {
            pool: Arc::new(Pool::new(total)),
        }
    }

    /// Claims `bytes` of memory, including the lists of blocks.
    pub fn within(bytes: usize) -> Arena {
        Arena::new(bytes / (BLOCK_LEN + LISTED_LEN) * BLOCK_LEN)
    }

    /// The number of bytes that streams share in an arena [within](Arena::within) `bytes`, without the
    /// lists of blocks and the reserve.
    pub fn shared_len(bytes: usize) -> usize {
        let total = bytes / (BLOCK_LEN + LISTED_LEN);
        (total - total / RESERVE) * BLOCK_LEN
    }

    /// Takes a block for a publisher's message; `None` if all free blocks are set aside for streams.
    pub fn take(&self) -> Option<Block> {
        self.take_beside(0)
    }

    /// Takes a block for a publisher that already holds `held` blocks for messages. Each publisher has
    /// an equal part of the reserve, which others can't use for long messages.
    pub fn take_beside(&self, held: usize) -> Option<Block> {
        let mut state = self.pool.lock();
        let left = state.free.len().saturating_sub(state.owed);
        let running = state.accounts.iter().filter(|slot| slot.is_running);
        let others = running.count().saturating_sub(1);
        let part = self.pool.reserve() / (others + 1);
        if left == 0 || held >= part && left <= part * others {
            return None;
        }
        state.assembly += 1;
        self.pool.hand_out(&mut state, ASSEMBLY)
    }

    /// Takes a block for a connection that doesn't publish. All such connections share an eighth of the
    /// blocks.
    pub fn take_as_stranger(&self) -> Option<Block> {
        let mut state = self.pool.lock();
        let most = (self.pool.total / 8).max(1);
        if state.free.len() <= state.owed || state.strangers >= most {
            return None;
        }
        state.assembly += 1;
        state.strangers += 1;
        self.pool.hand_out(&mut state, STRANGER)
    }

    /// The total number of blocks.
    pub fn total_blocks(&self) -> usize {
        self.pool.total
    }

    /// The number of blocks that aren't on loan at this moment.
    pub fn free_blocks(&self) -> usize {
        self.pool.lock().free.len()
    }

    /// Sets how many streams a client may have, including those that wait for their publisher to
    /// return.
    pub fn set_streams_per_client(&self, most: usize) {
        self.pool.per_client.store(most, Ordering::Relaxed);
    }

    /// Opens an account for a stream that a client wants to publish, unless the stream would get hardly
    /// any blocks. An IPv6 network that may belong to a single host counts as one client.
    pub fn admit(&self, client: IpAddr) -> Result<Account, ArenaFull> {
        let client = one_client(client);
        let mut state = self.pool.lock();
        let per_client = self.pool.per_client.load(Ordering::Relaxed);
        let its_own = state.accounts.iter().filter(|s| s.client == Some(client));
        if its_own.count() >= per_client {
            return Err(ArenaFull::PerClient(per_client));
        }
        // Streams that have just begun hold few blocks, but will need some soon.
        if self.pool.level_for(&state, None, 2) < self.pool.least() {
            let running = state.accounts.iter().filter(|slot| slot.is_running);
            return Err(ArenaFull::InAll {
                streams: running.clone().count(),
                bytes: running.map(|slot| slot.held).sum::<usize>() * BLOCK_LEN,
            });
        }
        Ok(Account::open(&self.pool, &mut state, Some(client)))
    }

    /// Opens an account, no matter how few blocks it will get.
    pub fn account(&self) -> Account {
        Account::open(&self.pool, &mut self.pool.lock(), None)
    }

    /// Whether there are enough blocks for all accounts.
    pub fn has_plenty(&self) -> bool {
        self.pool.level.load(Ordering::Relaxed) == PLENTY
    }

    /// Asks accounts above the level to give up blocks, if blocks are short. Must be called without
    /// holding a stream's lock.
    pub fn reclaim(&self) {
        /// The maximum number of holders that are asked in one call.
        const ASKED: usize = 4;

        let level = self.pool.level.load(Ordering::Relaxed);
        if level == PLENTY {
            return;
        }
        let mut victims: [Option<(Arc<dyn Holder>, usize)>; ASKED] = [const { None }; ASKED];
        {
            let state = self.pool.lock();
            let mut places = victims.iter_mut();
            // Accounts without a publisher and accounts with spare blocks come first, then all others.
            'all: for is_useful in [false, true] {
                for slot in &state.accounts {
                    let excess = slot.excess(level);
                    let has_use = slot.is_running && slot.spare == 0;
                    if !slot.is_open || has_use != is_useful || excess == 0 {
                        continue;
                    }
                    let holder = slot.holder.as_ref();
                    let Some(holder) = holder.filter(|holder| holder.strong_count() > 0) else {
                        continue;
                    };
                    // The place is checked first. Without a place the holder would be dropped here, and
                    // if this is the last reference to it, that returns its blocks, which takes this
                    // lock.
                    let Some(place) = places.next() else {
                        break 'all;
                    };
                    *place = holder.upgrade().map(|holder| (holder, excess));
                }
            }
        }
        for (holder, count) in victims.iter().flatten() {
            holder.give_up(*count);
        }
    }
}

#[cfg(test)]
mod tests;
