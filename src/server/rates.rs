//! Rate limits per address, and the log lines about refused connections.

use std::net::IpAddr;
use std::sync::Mutex;

use crate::config::one_client;
use crate::live::{Millis, lock};
use crate::rtmp::rate::Rate;

/// The maximum number of addresses that are remembered.
const MAX_CLIENTS: usize = 256;

/// The burst that is allowed, as a multiple of the rate per second.
const BURST_SECONDS: u32 = 2;

/// The minimum time between two log lines about refused connections, in ms.
const LINE_INTERVAL: Millis = 1_000;

/// A rate limit per address: `per_second` in the long run, and twice as many in a burst.
pub(super) struct Rates {
    /// The rate of one address in the long run.
    pub(super) per_second: u32,
    /// Sorted by when they were last seen, the oldest first. An address that isn't listed has its full
    /// burst.
    clients: Mutex<Vec<(IpAddr, Rate)>>,
}

impl Rates {
    pub(super) fn new(per_second: u32) -> Rates {
        Rates {
            per_second,
            clients: Mutex::default(),
        }
    }

    /// Counts one event, and returns whether the address is within its limit.
    pub(super) fn allow(&self, address: IpAddr, now: Millis) -> bool {
        self.allow_many(address, 1, now)
    }

    /// Counts `count` events at once, and returns whether the address is within its limit. More than a
    /// full burst counts as a full burst.
    pub(super) fn allow_many(&self, address: IpAddr, count: usize, now: Millis) -> bool {
        let client = one_client(address);
        let mut clients = lock(&self.clients);
        let found = clients.iter().position(|(other, _)| *other == client);
        let mut rate = match found {
            Some(index) => clients.remove(index).1,
            None => Rate::new(
                self.per_second.saturating_mul(BURST_SECONDS),
                self.per_second,
            ),
        };
        let burst = rate.capacity() as u32;
        let count = u32::try_from(count).map_or(burst, |count| count.min(burst));
        let is_allowed = rate.take(count, now);
        if clients.len() == MAX_CLIENTS {
            clients.remove(0);
        }
        clients.push((client, rate));
        is_allowed
    }
}

/// Counts refused connections, which are logged at most once a second.
#[derive(Default)]
pub(super) struct Refused(Mutex<RefusedState>);

#[derive(Default)]
struct RefusedState {
    since_last: u64,
    last: Option<Millis>,
}

impl Refused {
    /// Counts a refused connection. If a line is due, returns how many were refused since the last line.
    pub(super) fn note(&self, now: Millis) -> Option<u64> {
        let mut state = lock(&self.0);
        state.since_last += 1;
        let is_recent = |last| now.saturating_sub(last) < LINE_INTERVAL;
        if state.last.is_some_and(is_recent) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.since_last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> IpAddr {
        IpAddr::V4((0x0A00_0000 + number).into())
    }

    fn allowed(rates: &Rates, address: IpAddr, attempts: usize, now: Millis) -> usize {
        (0..attempts).filter(|_| rates.allow(address, now)).count()
    }

    #[test]
    fn an_address_may_connect_twice_its_rate_at_once_and_then_at_its_rate() {
        let rates = Rates::new(20);
        assert_eq!(allowed(&rates, host(1), 100, 5_000), 40);
        assert_eq!(allowed(&rates, host(1), 100, 5_049), 0);
        assert_eq!(allowed(&rates, host(1), 100, 5_050), 1);
        assert_eq!(allowed(&rates, host(1), 100, 6_050), 20);
        // A longer pause gives no larger burst.
        assert_eq!(allowed(&rates, host(1), 100, 999_999_999), 40);
        assert_eq!(allowed(&rates, host(2), 1, 5_000), 1);
    }

    #[test]
    fn refused_attempts_cost_nothing() {
        let rates = Rates::new(1);
        assert_eq!(allowed(&rates, host(1), 2, 0), 2);
        let seconds = (0..10_000).step_by(10);
        let count: usize = seconds.map(|now| allowed(&rates, host(1), 1, now)).sum();
        assert_eq!(count, 9);
    }

    #[test]
    fn an_ipv6_subnet_is_one_address() {
        let rates = Rates::new(5);
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        let count = (0..100).filter(|host| rates.allow(address(*host), 0));
        assert_eq!(count.count(), 10);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_least_recently_seen() {
        let rates = Rates::new(1);
        for number in 0..MAX_CLIENTS as u32 {
            assert_eq!(allowed(&rates, host(number), 3, 0), 2);
        }
        assert_eq!(allowed(&rates, host(0), 1, 1), 0);
        assert!(rates.allow(host(100_000), 1));
        assert_eq!(lock(&rates.clients).len(), MAX_CLIENTS);
        assert_eq!(allowed(&rates, host(0), 1, 1), 0);
        assert_eq!(allowed(&rates, host(1), 1, 1), 1);
    }

    #[test]
    fn lines_come_once_a_second_with_the_number_of_refusals() {
        let refused = Refused::default();
        let lines: Vec<_> = (0..3_000)
            .step_by(10)
            .filter_map(|now| Some((now, refused.note(now)?)))
            .collect();
        assert_eq!(lines, [(0, 1), (1_000, 100), (2_000, 100)]);
    }
}
