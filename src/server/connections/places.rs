//! The choice of connections that get a place, and of those that must make room. See
//! [`connections`](super).

use std::cmp::Reverse;
use std::net::IpAddr;

use super::full::Full;
use super::open::{Cut, OpenConnection, Rank};
use super::{Connections, RESERVE, Registry, remove};
use crate::allowance::PER_CONNECTION;
use crate::rtmp::stream_key::StreamKey;
use crate::server::is_memory_there;
use crate::server::thread::STACK_LEN;

/// The memory in bytes that must be available for another connection in addition to the allowances of
/// all: for its thread's stack and signal stack, and for the buffers of requests that are being
/// answered.
const SPARE: usize = STACK_LEN + (2 << 20);

/// The number of connections that may be closing at a time, however few places there are.
const MIN_LEAVING: usize = 4;

/// The connection that has to make room.
struct Victim {
    index: usize,
    /// The number of connections of its address that could have been chosen, including itself.
    count: usize,
}

/// The connections of one address.
#[derive(Default)]
struct Candidates {
    connections: usize,
    /// The number of connections that may have to go.
    count: usize,
    /// Rank and index of the one with the lowest rank, and the oldest of several.
    first: Option<(Rank, usize)>,
}

impl Registry {
    /// The connections that keep their places, with their ranks.
    fn staying(&self) -> impl Iterator<Item = (usize, &OpenConnection, Rank)> {
        let open = self.open.iter().enumerate();
        let staying = open.filter(|(_, open)| open.cut != Some(Cut::Displaced));
        staying.map(|(index, open)| (index, open, open.rank()))
    }

    /// Chooses the connection that has to go among those that `may_go`. The address with the most of
    /// them loses one; among equals, the address with the most connections of all kinds. If rank alone
    /// decided, strangers that occupy all places and keep coming back would displace each newcomer
    /// before it has sent its first command.
    fn victim(&self, may_go: &dyn Fn(&OpenConnection, Rank) -> bool) -> Option<Victim> {
        let mut origins: Vec<(IpAddr, Candidates)> = Vec::new();
        for (index, open, rank) in self.staying() {
            let found = origins.iter().position(|(other, _)| *other == open.origin);
            let at = found.unwrap_or_else(|| {
                origins.push((open.origin, Candidates::default()));
                origins.len() - 1
            });
            let Some((_, candidates)) = origins.get_mut(at) else {
                continue;
            };
            candidates.connections += 1;
            if may_go(open, rank) {
                candidates.count += 1;
                // The oldest come first.
                if candidates.first.is_none_or(|(lowest, _)| rank < lowest) {
                    candidates.first = Some((rank, index));
                }
            }
        }
        let victims = origins.iter().filter_map(|(_, candidates)| {
            let (rank, index) = candidates.first?;
            let weight = (candidates.count, candidates.connections, Reverse(rank));
            Some((weight, index))
        });
        // Of equals the first one is chosen; `max_by_key` would choose the last.
        let (weight, index) =
            victims.reduce(|most, next| if next.0 > most.0 { next } else { most })?;
        Some(Victim {
            index,
            count: weight.0,
        })
    }

    /// Closes a connection to make room.
    fn displace(&mut self, victim: &Victim) {
        if let Some(open) = self.open.get_mut(victim.index) {
            open.cut(Cut::Displaced);
        }
    }

    /// Whether too many connections are closing already, given a limit of `max` open ones. Counts those
    /// of `origin`, or all of them if it is `None`.
    fn is_crowded(&self, max: usize, origin: Option<IpAddr>) -> bool {
        let leaving = self.open.iter().filter(|open| {
            open.cut == Some(Cut::Displaced) && origin.is_none_or(|origin| open.origin == origin)
        });
        leaving.count() >= (max / RESERVE).max(MIN_LEAVING)
    }

    fn count(&self, is_meant: &dyn Fn(&OpenConnection, Rank) -> bool) -> usize {
        let staying = self.staying();
        staying
            .filter(|(_, open, rank)| is_meant(open, *rank))
            .count()
    }

    /// The number of connections that count for an address.
    pub(super) fn count_of(&self, origin: IpAddr) -> usize {
        self.count(&|open, _| open.origin == origin && !open.is_proxys)
    }

