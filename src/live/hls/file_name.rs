//! Names of the files that a media playlist lists.
//!
//! ```text
//! 00c0ffee-1.mp4      init segment: life of the stream, version
//! 00c0ffee-7.m4s      segment: life, number
//! 00c0ffee-7.2.m4s    part: life, number of its segment, index within it
//! ```

use std::fmt::{self, Write};

use super::decimal::decimal;

/// The name of a file. Every file has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName {
    /// The life of the stream. Names of another life are never found, not even in a cache.
    pub life: u32,
    /// The file within that life.
    pub kind: FileKind,
}

/// The kind of file that a [`FileName`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The init segment of this version.
    Init(u64),
    /// The segment with this number.
    Segment(u64),
    /// A part: number of its segment, index within it.
    Part(u64, u64),
}

impl FileName {
    /// Parses the last part of a path.
    pub fn parse(text: &str) -> Option<FileName> {
        let (stem, extension) = text.rsplit_once('.')?;
        let (life, numbers) = stem.split_once('-')?;
        let kind = match (extension, numbers.split_once('.')) {
            ("mp4", None) => FileKind::Init(parse_number(numbers)?),
            ("m4s", None) => FileKind::Segment(parse_number(numbers)?),
            ("m4s", Some((segment, part))) => {
                FileKind::Part(parse_number(segment)?, parse_number(part)?)
            }
            _ => return None,
        };
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_life = life.len() == 8 && life.bytes().all(is_digit);
        let life = u32::from_str_radix(life, 16).ok().filter(|_| is_life)?;
        Some(FileName { life, kind })
    }

    /// Writes the name as it appears in playlists and URLs.
    pub fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let mut shift = 32;
        let life = [0; 8].map(|_: u8| {
            shift -= 4;
            b"0123456789abcdef"[(self.life >> shift & 0xF) as usize]
        });
        out.write_str(std::str::from_utf8(&life).unwrap_or_default())?;
        out.write_str("-")?;
        let (number, part, extension) = match self.kind {
            FileKind::Init(version) => (version, None, ".mp4"),
            FileKind::Segment(number) => (number, None, ".m4s"),
            FileKind::Part(number, part) => (number, Some(part), ".m4s"),
        };
        decimal(out, number, 1)?;
        if let Some(part) = part {
            out.write_str(".")?;
            decimal(out, part, 1)?;
        }
        out.write_str(extension)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// A decimal number without leading zeros.
fn parse_number(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_canonical = digits == "0" || !digits.starts_with('0');
    let number = digits.parse().ok();
    number.filter(|_| is_number && is_canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_it_is_parsed() {
        for (text, life, kind) in [
            ("00000000-0.mp4", 0, FileKind::Init(0)),
            ("1a2b3c4d-7.mp4", 0x1a2b_3c4d, FileKind::Init(7)),
            (
                "ffffffff-18446744073709551615.m4s",
                u32::MAX,
                FileKind::Segment(u64::MAX),
            ),
            ("1a2b3c4d-7.0.m4s", 0x1a2b_3c4d, FileKind::Part(7, 0)),
            (
                "1a2b3c4d-1000000000.10.m4s",
                0x1a2b_3c4d,
                FileKind::Part(1_000_000_000, 10),
            ),
        ] {
            let name = FileName { life, kind };
            assert_eq!(FileName::parse(text), Some(name), "{text}");
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn other_spellings_are_no_names() {
        for text in [
            "",
            "1a2b3c4d",
            "1a2b3c4d-7",
            "1a2b3c4d-.m4s",
            "1a2b3c4d-07.m4s",
            "1a2b3c4d-7.00.m4s",
            "1a2b3c4d-+7.m4s",
            "1a2b3c4d-7.1.mp4",
            "1a2b3c4d-7.1.2.m4s",
            "1a2b3c4d-7.M4S",
            "1a2b3c4d-7.ts",
            "1a2b3c4d-99999999999999999999.m4s",
            "1A2B3C4D-7.m4s",
            "+1a2b3c4-7.m4s",
            "1a2b3c-7.m4s",
            "\u{e4}a2b3c4-7.m4s",
        ] {
            assert_eq!(FileName::parse(text), None, "{text}");
        }
    }
}
