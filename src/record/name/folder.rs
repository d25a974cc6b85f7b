//! Folders: the names of streams as paths that every file system takes, and keeps apart.
//!
//! ```text
//! live/door          live/door
//! live/Door          live/=door      capitals: FAT and exFAT don't tell them from small letters
//! live/a:b.          live/a%3Ab%2E   what FAT forbids
//! live/con           live/%63on      a device on Windows
//! live/cam.mp4       live/cam%2Emp4  what looks like a file
//! ```
//!
//! A stream has one folder, and a folder belongs to one stream, even where the file system ignores case,
//! trailing periods and spaces, or knows files by short aliases as well (`RECORD~1`).

use std::fmt::Write;

use crate::rtmp::stream_key::StreamKey;

/// Precedes a letter that is a capital.
const CAPITAL: char = '=';

/// The longest name of a folder in bytes. Longer ones go on in a folder below; a lone percent sign at
/// their end says so.
const MAX_FOLDER_LEN: usize = 200;

/// Names that are devices on Windows, whatever extension follows. `com` and `lpt` are followed by a digit.
const DEVICES: [&str; 9] = [
    "con", "prn", "aux", "nul", "com", "lpt", "conin$", "conout$", "clock$",
];

/// Returns the folder of a stream, relative to the folder of the recordings.
pub fn folder(stream: &StreamKey) -> String {
    let mut path = String::with_capacity(stream.as_str().len() + 64);
    for part in stream.as_str().split('/') {
        if !path.is_empty() {
            path.push('/');
        }
        push_part(&mut path, part);
    }
    path
}

/// Finds the stream whose files lie in a folder. `None` if it is no stream's folder.
pub fn stream_of(path: &str) -> Option<StreamKey> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'=' => bytes.push(rest.next()?.to_ascii_uppercase()),
            b'%' => {
                let high = rest.next()?;
                // A lone percent sign at the end of a folder: the name goes on below.
                if high != b'/' {
                    bytes.push(digit(high)? << 4 | digit(rest.next()?)?);
                }
            }
            _ => bytes.push(byte),
        }
    }
    let key = StreamKey::new("", std::str::from_utf8(&bytes).ok()?).ok()?;
    // Keys are normalized, and there are many ways to encode one: only one of them is ours.
    (folder(&key) == path).then_some(key)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn push_part(path: &mut String, part: &str) {
    let mut begin = path.len();
    let last = part.len() - part.chars().last().map_or(0, char::len_utf8);
    let extension = part.rfind('.').filter(|at| is_extension(&part[at + 1..]));
    for (at, c) in part.char_indices() {
        if path.len() - begin >= MAX_FOLDER_LEN {
            path.push_str("%/");
            begin = path.len();
        }
        let is_first = path.len() == begin;
        let is_plain = match c {
            'a'..='z' => !is_first || !is_device(&part[at..]),
            '0'..='9' | '-' | '_' => true,
            '.' => !is_first && at != last && extension != Some(at),
            ' ' => !is_first && at != last,
            _ => is_harmless(c),
        };
        if c.is_ascii_uppercase() {
            path.push(CAPITAL);
            path.push(c.to_ascii_lowercase());
        } else if is_plain {
            path.push(c);
        } else {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
}

/// Whether a character is legal in names, and no other is taken for it. Of the letters beyond ASCII, these are
/// small ones whose capitals aren't among them, and those of scripts without capitals.
fn is_harmless(c: char) -> bool {
    matches!(c,
        '!' | '#' | '$' | '&' | '\'' | '(' | ')' | '+' | ',' | ';' | '@' | '[' | ']' | '^' | '`'
        | '{' | '}'
        | 'à'..='ö' | 'ø'..='ÿ'
        | 'а'..='џ'
        | 'ぁ'..='ん' | 'ァ'..='ー'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7A3}')
}

/// Whether the names of recorded files end with this extension.
fn is_extension(text: &str) -> bool {
    ["mp4", "flv", "part"].contains(&text)
}

/// Whether Windows takes a name for a device.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ');
    let name = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let has_digit = stem.len() == name.len() + 1;
    DEVICES.contains(&name) && has_digit == matches!(name, "com" | "lpt")
}
