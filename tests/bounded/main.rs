//! A search for ways to make the server keep more than its connections' allowances.
//!
//! The server runs within the test. Random clients do valid things in random order, many times
//! over, with large, small and ever different values, and some of them never read. At every quiet
//! moment, what is allocated beyond an idle server must be at most
//! [`PER_CONNECTION`](brooklet::allowance::PER_CONNECTION) for each open connection, and a little
//! for the server itself. Media lies in the arena, which is allocated before.
//!
//! The same is done without sockets, where many more cases fit into a second ([`kept`], also a fuzz
//! target).
//!
//! A failure is made as short as possible and printed. Add it to [`known`], and remove its cause. A
//! longer search: `BROOKLET_SEARCH_CASES=2000 cargo test --test bounded`.
//!
//! The search has been checked by taking fixes out. The table shows what it found then, as a
//! multiple of what is allowed (for the random search: the first case beyond 1.5 times, within 80
//! seconds on a busy machine; a dash: none in 35 to 60 cases):
//!
//! ```text
//! fix taken out                              known ways   random search
//! buffers of chunk streams are given back          16.4   1.7
//! no tree is made of a command's values            34.8   3.3
//! the URL of `connect` is cut                       5.6   1.9
//! headers beyond 1 KiB lie in blocks                2.9   -
//! the index of messages lies in blocks             30.8   -
//! versions of headers are forgotten                 4.2   -
//! long metadata lie in blocks                       2.0   -
//! ```
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod crowd;
#[allow(unreachable_pub)]
#[path = "../fuzz/src/kept.rs"]
mod kept;
mod known;
mod steps;
#[allow(dead_code)]
#[path = "../hostile/wire.rs"]
mod wire;

use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crowd::{Crowd, Kept};
use steps::{Turns, turns};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The number of turns in a case.
const STEPS: std::ops::Range<usize> = 1..10;

/// In the usual run: about half a minute in debug builds.
const CASES: u32 = 32;

/// There is one heap, so cases run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Does these steps with a new server; returns the most that was kept, or the first excess.
fn play(all: &[Turns]) -> Kept {
    let mut crowd = Crowd::new();
    let mut most = crowd.kept();
    for Turns { steps, times } in all {
        for step in (0..*times).flat_map(|_| steps) {
            crowd.take(step);
        }
        most = most.max(crowd.kept());
        if most.is_too_much() {
            break;
        }
    }
    most
}

#[test]
fn the_server_keeps_no_more_than_its_clients_allowances() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = std::env::var("BROOKLET_SEARCH_CASES");
    let mut runner = TestRunner::new(Config {
        cases: cases.ok().and_then(|n| n.parse().ok()).unwrap_or(CASES),
        max_shrink_iters: 120,
        failure_persistence: None,
        ..Config::default()
    });
    let found = runner.run(&vec(turns(), STEPS), |steps| {
        let kept = play(&steps);
        println!("{kept}");
        match kept.is_too_much() {
            true => Err(TestCaseError::fail(kept.to_string())),
            false => Ok(()),
        }
    });
    match found {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => panic!("{reason}, after {steps:#?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// In the usual run, without sockets: a few seconds.
const CORE_CASES: u32 = 100;

#[test]
fn sessions_and_streams_keep_no_more_than_their_allowances() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = std::env::var("BROOKLET_SEARCH_CASES");
    let mut runner = TestRunner::new(Config {
        cases: cases
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(CORE_CASES),
        failure_persistence: None,
        ..Config::default()
    });
    let found = runner.run(&vec(any::<u8>(), 1..120), |steps| {
        kept::kept(&steps, || HEAP.current_usage()).map_err(TestCaseError::fail)
    });
    match found {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => panic!("{reason}, after {steps:?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

#[test]
fn known_ways_around_the_allowance_stay_closed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let found: Vec<String> = known::ways()
        .into_iter()
        .filter_map(|(name, steps)| {
            let alone = |step| Turns {
                steps: vec![step],
                times: 1,
            };
            let steps: Vec<Turns> = steps.into_iter().map(alone).collect();
            let kept = play(&steps);
            println!("{name}: {kept}");
            kept.is_too_much().then(|| format!("{name}: {kept}"))
        })
        .collect();
    let without_sockets = known::WITHOUT_SOCKETS.iter().filter_map(|(name, steps)| {
        let kept = kept::kept(steps, || HEAP.current_usage());
        println!("{name}, without sockets: {kept:?}");
        Some(format!("{name}: {}", kept.err()?))
    });
    let found: Vec<String> = found.into_iter().chain(without_sockets).collect();
    assert!(found.is_empty(), "{found:#?}");
}
