use std::sync::{Mutex, Weak};

use proptest::prelude::*;

use super::*;
use crate::live::lock;

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
fn streams_share_all_but_the_reserve() {
    let arena = Arena::within(1 << 20);
    let blocks = arena.total_blocks() - arena.total_blocks() / RESERVE;
    assert_eq!(Arena::shared_len(1 << 20), blocks * BLOCK_LEN);
    let mut account = arena.account();
    let held: Vec<_> = std::iter::from_fn(|| account.take()).collect();
    assert_eq!(held.len(), blocks);
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

/// `reclaim` must not drop the last reference to a holder while it holds the pool's lock.
#[test]
fn holders_may_be_dropped_during_a_reclaim() {
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

/// A naive model of fair shares: blocks are handed out, one by one, to the accounts that hold the
/// fewest.
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

    /// Whatever the accounts need, and however that changes, each ends up with what it needs or with as
    /// much as the largest accounts, and hardly any block is left.
    #[test]
    fn blocks_are_shared_fairly(
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
fn an_earlier_stream_keeps_the_blocks_of_its_gops() {
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
    // It has given some back, but others can't have them.
    held.truncate(2);
    for (account, held) in &mut others {
        held.extend(account.take());
    }
    let strangers: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
    held.extend((0..18).map_while(|_| first.take()));
    assert_eq!(held.len(), 20);
    drop(strangers);
    // The others share the rest.
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
    // Twelve blocks should be free, but only six are: the first account has to give up the others.
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
fn streams_that_would_get_hardly_any_blocks_are_refused() {
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
    let ArenaFull::InAll { streams: count, .. } = full else {
        panic!("{said}")
    };
    assert_eq!(count, streams.len());
    assert!((20..=28).contains(&count), "{said}");
    // Streams without a publisher give way.
    for (account, _) in &mut streams[..4] {
        account.set_running(false);
    }
    assert!(arena.admit(HERE).is_ok());
}

#[test]
fn the_number_of_streams_per_client_is_limited() {
    let arena = Arena::new(640 * BLOCK_LEN);
    arena.set_streams_per_client(2);
    let (_one, two) = (arena.admit(HERE).unwrap(), arena.admit(HERE).unwrap());
    assert!(matches!(arena.admit(HERE), Err(ArenaFull::PerClient(2))));
    let host = |host: u16| IpAddr::from([0x2001, 0xDB8, 0, 0, host, 0, 0, 1]);
    let _elsewhere = [arena.admit(host(1)).unwrap(), arena.admit(host(2)).unwrap()];
    assert!(arena.admit(host(3)).is_err());
    drop(two);
    assert!(arena.admit(HERE).is_ok());
}

#[test]
fn strangers_get_an_eighth_and_no_protected_blocks() {
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
fn at_most_three_quarters_of_the_blocks_are_protected() {
    let arena = Arena::new(64 * BLOCK_LEN);
    let mut accounts: Vec<_> = (0..3).map(|_| arena.account()).collect();
    for account in &mut accounts {
        let held: Vec<_> = (0..18).map_while(|_| account.take()).collect();
        assert_eq!(held.len(), 18);
        account.protect(18);
    }
    let publishers: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
    assert_eq!(publishers.len(), 64 - 48);
}

#[test]
fn at_most_half_of_the_blocks_are_protected_for_one_account() {
    let arena = Arena::new(64 * BLOCK_LEN);
    let mut account = arena.account();
    let held: Vec<_> = (0..40).map_while(|_| account.take()).collect();
    assert_eq!(held.len(), 40);
    account.protect(40);
    drop(held);
    let publishers: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
    assert_eq!(publishers.len(), 64 - 32);
}

#[test]
fn messages_under_assembly_may_take_all_blocks() {
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
fn long_messages_leave_each_publisher_its_part_of_the_reserve() {
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
