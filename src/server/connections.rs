//! The connections that are open, and who gets a place among them.
//!
//! ```text
//! rank        it                                          makes room for
//! unused      has asked for nothing yet, or its answer    any newcomer
//!             is no stream: idle clients
//! waiting     plays a name that nobody has published      any newcomer
//! gone        has published; its stream's grace time runs any newcomer
//! viewing     plays a stream, or asks for parts of one    a viewer whose address has fewer
//! publishing  publishes                                   nobody
//! ```
//!
//! A newcomer may turn out to be a publisher, so there is always a place for one: viewers have
//! seven of eight places at most. When all places are taken, the address with the most unused,
//! waiting and gone connections loses one of them (among equals, the address with the most
//! connections of all kinds): the lowest in rank, the oldest of several. It is cut off at once,
//! whatever it does: its thread wakes from reading and from writing, and looks once a second when it
//! waits out a grace time. It no longer counts, but while too many such threads haven't ended yet,
//! new clients are refused.
//!
//! All of an IPv6 /64 is one address here. Clients that have shown a key need no rank of their own:
//! where playing or publishing takes a key, all viewers or publishers have shown it.

use std::cmp::Reverse;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::end::ConnectionEnd;
use super::handler::Protocol;
use super::socket::Socket;
use super::thread::STACK_LEN;
use super::{Shared, is_memory_there};
use crate::allowance::{Allowance, Exceeded, PER_CONNECTION, Taken};
use crate::config::one_client;
use crate::live::sink::Sink;
use crate::live::{Millis, lock};
use crate::output::status::ConnectionReport;
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::rtmp::stream_key::StreamKey;

/// One in so many places is kept free of viewers; as many connections may be closing, beyond the
/// places that are taken.
const RESERVE: usize = 8;

/// Memory that must be there for another connection beyond what the allowances of all may take, in
/// bytes: the stack of its thread and those that it has for its signals, and what is made while
/// requests are answered.
const SPARE: usize = STACK_LEN + (2 << 20);

/// Connections that may be closing at a time, however few places there are.
const MIN_LEAVING: usize = 4;

/// What a connection costs before it has said anything, in bytes: its entry here, of which a growing
/// vector may have room for two, 440, the name that its client gives itself 130, socket, recorder
/// and allowance 210, its thread's name, handle, result and closure 330. Not what the recorder
/// comes to hold.
const FIXED: usize = 1152;

const _: () = assert!(FIXED < PER_CONNECTION);

/// What clients call themselves is kept up to this length, in characters.
const MAX_CLIENT_LEN: usize = 120;

/// See the module's documentation.
pub(super) struct Connections {
    max: usize,
    max_per_address: usize,
    /// For viewers.
    max_viewing: usize,
    state: Mutex<State>,
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    next_id: u64,
    /// In the order of their numbers.
    open: Vec<Open>,
    /// Bytes in and out of those that have been closed.
    bytes: [u64; 2],
}

struct Open {
    id: u64,
    /// Of the client, as far as it is known.
    address: SocketAddr,
    /// What counts as its address when connections are counted.
    origin: IpAddr,
    /// A trusted proxy's connection between requests: it counts for no address.
    is_proxys: bool,
    protocol: Protocol,
    /// What the client calls itself, in printable ASCII.
    client: String,
    since: Millis,
    publishes: Vec<Use>,
    /// A publish of it has ended.
    has_published: bool,
    plays: Vec<Use>,
    cut: Option<Cut>,
    /// Until it is closed.
    socket: Option<Arc<Socket>>,
    recorder: Arc<Mutex<FlightRecorder>>,
    allowance: Allowance,
    /// What the connection costs before it has said anything.
    _fixed: Option<Taken>,
}

/// A stream that a connection publishes or plays.
struct Use {
    key: StreamKey,
    /// It is published, or has been.
    is_live: bool,
    _taken: Taken,
}

