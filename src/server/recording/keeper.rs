//! The thread of the keeper, and what it logs.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::media::decimal::Size;
use crate::record::keeper::{Event, Keeper};
use crate::record::mend::Mender;
use crate::record::name::path;
use crate::record::report::DiskState;
use crate::record::space::Limits;
use crate::record::store::Store;
use crate::server::{Shared, wall_clock};

/// The shortest pause between two steps, and the longest, after which the thread notices that the server
/// is gone.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(10));

/// Keeps the disk until the server stops.
pub(super) fn run(store: &Arc<Store>, server: &Weak<Shared>) {
    let Some(shared) = server.upgrade() else {
        return;
    };
    let record = &shared.config.record;
    let dir = record.dir.clone().unwrap_or_default();
    let limits = Limits {
        max: record.max,
        free: record.free,
    };
    drop(shared);
    let mut log = |event| log(&dir, event);
    let (disk, catalog) = (store.disk(), store.shared_catalog());
    let mender = Box::new(Mender);
    let mut keeper = Keeper::new(Arc::clone(disk), Arc::clone(catalog), limits, mender);
    loop {
        let Some(shared) = server.upgrade().filter(|shared| !shared.is_stopping()) else {
            return;
        };
        let next = keeper.step(shared.now(), wall_clock::now(), &mut log);
        store.note_look();
        let left = Duration::from_millis(next.saturating_sub(shared.now()));
        drop(shared);
        store.await_call(left.clamp(PAUSES.0, PAUSES.1));
    }
}

fn log(dir: &Path, event: Event) {
    let dir = dir.display();
    let (path, what) = match event {
        Event::Listed {
            files,
            bytes,
            ignored,
        } => {
            let size = Size(bytes);
            return log::info!("recordings: {files} files in {dir}, {size}; {ignored} other files");
        }
        Event::State { from, to, error } => {
            let why = error.map(|error| format!(": {error}")).unwrap_or_default();
            if to != DiskState::Fine {
                let state = to.name();
                return log::warn!("recordings: {dir} can't be used: {state}{why}");
            }
            let from = from.name();
            return log::info!("recordings: the disk is fine again, it was \"{from}\"");
        }
        Event::Removed(oldest) => {
            let path = path(&oldest.stream, oldest.name);
            return log::debug!("recordings: removed the oldest, {}", path.display());
        }
        Event::Failed(path, error) => {
            return log::warn!("recordings: {}: {error}", path.display());
        }
        Event::Vanished(path) => (path, "is gone"),
        Event::Repaired(path) => (path, "was repaired after a crash"),
        Event::RemovedEmpty(path) => (path, "was removed: nothing was in it"),
    };
    log::info!("recordings: {} {what}", path.display());
}
