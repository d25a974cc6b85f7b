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
//! needed. A closed file has its own sums at its end, so one that lies in the span as a whole takes a single
//! read. A file with other tracks ends the span, since one MP4 file can't have both.

use std::io;

use super::file::FileBody;
use super::{Body, Recordings};
use crate::media::Medium;
use crate::media::mp4::movie::{Shift, Times, Totals, TrackTimes};
use crate::media::mp4::note::Note;
use crate::media::mp4::read::InitMoov;
use crate::record::WallMillis;
use crate::record::disk::DiskFile;
use crate::record::mp4::reader::Fragments;
use crate::record::mp4::summary::{Summary, Sums};
use crate::record::name::{FileName, Format};
use crate::rtmp::stream_key::StreamKey;

/// The maximum length of a span, in ms: a day.
pub const MAX_SPAN: WallMillis = 24 * 3_600_000;

/// The maximum number of files in a span.
pub const MAX_FILES: usize = 256;

/// Less than this between two files, or between two clocks, comes from the network, and isn't a gap, in ms.
pub(super) const JITTER: WallMillis = 1_000;

/// A fragment that begins less than this before the end isn't part of a span any more, in ms. Otherwise the
/// span up to the end of what was recorded so far would become longer when the next fragment is there,
/// since frames arrive a little early or late.
const END_JITTER: WallMillis = 250;

/// The number of bytes that each file of a plan occupies at most.
const PART_COST: usize = size_of::<Part>();

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
    pub(super) name: FileName,
    /// The offset of its first fragment.
    pub(super) start: u64,
    /// The end of its last fragment.
    pub(super) end: u64,
    /// The number of bytes in the parts before.
    pub(super) before: u64,
    /// The time of the file's zero in the span, in ms.
    shift: i64,
    /// The same in ticks of the tracks.
    pub(super) ticks: Shift,
    /// The file's [zero](Note::zero) in the stream.
    zero: u32,
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
    /// It was recorded as FLV, in this file and perhaps more.
    Flv(FileName),
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
    let mut plan = Plan {
        parts: Vec::new(),
        init: InitMoov::default(),
        from: 0,
        to: 0,
        len: 0,
    };
    let (mut name, mut last) = (None, None);
    let mut longest = 0;
    let mut failed = None;
    while let Some(entry) = recordings.file_after(stream, [from, to], name) {
        name = Some(entry.name);
        let count = plan.parts.len();
        if entry.name.format() != Format::Mp4 {
            match count {
                0 => return Err(NoPlan::Flv(entry.name)),
                _ => break,
            }
        }
        let tracks = (count > 0).then_some(&plan.init);
        let (file, init, found) = match examine(recordings, stream, entry.name, [from, to], tracks)
        {
            Ok(Some(examined)) => examined,
            Ok(None) => continue,
            Err(error) => {
                // What the others have can be played.
                failed.get_or_insert(error);
                continue;
            }
        };
        if let Some(init) = init {
            if count > 0 && plan.init != init {
                break;
            }
            plan.init = init;
        }
        if count == MAX_FILES {
            return Err(NoPlan::TooManyFiles);
        }
        longest = longest.max(found.longest);
        let cost = PART_COST * (count + 1).next_power_of_two() + memory(&plan.init, longest);
        if !pay(cost) {
            return Err(NoPlan::NoMemory);
        }
        if count == 0 {
            plan.from = found.first.note.wall;
        }
        plan.add(&file, &found, last);
        last = Some(found.last.note);
    }
    match (plan.parts.len(), failed) {
        (0, None) => Err(NoPlan::Nothing),
        (0, Some(error)) => Err(NoPlan::Disk(error)),
        _ => Ok(plan),
    }
}

/// Opens a file, and finds what it has of a span. `None` if that is nothing, or the file was deleted meanwhile.
/// `before`: the tracks of the files before. The tracks of this one are returned unless they are known to
/// be the same.
fn examine(
    recordings: &Recordings,
    stream: &StreamKey,
    name: FileName,
    [from, to]: [WallMillis; 2],
    before: Option<&InitMoov>,
) -> io::Result<Option<(FileBody, Option<InitMoov>, Summary)>> {
    let Some(file) = FileBody::open(recordings, stream, name)? else {
        return Ok(None);
    };
    if let Some(tracks) = before {
        if let Some(found) = whole(&file, tracks, from, to)? {
            return Ok(Some((file, None, found)));
        }
    }
    let (head, fragments) = file.fragments()?;
    let found = find(&*file.file, fragments, from, to, before.is_some())?;
    Ok(found.map(|found| (file, Some(head.init), found)))
}

/// The number of bytes that a span occupies besides its parts: the tracks twice, a `moof`, and a piece of
/// a table that is made from it.
fn memory(init: &InitMoov, moof_len: u32) -> usize {
    let tracks = [&init.video, &init.audio].into_iter().flatten();
    let tracks: usize = tracks.map(|track| track.sample_description.len()).sum();
    2 * tracks + moof_len as usize * 3 / 2
}

const TRACKS: [Medium; 2] = [Medium::Video, Medium::Audio];

/// The number of samples of a track in a fragment.
pub(super) fn samples(note: &Note, medium: Medium) -> u16 {
    match medium {
        Medium::Video => note.video.samples,
        Medium::Audio => note.audio.samples,
    }
}

