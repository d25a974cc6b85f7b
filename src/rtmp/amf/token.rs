//! Tokens: the values of a message, of which objects and arrays have a beginning and an end.

use std::borrow::Cow;
use std::fmt;

use super::text::Text;
use crate::rtmp::bytes::Bytes;

/// The beginning or end of a value.
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
    /// Named properties follow, in the form that players expect for metadata.
    EcmaArray,
    /// This many values without names follow, and the end.
    StrictArray(u32),
    /// The end of the object or array that began last.
    End,
    /// Also references, which no client sends: expanding them is how small messages become large.
    Null,
    /// Also "unsupported".
    Undefined,
    /// Milliseconds since 1970; the time zone is reserved and ignored.
    Date(f64),
    /// Opaque; never parsed.
    XmlDocument(Text<'a>),
    /// AMF3 only.
    ByteArray(Bytes<'a>),
}

impl Token<'_> {
    /// The number, also if it was sent as a boolean or as text, as some clients do.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Token::Number(number) => Some(number),
            Token::Boolean(boolean) => Some(f64::from(u8::from(boolean))),
            Token::String(text) => text.to_i32().map(f64::from),
            _ => None,
        }
    }

    /// The boolean; clients also send numbers, of which all but 0 are true.
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

    /// The beginning of a string, at most `most` bytes; empty for other values.
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
    /// Not in an object, or in a strict array.
    None,
    /// The name as it came.
    Text(Text<'a>),
    /// An index in an array that has names too (AMF3).
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
