//! Reading AMF0 and AMF3 without keeping what is read.
//!
//! A tree of values takes up to sixteen times the bytes of its message, and a stranger chooses the
//! message. So messages are read where they lie, token by token, and whoever reads keeps the few
//! values that it wants:
//!
//! ```text
//! 03 00 03 "app" 02 00 04 "live" 00 00 09
//!
//! depth 0        Object
//! depth 1  app   String "live"
//! depth 0        End
//! ```
//!
//! What a reader itself needs is bounded: it remembers the first [`MAX_STRINGS`] strings and
//! [`MAX_TRAITS`] classes of an AMF3 value by their place, a few bytes each.

mod bytes;
mod view;

pub use bytes::{Bytes, MAX_PARTS, Parts, Text};
pub use view::{Name, Properties, View};

use super::Error;
use super::amf0::{Budget, MAX_DEPTH, MissingEnd, Value, marker};

/// Strings of an AMF3 value that can be referred to. Real messages have some dozens.
pub const MAX_STRINGS: usize = 256;

/// Classes of an AMF3 value that can be referred to. Real messages have one or two.
pub const MAX_TRAITS: usize = 32;

/// What comes next in a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// May be NaN or infinite: check before casting.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Short and long strings.
    String(Text<'a>),
    /// An object's properties follow, up to its [`End`](Token::End).
    Object,
    /// Named properties follow, in the form that players want for metadata.
    EcmaArray,
    /// So many values without names follow, and the end.
    StrictArray(u32),
    /// Of the object or array that was begun last.
    End,
    /// Also references, which nobody sends: expanding them is how small messages become large.
    Null,
    /// Also "unsupported".
    Undefined,
    /// Milliseconds since 1970; the time zone is reserved and ignored.
    Date(f64),
    /// Opaque; never parsed.
    XmlDocument(Text<'a>),
    /// Of AMF3 only.
    ByteArray(Bytes<'a>),
}

impl Token<'_> {
    /// A number, or what some clients send for one: a boolean, a whole number as text.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Token::Number(number) => Some(number),
            Token::Boolean(boolean) => Some(f64::from(u8::from(boolean))),
            Token::String(text) => text.to_i32().map(f64::from),
            _ => None,
        }
    }

    /// A truth value; clients send numbers for it, and anything but 0 is true.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Token::Boolean(boolean) => Some(boolean),
            Token::Number(number) => Some(number != 0.0 && !number.is_nan()),
            _ => None,
        }
    }

    fn is_begin(&self) -> bool {
        matches!(
            self,
            Token::Object | Token::EcmaArray | Token::StrictArray(_)
        )
    }
}

/// A token and what it is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named<'a> {
    /// Its name in the object or array around it.
    pub name: Name<'a>,
    /// What comes.
    pub token: Token<'a>,
}

/// Reads a message token by token, so that the first values count even if a later one is
/// undecodable.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    pub(super) all: Bytes<'a>,
    /// What is still to be read.
    pub(super) bytes: Bytes<'a>,
    pub(super) budget: Budget,
    missing_end: MissingEnd,
    /// Objects and arrays that have begun and not ended, the outermost first.
    frames: [Frame; MAX_DEPTH],
    depth: usize,
    /// Some value was in AMF3.
    pub(super) has_amf3: bool,
    pub(super) tables: super::amf3::Tables,
}

/// An object or array that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// What its own values count as.
    pub(super) depth: u8,
    pub(super) kind: FrameKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum FrameKind {
    /// AMF0: pairs up to the end marker.
    Properties,
    /// AMF0: values.
    Elements { left: u32 },
    /// Of AMF3.
    Amf3(super::amf3::Inside),
}

impl<'a> Reader<'a> {
    /// Reads the payload of a command or data message; every object must have its end.
    pub fn new(bytes: Bytes<'a>) -> Reader<'a> {
        Reader::tolerating(bytes, MissingEnd::Refused)
    }

    /// The same, which may accept that the last object has no end.
    pub fn tolerating(bytes: Bytes<'a>, missing_end: MissingEnd) -> Reader<'a> {
        let none = Frame {
            depth: 0,
            kind: FrameKind::Properties,
        };
        Reader {
            all: bytes,
            bytes,
            budget: Budget::of_message(),
            missing_end,
            frames: [none; MAX_DEPTH],
            depth: 0,
            has_amf3: false,
            tables: Default::default(),
        }
    }

    /// The next token, `None` at the end. Nothing comes after an error: what can't be decoded
    /// can't be skipped either.
    pub fn next_token(&mut self) -> Result<Option<Named<'a>>, Error> {
        let result = self.step();
        if result.is_err() {
            self.bytes = Bytes::default();
            self.depth = 0;
        }
        result
    }

    /// Skips the rest of the value that begins with this token.
    pub fn skip(&mut self, token: Token<'a>) -> Result<(), Error> {
        if !token.is_begin() {
            return Ok(());
        }
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.next_token()?;
        }
        Ok(())
    }

