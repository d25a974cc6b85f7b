//! The description of a track, from its sequence header: "H.264 1920x1080 30 fps", "AAC 48 kHz stereo".
//!
//! Sequence headers are parsed only here. Log, API, `/stat` and metrics show the [`TrackInfo`]; the
//! tracks of MP4 files and HLS are made from the `Description`.

use std::fmt;

use super::Medium;
use super::aac::AacConfig;
use super::av1;
use super::avc::AvcConfig;
use super::codec::{AudioCodec, Codec, VideoCodec};
use super::decimal::Thousandths;
use super::flac::{self, StreamInfo};
use super::hevc::HevcConfig;
use super::mp3::Mp3Header;
use super::opus::{self, OpusHead};
use super::tag::{Tag, TagKind};
use super::video_format::VideoFormat;
use super::vp9;

/// The known properties of a track. Displayed as `H.264 1920x1080 30 fps` or `AAC 48 kHz stereo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// The codec. It may differ from that of the tag header: some cameras declare H.265 as H.264.
    pub codec: Codec,
    /// The frame size and rate of video.
    pub format: Option<VideoFormat>,
    /// The sample rate of the decoded audio, in Hz.
    pub sample_rate: Option<u32>,
    /// The number of channels of the decoded audio.
    pub channels: Option<u8>,
    /// The profile_idc of H.264, or the audio object type of AAC: 2 LC, 5 HE-AAC, 29 HE-AAC v2. 0 if
    /// unknown.
    pub profile: u8,
    /// The constraint_set flags of H.264, most significant bit first.
    pub constraints: u8,
    /// The level_idc of H.264: ten times the level.
    pub level: u8,
}

impl TrackInfo {
    /// Reads the payload of a message: its sequence header, or any message for codecs without sequence
    /// headers. Returns only the codec if nothing else is known, and `None` if the codec isn't known
    /// either.
    pub fn read(medium: Medium, payload: &[u8]) -> Option<TrackInfo> {
        Description::read(medium, payload).map(|description| description.info)
    }

    /// Returns the codec as a word: "H.264", "AAC", "HE-AAC", "Opus".
    pub fn codec_name(&self) -> String {
        match (self.codec, self.profile) {
            (Codec::Audio(AudioCodec::Aac), 5) => "HE-AAC".into(),
            (Codec::Audio(AudioCodec::Aac), 29) => "HE-AAC v2".into(),
            (Codec::Audio(AudioCodec::Aac), 42) => "xHE-AAC".into(),
            (codec, _) => codec.to_string(),
        }
    }
}

impl fmt::Display for TrackInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.codec_name())?;
        if let Some(format) = self.format {
            write!(f, " {format}")?;
        }
        if let Some(sample_rate) = self.sample_rate {
            write!(f, " {} kHz", Thousandths(sample_rate.into()))?;
        }
        match self.channels {
            Some(1) => f.write_str(" mono"),
            Some(2) => f.write_str(" stereo"),
            Some(channels) => write!(f, " {channels} channels"),
            None => Ok(()),
        }
    }
}

/// A message's tag header, its information about the track, and the decoder's configuration.
pub(super) struct Description<'a> {
    pub(super) tag: Tag,
    pub(super) info: TrackInfo,
    pub(super) config: DecoderConfig<'a>,
}

