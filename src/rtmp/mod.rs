//! The protocol: bytes in, values out. No sockets, no threads, no clocks.
//!
//! ```text
//! bytes -> handshake -> chunk_reader -> message -> amf -> server_session -> Event
//! bytes <------------- chunk_writer <- message, command <-----/
//! ```
//!
//! Section numbers in these modules refer to Adobe's RTMP 1.0 specification unless they name
//! another document.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

mod aggregate;
pub mod amf;
pub mod amf0;
pub mod amf3;
pub mod authmod;
pub mod base64;
pub mod chunk;
pub mod chunk_reader;
pub mod chunk_writer;
pub mod command;
pub mod data;
pub mod error;
pub mod flight_recorder;
pub mod handshake;
pub mod message;
pub mod metadata;
pub(crate) mod printable;
pub mod rate;
pub mod server_session;
pub mod stream_key;

pub use error::Error;
