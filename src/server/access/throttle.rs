//! Throttles guesses at keys and passwords, per client.
//!
//! Credentials are checked at once, in a time that reveals nothing, and a client with right ones
//! proceeds at once, whatever others send from the same address (a household, or a proxy that doesn't
//! name its clients). Only refusals are delayed:
//!
//! ```text
//! five wrong attempts within a minute     each further refusal comes 2 s late, on its own thread
//! four refusals are late already          the next ones come at once, as "too many"
//! twenty wrong attempts within a second   "too many" for right and wrong ones alike
//! ```
//!
//! So one connection makes one guess in 2 s. A client that hangs up instead of waiting, or uses many
//! connections, makes at most [`MAX_PER_SECOND`] guesses a second from one address, or one /64, be it
//! directly or through a proxy. That is the real bound, since a late answer already reveals that the
//! guess was wrong. It equals the number of connections that one address may make per second by default.
//! Right attempts don't count towards it, so they are accepted as long as their address sends fewer
//! wrong ones; beyond the bound, right and wrong attempts must get the same answer. At that rate a key
//! of eight random letters and digits takes 170,000 years. A success doesn't clear failures: otherwise,
//! the owner of one key could guess at others without limit.

use std::net::IpAddr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::config::one_client;
use crate::live::{Millis, lock};
use crate::rtmp::rate::Rate;
use crate::server::client::Action;

/// After this many failures within this time (in ms), refusals are delayed.
const MAX_FAILURES: usize = 5;
const WITHIN: Millis = 60_000;

/// The maximum number of clients that are remembered.
const MAX_CLIENTS: usize = 256;

/// The maximum number of wrong attempts of a client that are answered, per second and in a burst.
pub(super) const MAX_PER_SECOND: u32 = 20;

/// The delay of a refusal.
const DELAY: Duration = Duration::from_secs(2);

/// The maximum number of refusals that are delayed at a time, each on the thread of its connection: for
/// one client, and for all.
const MAX_WAITING_PER_CLIENT: usize = 4;
const MAX_WAITING: usize = 32;

/// The purpose of credentials. Failures are counted separately for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Publish,
    Play,
    /// The use of the API, guarded by `--api-key`.
    Administer,
}

impl From<Action> for Purpose {
    fn from(action: Action) -> Purpose {
        match action {
            Action::Publish => Purpose::Publish,
            Action::Play => Purpose::Play,
        }
    }
}

/// The reason why an attempt is answered by neither yes nor no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttled {
    TooMany,
    ServerStops,
}

/// See the module's documentation.
pub(super) struct Throttle {
    /// Sorted by latest failure, the most recent last.
    failing: Mutex<Vec<Failing>>,
    delay: Duration,
    waiting: Mutex<Waiting>,
    stopped: Condvar,
}

/// The latest failures of a client.
struct Failing {
    client: IpAddr,
    purpose: Purpose,
    /// At most [`MAX_FAILURES`], the oldest first.
    times: Vec<Millis>,
    /// The rate limit of wrong attempts that are answered.
    answers: Rate,
}

/// The clients whose refusals are being delayed.
#[derive(Default)]
struct Waiting {
    clients: Vec<IpAddr>,
    is_stopping: bool,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle::with_delay(DELAY)
    }
}

impl Throttle {
    pub(super) fn with_delay(delay: Duration) -> Throttle {
        Throttle {
            failing: Mutex::default(),
            delay,
            waiting: Mutex::default(),
            stopped: Condvar::new(),
        }
    }

    /// Counts an attempt whose credentials were right or wrong. Returns once it may be answered, which
    /// for a wrong one can take a while.
    pub(super) fn pass(
        &self,
        address: IpAddr,
        purpose: Purpose,
        is_right: bool,
        now: Millis,
    ) -> Result<(), Throttled> {
        let client = one_client(address);
        if self.is_delayed(client, purpose, is_right, now)? {
            self.wait(client)?;
        }
        Ok(())
    }

