//! Rate limits on log lines: a client that reconnects all the time could fill a disk otherwise.
//!
//! Each address may log 50 lines of each kind in a burst, then one a second; all addresses together
//! 200 in a burst, then ten a second. Lines about publishers have their own limit, so that a crowd
//! can't hide them. Lines that are left out are counted, and every ten seconds the number is logged
//! together with the next line. With `--log debug` there is no limit.

use std::fmt;
use std::net::IpAddr;
use std::sync::Mutex;

use super::Shared;
use crate::config::one_client;
use crate::live::{Millis, lock};
use crate::rtmp::rate::Rate;

/// Addresses that are remembered.
const MAX_CLIENTS: usize = 256;

/// Limit for one address.
const FEW: Rate = Rate::new(50, 1);

/// Limit for all addresses together.
const MANY: Rate = Rate::new(200, 10);

/// How long lines that are left out are counted before their number is logged, in ms.
const TELL_AFTER: Millis = 10_000;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Connections that begin and end, and why.
    Connection,
    /// Players, and what goes wrong with media.
    Media,
    /// Publishers and their streams.
    Publishing,
}

/// See the module's documentation.
pub(super) struct Lines {
    state: Mutex<State>,
}

struct State {
    /// For lines about publishers; for the rest.
    all: [Rate; 2],
    /// The least recently seen first.
    clients: Vec<Entry>,
}

struct Entry {
    client: IpAddr,
    rates: [Rate; 3],
    left_out: u64,
    /// When the first of them was.
    since: Millis,
}

/// The number of lines about a client that were left out.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    client: IpAddr,
    lines: u64,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.client.is_ipv6() { "/64" } else { "" };
        let LeftOut { client, lines } = self;
        write!(f, "{lines} more lines about {client}{prefix} left out")
    }
}

impl Default for Lines {
    fn default() -> Lines {
        let state = State {
            all: [MANY; 2],
            clients: Vec::new(),
        };
        Lines {
            state: Mutex::new(state),
        }
    }
}

impl Lines {
    /// Whether a line may be logged; and what was left out before, if that is due.
    fn allow(&self, about: About, address: IpAddr, now: Millis) -> (bool, Option<LeftOut>) {
        let client = one_client(address);
        let state = &mut *lock(&self.state);
        let found = state.clients.iter().position(|c| c.client == client);
        let mut entry = match found {
            Some(index) => state.clients.remove(index),
            None => Entry {
                client,
                rates: [FEW; 3],
                left_out: 0,
                since: 0,
            },
        };
        let evicted = match state.clients.len() {
            MAX_CLIENTS => state.clients.remove(0).take_left_out(Millis::MAX),
            _ => None,
        };
        let [publishing, rest] = &mut state.all;
        let all = match about {
            About::Publishing => publishing,
            _ => rest,
        };
        let [connection, media, publishes] = &mut entry.rates;
        let own = match about {
            About::Connection => connection,
            About::Media => media,
            About::Publishing => publishes,
        };
        let is_allowed = own.take(1, now) && all.take(1, now);
        if !is_allowed {
            if entry.left_out == 0 {
                entry.since = now;
            }
            entry.left_out += 1;
        }
        state.clients.push(entry);
        let mut clients = state.clients.iter_mut();
        let due = || clients.find_map(|entry| entry.take_left_out(now));
        let left_out = evicted.or_else(due);
        (is_allowed, left_out)
    }

    /// Logs what was left out and hasn't been logged yet.
    pub(super) fn finish(&self) {
        for entry in &mut lock(&self.state).clients {
            if let Some(left_out) = entry.take_left_out(Millis::MAX) {
                log::info!("{left_out}");
            }
        }
    }
}

impl Entry {
    /// What was left out, if that is due.
    fn take_left_out(&mut self, now: Millis) -> Option<LeftOut> {
        if self.left_out == 0 || now.saturating_sub(self.since) < TELL_AFTER {
            return None;
        }
        Some(LeftOut {
            client: self.client,
            lines: std::mem::take(&mut self.left_out),
        })
    }
}

impl Lines {
    /// Logs a line about a client at an address, unless there have been too many.
    pub(super) fn say(
        &self,
        level: log::Level,
        about: About,
        address: IpAddr,
        now: Millis,
        line: fmt::Arguments<'_>,
    ) {
        if !log::log_enabled!(level) {
            return;
        }
        // At debug level somebody is looking for something, and needs all lines.
        if log::max_level() <= log::LevelFilter::Info {
            let (is_allowed, left_out) = self.allow(about, address, now);
            if let Some(left_out) = left_out {
                log::info!("{left_out}");
            }
            if !is_allowed {
                return;
            }
        }
        log::log!(level, "{line}");
    }
}

impl Shared {
    /// The same, now.
    pub(super) fn say(
        &self,
        level: log::Level,
        about: About,
        address: IpAddr,
        line: fmt::Arguments<'_>,
    ) {
        self.lines.say(level, about, address, self.now(), line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> IpAddr {
        IpAddr::V4((0x0A00_0000 + number).into())
    }

    /// How many of so many lines are told.
    fn told(lines: &Lines, about: About, address: IpAddr, count: usize, now: Millis) -> usize {
        let allowed = (0..count).filter(|_| lines.allow(about, address, now).0);
        allowed.count()
    }

    #[test]
    fn an_address_gets_a_burst_and_then_a_line_a_second_and_the_rest_is_counted() {
        let lines = Lines::default();
        assert_eq!(told(&lines, About::Connection, host(7), 1000, 5_000), 50);
        assert_eq!(told(&lines, About::Connection, host(7), 1000, 5_999), 0);
        assert_eq!(told(&lines, About::Connection, host(7), 1000, 6_000), 1);
        // Its cameras are told of all the same, and so are others.
        assert_eq!(told(&lines, About::Publishing, host(7), 1000, 6_000), 50);
        assert_eq!(told(&lines, About::Media, host(7), 9, 6_000), 9);
        assert_eq!(told(&lines, About::Connection, host(8), 9, 6_000), 9);
    }

    #[test]
    fn many_addresses_do_not_hide_who_publishes() {
        let lines = Lines::default();
        let crowd = |now| {
            let hosts =
                (100..1_000).map(|number| told(&lines, About::Connection, host(number), 5, now));
            hosts.sum::<usize>()
        };
        assert_eq!(crowd(5_000), 200);
        assert_eq!(crowd(6_000), 10);
        assert_eq!(told(&lines, About::Publishing, host(7), 5, 6_000), 5);
        assert_eq!(lock(&lines.state).clients.len(), MAX_CLIENTS);
    }

    #[test]
    fn what_was_left_out_is_told_with_a_line_about_somebody_else() {
        let lines = Lines::default();
        let address = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 9]);
        assert_eq!(told(&lines, About::Media, address, 60, 5_000), 50);
        assert_eq!(lines.allow(About::Media, host(1), 14_999), (true, None));
        let (_, left_out) = lines.allow(About::Media, host(1), 15_000);
        let text = left_out.unwrap().to_string();
        assert_eq!(text, "10 more lines about 2001:db8:0:1::/64 left out");
        assert_eq!(lines.allow(About::Media, host(1), 99_000), (true, None));
    }
}
