//! Bytes in several slices: in blocks of the arena, or on both sides of a chunk header.

use std::fmt;
use std::ops::Range;

/// The number of slices in which a decodable message may lie: blocks of 16 KiB for up to 64 KiB, cut
/// anywhere.
pub const MAX_PARTS: usize = 8;

/// The slices of a message's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    parts: [&'a [u8]; MAX_PARTS],
}

impl<'a> Parts<'a> {
    /// Collects slices in order. Returns `None` if there are more than [`MAX_PARTS`].
    pub fn new(slices: impl IntoIterator<Item = &'a [u8]>) -> Option<Parts<'a>> {
        let mut parts = Parts::default();
        let mut free = parts.parts.iter_mut();
        for slice in slices {
            *free.next()? = slice;
        }
        Some(parts)
    }

    /// Returns all bytes.
    pub fn bytes(&self) -> Bytes<'_> {
        Bytes::new(&self.parts)
    }
}

/// Consecutive bytes that lie in any number of slices.
#[derive(Clone, Copy, Default)]
pub struct Bytes<'a> {
    /// The first slice, which is empty only if all are. It may extend beyond the last byte.
    head: &'a [u8],
    /// The slices after `head`.
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
    /// Creates a view of the bytes of all slices, in order.
    pub fn new(slices: &'a [&'a [u8]]) -> Bytes<'a> {
        let mut bytes = Bytes {
            head: &[],
            tail: slices,
            len: slices.iter().map(|part| part.len()).sum(),
        };
        bytes.settle();
        bytes
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the bytes as one slice per part.
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

    /// Returns the bytes in the first slice; empty only if there are no bytes at all.
    pub fn front(&self) -> &'a [u8] {
        self.head.get(..self.len).unwrap_or(self.head)
    }

    /// Returns the first `len` bytes as two slices, the second of which may be empty; `None` if there
    /// are fewer bytes, or if they lie in more slices.
    pub(super) fn two_places(&self, len: usize) -> Option<[&'a [u8]; 2]> {
        if len > self.len {
            return None;
        }
        if let Some(all) = self.head.get(..len) {
            return Some([all, &[]]);
        }
        let second = self.tail.first()?.get(..len - self.head.len())?;
        Some([self.head, second])
    }

    /// Drops the first `len` bytes, or all if there are fewer.
    pub fn advance(&mut self, len: usize) {
        let mut skipped = len.min(self.len);
        self.len -= skipped;
        while skipped >= self.head.len() {
            let Some((next, tail)) = self.tail.split_first() else {
                break;
            };
            skipped -= self.head.len();
            (self.head, self.tail) = (next, tail);
        }
        self.head = self.head.get(skipped..).unwrap_or_default();
        self.settle();
    }

    /// Splits into the first `len` bytes and the rest; `None` if there are fewer.
    pub fn split_at(self, len: usize) -> Option<(Bytes<'a>, Bytes<'a>)> {
        let mut rest = self;
        rest.advance(len);
        (len <= self.len).then_some((Bytes { len, ..self }, rest))
    }

    /// Returns the first byte.
    pub fn first(&self) -> Option<u8> {
        self.front().first().copied()
    }

    /// Returns the bytes after `prefix`, if they begin with it.
    pub fn strip_prefix(self, prefix: &[u8]) -> Option<Bytes<'a>> {
        let (first, rest) = self.split_at(prefix.len())?;
        (first == *prefix).then_some(rest)
    }

    /// Returns the first N bytes, padded with zeros.
    pub fn to_array<const N: usize>(self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.parts().flatten();
        array
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        array
    }

    /// Skips empty slices.
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

/// Returns a range of bytes that lie in several parts.
pub(super) fn slice<'a>(
    parts: impl Iterator<Item = &'a [u8]> + Clone,
    range: Range<usize>,
) -> impl Iterator<Item = &'a [u8]> + Clone {
    let mut at = 0;
    parts.filter_map(move |part| {
        let start = range.start.saturating_sub(at).min(part.len());
        let end = range.end.saturating_sub(at).min(part.len());
        at += part.len();
        part.get(start..end).filter(|part| !part.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_several_places_equal_those_in_one() {
        let all: &[u8] = b"a long text, \xC3\xB6 in the middle";
        for first in 0..=all.len() {
            for second in first..=all.len() {
                let slices = [&all[..first], &all[first..second], &all[second..]];
                let parts = Parts::new(slices).unwrap();
                let bytes = parts.bytes();
                assert_eq!(bytes.len(), all.len());
                assert!(bytes == *all && bytes == Bytes::from(all));
                assert!(bytes != all[1..] && bytes != Bytes::from(&all[1..]));
                for at in 0..=all.len() {
                    let (left, right) = bytes.split_at(at).unwrap();
                    assert!(left == all[..at] && right == all[at..], "{slices:?}, {at}");
                    assert_eq!(right.first(), all.get(at).copied());
                    assert!(right.front().is_empty() == right.is_empty());
                    assert_eq!(left.first(), all[..at].first().copied());
                }
                assert!(bytes.split_at(all.len() + 1).is_none());
                assert_eq!(bytes.to_array::<2>(), *b"a ");
            }
        }
    }

    #[test]
    fn a_message_in_too_many_places_is_none() {
        assert!(Parts::new([&b"a"[..]; MAX_PARTS]).is_some());
        assert!(Parts::new([&b"a"[..]; MAX_PARTS + 1]).is_none());
        assert!(Parts::new([]).unwrap().bytes().is_empty());
    }
}
