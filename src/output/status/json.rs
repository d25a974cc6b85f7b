//! A writer for JSON (RFC 8259).

use std::fmt::{Display, Write};

/// JSON under construction. Commas come by themselves; what was begun must be ended. Its methods are
/// called from a hundred places, and not to be part of each.
#[derive(Default)]
pub(super) struct Json {
    out: String,
    /// Something stands before, in the same object or array.
    needs_comma: bool,
}

impl Json {
    pub(super) fn into_string(self) -> String {
        self.out
    }

    /// Begins an object or array, by its bracket.
    #[inline(never)]
    pub(super) fn begin(&mut self, bracket: char) {
        self.separate();
        self.out.push(bracket);
        self.needs_comma = false;
    }

    /// Ends it.
    #[inline(never)]
    pub(super) fn end(&mut self, bracket: char) {
        self.out.push(bracket);
        self.needs_comma = true;
    }

    /// The name of the value that follows. Names are ours: they need no escapes.
    #[inline(never)]
    pub(super) fn name(&mut self, name: &str) {
        self.separate();
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.needs_comma = false;
    }

    /// A value that stands as it is: a number, `true`, `null`.
    #[inline(never)]
    pub(super) fn value(&mut self, value: &dyn Display) {
        self.separate();
        // A String takes everything.
        let _ = write!(self.out, "{value}");
    }

    /// A string.
    ///
    /// Beside what the RFC asks for, what ends a line in JavaScript is escaped, and what may open a
    /// tag: somebody will put the text into a page.
    #[inline(never)]
    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => self.escape(c),
                c if c.is_control() => self.escape(c),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    #[inline(never)]
    pub(super) fn named_text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.text(text);
    }

    #[inline(never)]
    pub(super) fn named_number(&mut self, name: &str, number: u64) {
        self.named_value(name, Some(&number));
    }

    /// `null` for nothing.
    #[inline(never)]
    pub(super) fn named_value(&mut self, name: &str, value: Option<&dyn Display>) {
        self.name(name);
        self.value(value.unwrap_or(&"null"));
    }

    /// All of them are in the first plane.
    fn escape(&mut self, c: char) {
        let _ = write!(self.out, "\\u{:04x}", u32::from(c));
    }

    fn separate(&mut self) {
        if std::mem::replace(&mut self.needs_comma, true) {
            self.out.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_so_that_any_parser_reads_it_back() {
        for (text, json) in [
            ("door", "\"door\""),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("a\nb\0\u{7F}\u{85}", r#""a\u000ab\u0000\u007f\u0085""#),
            ("</script>", r#""\u003c/script\u003e""#),
            ("a\u{2028}b\u{2029}", r#""a\u2028b\u2029""#),
            ("d\u{F6}r \u{1F3A5}", "\"d\u{F6}r \u{1F3A5}\""),
        ] {
            let mut written = Json::default();
            written.text(text);
            let written = written.into_string();
            assert_eq!(written, json);
            let read: String = serde_json::from_str(&written).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn commas_stand_between_and_nowhere_else() {
        let mut json = Json::default();
        json.begin('{');
        json.name("a");
        json.begin('[');
        json.end(']');
        json.name("b");
        json.begin('[');
        json.value(&1);
        json.begin('{');
        json.end('}');
        json.text("");
        json.end(']');
        json.named_value("c", None);
        json.named_number("d", 2);
        json.end('}');
        assert_eq!(
            json.into_string(),
            r#"{"a":[],"b":[1,{},""],"c":null,"d":2}"#
        );
    }
}
