//! A span of recordings as an HLS playlist: ranges of its files (RFC 8216bis, section 4).
//!
//! ```text
//! #EXT-X-MAP:URI="door/2026-11-28T11-30-00Z.mp4?init"
//! #EXT-X-PROGRAM-DATE-TIME:2026-11-28T11:30:00.250Z
//! #EXTINF:4.004,
//! #EXT-X-BYTERANGE:1048576@1204
//! door/2026-11-28T11-30-00Z.mp4
//! ```
//!
//! A segment is a few fragments. Which ones depends only on those before, so a playlist that is loaded again
//! while the file grows lists the same segments, and more.

use std::fmt::{self, Write};
use std::io;

use super::Recordings;
use super::file::FileBody;
use super::plan::{NoPlan, begins_before};
use super::time::Shown;
use crate::live::hls::playlist::Carried;
use crate::record::WallMillis;
use crate::record::mp4::reader::{Fragment, Fragments};
use crate::record::name::{FileName, Format};
use crate::rtmp::stream_key::StreamKey;

/// A segment ends at the first keyframe after this time, in ms.
const SHORTEST: u64 = 4_000;

/// Or before a fragment with which it would be longer than this, in ms.
const LONGEST: u64 = 10_000;

/// The next file of a stream follows within this time, in ms, or the recording is over.
const NEXT_FILE: WallMillis = 15_000;

/// The span of which a playlist is written.
#[derive(Clone)]
pub struct PlaylistSpan {
    /// The recordings.
    pub recordings: Recordings,
    /// The stream.
    pub stream: StreamKey,
    /// The beginning; the first segment has the keyframe at or before it.
    pub from: WallMillis,
    /// The end.
    pub to: WallMillis,
}

/// What has to be known of a playlist before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The longest duration of a segment, in seconds.
    target: u64,
    /// Whether it will have more segments later.
    is_growing: bool,
}

/// The URIs in a playlist.
#[derive(Clone, Copy, Debug)]
pub struct Uris<'a> {
    /// What precedes the names of files: `door/`.
    pub folder: &'a str,
    /// The query behind them, without the `?`. It holds the key.
    pub query: &'a str,
}

/// A segment: some fragments of a file.
#[derive(Clone, Copy, Debug)]
struct Segment {
    name: FileName,
    offset: u64,
    len: u64,
    /// The time of its first fragment in the file, in ms.
    time: u64,
    /// In ms.
    duration: u64,
    wall: WallMillis,
    /// Whether it doesn't continue the segment before.
    has_gap: bool,
}

impl Survey {
    /// Whether the playlist will have more segments later.
    pub fn is_growing(&self) -> bool {
        self.is_growing
    }
}

impl PlaylistSpan {
    /// Looks at all segments. `now` is the present.
    pub fn survey(&self, now: WallMillis) -> Result<Survey, NoPlan> {
        let (mut longest, mut end) = (0, None);
        let walk = self.walk(&mut |segment| {
            longest = longest.max(segment.duration);
            end = Some(segment.wall + segment.duration);
            Ok(())
        })?;
        let Some(end) = end else {
            return Err(walk.flv.map_or(NoPlan::Nothing, NoPlan::Flv));
        };
        let is_awaited = end + NEXT_FILE > now;
        Ok(Survey {
            // It must not change while a playlist grows (RFC 8216, 6.2.1).
            target: longest.max(LONGEST).div_ceil(1_000),
            is_growing: self.to > now && (walk.is_open || is_awaited),
        })
    }

    /// Writes the playlist. If the disk fails, it ends early, and isn't marked as complete.
    pub fn write(&self, out: &mut dyn Write, survey: Survey, uris: Uris<'_>) -> fmt::Result {
        let kind = if survey.is_growing { "EVENT" } else { "VOD" };
        write!(
            out,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:{kind}\n",
            survey.target
        )?;
        let init = ["init&", uris.query].concat();
        let mut last: Option<FileName> = None;
        let walk = self.walk(&mut |segment| {
            let Segment { name, wall, .. } = *segment;
            let is_next_file = last.replace(name) != Some(name);
            let mut put = || {
                if segment.has_gap {
                    out.write_str("#EXT-X-DISCONTINUITY\n")?;
                }
                if is_next_file {
                    let (folder, query) = (uris.folder, Carried(&init));
                    writeln!(out, "#EXT-X-MAP:URI=\"{folder}{name}{query}\"")?;
                }
                if is_next_file || segment.has_gap {
                    writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", Shown(wall))?;
                }
                let [seconds, ms] = [segment.duration / 1_000, segment.duration % 1_000];
                let (offset, len) = (segment.offset, segment.len);
                let (folder, query) = (uris.folder, Carried(uris.query));
                writeln!(
                    out,
                    "#EXTINF:{seconds}.{ms:03},\n#EXT-X-BYTERANGE:{len}@{offset}\n{folder}{name}{query}"
                )
            };
            put().map_err(|_| io::ErrorKind::Other.into())
        });
        match walk {
            Ok(_) if !survey.is_growing => out.write_str("#EXT-X-ENDLIST\n"),
            _ => Ok(()),
        }
    }

