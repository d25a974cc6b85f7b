//! A `moov` with the samples of any list of fragments (ISO/IEC 14496-12, 8).
//!
//! Every table is a concatenation of pieces, one for each fragment, and [notes](super::note) say how long
//! each piece is. So the length of the `moov` and the place of each piece are known before a fragment is
//! read, and any range of it can be made from the fragments concerned:
//!
//! ```text
//! Fixed | Table (stts of video) | Fixed | Table (ctts of video) | ... | Table (co64 of audio)
//!         ^ fragment 0 | fragment 1 | ...
//! ```
//!
//! | table | a piece has, of the samples of its track in its fragment                             |
//! |-------|--------------------------------------------------------------------------------------|
//! | stts  | the time between the last sample before and the first one; runs up to the last one   |
//! | ctts  | runs of composition offsets; only for video                                          |
//! | stss  | the numbers of sync samples; only for video                                          |
//! | stsc  | an entry: the fragment's samples are a chunk                                         |
//! | stsz  | sizes                                                                                |
//! | co64  | the offset of the first sample                                                       |

use std::ops::Range;

use super::note::{Counts, Note};
use super::read::{InitMoov, Moof};
use crate::media::Medium;

/// The number of samples and table entries of some fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of the video track.
    pub video: TrackTotals,
    /// Of the audio track.
    pub audio: TrackTotals,
}

/// The part of [`Totals`] for one track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackTotals {
    /// Fragments with samples of the track.
    pub fragments: u32,
    /// Samples.
    pub samples: u32,
    /// As in [`Counts`].
    pub time_runs: u32,
    /// As in [`Counts`].
    pub offset_runs: u32,
    /// As in [`Counts`].
    pub syncs: u32,
}

impl Totals {
    /// Adds a fragment.
    pub fn add(&mut self, note: &Note) {
        self.video.add(&note.video);
        self.audio.add(&note.audio);
    }

    /// Returns the sum.
    pub fn plus(&self, other: &Totals) -> Totals {
        let sum = |a: &TrackTotals, b: &TrackTotals| TrackTotals {
            fragments: a.fragments.saturating_add(b.fragments),
            samples: a.samples.saturating_add(b.samples),
            time_runs: a.time_runs.saturating_add(b.time_runs),
            offset_runs: a.offset_runs.saturating_add(b.offset_runs),
            syncs: a.syncs.saturating_add(b.syncs),
        };
        Totals {
            video: sum(&self.video, &other.video),
            audio: sum(&self.audio, &other.audio),
        }
    }

    fn track(&self, medium: Medium) -> &TrackTotals {
        match medium {
            Medium::Video => &self.video,
            Medium::Audio => &self.audio,
        }
    }
}

impl TrackTotals {
    fn add(&mut self, counts: &Counts) {
        self.fragments = self.fragments.saturating_add((counts.samples > 0).into());
        self.samples = self.samples.saturating_add(counts.samples.into());
        self.time_runs = self.time_runs.saturating_add(counts.time_runs.into());
        self.offset_runs = self.offset_runs.saturating_add(counts.offset_runs.into());
        self.syncs = self.syncs.saturating_add(counts.syncs.into());
    }
}

/// A distance between the times in a file and those in a movie, in ticks of each track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    video: i64,
    audio: i64,
}

impl Shift {
    /// Returns the shift by this many milliseconds: negative if the movie begins after the file.
    pub fn new(init: &InitMoov, ms: i64) -> Shift {
        let ticks = |medium| {
            let timescale = init.track(medium).map_or(1000, |track| track.timescale);
            let ticks = i128::from(ms) * i128::from(timescale);
            i64::try_from(ticks.div_euclid(1000)).unwrap_or(0)
        };
        Shift {
            video: ticks(Medium::Video),
            audio: ticks(Medium::Audio),
        }
    }
}

/// The first and the last times of each track in some fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Of the video track, if it has samples.
    pub video: Option<TrackTimes>,
    /// Of the audio track, if it has samples.
    pub audio: Option<TrackTimes>,
}

/// The part of [`Times`] for one track, in its ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackTimes {
    /// The decode time of the first sample.
    pub first: u64,
    /// The decode time of the last sample.
    pub last: u64,
    /// The duration of the last sample.
    pub last_duration: u32,
    /// When the last sample that is presented ends.
    pub end: u64,
}

impl Times {
    /// Adds a fragment behind the others. Fragments in between may be left out: what counts for
    /// [`Movie::new`] are, for each track, the first and the last fragment that have samples of it.
    pub fn add(&mut self, moof: &Moof<'_>, shift: Shift) {
        let _ = (moof, shift);
        todo!()
    }
}

/// A table of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Decode times.
    Stts,
    /// Composition offsets.
    Ctts,
    /// Numbers of sync samples.
    Stss,
    /// Samples of each chunk.
    Stsc,
    /// Sizes.
    Stsz,
    /// Offsets of chunks.
    Co64,
}

/// A part of a [`Movie`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Where its bytes begin in the `moov`.
    pub start: u64,
    /// The number of its bytes.
    pub len: u64,
    /// What it is.
    pub content: Content<'a>,
}

/// What a [`Section`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// These bytes.
    Fixed(&'a [u8]),
    /// The pieces of all fragments, from [`Movie::piece`].
    Table(Medium, Table),
}

/// A fragment in a movie.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Its samples.
    pub moof: &'a Moof<'a>,
    /// From its file's times to those of the movie.
    pub shift: Shift,
    /// The offset of the `moof` in the file that has the `moov`.
    pub moof_at: u64,
}

/// A `moov`, without its tables.
#[derive(Clone, Debug)]
pub struct Movie {
    len: u64,
}

impl Movie {
    /// Lays out the `moov` of fragments with these totals and times. `created`: ms since 1970.
    ///
    /// `None` if there are no samples, or too many.
    pub fn new(init: &InitMoov, totals: &Totals, times: &Times, created: u64) -> Option<Movie> {
        let _ = (init, totals, times, created);
        None
    }

    /// The length of the `moov` in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns the parts of the `moov`, in their order, without a gap.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        std::iter::empty()
    }

    /// Returns where in the `moov` the piece of a fragment lies. `before`: the fragments in front of it.
    /// Empty if the fragment has nothing for this table, or there is no such table.
    pub fn piece_range(
        &self,
        medium: Medium,
        table: Table,
        before: &Totals,
        note: &Note,
    ) -> Range<u64> {
        let _ = (medium, table, before.track(medium), note);
        0..0
    }

    /// Appends the piece of a fragment to `out`. `before` and `earlier`: the fragments in front of it. Of
    /// their times only the last ones count, so for each track the nearest fragment before is enough.
    ///
    /// Returns where in the `moov` the piece lies; `None`, with nothing appended, if the fragment
    /// doesn't have the samples that its note counts.
    pub fn piece(
        &self,
        (medium, table): (Medium, Table),
        before: &Totals,
        earlier: &Times,
        note: &Note,
        fragment: &Placed<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Range<u64>> {
        let _ = (earlier, fragment, out);
        Some(self.piece_range(medium, table, before, note))
    }
}
