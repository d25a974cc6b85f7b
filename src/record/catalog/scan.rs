//! Scans: the list of files as the disk has it, without opening any.
//!
//! A file's name says when it began, and its time of modification when it ends, to within 2 s on FAT.

use super::Catalog;
use super::entry::{Entry, State};
use super::files::MAX_DISTANCE;
use super::streams::Streams;
use crate::record::WallMillis;
use crate::record::clock;
use crate::record::disk::FoundFile;
use crate::record::mp4::index::may_have_gaps;
use crate::record::name::{FileName, Format, stream_of};
use crate::rtmp::stream_key::StreamKey;

/// The longest plausible duration of a file that wasn't looked at, in ms.
const MAX_DURATION: u64 = 86_400_000;

/// A scan that goes on; see the module's documentation.
#[derive(Debug, Default)]
pub struct Scan {
    streams: Streams,
    /// The folder of the last file, and the stream to which it belongs.
    folder: String,
    stream: Option<StreamKey>,
    /// Damaged files whose names are those of others.
    strays: Vec<(StreamKey, FileName)>,
    ignored: u64,
}

/// What a scan has found.
#[derive(Debug)]
pub struct Scanned {
    /// The list.
    pub catalog: Catalog,
    /// Files with `.part` beside files with the same name without it: to be given another name.
    pub strays: Vec<(StreamKey, FileName)>,
    /// The number of files that aren't recordings.
    pub ignored: u64,
}

impl Scan {
    /// Takes a file that was found.
    pub fn found(&mut self, file: FoundFile<'_>, wall: WallMillis) {
        if self.take(file, wall).is_none() {
            self.ignored += 1;
        }
    }

    fn take(&mut self, file: FoundFile<'_>, wall: WallMillis) -> Option<()> {
        let (folder, name) = file.path.to_str()?.rsplit_once('/')?;
        let (name, is_part) = FileName::parse(name)?;
        // Files come folder by folder.
        if folder != self.folder {
            folder.clone_into(&mut self.folder);
            self.stream = stream_of(folder);
        }
        let stream = self.stream.as_ref()?;
        let mut entry = Entry::new(name, State::Damaged);
        entry.len = file.len;
        if !is_part {
            let duration = duration(name, file.modified, wall);
            let may_have_gaps = name.format() == Format::Mp4 && may_have_gaps(file.len);
            entry.state = if duration.is_some() && !may_have_gaps {
                State::Closed
            } else {
                State::Unsure
            };
            entry.duration = duration.unwrap_or_default();
        }
        self.streams.get_or_add(stream).push(entry);
        Some(())
    }

    /// Ends the scan.
    pub fn finish(mut self, wall: WallMillis) -> Scanned {
        for (stream, files) in self.streams.all_mut() {
            for name in files.finish(wall) {
                self.strays.push((stream.clone(), name));
            }
        }
        Scanned {
            catalog: Catalog {
                streams: self.streams,
                ..Catalog::default()
            },
            strays: self.strays,
            ignored: self.ignored,
        }
    }
}

/// Returns the duration of a file that was last modified at this time, in ms; `None` if it isn't plausible.
fn duration(name: FileName, modified: WallMillis, wall: WallMillis) -> Option<u32> {
    let start = name.start();
    let is_future = clock::is_set(wall) && modified > wall.saturating_add(MAX_DISTANCE);
    if name.boot() > 0 || is_future || modified.saturating_add(MAX_DISTANCE) < start {
        return None;
    }
    let duration = modified.saturating_sub(start);
    (duration <= MAX_DURATION).then_some(duration as u32)
}
