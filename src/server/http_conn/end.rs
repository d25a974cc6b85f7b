//! The reasons why HTTP connections end, with their texts for the log.

use std::fmt;

use crate::http::Rejected;
use crate::http::websocket::Violation;
use crate::server::end::ConnectionEnd;

/// Why an HTTP connection ended.
#[derive(Debug)]
pub(in crate::server) enum HttpEnd {
    Connection(ConnectionEnd),
    /// An invalid or unsupported request, which was answered with the reason.
    Rejected(Rejected),
    /// The last response has been sent.
    Answered,
    /// No other request arrived in time.
    Idle,
    /// The client received a response too slowly.
    Slow,
    /// The requested stream isn't live.
    NotLive,
    /// The viewer sent unexpected data.
    Talkative,
    /// A viewer broke the protocol of its WebSocket.
    WebSocket(Violation),
}

impl From<ConnectionEnd> for HttpEnd {
    fn from(end: ConnectionEnd) -> HttpEnd {
        HttpEnd::Connection(end)
    }
}

impl HttpEnd {
    pub(super) fn level(&self) -> log::Level {
        match self {
            HttpEnd::Rejected(_) | HttpEnd::Slow | HttpEnd::Connection(ConnectionEnd::Kicked) => {
                log::Level::Info
            }
            HttpEnd::Connection(end @ (ConnectionEnd::Panicked | ConnectionEnd::Player(_))) => {
                end.level()
            }
            _ => log::Level::Debug,
        }
    }

    /// Whether the client is gone or isn't waiting for anything, so that there are no last bytes that it
    /// should read.
    pub(super) fn is_lost(&self) -> bool {
        use ConnectionEnd::{Closed, Displaced, Kicked, Lost};
        matches!(
            self,
            HttpEnd::Idle
                | HttpEnd::Slow
                | HttpEnd::Connection(Closed | Lost(_) | Kicked | Displaced)
        )
    }
}

impl fmt::Display for HttpEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpEnd::Connection(end) => write!(f, "{end}"),
            HttpEnd::Rejected(rejected) => {
                write!(f, "answered {}: {}", rejected.status.code(), rejected.why)
            }
            HttpEnd::Answered => f.write_str("the last response has been sent"),
            HttpEnd::Idle => f.write_str("nothing more was asked"),
            HttpEnd::Slow => f.write_str("it took a response too slowly"),
            HttpEnd::NotLive => f.write_str("the stream isn't live"),
            HttpEnd::Talkative => f.write_str("it sent data, where it was to watch"),
            HttpEnd::WebSocket(violation) => write!(f, "WebSocket: {}", violation.why),
        }
    }
}
