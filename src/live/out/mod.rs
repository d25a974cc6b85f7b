//! The output of streams: from a stream's log to the sockets of its receivers.
//!
//! ```text
//!  request       a receiver's request for a stream
//!     v
//!  subscriber    the receiver, attached: place (joins, skips), send (the next bytes)
//!     |
//!     |  log     messages
//!     v
//!  outgoing      one message for one receiver     stage    the same for many at once
//!     |  framing = format (RTMP, FLV, MP4) in a carrier (raw, chunks, WebSocket)
//!     v
//!  slices        one vectored send
//!     v
//!  sink          the socket, which never waits
//! ```
//!
//! No code here knows HTTP: the server generates the answers to requests.

pub mod carrier;
mod control_queue;
pub(in crate::live) mod desk;
pub(in crate::live) mod format;
pub mod framed;
pub mod framing;
pub mod join;
pub mod media_choice;
pub mod message;
mod outgoing;
pub mod request;
pub mod sink;
pub(in crate::live) mod slices;
mod stage;
pub mod subscriber;
