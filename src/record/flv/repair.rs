//! The repair of a file that wasn't closed, because power failed, the program was killed, or the disk was
//! full.
//!
//! What the last sync covers is there, and the marks of later fragments say how far that goes. Of what was
//! written after it, any part may be missing: there, fragments count as long as their checksums are right.

use std::io;
use std::path::Path;

use super::close::close;
use super::head::Head;
use super::reader::extent;
use super::walk::{Marked, Walk};
use crate::record::disk::{Disk, DiskFile};
use crate::record::extent::Extent;
use crate::record::part::{self, Repaired};

/// Closes the file `part` with everything in it that is whole, and renames it `path`. If that fails or is
/// interrupted, it can be done again. `AlreadyExists` if that name is taken: the file is closed, and
/// another name will do. `InvalidData` if it isn't a recording; it is left as it is.
pub fn repair(disk: &dyn Disk, part: &Path, path: &Path) -> io::Result<Repaired> {
    part::repair(disk, part, path, repair_file)
}

/// Closes a file with everything in it that is whole; `None` if that is nothing. A file that is closed
/// stays as it is. `InvalidData` if the file isn't a recording.
pub fn repair_file(file: &mut dyn DiskFile) -> io::Result<Option<Extent>> {
    let Some((head, checksum)) = Head::read(file)? else {
        return part::without_head(file, b"FLV\x01");
    };
    let walk = Walk::new(file, head.len, checksum);
    let Some(Whole { last, extent }) = whole(walk)? else {
        return Ok(None);
    };
    close(file, &head, (last.end, extent.to), &last.mark)?;
    Ok(Some(extent))
}

/// Returns the extent of a closed file; `None` if nothing in it is whole. Reads the whole file only if it doesn't
/// end with a mark.
pub fn look(file: &dyn DiskFile) -> io::Result<Option<Extent>> {
    let Some((head, checksum)) = Head::read(file)? else {
        return Ok(None);
    };
    if let Some(extent) = extent(file)? {
        return Ok(Some(extent));
    }
    let whole = whole(Walk::new(file, head.len, checksum))?;
    Ok(whole.map(|whole| whole.extent))
}

/// The fragments that are whole, as all before them are.
struct Whole {
    /// The last one.
    last: Marked,
    extent: Extent,
}

fn whole(mut walk: Walk<'_>) -> io::Result<Option<Whole>> {
    let mut whole = None;
    let mut from = None;
    let mut fragments = 0;
    // Where the last fragment ends whose checksum is wrong, unless a later one says that it was synced.
    let mut wrong_until = None;
    while let Some(marked) = walk.next()? {
        let mark = &marked.mark;
        fragments += 1;
        let from = *from.get_or_insert(mark.wall);
        if !marked.is_right {
            wrong_until = Some(marked.end);
            continue;
        }
        if wrong_until.is_some_and(|end| mark.synced_to >= end) {
            wrong_until = None;
        }
        if wrong_until.is_none() {
            let extent = Extent {
                len: marked.end,
                from,
                to: mark.wall_end(),
                duration: mark.end,
                fragments,
                gap: None,
            };
            let last = marked;
            whole = Some(Whole { last, extent });
        }
    }
    Ok(whole)
}
