//! The media clock: the time of pictures and sounds as containers such as MP4 want it.
//!
//! The time stamps of RTMP are ms that wrap. A container wants times that only grow, and of audio
//! in samples: at 44,100 Hz a frame of AAC lasts 23.22 ms, and rounded to ms each would leave a gap
//! or overlap the next. So audio is counted, not measured:
//!
//! ```text
//! time stamps   ... 1000      1023      1046      1070      (ms)
//! samples       ... 44100     45124     46148     47172     (+ 1024 each)
//! ```
//!
//! The count starts at the first message's time stamp and is compared with each later one. Within
//! [`TOLERANCE`] the count is right: time stamps jitter. Frames that come in bursts under one time
//! stamp are counted too: at the next burst the count is right again. If it isn't for [`PATIENCE`], is
//! ahead by [`BURST`], or is behind, something was lost, or the clock of the encoder and that of its sound card have drifted
//! apart: then frames are left out, or a part of a frame's length is left free between them, until it
//! is.
//!
//! Browsers are why it goes by steps: when a decode time is ahead of the last one of its track by
//! more than twice what that sample was said to last, they throw all tracks away up to the next
//! keyframe (Media Source Extensions, coded frame processing; Chromium does so to the letter).
//!
//! How long a picture lasts is known when the next one comes, and that is too late. So pictures are
//! decoded one step early, where the one before was due, and shown when they are due: then decode
//! time and duration of each add up to the decode time of the next, whatever the steps are.
//!
//! ```text
//! time stamps             0        33        66       200       233     (ms)
//! decoded, shown       -40, 0    0, 33    33, 66   66, 200  200, 233
//! duration                 40        33        33       134        33
//! ```

/// Where the time starts, in ms: a second track may begin before the first.
const START: u64 = 10_000;

/// How far the count of samples may be from the time stamps, in ms: the tolerance for jitter.
const TOLERANCE: u64 = 100;

/// How much sound may be ahead of the time stamps by more than that before it is too much, in ms: the
/// tolerance for a clock that stands still.
const BURST: u64 = 2000;

/// For how long sound may be ahead by more than jitter, in ms: longer than it takes to learn that the
/// time stamps are too slow (see `clock`).
const PATIENCE: u64 = 8000;

/// Sound that is behind by more than this is not led to its time but put there, in ms.
const LOST: u64 = 1000;

/// A keyframe that comes later than this after the last picture begins anew, in ms, unless that one
/// came as late: pictures of every few seconds don't pause. What pictures are decoded early counts as
/// delay for some players.
const PAUSE: u64 = 1000;

/// What the first picture lasts, in ms, unless the metadata tell it.
const FIRST_STEP: u16 = 40;

/// See the module's documentation. Lives as long as the stream, through all publishers.
#[derive(Default)]
pub(super) struct MediaClock {
    newest: Option<Newest>,
    picture: Option<Picture>,
    sound: Option<Sound>,
    /// From one picture to the next, in ms, as it was announced.
    announced_step: Option<u16>,
}

/// The newest time stamp, and its time in ms.
#[derive(Clone, Copy)]
struct Newest {
    timestamp: u32,
    time: u64,
}

#[derive(Clone, Copy)]
struct Picture {
    /// When it is due.
    time: u64,
    /// How much earlier it is decoded.
    step: u16,
    /// How much later it is due than the one before, in ms.
    interval: u32,
}

#[derive(Clone, Copy)]
struct Sound {
    /// Where the next frame begins, in samples.
    next: u64,
    /// Where the frame began that was ahead of its time stamp by no more than jitter last.
    right: u64,
    /// Hz
    rate: u32,
}

/// When something begins and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) time: u64,
    pub(super) duration: u16,
    /// From decoding until it is due.
    pub(super) delay: u16,
}

impl MediaClock {
    /// The time of a time stamp, in ms.
    fn time(&mut self, timestamp: u32) -> u64 {
        let Some(newest) = self.newest else {
            self.newest = Some(Newest {
                timestamp,
                time: START,
            });
            return START;
        };
        let step = timestamp.wrapping_sub(newest.timestamp) as i32;
        let time = newest.time.saturating_add_signed(step.into());
        if step > 0 {
            self.newest = Some(Newest { timestamp, time });
        }
        time
    }

    /// So many pictures a second are announced.
    pub(super) fn announce(&mut self, rate: f64) {
        let is_likely = (0.1..=240.0).contains(&rate);
        self.announced_step = is_likely.then(|| (1000.0 / rate) as u16);
    }

