//! A span of recordings as one MP4 file, which exists nowhere: every byte is made when it is read.
//!
//! ```text
//! ftyp | moov: Fixed, Table, Fixed, Table ...      | mdat header | part 1 | part 2 | ...
//!                     ^ a piece for each fragment,                 ^ bytes of a file, `moof`s included,
//!                       made from its `moof`                         which nothing refers to here
//! ```

use std::io;
use std::ops::Range;

use super::file::{FileBody, up_to};
use super::outline::{Found, Outline, copy};
use super::plan::{Plan, samples};
use super::{Body, Recordings};
use crate::media::Medium;
use crate::media::mp4::movie::{Movie, Placed, Table, Times, Totals};
use crate::media::mp4::note::{Counts, NOTE_LEN, Note};
use crate::record::mp4::reader::{Fragment, Fragments, read_moof};
use crate::rtmp::stream_key::StreamKey;

/// See the module's documentation.
pub struct SpanBody {
    recordings: Recordings,
    stream: StreamKey,
    plan: Plan,
    outline: Outline,
    /// The file that was read last, and the index of its part.
    file: Option<(usize, FileBody)>,
    cursor: Cursor,
    /// A `moof`.
    moof: Vec<u8>,
}

/// A place in a table of the `moov`.
#[derive(Default)]
struct Cursor {
    /// The offset of the table in the `moov`; 0 for none.
    table_at: u64,
    /// The index of the part, and the fragments of it that follow.
    part: usize,
    fragments: Option<Fragments>,
    /// The totals of all fragments before the next one.
    before: Totals,
    /// The last fragment before with samples of the track, if it is in this part.
    last: Option<Fragment>,
    /// The piece of the last fragment, and where it lies in the `moov`.
    piece: Vec<u8>,
    range: Range<u64>,
}

impl SpanBody {
    /// Lays out the file. `None` if a `moov` can't hold so much.
    pub fn new(recordings: Recordings, stream: StreamKey, plan: Plan) -> Option<SpanBody> {
        let movie = Movie::new(&plan.init, &plan.totals(), &plan.times(), plan.from)?;
        Some(SpanBody {
            recordings,
            stream,
            outline: Outline {
                movie,
                data_len: plan.len,
            },
            plan,
            file: None,
            cursor: Cursor::default(),
            moof: Vec::new(),
        })
    }

    /// The fragments of which it consists.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Makes the piece of a table that contains this offset.
    fn find_piece(&mut self, table: (Medium, Table), table_at: u64, offset: u64) -> io::Result<()> {
        let cursor = &self.cursor;
        if cursor.table_at != table_at || offset < cursor.range.start {
            self.cursor = Cursor {
                table_at,
                range: table_at..table_at,
                piece: std::mem::take(&mut self.cursor.piece),
                ..Cursor::default()
            };
            self.skip_parts(table, offset);
        }
        while offset >= self.cursor.range.end {
            self.next_piece(table, offset)?;
        }
        Ok(())
    }

    /// Moves the cursor to the part whose pieces contain an offset.
    fn skip_parts(&mut self, (medium, table): (Medium, Table), offset: u64) {
        // A fragment with something for every table, to see where a piece would begin.
        let counts = Counts {
            samples: 1,
            time_runs: 1,
            offset_runs: 1,
            syncs: 1,
            bytes: 0,
        };
        let note = Note {
            video: counts,
            audio: counts,
            ..Note::default()
        };
        while let Some(part) = self.plan.parts.get(self.cursor.part) {
            let behind = self.cursor.before.plus(&part.totals);
            let next = self
                .outline
                .movie
                .piece_range(medium, table, &behind, &note);
            if offset < next.start {
                return;
            }
            self.cursor.before = behind;
            self.cursor.part += 1;
        }
    }

