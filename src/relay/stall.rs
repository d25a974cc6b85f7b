//! When a connection counts as stalled: something waits, and nothing moves.

use crate::live::Millis;

/// The time without progress after which a connection is called stalled.
pub(crate) const STALLED_AFTER: Millis = 4_000;

/// The time without progress after which a connection is given up.
pub(crate) const DEAD_AFTER: Millis = 10_000;

/// How a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Bytes have moved since the last look.
    Moving,
    /// Nothing has moved since then, but that means nothing: nothing waits, or it does so for a moment.
    Idle,
    /// Something waits, and nothing has moved for [`STALLED_AFTER`].
    Stalled,
    /// Something waits, and nothing has moved for [`DEAD_AFTER`].
    Dead,
}

/// Watches the byte counter of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    bytes: u64,
    /// When the counter was seen to have grown, or nothing waited.
    moved: Millis,
}

impl Watch {
    /// Begins to watch a connection that has moved this number of bytes.
    pub(crate) fn new(bytes: u64, now: Millis) -> Watch {
        Watch { bytes, moved: now }
    }

    /// Looks at the counter. `is_waiting`: whether something waits that should move: bytes to be sent,
    /// or for a receiver, bytes that should come.
    pub(crate) fn look(&mut self, bytes: u64, is_waiting: bool, now: Millis) -> Pace {
        let has_moved = bytes != self.bytes;
        if has_moved || !is_waiting {
            (self.bytes, self.moved) = (bytes, now);
            return if has_moved { Pace::Moving } else { Pace::Idle };
        }
        match now.saturating_sub(self.moved) {
            0..STALLED_AFTER => Pace::Idle,
            STALLED_AFTER..DEAD_AFTER => Pace::Stalled,
            _ => Pace::Dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_takes_nothing_is_stalled_and_then_dead() {
        let mut watch = Watch::new(100, 5_000);
        for (now, bytes, is_waiting, expected) in [
            (6_000, 200, true, Pace::Moving),
            (9_999, 200, true, Pace::Idle),
            (10_000, 200, true, Pace::Stalled),
            (15_999, 200, true, Pace::Stalled),
            (16_000, 200, true, Pace::Dead),
            // One byte is enough.
            (16_001, 201, true, Pace::Moving),
            (20_001, 201, true, Pace::Stalled),
            // Silence alone isn't a stall.
            (21_000, 201, false, Pace::Idle),
            (40_000, 201, false, Pace::Idle),
            (43_999, 201, true, Pace::Idle),
            (44_000, 201, true, Pace::Stalled),
        ] {
            assert_eq!(watch.look(bytes, is_waiting, now), expected, "{now}");
        }
    }
}
