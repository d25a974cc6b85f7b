//! A writer for JSON (RFC 8259).

use std::fmt::{Display, Write};

/// JSON under construction. Commas come by themselves; what was begun must be ended. Its methods are
/// called from a hundred places, and not to be part of each. Who can't take any more keeps that to
/// itself.
pub(super) struct Json<'a> {
    out: &'a mut dyn Write,
    /// Something stands before, in the same object or array.
    needs_comma: bool,
}

impl Json<'_> {
    pub(super) fn new(out: &mut dyn Write) -> Json<'_> {
        Json {
            out,
            needs_comma: false,
        }
    }

    /// Begins an object or array, by its bracket.
    #[inline(never)]
    pub(super) fn begin(&mut self, bracket: char) {
        self.separate();
        self.put_char(bracket);
        self.needs_comma = false;
    }

    /// Ends it.
    #[inline(never)]
    pub(super) fn end(&mut self, bracket: char) {
        self.put_char(bracket);
        self.needs_comma = true;
    }

    /// The name of the value that follows. Names are ours: they need no escapes.
    #[inline(never)]
    pub(super) fn name(&mut self, name: &str) {
        self.separate();
        self.put("\"");
        self.put(name);
        self.put("\":");
        self.needs_comma = false;
    }

    /// A value that stands as it is: a number, `true`, `null`.
    #[inline(never)]
    pub(super) fn value(&mut self, value: &dyn Display) {
        self.separate();
        let _ = write!(self.out, "{value}");
    }

    /// A string.
    ///
    /// Beside what the RFC asks for, what ends a line in JavaScript is escaped, and what may open a
    /// tag: somebody will put the text into a page.
    #[inline(never)]
    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        self.put("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => {
                    self.put("\\");
                    self.put_char(c);
                }
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => self.escape(c),
                c if c.is_control() => self.escape(c),
                c => self.put_char(c),
            }
        }
        self.put("\"");
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

    #[inline(never)]
    fn put(&mut self, text: &str) {
        let _ = self.out.write_str(text);
    }

    fn put_char(&mut self, c: char) {
        self.put(c.encode_utf8(&mut [0; 4]));
    }

    /// All of them are in the first plane.
    fn escape(&mut self, c: char) {
        let _ = write!(self.out, "\\u{:04x}", u32::from(c));
    }

    fn separate(&mut self) {
        if std::mem::replace(&mut self.needs_comma, true) {
            self.put(",");
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
            let mut written = String::new();
            Json::new(&mut written).text(text);
            assert_eq!(written, json);
            let read: String = serde_json::from_str(&written).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn commas_stand_between_and_nowhere_else() {
        let mut text = String::new();
        let mut json = Json::new(&mut text);
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
        assert_eq!(text, r#"{"a":[],"b":[1,{},""],"c":null,"d":2}"#);
    }
}
