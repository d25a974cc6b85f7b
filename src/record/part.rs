//! A file that isn't closed, whatever its format: `NAME.part`.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use super::WallMillis;
use super::append::AppendError;
use super::disk::{Disk, DiskFile};
use super::extent::Extent;
use super::staging::Staging;

/// Returns the name of a file as long as it is open: `NAME.mp4.part`.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// A file that grows by fragments. If it is dropped, it stays as it is, to be [repaired](repair).
pub(super) struct Part {
    pub(super) file: Box<dyn DiskFile>,
    /// The name that the file gets at the close.
    pub(super) path: PathBuf,
    /// What has been written. Everything up to its length are whole fragments.
    pub(super) extent: Extent,
    /// The length at the last sync.
    pub(super) synced_to: u64,
    /// Whether messages were lost since the last fragment.
    pub(super) has_gap: bool,
    /// Whether something lies behind the last whole fragment.
    has_rest: bool,
    /// The length up to which space was set aside.
    aside: u64,
}

impl Part {
    /// Creates the file that becomes `path` at the close, and writes what precedes the fragments. `AlreadyExists`
    /// if there is such a file; whether `path` is taken is for the caller to check.
    ///
    /// `aside` bytes are set aside for it.
    pub(super) fn begin(
        disk: &dyn Disk,
        path: &Path,
        head: &[u8],
        wall: WallMillis,
        aside: u64,
    ) -> io::Result<Part> {
        let name = part_of(path);
        let mut file = disk.create(&name)?;
        // Without space set aside, recording goes on: the first write that fails will say why.
        let _ = file.allocate(aside);
        let written = file.write_at(0, &[IoSlice::new(head)]);
        if let Err(error) = written.and_then(|()| file.sync()) {
            drop(file);
            let _ = disk.remove(&name);
            return Err(error);
        }
        let len = head.len() as u64;
        Ok(Part {
            file,
            path: path.to_owned(),
            extent: Extent {
                len,
                from: wall,
                to: wall,
                ..Extent::default()
            },
            synced_to: len,
            has_gap: false,
            has_rest: false,
            aside,
        })
    }

    /// Prepares the file for a fragment, which is written behind the others.
    pub(super) fn begin_fragment(&mut self) -> io::Result<()> {
        self.cut_rest()?;
        self.has_rest = true;
        Ok(())
    }

    /// Ends a fragment: it counts, or what was written of it is cut off.
    pub(super) fn end_fragment(&mut self, staging: &mut Staging, error: Option<&AppendError>) {
        staging.release();
        match error {
            None => (self.has_rest, self.has_gap) = (false, false),
            Some(error) => {
                // After an error of the disk, the same fragment may come again.
                self.has_gap |= matches!(error, AppendError::Evicted);
                // If this fails, it is done before the next fragment, or by a repair.
                let _ = self.cut_rest();
            }
        }
    }

    /// Cuts the file back to its last whole fragment.
    fn cut_rest(&mut self) -> io::Result<()> {
        if self.has_rest {
            self.file.truncate(self.extent.len)?;
            let _ = self.file.allocate(self.aside);
            self.has_rest = false;
        }
        Ok(())
    }

    /// Returns when everything that was appended is on the disk.
    ///
    /// `NotFound` if the file was removed meanwhile, so that what is written to it is lost.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        if self.file.is_removed() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.synced_to = self.extent.len;
        Ok(())
    }

    /// Completes the file, and gives it its name. `None` if there was nothing in it: it is removed.
    pub(super) fn close(
        mut self,
        disk: &dyn Disk,
        complete: &mut dyn FnMut(&mut dyn DiskFile, Extent) -> io::Result<Extent>,
    ) -> io::Result<Option<Extent>> {
        let name = part_of(&self.path);
        let is_empty = self.extent.fragments == 0;
        if !is_empty {
            self.extent = complete(self.file.as_mut(), self.extent)?;
        }
        drop(self.file);
        if is_empty {
            disk.remove(&name)?;
            return Ok(None);
        }
        disk.rename(&name, &self.path)?;
        Ok(Some(self.extent))
    }
}

/// What has become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// It is closed, and has its final name.
    Closed(Extent),
    /// There was nothing in it, so it was removed.
    Removed,
}

/// The length of files that may have nothing in them although their beginning can't be read: that is on the
/// disk before anything else is written.
const MAX_EMPTY_LEN: u64 = 1 << 20;

/// The outcome of a repair of a file whose beginning can't be read. `None`: power failed before it was on the disk,
/// so that there is nothing in it. `InvalidData` if it isn't a recording, or has lost its beginning later.
pub(super) fn without_head(file: &dyn DiskFile, magic: &[u8]) -> io::Result<Option<Extent>> {
    let mut start = vec![0; magic.len()];
    let len = file.read_at(0, &mut start)?;
    let start = start.get(..len).unwrap_or_default();
    let is_ours = magic.starts_with(start) || start.iter().all(|byte| *byte == 0);
    match is_ours && file.len()? <= MAX_EMPTY_LEN {
        true => Ok(None),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// A function that closes a file with everything in it that is whole; `None` if that is nothing.
pub type RepairFile = fn(&mut dyn DiskFile) -> io::Result<Option<Extent>>;

/// Closes the file `part` with everything in it that is whole, and renames it `path`. If that fails or is
/// interrupted, it can be done again. `AlreadyExists` if that name is taken: the file is closed, and
/// another name will do.
pub fn repair(
    disk: &dyn Disk,
    part: &Path,
    path: &Path,
    repair_file: RepairFile,
) -> io::Result<Repaired> {
    let mut file = disk.reopen(part)?;
    let extent = repair_file(file.as_mut())?;
    drop(file);
    match extent {
        Some(extent) => {
            disk.rename(part, path)?;
            Ok(Repaired::Closed(extent))
        }
        None => {
            disk.remove(part)?;
            Ok(Repaired::Removed)
        }
    }
}
