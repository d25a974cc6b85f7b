//! The close of a file: its sample tables, made from its own fragments.
//!
//! Each table has a piece of every fragment, and the notes say how long each piece is. So all tables
//! are written in one pass over the fragments, each through a short buffer of its own:
//!
//! ```text
//! fragments   [1][2][3][4]
//!                 ^
//! moov        stts [1][2]....  stsz [1][2]....  co64 [1][2]....
//!                        ^                ^                ^
//! ```
//!
//! That takes some 30 KiB of memory, whatever the length of the file.

use std::io::{self, ErrorKind, IoSlice};

use super::ends::Ends;
use super::index;
use super::reader::{Fragments, read_moof};
use crate::media::Medium;
use crate::media::mp4::movie::{Content, Movie, Placed, Shift, Table, Times, Totals};
use crate::media::mp4::read::FileHead;
use crate::media::mp4::{FILE_TYPE_LEN, MDAT_HEADER_LEN, mdat_header};
use crate::record::disk::DiskFile;
use crate::record::extent::Extent;

/// The number of bytes of a table that are collected before they are written.
const PIECES_LEN: usize = 1024;

/// Closes a file whose fragments end at `end`: what follows is replaced by sample tables and an index. The file
/// then is on the disk as a whole. If there is no space for the tables, nothing has changed.
pub fn close(file: &mut dyn DiskFile, head: &FileHead, end: u64) -> io::Result<Extent> {
    file.truncate(end)?;
    let survey = Survey::new(file, head, end)?;
    let mut extent = survey.extent;
    match append(file, head, end, &survey) {
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
fn append(file: &mut dyn DiskFile, head: &FileHead, end: u64, survey: &Survey) -> io::Result<u64> {
    let movie = Movie::new(
        &head.init,
        &survey.totals,
        &survey.times,
        survey.extent.from,
    );
    let movie = movie.ok_or(ErrorKind::InvalidData)?;
    let index_len = index::len(survey.extent.fragments).ok_or(ErrorKind::InvalidData)?;
    let index_at = end + movie.len();
    let len = index_at + u64::from(index_len);
    write_tables(file, head, end, &movie)?;
    file.write_at(index_at, &[IoSlice::new(&index::head(index_len))])?;
    let tail = index::tail(index_len);
    file.write_at(len - tail.len() as u64, &[IoSlice::new(&tail)])?;
    file.sync()?;
    Ok(len)
}

/// What a file has, from its notes and few of its fragments.
struct Survey {
    totals: Totals,
    times: Times,
    extent: Extent,
}

impl Survey {
    fn new(file: &dyn DiskFile, head: &FileHead, end: u64) -> io::Result<Survey> {
        let mut fragments = Fragments::new(head, end);
        let mut totals = Totals::default();
        let mut extent = Extent::default();
        let mut ends = Ends::default();
        while let Some(fragment) = fragments.next(file)? {
            totals.add(&fragment.note);
            extent.add(&fragment.note);
            ends.add(&fragment);
        }
        if fragments.offset() != end {
            return Err(ErrorKind::InvalidData.into());
        }
        let times = ends.times(file, Shift::default())?;
        Ok(Survey {
            totals,
            times,
            extent,
        })
    }
}

/// Bytes that are written one piece after another.
struct Column {
    /// The table; `None` for the index.
    table: Option<(Medium, Table)>,
    /// The offset in the file of the first byte that isn't written yet.
    offset: u64,
    bytes: Vec<u8>,
}

impl Column {
    fn new(table: Option<(Medium, Table)>, offset: u64) -> Column {
        Column {
            table,
            offset,
            bytes: Vec::with_capacity(2 * PIECES_LEN),
        }
    }

    fn write(&mut self, file: &mut dyn DiskFile, least: usize) -> io::Result<()> {
        if self.bytes.len() >= least.max(1) {
            file.write_at(self.offset, &[IoSlice::new(&self.bytes)])?;
            self.offset += self.bytes.len() as u64;
            self.bytes.clear();
        }
        Ok(())
    }
}

/// Writes the `moov` and the notes of the index, with `end` as the end of the fragments.
fn write_tables(
    file: &mut dyn DiskFile,
    head: &FileHead,
    end: u64,
    movie: &Movie,
) -> io::Result<()> {
    let mut columns = Vec::with_capacity(12);
    for section in movie.sections() {
        let at = end + section.start;
        match section.content {
            Content::Fixed(bytes) => file.write_at(at, &[IoSlice::new(bytes)])?,
            Content::Table(medium, table) => columns.push(Column::new(Some((medium, table)), at)),
        }
    }
    columns.push(Column::new(None, end + movie.len() + index::HEAD_LEN));
    let mut fragments = Fragments::new(head, end);
    let (mut before, mut earlier) = (Totals::default(), Times::default());
    let mut buffer = Vec::new();
    while let Some(fragment) = fragments.next(file)? {
        let moof = read_moof(file, &fragment, &mut buffer)?;
        let moof = moof.ok_or(ErrorKind::InvalidData)?;
        let placed = Placed {
            moof: &moof,
            shift: Shift::default(),
            moof_at: fragment.moof_offset(),
        };
        for column in &mut columns {
            let out = &mut column.bytes;
            match column.table {
                None => out.extend_from_slice(&fragment.note.bytes()),
                Some(table) => {
                    let piece = movie.piece(table, &before, &earlier, &fragment.note, &placed, out);
                    piece.ok_or(ErrorKind::InvalidData)?;
                }
            }
            column.write(file, PIECES_LEN)?;
        }
        before.add(&fragment.note);
        earlier.add(&moof, Shift::default());
    }
    columns
        .iter_mut()
        .try_for_each(|column| column.write(file, 0))
}
