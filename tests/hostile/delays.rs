//! The delays of messages from their sender to a receiver.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// The number of messages whose send times are remembered: 80 s of the canary.
const REMEMBERED: usize = 8192;

/// Delays of this many ms or more are counted as one value.
const LONGEST: usize = 20_000;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The send times of messages, and the delays of one receiver in ms.
pub(crate) struct Delays {
    /// The send times in microseconds, by message number.
    sent: Vec<AtomicU64>,
    received: Histogram,
}

/// The number of occurrences of each delay.
pub(crate) struct Histogram(Vec<AtomicU32>);

impl Default for Delays {
    fn default() -> Delays {
        Delays {
            sent: (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect(),
            received: Histogram::default(),
        }
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram((0..=LONGEST).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Delays {
    pub(crate) fn note_sent(&self, number: u64) {
        let now = START.elapsed().as_micros() as u64;
        self.sent[number as usize % REMEMBERED].store(now, Ordering::Relaxed);
    }

    /// Called by the canary's own player.
    pub(crate) fn note_received(&self, number: u64) {
        self.received.note(self, number);
    }

    pub(crate) fn received(&self) -> &Histogram {
        &self.received
    }
}

impl Histogram {
    pub(crate) fn note(&self, delays: &Delays, number: u64) {
        let sent = delays.sent[number as usize % REMEMBERED].load(Ordering::Relaxed);
        let delay = (START.elapsed().as_micros() as u64).saturating_sub(sent) / 1000;
        self.0[LONGEST.min(delay as usize)].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the count, the median and the 99th percentile in ms, and resets the histogram.
    pub(crate) fn take(&self) -> (u32, usize, usize) {
        let counts: Vec<u32> = self
            .0
            .iter()
            .map(|n| n.swap(0, Ordering::Relaxed))
            .collect();
        let count: u32 = counts.iter().sum();
        let percentile = |percent: u32| {
            let mut left = u64::from(count) * u64::from(percent) / 100;
            let is_it = |n: &u32| {
                let is_it = u64::from(*n) > left;
                left = left.saturating_sub((*n).into());
                is_it
            };
            counts.iter().position(is_it).unwrap_or_default()
        };
        (count, percentile(50), percentile(99))
    }
}
