//! The `Authorization` field of a request: HTTP Basic (RFC 7617) and Bearer (RFC 6750).
//!
//! ```text
//! Basic Ym9iOnB3          bob:pw, in base64
//! Bearer sesame-4711
//! ```

use crate::rtmp::base64;

/// The maximum length of base64 text that is decoded, in bytes: enough for the longest user and
/// password.
const MAX_BASE64_LEN: usize = 1024;

/// The supported authentication schemes.
pub(super) enum Authorization<'a> {
    /// The scheme of browsers, which ask the user and then attach the credentials to every request.
    Basic { user: String, password: String },
    /// The scheme of programs.
    Bearer(&'a str),
}

impl Authorization<'_> {
    /// Parses the value of the field. Returns `None` for other schemes, and for text that can't be
    /// decoded.
    pub(super) fn parse(field: &str) -> Option<Authorization<'_>> {
        let (scheme, rest) = field.trim().split_once(' ')?;
        let rest = rest.trim_start();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Authorization::Bearer(rest));
        }
        if !scheme.eq_ignore_ascii_case("basic") || rest.len() > MAX_BASE64_LEN {
            return None;
        }
        let text = String::from_utf8(base64::decode(rest)?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Authorization::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::server::access::tests::basic_field;

    fn basic(field: &str) -> Option<(String, String)> {
        match Authorization::parse(field)? {
            Authorization::Basic { user, password } => Some((user, password)),
            Authorization::Bearer(_) => None,
        }
    }

    #[test]
    fn user_and_password_are_decoded() {
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
    fn tokens_are_not_decoded() {
        for (field, token) in [
            ("Bearer sesame-4711", "sesame-4711"),
            ("bearer  a b ", "a b"),
        ] {
            let parsed = Authorization::parse(field);
            let is_right = matches!(parsed, Some(Authorization::Bearer(found)) if found == token);
            assert!(is_right, "{field}");
        }
    }

    #[test]
    fn the_longest_field_is_decoded() {
        let field = format!("Basic Ym9iOnB3{}", "Zm9v".repeat(254));
        let password = ["pw", &"foo".repeat(254)].concat();
        assert_eq!(basic(&field), Some(("bob".to_owned(), password)));
    }

    #[test]
    fn malformed_fields_count_as_absent() {
        // 8 KiB: "AAAA" is three zero bytes.
        let long = format!("Basic {}", "AAAA".repeat(2048));
        // "bob:pw" and "foo" many times: a password that is too long for any user.
        let long_password = format!("Basic Ym9iOnB3{}", "Zm9v".repeat(255));
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
            let parsed = Authorization::parse(field);
            assert!(parsed.is_none(), "{}", field.escape_debug());
        }
    }

    proptest! {
        #[test]
        fn no_field_panics(field in "((?i:basic|bearer) )?\\PC*") {
            let _ = Authorization::parse(&field);
        }

        #[test]
        fn what_is_sent_is_decoded(user in "[^:]*", password in ".{0,99}") {
            let sent = basic_field(&user, &password);
            prop_assume!(sent.len() <= MAX_BASE64_LEN);
            prop_assert_eq!(basic(&sent), Some((user, password)));
        }
    }
}
