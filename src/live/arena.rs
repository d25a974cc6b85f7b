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
//! address space only, and the block returned last is handed out first, so the resident size
//! follows what is really in use.
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
//! *Spare* blocks are kept for somebody who may come. They count as free: when blocks are short,
//! they are given up before all others, whatever the level. Before that, all accounts together keep
//! no more of them than half of all blocks, and than leave the reserve free and half as much again:
//! those that keep the most give them up first.
//!
//! The blocks that an account's newest groups of pictures took are *protected*: they are set aside
//! for it even while it holds fewer, and even above the level; at most half of all blocks for one
//! account and three quarters for all. So later streams can't push out earlier ones: they share the
//! rest, or are refused at once when there is none (see [`Full`]).

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::lock;
use super::subscriber::Desks;
use crate::allowance::one_client;

/// Length of a block in bytes: large enough that a 4 Mbit/s picture is one or two slices for
/// `sendmsg`, small enough that an audio-only stream doesn't hoard.
pub const BLOCK_LEN: usize = 16 * 1024;

/// What lists of blocks take beside each block, at most, in bytes: the free list, and the list of
/// the log that holds it, while that grows.
const LISTED_LEN: usize = 16 + 3 * 48;

/// The part of all blocks that no stream may fill: one in so many.
const RESERVE: usize = 8;

/// No level: there are enough blocks.
const PLENTY: usize = usize::MAX;

/// Owners of blocks that aren't accounts.
const ASSEMBLY: u32 = u32::MAX;
const STRANGER: u32 = u32::MAX - 1;

/// A handle on the arena; clones share the same blocks.
#[derive(Clone)]
pub struct Arena {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    total: usize,
    /// The most blocks that an account may keep when others need some, or [`PLENTY`].
    level: AtomicUsize,
    /// Streams that one client may have.
    per_client: AtomicUsize,
    desks: Desks,
}

struct State {
    free: Vec<&'static mut [u8]>,
    /// Blocks on loan to nobody's account, for messages under assembly.
    assembly: usize,
    /// Those of them on loan to connections that don't publish.
    strangers: usize,
    accounts: Vec<Slot>,
    /// Protected blocks of all accounts.
    protected: usize,
    /// Protected blocks that their accounts don't hold at the moment.
    owed: usize,
}

#[derive(Default)]
struct Slot {
    /// There is an [`Account`]. Blocks may come home after it was closed.
    is_open: bool,
    is_running: bool,
    held: usize,
    /// The oldest of those, which are kept for nobody yet.
    spare: usize,
    protected: usize,
    /// Whose stream it is, as long as the account is open.
    client: Option<IpAddr>,
    holder: Option<Weak<dyn Holder>>,
}

/// The holder of an account's blocks, which can be asked to give some up.
pub trait Holder: Send + Sync {
    /// Gives up `count` blocks, the least useful first, unless the holder is busy. Must not wait.
    fn give_up(&self, count: usize);
}

/// A block on loan: [`BLOCK_LEN`] bytes with stale content.
pub struct Block {
    bytes: &'static mut [u8],
    home: Arc<Shared>,
    owner: u32,
}

/// A stream's account; closed when dropped.
pub struct Account {
    shared: Arc<Shared>,
    number: u32,
    may_hold: usize,
}

