//! Errors in payloads. They don't end the connection: the message is dropped.

use std::borrow::Cow;
use std::fmt;

/// An error in a media format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The sender broke the format. The text says what was received and what was expected.
    Malformed(Cow<'static, str>),
    /// The format is valid, but not supported by this server.
    Unsupported(Cow<'static, str>),
}

impl Error {
    pub(super) fn malformed(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Malformed(text.into())
    }

    pub(super) fn unsupported(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Unsupported(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed(text) | Error::Unsupported(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}
