//! The reasons why RTMP connections end, with their texts for the log.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::live::stream::Superseded;
use crate::rtmp::Error;
use crate::server::end::ConnectionEnd;
use crate::server::handler::Refusal;
use crate::server::millis;

/// Why an RTMP connection ended.
#[derive(Debug)]
pub(in crate::server) enum RtmpEnd {
    Connection(ConnectionEnd),
    /// The peer broke the protocol or a limit.
    Protocol(Error),
    /// A timeout.
    Timeout {
        /// The thing that didn't arrive in time.
        missing: &'static str,
        after: Duration,
        /// The option that sets `after`.
        option: &'static str,
    },
    /// A request of the client was refused, with a reply that says why.
    Refused {
        /// The request.
        what: String,
        /// The reason: what arrived, what was expected, and what to do about it.
        why: String,
    },
    /// A connect was refused so that the client comes back with credentials.
    LoginRequired(String),
    /// The client speaks the protocol of another port.
    WrongPort {
        /// The text of the error, which says what arrived.
        what: String,
        protocol: &'static str,
        port: u16,
    },
    /// Another publisher has taken over.
    Superseded,
}

impl From<ConnectionEnd> for RtmpEnd {
    fn from(end: ConnectionEnd) -> RtmpEnd {
        RtmpEnd::Connection(end)
    }
}

impl From<Superseded> for RtmpEnd {
    fn from(_: Superseded) -> RtmpEnd {
        RtmpEnd::Superseded
    }
}

impl RtmpEnd {
    /// Returns the level of the log line. A client that hasn't completed the handshake may be anything:
    /// a browser, a scanner, a health check.
    pub(super) fn level(&self, is_handshaken: bool) -> log::Level {
        match self {
            RtmpEnd::Connection(end) => end.level(),
            RtmpEnd::Refused { .. } => log::Level::Warn,
            RtmpEnd::Protocol(_) | RtmpEnd::Timeout { .. } if is_handshaken => log::Level::Warn,
            _ => log::Level::Info,
        }
    }

    /// Returns the end of a connection that speaks the wrong protocol. Names the right port, if there is
    /// one.
    pub(super) fn wrong_port(
        error: Error,
        protocol: &'static str,
        right: Option<&SocketAddr>,
    ) -> RtmpEnd {
        match right {
            Some(address) => RtmpEnd::WrongPort {
                what: error.to_string(),
                protocol,
                port: address.port(),
            },
            None => RtmpEnd::Protocol(error),
        }
    }

    pub(super) fn refused(what: &str, why: &str) -> RtmpEnd {
        RtmpEnd::Refused {
            what: what.to_owned(),
            why: why.to_owned(),
        }
    }

    /// Returns the end of a connection whose request a handler has refused.
    pub(super) fn refused_by(what: &str, refusal: &Refusal) -> RtmpEnd {
        if refusal.is_step() {
            RtmpEnd::LoginRequired(refusal.reason().to_owned())
        } else {
            RtmpEnd::refused(what, refusal.reason())
        }
    }
}

impl fmt::Display for RtmpEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RtmpEnd::Connection(end) => write!(f, "{end}"),
            RtmpEnd::Protocol(error) => write!(f, "protocol error: {error}"),
            RtmpEnd::Timeout {
                missing,
                after,
                option,
            } => write!(f, "{missing} within {} ms ({option})", millis(*after)),
            RtmpEnd::Refused { what, why } => write!(f, "refused to {what}: {why}"),
            RtmpEnd::LoginRequired(why) => f.write_str(why),
            RtmpEnd::WrongPort {
                what,
                protocol,
                port,
            } => write!(f, "{what}. {protocol} is on port {port}"),
            RtmpEnd::Superseded => f.write_str("another publisher has taken over"),
        }
    }
}