/// Why there is no account for one stream more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are no blocks for it.
    InAll {
        /// Streams that are published.
        streams: usize,
        /// Bytes that they hold.
        bytes: usize,
    },
    /// So many are from this client already.
    PerClient(usize),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Full::InAll { streams, bytes } => write!(
                f,
                "no memory for another stream: {streams} streams hold {} kB (raise --memory)",
                bytes / 1000
            ),
            Full::PerClient(streams) => write!(
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
        Arena {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    free,
                    assembly: 0,
                    strangers: 0,
                    accounts: Vec::new(),
                    protected: 0,
                    owed: 0,
                }),
                total,
                level: AtomicUsize::new(PLENTY),
                per_client: AtomicUsize::new(usize::MAX),
                desks: Desks::default(),
            }),
        }
    }

    /// The same, with the lists of blocks included in `bytes`.
    pub fn within(bytes: usize) -> Arena {
        Arena::new(bytes / (BLOCK_LEN + LISTED_LEN) * BLOCK_LEN)
    }

    /// Bytes that streams share of what [`Arena::within`] makes of `bytes`: without the lists of
    /// blocks, and without the reserve.
    pub fn shared_len(bytes: usize) -> usize {
        let total = bytes / (BLOCK_LEN + LISTED_LEN);
        (total - total / RESERVE) * BLOCK_LEN
    }

    /// A block for a publisher's message; `None` when all free blocks are set aside for streams.
    pub fn take(&self) -> Option<Block> {
        self.take_beside(0)
    }

    /// The same for a publisher that already holds `held` blocks for messages. Each publisher has an
    /// equal part of the reserve, which the long messages of others leave alone.
    pub fn take_beside(&self, held: usize) -> Option<Block> {
        let mut state = self.shared.lock();
        let left = state.free.len().saturating_sub(state.owed);
        let running = state.accounts.iter().filter(|slot| slot.is_running);
        let others = running.count().saturating_sub(1);
        let part = self.shared.reserve() / (others + 1);
        if left == 0 || held >= part && left <= part * others {
            return None;
        }
        state.assembly += 1;
        self.shared.hand_out(&mut state, ASSEMBLY)
    }

    /// The same for a connection that doesn't publish: all of these share an eighth of the blocks.
    pub fn take_as_stranger(&self) -> Option<Block> {
        let mut state = self.shared.lock();
        let most = (self.shared.total / 8).max(1);
        if state.free.len() <= state.owed || state.strangers >= most {
            return None;
        }
        state.assembly += 1;
        state.strangers += 1;
        self.shared.hand_out(&mut state, STRANGER)
    }

    /// What pumps work on.
    pub(super) fn desks(&self) -> &Desks {
        &self.shared.desks
    }

    /// Blocks in all.
    pub fn total_blocks(&self) -> usize {
        self.shared.total
    }

    /// Blocks not on loan at this moment.
    pub fn free_blocks(&self) -> usize {
        self.shared.lock().free.len()
    }

    /// Sets how many streams a client may have, including those that wait for their publisher to
    /// come back.
    pub fn set_streams_per_client(&self, most: usize) {
        self.shared.per_client.store(most, Ordering::Relaxed);
    }

    /// Opens an account for a stream that a client wants to publish, unless there would be hardly
    /// anything on it. A network of IPv6 that one host may have counts as one client.
    pub fn admit(&self, client: IpAddr) -> Result<Account, Full> {
        let client = one_client(client);
        let mut state = self.shared.lock();
        let per_client = self.shared.per_client.load(Ordering::Relaxed);
        let its_own = state.accounts.iter().filter(|s| s.client == Some(client));
        if its_own.count() >= per_client {
            return Err(Full::PerClient(per_client));
        }
        let running = state.accounts.iter().filter(|slot| slot.is_running);
        let (mut streams, mut held) = (0, 0);
        for slot in running {
            streams += 1;
            held += slot.held;
        }
        // Those that have just come will want some soon.
        if self.shared.level_for(&state, None, 2) < self.shared.least() {
            return Err(Full::InAll {
                streams,
                bytes: held * BLOCK_LEN,
            });
        }
        Ok(self.shared.open(&mut state, Some(client)))
    }

    /// Opens an account, however little there will be on it.
    pub fn account(&self) -> Account {
        self.shared.open(&mut self.shared.lock(), None)
    }

    /// Whether there are enough blocks for all accounts.
    pub fn has_plenty(&self) -> bool {
        self.shared.level.load(Ordering::Relaxed) == PLENTY
    }

    /// Asks accounts above the level to give up blocks, if these are short. To be called without a
    /// stream's lock.
    pub fn reclaim(&self) {
        /// The most holders that are asked in one call.
        const ASKED: usize = 4;

        let level = self.shared.level.load(Ordering::Relaxed);
        if level == PLENTY {
            return;
        }
        let mut victims: [Option<(Arc<dyn Holder>, usize)>; ASKED] = [const { None }; ASKED];
        {
            let state = self.shared.lock();
            let mut places = victims.iter_mut();
            // Those without a publisher first, then those that have blocks to spare.
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
                    // Take a place first. Without one the holder would be dropped here; if that is
                    // the last reference to it, its blocks are returned, which takes this lock.
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

/// Blocks of arenas that were dropped.
static RETIRED: Mutex<Vec<&'static mut [u8]>> = Mutex::new(Vec::new());

impl Drop for Shared {
    fn drop(&mut self) {
        // Each block on loan holds a reference to its arena, so all of them are here.
        lock(&RETIRED).append(&mut self.lock().free);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn hand_out(self: &Arc<Shared>, state: &mut State, owner: u32) -> Option<Block> {
        Some(Block {
            bytes: state.free.pop()?,
            home: Arc::clone(self),
            owner,
        })
    }

    fn open(self: &Arc<Shared>, state: &mut State, client: Option<IpAddr>) -> Account {
        let free = state
            .accounts
            .iter()
            .position(|slot| !slot.is_open && slot.held == 0);
        let number = free.unwrap_or(state.accounts.len());
        if free.is_none() {
            state.accounts.push(Slot::default());
        }
        state.accounts[number] = Slot {
            is_open: true,
            is_running: true,
            client,
            ..Slot::default()
        };
        Account {
            shared: Arc::clone(self),
            number: number as u32,
            may_hold: self.level_for(state, Some(number), 0),
        }
    }

    /// Blocks to hand out until accounts above the level have given theirs up, and in which messages
    /// are put together.
    fn reserve(&self) -> usize {
        self.total / RESERVE
    }

    /// Blocks without which a stream isn't worth publishing.
    fn least(&self) -> usize {
        (self.total / 32).clamp(2, 8)
    }

    /// The level if this account (a new one for `None`) takes all that it can get, and each other one
    /// keeps what it holds, but at least `least` blocks.
    fn level_for(&self, state: &State, asker: Option<usize>, least: usize) -> usize {
        let all = self.total.saturating_sub(state.assembly + self.reserve());
        let others = |level: usize| -> usize {
            let others = state.accounts.iter().enumerate();
            let others = others.filter(|(number, slot)| Some(*number) != asker && slot.is_running);
            others.map(|(_, slot)| slot.claim(level, least)).sum()
        };
        let (mut low, mut high) = (0, all);
        let most = others(PLENTY);
        // Usually all needs are met.
        if all >= most && all - most >= high / 2 {
            return all - most;
        }
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

impl Slot {
    /// What it may hold at a level.
    fn may_hold(&self, level: usize) -> usize {
        match self.is_running {
            true => level.max(self.protected),
            false => 0,
        }
    }

    /// What it takes at a level.
    fn claim(&self, level: usize, least: usize) -> usize {
        let needs = (self.held - self.spare).max(self.protected).max(least);
        needs.min(self.may_hold(level))
    }

    /// What it is to give up at a level that isn't [`PLENTY`].
    fn excess(&self, level: usize) -> usize {
        let excess = self.held.saturating_sub(self.may_hold(level));
        excess.max(self.spare)
    }

    fn owed(&self) -> usize {
        self.protected.saturating_sub(self.held)
    }
}

impl State {
    /// Spare blocks of all accounts, if each has so many at most.
    fn spare(&self, most: usize) -> usize {
        self.accounts.iter().map(|slot| slot.spare.min(most)).sum()
    }

    /// Changes an account, and with it the sums over all.
    fn change(&mut self, number: u32, change: impl FnOnce(&mut Slot)) {
        let Some(slot) = self.accounts.get_mut(number as usize) else {
            return;
        };
        let (protected, owed) = (slot.protected, slot.owed());
        change(slot);
        self.protected = self.protected + slot.protected - protected;
        self.owed = self.owed + slot.owed() - owed;
    }
}

impl Account {
    /// A block, unless the account holds what it may: then it has to give up one of its own.
    pub fn take(&mut self) -> Option<Block> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let slot = state.accounts.get(self.number as usize)?;
        let (held, protected, owed) = (slot.held, slot.protected, slot.owed());
        // What isn't set aside for others.
        let spare = state.free.len().saturating_sub(state.owed - owed);
        let is_plenty = spare > shared.reserve() + shared.total / 8;
        self.may_hold = if is_plenty {
            shared.level.store(PLENTY, Ordering::Relaxed);
            held + spare - shared.reserve()
        } else {
            let level = shared.level_for(&state, Some(self.number as usize), 0);
            // While there is more than the reserve, nobody needs to give up anything.
            let is_short = spare <= shared.reserve();
            let told = if is_short { level } else { PLENTY };
            shared.level.store(told, Ordering::Relaxed);
            let unclaimed = spare.saturating_sub(shared.reserve());
            level.max(protected).max(held + unclaimed)
        };
        if held >= self.may_hold || spare == 0 {
            return None;
        }
        let block = shared.hand_out(&mut state, self.number)?;
        state.change(self.number, |slot| slot.held += 1);
        Some(block)
    }

    /// Blocks that it may hold, as it was when it took the last one.
    pub fn may_hold(&self) -> usize {
        self.may_hold
    }

    /// Whether it may hold so many blocks now.
    pub fn can_hold(&mut self, blocks: usize) -> bool {
        if blocks > self.may_hold {
            let state = self.shared.lock();
            let slot = state.accounts.get(self.number as usize);
            let level = self.shared.level_for(&state, Some(self.number as usize), 0);
            self.may_hold = level.max(slot.map_or(0, |slot| slot.protected));
        }
        blocks <= self.may_hold
    }

    /// Blocks that it is to give up now, since others need them more.
    pub fn excess(&self) -> usize {
        let level = self.shared.level.load(Ordering::Relaxed);
        if level == PLENTY {
            return 0;
        }
        let state = self.shared.lock();
        let slot = state.accounts.get(self.number as usize);
        slot.map_or(0, |slot| slot.excess(level))
    }

    /// Whether it has more spare blocks than it may keep.
    pub fn has_too_much_spare(&self) -> bool {
        let total = self.shared.total;
        let state = self.shared.lock();
        let spare = state.spare(usize::MAX);
        let free = state.free.len();
        let least_free = self.shared.reserve() / 2 * 3;
        let excess = least_free
            .saturating_sub(free)
            .max(spare.saturating_sub(total / 2));
        let own = state.accounts.get(self.number as usize);
        let own = own.map_or(0, |slot| slot.spare);
        // It is its turn if all would still have too many, or just enough, were they cut to less than
        // it has.
        excess > 0 && own > 0 && state.spare(own - 1) + excess >= spare
    }

    /// Notes how many of its blocks, the oldest, are kept for nobody yet. Each that goes home is
    /// taken for one of them.
    pub fn set_spare(&mut self, blocks: usize) {
        let mut state = self.shared.lock();
        state.change(self.number, |slot| slot.spare = blocks.min(slot.held));
    }

    /// Sets aside `blocks`, all of which it holds now, up to the most that may be protected.
    pub fn protect(&mut self, blocks: usize) {
        let total = self.shared.total;
        let mut state = self.shared.lock();
        let Some(slot) = state.accounts.get(self.number as usize) else {
            return;
        };
        let others = state.protected - slot.protected;
        let most = (total / 4 * 3).saturating_sub(others).min(total / 2);
        let blocks = blocks.min(most);
        state.change(self.number, |slot| slot.protected = blocks);
    }

    /// Notes whether the stream has a publisher. Without one, it gives up all that others need.
    pub fn set_running(&mut self, is_running: bool) {
        let mut state = self.shared.lock();
        state.change(self.number, |slot| {
            slot.is_running = is_running;
            if !is_running {
                slot.protected = 0;
            }
        });
    }

    /// Who is to be asked to give up blocks.
    pub fn set_holder(&mut self, holder: Weak<dyn Holder>) {
        let mut state = self.shared.lock();
        state.change(self.number, |slot| slot.holder = Some(holder));
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.change(self.number, |slot| {
            slot.is_running = false;
            slot.protected = 0;
            slot.spare = 0;
            slot.holder = None;
            slot.client = None;
            slot.is_open = false;
        });
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
        let home = &*self.home;
        let mut state = home.lock();
        state.free.push(bytes);
        match self.owner {
            ASSEMBLY => state.assembly -= 1,
            STRANGER => {
                state.assembly -= 1;
                state.strangers -= 1;
            }
            number => state.change(number, |slot| {
                slot.held -= 1;
                slot.spare = slot.spare.saturating_sub(1);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

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
    #[cfg(target_os = "linux")]
    fn an_arena_takes_the_address_space_of_earlier_ones() {
        const LEN: usize = 256 << 20;

        let pages = || {
            let sizes = std::fs::read_to_string("/proc/self/statm").unwrap();
            sizes.split(' ').next().unwrap().parse::<usize>().unwrap()
        };
        drop(Arena::new(LEN));
        let before = pages();
        for _ in 0..8 {
            drop(Arena::new(LEN));
        }
        // Other tests run at the same time.
        assert!(pages().saturating_sub(before) * 4096 < 4 * LEN);
    }

    #[test]
    fn an_empty_arena_hands_out_nothing() {
        let arena = Arena::new(4 * BLOCK_LEN);
        let blocks: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        assert_eq!(blocks.len(), arena.total_blocks());
        assert!(arena.take().is_none());
    }

    /// Holders are dropped while `reclaim` looks at them: it must not drop the last reference to one
    /// while it holds the lock.
    #[test]
    fn holders_may_go_while_they_are_looked_for() {
        const ROUNDS: usize = 10_000;

        struct Stream(Mutex<(Account, Vec<Block>)>);

        impl Holder for Stream {
            fn give_up(&self, _: usize) {}
        }

        let arena = Arena::new(64 * BLOCK_LEN);
        let stream = || {
            let mut account = arena.account();
            let blocks: Vec<_> = (0..8).map_while(|_| account.take()).collect();
            account.set_running(false);
            let stream = Arc::new(Stream(Mutex::new((account, blocks))));
            let holder: Weak<Stream> = Arc::downgrade(&stream);
            lock(&stream.0).0.set_holder(holder);
            stream
        };
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    arena.reclaim();
                }
            });
            for _ in 0..ROUNDS {
                let streams: Vec<_> = (0..12).map(|_| stream()).collect();
                drop(streams);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(arena.free_blocks(), arena.total_blocks());
    }

    /// What each gets if as many as possible are satisfied, block by block.
    fn fill(needs: &[usize], blocks: usize) -> Vec<usize> {
        let mut got = vec![0; needs.len()];
        for _ in 0..blocks {
            let hungry = (0..needs.len()).filter(|index| got[*index] < needs[*index]);
            match hungry.min_by_key(|index| got[*index]) {
                Some(index) => got[index] += 1,
                None => break,
            }
        }
        got
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever is needed, and however that changes, in the end each has what it needs or as
        /// much as those who have most, and hardly anything is left.
        #[test]
        fn blocks_are_shared_as_water_between_vessels(
            blocks in 64..400usize,
            phases in prop::collection::vec(prop::collection::vec(0..150usize, 1..30), 1..5),
        ) {
            let arena = Arena::new(blocks * BLOCK_LEN);
            let mut accounts: Vec<_> = (0..30).map(|_| (arena.account(), Vec::new())).collect();
            for needs in phases {
                for _ in 0..2 * blocks {
                    for (index, (account, held)) in accounts.iter_mut().enumerate() {
                        let need = needs.get(index).copied().unwrap_or(0);
                        let excess = account.excess().max(held.len().saturating_sub(need));
                        held.truncate(held.len() - excess);
                        if held.len() < need {
                            held.extend(account.take());
                        }
                    }
                }
                let held: Vec<_> = accounts.iter().map(|(_, held)| held.len()).collect();
                let fair = fill(&needs, blocks - blocks / 8);
                for (held, fair) in held.iter().zip(&fair) {
                    prop_assert!(held.abs_diff(*fair) <= 1, "{held}, {fair} of {needs:?}");
                }
            }
        }
    }

    #[test]
    fn who_came_first_keeps_what_its_pictures_took() {
        let arena = Arena::new(64 * BLOCK_LEN);
        let mut first = arena.account();
        let mut held: Vec<_> = (0..20).map_while(|_| first.take()).collect();
        first.protect(20);
        let mut others: Vec<_> = (0..8).map(|_| (arena.account(), Vec::new())).collect();
        for _ in 0..64 {
            for (account, held) in &mut others {
                held.truncate(held.len() - account.excess());
                held.extend(account.take());
            }
            assert_eq!(first.excess(), 0);
        }
        // It has given them back, and others can't have them.
        held.truncate(2);
        for (account, held) in &mut others {
            held.extend(account.take());
        }
        let strangers: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        held.extend((0..18).map_while(|_| first.take()));
        assert_eq!(held.len(), 20);
        drop(strangers);
        // Others share the rest.
        for (_, held) in &others {
            assert!((4..=5).contains(&held.len()), "{}", held.len());
        }
    }

    #[test]
    fn spare_blocks_are_free_for_others() {
        let arena = Arena::new(64 * BLOCK_LEN);
        let mut keeping = arena.account();
        let mut kept: Vec<_> = (0..40).map_while(|_| keeping.take()).collect();
        keeping.protect(10);
        keeping.set_spare(30);
        let mut other = arena.account();
        let mut held = Vec::new();
        // The reserve is an eighth.
        while held.len() < 46 {
            held.extend(other.take());
            let excess = keeping.excess();
            kept.drain(..excess);
            assert!(kept.len() >= 10 && held.len() + kept.len() <= 64);
        }
        assert_eq!((kept.len(), keeping.excess(), other.excess()), (10, 0, 0));
    }

    #[test]
    fn spare_blocks_are_shared_fairly() {
        let arena = Arena::new(64 * BLOCK_LEN);
        let mut all = [20, 8, 6].map(|spare| {
            let mut account = arena.account();
            let held: Vec<_> = (0..spare).map_while(|_| account.take()).collect();
            account.set_spare(spare);
            (account, held)
        });
        let has_too_much = |all: &[(Account, Vec<Block>)]| {
            let too_much = all.iter().map(|(account, _)| account.has_too_much_spare());
            too_much.collect::<Vec<_>>()
        };
        // Two more than half of all.
        assert_eq!(has_too_much(&all), [true, false, false]);
        all[0].1.drain(..2);
        assert_eq!(has_too_much(&all), [false; 3]);
        // Now six of twelve that are to be free are lacking: the first one has them.
        let others: Vec<_> = (0..26).map_while(|_| arena.take()).collect();
        assert_eq!((others.len(), arena.free_blocks()), (26, 6));
        for (index, left) in [(0, 12), (1, 8), (2, 6)] {
            while all[index].0.has_too_much_spare() {
                all[index].1.pop();
            }
            assert_eq!(all[index].1.len(), left, "{index}");
        }
    }

    #[test]
    fn nobody_is_admitted_who_would_get_next_to_nothing() {
        let arena = Arena::new(64 * BLOCK_LEN);
        let mut streams = Vec::new();
        let full = loop {
            match arena.admit(HERE) {
                Ok(mut account) => {
                    let held: Vec<_> = std::iter::from_fn(|| account.take()).collect();
                    streams.push((account, held));
                    for (account, held) in &mut streams {
                        held.truncate(held.len() - account.excess());
                    }
                }
                Err(full) => break full,
            }
        };
        let said = full.to_string();
        let Full::InAll { streams: count, .. } = full else {
            panic!("{said}")
        };
        assert_eq!(count, streams.len());
        assert!((20..=28).contains(&count), "{said}");
        // Those whose publisher is gone give way.
        for (account, _) in &mut streams[..4] {
            account.set_running(false);
        }
        assert!(arena.admit(HERE).is_ok());
    }

    #[test]
    fn a_client_has_so_many_streams_and_no_more() {
        let arena = Arena::new(640 * BLOCK_LEN);
        arena.set_streams_per_client(2);
        let (_one, two) = (arena.admit(HERE).unwrap(), arena.admit(HERE).unwrap());
        assert!(matches!(arena.admit(HERE), Err(Full::PerClient(2))));
        let host = |host: u16| IpAddr::from([0x2001, 0xDB8, 0, 0, host, 0, 0, 1]);
        let _elsewhere = [arena.admit(host(1)).unwrap(), arena.admit(host(2)).unwrap()];
        assert!(arena.admit(host(3)).is_err());
        drop(two);
        assert!(arena.admit(HERE).is_ok());
    }

    #[test]
    fn strangers_get_an_eighth_and_nothing_that_is_set_aside() {
        let arena = Arena::new(64 * BLOCK_LEN);
        let strangers: Vec<_> = std::iter::from_fn(|| arena.take_as_stranger()).collect();
        assert_eq!(strangers.len(), 8);
        let mut account = arena.account();
        let held: Vec<_> = (0..30).map_while(|_| account.take()).collect();
        assert_eq!(held.len(), 30);
        account.protect(30);
        drop(held);
        let publishers: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        assert_eq!(publishers.len(), 64 - 8 - 30);
        assert!((0..30).all(|_| account.take().is_some()));
    }

    #[test]
    fn what_is_under_assembly_may_be_more_than_all_that_is_shared() {
        let arena = Arena::new(64 * BLOCK_LEN);
        let mut account = arena.account();
        let _held: Vec<_> = (0..6).map_while(|_| account.take()).collect();
        account.protect(6);
        let mut other = arena.account();
        let _begun: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
        assert_eq!(arena.free_blocks(), 0);
        assert!(account.take().is_none() && other.take().is_none());
        assert!(arena.admit(HERE).is_err());
    }

    #[test]
    fn who_has_begun_long_messages_leaves_others_their_part_of_the_reserve() {
        let arena = Arena::new(1024 * BLOCK_LEN);
        let _accounts: Vec<_> = (0..21).map(|_| arena.account()).collect();
        let take_all = || {
            let mut held = Vec::new();
            while let Some(block) = arena.take_beside(held.len()) {
                held.push(block);
            }
            held
        };
        let all: Vec<_> = (0..21).map(|_| take_all()).collect();
        let last = all.last().map_or(0, Vec::len);
        assert!(last >= 6, "{last}");
    }
}