/// The configuration of a decoder, as far as MP4 needs it.
pub(super) enum DecoderConfig<'a> {
    /// No configuration: the message has none, or it is invalid, or MP4 can't hold it.
    None,
    /// The body of the sequence header, or the part of it that is the same in every form.
    Video(&'a [u8]),
    /// The body of the sequence header, parsed and raw.
    Aac(AacConfig, &'a [u8]),
    Opus(OpusHead<'a>),
    /// The STREAMINFO block, parsed and raw.
    Flac(StreamInfo, &'a [u8]),
    /// The header of a frame, since MP3 has no sequence header.
    Mp3(Mp3Header),
}

impl<'a> Description<'a> {
    /// Reads the payload of a message. Returns `None` if it has no codec.
    pub(super) fn read(medium: Medium, payload: &'a [u8]) -> Option<Description<'a>> {
        let tag = Tag::parse(medium, payload).ok()?;
        let body = payload.get(tag.body_offset..).unwrap_or_default();
        let mut description = Description {
            tag,
            info: TrackInfo {
                codec: tag.codec?,
                format: None,
                sample_rate: tag.sample_rate,
                channels: tag.channels,
                profile: 0,
                constraints: 0,
                level: 0,
            },
            config: DecoderConfig::None,
        };
        let config = match (tag.kind, description.info.codec) {
            (TagKind::SequenceHeader, Codec::Video(codec)) => {
                description.read_video_header(codec, body)
            }
            (TagKind::SequenceHeader, Codec::Audio(codec)) => {
                description.read_audio_header(codec, body)
            }
            (TagKind::Frames, Codec::Audio(AudioCodec::Mp3)) => description.read_mp3_frame(body),
            // Opus frames don't tell the number of channels.
            (TagKind::Frames, Codec::Audio(AudioCodec::Opus)) => {
                Some(DecoderConfig::Opus(OpusHead::STEREO))
            }
            _ => None,
        };
        description.config = config.unwrap_or(DecoderConfig::None);
        Some(description)
    }

    fn read_video_header(
        &mut self,
        codec: VideoCodec,
        mut body: &'a [u8],
    ) -> Option<DecoderConfig<'a>> {
        let info = &mut self.info;
        match codec {
            VideoCodec::H264 if !HevcConfig::is_disguised(body) => {
                let config = AvcConfig::parse(body).ok()?;
                info.format = config.format;
                info.profile = config.profile;
                info.constraints = config.constraints;
                info.level = config.level;
            }
            VideoCodec::H264 | VideoCodec::Hevc => {
                info.codec = Codec::Video(VideoCodec::Hevc);
                info.format = HevcConfig::parse(body).ok()?.format;
            }
            VideoCodec::Av1 => info.format = av1::format_of_config(body),
            VideoCodec::Vp9 => body = vp9::config(body)?,
            _ => return None,
        }
        Some(DecoderConfig::Video(body))
    }

    fn read_audio_header(
        &mut self,
        codec: AudioCodec,
        body: &'a [u8],
    ) -> Option<DecoderConfig<'a>> {
        match codec {
            AudioCodec::Aac => {
                let config = AacConfig::parse(body).ok()?;
                self.info.profile = config.object_type;
                // The parametric stereo of HE-AAC v2 turns one channel into two.
                let is_widened = config.object_type == 29;
                let channels = config.channels;
                let channels = channels.map(|n| if is_widened { n.max(2) } else { n });
                self.set_audio(config.output_sample_rate, channels);
                Some(DecoderConfig::Aac(config, body))
            }
            // The header may be missing or empty.
            AudioCodec::Opus => {
                let head = OpusHead::parse(body);
                if let Some(head) = head {
                    self.set_audio(opus::SAMPLE_RATE, Some(head.channels));
                }
                Some(DecoderConfig::Opus(head.unwrap_or(OpusHead::STEREO)))
            }
            AudioCodec::Flac => {
                let block = flac::stream_info(body)?;
                let info = StreamInfo::parse(block)?;
                self.set_audio(info.sample_rate, Some(info.channels));
                Some(DecoderConfig::Flac(info, block))
            }
            _ => None,
        }
    }

    fn read_mp3_frame(&mut self, body: &[u8]) -> Option<DecoderConfig<'a>> {
        let header = Mp3Header::parse(body)?;
        // Enhanced tag headers have no sample rate, so the one of the frame can't contradict it.
        if self.info.sample_rate.is_none() {
            self.set_audio(header.sample_rate, Some(header.channels));
        }
        Some(DecoderConfig::Mp3(header))
    }

    fn set_audio(&mut self, sample_rate: u32, channels: Option<u8>) {
        self.info.sample_rate = Some(sample_rate);
        self.info.channels = channels;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(medium: Medium, payload: &[u8]) -> Option<String> {
        TrackInfo::read(medium, payload).map(|info| info.to_string())
    }

    /// An H.265 record without parameter sets.
    const HEVC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0";

    /// A sequence header from ffmpeg.
    const FLAC: &[u8] = b"\x90fLaC\x10\0\x10\0\0\0\x0E\0\x10\xF2\x0A\xC4\x40\xF0\0\0\0\0\
        \xD4\x1D\x8C\xD9\x8F\0\xB2\x04\xE9\x80\x09\x98\xEC\xF8\x42\x7E";

    #[test]
    fn video_tracks_are_displayed_with_codec_and_format() {
        let avc = b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\x2F\xF9\
            \x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";
        let enhanced = [b"\x90avc1", &avc[5..]].concat();
        let legacy_hevc = |first: &[u8]| [first, b"\0\0\0\0", HEVC].concat();
        let rows: &[(&[u8], Option<&str>)] = &[
            (avc, Some("H.264 640x360 25 fps")),
            (&enhanced, Some("H.264 640x360 25 fps")),
            (b"\x17\x01\0\0\0\0\0\0\x02\x65\x88", Some("H.264")),
            (b"\x17\0\0\0\0", Some("H.264")),
            (&legacy_hevc(b"\x1C"), Some("HEVC")),
            (&legacy_hevc(b"\x17"), Some("HEVC")),
            (b"\x90av01\x81\0\x0C\0", Some("AV1")),
            (
                b"\x90av01\x81\0\x0C\0\x0A\x0B\0\0\0\x04\x3D\x06\xCC\xDA\xF9\0\x40",
                Some("AV1 322x180"),
            ),
            (b"\x12\0\0\x84", Some("Sorenson H.263")),
            (b"\x90xxxx", Some("xxxx")),
            (b"\x91x\n\"1", Some(r#"x\n\"1"#)),
            (b"\x19", Some("codec 9")),
            (b"", None),
        ];
        for (payload, expected) in rows {
            assert_eq!(
                words(Medium::Video, payload).as_deref(),
                *expected,
                "{payload:02X?}"
            );
        }
    }

    #[test]
    fn audio_tracks_are_displayed_with_codec_rate_and_channels() {
        let rows: &[(&[u8], Option<&str>)] = &[
            (b"\xAF\0\x11\x90\x56\xE5\0", Some("AAC 48 kHz stereo")),
            (b"\xAF\0\x12\x08", Some("AAC 44.1 kHz mono")),
            (b"\xAF\0\x11\xB0", Some("AAC 48 kHz 6 channels")),
            (b"\xAF\0\x2B\x92\x08\0", Some("HE-AAC 44.1 kHz stereo")),
            (b"\xAF\0\xEB\x09\x88\0", Some("HE-AAC v2 48 kHz stereo")),
            (b"\xAF\0", Some("AAC")),
            (b"\xAF\x01\xDE\x02", Some("AAC")),
            (b"\x90mp4a\x11\x90", Some("AAC 48 kHz stereo")),
            (
                b"\x90OpusOpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0",
                Some("Opus 48 kHz stereo"),
            ),
            (b"\x90Opus", Some("Opus")),
            (FLAC, Some("FLAC 44.1 kHz mono")),
            (b"\x91.mp3\xFF\xFB\x90\x64", Some("MP3 44.1 kHz stereo")),
            (b"\x2F\xFF\xFB", Some("MP3 44.1 kHz stereo")),
            (b"\x2A\xFF\xFB", Some("MP3 22.05 kHz mono")),
            (b"\x72\xD5", Some("G.711 A-law 8 kHz mono")),
            (b"\xB6\x1D", Some("Speex 16 kHz mono")),
            (b"\xC7", Some("codec 12")),
            (b"\x90qqqq", Some("qqqq")),
            (b"", None),
        ];
        for (payload, expected) in rows {
            assert_eq!(
                words(Medium::Audio, payload).as_deref(),
                *expected,
                "{payload:02X?}"
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, start in 0usize..4) {
            let starts = [&b"\x17\0\0\0\0"[..], b"\x90hvc1", b"\xAF\0", b"\x90OpusOpusHead"];
            for bytes in [bytes.clone(), [starts[start], &bytes].concat()] {
                let _ = words(Medium::Audio, &bytes);
                let _ = words(Medium::Video, &bytes);
            }
        }
    }
}
