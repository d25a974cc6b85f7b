//! The wall clock, for times that people and other programs see. All other times are on the server's own
//! clock, which never jumps.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::live::Millis;

/// Returns the time in ms since 1970, UTC; 0 for earlier times.
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}
