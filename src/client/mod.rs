//! A client with blocking calls: it publishes streams to other servers, and plays theirs.
//!
//! ```text
//! Client -- publish() --> Publisher -- send(message) -->  server
//!        -- play() -----> Player    <- recv(timeout) ---  server
//! ```
//!
//! Publishing takes a loop over messages, playing as well; `examples/publisher.rs` and `examples/player.rs`
//! are programs:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use brooklet::client::Client;
//!
//! // Copies a stream from one server to another.
//! let mut player = Client::new("rtmp://192.0.2.7/live/door")?.play()?;
//! let mut publisher = Client::new("rtmp://media.example/app/key")?.publish()?;
//! while let Some(message) = player.recv(Duration::from_secs(10))? {
//!     publisher.send(message)?;
//! }
//! publisher.finish()?;
//! # Ok::<(), brooklet::client::ClientError>(())
//! ```

mod builder;
mod error;
pub(crate) mod flv_link;
pub(crate) mod link;
mod player;
mod publisher;
mod settings;
pub(crate) mod target;

pub use builder::Client;
pub use error::{ClientError, ClientErrorKind};
pub use player::Player;
pub use publisher::Publisher;
