//! The wall clock's rules: when it isn't set yet, when it is set anew, and what it said at a moment of the
//! server's clock.
//!
//! ```text
//! server's clock    0 s ....... 40 s ........... 41 s .......
//! wall clock        1970 ...... 1970 (unset) | 2026-11-28 ...
//!                                            ^ a step: a new file begins
//! ```
//!
//! Differences that aren't steps are followed so slowly that the time of later moments is never earlier.

use super::WallMillis;
use crate::live::Millis;

/// The time before which a wall clock isn't set: 2026-11-01. Boards without a battery begin in 1970, or when they
/// were built.
pub const UNSET_BEFORE: WallMillis = 1_793_491_200_000;

/// The time from which on a wall clock isn't set either: 2100. Those that have lost their battery may say anything.
pub const UNSET_FROM: WallMillis = 4_102_444_800_000;

/// The largest difference between the two clocks that is followed without a new file.
const MAX_DRIFT: u64 = 5_000;

/// Time is stretched or compressed by this part of itself at most while a difference is followed.
const SLEW: u64 = 16;

/// A moment by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTime {
    /// What the wall clock said, in ms since 1970.
    pub wall: WallMillis,
    /// Whether the clock was set.
    pub is_set: bool,
    /// The number of steps before it. A file must not go on over a step.
    pub steps: u32,
}

/// A recorder's view of the two clocks; see the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// The wall clock less the server's clock, as last observed; `None` before that.
    offset: Option<i64>,
    /// When the clock was last set anew, and the difference before that.
    before: (Millis, i64),
    steps: u32,
    /// The difference that was applied to the last moment.
    followed: i64,
    /// The last moment, and the number of steps before it.
    last: (Millis, u32),
}

impl Clock {
    /// Creates a view without knowledge.
    pub fn new() -> Clock {
        Clock::default()
    }

    /// Compares the clocks. Returns whether the wall clock has been set anew since the last time.
    pub fn observe(&mut self, now: Millis, wall: WallMillis) -> bool {
        let offset = difference(wall, now);
        let Some(last) = self.offset else {
            self.offset = Some(offset);
            self.followed = offset;
            return false;
        };
        let is_step = offset.abs_diff(last) > MAX_DRIFT;
        if is_step {
            self.before = (now, last);
            self.steps = self.steps.wrapping_add(1);
        }
        self.offset = Some(offset);
        is_step
    }

    /// Returns the wall time of a moment. Moments must not run backward, and may be older than the last
    /// observation.
    pub fn time_of(&mut self, moment: Millis) -> WallTime {
        let (last, last_steps) = self.last;
        let moment = moment.max(last);
        let (stepped, before) = self.before;
        let is_before = self.steps > 0 && moment < stepped;
        let (target, steps) = if is_before {
            (before, self.steps.wrapping_sub(1))
        } else {
            (self.offset.unwrap_or_default(), self.steps)
        };
        if steps == last_steps {
            let most = ((moment - last) / SLEW).min(MAX_DRIFT) as i64;
            let moved = target.saturating_sub(self.followed).clamp(-most, most);
            self.followed = self.followed.saturating_add(moved);
        } else {
            self.followed = target;
        }
        self.last = (moment, steps);
        let wall = apply(moment, self.followed);
        WallTime {
            wall,
            is_set: is_set(wall),
            steps,
        }
    }
}

/// Whether a clock that says this is set.
pub fn is_set(wall: WallMillis) -> bool {
    (UNSET_BEFORE..UNSET_FROM).contains(&wall)
}

/// Whether a file that began at one time ends before another: a multiple of the segment length lies between.
pub fn is_next_segment(began: WallMillis, wall: WallMillis, segment: Millis) -> bool {
    let segment = segment.max(1);
    wall / segment > began / segment
}

fn difference(wall: WallMillis, now: Millis) -> i64 {
    i64::try_from(i128::from(wall) - i128::from(now)).unwrap_or(i64::MAX)
}

