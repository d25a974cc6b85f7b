//! Times in answers.

use std::fmt;

use crate::calendar;
use crate::record::WallMillis;

/// A time that is shown as in RFC 3339: `2026-11-28T11:30:00.250Z`.
#[derive(Clone, Copy, Debug)]
pub struct Shown(pub WallMillis);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.min(calendar::LAST_MS);
        let [seconds, ms] = [time / 1_000, time % 1_000];
        write!(f, "{}.{ms:03}Z", calendar::date_and_time(seconds, 'T'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: WallMillis = 1_795_865_400_000;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(Shown(NOON + 250).to_string(), "2026-11-28T11:30:00.250Z");
        assert_eq!(Shown(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
