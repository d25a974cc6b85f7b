//! The bytes that a connection has received but not handled yet.
//!
//! ```text
//! 1 KiB    most heads
//! 3 KiB    longer ones, as long as the connection's allowance has it
//! a block  up to the longest head, as long as there is a scratch block
//! ```
//!
//! After each answered request, the input shrinks to the first size again; a viewer keeps nothing.

use std::io;

use super::scratch::{Scratch, Scratches};
use crate::allowance::{Allowance, Taken};
use crate::http::head::MAX_HEAD_LEN;
use crate::net::socket::Socket;

/// The maximum number of bytes that are read at a time.
const READ_LEN: usize = 1024;

/// The number of bytes that the allowance pays for, at first and at most.
const SHORT: usize = READ_LEN;
const LONGER: usize = 3 * 1024;

/// See the module's documentation.
pub(super) struct Input {
    allowance: Allowance,
    /// The received bytes, unless they are in `long`.
    short: Vec<u8>,
    paid: Option<Taken>,
    /// A block, and the number of bytes in it.
    long: Option<(Scratch, usize)>,
}

/// The error when there is no memory for more input.
pub(super) struct NoRoom;

impl Input {
    pub(super) fn new(allowance: Allowance) -> Input {
        Input {
            allowance,
            short: Vec::new(),
            paid: None,
            long: None,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.long {
            Some((block, len)) => block.bytes().get(..*len).unwrap_or_default(),
            None => &self.short,
        }
    }

    /// Reads some of the available bytes. Must only be called while the input is shorter than the
    /// longest allowed head.
    pub(super) fn read(
        &mut self,
        socket: &Socket,
        scratches: &Scratches,
    ) -> Result<io::Result<usize>, NoRoom> {
        let len = self.bytes().len();
        self.make_room(len, scratches)?;
        if let Some((block, len)) = &mut self.long {
            let end = (*len + READ_LEN).min(MAX_HEAD_LEN);
            let room = block.bytes_mut().get_mut(*len..end);
            let result = socket.read(room.unwrap_or_default());
            *len += *result.as_ref().unwrap_or(&0);
            return Ok(result);
        }
        let end = self.short.capacity().min(len + READ_LEN);
        self.short.resize(end, 0);
        let result = socket.read(self.short.get_mut(len..).unwrap_or_default());
        self.short.truncate(len + *result.as_ref().unwrap_or(&0));
        Ok(result)
    }

    fn make_room(&mut self, len: usize, scratches: &Scratches) -> Result<(), NoRoom> {
        if self.long.is_some() || len < self.short.capacity() {
            return Ok(());
        }
        let wanted = if len < SHORT { SHORT } else { LONGER };
        if len < LONGER && self.pay(wanted).is_ok() {
            self.short.reserve_exact(wanted - len);
            return Ok(());
        }
        // The head is longer than the allowance can pay for.
        let mut block = scratches.take().ok_or(NoRoom)?;
        let start = block.bytes_mut().get_mut(..len).ok_or(NoRoom)?;
        start.copy_from_slice(&self.short);
        self.long = Some((block, len));
        self.short = Vec::new();
        self.paid = None;
        Ok(())
    }

    fn pay(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let paid = match &mut self.paid {
            Some(paid) => paid.resize(bytes),
            None => self.allowance.take(bytes).map(|paid| {
                self.paid = Some(paid);
            }),
        };
        paid.map_err(|_| NoRoom)
    }

    /// Drops the first `len` bytes. The rest is short, since it arrived in the same read as the last of
    /// them.
    pub(super) fn consume(&mut self, len: usize) {
        if let Some((block, filled)) = self.long.take() {
            let rest = block.bytes().get(len..filled).unwrap_or_default();
            if self.pay(SHORT).is_ok() {
                self.short.reserve_exact(SHORT);
                self.short.extend_from_slice(rest);
            }
            return;
        }
        self.short.drain(..len.min(self.short.len()));
        if self.short.capacity() > SHORT && self.short.len() <= SHORT {
            self.short.shrink_to(SHORT);
            let _ = self.pay(SHORT);
        }
    }

    /// Returns all bytes, and frees the memory: the client's next bytes are WebSocket frames.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.paid = None;
        self.long = None;
        std::mem::take(&mut self.short)
    }

    /// Puts back bytes that arrived after a request; false if there are too many.
    pub(super) fn put(&mut self, bytes: &[u8]) -> bool {
        let fits = self.short.len() + bytes.len() <= SHORT && self.pay(SHORT).is_ok();
        if fits {
            self.short.reserve_exact(SHORT - self.short.len());
            self.short.extend_from_slice(bytes);
        }
        fits
    }
}
