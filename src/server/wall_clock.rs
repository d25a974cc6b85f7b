//! The wall clock, for what people and other programs see. Everything else counts in the server's
//! own clock, which never jumps.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::live::Millis;

/// Returns the time in ms since 1970, UTC; 0 before that.
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}
