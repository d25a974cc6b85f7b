//! Figures and names as they stand in log lines.

use std::fmt;

use crate::live::Millis;

/// "12.3 s", "5 min 7 s", "3 h 2 min".
pub(super) fn seconds(duration: Millis) -> String {
    let (minutes, hours) = (duration / 60_000, duration / 3_600_000);
    match duration {
        0..60_000 => format!("{} s", Tenths::of_thousandths(duration as i64)),
        60_000..3_600_000 => format!("{minutes} min {} s", duration / 1000 % 60),
        _ => format!("{hours} h {} min", minutes % 60),
    }
}

/// "6.0 MB".
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{} MB", Tenths::of_thousandths((bytes / 1000) as i64))
}

/// A number in tenths: "12.3", "-0.4".
pub(super) struct Tenths(i64);

impl Tenths {
    /// The nearest one; of ms it is one of seconds.
    pub(super) fn of_thousandths(number: i64) -> Tenths {
        Tenths((number + 50 * number.signum()) / 100)
    }
}

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let tenths = self.0.unsigned_abs();
        write!(f, "{sign}{}.{}", tenths / 10, tenths % 10)
    }
}

/// What a client says of itself, in brackets and made safe for a log line; empty if it says
/// nothing.
pub(super) fn in_brackets(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let shown: String = text
        .chars()
        .take(60)
        .flat_map(char::escape_default)
        .collect();
    format!(" ({shown})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_say_them() {
        assert_eq!(seconds(12_340), "12.3 s");
        assert_eq!(seconds(950), "1.0 s");
        assert_eq!(megabytes(6_049_999), "6.0 MB");
        assert_eq!(Tenths::of_thousandths(-349).to_string(), "-0.3");
        assert_eq!(Tenths::of_thousandths(-86_400_050).to_string(), "-86400.1");
        assert_eq!(seconds(307_000), "5 min 7 s");
        assert_eq!(seconds(10_920_000), "3 h 2 min");
    }

    #[test]
    fn what_clients_say_cannot_forge_log_lines() {
        assert_eq!(in_brackets("OBS\n#1 root"), " (OBS\\n#1 root)");
        assert_eq!(in_brackets(""), "");
    }
}
