//! The close of a file: its sample tables, made from its own fragments.
//!
//! Each table has a piece of every fragment, and the notes say how long each piece is. So any part of the
//! tables can be made by reading the fragments that have something in it:
//!
//! ```text
//! fragments   [1][2][3][4]
//! moov        stts [1][2][3][4]  stsz [1][2][3][4]  co64 [1][2][3][4]
//!                      `------ window -----'
//! ```
//!
//! A window is as long as there is memory: few long writes are much faster than many short ones on cards that
//! pause at each.

use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;

use super::ends::Ends;
use super::index;
use super::reader::{Fragments, read_moof};
use super::summary::{Summary, Sums};
use crate::media::Medium;
use crate::media::mp4::movie::{Content, Movie, Placed, Shift, Table, Times, Totals};
use crate::media::mp4::note::NOTE_LEN;
use crate::media::mp4::read::FileHead;
use crate::media::mp4::{FILE_TYPE_LEN, MDAT_HEADER_LEN, mdat_header};
use crate::record::WallMillis;
use crate::record::disk::DiskFile;
use crate::record::extent::Extent;

/// Closes a file whose fragments end at `end`: what follows is replaced by sample tables and an index. The file
/// then is on the disk as a whole. If there is no space for the tables, nothing has changed.
///
/// Tables are collected in `room`, which must not be empty, before they are written. The end of the
/// recording is at `to` or later.
pub fn close(
    file: &mut dyn DiskFile,
    head: &FileHead,
    (end, to): (u64, WallMillis),
    room: &mut [&mut [u8]],
) -> io::Result<Extent> {
    file.truncate(end)?;
    let survey = Survey::new(file, head, end)?;
    let mut extent = survey.extent;
    extent.to = extent.to.max(to);
    match append(file, head, end, &survey, room) {
        Ok(len) => extent.len = len,
        Err(error) => {
            // A legal file all the same, so this may fail too.
            let _ = file.truncate(end);
            return Err(error);
        }
    }
    let first = (FILE_TYPE_LEN + MDAT_HEADER_LEN) as u64;
    let header = mdat_header(end.saturating_sub(first));
    file.write_at(FILE_TYPE_LEN as u64, &[IoSlice::new(&header)])?;
    // A scan takes the end of the recording from here.
    file.set_modified(extent.to)?;
    file.sync()?;
    Ok(extent)
}

/// Appends `moov` and index, and syncs them. Returns the length of the file.
fn append(
    file: &mut dyn DiskFile,
    head: &FileHead,
    end: u64,
    survey: &Survey,
    room: &mut [&mut [u8]],
) -> io::Result<u64> {
    let movie = Movie::new(
        &head.init,
        &survey.summary.totals,
        &survey.summary.times,
        survey.extent.from,
    );
    let movie = movie.ok_or(ErrorKind::InvalidData)?;
    let index_at = end + movie.len();
    let index_len = index::len(index_at, survey.extent.fragments, survey.has_gaps);
    let index_len = index_len.ok_or(ErrorKind::InvalidData)?;
    let len = movie.len() + u64::from(index_len);
    let tail = index::tail(index_len);
    let summary = survey.summary.bytes(&head.init);
    let tail_at = len - tail.len() as u64;
    let most: usize = room.iter().map(|room| room.len()).sum();
    let mut start = 0;
    while start < len {
        let mut window = Window {
            room,
            start,
            len: (len - start).min(most as u64),
        };
        window.clear();
        fill(file, head, end, &movie, &mut window)?;
        window.put(movie.len(), &index::head(index_len));
        window.put(tail_at - summary.len() as u64, &summary);
        window.put(tail_at, &tail);
        window.write(file, end)?;
        start += window.len;
    }
    file.sync()?;
    Ok(end + len)
}

/// What a file has, from its notes and few of its fragments.
struct Survey {
    summary: Summary,
    extent: Extent,
    has_gaps: bool,
}

