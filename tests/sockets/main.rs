//! The server over real sockets on loopback: command flows, lifecycles, limits.

mod access;
mod client;
mod command_line;
mod handlers;
mod independent_client;
mod joins;
mod limits;
mod login;
mod names;
mod publishers;
mod resources;
mod shutdown;
mod slow_players;
