//! The time from a failure to the next attempt.
//!
//! ```text
//! failure          1     2     3     4     5      6      7      8 and later
//! mean delay in s  1  1.75  3.06  5.36  9.38  16.41  28.72  48
//! ```
//!
//! Each delay is up to a quarter shorter or longer than its mean, so that boxes that have lost the same
//! server don't return together. The longest one is 60 s; after a rejected login, 5 minutes.

use crate::live::Millis;

/// The mean delay after the first failure.
const FIRST: Millis = 1_000;

/// The longest mean delay: with a quarter on top, 60 s.
const LONGEST: Millis = 48_000;

/// The longest mean delay after a rejected login: with a quarter on top, 5 minutes. Servers block
/// addresses that try again too often.
const LONGEST_REJECTED: Millis = 240_000;

/// The shortest delay while the name is taken. Two publishers that fight over one would replace each
/// other for ever.
const NAME_TAKEN: Millis = 10_000;

/// How long media has to be accepted until earlier failures are forgotten.
const RESET_AFTER: Millis = 30_000;

/// What has failed, as far as it matters to the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection, or a lost one.
    Lost,
    /// Somebody else publishes with this name.
    NameTaken,
    /// A wrong key, user or password.
    Rejected,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct BackOff {
    /// The mean of the delay before, or 0.
    mean: Millis,
}

impl BackOff {
    /// Returns the time to wait after a failure, in ms. `random` is any number.
    pub(crate) fn after(&mut self, failure: Failure, random: u32) -> Millis {
        let longest = match failure {
            Failure::Rejected => LONGEST_REJECTED,
            _ => LONGEST,
        };
        self.mean = (self.mean * 7 / 4).clamp(FIRST, longest);
        // Three quarters, and up to half of the mean on top.
        let jitter = (self.mean / 2 * Millis::from(random)) >> 32;
        let delay = self.mean - self.mean / 4 + jitter;
        match failure {
            Failure::NameTaken if delay < NAME_TAKEN => NAME_TAKEN + jitter,
            _ => delay,
        }
    }

    /// Notes that the other side has accepted media for this long, in ms.
    pub(crate) fn note_media(&mut self, duration: Millis) {
        if duration >= RESET_AFTER {
            self.mean = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `random` with which a delay is its mean.
    const MEAN: u32 = 1 << 31;

    #[test]
    fn delays_grow_to_a_minute_and_stay_there_for_a_day() {
        let mut back_off = BackOff::default();
        let (mut now, mut delays) = (0, Vec::new());
        while now < 24 * 3_600_000 {
            let delay = back_off.after(Failure::Lost, MEAN);
            delays.push(delay);
            now += delay;
        }
        let expected = [1000, 1750, 3062, 5358, 9376, 16408, 28714, 48000];
        assert_eq!(delays[..8], expected);
        assert!(delays[8..].iter().all(|delay| *delay == 48_000));
        assert_eq!(delays.len(), 1806);
    }

    #[test]
    fn jitter_is_a_quarter_either_way_and_never_more_than_a_minute() {
        for (random, first, longest) in [
            (0, 750, 36_000),
            (MEAN, 1000, 48_000),
            (u32::MAX, 1249, 59_999),
        ] {
            let mut back_off = BackOff::default();
            assert_eq!(back_off.after(Failure::Lost, random), first);
            let last = (0..2000).map(|_| back_off.after(Failure::Lost, random));
            assert_eq!(last.max(), Some(longest));
        }
    }

    #[test]
    fn a_taken_name_is_left_alone_for_ten_seconds() {
        for random in [0, MEAN, u32::MAX] {
            let mut back_off = BackOff::default();
            for _ in 0..20 {
                let delay = back_off.after(Failure::NameTaken, random);
                assert!((10_000..=60_000).contains(&delay), "{delay}");
            }
        }
    }

    #[test]
    fn a_rejected_login_is_tried_every_five_minutes_at_most() {
        let mut back_off = BackOff::default();
        let delays: Vec<_> = (0..12)
            .map(|_| back_off.after(Failure::Rejected, MEAN))
            .collect();
        assert_eq!(delays[..2], [1000, 1750]);
        assert_eq!(delays[10..], [240_000, 240_000]);
        assert!(back_off.after(Failure::Rejected, u32::MAX) <= 300_000);
        assert_eq!(back_off.after(Failure::Lost, MEAN), 48_000);
    }

    #[test]
    fn thirty_seconds_of_media_make_up_for_earlier_failures() {
        let mut back_off = BackOff::default();
        for _ in 0..5 {
            back_off.after(Failure::Lost, MEAN);
        }
        back_off.note_media(29_999);
        assert_eq!(back_off.after(Failure::Lost, MEAN), 16_408);
        back_off.note_media(30_000);
        assert_eq!(back_off.after(Failure::Lost, MEAN), 1000);
    }
}
