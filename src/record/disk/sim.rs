//! A disk in memory that records what is done to it, loses power, fills up and fails.
//!
//! ```text
//! operations   create  write  write  sync  write  rename
//!                                    |     `------------ may be lost, in any combination
//!                                    `-- what came before is on the disk
//! ```
//!
//! After a power cut, [`SimDisk::crash`] decides for each sector of each write since the last sync of
//! its file whether it has reached the disk, and takes one of the file's lengths since then. What lies
//! between is zeros. Entries of a folder (created, renamed and removed files) are lost or not in the
//! same way, until the folder is synced, which [`Disk::create`] and [`Disk::rename`] do at their end.

mod crash;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::{Disk, DiskFile, FoundFile, Space};
use crate::record::WallMillis;
use crash::{Operation, bytes_after, entries_after, put};

/// See the module's documentation. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What has been done to the disk, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub writes: usize,
    pub bytes_written: u64,
    pub reads: usize,
    pub syncs: usize,
    pub longest_write: usize,
}

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The size of the disk in bytes, if it is limited: `ENOSPC` beyond.
    pub capacity: Option<u64>,
    /// Every write fails with `ENOSPC`, whatever space there seems to be, as beyond a quota.
    pub is_refusing: bool,
    /// Every change fails with `EROFS`.
    pub is_read_only: bool,
    /// Every write fails with `EIO`.
    pub is_failing: bool,
    /// Every sync fails with `EIO`.
    pub is_sync_failing: bool,
    /// Nothing is there: `ENOENT` by name, `EIO` for open files.
    pub is_gone: bool,
    /// Only so many bytes are written; then the write fails with `EIO`, as all later ones do.
    pub fails_after: Option<u64>,
}

#[derive(Default)]
struct State {
    /// What was there before the first operation, and survives all power cuts.
    base: (BTreeMap<PathBuf, usize>, Vec<File>),
    operations: Vec<Operation>,
    entries: BTreeMap<PathBuf, usize>,
    files: Vec<File>,
    faults: Faults,
    counts: Counts,
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    allocated: u64,
    modified: WallMillis,
}

impl SimDisk {
    /// Creates an empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// The number of operations so far.
    pub fn operations(&self) -> usize {
        self.state().operations.len()
    }

