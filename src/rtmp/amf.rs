//! AMF0 and AMF3, read in place without building a tree of values.
//!
//! A tree of values can occupy sixteen times the bytes of its message, and messages may come from
//! unauthenticated clients. So messages are read where they lie, token by token, and the caller keeps
//! only the values that it needs:
//!
//! ```text
//! 03 00 03 "app" 02 00 04 "live" 00 00 09
//!
//! depth 0        Object
//! depth 1  app   String "live"
//! depth 0        End
//! ```
//!
//! The memory of a reader is bounded: it remembers the positions of the first [`MAX_STRINGS`] strings
//! and [`MAX_TRAITS`] classes of an AMF3 value, a few bytes each.

pub mod amf0;
pub mod amf3;
mod budget;
pub(super) mod marker;
mod reader;
mod text;
mod token;
mod value;
mod view;

pub use reader::{MAX_STRINGS, MAX_TRAITS, MissingEnd, Reader};
pub use text::Text;
pub use token::{Name, Named, Token};
pub use value::Value;
pub use view::{Properties, View};

pub use super::bytes::{Bytes, MAX_PARTS, Parts};