/// Why a connection was cut by another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Kicked,
    /// It has to make room.
    Displaced,
}

/// How useful a connection is. See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Unused,
    Waiting,
    Gone,
    Viewing,
    Publishing,
}

/// The connection that has to make room.
struct Victim {
    index: usize,
    /// The number of connections of its address that could have gone instead, itself included.
    count: usize,
}

/// The connections of one address.
struct Candidates {
    origin: IpAddr,
    connections: usize,
    /// Those that may have to go.
    count: usize,
    /// The lowest in rank of these, the oldest of several.
    first: Option<(Rank, usize)>,
}

impl Candidates {
    fn of(origin: IpAddr) -> Candidates {
        Candidates {
            origin,
            connections: 0,
            count: 0,
            first: None,
        }
    }
}

/// A place among the connections, given back when dropped.
pub(super) struct Permit {
    shared: Arc<Shared>,
    id: u64,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// `--max-connections`
    InAll(usize),
    /// `--max-per-address`
    PerAddress(usize),
    /// `--max-connect-rate`
    Rate(u32),
    /// What all connections may take isn't there for one more.
    Memory(usize),
    /// There is no thread for it.
    Thread(ErrorKind),
    /// All places for viewers are taken.
    Viewing(usize),
    /// The connection's allowance is used up.
    Allowance(Exceeded),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Full::InAll(max) => {
                write!(f, "{max} connections are open (raise --max-connections)")
            }
            Full::PerAddress(max) => write!(
                f,
                "{max} connections from its address are open (raise --max-per-address)"
            ),
            Full::Rate(max) => write!(
                f,
                "more than {max} connections a second from its address (raise --max-connect-rate)"
            ),
            Full::Memory(open) => write!(
                f,
                "no memory for another connection, {open} are open (raise the limit, or lower \
                 --memory or --max-connections)"
            ),
            Full::Thread(kind) => write!(
                f,
                "no thread can be started: {kind} (raise the limits on memory and processes)"
            ),
            Full::Viewing(max) => {
                write!(
                    f,
                    "{max} connections play streams (raise --max-connections)"
                )
            }
            Full::Allowance(exceeded) => write!(f, "{exceeded}"),
        }
    }
}

