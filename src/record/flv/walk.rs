//! A walk over the tags of a file from its beginning, whatever has happened to it.

use std::hash::Hasher;
use std::io;

use twox_hash::XxHash32;

use super::mark::{MARK_LEN, Mark};
use crate::media::flv::{TAG_HEADER_LEN, TagHeader};
use crate::record::disk::DiskFile;

/// The number of bytes that are read at once.
const BUFFER_LEN: usize = 32 * 1024;

/// The bytes of a file, one after another.
pub(super) struct Bytes<'f> {
    file: &'f dyn DiskFile,
    /// The position in the file behind the buffer.
    at: u64,
    buffer: Vec<u8>,
    /// The number of bytes of the buffer that have been used.
    used: usize,
}

impl<'f> Bytes<'f> {
    pub(super) fn new(file: &'f dyn DiskFile, at: u64) -> Bytes<'f> {
        Bytes {
            file,
            at,
            buffer: Vec::new(),
            used: 0,
        }
    }

    /// The position of the next byte in the file.
    fn position(&self) -> u64 {
        self.at - (self.buffer.len() - self.used) as u64
    }

    /// Returns the next bytes, at most `most`; none at the end of the file.
    fn next(&mut self, most: u64) -> io::Result<&[u8]> {
        if self.used == self.buffer.len() {
            self.buffer.resize(BUFFER_LEN, 0);
            self.used = 0;
            let count = self.file.read_at(self.at, &mut self.buffer);
            // Nothing of the buffer is valid after an error.
            self.buffer.truncate(*count.as_ref().unwrap_or(&0));
            self.at += count? as u64;
        }
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        let next = rest.get(..most as usize).unwrap_or(rest);
        self.used += next.len();
        Ok(next)
    }

    /// Fills `out`; `false` if the file ends before.
    pub(super) fn read(&mut self, mut out: &mut [u8]) -> io::Result<bool> {
        while !out.is_empty() {
            let next = self.next(out.len() as u64)?;
            if next.is_empty() {
                return Ok(false);
            }
            let (now, later) = out.split_at_mut(next.len());
            now.copy_from_slice(next);
            out = later;
        }
        Ok(true)
    }

    /// Adds the next `len` bytes to a checksum; `false` if the file ends before.
    pub(super) fn pass(&mut self, len: u64, checksum: &mut XxHash32) -> io::Result<bool> {
        let mut left = len;
        while left > 0 {
            let next = self.next(left)?;
            if next.is_empty() {
                return Ok(false);
            }
            checksum.write(next);
            left -= next.len() as u64;
        }
        Ok(true)
    }
}

/// The end of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) mark: Mark,
    /// The position behind the mark.
    pub(super) end: u64,
    /// Whether nothing in the fragment has changed since it was written.
    pub(super) is_right: bool,
}

/// See the module's documentation.
pub(super) struct Walk<'f> {
    bytes: Bytes<'f>,
    /// That of the bytes since the last mark.
    checksum: XxHash32,
    /// The position behind the last mark; 0 before the first one.
    fragment_at: u64,
}

impl<'f> Walk<'f> {
    /// Begins behind a head with this length and checksum.
    pub(super) fn new(file: &'f dyn DiskFile, head_len: u64, checksum: XxHash32) -> Walk<'f> {
        Walk {
            bytes: Bytes::new(file, head_len),
            checksum,
            fragment_at: 0,
        }
    }

    /// Finds the end of the next fragment; `None` if the tags end before, or are damaged.
    pub(super) fn next(&mut self) -> io::Result<Option<Marked>> {
        loop {
            let at = self.bytes.position();
            let mut begin = [0; TAG_HEADER_LEN];
            if !self.bytes.read(&mut begin)? {
                return Ok(None);
            }
            let Some(header) = TagHeader::parse(&begin) else {
                return Ok(None);
            };
            if Mark::may_begin(&header) {
                let mut tag = [0; MARK_LEN];
                let (head, rest) = tag.split_at_mut(TAG_HEADER_LEN);
                head.copy_from_slice(&begin);
                if !self.bytes.read(rest)? {
                    return Ok(None);
                }
                if let Some(mark) = Mark::parse(&tag) {
                    return Ok(Some(self.take_mark(mark, at, &tag)));
                }
                self.checksum.write(&tag);
                if !tag.ends_with(&header.size_bytes()) {
                    return Ok(None);
                }
                continue;
            }
            self.checksum.write(&begin);
            let mut size = [0; 4];
            let is_whole = self.bytes.pass(header.len.into(), &mut self.checksum)?
                && self.bytes.read(&mut size)?;
            if !is_whole || size != header.size_bytes() {
                return Ok(None);
            }
            self.checksum.write(&size);
        }
    }

    fn take_mark(&mut self, mark: Mark, at: u64, tag: &[u8; MARK_LEN]) -> Marked {
        let checksum = std::mem::replace(&mut self.checksum, Mark::checksum_after(tag));
        let is_right = mark.len == at - self.fragment_at && Mark::is_right(tag, checksum);
        self.fragment_at = self.bytes.position();
        Marked {
            mark,
            end: self.fragment_at,
            is_right,
        }
    }
}
