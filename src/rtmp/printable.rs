//! Text from peers, cut and escaped for log lines, and for clients with small buffers.

use std::fmt::{self, Write as _};

/// Text in which every character is escaped that could change how a log line reads: control characters,
/// which end lines or move a terminal's cursor; invisible characters, some of which change the writing
/// direction; backslashes; and double quotes.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' | '"' => write!(f, "\\{c}")?,
                _ if c.is_control() || is_hidden(c) => c.escape_debug().fmt(f)?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whether a character is invisible, looks like a space, changes the writing direction, or is reserved
/// for private use.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{e000}'..='\u{f8ff}'
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..)
}

/// Whether a character ends a line or changes the writing direction, though it is no control character.
pub(crate) fn breaks_lines(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the beginning of a text: whole characters, at most `most` bytes.
pub(crate) fn at_most(text: &str, most: usize) -> &str {
    let mut ends = (0..=most.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_characters_that_could_change_how_a_line_reads_are_escaped() {
        for (text, shown) in [
            ("live/cam", "live/cam"),
            ("K\u{fc}che", "K\u{fc}che"),
            // The umlaut as a combining character, as macOS writes it.
            ("Ku\u{308}che", "Ku\u{308}che"),
            ("カメラ", "カメラ"),
            ("камера", "камера"),
            ("\u{1f4f7}", "\u{1f4f7}"),
            ("Bob's cam", "Bob's cam"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\nb\r\0", "a\\nb\\r\\0"),
            ("\u{85}\u{9b}", "\\u{85}\\u{9b}"),
            // Writing direction, and isolates.
            ("d\u{202e}oor", "d\\u{202e}oor"),
            ("\u{2066}x\u{200f}", "\\u{2066}x\\u{200f}"),
            // Zero-width characters, and line ends that aren't control characters.
            ("a\u{200b}\u{feff}\u{ad}b", "a\\u{200b}\\u{feff}\\u{ad}b"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("\u{e000}\u{a0}", "\\u{e000}\\u{a0}"),
            ("\\n \"x\"", "\\\\n \\\"x\\\""),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        for (text, most, cut) in [
            ("door", 10, "door"),
            ("door", 4, "door"),
            ("door", 3, "doo"),
            ("カメラ", 5, "カ"),
            ("カメラ", 2, ""),
            ("", 0, ""),
        ] {
            assert_eq!(at_most(text, most), cut);
        }
    }
}
