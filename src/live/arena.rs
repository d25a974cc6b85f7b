//! The memory of all media: a fixed number of equal blocks, claimed once and shared by need.
//!
//! ```text
//! Arena (32 MiB)   [block 16 KiB][block][block] ... [block]
//!                      |            |
//!                      |            +-- free, or in a log, or under assembly
//!                      +-- a `Block` belongs to its taker and goes home when dropped
//! ```
//!
//! Invariant: blocks are neither created nor destroyed after [`Arena::new`]. Untouched blocks cost
//! address space only, and the block that was returned last is handed out first, so the resident size
//! follows what is in use.
//!
//! # Who gets a block when there are few
//!
//! Each stream has an [`Account`], which takes what it needs as long as there are enough blocks. When
//! there aren't, a *level* limits what an account may hold: the highest number of blocks such that
//! there are enough for all accounts if none holds more.
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
//! *Spare* blocks are kept for viewers that may come. They count as free: when blocks are short, they
//! are given up before all others, whatever the level. Until then all accounts together keep at most
//! half of all blocks as spare ones, and leave one and a half times the reserve free: those that keep
//! the most give them up first.
//!
//! The blocks that an account's newest GOPs took are *protected*: they are set aside for it even while
//! it holds fewer, and even above the level; at most half of all blocks for one account and three
//! quarters for all. So later streams can't push out earlier ones: they share the rest, or are refused
//! at once when there is none (see [`ArenaFull`]).

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

/// The most bytes that lists of blocks take for each block: the free list, and the list of the log
/// that holds it, while that grows.
const LISTED_LEN: usize = 16 + 3 * 48;

/// A handle on the arena; clones share the same blocks.
#[derive(Clone)]
pub struct Arena {
    pool: Arc<Pool>,
}

/// Why there is no account for another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArenaFull {
    /// The arena has no blocks for it.
    InAll {
        /// The number of streams that are published.
        streams: usize,
        /// The bytes that they hold.
        bytes: usize,
    },
    /// The client has this many already.
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
    /// allocation. That makes them ownable without unsafe code and without a header per block,
    /// which would touch a page of each. Arenas take the blocks of earlier ones that were dropped.
    pub fn new(bytes: usize) -> Arena {
        let total = (bytes / BLOCK_LEN).max(4);
        Arena {
            pool: Arc::new(Pool::new(total)),
        }
    }

    /// Claims `bytes` of memory, with the lists of blocks included.
    pub fn within(bytes: usize) -> Arena {
        Arena::new(bytes / (BLOCK_LEN + LISTED_LEN) * BLOCK_LEN)
    }

    /// The bytes that streams share in an arena [within](Arena::within) `bytes`: without the lists of
    /// blocks and the reserve.
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

    /// Takes a block for a connection that doesn't publish: all of these share an eighth of the blocks.
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
    /// come back.
    pub fn set_streams_per_client(&self, most: usize) {
        self.pool.per_client.store(most, Ordering::Relaxed);
    }

    /// Opens an account for a stream that a client wants to publish, unless it would get hardly any
    /// blocks. An IPv6 network that one host may have counts as one client.
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

    /// Opens an account, however few blocks it will get.
    pub fn account(&self) -> Account {
        Account::open(&self.pool, &mut self.pool.lock(), None)
    }

    /// Whether there are enough blocks for all accounts.
    pub fn has_plenty(&self) -> bool {
        self.pool.level.load(Ordering::Relaxed) == PLENTY
    }

    /// Asks accounts above the level to give up blocks, if these are short. To be called without a
    /// stream's lock.
    pub fn reclaim(&self) {
        /// The most holders that are asked in one call.
        const ASKED: usize = 4;

        let level = self.pool.level.load(Ordering::Relaxed);
        if level == PLENTY {
            return;
        }
        let mut victims: [Option<(Arc<dyn Holder>, usize)>; ASKED] = [const { None }; ASKED];
        {
            let state = self.pool.lock();
            let mut places = victims.iter_mut();
            // First those without a publisher and those with spare blocks, then all others.
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
                    // The place comes first. Without one the holder would be dropped here; if this is
                    // the last reference to it, that returns its blocks, which takes this lock.
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
