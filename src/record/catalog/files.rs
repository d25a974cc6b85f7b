//! Files: those of one stream, sorted by name, which is as they began.

use std::collections::BinaryHeap;
use std::ops::Range;

use super::entry::{Entry, File, State};
use super::gaps::Gaps;
use crate::record::WallMillis;
use crate::record::extent::Gap;
use crate::record::name::FileName;

/// The largest distance of two files of one span, in ms: FAT counts the ends of files in steps of 2 s.
pub(super) const MAX_DISTANCE: u64 = 2_000;

/// Names tell only the second: a file begins up to this much later, in ms.
const SECOND: u64 = 1_000;

const DAY: u64 = 86_400_000;

/// A time without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it begins.
    pub from: WallMillis,
    /// When it ends.
    pub to: WallMillis,
    /// The sum of the lengths of its files.
    pub bytes: u64,
    /// Whether its last file is being written.
    pub is_open: bool,
    /// Whether it continues a file, behind a gap.
    follows_gap: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Files {
    entries: Vec<Entry>,
    bytes: u64,
    /// No file is longer than this, in ms.
    longest: u32,
    /// A day since 1970, and the bytes that were written on it.
    day: (u64, u64),
    gaps: Gaps,
}

impl Files {
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn bytes_of_day(&self, wall: WallMillis) -> u64 {
        let (day, bytes) = self.day;
        if day == wall / DAY { bytes } else { 0 }
    }

    /// Takes over what another list of the same stream has noted of its day: files may be gone since.
    pub(super) fn keep_day(&mut self, before: &Files) {
        self.day = self.day.max(before.day);
    }

    pub(super) fn get(&self, name: FileName) -> Option<&Entry> {
        self.entries.get(self.place(name).ok()?)
    }

    /// Returns the wanted name, or the first one after all that begin in the same second.
    pub(super) fn free_name(&self, wanted: FileName) -> FileName {
        let mut name = wanted;
        // A name is taken in all formats, so that names sort as the files began.
        while self.begins_with(name) {
            name = name.next();
        }
        name
    }

    fn begins_with(&self, name: FileName) -> bool {
        let place = self
            .entries
            .partition_point(|entry| entry.name < name.first_format());
        let there = self.entries.get(place);
        there.is_some_and(|entry| entry.name.first_format() == name.first_format())
    }

    /// Appends an entry of a scan, which are in no order.
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Ends a scan: sorts the entries, and marks those of which the end can't be right. Returns damaged
    /// files that have the names of others, which aren't listed.
    pub(super) fn finish(&mut self, wall: WallMillis) -> Vec<FileName> {
        // Smaller than the sort of slices, and fast enough.
        self.entries = BinaryHeap::from(std::mem::take(&mut self.entries)).into_sorted_vec();
        let mut next_start = u64::MAX;
        for entry in self.entries.iter_mut().rev() {
            if entry.state != State::Damaged && entry.to() > next_start.saturating_add(MAX_DISTANCE)
            {
                entry.state = State::Unsure;
                entry.duration = next_start.saturating_sub(entry.from()) as u32;
            }
            next_start = entry.from();
        }
        let (mut strays, mut last) = (Vec::new(), None);
        self.entries.retain(|entry| {
            let is_stray = last.replace(entry.name) == Some(entry.name);
            if is_stray {
                strays.push(entry.name);
            }
            !is_stray
        });
        self.entries.shrink_to_fit();
        self.day = (wall / DAY, 0);
        for entry in &self.entries {
            self.bytes += entry.len;
            self.longest = self.longest.max(entry.duration);
            if entry.from() / DAY == self.day.0 {
                self.day.1 += entry.len;
            }
        }
        strays
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        if let Err(place) = self.place(entry.name) {
            self.entries.insert(place, entry);
            self.bytes += entry.len;
            self.longest = self.longest.max(entry.duration);
        }
    }

    pub(super) fn note_gap(&mut self, name: FileName, gap: Gap) {
        if let Some(times) = self.get(name).map(Entry::times) {
            self.gaps.note(gap, times);
        }
    }

    pub(super) fn gaps_of(&self, entry: &Entry) -> &[Gap] {
        self.gaps.within(entry.times())
    }

    /// Returns whether there was such a file.
    pub(super) fn remove(&mut self, name: FileName) -> bool {
        let place = self.place(name);
        if let Ok(place) = place {
            let entry = self.entries.remove(place);
            self.bytes -= entry.len;
            self.gaps.remove(entry.times());
        }
        place.is_ok()
    }

    pub(super) fn set_state(&mut self, name: FileName, state: State) {
        if let Some(entry) = self.get_mut(name) {
            entry.state = state;
        }
    }

