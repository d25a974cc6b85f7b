//! Limits for the values of one message, in AMF0, AMF3 or both.

use crate::rtmp::Error;

/// The deepest nesting of values. Real messages stay below 4; ffmpeg reads up to 16.
pub const MAX_DEPTH: usize = 16;

/// The maximum number of values in one message, nested values included.
pub const MAX_VALUES: usize = 8192;

/// The maximum number of bytes that AMF3 references may repeat in one message: 16 for the name of every
/// value.
pub const MAX_REPEATED_TEXT: usize = 16 * MAX_VALUES;

/// The values and bytes that a message may still contain.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    values: usize,
    /// The number of bytes that references may still repeat.
    repeated_text: usize,
}

impl Budget {
    pub(super) fn of_message() -> Budget {
        Budget {
            values: MAX_VALUES,
            repeated_text: MAX_REPEATED_TEXT,
        }
    }

    /// Charges `count` values at nesting depth `depth`.
    pub(super) fn take_values(&mut self, count: usize, depth: usize) -> Result<(), Error> {
        if count > 0 && depth >= MAX_DEPTH {
            return Err(limit("depth of amf values", MAX_DEPTH));
        }
        let left = self.values.checked_sub(count);
        self.values = left.ok_or_else(|| limit("amf values in a message", MAX_VALUES))?;
        Ok(())
    }

    /// Charges `len` bytes of text that is repeated by a reference.
    pub(super) fn take_repeated_text(&mut self, len: usize) -> Result<(), Error> {
        const WHAT: &str = "bytes that amf3 references repeat";
        let left = self.repeated_text.checked_sub(len);
        self.repeated_text = left.ok_or_else(|| limit(WHAT, MAX_REPEATED_TEXT))?;
        Ok(())
    }
}

pub(super) fn limit(what: &'static str, allowed: usize) -> Error {
    Error::limit(what, allowed as u64 + 1, allowed as u64)
}
