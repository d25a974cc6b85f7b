//! The last seconds of a live stream as one MP4 file, straight out of its log. No disk is needed: nothing
//! of the file exists but a few samples at a time.
//!
//! ```text
//! ftyp | moov: Fixed, Table, Fixed, Table ...     | mdat header | samples
//!                     ^ a piece for each cut of the log           cut by cut, video first
//! ```

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use super::Body;
use super::outline::{Found, Outline, copy};
use crate::live::cut::{CopyPlace, Cut};
use crate::live::kind::Kind;
use crate::live::stream::{LogSpan, Stream};
use crate::media::Medium;
use crate::media::mp4::movie::{Movie, Placed, Shift, Table, Times, Totals};
use crate::media::mp4::note::Note;
use crate::media::mp4::read::{FileHead, InitMoov, Moof};
use crate::record::mp4::write_boxes;

/// The heap memory of a file, in bytes: a cut, its boxes, and the `moov` without tables and decoder
/// configurations.
const COST: usize = 6 * 1024;

/// See the module's documentation. Keeps what it still needs in the log.
pub struct LastBody {
    outline: Outline,
    /// Whether the samples have begun to be read, so that those behind aren't needed any more.
    is_in_data: bool,
    walk: Walk,
    /// The piece of a table, and where it lies in the `moov`.
    piece: Vec<u8>,
}

/// Walks from one cut to the next.
struct Walk {
    stream: Arc<Stream>,
    span: LogSpan,
    init: InitMoov,
    /// The decode times that become 0: video, audio.
    zero: [u64; 2],
    /// The cut, video first, and the number of its samples of video.
    cut: Cut,
    video_len: usize,
    /// Its `moof`.
    head: Vec<u8>,
    note: Note,
    /// All cuts before it.
    before: Totals,
    earlier: Times,
    /// The number of bytes of their samples.
    data_before: u64,
}

impl LastBody {
    /// The heap memory of the file of a span, in bytes.
    pub fn cost(span: &LogSpan) -> usize {
        // The boxes at the beginning are made, read, and made again.
        COST + 3 * span.config_len()
    }

    /// Lays out the file. Fails if messages have left the log, or if
    /// there are none.
    pub fn new(stream: Arc<Stream>, span: LogSpan) -> io::Result<LastBody> {
        let mut walk = Walk::new(stream, span)?;
        let (mut totals, mut times) = (Totals::default(), Times::default());
        let mut data_len = 0;
        loop {
            totals.add(&walk.note);
            times.add(&walk.moof()?, Shift::default());
            data_len += walk.data_len();
            if !walk.step()? {
                break;
            }
        }
        let movie = Movie::new(&walk.init, &totals, &times, 0).ok_or(ErrorKind::InvalidData)?;
        walk.rewind()?;
        Ok(LastBody {
            outline: Outline { movie, data_len },
            is_in_data: false,
            walk,
            piece: Vec::new(),
        })
    }

    /// Reads bytes of one part of the file.
    fn read_part(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.outline.find(offset, buffer)? {
            Found::Copied(len) => Ok(len),
            Found::Data(offset) => self.read_data(offset, buffer),
            Found::Table {
                table: (medium, table),
                offset,
                ..
            } => {
                let range = self.find_piece(medium, table, offset)?;
                self.make_piece(medium, table)?;
                Ok(copy(&self.piece, offset - range.start, buffer))
            }
        }
    }

    /// Walks to the cut whose piece of a table contains an offset. Returns where the piece lies.
    fn find_piece(&mut self, medium: Medium, table: Table, offset: u64) -> io::Result<Range<u64>> {
        let mut is_new = false;
        loop {
            let walk = &self.walk;
            let (before, note) = (&walk.before, &walk.note);
            let range = self.outline.movie.piece_range(medium, table, before, note);
            if range.contains(&offset) {
                return Ok(range);
            }
            // The table before was read to its end.
            if offset < range.start && !is_new {
                self.walk.rewind()?;
                is_new = true;
            } else if !self.walk.step()? {
                return Err(ErrorKind::InvalidData.into());
            }
        }
    }

    fn make_piece(&mut self, medium: Medium, table: Table) -> io::Result<()> {
        let walk = &self.walk;
        self.piece.clear();
        if table == Table::Co64 {
            // Chunks lie behind each other, without what is around them in recordings.
            let video = match medium {
                Medium::Video => 0,
                Medium::Audio => u64::from(walk.note.video.bytes),
            };
            let offset = self.outline.data_at() + walk.data_before + video;
            self.piece.extend_from_slice(&offset.to_be_bytes());
            return Ok(());
        }
        let moof = walk.moof()?;
        let placed = Placed {
            moof: &moof,
            shift: Shift::default(),
            moof_at: 0,
        };
        let piece = &mut self.piece;
        let (before, earlier, note) = (&walk.before, &walk.earlier, &walk.note);
        let made = self
            .outline
            .movie
            .piece((medium, table), before, earlier, note, &placed, piece);
        made.map(|_| ()).ok_or(ErrorKind::InvalidData.into())
    }

