//! The outline of an MP4 file that exists nowhere: what lies where in it.
//!
//! ```text
//! ftyp | moov: Fixed, Table, Fixed, Table ...     | mdat header | data
//! ```

use std::io::{self, ErrorKind};

use crate::media::Medium;
use crate::media::mp4::movie::{Content, Movie, Table};
use crate::media::mp4::{FILE_TYPE, FILE_TYPE_LEN, MDAT_HEADER_LEN, mdat_header};

/// The offset of the `moov`.
const MOVIE_AT: u64 = FILE_TYPE_LEN as u64;

/// See the module's documentation.
pub(super) struct Outline {
    pub(super) movie: Movie,
    /// The number of bytes behind the header of the `mdat`.
    pub(super) data_len: u64,
}

/// What lies at an offset.
pub(super) enum Found {
    /// Bytes that are known, of which so many were copied.
    Copied(usize),
    /// A table.
    Table {
        /// What it is.
        table: (Medium, Table),
        /// Where it begins in the `moov`.
        start: u64,
        /// The offset in the `moov`.
        offset: u64,
    },
    /// Data, and the offset in them.
    Data(u64),
}

impl Outline {
    /// The offset of the data.
    pub(super) fn data_at(&self) -> u64 {
        self.movie_end() + MDAT_HEADER_LEN as u64
    }

    /// The number of bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.data_at() + self.data_len
    }

    /// Finds out what lies at an offset, and copies it if that is known.
    pub(super) fn find(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Found> {
        let (data_at, movie_end) = (self.data_at(), self.movie_end());
        let copied = if offset >= self.len() {
            0
        } else if offset >= data_at {
            return Ok(Found::Data(offset - data_at));
        } else if offset >= movie_end {
            copy(&mdat_header(self.data_len), offset - movie_end, buffer)
        } else if offset >= MOVIE_AT {
            let offset = offset - MOVIE_AT;
            let section = self.movie.section_at(offset);
            let section = section.ok_or(ErrorKind::InvalidData)?;
            let start = section.start;
            match section.content {
                Content::Fixed(bytes) => copy(bytes, offset - start, buffer),
                Content::Table(medium, table) => {
                    return Ok(Found::Table {
                        table: (medium, table),
                        start,
                        offset,
                    });
                }
            }
        } else {
            copy(FILE_TYPE, offset, buffer)
        };
        Ok(Found::Copied(copied))
    }

    fn movie_end(&self) -> u64 {
        MOVIE_AT + self.movie.len()
    }
}

/// Copies bytes from an offset on, and returns their number.
pub(super) fn copy(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let bytes = bytes.get(start..).unwrap_or_default();
    let pairs = buffer.iter_mut().zip(bytes);
    pairs.map(|(to, byte)| *to = *byte).count()
}
