//! How connections end, as the log says it.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use super::handler::Refusal;
use crate::http::Rejected;
use crate::http::websocket::Violation;
use crate::live::subscriber;
use crate::rtmp::Error;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed.
    Closed,
    /// The peer vanished.
    Lost(ErrorKind),
    /// The peer broke the protocol or a limit.
    Protocol(Error),
    /// It took too long.
    Timeout {
        /// What didn't come.
        missing: &'static str,
        /// How long it was waited for.
        after: Duration,
        /// The option that says how long.
        option: &'static str,
    },
    /// Something that the client asked for was refused; it has been told why.
    Refused {
        /// What it asked for.
        what: String,
        /// What came, what was expected, what to do.
        why: String,
    },
    /// A connect was refused so that the client comes back with what was missing.
    Step(String),
    /// The client speaks another protocol, for which another port is there.
    WrongPort {
        /// What came.
        what: String,
        /// What it speaks, and where that is served.
        protocol: &'static str,
        port: u16,
    },
    /// What came is no request that is served; the client has been told why.
    Rejected(Rejected),
    /// The last response has been sent.
    Answered,
    /// Nothing more was asked.
    Idle,
    /// A response was taken too slowly.
    Slow,
    /// The stream that was asked for isn't live.
    NotLive,
    /// A viewer sent more than anybody wants to read.
    Talkative,
    /// A viewer broke the protocol of its WebSocket.
    WebSocket(Violation),
    /// Others wanted its place, which it made no use of.
    Displaced,
    /// A request to the API asked for it.
    Kicked,
    /// What it plays has ended, or can't be sent to it.
    Player(subscriber::End),
    /// Another publisher has taken over.
    Superseded,
    /// The server stops.
    Stopping,
    /// A bug in this program.
    Panicked,
}

impl End {
    /// How loudly the log says it: a warning when somebody loses video who could have had it. Who
    /// hasn't even greeted may be anything: a browser, a scanner, a health check.
    pub(super) fn level(&self, is_handshaken: bool) -> log::Level {
        match self {
            End::Protocol(_) | End::Timeout { .. } if !is_handshaken => log::Level::Info,
            End::Refused { .. } | End::Protocol(_) | End::Timeout { .. } => log::Level::Warn,
            End::Player(
                subscriber::End::Stalled
                | subscriber::End::ControlOverflow
                | subscriber::End::NothingToTake,
            ) => log::Level::Warn,
            End::Panicked => log::Level::Error,
            _ => log::Level::Info,
        }
    }

    /// With the port that would have been right, if there is one.
    pub(super) fn wrong_port(
        error: Error,
        protocol: &'static str,
        right: Option<&SocketAddr>,
    ) -> End {
        match right {
            Some(address) => End::WrongPort {
                what: error.to_string(),
                protocol,
                port: address.port(),
            },
            None => End::Protocol(error),
        }
    }

    pub(super) fn refused(what: &str, why: &str) -> End {
        End::Refused {
            what: what.to_owned(),
            why: why.to_owned(),
        }
    }

    /// By a handler.
    pub(super) fn refused_by(what: &str, refusal: &Refusal) -> End {
        if refusal.is_step() {
            End::Step(refusal.reason().to_owned())
        } else {
            End::refused(what, refusal.reason())
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed => f.write_str("closed by the client"),
            End::Lost(kind) => write!(f, "connection lost: {kind}"),
            End::Protocol(error) => write!(f, "protocol error: {error}"),
            End::Timeout {
                missing,
                after,
                option,
            } => write!(
                f,
                "{missing} within {} ms ({option})",
                super::millis(*after)
            ),
            End::Refused { what, why } => write!(f, "refused to {what}: {why}"),
            End::Step(why) => f.write_str(why),
            End::WrongPort {
                what,
                protocol,
                port,
            } => write!(f, "{what}. {protocol} is on port {port}"),
            End::Rejected(rejected) => {
                write!(f, "answered {}: {}", rejected.status.code(), rejected.why)
            }
            End::Answered => f.write_str("the last response has been sent"),
            End::Idle => f.write_str("nothing more was asked"),
            End::Slow => f.write_str("it took a response too slowly"),
            End::NotLive => f.write_str("the stream isn't live"),
            End::Talkative => f.write_str("it sent data, where it was to watch"),
            End::WebSocket(violation) => write!(f, "WebSocket: {}", violation.why),
            End::Displaced => f.write_str(
                "closed for a newer one, which needed its place (raise --max-connections, or \
                 --max-per-address)",
            ),
            End::Kicked => f.write_str("disconnected through the API"),
            End::Player(end) => write!(f, "{end}"),
            End::Superseded => f.write_str("another publisher has taken over"),
            End::Stopping => f.write_str("the server stops"),
            End::Panicked => f.write_str("an error in brooklet itself; please report it"),
        }
    }
}