fn apply(moment: Millis, offset: i64) -> WallMillis {
    moment.saturating_add_signed(offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-28, 11:30:00.
    const TODAY: WallMillis = 1_795_865_400_000;

    #[test]
    fn a_clock_that_starts_in_1970_steps_to_now() {
        let mut clock = Clock::new();
        assert!(!clock.observe(1_000, 21_000));
        let first = clock.time_of(1_500);
        assert_eq!((first.wall, first.is_set, first.steps), (21_500, false, 0));
        assert!(!clock.observe(11_000, 31_000));
        assert!(clock.observe(12_000, TODAY));
        let before = clock.time_of(11_900);
        assert_eq!(
            (before.wall, before.is_set, before.steps),
            (31_900, false, 0)
        );
        let after = clock.time_of(12_500);
        let expected = WallTime {
            wall: TODAY + 500,
            is_set: true,
            steps: 1,
        };
        assert_eq!(after, expected);
        assert!(!clock.observe(13_000, TODAY + 1_000));
    }

    #[test]
    fn a_clock_that_says_anything_isnt_set() {
        let century = 36_525 * 86_400_000;
        for (wall, expected) in [
            (0, false),
            (TODAY / 2, false),
            (TODAY, true),
            (TODAY + century, false),
            (u64::from(u32::MAX) * 1_000, false),
            (u64::MAX, false),
        ] {
            assert_eq!(is_set(wall), expected, "{wall}");
        }
    }

    #[test]
    fn only_more_than_five_seconds_are_a_step_in_either_direction() {
        for (moved, is_step) in [
            (5_000, false),
            (5_001, true),
            (-5_000, false),
            (-5_001, true),
            (-3_600_000, true),
        ] {
            let mut clock = Clock::new();
            clock.observe(0, TODAY);
            let wall = TODAY.saturating_add_signed(1_000 + moved);
            assert_eq!(clock.observe(1_000, wall), is_step, "{moved}");
            assert_eq!(clock.time_of(1_000).steps, u32::from(is_step));
        }
    }

    #[test]
    fn small_differences_are_followed_in_time() {
        let mut clock = Clock::new();
        clock.observe(0, TODAY);
        clock.time_of(0);
        clock.observe(1_000, TODAY + 1_000 - 3_000);
        let at = |clock: &mut Clock, moment| clock.time_of(moment).wall - TODAY;
        assert_eq!(at(&mut clock, 16_000), 15_000);
        assert_eq!(at(&mut clock, 32_000), 30_000);
        assert_eq!(at(&mut clock, 80_000), 77_000);
        assert_eq!(at(&mut clock, 80_001), 77_001);
    }

    #[test]
    fn files_end_at_multiples_of_the_segment_length() {
        let ten = 600_000;
        for (began, wall, expected) in [
            (TODAY, TODAY + 599_999, false),
            (TODAY, TODAY + 600_000, true),
            (TODAY + 599_000, TODAY + 600_000, true),
            (TODAY + 1_000, TODAY, false),
            (TODAY, TODAY - 600_000, false),
        ] {
            assert_eq!(is_next_segment(began, wall, ten), expected);
        }
        assert!(!is_next_segment(5, 5, 0));
    }

    proptest! {
        #[test]
        fn within_a_file_time_never_runs_backward(
            moves in prop::collection::vec((0u64..20_000, -4_000i64..4_000, 0u64..30_000), 1..60),
        ) {
            let (mut clock, mut now, mut wall) = (Clock::new(), 0, TODAY);
            let (mut last, mut moment) = (None::<WallTime>, 0);
            for (passed, moved, lag) in moves {
                now += passed;
                wall = (wall + passed).saturating_add_signed(moved);
                clock.observe(now, wall);
                // A recorder that lags asks for older moments.
                moment = now.saturating_sub(lag).max(moment);
                let time = clock.time_of(moment);
                if let Some(last) = last.filter(|last| last.steps == time.steps) {
                    prop_assert!(last.wall <= time.wall);
                }
                last = Some(time);
            }
        }

        #[test]
        fn any_times_are_taken(times in prop::collection::vec((any::<u64>(), any::<u64>()), 1..20)) {
            let mut clock = Clock::new();
            for (now, wall) in times {
                clock.observe(now, wall);
                clock.time_of(now);
            }
        }
    }
}
