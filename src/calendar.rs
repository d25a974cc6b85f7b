//! The Gregorian calendar: seconds since 1970 as dates, in UTC.

/// The last millisecond of the year 9999, with which dates of four digits end, since 1970.
pub const LAST_MS: u64 = 253_402_300_799_999;

/// Formats a time in seconds since 1970, with a separator between date and time:
/// `2026-11-21T08:00:00`.
pub fn date_and_time(seconds: u64, separator: char) -> String {
    let [year, month, day, hour, minute, second] = fields(seconds);
    format!("{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}")
}

/// Returns year, month, day, hour, minute and second of a time in seconds since 1970, UTC.
pub fn fields(seconds: u64) -> [u64; 6] {
    let [year, month, day] = date(seconds / 86_400);
    let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    [year, month, day, hour, minute, second]
}

/// Returns the seconds since 1970 of year, month, day, hour, minute and second, UTC; `None` if there is no
/// such time, or if it is before 1970 or after 9999.
pub fn seconds(time: [u64; 6]) -> Option<u64> {
    let [year, month, day, hour, minute, second] = time;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day > 31 {
        return None;
    }
    // As in `date`: years and their months begin in March.
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_468 + 1)?;
    let of_day = hour
        .checked_mul(3600)?
        .checked_add(minute.checked_mul(60)?)?;
    let seconds = (days * 86_400).checked_add(of_day)?.checked_add(second)?;
    // Fields that are too large make another time.
    (fields(seconds) == time).then_some(seconds)
}

/// Returns year, month and day of a number of days since 1970.
///
/// Years begin in March, so that the leap day is at their end, and come in eras of 400 years, which all
/// have 146,097 days. The five months from March on have 153 days, and so do the five after them.
fn date(days: u64) -> [u64; 3] {
    // The number of days from 0000-03-01 to 1970-01-01.
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
    fn seconds_since_1970_are_formatted_as_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_704_067_199, "2023-12-31T23:59:59"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_709_251_200, "2024-03-01T00:00:00"),
            (1_795_248_000, "2026-11-21T08:00:00"),
            (2_147_483_648, "2038-01-19T03:14:08"),
            (4_107_542_399, "2100-02-28T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (253_402_300_799, "9999-12-31T23:59:59"),
        ] {
            assert_eq!(date_and_time(seconds, 'T'), expected);
            assert_eq!(super::seconds(fields(seconds)), Some(seconds));
        }
    }

    #[test]
    fn each_day_of_four_hundred_years_follows_the_previous_one() {
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
            let expected = Some(days * 86_400);
            assert_eq!(seconds([year, month, day, 0, 0, 0]), expected);
            last = [year, month, day];
        }
        assert_eq!(last, [2370, 1, 1]);
    }
}
