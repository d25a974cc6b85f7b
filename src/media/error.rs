//! What can be wrong with a payload. None of it ends a connection: the message is dropped.

use std::borrow::Cow;
use std::fmt;

/// An error of the media formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The sender broke the format: what came, and what was expected.
    Malformed(Cow<'static, str>),
    /// The sender is in its right, but this server doesn't know that.
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
