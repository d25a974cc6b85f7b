//! Reports of streams, tracks and viewers: their figures at one moment.

use std::net::IpAddr;
use std::sync::Arc;

use super::Millis;
use super::finding::Finding;
use super::tracks::Tracks;
use crate::media::TrackInfo;

/// The counters of a name: publishes, bytes sent, messages dropped, skips, messages skipped, and from
/// [`RECEIVED`] on bytes and messages of audio received, and of video.
pub type Totals = [u64; 9];

/// The index of the first counter of what was received, see [`Totals`].
pub const RECEIVED: usize = 5;

/// Adds counters.
pub fn sum(a: Totals, b: Totals) -> Totals {
    std::array::from_fn(|index| a[index] + b[index])
}

/// A stream's figures at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StreamReport {
    /// Whether it is published.
    pub is_live: bool,
    /// The number of publishes so far.
    pub publishes: u64,
    /// When the current or last publish began.
    pub since: Millis,
    /// The connection's number and address of the publisher.
    pub publisher: Option<(u64, IpAddr)>,
    /// Audio received.
    pub audio: TrackReport,
    /// Video received.
    pub video: TrackReport,
    /// Video frames per second, in thousandths.
    pub frame_rate: Option<u32>,
    /// The interval between the last two keyframes, in ms of media time.
    pub keyframe_interval: Option<u32>,
    /// The number of messages that the memory couldn't hold.
    pub dropped_messages: u64,
    /// Bytes sent to all viewers since the stream was created.
    pub bytes_out: u64,
    /// Bits per second sent in the last seconds.
    pub bits_out: u64,
    /// The number of times that slow players were moved to a newer keyframe.
    pub skips: u64,
    /// The number of messages left out by that.
    pub skipped_messages: u64,
    /// The most viewers at a time since the stream was created.
    pub peak_viewers: usize,
    /// The number of blocks that the log holds.
    pub blocks: usize,
    /// The first tracks.
    pub tracks: Arc<Tracks>,
    /// What was found to be wrong with the current publish.
    pub findings: Vec<Finding>,
    /// What was counted of earlier publishes, as far as it isn't in the other figures.
    pub past: Totals,
    /// The subscribers together.
    pub viewers: Viewers,
    /// The number of addresses with HLS viewers.
    pub hls_viewers: usize,
}

impl StreamReport {
    /// All counters of the stream.
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

    /// The number of viewers of all kinds.
    pub fn viewer_count(&self) -> usize {
        self.viewers.counts.iter().sum::<usize>() + self.hls_viewers
    }
}

/// What was received of one medium since the publish began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackReport {
    /// Bytes of payload.
    pub bytes: u64,
    /// Messages, headers included.
    pub messages: u64,
    /// Bits per second in the last seconds.
    pub bits_per_second: u64,
    /// What is known of the track, by its sequence header or else by a recent message.
    pub info: Option<TrackInfo>,
}

/// The names of the framings, in the order of [`Viewers::counts`].
pub const PROTOCOLS: [&str; 3] = ["rtmp", "flv", "mp4"];

/// All subscribers of a stream together, so that the size of a report doesn't depend on their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Viewers {
    /// By framing: RTMP, FLV, MP4.
    pub counts: [usize; 3],
    /// What they were sent in total.
    pub delivered: Delivered,
    /// The lag of the slowest one, in ms.
    pub lag: Millis,
}

impl Viewers {
    /// Adds a viewer.
    pub fn add(&mut self, viewer: &ViewerReport) {
        for (count, protocol) in self.counts.iter_mut().zip(PROTOCOLS) {
            *count += usize::from(viewer.protocol == protocol);
        }
        self.delivered.add(viewer.delivered);
        self.lag = self.lag.max(viewer.lag);
    }
}

/// A receiver of a stream, and how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewerReport {
    /// The number of the subscriber.
    pub id: u64,
    /// The number of its connection.
    pub connection: u64,
    /// `rtmp`, `flv`, `mp4` or `hls`.
    pub protocol: &'static str,
    /// When it joined.
    pub since: Millis,
    /// What it was sent.
    pub delivered: Delivered,
    /// The age of the oldest message that it hasn't got yet, in ms.
    pub lag: Millis,
}

/// What a subscriber was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Bytes, framing and control bytes included.
    pub bytes: u64,
    /// The number of times that it was moved to a newer keyframe because it was too slow.
    pub skips: u32,
    /// The number of messages left out by that.
    pub skipped_messages: u64,
}

impl Delivered {
    /// Adds what another one was sent.
    pub(super) fn add(&mut self, other: Delivered) {
        self.bytes += other.bytes;
        self.skips = self.skips.saturating_add(other.skips);
        self.skipped_messages += other.skipped_messages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_added_each_to_its_own() {
        let past = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let now = [10, 0, 0, 40, 0, 0, 70, 0, 90];
        assert_eq!(sum(past, now), [11, 2, 3, 44, 5, 6, 77, 8, 99]);
    }
}
