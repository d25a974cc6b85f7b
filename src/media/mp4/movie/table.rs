//! The tables of samples, and their pieces.

use super::times::Shift;
use super::totals::TrackTotals;
use crate::media::Medium;
use crate::media::mp4::read::Run;

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

impl Table {
    /// The length in bytes of an entry.
    pub(super) fn entry_len(self) -> u64 {
        match self {
            Table::Stts | Table::Ctts | Table::Co64 => 8,
            Table::Stss | Table::Stsz => 4,
            Table::Stsc => 12,
        }
    }

    /// The number of entries in the pieces of fragments with these totals.
    pub(super) fn entries(self, totals: &TrackTotals) -> u64 {
        u64::from(match self {
            // The last sample's run is in the piece of the next fragment, or behind the last piece.
            Table::Stts => totals.time_runs.saturating_sub(totals.fragments.min(1)),
            Table::Ctts => totals.offset_runs,
            Table::Stss => totals.syncs,
            Table::Stsc | Table::Co64 => totals.fragments,
            Table::Stsz => totals.samples,
        })
    }
}

/// The samples of one track in a fragment, and what their pieces depend on besides.
pub(super) struct Source<'a> {
    pub(super) medium: Medium,
    pub(super) run: &'a Run<'a>,
    pub(super) shift: Shift,
    pub(super) moof_at: u64,
    /// The samples of the track in front of the fragment.
    pub(super) before: &'a TrackTotals,
    /// The decode time of the last one.
    pub(super) last: Option<u64>,
}

impl Source<'_> {
    /// Appends the piece of a table.
    pub(super) fn append(&self, table: Table, out: &mut Vec<u8>) {
        let mut put = |number: u32| out.extend_from_slice(&number.to_be_bytes());
        let samples = self.run.samples();
        match table {
            Table::Stts => {
                if let Some(last) = self.last {
                    let first = self.shift.apply(self.medium, self.run.decode_time);
                    put(1);
                    put(u32::try_from(first.saturating_sub(last)).unwrap_or(u32::MAX));
                }
                let count = self.run.sample_count().saturating_sub(1);
                put_runs(
                    &mut samples.take(count).map(|sample| sample.duration),
                    &mut put,
                );
            }
            Table::Ctts => {
                let mut offsets = samples.map(|sample| sample.composition_offset as u32);
                put_runs(&mut offsets, &mut put);
            }
            Table::Stss => {
                for (number, sample) in (self.before.samples.saturating_add(1)..).zip(samples) {
                    if sample.is_sync {
                        put(number);
                    }
                }
            }
            Table::Stsc => {
                put(self.before.fragments.saturating_add(1));
                put(self.run.sample_count() as u32);
                put(1); // sample_description_index
            }
            Table::Stsz => samples.for_each(|sample| put(sample.len)),
            Table::Co64 => {
                let offset = self.moof_at.saturating_add(self.run.data_offset.into());
                out.extend_from_slice(&offset.to_be_bytes());
            }
        }
    }
}

/// Puts runs of equal values: how many, and the value.
fn put_runs(values: &mut dyn Iterator<Item = u32>, put: &mut dyn FnMut(u32)) {
    let Some(mut value) = values.next() else {
        return;
    };
    let mut count = 1;
    loop {
        let next = values.next();
        if next == Some(value) {
            count += 1;
            continue;
        }
        put(count);
        put(value);
        let Some(next) = next else {
            return;
        };
        (value, count) = (next, 1);
    }
}
