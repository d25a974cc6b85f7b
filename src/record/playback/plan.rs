//! The fragments that make up a span of a stream's recordings.
//!
//! ```text
//! wall clock      from                                to
//!                  |                                   |
//! files     [K...|K.!.|K....]  [K...|K...]     gap     [K.!.|K...]
//! parts          `----- 1 ---'  `--- 2 --'             `-3-'
//! ```
//!
//! A part is a range of one file. Of its fragments only sums are kept; their notes are read when they are
//! needed. A file with other tracks ends the span, since one MP4 file can't have both.

use std::io;

use super::file::FileBody;
use super::fragments::{Found, Fragments, read_head, read_moof};
use super::{Body, Recording, Recordings};
use crate::media::Medium;
use crate::media::mp4::movie::{Shift, Times, Totals, TrackTimes};
use crate::media::mp4::note::Note;
use crate::media::mp4::read::InitMoov;
use crate::record::WallMillis;
use crate::rtmp::stream_key::StreamKey;

/// The maximum length of a span, in ms: a day.
pub const MAX_SPAN: WallMillis = 24 * 3_600_000;

/// The maximum number of files in a span.
pub const MAX_FILES: usize = 256;

/// Less than this between two files comes from the network, and isn't a gap, in ms.
const JITTER: WallMillis = 1_000;

/// The number of bytes that each file of a plan occupies at most.
const PART_COST: usize = size_of::<Part>() + 48;

/// The fragments of a span. See the module's documentation.
pub struct Plan {
    /// The ranges of files, at least one.
    pub(super) parts: Vec<Part>,
    /// The tracks, the same in all files.
    pub(super) init: InitMoov,
    /// The time of its first frame.
    pub from: WallMillis,
    /// The end of its last frame.
    pub to: WallMillis,
    /// The number of bytes of all parts.
    pub(super) len: u64,
}

/// A range of a file.
pub(super) struct Part {
    /// The name of the file.
    pub(super) name: String,
    /// The first and the last fragment.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The number of bytes in the parts before.
    pub(super) before: u64,
    /// The time of the file's zero in the span, in ms.
    pub(super) shift: i64,
    /// Of its fragments.
    pub(super) totals: Totals,
    /// In the span.
    pub(super) times: Times,
}

/// The reason why a span can't be played.
#[derive(Debug)]
pub enum NoPlan {
    /// Nothing was recorded.
    Nothing,
    /// It was recorded as FLV.
    Flv,
    /// There are more than [`MAX_FILES`] files.
    TooManyFiles,
    /// There is no memory for the plan.
    NoMemory,
    /// The disk failed.
    Disk(io::Error),
}

impl From<io::Error> for NoPlan {
    fn from(error: io::Error) -> NoPlan {
        NoPlan::Disk(error)
    }
}

/// Looks for the fragments of a stream between two times, from the keyframe at or before `from` on. `pay`
/// is called with the number of bytes that the plan will occupy, before they are allocated.
pub fn plan(
    recordings: &Recordings,
    stream: &StreamKey,
    from: WallMillis,
    to: WallMillis,
    pay: &mut dyn FnMut(usize) -> bool,
) -> Result<Plan, NoPlan> {
    let mut plan: Option<Plan> = None;
    let mut last = None;
    let mut name: Option<String> = None;
    while let Some(recording) = recordings
        .shelf
        .file_after(stream, from, to, name.as_deref())
    {
        name = Some(recording.name.clone());
        let count = plan.as_ref().map_or(0, |plan| plan.parts.len());
        if !recording.is_mp4() {
            match plan {
                Some(plan) => return Ok(plan),
                None => return Err(NoPlan::Flv),
            }
        }
        let Some((_, mut file)) = FileBody::open(recordings, stream, &recording.name)? else {
            continue; // deleted meanwhile
        };
        let head = read_head(&mut file)?;
        let is_other = |plan: &Plan| plan.init != head.init;
        if plan.as_ref().is_some_and(is_other) {
            break;
        }
        let end = head.closed_at.unwrap_or(file.len());
        let Some(found) = find(&mut file, Fragments::new(head.len, end), from, to)? else {
            continue;
        };
        if count == MAX_FILES {
            return Err(NoPlan::TooManyFiles);
        }
        let cost = PART_COST * (count + 1).next_power_of_two() + memory(&head.init);
        if !pay(cost) {
            return Err(NoPlan::NoMemory);
        }
        let plan = plan.get_or_insert_with(|| Plan {
            parts: Vec::new(),
            init: head.init,
            from: found.first.note.wall,
            to: 0,
            len: 0,
        });
        plan.add(recording, &mut file, &found, last)?;
        last = Some(found.last.note);
    }
    plan.ok_or(NoPlan::Nothing)
}

fn memory(init: &InitMoov) -> usize {
    let tracks = [&init.video, &init.audio].into_iter().flatten();
    tracks.map(|track| track.sample_description.len()).sum()
}

/// The wanted fragments of a file.
struct FoundPart {
    first: Found,
    last: Found,
    totals: Totals,
    /// The first and the last fragment of each track.
    of_tracks: [Option<(Found, Found)>; 2],
}