    /// What operation `number` was, to show in a test.
    pub fn describe(&self, number: usize) -> String {
        match &self.state().operations[number] {
            Operation::Write(file, offset, bytes) => {
                format!("write to {file} at {offset}: {} bytes", bytes.len())
            }
            other => format!("{other:?}"),
        }
    }

    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().entries.keys().cloned().collect()
    }

    /// The bytes of a file.
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.state();
        let number = state.entries.get(path.as_ref())?;
        Some(state.files[*number].bytes.clone())
    }

    /// The space that is set aside for a file.
    pub fn allocated(&self, path: impl AsRef<Path>) -> u64 {
        let state = self.state();
        state.files[state.entries[path.as_ref()]].allocated
    }

    /// When a file was last modified.
    pub fn modified(&self, path: impl AsRef<Path>) -> WallMillis {
        let state = self.state();
        state.files[state.entries[path.as_ref()]].modified
    }

    /// Adds a file, or replaces one. What was done before can't be undone any more.
    pub fn put(&self, path: impl AsRef<Path>, bytes: Vec<u8>) {
        let mut state = self.state();
        let file = File {
            bytes,
            ..File::default()
        };
        state.files.push(file);
        let number = state.files.len() - 1;
        state.entries.insert(path.as_ref().to_owned(), number);
        state.rebase();
    }

    /// Returns the disk as it is when power fails after the first `operations` operations since it was
    /// created. `keeps` is asked what has reached the disk of what wasn't synced.
    pub fn crash(&self, operations: usize, keeps: &mut dyn FnMut() -> bool) -> SimDisk {
        let state = self.state();
        let done = &state.operations[..operations];
        let files = (0..state.files.len()).map(|number| {
            let base = state.base.1.get(number);
            let base = base.map_or(Vec::new(), |file| file.bytes.clone());
            File {
                bytes: bytes_after(base, done, number, keeps),
                ..File::default()
            }
        });
        let mut after = State {
            files: files.collect(),
            entries: entries_after(state.base.0.clone(), done, keeps),
            ..State::default()
        };
        after.rebase();
        SimDisk {
            state: Arc::new(Mutex::new(after)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        state.check_present()?;
        let number = *state.entries.get(path).ok_or(ErrorKind::NotFound)?;
        let disk = self.clone();
        Ok(Box::new(SimFile { disk, number }))
    }
}

impl State {
    fn rebase(&mut self) {
        self.base = (self.entries.clone(), self.files.clone());
        self.operations.clear();
    }

    fn check_present(&self) -> io::Result<()> {
        if self.faults.is_gone {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(())
    }

    fn check_writable(&self) -> io::Result<()> {
        self.check_present()?;
        if self.faults.is_read_only {
            return Err(Errno::ROFS.into());
        }
        Ok(())
    }

    /// What all files take, in bytes.
    fn used(&self) -> u64 {
        let files = self.entries.values().map(|number| &self.files[*number]);
        files
            .map(|file| file.allocated.max(file.bytes.len() as u64))
            .sum()
    }

    /// Whether a file can grow to this length.
    fn check_space(&self, number: usize, len: u64) -> io::Result<()> {
        let file = &self.files[number];
        let has = file.allocated.max(file.bytes.len() as u64);
        let is_full = |capacity| self.used() + len.saturating_sub(has) > capacity;
        match self.faults.capacity {
            Some(capacity) if len > has && is_full(capacity) => Err(Errno::NOSPC.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        {
            let mut state = self.state();
            state.check_writable()?;
            if state.entries.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let number = state.files.len();
            state.files.push(File::default());
            state.entries.insert(path.to_owned(), number);
            state
                .operations
                .push(Operation::Create(path.to_owned(), number));
            state.operations.push(Operation::SyncFolder);
        }
        self.open_file(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open_file(path)
    }

    fn reopen(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.state().check_writable()?;
        self.open_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check_writable()?;
        if state.entries.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let number = state.entries.remove(from).ok_or(ErrorKind::NotFound)?;
        state.entries.insert(to.to_owned(), number);
        let operation = Operation::Rename(from.to_owned(), to.to_owned());
        state.operations.push(operation);
        state.operations.push(Operation::SyncFolder);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check_writable()?;
        state.entries.remove(path).ok_or(ErrorKind::NotFound)?;
        state.operations.push(Operation::Remove(path.to_owned()));
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state();
        !state.faults.is_gone && state.entries.contains_key(path)
    }

    fn list(&self, found: &mut dyn FnMut(FoundFile<'_>)) -> io::Result<()> {
        let listed: Vec<(PathBuf, File)> = {
            let state = self.state();
            state.check_present()?;
            let entries = state.entries.iter();
            let listed = entries.map(|(path, number)| (path.clone(), state.files[*number].clone()));
            listed.collect()
        };
        for (path, file) in &listed {
            found(FoundFile {
                path,
                len: file.bytes.len() as u64,
                modified: file.modified,
            });
        }
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        let state = self.state();
        state.check_present()?;
        let total = state.faults.capacity.unwrap_or(1 << 40);
        Ok(Space {
            free: total.saturating_sub(state.used()),
            total,
        })
    }

    fn check(&self) -> io::Result<()> {
        self.state().check_writable()
    }

    fn claim(&self) -> io::Result<()> {
        self.state().check_writable()
    }
}

struct SimFile {
    disk: SimDisk,
    number: usize,
}

impl SimFile {
    /// The state of the disk, if the file can still be used.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.faults.is_gone {
            return Err(Errno::IO.into());
        }
        Ok(state)
    }

    fn writable(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state()?;
        state.check_writable()?;
        Ok(state)
    }
}

impl DiskFile for SimFile {
    fn write_at(&mut self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut state = self.writable()?;
        if state.faults.is_failing {
            return Err(Errno::IO.into());
        }
        if state.faults.is_refusing {
            return Err(Errno::NOSPC.into());
        }
        let mut written = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect::<Vec<u8>>();
        let mut outcome = Ok(());
        if let Some(left) = state.faults.fails_after {
            let count = left.min(written.len() as u64);
            if count < written.len() as u64 {
                outcome = Err(Errno::IO.into());
            }
            written.truncate(count as usize);
            state.faults.fails_after = Some(left - count);
        }
        state.check_space(self.number, offset + written.len() as u64)?;
        state.counts.writes += 1;
        state.counts.bytes_written += written.len() as u64;
        state.counts.longest_write = state.counts.longest_write.max(written.len());
        put(&mut state.files[self.number].bytes, offset, &written);
        state
            .operations
            .push(Operation::Write(self.number, offset, written));
        outcome
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        state.counts.reads += 1;
        let bytes = &state.files[self.number].bytes;
        let rest = bytes
            .get(offset.min(bytes.len() as u64) as usize..)
            .unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.writable()?;
        if state.faults.is_failing || state.faults.is_sync_failing {
            return Err(Errno::IO.into());
        }
        state.counts.syncs += 1;
        state.operations.push(Operation::Sync(self.number));
        Ok(())
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.writable()?;
        state.check_space(self.number, len)?;
        let file = &mut state.files[self.number];
        file.allocated = file.allocated.max(len);
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.writable()?;
        let file = &mut state.files[self.number];
        file.bytes.resize(len as usize, 0);
        file.allocated = len;
        state.operations.push(Operation::Truncate(self.number, len));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.files[self.number].bytes.len() as u64)
    }

    fn is_removed(&self) -> bool {
        let state = self.disk.state();
        !state.entries.values().any(|number| *number == self.number)
    }

    fn set_modified(&mut self, to: WallMillis) -> io::Result<()> {
        self.writable()?.files[self.number].modified = to;
        Ok(())
    }
}