    /// Passes a fragment, and makes its piece if it contains the offset.
    fn next_piece(&mut self, (medium, table): (Medium, Table), offset: u64) -> io::Result<()> {
        let index = self.cursor.part;
        let Some(part) = self.plan.parts.get(index) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let (start, end) = (part.start, part.end);
        self.open(index)?;
        let (_, file) = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let cursor = &mut self.cursor;
        let fragments = cursor
            .fragments
            .get_or_insert_with(|| Fragments::between(start, end));
        let Some(found) = fragments.next(&*file.file)? else {
            cursor.part += 1;
            (cursor.fragments, cursor.last) = (None, None);
            return Ok(());
        };
        let range = self
            .outline
            .movie
            .piece_range(medium, table, &cursor.before, &found.note);
        if range.contains(&offset) {
            self.make_piece((medium, table), &found)?;
        }
        let cursor = &mut self.cursor;
        cursor.before.add(&found.note);
        if samples(&found.note, medium) > 0 {
            cursor.last = Some(found);
        }
        Ok(())
    }

    fn make_piece(&mut self, (medium, table): (Medium, Table), found: &Fragment) -> io::Result<()> {
        let SpanBody {
            plan,
            outline,
            file,
            cursor,
            moof: bytes,
            ..
        } = self;
        let index = cursor.part;
        let (Some((_, file)), Some(part)) = (file, plan.parts.get(index)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let shift = part.ticks;
        let mut earlier = Times::default();
        match (&cursor.last, medium) {
            // Only decode times depend on the samples before.
            _ if table != Table::Stts => {}
            (Some(last), _) => {
                let moof = read_moof(&*file.file, last, bytes)?;
                earlier.add(&moof.ok_or(io::ErrorKind::InvalidData)?, shift);
            }
            (None, Medium::Video) => earlier.video = plan.last_times(index, medium),
            (None, Medium::Audio) => earlier.audio = plan.last_times(index, medium),
        }
        let moof = read_moof(&*file.file, found, bytes)?;
        let moof = moof.ok_or(io::ErrorKind::InvalidData)?;
        let placed = Placed {
            moof: &moof,
            shift,
            moof_at: outline.data_at()
                + part.before
                + (found.offset - part.start)
                + NOTE_LEN as u64,
        };
        cursor.piece.clear();
        let (before, piece) = (&cursor.before, &mut cursor.piece);
        let made = outline.movie.piece(
            (medium, table),
            before,
            &earlier,
            &found.note,
            &placed,
            piece,
        );
        cursor.range = made.ok_or(io::ErrorKind::InvalidData)?;
        Ok(())
    }

    /// Opens the file of a part, unless it is open.
    fn open(&mut self, index: usize) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|(open, _)| *open == index) {
            return Ok(());
        }
        // Closed before the next one is opened.
        self.file = None;
        let part = self.plan.parts.get(index).ok_or(io::ErrorKind::NotFound)?;
        let opened = FileBody::open(&self.recordings, &self.stream, part.name)?;
        // It may have been deleted since the span was planned.
        let file = opened.ok_or(io::ErrorKind::NotFound)?;
        if file.len() < part.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file = Some((index, file));
        Ok(())
    }

    /// Reads the parts, from an offset in them on.
    fn read_parts(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let parts = &self.plan.parts;
        let index = parts.partition_point(|part| part.before <= offset);
        let index = index.checked_sub(1).ok_or(io::ErrorKind::NotFound)?;
        self.open(index)?;
        let (Some((_, file)), Some(part)) = (&mut self.file, self.plan.parts.get(index)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let at = part.start + (offset - part.before);
        file.read(at, up_to(part.end, at, buffer))
    }
}

impl Body for SpanBody {
    fn len(&self) -> u64 {
        self.outline.len()
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.outline.find(offset, buffer)? {
            Found::Copied(len) => Ok(len),
            Found::Data(offset) => self.read_parts(offset, buffer),
            Found::Table {
                table,
                start,
                offset,
            } => {
                self.find_piece(table, start, offset)?;
                let Cursor { piece, range, .. } = &self.cursor;
                Ok(copy(piece, offset - range.start, buffer))
            }
        }
    }
}
