//! A reader of AMF0 or AMF3 messages, token by token.

mod amf3;
mod tables;

use super::budget::{Budget, MAX_DEPTH, limit};
use super::marker::amf0 as marker;
use super::text::Text;
use super::token::{Name, Named, Token};
use super::value::Value;
use crate::rtmp::Error;
use crate::rtmp::bytes::Bytes;
use amf3::Amf3Position;
use tables::Tables;

pub use tables::{MAX_STRINGS, MAX_TRAITS};

/// Whether an object may lack its end marker at the exact end of the message, as in truncated
/// metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingEnd {
    /// A missing end marker is an error, as in commands.
    Refused,
    /// A missing end marker is accepted, as in data messages.
    Tolerated,
}

/// Reads a message token by token, so that the first values are usable even if a later one can't be
/// decoded.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    all: Bytes<'a>,
    /// The bytes that haven't been read yet.
    pub(in crate::rtmp) bytes: Bytes<'a>,
    budget: Budget,
    missing_end: MissingEnd,
    /// Objects and arrays that have begun and not yet ended, the outermost first.
    open: [OpenValue; MAX_DEPTH],
    depth: usize,
    /// Whether any value was in AMF3.
    pub(in crate::rtmp) has_amf3: bool,
    tables: Tables,
}

/// An object or array that has begun.
#[derive(Clone, Copy, Debug)]
struct OpenValue {
    /// The depth of the object or array itself.
    depth: u8,
    kind: OpenKind,
}

#[derive(Clone, Copy, Debug)]
enum OpenKind {
    /// An AMF0 object: pairs up to the end marker.
    Properties,
    /// An AMF0 strict array, with this many values left.
    Elements { left: u32 },
    /// An AMF3 object or array.
    Amf3(Amf3Position),
}

impl<'a> Reader<'a> {
    /// Creates a reader for the payload of a command or data message, in which every object must have
    /// its end marker.
    pub fn new(bytes: Bytes<'a>) -> Reader<'a> {
        Reader::tolerating(bytes, MissingEnd::Refused)
    }

    /// Like [`new`](Reader::new), but the last object may lack its end marker if `missing_end` tolerates
    /// it.
    pub fn tolerating(bytes: Bytes<'a>, missing_end: MissingEnd) -> Reader<'a> {
        let none = OpenValue {
            depth: 0,
            kind: OpenKind::Properties,
        };
        Reader {
            all: bytes,
            bytes,
            budget: Budget::of_message(),
            missing_end,
            open: [none; MAX_DEPTH],
            depth: 0,
            has_amf3: false,
            tables: Default::default(),
        }
    }

    /// Returns the next token, or `None` at the end. Reading also ends after an error: a value that
    /// can't be decoded can't be skipped either.
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
        if !token.is_object() && !matches!(token, Token::StrictArray(_)) {
            return Ok(());
        }
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.next_token()?;
        }
        Ok(())
    }

    /// Reads the rest of an object whose first token was just read. Returns the first token of the value
    /// with that name, or of the last such value if there are several.
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

    /// Returns the next value as a tree, or `None` at the end. Only for messages of trusted peers.
    pub fn next_value(&mut self) -> Result<Option<Value>, Error> {
        match self.next_token()? {
            Some(Named { token, .. }) => self.tree(token).map(Some),
            None => Ok(None),
        }
    }

    /// Builds the tree of the value that begins with this token.
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
        let Some(top) = top.and_then(|top| self.open.get_mut(top)) else {
            if self.bytes.is_empty() {
                return Ok(None);
            }
            return self.value(Name::None, 0).map(Some);
        };
        let depth = usize::from(top.depth) + 1;
        match &mut top.kind {
            OpenKind::Elements { left: 0 } => Ok(Some(self.end())),
            OpenKind::Elements { left } => {
                *left -= 1;
                self.value(Name::None, depth).map(Some)
            }
            OpenKind::Properties => self.property(depth).map(Some),
            OpenKind::Amf3(inside) => {
                let inside = *inside;
                self.step_amf3(inside, depth).map(Some)
            }
        }
    }

    /// Reads a pair, or the end marker. An empty key is the end only if 09 follows: some encoders do
    /// send properties without a name.
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
        // The marker and the AMF3 value count as one value; AMF0 resumes after that one value (AMF0,
        // 3.1).
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
            Token::Object | Token::EcmaArray => self.begin(depth, OpenKind::Properties)?,
            Token::StrictArray(left) => self.begin(depth, OpenKind::Elements { left })?,
            _ => {}
        }
        Ok(Named { name, token })
    }

    /// Reads the count of a strict array, and checks it: every element has at least one byte.
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

    fn begin(&mut self, depth: usize, kind: OpenKind) -> Result<(), Error> {
        let depth = depth as u8;
        match self.open.get_mut(self.depth) {
            Some(top) => *top = OpenValue { depth, kind },
            None => return Err(limit("depth of amf values", MAX_DEPTH)),
        }
        self.depth += 1;
        Ok(())
    }

    /// Replaces the state of the object or array that began last.
    fn go_on(&mut self, inside: Amf3Position) {
        let top = self.depth.saturating_sub(1);
        if let Some(top) = self.open.get_mut(top) {
            top.kind = OpenKind::Amf3(inside);
        }
    }

    fn end(&mut self) -> Named<'a> {
        self.depth = self.depth.saturating_sub(1);
        Named {
            name: Name::None,
            token: Token::End,
        }
    }

    fn number(&mut self) -> Result<f64, Error> {
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

    fn byte(&mut self, what: &str) -> Result<u8, Error> {
        Ok(self.take(1, what)?.first().unwrap_or_default())
    }

    /// Takes exactly `len` bytes; fewer are an error.
    fn take(&mut self, len: usize, what: &str) -> Result<Bytes<'a>, Error> {
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

    /// Whether an AMF3 value is being read.
    fn is_amf3(&self) -> bool {
        let top = self.depth.checked_sub(1);
        let top = top.and_then(|top| self.open.get(top));
        self.tables.is_reading || top.is_some_and(|top| matches!(top.kind, OpenKind::Amf3(_)))
    }

    fn position(&self) -> usize {
        self.all.len() - self.bytes.len()
    }
}