const TRACKS: [Medium; 2] = [Medium::Video, Medium::Audio];

/// The number of samples of a track in a fragment.
pub(super) fn samples(note: &Note, medium: Medium) -> u16 {
    match medium {
        Medium::Video => note.video.samples,
        Medium::Audio => note.audio.samples,
    }
}

/// Finds the fragments between two times, from the last start at or before `from` on.
fn find(
    file: &mut dyn Body,
    mut fragments: Fragments,
    from: WallMillis,
    to: WallMillis,
) -> io::Result<Option<FoundPart>> {
    let mut part: Option<FoundPart> = None;
    while let Some(found) = fragments.next(file)? {
        let note = &found.note;
        if note.wall >= to && part.is_some() {
            break;
        }
        if note.is_start && (part.is_none() || note.wall <= from) {
            part = Some(FoundPart {
                first: found,
                last: found,
                totals: Totals::default(),
                of_tracks: [None; 2],
            });
        }
        let Some(part) = &mut part else {
            continue;
        };
        part.last = found;
        part.totals.add(note);
        for (of_track, medium) in part.of_tracks.iter_mut().zip(TRACKS) {
            if samples(note, medium) > 0 {
                let first = of_track.map_or(found, |(first, _)| first);
                *of_track = Some((first, found));
            }
        }
    }
    Ok(part.filter(|part| {
        let last = &part.last.note;
        part.first.note.wall < to && last.wall + u64::from(last.duration) > from
    }))
}

impl Plan {
    /// Adds the fragments of the next file. `last`: the fragment before them.
    fn add(
        &mut self,
        recording: Recording,
        file: &mut FileBody,
        found: &FoundPart,
        last: Option<Note>,
    ) -> io::Result<()> {
        let first = &found.first.note;
        let wanted = match (self.parts.last(), last) {
            (Some(before), Some(last)) => {
                let duration = u64::from(last.duration);
                let end = signed(last.time) + before.shift + signed(duration);
                let gap = first.wall.saturating_sub(last.wall + duration);
                let gap = if gap < JITTER { 0 } else { gap };
                end + signed(gap)
            }
            _ => 0,
        };
        let mut shift = wanted - signed(first.time);
        let times = self.times_of(file, found, shift)?;
        let delay = self.overlap(&times);
        let times = if delay > 0 {
            shift += delay;
            self.times_of(file, found, shift)?
        } else {
            times
        };
        let (start, end) = (found.first.at, found.last.end());
        self.parts.push(Part {
            name: recording.name,
            start,
            end,
            before: self.len,
            shift,
            totals: found.totals,
            times,
        });
        self.len += end - start;
        let last = &found.last.note;
        self.to = self.to.max(last.wall + u64::from(last.duration));
        Ok(())
    }

    /// Reads the first and last times of each track.
    fn times_of(&self, file: &mut FileBody, found: &FoundPart, shift: i64) -> io::Result<Times> {
        let shift = Shift::new(&self.init, shift);
        let mut ends: Vec<Found> = Vec::with_capacity(4);
        for (first, last) in found.of_tracks.iter().flatten() {
            ends.extend([*first, *last]);
        }
        ends.sort_unstable_by_key(|found| found.at);
        ends.dedup();
        let mut times = Times::default();
        let mut bytes = Vec::new();
        for found in ends {
            times.add(&read_moof(file, &found, &mut bytes)?, shift);
        }
        Ok(times)
    }

    /// The number of ms by which the next part has to be later, so that no track goes backward.
    fn overlap(&self, next: &Times) -> i64 {
        let late = |medium| {
            let before = self.last_times(self.parts.len(), medium)?;
            let timescale = self.init.track(medium)?.timescale;
            let next = track(next, medium)?;
            let ticks = (before.last + 1).saturating_sub(next.first);
            Some(signed((ticks * 1_000).div_ceil(timescale.into())))
        };
        TRACKS.into_iter().filter_map(late).max().unwrap_or(0)
    }

    /// The times of a track in the last of the first `count` parts that has it.
    pub(super) fn last_times(&self, count: usize, medium: Medium) -> Option<TrackTimes> {
        let mut parts = self.parts.iter().take(count).rev();
        parts.find_map(|part| track(&part.times, medium))
    }

    /// The sums of all parts.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for part in &self.parts {
            totals = totals.plus(&part.totals);
        }
        totals
    }

    /// The first and the last times of each track.
    pub(super) fn times(&self) -> Times {
        let ends = |medium| {
            let first = self
                .parts
                .iter()
                .find_map(|part| track(&part.times, medium))?;
            let last = self.last_times(self.parts.len(), medium)?;
            Some(first.followed_by(last))
        };
        Times {
            video: ends(Medium::Video),
            audio: ends(Medium::Audio),
        }
    }

    /// Numbers that differ for plans of different bytes: names, offsets, and their sum.
    pub fn identity(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let parts = self.parts.iter();
        parts.map(|part| (part.name.as_str(), part.start, part.end))
    }
}

fn track(times: &Times, medium: Medium) -> Option<TrackTimes> {
    match medium {
        Medium::Video => times.video,
        Medium::Audio => times.audio,
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX / 4)
}
