//! Times in queries and answers.
//!
//! ```text
//! 2026-11-28T11:30:00.250Z    RFC 3339, in UTC
//! 1795865400250               the same in ms since 1970
//! ```

use std::fmt;

use crate::calendar;
use crate::record::WallMillis;

/// The maximum time in a query: the last year of RFC 3339.
const MAX_TIME: WallMillis = 253_402_300_799_999;

/// Parses a time. The separators may also be those of file names: `2026-11-28T11-30-00Z`.
pub fn parse(text: &str) -> Option<WallMillis> {
    let mut rest = text.as_bytes();
    if let Some((time, [])) = number(rest) {
        return (time <= MAX_TIME).then_some(time);
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

/// A time that is shown as in RFC 3339: `2026-11-28T11:30:00.250Z`.
#[derive(Clone, Copy, Debug)]
pub struct Shown(pub WallMillis);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.min(MAX_TIME);
        let [seconds, ms] = [time / 1_000, time % 1_000];
        write!(f, "{}.{ms:03}Z", calendar::date_and_time(seconds, 'T'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: WallMillis = 1_795_865_400_000;

    #[test]
    fn times_are_read_as_they_are_written() {
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
            ("9999-12-31T23:59:59.999Z", Some(MAX_TIME)),
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
            assert_eq!(parse(text), time, "{text}");
        }
        assert_eq!(Shown(NOON + 250).to_string(), "2026-11-28T11:30:00.250Z");
        assert_eq!(parse(&Shown(u64::MAX).to_string()), Some(MAX_TIME));
    }
}
