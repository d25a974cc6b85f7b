//! Sinks: where bytes go without waiting, and the vectored sends that take them there.

use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;

use super::framing::{Frame, Piece};

/// A socket that takes what it can and never waits.
pub trait Sink: Send + Sync {
    /// Sends some of the bytes, from the front; `WouldBlock` when none can be taken now.
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the connection; its own thread wakes and cleans up.
    fn shutdown(&self);

    /// Ends the sending direction, so that what was sent is still read.
    fn finish(&self);

    /// Reserves the socket for one subscriber, while it is in the middle of a message. False when
    /// another one of the same connection holds it.
    fn claim(&self, _subscriber: u64) -> bool {
        true
    }

    /// Gives the socket free for other subscribers of the same connection.
    fn release(&self, _subscriber: u64) {}
}

/// Sends, with "nothing can be taken" as 0 bytes.
pub(crate) fn try_send(sink: &dyn Sink, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match sink.try_send(slices) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// A vectored send under preparation, of at most `N` slices.
pub(in crate::live) struct Slices<'a, const N: usize> {
    slices: [IoSlice<'a>; N],
    count: usize,
    /// Bytes in all.
    pub(in crate::live) len: u64,
}

impl<'a, const N: usize> Slices<'a, N> {
    pub(in crate::live) fn new() -> Slices<'a, N> {
        Slices {
            slices: [IoSlice::new(&[]); N],
            count: 0,
            len: 0,
        }
    }

    pub(in crate::live) fn push_frame<I: Iterator<Item = &'a [u8]>>(
        &mut self,
        frame: &'a Frame,
        skip: u64,
        payload: impl Fn(Range<u64>) -> I,
    ) {
        for piece in frame.pieces(skip) {
            match piece {
                Piece::Framing(bytes) => self.push(bytes),
                Piece::Payload(range) => payload(range).for_each(|bytes| self.push(bytes)),
            }
        }
    }

    /// What doesn't fit is left for the next send.
    pub(in crate::live) fn push(&mut self, bytes: &'a [u8]) {
        if let Some(slot) = self.slices.get_mut(self.count) {
            *slot = IoSlice::new(bytes);
            self.count += 1;
            self.len += bytes.len() as u64;
        }
    }

    /// Whether nothing more fits.
    pub(in crate::live) fn is_full(&self) -> bool {
        self.count == N
    }

    pub(in crate::live) fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.count]
    }
}
