//! The server over real sockets on loopback: command flows, lifecycles, limits.

#[path = "../common/mod.rs"]
mod common;

#[cfg(all(feature = "cli", feature = "http"))]
mod access;
#[cfg(all(feature = "cli", feature = "http"))]
mod command_line;
mod embedding;
mod handlers;
#[cfg(feature = "http")]
mod hls;
#[cfg(feature = "http")]
mod http;
#[cfg(all(feature = "cli", feature = "http"))]
mod http_access;
#[cfg(feature = "http")]
mod http_conditions;
#[cfg(all(feature = "cli", feature = "http"))]
mod http_viewers;
mod independent_client;
mod joins;
#[cfg(all(feature = "http", feature = "record"))]
mod last_seconds;
mod limits;
#[cfg(feature = "cli")]
mod logging;
#[cfg(feature = "cli")]
mod login;
#[cfg(feature = "http")]
mod names;
#[cfg(all(feature = "cli", feature = "http"))]
mod proxies;
#[cfg(feature = "cli")]
mod publishers;
#[cfg(all(feature = "http", feature = "record"))]
mod recording;
#[cfg(feature = "cli")]
mod resources;
#[cfg(feature = "http")]
mod scene;
#[cfg(feature = "http")]
mod shutdown;
#[cfg(feature = "cli")]
mod slow_players;
#[cfg(all(feature = "cli", feature = "http"))]
mod status;
#[cfg(all(feature = "cli", feature = "http"))]
mod viewer;

use common::client;
