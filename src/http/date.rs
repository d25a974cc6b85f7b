//! Dates in HTTP headers: `Sat, 21 Nov 2026 08:00:00 GMT` (RFC 9110, 5.6.7).

use std::fmt;

use crate::calendar;

/// The earliest plausible time, in seconds since 1970 (2023): an earlier time comes from a clock that
/// wasn't set. A server without a clock sends no date (RFC 9110, 6.6.1).
pub(crate) const EARLIEST: u64 = 1_700_000_000;

const WEEKDAYS: &str = "ThuFriSatSunMonTueWed";
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Writes a time, given in seconds since 1970, in the format of headers.
pub fn write(out: &mut impl fmt::Write, seconds: u64) -> fmt::Result {
    let [year, month, day, hour, minute, second] = calendar::fields(seconds);
    let weekday = name(WEEKDAYS, seconds / 86_400 % 7);
    let month = name(MONTHS, month - 1);
    write!(
        out,
        "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
    )
}

/// Returns the name at an index; each has three letters.
fn name(names: &str, index: u64) -> &str {
    let at = index as usize * 3;
    names.get(at..at + 3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_rfc() {
        for (seconds, expected) in [
            // The example of RFC 9110, 5.6.7.
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_795_248_000, "Sat, 21 Nov 2026 08:00:00 GMT"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            let mut text = String::new();
            write(&mut text, seconds).unwrap();
            assert_eq!(text, expected);
        }
    }
}
