//! The RTMP protocol: bytes in, values out. No sockets, no threads, no clocks.
//!
//! ```text
//! bytes -> handshake -> chunk_reader -> message, client_command -> server_session -> Event
//! bytes <------------- chunk_writer <- message, command <------------/
//! ```
//!
//! Section numbers in these modules refer to Adobe's RTMP 1.0 specification unless another document is
//! named.
//!
//! ```
//! use brooklet::rtmp::bytes::Bytes;
//! use brooklet::rtmp::chunk::MessageHeader;
//! use brooklet::rtmp::chunk_reader::{ChunkReader, Heap, Limits};
//! use brooklet::rtmp::chunk_writer::ChunkWriter;
//! use brooklet::rtmp::message::type_id;
//!
//! let header = MessageHeader {
//!     chunk_stream_id: 6,
//!     timestamp: 40,
//!     len: 0, // set by the writer
//!     type_id: type_id::VIDEO,
//!     message_stream_id: 1,
//! };
//! let mut chunks = Vec::new();
//! ChunkWriter::default().write(header, &[0x17; 1000], &mut chunks);
//!
//! let mut reader = ChunkReader::new(Heap, Limits::NONE);
//! let mut input = Bytes::from(&chunks[..]);
//! let message = reader.read(&mut input)?.expect("all of its chunks are there");
//! assert_eq!(message.timestamp, 40);
//! let payload = reader.payload(message.in_place).flatten();
//! assert_eq!(payload.count(), 1000);
//! # Ok::<(), brooklet::rtmp::Error>(())
//! ```

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
pub mod client_session;
pub mod command;
pub mod connect;
pub mod data;
mod dialect;
pub mod error;
pub mod file_metadata;
pub mod flight_recorder;
mod goodbye;
pub mod handshake;
pub mod message;
pub mod metadata;
pub(crate) mod printable;
pub mod rate;
mod relay_writer;
mod server_call;
pub mod server_session;
pub mod stream_key;
pub mod via;

pub use amf::{amf0, amf3};
pub use error::Error;
