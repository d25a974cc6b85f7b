//! What programs and people get to know of a stream: its figures at one moment.

use std::net::IpAddr;
use std::sync::Arc;

use super::Millis;
use super::finding::Finding;
use super::framing::Framing;
use super::preamble::Preamble;
use super::tracks::Tracks;

/// What is counted of a name: publishes, bytes sent, messages dropped, skips, messages skipped, and
/// from [`RECEIVED`] on bytes and messages of audio that came, and of video.
pub type Totals = [u64; 9];

/// See [`Totals`].
pub const RECEIVED: usize = 5;

/// Both together.
pub fn sum(a: Totals, b: Totals) -> Totals {
    std::array::from_fn(|index| a[index] + b[index])
}

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

/// What a subscriber has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Bytes, framing and control bytes included.
    pub bytes: u64,
    /// Jumps to a newer keyframe because it was too slow.
    pub skips: u32,
    /// Messages left out by those jumps.
    pub skipped_messages: u64,
}

/// Returns a framing's name in reports.
pub(super) fn protocol_of(framing: Framing) -> &'static str {
    match framing {
        Framing::Rtmp { .. } => PROTOCOLS[0],
        Framing::Flv { .. } => PROTOCOLS[1],
        Framing::Mp4 { .. } => PROTOCOLS[2],
    }
}
