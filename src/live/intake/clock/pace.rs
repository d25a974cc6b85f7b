//! The pace of a publisher's clock: its time stamps against the time in which they come, and against
//! the sound that comes with them.
//!
//! | time stamps in 10 s | sound in 10 s | what it is                                       |
//! |---------------------|---------------|--------------------------------------------------|
//! | 10 s                | 10 s          | as it should be                                  |
//! | 100 s               | 50 s, 100 s   | a file that is pushed faster than it plays       |
//! | 100 s               | 10 s          | a clock that is too fast                         |
//! | 8 s                 | 8 s           | a network that can't keep up                     |
//! | 8 s                 | 10 s          | a clock that is too slow                         |
//! | 0 s                 | 10 s, or none | no clock                                         |
//!
//! Without sound a file can't be told from a clock that is too fast, but that few files have so few
//! pictures a second as such a clock says.

use crate::live::Millis;
use crate::live::finding::Pace;

/// Time over which time stamps are measured, in ms: longer than bursts under one time stamp. What
/// takes twice as long was interrupted, and says nothing.
const WINDOW: Millis = 2_000;

/// Messages that it takes at least.
const MIN_MESSAGES: u32 = 10;

/// Pictures a second of a clock that is too fast without sound, at most.
const MAX_SLOW_RATE: u64 = 8;

/// Windows that have to agree, one after the other: that the clock is too fast, that it is too slow.
/// With sound one is sure of a clock that is three times too fast, and as many as `MAX_AHEAD` takes are
/// of one that is too slow.
const FAST_WINDOWS: u8 = 2;
const SLOW_WINDOWS: u8 = 8;

/// Sound that is ahead of the time stamps by more than this, in ms, and as long as the time in which it
/// came, shows that a clock is too slow: longer than bursts under one time stamp.
const MAX_AHEAD: u64 = 500;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Pacer {
    /// When the window began.
    began: Millis,
    /// First and newest time stamps in it: audio, video.
    stamps: [Option<(u32, u32)>; 2],
    /// Furthest from the first one that any was.
    span: u32,
    /// The longest step, and how many went back.
    longest: i32,
    back: u32,
    messages: u32,
    /// Sound in it, in us.
    sound: u64,
    /// Windows in a row in which the clock was too fast, or too slow, and what passed in them by the
    /// time stamps, by time and by the sound, in ms.
    is_fast: bool,
    windows: u8,
    measured: [u32; 3],
    /// Time stamps are of no use: those of arrival take their place.
    pub(super) is_lost: bool,
    /// Not told yet.
    news: Option<Pace>,
}

impl Pacer {
    /// So much sound came, by its frames, in us.
    pub(super) fn note_audio(&mut self, us: u64) {
        self.sound += us;
    }

    /// What is to be told.
    pub(super) fn take_news(&mut self) -> Option<Pace> {
        self.news.take()
    }

    /// A message of audio (0) or video (1) came. True if the time stamps have just turned out to be of
    /// no use.
    pub(super) fn note(&mut self, index: usize, timestamp: u32, now: Millis) -> bool {
        if self.is_lost {
            return false;
        }
        if let Some(stamps) = self.stamps.get_mut(index) {
            let (first, newest) = stamps.unwrap_or((timestamp, timestamp));
            *stamps = Some((first, timestamp));
            let step = timestamp.wrapping_sub(newest) as i32;
            self.longest = self.longest.max(step);
            self.back += u32::from(step < 0);
            let step = timestamp.wrapping_sub(first) as i32;
            self.span = self.span.max(step.unsigned_abs());
        }
        let elapsed = now.saturating_sub(self.began);
        if self.messages == 0 || elapsed >= WINDOW {
            if self.messages >= MIN_MESSAGES && elapsed < 2 * WINDOW {
                self.judge(elapsed);
            }
            (self.began, self.messages, self.sound) = (now, 0, 0);
            (self.span, self.longest, self.back) = (0, 0, 0);
            // The next one begins where this one ends.
            for stamps in self.stamps.iter_mut().flatten() {
                stamps.0 = stamps.1;
            }
        }
        self.messages += 1;
        self.is_lost
    }

    fn judge(&mut self, elapsed: Millis) {
        let stamps = self.stamps.iter().flatten();
        let steps = stamps
            .clone()
            .map(|(first, newest)| newest.wrapping_sub(*first) as i32);
        let sound = self.sound / 1000;
        let most = steps.clone().map(i32::unsigned_abs).max().unwrap_or(0);
        let most = u64::from(most);
        // They may hover, but what jumps back isn't still.
        let is_still = most * 20 <= elapsed && u64::from(self.span) * 5 <= elapsed;
        if is_still && (sound == 0 || most * 10 <= sound) {
            let is_zero = stamps.clone().all(|stamps| *stamps == (0, 0));
            self.news = Some(Pace::Still { is_zero });
            self.is_lost = true;
            return;
        }
        let advance = steps.max().unwrap_or(0).max(0) as u64;
        if self.back > self.messages / 8 {
            // What only goes back and forth may tell the time all the same.
            self.is_lost = advance == 0;
            if self.is_lost {
                self.news = Some(Pace::Backward);
                return;
            }
            self.news = Some(Pace::Hovers);
        }
        // More sound than time is that of a file, and so are its pauses.
        let is_fast = advance * 2 > elapsed * 3 && sound * 2 <= elapsed * 3;
        let is_likely = sound > 0 || u64::from(self.messages) * 1000 < advance * MAX_SLOW_RATE;
        let is_slow = advance * 100 < elapsed * 92 && (sound == 0 || advance * 100 < sound * 92);
        // What jumps isn't fast.
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
        for (sum, more) in self.measured.iter_mut().zip([advance, elapsed, sound]) {
            *sum = sum.saturating_add(more.try_into().unwrap_or(u32::MAX));
        }
        let [stamped, passed, heard] = self.measured.map(u64::from);
        let is_sure = match is_fast {
            true => {
                sound > 0 && advance >= elapsed * 3 && i64::from(self.longest) * 4 < advance as i64
            }
            false => {
                self.back == 0
                    && heard > stamped + MAX_AHEAD
                    && (passed * 9..=passed * 11).contains(&(heard * 10))
            }
        };
        let enough = match (is_fast, sound > 0) {
            (true, _) => FAST_WINDOWS,
            (false, true) => SLOW_WINDOWS / 2,
            (false, false) => SLOW_WINDOWS,
        };
        if is_sure || self.windows == enough {
            let tenths = ((stamped * 10 + passed / 2) / passed.max(1)) as u32;
            self.is_lost = is_sure || is_fast && sound > 0;
            let is_lost = self.is_lost;
            self.news = Some(match is_fast {
                true => Pace::Fast { tenths, is_lost },
                false => Pace::Slow { tenths, is_lost },
            });
        }
    }
}
