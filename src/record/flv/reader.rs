//! Answers about a file that is closed, from its marks.

use std::io;

use super::index::Backward;
use crate::record::disk::DiskFile;
use crate::record::extent::Extent;

/// Returns what a closed file has, or what one in the making has up to the whole fragment at its end. `None` if no
/// fragment ends there.
pub fn extent(file: &dyn DiskFile) -> io::Result<Option<Extent>> {
    let len = file.len()?;
    let mut fragments = Backward::new(file, len);
    let Some((_, last)) = fragments.next()? else {
        return Ok(None);
    };
    let mut extent = Extent {
        len,
        from: last.wall,
        to: last.wall_end(),
        duration: last.end,
        fragments: 1,
        gap: None,
    };
    while let Some((_, mark)) = fragments.next()? {
        extent.from = mark.wall;
        extent.fragments += 1;
    }
    Ok(Some(extent))
}