impl Connections {
    pub(super) fn new(max: usize, max_per_address: usize) -> Connections {
        Connections {
            max,
            max_per_address,
            max_viewing: max - max / RESERVE,
            state: Mutex::default(),
            emptied: Condvar::new(),
        }
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.state).open.len()
    }

    /// Where a connection notes what happens, while it is open.
    pub(super) fn recorder(&self, id: u64) -> Option<Arc<Mutex<FlightRecorder>>> {
        let mut state = lock(&self.state);
        Some(Arc::clone(&state.find(id)?.recorder))
    }

    /// What the client of a connection calls itself.
    pub(super) fn note_client(&self, id: u64, name: &str) {
        let printable = |c: char| match c {
            ' '..='~' => c,
            _ => '?',
        };
        let name = name.chars().take(MAX_CLIENT_LEN).map(printable).collect();
        if let Some(open) = lock(&self.state).find(id) {
            open.client = name;
        }
    }

    /// A proxy's connection serves this client from now on, unless that has too many of them.
    pub(super) fn note_sender(&self, id: u64, address: SocketAddr) -> Result<(), Full> {
        let origin = one_client(address.ip());
        let mut state = lock(&self.state);
        if state.count_of(origin) >= self.max_per_address {
            return Err(Full::PerAddress(self.max_per_address));
        }
        if let Some(open) = state.find(id) {
            open.address = address;
            open.origin = origin;
            open.is_proxys = false;
        }
        Ok(())
    }

    /// A proxy's connection is the proxy's again, which is at `peer`.
    pub(super) fn forget_sender(&self, id: u64, peer: SocketAddr) {
        if let Some(open) = lock(&self.state).find(id) {
            open.address = peer;
            open.origin = one_client(peer.ip());
            open.is_proxys = true;
        }
    }

    /// A connection may publish: its place is its own from now on.
    pub(super) fn note_publish(&self, id: u64, key: &StreamKey) -> Result<(), Full> {
        self.note_use(id, key, |open| &mut open.publishes)
    }

    /// Notes that a publish has ended; `has_begun` is false for one that was refused.
    pub(super) fn note_unpublish(&self, id: u64, key: &StreamKey, has_begun: bool) {
        if let Some(open) = lock(&self.state).find(id) {
            remove(&mut open.publishes, key);
            open.has_published |= has_begun;
        }
    }

    /// A stream is published, for which connections may have waited.
    pub(super) fn note_live(&self, key: &StreamKey) {
        let mut state = lock(&self.state);
        let plays = state.open.iter_mut().flat_map(|open| &mut open.plays);
        for play in plays.filter(|play| play.key == *key) {
            play.is_live = true;
        }
    }

    /// A connection plays. While the stream is published, or its publisher is waited for, it is a
    /// viewer, if there is a viewer's place.
    pub(super) fn note_play(shared: &Shared, id: u64, key: &StreamKey) -> Result<(), Full> {
        let connections = &shared.connections;
        connections.note_use(id, key, |open| &mut open.plays)?;
        // A publisher that comes from now on finds the note.
        let stream = shared.table.find(key);
        if !stream.is_some_and(|stream| stream.was_published()) {
            return Ok(());
        }
        let result = lock(&connections.state).begin_viewing(connections, id, key);
        if result.is_err() {
            connections.note_stop(id, key);
        }
        result
    }

    /// A play has ended, or hasn't begun.
    pub(super) fn note_stop(&self, id: u64, key: &StreamKey) {
        if let Some(open) = lock(&self.state).find(id) {
            remove(&mut open.plays, key);
        }
    }

    fn note_use(
        &self,
        id: u64,
        key: &StreamKey,
        list: fn(&mut Open) -> &mut Vec<Use>,
    ) -> Result<(), Full> {
        let mut state = lock(&self.state);
        let Some(open) = state.find(id) else {
            return Ok(());
        };
        // The vector may hold twice as many.
        let bytes = key.as_str().len() + 2 * size_of::<Use>();
        let taken = open.allowance.take(bytes).map_err(Full::Allowance)?;
        list(open).push(Use {
            key: key.clone(),
            is_live: false,
            _taken: taken,
        });
        Ok(())
    }

    /// Cuts a connection; false if there is none of that number.
    pub(super) fn kick(&self, id: u64) -> bool {
        let mut state = lock(&self.state);
        let open = state.find(id).filter(|open| open.socket.is_some());
        open.map(|open| open.cut(Cut::Kicked)).is_some()
    }

    /// Whether a connection was cut by another one, and why.
    pub(super) fn why_cut(&self, id: u64) -> Option<ConnectionEnd> {
        match lock(&self.state).find(id)?.cut? {
            Cut::Kicked => Some(ConnectionEnd::Kicked),
            Cut::Displaced => Some(ConnectionEnd::Displaced),
        }
    }

    /// The one that is open and has the next higher number.
    pub(super) fn report_after(&self, id: u64) -> Option<ConnectionReport> {
        let state = lock(&self.state);
        // Those that wait out a grace time are closed.
        let from = state.open.partition_point(|open| open.id <= id);
        let mut later = state.open.iter().skip(from);
        Some(later.find(|open| open.socket.is_some())?.report())
    }

    /// The one of this number, if it is open.
    pub(super) fn report_of(&self, id: u64) -> Option<ConnectionReport> {
        let mut state = lock(&self.state);
        let open = state.find(id).filter(|open| open.socket.is_some())?;
        Some(open.report())
    }

    /// Those that are open, without those that wait out a grace time.
    pub(super) fn open_count(&self) -> usize {
        let state = lock(&self.state);
        state
            .open
            .iter()
            .filter(|open| open.socket.is_some())
            .count()
    }

    /// Accepted so far; bytes that all of them brought and were sent.
    pub(super) fn totals(&self) -> (u64, [u64; 2]) {
        let state = lock(&self.state);
        let [mut bytes_in, mut bytes_out] = state.bytes;
        for open in &state.open {
            let [received, sent] = open.bytes();
            bytes_in += received;
            bytes_out += sent;
        }
        (state.next_id, [bytes_in, bytes_out])
    }

    /// Wakes every connection's thread as if its peer had closed.
    pub(super) fn stop_reading(&self) {
        for open in &lock(&self.state).open {
            if let Some(socket) = &open.socket {
                socket.stop_reading();
            }
        }
    }

    /// Cuts every connection.
    pub(super) fn shutdown(&self) {
        for open in &lock(&self.state).open {
            if let Some(socket) = &open.socket {
                socket.shutdown();
            }
        }
    }

    /// Waits until no connection is left; false when the time is over before.
    pub(super) fn wait_until_empty(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.state);
        while !state.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let result = self.emptied.wait_timeout(state, left);
            state = result.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Open {
    /// Received, sent.
    fn bytes(&self) -> [u64; 2] {
        self.socket.as_ref().map_or([0, 0], |socket| socket.bytes())
    }

    fn rank(&self) -> Rank {
        if self.socket.is_none() {
            Rank::Gone
        } else if !self.publishes.is_empty() {
            Rank::Publishing
        } else if self.plays.iter().any(|play| play.is_live) {
            Rank::Viewing
        } else if self.has_published {
            // Its socket may not be closed yet, or it goes on without a publish.
            Rank::Gone
        } else if !self.plays.is_empty() {
            Rank::Waiting
        } else {
            Rank::Unused
        }
    }

    /// Cuts it off, whether it reads or writes.
    fn cut(&mut self, why: Cut) {
        self.cut = Some(why);
        if let Some(socket) = &self.socket {
            socket.shutdown();
        }
    }

    fn report(&self) -> ConnectionReport {
        let [bytes_in, bytes_out] = self.bytes();
        let keys = |uses: &[Use]| uses.iter().map(|used| used.key.clone()).collect();
        ConnectionReport {
            id: self.id,
            address: self.address,
            protocol: match self.protocol {
                Protocol::Rtmp => "rtmp",
                Protocol::Http => "http",
            },
            client: self.client.clone(),
            since: self.since,
            publishes: keys(&self.publishes),
            plays: keys(&self.plays),
            bytes_in,
            bytes_out,
        }
    }
}

