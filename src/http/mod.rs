//! HTTP/1.x as far as a live server needs it: bytes in, values out. No sockets, no threads, no
//! clocks.
//!
//! ```text
//! bytes -> head::HeadReader -> head::Head -> route::Route -> a handler
//! bytes <-------------------- response::Response <----------/
//! ```
//!
//! Requests have no body: one that announces any is refused, and with it every disagreement on
//! where a body ends (request smuggling). A connection that was upgraded speaks [`websocket`].
//!
//! Section numbers in these modules name the RFC that they are of.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod conditions;
pub mod date;
pub mod forwarded;
pub mod head;
pub mod inflate;
pub mod percent;
pub mod query;
pub mod range;
pub mod response;
pub mod route;
pub mod websocket;

pub use head::{Head, Method};
pub use response::{Body, Response, Status};
pub use route::Route;

/// A request that is refused before anybody looks at what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What the client is answered.
    pub status: Status,
    /// What came, or what was expected: for client and log. Holds nothing that came.
    pub why: &'static str,
}

impl Rejected {
    pub(crate) fn new(status: Status, why: &'static str) -> Rejected {
        Rejected { status, why }
    }
}
