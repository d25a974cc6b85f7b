//! Playback: recordings as bytes that can be sent in pieces.
//!
//! ```text
//! Recordings  the list of files, and the disk
//!   |
//! FileBody    one file                        Body: a length, and bytes from any offset on
//! plan -> SpanBody   a span of several files  Body: ftyp, moov, and ranges of the files
//! playlist    a span as pieces of its files   text
//! SegmentBody        such a piece             Body: fragments of a file, with the times of the playlist
//! ```
//!
//! Everything is read when it is sent, so memory doesn't depend on the length of what is played. No lock
//! is held while the disk is read.

pub mod file;
pub mod last;
mod outline;
pub mod plan;
pub mod playlist;
pub mod segment;
pub mod span;
pub mod time;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::WallMillis;
use super::catalog::{Catalog, File};
use super::disk::Disk;
use super::name::FileName;
use crate::live::lock;
use crate::rtmp::stream_key::StreamKey;

/// The recordings that can be played.
#[derive(Clone)]
pub struct Recordings {
    /// The list of them.
    pub catalog: Arc<Mutex<Catalog>>,
    /// The disk on which they are.
    pub disk: Arc<dyn Disk>,
}

impl Recordings {
    /// The list, locked.
    pub fn list(&self) -> MutexGuard<'_, Catalog> {
        lock(&self.catalog)
    }

    /// Returns the first file of a stream that has something between two times; after the one with this
    /// name, if there is one.
    pub(super) fn file_after(
        &self,
        stream: &StreamKey,
        [from, to]: [WallMillis; 2],
        name: Option<FileName>,
    ) -> Option<File> {
        let mut files = Vec::with_capacity(1);
        self.list().files(stream, from..to, name, 1, &mut files);
        files.pop()
    }
}

/// The bytes of a response, which can be read from any offset on.
#[allow(clippy::len_without_is_empty)]
pub trait Body {
    /// The number of bytes, which doesn't change.
    fn len(&self) -> u64;

    /// Reads bytes from `offset` on, and returns their number, which may be less than the length of
    /// `buffer`, but is 0 only at the end. Bytes that can't be had are an error.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Reads until the buffer is full, or the end is reached. Tables are read in pieces of some ten bytes, each
    /// of which would be a packet of its own. An error comes after the bytes before it: with the next call.
    fn fill(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut len = 0;
        while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match self.read(offset + len as u64, rest) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(_) if len > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
