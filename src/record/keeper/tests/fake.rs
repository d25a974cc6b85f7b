//! A disk with lengths only, which takes a month of video, and those who know its files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::live::lock;
use crate::record::WallMillis;
use crate::record::catalog::Catalog;
use crate::record::disk::{Disk, DiskFile, FoundFile, Space};
use crate::record::keeper::{Found, Mend};
use crate::record::name::{FileName, Format, parse_path};

/// A file: what is known without opening it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FakeFile {
    pub(super) len: u64,
    pub(super) allocated: u64,
    pub(super) modified: WallMillis,
}

/// What the disk is, and what is wrong with it.
#[derive(Default)]
pub(super) struct Inside {
    pub(super) files: BTreeMap<PathBuf, FakeFile>,
    /// The space that they take.
    pub(super) own: u64,
    /// The closed ones among them, by name: of unset clocks, and of set ones.
    pub(super) closed: [BTreeSet<(FileName, PathBuf)>; 2],
    pub(super) total: u64,
    /// What others have written.
    pub(super) others: u64,
    /// Whether others have all files open, so that those that are removed still take space.
    pub(super) are_held: bool,
    pub(super) is_gone: bool,
    pub(super) is_read_only: bool,
    /// Files that can't be removed or repaired.
    pub(super) bad: BTreeSet<PathBuf>,
    /// The number of repairs that were tried, and of lists that were made.
    pub(super) repairs: usize,
    pub(super) lists: usize,
}

impl Inside {
    pub(super) fn free(&self) -> u64 {
        self.total.saturating_sub(self.own + self.others)
    }

    /// Sets what a file is; `None` if it isn't there any more. Returns what it was.
    pub(super) fn set(&mut self, path: &Path, file: Option<FakeFile>) -> Option<FakeFile> {
        let size = |file: FakeFile| file.len.max(file.allocated);
        let before = match file {
            Some(file) => self.files.insert(path.to_owned(), file),
            None => self.files.remove(path),
        };
        self.own = self.own + file.map_or(0, size) - before.map_or(0, size);
        if file.is_some() != before.is_some() {
            if let Some((_, name, false)) = parse_path(path) {
                let closed = &mut self.closed[usize::from(name.boot() == 0)];
                match file {
                    Some(_) => closed.insert((name, path.to_owned())),
                    None => closed.remove(&(name, path.to_owned())),
                };
            }
        }
        before
    }
}

/// Is told of a file before it is removed.
type OnRemove = Box<dyn FnMut(&Inside, &Path) + Send>;

#[derive(Default)]
pub(super) struct FakeDisk {
    inside: Mutex<Inside>,
    /// The list, which must not be locked while something is asked of the disk.
    catalog: Mutex<Option<Arc<Mutex<Catalog>>>>,
    on_remove: Mutex<Option<OnRemove>>,
}

impl FakeDisk {
    pub(super) fn new(total: u64) -> Arc<FakeDisk> {
        let disk = FakeDisk::default();
        disk.inside().total = total;
        Arc::new(disk)
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        lock(&self.inside)
    }

    pub(super) fn watch(&self, catalog: &Arc<Mutex<Catalog>>) {
        *lock(&self.catalog) = Some(Arc::clone(catalog));
    }

    pub(super) fn on_remove(&self, told: impl FnMut(&Inside, &Path) + Send + 'static) {
        *lock(&self.on_remove) = Some(Box::new(told));
    }

    pub(super) fn put(&self, path: impl AsRef<Path>, len: u64, modified: WallMillis) {
        let file = FakeFile {
            len,
            allocated: 0,
            modified,
        };
        self.inside().set(path.as_ref(), Some(file));
    }

    /// The disk, if it is there, and may be changed.
    fn enter(&self, is_change: bool) -> io::Result<MutexGuard<'_, Inside>> {
        if let Some(catalog) = &*lock(&self.catalog) {
            assert!(catalog.try_lock().is_ok(), "the list is locked");
        }
        let inside = self.inside();
        if inside.is_gone {
            return Err(ErrorKind::NotFound.into());
        }
        if inside.is_read_only && is_change {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(inside)
    }
}

impl Disk for FakeDisk {
    fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn open(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn reopen(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inside = self.enter(true)?;
        if inside.files.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = inside.set(from, None).ok_or(ErrorKind::NotFound)?;
        inside.set(to, Some(file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inside = self.enter(true)?;
        if !inside.files.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        if inside.bad.contains(path) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        if let Some(told) = &mut *lock(&self.on_remove) {
            told(&inside, path);
        }
        let removed = inside.set(path, None).unwrap_or_default();
        if inside.are_held {
            inside.others += removed.len;
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        self.enter(false)
            .is_ok_and(|inside| inside.files.contains_key(path))
    }

    fn list(&self, found: &mut dyn FnMut(FoundFile<'_>)) -> io::Result<()> {
        let mut inside = self.enter(false)?;
        inside.lists += 1;
        for (path, file) in &inside.files {
            found(FoundFile {
                path,
                len: file.len,
                modified: file.modified,
            });
        }
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        let inside = self.enter(false)?;
        Ok(Space {
            free: inside.free(),
            total: inside.total,
        })
    }

    fn check(&self) -> io::Result<()> {
        self.enter(true).map(drop)
    }

    fn claim(&self) -> io::Result<()> {
        self.enter(true).map(drop)
    }
}

/// Closes files by their names alone: one second of video is 1,000 bytes.
pub(super) struct FakeMend(pub(super) Arc<FakeDisk>);

impl Mend for FakeMend {
    fn repair(
        &mut self,
        disk: &dyn Disk,
        _: Format,
        part: &Path,
        path: &Path,
    ) -> io::Result<Option<Found>> {
        self.0.inside().repairs += 1;
        if self.0.inside().bad.contains(part) {
            return Err(ErrorKind::InvalidData.into());
        }
        let file = self.0.inside().files.get(part).copied();
        let len = file.ok_or(ErrorKind::NotFound)?.len;
        if len == 0 {
            disk.remove(part)?;
            return Ok(None);
        }
        disk.rename(part, path)?;
        let (_, name, _) = parse_path(path).unwrap();
        self.0.put(path, len, name.start() + len);
        Ok(Some(found(len)))
    }

    fn look(&mut self, _: &dyn Disk, _: Format, path: &Path) -> io::Result<Option<Found>> {
        if self.0.inside().bad.contains(path) {
            return Ok(None);
        }
        let file = self.0.inside().files.get(path).copied();
        let len = file.ok_or(ErrorKind::NotFound)?.len;
        Ok(Some(found(len)))
    }
}

/// What is found in a file of this length.
fn found(len: u64) -> Found {
    Found {
        len,
        from: 0,
        duration: len,
        gaps: Vec::new(),
    }
}
