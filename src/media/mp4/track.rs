//! A track as MP4 has it, made from the payloads of RTMP messages.

use super::MAX_CONFIG_LEN;
use super::boxes::Boxes;
use super::codec_string;
use crate::media::aac::AacConfig;
use crate::media::codec::{AudioCodec, Codec, VideoCodec};
use crate::media::flac::StreamInfo;
use crate::media::mp3::Mp3Header;
use crate::media::opus::{self, OpusHead};
use crate::media::tag::TagKind;
use crate::media::track_info::{DecoderConfig, Description};
use crate::media::video_format::VideoFormat;
use crate::media::{Medium, av1, flac, hevc, vp9};

/// A video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoTrack {
    codec: VideoCodec,
    format: Option<VideoFormat>,
    /// The body of the configuration's box: avcC and av1C as they came, hvcC without SEI, vpcC
    /// without version and flags.
    config: Box<[u8]>,
}

impl VideoTrack {
    /// Makes a track from the payload of a sequence header, in legacy or Enhanced form. Returns
    /// `None` if it is no valid sequence header, has a codec that MP4 or browsers don't know, is
    /// longer than [`MAX_CONFIG_LEN`], or is of a multitrack message.
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
            // Every viewer is sent the configuration, so it is kept short.
            config: match codec {
                VideoCodec::Hevc => hevc::without_sei(config).into(),
                _ => config.into(),
            },
        })
    }

    /// The same track with frames of this format.
    pub fn with_format(self, format: VideoFormat) -> VideoTrack {
        VideoTrack {
            format: Some(format),
            ..self
        }
    }

    /// The format, if it is known. Browsers refuse a track without a size.
    pub fn format(&self) -> Option<VideoFormat> {
        self.format
    }

    /// The codec. It may differ from that of the tag header: some cameras declare H.265 as H.264.
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// The codec with its profile and level, as in RFC 6381: `avc1.64001f`.
    pub fn codec_string(&self) -> String {
        codec_string::of_video(self.codec, &self.config)
    }

    pub(super) fn config(&self) -> &[u8] {
        &self.config
    }
}

/// Reads the format from the body of a keyframe. VP9 has it nowhere else, AV1 sometimes. H.264 and
/// H.265 have it in their sequence headers, which are also made from parameter sets in the stream.
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
    codec: AudioCodec,
    /// Above 0.
    sample_rate: u32,
    channels: u8,
    /// The number of samples of a frame that doesn't say it.
    samples_per_frame: u32,
    /// For AAC the sequence header's body, for FLAC the STREAMINFO block, for Opus the body of its
    /// box; empty for MP3.
    config: Box<[u8]>,
}

impl AudioTrack {
    /// Makes a track from the payload of a sequence header, in legacy or Enhanced form. Returns
    /// `None` if it is no valid sequence header, has a codec that MP4 or browsers don't know, is
    /// longer than [`MAX_CONFIG_LEN`], or is of a multitrack message. MP3 has no sequence headers.
    pub fn from_sequence_header(payload: &[u8]) -> Option<AudioTrack> {
        AudioTrack::read(payload, TagKind::SequenceHeader)
    }

    /// Makes a track of MP3, or of Opus without a sequence header, from the payload of a frame. The
    /// tag header and four more bytes are enough. Returns `None` for all other codecs.
    pub fn from_frame(payload: &[u8]) -> Option<AudioTrack> {
        AudioTrack::read(payload, TagKind::Frames)
    }

    fn read(payload: &[u8], kind: TagKind) -> Option<AudioTrack> {
        let Description { tag, config, .. } = Description::read(Medium::Audio, payload)?;
        if tag.kind != kind || tag.is_multitrack {
            return None;
        }
        match config {
            DecoderConfig::Aac(config, body) if body.len() <= MAX_CONFIG_LEN => {
                Some(of_aac(&config, body))
            }
            DecoderConfig::Opus(head) => Some(of_opus(head)),
            DecoderConfig::Flac(info, block) => Some(of_flac(&info, block)),
            DecoderConfig::Mp3(header) => Some(of_mp3(header)),
            _ => None,
        }
    }

    /// The codec.
    pub fn codec(&self) -> AudioCodec {
        self.codec
    }

    /// Samples per second, which is the track's timescale. For HE-AAC that of the core, in which
    /// frames are counted.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The number of channels in the sequence header; 2 if it doesn't say.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// The codec as in RFC 6381: `mp4a.40.2`, `Opus`.
    pub fn codec_string(&self) -> String {
        codec_string::of_audio(self.codec, &self.config)
    }

    /// The codec as browsers expect it in a content type: `mp4a.40.2`, `opus`.
    pub fn codec_string_of_browsers(&self) -> String {
        match codec_string::other_name_of_audio(self.codec) {
            Some(name) => name.into(),
            None => self.codec_string(),
        }
    }

    /// The number of samples per channel in the frame that begins with these bytes; 16 are enough.
    /// The usual number for an invalid frame.
    pub fn samples(&self, body: &[u8]) -> u32 {
        let samples = match self.codec {
            AudioCodec::Mp3 => Mp3Header::parse(body).map(|header| header.samples.into()),
            AudioCodec::Opus => opus::samples(body),
            AudioCodec::Flac => flac::samples(body),
            _ => None,
        };
        samples.unwrap_or(self.samples_per_frame)
    }

    pub(super) fn config(&self) -> &[u8] {
        &self.config
    }
}

fn of_aac(config: &AacConfig, body: &[u8]) -> AudioTrack {
    AudioTrack {
        codec: AudioCodec::Aac,
        sample_rate: config.sample_rate,
        // Decoders take the channels from the configuration. MP4 needs some number all the same.
        channels: config.channels.unwrap_or(2),
        samples_per_frame: config.samples_per_frame.into(),
        config: body.into(),
    }
}

fn of_mp3(header: Mp3Header) -> AudioTrack {
    AudioTrack {
        codec: AudioCodec::Mp3,
        sample_rate: header.sample_rate,
        channels: header.channels,
        samples_per_frame: header.samples.into(),
        config: Box::default(),
    }
}

/// The box has the header's fields in big-endian order ("Encapsulation of Opus in ISO Base Media
/// File Format", 4.3.2).
fn of_opus(head: OpusHead<'_>) -> AudioTrack {
    let mut config = Boxes::with_capacity(11 + head.mapping.len());
    config.u8(0); // version
    config.u8(head.channels);
    config.u16(head.pre_skip);
    config.u32(head.input_sample_rate);
    config.u16(head.gain as u16);
    config.u8(head.mapping_family);
    config.bytes(head.mapping);
    AudioTrack {
        codec: AudioCodec::Opus,
        sample_rate: opus::SAMPLE_RATE,
        channels: head.channels,
        samples_per_frame: 960, // 20 ms, which nearly all encoders use
        config: config.into_bytes().into(),
    }
}

fn of_flac(info: &StreamInfo, block: &[u8]) -> AudioTrack {
    AudioTrack {
        codec: AudioCodec::Flac,
        sample_rate: info.sample_rate,
        channels: info.channels,
        samples_per_frame: u32::from(info.max_block_size).max(1),
        config: block.into(),
    }
}
