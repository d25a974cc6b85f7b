//! What a stream measures of itself while it runs, and the report that others get of it.
//!
//! The publisher's thread counts, under the stream's lock: a few additions per message, nothing
//! allocated, no floating point. Rates are those of the last four whole seconds of the server's
//! clock; pictures are counted against their time stamps, since a burst of the network is no
//! faster film.

use std::net::IpAddr;
use std::sync::Arc;

use super::doctor::{Doctor, Finding, Memory, Window};
use super::framing::Framing;
use super::log::Kind;
use super::preamble::Preamble;
use super::subscriber::Delivered;
use super::tracks::Tracks;
use super::{Millis, When};
use crate::media::Medium;

/// What is counted of a name: publishes, bytes sent, messages dropped, skips, messages skipped, and
/// from [`RECEIVED`] on bytes and messages of audio that came, and of video.
pub type Totals = [u64; 9];

/// See [`Totals`].
pub const RECEIVED: usize = 5;

/// Both together.
pub fn sum(a: Totals, b: Totals) -> Totals {
    std::array::from_fn(|index| a[index] + b[index])
}

/// Whole seconds over which rates are measured.
const RATE_SECONDS: u64 = 4;

/// Those, and the one that isn't over.
const BUCKETS: usize = RATE_SECONDS as usize + 1;

/// What is kept of a message to tell its codec: tag header, and the header of a frame of MP3 or
/// the like.
const SAMPLE_LEN: usize = 16;

/// Media time over which pictures are counted, in ms: whole seconds of all usual rates, 29.97
/// included, to the ms.
const PICTURE_WINDOW: u32 = 4_000;

/// The same for the first figure of a publish, so that it comes soon.
const FIRST_PICTURE_WINDOW: u32 = 1_000;

/// A longer step between two pictures is a hole, and says nothing of their rate.
const MAX_STEP: u32 = 10_000;

/// A frame rate is forgotten when no picture came for this long.
const RATE_MEMORY: Millis = 10_000;

/// A stream's figures at one moment.
#[derive(Clone, Debug, Default)]
pub struct StreamReport {
    /// Somebody publishes.
    pub is_live: bool,
    /// How often somebody has begun to publish it.
    pub publishes: u64,
    /// When the current publish began, or the last one.
    pub since: Millis,
    /// Who publishes: its connection's number, and its address.
    pub publisher: Option<(u64, IpAddr)>,
    /// Audio that came.
    pub audio: TrackReport,
    /// Video that came.
    pub video: TrackReport,
    /// Pictures per second, in thousandths.
    pub frame_rate: Option<u32>,
    /// From the last keyframe but one to the last, in ms of media time.
    pub keyframe_interval: Option<u32>,
    /// The longest such interval of this publish, in ms.
    pub longest_keyframe_interval: Option<u32>,
    /// Messages that the memory couldn't hold.
    pub dropped_messages: u64,
    /// Sent to those who play and have played since the stream is there.
    pub bytes_out: u64,
    /// Sent in the last seconds, in bits per second.
    pub bits_out: u64,
    /// Jumps of players to a newer keyframe, because they were too slow.
    pub skips: u64,
    /// Messages left out by those jumps.
    pub skipped_messages: u64,
    /// Most viewers at a time since the stream is there.
    pub peak_viewers: usize,
    /// Blocks held by the log.
    pub blocks: usize,
    /// Metadata and sequence headers.
    pub preamble: Arc<Preamble>,
    /// Those of its tracks that MP4 can hold, among others.
    pub tracks: Arc<Tracks>,
    /// What is wrong with the current publish, as far as it has shown.
    pub findings: Vec<Finding>,
    /// What was counted of the name before, as far as it isn't in the other figures.
    pub past: Totals,
    /// Those who play.
    pub viewers: Viewers,
    /// Addresses from which somebody watches by HLS.
    pub hls_viewers: usize,
}

