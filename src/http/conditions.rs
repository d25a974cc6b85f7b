//! Entity tags, and conditional requests that name them (RFC 9110, 8.8.3 and 13).
//!
//! ```text
//! ETag: "00c0ffee-7.m4s"                      the tag of a response
//! If-None-Match: W/"a", "00c0ffee-7.m4s"      send no body if the tag is one of these
//! If-Range: "00c0ffee-7.m4s"                  send a range only if this is the tag
//! ```
//!
//! All tags are strong: equal tags mean equal bytes.

use std::fmt::{Display, Write};

use super::Method;
use super::head::{Field, Head};

/// The length of most tags, in bytes.
const USUAL_LEN: usize = 32;

/// Hashes bytes with FNV-1a, eight bytes at a time, with the upper bits folded down. Distinguishes
/// contents that differ by accident; it is no defense against anyone who wants equal hashes.
pub const fn hash(bytes: &[u8]) -> u64 {
    const fn step(hash: u64, bytes: u64) -> u64 {
        let hash = (hash ^ bytes).wrapping_mul(0x0100_0000_01B3);
        hash ^ hash >> 32
    }

    let mut hash = 0xCBF2_9CE4_8422_2325;
    let mut rest = bytes;
    while let Some((bytes, after)) = rest.split_first_chunk() {
        hash = step(hash, u64::from_le_bytes(*bytes));
        rest = after;
    }
    while let [byte, after @ ..] = rest {
        hash = step(hash, *byte as u64);
        rest = after;
    }
    step(hash, bytes.len() as u64)
}

/// Makes a tag from a name or hash that changes with the content.
pub fn tag(name: &dyn Display) -> String {
    let mut tag = String::with_capacity(USUAL_LEN);
    // Writing to a string never fails.
    let _ = write!(tag, "\"{name}\"");
    tag
}

/// Whether a list of tags, as [`Head::known_tags`] returns it, contains this tag. A weak tag matches as
/// well (13.1.2).
pub fn lists(known: &str, tag: &str) -> bool {
    let mut tags = known.split(',').map(|tag| tag.trim_matches([' ', '\t']));
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

impl<'a> Head<'a> {
    /// Returns the tags of the contents that the client already has, each followed by a comma.
    pub fn known_tags(&self) -> String {
        let mut all = String::new();
        for value in self.values("if-none-match") {
            all.extend([std::str::from_utf8(value).unwrap_or_default(), ","]);
        }
        all
    }

    /// Returns the header Range, if it applies to a response with this tag: only for GET (14.2), and
    /// only if If-Range is absent or names the tag. A date in If-Range never matches (13.1.5).
    pub fn range(&self, tag: &str) -> Option<&'a str> {
        let is_meant = match self.field("if-range") {
            Field::Absent => true,
            Field::Text(wanted) => wanted == tag,
            Field::Unreadable => false,
        };
        let range = self.header("range");
        range.filter(|_| is_meant && self.method() == Method::Get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"1a-7.m4s\"";

    fn with_head<T>(method: &str, lines: &str, look: impl FnOnce(&Head<'_>) -> T) -> T {
        let text = format!("{method} / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        look(&Head::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn whatever_changes_changes_the_hash() {
        let text: Vec<u8> = (0..100).collect();
        let mut hashes = std::collections::HashSet::new();
        for len in 0..=text.len() {
            assert!(hashes.insert(hash(&text[..len])), "{len} bytes");
        }
        assert_ne!(hash(b"a"), hash(b"a\0\0\0\0\0\0\0"), "eight at a time");
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut other = text.clone();
                other[at] ^= 1 << bit;
                assert!(hashes.insert(hash(&other)), "bit {bit} of byte {at}");
            }
            let mut other = text.clone();
            other[at..].rotate_left(1);
            assert!(at == 99 || hashes.insert(hash(&other)), "{at}");
        }
    }

    #[test]
    fn a_tag_is_found_among_those_that_are_known() {
        for (lines, is_known) in [
            ("", false),
            ("If-None-Match: \"1a-7.m4s\"\r\n", true),
            ("if-none-match:W/\"1a-7.m4s\"\r\n", true),
            ("If-None-Match: *\r\n", true),
            ("If-None-Match: \"a\", \"1a-7.m4s\"\r\n", true),
            ("If-None-Match: \"a\",W/\"1a-7.m4s\",\"b\"\r\n", true),
            (
                "If-None-Match: \"a\"\r\nIf-None-Match: \"1a-7.m4s\"\r\n",
                true,
            ),
            ("If-None-Match: ,,\t\"1a-7.m4s\" ,\r\n", true),
            ("If-None-Match: \"1a-8.m4s\"\r\n", false),
            ("If-None-Match: 1a-7.m4s\r\n", false),
            ("If-None-Match: \"1A-7.m4s\"\r\n", false),
            ("If-None-Match: \"*\"\r\n", false),
            ("If-None-Match: w/\"1a-7.m4s\"\r\n", false),
            ("If-None-Match: W/W/\"1a-7.m4s\"\r\n", false),
            ("If-None-Match: \"1a-7.m4s\r\n", false),
            ("If-None-Match: \"x\"1a-7.m4s\"\r\n", false),
            ("If-None-Match:\r\n", false),
            ("If-Match: \"1a-7.m4s\"\r\n", false),
        ] {
            let known = with_head("GET", lines, |head| head.known_tags());
            assert_eq!(lists(&known, TAG), is_known, "{lines:?}");
        }
        assert_eq!(tag(&"1a-7.m4s"), TAG);
        assert_eq!(tag(&format_args!("{:016x}", 26)), "\"000000000000001a\"");
    }

    #[test]
    fn a_part_is_sent_of_what_is_meant_and_of_nothing_else() {
        const RANGE: &str = "Range: bytes=1-2\r\n";
        for (method, lines, is_sent) in [
            ("GET", "", true),
            ("GET", "If-Range: \"1a-7.m4s\"\r\n", true),
            ("GET", "If-Range:\t\"1a-7.m4s\" \r\n", true),
            // If-Range requires a strong comparison.
            ("GET", "If-Range: W/\"1a-7.m4s\"\r\n", false),
            ("GET", "If-Range: \"1a-8.m4s\"\r\n", false),
            ("GET", "If-Range: \"1a-7.m4s\", \"b\"\r\n", false),
            ("GET", "If-Range: *\r\n", false),
            ("GET", "If-Range:\r\n", false),
            ("GET", "If-Range: \u{e4}\r\n", false),
            ("GET", "If-Range: Sat, 21 Nov 2026 08:00:00 GMT\r\n", false),
            (
                "GET",
                "If-Range: \"1a-7.m4s\"\r\nIf-Range: \"1a-7.m4s\"\r\n",
                false,
            ),
            ("HEAD", "", false),
            ("HEAD", "If-Range: \"1a-7.m4s\"\r\n", false),
        ] {
            let lines = [lines, RANGE].concat();
            let found = with_head(method, &lines, |head| head.range(TAG).map(str::to_owned));
            let expected = is_sent.then(|| "bytes=1-2".to_owned());
            assert_eq!(found, expected, "{method} {lines:?}");
        }
        let twice = with_head("GET", &RANGE.repeat(2), |head| head.range(TAG).is_some());
        assert!(!twice, "two ranges are none");
    }
}
