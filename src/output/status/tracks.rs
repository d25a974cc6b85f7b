//! What a stream's tracks are, put together from its headers, its messages and what was measured.

use crate::live::preamble::Slot;
use crate::live::report::{StreamReport, TrackReport};
use crate::media::avc::AvcConfig;
use crate::media::codec::{AudioCodec, VideoCodec};
use crate::media::describe::{picture_of, sound_of, video_header};

/// The first video track.
#[derive(Clone, Debug)]
pub(super) struct Video {
    pub(super) codec: VideoCodec,
    /// As in RFC 6381, for a codec that browsers may know.
    pub(super) mime_codec: Option<String>,
    /// Width and height.
    pub(super) size: Option<(u16, u16)>,
    /// Of H.264: profile_idc, constraint flags, level_idc.
    pub(super) avc: Option<[u8; 3]>,
}

/// The first audio track.
#[derive(Clone, Debug)]
pub(super) struct Audio {
    pub(super) name: String,
    pub(super) codec: AudioCodec,
    /// Of AAC; 0 otherwise.
    pub(super) object_type: u8,
    pub(super) mime_codec: Option<String>,
    pub(super) sample_rate: Option<u32>,
    pub(super) channels: Option<u8>,
}

/// The payload that says most of a track that came.
fn telling<'a>(report: &'a StreamReport, slot: Slot, track: &'a TrackReport) -> Option<&'a [u8]> {
    // A header alone may be the publisher's before.
    let came = track.messages > 0;
    came.then(|| report.preamble.header(slot).unwrap_or(&track.sample))
}

/// The video track, if any came.
pub(super) fn video(report: &StreamReport) -> Option<Video> {
    let payload = telling(report, Slot::Video(0), &report.video)?;
    let (codec, body) = video_header(payload)?;
    let track = report.tracks.presentation.video.as_ref();
    let track = track.filter(|track| track.codec() == codec);
    let picture = picture_of(payload).map(|picture| (picture.width, picture.height));
    let avc = match codec {
        VideoCodec::H264 => AvcConfig::parse(body).ok(),
        _ => None,
    };
    Some(Video {
        codec,
        mime_codec: track.map(|track| track.codec_string()),
        size: track
            .map(|track| (track.width(), track.height()))
            .or(picture),
        avc: avc.map(|avc| [avc.profile, avc.constraints, avc.level]),
    })
}

/// The audio track, if any came.
pub(super) fn audio(report: &StreamReport) -> Option<Audio> {
    let payload = telling(report, Slot::Audio(0), &report.audio)?;
    let sound = sound_of(payload)?;
    let track = report.tracks.presentation.audio.as_ref();
    let track = track.filter(|track| track.codec() == sound.codec);
    Some(Audio {
        name: sound.name(),
        codec: sound.codec,
        object_type: sound.object_type,
        mime_codec: track.map(|track| track.codec_string()),
        sample_rate: sound.sample_rate.or(track.map(|track| track.sample_rate())),
        channels: sound.channels.or(track.map(|track| track.channels())),
    })
}
