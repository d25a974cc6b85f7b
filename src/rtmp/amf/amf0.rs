//! AMF0, the encoding of commands and data messages (AMF0 specification, section 2).
//!
//! ```text
//! 00 number        f64                      08 ECMA array    u32 count, then like an object
//! 01 boolean       u8                       0A strict array  u32 count, values
//! 02 string        u16 length, bytes        0B date          f64 ms since 1970, s16 zone
//! 03 object        (u16 length, key,        0C long string   u32 length, bytes
//!                   value)*, 00 00 09       0D unsupported
//! 05 null                                   0F XML document  u32 length, bytes
//! 06 undefined                              10 typed object  u16 length, class, then an object
//! 07 reference     u16 index                11 avmplus       one AMF3 value
//! ```
//!
//! Everything is bounded by the message itself: a length beyond its end is an error, and a count
//! is never believed. The count of an ECMA array is wrong in practice (0, or OBS's fixed 20).
//!
//! ```text
//! 03                                      object
//!    00 05 6C 65 76 65 6C                 "level"
//!    02 00 06 73 74 61 74 75 73           "status"
//!    00 00 09                             end
//! ```

mod encoder;

use super::amf3;
use super::marker::amf0 as marker;
use super::reader::Reader;
use crate::rtmp::Error;

pub use super::budget::{MAX_DEPTH, MAX_REPEATED_TEXT, MAX_VALUES};
pub use super::reader::MissingEnd;
pub use super::value::Value;

/// Appends a value in AMF3 after the marker that switches to it.
pub fn emit_avmplus(value: &Value, out: &mut Vec<u8>) {
    out.push(marker::AVMPLUS);
    amf3::emit(value, out);
}

/// Reads all values of a message as trees. For trusted peers.
pub fn parse(bytes: &[u8], missing_end: MissingEnd) -> Result<Vec<Value>, Error> {
    let mut reader = Reader::tolerating(bytes.into(), missing_end);
    let mut values = Vec::new();
    while let Some(value) = reader.next_value()? {
        values.push(value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
