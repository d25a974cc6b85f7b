//! Summaries: what the plan of a span needs of a closed file that lies in it as a whole, at its end, so that
//! one read is enough.

use std::io;

use twox_hash::XxHash32;

use super::ends::Ends;
use super::index::{SUMMARY_LEN, TAIL_LEN};
use super::reader::{Fragment, read_exactly};
use crate::media::Medium;
use crate::media::mp4::movie::{Shift, Times, Totals, TrackTimes, TrackTotals};
use crate::media::mp4::note::{NOTE_LEN, Note};
use crate::media::mp4::read::InitMoov;
use crate::record::disk::DiskFile;

/// What some fragments that follow each other have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The first one.
    pub first: Fragment,
    /// The last one.
    pub last: Fragment,
    /// The length of the longest `moof`.
    pub longest: u32,
    /// Of all of them.
    pub totals: Totals,
    /// When their tracks begin and end in the file.
    pub times: Times,
}

/// The sums of fragments so far.
#[derive(Clone, Copy)]
pub struct Sums {
    summary: Summary,
    ends: Ends,
}

impl Sums {
    /// Begins with a fragment.
    pub fn begin(first: &Fragment) -> Sums {
        let summary = Summary {
            first: *first,
            last: *first,
            longest: 0,
            totals: Totals::default(),
            times: Times::default(),
        };
        let ends = Ends::default();
        let mut sums = Sums { summary, ends };
        sums.add(first);
        sums
    }

    /// Adds the next fragment.
    pub fn add(&mut self, next: &Fragment) {
        let summary = &mut self.summary;
        summary.last = *next;
        summary.longest = summary.longest.max(next.note.moof_len);
        summary.totals.add(&next.note);
        self.ends.add(next);
    }

    /// The first fragment, and the last one so far.
    pub fn ends(&self) -> [&Fragment; 2] {
        [&self.summary.first, &self.summary.last]
    }

    /// Reads the times.
    pub fn finish(self, file: &dyn DiskFile) -> io::Result<Summary> {
        Ok(Summary {
            times: self.ends.times(file, Shift::default())?,
            ..self.summary
        })
    }
}

impl Summary {
    /// Returns the bytes that stand at the end of a file with these tracks.
    pub(super) fn bytes(&self, tracks: &InitMoov) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SUMMARY_LEN);
        for fragment in [&self.first, &self.last] {
            bytes.extend_from_slice(&fragment.offset.to_be_bytes());
            bytes.extend_from_slice(&fragment.note.bytes());
        }
        let mut put = |number: u32| bytes.extend_from_slice(&number.to_be_bytes());
        put(self.longest);
        for medium in [Medium::Video, Medium::Audio] {
            let totals = self.totals.track(medium);
            let times = self.times.track(medium);
            let times = times.copied().unwrap_or(TrackTimes::NONE);
            let numbers = [
                totals.fragments,
                totals.samples,
                totals.time_runs,
                totals.offset_runs,
                totals.syncs,
                times.last_duration,
            ];
            numbers.into_iter().for_each(&mut put);
            for time in [times.first, times.shown, times.last, times.end] {
                put((time >> 32) as u32);
                put(time as u32);
            }
        }
        put(checksum_of(tracks));
        let checksum = XxHash32::oneshot(0, &bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// Reads the summary of a closed file of this length. `None` if there is none, or the tracks of the file
    /// aren't `tracks`, if these are given.
    pub fn read(
        file: &dyn DiskFile,
        len: u64,
        tracks: Option<&InitMoov>,
    ) -> io::Result<Option<Summary>> {
        let mut bytes = [0; SUMMARY_LEN];
        let Some(start) = len.checked_sub((SUMMARY_LEN + TAIL_LEN) as u64) else {
            return Ok(None);
        };
        let is_read = read_exactly(file, start, &mut bytes)?;
        let summary = Summary::parse(&bytes, tracks).filter(|_| is_read);
        Ok(summary.filter(|summary| summary.is_plausible(len)))
    }

    /// Whether a file of this length can have this.
    fn is_plausible(&self, len: u64) -> bool {
        /// No time is later, so that sums of times don't overflow.
        const LATEST: u64 = u64::MAX / 8;

        let times = [self.times.video, self.times.audio];
        self.first.offset <= self.last.offset
            && self.last.offset < len
            && times.iter().flatten().all(|times| {
                let latest = times.shown.max(times.last).max(times.end);
                times.first <= times.shown.min(times.last) && latest < LATEST
            })
    }

    fn parse(bytes: &[u8; SUMMARY_LEN], tracks: Option<&InitMoov>) -> Option<Summary> {
        let (mut rest, checksum) = bytes.split_last_chunk()?;
        if XxHash32::oneshot(0, rest) != u32::from_be_bytes(*checksum) {
            return None;
        }
        let mut fragment = || {
            let (offset, after) = rest.split_first_chunk()?;
            let note = Note::parse(after)?;
            rest = after.get(NOTE_LEN..)?;
            let offset = u64::from_be_bytes(*offset);
            Some(Fragment { offset, note })
        };
        let (first, last) = (fragment()?, fragment()?);
        let mut numbers = rest.chunks_exact(4).map(|chunk| {
            let number = chunk.try_into().unwrap_or_default();
            u32::from_be_bytes(number)
        });
        let mut number = || numbers.next();
        let longest = number()?;
        let (mut totals, mut times) = (Totals::default(), Times::default());
        let tracks_of_both = [
            (&mut totals.video, &mut times.video),
            (&mut totals.audio, &mut times.audio),
        ];
        for (totals, times) in tracks_of_both {
            *totals = TrackTotals {
                fragments: number()?,
                samples: number()?,
                time_runs: number()?,
                offset_runs: number()?,
                syncs: number()?,
            };
            let last_duration = number()?;
            let mut time = || Some(u64::from(number()?) << 32 | u64::from(number()?));
            let of_track = TrackTimes {
                first: time()?,
                shown: time()?,
                last: time()?,
                last_duration,
                end: time()?,
            };
            *times = Some(of_track).filter(|_| totals.samples > 0);
        }
        let found = number()?;
        let is_it = tracks.is_none_or(|tracks| found == checksum_of(tracks));
        is_it.then_some(Summary {
            first,
            last,
            longest,
            totals,
            times,
        })
    }
}

/// A number that is another one for other tracks.
fn checksum_of(tracks: &InitMoov) -> u32 {
    let mut bytes = Vec::new();
    for track in [&tracks.video, &tracks.audio] {
        let numbers = track
            .iter()
            .flat_map(|track| [track.timescale, track.size[0], track.size[1]]);
        numbers.for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
        let description = track.as_ref().map(|track| &*track.sample_description);
        bytes.extend_from_slice(description.unwrap_or_default());
    }
    XxHash32::oneshot(0, &bytes)
}
