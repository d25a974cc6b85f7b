//! Sums of what notes count.

use crate::media::Medium;
use crate::media::mp4::note::{Counts, Note};

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
        let fragment = Totals {
            video: TrackTotals::of(&note.video),
            audio: TrackTotals::of(&note.audio),
        };
        *self = self.plus(&fragment);
    }

    /// Returns the sum.
    pub fn plus(&self, other: &Totals) -> Totals {
        Totals {
            video: self.video.plus(&other.video),
            audio: self.audio.plus(&other.audio),
        }
    }

    /// Returns the part for one track.
    pub fn track(&self, medium: Medium) -> &TrackTotals {
        match medium {
            Medium::Video => &self.video,
            Medium::Audio => &self.audio,
        }
    }
}

impl TrackTotals {
    fn of(counts: &Counts) -> TrackTotals {
        TrackTotals {
            fragments: (counts.samples > 0).into(),
            samples: counts.samples.into(),
            time_runs: counts.time_runs.into(),
            offset_runs: counts.offset_runs.into(),
            syncs: counts.syncs.into(),
        }
    }

    fn plus(&self, other: &TrackTotals) -> TrackTotals {
        TrackTotals {
            fragments: self.fragments.saturating_add(other.fragments),
            samples: self.samples.saturating_add(other.samples),
            time_runs: self.time_runs.saturating_add(other.time_runs),
            offset_runs: self.offset_runs.saturating_add(other.offset_runs),
            syncs: self.syncs.saturating_add(other.syncs),
        }
    }
}
