//! A reader of the fragments of a file, whether it grows, is closed, or is damaged.
//!
//! Reading a fragment's note takes one read, and those of a closed file are read 40 at a time from its
//! index. The notes are small, so nothing of a file is kept.

use std::io;

use super::index;
use crate::media::mp4::FILE_TYPE;
use crate::media::mp4::note::{MAX_MOOF_LEN, NOTE_LEN, Note};
use crate::media::mp4::read::{FileHead, MAX_FILE_HEAD_LEN, Moof};
use crate::record::disk::DiskFile;

/// The number of notes that are read from an index at once.
const NOTES_AT_ONCE: usize = 40;

/// A fragment of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The offset of its note.
    pub offset: u64,
    /// What is in it.
    pub note: Note,
}

impl Fragment {
    /// The offset of its `moof`.
    pub fn moof_offset(&self) -> u64 {
        self.offset + NOTE_LEN as u64
    }

    /// The offset of what follows it.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.note.len)
    }
}

/// Reads what precedes the fragments of a file; `None` if that is damaged.
pub fn read_head(file: &dyn DiskFile) -> io::Result<Option<FileHead>> {
    // Nearly always enough.
    const USUAL_LEN: usize = 2048;

    let mut bytes = Vec::new();
    for most in [USUAL_LEN, MAX_FILE_HEAD_LEN] {
        bytes.resize(most, 0);
        let len = read_up_to(file, 0, &mut bytes)?;
        bytes.truncate(len);
        if !bytes.starts_with(FILE_TYPE) {
            return Ok(None);
        }
        let head = FileHead::parse(&bytes);
        if head.is_some() || len < most {
            return Ok(head);
        }
    }
    Ok(None)
}

/// The fragments of a file, in their order.
#[derive(Clone, Debug)]
pub struct Fragments {
    /// The offset of the next fragment.
    next: u64,
    /// The offset behind the last fragment, or further on if that isn't known.
    end: u64,
    /// The range of the file in which the other notes of its index lie.
    notes: Option<(u64, u64)>,
    /// Notes that were read from the index.
    read: Vec<u8>,
    /// The number of bytes of them that were used.
    used: usize,
}

impl Fragments {
    /// Begins with the first fragment, at the end of the head. There are none beyond `end`.
    pub fn new(head: &FileHead, end: u64) -> Fragments {
        Fragments::between(head.len, end)
    }

    /// Begins with the fragment at an offset. There are none beyond `end`.
    pub fn between(start: u64, end: u64) -> Fragments {
        Fragments {
            next: start,
            end,
            notes: None,
            read: Vec::new(),
            used: 0,
        }
    }

    /// Begins with the first fragment of a closed file, at `start`, and uses its index. The last one ends at
    /// `closed_at`.
    pub fn of_closed(file: &dyn DiskFile, start: u64, closed_at: u64) -> io::Result<Fragments> {
        let mut fragments = Fragments::between(start, closed_at);
        let len = file.len()?;
        let mut tail = [0; index::TAIL_LEN];
        let tail_at = len.saturating_sub(index::TAIL_LEN as u64);
        if read_exactly(file, tail_at, &mut tail)? {
            let notes = index::lens_of(tail).and_then(|(index_len, notes_len)| {
                let start = len.checked_sub(index_len)? + index::HEAD_LEN;
                Some((start, start + notes_len))
            });
            fragments.notes = notes.filter(|(start, _)| *start >= closed_at);
        }
        Ok(fragments)
    }

    /// The offset of the next fragment.
    pub fn offset(&self) -> u64 {
        self.next
    }

    /// Reads the next fragment; `None` if there is none, or it has no valid note.
    pub fn next(&mut self, file: &dyn DiskFile) -> io::Result<Option<Fragment>> {
        if self.next >= self.end {
            return Ok(None);
        }
        let note = match self.notes {
            None => read_note(file, self.next)?,
            Some(notes) => self.next_of_index(file, notes)?,
        };
        let fragment = note.map(|note| Fragment {
            offset: self.next,
            note,
        });
        let fragment = fragment.filter(|fragment| fragment.end() <= self.end);
        if let Some(fragment) = &fragment {
            self.next = fragment.end();
        }
        Ok(fragment)
    }

    fn next_of_index(
        &mut self,
        file: &dyn DiskFile,
        (start, end): (u64, u64),
    ) -> io::Result<Option<Note>> {
        if self.used >= self.read.len() {
            let left = (end - start) as usize;
            self.read.resize(left.min(NOTES_AT_ONCE * NOTE_LEN), 0);
            if !read_exactly(file, start, &mut self.read)? {
                self.read.clear();
            }
            self.notes = Some((start + self.read.len() as u64, end));
            self.used = 0;
        }
        let note = self.read.get(self.used..).and_then(Note::parse);
        self.used += NOTE_LEN;
        Ok(note)
    }
}

fn read_note(file: &dyn DiskFile, offset: u64) -> io::Result<Option<Note>> {
    let mut bytes = [0; NOTE_LEN];
    let is_whole = read_exactly(file, offset, &mut bytes)?;
    Ok(Note::parse(&bytes).filter(|_| is_whole))
}

/// Reads the `moof` of a fragment into `buffer`. `None` if it is damaged or isn't what the note says.
pub fn read_moof<'a>(
    file: &dyn DiskFile,
    fragment: &Fragment,
    buffer: &'a mut Vec<u8>,
) -> io::Result<Option<Moof<'a>>> {
    let note = &fragment.note;
    buffer.resize((note.moof_len as usize).min(MAX_MOOF_LEN), 0);
    if !read_exactly(file, fragment.moof_offset(), buffer)? {
        return Ok(None);
    }
    let moof = Moof::parse(buffer);
    Ok(moof.filter(|moof| moof.counts() == [note.video, note.audio]))
}

/// Reads as much as there is; returns how many bytes.
pub fn read_up_to(file: &dyn DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset + done as u64, rest)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Fills the buffer; `false` if the file ends before.
pub fn read_exactly(file: &dyn DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
    Ok(read_up_to(file, offset, buffer)? == buffer.len())
}
