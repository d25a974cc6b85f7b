//! The pace of a publisher's clock: compares its timestamps with the time in which they arrive, and
//! with the duration of the audio.
//!
//! | timestamps in 10 s | audio in 10 s | meaning                                    |
//! |--------------------|---------------|--------------------------------------------|
//! | 10 s               | 10 s          | a good clock                               |
//! | 100 s              | 50 s, 100 s   | a file that is pushed faster than it plays |
//! | 100 s              | 10 s          | a clock that is too fast                   |
//! | 8 s                | 8 s           | a network that can't keep up               |
//! | 8 s                | 10 s          | a clock that is too slow                   |
//! | 0 s                | 10 s, or none | no clock                                   |
//!
//! Without audio, only the frame rate distinguishes a clock that is too fast from a file: such a clock
//! stretches a camera's frame rate, by its timestamps, to less than that of almost any file.

use crate::live::Millis;
use crate::live::finding::Pace;

/// The time over which timestamps are measured, in ms: longer than bursts under one timestamp. A window
/// that lasts twice as long was interrupted, and is ignored.
const WINDOW: Millis = 2_000;

/// The smallest number of messages in a window.
const MIN_MESSAGES: u32 = 10;

/// The highest frame rate, by the timestamps, of a clock that is too fast without audio.
const MAX_SLOW_RATE: u64 = 8;

/// The number of successive windows that prove that a clock is too fast. With audio, one is enough if
/// the clock is three times as fast as real time.
const FAST_WINDOWS: u8 = 2;

/// The number of successive windows after which a clock without audio is known to be too slow. With
/// audio, half as many are enough, or fewer once the audio is [`MAX_AHEAD`] ahead.
const SLOW_WINDOWS: u8 = 8;

/// Audio that is as long as the time in which it arrived, and ahead of the timestamps by more than
/// this, in ms, proves that a clock is too slow. Longer than bursts under one timestamp.
const MAX_AHEAD: u64 = 500;

/// See the module's documentation.
#[derive(Default)]
pub(in crate::live) struct Pacer {
    /// When the window began.
    began: Millis,
    /// The first and newest timestamps in the window: audio, video.
    stamps: [Option<(u32, u32)>; 2],
    /// The largest distance from the first timestamp.
    span: u32,
    /// The longest step.
    longest: i32,
    /// The number of steps back.
    back: u32,
    messages: u32,
    /// The duration of the audio in the window, in us.
    pub(in crate::live) audio: u64,
    /// Whether the clock was too fast in the last window; otherwise it was too slow.
    is_fast: bool,
    /// The number of successive windows in which it was too fast or too slow.
    windows: u8,
    /// The time that passed in these windows, in ms: by the timestamps, by arrival, and by the audio.
    measured: [u32; 3],
    /// Whether the timestamps can't be used, so that the times of arrival replace them.
    pub(super) is_lost: bool,
    /// A finding that hasn't been reported yet.
    pub(in crate::live) news: Option<Pace>,
}

impl Pacer {
    /// Notes a message of audio (0) or video (1). Returns whether the timestamps have just been found
    /// useless.
    pub(super) fn note(&mut self, index: usize, timestamp: u32, now: Millis) -> bool {
        if self.is_lost {
            return false;
        }
        let (first, newest) = self.stamps[index].unwrap_or((timestamp, timestamp));
        self.stamps[index] = Some((first, timestamp));
        let step = timestamp.wrapping_sub(newest) as i32;
        self.longest = self.longest.max(step);
        self.back += u32::from(step < 0);
        let step = timestamp.wrapping_sub(first) as i32;
        self.span = self.span.max(step.unsigned_abs());
        let elapsed = now.saturating_sub(self.began);
        if self.messages == 0 || elapsed >= WINDOW {
            if self.messages >= MIN_MESSAGES && elapsed < 2 * WINDOW {
                self.judge(elapsed);
            }
            (self.began, self.messages, self.audio) = (now, 0, 0);
            (self.span, self.longest, self.back) = (0, 0, 0);
            // The next window begins where this one ends.
            for stamps in self.stamps.iter_mut().flatten() {
                stamps.0 = stamps.1;
            }
        }
        self.messages += 1;
        self.is_lost
    }

    fn judge(&mut self, elapsed: Millis) {
        let stamps = self.stamps.iter().flatten();
        let step = |(first, newest): &(u32, u32)| newest.wrapping_sub(*first) as i32;
        let steps = stamps.clone().map(step);
        let audio = self.audio / 1000;
        let most = steps.clone().map(i32::unsigned_abs).max().unwrap_or(0);
        let most = u64::from(most);
        // A clock that stands still may hover a little. One that jumps far back isn't still.
        let is_still = most * 20 <= elapsed && u64::from(self.span) * 5 <= elapsed;
        if is_still && (audio == 0 || most * 10 <= audio) {
            let is_zero = stamps.clone().all(|stamps| *stamps == (0, 0));
            self.news = Some(Pace::Still { is_zero });
            self.is_lost = true;
            return;
        }
        let advance = steps.max().unwrap_or(0).max(0) as u64;
        if self.back > self.messages / 8 {
            // A clock that jumps back and forth may still advance with time.
            self.is_lost = advance == 0;
            if self.is_lost {
                self.news = Some(Pace::Backward);
                return;
            }
            self.news = Some(Pace::Hovers);
        }
        // More audio than time comes from a file, and so do pauses.
        let is_fast = advance * 2 > elapsed * 3 && audio * 2 <= elapsed * 3;
        let is_likely = audio > 0 || u64::from(self.messages) * 1000 < advance * MAX_SLOW_RATE;
        let is_slow = advance * 100 < elapsed * 92 && (audio == 0 || advance * 100 < audio * 92);
        // A clock that jumps isn't a fast clock.
        let [so_far, ..] = self.measured.map(u64::from);
        let is_steady =
            (so_far * 2..=so_far * 5).contains(&(advance * u64::from(self.windows) * 3));
        if is_fast != self.is_fast || !is_steady || !(is_slow || is_fast && is_likely) {
            (self.windows, self.measured) = (0, [0; 3]);
        }
        self.is_fast = is_fast;
        if !(is_slow || is_fast && is_likely) {
            return;
        }
        self.windows = self.windows.saturating_add(1);
        for (sum, more) in self.measured.iter_mut().zip([advance, elapsed, audio]) {
            *sum = sum.saturating_add(more.try_into().unwrap_or(u32::MAX));
        }
        let [stamped, passed, heard] = self.measured.map(u64::from);
        let is_sure = if is_fast {
            audio > 0 && advance >= elapsed * 3 && i64::from(self.longest) * 4 < advance as i64
        } else {
            self.back == 0
                && heard > stamped + MAX_AHEAD
                && (passed * 9..=passed * 11).contains(&(heard * 10))
        };
        let enough = match (is_fast, audio > 0) {
            (true, _) => FAST_WINDOWS,
            (false, true) => SLOW_WINDOWS / 2,
            (false, false) => SLOW_WINDOWS,
        };
        if is_sure || self.windows == enough {
            let tenths = ((stamped * 10 + passed / 2) / passed.max(1)) as u32;
            self.is_lost = is_sure || is_fast && audio > 0;
            let is_lost = self.is_lost;
            self.news = Some(Pace::Off { tenths, is_lost });
        }
    }
}
