//! A token bucket: how much of something a peer may do at a time.

/// Holds up to `capacity` tokens and gains `per_second` of them; who does something takes one.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    capacity: u32,
    per_second: u32,
    tokens: u32,
    /// ms, on the caller's clock; fractions of a token are kept by not moving it on.
    filled_at: u64,
}

impl Rate {
    /// A full bucket.
    pub const fn new(capacity: u32, per_second: u32) -> Rate {
        Rate {
            capacity,
            per_second,
            tokens: capacity,
            filled_at: 0,
        }
    }

    /// Takes `count` tokens; false when there aren't as many.
    pub fn take(&mut self, count: u32, now: u64) -> bool {
        self.fill(now);
        match self.tokens.checked_sub(count) {
            Some(left) => self.tokens = left,
            None => return false,
        }
        true
    }

    /// Tokens that it holds at most.
    pub fn capacity(&self) -> u64 {
        self.capacity.into()
    }

    fn fill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.filled_at);
        let gained = elapsed.saturating_mul(self.per_second.into()) / 1000;
        if gained > 0 {
            let missing = self.capacity - self.tokens;
            self.tokens += u64::from(missing).min(gained) as u32;
            self.filled_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut rate = Rate::new(3, 2);
        assert!((0..3).all(|_| rate.take(1, 10_000)));
        assert!(!rate.take(1, 10_000));
        assert!(!rate.take(1, 10_499));
        assert!(rate.take(1, 10_500));
        assert!(!rate.take(1, 10_500));
    }

    #[test]
    fn a_long_pause_fills_the_bucket_and_no_more() {
        let mut rate = Rate::new(3, 2);
        assert!(rate.take(3, 0));
        assert!(!rate.take(4, u64::MAX));
        assert!(rate.take(3, u64::MAX));
    }
}
