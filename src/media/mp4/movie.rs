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

mod layout;
mod table;
mod times;
mod totals;

use std::ops::Range;

use super::note::Note;
use super::read::{InitMoov, Moof};
use crate::media::Medium;
use layout::{Cut, Layout};
use table::Source;

pub use table::Table;
pub use times::{Shift, Times, TrackTimes};
pub use totals::{Totals, TrackTotals};

/// The maximum length of a `moov` in bytes.
pub const MAX_MOVIE_LEN: u64 = 1 << 30;

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
    /// From its file's times to those of the movie. Fragments must not overlap in these: a sample that
    /// is earlier than the last one of the fragment before comes too late, like all that follow.
    pub shift: Shift,
    /// The offset of the `moof` in the file that has the `moov`.
    pub moof_at: u64,
}

/// A `moov`, without its tables.
#[derive(Clone, Debug)]
pub struct Movie {
    /// All bytes but those of the tables.
    fixed: Vec<u8>,
    /// The tables, in their order.
    cuts: Vec<Cut>,
    len: u64,
}

impl Movie {
    /// Lays out the `moov` of fragments with these totals and times. `created`: ms since 1970, or 0.
    ///
    /// `None` if there are no samples, there are samples of a track without times, or the `moov` were
    /// longer than [`MAX_MOVIE_LEN`].
    pub fn new(init: &InitMoov, totals: &Totals, times: &Times, created: u64) -> Option<Movie> {
        let layout = Layout::new(init, totals, times, created)?;
        let fixed = layout.boxes.0;
        let len = fixed.len() as u64 + layout.tables;
        (len <= MAX_MOVIE_LEN).then_some(Movie {
            fixed,
            cuts: layout.cuts,
            len,
        })
    }

    /// The length of the `moov` in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns the parts of the `moov`, in their order, without a gap.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        (0..).map_while(|index| self.section(index))
    }

    /// Returns the part that contains an offset.
    pub fn section_at(&self, offset: u64) -> Option<Section<'_>> {
        let mut sections = self.sections();
        sections.find(|section| offset < section.start + section.len)
    }

    /// Returns a part: in front of each table, and behind the last one, are other bytes.
    fn section(&self, index: usize) -> Option<Section<'_>> {
        let cut = self.cuts.get(index / 2);
        if index % 2 == 1 {
            return cut.map(|cut| Section {
                start: cut.start(),
                len: cut.len,
                content: Content::Table(cut.medium, cut.table),
            });
        }
        let before = (index / 2).checked_sub(1);
        let (from, start) = match before {
            None => (0, 0),
            Some(before) => {
                let before = self.cuts.get(before)?;
                (before.at, before.start() + before.len)
            }
        };
        let until = cut.map_or(self.fixed.len(), |cut| cut.at);
        let bytes = self.fixed.get(from..until)?;
        Some(Section {
            start,
            len: bytes.len() as u64,
            content: Content::Fixed(bytes),
        })
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
        let is_it = |cut: &&Cut| cut.medium == medium && cut.table == table;
        let Some(cut) = self.cuts.iter().find(is_it) else {
            return 0..0;
        };
        let mut with = *before;
        with.add(note);
        // Totals of other fragments don't lead out of the table.
        let place = |totals: &Totals| {
            let len = table.entries(totals.track(medium)) * table.entry_len();
            cut.start() + len.min(cut.len)
        };
        place(before)..place(&with)
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
        let range = self.piece_range(medium, table, before, note);
        let start = out.len();
        if range.is_empty() {
            return Some(range);
        }
        let before = before.track(medium);
        let last = earlier.track(medium).map(|times| times.last);
        let source = Source {
            medium,
            run: fragment.moof.run(medium)?,
            shift: fragment.shift,
            moof_at: fragment.moof_at,
            before,
            last: last.filter(|_| before.fragments > 0),
        };
        source.append(table, out);
        if (out.len() - start) as u64 != range.end - range.start {
            out.truncate(start);
            return None;
        }
        Some(range)
    }
}
