//! The reference tables of AMF3: strings, objects and traits by number, kept as positions in the
//! message.

use super::Reader;
use crate::rtmp::Error;
use crate::rtmp::amf::budget::limit;
use crate::rtmp::amf::token::Token;
use crate::rtmp::bytes::Bytes;

/// The number of strings in an AMF3 value that can be referred to. Real messages have a few dozen.
pub const MAX_STRINGS: usize = 256;

/// The number of classes in an AMF3 value that can be referred to. Real messages have one or two.
pub const MAX_TRAITS: usize = 32;

/// The reference tables of the value after one "avmplus", as positions in the message.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// Whether the first token of an AMF3 value is being read.
    pub(super) is_reading: bool,
    /// The position of each string's length; at most [`MAX_STRINGS`] entries.
    strings: Vec<u32>,
    strings_seen: usize,
    /// The number of objects so far. No more is kept, since all references to objects become null.
    pub(super) objects: usize,
    /// The classes; at most [`MAX_TRAITS`] entries.
    traits: Vec<Traits>,
    traits_seen: usize,
}

impl Tables {
    pub(super) fn clear(&mut self) {
        *self = Tables::default();
    }
}

/// The traits of a class, as they lie in the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    /// The position of the class's name.
    pub(super) class_at: u32,
    pub(super) is_externalizable: bool,
    pub(super) is_dynamic: bool,
    /// The number of member names.
    pub(super) names: u32,
    /// The position of the first member name.
    pub(super) names_at: u32,
}

/// The decoded meaning of a U29: a reference, or the length of a new value.
enum Announced {
    /// The length or count of a value that follows.
    Inline(usize),
    Reference(usize),
}

impl<'a> Reader<'a> {
    pub(super) fn repeated_traits(&self, index: usize) -> Result<Traits, Error> {
        let (tables, at) = (&self.tables, self.position());
        match tables.traits.get(index) {
            Some(traits) => Ok(*traits),
            None if index < tables.traits_seen => {
                Err(limit("classes in amf3 to refer to", MAX_TRAITS))
            }
            None => Err(no_reference("traits", index, tables.traits_seen, at)),
        }
    }

    /// Reads traits and adds them to their table.
    pub(super) fn inline_traits(&mut self, announced: u32) -> Result<Traits, Error> {
        let is_externalizable = announced & 4 != 0;
        let count = Some(announced as usize >> 4).filter(|_| !is_externalizable);
        let count = count.unwrap_or(0);
        let class_at = self.position() as u32;
        self.string()?;
        self.check_count(count, 1)?;
        let names_at = self.position() as u32;
        for _ in 0..count {
            self.string()?;
        }
        let traits = Traits {
            class_at,
            is_externalizable,
            is_dynamic: announced & 8 != 0,
            names: count as u32,
            names_at,
        };
        self.tables.traits_seen += 1;
        if self.tables.traits.len() < MAX_TRAITS {
            self.tables.traits.push(traits);
        }
        Ok(traits)
    }

    /// Reads the length or count of an object that follows, and counts the object before its content is
    /// read; `None` for a reference.
    pub(super) fn object_header(&mut self) -> Result<Option<usize>, Error> {
        match self.announced()? {
            Announced::Inline(count) => {
                self.tables.objects += 1;
                Ok(Some(count))
            }
            Announced::Reference(index) => self.object_reference(index).map(|_| None),
        }
    }

