//! brooklet: a small RTMP live-streaming server for cameras and single-board computers.
//!
//! Blocking reads, one OS thread per connection, a memory arena of fixed size, no async runtime.
//!
//! # The data path
//!
//! ```text
//!  publisher's socket
//!        | read
//!        v
//!  rtmp::chunk_reader      chunks -> messages, in blocks of the arena
//!        v
//!  rtmp::server_session    messages -> events, replies
//!        v
//!  live::stream            append to the log, then pump:
//!        v
//!  live::log               [K][p][a][p][a][p][K][p][a][p]   <- the history, in blocks
//!                           ^           ^           ^
//!  live::subscriber         cursor      cursor      cursor      one per player
//!        | live::out        + header bytes
//!        v
//!  players' sockets         one sendmsg each, which never waits
//! ```
//!
//! The publisher's own thread does all of this; players' threads read only. Players that speak
//! HTTP come in by another door, and wait at the same logs:
//!
//! ```text
//!  http::head              bytes -> request head, or why not
//!        v
//!  http::route             path -> page, stream, playlist, state
//!        v
//!  server::http_conn       a response, or the connection becomes a subscriber's
//! ```
//!
//! Arrows between modules point one way: `server -> { output, status } -> live -> { rtmp, media, http }`.
//!
//! # In a program of one's own
//!
//! ```no_run
//! let config = brooklet::Config::default();
//! let server = brooklet::Server::start(config)?;
//! println!("{:?}", server.rtmp_addresses());
//! # Ok::<(), brooklet::StartError>(())
//! ```
//!
//! With [`Server::start_with`] a [`Handler`] decides who may connect, publish and play, and hears
//! who comes and goes: `examples/doorman.rs` does all of that.

pub mod allowance;
pub mod calendar;
pub mod cli;
pub mod config;
pub mod greeting;
pub mod http;
pub mod live;
pub mod media;
pub mod rtmp;
pub mod server;
pub mod status;

pub use config::Config;
pub use server::handler::{Client, Handler, Protocol, Refusal, StreamRequest};
pub use server::{Server, StartError};
