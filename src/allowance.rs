//! The allowance: what one connection may make the server keep outside the arena.
//!
//! ```text
//! per connection   stack of its thread   12 KiB   what publishers and players touch of it
//!                  allowance             10 KiB   everything else that is kept for it
//!                  rounding               2 KiB   of the allocator
//! ```
//!
//! Requests over HTTP touch up to 20 KiB of stack, and are kept on 3 KiB of heap meanwhile.
//!
//! Whatever is kept or buffered on behalf of a peer is paid for here before it is allocated, or it
//! lies in blocks of the [arena](crate::live::arena): strings of `connect`, names, chunk-stream
//! tables, control queues, request heads, the state of the streams that it publishes. A [`Taken`]
//! lives beside what it pays for and gives the bytes back when dropped. That makes the README's
//! bound a sum: `--memory` + 24 KiB x connections + the server itself.
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

/// The allowance of a connection, in bytes. With its stack it makes the 24 KiB that the README
/// promises.
pub const PER_CONNECTION: usize = 10 * 1024;

/// A connection's account; clones share it. See the module's documentation.
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

/// An error: less is left than was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Bytes that were asked for.
    pub wanted: usize,
    /// Bytes that were left.
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
    /// An allowance of so many bytes, all of them left.
    pub fn new(bytes: usize) -> Allowance {
        Allowance {
            left: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    /// The number of bytes that are left.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, all or nothing. To be called before they are allocated.
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

    /// Takes more, or gives some back, until `bytes` are taken. On failure nothing changes.
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

/// Adds to a list whose room has been paid: for twice as many as are in it.
pub(crate) fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        // A list of its own accord begins with room for four.
        list.reserve_exact(list.len() / 2 + 1);
    }
    list.push(value);
}

/// Gives room back after something was removed from such a list.
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
