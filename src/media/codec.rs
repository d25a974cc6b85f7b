//! The codecs of FLV and Enhanced RTMP, and their names on the wire and in the log.

use std::fmt;

use super::{Medium, aac, avc, hevc};

/// The four letters that name a codec (E2, "Enhanced Video", "Enhanced Audio").
pub type FourCc = [u8; 4];

/// The codec of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// The codec of an audio track.
    Audio(AudioCodec),
    /// The codec of a video track.
    Video(VideoCodec),
}

impl Codec {
    /// Returns whether this is an audio or a video codec.
    pub fn medium(self) -> Medium {
        match self {
            Codec::Audio(_) => Medium::Audio,
            Codec::Video(_) => Medium::Video,
        }
    }

    /// Whether decoders need a sequence header.
    pub fn needs_header(self) -> bool {
        use VideoCodec::{Av1, H264, Hevc, Vvc};
        matches!(
            self,
            Codec::Audio(AudioCodec::Aac | AudioCodec::Flac)
                | Codec::Video(H264 | Hevc | Vvc | Av1)
        )
    }

    /// Whether the body of a sequence header is complete, judged by its length and first byte. The body
    /// may be empty for AC-3, MP3 and Opus.
    pub(super) fn is_configured_by(self, body: &[u8]) -> bool {
        match self {
            Codec::Video(VideoCodec::H264) => body.len() >= avc::MIN_LEN,
            Codec::Video(VideoCodec::Hevc) => body.len() >= hevc::MIN_LEN,
            Codec::Video(VideoCodec::Av1) => matches!(body, [0x81, _, _, _, ..]),
            // The box has 12 bytes. Some encoders leave out its version and flags: 8 bytes.
            Codec::Video(VideoCodec::Vp8 | VideoCodec::Vp9) => body.len() >= 8,
            Codec::Video(_) => !body.is_empty(),
            Codec::Audio(AudioCodec::Aac) => body.len() >= aac::MIN_LEN,
            // STREAMINFO, with or without its block header and "fLaC".
            Codec::Audio(AudioCodec::Flac) => body.len() >= 34,
            Codec::Audio(_) => true,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::Audio(codec) => codec.fmt(f),
            Codec::Video(codec) => codec.fmt(f),
        }
    }
}

/// A video codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// Sorenson's H.263, id 2.
    SorensonH263,
    /// Screen video, id 3.
    Screen,
    /// VP6, id 4.
    Vp6,
    /// VP6 with an alpha channel, id 5.
    Vp6Alpha,
    /// Screen video 2, id 6.
    Screen2,
    /// H.264, id 7 or `avc1`.
    H264,
    /// H.265, `hvc1`, or the unofficial id 12.
    Hevc,
    /// H.266, `vvc1`.
    Vvc,
    /// AV1, `av01`, or the unofficial id 13.
    Av1,
    /// VP8, `vp08`.
    Vp8,
    /// VP9, `vp09`.
    Vp9,
    /// Any other codec: its FourCC, or three zeros and its id.
    Other(FourCc),
}

impl VideoCodec {
    /// Returns the codec with this id in a legacy header (FLV, E.4.3.1).
    pub fn from_id(id: u8) -> VideoCodec {
        match id {
            2 => VideoCodec::SorensonH263,
            3 => VideoCodec::Screen,
            4 => VideoCodec::Vp6,
            5 => VideoCodec::Vp6Alpha,
            6 => VideoCodec::Screen2,
            7 => VideoCodec::H264,
            12 => VideoCodec::Hevc,
            13 => VideoCodec::Av1,
            id => VideoCodec::Other([0, 0, 0, id]),
        }
    }

    /// Returns the codec with this FourCC in an Enhanced header.
    pub fn from_four_cc(four_cc: FourCc) -> VideoCodec {
        match &four_cc {
            b"avc1" => VideoCodec::H264,
            b"hvc1" => VideoCodec::Hevc,
            b"vvc1" => VideoCodec::Vvc,
            b"av01" => VideoCodec::Av1,
            b"vp08" => VideoCodec::Vp8,
            b"vp09" => VideoCodec::Vp9,
            _ => VideoCodec::Other(four_cc),
        }
    }

