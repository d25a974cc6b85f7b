//! A folder of a real file system.
//!
//! # Is it still the same disk?
//!
//! Disks vanish: a card is pulled out, or remounted elsewhere. Then the folder of recordings is an empty
//! folder of the root file system, which recordings would fill up. So a marker file says which disk
//! it is, and stays locked as long as this program records there:
//!
//! ```text
//! .brooklet    5f1c02a9be3d7e10 4711      an id, the process
//! ```
//!
//! The disk is gone when the marker isn't there or has another id. A disk that was on a file system of its
//! own isn't the root file system, whatever the marker says.

mod file;
#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, Mode, flock, mkdir, rmdir, statvfs, unlink};
use rustix::io::Errno;

use file::OsFile;

use super::{Disk, DiskFile, Failure, FoundFile, Space};
use crate::record::WallMillis;

/// The name of the marker file.
const MARKER: &str = ".brooklet";

/// The longest marker that is read, in bytes.
const MAX_MARKER_LEN: usize = 64;

/// The number of folders within each other that are searched for files: more than names of streams can have.
const MAX_DEPTH: usize = 512;

/// See the module's documentation.
pub struct OsDisk {
    root: PathBuf,
    process: u32,
    claim: Mutex<Claim>,
}

/// What is known of the disk.
#[derive(Default)]
struct Claim {
    /// The id in the marker, and the open marker, which holds the lock. `None` while the disk is gone.
    marker: Option<(u64, File)>,
    /// Whether the disk was on a file system of its own.
    is_mounted: bool,
}

impl OsDisk {
    /// Creates a disk from a folder. `process` is the id of this process, which another one names when it
    /// finds the folder in use.
    pub fn new(root: PathBuf, process: u32) -> OsDisk {
        OsDisk {
            root,
            process,
            claim: Mutex::default(),
        }
    }

