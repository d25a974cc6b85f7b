//! A span of recordings as an HLS playlist: pieces of its files (RFC 8216bis, section 4).
//!
//! ```text
//! #EXT-X-MAP:URI="door/2026-11-28T11-30-00Z.mp4?init"
//! #EXT-X-PROGRAM-DATE-TIME:2026-11-28T11:30:00.250Z
//! #EXTINF:4.004,
//! door/2026-11-28T11-30-00Z.mp4?segment=1204-1048576-5000
//! ```
//!
//! A segment is a few fragments: offset and length in the file, and the time of the stream that is 0 in the
//! playlist. Which fragments depends only on those before, so a playlist that is loaded again while the
//! file grows lists the same segments, and more.
//!
//! Times run on from file to file, and from one side of a gap to the other, although each file counts from
//! its own zero ([`SegmentBody`](super::segment::SegmentBody)). So there is a discontinuity only where the
//! tracks change, and what is missing at a gap shows in the dates. With more of them VLC 3 would end there,
//! since it doesn't load an init segment twice, and hls.js would leave a hole, because the tracks don't end at
//! the same time.

use std::fmt::{self, Write};
use std::io;

use super::Recordings;
use super::file::FileBody;
use super::plan::{JITTER, NoPlan, begins_before};
use super::segment::Place;
use super::time::Shown;
use crate::live::hls::playlist::Carried;
use crate::media::mp4::note::Note;
use crate::media::mp4::read::InitMoov;
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

/// The playlist couldn't be written: no error of a file.
const NOT_WRITTEN: io::ErrorKind = io::ErrorKind::WriteZero;

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
    place: Place,
    /// The time of its first fragment in the file, in ms.
    time: u64,
    /// In ms.
    duration: u64,
    wall: WallMillis,
    /// Whether it doesn't continue the segment before.
    has_gap: bool,
    /// Whether its file has other tracks than the file before.
    has_new_tracks: bool,
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
            return Err(match (walk.flv, walk.failed) {
                (Some(file), _) => NoPlan::Flv(file),
                (None, Some(error)) => NoPlan::Disk(error),
                (None, None) => NoPlan::Nothing,
            });
        };
        let is_awaited = end + NEXT_FILE > now;
        Ok(Survey {
            // It must not change while a playlist grows (RFC 8216, 6.2.1).
            target: longest.max(LONGEST).div_ceil(1_000),
            is_growing: self.to > now && (walk.is_open || is_awaited),
        })
    }

    /// Writes the playlist, without files that can't be read.
    pub fn write(&self, out: &mut dyn Write, survey: Survey, uris: Uris<'_>) -> fmt::Result {
        let kind = if survey.is_growing { "EVENT" } else { "VOD" };
        write!(
            out,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:{kind}\n",
            survey.target
        )?;
        let init = ["init&", uris.query].concat();
        let others = Carried(uris.query).to_string().replacen('?', "&", 1);
        let mut last: Option<FileName> = None;
        let walk = self.walk(&mut |segment| {
            let Segment { name, wall, .. } = *segment;
            let is_first = last.is_none();
            let is_next_file = last.replace(name) != Some(name);
            let mut put = || {
                if segment.has_new_tracks {
                    if !is_first {
                        out.write_str("#EXT-X-DISCONTINUITY\n")?;
                    }
                    let (folder, query) = (uris.folder, Carried(&init));
                    writeln!(out, "#EXT-X-MAP:URI=\"{folder}{name}{query}\"")?;
                }
                if is_next_file || segment.has_gap {
                    writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", Shown(wall))?;
                }
                let [seconds, ms] = [segment.duration / 1_000, segment.duration % 1_000];
                let (folder, place) = (uris.folder, segment.place);
                writeln!(
                    out,
                    "#EXTINF:{seconds}.{ms:03},\n{folder}{name}?segment={place}{others}"
                )
            };
            put().map_err(|_| NOT_WRITTEN.into())
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
            let opened = FileBody::open(&self.recordings, &self.stream, entry.name);
            let walked = opened.and_then(|file| match file {
                Some(file) => self.walk_file(&file, &mut walk, found),
                None => Ok(()),
            });
            match walked {
                Err(error) if error.kind() == NOT_WRITTEN => return Err(error),
                Err(error) => {
                    // What the others have can be played.
                    walk.is_open = false;
                    walk.tracks = None;
                    walk.failed.get_or_insert(error);
                }
                Ok(()) => {}
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
        let (mut tracks, fragments) = file.fragments_after(walk.tracks.as_ref())?;
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
            if note.wall >= self.to || walk.clock.is_some() && !begins_before(note, self.to) {
                walk.is_open = false;
                break;
            }
            if let Some(whole) = segment.filter(|segment| segment.ends_before(&fragment)) {
                found(&whole)?;
                segment = None;
            }
            let is_first = fragment.offset == start;
            let has_new_tracks = tracks.is_some();
            walk.tracks = tracks.take().or(walk.tracks.take());
            let is_later = walk.clock.is_some();
            let clock = walk.clock.get_or_insert_with(|| Clock::new(note));
            let has_gap = clock.pass(note, is_first, has_new_tracks);
            let segment = segment.get_or_insert(Segment {
                name: file.entry.name,
                place: Place {
                    offset: fragment.offset,
                    len: 0,
                    zero: clock.zero,
                },
                time: note.time,
                duration: 0,
                wall: note.wall,
                has_gap: is_later && has_gap,
                has_new_tracks,
            });
            segment.place.len += u64::from(note.len);
            segment.duration = note.end().saturating_sub(segment.time);
        }
        // The last one may become longer while the file grows.
        if let Some(last) = segment.filter(|_| !walk.is_open) {
            found(&last)?;
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
    /// The clock, once there was a fragment.
    clock: Option<Clock>,
    /// The tracks of the last file.
    tracks: Option<InitMoov>,
    /// Whether the last file may get more segments of the span.
    is_open: bool,
    /// The first file that HLS can't have.
    flv: Option<FileName>,
    /// What was wrong with the first file that can't be read.
    failed: Option<io::Error>,
}

/// The time in a playlist.
struct Clock {
    /// The time of the stream that is 0 in the playlist, in ms; wraps.
    zero: u32,
    /// The time in the playlist at which the next fragment should begin, in ms.
    end: u64,
    /// When it should have arrived.
    wall: WallMillis,
}

impl Clock {
    /// The clock of a playlist that begins with this fragment.
    fn new(note: &Note) -> Clock {
        Clock {
            zero: note.stream_time(),
            end: 0,
            wall: note.wall,
        }
    }

    /// Passes the next fragment, and returns whether it doesn't continue what was before. If so, time goes
    /// on as if nothing were missing.
    fn pass(&mut self, note: &Note, is_first: bool, has_new_tracks: bool) -> bool {
        // By the stream's own clock, unless that began anew in between.
        let distance = note.stream_time().wrapping_sub(self.zero);
        let is_near = |this: u64, that: u64| this.abs_diff(that) < JITTER;
        let is_next = !is_first
            || is_near(distance.into(), self.end) && note.wall < self.wall.saturating_add(JITTER);
        let has_gap = note.has_gap || has_new_tracks || !is_next;
        if has_gap {
            self.zero = note.stream_time().wrapping_sub(self.end as u32);
        }
        let time = note.stream_time().wrapping_sub(self.zero);
        self.end = u64::from(time) + u64::from(note.duration);
        self.wall = note.wall.saturating_add(note.duration.into());
        has_gap
    }
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