impl StreamReport {
    /// All that was counted of the name.
    pub fn totals(&self) -> Totals {
        let StreamReport { audio, video, .. } = self;
        let own = [
            self.publishes,
            self.bytes_out,
            self.dropped_messages,
            self.skips,
            self.skipped_messages,
            audio.bytes,
            audio.messages,
            video.bytes,
            video.messages,
        ];
        sum(own, self.past)
    }

    /// Viewers of all kinds.
    pub fn viewer_count(&self) -> usize {
        self.viewers.counts.iter().sum::<usize>() + self.hls_viewers
    }
}

/// What came of one medium since the publish began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackReport {
    /// Bytes of payload.
    pub bytes: u64,
    /// Messages, headers included.
    pub messages: u64,
    /// Bits per second in the last seconds.
    pub bits_per_second: u64,
    /// How a recent message begins, tag header included; at most 16 bytes, empty when none came.
    pub sample: Vec<u8>,
}

/// Names of the framings, in the order of [`Viewers::counts`].
pub const PROTOCOLS: [&str; 3] = ["rtmp", "flv", "mp4"];

/// Those who receive a stream, all together: however many they are, a report is of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewers {
    /// By framing: RTMP, FLV, MP4.
    pub counts: [usize; 3],
    /// What they were sent.
    pub delivered: Delivered,
    /// How far behind the slowest of them is.
    pub lag: Millis,
}

impl Viewers {
    /// Counts one more.
    pub fn add(&mut self, viewer: &ViewerReport) {
        for (count, protocol) in self.counts.iter_mut().zip(PROTOCOLS) {
            *count += usize::from(viewer.protocol == protocol);
        }
        self.delivered.bytes += viewer.delivered.bytes;
        self.delivered.skips = self.delivered.skips.saturating_add(viewer.delivered.skips);
        self.delivered.skipped_messages += viewer.delivered.skipped_messages;
        self.lag = self.lag.max(viewer.lag);
    }
}

/// Who receives a stream, and how that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewerReport {
    /// Its number among all subscribers.
    pub id: u64,
    /// Its connection's number.
    pub connection: u64,
    /// `rtmp`, `flv`, `mp4` or `hls`.
    pub protocol: &'static str,
    /// When it joined.
    pub since: Millis,
    /// What it was sent.
    pub delivered: Delivered,
    /// How long the oldest message that it still has to get has been there.
    pub lag: Millis,
}

/// What reports call a framing.
pub(super) fn protocol_of(framing: Framing) -> &'static str {
    match framing {
        Framing::Rtmp { .. } => PROTOCOLS[0],
        Framing::Flv { .. } => PROTOCOLS[1],
        Framing::Mp4 { .. } => PROTOCOLS[2],
    }
}

/// See the module's documentation. Lives as long as the stream.
#[derive(Default)]
pub(super) struct Stats {
    since: Millis,
    audio: Track,
    video: Track,
    pictures: Pictures,
    dropped: u64,
    out: Rate,
    /// Bytes out, as far as they are in `out`.
    bytes_out: u64,
    /// What those were sent who have left.
    gone: Gone,
    /// Messages dropped of earlier publishes, and what came of them.
    earlier: [u64; 5],
    peak_viewers: usize,
    pub(super) doctor: Doctor,
}

/// Sums over those who have left.
#[derive(Default)]
struct Gone {
    bytes: u64,
    skips: u64,
    skipped_messages: u64,
}

#[derive(Default)]
struct Track {
    bytes: u64,
    messages: u64,
    rate: Rate,
    sample: [u8; SAMPLE_LEN],
    sample_len: usize,
}

/// Bytes by second.
#[derive(Default)]
struct Rate {
    buckets: [u32; BUCKETS],
    /// The newest second that has a bucket.
    newest: u32,
}

/// The pictures of the first video track, by their time stamps.
#[derive(Default)]
struct Pictures {
    /// Time stamp of the newest one, and when it came.
    newest: u32,
    came: When,
    window: Window,
    /// Pictures per second in the last whole window, in thousandths.
    rate: Option<u32>,
    newest_keyframe: Option<u32>,
    interval: Option<u32>,
    longest: Option<u32>,
}

