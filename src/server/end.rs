//! The reasons for the end of a connection that both protocols share.

use std::fmt;
use std::io::ErrorKind;

use crate::live::out::subscriber::PlayEnd;

/// Why a connection of either protocol ended. `RtmpEnd` and `HttpEnd` add the reasons of one protocol.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    /// The peer closed the connection.
    Closed,
    /// The connection to the peer failed.
    Lost(ErrorKind),
    /// The connection had to make room for a newer one.
    Displaced,
    /// A request to the API closed the connection.
    Kicked,
    /// The stream that the client plays has ended, or can't be sent to it.
    Player(PlayEnd),
    /// The server is stopping.
    Stopping,
    /// A bug in this program.
    Panicked,
}

impl ConnectionEnd {
    /// The level of the log line: a warning if a viewer loses video that it could have received.
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
