//! A writer for JSON (RFC 8259).

use std::fmt::{Display, Write};

/// A JSON writer that places the commas. Each object or array that was begun must be ended. Errors of
/// `out` are ignored here, because it remembers them itself.
///
/// Its methods aren't inlined, because they are called from a hundred places.
pub(super) struct Json<'a> {
    out: &'a mut dyn Write,
    /// Whether a value precedes in the same object or array.
    needs_comma: bool,
}

impl Json<'_> {
    pub(super) fn new(out: &mut dyn Write) -> Json<'_> {
        Json {
            out,
            needs_comma: false,
        }
    }

    /// Begins an object or array with its opening bracket.
    #[inline(never)]
    pub(super) fn begin(&mut self, bracket: char) {
        self.separate();
        self.put_char(bracket);
        self.needs_comma = false;
    }

    /// Ends an object or array with its closing bracket.
    #[inline(never)]
    pub(super) fn end(&mut self, bracket: char) {
        self.put_char(bracket);
        self.needs_comma = true;
    }

    /// Writes the name of the next value. Names are constants of this program, so they aren't escaped.
    #[inline(never)]
    pub(super) fn name(&mut self, name: &str) {
        self.separate();
        self.put("\"");
        self.put(name);
        self.put("\":");
        self.needs_comma = false;
    }

    /// Writes a value that needs no escapes: a number, `true`, `null`.
    #[inline(never)]
    pub(super) fn value(&mut self, value: &dyn Display) {
        self.separate();
        let _ = write!(self.out, "{value}");
    }

    /// Writes a string.
    ///
    /// In addition to the characters that the RFC requires, this escapes JavaScript's line ends and
    /// characters that may open a tag, in case a program puts the text into a page.
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

    /// Writes a name and a string, or `null` for `None`.
    #[inline(never)]
    pub(super) fn optional_text(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.named_text(name, text),
            None => self.named_value(name, None),
        }
    }

    /// Writes a name and its value, `null` for `None`.
    #[inline(never)]
    pub(super) fn named_value(&mut self, name: &str, value: Option<&dyn Display>) {
        self.name(name);
        self.value(value.unwrap_or(&"null"));
    }

    /// Writes a name and a number, or `null` for `None`.
    pub(super) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        self.named_value(name, value.as_ref().map(|value| value as &dyn Display));
    }

    #[inline(never)]
    fn put(&mut self, text: &str) {
        let _ = self.out.write_str(text);
    }

    fn put_char(&mut self, c: char) {
        self.put(c.encode_utf8(&mut [0; 4]));
    }

    /// Escapes a character of the Basic Multilingual Plane.
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
    fn strings_are_escaped_and_parse_back() {
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
    fn commas_are_between_items_only() {
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