    /// Reads samples, from an offset in them on.
    fn read_data(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let walk = &mut self.walk;
        if offset < walk.data_before {
            walk.rewind()?;
        }
        while offset >= walk.data_before + walk.data_len() {
            if !walk.step()? {
                return Err(ErrorKind::InvalidData.into());
            }
            self.is_in_data = true;
        }
        if self.is_in_data {
            walk.release();
        }
        walk.read(offset - walk.data_before, buffer)
    }
}

impl Body for LastBody {
    fn len(&self) -> u64 {
        self.outline.len()
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut len = 0;
        // Pieces of tables are short, and what is read is sent at once.
        while len < buffer.len() {
            let rest = buffer.get_mut(len..).unwrap_or_default();
            match self.read_part(offset + len as u64, rest)? {
                0 => break,
                read => len += read,
            }
        }
        Ok(len)
    }
}

impl Walk {
    /// A walk that stands at the first cut.
    fn new(stream: Arc<Stream>, span: LogSpan) -> io::Result<Walk> {
        let mut walk = Walk {
            stream,
            span,
            init: InitMoov::default(),
            zero: [0; 2],
            cut: Cut::default(),
            video_len: 0,
            head: Vec::new(),
            note: Note::default(),
            before: Totals::default(),
            earlier: Times::default(),
            data_before: 0,
        };
        let first = walk.span.messages().start;
        if !walk.find(first)? {
            return Err(ErrorKind::NotFound.into());
        }
        let presentation = &walk.cut.tracks.presentation;
        let head = FileHead::parse(&presentation.file_head());
        walk.init = head.ok_or(ErrorKind::InvalidData)?.init;
        let audio = presentation.audio.as_ref();
        let rate = audio.map_or(1, |audio| u64::from(audio.sample_rate.max(1)));
        let first = |kind| {
            let mut samples = walk.cut.samples.iter();
            samples
                .find(|sample| sample.kind == kind)
                .map(|sample| sample.decode_time)
        };
        let (video, audio) = (first(Kind::Video), first(Kind::Audio));
        let audio = audio.map(|time| time * 1000 / rate);
        let zero = video.into_iter().chain(audio).min().unwrap_or(0);
        walk.zero = [zero, zero * rate / 1000];
        walk.lay_out()?;
        Ok(walk)
    }

    /// Finds the cut that begins with a message.
    fn find(&mut self, at: u64) -> io::Result<bool> {
        let found = self.stream.next_of_span(&self.span, at, &mut self.cut);
        let is_found = found.map_err(|_| ErrorKind::UnexpectedEof)?;
        self.video_len = self.cut.put_video_first();
        Ok(is_found)
    }

    /// Makes the boxes of the cut.
    fn lay_out(&mut self) -> io::Result<()> {
        let samples = &self.cut.samples;
        self.head.clear();
        let head = write_boxes(&mut self.head, 1, samples, self.video_len, self.zero);
        let head = head.ok_or(ErrorKind::InvalidData)?;
        self.note = Note::default().with_counts(head.moof_len, head.video, head.audio);
        Ok(())
    }

    fn moof(&self) -> io::Result<Moof<'_>> {
        Ok(Moof::parse(&self.head).ok_or(ErrorKind::InvalidData)?)
    }

    /// The number of bytes of the cut's samples.
    fn data_len(&self) -> u64 {
        u64::from(self.note.video.bytes) + u64::from(self.note.audio.bytes)
    }

    /// Goes on to the next cut. False, and nothing has changed, if there is none.
    fn step(&mut self) -> io::Result<bool> {
        let end = self.cut.messages.end;
        if end >= self.span.messages().end {
            return Ok(false);
        }
        let moof = Moof::parse(&self.head).ok_or(ErrorKind::InvalidData)?;
        self.earlier.add(&moof, Shift::default());
        self.before.add(&self.note);
        self.data_before += self.data_len();
        if !self.find(end)? {
            // Messages that belong to no track follow.
            self.cut.messages = end..self.span.messages().end;
            self.note = Note::default();
            return Ok(false);
        }
        self.lay_out()?;
        Ok(true)
    }

    /// Goes back to the first cut.
    fn rewind(&mut self) -> io::Result<()> {
        (self.before, self.earlier, self.data_before) = Default::default();
        if !self.find(self.span.messages().start)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.lay_out()
    }

    /// Lets what lies before the cut leave the log.
    fn release(&self) {
        self.stream.release(&self.span, self.cut.messages.start);
    }

    /// Reads samples of the cut, from an offset in them on.
    fn read(&self, mut offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut place = CopyPlace::default();
        for sample in &self.cut.samples {
            if offset < u64::from(sample.len) {
                break;
            }
            offset -= u64::from(sample.len);
            place.index += 1;
        }
        place.offset = offset as u32;
        let copied = self.stream.copy(&self.cut.samples, &mut place, buffer);
        copied.map_err(|_| ErrorKind::UnexpectedEof.into())
    }
}
