//! Percent-encoding of URLs (RFC 3986, section 2.1).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Decodes a text once. Returns `None` for a percent sign without two digits, which is kept unchanged if
/// `lenient`, and for a result that isn't UTF-8.
pub fn decode(text: &str, lenient: bool) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        let (b'%', [high, low, after @ ..]) = (first, others) else {
            if *first == b'%' && !lenient {
                return None;
            }
            bytes.push(*first);
            continue;
        };
        match digit(high).zip(digit(low)) {
            Some((high, low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = after;
            }
            None if lenient => bytes.push(b'%'),
            None => return None,
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Encodes a path: every byte except `A-Z a-z 0-9 . _ -` and the slash.
pub fn encode(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string never fails.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_decoded_once_and_strictly() {
        for (text, decoded) in [
            ("door", Some("door")),
            ("d%6For", Some("door")),
            ("d%c3%B6rr", Some("d\u{f6}rr")),
            ("%252e", Some("%2e")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%4", None),
            ("%4g", None),
            ("%+1", None),
            ("%ff", None),
            ("%c3", None),
        ] {
            assert_eq!(decode(text, false).as_deref(), decoded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(text in ".*") {
            let encoded = encode(&text);
            prop_assert!(encoded.is_ascii());
            let decoded = decode(&encoded, false);
            prop_assert_eq!(decoded.as_deref(), Some(&*text));
        }
    }
}
