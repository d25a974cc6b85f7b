//! The store: a disk and the list of what is on it, shared by recorders, the keeper and those who play.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use super::catalog::Catalog;
use super::disk::Disk;
use crate::live::lock;
use crate::live::signal::Signal;

/// See the module's documentation. Nobody waits for the disk while the list is locked.
pub struct Store {
    disk: Arc<dyn Disk>,
    catalog: Arc<Mutex<Catalog>>,
    boot: OnceLock<u16>,
    /// Whether the keeper is needed before its time.
    is_needed: Mutex<bool>,
    needed: Signal,
    /// Notified when the keeper has looked at the disk.
    looked: Signal,
}

impl Store {
    /// Creates a store with an empty list.
    pub fn new(disk: Arc<dyn Disk>) -> Store {
        Store {
            disk,
            catalog: Arc::default(),
            boot: OnceLock::new(),
            is_needed: Mutex::default(),
            needed: Signal::default(),
            looked: Signal::default(),
        }
    }

    /// The disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The list, locked.
    pub fn catalog(&self) -> MutexGuard<'_, Catalog> {
        lock(&self.catalog)
    }

    /// The list, for those who lock it themselves.
    pub fn shared_catalog(&self) -> &Arc<Mutex<Catalog>> {
        &self.catalog
    }

    /// The number of this boot, for names of files while the wall clock isn't set: one more than the
    /// highest that was found.
    pub fn boot(&self) -> u16 {
        *self
            .boot
            .get_or_init(|| self.catalog().boots().saturating_add(1))
    }

    /// Wakes the keeper: there is no room, or a file needs a repair.
    pub fn call_keeper(&self) {
        *lock(&self.is_needed) = true;
        self.needed.notify();
    }

    /// Notes that the keeper has looked at the disk.
    pub fn note_look(&self) {
        self.looked.notify();
    }

    /// Waits for the first look at the disk, or for the timeout.
    pub fn await_look(&self, timeout: Duration) {
        let catalog = self.catalog();
        if !catalog.condition.is_known() {
            drop(self.looked.wait(catalog, timeout));
        }
    }

    /// Waits until the keeper is called, or for the timeout.
    pub fn await_call(&self, timeout: Duration) {
        let mut is_needed = lock(&self.is_needed);
        if !*is_needed {
            is_needed = self.needed.wait(is_needed, timeout);
        }
        *is_needed = false;
    }
}
