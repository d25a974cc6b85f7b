//! Sockets, as the server and the client use them: options, blocking reads, sends that never wait.

#[cfg(all(feature = "relay", target_os = "linux"))]
mod acknowledged;
#[cfg(feature = "relay")]
pub(crate) mod dial;
pub(crate) mod socket;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub(crate) mod tls;
