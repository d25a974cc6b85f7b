//! The client over real sockets on loopback: against this server, and servers that do as they like.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod hostile;
mod http_flv;
#[cfg(feature = "cli")]
mod programs;
mod pull;
mod push;
mod reconnect;
#[cfg(all(feature = "cli", feature = "http", feature = "record"))]
mod secrets;
#[cfg(not(feature = "tls"))]
mod without_tls;
