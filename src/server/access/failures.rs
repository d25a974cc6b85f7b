//! Wrong keys and passwords, counted by client: after many, refusals are delayed.
//!
//! Keys and passwords are checked at once, in a time that tells nothing, and a client with the right
//! one goes on at once, whatever others send from the same address (a household, or a proxy that
//! doesn't name its clients). Only refusals are delayed:
//!
//! ```text
//! five wrong ones within a minute      each further "no" comes 2 s late, on its own thread
//! four such answers are late already   it comes at once, as "too many", and waits for nothing
//! twenty wrong ones within a second    nothing from there is looked at, right or wrong: "too many"
//! ```
//!
//! So one connection makes one guess in 2 s. A client that hangs up instead of waiting, or uses many
//! connections, makes at most [`MAX_PER_SECOND`] guesses a second from one address, or one /64, be it
//! directly or through a proxy. That is the bound, since a late answer already tells that the guess was wrong.
//! It is as many as the connections that one address may make by default. Only right attempts give back
//! what they took, so the right key is accepted as long as its address sends fewer wrong ones than
//! that; to do better, right and wrong would have to be told apart without looking. At that rate a key
//! of eight random letters and digits takes 170,000 years. A success doesn't clear failures: the owner
//! of one key could guess at others without end.

use std::net::IpAddr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Action;
use crate::config::one_client;
use crate::live::{Millis, lock};
use crate::rtmp::rate::Rate;

/// So many failures within so long, and further attempts have to wait.
const MAX_FAILURES: usize = 5;
const WITHIN: Millis = 60_000;

/// Clients that are remembered.
const MAX_CLIENTS: usize = 256;

/// Wrong attempts of a client that are looked at: a second, and in a burst.
const MAX_PER_SECOND: u32 = 20;

/// How long an answer waits before it is given.
const DELAY: Duration = Duration::from_secs(2);

/// Answers that may wait at a time, each on the thread of its connection: of one client, and in all.
const MAX_WAITING_PER_CLIENT: usize = 4;
const MAX_WAITING: usize = 32;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Publish,
    Play,
    /// What `--api-key` is for.
    Administer,
}

impl From<Action> for Attempt {
    fn from(action: Action) -> Attempt {
        match action {
            Action::Publish => Attempt::Publish,
            Action::Play => Attempt::Play,
        }
    }
}

/// The failures of the last time. A success at one thing says nothing about another.
#[derive(Default)]
pub(super) struct Failures {
    /// In the order of their latest failures.
    clients: Mutex<Vec<Failing>>,
}

struct Failing {
    client: IpAddr,
    attempt: Attempt,
    /// The newest ones, the oldest of them first.
    times: Vec<Millis>,
    /// Wrong attempts that may still be looked at.
    looks: Rate,
}

impl Failures {
    /// Whether an attempt may be looked at. If it was right, call [`was_right`](Self::was_right) then.
    pub(super) fn may_look(&self, address: IpAddr, attempt: Attempt, now: Millis) -> bool {
        let client = one_client(address);
        let mut clients = lock(&self.clients);
        let failing = clients.iter_mut().find(|f| f.is(client, attempt));
        // Taken before the result is known, since other threads look at the same time.
        failing.is_none_or(|failing| failing.looks.take(1, now))
    }

    /// Notes that an attempt was not a guess.
    pub(super) fn was_right(&self, address: IpAddr, attempt: Attempt) {
        let client = one_client(address);
        let mut clients = lock(&self.clients);
        if let Some(failing) = clients.iter_mut().find(|f| f.is(client, attempt)) {
            failing.looks.give_back(1);
        }
    }

    /// Notes a failure.
    pub(super) fn note(&self, address: IpAddr, attempt: Attempt, now: Millis) {
        let client = one_client(address);
        let mut clients = lock(&self.clients);
        let found = clients.iter().position(|f| f.is(client, attempt));
        let mut failing = match found {
            Some(index) => clients.remove(index),
            None => {
                let mut looks = Rate::new(MAX_PER_SECOND, MAX_PER_SECOND);
                // The one that has just been had.
                looks.take(1, now);
                Failing {
                    client,
                    attempt,
                    times: Vec::with_capacity(MAX_FAILURES),
                    looks,
                }
            }
        };
        if failing.times.len() == MAX_FAILURES {
            failing.times.remove(0);
        }
        failing.times.push(now);
        if clients.len() == MAX_CLIENTS {
            clients.remove(0);
        }
        clients.push(failing);
    }

