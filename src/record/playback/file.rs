//! One recorded file, as it was when it was requested.

use std::io;

use super::{Body, Recordings};
use crate::media::mp4::read::{FileHead, InitMoov};
use crate::media::mp4::{FILE_TYPE_LEN, MDAT_HEADER_LEN};
use crate::record::catalog::File;
use crate::record::disk::DiskFile;
use crate::record::mp4::reader::{Fragments, read_head};
use crate::record::mp4::summary::Summary;
use crate::record::name::{FileName, Format, part_path, path};
use crate::rtmp::stream_key::StreamKey;

/// The place of the box in an MP4 file that hides the fragments once the file is closed.
const COVER_AT: u64 = FILE_TYPE_LEN as u64;

/// That box while the file grows.
const COVER: &[u8; MDAT_HEADER_LEN] = b"\0\0\0\x10free\0\0\0\0\0\0\0\0";

/// A recorded file that is open for reading. If it grows, it ends with the fragment that was the last one
/// when it was opened.
pub struct FileBody {
    pub(super) file: Box<dyn DiskFile>,
    /// What the list says about it.
    pub entry: File,
    len: u64,
}

impl FileBody {
    /// Opens a file of a stream by its name; `None` if there is none.
    pub fn open(
        recordings: &Recordings,
        stream: &StreamKey,
        name: FileName,
    ) -> io::Result<Option<FileBody>> {
        let mut was_open = None;
        // Twice, because the file may be closed, and renamed, after it was looked up.
        loop {
            let entry = recordings.list().find(stream, name);
            let Some(entry) = entry.filter(|entry| Some(entry.is_open) != was_open) else {
                break;
            };
            match FileBody::of(recordings, stream, entry) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => return result.map(Some),
            }
            if !entry.is_open {
                recordings.list().condition.report_missing(stream, name);
                break;
            }
            was_open = Some(entry.is_open);
        }
        Ok(None)
    }

    fn of(recordings: &Recordings, stream: &StreamKey, entry: File) -> io::Result<FileBody> {
        let path = if entry.is_open {
            part_path(stream, entry.name)
        } else {
            path(stream, entry.name)
        };
        let file = recordings.disk.open(&path)?;
        let len = file.len()?;
        let len = if entry.is_open {
            entry.len.min(len)
        } else {
            len
        };
        Ok(FileBody { file, entry, len })
    }

    /// Returns the fragments of an MP4 file, and its tracks unless they are those of the file `before`. One that is
    /// closed and has the same tracks isn't read at its beginning.
    pub(super) fn fragments_after(
        &self,
        before: Option<&InitMoov>,
    ) -> io::Result<(Option<InitMoov>, Fragments)> {
        if before.is_some() && !self.entry.is_open {
            let summary = Summary::read(&*self.file, self.len, before)?;
            if let Some(Summary { first, last, .. }) = summary {
                let fragments = Fragments::of_closed(&*self.file, first.offset, last.end())?;
                return Ok((None, fragments));
            }
        }
        let (head, fragments) = self.fragments()?;
        let tracks = Some(head.init).filter(|tracks| before != Some(tracks));
        Ok((tracks, fragments))
    }

    /// Reads what precedes the fragments of an MP4 file, and returns it with these.
    pub(super) fn fragments(&self) -> io::Result<(FileHead, Fragments)> {
        let head = read_head(&*self.file)?.ok_or(io::ErrorKind::InvalidData)?;
        let closed_at = head.closed_at.filter(|at| *at < self.len);
        let fragments = match closed_at {
            Some(at) => Fragments::of_closed(&*self.file, head.len, at)?,
            None => Fragments::new(&head, self.len),
        };
        Ok((head, fragments))
    }
}

impl Body for FileBody {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let buffer = up_to(self.len, offset, buffer);
        if buffer.is_empty() {
            return Ok(0);
        }
        // The space of a file that had to go isn't free before it is closed.
        if self.file.is_removed() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let read = self.file.read_at(offset, buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.entry.is_open && self.entry.name.format() == Format::Mp4 {
            // The file may be closed while it is sent. Then the rest of it, which isn't sent, would
            // belong to this box.
            for (byte, at) in COVER.iter().zip(COVER_AT..) {
                let at = at.checked_sub(offset).filter(|at| *at < read as u64);
                if let Some(place) = at.and_then(|at| buffer.get_mut(at as usize)) {
                    *place = *byte;
                }
            }
        }
        Ok(read)
    }
}

/// The part of a buffer for bytes from `offset` on that are before `end`.
pub(super) fn up_to(end: u64, offset: u64, buffer: &mut [u8]) -> &mut [u8] {
    let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
    let len = buffer.len().min(left);
    buffer.get_mut(..len).unwrap_or_default()
}

/// The init segment of an MP4 file: its first two boxes but the one between them.
pub struct InitBody {
    file: FileBody,
    len: u64,
}

impl InitBody {
    /// Reads the length of the init segment of a file.
    pub fn new(file: FileBody) -> io::Result<InitBody> {
        let (head, _) = file.fragments()?;
        let len = head.len - COVER.len() as u64;
        Ok(InitBody { file, len })
    }
}

impl Body for InitBody {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset < COVER_AT {
            return self.file.read(offset, up_to(COVER_AT, offset, buffer));
        }
        let buffer = up_to(self.len, offset, buffer);
        let offset = offset.saturating_add(COVER.len() as u64);
        self.file.read(offset, buffer)
    }
}
