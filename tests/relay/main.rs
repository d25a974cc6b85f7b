//! The client over real sockets on loopback: against this server, and servers that do as they like.

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "cli")]
mod black_hole;
mod client;
mod faults;
mod hostile;
mod http_flv;
#[cfg(feature = "cli")]
mod programs;
mod pull;
mod push;
mod reconnect;
mod tail;
