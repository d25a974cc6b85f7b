//! The connections that are open, and the caps on their number.
//!
//! Those that have neither published nor played yet have half of the places at most. When these
//! are taken, the oldest of them makes room for a newcomer: who means it needs a second to publish
//! or play, and strangers that hang about can't lock the others out.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;
use super::handler::Protocol;
use super::socket::Socket;
use crate::allowance::{Allowance, PER_CONNECTION, Taken};
use crate::config::one_client;
use crate::live::sink::Sink;
use crate::live::{Millis, lock};
use crate::output::status::ConnectionReport;
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::rtmp::stream_key::StreamKey;

/// Places for connections that have neither published nor played yet, however few there are in all.
const MIN_UNUSED: usize = 16;

/// What a connection costs before it has said anything, in bytes: its entry here with the name that
/// its client will give itself 330, socket, recorder and allowance 210, its thread's name, handle,
/// result and closure 330. Not what the recorder comes to hold.
const FIXED: usize = 1024;

const _: () = assert!(FIXED < PER_CONNECTION);

/// What clients call themselves is kept up to this length, in characters.
const MAX_CLIENT_LEN: usize = 120;

/// See the module's documentation.
pub(super) struct Connections {
    max: usize,
    max_per_address: usize,
    /// Of those that have neither published nor played yet.
    max_unused: usize,
    state: Mutex<State>,
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    next_id: u64,
    /// By number.
    open: HashMap<u64, Open>,
    /// Bytes in and out of those that have been closed.
    bytes: [u64; 2],
}

struct Open {
    /// Of the client, as far as it is known.
    address: SocketAddr,
    /// The client among whose connections it counts: none for a proxy's that serves nobody just now.
    counts_for: Option<IpAddr>,
    protocol: Protocol,
    /// What the client calls itself, in printable ASCII.
    client: String,
    since: Millis,
    publishes: Vec<StreamKey>,
    plays: Vec<StreamKey>,
    is_kicked: bool,
    /// Until it is closed.
    socket: Option<Arc<Socket>>,
    recorder: Arc<Mutex<FlightRecorder>>,
    allowance: Allowance,
    /// What the connection costs before it has said anything.
    _fixed: Option<Taken>,
    usage: Usage,
}

/// What a connection is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// It has neither published nor played yet.
    None,
    /// It has.
    Some,
    /// It has to make room for another one.
    Displaced,
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
        }
    }
}

