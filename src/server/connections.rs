//! The connections that are open, and which of them get a place.
//!
//! ```text
//! rank        a connection that                           makes room for
//! unused      has not asked for a stream yet, or got      any newcomer
//!             an answer that is no stream: idle clients
//! waiting     plays a name that was never published       any newcomer
//! gone        has published; its stream's grace time runs any newcomer
//! viewing     plays a stream, or asks for parts of one    a viewer whose address has fewer
//! publishing  publishes                                   none
//! ```
//!
//! A newcomer may turn out to be a publisher, so there is always a place for one: viewers get at most
//! seven of eight places. When all places are taken, the address with the most unused, waiting and gone
//! connections loses one of them (among equals, the address with the most connections of all kinds): the
//! one with the lowest rank, and the oldest of several. That connection is closed at once: its thread
//! wakes from reading and from writing, and checks once a second while it waits out a grace time. The
//! connection no longer counts, but new clients are refused while too many such threads haven't ended
//! yet.
//!
//! An IPv6 /64 counts as one address here. Clients that have shown a key need no rank of their own:
//! where playing or publishing requires a key, all viewers or publishers have shown it.

mod full;
mod open;
mod permit;
mod places;

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;
use super::end::ConnectionEnd;
use crate::config::one_client;
use crate::live::lock;
use crate::live::out::sink::Sink;
use crate::live::stream::Stream;
use crate::net::socket::Socket;
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::rtmp::stream_key::StreamKey;
use crate::status::ConnectionReport;
pub(super) use full::Full;
use open::{Cut, OpenConnection, StreamUse};
pub(super) use permit::Permit;

/// One in this many places is kept free of viewers. The same share of connections may be closing, in
/// addition to those that occupy places.
const RESERVE: usize = 8;

/// The maximum length of the name that a client gives itself, in characters.
const MAX_CLIENT_LEN: usize = 120;

/// See the module's documentation.
pub(super) struct Connections {
    max: usize,
    max_per_address: usize,
    /// The maximum number of viewers.
    max_viewing: usize,
    registry: Mutex<Registry>,
    emptied: Condvar,
}

/// The list of connections.
#[derive(Default)]
struct Registry {
    next_id: u64,
    /// Sorted by number.
    open: Vec<OpenConnection>,
    /// The number of bytes received and sent by connections that have been closed.
    bytes: [u64; 2],
}

impl Connections {
    pub(super) fn new(max: usize, max_per_address: usize) -> Connections {
        Connections {
            max,
            max_per_address,
            max_viewing: max - max / RESERVE,
            registry: Mutex::default(),
            emptied: Condvar::new(),
        }
    }

    /// The number of connections, including those that are closed and wait out a grace time.
    pub(super) fn count(&self) -> usize {
        lock(&self.registry).open.len()
    }

    /// The flight recorder of a connection.
    pub(super) fn recorder(&self, id: u64) -> Option<Arc<Mutex<FlightRecorder>>> {
        let mut registry = lock(&self.registry);
        Some(Arc::clone(&registry.find(id)?.recorder))
    }

    /// Notes the name that the client of a connection gives itself.
    pub(super) fn note_client(&self, id: u64, name: &str) {
        // Clients choose the name, and status texts show it.
        let printable = |c: char| match c {
            ' '..='~' => c,
            _ => '?',
        };
        let name = name.chars().take(MAX_CLIENT_LEN).map(printable).collect();
        if let Some(open) = lock(&self.registry).find(id) {
            open.client = name;
        }
    }

    /// Notes that a proxy's connection serves this client from now on, unless the client has too many
    /// connections.
    pub(super) fn note_sender(&self, id: u64, address: SocketAddr) -> Result<(), Full> {
        let origin = one_client(address.ip());
        let mut registry = lock(&self.registry);
        if registry.count_of(origin) >= self.max_per_address {
            return Err(Full::PerAddress(self.max_per_address));
        }
        if let Some(open) = registry.find(id) {
            open.address = address;
            open.origin = origin;
            open.is_proxys = false;
        }
        Ok(())
    }

    /// Notes that a proxy's connection no longer serves a client. `peer` is the address of the proxy.
    pub(super) fn forget_sender(&self, id: u64, peer: SocketAddr) {
        if let Some(open) = lock(&self.registry).find(id) {
            open.address = peer;
            open.origin = one_client(peer.ip());
            open.is_proxys = true;
        }
    }

    /// Notes that a connection may publish: it can't be displaced from now on.
    pub(super) fn note_publish(&self, id: u64, key: &StreamKey) -> Result<(), Full> {
        lock(&self.registry).note_use(id, key, |open| &mut open.publishes)
    }

    /// Notes that a publish has ended; `has_begun` is false for one that was refused.
    pub(super) fn note_unpublish(&self, id: u64, key: &StreamKey, has_begun: bool) {
        if let Some(open) = lock(&self.registry).find(id) {
            remove(&mut open.publishes, key);
            open.has_published |= has_begun;
        }
    }

    /// Notes that a stream is published, so that connections that wait for it become viewers.
    pub(super) fn note_live(&self, key: &StreamKey) {
        let mut registry = lock(&self.registry);
        let plays = registry.open.iter_mut().flat_map(|open| &mut open.plays);
        for play in plays.filter(|play| play.key == *key) {
            play.is_live = true;
        }
    }