    /// Finds a place for a newcomer from `origin`. A trusted proxy may occupy any number of places.
    pub(super) fn make_room(
        &mut self,
        limits: &Connections,
        origin: IpAddr,
        is_proxys: bool,
    ) -> Result<(), Full> {
        let open = self.open.len();
        if !is_memory_there((open + 1) * PER_CONNECTION + SPARE) {
            return Err(Full::Memory(open));
        }
        let is_low = |rank| rank < Rank::Viewing;
        let is_from_there = |open: &OpenConnection| open.origin == origin && !open.is_proxys;
        if !is_proxys && self.count_of(origin) >= limits.max_per_address {
            let max = limits.max_per_address;
            let victim = self.victim(&|open, rank| is_low(rank) && is_from_there(open));
            let victim = victim.filter(|_| !self.is_crowded(max, Some(origin)));
            self.displace(&victim.ok_or(Full::PerAddress(max))?);
            return Ok(());
        }
        if self.count(&|_, _| true) < limits.max {
            return Ok(());
        }
        // When a stream is published, those that have waited for it may become more viewers than there
        // are places for.
        let viewing = self.count(&|_, rank| rank == Rank::Viewing);
        let has_surplus = viewing > limits.max_viewing;
        let surplus = || self.victim(&|_, rank| has_surplus && rank == Rank::Viewing);
        let victim = self.victim(&|_, rank| is_low(rank)).or_else(surplus);
        let victim = victim.filter(|_| !self.is_crowded(limits.max, None));
        self.displace(&victim.ok_or(Full::InAll(limits.max))?);
        Ok(())
    }

