//! Repairs of files, whatever their format.

use std::io;
use std::path::Path;

use super::disk::Disk;
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
        Ok(match repaired? {
            Repaired::Closed(extent) => Some(found(&extent)),
            Repaired::Removed => None,
        })
    }

    fn look(&mut self, disk: &dyn Disk, format: Format, path: &Path) -> io::Result<Option<Found>> {
        let file = disk.open(path)?;
        let extent = match format {
            Format::Mp4 => mp4::repair::look(&*file),
            Format::Flv => flv::repair::look(&*file),
        };
        Ok(extent?.as_ref().map(found))
    }
}

fn found(extent: &Extent) -> Found {
    Found {
        len: extent.len,
        duration: extent.duration,
    }
}
