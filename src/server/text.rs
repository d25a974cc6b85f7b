//! Figures and names as they stand in log lines.

use crate::live::Millis;

/// "12.3 s", "5 min 7 s", "3 h 2 min".
pub(super) fn seconds(duration: Millis) -> String {
    let (minutes, hours) = (duration / 60_000, duration / 3_600_000);
    match duration {
        0..60_000 => format!("{:.1} s", duration as f64 / 1000.0),
        60_000..3_600_000 => format!("{minutes} min {} s", duration / 1000 % 60),
        _ => format!("{hours} h {} min", minutes % 60),
    }
}

/// "6.0 MB".
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
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
        assert_eq!(seconds(307_000), "5 min 7 s");
        assert_eq!(seconds(10_920_000), "3 h 2 min");
    }

    #[test]
    fn what_clients_say_cannot_forge_log_lines() {
        assert_eq!(in_brackets("OBS\n#1 root"), " (OBS\\n#1 root)");
        assert_eq!(in_brackets(""), "");
    }
}
