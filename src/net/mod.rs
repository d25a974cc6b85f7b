//! Sockets, as the server and the client use them: options, blocking reads, sends that never wait.

#[cfg(feature = "relay")]
pub(crate) mod dial;
pub(crate) mod socket;
