//! A token bucket that limits how often a peer may do something.

/// A bucket of up to `capacity` tokens that gains `per_second` tokens; each action takes one or more.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    capacity: u32,
    per_second: u32,
    tokens: u32,
    /// The time in ms on the caller's clock up to which gained tokens have been added.
    filled_at: u64,
}

impl Rate {
    /// Creates a full bucket.
    pub const fn new(capacity: u32, per_second: u32) -> Rate {
        Rate {
            capacity,
            per_second,
            tokens: capacity,
            filled_at: 0,
        }
    }

    /// Takes `count` tokens. Returns false, and takes none, if there are fewer.
    pub fn take(&mut self, count: u32, now: u64) -> bool {
        self.fill(now);
        let left = self.tokens.checked_sub(count);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }

    /// Returns tokens that were taken for an action that then wasn't done.
    pub fn give_back(&mut self, count: u32) {
        self.tokens = self.tokens.saturating_add(count).min(self.capacity);
    }

    /// Returns the maximum number of tokens.
    pub fn capacity(&self) -> u64 {
        self.capacity.into()
    }

    fn fill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.filled_at);
        let gained = elapsed.saturating_mul(self.per_second.into()) / 1000;
        let missing = u64::from(self.capacity - self.tokens);
        if gained >= missing {
            self.tokens = self.capacity;
            self.filled_at = now;
        } else {
            self.tokens += gained as u32;
            self.filled_at += gained * 1000 / u64::from(self.per_second.max(1));
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
    fn parts_of_a_token_are_not_lost() {
        let mut rate = Rate::new(30, 20);
        assert!(rate.take(30, 0));
        let taken = (1..=1000).filter(|ms| rate.take(1, *ms)).count();
        assert_eq!(taken, 20);
        let taken = (1..=100).filter(|step| rate.take(1, 1000 + step * 70));
        assert_eq!(taken.count(), 100);
    }

    #[test]
    fn a_long_pause_fills_the_bucket_and_no_more() {
        let mut rate = Rate::new(3, 2);
        assert!(rate.take(3, 0));
        assert!(!rate.take(4, u64::MAX));
        assert!(rate.take(3, u64::MAX));
    }
}