impl Stats {
    /// Another publisher begins.
    pub(super) fn begin_publish(&mut self, now: Millis) {
        self.since = now;
        let (audio, video) = (&self.audio, &self.video);
        let all = [
            self.dropped,
            audio.bytes,
            audio.messages,
            video.bytes,
            video.messages,
        ];
        for (earlier, more) in self.earlier.iter_mut().zip(all) {
            *earlier += more;
        }
        self.audio = Track::default();
        self.video = Track::default();
        self.pictures = Pictures::default();
        self.dropped = 0;
        self.doctor = Doctor::default();
    }

    /// A message of audio or video came, whatever becomes of it.
    pub(super) fn note_message<'a>(
        &mut self,
        medium: Medium,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) {
        let len: usize = parts.clone().map(<[u8]>::len).sum();
        let track = match medium {
            Medium::Audio => &mut self.audio,
            Medium::Video => &mut self.video,
        };
        track.bytes += len as u64;
        track.messages += 1;
        if track.rate.add(len as u64, now) || track.sample_len == 0 {
            track.keep_sample(parts);
        }
        self.doctor.note_message(medium, now);
    }

    /// Time passes while somebody publishes.
    pub(super) fn note_time(&mut self, now: Millis) {
        self.doctor.note_silence(self.since, now);
    }

    /// A picture or sound has its place in time.
    pub(super) fn note_frame(&mut self, kind: Kind, timestamp: u32, now: Millis) {
        self.doctor.note_arrival(kind, timestamp, now);
    }

    /// A picture of the first track has its place in time.
    pub(super) fn note_picture(&mut self, is_keyframe: bool, timestamp: u32, now: Millis) {
        let pictures = &mut self.pictures;
        let step = pictures.step_to(timestamp, now);
        if let Some(window) = pictures.count(step) {
            self.doctor.note_window(&window);
        }
        if is_keyframe {
            pictures.note_keyframe(timestamp);
        }
        self.doctor.note_picture(is_keyframe, step, pictures.rate);
    }

    /// A message couldn't be stored.
    pub(super) fn note_dropped(&mut self, len: usize, may_hold: u64) {
        self.dropped += 1;
        self.doctor.note_memory(Memory::Message {
            len: len as u32,
            may_hold: may_hold.try_into().unwrap_or(u32::MAX),
        });
    }

    /// Somebody has joined.
    pub(super) fn note_viewers(&mut self, count: usize) {
        self.peak_viewers = self.peak_viewers.max(count);
    }

    /// Somebody has left.
    pub(super) fn note_left(&mut self, delivered: Delivered) {
        self.gone.bytes += delivered.bytes;
        self.gone.skips += u64::from(delivered.skips);
        self.gone.skipped_messages += delivered.skipped_messages;
    }

    /// Those who are there have got so many bytes by now.
    pub(super) fn note_sent(&mut self, bytes: u64, now: Millis) {
        let total = self.gone.bytes + bytes;
        self.out.add(total.saturating_sub(self.bytes_out), now);
        self.bytes_out = total;
    }

    /// Somebody has fetched so many bytes.
    pub(super) fn note_fetched(&mut self, bytes: u64, now: Millis) {
        self.gone.bytes += bytes;
        self.bytes_out += bytes;
        self.out.add(bytes, now);
    }

    /// What was counted of earlier publishes.
    fn past(&self) -> Totals {
        let [dropped, received @ ..] = self.earlier;
        let mut past = [0; 9];
        past[2] = dropped;
        past[RECEIVED..].copy_from_slice(&received);
        past
    }

    /// The stream's part of a report.
    pub(super) fn report(&self, viewers: Viewers, now: Millis) -> StreamReport {
        let Delivered {
            bytes,
            skips,
            skipped_messages,
        } = viewers.delivered;
        let age = now.saturating_sub(self.since);
        StreamReport {
            since: self.since,
            audio: self.audio.report(age, now),
            video: self.video.report(age, now),
            frame_rate: self.pictures.rate.filter(|_| self.pictures.are_recent(now)),
            keyframe_interval: self.pictures.interval,
            longest_keyframe_interval: self.pictures.longest,
            dropped_messages: self.dropped,
            bytes_out: self.gone.bytes + bytes,
            bits_out: self.out.bits_per_second(age, now),
            skips: self.gone.skips + u64::from(skips),
            skipped_messages: self.gone.skipped_messages + skipped_messages,
            peak_viewers: self.peak_viewers,
            findings: self.doctor.findings(),
            past: self.past(),
            viewers,
            ..StreamReport::default()
        }
    }
}

