//! Sockets, as the server and the client use them: options, blocking reads, sends that never wait.

pub(crate) mod socket;
#[cfg(feature = "tls")]
pub(crate) mod tls;
