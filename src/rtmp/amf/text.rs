//! Text in a message.

use std::borrow::Cow;
use std::fmt;
use std::string::FromUtf8Error;

use crate::rtmp::bytes::Bytes;
use crate::rtmp::printable::at_most;

/// Text as it lies in a message. Bytes that aren't UTF-8 are replaced when the text is read.
#[derive(Clone, Copy, PartialEq)]
pub struct Text<'a>(pub(super) Bytes<'a>);

impl<'a> Text<'a> {
    /// Returns the length in bytes, as received.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the whole text, without a copy if it is UTF-8 and contiguous.
    pub fn to_str(self) -> Cow<'a, str> {
        let mut parts = self.0.parts();
        match (parts.next(), parts.next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(all), None) => String::from_utf8_lossy(all),
            _ => Cow::Owned(self.to_string_of(usize::MAX)),
        }
    }

    /// Returns the beginning of the text, at most `most` bytes, in a string without spare capacity.
    pub fn to_string_of(self, most: usize) -> String {
        let len = self.len().min(most);
        let mut bytes = Vec::with_capacity(len);
        for part in self.0.parts() {
            let left = len - bytes.len();
            bytes.extend_from_slice(part.get(..left).unwrap_or(part));
        }
        let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
        let mut text = String::from_utf8(bytes).unwrap_or_else(lossy);
        // Replacement characters are longer than the bytes that they replace.
        text.truncate(at_most(&text, most).len());
        text.shrink_to_fit();
        text
    }

    /// Returns the text as a FourCC if it has exactly four bytes.
    pub fn to_four_cc(self) -> Option<[u8; 4]> {
        (self.len() == 4).then(|| self.0.to_array())
    }

    /// Returns the whole number that the text spells, if it spells one.
    pub(super) fn to_i32(self) -> Option<i32> {
        // A longer text is not an `i32`, unless it is padded with a lot of spaces.
        if self.len() > 32 {
            return None;
        }
        self.to_str().trim().parse().ok()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Text<'a> {
        Text(text.as_bytes().into())
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::bytes::Parts;

    #[test]
    fn text_in_several_places_is_one_text() {
        let all: &[u8] = b"a long text, \xC3\xB6 in the middle";
        for cut in 0..=all.len() {
            let parts = Parts::new([&all[..cut], &all[cut..]]).unwrap();
            let text = Text(parts.bytes());
            assert_eq!(text.to_str(), "a long text, \u{f6} in the middle");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        let text = Text(Bytes::from("ab\u{f6}\u{f6}".as_bytes()));
        for (most, expected) in [(0, ""), (2, "ab"), (4, "ab\u{f6}"), (6, "ab\u{f6}\u{f6}")] {
            assert_eq!(text.to_string_of(most), expected);
        }
        for most in [3, 5] {
            let cut = text.to_string_of(most);
            assert!(cut.len() <= most, "{cut:?}");
        }
        // Replacement characters are longer than the bytes that they replace.
        let odd = Text(Bytes::from(&[0xFF; 100][..]));
        assert_eq!(odd.to_string_of(10), "\u{fffd}".repeat(3));
        assert_eq!(odd.to_str().len(), 300);
    }
}
