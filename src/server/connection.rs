//! What connections have in common, whatever their protocol: how they run, are refused, and end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Shared;
use super::connections::Full;
use super::end::ConnectionEnd;
use super::socket::Socket;
use crate::config::Shown;
use crate::live::out::sink::Sink;

/// Checks whether a connection has to end, whatever it is doing.
pub(super) fn check_open(shared: &Shared, id: u64) -> Result<(), ConnectionEnd> {
    if shared.is_stopping() {
        return Err(ConnectionEnd::Stopping);
    }
    shared.connections.why_cut(id).map_or(Ok(()), Err)
}

/// A connection in its protocol.
pub(super) trait Conversation {
    type End: From<ConnectionEnd>;

    /// Serves the connection until there is a reason to end it.
    fn serve(&mut self) -> Result<Infallible, Self::End>;

    /// Says the last words, and undoes what the connection has done.
    fn finish(&mut self, end: &Self::End);
}

/// Serves a connection to its end.
pub(super) fn run<C: Conversation>(
    conversation: &mut C,
    shared: &Shared,
    socket: &Socket,
    id: u64,
) {
    // A panic here is a bug. It ends this connection properly, and no other.
    let end = match catch_unwind(AssertUnwindSafe(|| conversation.serve())) {
        Ok(Err(end)) => end,
        Err(_) => ConnectionEnd::Panicked.into(),
    };
    // The thread that cut it off knows better why than its own read.
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
