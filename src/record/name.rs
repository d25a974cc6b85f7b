//! Names: where a file of a stream lies, and what its name says.
//!
//! ```text
//! live/door/2026-11-28T11-30-00Z.mp4        began then, UTC
//! live/door/2026-11-28T11-30-00Z_2.mp4      the second file that began in that second
//! live/door/2026-11-28T11-30-00Z.mp4.part   still open, or left by a crash
//! live/door/0000-boot0003-000765s.mp4       began 765 s after the third start with a clock that wasn't set
//! ```
//!
//! Names sort as the files began, are legal on FAT, and don't depend on a time zone. `folder` has the rules
//! for folders.
//!
//! Everything that is found on a disk is parsed strictly: a path counts only if it is the very one that
//! would be given to that stream and file.

mod folder;

use std::fmt::{self, Write};
use std::path::PathBuf;

use super::WallMillis;
use crate::calendar;
use crate::live::Millis;
use crate::rtmp::stream_key::StreamKey;

pub use folder::{folder, stream_of};

/// What the name of a file that is open, or was left by a crash, ends with.
const PART: &str = ".part";

/// The highest number of a file among those that began in the same second. Of one digit, so that names sort.
const MAX_COPY: u8 = 9;

/// The number of boots that are told apart. Their times stay below those of clocks that are set.
const MAX_BOOT: u16 = 1_700;

/// In place of the number of a boot, when the clock was set.
const DATED: u16 = u16::MAX;

/// The seconds of a boot that its names can tell: six digits.
const BOOT_SECONDS: u64 = 1_000_000;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Hybrid MP4.
    Mp4,
    /// FLV.
    Flv,
}

impl Format {
    /// The extension of its files, without the period.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Mp4 => "mp4",
            Format::Flv => "flv",
        }
    }
}

/// The name of a file, without its folder. Names order as the files began, those of unset clocks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// The number of the boot if the clock wasn't set, [`DATED`] if it was.
    boot: u16,
    /// Seconds since 1970, or since the boot.
    seconds: u32,
    /// Its number among the files that began in the same second, from 1 on.
    copy: u8,
    format: Format,
}

impl FileName {
    /// Returns the name of a file that begins at this time by a clock that is set.
    pub fn dated(wall: WallMillis, format: Format) -> FileName {
        FileName {
            boot: DATED,
            seconds: u32::try_from(wall / 1_000).unwrap_or(u32::MAX),
            copy: 1,
            format,
        }
    }

    /// Returns the name of a file that begins at this time on the server's clock, while the wall clock isn't
    /// set. Boots are counted from 1 on.
    pub fn booted(boot: u16, now: Millis, format: Format) -> FileName {
        let seconds = now / 1_000;
        // A boot that outlasts its digits counts as the next ones.
        let more = u16::try_from(seconds / BOOT_SECONDS).unwrap_or(MAX_BOOT);
        FileName {
            boot: boot.saturating_add(more).clamp(1, MAX_BOOT),
            seconds: (seconds % BOOT_SECONDS) as u32,
            copy: 1,
            format,
        }
    }

    /// Returns the name to try when this one is taken.
    pub fn next(self) -> FileName {
        let is_last = self.copy >= MAX_COPY;
        FileName {
            copy: if is_last { 1 } else { self.copy + 1 },
            seconds: self.seconds.saturating_add(u32::from(is_last)),
            ..self
        }
    }

    /// When the file began, to the second. Files of unset clocks get times from 1970 on which nothing is
    /// known but their order.
    pub fn start(self) -> WallMillis {
        (u64::from(self.boot()) * BOOT_SECONDS + u64::from(self.seconds)) * 1_000
    }

    /// The number of the boot if the clock wasn't set, 0 if it was.
    pub fn boot(self) -> u16 {
        if self.boot == DATED { 0 } else { self.boot }
    }

    /// The format of the file.
    pub fn format(self) -> Format {
        self.format
    }

    /// The same name in the format that comes first.
    pub(super) fn first_format(self) -> FileName {
        FileName {
            format: Format::Mp4,
            ..self
        }
    }

    /// Parses a name, which may end with `.part`; says whether it does.
    pub fn parse(name: &str) -> Option<(FileName, bool)> {
        let whole = name.strip_suffix(PART);
        let (stem, extension) = whole.unwrap_or(name).rsplit_once('.')?;
        let format = [Format::Mp4, Format::Flv]
            .into_iter()
            .find(|format| format.extension() == extension)?;
        // A year, and what follows it.
        let (boot, seconds, copy) = match numbers(stem)? {
            [0, boot, seconds, copy, ..] => {
                let boot = u16::try_from(boot).ok()?;
                if !(1..=MAX_BOOT).contains(&boot) || seconds >= BOOT_SECONDS {
                    return None;
                }
                (boot, seconds, copy)
            }
            [year, month, day, hour, minute, second, copy] => {
                let time = [year, month, day, hour, minute, second];
                (DATED, calendar::seconds(time)?, copy)
            }
        };
        let parsed = FileName {
            boot,
            seconds: u32::try_from(seconds).ok()?,
            copy: u8::try_from(copy).ok()?.max(1),
            format,
        };
        // Whatever else was between the numbers isn't what is written.
        let is_same = copy <= MAX_COPY.into() && parsed.to_string() == whole.unwrap_or(name);
        is_same.then_some((parsed, whole.is_some()))
    }
}

/// Parses up to seven numbers, whatever is between them. Those that aren't there are 0.
fn numbers(text: &str) -> Option<[u64; 7]> {
    let mut numbers = [0_u64; 7];
    let texts = text.split(|c: char| !c.is_ascii_digit());
    let mut texts = texts.filter(|text| !text.is_empty());
    for (number, text) in numbers.iter_mut().zip(&mut texts) {
        *number = text.parse().ok()?;
    }
    texts.next().is_none().then_some(numbers)
}

/// Formats the name without `.part`.
impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.boot != DATED {
            write!(f, "0000-boot{:04}-{:06}s", self.boot, self.seconds)?;
        } else {
            let [year, month, day, hour, minute, second] = calendar::fields(self.seconds.into());
            write!(
                f,
                "{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}Z"
            )?;
        }
        if self.copy > 1 {
            write!(f, "_{}", self.copy)?;
        }
        f.write_char('.')?;
        f.write_str(self.format.extension())
    }
}

/// Returns the path of a file, relative to the folder of the recordings.
pub fn path(stream: &StreamKey, name: FileName) -> PathBuf {
    let mut path = folder(stream);
    let _ = write!(path, "/{name}");
    path.into()
}

/// Returns the path of a file while it is open.
pub fn part_path(stream: &StreamKey, name: FileName) -> PathBuf {
    let mut path = path(stream, name).into_os_string();
    path.push(PART);
    path.into()
}

/// Finds the stream and the file to which a path belongs, and whether it ends with `.part`. `None` for
/// everything that isn't a recording.
#[cfg(test)]
pub fn parse_path(path: &std::path::Path) -> Option<(StreamKey, FileName, bool)> {
    let (folder, name) = path.to_str()?.rsplit_once('/')?;
    let (name, is_part) = FileName::parse(name)?;
    Some((stream_of(folder)?, name, is_part))
}

#[cfg(test)]
mod tests;
