//! Why connections end that speak either protocol.

use std::fmt;
use std::io::ErrorKind;

use crate::live::out::subscriber::PlayEnd;

/// Why a connection ended, whatever it speaks. `RtmpEnd` and `HttpEnd` add the reasons of one
/// protocol.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    /// The peer closed.
    Closed,
    /// The peer vanished.
    Lost(ErrorKind),
    /// It was of no use, and a newer connection needed its place.
    Displaced,
    /// A request to the API closed it.
    Kicked,
    /// The stream that it plays has ended, or can't be sent to it.
    Player(PlayEnd),
    /// The server stops.
    Stopping,
    /// A bug in this program.
    Panicked,
}

impl ConnectionEnd {
    /// The level of its log line: a warning when a viewer loses video that it could have had.
    pub(super) fn level(&self) -> log::Level {
        match self {
            ConnectionEnd::Player(
                PlayEnd::Stalled | PlayEnd::ControlOverflow | PlayEnd::NothingToTake,
            ) => log::Level::Warn,
            ConnectionEnd::Panicked => log::Level::Error,
            _ => log::Level::Info,
        }
    }
}

impl fmt::Display for ConnectionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionEnd::Closed => f.write_str("closed by the client"),
            ConnectionEnd::Lost(kind) => write!(f, "connection lost: {kind}"),
            ConnectionEnd::Displaced => f.write_str(
                "closed for a newer one, which needed its place (raise --max-connections, or \
                 --max-per-address)",
            ),
            ConnectionEnd::Kicked => f.write_str("disconnected through the API"),
            ConnectionEnd::Player(end) => write!(f, "{end}"),
            ConnectionEnd::Stopping => f.write_str("the server stops"),
            ConnectionEnd::Panicked => f.write_str("an error in brooklet itself; please report it"),
        }
    }
}
