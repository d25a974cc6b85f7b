//! What a file says of its tracks, for metadata.

use super::track::Track;
use crate::media::{Medium, TrackInfo};

/// What is known of a track before its frames are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackSummary {
    /// Audio or video.
    pub medium: Medium,
    /// The codec's number in metadata: that of FLV, or its four letters.
    pub codec_id: u32,
    /// Width and height of video.
    pub size: Option<(u16, u16)>,
    /// The channels of audio, and its samples in a second.
    pub channels: Option<u32>,
    /// See `channels`.
    pub sample_rate: Option<u32>,
    /// Frames in a second; of a file in fragments, those in the first one.
    pub frame_rate: Option<f64>,
    /// Bits in a second, likewise.
    pub bit_rate: Option<f64>,
}

impl TrackSummary {
    pub(super) fn of(medium: Medium, track: &Track) -> TrackSummary {
        let mut header = Vec::new();
        track.codec.put_header(&mut header);
        // Those of the sample entry are too short for some rates.
        let info = TrackInfo::read(medium, &header);
        let [first, second] = track.numbers;
        let of_info = info.map(|info| (info.channels.map(u32::from), info.sample_rate));
        let (channels, sample_rate) = of_info.unwrap_or_default();
        let of_audio = |of_info: Option<u32>, of_entry: u16| {
            let number = of_info.unwrap_or(of_entry.into());
            Some(number).filter(|number| medium == Medium::Audio && *number > 0)
        };
        let is_size = medium == Medium::Video && first > 0 && second > 0;
        let totals = track.totals();
        let seconds = totals.ticks as f64 / f64::from(track.timescale);
        let per_second = |count: u64| Some(count as f64 / seconds).filter(|rate| rate.is_normal());
        TrackSummary {
            medium,
            codec_id: track.codec.id(),
            size: is_size.then_some((first, second)),
            channels: of_audio(channels, first),
            sample_rate: of_audio(sample_rate, second),
            frame_rate: per_second(totals.samples),
            bit_rate: per_second(totals.bytes.saturating_mul(8)),
        }
    }
}