    pub(super) fn grow(&mut self, name: FileName, len: u64, to: WallMillis, wall: WallMillis) {
        let Some(entry) = self.get_mut(name) else {
            return;
        };
        let duration = to.saturating_sub(entry.from());
        entry.duration = u32::try_from(duration).unwrap_or(u32::MAX);
        let (before, duration) = (entry.len, entry.duration);
        entry.len = len;
        self.longest = self.longest.max(duration);
        self.bytes = self.bytes - before + len;
        if self.day.0 != wall / DAY {
            self.day = (wall / DAY, 0);
        }
        self.day.1 += len.saturating_sub(before);
    }

    pub(super) fn settle(&mut self, name: FileName, len: u64, from: WallMillis, duration: u64) {
        let Some(entry) = self.get_mut(name) else {
            return;
        };
        let before = entry.len;
        entry.len = len;
        if name.boot() == 0 {
            entry.begin_at(from);
        }
        entry.duration = u32::try_from(duration).unwrap_or(u32::MAX);
        entry.state = State::Closed;
        let duration = entry.duration;
        self.longest = self.longest.max(duration);
        self.bytes = self.bytes - before + len;
    }

    /// The oldest files that may be removed, in the order in which they go: of the future, of unset clocks, and
    /// of set ones. If the clock isn't set now: of set clocks first.
    pub(super) fn oldest(&self, now: Option<WallMillis>) -> [Option<&Entry>; 3] {
        let (booted, dated) = self.entries.split_at(self.dated());
        let order = match now {
            Some(now) => {
                // Clocks may be off by some hours, such as a time zone.
                let soon = now.saturating_add(DAY);
                let (past, future) =
                    dated.split_at(dated.partition_point(|entry| entry.from() <= soon));
                [future, booted, past]
            }
            None => [dated, booted, &[]],
        };
        order.map(|entries| entries.iter().find(|entry| entry.is_removable()))
    }

    pub(super) fn next_in(&self, state: State, after: Option<FileName>) -> Option<FileName> {
        let mut entries = self.entries.iter().skip(self.place_after(after));
        let found = entries.find(|entry| entry.state == state);
        found.map(|entry| entry.name)
    }

    pub(super) fn boots(&self) -> u16 {
        let booted = self.entries.get(..self.dated()).unwrap_or_default();
        booted.last().map_or(0, |entry| entry.name.boot())
    }

    /// The place of the first file with a clock that was set.
    fn dated(&self) -> usize {
        self.entries.partition_point(|entry| entry.name.boot() > 0)
    }

    /// The files that have something within a range of time.
    pub(super) fn within(
        &self,
        within: Range<WallMillis>,
        after: Option<FileName>,
    ) -> impl Iterator<Item = File> {
        let longest = u64::from(self.longest) + SECOND;
        let starts_too_early = |entry: &Entry| entry.from().saturating_add(longest) < within.start;
        let first = self.entries.partition_point(starts_too_early);
        let first = first.max(self.place_after(after));
        let entries = self.entries.iter().skip(first);
        let end = within.end.saturating_add(SECOND);
        entries
            .take_while(move |entry| entry.from() < end)
            .filter_map(Entry::shown)
            // A file without a frame has no duration.
            .filter(move |file| file.from < within.end && within.start < file.to.max(file.from + 1))
    }

    pub(super) fn spans(&self, within: Range<WallMillis>, most: usize, out: &mut Vec<Span>) {
        let most = out.len() + most;
        for part in self
            .within(within.clone(), None)
            .flat_map(|file| self.parts(file))
        {
            let count = out.len();
            if part.from >= within.end || part.to.max(part.from + 1) <= within.start {
                continue;
            }
            match out.last_mut() {
                Some(span) if !part.follows_gap && part.from <= span.to + MAX_DISTANCE => {
                    span.to = span.to.max(part.to);
                    span.bytes += part.bytes;
                    span.is_open |= part.is_open;
                }
                _ if count == most => break,
                _ => out.push(Span {
                    follows_gap: false,
                    ..part
                }),
            }
        }
    }

    /// The parts of a file between its gaps.
    fn parts(&self, file: File) -> impl Iterator<Item = Span> {
        let gaps = self.gaps.within([file.from, file.to]);
        let missing: u64 = gaps.iter().map(|gap| gap.to - gap.from).sum();
        let all = (file.to - file.from).saturating_sub(missing).max(1);
        let starts = gaps.iter().map(|gap| gap.to);
        let ends = gaps.iter().map(|gap| gap.from).chain([file.to]);
        let starts = [file.from].into_iter().chain(starts);
        starts.zip(ends).map(move |(from, to)| Span {
            from,
            to,
            bytes: match missing {
                0 => file.len,
                _ => file.len.saturating_mul(to - from) / all,
            },
            is_open: file.is_open && to == file.to,
            follows_gap: from != file.from,
        })
    }

    fn place(&self, name: FileName) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.name.cmp(&name))
    }

    fn place_after(&self, after: Option<FileName>) -> usize {
        after.map_or(0, |last| {
            self.entries.partition_point(|entry| entry.name <= last)
        })
    }

    fn get_mut(&mut self, name: FileName) -> Option<&mut Entry> {
        let place = self.place(name).ok()?;
        self.entries.get_mut(place)
    }
}
