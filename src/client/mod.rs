//! A client with blocking calls: it publishes streams to other servers, and plays theirs.

mod error;
pub(crate) mod link;
pub(crate) mod target;

pub use error::{ClientError, ClientErrorKind};
