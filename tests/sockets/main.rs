//! The server over real sockets on loopback: command flows, lifecycles, limits.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod command_line;
mod handlers;
mod hls;
mod http;
mod http_access;
mod http_conditions;
mod http_viewers;
mod independent_client;
mod joins;
mod limits;
mod logging;
mod login;
mod names;
mod proxies;
mod publishers;
mod resources;
mod shutdown;
mod slow_players;
mod status;
mod viewer;

use common::client;
