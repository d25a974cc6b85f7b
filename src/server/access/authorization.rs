//! The field Authorization of a request: HTTP Basic (RFC 7617) and Bearer (RFC 6750).
//!
//! ```text
//! Basic Ym9iOnB3          bob:pw, in base64
//! Bearer sesame-4711
//! ```

use crate::config::Secret;

/// Longest base64 text that is looked at: that of the longest user and password, and more.
const MAX_BASE64_LEN: usize = 1024;

/// What a client shows there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authorization<'a> {
    /// As a browser asks for them.
    Basic(Login),
    /// As programs send it.
    Bearer(&'a str),
}

/// A name, which may be empty, and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
}

impl Authorization<'_> {
    /// `None` for whatever else it may be.
    pub(super) fn parse(field: &str) -> Option<Authorization<'_>> {
        let (scheme, rest) = field.trim().split_once(' ')?;
        let rest = rest.trim_start();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Authorization::Bearer(rest));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(decode_base64(rest)?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Authorization::Basic(Login {
            user: user.to_owned(),
            password: Secret::new(password),
        }))
    }
}

/// Strictly by RFC 4648, section 4: with padding, without line breaks, and no bits left over.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if text.len() % 4 != 0 || text.len() - digits.len() > 2 || text.len() > MAX_BASE64_LEN {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0;
    let mut bit_count = 0;
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push((bits >> bit_count) as u8);
            bits &= (1 << bit_count) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn basic(field: &str) -> Option<(String, String)> {
        match Authorization::parse(field)? {
            Authorization::Basic(login) => Some((login.user, login.password.reveal().to_owned())),
            Authorization::Bearer(_) => None,
        }
    }

    #[test]
    fn base64_is_that_of_the_specification() {
        // RFC 4648, section 10.
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode_base64(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(decode_base64("+/+/"), Some(vec![0xFB, 0xFF, 0xBF]));
    }

    #[test]
    fn what_only_resembles_base64_is_not_taken_for_it() {
        for text in [
            "Z",
            "Zg",
            "Zg=",
            "Zg===",
            "Zh==",
            "Zm9=",
            "====",
            "===",
            "=",
            "Zg==Zg==",
            "Zg=a",
            "Zm9v\n",
            "Zm 9",
            "Zm-_",
            "Zm9\u{f6}",
            "\u{1f600}",
        ] {
            assert_eq!(decode_base64(text), None, "{text:?}");
        }
    }

    #[test]
    fn name_and_password_are_read_as_clients_send_them() {
        for (field, user, password) in [
            // RFC 7617, section 2 and 2.1.
            (
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                "Aladdin",
                "open sesame",
            ),
            ("Basic dGVzdDoxMjPCow==", "test", "123\u{a3}"),
            ("basic  Ym9iOnB3 ", "bob", "pw"),
            ("BASIC OnNlc2FtZQ==", "", "sesame"),
            ("Basic Ym9iOnA6dw==", "bob", "p:w"),
            ("Basic Og==", "", ""),
        ] {
            let expected = Some((user.to_owned(), password.to_owned()));
            assert_eq!(basic(field), expected, "{field}");
        }
    }

    #[test]
    fn tokens_are_taken_as_they_are() {
        for (field, token) in [
            ("Bearer sesame-4711", "sesame-4711"),
            ("bearer  a b ", "a b"),
        ] {
            let parsed = Authorization::parse(field);
            assert_eq!(parsed, Some(Authorization::Bearer(token)), "{field}");
        }
    }

    #[test]
    fn garbage_is_as_good_as_nothing() {
        // 8 KiB of it: "AAAA" is three zero bytes.
        let long = format!("Basic {}", "AAAA".repeat(2048));
        // "bob:" in front of a password that nobody can have.
        let long_password = format!("Basic Ym9iOn{}", "Zm9v".repeat(2048));
        for field in [
            "",
            " ",
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Basic bob:pw",
            "BasicYm9iOnB3",
            // "bob", without a colon.
            "Basic Ym9i",
            // ":" and 0xFF, which is no UTF-8.
            "Basic Ov8=",
            "Digest username=\"bob\", response=\"00\"",
            "Negotiate YII=",
            "\u{1f600} Ym9iOnB3",
            &long,
            &long_password,
        ] {
            assert_eq!(
                Authorization::parse(field),
                None,
                "{}",
                &field.escape_debug()
            );
        }
    }

    /// As a client sends it.
    pub(in crate::server::access) fn basic_field(user: &str, password: &str) -> String {
        format!(
            "Basic {}",
            encode_base64(format!("{user}:{password}").as_bytes())
        )
    }

    /// The other way round, bit by bit.
    fn encode_base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: Vec<u8> = bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
            .collect();
        let digit = |bits: &[u8]| {
            let value = (0..6).fold(0, |value, at| value << 1 | bits.get(at).unwrap_or(&0));
            char::from(DIGITS[usize::from(value)])
        };
        let mut text: String = bits.chunks(6).map(digit).collect();
        while text.len() % 4 != 0 {
            text.push('=');
        }
        text
    }

    proptest! {
        #[test]
        fn bytes_survive_base64(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode_base64(&encode_base64(&bytes)), Some(bytes));
        }

        #[test]
        fn there_is_one_way_to_write_each(text in "[A-Za-z0-9+/=]{0,12}") {
            if let Some(bytes) = decode_base64(&text) {
                prop_assert_eq!(encode_base64(&bytes), text);
            }
        }

        #[test]
        fn no_field_makes_it_panic(field in "((?i:basic|bearer) )?\\PC*") {
            let _ = Authorization::parse(&field);
        }

        #[test]
        fn what_is_sent_is_read(user in "[^:]*", password in ".{0,99}") {
            let sent = basic_field(&user, &password);
            prop_assume!(sent.len() <= MAX_BASE64_LEN);
            prop_assert_eq!(basic(&sent), Some((user, password)));
        }
    }
}