    /// Whether Enhanced headers have a composition time, because frames may be shown in a different
    /// order than they are decoded.
    pub(super) fn has_composition_time(self) -> bool {
        matches!(self, VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Vvc)
    }
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VideoCodec::SorensonH263 => "Sorenson H.263",
            VideoCodec::Screen => "Screen Video",
            VideoCodec::Vp6 => "VP6",
            VideoCodec::Vp6Alpha => "VP6 with alpha",
            VideoCodec::Screen2 => "Screen Video 2",
            VideoCodec::H264 => "H.264",
            VideoCodec::Hevc => "HEVC",
            VideoCodec::Vvc => "VVC",
            VideoCodec::Av1 => "AV1",
            VideoCodec::Vp8 => "VP8",
            VideoCodec::Vp9 => "VP9",
            VideoCodec::Other(name) => return write_name(f, name),
        })
    }
}

/// An audio codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// PCM in the sender's byte order, format 0.
    Pcm,
    /// ADPCM, format 1.
    Adpcm,
    /// MP3, format 2 or 14, or `.mp3`.
    Mp3,
    /// Little-endian PCM, format 3.
    PcmLittleEndian,
    /// Nellymoser, formats 4, 5 and 6.
    Nellymoser,
    /// G.711 A-law, format 7.
    G711ALaw,
    /// G.711 mu-law, format 8.
    G711MuLaw,
    /// AAC, format 10 or `mp4a`.
    Aac,
    /// Speex, format 11.
    Speex,
    /// Device-specific audio, format 15.
    DeviceSpecific,
    /// Opus, `Opus`.
    Opus,
    /// FLAC, `fLaC`.
    Flac,
    /// AC-3, `ac-3`.
    Ac3,
    /// Enhanced AC-3, `ec-3`.
    EAc3,
    /// Any other codec: its FourCC, or three zeros and its format.
    Other(FourCc),
}

impl AudioCodec {
    /// Returns the codec with this format in a legacy header (FLV, E.4.2.1).
    pub fn from_format(format: u8) -> AudioCodec {
        match format {
            0 => AudioCodec::Pcm,
            1 => AudioCodec::Adpcm,
            2 | 14 => AudioCodec::Mp3,
            3 => AudioCodec::PcmLittleEndian,
            4..=6 => AudioCodec::Nellymoser,
            7 => AudioCodec::G711ALaw,
            8 => AudioCodec::G711MuLaw,
            10 => AudioCodec::Aac,
            11 => AudioCodec::Speex,
            15 => AudioCodec::DeviceSpecific,
            format => AudioCodec::Other([0, 0, 0, format]),
        }
    }

    /// Returns the codec with this FourCC in an Enhanced header.
    pub fn from_four_cc(four_cc: FourCc) -> AudioCodec {
        match &four_cc {
            b"Opus" => AudioCodec::Opus,
            b"fLaC" => AudioCodec::Flac,
            b"ac-3" => AudioCodec::Ac3,
            b"ec-3" => AudioCodec::EAc3,
            b".mp3" => AudioCodec::Mp3,
            b"mp4a" => AudioCodec::Aac,
            _ => AudioCodec::Other(four_cc),
        }
    }
}

impl fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AudioCodec::Pcm | AudioCodec::PcmLittleEndian => "PCM",
            AudioCodec::Adpcm => "ADPCM",
            AudioCodec::Mp3 => "MP3",
            AudioCodec::Nellymoser => "Nellymoser",
            AudioCodec::G711ALaw => "G.711 A-law",
            AudioCodec::G711MuLaw => "G.711 mu-law",
            AudioCodec::Aac => "AAC",
            AudioCodec::Speex => "Speex",
            AudioCodec::DeviceSpecific => "device-specific audio",
            AudioCodec::Opus => "Opus",
            AudioCodec::Flac => "FLAC",
            AudioCodec::Ac3 => "AC-3",
            AudioCodec::EAc3 => "E-AC-3",
            AudioCodec::Other(name) => return write_name(f, name),
        })
    }
}

/// Writes the name of an unknown codec.
fn write_name(f: &mut fmt::Formatter<'_>, name: &FourCc) -> fmt::Result {
    match name {
        [0, 0, 0, id] => write!(f, "codec {id}"),
        name => write!(f, "{}", name.escape_ascii()),
    }
}
