//! Wall-clock time as text: `2026-11-21T08:00:00Z` (RFC 3339).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::live::Millis;

/// The wall clock: ms since 1970, UTC; 0 before that.
pub fn wall_clock() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}

/// Seconds since 1970 as text.
pub fn text(seconds: u64) -> String {
    let [year, month, day] = date(seconds / 86_400);
    let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
    fn seconds_since_1970_are_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_795_248_000, "2026-11-21T08:00:00Z"),
            (2_147_483_648, "2038-01-19T03:14:08Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(text(seconds), expected);
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

    #[test]
    fn the_wall_clock_is_past_the_day_on_which_this_was_written() {
        assert!(wall_clock() > 1_700_000_000_000);
    }
}