    /// Reads the rest of an object whose first token was read last; returns the value of that name,
    /// or the beginning of it. The last one if there are several.
    pub fn find(&mut self, name: &str) -> Result<Option<Token<'a>>, Error> {
        let mut found = None;
        while let Some(next) = self.next_token()? {
            if next.token == Token::End {
                break;
            }
            if next.name == *name {
                found = Some(next.token);
            }
            self.skip(next.token)?;
        }
        Ok(found)
    }

    /// The next value as a tree, `None` at the end: for values that this side trusts.
    pub fn next_value(&mut self) -> Result<Option<Value>, Error> {
        match self.next_token()? {
            Some(Named { token, .. }) => self.tree(token).map(Some),
            None => Ok(None),
        }
    }

    /// The value that begins with this token.
    pub(super) fn tree(&mut self, token: Token<'a>) -> Result<Value, Error> {
        Ok(match token {
            Token::Number(number) => Value::Number(number),
            Token::Boolean(boolean) => Value::Boolean(boolean),
            Token::String(text) => Value::String(text.to_str().into_owned()),
            Token::Object => Value::Object(self.named_trees()?),
            Token::EcmaArray => Value::EcmaArray(self.named_trees()?),
            Token::StrictArray(_) => {
                let values = self.named_trees()?.into_iter();
                Value::StrictArray(values.map(|(_, value)| value).collect())
            }
            Token::Null | Token::End => Value::Null,
            Token::Undefined => Value::Undefined,
            Token::Date(ms) => Value::Date(ms),
            Token::XmlDocument(text) => Value::XmlDocument(text.to_str().into_owned()),
            Token::ByteArray(bytes) => Value::ByteArray(bytes.parts().collect::<Vec<_>>().concat()),
        })
    }

    fn named_trees(&mut self) -> Result<Vec<(String, Value)>, Error> {
        let mut trees = Vec::new();
        while let Some(Named { name, token }) = self.next_token()? {
            if token == Token::End {
                break;
            }
            trees.push((name.to_str().into_owned(), self.tree(token)?));
        }
        Ok(trees)
    }

    fn step(&mut self) -> Result<Option<Named<'a>>, Error> {
        let top = self.depth.checked_sub(1);
        let Some(frame) = top.and_then(|top| self.frames.get_mut(top)) else {
            if self.bytes.is_empty() {
                return Ok(None);
            }
            return self.value(Name::None, 0).map(Some);
        };
        let depth = usize::from(frame.depth) + 1;
        match &mut frame.kind {
            FrameKind::Elements { left: 0 } => Ok(Some(self.end())),
            FrameKind::Elements { left } => {
                *left -= 1;
                self.value(Name::None, depth).map(Some)
            }
            FrameKind::Properties => self.property(depth).map(Some),
            FrameKind::Amf3(inside) => {
                let inside = *inside;
                self.step_amf3(inside, depth).map(Some)
            }
        }
    }

    /// A pair, or the end marker. An empty key is the end only when 09 follows; some encoders do
    /// have a property without a name.
    fn property(&mut self, depth: usize) -> Result<Named<'a>, Error> {
        if self.bytes.is_empty() && self.missing_end == MissingEnd::Tolerated {
            return Ok(self.end());
        }
        if let Some(rest) = self.bytes.strip_prefix(&[0, 0, marker::OBJECT_END]) {
            self.bytes = rest;
            return Ok(self.end());
        }
        let name = self.short_text("key")?;
        self.value(Name::Text(name), depth)
    }

    fn value(&mut self, name: Name<'a>, depth: usize) -> Result<Named<'a>, Error> {
        // Marker and value are one value; for that one only (AMF0, 3.1).
        if let Some(bytes) = self.bytes.strip_prefix(&[marker::AVMPLUS]) {
            self.bytes = bytes;
            self.has_amf3 = true;
            self.tables.clear();
            self.tables.is_reading = true;
            let value = self.value_amf3(name, depth);
            self.tables.is_reading = false;
            return value;
        }
        self.budget.take_values(1, depth)?;
        let at = self.position();
        let token = match self.byte("marker")? {
            marker::NUMBER => Token::Number(self.number()?),
            marker::BOOLEAN => Token::Boolean(self.byte("boolean")? != 0),
            marker::STRING => Token::String(self.short_text("string")?),
            marker::OBJECT => Token::Object,
            marker::NULL => Token::Null,
            marker::UNDEFINED | marker::UNSUPPORTED => Token::Undefined,
            marker::REFERENCE => {
                self.take(2, "reference")?;
                Token::Null
            }
            marker::ECMA_ARRAY => {
                self.take(4, "count")?;
                Token::EcmaArray
            }
            marker::STRICT_ARRAY => Token::StrictArray(self.count()?),
            marker::DATE => {
                let ms = self.number()?;
                self.take(2, "time zone")?;
                Token::Date(ms)
            }
            marker::LONG_STRING => Token::String(self.long_text("long string")?),
            marker::XML_DOCUMENT => Token::XmlDocument(self.long_text("xml document")?),
            marker::TYPED_OBJECT => {
                self.short_text("class name")?;
                Token::Object
            }
            other => {
                return Err(Error::malformed(format!(
                    "amf0 marker {other:#04x} at byte {at}, expected a value"
                )));
            }
        };
        match token {
            Token::Object | Token::EcmaArray => self.begin(depth, FrameKind::Properties)?,
            Token::StrictArray(left) => self.begin(depth, FrameKind::Elements { left })?,
            _ => {}
        }
        Ok(Named { name, token })
    }

    /// An element has at least one byte. Elements that are there are read one by one all the same.
    fn count(&mut self) -> Result<u32, Error> {
        let at = self.position();
        let count = u32::from_be_bytes(self.take(4, "count")?.to_array());
        let left = self.bytes.len();
        if count as usize > left {
            return Err(Error::malformed(format!(
                "strict array of {count} values at byte {at}, but only {left} bytes are left"
            )));
        }
        Ok(count)
    }

    pub(super) fn begin(&mut self, depth: usize, kind: FrameKind) -> Result<(), Error> {
        let depth = depth as u8;
        match self.frames.get_mut(self.depth) {
            Some(frame) => *frame = Frame { depth, kind },
            None => return Err(super::amf0::limit("depth of amf values", MAX_DEPTH)),
        }
        self.depth += 1;
        Ok(())
    }

    /// Goes on otherwise in the object or array that was begun last.
    pub(super) fn go_on(&mut self, inside: super::amf3::Inside) {
        let top = self.depth.saturating_sub(1);
        if let Some(frame) = self.frames.get_mut(top) {
            frame.kind = FrameKind::Amf3(inside);
        }
    }

    pub(super) fn end(&mut self) -> Named<'a> {
        self.depth = self.depth.saturating_sub(1);
        Named {
            name: Name::None,
            token: Token::End,
        }
    }

    pub(super) fn number(&mut self) -> Result<f64, Error> {
        Ok(f64::from_be_bytes(self.take(8, "number")?.to_array()))
    }

    fn short_text(&mut self, what: &str) -> Result<Text<'a>, Error> {
        let len = u16::from_be_bytes(self.take(2, what)?.to_array());
        self.take(usize::from(len), what).map(Text)
    }

    fn long_text(&mut self, what: &str) -> Result<Text<'a>, Error> {
        let len = u32::from_be_bytes(self.take(4, what)?.to_array());
        self.take(len as usize, what).map(Text)
    }

    pub(super) fn byte(&mut self, what: &str) -> Result<u8, Error> {
        Ok(self.take(1, what)?.first().unwrap_or_default())
    }

    /// Exactly `len` bytes, or an error.
    pub(super) fn take(&mut self, len: usize, what: &str) -> Result<Bytes<'a>, Error> {
        let Some((taken, rest)) = self.bytes.split_at(len) else {
            let is_amf3 = self.is_amf3();
            return Err(Error::malformed(format!(
                "amf{} {what} of {len} bytes at byte {}, but only {} are left",
                if is_amf3 { 3 } else { 0 },
                self.position(),
                self.bytes.len()
            )));
        };
        self.bytes = rest;
        Ok(taken)
    }

    /// Whether what is being read is AMF3.
    fn is_amf3(&self) -> bool {
        let top = self.depth.checked_sub(1);
        let top = top.and_then(|top| self.frames.get(top));
        self.tables.is_reading || top.is_some_and(|frame| matches!(frame.kind, FrameKind::Amf3(_)))
    }

    pub(super) fn position(&self) -> usize {
        self.all.len() - self.bytes.len()
    }
}
