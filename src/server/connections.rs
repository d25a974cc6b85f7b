//! The connections that are open, and the caps on their number.
//!
//! Those that have neither published nor played yet have half of the places at most. When these
//! are taken, the oldest of them makes room for a newcomer: who means it needs a second to publish
//! or play, and strangers that hang about can't lock the others out.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Shared;
use super::socket::Socket;
use crate::live::lock;
use crate::live::sink::Sink;
use crate::rtmp::flight_recorder::FlightRecorder;

/// Places for connections that have neither published nor played yet, however few there are in all.
const MIN_UNUSED: usize = 16;

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
}

struct Open {
    address: IpAddr,
    /// Until it is closed.
    socket: Option<Arc<Socket>>,
    recorder: Arc<Mutex<FlightRecorder>>,
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

    /// A connection publishes or plays: its place is its own from now on.
    pub(super) fn note_use(&self, id: u64) {
        if let Some(open) = lock(&self.state).open.get_mut(&id) {
            open.usage = Usage::Some;
        }
    }

    /// A connection does nothing any longer, for the time being: it can come back.
    pub(super) fn note_idle(&self, id: u64) {
        if let Some(open) = lock(&self.state).open.get_mut(&id) {
            open.usage = match open.usage {
                Usage::Displaced => Usage::Displaced,
                _ => Usage::None,
            };
        }
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

impl State {
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
        address: IpAddr,
        socket: &Arc<Socket>,
    ) -> Result<Permit, Full> {
        let connections = &shared.connections;
        let mut state = lock(&connections.state);
        if state.open.len() >= connections.max {
            return Err(Full::InAll(connections.max));
        }
        let from_there = state
            .open
            .values()
            .filter(|open| open.address == address)
            .count();
        if from_there >= connections.max_per_address {
            return Err(Full::PerAddress(connections.max_per_address));
        }
        state.make_room(connections.max_unused);
        state.next_id += 1;
        let id = state.next_id;
        let open = Open {
            address,
            socket: Some(Arc::clone(socket)),
            recorder: Arc::default(),
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
        if let Some(open) = lock(&self.shared.connections.state).open.get_mut(&self.id) {
            open.socket = None;
        }
    }

    /// Where the connection notes what happens.
    pub(super) fn recorder(&self) -> Arc<Mutex<FlightRecorder>> {
        let connections = &self.shared.connections;
        connections.recorder(self.id).unwrap_or_default()
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
        state.open.remove(&self.id);
        if state.open.is_empty() {
            connections.emptied.notify_all();
        }
    }
}
