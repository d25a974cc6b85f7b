//! A track in MP4, made from the payloads of RTMP messages.

use super::MAX_CONFIG_LEN;
use super::boxes::Boxes;
use super::codec_string;
use crate::media::codec::{AudioCodec, Codec, VideoCodec};
use crate::media::mp3::Mp3Header;
use crate::media::opus::{self, OpusHead};
use crate::media::tag::TagKind;
use crate::media::track_info::{DecoderConfig, Description};
use crate::media::video_format::VideoFormat;
use crate::media::{Medium, av1, flac, hevc, vp9};

/// A video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoTrack {
    /// The codec. It may differ from that of the tag header: some cameras declare H.265 as H.264.
    pub codec: VideoCodec,
    /// The format, if known. Browsers refuse a track without a size.
    pub format: Option<VideoFormat>,
    /// The body of the configuration box: avcC and av1C as received, hvcC without SEI, vpcC without
    /// version and flags.
    pub(super) config: Box<[u8]>,
}

impl VideoTrack {
    /// Makes a track from the payload of a sequence header, in legacy or Enhanced form. Returns `None`
    /// if the payload isn't a valid sequence header, has a codec that MP4 or browsers don't support, is
    /// longer than [`MAX_CONFIG_LEN`], or belongs to a multitrack message.
    pub fn from_sequence_header(payload: &[u8]) -> Option<VideoTrack> {
        let Description { tag, info, config } = Description::read(Medium::Video, payload)?;
        let (Codec::Video(codec), DecoderConfig::Video(config)) = (info.codec, config) else {
            return None;
        };
        if tag.is_multitrack || config.len() > MAX_CONFIG_LEN {
            return None;
        }
        Some(VideoTrack {
            codec,
            format: info.format,
            // The configuration is sent to every viewer, so it is kept short.
            config: match codec {
                VideoCodec::Hevc => hevc::without_sei(config).into(),
                _ => config.into(),
            },
        })
    }

    /// Returns the same track with this frame format.
    pub fn with_format(self, format: VideoFormat) -> VideoTrack {
        VideoTrack {
            format: Some(format),
            ..self
        }
    }

    /// Returns the track's format, if the other one has the same configuration.
    pub fn format_if_same(&self, other: &VideoTrack) -> Option<VideoFormat> {
        let is_same = self.codec == other.codec && self.config == other.config;
        self.format.filter(|_| is_same)
    }

    /// Returns the codec with its profile and level, as in RFC 6381: `avc1.64001f`.
    pub fn codec_string(&self) -> String {
        codec_string::of_video(self.codec, &self.config)
    }
}

/// Reads the format from the body of a keyframe. For VP9 it is the only place that has the format, and
/// sometimes for AV1. H.264 and H.265 have it in their sequence headers, even if those are built from
/// parameter sets in the stream.
pub fn format_of_keyframe(codec: VideoCodec, body: &[u8]) -> Option<VideoFormat> {
    match codec {
        VideoCodec::Av1 => av1::format_of_units(body),
        VideoCodec::Vp9 => vp9::format_of_keyframe(body),
        _ => None,
    }
}

/// An audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioTrack {
    /// The codec.
    pub codec: AudioCodec,
    /// The number of samples per second, which is the track's timescale; above 0. For HE-AAC it is the
    /// rate of the core, at which frames are counted.
    pub sample_rate: u32,
    /// The number of channels according to the sequence header; 2 if it doesn't say.
    pub channels: u8,
    /// The number of samples of a frame, for frames that don't say it themselves.
    samples_per_frame: u16,
    /// The sequence header's body for AAC, the STREAMINFO block for FLAC, the body of its box for Opus;
    /// empty for MP3.
    pub(super) config: Box<[u8]>,
}

impl AudioTrack {
    /// Makes a track from the payload of a sequence header, in legacy or Enhanced form. Returns `None`
    /// if the payload isn't a valid sequence header, has a codec that MP4 or browsers don't support, is
    /// longer than [`MAX_CONFIG_LEN`], or belongs to a multitrack message. MP3 has no sequence headers.
    pub fn from_sequence_header(payload: &[u8]) -> Option<AudioTrack> {
        AudioTrack::read(payload, TagKind::SequenceHeader)
    }

    /// Makes a track of MP3, or of Opus without a sequence header, from the payload of a frame. The tag
    /// header and four more bytes are enough. Returns `None` for all other codecs.
    pub fn from_frame(payload: &[u8]) -> Option<AudioTrack> {
        AudioTrack::read(payload, TagKind::Frames)
    }

    fn read(payload: &[u8], kind: TagKind) -> Option<AudioTrack> {
        let Description { tag, info, config } = Description::read(Medium::Audio, payload)?;
        let Codec::Audio(codec) = info.codec else {
            return None;
        };
        if tag.kind != kind || tag.is_multitrack {
            return None;
        }
        let (sample_rate, channels, samples_per_frame, config) = match config {
            DecoderConfig::Aac(config, body) if body.len() <= MAX_CONFIG_LEN => {
                // Decoders read the channels from the configuration, but MP4 requires a number here.
                let channels = config.channels.unwrap_or(2);
                (
                    config.sample_rate,
                    channels,
                    config.samples_per_frame,
                    body.into(),
                )
            }
            // 20 ms, the packet duration of nearly all encoders.
            DecoderConfig::Opus(head) => (opus::SAMPLE_RATE, head.channels, 960, opus_box(&head)),
            DecoderConfig::Flac(info, block) => {
                let samples = info.max_block_size.max(1);
                (info.sample_rate, info.channels, samples, block.into())
            }
            DecoderConfig::Mp3(head) => (
                head.sample_rate,
                head.channels,
                head.samples,
                Box::default(),
            ),
            _ => return None,
        };
        Some(AudioTrack {
            codec,
            sample_rate,
            channels,
            samples_per_frame,
            config,
        })
    }

    /// Returns the codec as in RFC 6381: `mp4a.40.2`, `Opus`.
    pub fn codec_string(&self) -> String {
        codec_string::of_audio(self.codec, &self.config, false)
    }

    /// Returns the number of samples per channel in the frame that begins with these bytes; 16 bytes are
    /// enough. Returns the usual number if the frame is invalid.
    pub fn samples(&self, body: &[u8]) -> u32 {
        let samples = match self.codec {
            AudioCodec::Mp3 => Mp3Header::parse(body).map(|header| header.samples.into()),
            AudioCodec::Opus => opus::samples(body),
            AudioCodec::Flac => flac::samples(body),
            _ => None,
        };
        samples.unwrap_or(self.samples_per_frame.into())
    }
}

/// Returns the body of the box, with the header's fields in big-endian order ("Encapsulation of Opus in
/// ISO Base Media File Format", 4.3.2).
fn opus_box(head: &OpusHead<'_>) -> Box<[u8]> {
    let mut config = Boxes(Vec::with_capacity(11 + head.mapping.len()));
    config.u8(0); // version
    config.u8(head.channels);
    config.u16(head.pre_skip);
    config.u32(head.input_sample_rate);
    config.u16(head.gain as u16);
    config.u8(head.mapping_family);
    config.bytes(head.mapping);
    config.0.into()
}
