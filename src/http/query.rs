//! The query of a request, in the encoding that browsers use.
//!
//! ```text
//! join=gop&key=%77atch%2Dit      key -> watch-it
//! ```

use std::borrow::Cow;

use super::percent;
use crate::calendar;

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
    let (number, unit) = number(text.as_bytes())?;
    let ms = match unit {
        b"ms" => 1,
        b"" | b"s" => 1_000,
        b"m" => 60_000,
        b"h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(ms)
}

/// Parses a time, in ms since 1970: such a number, or a date as in RFC 3339, in UTC, such as
/// `2026-11-28T11:30:00.250Z`. Its separators may also be those of file names: `2026-11-28T11-30-00Z`.
pub fn time(text: &str) -> Option<u64> {
    let mut rest = text.as_bytes();
    if let Some((time, [])) = number(rest) {
        return (time <= calendar::LAST_MS).then_some(time);
    }
    let mut fields = [0; 6];
    for (field, ends) in fields.iter_mut().zip(["-", "-", "Tt", ":-", ":-", ""]) {
        (*field, rest) = number(rest)?;
        if !ends.is_empty() {
            rest = after_one_of(ends, rest)?;
        }
    }
    let mut ms = 0;
    if let Some(fraction) = after_one_of(".", rest) {
        // The number of digits is free.
        (_, rest) = number(fraction)?;
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit());
        for (digit, unit) in digits.zip([100, 10, 1]) {
            ms += u64::from(digit - b'0') * unit;
        }
    }
    let rest = after_one_of("Zz", rest)?;
    let seconds = calendar::seconds(fields).filter(|_| rest.is_empty())?;
    Some(seconds * 1_000 + ms)
}

/// Reads the digits at the start of a text; returns the number and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = None;
    let mut rest = text;
    while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
        let tens = number.unwrap_or(0u64).checked_mul(10)?;
        number = Some(tens.checked_add(u64::from(digit - b'0'))?);
        rest = after;
    }
    Some((number?, rest))
}

/// What follows the first character of a text, if it is one of `ends`.
fn after_one_of<'a>(ends: &str, text: &'a [u8]) -> Option<&'a [u8]> {
    let (first, rest) = text.split_first()?;
    ends.as_bytes().contains(first).then_some(rest)
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
    fn times_are_numbers_or_dates() {
        const NOON: u64 = 1_795_865_400_000;

        for (text, time) in [
            ("1795865400250", Some(NOON + 250)),
            ("0", Some(0)),
            ("2026-11-28T11:30:00Z", Some(NOON)),
            ("2026-11-28t11:30:00z", Some(NOON)),
            ("2026-11-28T11:30:00.250Z", Some(NOON + 250)),
            ("2026-11-28T11:30:00.2Z", Some(NOON + 200)),
            ("2026-11-28T11:30:00.2509999999Z", Some(NOON + 250)),
            ("2026-11-28T11-30-00Z", Some(NOON)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("9999-12-31T23:59:59.999Z", Some(calendar::LAST_MS)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("253402300800000", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("now", None),
            ("2026-11-28", None),
            ("2026-11-28T11:30Z", None),
            ("2026-11-28T11:30:00", None),
            ("2026-11-28T11:30:00.Z", None),
            ("2026-11-28T11:30:00:00Z", None),
            ("2026-11-28T11:30:00+01:00", None),
            ("2026-11-28 11:30:00Z", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-11-31T00:00:00Z", None),
            ("2026-11-28T24:00:00Z", None),
            ("2026-11-28T11:60:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-28T11:30:\u{e9}Z", None),
            ("99999999999999999999", None),
            ("18446744073709551615-01-01T00:00:00Z", None),
        ] {
            assert_eq!(super::time(text), time, "{text}");
        }
    }

    #[test]
    fn a_long_query_is_not_read() {
        let query = |len: usize| format!("key=a&x={}", "x".repeat(len - 8));
        assert_eq!(value(&query(1024), "key").as_deref(), Some("a"));
        assert_eq!(value(&query(1025), "key"), None);
    }
}
