//! The reasons why a client has no connection, or has lost it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::net::dial::DialError;
use crate::rtmp::client_session::{Refusal, RefusalKind};
use crate::rtmp::printable::{Printable, at_most};
use crate::url::{Url, UrlError};

/// The number of bytes of a server's words that are shown.
const MAX_WORDS: usize = 256;

/// The reason why a client has no connection, or has lost it: what came, and what was expected. Keys, users
/// and passwords are masked, even where the server repeats them.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientError {
    kind: ClientErrorKind,
    text: String,
}

/// What went wrong, as far as it matters to the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// The URL isn't one that this build can use.
    BadUrl,
    /// The host has no address.
    Unresolved,
    /// No address of the host answers, or the connection can't be secured.
    NoConnection,
    /// The server hasn't done in time what was expected.
    TimedOut,
    /// The connection was closed, or is lost.
    Lost,
    /// The server broke the protocol, or speaks another one.
    Protocol,
    /// Somebody publishes this stream already.
    NameTaken,
    /// Key, user or password are wrong or missing, or the server refuses this client.
    Denied,
    /// The app or the stream doesn't exist.
    NotFound,
    /// The server has refused for another reason.
    Refused,
    /// The server leads from one place to the next without an end, or to a place that can't be used.
    BadRedirect,
    /// The caller has given up.
    Cancelled,
    /// The message can't be sent.
    BadMessage,
}

impl ClientError {
    pub(crate) fn new(kind: ClientErrorKind, text: impl Into<String>) -> ClientError {
        let text = text.into();
        ClientError { kind, text }
    }

    /// What went wrong.
    pub fn kind(&self) -> ClientErrorKind {
        self.kind
    }

    pub(crate) fn cancelled() -> ClientError {
        ClientError::new(ClientErrorKind::Cancelled, "given up")
    }

    /// There is no connection to the host of `url`.
    pub(crate) fn dial(url: &Url, error: &DialError) -> ClientError {
        if error.is_cancelled() {
            return ClientError::cancelled();
        }
        let kind = match error.is_unresolved() {
            true => ClientErrorKind::Unresolved,
            false => ClientErrorKind::NoConnection,
        };
        ClientError::new(kind, url.shown(&error.to_string()))
    }

    /// The server at `url` has refused `what`.
    pub(crate) fn refused(url: &Url, what: &str, refusal: &Refusal) -> ClientError {
        use ClientErrorKind::{Denied, NameTaken, NotFound, Refused};

        let kind = match refusal.kind {
            RefusalKind::BadName => NameTaken,
            RefusalKind::Denied | RefusalKind::Login => Denied,
            RefusalKind::NotFound => NotFound,
            _ => Refused,
        };
        let words = words(url, &refusal.to_string());
        ClientError::new(kind, format!("{} refused {what}: {words}", url.place()))
    }

    /// The bytes of the server at `url` make no sense.
    pub(crate) fn protocol(url: &Url, error: &dyn fmt::Display) -> ClientError {
        let text = format!("{}: {}", url.place(), url.scrub(&error.to_string()));
        ClientError::new(ClientErrorKind::Protocol, text)
    }

    /// A read or write has failed while `what` was going on.
    pub(crate) fn io(url: &Url, what: &str, error: &io::Error) -> ClientError {
        let place = url.place();
        let kind = match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => ClientErrorKind::TimedOut,
            ErrorKind::InvalidData | ErrorKind::Unsupported | ErrorKind::InvalidInput => {
                ClientErrorKind::NoConnection
            }
            _ => ClientErrorKind::Lost,
        };
        let text = match kind {
            ClientErrorKind::TimedOut => format!("{place} no longer answers during {what}"),
            _ => format!("{place}: {} during {what}", words(url, &error.to_string())),
        };
        ClientError::new(kind, text)
    }

    /// The server has closed the connection during `what`.
    pub(crate) fn closed(url: &Url, what: &str) -> ClientError {
        let text = format!("{} closed the connection during {what}", url.place());
        ClientError::new(ClientErrorKind::Lost, text)
    }

    /// The server hasn't done `what` in time.
    pub(crate) fn timed_out(url: &Url, what: &str, after: Duration) -> ClientError {
        let place = url.place();
        let text = format!("{place} has not answered {what} within {after:?}");
        ClientError::new(ClientErrorKind::TimedOut, text)
    }
}

/// What a server said, as it may be shown.
pub(super) fn words(url: &Url, text: &str) -> String {
    let scrubbed = url.scrub(text.trim());
    Printable(at_most(&scrubbed, MAX_WORDS)).to_string()
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

impl std::error::Error for ClientError {}

impl From<UrlError> for ClientError {
    fn from(error: UrlError) -> ClientError {
        ClientError::new(ClientErrorKind::BadUrl, error.to_string())
    }
}
