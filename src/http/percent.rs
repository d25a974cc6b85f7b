//! Percent-encoding of URLs (RFC 3986, section 2.1).

use std::borrow::Cow;

/// Decodes a part of a path once. `None` for a sequence that is none, or what isn't UTF-8 then.
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Encodes a path: everything outside `A-Z a-z 0-9 . _ -` and the slash.
pub fn encode(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
            text.push('%');
            text.push(digit(byte >> 4).to_ascii_uppercase());
            text.push(digit(byte & 15).to_ascii_uppercase());
        }
    }
    text
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
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
            assert_eq!(decode(text).as_deref(), decoded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(text in ".*") {
            let encoded = encode(&text);
            prop_assert!(encoded.is_ascii());
            let decoded = decode(&encoded);
            prop_assert_eq!(decoded.as_deref(), Some(&*text));
        }
    }
}