    /// Whether the answer to a wrong attempt from there has to wait.
    pub(super) fn are_many(&self, address: IpAddr, attempt: Attempt, now: Millis) -> bool {
        let client = one_client(address);
        let clients = lock(&self.clients);
        let failing = clients.iter().find(|failing| failing.is(client, attempt));
        failing.is_some_and(|failing| {
            let is_recent = |time: &&Millis| now.saturating_sub(**time) < WITHIN;
            failing.times.iter().filter(is_recent).count() >= MAX_FAILURES
        })
    }
}

impl Failing {
    fn is(&self, client: IpAddr, attempt: Attempt) -> bool {
        self.client == client && self.attempt == attempt
    }
}

/// The place where answers wait.
pub(super) struct WaitingRoom {
    delay: Duration,
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Default)]
struct State {
    /// The clients whose answers wait.
    waiting: Vec<IpAddr>,
    is_closed: bool,
}

/// Nobody may wait here now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Too many wait already.
    Full,
    /// The server stops.
    Closed,
}

impl Default for WaitingRoom {
    fn default() -> WaitingRoom {
        WaitingRoom::new(DELAY)
    }
}

impl WaitingRoom {
    /// Those who wait in it wait this long.
    pub(super) fn new(delay: Duration) -> WaitingRoom {
        WaitingRoom {
            delay,
            state: Mutex::default(),
            closed: Condvar::new(),
        }
    }

