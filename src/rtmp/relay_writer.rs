//! A writer of AMF0 values for players, reduced to what every player can handle.

use std::borrow::Cow;

use super::amf::marker::amf0 as marker;
use super::amf::{Name, Named, Reader, Text, Token};

/// The maximum number of properties of one object.
pub(super) const MAX_PROPERTIES: u32 = 256;

/// The deepest nesting of objects, including the outermost.
pub(super) const MAX_DEPTH: usize = 4;

/// ffmpeg reads names into a buffer of 128 bytes, with a terminating zero.
const MAX_NAME_LEN: usize = 127;

/// ffmpeg reads strings into a buffer of 1024 bytes, with a terminating zero.
const MAX_STRING_LEN: usize = 1023;

/// A writer of the values that may be relayed, or a counter of their bytes.
pub(super) struct RelayWriter<'w> {
    pub(super) out: Option<&'w mut Vec<u8>>,
    pub(super) len: usize,
    /// The maximum length in bytes; properties that would exceed it are left out.
    pub(super) most: usize,
}

impl<'w> RelayWriter<'w> {
    pub(super) fn new(out: &'w mut Vec<u8>, most: usize) -> RelayWriter<'w> {
        RelayWriter {
            out: Some(out),
            len: 0,
            most,
        }
    }

    pub(super) fn counting(most: usize) -> RelayWriter<'static> {
        RelayWriter {
            out: None,
            len: 0,
            most,
        }
    }

    /// Writes the properties that may be relayed, up to the end of the object that `reader` is in.
    /// Returns the number of properties written.
    pub(super) fn properties(
        &mut self,
        mut reader: Reader<'_>,
        depth: usize,
        is_absent: &dyn Fn(&Name<'_>) -> bool,
    ) -> u32 {
        let mut count = 0;
        while let Ok(Some(Named { name, token })) = reader.next_token() {
            if token == Token::End {
                break;
            }
            let is_safe = is_safe_name(name) && is_safe_value(token, depth) && !is_absent(&name);
            if is_safe && count < MAX_PROPERTIES {
                // Counted first, so that a property that doesn't fit isn't written in part.
                let mut counted = RelayWriter::counting(usize::MAX);
                counted.property(name, token, reader.clone(), depth);
                if self.len + counted.len <= self.most {
                    self.property(name, token, reader.clone(), depth);
                    count += 1;
                }
            }
            if reader.skip(token).is_err() {
                break;
            }
        }
        count
    }

    fn property(&mut self, name: Name<'_>, token: Token<'_>, reader: Reader<'_>, depth: usize) {
        let name = name.to_str();
        self.bytes(&(name.len() as u16).to_be_bytes());
        self.bytes(name.as_bytes());
        self.value(token, reader, depth);
    }

    /// Writes a safe value. `reader` is at the byte after the value's token.
    pub(super) fn value(&mut self, token: Token<'_>, reader: Reader<'_>, depth: usize) {
        match token {
            Token::Number(number) => {
                self.bytes(&[marker::NUMBER]);
                self.bytes(&number.to_be_bytes());
            }
            Token::Date(ms) => {
                self.bytes(&[marker::DATE]);
                self.bytes(&ms.to_be_bytes());
                self.bytes(&[0, 0]);
            }
            Token::Boolean(boolean) => self.bytes(&[marker::BOOLEAN, u8::from(boolean)]),
            Token::String(text) => self.text(marker::STRING, &printable(text)),
            Token::Object => {
                self.bytes(&[marker::OBJECT]);
                self.properties(reader, depth + 1, &|_| false);
                self.end();
            }
            Token::EcmaArray => {
                let all = &|_: &Name<'_>| false;
                let most = self.most.saturating_sub(self.len);
                let count = RelayWriter::counting(most).properties(reader.clone(), depth + 1, all);
                self.begin(marker::ECMA_ARRAY, count);
                self.properties(reader, depth + 1, all);
                self.end();
            }
            Token::StrictArray(count) => {
                self.begin(marker::STRICT_ARRAY, count);
                self.elements(reader, depth + 1);
            }
            _ => self.bytes(&[marker::NULL]),
        }
    }

    /// Writes elements. Unsafe elements become null so that the others keep their index: arrays such as
    /// times and file positions belong together.
    fn elements(&mut self, mut reader: Reader<'_>, depth: usize) {
        while let Ok(Some(Named { token, .. })) = reader.next_token() {
            let is_array = matches!(token, Token::StrictArray(_));
            match token {
                Token::End => return,
                _ if is_safe_value(token, depth) && !is_array => {
                    self.value(token, reader.clone(), depth);
                }
                _ => self.bytes(&[marker::NULL]),
            }
            if reader.skip(token).is_err() {
                return;
            }
        }
    }

    pub(super) fn text(&mut self, marker: u8, text: &str) {
        self.bytes(&[marker]);
        self.bytes(&(text.len() as u16).to_be_bytes());
        self.bytes(text.as_bytes());
    }

    pub(super) fn begin(&mut self, marker: u8, count: u32) {
        self.bytes(&[marker]);
        self.bytes(&count.to_be_bytes());
    }

    pub(super) fn end(&mut self) {
        self.bytes(&[0, 0, marker::OBJECT_END]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
    }
}

/// Whether players can handle this name. An empty name would end the object for ffmpeg.
fn is_safe_name(name: Name<'_>) -> bool {
    // Compared before decoding, which never makes a name shorter.
    if matches!(name, Name::Text(text) if text.len() > MAX_NAME_LEN) {
        return false;
    }
    let name = name.to_str();
    (1..=MAX_NAME_LEN).contains(&name.len()) && !name.contains(char::is_control)
}

fn is_safe_value(token: Token<'_>, depth: usize) -> bool {
    match token {
        // Players cast numbers to integers without checking.
        Token::Number(number) | Token::Date(number) => number.is_finite(),
        Token::Boolean(_) | Token::Null => true,
        Token::String(text) => {
            text.len() <= MAX_STRING_LEN && printable(text).len() <= MAX_STRING_LEN
        }
        Token::Object | Token::EcmaArray | Token::StrictArray(_) => depth < MAX_DEPTH,
        Token::Undefined | Token::XmlDocument(_) | Token::ByteArray(_) | Token::End => false,
    }
}

/// Returns the text without control characters.
fn printable(text: Text<'_>) -> Cow<'_, str> {
    let text = text.to_str();
    if text.contains(char::is_control) {
        return text.chars().filter(|c| !c.is_control()).collect();
    }
    text
}
