//! The server's state as text, in formats that programs read. Pure: figures in, text out.
//!
//! ```text
//! ServerStatus, Source ──> api       JSON, for the page and for programs
//!                      ├─> metrics   Prometheus' text format
//!                      └─> stat      nginx-rtmp's XML, for the tools made for it
//! ```
//!
//! A text is sent while it is written, and looks up one stream, viewer or connection at a time. So for a
//! slow client, only one of them is kept in memory, however many there are.
//!
//! Stream names and client names come from the network: each format escapes them.

pub(crate) mod api;
mod json;
pub(crate) mod metrics;
#[cfg(feature = "record")]
pub(crate) mod recordings;
pub(crate) mod stat;
mod tracks;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::live::Millis;
use crate::live::report::{StreamReport, ViewerReport};
use crate::record::report::{DiskReport, RecordingReport};
use crate::relay::report::RelayReport;
use crate::rtmp::stream_key::StreamKey;
use tracks::TrackStatus;

/// The state of a server at one moment, as far as the client may see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerStatus {
    /// The time on the server's clock.
    pub(crate) now: Millis,
    /// The same time on the wall clock: ms since 1970, UTC.
    pub(crate) wall_clock: Millis,
    /// The RTMP port, if there is one.
    pub(crate) rtmp_port: Option<u16>,
    /// Whether the client may see addresses and viewers.
    pub(crate) is_privileged: bool,
    /// The number of open connections.
    pub(crate) connections: usize,
    /// The number of connections accepted since the start.
    pub(crate) accepted: u64,
    /// The number of bytes received from all connections since the start.
    pub(crate) bytes_in: u64,
    /// The number of bytes sent to all connections since the start.
    pub(crate) bytes_out: u64,
    /// The number of free blocks of the arena.
    pub(crate) free_blocks: usize,
    /// The number of blocks of the arena.
    pub(crate) total_blocks: usize,
    /// The disk of the recordings, if there is one.
    pub(crate) disk: Option<DiskReport>,
    /// The pushes to other servers.
    pub(crate) pushes: Vec<RelayReport>,
    /// The pulls from other servers.
    pub(crate) pulls: Vec<RelayReport>,
}

/// Looks up streams, viewers and connections, one at a time. Those that come or go during the listing
/// may be listed or not.
pub(crate) trait Source {
    /// Returns the stream with the next name among those that are or were published, and that the
    /// client may see.
    fn stream_after(&mut self, key: Option<&StreamKey>) -> Option<StreamStatus>;

    /// Whether a stream was left out because it needs a key.
    fn is_locked(&self) -> bool;

    /// Returns the viewer of a stream with the next higher id.
    fn viewer_after(&mut self, key: &StreamKey, viewer: u64) -> Option<ViewerReport>;

    /// Returns the connection with the next higher id.
    fn connection_after(&mut self, id: u64) -> Option<ConnectionReport>;

    /// Returns the connection with this id.
    fn connection(&mut self, id: u64) -> Option<ConnectionReport>;
}

/// The state of a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamStatus {
    /// The name of the stream.
    pub key: StreamKey,
    /// The figures of the stream, without its sequence headers, so that a slow client doesn't keep these
    /// in memory.
    pub report: StreamReport,
    /// The figures of its recording, if it is recorded.
    pub recording: Option<RecordingReport>,
    video: Option<TrackStatus>,
    audio: Option<TrackStatus>,
}

impl StreamStatus {
    /// Reduces a report to the figures that are shown.
    pub(crate) fn new(
        key: StreamKey,
        mut report: StreamReport,
        recording: Option<RecordingReport>,
    ) -> StreamStatus {
        let (video, audio) = (TrackStatus::video(&report), TrackStatus::audio(&report));
        report.tracks = Arc::default();
        StreamStatus {
            key,
            report,
            recording,
            video,
            audio,
        }
    }
}

/// Calls a function with each stream.
fn each_stream(source: &mut dyn Source, mut act: impl FnMut(&mut dyn Source, &StreamStatus)) {
    let mut last = None;
    // Found by the name of the last one, so that nothing stays locked while a stream is written.
    while let Some(stream) = source.stream_after(last.as_ref()) {
        act(source, &stream);
        last = Some(stream.key);
    }
}

/// Calls a function with each viewer of a stream.
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

/// The state of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionReport {
    /// The number of the connection, as in the log.
    pub id: u64,
    /// The address of the client.
    pub address: SocketAddr,
    /// `rtmp` or `http`.
    pub protocol: &'static str,
    /// The name that the client gives itself.
    pub client: String,
    /// The time on the server's clock at which the connection was accepted.
    pub since: Millis,
    /// The streams that the client publishes.
    pub publishes: Vec<StreamKey>,
    /// The streams that the client plays.
    pub plays: Vec<StreamKey>,
    /// The number of bytes received from the client.
    pub bytes_in: u64,
    /// The number of bytes sent to the client.
    pub bytes_out: u64,
}

impl ServerStatus {
    /// The number of seconds since the start of the server.
    fn uptime(&self) -> u64 {
        self.now / 1000
    }

    /// The number of milliseconds since a time on the server's clock.
    fn age(&self, since: Millis) -> Millis {
        self.now.saturating_sub(since)
    }

    /// Converts a time on the server's clock to seconds since 1970. Computed backward from now, because
    /// small computers get their wall-clock time from the network some time after the start.
    fn wall_clock_at(&self, since: Millis) -> u64 {
        self.wall_clock.saturating_sub(self.age(since)) / 1000
    }
}

/// The version of the program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests;