fn remove(uses: &mut Vec<Use>, key: &StreamKey) {
    if let Some(index) = uses.iter().position(|used| used.key == *key) {
        uses.swap_remove(index);
    }
}

impl State {
    /// The bytes of a connection that is closed now go to those of the others.
    fn settle(&mut self, bytes: [u64; 2]) {
        for (sum, bytes) in self.bytes.iter_mut().zip(bytes) {
            *sum += bytes;
        }
    }

    fn find(&mut self, id: u64) -> Option<&mut Open> {
        let index = self.open.binary_search_by_key(&id, |open| open.id).ok()?;
        self.open.get_mut(index)
    }

    /// Those that needn't make room, with their ranks.
    fn staying(&self) -> impl Iterator<Item = (usize, &Open, Rank)> {
        let open = self.open.iter().enumerate();
        let staying = open.filter(|(_, open)| open.cut != Some(Cut::Displaced));
        staying.map(|(index, open)| (index, open, open.rank()))
    }

    /// Which of those has to go that may. An address is judged by how many of them it has, then by
    /// all of its connections: by rank alone, strangers that fill all places and come again and
    /// again would push out each newcomer before it has said what it wants.
    fn victim(&self, may_go: impl Fn(&Open, Rank) -> bool) -> Option<Victim> {
        let mut origins: Vec<Candidates> = Vec::new();
        for (index, open, rank) in self.staying() {
            let found = origins.iter().position(|found| found.origin == open.origin);
            let at = found.unwrap_or_else(|| {
                origins.push(Candidates::of(open.origin));
                origins.len() - 1
            });
            let Some(candidates) = origins.get_mut(at) else {
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
        let victims = origins.iter().filter_map(|candidates| {
            let (rank, index) = candidates.first?;
            let weight = (candidates.count, candidates.connections, Reverse(rank));
            Some((weight, index))
        });
        let (weight, index) = victims.reduce(|most, next| match next.0 > most.0 {
            true => next,
            false => most,
        })?;
        Some(Victim {
            index,
            count: weight.0,
        })
    }

    /// Has a connection make room.
    fn displace(&mut self, victim: &Victim) {
        if let Some(open) = self.open.get_mut(victim.index) {
            open.cut(Cut::Displaced);
        }
    }

    /// Whether as many connections are closing as may be where `max` are allowed; of one address or of
    /// all.
    fn is_crowded(&self, max: usize, origin: Option<IpAddr>) -> bool {
        let leaving = self.open.iter().filter(|open| {
            open.cut == Some(Cut::Displaced) && origin.is_none_or(|origin| open.origin == origin)
        });
        leaving.count() >= (max / RESERVE).max(MIN_LEAVING)
    }

    fn count(&self, is_meant: impl Fn(&Open, Rank) -> bool) -> usize {
        let staying = self.staying();
        staying
            .filter(|(_, open, rank)| is_meant(open, *rank))
            .count()
    }

    /// Connections that count for an address.
    fn count_of(&self, origin: IpAddr) -> usize {
        self.count(|open, _| open.origin == origin && !open.is_proxys)
    }

    /// Finds a place for a newcomer from `origin`; a trusted proxy may have any number.
    fn make_room(
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
        let is_from_there = |open: &Open| open.origin == origin && !open.is_proxys;
        if !is_proxys && self.count_of(origin) >= limits.max_per_address {
            let max = limits.max_per_address;
            let victim = self.victim(|open, rank| is_low(rank) && is_from_there(open));
            let victim = victim.filter(|_| !self.is_crowded(max, Some(origin)));
            self.displace(&victim.ok_or(Full::PerAddress(max))?);
            return Ok(());
        }
        if self.count(|_, _| true) < limits.max {
            return Ok(());
        }
        // Connections that waited for a stream may be too many viewers once it is published.
        let viewing = self.count(|_, rank| rank == Rank::Viewing);
        let has_surplus = viewing > limits.max_viewing;
        let surplus = || self.victim(|_, rank| has_surplus && rank == Rank::Viewing);
        let victim = self.victim(|_, rank| is_low(rank)).or_else(surplus);
        let victim = victim.filter(|_| !self.is_crowded(limits.max, None));
        self.displace(&victim.ok_or(Full::InAll(limits.max))?);
        Ok(())
    }

    /// Makes a viewer of a connection, if one of the viewers' places is free or an address has more
    /// of them than its own.
    fn begin_viewing(
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
        let viewing = self.count(|_, rank| is_viewing(rank));
        if rank < Rank::Viewing && viewing >= limits.max_viewing {
            let own = self.count(|open, rank| is_viewing(rank) && open.origin == origin);
            let victim = self.victim(|_, rank| is_viewing(rank));
            let victim = victim.filter(|victim| victim.count > own + 1);
            let victim = victim.filter(|_| !self.is_crowded(limits.max, None));
            self.displace(&victim.ok_or(Full::Viewing(limits.max_viewing))?);
        }
        let plays = self.find(id).map(|open| &mut open.plays);
        for play in plays.into_iter().flatten() {
            play.is_live |= play.key == *key;
        }
        Ok(())
    }
}

impl Permit {
    /// A place for a new connection, if the caps allow one.
    pub(super) fn take(
        shared: &Arc<Shared>,
        protocol: Protocol,
        address: SocketAddr,
        socket: &Arc<Socket>,
    ) -> Result<Permit, Full> {
        let connections = &shared.connections;
        let mut state = lock(&connections.state);
        let origin = one_client(address.ip());
        let is_proxys = shared.is_of_proxy(protocol, address, socket);
        state.make_room(connections, origin, is_proxys)?;
        state.next_id += 1;
        let id = state.next_id;
        let allowance = Allowance::default();
        let open = Open {
            id,
            address,
            origin,
            is_proxys,
            protocol,
            client: String::new(),
            since: shared.now(),
            publishes: Vec::new(),
            has_published: false,
            plays: Vec::new(),
            cut: None,
            socket: Some(Arc::clone(socket)),
            recorder: Arc::default(),
            _fixed: allowance.take(FIXED).ok(),
            allowance,
        };
        state.open.push(open);
        Ok(Permit {
            shared: Arc::clone(shared),
            id,
        })
    }

    /// The connection is closed; its thread goes on for a while.
    pub(super) fn forget_socket(&self) {
        let mut state = lock(&self.shared.connections.state);
        if let Some(open) = state.find(self.id) {
            let bytes = open.bytes();
            open.socket = None;
            state.settle(bytes);
        }
    }

    /// Whether the place is wanted for another connection.
    pub(super) fn is_displaced(&self) -> bool {
        let connections = &self.shared.connections;
        matches!(connections.why_cut(self.id), Some(ConnectionEnd::Displaced))
    }

    /// Where the connection notes what happens.
    pub(super) fn recorder(&self) -> Arc<Mutex<FlightRecorder>> {
        let connections = &self.shared.connections;
        connections.recorder(self.id).unwrap_or_default()
    }

    /// What is left of the connection's allowance: its fixed cost is taken.
    pub(super) fn allowance(&self) -> Allowance {
        let mut state = lock(&self.shared.connections.state);
        let open = state.find(self.id);
        open.map(|open| open.allowance.clone()).unwrap_or_default()
    }

    /// The connection's number, counted from 1.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let connections = &self.shared.connections;
        let mut state = lock(&connections.state);
        let found = state.open.binary_search_by_key(&self.id, |open| open.id);
        if let Ok(index) = found {
            let open = state.open.remove(index);
            state.settle(open.bytes());
        }
        if state.open.is_empty() {
            connections.emptied.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    /// A socket for all: none of them says anything.
    fn socket() -> Arc<Socket> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Arc::new(Socket::new(stream))
    }

    /// Connections of these addresses and ranks, numbered from 1.
    fn connections(limits: (usize, usize), all: &[(&str, Rank)]) -> Connections {
        let connections = Connections::new(limits.0, limits.1);
        let socket = socket();
        let used = |is_live| Use {
            key: StreamKey::new("live", "door").unwrap(),
            is_live,
            _taken: Allowance::default().take(1).unwrap(),
        };
        let open = |(index, (address, rank)): (usize, &(&str, Rank))| {
            let address: IpAddr = address.parse().unwrap();
            Open {
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
        lock(&connections.state).open = all.iter().enumerate().map(open).collect();
        connections
    }

    /// Who has to go for a newcomer from this address.
    fn displaced(connections: &Connections, address: &str) -> Result<Vec<u64>, Full> {
        let mut state = lock(&connections.state);
        let origin = one_client(address.parse().unwrap());
        state.make_room(connections, origin, false)?;
        let gone = state.open.iter().filter(|open| open.cut.is_some());
        Ok(gone.map(|open| open.id).collect())
    }

    #[test]
    fn the_lowest_goes_of_the_address_that_has_most_and_of_these_the_oldest() {
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
        // Whoever comes takes the place of the one who goes.
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
    fn who_stops_publishing_goes_after_those_who_did_before_whether_closed_or_not() {
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
    fn a_newcomer_stays_while_strangers_come_again_and_again() {
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
