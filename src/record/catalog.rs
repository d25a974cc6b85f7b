//! The list of recordings, in memory: streams, and the files of each, as they began.
//!
//! ```text
//! live/door    [boot0001][..10-00-00Z][..10-10-00Z][..10-20-00Z, open]
//! live/gate    [..10-00-00Z][..10-10-00Z, damaged]
//!               ^ the oldest closed file of all: the next one to go
//! ```
//!
//! It is built once, by a [`scan`], and kept up to date by those who write and remove files. It is behind a
//! mutex that is shared with all who ask: nothing here takes long or touches the disk. Answers that may be
//! long come in pieces, each of which begins where the last one ended.

mod condition;
mod entry;
mod files;
mod gaps;
pub mod scan;
mod streams;

use std::ops::Range;

use super::WallMillis;
use super::extent::Gap;
use super::name::FileName;
use super::report::DiskReport;
use crate::rtmp::stream_key::StreamKey;

pub use condition::Condition;
pub use entry::{File, State};
pub use files::Span;

use entry::Entry;
use streams::Streams;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Catalog {
    streams: Streams,
    /// The files that are being written; few.
    held: Vec<Held>,
    /// What recorders have to know about the disk, and what they have found out about it.
    pub condition: Condition,
}

/// A file that is being written.
#[derive(Debug)]
struct Held {
    stream: StreamKey,
    name: FileName,
    /// When it began, by a clock that may not be set.
    began: WallMillis,
    /// The length up to which space was set aside.
    allocated: u64,
}

/// A file that may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Its stream.
    pub stream: StreamKey,
    /// Its name.
    pub name: FileName,
    /// Its length in bytes.
    pub len: u64,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of files.
    pub files: usize,
    /// The sum of their lengths in bytes.
    pub bytes: u64,
    /// The number of bytes set aside for files that are being written, beyond their lengths.
    pub set_aside: u64,
    /// The number of bytes in files that may be removed.
    pub removable: u64,
}

/// Recorders
impl Catalog {
    /// Adds a file that begins to be written, under the wanted name or the next one that is free in
    /// the list. If that name turns out to be taken on the disk: remove it, and begin with the next one.
    pub fn begin(&mut self, stream: &StreamKey, wanted: FileName, wall: WallMillis) -> FileName {
        let files = self.streams.get_or_add(stream);
        let name = files.free_name(wanted);
        let mut entry = Entry::new(name, State::Open);
        // The clock of a file that counts boots says nothing.
        if name.boot() == 0 {
            entry.begin_at(wall);
        }
        files.insert(entry);
        self.held.push(Held {
            stream: stream.clone(),
            name,
            began: wall,
            allocated: 0,
        });
        name
    }

    /// Notes the length of what can be read of a file that is being written, in whole fragments, and
    /// when its last frame ends. `wall` is the present, to which the new bytes count.
    pub fn grow(
        &mut self,
        stream: &StreamKey,
        name: FileName,
        len: u64,
        to: WallMillis,
        wall: WallMillis,
    ) {
        let to = self.listed_time(stream, name, to);
        if let Some(files) = self.streams.get_mut(stream) {
            files.grow(name, len, to, wall);
        }
    }

    /// Notes gaps within a file, up to its present end.
    pub fn note_gaps(&mut self, stream: &StreamKey, name: FileName, gaps: &[Gap]) {
        for gap in gaps {
            let [from, to] = [gap.from, gap.to].map(|time| self.listed_time(stream, name, time));
            if let Some(files) = self.streams.get_mut(stream) {
                files.note_gap(name, Gap { from, to });
            }
        }
    }

    /// Notes that space was set aside for a file that is being written, up to a length.
    pub fn set_aside(&mut self, stream: &StreamKey, name: FileName, len: u64) {
        let is_it = |held: &&mut Held| held.name == name && held.stream == *stream;
        if let Some(held) = self.held.iter_mut().find(is_it) {
            held.allocated = len;
        }
    }

    /// Notes that a file was closed, with its final length. From now on it may be removed.
    pub fn close(
        &mut self,
        stream: &StreamKey,
        name: FileName,
        len: u64,
        to: WallMillis,
        wall: WallMillis,
    ) {
        self.grow(stream, name, len, to, wall);
        self.leave(stream, name, State::Closed);
    }

    /// Notes that a file that was being written was left as it is: it awaits its repair.
    pub fn abandon(&mut self, stream: &StreamKey, name: FileName) {
        self.leave(stream, name, State::Damaged);
        self.condition.has_damaged = true;
    }