impl Track {
    fn keep_sample<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) {
        self.sample_len = 0;
        for (slot, byte) in self.sample.iter_mut().zip(parts.flatten()) {
            *slot = *byte;
            self.sample_len += 1;
        }
    }

    fn report(&self, age: Millis, now: Millis) -> TrackReport {
        TrackReport {
            bytes: self.bytes,
            messages: self.messages,
            bits_per_second: self.rate.bits_per_second(age, now),
            sample: self.sample[..self.sample_len].to_vec(),
        }
    }
}

/// The second of a moment; enough for 136 years.
fn second(now: Millis) -> u32 {
    (now / 1000) as u32
}

impl Rate {
    /// Counts bytes; true if they are the first of their second.
    fn add(&mut self, bytes: u64, now: Millis) -> bool {
        let second = second(now);
        let is_new = second > self.newest;
        if second.saturating_sub(self.newest) >= BUCKETS as u32 {
            self.buckets = [0; BUCKETS];
            self.newest = second;
        }
        while self.newest < second {
            self.newest += 1;
            *self.bucket(self.newest) = 0;
        }
        let bucket = self.bucket(second);
        *bucket = bucket.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        is_new
    }

    fn bucket(&mut self, second: u32) -> &mut u32 {
        &mut self.buckets[second as usize % BUCKETS]
    }

    /// Of the last whole seconds; in the first seconds of its `age`, of all of it.
    fn bits_per_second(&self, age: Millis, now: Millis) -> u64 {
        let second = second(now);
        let is_young = age < RATE_SECONDS * 1000;
        let from = second.saturating_sub(RATE_SECONDS as u32);
        let to = if is_young { second + 1 } else { second };
        let held = (self.newest + 1).saturating_sub(BUCKETS as u32)..=self.newest;
        let bytes: u64 = (from..to)
            .filter(|second| held.contains(second))
            .map(|second| u64::from(self.buckets[second as usize % BUCKETS]))
            .sum();
        let ms = if is_young {
            age.max(1)
        } else {
            RATE_SECONDS * 1000
        };
        bytes * 8 * 1000 / ms
    }
}

impl Pictures {
    /// The step from the picture before, in ms; `None` if there is none, or a hole.
    fn step_to(&mut self, timestamp: u32, now: Millis) -> Option<u32> {
        let newest = self.came.get().map(|_| self.newest);
        let step = newest.map(|newest| timestamp.wrapping_sub(newest) as i32);
        // Time stamps may stand still for a moment after a jump was taken out.
        let is_back = step.is_some_and(|step| step < 0);
        self.newest = newest.filter(|_| is_back).unwrap_or(timestamp);
        self.came = When::at(now);
        let step = u32::try_from(step?.max(0)).unwrap_or_default();
        (step <= MAX_STEP).then_some(step)
    }

    /// Counts a picture; returns the window that it completes.
    fn count(&mut self, step: Option<u32>) -> Option<Window> {
        let Some(step) = step else {
            self.window = Window::default();
            return None;
        };
        self.window.add(step);
        let least = self.rate.map_or(FIRST_PICTURE_WINDOW, |_| PICTURE_WINDOW);
        if self.window.ms < least {
            return None;
        }
        let window = std::mem::take(&mut self.window);
        self.rate = Some(window.rate());
        Some(window)
    }

