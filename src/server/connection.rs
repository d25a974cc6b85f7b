//! The parts common to connections of both protocols: how they run, are refused, and end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Shared;
use super::connections::Full;
use super::end::ConnectionEnd;
use crate::config::Shown;
use crate::live::out::sink::Sink;
use crate::net::socket::Socket;

/// Fails if a connection has to end: because the server is stopping, or another thread has closed it.
pub(super) fn check_open(shared: &Shared, id: u64) -> Result<(), ConnectionEnd> {
    if shared.is_stopping() {
        return Err(ConnectionEnd::Stopping);
    }
    shared.connections.why_cut(id).map_or(Ok(()), Err)
}

/// A connection as one of the protocols handles it.
pub(super) trait Conversation {
    type End: From<ConnectionEnd>;

    /// Serves the connection until there is a reason to end it.
    fn serve(&mut self) -> Result<Infallible, Self::End>;

    /// Sends the last replies, and ends everything that the connection has begun.
    fn finish(&mut self, end: &Self::End);
}

/// Serves a connection to its end.
pub(super) fn run<C: Conversation>(
    conversation: &mut C,
    shared: &Shared,
    socket: &Socket,
    id: u64,
) {
    // A panic is a bug. It ends this connection alone, with the usual clean-up.
    let end = match catch_unwind(AssertUnwindSafe(|| conversation.serve())) {
        Ok(Err(end)) => end,
        Err(_) => ConnectionEnd::Panicked.into(),
    };
    // If another thread has closed the connection, its reason is better than that of the failed read.
    let end = shared.connections.why_cut(id).map_or(end, C::End::from);
    let _ = catch_unwind(AssertUnwindSafe(|| conversation.finish(&end)));
    socket.shutdown();
}

/// Logs that a connection, or a request of a proxy's client, is refused. Refusals within a second
/// are counted.
pub(super) fn refuse(shared: &Shared, peer: SocketAddr, full: Full) {
    let peer = Shown(peer);
    match shared.refused.note(shared.now()) {
        Some(1) => log::warn!("{peer} refused: {full}"),
        Some(count) => log::warn!("{peer} refused: {full}; {count} refused since the last line"),
        None => {}
    }
}
