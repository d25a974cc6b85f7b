//! The media clock: times of video and audio frames for containers such as MP4.
//!
//! RTMP's timestamps are milliseconds that wrap. A container needs times that only grow, and audio
//! times in samples: at 44,100 Hz an AAC frame lasts 23.22 ms, so each frame rounded to ms would leave
//! a gap or overlap the next. So audio is counted, not measured:
//!
//! ```text
//! timestamps    ... 1000      1023      1046      1070      (ms)
//! samples       ... 44100     45124     46148     47172     (+ 1024 each)
//! ```
//!
//! The count starts at the first message's timestamp and is compared with each later one. Within
//! [`TOLERANCE`] the count is considered right, since timestamps jitter. Frames that arrive in bursts
//! under one timestamp are counted too: at the next burst the count is right again. If the count stays
//! wrong for [`PATIENCE`], is ahead by [`BURST`], or is behind, something was lost, or the clocks of
//! the encoder and of its sound card have drifted apart. Then frames are left out, or a part of a
//! frame's length is left free between frames, until the count is right again.
//!
//! The correction is made in small steps because of browsers: if a frame's decode time is later than
//! the track's previous one by more than twice the duration of that frame, they discard all tracks up
//! to the next keyframe (Media Source Extensions, coded frame processing, which Chromium follows to the
//! letter).
//!
//! The duration of a video frame is only known when the next one arrives, which is too late. So frames
//! are decoded one step early, when the previous frame was due, and presented when they are due: then
//! decode time and duration of each frame add up to the decode time of the next, whatever the steps
//! are.
//!
//! ```text
//! timestamps              0        33        66       200       233     (ms)
//! decoded, presented   -40, 0    0, 33    33, 66   66, 200  200, 233
//! duration                 40        33        33       134        33
//! ```

/// Where the time starts, in ms. More than 0, because a second track may begin before the first.
const START: u64 = 10_000;

/// The maximum distance between the count of samples and the timestamps that counts as jitter, in ms.
const TOLERANCE: u64 = 100;

/// How much further audio may be ahead of the timestamps, in ms: the tolerance for a clock that stands
/// still for a moment.
const BURST: u64 = 2000;

/// How long audio may be ahead by more than jitter, in ms: longer than it takes to find out that the
/// timestamps are too slow (see `clock`).
const PATIENCE: u64 = 8000;

/// Audio that is behind by more than this, in ms, is moved to its time at once instead of in steps.
const LOST: u64 = 1000;

/// A keyframe that arrives more than this after the last frame, in ms, follows a pause. It is decoded
/// only as early as the previous frame, since some players mistake more for delay. This doesn't apply
/// if the previous frame was as late: a frame every few seconds is no pause.
const PAUSE: u64 = 1000;

/// The duration of the first video frame, in ms, unless the metadata announces a frame rate.
const FIRST_STEP: u16 = 40;

/// See the module's documentation. Lives as long as the stream, through all publishers.
#[derive(Default)]
pub(super) struct MediaClock {
    /// The newest timestamp, and its time in ms.
    newest: Option<(u32, u64)>,
    video: Option<VideoTime>,
    audio: Option<AudioTime>,
    /// Whether another publisher's audio hasn't reached its own timestamps yet.
    is_other: bool,
    /// The announced step from one video frame to the next, in ms.
    announced_step: Option<u16>,
}

/// The newest video frame, in ms.
#[derive(Clone, Copy)]
struct VideoTime {
    /// When it is due.
    time: u64,
    /// How much earlier it is decoded.
    step: u16,
    /// How much later it is due than the previous frame.
    interval: u32,
}

/// The newest audio frame, in samples.
#[derive(Clone, Copy)]
struct AudioTime {
    /// Where the next frame begins.
    next: u64,
    /// Where the last frame began that was ahead of its timestamp by jitter at most.
    right: u64,
    /// The sample rate in Hz.
    rate: u32,
}

/// The decode time and duration of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) time: u64,
    pub(super) duration: u16,
    /// The time from decoding until it is due.
    pub(super) delay: u16,
}