impl Connections {
    pub(super) fn new(max: usize, max_per_address: usize) -> Connections {
        Connections {
            max,
            max_per_address,
            max_unused: (max / 2).max(MIN_UNUSED),
            state: Mutex::default(),
            emptied: Condvar::new(),
        }
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.state).open.len()
    }

    /// Where a connection notes what happens, while it is open.
    pub(super) fn recorder(&self, id: u64) -> Option<Arc<Mutex<FlightRecorder>>> {
        let state = lock(&self.state);
        Some(Arc::clone(&state.open.get(&id)?.recorder))
    }

    /// What the client of a connection calls itself.
    pub(super) fn note_client(&self, id: u64, name: &str) {
        let printable = |c: char| match c {
            ' '..='~' => c,
            _ => '?',
        };
        let name = name.chars().take(MAX_CLIENT_LEN).map(printable).collect();
        self.with(id, |open| open.client = name);
    }

    /// A connection publishes: its place is its own from now on.
    pub(super) fn note_publish(&self, id: u64, key: &StreamKey) {
        self.with(id, |open| {
            open.usage = Usage::Some;
            open.publishes.push(key.clone());
        });
    }

    /// A publish has ended.
    pub(super) fn note_unpublish(&self, id: u64, key: &StreamKey) {
        self.with(id, |open| remove(&mut open.publishes, key));
    }

    /// A connection plays: its place is its own from now on.
    pub(super) fn note_play(&self, id: u64, key: &StreamKey) {
        self.with(id, |open| {
            open.usage = Usage::Some;
            open.plays.push(key.clone());
        });
    }

    /// A play has ended.
    pub(super) fn note_stop(&self, id: u64, key: &StreamKey) {
        self.with(id, |open| remove(&mut open.plays, key));
    }

    /// A proxy's connection serves this client from now on, unless that has too many of them.
    pub(super) fn note_sender(&self, id: u64, address: SocketAddr) -> Result<(), Full> {
        let client = one_client(address.ip());
        let mut state = lock(&self.state);
        self.check_count(&state, client)?;
        if let Some(open) = state.open.get_mut(&id) {
            open.address = address;
            open.counts_for = Some(client);
        }
        Ok(())
    }

    /// A proxy's connection is the proxy's again, which is at `peer`.
    pub(super) fn forget_sender(&self, id: u64, peer: SocketAddr) {
        self.with(id, |open| {
            open.address = peer;
            open.counts_for = None;
        });
    }

    fn check_count(&self, state: &State, client: IpAddr) -> Result<(), Full> {
        let is_its = |open: &&Open| open.counts_for == Some(client);
        match state.open.values().filter(is_its).count() < self.max_per_address {
            true => Ok(()),
            false => Err(Full::PerAddress(self.max_per_address)),
        }
    }

    fn with(&self, id: u64, act: impl FnOnce(&mut Open)) {
        if let Some(open) = lock(&self.state).open.get_mut(&id) {
            act(open);
        }
    }

    /// Cuts a connection; false if there is none of that number.
    pub(super) fn kick(&self, id: u64) -> bool {
        let mut state = lock(&self.state);
        let open = state.open.get_mut(&id);
        let Some((open, socket)) = open.and_then(|open| open.socket.clone().map(|s| (open, s)))
        else {
            return false;
        };
        open.is_kicked = true;
        socket.shutdown();
        true
    }

    /// Whether a connection was cut by [`kick`](Self::kick).
    pub(super) fn is_kicked(&self, id: u64) -> bool {
        lock(&self.state)
            .open
            .get(&id)
            .is_some_and(|open| open.is_kicked)
    }

    /// All that are open, by number.
    pub(super) fn report(&self) -> Vec<ConnectionReport> {
        let state = lock(&self.state);
        let open = state.open.iter();
        // Those that wait out a grace time are closed.
        let open = open.filter(|(_, open)| open.socket.is_some());
        // Inserted in order: a sort takes 4 KB of the binary.
        let mut reports: Vec<ConnectionReport> = Vec::with_capacity(state.open.len());
        for (id, open) in open {
            let at = reports.partition_point(|report| report.id < *id);
            reports.insert(at, open.report(*id));
        }
        reports
    }

    /// Accepted so far; bytes that all of them brought and were sent.
    pub(super) fn totals(&self) -> (u64, [u64; 2]) {
        let state = lock(&self.state);
        let [mut bytes_in, mut bytes_out] = state.bytes;
        for open in state.open.values() {
            let [received, sent] = open.bytes();
            bytes_in += received;
            bytes_out += sent;
        }
        (state.next_id, [bytes_in, bytes_out])
    }

    /// A connection does nothing any longer, for the time being: it can come back.
    pub(super) fn note_idle(&self, id: u64) {
        self.with(id, |open| {
            open.usage = match open.usage {
                Usage::Displaced => Usage::Displaced,
                _ => Usage::None,
            };
        });
    }

    /// Whether a connection has to make room for another one.
    pub(super) fn is_displaced(&self, id: u64) -> bool {
        let state = lock(&self.state);
        let open = state.open.get(&id);
        open.is_some_and(|open| open.usage == Usage::Displaced)
    }

    /// Wakes every connection's thread as if its peer had closed.
    pub(super) fn stop_reading(&self) {
        for socket in lock(&self.state)
            .open
            .values()
            .filter_map(|open| open.socket.as_ref())
        {
            socket.stop_reading();
        }
    }

    /// Cuts every connection.
    pub(super) fn shutdown(&self) {
        for socket in lock(&self.state)
            .open
            .values()
            .filter_map(|open| open.socket.as_ref())
        {
            socket.shutdown();
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

    fn report(&self, id: u64) -> ConnectionReport {
        let [bytes_in, bytes_out] = self.bytes();
        ConnectionReport {
            id,
            address: self.address,
            protocol: match self.protocol {
                Protocol::Rtmp => "rtmp",
                Protocol::Http => "http",
            },
            client: self.client.clone(),
            since: self.since,
            publishes: self.publishes.clone(),
            plays: self.plays.clone(),
            bytes_in,
            bytes_out,
        }
    }
}

fn remove(keys: &mut Vec<StreamKey>, key: &StreamKey) {
    if let Some(index) = keys.iter().position(|known| known == key) {
        keys.swap_remove(index);
    }
}

impl State {
    /// The bytes of a connection that is closed now go to those of the others.
    fn settle(&mut self, bytes: [u64; 2]) {
        for (sum, bytes) in self.bytes.iter_mut().zip(bytes) {
            *sum += bytes;
        }
    }

    /// Sees to it that fewer than `max` connections are unused.
    fn make_room(&mut self, max: usize) {
        let unused = self
            .open
            .iter_mut()
            .filter(|(_, open)| open.usage == Usage::None);
        let unused: Vec<_> = unused.collect();
        if unused.len() < max {
            return;
        }
        if let Some((_, oldest)) = unused.into_iter().min_by_key(|(id, _)| **id) {
            oldest.usage = Usage::Displaced;
            if let Some(socket) = &oldest.socket {
                socket.stop_reading();
            }
        }
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
        if state.open.len() >= connections.max {
            return Err(Full::InAll(connections.max));
        }
        let is_of_proxy = shared.is_of_proxy(protocol, address, socket);
        let counts_for = (!is_of_proxy).then(|| one_client(address.ip()));
        if let Some(client) = counts_for {
            connections.check_count(&state, client)?;
        }
        state.make_room(connections.max_unused);
        state.next_id += 1;
        let id = state.next_id;
        let allowance = Allowance::default();
        let open = Open {
            address,
            counts_for,
            protocol,
            client: String::new(),
            since: shared.now(),
            publishes: Vec::new(),
            plays: Vec::new(),
            is_kicked: false,
            socket: Some(Arc::clone(socket)),
            recorder: Arc::default(),
            _fixed: allowance.take(FIXED).ok(),
            allowance,
            usage: Usage::None,
        };
        state.open.insert(id, open);
        Ok(Permit {
            shared: Arc::clone(shared),
            id,
        })
    }

    /// The connection is closed; its thread goes on for a while.
    pub(super) fn forget_socket(&self) {
        let mut state = lock(&self.shared.connections.state);
        if let Some(open) = state.open.get_mut(&self.id) {
            let bytes = open.bytes();
            open.socket = None;
            state.settle(bytes);
        }
    }

    /// Where the connection notes what happens.
    pub(super) fn recorder(&self) -> Arc<Mutex<FlightRecorder>> {
        let connections = &self.shared.connections;
        connections.recorder(self.id).unwrap_or_default()
    }

    /// What is left of the connection's allowance: its fixed cost is taken.
    #[allow(dead_code)] // Until what is kept for a peer is taken from it.
    pub(super) fn allowance(&self) -> Allowance {
        let state = lock(&self.shared.connections.state);
        let open = state.open.get(&self.id);
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
        let removed = state.open.remove(&self.id);
        state.settle(removed.map_or([0, 0], |open| open.bytes()));
        if state.open.is_empty() {
            connections.emptied.notify_all();
        }
    }
}
