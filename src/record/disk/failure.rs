//! Failures: what an error of the file system says about the disk.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// Why a disk can't be used at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No space, or no quota.
    Full,
    /// The disk isn't there.
    Gone,
    /// The disk can only be read: it was mounted so, or the kernel has found errors on it.
    ReadOnly,
    /// Anything else.
    Other,
}

impl Failure {
    /// Returns what an error means for the disk. `EIO` counts as gone: it is what a card that was pulled out answers.
    pub fn of(error: &io::Error) -> Failure {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => return Failure::Full,
            ErrorKind::ReadOnlyFilesystem => return Failure::ReadOnly,
            ErrorKind::NotFound | ErrorKind::NotADirectory => return Failure::Gone,
            _ => {}
        }
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::IO | Errno::NODEV | Errno::NXIO | Errno::STALE | Errno::NOTCONN) => {
                Failure::Gone
            }
            _ => Failure::Other,
        }
    }
}
