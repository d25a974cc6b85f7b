//! Sinks: where a subscriber's bytes go, without waiting.

use std::io::{self, ErrorKind, IoSlice};

/// A socket that takes what it can and never waits.
pub trait Sink: Send + Sync {
    /// Sends some of the bytes, from the front; `WouldBlock` when it can take none now.
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the connection; its own thread wakes up and cleans up.
    fn shutdown(&self);

    /// Ends the sending direction: the peer still gets what was sent before.
    fn finish(&self);

    /// Reserves the socket for one subscriber while that is in the middle of a message. False when
    /// another subscriber of the same connection holds it.
    fn claim(&self, _subscriber: u64) -> bool {
        true
    }

    /// Releases the socket for other subscribers of the same connection.
    fn release(&self, _subscriber: u64) {}
}

/// Sends; 0 bytes when the sink can take none now.
pub(crate) fn try_send(sink: &dyn Sink, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match sink.try_send(slices) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}
