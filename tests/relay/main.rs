//! The client over real sockets on loopback: against this server, and servers that do as they like.

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "http")]
mod api;
#[cfg(feature = "cli")]
mod black_hole;
mod client;
mod faults;
mod hostile;
mod http_flv;
mod mp4_files;
#[cfg(feature = "cli")]
mod programs;
mod pull;
mod push;
mod reconnect;
#[cfg(all(feature = "cli", feature = "http", feature = "record"))]
mod referred;
#[cfg(all(feature = "cli", feature = "http", feature = "record"))]
mod secrets;
mod tail;
#[cfg(not(feature = "tls"))]
mod without_tls;
