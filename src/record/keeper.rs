//! The keeper: lists and repairs what is on the disk at the start, keeps space free, and notices what has
//! become of the disk.
//!
//! ```text
//! claim, scan ---> Fine <------------> Full       look every 10 s: same disk? space? remove the oldest
//!   ^               |
//!   | every 30 s    v
//!   +-------- Gone, ReadOnly, Failing             an error, the keeper's own or a recorder's
//! ```
//!
//! One thread owns it and calls [`Keeper::step`]. Nothing is asked of the disk while the list is locked.

mod chores;
mod owed;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::WallMillis;
use super::catalog::scan::Scan;
use super::catalog::{Catalog, Oldest, State};
use super::clock;
use super::disk::{Disk, Failure};
use super::name::path;
use super::report::DiskState;
use super::space::{Limits, Usage, Verdict};
use crate::live::{Millis, lock};

pub use chores::{Found, Mend};

use chores::Chores;
use owed::Owed;

/// The time between two looks at a disk that can be used, in ms.
const LOOK_INTERVAL: Millis = 10_000;

/// The time between two looks at a disk that can't, in ms.
const RETRY_INTERVAL: Millis = 30_000;

/// The time between two steps while something is recorded: recorders run into trouble, or out of room.
const STEP_INTERVAL: Millis = 1_000;

/// The number of files that go in one step. If there are more, the next step comes at once.
const MAX_REMOVED: usize = 16;

/// What the keeper has done or seen, for the log.
#[derive(Debug)]
pub enum Event {
    /// The files were listed.
    Listed {
        /// The number of recordings.
        files: usize,
        /// The sum of their lengths.
        bytes: u64,
        /// The number of files that aren't recordings.
        ignored: u64,
    },
    /// The state of the disk has changed.
    State {
        /// The state until now.
        from: DiskState,
        /// The state from now on.
        to: DiskState,
        /// What the file system said.
        error: Option<io::Error>,
    },
    /// The oldest file went, to make room.
    Removed(Oldest),
    /// A file isn't there any more, and was taken off the list.
    Vanished(PathBuf),
    /// A file that a crash left was repaired; now it has this name.
    Repaired(PathBuf),
    /// A file that a crash left had nothing in it, and was removed.
    RemovedEmpty(PathBuf),
    /// A file can't be removed, repaired or given its name.
    Failed(PathBuf, io::Error),
}

/// Receives events.
pub type Tell<'a> = &'a mut dyn FnMut(Event);

/// See the module's documentation.
pub struct Keeper {
    disk: Arc<dyn Disk>,
    catalog: Arc<Mutex<Catalog>>,
    limits: Limits,
    chores: Chores,
    is_claimed: bool,
    /// When to look at the disk again.
    look_at: Millis,
    /// The last look, and the bytes for which room had been taken by then.
    last_look: Millis,
    last_taken: u64,
    owed: Owed,
}

impl Keeper {
    /// Creates a keeper of a disk, which isn't looked at before the first step. `mend` knows the
    /// formats.
    pub fn new(
        disk: Arc<dyn Disk>,
        catalog: Arc<Mutex<Catalog>>,
        limits: Limits,
        mend: Box<dyn Mend>,
    ) -> Keeper {
        Keeper {
            disk,
            catalog,
            limits,
            chores: Chores::new(mend),
            is_claimed: false,
            look_at: 0,
            last_look: 0,
            last_taken: 0,
            owed: Owed::default(),
        }
    }

    /// Does what is due, and returns when there is more to do: call it again then.
    pub fn step(&mut self, now: Millis, wall: WallMillis, tell: Tell<'_>) -> Millis {
        let (trouble, is_short, missed) = {
            let condition = &mut lock(&self.catalog).condition;
            let missed = condition.take_missed();
            (condition.take_trouble(), condition.is_short(), missed)
        };
        // Recorders that wait for room ask again and again, but the disk can't have changed much.
        let is_short = is_short && now >= self.last_look.saturating_add(STEP_INTERVAL);
        if now >= self.look_at || trouble.is_some() || is_short || !missed.is_empty() {
            self.look(now, wall, trouble, tell);
            self.last_look = now;
        }
        let catalog = lock(&self.catalog);
        let (state, is_listed) = (catalog.condition.state, catalog.condition.is_listed);
        let next = match catalog.open_count() {
            0 => self.look_at,
            _ => self.look_at.min(now + STEP_INTERVAL),
        };
        drop(catalog);
        if !is_listed || !matches!(state, DiskState::Fine | DiskState::Full) {
            return next;
        }
        self.chores
            .look_for(missed, &*self.disk, &self.catalog, tell);
        let chores_at = self.chores.step(&*self.disk, &self.catalog, now, tell);
        chores_at.map_or(next, |at| next.min(at))
    }

    /// Looks at the disk, and makes room.
    fn look(&mut self, now: Millis, wall: WallMillis, trouble: Option<DiskState>, tell: Tell<'_>) {
        let outcome = self.prepare(wall, tell);
        let outcome = outcome.and_then(|()| self.make_room(now, wall, trouble, tell));
        let (state, is_more, error) = match outcome {
            // The disk looks well, but isn't: give it time.
            Ok(_) if trouble.is_some_and(|trouble| trouble != DiskState::Full) => {
                (trouble.unwrap_or_default(), false, None)
            }
            Ok((state, is_more)) => (state, is_more, None),
            Err(error) => (DiskState::of(&error), false, Some(error)),
        };
        self.look_at = match state {
            _ if is_more => now,
            DiskState::Fine | DiskState::Full => now + LOOK_INTERVAL,
            _ => now + RETRY_INTERVAL,
        };
        self.set_state(state, wall, error, tell);
    }

