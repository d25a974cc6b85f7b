//! Accounts: how many blocks a stream may hold.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::pool::{AccountSlot, Block, Holder, PLENTY, Pool, PoolState};

/// A stream's account; closed when dropped.
pub struct Account {
    pool: Arc<Pool>,
    number: usize,
    /// The number of blocks that the account was allowed to hold when it took the last one.
    may_hold: usize,
}

impl Account {
    /// Opens an account for a client's stream, or, without a client, for a stream that isn't published.
    pub(super) fn open(pool: &Arc<Pool>, state: &mut PoolState, client: Option<IpAddr>) -> Account {
        // A number is reused only when all of its blocks are back, since each block carries its owner's
        // number.
        let is_free = |slot: &AccountSlot| !slot.is_open && slot.held == 0;
        let number = state.accounts.iter().position(is_free).unwrap_or_else(|| {
            state.accounts.push(AccountSlot::default());
            state.accounts.len() - 1
        });
        state.accounts[number] = AccountSlot {
            is_open: true,
            is_running: true,
            client,
            ..AccountSlot::default()
        };
        Account {
            pool: Arc::clone(pool),
            number,
            may_hold: pool.level_for(state, Some(number), 0),
        }
    }

    /// Takes a block, unless the account holds as many as it may: then it must give up one of its own
    /// blocks.
    pub fn take(&mut self) -> Option<Block> {
        let pool = &self.pool;
        let mut state = pool.lock();
        let slot = &state.accounts[self.number];
        let (held, protected, owed) = (slot.held, slot.protected, slot.owed());
        // Free blocks that aren't set aside for other accounts.
        let spare = state.free.len().saturating_sub(state.owed - owed);
        let is_plenty = spare > pool.reserve() + pool.total / 8;
        self.may_hold = if is_plenty {
            pool.level.store(PLENTY, Ordering::Relaxed);
            held + spare - pool.reserve()
        } else {
            let level = pool.level_for(&state, Some(self.number), 0);
            // While there is more than the reserve, no account has to give up anything.
            let is_short = spare <= pool.reserve();
            let limit = if is_short { level } else { PLENTY };
            pool.level.store(limit, Ordering::Relaxed);
            let unclaimed = spare.saturating_sub(pool.reserve());
            level.max(protected).max(held + unclaimed)
        };
        if held >= self.may_hold || spare == 0 {
            return None;
        }
        let block = pool.hand_out(&mut state, self.number as u32)?;
        state.change(self.number, |slot| slot.held += 1);
        Some(block)
    }

    /// The number of blocks that the account was allowed to hold when it took the last one.
    pub fn may_hold(&self) -> usize {
        self.may_hold
    }

    /// Whether the account may hold this many blocks now.
    pub fn can_hold(&mut self, blocks: usize) -> bool {
        if blocks > self.may_hold {
            let state = self.pool.lock();
            let level = self.pool.level_for(&state, Some(self.number), 0);
            self.may_hold = level.max(state.accounts[self.number].protected);
        }
        blocks <= self.may_hold
    }

    /// The number of blocks that the account must give up now, because others need them more.
    pub fn excess(&self) -> usize {
        let level = self.pool.level.load(Ordering::Relaxed);
        if level == PLENTY {
            return 0;
        }
        self.pool.lock().accounts[self.number].excess(level)
    }

    /// Whether the account has more spare blocks than it may keep.
    pub fn has_too_much_spare(&self) -> bool {
        let total = self.pool.total;
        let state = self.pool.lock();
        let spare = state.spare(usize::MAX);
        let least_free = self.pool.reserve() / 2 * 3;
        let missing = least_free.saturating_sub(state.free.len());
        let excess = missing.max(spare.saturating_sub(total / 2));
        let own = state.accounts[self.number].spare;
        // It is this account's turn if all accounts would still keep at least the allowed number of
        // spare blocks after each of them was cut to one less than this account keeps.
        excess > 0 && own > 0 && state.spare(own - 1) + excess >= spare
    }

    /// Sets how many of the account's oldest blocks are spare. The next blocks that are returned are
    /// assumed to be spare ones.
    pub fn set_spare(&mut self, blocks: usize) {
        let mut state = self.pool.lock();
        state.change(self.number, |slot| slot.spare = blocks.min(slot.held));
    }

    /// Protects `blocks` blocks, all of which the account holds now, up to the maximum that may be
    /// protected.
    pub fn protect(&mut self, blocks: usize) {
        let total = self.pool.total;
        let mut state = self.pool.lock();
        let others = state.protected - state.accounts[self.number].protected;
        let most = (total / 4 * 3).saturating_sub(others).min(total / 2);
        let blocks = blocks.min(most);
        state.change(self.number, |slot| slot.protected = blocks);
    }

    /// Sets whether the stream has a publisher. Without one, it gives up all blocks that others need.
    pub fn set_running(&mut self, is_running: bool) {
        let mut state = self.pool.lock();
        state.change(self.number, |slot| {
            slot.is_running = is_running;
            if !is_running {
                slot.protected = 0;
            }
        });
    }

    /// Sets the holder that is asked to give up blocks.
    pub fn set_holder(&mut self, holder: Weak<dyn Holder>) {
        let mut state = self.pool.lock();
        state.change(self.number, |slot| slot.holder = Some(holder));
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        // Blocks of a closed account may still be returned.
        state.change(self.number, |slot| {
            *slot = AccountSlot {
                held: slot.held,
                ..AccountSlot::default()
            };
        });
    }
}
