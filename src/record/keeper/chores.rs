//! Chores: files that a crash left are repaired, and closed files of which the end isn't known are looked
//! at. A little in each step, beside the recordings.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Mutex;

use super::{Event, Tell};
use crate::live::{Millis, lock};
use crate::record::WallMillis;
use crate::record::catalog::{Catalog, State};
use crate::record::disk::Disk;
use crate::record::extent::Gap;
use crate::record::name::{FileName, Format, part_path, path};
use crate::rtmp::stream_key::StreamKey;

/// The time between two chores, in ms. They read a lot, and recordings come first.
const INTERVAL: Millis = 50;

/// The number of files that are looked at in one step.
const MAX_LOOKED_AT: usize = 8;

/// The time after which a repair that failed is tried again, in ms; it doubles each time.
const RETRY_INTERVAL: Millis = 30_000;

/// A file is given up after this many failures in a row: an hour.
const MAX_FAILURES: u32 = 7;

/// What is known of a file that was repaired or looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its length in bytes.
    pub len: u64,
    /// When it begins.
    pub from: WallMillis,
    /// From its first frame to the end of its last, in ms.
    pub duration: Millis,
    /// The gaps in it.
    pub gaps: Vec<Gap>,
}

/// Those who know the formats.
pub trait Mend: Send {
    /// Closes a file that a crash left, and renames it. `None` if there was nothing in it, so that it
    /// was removed. `AlreadyExists` if its new name is taken. May be tried again after any error.
    fn repair(
        &mut self,
        disk: &dyn Disk,
        format: Format,
        part: &Path,
        path: &Path,
    ) -> io::Result<Option<Found>>;

    /// Measures a closed file; `None` if it isn't one.
    fn look(&mut self, disk: &dyn Disk, format: Format, path: &Path) -> io::Result<Option<Found>>;
}

/// A file of a stream.
type Place = (StreamKey, FileName);

/// See the module's documentation.
pub(super) struct Chores {
    mend: Box<dyn Mend>,
    /// Damaged files with the names of others.
    strays: Vec<Place>,
    /// The last file that was repaired or couldn't be, and when to go on.
    repaired: Option<Place>,
    repair_at: Millis,
    has_failed: bool,
    failures: u32,
    /// The last file that was looked at; `None` inside if no other is left.
    looked_at: Option<Option<Place>>,
}

impl Chores {
    pub(super) fn new(mend: Box<dyn Mend>) -> Chores {
        Chores {
            mend,
            strays: Vec::new(),
            repaired: None,
            repair_at: 0,
            has_failed: false,
            failures: 0,
            looked_at: None,
        }
    }

    /// Begins with a new list.
    pub(super) fn begin_anew(&mut self, strays: Vec<Place>) {
        self.strays = strays;
        self.repaired = None;
        self.repair_at = 0;
        self.has_failed = false;
        self.failures = 0;
        self.looked_at = Some(None);
    }
}

impl Chores {
    /// Does a little, and returns when there is more to do; `None` if that isn't known.
    pub(super) fn step(
        &mut self,
        disk: &dyn Disk,
        catalog: &Mutex<Catalog>,
        now: Millis,
        tell: Tell<'_>,
    ) -> Option<Millis> {
        if let Some((stream, name)) = self.strays.pop() {
            free_name(disk, catalog, &stream, name, tell);
            return Some(now + INTERVAL);
        }
        if lock(catalog).condition.has_damaged {
            if now < self.repair_at {
                return Some(self.repair_at);
            }
            self.repair_next(disk, catalog, now, tell);
            return Some(self.repair_at);
        }
        for _ in 0..MAX_LOOKED_AT {
            if !self.look_at_next(disk, catalog, tell) {
                return None;
            }
        }
        Some(now + INTERVAL)
    }

    /// Takes files off the list that were reported to be missing, if they are. The disk is there.
    pub(super) fn look_for(
        &self,
        missed: Vec<Place>,
        disk: &dyn Disk,
        catalog: &Mutex<Catalog>,
        tell: Tell<'_>,
    ) {
        for (stream, name) in missed {
            let path = path(&stream, name);
            let is_closed = |catalog: &Catalog| {
                let file = catalog.find(&stream, name);
                file.is_some_and(|file| !file.is_open)
            };
            if is_closed(&lock(catalog)) && !disk.exists(&path) {
                lock(catalog).remove(&stream, name);
                tell(Event::Vanished(path));
            }
        }
    }

