//! The query of a request, in the encoding that browsers use.
//!
//! ```text
//! join=gop&key=%77atch%2Dit      key -> watch-it
//! ```

use std::borrow::Cow;

use super::percent;

/// The longest query in bytes that is read: the limit of stream names over RTMP, which may have queries
/// as well.
const MAX_LEN: usize = 1024;

/// Returns the value of the first parameter with this name, percent-decoded once. A parameter isn't
/// decoded if the result would contain an `&`, or not be UTF-8.
pub fn value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    if query.len() > MAX_LEN {
        return None;
    }
    query.split('&').find_map(|parameter| {
        let decoded = percent::decode(parameter, true).filter(|decoded| !decoded.contains('&'));
        match decoded {
            Some(Cow::Owned(decoded)) => Some(value_of(&decoded, name)?.to_owned().into()),
            _ => value_of(parameter, name).map(Cow::Borrowed),
        }
    })
}

/// Parses a duration in ms, such as `10s`, `500ms` or `1m`. The unit is seconds unless it is given.
pub fn duration(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(ms)
}

fn value_of<'a>(parameter: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = parameter.split_once('=')?;
    (found == name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once() {
        for (encoded, decoded) in [
            ("", ""),
            ("abc", "abc"),
            ("%41%62%C3%B6", "Ab\u{f6}"),
            ("%2541", "%41"),
            ("a+b", "a+b"),
            ("a=b", "a=b"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz%+1"),
            ("%%41", "%A"),
            ("%00", "\0"),
            ("%FF", "%FF"),
            ("a%26b", "a%26b"),
        ] {
            let query = format!("x=1&name={encoded}&name=2");
            assert_eq!(value(&query, "name").as_deref(), Some(decoded), "{encoded}");
        }
    }

    #[test]
    fn names_are_decoded_too() {
        for (query, found) in [
            ("%6Bey=a", Some("a")),
            ("key%3Da", Some("a")),
            ("", None),
            ("key", None),
            ("Key=a", None),
            ("xkey=a", None),
            // An encoded `&` doesn't begin a parameter.
            ("note=%26key=a", None),
            ("note=%26key%3Da", None),
        ] {
            assert_eq!(value(query, "key").as_deref(), found, "{query}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [
            ("10s", Some(10_000)),
            ("10", Some(10_000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("0", Some(0)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("10 s", None),
            ("10S", None),
            ("18446744073709551615ms", Some(u64::MAX)),
            ("18446744073709551615", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text), ms, "{text}");
        }
    }

    #[test]
    fn a_long_query_is_not_read() {
        let query = |len: usize| format!("key=a&x={}", "x".repeat(len - 8));
        assert_eq!(value(&query(1024), "key").as_deref(), Some("a"));
        assert_eq!(value(&query(1025), "key"), None);
    }
}
