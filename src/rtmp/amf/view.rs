//! The values of a message, read on request.

use std::borrow::Cow;

use super::reader::Reader;
use super::token::{Name, Token};
use super::value::Value;

/// A value of a message, of which only the requested parts are read.
#[derive(Clone, Debug)]
pub struct View<'a> {
    token: Token<'a>,
    /// The reader of the bytes after the token. For an object, these begin with its first property.
    reader: Reader<'a>,
}

impl<'a> View<'a> {
    /// Returns the first token of the value.
    pub fn token(&self) -> Token<'a> {
        self.token
    }

    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        match self.token {
            Token::String(text) => Some(text.to_str()),
            _ => None,
        }
    }

    /// Returns the number, even if it was sent as a boolean or as text, as some clients do.
    pub fn as_f64(&self) -> Option<f64> {
        self.token.as_f64()
    }

    /// Returns the boolean. Some clients send numbers instead, of which all but 0 are true.
    pub fn as_bool(&self) -> Option<bool> {
        self.token.as_bool()
    }

    /// Returns the properties of an object or ECMA array.
    pub fn properties(&self) -> Option<Properties<'a>> {
        self.token.is_object().then(|| Properties {
            reader: self.reader.clone(),
        })
    }

    /// Returns the elements of a strict array; no elements for other values.
    pub fn elements(&self) -> impl Iterator<Item = View<'a>> {
        let is_array = matches!(self.token, Token::StrictArray(_));
        let properties = is_array.then(|| Properties {
            reader: self.reader.clone(),
        });
        properties.into_iter().flatten().map(|(_, value)| value)
    }

    /// Builds the tree of the whole value, which can occupy sixteen times the bytes of the message.
    pub fn to_value(&self) -> Option<Value> {
        self.reader.clone().tree(self.token).ok()
    }
}

/// An iterator over the properties of an object or array, read in place.
#[derive(Clone, Debug)]
pub struct Properties<'a> {
    /// The reader, positioned inside the object.
    pub(crate) reader: Reader<'a>,
}

impl<'a> Properties<'a> {
    /// Returns the properties of the AMF0 object or ECMA array at the beginning of `bytes`; `None` for
    /// any other value, or if it can't be decoded.
    pub fn of(bytes: &'a [u8]) -> Option<Properties<'a>> {
        let mut reader = Reader::new(bytes.into());
        let first = reader.next_token().ok()??;
        first.token.is_object().then_some(Properties { reader })
    }

    /// Returns the value with that name; the last one if there are several.
    pub fn find(&self, name: &str) -> Option<View<'a>> {
        let mut found = None;
        let mut reader = self.reader.clone();
        while let Ok(Some(next)) = reader.next_token() {
            if next.token == Token::End {
                break;
            }
            let behind = (next.name == *name).then(|| reader.clone());
            if reader.skip(next.token).is_err() {
                break;
            }
            if let Some(reader) = behind {
                let token = next.token;
                found = Some(View { token, reader });
            }
        }
        found
    }

    /// Returns the first token of the value with that name; of the last one if there are several.
    pub fn token(&self, name: &str) -> Option<Token<'a>> {
        self.reader.clone().find(name).ok()?
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = (Name<'a>, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.reader.next_token().ok()??;
        if matches!(event.token, Token::End) {
            self.reader = Reader::new((&[][..]).into());
            return None;
        }
        let view = View {
            token: event.token,
            reader: self.reader.clone(),
        };
        self.reader.skip(event.token).ok()?;
        Some((event.name, view))
    }
}