    /// Makes a connection a viewer, if one of the viewers' places is free or can be taken from an
    /// address that has more viewers than the connection's own. A play that is refused is removed.
    pub(super) fn begin_viewing(
        &mut self,
        limits: &Connections,
        id: u64,
        key: &StreamKey,
    ) -> Result<(), Full> {
        let Some(open) = self.find(id) else {
            return Ok(());
        };
        let (origin, rank) = (open.origin, open.rank());
        let is_viewing = |rank| rank == Rank::Viewing;
        let viewing = self.count(&|_, rank| is_viewing(rank));
        if rank < Rank::Viewing && viewing >= limits.max_viewing {
            let own = self.count(&|open, rank| is_viewing(rank) && open.origin == origin);
            let victim = self.victim(&|_, rank| is_viewing(rank));
            let victim = victim.filter(|victim| victim.count > own + 1);
            let victim = victim.filter(|_| !self.is_crowded(limits.max, None));
            let Some(victim) = victim else {
                if let Some(open) = self.find(id) {
                    remove(&mut open.plays, key);
                }
                return Err(Full::Viewing(limits.max_viewing));
            };
            self.displace(&victim);
        }
        let plays = self.find(id).map(|open| &mut open.plays);
        for play in plays.into_iter().flatten() {
            play.is_live |= play.key == *key;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::Arc;

    use super::super::open::StreamUse;
    use super::*;
    use crate::allowance::Allowance;
    use crate::config::one_client;
    use crate::live::lock;
    use crate::net::socket::Socket;
    use crate::server::client::Protocol;

    /// One socket for all connections: none of them sends anything.
    fn socket() -> Arc<Socket> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Arc::new(Socket::new(stream))
    }

    /// Connections with these addresses and ranks, numbered from 1.
    fn connections(limits: (usize, usize), all: &[(&str, Rank)]) -> Connections {
        let connections = Connections::new(limits.0, limits.1);
        let socket = socket();
        let used = |is_live| StreamUse {
            key: StreamKey::new("live", "door").unwrap(),
            is_live,
            _taken: Allowance::default().take(1).unwrap(),
        };
        let open = |(index, (address, rank)): (usize, &(&str, Rank))| {
            let address: IpAddr = address.parse().unwrap();
            OpenConnection {
                id: index as u64 + 1,
                address: (address, 50_000).into(),
                origin: one_client(address),
                is_proxys: false,
                protocol: Protocol::Rtmp,
                client: String::new(),
                since: 0,
                publishes: (*rank == Rank::Publishing)
                    .then(|| used(true))
                    .into_iter()
                    .collect(),
                has_published: false,
                plays: match rank {
                    Rank::Waiting => vec![used(false)],
                    Rank::Viewing => vec![used(true)],
                    _ => Vec::new(),
                },
                cut: None,
                socket: (*rank != Rank::Gone).then(|| Arc::clone(&socket)),
                recorder: Arc::default(),
                allowance: Allowance::default(),
                _fixed: None,
            }
        };
        lock(&connections.registry).open = all.iter().enumerate().map(open).collect();
        connections
    }

    /// Returns the connections that are displaced by a newcomer from this address.
    fn displaced(connections: &Connections, address: &str) -> Result<Vec<u64>, Full> {
        let mut registry = lock(&connections.registry);
        let origin = one_client(address.parse().unwrap());
        registry.make_room(connections, origin, false)?;
        let gone = registry.open.iter().filter(|open| open.cut.is_some());
        Ok(gone.map(|open| open.id).collect())
    }

    #[test]
    fn the_address_with_the_most_candidates_loses_its_lowest_and_oldest_connection() {
        use Rank::{Gone, Publishing, Unused, Viewing, Waiting};

        let all = [
            ("10.0.0.6", Gone),
            ("10.0.0.1", Publishing),
            ("10.0.0.2", Unused),
            ("10.0.0.3", Viewing),
            ("10.0.0.4", Waiting),
            ("10.0.0.5", Unused),
            ("10.0.0.5", Unused),
        ];
        // Each newcomer publishes in the place of the connection that it displaces.
        let mut all = all.to_vec();
        for expected in [6, 3, 7, 5, 1] {
            let connections = connections((7, 7), &all);
            let gone = displaced(&connections, "10.0.0.9").unwrap();
            assert_eq!(gone, [expected]);
            all[expected as usize - 1] = ("10.0.0.9", Publishing);
        }
        let connections = connections((7, 7), &all);
        assert_eq!(displaced(&connections, "10.0.0.9"), Err(Full::InAll(7)));
    }

    #[test]
    fn publishers_that_stopped_earlier_are_displaced_first() {
        let all = [("10.0.0.1", Rank::Gone), ("10.0.0.1", Rank::Publishing)];
        let connections = connections((2, 9), &all);
        connections.note_unpublish(2, &StreamKey::new("live", "door").unwrap(), true);
        assert_eq!(displaced(&connections, "10.0.0.1"), Ok(vec![1]));
    }

    #[test]
    fn a_refused_publish_leaves_a_connection_unused() {
        let all = [("10.0.0.1", Rank::Gone), ("10.0.0.1", Rank::Publishing)];
        let connections = connections((2, 9), &all);
        connections.note_unpublish(2, &StreamKey::new("live", "door").unwrap(), false);
        assert_eq!(displaced(&connections, "10.0.0.1"), Ok(vec![2]));
    }

    #[test]
    fn strangers_that_keep_coming_back_do_not_displace_a_newcomer() {
        use Rank::{Unused, Viewing, Waiting};

        let waiting = [
            ("10.0.0.2", Unused),
            ("10.0.0.1", Waiting),
            ("10.0.0.1", Waiting),
        ];
        let viewing = [
            ("10.0.0.2", Unused),
            ("10.0.0.1", Viewing),
            ("10.0.0.1", Viewing),
            ("10.0.0.1", Unused),
        ];
        for (all, expected) in [(&waiting[..], 2), (&viewing, 4)] {
            let connections = connections((all.len(), 9), all);
            assert_eq!(displaced(&connections, "10.0.0.1"), Ok(vec![expected]));
        }
    }

    #[test]
    fn an_ipv6_subnet_is_one_address() {
        let all = [
            ("2001:db8:0:1::1", Rank::Viewing),
            ("2001:db8:0:1::2", Rank::Viewing),
        ];
        let connections = connections((9, 2), &all);
        assert_eq!(
            displaced(&connections, "2001:db8:0:1::3"),
            Err(Full::PerAddress(2))
        );
        assert_eq!(displaced(&connections, "2001:db8:0:2::3"), Ok(vec![]));
    }
}
