//! Failures of the disk: what becomes of the file, and how long the recorder waits.

use std::io;

use super::{Now, Recorder, Step};
use crate::live::{Millis, When};
use crate::record::report::DiskState;

/// After a failure of the disk, the next file is begun at once if this time has passed since the failure
/// before, in ms. Otherwise it is begun so much later.
const RETRY: Millis = 30_000;

/// The same for a disk that is full, which is looked at more often: memory may not last any longer.
const RETRY_FULL: Millis = 10_000;

/// How long a recorder whose stream has ended waits for room, in ms.
const PATIENCE: Millis = 3_000;

impl Recorder {
    /// Whether the disk can be written to. If it can't, the report says why.
    pub(super) fn is_disk_usable(&mut self) -> bool {
        let catalog = self.store.catalog();
        let condition = &catalog.condition;
        if let Some(state) = condition.state.recording() {
            self.tally.report.state = state;
        }
        condition.is_usable()
    }

    /// The step of a recorder that can't write. At its end it waits only for what soon passes.
    pub(super) fn rest(&mut self, is_short: bool, now: Millis, clock: &Now<'_>) -> Step {
        if !self.is_finishing && !self.stream.has_ended() {
            return Step::Wait;
        }
        if is_short && now < self.ended.get_or_set(now) + PATIENCE {
            return Step::Wait;
        }
        self.end(clock)
    }

    /// Gives up the file because the disk has failed.
    pub(super) fn fail(&mut self, error: &io::Error, clock: &Now<'_>) {
        if let Some(file) = self.file.take() {
            let name = file.name;
            // Dropped outside of the list's lock, because this may wait for the disk.
            drop(file);
            self.store.catalog().abandon(self.stream.key(), name);
        }
        self.note_failure(error, clock().0);
    }

    pub(super) fn note_failure(&mut self, error: &io::Error, now: Millis) {
        let state = DiskState::of(error);
        let last = self
            .failed
            .get()
            .filter(|last| now.saturating_sub(*last) < RETRY);
        self.failed = When::at(now);
        // One file may fail by itself; two in a row are the disk.
        if last.is_some() {
            let is_full = state == DiskState::Full;
            self.retry = When::at(now + if is_full { RETRY_FULL } else { RETRY });
        }
        if last.is_some() || matches!(state, DiskState::Full | DiskState::ReadOnly) {
            self.tally.report.state = state.recording().unwrap_or_default();
            self.store.catalog().condition.report_trouble(state);
        }
        self.store.call_keeper();
        log::warn!("{}: a recording failed: {error}", self.stream.key());
    }
}
