//! Replaces `tls` in a build without it.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::path::Path;
#[cfg(feature = "relay")]
use std::path::PathBuf;

use crate::url::UrlError;

/// Says how to get it.
fn missing() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, UrlError::NoTls.to_string())
}

/// The certificate of a server, of which there is none.
pub(crate) enum TlsServer {}

/// What a look at its files has brought.
#[allow(dead_code)] // None is ever made.
pub(crate) enum Reload {
    Unchanged,
    Done,
    Failed(io::Error),
}

impl TlsServer {
    pub(crate) fn load(_: &Path, _: &Path) -> io::Result<TlsServer> {
        Err(missing())
    }

    pub(crate) fn reload(&self) -> Reload {
        match *self {}
    }

    pub(super) fn accept(&self) -> io::Result<Tls> {
        match *self {}
    }
}

/// The servers that are trusted, of which there are none.
#[cfg(feature = "relay")]
#[derive(Debug)]
pub(crate) struct TlsClient {
    has_own: bool,
}

#[cfg(feature = "relay")]
impl TlsClient {
    pub(crate) fn new(ca: Option<PathBuf>) -> TlsClient {
        let has_own = ca.is_some();
        TlsClient { has_own }
    }

    pub(crate) fn check(&self) -> io::Result<()> {
        match self.has_own {
            true => Err(missing()),
            false => Ok(()),
        }
    }

    pub(super) fn connect(&self, _: &str, _: Option<&[u8; 32]>) -> io::Result<Tls> {
        Err(missing())
    }
}

/// TLS inside of a socket, of which there is none.
pub(super) enum Tls {}

impl Tls {
    pub(super) fn read(
        &self,
        _: &mut [u8],
        _: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
        _: &mut dyn Write,
    ) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn is_closed(&self, _: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> bool {
        match *self {}
    }

    #[cfg(feature = "relay")]
    pub(super) fn has_input(&self) -> bool {
        match *self {}
    }

    pub(super) fn failure(&self) -> Option<String> {
        match *self {}
    }

    pub(super) fn try_send(&self, _: &[IoSlice<'_>], _: &mut dyn Write) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn flush(&self, _: &mut dyn Write) -> io::Result<bool> {
        match *self {}
    }

    pub(super) fn write(&self, _: &[u8], _: &mut dyn Write) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn close(&self, _: &mut dyn Write) {
        match *self {}
    }
}
