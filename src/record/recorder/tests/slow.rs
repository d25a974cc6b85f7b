//! A disk whose writes and syncs take time.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::feed::Feed;
use crate::live::lock;
use crate::record::WallMillis;
use crate::record::disk::sim::SimDisk;
use crate::record::disk::{Disk, DiskFile, FoundFile, Space};

/// See the module's documentation.
pub(super) struct SlowDisk {
    disk: SimDisk,
    feed: Arc<Mutex<Feed>>,
}

struct SlowFile {
    file: Box<dyn DiskFile>,
    feed: Arc<Mutex<Feed>>,
}

impl SlowFile {
    fn wait(&self) {
        let feed = &mut *lock(&self.feed);
        feed.pass(feed.slow);
    }
}

impl SlowDisk {
    pub(super) fn new(disk: SimDisk, feed: Arc<Mutex<Feed>>) -> SlowDisk {
        SlowDisk { disk, feed }
    }

    fn slow(&self, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        let feed = Arc::clone(&self.feed);
        Ok(Box::new(SlowFile { file: file?, feed }))
    }
}

impl Disk for SlowDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.slow(self.disk.create(path))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path)
    }
    fn reopen(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.reopen(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
    fn list(&self, found: &mut dyn FnMut(FoundFile<'_>)) -> io::Result<()> {
        self.disk.list(found)
    }
    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
    fn check(&self) -> io::Result<()> {
        self.disk.check()
    }
    fn claim(&self) -> io::Result<()> {
        self.disk.claim()
    }
}

impl DiskFile for SlowFile {
    fn write_at(&mut self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        self.wait();
        self.file.write_at(offset, slices)
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.wait();
        self.file.sync()
    }
    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn is_removed(&self) -> bool {
        self.file.is_removed()
    }
    fn set_modified(&mut self, to: WallMillis) -> io::Result<()> {
        self.file.set_modified(to)
    }
}
