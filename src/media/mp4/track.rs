//! A track as the payloads of RTMP messages describe it.

use super::MAX_CONFIG_LEN;
use super::boxes::Boxes;
use super::codec_string;
use crate::media::aac::AacConfig;
use crate::media::avc::AvcConfig;
use crate::media::codec::{AudioCodec, VideoCodec};
use crate::media::hevc::{self, HevcConfig};
use crate::media::mp3::Mp3Header;
use crate::media::opus::{self, OpusHead};
use crate::media::picture::Picture;
use crate::media::tag::{AudioTag, Kind, VideoTag};
use crate::media::{av1, flac, vp9};

/// A video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoTrack {
    codec: VideoCodec,
    /// 0 as long as it is unknown.
    width: u16,
    /// 0 as long as it is unknown.
    height: u16,
    /// Body of the configuration's box: avcC and av1C as they came, hvcC without SEI; of vpcC what
    /// follows version and flags.
    config: Box<[u8]>,
}

impl VideoTrack {
    /// By the payload of a message with a sequence header, in legacy or Enhanced form. `None`: it
    /// is none, has a codec that MP4 or browsers don't know, is above
    /// [`MAX_CONFIG_LEN`], or is one of several tracks.
    pub fn from_sequence_header(payload: &[u8]) -> Option<VideoTrack> {
        let tag = VideoTag::parse(payload).ok()?;
        if tag.kind != Kind::SequenceHeader || tag.is_multitrack {
            return None;
        }
        let mut config = payload.get(tag.body_offset..)?;
        let mut codec = tag.codec?;
        if config.len() > MAX_CONFIG_LEN {
            return None;
        }
        if codec == VideoCodec::H264 && HevcConfig::is_disguised(config) {
            codec = VideoCodec::Hevc;
        }
        let picture = match codec {
            VideoCodec::H264 => AvcConfig::parse(config).ok()?.picture,
            VideoCodec::Hevc => HevcConfig::parse(config).ok()?.picture,
            VideoCodec::Av1 => av1::picture_of_config(config),
            VideoCodec::Vp9 => {
                config = vp9::config(config)?;
                None
            }
            _ => return None,
        };
        let track = VideoTrack {
            codec,
            width: 0,
            height: 0,
            config: match codec {
                VideoCodec::Hevc => hevc::without_sei(config).into(),
                _ => config.into(),
            },
        };
        Some(match picture {
            Some(picture) => track.with_size(picture.width, picture.height),
            None => track,
        })
    }

    /// The same track with a picture of this size.
    pub fn with_size(self, width: u16, height: u16) -> VideoTrack {
        VideoTrack {
            width,
            height,
            ..self
        }
    }

    /// The same track with the size that the body of a keyframe tells. VP9 says it nowhere else,
    /// and AV1 may have it there only.
    pub fn with_size_of_keyframe(self, body: &[u8]) -> VideoTrack {
        match picture_of_keyframe(self.codec, body) {
            Some(picture) => self.with_size(picture.width, picture.height),
            None => self,
        }
    }

    /// Whether width and height are known. Browsers refuse a track without.
    pub fn has_size(&self) -> bool {
        self.width > 0 && self.height > 0
    }

    /// Its codec. That of the header may be wrong: some cameras send H.265 as H.264.
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Pixels; 0 when unknown.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Pixels; 0 when unknown.
    pub fn height(&self) -> u16 {
        self.height
    }

    /// The codec with its profile and level, as in RFC 6381: `avc1.64001f`.
    pub fn codec_string(&self) -> String {
        codec_string::of_video(self.codec, &self.config)
    }

    pub(super) fn config(&self) -> &[u8] {
        &self.config
    }
}

