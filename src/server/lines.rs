//! Rate limits on log lines, without which a client that keeps reconnecting could fill a disk.
//!
//! Each address may cause a burst of 50 lines of each kind, then one a second; all addresses together a
//! burst of 200, then ten a second. Lines about publishers have their own limit, so that a crowd can't
//! hide them. Omitted lines are counted, and after ten seconds their number is logged with the next
//! line. With `--log debug` there is no limit.

use std::fmt;
use std::net::IpAddr;
use std::sync::Mutex;

use super::Shared;
use crate::config::one_client;
use crate::live::{Millis, lock};
use crate::rtmp::rate::Rate;

/// The maximum number of addresses that are remembered.
const MAX_CLIENTS: usize = 256;

/// The limit for one address.
const PER_CLIENT: Rate = Rate::new(50, 1);

/// The limit for all addresses together.
const IN_ALL: Rate = Rate::new(200, 10);

/// The time in ms from the first omitted line until the number of omitted lines is logged.
const REPORT_AFTER: Millis = 10_000;

/// The subject of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The beginning and the end of connections.
    Connection,
    /// Players, and problems with media.
    Media,
    /// Publishers and their streams.
    Publishing,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Lines(Mutex<Limits>);

struct Limits {
    /// The first one for lines about connections and media, the second one for lines about publishers.
    in_all: [Rate; 2],
    /// Sorted by when they were last seen, the oldest first.
    clients: Vec<ClientLimits>,
}

struct ClientLimits {
    client: IpAddr,
    /// The limits for the client's lines, by subject.
    rates: [Rate; 3],
    left_out: u64,
    /// The time of the first line that was left out since the last report.
    since: Millis,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            in_all: [IN_ALL; 2],
            clients: Vec::new(),
        }
    }
}

impl Lines {
    /// Returns whether a line may be logged, and a line about omitted ones, if it is due.
    fn allow(&self, about: About, address: IpAddr, now: Millis) -> (bool, Option<String>) {
        let client = one_client(address);
        let limits = &mut *lock(&self.0);
        let found = limits.clients.iter().position(|c| c.client == client);
        let mut entry = match found {
            Some(index) => limits.clients.remove(index),
            None => ClientLimits {
                client,
                rates: [PER_CLIENT; 3],
                left_out: 0,
                since: 0,
            },
        };
        // The number of an evicted client's omitted lines is reported now, or it would be lost.
        let evicted = match limits.clients.len() {
            MAX_CLIENTS => limits.clients.remove(0).take_left_out(Millis::MAX),
            _ => None,
        };
        let in_all = &mut limits.in_all[usize::from(about == About::Publishing)];
        let own = &mut entry.rates[about as usize];
        let is_allowed = own.take(1, now) && in_all.take(1, now);
        if !is_allowed {
            if entry.left_out == 0 {
                entry.since = now;
            }
            entry.left_out += 1;
        }
        limits.clients.push(entry);
        let mut clients = limits.clients.iter_mut();
        let due = || clients.find_map(|entry| entry.take_left_out(now));
        let left_out = evicted.or_else(due);
        (is_allowed, left_out)
    }

    /// Logs all numbers of omitted lines that haven't been logged yet.
    pub(super) fn finish(&self) {
        for entry in &mut lock(&self.0).clients {
            if let Some(left_out) = entry.take_left_out(Millis::MAX) {
                log::info!("{left_out}");
            }
        }
    }
}

impl ClientLimits {
    /// Returns a line with the number of omitted ones, if it is due.
    fn take_left_out(&mut self, now: Millis) -> Option<String> {
        if self.left_out == 0 || now.saturating_sub(self.since) < REPORT_AFTER {
            return None;
        }
        let (lines, client) = (std::mem::take(&mut self.left_out), self.client);
        let prefix = if client.is_ipv6() { "/64" } else { "" };
        Some(format!(
            "{lines} more lines about {client}{prefix} left out"
        ))
    }
}

/// A log line about a client at this address. It is omitted if there have been too many.
#[must_use = "nothing is logged before `say`"]
pub(super) struct Line<'a> {
    shared: &'a Shared,
    level: log::Level,
    about: About,
    address: IpAddr,
}

impl Shared {
    pub(super) fn line(&self, level: log::Level, about: About, address: IpAddr) -> Line<'_> {
        Line {
            shared: self,
            level,
            about,
            address,
        }
    }

    pub(super) fn info(&self, about: About, address: IpAddr) -> Line<'_> {
        self.line(log::Level::Info, about, address)
    }

    pub(super) fn warn(&self, about: About, address: IpAddr) -> Line<'_> {
        self.line(log::Level::Warn, about, address)
    }
}

impl Line<'_> {
    pub(super) fn say(self, text: fmt::Arguments<'_>) {
        if !log::log_enabled!(self.level) {
            return;
        }
        // With debug lines enabled, the user is looking for something, and needs all lines.
        if log::max_level() <= log::LevelFilter::Info {
            let (lines, now) = (&self.shared.lines, self.shared.now());
            let (is_allowed, left_out) = lines.allow(self.about, self.address, now);
            if let Some(left_out) = left_out {
                log::info!("{left_out}");
            }
            if !is_allowed {
                return;
            }
        }
        log::log!(self.level, "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> IpAddr {
        IpAddr::V4((0x0A00_0000 + number).into())
    }

    /// Returns how many of `count` lines are logged.
    fn logged(lines: &Lines, about: About, address: IpAddr, count: usize, now: Millis) -> usize {
        let allowed = (0..count).filter(|_| lines.allow(about, address, now).0);
        allowed.count()
    }

    #[test]
    fn an_address_gets_a_burst_and_then_a_line_a_second() {
        let lines = Lines::default();
        assert_eq!(logged(&lines, About::Connection, host(7), 1000, 5_000), 50);
        assert_eq!(logged(&lines, About::Connection, host(7), 1000, 5_999), 0);
        assert_eq!(logged(&lines, About::Connection, host(7), 1000, 6_000), 1);
        // This hides neither its publishers nor other addresses.
        assert_eq!(logged(&lines, About::Publishing, host(7), 1000, 6_000), 50);
        assert_eq!(logged(&lines, About::Media, host(7), 9, 6_000), 9);
        assert_eq!(logged(&lines, About::Connection, host(8), 9, 6_000), 9);
    }

    #[test]
    fn many_addresses_do_not_hide_publishers() {
        let lines = Lines::default();
        let crowd = |now| {
            let hosts =
                (100..1_000).map(|number| logged(&lines, About::Connection, host(number), 5, now));
            hosts.sum::<usize>()
        };
        assert_eq!(crowd(5_000), 200);
        assert_eq!(crowd(6_000), 10);
        assert_eq!(logged(&lines, About::Publishing, host(7), 5, 6_000), 5);
        assert_eq!(lock(&lines.0).clients.len(), MAX_CLIENTS);
    }

    #[test]
    fn the_number_of_lines_left_out_is_logged_with_the_next_line() {
        let lines = Lines::default();
        let address = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 9]);
        assert_eq!(logged(&lines, About::Media, address, 60, 5_000), 50);
        assert_eq!(lines.allow(About::Media, host(1), 14_999), (true, None));
        let (_, left_out) = lines.allow(About::Media, host(1), 15_000);
        let text = "10 more lines about 2001:db8:0:1::/64 left out";
        assert_eq!(left_out.as_deref(), Some(text));
        assert_eq!(lines.allow(About::Media, host(1), 99_000), (true, None));
    }
}
