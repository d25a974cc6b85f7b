//! HTTP/1.x, as far as a live server needs it: bytes in, values out. No sockets, no threads, no clocks.
//!
//! ```text
//! bytes -> head::HeadReader -> head::Head -> route::Route -> a handler
//! bytes <-------------------- response::Response <----------/
//! ```
//!
//! Requests with a body are refused, so there can be no disagreement about where a body ends (request
//! smuggling). An upgraded connection speaks [`websocket`].
//!
//! Section numbers in these modules refer to the RFC that the module names.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

#[cfg(feature = "relay")]
pub(crate) mod answer;
pub mod conditions;
pub mod date;
pub mod forwarded;
pub mod head;
pub(crate) mod inflate;
pub mod percent;
pub mod query;
pub mod range;
pub mod response;
pub mod route;
pub mod websocket;

pub use head::{Head, Method};
pub use response::{Response, Status};
pub use route::Route;

/// A request that is refused before its target is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The status of the response.
    pub status: Status,
    /// What was received or expected, for the client and the log. Contains no text from the request.
    pub why: &'static str,
}

impl Rejected {
    pub(crate) fn new(status: Status, why: &'static str) -> Rejected {
        Rejected { status, why }
    }
}