    /// Counts an attempt. Returns whether its answer has to wait.
    fn is_delayed(
        &self,
        client: IpAddr,
        purpose: Purpose,
        is_right: bool,
        now: Millis,
    ) -> Result<bool, Throttled> {
        let mut failing = lock(&self.failing);
        let mut entries = failing.iter();
        let index = match entries.position(|f| f.client == client && f.purpose == purpose) {
            Some(index) => index,
            None if is_right => return Ok(false),
            None => {
                if failing.len() == MAX_CLIENTS {
                    failing.remove(0);
                }
                failing.push(Failing {
                    client,
                    purpose,
                    times: Vec::with_capacity(MAX_FAILURES),
                    answers: Rate::new(MAX_PER_SECOND, MAX_PER_SECOND),
                });
                failing.len() - 1
            }
        };
        let entry = &mut failing[index];
        // The same for right and wrong attempts, or else the answer would reveal which one it was.
        if !entry.answers.take(1, now) {
            return Err(Throttled::TooMany);
        }
        if is_right {
            entry.answers.give_back(1);
            return Ok(false);
        }
        let were_many = entry.has_many(now);
        if entry.times.len() == MAX_FAILURES {
            entry.times.remove(0);
        }
        entry.times.push(now);
        // Kept in order: the most recent failure last.
        failing[index..].rotate_left(1);
        Ok(were_many)
    }

    /// Delays a refusal.
    fn wait(&self, client: IpAddr) -> Result<(), Throttled> {
        let mut waiting = lock(&self.waiting);
        let own = waiting.clients.iter().filter(|other| **other == client);
        let is_full = own.count() >= MAX_WAITING_PER_CLIENT || waiting.clients.len() >= MAX_WAITING;
        if is_full && !waiting.is_stopping {
            return Err(Throttled::TooMany);
        }
        waiting.clients.push(client);
        let result = self
            .stopped
            .wait_timeout_while(waiting, self.delay, |waiting| !waiting.is_stopping);
        let (mut waiting, _) = result.unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = waiting.clients.iter().position(|other| *other == client) {
            waiting.clients.swap_remove(index);
        }
        if waiting.is_stopping {
            return Err(Throttled::ServerStops);
        }
        Ok(())
    }

    /// Ends all delays for good, because the server is stopping.
    pub(super) fn stop(&self) {
        lock(&self.waiting).is_stopping = true;
        self.stopped.notify_all();
    }

    /// Whether the next refusal of a client would be delayed.
    #[cfg(test)]
    pub(super) fn are_many(&self, address: IpAddr, purpose: Purpose, now: Millis) -> bool {
        let client = one_client(address);
        let failing = lock(&self.failing);
        let mut entries = failing
            .iter()
            .filter(|f| f.client == client && f.purpose == purpose);
        entries.any(|entry| entry.has_many(now))
    }
}

