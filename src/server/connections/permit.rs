//! A place among the connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::full::Full;
use super::open::OpenConnection;
use crate::allowance::{Allowance, PER_CONNECTION};
use crate::config::one_client;
use crate::live::lock;
#[cfg(feature = "relay")]
use crate::live::out::sink::Sink;
use crate::net::socket::Socket;
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::server::Shared;
use crate::server::client::Protocol;
use crate::server::end::ConnectionEnd;

/// The memory in bytes that a connection needs before it has sent anything: 440 for its entry in the
/// list (a growing vector may have room for two), 130 for the client's name, 210 for socket, recorder
/// and allowance, 330 for the thread's name, handle, result and closure. The events in the recorder are
/// paid for elsewhere.
const FIXED: usize = 1152;

const _: () = assert!(FIXED < PER_CONNECTION);

/// A place among the connections, given back when dropped.
pub(in crate::server) struct Permit {
    shared: Arc<Shared>,
    /// The connection's number, counted from 1.
    pub(in crate::server) id: u64,
    pub(in crate::server) recorder: Arc<Mutex<FlightRecorder>>,
    /// The connection's allowance, from which its fixed cost has been taken.
    pub(in crate::server) allowance: Allowance,
}

impl Permit {
    /// Takes a place for a new connection, if the limits allow one.
    pub(in crate::server) fn take(
        shared: &Arc<Shared>,
        protocol: Protocol,
        address: SocketAddr,
        socket: &Arc<Socket>,
    ) -> Result<Permit, Full> {
        let connections = &shared.connections;
        let mut registry = lock(&connections.registry);
        let origin = one_client(address.ip());
        let is_proxys = shared.is_of_proxy(protocol, address, socket);
        registry.make_room(connections, origin, is_proxys)?;
        registry.next_id += 1;
        let id = registry.next_id;
        let (recorder, allowance) = (Arc::default(), Allowance::default());
        let open = OpenConnection {
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
            recorder: Arc::clone(&recorder),
            _fixed: allowance.take(FIXED).ok(),
            allowance: allowance.clone(),
        };
        registry.open.push(open);
        Ok(Permit {
            shared: Arc::clone(shared),
            id,
            recorder,
            allowance,
        })
    }

    /// Notes that the place's owner goes on with another socket, as after a request to connect anew.
    #[cfg(feature = "relay")]
    pub(in crate::server) fn change_socket(&self, socket: &Arc<Socket>) {
        let mut registry = lock(&self.shared.connections.registry);
        let Some(open) = registry.find(self.id) else {
            return;
        };
        let bytes = open.bytes();
        open.socket = Some(Arc::clone(socket));
        if let Some(address) = socket.peer_address() {
            open.address = address;
        }
        if open.cut.is_some() {
            socket.shutdown();
        }
        registry.settle(bytes);
    }

    /// Notes that the connection is closed. Its thread may still wait out a grace time.
    pub(in crate::server) fn forget_socket(&self) {
        let mut registry = lock(&self.shared.connections.registry);
        if let Some(open) = registry.find(self.id) {
            // Read first, because the socket contains the counters.
            let bytes = open.bytes();
            open.socket = None;
            registry.settle(bytes);
        }
    }

    /// Whether the place is needed for another connection.
    pub(in crate::server) fn is_displaced(&self) -> bool {
        let connections = &self.shared.connections;
        matches!(connections.why_cut(self.id), Some(ConnectionEnd::Displaced))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let connections = &self.shared.connections;
        let mut registry = lock(&connections.registry);
        let found = registry.open.binary_search_by_key(&self.id, |open| open.id);
        if let Ok(index) = found {
            let open = registry.open.remove(index);
            registry.settle(open.bytes());
        }
        if registry.open.is_empty() {
            connections.emptied.notify_all();
        }
    }
}
