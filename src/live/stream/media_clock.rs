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
//! [`TOLERANCE`] the count is right: time stamps jitter. Beyond, something was lost, or the clock
//! of the encoder and that of its sound card have drifted apart: then the count jumps forward, or
//! frames are left out until it is right again.

/// Where the time starts, in ms: a second track may begin before the first.
const START: u64 = 10_000;

/// How far the count of samples may be from the time stamps, in ms.
const TOLERANCE: u64 = 100;

/// What the first picture lasts, in ms.
const FIRST_STEP: u64 = 40;

/// See the module's documentation. Lives as long as the stream, through all publishers.
#[derive(Default)]
pub(super) struct MediaClock {
    newest: Option<Newest>,
    picture: Option<Picture>,
    sound: Option<Sound>,
}

/// The newest time stamp, and its time in ms.
#[derive(Clone, Copy)]
struct Newest {
    timestamp: u32,
    time: u64,
}

#[derive(Clone, Copy)]
struct Picture {
    time: u64,
    /// Since the one before.
    step: u64,
}

#[derive(Clone, Copy)]
struct Sound {
    /// Where the next frame begins, in samples.
    next: u64,
    /// Hz
    rate: u32,
}

/// When something begins and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) time: u64,
    pub(super) duration: u16,
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

    /// The next picture, in ms. How long it will last nobody knows yet: as long as the one before
    /// it, or that one's forerunner if a pause came between them.
    pub(super) fn picture(&mut self, timestamp: u32) -> Timed {
        let time = self.time(timestamp);
        let (time, step, duration) = match self.picture {
            None => (time, FIRST_STEP, FIRST_STEP),
            Some(last) => {
                // Decoders want each picture later than the one before.
                let time = time.max(last.time + 1);
                let step = time - last.time;
                (time, step, step.min(last.step))
            }
        };
        self.picture = Some(Picture { time, step });
        Timed {
            time,
            duration: duration.min(u16::MAX.into()) as u16,
        }
    }

    /// The next `samples` of sound at `rate` Hz, in samples; `None` if they are too many.
    pub(super) fn sound(&mut self, timestamp: u32, rate: u32, samples: u16) -> Option<Timed> {
        let stamped = self.time(timestamp) * u64::from(rate) / 1000;
        let tolerance = TOLERANCE * u64::from(rate) / 1000;
        let time = match self.sound {
            None => stamped,
            Some(last) if last.rate != rate => {
                let next = last.next * u64::from(rate) / u64::from(last.rate.max(1));
                stamped.max(next)
            }
            Some(last) if last.next > stamped + tolerance => return None,
            Some(last) if last.next + tolerance < stamped => stamped,
            Some(last) => last.next,
        };
        self.sound = Some(Sound {
            next: time + u64::from(samples),
            rate,
        });
        Some(Timed {
            time,
            duration: samples,
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
            let shown = clock.picture(first.wrapping_add(ms as u32));
            assert_eq!(shown.time, START + ms);
            while frames * 1024 * 1000 / u64::from(RATE) <= ms {
                let samples = frames * 1024;
                let true_us = (samples * 1_000_000 / u64::from(RATE)) as i64;
                let ms = samples * 1000 / u64::from(RATE);
                let heard = clock.sound(first.wrapping_add(ms as u32), RATE, 1024);
                let us = heard.unwrap().time * 1_000_000 / u64::from(RATE);
                worst = worst.max((us as i64 - START as i64 * 1000 - true_us).abs());
                frames += 1;
            }
        }
        assert!(worst < 1000, "{worst} us");
    }

    #[test]
    fn a_picture_lasts_as_long_as_the_one_before_and_pauses_do_not_count() {
        let mut clock = MediaClock::default();
        let durations: Vec<_> = [0, 33, 67, 100, 20_100, 20_133, 20_133, 20_120, 20_200]
            .into_iter()
            .map(|timestamp| clock.picture(timestamp))
            .map(|timed| (timed.time - START, timed.duration))
            .collect();
        assert_eq!(
            durations,
            [
                (0, 40),
                (33, 33),
                (67, 33),
                (100, 33),
                (20_100, 33),
                (20_133, 33),
                (20_134, 1),
                (20_135, 1),
                (20_200, 1),
            ]
        );
    }

    #[test]
    fn sound_follows_its_time_stamps_only_when_they_are_far_away() {
        let mut clock = MediaClock::default();
        let mut at = |timestamp| {
            let timed = clock.sound(timestamp, 48_000, 960)?;
            Some((timed.time - START * 48) as i64)
        };
        assert_eq!(at(0), Some(0));
        // Jitter.
        assert_eq!(at(95), Some(960));
        assert_eq!(at(0), Some(1920));
        // A loss.
        assert_eq!(at(1000), Some(48_000));
        // More sound than time.
        for (timestamp, time) in [(920, 48_960), (940, 49_920)] {
            assert_eq!(at(timestamp), Some(time));
        }
        assert_eq!(at(939), None);
        assert_eq!(at(960), Some(50_880));
    }

    #[test]
    fn another_rate_goes_on_where_the_sound_was() {
        let mut clock = MediaClock::default();
        let first = clock.sound(0, 48_000, 4800).unwrap();
        assert_eq!(first.time, START * 48);
        let second = clock.sound(90, 24_000, 1024).unwrap();
        assert_eq!(second.time, START * 24 + 2400);
    }
}
