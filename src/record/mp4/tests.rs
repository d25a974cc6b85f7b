//! Files that are written, closed, damaged and repaired, read by a parser that shares no code with the
//! writer.

pub(in crate::record) mod closed_file;
mod files;
mod left_behind;
mod memory;
mod power_cuts;
pub(in crate::record) mod script;

use std::path::Path;

use closed_file::ClosedFile;
use script::Script;

use super::repair::repair;
use crate::record::disk::sim::SimDisk;
use crate::record::extent::Extent;
use crate::record::part::{Repaired, part_of};

const NAME: &str = "live/door/a.mp4";

/// The file's path while it is open.
fn part() -> std::path::PathBuf {
    part_of(Path::new(NAME))
}

/// Repairs the file, and returns what is in it then; `None` if it was removed.
fn repaired(disk: &SimDisk) -> Option<(Extent, ClosedFile)> {
    match repair(disk, &part(), Path::new(NAME)).unwrap() {
        Repaired::Removed => {
            assert!(disk.paths().is_empty());
            None
        }
        Repaired::Closed(extent) => {
            assert_eq!(disk.paths(), [Path::new(NAME)]);
            let bytes = disk.bytes(NAME).unwrap();
            assert_eq!(extent.len, bytes.len() as u64);
            Some((extent, ClosedFile::parse(&bytes)))
        }
    }
}
