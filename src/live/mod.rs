//! The shared state of live streams: memory and locks. Opens no socket, starts no thread.
//!
//! A live stream is a [`log`]: a bounded history of media messages whose bytes lie in blocks of one
//! preallocated [`arena`]. The publisher's thread passes its messages to the stream's `intake`, which
//! appends them. In [`out`], each receiver is a cursor into the log plus a framing: together a
//! [subscriber](out::subscriber). A [`stream`] connects them behind one lock, and its [`life`]
//! determines who publishes it; the [`table`] finds streams by name. No code here reads a clock: the
//! time is an argument.
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
//! 6. A subscriber is removed by its own thread; other threads mark it and shut the socket down.
//! 7. The table's lock and a stream's lock are never held together.

pub mod arena;
pub(crate) mod byte_rate;
pub mod capabilities;
pub mod cut;
pub mod finding;
pub mod hls;
mod intake;
pub mod kept;
pub mod kind;
pub mod life;
pub mod log;
pub mod out;
pub mod payload;
pub mod preamble;
pub mod report;
pub(crate) mod signal;
pub mod stream;
pub mod table;
pub mod tracks;

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Milliseconds on the server's own clock, which starts with the server and never runs backward.
pub type Millis = u64;

/// A moment or none, in the size of a [`Millis`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct When(Option<NonZeroU64>);

impl When {
    /// Creates a value for a moment.
    pub fn at(moment: Millis) -> When {
        When(NonZeroU64::new(moment.saturating_add(1)))
    }

    /// The moment, if there is one.
    pub fn get(self) -> Option<Millis> {
        self.0.map(|later| later.get() - 1)
    }

    /// Returns the moment, which is set to this one if there is none.
    pub fn get_or_set(&mut self, moment: Millis) -> Millis {
        let moment = self.get().unwrap_or(moment);
        *self = When::at(moment);
        moment
    }
}

/// Copies the first bytes of data that lies in parts. Returns the number of bytes copied.
fn copy_front<'a>(parts: impl Iterator<Item = &'a [u8]>, out: &mut [u8]) -> usize {
    let mut len = 0;
    for part in parts {
        let free = &mut out[len..];
        let count = part.len().min(free.len());
        free[..count].copy_from_slice(&part[..count]);
        len += count;
        if len == out.len() {
            break;
        }
    }
    len
}

/// Locks a mutex, even after a panic in another thread: every critical section here leaves its state
/// usable at each step, and one connection's bug must not end the others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
