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
    if let Some(time) = number(text) {
        return (time <= MAX_TIME).then_some(time);
    }
    let text = text.strip_suffix(['Z', 'z'])?;
    let (text, fraction) = text.split_once('.').unwrap_or((text, "0"));
    // The number of digits after the point is free.
    number(fraction)?;
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    let mut fields = [0; 6];
    let mut rest = text;
    for (field, end) in fields.iter_mut().zip(["-", "-", "Tt", ":-", ":-", ""]) {
        let len = rest.find(|c| end.contains(c)).unwrap_or(rest.len());
        let (digits, after) = rest.split_at_checked(len)?;
        *field = number(digits)?;
        let is_last = end.is_empty();
        rest = match after.chars().next() {
            Some(_) if !is_last => after.get(1..)?,
            None if is_last => after,
            _ => return None,
        };
    }
    let ms = number(&fraction)?;
    Some(calendar::seconds(fields)? * 1_000 + ms)
}

fn number(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
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
