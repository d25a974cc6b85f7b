//! The pool behind an arena: its blocks, and how many of them each account holds.

use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::live::lock;

/// The length of a block in bytes: large enough that a frame of 4 Mbit/s is one or two slices for
/// `sendmsg`, small enough that an audio-only stream doesn't hoard memory.
pub const BLOCK_LEN: usize = 16 * 1024;

/// One block in this many is in the reserve, which no stream may fill.
pub(super) const RESERVE: usize = 8;

/// The level that limits nothing, because there are enough blocks.
pub(super) const PLENTY: usize = usize::MAX;

/// The owner number of blocks that hold publishers' messages under assembly.
pub(super) const ASSEMBLY: u32 = u32::MAX;

/// The owner number of blocks that hold other connections' messages.
pub(super) const STRANGER: u32 = u32::MAX - 1;

/// See the module's documentation.
pub(super) struct Pool {
    state: Mutex<PoolState>,
    /// The total number of blocks.
    pub(super) total: usize,
    /// The maximum number of blocks that an account may keep when others need some, or [`PLENTY`].
    pub(super) level: AtomicUsize,
    /// The number of streams that one client may have.
    pub(super) per_client: AtomicUsize,
}

/// The state behind the pool's lock.
#[derive(Default)]
pub(super) struct PoolState {
    pub(super) free: Vec<&'static mut [u8]>,
    /// The number of blocks for messages under assembly, which belong to no account.
    pub(super) assembly: usize,
    /// The number of those blocks that are lent to connections that don't publish.
    pub(super) strangers: usize,
    pub(super) accounts: Vec<AccountSlot>,
    /// The number of protected blocks of all accounts.
    pub(super) protected: usize,
    /// The number of protected blocks that their accounts don't hold at the moment.
    pub(super) owed: usize,
}

/// The pool's record of an account. The numbers count blocks.
#[derive(Default)]
pub(super) struct AccountSlot {
    /// Whether the account has an owner. Blocks may still be returned after it was closed.
    pub(super) is_open: bool,
    /// Whether its stream has a publisher.
    pub(super) is_running: bool,
    pub(super) held: usize,
    /// The number of its oldest blocks that no viewer needs yet.
    pub(super) spare: usize,
    pub(super) protected: usize,
    /// The client that publishes the stream, as long as the account is open.
    pub(super) client: Option<IpAddr>,
    pub(super) holder: Option<Weak<dyn Holder>>,
}

/// The holder of an account's blocks, which can be asked to give some up.
pub trait Holder: Send + Sync {
    /// Gives up `count` blocks, the least useful first, unless the holder is busy. Must not wait.
    fn give_up(&self, count: usize);
}

/// A block on loan: [`BLOCK_LEN`] bytes with stale content. Returns to the pool when dropped.
pub struct Block {
    bytes: &'static mut [u8],
    home: Arc<Pool>,
    owner: u32,
}

/// The blocks of pools that were dropped.
static RETIRED: Mutex<Vec<&'static mut [u8]>> = Mutex::new(Vec::new());

impl Drop for Pool {
    fn drop(&mut self) {
        // Each block on loan holds a reference to its pool, so all blocks are back by now.
        lock(&RETIRED).append(&mut self.lock().free);
    }
}

