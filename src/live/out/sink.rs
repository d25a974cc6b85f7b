//! Sinks: the destinations of subscribers' bytes, which never wait.

use std::io::{self, ErrorKind, IoSlice};

/// A socket that accepts as many bytes as it can and never waits.
pub trait Sink: Send + Sync {
    /// Sends some of the bytes, from the front. Returns `WouldBlock` if it can accept none now.
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Sends bytes that were accepted and haven't left yet, without waiting; true if there are none.
    fn flush(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Ends the connection; its own thread wakes up and cleans up.
    fn shutdown(&self);

    /// Ends the sending direction: the peer still gets the bytes that were sent before.
    fn finish(&self);

    /// Reserves the socket for one subscriber while that is in the middle of a message. False if
    /// another subscriber of the same connection holds it.
    fn claim(&self, _subscriber: u64) -> bool {
        true
    }

    /// Releases the socket for other subscribers of the same connection.
    fn release(&self, _subscriber: u64) {}
}

/// Sends some of the bytes. Returns 0 if the sink can accept none now.
pub(crate) fn try_send(sink: &dyn Sink, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match sink.try_send(slices) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}
