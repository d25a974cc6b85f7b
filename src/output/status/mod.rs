//! The server's state in the forms in which programs read it. Pure: figures in, text out.
//!
//! ```text
//! Status ──> api       JSON, for the page and for programs
//!        ├─> metrics   Prometheus' text format
//!        └─> stat      nginx-rtmp's XML, for the tools that were made for it
//! ```
//!
//! Names, and what clients call themselves, come from strangers: each form escapes them.

pub mod api;
mod json;
pub mod metrics;
pub mod stat;
mod tracks;
pub mod utc;

use std::net::SocketAddr;

use crate::live::Millis;
use crate::live::stats::StreamReport;
use crate::rtmp::stream_key::StreamKey;

/// A server at one moment, as far as it may be shown to who asks.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The server's clock.
    pub now: Millis,
    /// The wall clock at that moment: ms since 1970, UTC.
    pub wall_clock: Millis,
    /// Where RTMP is spoken, if anywhere.
    pub rtmp_port: Option<u16>,
    /// Who asks may see addresses, and who plays.
    pub is_privileged: bool,
    /// Some streams are left out, because they want a key.
    pub is_locked: bool,
    /// Those that somebody publishes or has published, by name.
    pub streams: Vec<StreamStatus>,
    /// All that are open, by number.
    pub connections: Vec<ConnectionReport>,
    /// Connections that were accepted since the start.
    pub accepted: u64,
    /// What all connections brought since the start, in bytes.
    pub bytes_in: u64,
    /// What all connections were sent since the start, in bytes.
    pub bytes_out: u64,
    /// Blocks of the arena that are free.
    pub free_blocks: usize,
    /// Blocks of the arena.
    pub total_blocks: usize,
}

/// A stream and its name.
#[derive(Clone, Debug)]
pub struct StreamStatus {
    /// Its name.
    pub key: StreamKey,
    /// Its figures.
    pub report: StreamReport,
}

/// A connection's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionReport {
    /// Its number, as in the log.
    pub id: u64,
    /// Where it comes from.
    pub address: SocketAddr,
    /// `rtmp` or `http`.
    pub protocol: &'static str,
    /// What the client calls itself.
    pub client: String,
    /// When it was accepted.
    pub since: Millis,
    /// What it publishes.
    pub publishes: Vec<StreamKey>,
    /// What it plays.
    pub plays: Vec<StreamKey>,
    /// What came from it.
    pub bytes_in: u64,
    /// What it was sent.
    pub bytes_out: u64,
}

impl Status {
    /// Since the server's start, in s.
    fn uptime(&self) -> u64 {
        self.now / 1000
    }

    /// Since a moment on the server's clock, in ms.
    fn age(&self, since: Millis) -> Millis {
        self.now.saturating_sub(since)
    }

    /// A moment on the server's clock as wall-clock time in s since 1970. Computed from the
    /// present: small computers learn the time from the network, some time after the start.
    fn wall_clock_at(&self, since: Millis) -> u64 {
        self.wall_clock.saturating_sub(self.age(since)) / 1000
    }

    fn connection(&self, id: u64) -> Option<&ConnectionReport> {
        let found = self
            .connections
            .binary_search_by_key(&id, |connection| connection.id);
        self.connections.get(found.ok()?)
    }
}

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests;
