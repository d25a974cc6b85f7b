//! One recorded file, as it was when it was requested.

use std::io;

use super::{Body, Recording, Recordings};
use crate::media::mp4::{FILE_TYPE_LEN, MDAT_HEADER_LEN};
use crate::record::disk::DiskFile;
use crate::rtmp::stream_key::StreamKey;

/// The place of the box in an MP4 file that hides the fragments once the file is closed.
const COVER_AT: u64 = FILE_TYPE_LEN as u64;

/// That box while the file grows.
const COVER: &[u8; MDAT_HEADER_LEN] = b"\0\0\0\x10free\0\0\0\0\0\0\0\0";

/// The maximum length of the `moov` of an init segment: two decoder configurations, and little else.
const MAX_MOOV_LEN: u64 = 64 * 1024;

/// A recorded file that is open for reading. If it grows, it ends with the fragment that was the last one
/// when it was opened.
pub struct FileBody {
    file: Box<dyn DiskFile>,
    len: u64,
    is_covered: bool,
}

impl FileBody {
    /// Opens a file of a stream by its name; `None` if there is none.
    pub fn open(
        recordings: &Recordings,
        stream: &StreamKey,
        name: &str,
    ) -> io::Result<Option<(Recording, FileBody)>> {
        let find = || recordings.shelf.file(stream, name);
        let Some(recording) = find() else {
            return Ok(None);
        };
        match FileBody::of(recordings, &recording) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result.map(|body| Some((recording, body))),
        }
        // It may have been closed, and renamed, since it was looked up.
        let Some(again) = find().filter(|again| again.path != recording.path) else {
            return Ok(None);
        };
        FileBody::of(recordings, &again).map(|body| Some((again, body)))
    }

    /// Opens a file that was looked up before.
    pub fn of(recordings: &Recordings, recording: &Recording) -> io::Result<FileBody> {
        let file = recordings.disk.open(&recording.path)?;
        let len = file.len()?;
        Ok(FileBody {
            file,
            len: if recording.is_open {
                recording.len.min(len)
            } else {
                len
            },
            is_covered: recording.is_open && recording.is_mp4(),
        })
    }
}

impl Body for FileBody {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(offset);
        let room = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(buffer) = buffer.get_mut(..room).filter(|room| !room.is_empty()) else {
            return Ok(0);
        };
        let read = self.file.read_at(offset, buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.is_covered {
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

/// The init segment of an MP4 file: its first two boxes but the one between them.
pub struct InitBody {
    file: FileBody,
    len: u64,
}

impl InitBody {
    /// Reads the length of the init segment of a file.
    pub fn new(mut file: FileBody) -> io::Result<InitBody> {
        let at = COVER_AT + COVER.len() as u64;
        let mut head = [0; 8];
        read_exact(&mut file, at, &mut head)?;
        let [a, b, c, d, name @ ..] = head;
        let len = u64::from(u32::from_be_bytes([a, b, c, d]));
        if name != *b"moov" || !(8..=MAX_MOOV_LEN).contains(&len) || at + len > file.len {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let len = COVER_AT + len;
        Ok(InitBody { file, len })
    }
}

impl Body for InitBody {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (at, end) = if offset < COVER_AT {
            (offset, COVER_AT)
        } else {
            let shift = COVER.len() as u64;
            (offset.saturating_add(shift), self.len + shift)
        };
        let left = end.saturating_sub(at);
        let room = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file
            .read(at, buffer.get_mut(..room).unwrap_or_default())
    }
}

/// Fills a buffer from `offset` on.
pub(super) fn read_exact(
    body: &mut dyn Body,
    mut offset: u64,
    mut buffer: &mut [u8],
) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = body.read(offset, buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += read as u64;
        buffer = buffer.get_mut(read..).unwrap_or_default();
    }
    Ok(())
}
