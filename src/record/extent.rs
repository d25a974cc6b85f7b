//! Extents: what a recording has, whatever its format.

use super::WallMillis;
use crate::live::Millis;

/// The extent of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The length of the file in bytes, up to the end of its last whole fragment as long as it is open.
    pub len: u64,
    /// When its first frame arrived.
    pub from: WallMillis,
    /// When its last frame ended.
    pub to: WallMillis,
    /// The duration of what is in it, in ms, gaps included.
    pub duration: Millis,
    /// The number of fragments.
    pub fragments: u32,
}