impl Failing {
    fn has_many(&self, now: Millis) -> bool {
        let is_recent = |time: &&Millis| now.saturating_sub(**time) < WITHIN;
        self.times.iter().filter(is_recent).count() >= MAX_FAILURES
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));

    fn throttle() -> Throttle {
        Throttle::with_delay(Duration::ZERO)
    }

    fn fail(throttle: &Throttle, address: IpAddr, purpose: Purpose, now: Millis) -> bool {
        throttle.pass(address, purpose, false, now).is_ok()
    }

    #[test]
    fn after_five_failures_within_a_minute_refusals_are_delayed() {
        let throttle = throttle();
        for time in [0, 20_000, 30_000, 40_000] {
            fail(&throttle, HOST, Purpose::Publish, time);
            assert!(!throttle.are_many(HOST, Purpose::Publish, time));
        }
        fail(&throttle, HOST, Purpose::Publish, 50_000);
        assert!(throttle.are_many(HOST, Purpose::Publish, 59_999));
        // The first one is a minute old.
        assert!(!throttle.are_many(HOST, Purpose::Publish, 60_000));
        fail(&throttle, HOST, Purpose::Publish, 70_000);
        assert!(throttle.are_many(HOST, Purpose::Publish, 79_999));
        assert!(!throttle.are_many(HOST, Purpose::Publish, 80_000));
        // Other clients aren't delayed, nor is another kind of attempt.
        assert!(!throttle.are_many(OTHER, Purpose::Publish, 70_000));
        assert!(!throttle.are_many(HOST, Purpose::Play, 70_000));
    }

    #[test]
    fn twenty_guesses_a_second_are_answered() {
        let throttle = throttle();
        // 1,000 a second, for ten seconds.
        let guess = |now: &Millis| fail(&throttle, HOST, Purpose::Play, *now);
        let answers = (0..10_000).filter(guess).count();
        assert!((200..=221).contains(&answers), "{answers}");
        // A right attempt is answered like a wrong one.
        let right = |address, purpose, now| throttle.pass(address, purpose, true, now);
        assert_eq!(right(HOST, Purpose::Play, 9_999), Err(Throttled::TooMany));
        // Other clients, and another kind of attempt, don't suffer.
        assert_eq!(right(OTHER, Purpose::Play, 9_999), Ok(()));
        assert_eq!(right(HOST, Purpose::Publish, 9_999), Ok(()));
        assert!(guess(&10_100));
    }

    #[test]
    fn right_attempts_pass_beside_fifteen_guesses_a_second() {
        let throttle = throttle();
        let mut guesses = 0;
        for now in (0..60_000).step_by(10) {
            if now * 15 / 1000 > guesses {
                guesses += 1;
                assert!(fail(&throttle, HOST, Purpose::Play, now));
            }
            // A hundred a second.
            let right = throttle.pass(HOST, Purpose::Play, true, now);
            assert_eq!(right, Ok(()), "at {now}");
        }
        assert!(
            throttle.are_many(HOST, Purpose::Play, 60_000),
            "a success clears nothing"
        );
    }

    #[test]
    fn clients_that_never_fail_take_no_place_in_the_table() {
        let throttle = throttle();
        assert_eq!(throttle.pass(HOST, Purpose::Play, true, 0), Ok(()));
        assert!(lock(&throttle.failing).is_empty());
    }

    #[test]
    fn all_addresses_of_an_ipv6_subnet_count_together() {
        let throttle = throttle();
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        (1..=5).for_each(|host| assert!(fail(&throttle, address(host), Purpose::Play, 0)));
        assert!(throttle.are_many(address(99), Purpose::Play, 1));
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert!(!throttle.are_many(elsewhere, Purpose::Play, 1));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest_failures() {
        let throttle = throttle();
        let address = |host: u32| IpAddr::V4((0x0A00_0000 + host).into());
        for _ in 0..MAX_FAILURES {
            fail(&throttle, address(0), Purpose::Publish, 0);
            fail(&throttle, address(1), Purpose::Publish, 0);
        }
        for host in 2..MAX_CLIENTS as u32 {
            fail(&throttle, address(host), Purpose::Publish, 1);
        }
        fail(&throttle, address(0), Purpose::Publish, 2);
        fail(&throttle, address(100_000), Purpose::Publish, 3);
        assert_eq!(lock(&throttle.failing).len(), MAX_CLIENTS);
        assert!(throttle.are_many(address(0), Purpose::Publish, 4));
        assert!(!throttle.are_many(address(1), Purpose::Publish, 4));
    }

    /// A throttle whose delays are so long that only its end ends them, and the clients that wait there.
    struct Room {
        throttle: Arc<Throttle>,
        waiting: Vec<thread::JoinHandle<Result<(), Throttled>>>,
    }

    impl Room {
        fn new() -> Room {
            Room {
                throttle: Arc::new(Throttle::with_delay(Duration::from_secs(3600))),
                waiting: Vec::new(),
            }
        }

        fn enter(&mut self, client: IpAddr) {
            let throttle = Arc::clone(&self.throttle);
            self.waiting
                .push(thread::spawn(move || throttle.wait(client)));
            while lock(&self.throttle.waiting).clients.len() < self.waiting.len() {
                thread::yield_now();
            }
        }

        fn stop(self) {
            self.throttle.stop();
            for thread in self.waiting {
                assert_eq!(thread.join().unwrap(), Err(Throttled::ServerStops));
            }
        }
    }

    #[test]
    fn delays_are_bounded_and_end_when_the_server_stops() {
        let mut room = Room::new();
        for number in 0..MAX_WAITING {
            let client = number / MAX_WAITING_PER_CLIENT;
            room.enter(IpAddr::from([10, 0, 0, client as u8]));
        }
        let throttle = Arc::clone(&room.throttle);
        assert_eq!(throttle.wait(HOST), Err(Throttled::TooMany));
        room.stop();
        assert_eq!(throttle.wait(HOST), Err(Throttled::ServerStops));
    }

    #[test]
    fn one_client_does_not_take_all_places() {
        let mut room = Room::new();
        (0..MAX_WAITING_PER_CLIENT).for_each(|_| room.enter(HOST));
        assert_eq!(room.throttle.wait(HOST), Err(Throttled::TooMany));
        room.enter(OTHER);
        room.stop();
    }

    #[test]
    fn a_delay_that_is_over_leaves_its_place() {
        let throttle = Throttle::with_delay(Duration::from_millis(1));
        for _ in 0..2 * MAX_WAITING {
            assert_eq!(throttle.wait(HOST), Ok(()));
        }
    }
}