    /// Makes sure that this is the disk, and that its files are listed.
    fn prepare(&mut self, wall: WallMillis, tell: Tell<'_>) -> io::Result<()> {
        if self.is_claimed {
            // Whatever is there next has to be claimed and listed anew.
            let checked = self.disk.check();
            self.is_claimed =
                !matches!(&checked, Err(error) if Failure::of(error) == Failure::Gone);
            checked?;
        }
        if !self.is_claimed {
            self.disk.claim()?;
            self.list(wall, tell)?;
            self.is_claimed = true;
        }
        Ok(())
    }

    /// Lists the files.
    fn list(&mut self, wall: WallMillis, tell: Tell<'_>) -> io::Result<()> {
        let mut scan = Scan::default();
        if let Err(error) = self.disk.list(&mut |file| scan.found(file, wall)) {
            // What can be read counts, unless the disk as a whole can't.
            self.disk.check()?;
            tell(Event::Failed(PathBuf::from("."), error));
        }
        let scanned = scan.finish(wall);
        let totals = scanned.catalog.totals();
        lock(&self.catalog).replace(scanned.catalog);
        self.chores.begin_anew(scanned.strays);
        tell(Event::Listed {
            files: totals.files,
            bytes: totals.bytes,
            ignored: scanned.ignored,
        });
        Ok(())
    }

    /// Removes the oldest files until there is room. Returns the state of the disk, and whether there
    /// is more to remove.
    fn make_room(
        &mut self,
        now: Millis,
        wall: WallMillis,
        trouble: Option<DiskState>,
        tell: Tell<'_>,
    ) -> io::Result<(DiskState, bool)> {
        let mut was_refused = trouble == Some(DiskState::Full);
        let refused = lock(&self.catalog).condition.take_refused();
        for _ in 0..MAX_REMOVED {
            let taken = lock(&self.catalog).condition.taken();
            let space = self.disk.space()?;
            let owed = self.owed.settle(space, taken, now);
            let (usage, oldest) = {
                let catalog = &mut *lock(&self.catalog);
                let totals = catalog.totals();
                let mut usage = Usage {
                    space,
                    recordings: totals.bytes + totals.set_aside,
                    removable: totals.removable,
                    written: taken.saturating_sub(self.last_taken),
                    refused,
                    was_full: catalog.condition.state == DiskState::Full,
                };
                catalog.condition.space = Some(space);
                catalog.condition.set_room(self.limits.room(&usage), taken);
                let most_len = self.limits.most_len(&usage, catalog.open_count());
                catalog.condition.most_len = Some(most_len);
                usage.space.free = space.free.saturating_add(owed);
                (
                    usage,
                    catalog.oldest_closed(Some(wall).filter(|wall| clock::is_set(*wall))),
                )
            };
            let verdict = match self.limits.verdict(&usage) {
                // The file system has refused to write, whatever it says of its space.
                Verdict::Fine if was_refused && owed > 0 => Verdict::Full,
                Verdict::Fine if was_refused => Verdict::Delete,
                verdict => verdict,
            };
            match (verdict, oldest) {
                (Verdict::Delete, Some(oldest)) => {
                    self.remove(oldest, now, tell)?;
                    was_refused = false;
                }
                (Verdict::Delete, None) if was_refused => return Ok((DiskState::Full, false)),
                (Verdict::Full, _) => return Ok((DiskState::Full, false)),
                _ => {
                    self.last_taken = taken;
                    return Ok((DiskState::Fine, false));
                }
            }
        }
        Ok((DiskState::Fine, true))
    }

    /// Removes a file. Fails if that is the disk's fault.
    fn remove(&mut self, oldest: Oldest, now: Millis, tell: Tell<'_>) -> io::Result<()> {
        let path = path(&oldest.stream, oldest.name);
        match self.disk.remove(&path) {
            Ok(()) => {
                self.owed.add(oldest.len, now);
                lock(&self.catalog).remove(&oldest.stream, oldest.name);
                tell(Event::Removed(oldest));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The whole disk may be gone.
                self.disk.check()?;
                lock(&self.catalog).remove(&oldest.stream, oldest.name);
                tell(Event::Vanished(path));
            }
            Err(error) if Failure::of(&error) == Failure::ReadOnly => return Err(error),
            Err(error) => {
                // One file that can't be removed must not stop all others.
                self.disk.check()?;
                lock(&self.catalog).set_state(&oldest.stream, oldest.name, State::Stuck);
                tell(Event::Failed(path, error));
            }
        }
        Ok(())
    }

    fn set_state(
        &mut self,
        state: DiskState,
        wall: WallMillis,
        error: Option<io::Error>,
        tell: Tell<'_>,
    ) {
        let from = {
            let condition = &mut lock(&self.catalog).condition;
            let from = std::mem::replace(&mut condition.state, state);
            if from == state {
                return;
            }
            condition.since = Some(wall);
            from
        };
        tell(Event::State {
            from,
            to: state,
            error,
        });
    }
}

#[cfg(test)]
mod tests;