/// Returns what a closed file has if all of it is wanted, behind another file; `None` if it has to be read.
fn whole(
    file: &FileBody,
    tracks: &InitMoov,
    from: WallMillis,
    to: WallMillis,
) -> io::Result<Option<Summary>> {
    if file.entry.is_open {
        return Ok(None);
    }
    let summary = Summary::read(&*file.file, file.len(), Some(tracks))?;
    Ok(summary.filter(|summary| {
        let first = &summary.first.note;
        first.is_start && first.wall > from && begins_before(&summary.last.note, to)
    }))
}

/// Finds the fragments between two times, from the last start at or before `from` on; from the next one
/// if nothing was recorded at `from`. `is_next`: whether there are fragments of another file before.
fn find(
    file: &dyn DiskFile,
    mut fragments: Fragments,
    from: WallMillis,
    to: WallMillis,
    is_next: bool,
) -> io::Result<Option<Summary>> {
    let mut part: Option<Sums> = None;
    while let Some(found) = fragments.next(file)? {
        let note = &found.note;
        let last = part.as_ref().map(|part| part.ends()[1]);
        let is_passed = last.is_none_or(|last| last.note.wall_end() <= from);
        if note.wall >= to || (is_next || !is_passed) && !begins_before(note, to) {
            break;
        }
        match &mut part {
            _ if note.is_start && (is_passed || note.wall <= from) => {
                part = Some(Sums::begin(&found));
            }
            Some(part) => part.add(&found),
            None => {}
        }
    }
    let part = part.filter(|part| {
        let [first, last] = part.ends();
        first.note.wall < to && last.note.wall_end() > from
    });
    part.map(|part| part.finish(file)).transpose()
}

/// Whether a fragment that follows others begins before the end of a span.
pub(super) fn begins_before(note: &Note, to: WallMillis) -> bool {
    note.wall.saturating_add(END_JITTER) < to
}

impl Plan {
    /// Adds the fragments of the next file. `last`: the fragment before them.
    fn add(&mut self, file: &FileBody, found: &Summary, last: Option<Note>) {
        let first = &found.first.note;
        let wanted = match (self.parts.last(), last) {
            (Some(before), Some(last)) => {
                let duration = u64::from(last.duration);
                let end = signed(last.time) + before.shift + signed(duration);
                let gap = first.wall.saturating_sub(last.wall_end());
                let gap = gap / u64::from(last.speed.max(1));
                let gap = if gap < JITTER { 0 } else { gap };
                end + signed(gap)
            }
            _ => 0,
        };
        let mut shift = wanted - signed(first.time);
        let mut ticks = Shift::new(&self.init, shift);
        if let Some((exact, exact_ticks)) = self.exact_shift(first.zero, shift) {
            (shift, ticks) = (exact, exact_ticks);
        }
        let mut times = found.times.moved(ticks);
        let delay = self.overlap(&times);
        if delay > 0 {
            shift += delay;
            ticks = Shift::new(&self.init, shift);
            times = found.times.moved(ticks);
        }
        let (start, end) = (found.first.offset, found.last.end());
        self.parts.push(Part {
            name: file.entry.name,
            start,
            end,
            before: self.len,
            shift,
            ticks,
            zero: first.zero,
            totals: found.totals,
            times,
        });
        self.len += end - start;
        self.to = self.to.max(found.last.note.wall_end());
    }

    /// The shift of the next part by the stream's own clock, in ms and in ticks, unless that contradicts
    /// `shift`, which follows from when frames arrived: then the stream had ended in between, and its
    /// clock began anew.
    fn exact_shift(&self, zero: u32, shift: i64) -> Option<(i64, Shift)> {
        let before = self.parts.last()?;
        let distance = zero.wrapping_sub(before.zero) as i32;
        let exact = before.shift + i64::from(distance);
        let is_near = exact.abs_diff(shift) < JITTER;
        let from = i64::from(before.zero);
        let zeros = [from, from + i64::from(distance)];
        is_near.then(|| (exact, before.ticks.of_next(&self.init, zeros)))
    }

    /// The number of ms by which the next part has to be later, so that no track goes backward.
    fn overlap(&self, next: &Times) -> i64 {
        let late = |medium| {
            let before = self.last_times(self.parts.len(), medium)?;
            let timescale = self.init.track(medium)?.timescale;
            let next = next.track(medium)?;
            let ticks = (before.last + 1).saturating_sub(next.first);
            Some(signed((ticks * 1_000).div_ceil(timescale.into())))
        };
        TRACKS.into_iter().filter_map(late).max().unwrap_or(0)
    }

    /// The times of a track in the last of the first `count` parts that has it.
    pub(super) fn last_times(&self, count: usize, medium: Medium) -> Option<TrackTimes> {
        let mut parts = self.parts.iter().take(count).rev();
        parts.find_map(|part| part.times.track(medium).copied())
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
                .find_map(|part| part.times.track(medium).copied())?;
            let last = self.last_times(self.parts.len(), medium)?;
            Some(first.followed_by(last))
        };
        Times {
            video: ends(Medium::Video),
            audio: ends(Medium::Audio),
        }
    }

    /// The names of its files, and where in these it begins and ends. Other spans have other ones.
    pub fn places(&self) -> impl Iterator<Item = (FileName, u64, u64)> {
        let parts = self.parts.iter();
        parts.map(|part| (part.name, part.start, part.end))
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX / 4)
}
