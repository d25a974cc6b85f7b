//! Control bytes: whole messages other than media, which wait for a message boundary.

use crate::allowance::Taken;
use crate::rtmp::server_session::{MAX_REPLIES, MAX_REPLY};

/// The maximum number of bytes that wait. A client that sends commands without reading the replies
/// exceeds it.
pub const MAX_CONTROL_LEN: usize = MAX_REPLIES + MAX_REPLY;

/// See the module's documentation.
pub(super) struct ControlQueue {
    bytes: Vec<u8>,
    /// The connection's payment for the bytes.
    paid: Option<Taken>,
}

impl ControlQueue {
    pub(super) fn new(paid: Option<Taken>) -> ControlQueue {
        ControlQueue {
            bytes: Vec::new(),
            paid,
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends bytes. Returns false if they are too many, or the connection can't pay for them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let len = self.bytes.len() + bytes.len();
        if len > MAX_CONTROL_LEN || !self.pay(len.max(self.bytes.capacity())) {
            return false;
        }
        self.bytes.reserve_exact(bytes.len());
        self.bytes.extend_from_slice(bytes);
        true
    }

    /// Removes all bytes.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.pay(0);
        std::mem::take(&mut self.bytes)
    }

    fn pay(&mut self, bytes: usize) -> bool {
        let is_paid = |paid: &mut Taken| paid.resize(bytes).is_ok();
        self.paid.as_mut().is_none_or(is_paid)
    }
}
