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

mod budget;
mod encoder;

use super::amf::Reader;
use super::{Error, amf3};
pub(super) use budget::{Budget, limit};
pub use encoder::Encoder;

/// Values may lie this deep in each other. Real ones stay below 4; ffmpeg reads 16.
pub const MAX_DEPTH: usize = 16;

/// Values in one message, nested ones included.
pub const MAX_VALUES: usize = 8192;

/// Bytes that references of AMF3 may repeat in one message: 16 for the name of every value.
pub const MAX_REPEATED_TEXT: usize = 16 * MAX_VALUES;

pub(super) mod marker {
    pub(in crate::rtmp) const NUMBER: u8 = 0x00;
    pub(in crate::rtmp) const BOOLEAN: u8 = 0x01;
    pub(in crate::rtmp) const STRING: u8 = 0x02;
    pub(in crate::rtmp) const OBJECT: u8 = 0x03;
    pub(in crate::rtmp) const NULL: u8 = 0x05;
    pub(in crate::rtmp) const UNDEFINED: u8 = 0x06;
    pub(in crate::rtmp) const REFERENCE: u8 = 0x07;
    pub(in crate::rtmp) const ECMA_ARRAY: u8 = 0x08;
    pub(in crate::rtmp) const OBJECT_END: u8 = 0x09;
    pub(in crate::rtmp) const STRICT_ARRAY: u8 = 0x0A;
    pub(in crate::rtmp) const DATE: u8 = 0x0B;
    pub(in crate::rtmp) const LONG_STRING: u8 = 0x0C;
    pub(in crate::rtmp) const UNSUPPORTED: u8 = 0x0D;
    pub(in crate::rtmp) const XML_DOCUMENT: u8 = 0x0F;
    pub(in crate::rtmp) const TYPED_OBJECT: u8 = 0x10;
    pub(in crate::rtmp) const AVMPLUS: u8 = 0x11;
}

/// A value. Properties keep the order in which they came.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// May be NaN or infinite: check before casting.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Short and long strings. Bytes that aren't UTF-8 were replaced.
    String(String),
    /// Also typed objects, whose class is dropped: nothing is ever created by name.
    Object(Vec<(String, Value)>),
    /// Named properties, in the form that players want for metadata.
    EcmaArray(Vec<(String, Value)>),
    /// Values without names.
    StrictArray(Vec<Value>),
    /// Also references, which nobody sends: expanding them is how small messages become large.
    Null,
    /// Also "unsupported".
    Undefined,
    /// Milliseconds since 1970; the time zone is reserved and ignored.
    Date(f64),
    /// Opaque; never parsed.
    XmlDocument(String),
    /// Of AMF3 only.
    ByteArray(Vec<u8>),
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A number, or what some clients send for one: a boolean, a whole number as text.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Boolean(boolean) => Some(f64::from(u8::from(*boolean))),
            Value::String(text) => text.trim().parse::<i32>().ok().map(f64::from),
            _ => None,
        }
    }

    /// A truth value; clients send numbers for it, and anything but 0 is true.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(boolean) => Some(*boolean),
            Value::Number(number) => Some(*number != 0.0 && !number.is_nan()),
            _ => None,
        }
    }

    /// A property of an object or ECMA array; the last one if the key occurs twice.
    pub fn property(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(properties) | Value::EcmaArray(properties) => {
                let found = properties.iter().rev().find(|(name, _)| name == key);
                found.map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Whether there is nothing here: null or undefined, which senders use alike.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::Undefined)
    }

    /// Appends the value's bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Encoder::new(out).value(self);
    }
}

/// Appends a value in AMF3, behind the marker that switches to it.
pub fn emit_avmplus(value: &Value, out: &mut Vec<u8>) {
    out.push(marker::AVMPLUS);
    amf3::emit(value, out);
}

/// What to do with an object whose end marker is missing at the exact end of the message, as in
/// metadata that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingEnd {
    /// An error: for commands.
    Refused,
    /// Good enough: for data messages.
    Tolerated,
}

/// Reads all values of a message as trees: for messages that this side trusts.
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