    /// The next picture, in ms.
    pub(super) fn video(&mut self, timestamp: u32, is_keyframe: bool) -> Timed {
        let time = self.time(timestamp);
        let (time, interval, step) = match self.picture {
            None => {
                let step = self.announced_step.unwrap_or(FIRST_STEP);
                (time, 0, step)
            }
            Some(last) => {
                // Decoders want each picture later than the one before.
                let time = time.max(last.time + 1);
                let interval = time - last.time;
                let is_pause =
                    is_keyframe && interval > PAUSE.max(u64::from(last.interval) * 3 / 2);
                let step = u16::try_from(interval).ok().filter(|_| !is_pause);
                (time, interval, step.unwrap_or(last.step))
            }
        };
        self.picture = Some(Picture {
            time,
            step,
            interval: interval.try_into().unwrap_or(u32::MAX),
        });
        Timed {
            time: time.saturating_sub(step.into()),
            duration: step,
            delay: step,
        }
    }

    /// The next `samples` of sound at `rate` Hz, in samples; `None` if they are too many.
    pub(super) fn audio(&mut self, timestamp: u32, rate: u32, samples: u16) -> Option<Timed> {
        let in_samples = |ms: u64| ms * u64::from(rate) / 1000;
        let stamped = in_samples(self.time(timestamp));
        let tolerance = in_samples(TOLERANCE);
        let (time, mut right) = match self.sound {
            None => (stamped, 0),
            Some(last) if last.rate != rate => {
                let next = last.next * u64::from(rate) / u64::from(last.rate.max(1));
                (stamped.max(next), next)
            }
            Some(last) => {
                let time = if last.next + in_samples(LOST) < stamped {
                    stamped
                } else if last.next + tolerance < stamped {
                    // Less than a frame's length of silence after each frame.
                    last.next + u64::from(samples) * 3 / 4
                } else {
                    last.next
                };
                (time, last.right)
            }
        };
        if time <= stamped + tolerance {
            right = time;
        } else if time > stamped + tolerance + in_samples(BURST)
            || time > right + in_samples(PATIENCE)
        {
            return None;
        }
        self.sound = Some(Sound {
            next: time + u64::from(samples),
            right,
            rate,
        });
        Some(Timed {
            time,
            duration: samples,
            delay: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hours of AAC at 44,100 Hz beside 30 pictures a second, whose time stamps wrap on the way.
    #[test]
    fn sound_and_picture_stay_together_for_hours() {
        const RATE: u32 = 44_100;
        let first = u32::MAX - 3_600_000;
        let mut clock = MediaClock::default();
        let mut worst: i64 = 0;
        let mut frames = 0_u64;
        for picture in 0..2 * 3600 * 30_u64 {
            let ms = picture * 1000 / 30;
            let shown = clock.video(first.wrapping_add(ms as u32), picture % 60 == 0);
            assert_eq!(shown.time + u64::from(shown.delay), START + ms);
            while frames * 1024 * 1000 / u64::from(RATE) <= ms {
                let samples = frames * 1024;
                let true_us = (samples * 1_000_000 / u64::from(RATE)) as i64;
                let ms = samples * 1000 / u64::from(RATE);
                let heard = clock.audio(first.wrapping_add(ms as u32), RATE, 1024);
                let us = heard.unwrap().time * 1_000_000 / u64::from(RATE);
                worst = worst.max((us as i64 - START as i64 * 1000 - true_us).abs());
                frames += 1;
            }
        }
        assert!(worst < 1000, "{worst} us");
    }

    /// (time stamp, keyframe), (decoded, lasts) both in ms.
    #[test]
    fn pictures_are_decoded_where_the_ones_before_were_due() {
        let mut clock = MediaClock::default();
        for ((timestamp, is_keyframe), expected) in [
            ((0, true), (-40, 40)),
            ((33, false), (0, 33)),
            ((67, false), (33, 34)),
            // A gap that is left as it is, since a decoder can't begin there.
            ((2067, false), (67, 2000)),
            ((2100, true), (2067, 33)),
            // A pause.
            ((22_100, true), (22_067, 33)),
            ((22_133, false), (22_100, 33)),
            // Time stamps that stand still or go back.
            ((22_133, false), (22_133, 1)),
            ((22_120, false), (22_134, 1)),
            ((22_200, false), (22_135, 65)),
        ] {
            let timed = clock.video(timestamp, is_keyframe);
            let decoded = timed.time as i64 - START as i64;
            assert_eq!((decoded, timed.duration), expected, "{timestamp}");
            assert_eq!(timed.delay, timed.duration);
        }
    }

    #[test]
    fn the_first_picture_lasts_as_long_as_is_announced() {
        for (rate, expected) in [
            (5.0, 200),
            (29.97, 33),
            (1.0, 1000),
            (240.0, 4),
            (0.5, 2000),
            (0.01, 40),
            (-25.0, 40),
            (90_000.0, 40),
            (f64::NAN, 40),
        ] {
            let mut clock = MediaClock::default();
            clock.announce(rate);
            let first = clock.video(77, true);
            assert_eq!(first.duration, expected, "{rate}");
            assert_eq!(first.time, START - u64::from(expected));
        }
    }

    /// What browsers ask for.
    #[test]
    fn no_sample_is_decoded_later_than_the_one_before_ends_unless_decoders_begin_there() {
        let mut clock = MediaClock::default();
        let mut pictures = None;
        let mut sounds = None;
        let mut timestamp = 0_u32;
        for number in 0..10_000_u32 {
            // Steps of 0 to 255 ms in no order.
            timestamp += number.wrapping_mul(2_654_435_761) >> 24;
            let picture = clock.video(timestamp, false);
            if let Some(end) = pictures.replace(picture.time + u64::from(picture.duration)) {
                assert_eq!(picture.time, end, "picture {number}");
            }
            // Sound is lost now and then, a second at most.
            let sound = clock.audio(number * 21 + number / 100 * 900, 48_000, 1024);
            let Some(sound) = sound else { continue };
            if let Some(end) = sounds.replace(sound.time + 1024) {
                assert!((end..end + 1024).contains(&sound.time), "sound {number}");
            }
        }
    }

    #[test]
    fn sound_follows_its_time_stamps_only_when_they_are_far_away() {
        let mut clock = MediaClock::default();
        let mut at = |timestamp| {
            let timed = clock.audio(timestamp, 48_000, 960)?;
            Some((timed.time - START * 48) as i64)
        };
        assert_eq!(at(0), Some(0));
        // Jitter.
        assert_eq!(at(95), Some(960));
        assert_eq!(at(0), Some(1920));
        // A loss, made up for by silence between the frames.
        assert_eq!(at(200), Some(3600));
        assert_eq!(at(220), Some(5280));
        assert_eq!(at(240), Some(6960));
        assert_eq!(at(260), Some(7920));
        // More than that.
        assert_eq!(at(2000), Some(96_000));
        // More sound than time.
        for frame in 1..=106 {
            let time = (frame < 106).then_some(96_000 + frame * 960);
            assert_eq!(at(2000), time, "{frame}");
        }
        assert_eq!(at(4021), Some(96_000 + 106 * 960));
    }

    #[test]
    fn frames_in_bursts_under_one_time_stamp_are_counted() {
        // Up to two seconds in one burst.
        for frames in [1, 5, 20, 80] {
            let mut clock = MediaClock::default();
            for frame in 0..742 {
                let first = frame / frames * frames;
                let timestamp = (first * 1024 * 1000 / 44_100) as u32;
                let timed = clock.audio(timestamp, 44_100, 1024);
                let time = timed.map(|timed| timed.time - START * 441 / 10);
                assert_eq!(time, Some(frame * 1024), "{frame} of bursts of {frames}");
            }
        }
    }

    #[test]
    fn sound_of_a_clock_that_is_too_fast_is_left_out_now_and_then() {
        let mut clock = MediaClock::default();
        let mut left_out = 0;
        for frame in 0..50_000_u64 {
            // 1 % more sound than time.
            let ms = frame * 1024 * 1000 / 48_480;
            let timed = clock.audio(ms as u32, 48_000, 1024);
            left_out += u32::from(timed.is_none());
            let ahead = timed.map_or(0, |timed| (timed.time / 48).saturating_sub(START + ms));
            assert!(ahead <= TOLERANCE + PATIENCE / 100 + 22, "{ahead} ms");
        }
        assert!((400..=500).contains(&left_out), "{left_out}");
    }

    #[test]
    fn another_rate_goes_on_where_the_sound_was() {
        let mut clock = MediaClock::default();
        let first = clock.audio(0, 48_000, 4800).unwrap();
        assert_eq!(first.time, START * 48);
        let second = clock.audio(90, 24_000, 1024).unwrap();
        assert_eq!(second.time, START * 24 + 2400);
    }
}