    /// Waits with the answer to a client.
    pub(super) fn wait(&self, address: IpAddr) -> Result<(), NoRoom> {
        let client = one_client(address);
        let until = Instant::now() + self.delay;
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(NoRoom::Closed);
        }
        let own = state.waiting.iter().filter(|other| **other == client);
        if own.count() >= MAX_WAITING_PER_CLIENT || state.waiting.len() >= MAX_WAITING {
            return Err(NoRoom::Full);
        }
        state.waiting.push(client);
        while !state.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let result = self.closed.wait_timeout(state, left);
            state = result.unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some(index) = state.waiting.iter().position(|other| *other == client) {
            state.waiting.swap_remove(index);
        }
        if state.is_closed {
            return Err(NoRoom::Closed);
        }
        Ok(())
    }

    /// Sends everybody away, for good.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.closed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));

    #[test]
    fn after_five_failures_within_a_minute_attempts_have_to_wait() {
        let failures = Failures::default();
        for time in [0, 20_000, 30_000, 40_000] {
            failures.note(HOST, Attempt::Publish, time);
            assert!(!failures.are_many(HOST, Attempt::Publish, time));
        }
        failures.note(HOST, Attempt::Publish, 50_000);
        assert!(failures.are_many(HOST, Attempt::Publish, 59_999));
        // The first one is a minute old.
        assert!(!failures.are_many(HOST, Attempt::Publish, 60_000));
        failures.note(HOST, Attempt::Publish, 70_000);
        assert!(failures.are_many(HOST, Attempt::Publish, 79_999));
        assert!(!failures.are_many(HOST, Attempt::Publish, 80_000));
        // Nobody else waits, nor does who wants something else.
        assert!(!failures.are_many(OTHER, Attempt::Publish, 70_000));
        assert!(!failures.are_many(HOST, Attempt::Play, 70_000));
    }

    #[test]
    fn so_many_guesses_a_second_are_looked_at_and_no_more() {
        let failures = Failures::default();
        let guess = |now| {
            let may_look = failures.may_look(HOST, Attempt::Play, now);
            if may_look {
                failures.note(HOST, Attempt::Play, now);
            }
            may_look
        };
        // 1,000 a second, for ten seconds.
        let looks = (0..10_000).filter(|now| guess(*now)).count();
        assert!((200..=221).contains(&looks), "{looks}");
        // Others, and what is something else, don't suffer.
        assert!(failures.may_look(OTHER, Attempt::Play, 10_000));
        assert!(failures.may_look(HOST, Attempt::Publish, 10_000));
        assert!(guess(10_100));
    }

    #[test]
    fn who_is_right_comes_through_beside_fifteen_guesses_a_second() {
        let failures = Failures::default();
        let mut guesses = 0;
        for now in (0..60_000).step_by(10) {
            if now * 15 / 1000 > guesses {
                guesses += 1;
                assert!(failures.may_look(HOST, Attempt::Play, now));
                failures.note(HOST, Attempt::Play, now);
            }
            // A hundred a second.
            assert!(failures.may_look(HOST, Attempt::Play, now), "at {now}");
            failures.was_right(HOST, Attempt::Play);
        }
        assert!(
            failures.are_many(HOST, Attempt::Play, 60_000),
            "a success clears nothing"
        );
    }

    #[test]
    fn all_addresses_of_an_ipv6_subnet_fail_together() {
        let failures = Failures::default();
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        (1..=5).for_each(|host| failures.note(address(host), Attempt::Play, 0));
        assert!(failures.are_many(address(99), Attempt::Play, 1));
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert!(!failures.are_many(elsewhere, Attempt::Play, 1));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_was_quiet_for_longest() {
        let failures = Failures::default();
        let address = |host: u32| IpAddr::V4((0x0A00_0000 + host).into());
        for _ in 0..MAX_FAILURES {
            failures.note(address(0), Attempt::Publish, 0);
            failures.note(address(1), Attempt::Publish, 0);
        }
        for host in 2..MAX_CLIENTS as u32 {
            failures.note(address(host), Attempt::Publish, 1);
        }
        failures.note(address(0), Attempt::Publish, 2);
        failures.note(address(100_000), Attempt::Publish, 3);
        assert_eq!(lock(&failures.clients).len(), MAX_CLIENTS);
        assert!(failures.are_many(address(0), Attempt::Publish, 4));
        assert!(!failures.are_many(address(1), Attempt::Publish, 4));
    }

    #[test]
    fn so_many_wait_and_no_more_until_the_server_stops() {
        let room = Arc::new(WaitingRoom::new(Duration::from_secs(3600)));
        let waiting: Vec<_> = (0..MAX_WAITING)
            .map(|number| {
                let room = Arc::clone(&room);
                let client = number / MAX_WAITING_PER_CLIENT;
                let address = IpAddr::from([10, 0, 0, client as u8]);
                thread::spawn(move || room.wait(address))
            })
            .collect();
        while lock(&room.state).waiting.len() < MAX_WAITING {
            thread::yield_now();
        }
        assert_eq!(room.wait(HOST), Err(NoRoom::Full));
        // Long before the hour is over.
        room.close();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Err(NoRoom::Closed));
        }
        assert_eq!(room.wait(HOST), Err(NoRoom::Closed));
    }

    #[test]
    fn a_client_has_so_many_places_and_leaves_the_others_to_others() {
        let room = Arc::new(WaitingRoom::new(Duration::from_secs(3600)));
        let subnet = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        let wait = |address| {
            let room = Arc::clone(&room);
            thread::spawn(move || room.wait(address))
        };
        let mut waiting: Vec<_> = (0..MAX_WAITING_PER_CLIENT as u16)
            .map(|host| wait(subnet(host)))
            .collect();
        while lock(&room.state).waiting.len() < MAX_WAITING_PER_CLIENT {
            thread::yield_now();
        }
        assert_eq!(room.wait(subnet(99)), Err(NoRoom::Full));
        waiting.push(wait(HOST));
        while lock(&room.state).waiting.len() == MAX_WAITING_PER_CLIENT {
            thread::yield_now();
        }
        room.close();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Err(NoRoom::Closed));
        }
    }

    #[test]
    fn who_has_waited_may_go_on_and_leaves_a_place() {
        let room = WaitingRoom::new(Duration::from_millis(1));
        for _ in 0..2 * MAX_WAITING {
            assert_eq!(room.wait(HOST), Ok(()));
        }
    }
}
