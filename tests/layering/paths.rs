//! The paths that a source file names, with their lines, found without a compiler: in `use`
//! trees and in expressions alike. Comments and literals don't count.

/// A path as it is written, with groups taken apart: `super::{a::B, c}` is two paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
    /// The modules inside the file in which it stands, such as `["tests"]`.
    pub(crate) within: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `::`
    Separator,
    Other(char),
}

/// All paths of more than one part, and the single words of `use` groups.
pub(crate) fn paths(text: &str) -> Vec<Named> {
    let mut reader = Reader {
        tokens: tokens(text),
        at: 0,
        within: Vec::new(),
        found: Vec::new(),
    };
    reader.read();
    reader.found
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    at: usize,
    within: Vec<String>,
    found: Vec<Named>,
}

impl Reader {
    fn token(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }

    fn is(&self, ahead: usize, other: char) -> bool {
        self.token(ahead) == Some(&Token::Other(other))
    }

    fn word(&self, ahead: usize) -> Option<&str> {
        match self.token(ahead) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn read(&mut self) {
        let mut depth = 0;
        // Of each module that is open, the depth outside of it.
        let mut depths = Vec::new();
        while self.at < self.tokens.len() {
            if self.is(0, '{') {
                depth += 1;
            } else if self.is(0, '}') {
                depth -= 1;
                if depths.last() == Some(&depth) {
                    depths.pop();
                    self.within.pop();
                }
            } else if self.word(0) == Some("pub") && self.is(1, '(') {
                // `pub(in crate::server)` says who may use it, and uses nothing.
                while self.at < self.tokens.len() && !self.is(0, ')') {
                    self.at += 1;
                }
            } else if self.word(0) == Some("mod") && self.is(2, '{') {
                self.within.extend(self.word(1).map(str::to_owned));
                depths.push(depth);
                self.at += 1;
            } else if self.word(0).is_some() && self.token(1) == Some(&Token::Separator) {
                self.tree(&[]);
                continue;
            }
            self.at += 1;
        }
    }

    /// Reads a path, or a group of them, that goes on from `prefix`.
    fn tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let line = self.tokens[self.at].0;
        while let Some(word) = self.word(0) {
            path.push(word.to_owned());
            self.at += 1;
            if self.token(0) != Some(&Token::Separator) {
                break;
            }
            self.at += 1;
        }
        let goes_on = self.tokens[self.at - 1].1 == Token::Separator;
        if goes_on && self.is(0, '*') {
            self.at += 1;
        } else if goes_on && self.is(0, '{') {
            return self.group(&path);
        }
        let within = self.within.clone();
        self.found.push(Named { line, path, within });
    }

    /// Reads a group in braces after `prefix`.
    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        while self.at < self.tokens.len() && !self.is(0, '}') {
            if self.word(0) == Some("as") {
                // The new name is no path.
                self.at += 2;
            } else if self.word(0).is_some() {
                self.tree(prefix);
            } else {
                self.at += 1;
            }
        }
        self.at += 1;
    }
}

/// Words, separators and other characters, with their lines.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let text = code(text);
    let mut tokens = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let len = if is_word(first) {
                let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                tokens.push((index + 1, Token::Word(rest[..len].to_owned())));
                len
            } else if rest.starts_with("::") {
                tokens.push((index + 1, Token::Separator));
                2
            } else {
                tokens.push((index + 1, Token::Other(first)));
                first.len_utf8()
            };
            rest = rest[len..].trim_start();
        }
    }
    tokens
}

/// The text with comments and what is in literals replaced by spaces, line by line the same.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = literal_len(rest, &code).unwrap_or(0);
        if len == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..len].chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = &rest[len..];
        }
    }
    code
}

/// The length of the comment or literal with which `rest` begins, if it does.
fn literal_len(rest: &str, before: &str) -> Option<usize> {
    let end_of = |end: &str, from: usize| {
        rest[from..]
            .find(end)
            .map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(end_of("*/", 2));
    }
    // The `r` of a raw string is no part of a longer word.
    let is_in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if let Some(raw) = rest
        .strip_prefix('r')
        .filter(|_| !is_in_word || before.ends_with('b'))
    {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return Some(end_of(&end, 2 + hashes));
        }
    }
    if rest.starts_with('"') {
        return Some(quoted_len(rest, '"'));
    }
    // A character, not a lifetime.
    let mut chars = rest.strip_prefix('\'')?.chars();
    let is_escaped = chars.next()? == '\\';
    (is_escaped || chars.next() == Some('\'')).then(|| quoted_len(rest, '\''))
}

/// The length of a literal in quotes in which `\` escapes.
fn quoted_len(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

mod checks {
    use super::paths;

    /// The paths of a text as `line: path`, with the module that they stand in before a slash.
    fn found(text: &str) -> Vec<String> {
        let shown = paths(text).into_iter().map(|named| {
            let within: String = named.within.iter().map(|name| format!("{name}/")).collect();
            format!("{}: {within}{}", named.line, named.path.join("::"))
        });
        shown.collect()
    }

    #[test]
    fn groups_are_taken_apart_over_several_lines() {
        let text = "use super::{\n    a::{B, self as c},\n    d::*,\n    e,\n};\n";
        let expected = [
            "2: super::a::B",
            "2: super::a::self",
            "3: super::d",
            "4: super::e",
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn paths_in_code_count_like_imports() {
        let text = "fn f(x: crate::live::X) -> u8 {\n    super::g::<u8>(std::time::now())\n}";
        let expected = ["1: crate::live::X", "2: super::g", "2: std::time::now"];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn comments_and_literals_do_not_count() {
        let text = "// crate::a::b\n/* crate::c::d\n */ let s = \"crate::e::f \\\" g::h\";\n\
                    let r = r#\"i::j \" k::l\"#; let c = '\"'; let b = br\"m::n\"; fn f<'a>() { o::p }";
        assert_eq!(found(text), ["4: o::p"]);
    }

    #[test]
    fn visibility_uses_nothing() {
        assert_eq!(found("pub(in crate::server) struct A(b::C);"), ["1: b::C"]);
    }

    #[test]
    fn modules_inside_a_file_are_known_up_to_their_end() {
        let text = "mod tests {\n    fn f() {}\n    use super::a::B;\n}\nuse super::c::D;";
        assert_eq!(found(text), ["3: tests/super::a::B", "5: super::c::D"]);
    }
}
