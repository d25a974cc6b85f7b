//! Events that a client session reports to its caller.

use std::fmt;

use crate::medium::Medium;
use crate::rtmp::chunk_reader::InPlace;

/// A message or verdict of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent<'a> {
    /// Connect was accepted: publish or play now.
    Connected,
    /// The server has accepted the publish. Media may be sent.
    Publishing,
    /// The server has accepted the play. The stream may not be live yet. Servers that don't say so send
    /// [`Media`](ClientEvent::Media) right away.
    Playing,
    /// The server has refused connect, publish or play, or has ended what it had accepted.
    Refused(Refusal),
    /// The client should connect again: the server goes away, or shares its load (E2, "Reconnect
    /// Request"). Until then, the session goes on.
    Reconnect {
        /// The URL, absolute or relative to the one before; the same one if missing.
        url: Option<String>,
        /// The server's reason.
        description: String,
    },
    /// Audio or video of the stream that is played.
    Media(Media<'a>),
    /// Metadata of the stream that is played. The body is in `body()`, for
    /// [`metadata::parse`](crate::rtmp::metadata::parse).
    Metadata {
        /// The timestamp in ms, wrapping.
        timestamp: u32,
    },
    /// Another data message. The body is in `body()`.
    Data {
        /// The timestamp in ms, wrapping.
        timestamp: u32,
    },
    /// The stream that is played has ended, or its publisher is gone. No media follow.
    EndOfStream,
    /// Any other status of the server.
    Status {
        /// `status`, `warning` or `error`.
        level: String,
        /// Such as `NetStream.Play.Reset`.
        code: String,
        /// The server's words.
        description: String,
    },
    /// The output must be sent before more input is read.
    Output,
}

/// An audio or video message. The session's `payload` returns its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Media<'a> {
    /// Audio or video.
    pub medium: Medium,
    /// The timestamp in ms, wrapping.
    pub timestamp: u32,
    /// The payload if it lies entirely in the input.
    pub(in crate::rtmp) in_place: Option<InPlace<'a>>,
}

/// A refusal of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it means for the next attempt.
    pub kind: RefusalKind,
    /// The server's code, such as `NetStream.Publish.BadName`; empty if it gave none.
    pub code: String,
    /// The server's words. They may repeat a key.
    pub description: String,
}

/// What a refusal means for the next attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// Somebody publishes under this name already.
    BadName,
    /// Key, user or password are wrong, or missing.
    Denied,
    /// The server asks for a login: [`Reply`](crate::rtmp::authmod::Reply) says how.
    Login,
    /// The app or the stream doesn't exist.
    NotFound,
    /// The client should turn to this URL.
    Redirect(String),
    /// Any other reason.
    Other,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.code, &*self.description) {
            ("", "") => f.write_str("refused without a reason"),
            (code, "") => f.write_str(code),
            ("", description) => f.write_str(description),
            (code, description) => write!(f, "{description} ({code})"),
        }
    }
}
