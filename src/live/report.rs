//! Reports of streams, tracks and viewers: their figures at one moment.

use std::net::IpAddr;
use std::sync::Arc;

use super::Millis;
use super::finding::Finding;
use super::tracks::Tracks;
use crate::media::TrackInfo;

/// The counters of a name: publishes, bytes sent, messages dropped, skips, messages skipped, and, from
/// [`RECEIVED`] on, bytes and messages received of audio and then of video.
pub type Totals = [u64; 9];

/// The index of the first counter of received media, see [`Totals`].
pub const RECEIVED: usize = 5;

/// Adds counters.
pub fn sum(a: Totals, b: Totals) -> Totals {
    std::array::from_fn(|index| a[index] + b[index])
}

/// A stream's figures at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StreamReport {
    /// Whether the stream is published.
    pub is_live: bool,
    /// The number of publishes so far.
    pub publishes: u64,
    /// When the current or last publish began, on the clock of [`Server::uptime`](crate::Server::uptime).
    pub since: Millis,
    /// The publisher: the number of its connection, and its address.
    pub publisher: Option<(u64, IpAddr)>,
    /// Audio received.
    pub audio: TrackReport,
    /// Video received.
    pub video: TrackReport,
    /// The number of video frames per second, in thousandths.
    pub frame_rate: Option<u32>,
    /// The interval between the last two keyframes, in ms of media time.
    pub keyframe_interval: Option<u32>,
    /// The number of messages that were dropped because the memory couldn't hold them.
    pub dropped_messages: u64,
    /// Bytes sent to all viewers since the stream was created.
    pub bytes_out: u64,
    /// The number of bits per second sent in the last few seconds.
    pub bits_out: u64,
    /// The number of times that slow players were moved to a newer keyframe.
    pub skips: u64,
    /// The number of messages left out by skips.
    pub skipped_messages: u64,
    /// The highest number of simultaneous viewers since the stream was created.
    pub peak_viewers: usize,
    /// The number of blocks that the log holds.
    pub blocks: usize,
    /// The properties of the first tracks.
    pub tracks: Arc<Tracks>,
    /// The findings about the current publish.
    pub findings: Vec<Finding>,
    /// The totals of earlier publishes, as far as the other figures don't include them.
    pub past: Totals,
    /// The figures of all subscribers together.
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

/// The counters of one medium since the publish began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackReport {
    /// The number of payload bytes.
    pub bytes: u64,
    /// The number of messages, including headers.
    pub messages: u64,
    /// The number of bits per second received in the last few seconds.
    pub bits_per_second: u64,
    /// The track's properties, from its sequence header, or without one from a recent message.
    pub info: Option<TrackInfo>,
}

/// The names of the framings, in the order of [`Viewers::counts`].
pub const PROTOCOLS: [&str; 3] = ["rtmp", "flv", "mp4"];

/// The figures of all subscribers of a stream together, so that the size of a report doesn't depend on
/// their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Viewers {
    /// The numbers of subscribers by framing: RTMP, FLV, MP4.
    pub counts: [usize; 3],
    /// The total of the messages and bytes that they were sent.
    pub delivered: Delivered,
    /// The lag of the slowest subscriber, in ms.
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

/// A receiver of a stream, and its figures at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewerReport {
    /// The id of the subscriber.
    pub id: u64,
    /// The number of its connection.
    pub connection: u64,
    /// `rtmp`, `flv`, `mp4` or `hls`.
    pub protocol: &'static str,
    /// When it joined.
    pub since: Millis,
    /// The messages and bytes that the receiver was sent.
    pub delivered: Delivered,
    /// The age of the oldest message that the receiver hasn't got yet, in ms.
    pub lag: Millis,
}

/// The messages and bytes that a subscriber was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The number of bytes, including framing and control bytes.
    pub bytes: u64,
    /// The number of times that the subscriber was moved to a newer keyframe because it was too slow.
    pub skips: u32,
    /// The number of messages left out by skips.
    pub skipped_messages: u64,
}

impl Delivered {
    /// Adds the messages and bytes that another subscriber was sent.
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