impl Survey {
    fn new(file: &dyn DiskFile, head: &FileHead, end: u64) -> io::Result<Survey> {
        let mut fragments = Fragments::new(head, end);
        let mut extent = Extent::default();
        let mut sums: Option<Sums> = None;
        let mut has_gaps = false;
        while let Some(fragment) = fragments.next(file)? {
            extent.add(&fragment.note);
            has_gaps |= extent.gap.is_some();
            match &mut sums {
                Some(sums) => sums.add(&fragment),
                None => sums = Some(Sums::begin(&fragment)),
            }
        }
        let sums = sums.filter(|_| fragments.offset() == end);
        Ok(Survey {
            summary: sums.ok_or(ErrorKind::InvalidData)?.finish(file)?,
            extent,
            has_gaps,
        })
    }
}

/// A range of the file that is collected in memory, to be written at once.
struct Window<'a, 'b> {
    room: &'a mut [&'b mut [u8]],
    /// The offset of the range from the end of the fragments, and its length.
    start: u64,
    len: u64,
}

impl Window<'_, '_> {
    fn touches(&self, range: &Range<u64>) -> bool {
        range.start < self.start + self.len && range.end > self.start
    }

    /// Bytes that nobody puts are 0.
    fn clear(&mut self) {
        self.room.iter_mut().for_each(|room| room.fill(0));
    }

    /// Puts bytes at an offset, as far as they are within the range.
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let skipped = self.start.saturating_sub(offset);
        let Some(mut bytes) = usize::try_from(skipped).ok().and_then(|at| bytes.get(at..)) else {
            return;
        };
        let mut at = (offset + skipped - self.start) as usize;
        for room in self.room.iter_mut() {
            if let Some(room) = room.get_mut(at..) {
                let (now, later) = bytes.split_at(room.len().min(bytes.len()));
                room.iter_mut().zip(now).for_each(|(to, byte)| *to = *byte);
                (at, bytes) = (0, later);
            } else {
                at -= room.len();
            }
        }
    }

    fn write(&self, file: &mut dyn DiskFile, end: u64) -> io::Result<()> {
        let mut left = self.len as usize;
        let slices = self.room.iter().map(|room| {
            let now = left.min(room.len());
            left -= now;
            IoSlice::new(room.get(..now).unwrap_or_default())
        });
        let slices: Vec<_> = slices.filter(|slice| !slice.is_empty()).collect();
        file.write_at(end + self.start, &slices)
    }
}

/// Fills a window with its part of `moov` and index, with `end` as the end of the fragments.
fn fill(
    file: &dyn DiskFile,
    head: &FileHead,
    end: u64,
    movie: &Movie,
    window: &mut Window<'_, '_>,
) -> io::Result<()> {
    let mut tables = Vec::with_capacity(12);
    for section in movie.sections() {
        match section.content {
            Content::Fixed(bytes) => window.put(section.start, bytes),
            Content::Table(medium, table) => tables.push((medium, table)),
        }
    }
    let mut note_at = movie.len() + index::HEAD_LEN;
    let mut fragments = Fragments::new(head, end);
    let (mut before, mut ends) = (Totals::default(), Ends::default());
    // The times of what precedes a fragment, if that was read.
    let mut earlier = Some(Times::default());
    let (mut buffer, mut piece) = (Vec::new(), Vec::new());
    while let Some(fragment) = fragments.next(file)? {
        let note = &fragment.note;
        let note_end = note_at + NOTE_LEN as u64;
        if window.touches(&(note_at..note_end)) {
            window.put(note_at, &note.bytes());
        }
        note_at = note_end;
        let wanted = |(medium, table): &&(Medium, Table)| {
            window.touches(&movie.piece_range(*medium, *table, &before, note))
        };
        if tables.iter().any(|table| wanted(&table)) {
            let mut times = match earlier {
                Some(times) => times,
                None => ends.times(file, Shift::default())?,
            };
            let moof = read_moof(file, &fragment, &mut buffer)?;
            let moof = moof.ok_or(ErrorKind::InvalidData)?;
            let placed = Placed {
                moof: &moof,
                shift: Shift::default(),
                moof_at: fragment.moof_offset(),
            };
            for table in &tables {
                piece.clear();
                let made = movie.piece(*table, &before, &times, note, &placed, &mut piece);
                let range = made.ok_or(ErrorKind::InvalidData)?;
                window.put(range.start, &piece);
            }
            times.add(&moof, Shift::default());
            earlier = Some(times);
        } else {
            earlier = None;
        }
        before.add(note);
        ends.add(&fragment);
    }
    Ok(())
}
