//! Looking at the values of a message one at a time.

use std::borrow::Cow;
use std::fmt;

use super::{Reader, Text, Token};
use crate::rtmp::amf0::Value;

/// What a value is called in its object or array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Name<'a> {
    /// It stands for itself, or in a strict array.
    None,
    /// The name as it came.
    Text(Text<'a>),
    /// A place in an array that has names too (AMF3).
    Index(i32),
}

impl<'a> Name<'a> {
    /// The name as text.
    pub fn to_str(self) -> Cow<'a, str> {
        match self {
            Name::None => Cow::Borrowed(""),
            Name::Text(text) => text.to_str(),
            Name::Index(index) => Cow::Owned(index.to_string()),
        }
    }
}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, other: &str) -> bool {
        match self {
            Name::None => other.is_empty(),
            Name::Text(text) => *text == *other,
            Name::Index(index) => other.parse() == Ok(*index),
        }
    }
}

impl PartialEq<&str> for Name<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str())
    }
}

/// A value of a message, which is read as far as it is looked at.
#[derive(Clone, Debug)]
pub struct View<'a> {
    token: Token<'a>,
    /// What comes behind the token: of an object, its first property.
    reader: Reader<'a>,
}

impl<'a> View<'a> {
    /// What it is.
    pub fn token(&self) -> Token<'a> {
        self.token
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        match self.token {
            Token::String(text) => Some(text.to_str()),
            _ => None,
        }
    }

    /// A number, or what some clients send for one: a boolean, a whole number as text.
    pub fn as_f64(&self) -> Option<f64> {
        self.token.as_f64()
    }

    /// A truth value; clients send numbers for it, and anything but 0 is true.
    pub fn as_bool(&self) -> Option<bool> {
        self.token.as_bool()
    }

    /// The properties of an object or ECMA array.
    pub fn properties(&self) -> Option<Properties<'a>> {
        matches!(self.token, Token::Object | Token::EcmaArray).then(|| Properties {
            reader: self.reader.clone(),
        })
    }

    /// The elements of a strict array, or none.
    pub fn elements(&self) -> impl Iterator<Item = View<'a>> {
        let is_array = matches!(self.token, Token::StrictArray(_));
        let properties = is_array.then(|| Properties {
            reader: self.reader.clone(),
        });
        properties.into_iter().flatten().map(|(_, value)| value)
    }

    /// The whole value, which may be sixteen times as large as its bytes.
    pub fn to_value(&self) -> Option<Value> {
        self.reader.clone().tree(self.token).ok()
    }
}

/// The properties of an object or array in their order, read one by one from where the message
/// lies.
#[derive(Clone, Debug)]
pub struct Properties<'a> {
    /// Inside of the object.
    pub(crate) reader: Reader<'a>,
}

impl<'a> Properties<'a> {
    /// Those of the first object or ECMA array in AMF0 that `bytes` hold; `None` if they hold
    /// something else or can't be decoded.
    pub fn of(bytes: &'a [u8]) -> Option<Properties<'a>> {
        let mut reader = Reader::new(bytes.into());
        let first = reader.next_token().ok()??;
        let is_object = matches!(first.token, Token::Object | Token::EcmaArray);
        is_object.then_some(Properties { reader })
    }

    /// The value of that name; the last one if there are several.
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

    /// The value of that name, or the beginning of it; the last one if there are several.
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