    /// Takes a file off the list. Returns whether it was there.
    pub fn remove(&mut self, stream: &StreamKey, name: FileName) -> bool {
        self.release(stream, name);
        let Some(files) = self.streams.get_mut(stream) else {
            return false;
        };
        let was_there = files.remove(name);
        if files.count() == 0 {
            self.streams.remove(stream);
        }
        was_there
    }

    /// Returns the number of bytes that a stream's files have got on the day (UTC) of this time.
    pub fn bytes_today(&self, stream: &StreamKey, wall: WallMillis) -> u64 {
        let files = self.streams.get(stream);
        files.map_or(0, |files| files.bytes_of_day(wall))
    }
}

/// The keeper
impl Catalog {
    /// Returns the file that goes first when space is short; never one that is open. `now`: the present, if the
    /// clock is set.
    ///
    /// How files of unset clocks relate to others in time isn't known. If the clock is set now, they are what
    /// the boots before the last ones left; if it isn't, they are newer than all others. Files of the future are
    /// older than what is recorded now: the clock was ahead, or is behind.
    pub fn oldest_closed(&self, now: Option<WallMillis>) -> Option<Oldest> {
        let mut oldest: Option<(usize, &Entry, &StreamKey)> = None;
        for (stream, files) in self.streams.from(None) {
            for (rank, entry) in files.oldest(now).into_iter().enumerate() {
                let Some(entry) = entry else {
                    continue;
                };
                if oldest.is_none_or(|(first, old, _)| (rank, entry.name) < (first, old.name)) {
                    oldest = Some((rank, entry, stream));
                }
            }
        }
        oldest.map(|(_, entry, stream)| Oldest {
            stream: stream.clone(),
            name: entry.name,
            len: entry.len,
        })
    }

    /// Returns how much there is.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (_, files) in self.streams.from(None) {
            totals.files += files.count();
            totals.bytes += files.bytes();
        }
        totals.removable = totals.bytes;
        for held in &self.held {
            let len = self
                .entry(&held.stream, held.name)
                .map_or(0, |entry| entry.len);
            totals.set_aside += held.allocated.saturating_sub(len);
            totals.removable = totals.removable.saturating_sub(len);
        }
        totals
    }

    /// Returns the number of files that are being written.
    pub fn open_count(&self) -> usize {
        self.held.len()
    }

    /// Changes the state of a file, unless it is open.
    pub fn set_state(&mut self, stream: &StreamKey, name: FileName, state: State) {
        let is_open = self
            .entry(stream, name)
            .is_none_or(|entry| entry.state == State::Open);
        if !is_open {
            self.leave(stream, name, state);
        }
    }

    /// Adds a file that awaits its repair, under the wanted name or the next one that is free in the
    /// list. Returns that name.
    pub(super) fn add_damaged(&mut self, stream: &StreamKey, wanted: FileName) -> FileName {
        let files = self.streams.get_or_add(stream);
        let name = files.free_name(wanted);
        files.insert(Entry::new(name, State::Damaged));
        self.condition.has_damaged = true;
        name
    }

    /// Sets length, begin and duration of a file that was repaired or looked at, which is closed now. `from`
    /// is by a clock that may not have been set.
    pub fn settle(
        &mut self,
        stream: &StreamKey,
        name: FileName,
        len: u64,
        from: WallMillis,
        duration: u64,
    ) {
        if let Some(files) = self.streams.get_mut(stream) {
            files.settle(name, len, from, duration);
        }
    }

    /// Notes the gaps of a closed file that began at this time by a clock that may not have been set.
    pub fn note_gaps_of(
        &mut self,
        stream: &StreamKey,
        name: FileName,
        began: WallMillis,
        gaps: &[Gap],
    ) {
        let start = if name.boot() > 0 { name.start() } else { began };
        let Some(files) = self.streams.get_mut(stream) else {
            return;
        };
        for gap in gaps {
            let [from, to] =
                [gap.from, gap.to].map(|time| time.saturating_sub(began).saturating_add(start));
            files.note_gap(name, Gap { from, to });
        }
    }

    /// Finds the first file in a state after the given one, in the order of streams and names.
    pub fn next_in(
        &self,
        state: State,
        after: Option<&(StreamKey, FileName)>,
    ) -> Option<(StreamKey, FileName)> {
        let streams = self.streams.from(after.map(|(stream, _)| stream));
        streams.iter().find_map(|(stream, files)| {
            let after = after.filter(|(last, _)| last == stream);
            let name = files.next_in(state, after.map(|(_, name)| *name))?;
            Some((stream.clone(), name))
        })
    }

    /// Returns the highest number of a boot among the files; 0 if there is none.
    pub fn boots(&self) -> u16 {
        let streams = self.streams.from(None).iter();
        let boots = streams.map(|(_, files)| files.boots());
        boots.max().unwrap_or_default()
    }

    /// Takes what a scan has found in place of the list. What is being written stays, and so does what was
    /// written today.
    pub fn replace(&mut self, mut found: Catalog) {
        for held in self.held.drain(..) {
            let files = self.streams.get(&held.stream);
            let Some(entry) = files.and_then(|files| files.get(held.name)).copied() else {
                continue;
            };
            // The scan has found it with its `.part`.
            found.remove(&held.stream, held.name);
            let new = found.streams.get_or_add(&held.stream);
            new.insert(entry);
            for gap in files.map(|files| files.gaps_of(&entry)).unwrap_or_default() {
                new.note_gap(held.name, *gap);
            }
            found.held.push(held);
        }
        for (stream, files) in self.streams.from(None) {
            if let Some(new) = found.streams.get_mut(stream) {
                new.keep_day(files);
            }
        }
        found.condition = std::mem::take(&mut self.condition);
        found.condition.is_listed = true;
        found.condition.has_damaged = true;
        *self = found;
    }

    /// Returns the figures of the disk and of everything on it.
    pub fn report(&self) -> DiskReport {
        let space = self.condition.space;
        let totals = self.totals();
        DiskReport {
            state: self.condition.state,
            since: self.condition.since,
            free: space.map(|space| space.free),
            total: space.map(|space| space.total),
            recordings: totals.bytes,
            files: totals.files as u64,
        }
    }
}

