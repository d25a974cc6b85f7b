//! The allowance: the number of bytes that the server may keep outside of the arena for one connection.
//!
//! ```text
//! per connection   stack of its thread   12 KiB   the part that publishers and players touch
//!                  allowance             10 KiB   everything else that is kept for it
//!                  rounding               2 KiB   of the allocator
//! ```
//!
//! HTTP requests touch up to 20 KiB of stack, but need no more than 3 KiB of heap at the same time.
//!
//! Everything that is kept or buffered on behalf of a peer lies in blocks of the
//! [arena](crate::live::arena), or is paid for here before it is allocated: strings of `connect`, names,
//! chunk-stream tables, control queues, request heads, the state of the streams that it publishes. A
//! [`Taken`] lives next to the data that it pays for, and gives the bytes back when dropped. That makes
//! the README's bound a sum: `--memory` + 24 KiB x connections + the server itself.
//!
//! ```
//! use brooklet::allowance::{Allowance, Exceeded};
//!
//! let allowance = Allowance::new(100);
//! let mut taken = allowance.take(60)?;
//! assert_eq!(allowance.take(50).unwrap_err(), Exceeded { wanted: 50, left: 40 });
//! taken.resize(10)?;
//! assert_eq!(allowance.left(), 90);
//! drop(taken);
//! assert_eq!(allowance.left(), 100);
//! # Ok::<(), Exceeded>(())
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The allowance of a connection, in bytes. Together with its stack, that makes the 24 KiB that the
/// README promises.
pub const PER_CONNECTION: usize = 10 * 1024;

/// The account of a connection. Clones share it. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Allowance {
    left: Arc<AtomicUsize>,
}

/// Bytes that were taken from an allowance, given back when dropped.
#[derive(Debug)]
pub struct Taken {
    from: Allowance,
    bytes: usize,
}

/// The error when less is left than was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The number of bytes that were requested.
    pub wanted: usize,
    /// The number of bytes that were left.
    pub left: usize,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the connection wants {} bytes more to be kept for it, {} are left",
            self.wanted, self.left
        )
    }
}

impl std::error::Error for Exceeded {}

impl Allowance {
    /// Returns an allowance of this number of bytes, of which nothing has been taken.
    pub fn new(bytes: usize) -> Allowance {
        Allowance {
            left: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    /// The number of bytes that are left.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Takes `bytes` bytes, all or nothing. Call this before allocating them.
    pub fn take(&self, bytes: usize) -> Result<Taken, Exceeded> {
        self.subtract(bytes)?;
        Ok(Taken {
            from: self.clone(),
            bytes,
        })
    }

    fn subtract(&self, bytes: usize) -> Result<(), Exceeded> {
        let relaxed = Ordering::Relaxed;
        self.left
            .fetch_update(relaxed, relaxed, |left| left.checked_sub(bytes))
            .map(|_| ())
            .map_err(|left| Exceeded {
                wanted: bytes,
                left,
            })
    }
}

impl Default for Allowance {
    /// Returns the allowance of a connection.
    fn default() -> Allowance {
        Allowance::new(PER_CONNECTION)
    }
}

impl Taken {
    /// The number of bytes taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more bytes, or gives some back, so that `bytes` are taken. On failure nothing changes.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Exceeded> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.from.subtract(more)?,
            None => {
                let less = self.bytes - bytes;
                self.from.left.fetch_add(less, Ordering::Relaxed);
            }
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.from.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// Adds to a list for which room for twice as many values has been paid.
pub(crate) fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        // On its own, a vector would begin with room for four.
        list.reserve_exact(list.len() / 2 + 1);
    }
    list.push(value);
}

/// Frees room after a value was removed from a list that [`push`] fills.
pub(crate) fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > 2 * list.len() {
        list.shrink_to(list.len() + list.len() / 2);
    }
}

/// Returns the key that stands for one client in all limits: an IPv4 address, or the /64 of an IPv6
/// address, since one host may use all addresses of that.
pub(crate) fn one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => {
            let bits = u128::from(ip) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_comes_back_when_it_is_dropped_or_shrinks() {
        let allowance = Allowance::new(10);
        let mut taken = allowance.take(10).unwrap();
        assert_eq!(allowance.left(), 0);
        taken.resize(4).unwrap();
        assert_eq!((taken.bytes(), allowance.left()), (4, 6));
        assert_eq!(taken.resize(11), Err(Exceeded { wanted: 7, left: 6 }));
        assert_eq!((taken.bytes(), allowance.left()), (4, 6));
        drop(taken);
        assert_eq!(allowance.left(), 10);
    }

    #[test]
    fn a_list_has_room_for_twice_as_many_as_are_in_it_at_most() {
        let mut list = Vec::new();
        for number in 0..1_000 {
            push(&mut list, number);
            assert!(list.capacity() <= 2 * list.len());
        }
        while list.pop().is_some() {
            shrink(&mut list);
            assert!(list.capacity() <= 2 * list.len());
        }
    }

    #[test]
    fn nobody_takes_more_than_is_left() {
        let allowance = Allowance::new(10);
        let _held = allowance.clone().take(7).unwrap();
        let refused = allowance.take(4).unwrap_err();
        assert_eq!(refused, Exceeded { wanted: 4, left: 3 });
        assert_eq!(allowance.left(), 3);
        assert!(allowance.take(usize::MAX).is_err());
    }
}
