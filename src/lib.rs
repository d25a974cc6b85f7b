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
//!  rtmp::chunk_reader      chunks -> messages
//!        v
//!  rtmp::server_session    messages -> events, replies
//!        v
//!  live::intake            kind and timestamp of each message
//!        v
//!  live::log               [K][p][a][p][a][p][K][p][a][p]   <- the history, in blocks
//!                           ^           ^           ^
//!  live::out::subscriber    cursor      cursor      cursor      one per player
//!        | with a framing   + header bytes
//!        v
//!  players' sockets         one sendmsg each, which never waits
//! ```
//!
//! The publisher's own thread does all of this; the threads of players only read. HTTP requests end
//! at the same logs:
//!
//! ```text
//!  http::head              bytes -> request head, or an error
//!        v
//!  http::route             path -> page, stream, playlist, state
//!        v
//!  server::http_conn       a response, or the connection gets a subscriber
//! ```
//!
//! Arrows between modules point one way: `server -> status -> record -> live ->
//! { rtmp, media, http }`.
//!
//! # In your own program
//!
//! A [`Server`] runs on its own threads until it is stopped or dropped:
//!
//! ```no_run
//! use brooklet::{Config, Server};
//!
//! let mut server = Server::start(Config::default().memory(16 << 20))?;
//! println!("listening on {:?}", server.rtmp_addresses());
//! for stream in server.streams() {
//!     println!("{} has {} viewers", stream.key, stream.report.viewer_count());
//! }
//! server.stop();
//! # Ok::<(), brooklet::StartError>(())
//! ```
//!
//! | to                                                 | see                                         |
//! |----------------------------------------------------|---------------------------------------------|
//! | decide who may connect, publish and play           | [`Handler`], `examples/doorman.rs`          |
//! | receive the messages of a stream                   | [`Attached`], `examples/tap.rs`             |
//! | list streams and connections, disconnect clients   | [`Server`], `examples/overseer.rs`          |
//! | record streams                                     | [`config::Record`], `examples/recorder.rs`  |
//! | set keys, users and networks                       | [`config::Access`]                          |
//! | keep media in an arena that outlives the server    | [`ServerBuilder::arena`]                    |
//!
//! Events are logged through the crate `log`. If your program has no logger, warnings and the reasons
//! for refusals aren't shown.
//!
//! [`rtmp`] and [`media`] can also be used by themselves: bytes in, bytes out, without sockets, threads
//! or clocks. Modules that aren't listed here are public only for the program `brooklet` and the tests,
//! and may change at any time.

// A build without HTTP doesn't use all functions of access rules, connections and streams; one without
// recordings has no use for some others.
#![cfg_attr(
    not(all(feature = "http", feature = "record")),
    allow(dead_code, unused_imports)
)]

#[doc(hidden)]
pub mod allowance;
#[doc(hidden)]
pub mod calendar;
#[cfg(feature = "relay")]
pub mod client;
pub mod config;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod live;
pub mod media;
mod medium;
mod net;
#[cfg_attr(not(feature = "record"), path = "record/no_record.rs")]
#[doc(hidden)]
pub mod record;
#[cfg_attr(not(feature = "relay"), path = "relay/no_relay.rs")]
mod relay;
pub mod rtmp;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod small_file;
mod status;
mod stream_message;
#[doc(hidden)]
pub mod url;

pub use config::Config;
pub use live::Millis;
pub use live::arena::Arena;
pub use live::finding::{Finding, RecordingTrouble};
pub use live::out::join::Join;
pub use live::report::{Delivered, StreamReport, Totals, TrackReport, Viewers};
pub use live::tracks::Tracks;
pub use media::Medium;
pub use record::report::{DiskReport, DiskState, RecordingReport, RecordingState};
pub use relay::report::{RelayReport, RelayState};
pub use rtmp::amf::Properties;
pub use rtmp::amf0::Value;
pub use rtmp::stream_key::StreamKey;
pub use server::handler::{Client, Handler, Protocol, Refusal, StreamRequest};
pub use server::{
    Attached, Detached, Server, ServerBuilder, StartError, StartErrorKind, StartRefused,
};
pub use status::{ConnectionReport, StreamStatus};
pub use stream_message::StreamMessage;
