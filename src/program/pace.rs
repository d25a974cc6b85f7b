//! The pace of a stream: when a message is due, from its timestamp. Pure; the time is an argument.

/// A step of timestamps that no pause explains, forward and back, in ms.
const JUMP_FORWARD: i32 = 10_000;
const JUMP_BACK: i32 = -1_000;

/// A stream that is this late isn't sent faster to catch up, in ms.
const MAX_LATE: i64 = 3_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    timestamp: u32,
    /// When it was due, in ms.
    due: i64,
}

impl Pace {
    /// Returns how long to wait before a message with this timestamp is sent, in ms. Timestamps wrap; after
    /// a jump the message is due at once, and the pace begins anew there.
    pub(crate) fn wait(&mut self, timestamp: u32, now: u64) -> u64 {
        let now = now as i64;
        let due = match &self.last {
            None => now,
            Some(last) => {
                let step = timestamp.wrapping_sub(last.timestamp) as i32;
                match (JUMP_BACK..=JUMP_FORWARD).contains(&step) {
                    true => last.due + i64::from(step),
                    false => now.max(last.due),
                }
            }
        };
        let due = if now - due > MAX_LATE { now } else { due };
        self.last = Some(Last { timestamp, due });
        (due - now).max(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits of messages that are handed over at these times.
    fn waits(messages: &[(u32, u64)]) -> Vec<u64> {
        let mut pace = Pace::default();
        let waits = messages.iter().map(|(at, now)| pace.wait(*at, *now));
        waits.collect()
    }

    #[test]
    fn messages_are_due_as_far_apart_as_their_timestamps() {
        assert_eq!(
            waits(&[(500, 10), (540, 10), (530, 50), (580, 70)]),
            [0, 40, 0, 20]
        );
    }

    #[test]
    fn timestamps_wrap() {
        assert_eq!(waits(&[(u32::MAX - 9, 0), (30, 0)]), [0, 40]);
    }

    #[test]
    fn a_jump_of_timestamps_costs_no_time() {
        assert_eq!(
            waits(&[(0, 0), (60_000, 0), (60_040, 0), (0, 40), (40, 40)]),
            [0, 0, 40, 0, 40]
        );
    }

    #[test]
    fn what_is_late_catches_up_but_not_after_a_long_pause() {
        assert_eq!(
            waits(&[(0, 0), (1_000, 3_000), (3_500, 3_000)]),
            [0, 0, 500]
        );
        assert_eq!(waits(&[(0, 0), (1_000, 9_000), (1_040, 9_000)]), [0, 0, 40]);
    }
}
