//! Figures and names in log lines.

use crate::live::Millis;
use crate::media::decimal::Tenths;
use crate::rtmp::printable::{Printable, at_most};

/// Formats a duration in ms: "12.3 s", "5 min 7 s", "3 h 2 min".
pub(super) fn seconds(duration: Millis) -> String {
    let (minutes, hours) = (duration / 60_000, duration / 3_600_000);
    match duration {
        0..60_000 => format!("{} s", Tenths(duration)),
        60_000..3_600_000 => format!("{minutes} min {} s", duration / 1000 % 60),
        _ => format!("{hours} h {} min", minutes % 60),
    }
}

/// Formats a number of bytes: "6.0 MB".
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{} MB", Tenths(bytes / 1000))
}

/// Formats a client's name for itself, in brackets and escaped, for a log line; empty if it has none.
/// Long names are cut after a word, if possible outside of a comment in brackets, so that a browser's
/// name still includes its operating system.
pub(super) fn in_brackets(text: &str) -> String {
    /// The maximum length of a name in a log line, in bytes. More of it is kept elsewhere.
    const MAX_LEN: usize = 110;

    if text.is_empty() {
        return String::new();
    }
    let (mut shown, mut dots) = (text, "");
    if text.len() > MAX_LEN {
        dots = " \u{2026}";
        shown = at_most(text, MAX_LEN);
        let words = shown
            .rmatch_indices(' ')
            .filter_map(|(at, _)| shown.get(..at));
        let mut words = words.filter(|words| words.len() > MAX_LEN / 2);
        let is_whole = |words: &&str| words.matches('(').count() == words.matches(')').count();
        shown = words
            .clone()
            .find(is_whole)
            .or(words.next())
            .unwrap_or(shown);
    }
    format!(" ({}{dots})", Printable(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        assert_eq!(seconds(12_340), "12.3 s");
        assert_eq!(seconds(950), "1.0 s");
        assert_eq!(megabytes(6_049_999), "6.0 MB");
        assert_eq!(seconds(307_000), "5 min 7 s");
        assert_eq!(seconds(10_920_000), "3 h 2 min");
    }

    #[test]
    fn names_of_clients_cannot_forge_log_lines() {
        assert_eq!(in_brackets("OBS\n#1 root"), " (OBS\\n#1 root)");
        assert_eq!(in_brackets(""), "");
    }

    #[test]
    fn names_of_clients_are_cut_after_a_word() {
        let desktop = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                       Chrome/142.0.0.0 Safari/537.36";
        assert_eq!(in_brackets(desktop), format!(" ({desktop})"));
        for (text, start) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/17.4",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; and more) AppleWebKit/537.36000000000000 \
                 (KHTML, like Gecko and so on)",
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; and more) AppleWebKit/537.36000000000000",
            ),
            // No word ends late enough, so the name is cut within a word.
            (&"x".repeat(200), &"x".repeat(110)),
            (&"カ".repeat(50), &"カ".repeat(36)),
            (
                &format!("a {}", "x".repeat(200)),
                &format!("a {}", "x".repeat(108)),
            ),
            // Everything is one comment, so the name is cut between its words.
            (
                &format!("a ({})", "word ".repeat(40)),
                &format!("a ({}word", "word ".repeat(20)),
            ),
        ] {
            assert_eq!(in_brackets(text), format!(" ({start} \u{2026})"));
        }
        assert_eq!(in_brackets("カメラ\u{202e}"), " (カメラ\\u{202e})");
    }
}
