//! The shared state of live streams: memory and locks. Opens no socket, starts no thread.
//!
//! A live stream is a [`log`]: a bounded history of media messages whose bytes lie in blocks of
//! one preallocated [`arena`]. The publisher's thread appends. Everybody who receives is a cursor
//! into that log plus a [`framing`]: together a [`subscriber`]. A [`stream`] is log, preamble and
//! subscribers behind one lock; the [`table`] finds streams by name.
//!
//! # Invariants
//!
//! 1. Only the publisher's thread appends; log and subscribers are touched only under the
//!    stream's lock.
//! 2. Nothing that can block happens under a stream's lock.
//! 3. A message in the log is complete and immutable.
//! 4. Positions only grow; a cursor moves forward, and jumps only from a message boundary to a
//!    join point.
//! 5. After joining, only the stream writes to a player's socket; control bytes go at boundaries.
//! 6. A subscriber is removed by its own thread; everybody else marks it and shuts the socket down.
//! 7. The table's lock and a stream's lock are never held together.

pub mod arena;
pub mod capabilities;
mod classify;
pub mod doctor;
pub mod kept;
pub mod log;
pub mod out;
pub mod payload;
pub mod preamble;
pub mod segments;
pub mod stats;
pub mod stream;
pub mod table;
pub mod tracks;

pub use out::{join, sink, subscriber};

use std::num::NonZeroU64;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Milliseconds on the server's own clock, which starts with the server and never goes back.
pub type Millis = u64;

/// A moment, or none yet, in as little room as a moment alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct When(Option<NonZeroU64>);

impl When {
    /// This moment.
    pub fn at(moment: Millis) -> When {
        When(NonZeroU64::new(moment.saturating_add(1)))
    }

    /// The moment, if there is one.
    pub fn get(self) -> Option<Millis> {
        self.0.map(|later| later.get() - 1)
    }

    /// The moment; this one from now on if there was none.
    pub fn get_or_set(&mut self, moment: Millis) -> Millis {
        let moment = self.get().unwrap_or(moment);
        *self = When::at(moment);
        moment
    }
}

/// Locks, and goes on after a panic elsewhere: every critical section here leaves its state
/// usable at each step, and one connection's bug must not end the others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until something is told, or the time is over. Nothing may be told, too.
pub(crate) fn wait<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    let result = condition.wait_timeout(guard, timeout);
    result.unwrap_or_else(PoisonError::into_inner).0
}
