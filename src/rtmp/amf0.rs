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

use byteorder::{BigEndian, ByteOrder};

use super::{Error, amf3};
pub use encoder::Encoder;

/// Values may lie this deep in each other. Real ones stay below 4; ffmpeg reads 16.
pub const MAX_DEPTH: usize = 16;

/// Values in one message, nested ones included.
pub const MAX_VALUES: usize = 8192;

mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const REFERENCE: u8 = 0x07;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0A;
    pub(super) const DATE: u8 = 0x0B;
    pub(super) const LONG_STRING: u8 = 0x0C;
    pub(super) const UNSUPPORTED: u8 = 0x0D;
    pub(super) const XML_DOCUMENT: u8 = 0x0F;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
    pub(super) const AVMPLUS: u8 = 0x11;
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

/// Reads all values of a message.
pub fn parse(bytes: &[u8], missing_end: MissingEnd) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder {
        missing_end,
        ..Decoder::new(bytes)
    };
    let mut values = Vec::new();
    while let Some(value) = decoder.next_value()? {
        values.push(value);
    }
    Ok(values)
}

/// Reads a message value by value, so that the first ones count even if a later one is
/// undecodable.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    /// What is still to be read.
    bytes: &'a [u8],
    /// Length of the whole message: errors name positions in it.
    len: usize,
    /// How many more values this message may have.
    values_left: usize,
    missing_end: MissingEnd,
}

impl<'a> Decoder<'a> {
    /// Reads the payload of a command or data message; every object must have its end.
    pub fn new(bytes: &'a [u8]) -> Decoder<'a> {
        let missing_end = MissingEnd::Refused;
        Decoder {
            bytes,
            len: bytes.len(),
            values_left: MAX_VALUES,
            missing_end,
        }
    }

    /// The next value, `None` at the end. Nothing comes after an error: what can't be decoded
    /// can't be skipped either.
    pub fn next_value(&mut self) -> Result<Option<Value>, Error> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let result = self.value(0);
        if result.is_err() {
            self.bytes = &[];
        }
        result.map(Some)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth == MAX_DEPTH {
            return Err(limit("depth of amf0 values", MAX_DEPTH));
        }
        let left = self.values_left.checked_sub(1);
        self.values_left = left.ok_or_else(|| limit("amf0 values in a message", MAX_VALUES))?;
        let at = self.position();
        Ok(match self.byte("marker")? {
            marker::NUMBER => Value::Number(self.number()?),
            marker::BOOLEAN => Value::Boolean(self.byte("boolean")? != 0),
            marker::STRING => Value::String(self.short_text("string")?),
            marker::OBJECT => Value::Object(self.properties(depth)?),
            marker::NULL => Value::Null,
            marker::UNDEFINED | marker::UNSUPPORTED => Value::Undefined,
            marker::REFERENCE => {
                self.take(2, "reference")?;
                Value::Null
            }
            marker::ECMA_ARRAY => {
                self.take(4, "count")?;
                Value::EcmaArray(self.properties(depth)?)
            }
            marker::STRICT_ARRAY => Value::StrictArray(self.elements(depth)?),
            marker::DATE => {
                let ms = self.number()?;
                self.take(2, "time zone")?;
                Value::Date(ms)
            }
            marker::LONG_STRING => Value::String(self.long_text("long string")?),
            marker::XML_DOCUMENT => Value::XmlDocument(self.long_text("xml document")?),
            marker::TYPED_OBJECT => {
                self.short_text("class name")?;
                Value::Object(self.properties(depth)?)
            }
            marker::AVMPLUS => {
                // For this value only (AMF0, 3.1).
                let (value, rest) =
                    amf3::decode(self.bytes, self.len, depth, &mut self.values_left)?;
                self.bytes = rest;
                value
            }
            other => {
                return Err(Error::malformed(format!(
                    "amf0 marker {other:#04x} at byte {at}, expected a value"
                )));
            }
        })
    }

    /// Pairs up to the end marker. An empty key is the end only when 09 follows; some encoders
    /// do have a property without a name.
    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            if self.bytes.is_empty() && self.missing_end == MissingEnd::Tolerated {
                return Ok(properties);
            }
            if let Some(rest) = self.bytes.strip_prefix(&[0, 0, marker::OBJECT_END]) {
                self.bytes = rest;
                return Ok(properties);
            }
            let key = self.short_text("key")?;
            properties.push((key, self.value(depth + 1)?));
        }
    }

    fn elements(&mut self, depth: usize) -> Result<Vec<Value>, Error> {
        let at = self.position();
        let count = BigEndian::read_u32(self.take(4, "count")?);
        let left = self.bytes.len();
        // An element has at least one byte. Elements that are there are read one by one all the
        // same: memory grows with what came, not with what was announced.
        if count as usize > left {
            return Err(Error::malformed(format!(
                "strict array of {count} values at byte {at}, but only {left} bytes are left"
            )));
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(depth + 1)?);
        }
        Ok(elements)
    }

    fn number(&mut self) -> Result<f64, Error> {
        Ok(BigEndian::read_f64(self.take(8, "number")?))
    }

    fn short_text(&mut self, what: &str) -> Result<String, Error> {
        let len = BigEndian::read_u16(self.take(2, what)?);
        self.text(usize::from(len), what)
    }

    fn long_text(&mut self, what: &str) -> Result<String, Error> {
        let len = BigEndian::read_u32(self.take(4, what)?);
        self.text(len as usize, what)
    }

    fn text(&mut self, len: usize, what: &str) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(self.take(len, what)?).into_owned())
    }

    fn byte(&mut self, what: &str) -> Result<u8, Error> {
        Ok(self.take(1, what)?.first().copied().unwrap_or_default())
    }

    /// Exactly `len` bytes, or an error.
    fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.bytes.split_at_checked(len) else {
            return Err(Error::malformed(format!(
                "amf0 {what} of {len} bytes at byte {}, but only {} are left",
                self.position(),
                self.bytes.len()
            )));
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn position(&self) -> usize {
        self.len - self.bytes.len()
    }
}

pub(super) fn limit(what: &'static str, allowed: usize) -> Error {
    let allowed = allowed as u64;
    Error::Limit {
        what,
        got: allowed + 1,
        allowed,
        option: None,
    }
}

#[cfg(test)]
mod tests;
