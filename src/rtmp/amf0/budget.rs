//! What one message may cost, whether its values are AMF0, AMF3 or both in each other.

use super::{MAX_DEPTH, MAX_REPEATED_TEXT, MAX_VALUES};
use crate::rtmp::Error;

/// What a message may still bring.
#[derive(Clone, Debug)]
pub(in crate::rtmp) struct Budget {
    values: usize,
    /// Bytes that references may repeat.
    repeated_text: usize,
}

impl Budget {
    pub(in crate::rtmp) fn of_message() -> Budget {
        Budget {
            values: MAX_VALUES,
            repeated_text: MAX_REPEATED_TEXT,
        }
    }

    /// Takes `count` values that lie `depth` deep.
    pub(in crate::rtmp) fn take_values(&mut self, count: usize, depth: usize) -> Result<(), Error> {
        if count > 0 && depth >= MAX_DEPTH {
            return Err(limit("depth of amf values", MAX_DEPTH));
        }
        let left = self.values.checked_sub(count);
        self.values = left.ok_or_else(|| limit("amf values in a message", MAX_VALUES))?;
        Ok(())
    }

    /// Takes text that is copied once more, since something refers to it.
    pub(in crate::rtmp) fn take_repeated_text(&mut self, len: usize) -> Result<(), Error> {
        const WHAT: &str = "bytes that amf3 references repeat";
        let left = self.repeated_text.checked_sub(len);
        self.repeated_text = left.ok_or_else(|| limit(WHAT, MAX_REPEATED_TEXT))?;
        Ok(())
    }
}

pub(in crate::rtmp) fn limit(what: &'static str, allowed: usize) -> Error {
    let allowed = allowed as u64;
    Error::Limit {
        what,
        got: allowed + 1,
        allowed,
        option: None,
    }
}