    pub(super) fn object_reference(&self, index: usize) -> Result<Token<'a>, Error> {
        let objects = self.tables.objects;
        if index < objects {
            return Ok(Token::Null);
        }
        Err(no_reference("object", index, objects, self.position()))
    }

    /// Reads a string. The empty string is never added to the table.
    pub(super) fn string(&mut self) -> Result<Bytes<'a>, Error> {
        let at = self.position() as u32;
        match self.announced()? {
            Announced::Inline(0) => Ok(Bytes::default()),
            Announced::Inline(len) => {
                let text = self.take(len, "string")?;
                self.tables.strings_seen += 1;
                if self.tables.strings.len() < MAX_STRINGS {
                    self.tables.strings.push(at);
                }
                Ok(text)
            }
            Announced::Reference(index) => {
                let text = self.repeated_string(index)?;
                self.budget.take_repeated_text(text.len())?;
                Ok(text)
            }
        }
    }

    fn repeated_string(&self, index: usize) -> Result<Bytes<'a>, Error> {
        let (tables, at) = (&self.tables, self.position());
        match tables.strings.get(index) {
            Some(at) => Ok(self.string_at(*at)?.0),
            None if index < tables.strings_seen => {
                Err(limit("strings in amf3 to refer to", MAX_STRINGS))
            }
            None => Err(no_reference("string", index, tables.strings_seen, at)),
        }
    }

    /// Returns the next string without consuming it.
    pub(super) fn peek_string(&mut self) -> Result<Bytes<'a>, Error> {
        let before = self.bytes;
        let text = match self.announced()? {
            Announced::Inline(len) => self.take(len, "string")?,
            Announced::Reference(index) => self.repeated_string(index)?,
        };
        self.bytes = before;
        Ok(text)
    }

    /// Returns the string at a position that has been read before, and the position of its end.
    pub(super) fn string_at(&self, at: u32) -> Result<(Bytes<'a>, u32), Error> {
        let gone = || Error::malformed("amf3 string that is gone");
        let (_, from) = self.all.split_at(at as usize).ok_or_else(gone)?;
        let (announced, rest) = u29(from).ok_or_else(gone)?;
        let end_of = |rest: Bytes<'a>| (self.all.len() - rest.len()) as u32;
        let index = announced as usize >> 1;
        if announced & 1 == 0 {
            return Ok((self.repeated_string(index)?, end_of(rest)));
        }
        let (text, rest) = rest.split_at(index).ok_or_else(gone)?;
        Ok((text, end_of(rest)))
    }

    /// Checks a count against the remaining bytes: every element has at least `size` bytes.
    pub(super) fn check_count(&self, count: usize, size: usize) -> Result<(), Error> {
        if count.saturating_mul(size) <= self.bytes.len() {
            return Ok(());
        }
        Err(Error::malformed(format!(
            "{count} amf3 values at byte {}, but only {} bytes are left",
            self.position(),
            self.bytes.len()
        )))
    }

    fn announced(&mut self) -> Result<Announced, Error> {
        let number = self.u29()?;
        let index = number as usize >> 1;
        Ok(match number & 1 {
            1 => Announced::Inline(index),
            _ => Announced::Reference(index),
        })
    }

    pub(super) fn integer(&mut self) -> Result<i32, Error> {
        // Moves the sign from bit 28 to bit 31 and back.
        Ok((self.u29()? << 3) as i32 >> 3)
    }

    pub(super) fn u29(&mut self) -> Result<u32, Error> {
        match u29(self.bytes) {
            Some((number, rest)) => {
                self.bytes = rest;
                Ok(number)
            }
            None => {
                // Moves to the end, so that the error names the byte at which the message is truncated.
                self.bytes = self.bytes.split_at(self.bytes.len()).unwrap_or_default().1;
                self.byte("integer").map(u32::from)
            }
        }
    }
}

/// Reads a U29. Encodings longer than necessary are valid.
fn u29(bytes: Bytes<'_>) -> Option<(u32, Bytes<'_>)> {
    let mut number = 0;
    let mut bytes = bytes;
    for index in 0..4 {
        let byte = bytes.first()?;
        bytes = bytes.split_at(1)?.1;
        if index == 3 {
            return Some((number << 8 | u32::from(byte), bytes));
        }
        number = number << 7 | u32::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((number, bytes))
}

fn no_reference(what: &str, index: usize, count: usize, at: usize) -> Error {
    Error::malformed(format!(
        "amf3 reference to {what} {index} before byte {at}, but there are {count}"
    ))
}
