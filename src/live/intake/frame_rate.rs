//! The rate of video frames and the interval between keyframes, measured by timestamps, because a
//! network burst does not mean a higher frame rate.

use crate::live::{Millis, When};

/// The media time over which frames are counted, in ms. At all usual rates, 29.97 included, a window
/// ends on a whole millisecond.
const WINDOW: u32 = 4_000;

/// The same for the first figure of a publish, so that it is available soon.
const FIRST_WINDOW: u32 = 1_000;

/// The longest step that counts as frame interval, in ms. A longer one is a gap, and says nothing about
/// the rate.
const MAX_STEP: u32 = 10_000;

/// The time without frames after which the frame rate is forgotten, in ms.
const RATE_MEMORY: Millis = 10_000;

/// The frames of the first video track.
#[derive(Default)]
pub(super) struct FrameRate {
    /// The newest timestamp.
    newest: u32,
    /// When that frame arrived.
    came: When,
    window: Window,
    /// Frames per second in the last whole window, in thousandths.
    pub(super) rate: Option<u32>,
    newest_keyframe: Option<u32>,
    /// The interval between the last two keyframes, in ms.
    pub(super) keyframe_interval: Option<u32>,
}

/// The frames of a few seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) ms: u32,
    steps: u32,
    shortest: u32,
    longest: u32,
}

impl FrameRate {
    /// Returns the step from the previous frame, in ms; `None` for the first frame and after a gap.
    pub(super) fn step_to(&mut self, timestamp: u32, now: Millis) -> Option<u32> {
        let newest = self.came.get().map(|_| self.newest);
        let step = newest.map(|newest| timestamp.wrapping_sub(newest) as i32);
        // Timestamps may stand still for a moment after a jump was corrected.
        let is_back = step.is_some_and(|step| step < 0);
        self.newest = newest.filter(|_| is_back).unwrap_or(timestamp);
        self.came = When::at(now);
        let step = u32::try_from(step?.max(0)).unwrap_or_default();
        (step <= MAX_STEP).then_some(step)
    }

    /// Counts a frame; returns the window that it completes.
    pub(super) fn count(&mut self, step: Option<u32>) -> Option<Window> {
        let mut window = std::mem::take(&mut self.window);
        window.add(step?);
        if window.ms < self.rate.map_or(FIRST_WINDOW, |_| WINDOW) {
            self.window = window;
            return None;
        }
        self.rate = Some(window.rate());
        Some(window)
    }

    /// Notes that the frame is a keyframe.
    pub(super) fn note_keyframe(&mut self, timestamp: u32) {
        let last = self.newest_keyframe.replace(timestamp);
        let interval = last.map(|last| timestamp.wrapping_sub(last));
        let interval = interval.filter(|interval| *interval < 1 << 31);
        self.keyframe_interval = interval.or(self.keyframe_interval);
    }

    /// The frame rate, unless no frame has arrived for some time.
    pub(super) fn recent_rate(&self, now: Millis) -> Option<u32> {
        let came = self.came.get()?;
        let is_recent = now.saturating_sub(came) <= RATE_MEMORY;
        self.rate.filter(|_| is_recent)
    }
}

impl Window {
    pub(super) fn add(&mut self, step: u32) {
        let shortest = if self.steps == 0 { step } else { self.shortest };
        self.shortest = shortest.min(step);
        self.longest = self.longest.max(step);
        self.ms += step;
        self.steps = self.steps.saturating_add(1);
    }

    /// Frames per second, in thousandths.
    pub(super) fn rate(&self) -> u32 {
        let rate = u64::from(self.steps) * 1_000_000 / u64::from(self.ms.max(1));
        // Rounded to a hundredth: more digits would only show how the milliseconds were rounded.
        ((rate + 5) / 10 * 10) as u32
    }

    /// Whether the frames are evenly spaced. Unevenly spaced frames have no frame rate.
    pub(super) fn is_even(&self) -> bool {
        self.longest - self.shortest <= (self.ms / self.steps.max(1) / 2).max(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(frames: &mut FrameRate, timestamp: u32, now: Millis) {
        let step = frames.step_to(timestamp, now);
        frames.count(step);
    }

    fn measured(timestamp: impl Fn(u32) -> u32, count_of_frames: u32) -> Option<u32> {
        let mut frames = FrameRate::default();
        for index in 0..count_of_frames {
            count(&mut frames, timestamp(index), timestamp(index).into());
        }
        frames.rate
    }

    #[test]
    fn frame_rates_are_measured_by_timestamps() {
        for (name, numerator, denominator, rate) in [
            ("NTSC", 1001, 30_000, 29_970),
            ("film", 1001, 24_000, 23_980),
            ("PAL", 1, 25, 25_000),
            ("30 in steps of 33, 33, 34 ms", 1, 30, 30_000),
            ("games", 1, 60, 60_000),
            ("a camera", 1, 5, 5_000),
            ("a slow one", 2, 1, 500),
        ] {
            let step = |index: u32| (u64::from(index) * 1000 * numerator / denominator) as u32;
            assert_eq!(measured(step, 400), Some(rate), "{name}");
            let wrapping = |index| step(index).wrapping_sub(5_000);
            assert_eq!(measured(wrapping, 400), Some(rate), "{name}, wrapping");
        }
    }

    #[test]
    fn a_frame_rate_needs_a_second_of_frames_and_is_forgotten() {
        assert_eq!(measured(|index| index * 40, 25), None);
        assert_eq!(measured(|index| index * 40, 26), Some(25_000));
        let mut frames = FrameRate::default();
        for index in 0..100 {
            count(&mut frames, index * 40, 1_000);
        }
        assert_eq!(frames.recent_rate(11_000), Some(25_000));
        assert_eq!(frames.recent_rate(11_001), None);
    }

    #[test]
    fn a_gap_in_the_timestamps_does_not_lower_the_frame_rate() {
        assert_eq!(
            measured(|index| index * 40 + index / 150 * 60_000, 299),
            Some(25_000)
        );
    }

    #[test]
    fn keyframe_intervals_are_in_media_time() {
        let mut frames = FrameRate::default();
        assert_eq!(frames.keyframe_interval, None);
        for (timestamp, interval) in [
            (u32::MAX - 999, None),
            (1_000, Some(2_000)),
            (4_000, Some(3_000)),
            (5_000, Some(1_000)),
        ] {
            frames.note_keyframe(timestamp);
            assert_eq!(frames.keyframe_interval, interval);
        }
    }
}