    /// Notes that a connection plays, and returns the stream if there is one. If the stream was ever
    /// published, the connection becomes a viewer, or is refused if all places for viewers are taken.
    pub(super) fn note_play(
        shared: &Shared,
        id: u64,
        key: &StreamKey,
    ) -> Result<Option<Arc<Stream>>, Full> {
        let find = || {
            let stream = shared.table.find(key);
            let is_live = stream.as_ref().is_some_and(|s| s.was_published());
            (stream, is_live)
        };
        let connections = &shared.connections;
        let (mut stream, mut is_live) = find();
        let mut registry = lock(&connections.registry);
        registry.note_use(id, key, |open| &mut open.plays)?;
        if !is_live {
            drop(registry);
            // A publisher that arrives from now on finds the entry and marks it in `note_live`. One that
            // has arrived between the first look and the entry is found by a second look.
            (stream, is_live) = find();
            if !is_live {
                return Ok(stream);
            }
            registry = lock(&connections.registry);
        }
        registry.begin_viewing(connections, id, key)?;
        Ok(stream)
    }

    /// Notes that a play has ended, or was refused.
    pub(super) fn note_stop(&self, id: u64, key: &StreamKey) {
        if let Some(open) = lock(&self.registry).find(id) {
            remove(&mut open.plays, key);
        }
    }

    /// Closes a connection. Returns false if there is none with that number.
    pub(super) fn kick(&self, id: u64) -> bool {
        let mut registry = lock(&self.registry);
        let open = registry.find_open(id);
        open.map(|open| open.cut(Cut::Kicked)).is_some()
    }

    /// Returns why another thread has closed this connection, if one has.
    pub(super) fn why_cut(&self, id: u64) -> Option<ConnectionEnd> {
        match lock(&self.registry).find(id)?.cut? {
            Cut::Kicked => Some(ConnectionEnd::Kicked),
            Cut::Displaced => Some(ConnectionEnd::Displaced),
        }
    }

    /// Returns the figures of the open connection with the next higher number.
    pub(super) fn report_after(&self, id: u64) -> Option<ConnectionReport> {
        let registry = lock(&self.registry);
        // Connections without a socket are closed and wait out a grace time.
        let from = registry.open.partition_point(|open| open.id <= id);
        let mut later = registry.open.iter().skip(from);
        Some(later.find(|open| open.socket.is_some())?.report())
    }

    /// Returns the figures of the connection with this number, if it is open.
    pub(super) fn report_of(&self, id: u64) -> Option<ConnectionReport> {
        Some(lock(&self.registry).find_open(id)?.report())
    }

    /// The number of open connections, without those that are closed and wait out a grace time.
    pub(super) fn open_count(&self) -> usize {
        let registry = lock(&self.registry);
        let open = registry.open.iter().filter(|open| open.socket.is_some());
        open.count()
    }

    /// The number of connections accepted so far, and the bytes that all of them received and sent.
    pub(super) fn totals(&self) -> (u64, [u64; 2]) {
        let registry = lock(&self.registry);
        let add = |[a, b]: [u64; 2], [c, d]: [u64; 2]| [a + c, b + d];
        let open = registry.open.iter().map(OpenConnection::bytes);
        (registry.next_id, open.fold(registry.bytes, add))
    }

    /// Wakes every connection's thread as if its peer had closed the connection.
    pub(super) fn stop_reading(&self) {
        self.for_each(Socket::stop_reading);
    }

    /// Closes every connection.
    pub(super) fn shutdown(&self) {
        self.for_each(Socket::shutdown);
    }

    fn for_each(&self, act: fn(&Socket)) {
        let registry = lock(&self.registry);
        let sockets = registry.open.iter().flat_map(|open| &open.socket);
        sockets.for_each(|socket| act(socket));
    }

    /// Waits until no connection is left; false on timeout.
    pub(super) fn wait_until_empty(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut registry = lock(&self.registry);
        while !registry.open.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let result = self.emptied.wait_timeout(registry, left);
            registry = result.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Registry {
    /// Adds the bytes of a connection that has just been closed to the total.
    fn settle(&mut self, bytes: [u64; 2]) {
        for (sum, bytes) in self.bytes.iter_mut().zip(bytes) {
            *sum += bytes;
        }
    }

    /// Adds an entry to one of a connection's lists.
    fn note_use(
        &mut self,
        id: u64,
        key: &StreamKey,
        list: fn(&mut OpenConnection) -> &mut Vec<StreamUse>,
    ) -> Result<(), Full> {
        let Some(open) = self.find(id) else {
            return Ok(());
        };
        // A growing vector may have room for twice as many.
        let bytes = key.as_str().len() + 2 * size_of::<StreamUse>();
        let taken = open.allowance.take(bytes).map_err(Full::Allowance)?;
        list(open).push(StreamUse {
            key: key.clone(),
            is_live: false,
            _taken: taken,
        });
        Ok(())
    }

    /// Finds a connection that isn't closed yet.
    fn find_open(&mut self, id: u64) -> Option<&mut OpenConnection> {
        self.find(id).filter(|open| open.socket.is_some())
    }

    fn find(&mut self, id: u64) -> Option<&mut OpenConnection> {
        let index = self.open.binary_search_by_key(&id, |open| open.id).ok()?;
        self.open.get_mut(index)
    }
}

fn remove(uses: &mut Vec<StreamUse>, key: &StreamKey) {
    if let Some(index) = uses.iter().position(|used| used.key == *key) {
        uses.swap_remove(index);
    }
}
