//! The server's state in the forms in which programs read it. Pure: figures in, text out.
//!
//! ```text
//! Status, Source ──> api       JSON, for the page and for programs
//!                ├─> metrics   Prometheus' text format
//!                └─> stat      nginx-rtmp's XML, for the tools that were made for it
//! ```
//!
//! A text is written as it is made, and what it is made of is asked for one stream, viewer or
//! connection at a time. Whoever reads slowly holds one of them, however many there are.
//!
//! Names, and what clients call themselves, come from strangers: each form escapes them.

pub mod api;
mod json;
pub mod metrics;
pub mod stat;
mod tracks;
pub mod utc;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::live::Millis;
use crate::live::report::{StreamReport, ViewerReport};
use crate::rtmp::stream_key::StreamKey;
use tracks::{Audio, Video};

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
    /// Connections that are open.
    pub connections: usize,
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

/// What is listed, one after the other. What has come or gone in the meantime is in a list or not.
pub trait Source {
    /// The stream that comes after this one in the order of names, of those that somebody publishes
    /// or has published and that may be shown.
    fn stream_after(&mut self, key: Option<&StreamKey>) -> Option<StreamStatus>;

    /// Whether a stream was left out because it wants a key.
    fn is_locked(&self) -> bool;

    /// The viewer of a stream that has the next higher number.
    fn viewer_after(&mut self, key: &StreamKey, viewer: u64) -> Option<ViewerReport>;

    /// The connection that has the next higher number.
    fn connection_after(&mut self, id: u64) -> Option<ConnectionReport>;

    /// The connection of this number.
    fn connection(&mut self, id: u64) -> Option<ConnectionReport>;
}

/// A stream and its name.
#[derive(Clone, Debug)]
pub struct StreamStatus {
    /// Its name.
    pub key: StreamKey,
    /// Its figures, without its headers: whoever reads slowly doesn't hold them.
    pub report: StreamReport,
    video: Option<Video>,
    audio: Option<Audio>,
}

impl StreamStatus {
    /// Takes out of a report what is told of it.
    pub fn new(key: StreamKey, mut report: StreamReport) -> StreamStatus {
        let (video, audio) = (tracks::video(&report), tracks::audio(&report));
        report.preamble = Arc::default();
        report.tracks = Arc::default();
        StreamStatus {
            key,
            report,
            video,
            audio,
        }
    }
}

/// Does something with each stream.
fn each_stream(source: &mut dyn Source, mut act: impl FnMut(&mut dyn Source, &StreamStatus)) {
    let mut last = None;
    while let Some(stream) = source.stream_after(last.as_ref()) {
        act(source, &stream);
        last = Some(stream.key);
    }
}

/// Does something with each viewer of a stream.
fn each_viewer(
    source: &mut dyn Source,
    key: &StreamKey,
    act: &mut dyn FnMut(&mut dyn Source, &ViewerReport),
) {
    let mut last = 0;
    while let Some(viewer) = source.viewer_after(key, last) {
        act(source, &viewer);
        last = viewer.id;
    }
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
}

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests;
