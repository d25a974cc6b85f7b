//! Failures of the disk: what becomes of the file and of the cut, and how long the recorder waits.
//!
//! | what has failed     | the file       | the cut                                        |
//! |---------------------|----------------|------------------------------------------------|
//! | begin               | is removed     | waits                                          |
//! | append, disk full   | goes on        | waits                                          |
//! | append              | awaits repair  | waits if a file may begin with it, else is lost |
//! | sync, close         | awaits repair  | is written                                     |
//!
//! What waits is lost only if it leaves the log meanwhile. The keeper says when a disk that has failed can be
//! used again.

use std::io;

use super::{Now, Recorder, Step};
use crate::live::{Millis, When};
use crate::record::report::DiskState;

/// One failure may be that of a single file. Two of them within this time, in ms, are the disk's.
const SOON: Millis = 30_000;

/// The pause after such a failure if the disk is full, in ms. For each failure the keeper removes a file, and
/// if that doesn't help, not all of them should go.
const FULL_PAUSE: Millis = 10_000;

/// How long a recorder whose stream has ended waits for room, in ms.
const PATIENCE: Millis = 3_000;

/// The failures of a recorder so far.
#[derive(Default)]
pub(super) struct Failures {
    last: When,
    /// Nothing is written before this moment.
    pause_until: Millis,
    /// When the stream had ended, or the end was asked for, and nothing could be written.
    ended: When,
}

impl Failures {
    /// Notes a failure. Returns whether it is the disk's, rather than that of one file.
    fn note(&mut self, state: DiskState, now: Millis) -> bool {
        let last = self.last.get();
        let is_second = last.is_some_and(|last| now.saturating_sub(last) < SOON);
        self.last = When::at(now);
        if is_second && state == DiskState::Full {
            self.pause_until = now + FULL_PAUSE;
        }
        is_second || matches!(state, DiskState::Full | DiskState::ReadOnly)
    }
}

impl Recorder {
    /// What to do while the disk can't be written to; `None` if it can.
    pub(super) fn await_disk(&mut self, now: Millis, clock: &Now<'_>) -> Option<Step> {
        let (state, is_usable) = {
            let condition = &self.store.catalog().condition;
            (condition.state, condition.is_usable())
        };
        if let Some(state) = state.recording() {
            self.tally.report.state = state;
            // What was written is closed while that is possible; what comes waits in the log.
            self.close(clock);
            return Some(self.rest(false, now, clock));
        }
        if is_usable && now >= self.failures.pause_until {
            return None;
        }
        // The keeper has yet to look at a failure. If it makes room, the file goes on.
        self.sync_if_due(now, clock);
        Some(self.rest(!is_usable, now, clock))
    }

    /// The step of a recorder that can't write. At its end it waits only for what soon passes.
    pub(super) fn rest(&mut self, is_short: bool, now: Millis, clock: &Now<'_>) -> Step {
        if !self.is_finishing && !self.stream.has_ended() {
            return Step::Wait;
        }
        if is_short && now < self.failures.ended.get_or_set(now) + PATIENCE {
            return Step::Wait;
        }
        self.end(clock)
    }

    /// Notes that the cut wasn't appended because the disk has failed.
    pub(super) fn fail_to_append(&mut self, error: &io::Error, clock: &Now<'_>) {
        let is_full = DiskState::of(error) == DiskState::Full;
        let is_refused = error.kind() == io::ErrorKind::InvalidInput;
        // Another file can begin only with a start.
        self.has_cut = is_full || self.cut.is_start && !is_refused;
        if !self.has_cut {
            self.lose_cut();
        }
        if is_full {
            self.note_failure(error, clock().0);
        } else {
            self.fail(error, clock);
        }
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

    /// Notes that the disk has failed, and tells the keeper.
    pub(super) fn note_failure(&mut self, error: &io::Error, now: Millis) {
        let state = DiskState::of(error);
        if self.failures.note(state, now) {
            self.tally.report.state = state.recording().unwrap_or_default();
            self.store.catalog().condition.report_trouble(state);
        }
        self.store.call_keeper();
        log::warn!("{}: a recording failed: {error}", self.stream.key());
    }
}