/// The picture as the body of a keyframe has it, if it does. Of NAL units, the parameter sets become
/// a sequence header.
pub fn picture_of_keyframe(codec: VideoCodec, body: &[u8]) -> Option<Picture> {
    match codec {
        VideoCodec::Av1 => av1::picture_of_units(body),
        VideoCodec::Vp9 => vp9::picture_of_keyframe(body),
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
    /// Of a frame that doesn't say how many samples it has.
    samples_per_frame: u32,
    /// Of AAC the sequence header's body, of FLAC the STREAMINFO block, of Opus the body of its
    /// box; empty for MP3.
    config: Box<[u8]>,
}

impl AudioTrack {
    /// By the payload of a message with a sequence header, in legacy or Enhanced form. `None`: it
    /// is none, has a codec that MP4 or browsers don't know, is above
    /// [`MAX_CONFIG_LEN`], or is one of several tracks. Also for MP3, where the frames tell.
    pub fn from_sequence_header(payload: &[u8]) -> Option<AudioTrack> {
        let (codec, body) = split(payload, Kind::SequenceHeader)?;
        if body.len() > MAX_CONFIG_LEN {
            return None;
        }
        match codec {
            AudioCodec::Aac => of_aac(body),
            // The header may be empty.
            AudioCodec::Opus => Some(of_opus(OpusHead::parse(body).unwrap_or(OpusHead::STEREO))),
            AudioCodec::Flac => of_flac(body),
            _ => None,
        }
    }

    /// By the payload of a message with a frame; the tag's header and four more bytes are enough.
    /// Of MP3, and of Opus without a sequence header; `None` for all others.
    pub fn from_frame(payload: &[u8]) -> Option<AudioTrack> {
        let (codec, body) = split(payload, Kind::Frames)?;
        match codec {
            AudioCodec::Mp3 => of_mp3(Mp3Header::parse(body)?),
            AudioCodec::Opus => Some(of_opus(OpusHead::STEREO)),
            _ => None,
        }
    }

    /// Its codec.
    pub fn codec(&self) -> AudioCodec {
        self.codec
    }

    /// Samples per second, which is the track's timescale. Of HE-AAC that of the core, in which
    /// frames are counted.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Channels as the sequence header has them; 2 when it doesn't say.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// The codec as in RFC 6381: `mp4a.40.2`, `Opus`.
    pub fn codec_string(&self) -> String {
        codec_string::of_audio(self.codec, &self.config)
    }

    /// The same as browsers want it in a content type: `mp4a.40.2`, `opus`.
    pub fn codec_string_of_browsers(&self) -> String {
        match codec_string::other_name_of_audio(self.codec) {
            Some(name) => name.into(),
            None => self.codec_string(),
        }
    }

    /// Samples of each channel in the frame that begins with these bytes; 16 are enough. A frame
    /// that makes no sense has the usual number.
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

/// Codec and body of an audio payload of this kind.
fn split(payload: &[u8], kind: Kind) -> Option<(AudioCodec, &[u8])> {
    let tag = AudioTag::parse(payload).ok()?;
    if tag.kind != kind || tag.is_multitrack {
        return None;
    }
    Some((tag.codec?, payload.get(tag.body_offset..)?))
}

fn of_aac(body: &[u8]) -> Option<AudioTrack> {
    let config = AacConfig::parse(body).ok()?;
    Some(AudioTrack {
        codec: AudioCodec::Aac,
        sample_rate: config.sample_rate,
        channels: config.channels.unwrap_or(2),
        samples_per_frame: config.samples_per_frame.into(),
        config: body.into(),
    })
}

fn of_mp3(header: Mp3Header) -> Option<AudioTrack> {
    Some(AudioTrack {
        codec: AudioCodec::Mp3,
        sample_rate: header.sample_rate,
        channels: header.channels,
        samples_per_frame: header.samples.into(),
        config: Box::default(),
    })
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
        samples_per_frame: 960,
        config: config.into_bytes().into(),
    }
}

fn of_flac(body: &[u8]) -> Option<AudioTrack> {
    let block = flac::stream_info(body)?;
    let info = flac::StreamInfo::parse(block)?;
    Some(AudioTrack {
        codec: AudioCodec::Flac,
        sample_rate: info.sample_rate,
        channels: info.channels,
        samples_per_frame: u32::from(info.max_block_size).max(1),
        config: block.as_slice().into(),
    })
}