/// Answers
impl Catalog {
    /// Returns the first stream with recordings after the given one, in the order of keys.
    pub fn next_stream(&self, after: Option<&StreamKey>) -> Option<&StreamKey> {
        let mut streams = self.streams.from(after).iter().map(|(stream, _)| stream);
        streams.find(|stream| after != Some(stream))
    }

    /// Whether a file of this stream is being written.
    pub fn is_recording(&self, stream: &StreamKey) -> bool {
        self.held.iter().any(|held| held.stream == *stream)
    }

    /// Finds a file. Files that await their repair aren't shown.
    pub fn find(&self, stream: &StreamKey, name: FileName) -> Option<File> {
        self.entry(stream, name)?.shown()
    }

    /// Appends the files of a stream that have something within the range to `out`, as they began, up
    /// to `most` of them; the next piece begins after the last of these.
    pub fn files(
        &self,
        stream: &StreamKey,
        within: Range<WallMillis>,
        after: Option<FileName>,
        most: usize,
        out: &mut Vec<File>,
    ) {
        if let Some(files) = self.streams.get(stream) {
            out.extend(files.within(within, after).take(most));
        }
    }

    /// Appends the spans of a stream that have something within the range to `out`, up to `most` of
    /// them; the next piece begins at the end of the last of these. A span is as long as its files that
    /// reach into the range. Files that follow each other within 2 s make one, and gaps within them end one.
    pub fn spans(
        &self,
        stream: &StreamKey,
        within: Range<WallMillis>,
        most: usize,
        out: &mut Vec<Span>,
    ) {
        if let Some(files) = self.streams.get(stream) {
            files.spans(within, most, out);
        }
    }

    fn entry(&self, stream: &StreamKey, name: FileName) -> Option<&Entry> {
        self.streams.get(stream)?.get(name)
    }

    /// Returns a time in a file that is being written as the list has it: files that count boots have
    /// times of their own.
    fn listed_time(&self, stream: &StreamKey, name: FileName, time: WallMillis) -> WallMillis {
        let mut held = self.held.iter();
        let held = held.find(|held| held.name == name && held.stream == *stream);
        match held {
            Some(held) if name.boot() > 0 => name.start() + time.saturating_sub(held.began),
            _ => time,
        }
    }

    fn release(&mut self, stream: &StreamKey, name: FileName) {
        self.held
            .retain(|held| held.name != name || held.stream != *stream);
    }

    /// Notes that a file isn't being written any more, or never was.
    fn leave(&mut self, stream: &StreamKey, name: FileName, state: State) {
        self.release(stream, name);
        if let Some(files) = self.streams.get_mut(stream) {
            files.set_state(name, state);
        }
    }
}

#[cfg(test)]
mod tests;
