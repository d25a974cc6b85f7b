//! The error of a server that couldn't start.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::client::Protocol;

/// The reason why a server couldn't start: the step that failed, and the system's error if there is one.
///
/// ```
/// use std::error::Error;
/// use std::io;
/// use std::net::TcpListener;
///
/// use brooklet::{Config, Server, StartErrorKind};
///
/// let other = TcpListener::bind("127.0.0.1:0")?;
/// let taken = other.local_addr()?;
/// let config = Config::default().rtmp(vec![taken]).http(Vec::new());
/// let error = Server::start(config).err().unwrap();
/// assert!(matches!(error.kind(), StartErrorKind::Listen { address, .. } if address == taken));
/// let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
/// assert_eq!(source.unwrap().kind(), io::ErrorKind::AddrInUse);
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
pub struct StartError {
    pub(super) kind: StartErrorKind,
    pub(super) source: Option<io::Error>,
}

/// The step at which the start of a server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartErrorKind {
    /// The machine can't provide this number of bytes of memory.
    Memory(usize),
    /// A thread couldn't be started.
    Thread,
    /// The server can't listen on an address.
    Listen {
        /// The protocol of the listener.
        protocol: Protocol,
        /// The address.
        address: SocketAddr,
    },
    /// Nothing can be recorded with [`Config::record`](crate::Config::record): the error's source says
    /// why.
    Record,
    /// The server can't use [`Config::tls`](crate::Config::tls): the error's source says why.
    Tls,
}

impl StartError {
    /// The step that failed.
    pub fn kind(&self) -> StartErrorKind {
        self.kind
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StartErrorKind::Memory(bytes) => {
                let mib = bytes >> 20;
                write!(f, "this machine has no {mib} MiB of memory to give")?;
            }
            StartErrorKind::Record => f.write_str("cannot record")?,
            StartErrorKind::Tls => f.write_str("cannot use TLS")?,
            StartErrorKind::Thread => f.write_str("cannot start a thread")?,
            StartErrorKind::Listen { address, .. } => write!(f, "cannot listen on {address}")?,
        }
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
