//! Gaps: the times within files of which these have nothing.

use crate::record::WallMillis;
use crate::record::extent::Gap;

/// The maximum number of gaps that are kept of a stream. The oldest go first: what has been forgotten is
/// listed as if it were there.
const MOST: usize = 1_024;

/// See the module's documentation. In the order of time, apart from each other.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<Gap>);

impl Gaps {
    /// Adds the part of a gap that lies within the file from `from` to `to`, unless it is known.
    pub(super) fn note(&mut self, gap: Gap, [from, to]: [WallMillis; 2]) {
        let gap = Gap {
            from: gap.from.max(from),
            to: gap.to.min(to),
        };
        let place = self.0.partition_point(|known| known.to <= gap.from);
        let next = self.0.get(place);
        if gap.from >= gap.to || next.is_some_and(|next| next.from < gap.to) {
            return;
        }
        self.0.insert(place, gap);
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    /// The gaps within the file from `from` to `to`.
    pub(super) fn within(&self, [from, to]: [WallMillis; 2]) -> &[Gap] {
        let start = self.0.partition_point(|gap| gap.from < from);
        let end = self.0.partition_point(|gap| gap.to <= to);
        self.0.get(start..end).unwrap_or_default()
    }

    /// Forgets the gaps within the file from `from` to `to`.
    pub(super) fn remove(&mut self, [from, to]: [WallMillis; 2]) {
        self.0.retain(|gap| gap.from < from || gap.to > to);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }
}
