//! The protocol: bytes in, values out. No sockets, no threads, no clocks.
//!
//! ```text
//! bytes -> handshake -> chunk_reader -> message, client_command -> server_session -> Event
//! bytes <------------- chunk_writer <- message, command <------------/
//! ```
//!
//! Section numbers in these modules refer to Adobe's RTMP 1.0 specification unless they name
//! another document.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

mod aggregate;
pub mod amf;
pub mod authmod;
pub mod base64;
pub mod bytes;
pub mod chunk;
pub mod chunk_reader;
pub mod chunk_writer;
mod client_command;
pub mod command;
pub mod connect;
pub mod data;
mod dialect;
pub mod error;
pub mod flight_recorder;
mod goodbye;
pub mod handshake;
pub mod message;
pub mod metadata;
pub(crate) mod printable;
pub mod rate;
mod relay_writer;
pub mod server_session;
pub mod stream_key;

pub use amf::{amf0, amf3};
pub use error::Error;
