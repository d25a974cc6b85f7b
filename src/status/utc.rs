//! Wall-clock time as text: `2026-11-21T08:00:00Z` (RFC 3339).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::http::date;
use crate::live::Millis;

/// The wall clock: ms since 1970, UTC; 0 before that.
pub fn wall_clock() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}

/// Seconds since 1970 as text.
pub fn text(seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = date::fields(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
    fn the_wall_clock_is_past_the_day_on_which_this_was_written() {
        assert!(wall_clock() > 1_700_000_000_000);
    }
}
