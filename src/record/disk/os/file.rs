//! A file of an [`OsDisk`](super::OsDisk).

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, UNIX_EPOCH};

use rustix::io::Errno;

use crate::record::WallMillis;
use crate::record::disk::DiskFile;

/// A file of an [`OsDisk`].
pub(super) struct OsFile {
    file: File,
    /// Whether the file system counts the names of files.
    has_links: bool,
}

impl OsFile {
    pub(super) fn boxed(file: File) -> io::Result<Box<dyn DiskFile>> {
        let has_links = file.metadata()?.nlink() > 0;
        Ok(Box::new(OsFile { file, has_links }))
    }
}

impl DiskFile for OsFile {
    fn write_at(&mut self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut done = write_vectored_at(&self.file, offset, slices)?;
        let mut offset = offset + done as u64;
        // What was left over: nearly always nothing.
        for slice in slices {
            let skipped = done.min(slice.len());
            done -= skipped;
            let rest = slice.get(skipped..).unwrap_or_default();
            self.file.write_all_at(rest, offset)?;
            offset += rest.len() as u64;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        allocate(&self.file, len)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn is_removed(&self) -> bool {
        let metadata = self.file.metadata();
        self.has_links && metadata.is_ok_and(|metadata| metadata.nlink() == 0)
    }

    fn set_modified(&mut self, to: WallMillis) -> io::Result<()> {
        self.file
            .set_modified(UNIX_EPOCH + Duration::from_millis(to))
    }
}

/// Writes in one call, maybe not everything. Returns how many bytes were written.
#[cfg(not(any(target_vendor = "apple", target_os = "haiku")))]
fn write_vectored_at(file: &File, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match rustix::io::pwritev(file, slices, offset) {
        Err(Errno::INTR) => Ok(0),
        other => Ok(other?),
    }
}

#[cfg(any(target_vendor = "apple", target_os = "haiku"))]
fn write_vectored_at(_: &File, _: u64, _: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(0)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocate(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allocate(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}
