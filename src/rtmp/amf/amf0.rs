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
//! Everything is bounded by the message itself: a length beyond its end is an error, and a count is
//! never trusted. The count of an ECMA array is often wrong in practice (0, or OBS's fixed 20).
//!
//! ```text
//! 03                                      object
//!    00 05 6C 65 76 65 6C                 "level"
//!    02 00 06 73 74 61 74 75 73           "status"
//!    00 00 09                             end
//! ```

use super::amf3;
use super::marker::amf0 as marker;
use super::reader::Reader;
use crate::rtmp::Error;
use crate::rtmp::printable::at_most;

pub use super::budget::{MAX_DEPTH, MAX_REPEATED_TEXT, MAX_VALUES};
pub use super::reader::MissingEnd;
pub use super::value::Value;

/// Appends a value in AMF3, after the marker that switches to AMF3.
pub fn emit_avmplus(value: &Value, out: &mut Vec<u8>) {
    out.push(marker::AVMPLUS);
    amf3::emit(value, out);
}

impl Value {
    /// Appends the value's bytes. Property names are cut to 65,535 bytes, between characters.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Value::Number(number) => {
                out.push(marker::NUMBER);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Value::Boolean(boolean) => {
                out.extend_from_slice(&[marker::BOOLEAN, u8::from(*boolean)]);
            }
            Value::String(text) if text.len() <= MAX_SHORT_LEN => {
                out.push(marker::STRING);
                emit_short(text, out);
            }
            Value::String(text) => emit_long(marker::LONG_STRING, text, out),
            Value::Object(properties) => {
                out.push(marker::OBJECT);
                emit_properties(properties, out);
            }
            Value::EcmaArray(properties) => {
                begin(marker::ECMA_ARRAY, properties.len(), out);
                emit_properties(properties, out);
            }
            Value::StrictArray(values) => {
                begin(marker::STRICT_ARRAY, values.len(), out);
                values.iter().for_each(|value| value.emit(out));
            }
            Value::Null => out.push(marker::NULL),
            Value::Undefined => out.push(marker::UNDEFINED),
            Value::Date(ms) => {
                out.push(marker::DATE);
                out.extend_from_slice(&ms.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
            Value::XmlDocument(text) => emit_long(marker::XML_DOCUMENT, text, out),
            Value::ByteArray(_) => emit_avmplus(self, out),
        }
    }
}

/// The longest text in bytes that a two-byte length can announce.
const MAX_SHORT_LEN: usize = u16::MAX as usize;

fn emit_short(text: &str, out: &mut Vec<u8>) {
    let text = at_most(text, MAX_SHORT_LEN);
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn emit_long(marker: u8, text: &str, out: &mut Vec<u8>) {
    begin(marker, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a marker and a count. Emitted values either came in a message or were built by this server, so
/// the count is far below 2^32.
fn begin(marker: u8, count: usize, out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(&(count as u32).to_be_bytes());
}

fn emit_properties(properties: &[(String, Value)], out: &mut Vec<u8>) {
    for (name, value) in properties {
        emit_short(name, out);
        value.emit(out);
    }
    out.extend_from_slice(&[0, 0, marker::OBJECT_END]);
}

/// Parses all values of a message into trees. Only for messages of trusted peers.
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
