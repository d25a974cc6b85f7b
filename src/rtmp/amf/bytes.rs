//! Bytes of a message where they lie: in one place, or in several blocks of the arena.

use std::borrow::Cow;
use std::fmt;

/// Places in which a message lies that is read: blocks of 16 KiB for up to 64 KiB, cut anywhere.
pub const MAX_PARTS: usize = 8;

/// The places in which a message lies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    parts: [&'a [u8]; MAX_PARTS],
}

impl<'a> Parts<'a> {
    /// Of slices in their order; `None` when there are more than [`MAX_PARTS`].
    pub fn new(slices: impl IntoIterator<Item = &'a [u8]>) -> Option<Parts<'a>> {
        let mut parts = Parts::default();
        let mut free = parts.parts.iter_mut();
        for slice in slices {
            *free.next()? = slice;
        }
        Some(parts)
    }

    /// All bytes.
    pub fn bytes(&self) -> Bytes<'_> {
        let mut bytes = Bytes {
            head: &[],
            tail: &self.parts,
            len: self.parts.iter().map(|part| part.len()).sum(),
        };
        bytes.settle();
        bytes
    }
}

/// Bytes that follow each other, wherever they lie.
#[derive(Clone, Copy, Default)]
pub struct Bytes<'a> {
    /// The first ones; may go on behind the end.
    head: &'a [u8],
    /// Where it goes on.
    tail: &'a [&'a [u8]],
    len: usize,
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes {
            head: bytes,
            tail: &[],
            len: bytes.len(),
        }
    }
}

impl<'a> Bytes<'a> {
    /// Their number.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// As many slices as they lie in.
    pub fn parts(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut left = self.len;
        std::iter::once(self.head)
            .chain(self.tail.iter().copied())
            .map(move |part| {
                let part = part.get(..left).unwrap_or(part);
                left -= part.len();
                part
            })
            .filter(|part| !part.is_empty())
    }

    /// The first `len`, and the others; `None` when there are fewer.
    pub fn split_at(self, len: usize) -> Option<(Bytes<'a>, Bytes<'a>)> {
        let mut rest = self;
        rest.len = self.len.checked_sub(len)?;
        let mut skipped = len;
        while skipped >= rest.head.len() {
            let Some((next, tail)) = rest.tail.split_first() else {
                break;
            };
            skipped -= rest.head.len();
            (rest.head, rest.tail) = (next, tail);
        }
        rest.head = rest.head.get(skipped..).unwrap_or_default();
        rest.settle();
        Some((Bytes { len, ..self }, rest))
    }

    /// The first one.
    pub fn first(&self) -> Option<u8> {
        self.head.first().copied().filter(|_| self.len > 0)
    }

    /// What comes behind `prefix`, if they begin with it.
    pub fn strip_prefix(self, prefix: &[u8]) -> Option<Bytes<'a>> {
        let (first, rest) = self.split_at(prefix.len())?;
        (first == *prefix).then_some(rest)
    }

    /// The first N of them, and zeros where there are fewer.
    pub fn to_array<const N: usize>(self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.parts().flatten();
        array
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        array
    }

    /// The first place has bytes, if there are any.
    fn settle(&mut self) {
        while self.head.is_empty() {
            let Some((next, tail)) = self.tail.split_first() else {
                return;
            };
            (self.head, self.tail) = (next, tail);
        }
    }
}

impl PartialEq<[u8]> for Bytes<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.len == other.len() && self.parts().flatten().eq(other)
    }
}

impl PartialEq for Bytes<'_> {
    fn eq(&self, other: &Bytes<'_>) -> bool {
        self.len == other.len && self.parts().flatten().eq(other.parts().flatten())
    }
}

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// Text of a message, where it lies. Bytes that aren't UTF-8 are replaced as it is read.
#[derive(Clone, Copy, PartialEq)]
pub struct Text<'a>(pub(in crate::rtmp) Bytes<'a>);

impl<'a> Text<'a> {
    /// Length in bytes, as it came.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole text; without a copy if it is UTF-8 in one place.
    pub fn to_str(self) -> Cow<'a, str> {
        let mut parts = self.0.parts();
        match (parts.next(), parts.next()) {
            (None, _) => Cow::Borrowed(""),
            (Some(all), None) => String::from_utf8_lossy(all),
            _ => Cow::Owned(self.to_string_of(usize::MAX)),
        }
    }

    /// The beginning, at most so many bytes of it, in a string with no room to spare.
    pub fn to_string_of(self, most: usize) -> String {
        let len = self.len().min(most);
        let mut bytes = Vec::with_capacity(len);
        for part in self.0.parts() {
            let left = len - bytes.len();
            bytes.extend_from_slice(part.get(..left).unwrap_or(part));
        }
        let mut text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        if text.len() > most {
            let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
        }
        text.shrink_to_fit();
        text
    }

    /// The text as a FourCC, if it has four bytes.
    pub fn to_four_cc(self) -> Option<[u8; 4]> {
        (self.len() == 4).then(|| self.0.to_array())
    }

    /// A whole number, if that is what it says.
    pub(super) fn to_i32(self) -> Option<i32> {
        // More is no number of this size, or one with a lot of blanks around it.
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

    #[test]
    fn bytes_in_several_places_are_those_in_one() {
        let all: &[u8] = b"a long text, \xC3\xB6 in the middle";
        for first in 0..=all.len() {
            for second in first..=all.len() {
                let slices = [&all[..first], &all[first..second], &all[second..]];
                let parts = Parts::new(slices).unwrap();
                let bytes = parts.bytes();
                assert_eq!(bytes.len(), all.len());
                assert!(bytes == *all);
                assert_eq!(Text(bytes).to_str(), "a long text, \u{f6} in the middle");
                for at in 0..=all.len() {
                    let (left, right) = bytes.split_at(at).unwrap();
                    assert!(left == all[..at] && right == all[at..], "{slices:?}, {at}");
                    assert_eq!(right.first(), all.get(at).copied());
                    assert_eq!(left.first(), all[..at].first().copied());
                }
                assert!(bytes.split_at(all.len() + 1).is_none());
                assert_eq!(bytes.to_array::<2>(), *b"a ");
            }
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
        // Replaced bytes are longer than what they replace.
        let odd = Text(Bytes::from(&[0xFF; 100][..]));
        assert_eq!(odd.to_string_of(10), "\u{fffd}".repeat(3));
        assert_eq!(odd.to_str().len(), 300);
    }

    #[test]
    fn a_message_in_too_many_places_is_none() {
        assert!(Parts::new([&b"a"[..]; MAX_PARTS]).is_some());
        assert!(Parts::new([&b"a"[..]; MAX_PARTS + 1]).is_none());
        assert!(Parts::new([]).unwrap().bytes().is_empty());
    }
}
