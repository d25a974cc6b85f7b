//! Dates of the Gregorian calendar, and their form in headers: `Sat, 21 Nov 2026 08:00:00 GMT` (RFC
//! 9110, 5.6.7).

use std::fmt;

/// An earlier time than this, in seconds since 1970, is that of a clock that nobody has set (2023).
/// A server without a clock doesn't tell the time (RFC 9110, 6.6.1).
pub const EARLIEST: u64 = 1_700_000_000;

const WEEKDAYS: &str = "ThuFriSatSunMonTueWed";
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Writes seconds since 1970 as headers have them.
pub fn write(out: &mut impl fmt::Write, seconds: u64) -> fmt::Result {
    let [year, month, day, hour, minute, second] = fields(seconds);
    let weekday = name(WEEKDAYS, seconds / 86_400 % 7);
    let month = name(MONTHS, month - 1);
    write!(
        out,
        "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
    )
}

/// One of the names of three letters.
fn name(names: &str, index: u64) -> &str {
    let at = index as usize * 3;
    names.get(at..at + 3).unwrap_or_default()
}

/// Year, month, day, hour, minute, second, of seconds since 1970, UTC.
pub fn fields(seconds: u64) -> [u64; 6] {
    let [year, month, day] = date(seconds / 86_400);
    let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    [year, month, day, hour, minute, second]
}

/// Year, month and day, of days since 1970.
///
/// Years are counted from March, so that the odd day is at their end, in eras of 400 years, which
/// all have 146,097 days. Five months from March on have 153 days, and so have the next five.
fn date(days: u64) -> [u64; 3] {
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    [era * 400 + year + u64::from(is_next_year), month, day]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_dates_of_the_rfc() {
        for (seconds, expected) in [
            // RFC 9110, 5.6.7.
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

    #[test]
    fn each_day_of_four_hundred_years_follows_the_one_before() {
        let mut last = date(0);
        for days in 1..=146_097 {
            let [year, month, day] = date(days);
            let follows = match last {
                [y, m, d] if day == d + 1 => [year, month] == [y, m] && day <= 31,
                [y, m, d] if day == 1 && m < 12 => [year, month] == [y, m + 1] && d >= 28,
                [y, 12, 31] => [year, month, day] == [y + 1, 1, 1],
                _ => false,
            };
            assert!(follows, "{last:?} {:?}", [year, month, day]);
            last = [year, month, day];
        }
        assert_eq!(last, [2370, 1, 1]);
    }
}
