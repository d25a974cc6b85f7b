//! Errors of the protocol, classified by who is to blame.

use std::borrow::Cow;
use std::fmt;

/// An error in the RTMP layers. Every error but [`Error::OutOfBlocks`] ends the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer broke the format. The text says what was received and what was expected.
    Malformed(Cow<'static, str>),
    /// The peer asked for something valid that this server doesn't support.
    Unsupported(Cow<'static, str>),
    /// A number from the network is larger than allowed.
    Limit {
        /// The limited quantity, with its unit.
        what: &'static str,
        /// The received value.
        got: u64,
        /// The largest allowed value.
        allowed: u64,
        /// The option that changes the limit, if any.
        option: Option<&'static str>,
    },
    /// No block is left for a message under assembly. Nothing was consumed: the caller may free blocks
    /// and continue with the same input.
    OutOfBlocks,
}

impl Error {
    pub(crate) fn malformed(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Malformed(text.into())
    }

    pub(crate) fn unsupported(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Unsupported(text.into())
    }

    /// Creates the error for a limit that no option changes.
    pub(crate) fn limit(what: &'static str, got: u64, allowed: u64) -> Error {
        Error::Limit {
            what,
            got,
            allowed,
            option: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed(text) | Error::Unsupported(text) => f.write_str(text),
            Error::Limit {
                what,
                got,
                allowed,
                option,
            } => {
                write!(f, "{what}: {got} exceeds the limit of {allowed}")?;
                match option {
                    Some(option) => write!(f, " (raise {option})"),
                    None => Ok(()),
                }
            }
            Error::OutOfBlocks => {
                f.write_str("no memory left for a message under assembly (raise --memory)")
            }
        }
    }
}

impl std::error::Error for Error {}