    /// The path of a file, which lies in the folder.
    fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !path.components().all(is_plain) || path.as_os_str().is_empty() {
            return Err(ErrorKind::InvalidInput.into());
        }
        Ok(self.root.join(path))
    }

    /// Creates the folders of a file below the root, which must exist.
    fn create_folders(&self, path: &Path) -> io::Result<()> {
        let mut above = self.root.clone();
        for part in path.parent().into_iter().flat_map(Path::components) {
            let folder = above.join(part);
            // std's function is much larger.
            match mkdir(c_path(&folder)?, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
                Ok(()) => sync_folder(&above)?,
                // What lies behind a link would neither be found at the next start, nor count.
                Err(Errno::EXIST) if fs::symlink_metadata(&folder)?.is_dir() => {}
                Err(Errno::EXIST) => return Err(ErrorKind::NotADirectory.into()),
                Err(error) => return Err(error.into()),
            }
            above = folder;
        }
        Ok(())
    }

    /// Makes sure that the disk that is claimed is there.
    fn recognize(&self, claim: &Claim) -> io::Result<()> {
        self.check_mounted(claim.is_mounted)?;
        let (id, _) = claim.marker.as_ref().ok_or_else(|| gone("not claimed"))?;
        let marker = open_own(OpenOptions::new().read(true), &self.root.join(MARKER))?;
        match id_of(&read_marker(&marker)?) {
            Some(found) if found == *id => Ok(()),
            _ => Err(gone("the disk was replaced")),
        }
    }

    /// Writes the marker, unless this is what it says already.
    fn write_marker(&self, path: &Path, text: &str, id: u64) -> io::Result<()> {
        let marker = format!("{id:016x} {}\n", self.process);
        if text != marker {
            let mut file = open_own(OpenOptions::new().write(true).truncate(true), path)?;
            file.write_all(marker.as_bytes())?;
            file.sync_all()?;
            sync_folder(&self.root)?;
        }
        Ok(())
    }

    fn claim_state(&self) -> MutexGuard<'_, Claim> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the folder is on a file system of its own.
    fn is_mounted(&self) -> io::Result<bool> {
        let folder = fs::metadata(&self.root)?;
        if !folder.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok(folder.dev() != fs::metadata("/")?.dev())
    }

    /// Fails if the folder is on the root file system now, and wasn't before. Returns whether it is on one
    /// of its own.
    fn check_mounted(&self, was_mounted: bool) -> io::Result<bool> {
        let is_mounted = self.is_mounted()?;
        if was_mounted && !is_mounted {
            return Err(gone("the disk isn't mounted"));
        }
        Ok(is_mounted)
    }
}

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        /// Empty folders may be removed while a file is created in them.
        const ATTEMPTS: usize = 3;

        let full = self.locate(path)?;
        let was_mounted = self.claim_state().is_mounted;
        self.check_mounted(was_mounted)?;
        let mut attempt = 0;
        let file = loop {
            attempt += 1;
            self.create_folders(path)?;
            let mut options = OpenOptions::new();
            match options.read(true).write(true).create_new(true).open(&full) {
                Err(error) if error.kind() == ErrorKind::NotFound && attempt < ATTEMPTS => {}
                other => break other?,
            }
        };
        sync_folder_of(&full)?;
        OsFile::boxed(file)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        OsFile::boxed(open_own(
            OpenOptions::new().read(true),
            &self.locate(path)?,
        )?)
    }

    fn reopen(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        OsFile::boxed(open_own(
            options.read(true).write(true),
            &self.locate(path)?,
        )?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.locate(from)?, self.locate(to)?);
        rename_new(&from, &to)?;
        sync_folder_of(&to)?;
        if from.parent() != to.parent() {
            sync_folder_of(&from)?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        unlink(c_path(&self.locate(path)?)?)?;
        let above = path.ancestors().skip(1);
        for folder in above.take_while(|folder| !folder.as_os_str().is_empty()) {
            // Fails if something is left in it.
            if rmdir(c_path(&self.root.join(folder))?).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let full = self.locate(path);
        full.is_ok_and(|full| fs::symlink_metadata(full).is_ok())
    }

    fn list(&self, found: &mut dyn FnMut(FoundFile<'_>)) -> io::Result<()> {
        let mut folders = vec![(PathBuf::new(), 0)];
        // What can be read is listed even if something else can't.
        let mut failed = Ok(());
        while let Some((folder, depth)) = folders.pop() {
            let mut below = |name: PathBuf| {
                if depth < MAX_DEPTH {
                    folders.push((name, depth + 1));
                }
            };
            match list_folder(&self.root, &folder, &mut below, found) {
                // Others' folders, like `lost+found`, and folders that were removed meanwhile.
                Err(error) if depth > 0 && is_harmless(&error) => {}
                Err(error) if failed.is_ok() => failed = Err(error),
                _ => {}
            }
        }
        failed
    }

    fn space(&self) -> io::Result<Space> {
        let space = statvfs(c_path(&self.root)?)?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Ok(Space {
            free: bytes(space.f_bavail),
            total: bytes(space.f_blocks),
        })
    }

    fn check(&self) -> io::Result<()> {
        let mut claim = self.claim_state();
        if let Err(error) = self.recognize(&claim) {
            if Failure::of(&error) == Failure::Gone {
                // An open file would keep the rest of the disk from going.
                claim.marker = None;
            }
            return Err(error);
        }
        drop(claim);
        // The flags of the file system don't tell: Linux may have found an error on it, and refuse to write
        // to what is still mounted for writing.
        let marker = open_own(OpenOptions::new().write(true), &self.root.join(MARKER));
        marker.map(drop)
    }

    fn claim(&self) -> io::Result<()> {
        let mut claim = self.claim_state();
        if self.recognize(&claim).is_ok() {
            // Not for a moment is the lock given up, in which another process could take it.
            return Ok(());
        }
        let is_mounted = self.check_mounted(claim.is_mounted)?;
        claim.marker = None;
        let path = self.root.join(MARKER);
        // Read only: a file that is open for writing would keep the file system from being remounted so.
        let file = match open_own(OpenOptions::new().read(true), &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                File::create_new(&path)?;
                File::open(&path)?
            }
            other => other?,
        };
        // A marker that can't be read is replaced.
        let text = read_marker(&file).unwrap_or_default();
        // Some network file systems have no locks, which is no reason not to record.
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(Errno::WOULDBLOCK) {
            return Err(in_use(&self.root, &text));
        }
        let known = id_of(&text);
        let id = known.unwrap_or_else(new_id);
        match self.write_marker(&path, &text, id) {
            // What is there can be played.
            Err(error) if Failure::of(&error) == Failure::ReadOnly && known.is_some() => {}
            other => other?,
        }
        *claim = Claim {
            marker: Some((id, file)),
            is_mounted,
        };
        Ok(())
    }
}

fn list_folder(
    root: &Path,
    folder: &Path,
    below: &mut dyn FnMut(PathBuf),
    found: &mut dyn FnMut(FoundFile<'_>),
) -> io::Result<()> {
    let mut outcome = Ok(());
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = folder.join(name);
        // Links aren't followed.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => below(path),
            Ok(metadata) if metadata.is_file() => found(FoundFile {
                path: &path,
                len: metadata.len(),
                modified: modified(&metadata),
            }),
            Ok(_) => {}
            Err(error) if is_harmless(&error) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

fn modified(metadata: &fs::Metadata) -> WallMillis {
    let seconds = WallMillis::try_from(metadata.mtime()).unwrap_or_default();
    let ms = metadata.mtime_nsec() as WallMillis / 1_000_000;
    seconds.saturating_mul(1_000).saturating_add(ms)
}

fn is_harmless(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied
    )
}

/// Reads a marker; one that isn't text reads as empty.
fn read_marker(file: &File) -> io::Result<String> {
    let mut bytes = [0; MAX_MARKER_LEN];
    let len = file.read_at(&mut bytes, 0)?;
    let text = std::str::from_utf8(bytes.get(..len).unwrap_or_default());
    Ok(text.unwrap_or_default().to_owned())
}

/// The id and the process in a marker.
fn fields_of(marker: &str) -> Option<(&str, &str)> {
    marker.strip_suffix('\n')?.split_once(' ')
}

/// The id in a marker.
fn id_of(marker: &str) -> Option<u64> {
    u64::from_str_radix(fields_of(marker)?.0, 16).ok()
}

/// An id that no other disk has: the seed of std's hash maps is random.
fn new_id() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn gone(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, why)
}

fn in_use(root: &Path, marker: &str) -> io::Error {
    let process = fields_of(marker).map_or("another", |(_, process)| process);
    let text = format!("process {process} is recording in {}", root.display());
    io::Error::new(ErrorKind::ResourceBusy, text)
}

/// Renames a file unless the new name is taken.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};

        match renameat_with(CWD, c_path(from)?, CWD, c_path(to)?, RenameFlags::NOREPLACE) {
            // File systems and kernels without this.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            other => return Ok(other?),
        }
    }
    // The folder is locked, and within this process names are taken by one thread at a time.
    if fs::symlink_metadata(to).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// A path for a system call. rustix's own conversions are a copy of their code for each call.
fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Makes the entries of the folder in which a file lies durable.
fn sync_folder_of(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // File systems that can't sync a folder.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Opens a file, but doesn't follow a link, or wait for the other end of a pipe: others may have put
/// anything in place of a file of ours.
fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;

    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    options.custom_flags(flags.bits() as i32).open(path)
}
