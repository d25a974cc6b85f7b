//! The disk: the only door from recordings to a file system.
//!
//! Paths are relative to the folder of the recordings: `live/door/2026-11-28T11-30-00Z.mp4`. Tests use a
//! disk in memory that fails, fills up and loses power on command.

mod failure;
pub mod os;
#[cfg(test)]
pub mod sim;

use std::io::{self, IoSlice};
use std::path::Path;

use super::WallMillis;
pub use failure::Failure;

/// A folder of recordings.
pub trait Disk: Send + Sync {
    /// Creates a file that doesn't exist, with the folders above it, for writing and reading, and makes
    /// its directory entry durable. `AlreadyExists` if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading and writing, to repair it.
    fn reopen(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file, and makes that durable. `AlreadyExists` if the new name is taken.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, and the folders above it that are empty then.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Whether there is a file with this name.
    fn exists(&self, path: &Path) -> bool;

    /// Passes all files to `found`, folder by folder, in no particular order. Folders and files whose
    /// name begins with a period are left out.
    fn list(&self, found: &mut dyn FnMut(FoundFile<'_>)) -> io::Result<()>;

    /// The space of the file system.
    fn space(&self) -> io::Result<Space>;

    /// Checks that this is still the disk on which the recordings began, and that it can be written to:
    /// see [`Disk::claim`].
    fn check(&self) -> io::Result<()>;

    /// Notes which disk this is, by a marker file in the folder, which is created if it isn't there.
    /// The folder itself must exist. `ResourceBusy` if another process records in it.
    fn claim(&self) -> io::Result<()>;
}

/// A file of a [`Disk`].
#[allow(clippy::len_without_is_empty)]
pub trait DiskFile: Send {
    /// Writes all of the slices, one after another, from `offset` on.
    fn write_at(&mut self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()>;

    /// Reads up to `buffer.len()` bytes from `offset` on; 0 at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Returns when everything that was written is on the disk (fdatasync).
    fn sync(&mut self) -> io::Result<()>;

    /// Sets space aside up to this length, without changing the length of the file. Does nothing on file
    /// systems that can't.
    fn allocate(&mut self, len: u64) -> io::Result<()>;

    /// Cuts the file to this length, and gives up space that was set aside beyond it.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has been removed since it was opened: its space is taken until it is dropped.
    fn is_removed(&self) -> bool;

    /// Sets the time of the last modification.
    fn set_modified(&mut self, to: WallMillis) -> io::Result<()>;
}

/// A file that a scan has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundFile<'a> {
    /// Its path, relative to the folder of the recordings.
    pub path: &'a Path,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last modified.
    pub modified: WallMillis,
}

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// What a program without privileges can still use.
    pub free: u64,
    /// The size of the file system.
    pub total: u64,
}
