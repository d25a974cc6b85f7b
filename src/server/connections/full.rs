//! The reasons for refusing a connection.

use std::fmt;
use std::io::ErrorKind;

use crate::allowance::Exceeded;

/// The reason why there is no place for a connection, or for its request to publish or play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Full {
    /// The limit `--max-connections` is reached.
    InAll(usize),
    /// The limit `--max-per-address` is reached.
    PerAddress(usize),
    /// The limit `--max-connect-rate` is exceeded.
    Rate(u32),
    /// The machine doesn't have the memory that another connection may need.
    Memory(usize),
    /// No thread can be started for the connection.
    Thread(ErrorKind),
    /// All places for viewers are taken.
    Viewing(usize),
    /// The connection's allowance is used up.
    Allowance(Exceeded),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Full::InAll(max) => {
                write!(f, "{max} connections are open (raise --max-connections)")
            }
            Full::PerAddress(max) => write!(
                f,
                "{max} connections from its address are open (raise --max-per-address)"
            ),
            Full::Rate(max) => write!(
                f,
                "more than {max} connections a second from its address (raise --max-connect-rate)"
            ),
            Full::Memory(open) => write!(
                f,
                "no memory for another connection, {open} are open (raise the limit, or lower \
                 --memory or --max-connections)"
            ),
            Full::Thread(kind) => write!(
                f,
                "no thread can be started: {kind} (raise the limits on memory and processes)"
            ),
            Full::Viewing(max) => {
                write!(
                    f,
                    "{max} connections play streams (raise --max-connections)"
                )
            }
            Full::Allowance(exceeded) => write!(f, "{exceeded}"),
        }
    }
}