impl MediaClock {
    /// Returns the time of a timestamp, in ms.
    fn time(&mut self, timestamp: u32) -> u64 {
        let newest = self.newest.get_or_insert((timestamp, START));
        let step = timestamp.wrapping_sub(newest.0) as i32;
        let time = newest.1.saturating_add_signed(step.into());
        if step > 0 {
            *newest = (timestamp, time);
        }
        time
    }

    /// Notes that another publisher has begun. The distance of its audio to the last one's is no jitter,
    /// which would stay: audio would be early from now on.
    pub(super) fn begin(&mut self) {
        self.is_other = self.audio.is_some();
    }

    /// Notes an announced frame rate.
    pub(super) fn announce(&mut self, rate: f64) {
        let is_likely = (0.1..=240.0).contains(&rate);
        self.announced_step = is_likely.then(|| (1000.0 / rate) as u16);
    }

    /// Times the next video frame, in ms.
    pub(super) fn video(&mut self, timestamp: u32, is_keyframe: bool) -> Timed {
        let time = self.time(timestamp);
        let (time, interval, step) = match self.video {
            None => (time, 0, self.announced_step.unwrap_or(FIRST_STEP)),
            Some(last) => {
                // Decoders require each frame to be later than the previous one.
                let time = time.max(last.time + 1);
                let interval = time - last.time;
                let is_pause =
                    is_keyframe && interval > PAUSE.max(u64::from(last.interval) * 3 / 2);
                let step = u16::try_from(interval).ok().filter(|_| !is_pause);
                (time, interval, step.unwrap_or(last.step))
            }
        };
        self.video = Some(VideoTime {
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

    /// Times the next audio frame of `samples` at `rate` Hz, in samples; `None` if the frame must be
    /// left out.
    pub(super) fn audio(&mut self, timestamp: u32, rate: u32, samples: u16) -> Option<Timed> {
        let in_samples = |ms: u64| ms * u64::from(rate) / 1000;
        let stamped = in_samples(self.time(timestamp));
        let tolerance = in_samples(TOLERANCE);
        let (time, mut right) = match self.audio {
            None => (stamped, 0),
            Some(last) if last.rate != rate => {
                let next = last.next * u64::from(rate) / u64::from(last.rate.max(1));
                (stamped.max(next), next)
            }
            Some(last) => {
                let time = if last.next + in_samples(LOST) < stamped {
                    stamped
                } else if last.next + tolerance < stamped || self.is_other {
                    // Less than a frame's length of silence after each frame.
                    let latest = stamped.max(last.next);
                    (last.next + u64::from(samples) * 3 / 4).min(latest)
                } else {
                    last.next
                };
                (time, last.right)
            }
        };
        self.is_other &= time < stamped;
        if time <= stamped + tolerance {
            right = time;
        } else if time > stamped + tolerance + in_samples(BURST)
            || time > right + in_samples(PATIENCE)
        {
            // Without this frame, the count falls back toward the timestamps.
            return None;
        }
        self.audio = Some(AudioTime {
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

    /// Two hours of AAC at 44,100 Hz and 30 frames a second, whose timestamps wrap on the way.
    #[test]
    fn audio_and_video_stay_in_sync_for_hours() {
        const RATE: u32 = 44_100;
        let first = u32::MAX - 3_600_000;
        let mut clock = MediaClock::default();
        let mut worst: i64 = 0;
        let mut frames = 0_u64;
        for frame in 0..2 * 3600 * 30_u64 {
            let ms = frame * 1000 / 30;
            let shown = clock.video(first.wrapping_add(ms as u32), frame % 60 == 0);
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

    /// (timestamp, keyframe), (decode time, duration), in ms.
    #[test]
    fn video_frames_are_decoded_when_the_ones_before_were_due() {
        let mut clock = MediaClock::default();
        for ((timestamp, is_keyframe), expected) in [
            ((0, true), (-40, 40)),
            ((33, false), (0, 33)),
            ((67, false), (33, 34)),
            // A gap that remains, since a decoder can't start there.
            ((2067, false), (67, 2000)),
            ((2100, true), (2067, 33)),
            // A pause.
            ((22_100, true), (22_067, 33)),
            ((22_133, false), (22_100, 33)),
            // Timestamps that stand still or go back.
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
    fn the_first_video_frame_lasts_as_long_as_announced() {
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

    /// A requirement of browsers.
    #[test]
    fn no_sample_is_decoded_much_later_than_the_one_before_ends() {
        let mut clock = MediaClock::default();
        let mut video_end = None;
        let mut audio_end = None;
        let mut timestamp = 0_u32;
        for number in 0..10_000_u32 {
            // Steps of 0 to 255 ms without a pattern.
            timestamp += number.wrapping_mul(2_654_435_761) >> 24;
            let frame = clock.video(timestamp, false);
            if let Some(end) = video_end.replace(frame.time + u64::from(frame.duration)) {
                assert_eq!(frame.time, end, "frame {number}");
            }
            // Audio is lost now and then, at most a second of it.
            let audio = clock.audio(number * 21 + number / 100 * 900, 48_000, 1024);
            let Some(audio) = audio else { continue };
            if let Some(end) = audio_end.replace(audio.time + 1024) {
                assert!(
                    (end..end + 1024).contains(&audio.time),
                    "audio frame {number}"
                );
            }
        }
    }

    #[test]
    fn audio_follows_its_timestamps_only_if_they_are_far_away() {
        let mut clock = MediaClock::default();
        let mut at = |timestamp| {
            let timed = clock.audio(timestamp, 48_000, 960)?;
            Some((timed.time - START * 48) as i64)
        };
        assert_eq!(at(0), Some(0));
        // Jitter.
        assert_eq!(at(95), Some(960));
        assert_eq!(at(0), Some(1920));
        // A loss, compensated by silence between the frames.
        assert_eq!(at(200), Some(3600));
        assert_eq!(at(220), Some(5280));
        assert_eq!(at(240), Some(6960));
        assert_eq!(at(260), Some(7920));
        // A larger loss.
        assert_eq!(at(2000), Some(96_000));
        // More audio than time.
        for frame in 1..=106 {
            let time = (frame < 106).then_some(96_000 + frame * 960);
            assert_eq!(at(2000), time, "{frame}");
        }
        assert_eq!(at(4021), Some(96_000 + 106 * 960));
    }

    #[test]
    fn audio_of_another_publisher_reaches_its_timestamps_soon() {
        let mut clock = MediaClock::default();
        clock.audio(0, 48_000, 960);
        clock.begin();
        let times = (0..6).map(|frame| {
            let timed = clock.audio(70 + frame * 20, 48_000, 960).unwrap();
            (timed.time - START * 48) / 48
        });
        // Silence of 15 ms after a frame, so that browsers see no gap.
        assert_eq!(times.collect::<Vec<_>>(), [35, 70, 105, 130, 150, 170]);
        // From now on, this is jitter.
        let timed = clock.audio(240, 48_000, 960).unwrap();
        assert_eq!((timed.time - START * 48) / 48, 190);
    }

    #[test]
    fn frames_in_bursts_under_one_timestamp_are_counted() {
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
    fn frames_of_an_audio_clock_that_is_too_fast_are_left_out_now_and_then() {
        let mut clock = MediaClock::default();
        let mut left_out = 0;
        for frame in 0..50_000_u64 {
            // 1 % more audio than time.
            let ms = frame * 1024 * 1000 / 48_480;
            let timed = clock.audio(ms as u32, 48_000, 1024);
            left_out += u32::from(timed.is_none());
            let ahead = timed.map_or(0, |timed| (timed.time / 48).saturating_sub(START + ms));
            assert!(ahead <= TOLERANCE + PATIENCE / 100 + 22, "{ahead} ms");
        }
        assert!((400..=500).contains(&left_out), "{left_out}");
    }

    #[test]
    fn another_sample_rate_goes_on_where_the_audio_was() {
        let mut clock = MediaClock::default();
        let first = clock.audio(0, 48_000, 4800).unwrap();
        assert_eq!(first.time, START * 48);
        let second = clock.audio(90, 24_000, 1024).unwrap();
        assert_eq!(second.time, START * 24 + 2400);
    }
}