    fn note_keyframe(&mut self, timestamp: u32) {
        let last = self.newest_keyframe.replace(timestamp);
        let interval = last.map(|last| timestamp.wrapping_sub(last));
        if let Some(interval) = interval.filter(|interval| *interval < 1 << 31) {
            self.interval = Some(interval);
            self.longest = self.longest.max(Some(interval));
        }
    }

    fn are_recent(&self, now: Millis) -> bool {
        let since = self.came.get().map(|came| now.saturating_sub(came));
        since.is_some_and(|since| since <= RATE_MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(step: impl Fn(u32) -> u32, pictures: u32) -> Option<u32> {
        let mut stats = Stats::default();
        for index in 0..pictures {
            let timestamp = step(index);
            stats.note_picture(index % 60 == 0, timestamp, timestamp.into());
        }
        stats.report(Viewers::default(), 1_000).frame_rate
    }

    #[test]
    fn frame_rates_are_measured_by_time_stamps() {
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
    fn a_frame_rate_needs_a_second_of_pictures_and_is_forgotten() {
        assert_eq!(measured(|index| index * 40, 25), None);
        assert_eq!(measured(|index| index * 40, 26), Some(25_000));
        let mut stats = Stats::default();
        for index in 0..100 {
            stats.note_picture(false, index * 40, 1_000);
        }
        assert_eq!(
            stats.report(Viewers::default(), 11_000).frame_rate,
            Some(25_000)
        );
        assert_eq!(stats.report(Viewers::default(), 11_001).frame_rate, None);
    }

    #[test]
    fn a_hole_in_the_time_stamps_is_not_taken_for_a_slow_film() {
        assert_eq!(
            measured(|index| index * 40 + index / 150 * 60_000, 299),
            Some(25_000)
        );
    }

    #[test]
    fn rates_are_those_of_four_whole_seconds() {
        let mut stats = Stats::default();
        stats.begin_publish(10_500);
        let mut rates = Vec::new();
        // 1000 bytes every 100 ms for ten seconds, and then nothing.
        for tick in 0..200 {
            let now = 10_500 + tick * 100;
            if tick < 100 {
                let payload = [0x27; 1000];
                stats.note_message(Medium::Video, std::iter::once(&payload[..]), now);
            }
            rates.push(
                stats
                    .report(Viewers::default(), now + 99)
                    .video
                    .bits_per_second,
            );
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
        let report = stats.report(Viewers::default(), 40_000);
        assert_eq!((report.video.bytes, report.video.messages), (100_000, 100));
        assert_eq!(report.audio, TrackReport::default());
        assert_eq!(report.video.sample, [0x27; 16]);
    }

    #[test]
    fn bytes_out_are_those_of_all_who_played() {
        let mut stats = Stats::default();
        let delivered = |bytes| Delivered {
            bytes,
            skips: 2,
            skipped_messages: 5,
        };
        let viewer = |bytes| ViewerReport {
            id: 1,
            connection: 1,
            protocol: "rtmp",
            since: 0,
            delivered: delivered(bytes),
            lag: 0,
        };
        stats.note_viewers(2);
        stats.note_sent(5_000, 500);
        stats.note_left(delivered(4_000));
        stats.note_viewers(1);
        stats.note_sent(2_000, 1_500);
        let mut viewers = Viewers::default();
        viewers.add(&viewer(2_000));
        let report = stats.report(viewers, 2_000);
        assert_eq!(report.bytes_out, 6_000);
        assert_eq!((report.skips, report.skipped_messages), (4, 10));
        assert_eq!(report.bits_out, 6_000 * 8 / 2);
        assert_eq!(report.peak_viewers, 2);
    }

    #[test]
    fn keyframe_intervals_are_in_media_time() {
        let mut stats = Stats::default();
        for (timestamp, is_keyframe) in [
            (u32::MAX - 999, true),
            (0, false),
            (1_000, true),
            (4_000, true),
            (5_000, true),
        ] {
            stats.note_picture(is_keyframe, timestamp, 0);
        }
        let report = stats.report(Viewers::default(), 0);
        assert_eq!(report.keyframe_interval, Some(1_000));
        assert_eq!(report.longest_keyframe_interval, Some(3_000));
    }
}