    fn repair_next(
        &mut self,
        disk: &dyn Disk,
        catalog: &Mutex<Catalog>,
        now: Millis,
        tell: Tell<'_>,
    ) {
        self.repair_at = now + INTERVAL;
        let next = lock(catalog).next_in(State::Damaged, self.repaired.as_ref());
        let Some((stream, name)) = next else {
            self.end_round(catalog, now);
            return;
        };
        self.repaired = Some((stream.clone(), name));
        let (part, path) = (part_path(&stream, name), path(&stream, name));
        let event = match self.mend.repair(disk, name.format(), &part, &path) {
            Ok(Some(found)) => {
                settle(&mut lock(catalog), &stream, name, &found);
                tell(Event::Repaired(path));
                return;
            }
            Ok(None) => Event::RemovedEmpty(part),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                lock(catalog).remove(&stream, name);
                free_name(disk, catalog, &stream, name, tell);
                return;
            }
            // The whole disk may be gone.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && !disk.exists(&part)
                    && disk.check().is_ok() =>
            {
                Event::Vanished(part)
            }
            Err(error) => {
                self.has_failed = true;
                let event = Event::Failed(part, error);
                if self.failures < MAX_FAILURES {
                    // Said once, not each time.
                    if self.failures == 0 {
                        tell(event);
                    }
                    return;
                }
                event
            }
        };
        lock(catalog).remove(&stream, name);
        tell(event);
    }

    /// Ends a round of repairs, after which those that failed are tried again.
    fn end_round(&mut self, catalog: &Mutex<Catalog>, now: Millis) {
        self.repaired = None;
        if std::mem::take(&mut self.has_failed) {
            self.repair_at = now + (RETRY_INTERVAL << self.failures);
            self.failures = (self.failures + 1).min(MAX_FAILURES);
            return;
        }
        self.failures = 0;
        let catalog = &mut *lock(catalog);
        catalog.condition.has_damaged = catalog.next_in(State::Damaged, None).is_some();
    }

    /// Looks at a file of which the end isn't known. Returns whether there was one.
    fn look_at_next(&mut self, disk: &dyn Disk, catalog: &Mutex<Catalog>, tell: Tell<'_>) -> bool {
        let Some(last) = &self.looked_at else {
            return false;
        };
        let next = lock(catalog).next_in(State::Unsure, last.as_ref());
        self.looked_at = next.clone().map(Some);
        let Some((stream, name)) = next else {
            return false;
        };
        let path = path(&stream, name);
        match self.mend.look(disk, name.format(), &path) {
            Ok(Some(found)) => settle(&mut lock(catalog), &stream, name, &found),
            Err(error) if error.kind() == ErrorKind::NotFound && !disk.exists(&path) => {
                lock(catalog).remove(&stream, name);
                tell(Event::Vanished(path));
            }
            // The estimate has to do.
            Ok(None) | Err(_) => lock(catalog).set_state(&stream, name, State::Closed),
        }
        true
    }
}

fn settle(catalog: &mut Catalog, stream: &StreamKey, name: FileName, found: &Found) {
    catalog.settle(stream, name, found.len, found.from, found.duration);
    catalog.note_gaps_of(stream, name, found.from, &found.gaps);
}

/// Gives a damaged file, which isn't listed, a name that isn't taken.
fn free_name(
    disk: &dyn Disk,
    catalog: &Mutex<Catalog>,
    stream: &StreamKey,
    name: FileName,
    tell: Tell<'_>,
) {
    let old = part_path(stream, name);
    let mut wanted = name.next();
    loop {
        let new = lock(catalog).add_damaged(stream, wanted);
        let outcome = if disk.exists(&path(stream, new)) {
            Err(ErrorKind::AlreadyExists.into())
        } else {
            disk.rename(&old, &part_path(stream, new))
        };
        let Err(error) = outcome else {
            return;
        };
        lock(catalog).remove(stream, new);
        if error.kind() != ErrorKind::AlreadyExists {
            tell(Event::Failed(old, error));
            return;
        }
        wanted = new.next();
    }
}
