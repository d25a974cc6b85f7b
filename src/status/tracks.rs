//! The tracks of a stream, with the properties that only their MP4 form has.

use crate::live::report::StreamReport;
use crate::media::TrackInfo;
use crate::media::codec::Codec;

/// The first track of a medium.
#[derive(Clone, Debug)]
pub(super) struct TrackStatus {
    pub(super) info: TrackInfo,
    /// The codec string of RFC 6381, if browsers may know the codec.
    pub(super) mime_codec: Option<String>,
}

impl TrackStatus {
    /// The first video track, if any of its messages has arrived.
    pub(super) fn video(report: &StreamReport) -> Option<TrackStatus> {
        let mut info = report.video.info?;
        let track = report.tracks.presentation.video.as_ref();
        let track = track.filter(|track| Codec::Video(track.codec) == info.codec);
        // The message may not contain the size, for example if only keyframes do.
        info.format = info.format.or(track.and_then(|track| track.format));
        let mime_codec = track.map(|track| track.codec_string());
        Some(TrackStatus { info, mime_codec })
    }

    /// The first audio track, if any of its messages has arrived.
    pub(super) fn audio(report: &StreamReport) -> Option<TrackStatus> {
        let mut info = report.audio.info?;
        let track = report.tracks.presentation.audio.as_ref();
        let track = track.filter(|track| Codec::Audio(track.codec) == info.codec);
        // Opus without a sequence header has the default rate and channels.
        info.sample_rate = info.sample_rate.or(track.map(|track| track.sample_rate));
        info.channels = info.channels.or(track.map(|track| track.channels));
        let mime_codec = track.map(|track| track.codec_string());
        Some(TrackStatus { info, mime_codec })
    }
}
