//! Repairs of files, whatever their format.

use std::io;
use std::path::Path;

use super::disk::{Disk, DiskFile};
use super::extent::Extent;
use super::keeper::{Found, Mend};
use super::name::Format;
use super::part::Repaired;
use super::{flv, mp4};

/// Repairs what recorders write.
pub struct Mender;

impl Mend for Mender {
    fn repair(
        &mut self,
        disk: &dyn Disk,
        format: Format,
        part: &Path,
        path: &Path,
    ) -> io::Result<Option<Found>> {
        let repaired = match format {
            Format::Mp4 => mp4::repair::repair(disk, part, path),
            Format::Flv => flv::repair::repair(disk, part, path),
        };
        match repaired? {
            Repaired::Closed(extent) => Ok(Some(found(&*disk.open(path)?, format, &extent)?)),
            Repaired::Removed => Ok(None),
        }
    }

    fn look(&mut self, disk: &dyn Disk, format: Format, path: &Path) -> io::Result<Option<Found>> {
        let file = disk.open(path)?;
        let extent = match format {
            Format::Mp4 => mp4::repair::look(&*file),
            Format::Flv => flv::repair::look(&*file),
        };
        let extent = extent?;
        extent
            .map(|extent| found(&*file, format, &extent))
            .transpose()
    }
}

fn found(file: &dyn DiskFile, format: Format, extent: &Extent) -> io::Result<Found> {
    Ok(Found {
        len: extent.len,
        from: extent.from,
        duration: extent.to.saturating_sub(extent.from),
        gaps: match format {
            Format::Mp4 => mp4::repair::gaps(file)?,
            Format::Flv => Vec::new(),
        },
    })
}
