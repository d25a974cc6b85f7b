//! The fragments of a recorded file, one after another.

use std::io;

use super::Body;
use super::file::read_exact;
use crate::media::mp4::note::{NOTE_LEN, Note};
use crate::media::mp4::read::{FileHead, MAX_FILE_HEAD_LEN, Moof};

/// The number of bytes that are read to find out how long the head of a file is.
const FIRST_READ: usize = 2 * 1024;

/// A place in a file, with the note of the fragment there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The offset of the note, with which the fragment begins.
    pub at: u64,
    /// The note.
    pub note: Note,
}

impl Found {
    /// The offset of the next fragment.
    pub fn end(&self) -> u64 {
        self.at + u64::from(self.note.len)
    }
}

/// Walks through the fragments of a file. Doesn't hold the file, so that it can be kept.
#[derive(Clone, Copy, Debug)]
pub struct Fragments {
    at: u64,
    end: u64,
}

impl Fragments {
    /// Walks through the fragments from one offset to another.
    pub fn new(at: u64, end: u64) -> Fragments {
        Fragments { at, end }
    }

    /// Returns the next fragment, or `None` at the end: of the range, or of what can be read.
    pub fn next(&mut self, file: &mut dyn Body) -> io::Result<Option<Found>> {
        let at = self.at;
        if at.saturating_add(NOTE_LEN as u64) > self.end {
            return Ok(None);
        }
        let mut bytes = [0; NOTE_LEN];
        read_exact(file, at, &mut bytes)?;
        let Some(note) = Note::parse(&bytes) else {
            return Ok(None);
        };
        let found = Found { at, note };
        if found.end() > self.end {
            return Ok(None);
        }
        self.at = found.end();
        Ok(Some(found))
    }
}

/// Reads what precedes the fragments of a file.
pub fn read_head(file: &mut dyn Body) -> io::Result<FileHead> {
    let mut bytes = vec![0; FIRST_READ];
    loop {
        let there = usize::try_from(file.len()).unwrap_or(usize::MAX);
        bytes.resize(bytes.len().min(there), 0);
        read_exact(file, 0, &mut bytes)?;
        if let Some(mut head) = FileHead::parse(&bytes) {
            // A file that was longer when it was closed isn't whole.
            head.closed_at = head.closed_at.filter(|at| *at <= file.len());
            return Ok(head);
        }
        let is_longer = there > bytes.len() && bytes.len() < MAX_FILE_HEAD_LEN;
        if !is_longer {
            return Err(io::ErrorKind::InvalidData.into());
        }
        bytes = vec![0; MAX_FILE_HEAD_LEN];
    }
}

/// Reads the `moof` of a fragment into `bytes`.
pub fn read_moof<'a>(
    file: &mut dyn Body,
    found: &Found,
    bytes: &'a mut Vec<u8>,
) -> io::Result<Moof<'a>> {
    bytes.resize(found.note.moof_len as usize, 0);
    read_exact(file, found.at + NOTE_LEN as u64, bytes)?;
    Moof::parse(bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
