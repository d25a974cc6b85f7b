//! Tokens: the values of a message, where objects and arrays are split into a beginning and an end.

use std::borrow::Cow;
use std::fmt;

use super::text::Text;
use crate::rtmp::bytes::Bytes;

/// The beginning or end of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// A number, which may be NaN or infinite: check before casting.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A short or long string.
    String(Text<'a>),
    /// The beginning of an object. Its properties follow, up to its [`End`](Token::End).
    Object,
    /// The beginning of named properties in the form that players expect for metadata.
    EcmaArray,
    /// The beginning of an array: this many values without names follow, then the end.
    StrictArray(u32),
    /// The end of the innermost open object or array.
    End,
    /// Null. References also become null, since expanding them would let a small message become large,
    /// and no client sends them.
    Null,
    /// Undefined, or AMF0's "unsupported".
    Undefined,
    /// A date in milliseconds since 1970. The time zone is reserved and ignored.
    Date(f64),
    /// An XML document, opaque: never parsed.
    XmlDocument(Text<'a>),
    /// A byte array, in AMF3 only.
    ByteArray(Bytes<'a>),
}

impl Token<'_> {
    /// Returns the number, even if it was sent as a boolean or as text, as some clients do.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Token::Number(number) => Some(number),
            Token::Boolean(boolean) => Some(f64::from(u8::from(boolean))),
            Token::String(text) => text.to_i32().map(f64::from),
            _ => None,
        }
    }

    /// Returns the boolean. Some clients send numbers instead, of which all but 0 are true.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Token::Boolean(boolean) => Some(boolean),
            Token::Number(number) => Some(number != 0.0 && !number.is_nan()),
            _ => None,
        }
    }

    /// Whether named properties follow.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Token::Object | Token::EcmaArray)
    }

    /// Returns the beginning of a string, at most `most` bytes; empty for other values.
    pub(crate) fn to_string_of(self, most: usize) -> String {
        match self {
            Token::String(text) => text.to_string_of(most),
            _ => String::new(),
        }
    }
}

/// A token and its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named<'a> {
    /// The name in the object or array around it.
    pub name: Name<'a>,
    /// The token itself.
    pub token: Token<'a>,
}

/// The name of a value in its object or array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Name<'a> {
    /// No name: the value isn't in an object, or it is in a strict array.
    None,
    /// The name as received.
    Text(Text<'a>),
    /// An index in an AMF3 array that has named pairs too.
    Index(i32),
}

impl<'a> Name<'a> {
    /// Returns the name as text.
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
