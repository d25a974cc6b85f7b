//! The rate of bytes over the last whole seconds of the server's clock.

use super::Millis;

/// The number of whole seconds over which rates are measured.
const RATE_SECONDS: u64 = 4;

/// The number of buckets: one for each whole second, and one for the current second.
const BUCKETS: usize = RATE_SECONDS as usize + 1;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct ByteRate {
    /// The number of bytes in each second, as a ring buffer.
    buckets: [u32; BUCKETS],
    /// The newest second that has a bucket.
    newest: u32,
}

/// The second in which a moment falls. 32 bits last for 136 years.
fn second(now: Millis) -> u32 {
    (now / 1000) as u32
}

impl ByteRate {
    /// Counts bytes. Returns whether they are the first in their second.
    pub(crate) fn add(&mut self, bytes: u64, now: Millis) -> bool {
        let second = second(now);
        let is_new = second > self.newest;
        for skipped in (self.newest + 1..=second).take(BUCKETS) {
            self.buckets[skipped as usize % BUCKETS] = 0;
        }
        self.newest = self.newest.max(second);
        let bucket = &mut self.buckets[second as usize % BUCKETS];
        *bucket = bucket.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        is_new
    }

    /// Bits per second over the last whole seconds, or over the whole `age` while that is shorter.
    pub(crate) fn bits_per_second(&self, age: Millis, now: Millis) -> u64 {
        let second = second(now);
        let from = second.saturating_sub(RATE_SECONDS as u32);
        let (to, ms) = if age < RATE_SECONDS * 1000 {
            (second + 1, age.max(1))
        } else {
            (second, RATE_SECONDS * 1000)
        };
        let held = (self.newest + 1).saturating_sub(BUCKETS as u32)..=self.newest;
        let bytes: u64 = (from..to)
            .filter(|second| held.contains(second))
            .map(|second| u64::from(self.buckets[second as usize % BUCKETS]))
            .sum();
        bytes * 8 * 1000 / ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_four_whole_seconds() {
        let mut rate = ByteRate::default();
        let mut rates = Vec::new();
        // 1000 bytes every 100 ms for ten seconds, and then nothing.
        for tick in 0..200 {
            let now = 10_500 + tick * 100;
            if tick < 100 {
                rate.add(1000, now);
            }
            rates.push(rate.bits_per_second(tick * 100 + 99, now + 99));
        }
        assert_eq!(rates[0], 8_000_000 / 99);
        assert_eq!(rates[9], 80_080);
        assert_eq!(rates[38], 80_020);
        // The first second that is whole had half of its bytes.
        assert_eq!(rates[44], 70_000);
        assert!(rates[45..105].iter().all(|rate| *rate == 80_000));
        assert_eq!(
            rates[105..145].iter().step_by(10).collect::<Vec<_>>(),
            [&70_000, &50_000, &30_000, &10_000]
        );
        assert!(rates[145..].iter().all(|rate| *rate == 0));
    }
}
