//! Extents: what a recording has, whatever its format.

use super::WallMillis;
use crate::live::Millis;

/// A shorter gap comes from the network, or isn't worth a word, in ms.
const LEAST: u64 = 1_000;

/// The same in a time lapse, which has gaps between all of its frames.
const LEAST_OF_LAPSE: u64 = 10_000;

/// A time of which a recording has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The end of the last frame before it.
    pub from: WallMillis,
    /// When the first frame after it arrived.
    pub to: WallMillis,
}

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
    /// The gap before the last fragment, if there is one.
    pub gap: Option<Gap>,
}

impl Extent {
    /// The gap before a fragment that comes next. `wall`: when its first frame arrived; `time`: its time in the
    /// file, in ms; `speed`: how many times as fast it is shown, or 0; `is_lossy`: whether messages were
    /// lost before it.
    pub(super) fn gap_before(
        &self,
        wall: WallMillis,
        time: Millis,
        speed: u16,
        is_lossy: bool,
    ) -> Option<Gap> {
        let least = if speed == 0 { LEAST } else { LEAST_OF_LAPSE };
        let passed = time.saturating_sub(self.duration);
        let passed = passed.saturating_mul(speed.max(1).into());
        // What only came late isn't missing.
        let is_missing = is_lossy || passed >= least;
        let is_gap = self.fragments > 0 && is_missing && wall.saturating_sub(self.to) >= least;
        let from = self.to;
        is_gap.then_some(Gap { from, to: wall })
    }
}
