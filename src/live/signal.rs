//! A condition variable that belongs to one mutex of `live/`.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// See the module's documentation. Waiting reads no clock: callers loop until their own deadline.
#[derive(Default)]
pub(crate) struct Signal(Condvar);

impl Signal {
    /// Waits for a notification or the timeout, with the lock released. May also wake up spuriously.
    pub(crate) fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> MutexGuard<'a, T> {
        let result = self.0.wait_timeout(guard, timeout);
        result.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes all waiting threads.
    pub(crate) fn notify(&self) {
        self.0.notify_all();
    }
}
