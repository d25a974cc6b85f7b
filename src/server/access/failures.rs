//! Wrong keys and passwords, by who sent them: whoever sends many has to wait.

use std::net::IpAddr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Action;
use crate::config::one_client;
use crate::live::{Millis, lock};

/// So many failures within so long, and further attempts have to wait.
const MAX_FAILURES: usize = 5;
const WITHIN: Millis = 60_000;

/// Clients that are remembered.
const MAX_CLIENTS: usize = 256;

/// How long an attempt waits before it is looked at.
const DELAY: Duration = Duration::from_secs(2);

/// Attempts that may wait at a time, each on the thread of its connection.
const MAX_WAITING: usize = 8;

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
}

impl Failures {
    /// Notes a failure.
    pub(super) fn note(&self, address: IpAddr, attempt: Attempt, now: Millis) {
        let client = one_client(address);
        let mut clients = lock(&self.clients);
        let found = clients.iter().position(|f| f.is(client, attempt));
        let mut failing = match found {
            Some(index) => clients.remove(index),
            None => Failing {
                client,
                attempt,
                times: Vec::with_capacity(MAX_FAILURES),
            },
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

    /// Forgets the failures of somebody who has the right key after all.
    pub(super) fn forget(&self, address: IpAddr, attempt: Attempt) {
        let client = one_client(address);
        lock(&self.clients).retain(|failing| !failing.is(client, attempt));
    }

    /// Whether an attempt from there has to wait.
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

/// Where attempts wait.
pub(super) struct WaitingRoom {
    delay: Duration,
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
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

    /// Waits.
    pub(super) fn wait(&self) -> Result<(), NoRoom> {
        let until = Instant::now() + self.delay;
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(NoRoom::Closed);
        }
        if state.waiting == MAX_WAITING {
            return Err(NoRoom::Full);
        }
        state.waiting += 1;
        while !state.is_closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let result = self.closed.wait_timeout(state, left);
            state = result.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting -= 1;
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
    fn a_success_clears_the_failures_at_the_same_attempt() {
        let failures = Failures::default();
        for attempt in [Attempt::Publish, Attempt::Play, Attempt::Administer] {
            (0..9).for_each(|time| failures.note(HOST, attempt, time));
        }
        failures.forget(HOST, Attempt::Play);
        assert!(!failures.are_many(HOST, Attempt::Play, 10));
        assert!(failures.are_many(HOST, Attempt::Publish, 10));
        assert!(failures.are_many(HOST, Attempt::Administer, 10));
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
            .map(|_| {
                let room = Arc::clone(&room);
                thread::spawn(move || room.wait())
            })
            .collect();
        while lock(&room.state).waiting < MAX_WAITING {
            thread::yield_now();
        }
        assert_eq!(room.wait(), Err(NoRoom::Full));
        // Long before the hour is over.
        room.close();
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Err(NoRoom::Closed));
        }
        assert_eq!(room.wait(), Err(NoRoom::Closed));
    }

    #[test]
    fn who_has_waited_may_go_on_and_leaves_a_place() {
        let room = WaitingRoom::new(Duration::from_millis(1));
        for _ in 0..2 * MAX_WAITING {
            assert_eq!(room.wait(), Ok(()));
        }
    }
}