impl Pool {
    /// Creates a pool of `total` blocks.
    pub(super) fn new(total: usize) -> Pool {
        let reused = {
            let mut retired = lock(&RETIRED);
            let kept = retired.len().saturating_sub(total);
            retired.split_off(kept)
        };
        let slab: &'static mut [u8] = vec![0; (total - reused.len()) * BLOCK_LEN].leak();
        // Popped from the end: blocks that are resident already go first, then the lowest addresses,
        // which stay in use.
        let mut free = Vec::with_capacity(total);
        free.extend(slab.chunks_exact_mut(BLOCK_LEN).rev());
        free.extend(reused);
        Pool {
            total,
            state: Mutex::new(PoolState {
                free,
                ..PoolState::default()
            }),
            level: AtomicUsize::new(PLENTY),
            per_client: AtomicUsize::new(usize::MAX),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, PoolState> {
        lock(&self.state)
    }

    pub(super) fn hand_out(self: &Arc<Pool>, state: &mut PoolState, owner: u32) -> Option<Block> {
        Some(Block {
            bytes: state.free.pop()?,
            home: Arc::clone(self),
            owner,
        })
    }

    /// The number of blocks in the reserve: for messages under assembly, and to lend out until accounts
    /// above the level have given up theirs.
    pub(super) fn reserve(&self) -> usize {
        self.total / RESERVE
    }

    /// The minimum number of blocks with which a stream is worth publishing.
    pub(super) fn least(&self) -> usize {
        (self.total / 32).clamp(2, 8)
    }

    /// Returns the level if the account `asker` (a new one for `None`) takes all blocks that it can
    /// get, and each other account keeps the blocks that it holds, but at least `least` of them.
    pub(super) fn level_for(&self, state: &PoolState, asker: Option<usize>, least: usize) -> usize {
        let all = self.total.saturating_sub(state.assembly + self.reserve());
        let others = |level: usize| -> usize {
            let others = state.accounts.iter().enumerate();
            let others = others.filter(|(number, slot)| Some(*number) != asker && slot.is_running);
            others.map(|(_, slot)| slot.claim(level, least)).sum()
        };
        let (mut low, mut high) = (0, all);
        let most = others(PLENTY);
        // Usually all needs are met, and there is nothing to search for.
        if all >= most && all - most >= high / 2 {
            return all - most;
        }
        // A binary search for the highest level that leaves enough blocks for the other accounts.
        while low < high {
            let middle = (low + high).div_ceil(2);
            if middle + others(middle) <= all {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}

impl AccountSlot {
    /// Returns the number of blocks that the account may hold at a level.
    fn may_hold(&self, level: usize) -> usize {
        // Without a publisher its newest GOP is of little use to viewers.
        if self.is_running {
            level.max(self.protected)
        } else {
            0
        }
    }

    /// Returns the number of blocks that the account claims at a level.
    fn claim(&self, level: usize, least: usize) -> usize {
        let needs = (self.held - self.spare).max(self.protected).max(least);
        needs.min(self.may_hold(level))
    }

    /// Returns the number of blocks that the account must give up at a level that isn't [`PLENTY`].
    pub(super) fn excess(&self, level: usize) -> usize {
        let excess = self.held.saturating_sub(self.may_hold(level));
        excess.max(self.spare)
    }

    /// The number of protected blocks that the account doesn't hold.
    pub(super) fn owed(&self) -> usize {
        self.protected.saturating_sub(self.held)
    }
}

impl PoolState {
    /// The number of spare blocks of all accounts, counting at most `most` of each.
    pub(super) fn spare(&self, most: usize) -> usize {
        self.accounts.iter().map(|slot| slot.spare.min(most)).sum()
    }

    /// Changes an account, and with it the sums over all.
    pub(super) fn change(&mut self, number: usize, change: impl FnOnce(&mut AccountSlot)) {
        let slot = &mut self.accounts[number];
        let (protected, owed) = (slot.protected, slot.owed());
        change(slot);
        self.protected = self.protected + slot.protected - protected;
        self.owed = self.owed + slot.owed() - owed;
    }
}

impl Block {
    /// The bytes, stale ones included: the owner knows how far it has written.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The bytes, for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let home = &*self.home;
        let mut state = home.lock();
        state.free.push(bytes);
        match self.owner {
            ASSEMBLY => state.assembly -= 1,
            STRANGER => {
                state.assembly -= 1;
                state.strangers -= 1;
            }
            number => state.change(number as usize, |slot| {
                slot.held -= 1;
                slot.spare = slot.spare.saturating_sub(1);
            }),
        }
    }
}
