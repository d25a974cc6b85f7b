//! The repair of a file that wasn't closed, because power failed, the program was killed, or the disk was
//! full.
//!
//! What the last sync covers is there, and the notes of later fragments say how far that goes. Of what was
//! written after it, any part may be missing: there, fragments count as long as their checksums are right.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::close::close;
use super::index::may_have_gaps;
use super::reader::{Fragment, Fragments, read_exactly, read_head, read_moof};
use super::{LINK_AT, Link};
use crate::media::mp4::FILE_TYPE;
use crate::media::mp4::note::{CHECKSUM_LEN, Checksum};
use crate::media::mp4::read::{BoxHeader, FileHead};
use crate::record::disk::{Disk, DiskFile};
use crate::record::extent::{Extent, Gap};
use crate::record::part::{self, Repaired};

/// The number of bytes that are checked at once.
const BUFFER_LEN: usize = 16 * 1024;

/// Closes the file `part` with everything in it that is whole, and renames it `path`. If that fails
/// or is interrupted, it can be done again. `AlreadyExists` if that name is taken: the file is
/// closed, and another name will do. `InvalidData` if it isn't a recording; it is left as it is.
pub fn repair(disk: &dyn Disk, part: &Path, path: &Path) -> io::Result<Repaired> {
    part::repair(disk, part, path, repair_file)
}

/// Closes a file with everything in it that is whole; `None` if that is nothing. `InvalidData` if the
/// file isn't a recording.
pub fn repair_file(file: &mut dyn DiskFile) -> io::Result<Option<Extent>> {
    let Some(head) = read_head(file)? else {
        return part::without_head(file, FILE_TYPE);
    };
    if let Some(extent) = closed(file, &head)? {
        return Ok(Some(extent));
    }
    let end = whole_until(file, &head)?;
    if end == head.len {
        return Ok(None);
    }
    let mut room = vec![0; 2 * BUFFER_LEN];
    close(file, &head, (end, 0), &mut [&mut room]).map(Some)
}

/// Returns the extent of a closed file; `None` if it isn't one.
pub fn look(file: &dyn DiskFile) -> io::Result<Option<Extent>> {
    match read_head(file)? {
        Some(head) => closed(file, &head),
        None => Ok(None),
    }
}

/// Returns the gaps of a closed file.
pub fn gaps(file: &dyn DiskFile) -> io::Result<Vec<Gap>> {
    let mut gaps = Vec::new();
    if let Some(head) = read_head(file)?.filter(|_| may_have_gaps(file.len().unwrap_or(0))) {
        let mut extent = Extent::default();
        let closed_at = head.closed_at.ok_or(ErrorKind::InvalidData)?;
        let mut fragments = Fragments::of_closed(file, head.len, closed_at)?;
        while let Some(fragment) = fragments.next(file)? {
            extent.add(&fragment.note);
            gaps.extend(extent.gap);
        }
    }
    Ok(gaps)
}

/// Returns the extent of a file that is closed already. Its tables were on the disk before the header said
/// that it is closed.
pub fn closed(file: &dyn DiskFile, head: &FileHead) -> io::Result<Option<Extent>> {
    let Some(closed_at) = head.closed_at else {
        return Ok(None);
    };
    let mut header = [0; 16];
    let is_there = read_exactly(file, closed_at, &mut header)?;
    let movie = BoxHeader::parse(&header).filter(|movie| is_there && movie.name == *b"moov");
    let end = movie.and_then(|movie| closed_at.checked_add(movie.len));
    if end.is_none_or(|end| end > file.len().unwrap_or(0)) {
        return Ok(None);
    }
    let mut extent = Extent::default();
    let mut fragments = Fragments::of_closed(file, head.len, closed_at)?;
    while let Some(fragment) = fragments.next(file)? {
        extent.add(&fragment.note);
    }
    extent.len = file.len()?;
    Ok((fragments.offset() == closed_at).then_some(extent))
}

/// Returns the end of the last fragment that is whole, as all before it are.
fn whole_until(file: &dyn DiskFile, head: &FileHead) -> io::Result<u64> {
    let len = file.len()?;
    let mut fragments = Fragments::new(head, len);
    let (mut synced, mut wall) = (head.len, 0);
    while let Some(Fragment { offset, note }) = fragments.next(file)? {
        // Within a file, time doesn't go back: what older files left behind says nothing of this one.
        if note.synced_to > offset || note.wall < wall {
            break;
        }
        synced = synced.max(note.synced_to);
        wall = note.wall;
    }
    let mut fragments = Fragments::new(head, len);
    let mut whole = head.len;
    let mut buffer = Vec::new();
    let mut previous = None;
    while let Some(fragment) = fragments.next(file)? {
        let is_synced = fragment.end() <= synced;
        let is_whole = read_moof(file, &fragment, &mut buffer)?.is_some()
            && (is_synced || is_intact(file, head, &fragment, previous.as_ref())?);
        if !is_whole {
            break;
        }
        whole = fragment.end();
        previous = Some(fragment);
    }
    Ok(whole)
}

/// Whether the checksum of a fragment is right.
fn is_intact(
    file: &dyn DiskFile,
    head: &FileHead,
    fragment: &Fragment,
    previous: Option<&Fragment>,
) -> io::Result<bool> {
    let mut checksum = Checksum::default();
    match previous {
        Some(previous) => checksum.add(&link_at(file, checksum_at(previous))?),
        None if head.closed_at.is_none() => checksum.add(&link_at(file, LINK_AT)?),
        // A file that was closed, and lost its end, has lost the beginning of the chain as well.
        None => return Ok(true),
    }
    let mut offset = fragment.moof_offset();
    let end = checksum_at(fragment);
    let mut buffer = vec![0; BUFFER_LEN];
    // The header of the `mdat` lies between.
    let moof_end = offset + u64::from(fragment.note.moof_len);
    for (start, end) in [(offset, moof_end), (moof_end + 8, end)] {
        offset = start;
        while offset < end {
            let count = (end - offset).min(BUFFER_LEN as u64) as usize;
            let piece = &mut buffer[..count];
            if !read_exactly(file, offset, piece)? {
                return Ok(false);
            }
            checksum.add(piece);
            offset += count as u64;
        }
    }
    Ok(link_at(file, checksum_at(fragment))? == checksum.bytes())
}

/// The offset of the checksum at the end of a fragment.
fn checksum_at(fragment: &Fragment) -> u64 {
    fragment.end() - u64::from(CHECKSUM_LEN)
}

fn link_at(file: &dyn DiskFile, offset: u64) -> io::Result<Link> {
    let mut link = Link::default();
    read_exactly(file, offset, &mut link)?;
    Ok(link)
}
