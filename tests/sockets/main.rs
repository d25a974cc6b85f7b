//! The server over real sockets on loopback: command flows, lifecycles, limits.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod command_line;
mod handlers;
mod http;
mod independent_client;
mod joins;
mod limits;
mod login;
mod names;
mod publishers;
mod resources;
mod shutdown;
mod slow_players;

use common::client;
