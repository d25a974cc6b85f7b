//! An open connection: its owner, its resources, and how useful it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use crate::allowance::{Allowance, Taken};
use crate::live::Millis;
use crate::live::out::sink::Sink;
use crate::net::socket::Socket;
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::rtmp::stream_key::StreamKey;
use crate::server::client::Protocol;
use crate::status::ConnectionReport;

/// A connection that is open, or whose thread hasn't ended yet.
pub(super) struct OpenConnection {
    pub(super) id: u64,
    /// The address of the client, or of its proxy while no request names a client.
    pub(super) address: SocketAddr,
    /// The key of the limit per address: the address, or the /64 of an IPv6 address.
    pub(super) origin: IpAddr,
    /// Whether this is the connection of a trusted proxy between requests, which counts for no address.
    pub(super) is_proxys: bool,
    pub(super) protocol: Protocol,
    /// The name that the client gives itself, in printable ASCII.
    pub(super) client: String,
    pub(super) since: Millis,
    pub(super) publishes: Vec<StreamUse>,
    /// Whether a publish of the connection has ended.
    pub(super) has_published: bool,
    pub(super) plays: Vec<StreamUse>,
    pub(super) cut: Option<Cut>,
    /// `None` once the connection is closed.
    pub(super) socket: Option<Arc<Socket>>,
    pub(super) recorder: Arc<Mutex<FlightRecorder>>,
    pub(super) allowance: Allowance,
    /// Pays for the memory that the connection needs before it has sent anything.
    pub(super) _fixed: Option<Taken>,
}

/// A stream that a connection publishes or plays.
pub(super) struct StreamUse {
    pub(super) key: StreamKey,
    /// Whether the stream is published, or has been.
    pub(super) is_live: bool,
    pub(super) _taken: Taken,
}

/// The reason why another thread has closed a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Kicked,
    /// The connection had to make room for another one.
    Displaced,
}

/// How useful a connection is. See [`connections`](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Unused,
    Waiting,
    Gone,
    Viewing,
    Publishing,
}

impl OpenConnection {
    /// The number of bytes received and sent.
    pub(super) fn bytes(&self) -> [u64; 2] {
        self.socket.as_ref().map_or([0, 0], |socket| socket.bytes())
    }

    /// Returns how useful the connection is.
    pub(super) fn rank(&self) -> Rank {
        if self.socket.is_none() {
            Rank::Gone
        } else if !self.publishes.is_empty() {
            Rank::Publishing
        } else if self.plays.iter().any(|play| play.is_live) {
            Rank::Viewing
        } else if self.has_published {
            // The socket isn't closed yet, or the client has stopped publishing but stays connected.
            Rank::Gone
        } else if !self.plays.is_empty() {
            Rank::Waiting
        } else {
            Rank::Unused
        }
    }

    /// Closes the connection, which wakes its thread from reading or writing.
    pub(super) fn cut(&mut self, why: Cut) {
        self.cut = Some(why);
        if let Some(socket) = &self.socket {
            socket.shutdown();
        }
    }

    /// Returns the figures of the connection.
    pub(super) fn report(&self) -> ConnectionReport {
        let [bytes_in, bytes_out] = self.bytes();
        let keys = |uses: &[StreamUse]| uses.iter().map(|used| used.key.clone()).collect();
        ConnectionReport {
            id: self.id,
            address: self.address,
            protocol: self.protocol.name(),
            client: self.client.clone(),
            since: self.since,
            publishes: keys(&self.publishes),
            plays: keys(&self.plays),
            bytes_in,
            bytes_out,
        }
    }
}
