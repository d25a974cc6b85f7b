//! Counters of what a publisher sent: bytes, messages, rates, and the doctor's findings about them.
//!
//! The publisher's thread counts under the stream's lock: a few additions per message, without
//! allocation or floating point.

use super::doctor::Doctor;
use super::frame_rate::FrameRate;
use crate::live::byte_rate::ByteRate;
use crate::live::finding::Finding;
use crate::live::report::{StreamReport, Totals, TrackReport};
use crate::live::{Millis, copy_front};
use crate::media::{Medium, TrackInfo};

/// The number of bytes of a message that are kept to recognize its codec: the tag header, and the
/// beginning of the body, such as the header of an MP3 frame.
const SAMPLE_LEN: usize = 16;

/// See the module's documentation. Lives as long as the stream, through all publishers.
#[derive(Default)]
pub(super) struct Arrivals {
    /// When the current publish began.
    pub(super) since: Millis,
    audio: Arrived,
    video: Arrived,
    frame_rate: FrameRate,
    dropped: u64,
    /// The totals of earlier publishes.
    past: Totals,
    pub(super) doctor: Doctor,
}

/// The counters of one medium.
#[derive(Default)]
struct Arrived {
    bytes: u64,
    messages: u64,
    rate: ByteRate,
    /// The first bytes of a recent message.
    sample: [u8; SAMPLE_LEN],
    sample_len: usize,
}

impl Arrivals {
    /// Begins the publish of another publisher.
    pub(super) fn begin_publish(&mut self, now: Millis) {
        // Only the totals survive, for counters that never go back.
        *self = Arrivals {
            since: now,
            past: self.report(now).totals(),
            ..Arrivals::default()
        };
    }

    /// Counts a message, whether or not it is stored.
    pub(super) fn note_message<'a>(
        &mut self,
        medium: Medium,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) {
        let len: usize = parts.clone().map(<[u8]>::len).sum();
        let arrived = match medium {
            Medium::Audio => &mut self.audio,
            Medium::Video => &mut self.video,
        };
        arrived.bytes += len as u64;
        arrived.messages += 1;
        // Once a second is enough to notice a change of codec.
        if arrived.rate.add(len as u64, now) || arrived.sample_len == 0 {
            arrived.sample_len = copy_front(parts, &mut arrived.sample);
        }
        self.doctor.note_message(medium, now);
    }

    /// Notes a frame of the first video track with its timestamp on the stream's clock.
    pub(super) fn note_video_frame(&mut self, is_keyframe: bool, timestamp: u32, now: Millis) {
        let frames = &mut self.frame_rate;
        let step = frames.step_to(timestamp, now);
        if let Some(window) = frames.count(step) {
            self.doctor.note_window(&window);
        }
        if is_keyframe {
            frames.note_keyframe(timestamp);
        }
        self.doctor.note_video_frame(is_keyframe, step, frames.rate);
    }

    /// Notes a message that couldn't be stored.
    pub(super) fn note_dropped(&mut self, len: usize, may_hold: u64) {
        self.dropped += 1;
        self.doctor.find(Finding::LargeMessage {
            len: len as u32,
            may_hold: may_hold.try_into().unwrap_or(u32::MAX),
        });
    }

    /// The part of a report that describes the received media.
    pub(super) fn report(&self, now: Millis) -> StreamReport {
        let age = now.saturating_sub(self.since);
        StreamReport {
            since: self.since,
            audio: self.audio.report(Medium::Audio, age, now),
            video: self.video.report(Medium::Video, age, now),
            frame_rate: self.frame_rate.recent_rate(now),
            keyframe_interval: self.frame_rate.keyframe_interval,
            dropped_messages: self.dropped,
            findings: self.doctor.findings(),
            past: self.past,
            ..StreamReport::default()
        }
    }
}

impl Arrived {
    fn report(&self, medium: Medium, age: Millis, now: Millis) -> TrackReport {
        TrackReport {
            bytes: self.bytes,
            messages: self.messages,
            bits_per_second: self.rate.bits_per_second(age, now),
            info: TrackInfo::read(medium, &self.sample[..self.sample_len]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::{Codec, VideoCodec};

    #[test]
    fn bytes_and_messages_are_counted_by_medium_and_publish() {
        let mut arrivals = Arrivals::default();
        arrivals.begin_publish(10_500);
        for tick in 0..100 {
            let payload = [0x22; 1000];
            let now = 10_500 + tick * 100;
            arrivals.note_message(Medium::Video, std::iter::once(&payload[..]), now);
        }
        let report = arrivals.report(10_500 + 9_999);
        assert_eq!((report.video.bytes, report.video.messages), (100_000, 100));
        assert_eq!(report.video.bits_per_second, 80_000);
        assert_eq!(report.audio, TrackReport::default());
        let info = report.video.info.unwrap();
        assert_eq!(info.codec, Codec::Video(VideoCodec::SorensonH263));
        arrivals.note_dropped(1_000, 10_000);
        arrivals.begin_publish(30_000);
        let report = arrivals.report(30_000);
        assert_eq!(report.video, TrackReport::default());
        assert_eq!(report.past, [0, 0, 1, 0, 0, 0, 0, 100_000, 100]);
    }
}