    /// Passes the segments to `found`, in their order.
    fn walk(&self, found: &mut dyn FnMut(&Segment) -> io::Result<()>) -> io::Result<Walk> {
        let mut walk = Walk::default();
        let mut name = None;
        while let Some(entry) = self
            .recordings
            .file_after(&self.stream, [self.from, self.to], name)
        {
            name = Some(entry.name);
            if entry.name.format() != Format::Mp4 {
                walk.flv.get_or_insert(entry.name);
                continue;
            }
            if let Some(file) = FileBody::open(&self.recordings, &self.stream, entry.name)? {
                self.walk_file(&file, &mut walk, found)?;
            }
        }
        Ok(walk)
    }

    fn walk_file(
        &self,
        file: &FileBody,
        walk: &mut Walk,
        found: &mut dyn FnMut(&Segment) -> io::Result<()>,
    ) -> io::Result<()> {
        let fragments = file.only_fragments()?;
        let Some(start) = self.start(file, fragments.clone())? else {
            return Ok(());
        };
        let mut fragments = fragments;
        let mut segment: Option<Segment> = None;
        walk.is_open = file.entry.is_open;
        while let Some(fragment) = fragments.next(&*file.file)? {
            let note = &fragment.note;
            if fragment.offset < start {
                continue;
            }
            let is_next = walk.has_begun || segment.is_some();
            if note.wall >= self.to || is_next && !begins_before(note, self.to) {
                walk.is_open = false;
                break;
            }
            if let Some(whole) = segment.filter(|segment| segment.ends_before(&fragment)) {
                found(&whole)?;
                walk.has_begun = true;
                segment = None;
            }
            let segment = segment.get_or_insert(Segment {
                name: file.entry.name,
                offset: fragment.offset,
                len: 0,
                time: note.time,
                duration: 0,
                wall: note.wall,
                has_gap: walk.has_begun && (note.has_gap || fragment.offset == start),
            });
            segment.len += u64::from(note.len);
            segment.duration = (note.time + u64::from(note.duration)).saturating_sub(segment.time);
        }
        // The last one may become longer while the file grows.
        if let Some(last) = segment.filter(|_| !walk.is_open) {
            found(&last)?;
            walk.has_begun = true;
        }
        Ok(())
    }

    /// Finds the fragment with which the span begins in a file, as in a [plan](super::plan).
    fn start(&self, file: &FileBody, mut fragments: Fragments) -> io::Result<Option<u64>> {
        let (mut start, mut end) = (None, 0);
        while let Some(fragment) = fragments.next(&*file.file)? {
            let note = &fragment.note;
            let is_later = note.wall > self.from;
            let is_passed = start.is_none() || end <= self.from;
            if note.is_start && (is_passed || !is_later) {
                start = Some(fragment.offset);
            }
            end = note.wall_end();
            if is_later && start.is_some() && (note.is_start || !is_passed) {
                break;
            }
        }
        Ok(start)
    }
}

/// What a walk through the segments has seen.
#[derive(Default)]
struct Walk {
    /// Whether there was a segment.
    has_begun: bool,
    /// Whether the last file may get more segments of the span.
    is_open: bool,
    /// The first file that HLS can't have.
    flv: Option<FileName>,
}

impl Segment {
    /// Whether the next segment begins with this fragment.
    fn ends_before(&self, next: &Fragment) -> bool {
        let note = &next.note;
        let end = note.time.saturating_add(note.duration.into());
        note.has_gap
            || note.is_start && self.duration >= SHORTEST
            || end.saturating_sub(self.time) > LONGEST
    }
}
