//! The parameter sets that were sent with a frame.

use super::unit::UnitHead;
use super::walk::UnitWalk;
use crate::media::avc::split_set;

/// The maximum number of bytes of parameter sets that are kept per frame.
pub const MAX_SETS_LEN: usize = 512;

/// Parameter sets, each preceded by its length in two bytes.
#[derive(Debug, Default)]
pub struct ParameterSets {
    bytes: Vec<u8>,
    /// Whether there were more parameter sets than fit.
    is_incomplete: bool,
}

impl ParameterSets {
    /// Whether parameter sets were sent before any memory was allocated for them.
    pub fn want_room(&self) -> bool {
        self.is_incomplete && self.room() == 0
    }

    /// Allocates [`MAX_SETS_LEN`] bytes. Most publishers never need them.
    pub fn make_room(&mut self) {
        self.clear();
        self.bytes.reserve_exact(MAX_SETS_LEN);
    }

    /// The number of allocated bytes.
    pub fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// Removes all parameter sets, but keeps the allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.is_incomplete = false;
    }

    /// Returns each parameter set, or none if there were more than fit.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest: &[u8] = if self.is_incomplete { &[] } else { &self.bytes };
        std::iter::from_fn(move || {
            let (set, after) = split_set(rest)?;
            rest = after;
            Some(set)
        })
    }

    /// Adds the current unit of a walk.
    pub(super) fn add(&mut self, unit: &UnitHead, units: &mut UnitWalk<'_, '_>) {
        let start = self.bytes.len();
        if start.saturating_add(2).saturating_add(unit.len) > self.room() {
            self.is_incomplete = true;
            return;
        }
        self.bytes.extend((unit.len as u16).to_be_bytes());
        self.bytes.extend(unit.head());
        units.read_rest(&mut self.bytes);
        let (before, set) = self.bytes.split_at(start);
        // Encoders repeat their parameter sets in front of each slice. A truncated set is worse than
        // none.
        if set.len() < 2 + unit.len || before.windows(set.len()).any(|other| other == set) {
            self.bytes.truncate(start);
        }
    }
}
