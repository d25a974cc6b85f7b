//! The tag header, with which the payload of an audio or video message begins: legacy (FLV, E.4.2
//! and E.4.3) or Enhanced (E2, "Enhanced Audio" and "Enhanced Video").
//!
//! ```text
//! legacy video    frame type (4 bits), codec (4)
//!   H.264         packet type: 0 sequence header, 1 NAL units, 2 end; composition time (s24)
//! legacy audio    format (4 bits), rate (2), size (1), stereo (1)
//!   AAC           packet type: 0 sequence header, 1 frame
//! Enhanced video  1 (1 bit), frame type (3), packet type (4)
//! Enhanced audio  9 (4 bits), packet type (4)
//!   ModEx         any number of: size - 1, data, type (4 bits) and the next packet type (4)
//!   Multitrack    layout (4 bits), packet type (4)
//!   FourCC        unless every track has its own
//!   Multitrack    [FourCC], track id, [size (u24)] and then the body of each track
//!   H.26x frames  composition time (s24), only with packet type 1
//! ```
//!
//! ```text
//! 17 01 00 00 53  00 00 02 AE 06 05 ...          H.264 keyframe, shown 83 ms later
//! 96 01 61 76 63 31 01  00 00 53  00 00 02 ...   the same, Enhanced, on track 1
//! AF 00  11 90                                   AAC sequence header
//! ```
//!
//! Reading a header allocates nothing. It only needs the beginning of the payload, which may be
//! cut anywhere behind the header: the first block of a message (16 KiB) is plenty.

mod reader;
pub mod tracks;

use super::codec::{AudioCodec, Codec, VideoCodec};
use super::{Error, Medium, access_unit};
use reader::{Layout, TagPrefix, TagReader, TagTrack, packet_type};

/// Frame types of video (FLV, E.4.3.1).
mod frame_type {
    pub(super) const RESERVED: u8 = 0;
    pub(super) const KEY: u8 = 1;
    pub(super) const INTER: u8 = 2;
    /// A keyframe that a server has made.
    pub(super) const GENERATED_KEY: u8 = 4;
    pub(super) const COMMAND: u8 = 5;
}

impl Medium {
    /// The packet type of multitrack messages.
    fn multitrack(self) -> u8 {
        match self {
            Medium::Audio => packet_type::AUDIO_MULTITRACK,
            Medium::Video => packet_type::VIDEO_MULTITRACK,
        }
    }

    /// Whether a payload that begins with this byte has an Enhanced header.
    fn is_enhanced(self, first: u8) -> bool {
        match self {
            Medium::Audio => first >> 4 == 9,
            Medium::Video => first & 0x80 != 0,
        }
    }
}

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// The decoder's configuration. Receivers that join later need it too.
    SequenceHeader,
    /// A sequence header that configures nothing: empty, or too short for its codec. ffmpeg sends
    /// `AF 00` before its first frame. Must not replace a valid one.
    InvalidSequenceHeader,
    /// Media.
    Frames,
    /// The track pauses or ends. Also an audio message without payload.
    SequenceEnd,
    /// Color information of video, in AMF0.
    Metadata,
    /// The layout of audio channels.
    MultichannelConfig,
    /// The start or end of seeking; no media.
    Command,
}

/// A tag header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// `None` only for an Enhanced [`TagKind::Command`], and for a message without payload.
    pub codec: Option<Codec>,
    /// What the message carries; with several tracks, for all of them.
    pub kind: TagKind,
    /// Whether a decoder can start here, by the header's flag or by the frames themselves. Only
    /// ever true for [`TagKind::Frames`] of video.
    pub is_keyframe: bool,
    /// Whether this is a multitrack message. The rest describes its first track.
    pub is_multitrack: bool,
    /// 0 unless the message has another one.
    pub track_id: u8,
    /// The time from decoding to showing in ms; 24 bits, signed. 0 for audio.
    pub composition_time: i32,
    /// The sample rate in Hz, if the header has it: those of AAC and Enhanced audio don't.
    pub sample_rate: Option<u32>,
    /// The number of channels, present when the sample rate is.
    pub channels: Option<u8>,
    /// Where the body begins; at most the length of the given bytes.
    pub body_offset: usize,
}

impl Tag {
    /// Parses the header at the beginning of a payload.
    pub fn parse(medium: Medium, payload: &[u8]) -> Result<Tag, Error> {
        let mut reader = TagReader::new(payload);
        let tag = match (medium, payload.first()) {
            (Medium::Audio, None) => Ok(Tag::new(None, TagKind::SequenceEnd)),
            (_, Some(&first)) if medium.is_enhanced(first) => Tag::parse_enhanced(medium, reader),
            (Medium::Audio, _) => Tag::parse_legacy_audio(reader.byte()?, reader),
            (Medium::Video, _) => Tag::parse_legacy_video(reader.byte()?, reader),
        };
        debug_assert!(tag.as_ref().map_or(0, |tag| tag.body_offset) <= payload.len());
        tag
    }

    fn new(codec: Option<Codec>, kind: TagKind) -> Tag {
        Tag {
            codec,
            kind,
            is_keyframe: false,
            is_multitrack: false,
            track_id: 0,
            composition_time: 0,
            sample_rate: None,
            channels: None,
            body_offset: 0,
        }
    }

    fn parse_legacy_video(first: u8, mut reader: TagReader<'_>) -> Result<Tag, Error> {
        let video_codec = VideoCodec::from_id(first & 0x0F);
        let codec = Codec::Video(video_codec);
        let mut tag = Tag::new(Some(codec), TagKind::Frames);
        tag.body_offset = reader.at;
        if frame_type(first) == frame_type::COMMAND {
            tag.kind = TagKind::Command;
            return Ok(tag);
        }
        // H.265 and AV1 have no legacy layout of their own; their senders use that of H.264.
        if matches!(
            video_codec,
            VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Av1
        ) {
            let packet_type = reader.byte()?;
            // Some send ends and empty sequence headers without a composition time.
            let composition_time = reader.composition_time();
            match packet_type {
                0 if codec.is_configured_by(reader.rest()) => tag.kind = TagKind::SequenceHeader,
                0 => tag.kind = TagKind::InvalidSequenceHeader,
                1 => tag.composition_time = composition_time?,
                2 => tag.kind = TagKind::SequenceEnd,
                other => {
                    let text = format!("{codec} packet of type {other}, expected 0, 1 or 2");
                    return Err(Error::malformed(text));
                }
            }
            tag.body_offset = reader.at;
        }
        tag.is_keyframe =
            tag.kind == TagKind::Frames && is_keyframe(first, video_codec, reader.rest());
        Ok(tag)
    }

    fn parse_legacy_audio(first: u8, mut reader: TagReader<'_>) -> Result<Tag, Error> {
        let format = first >> 4;
        let codec = AudioCodec::from_format(format);
        let mut tag = Tag::new(Some(Codec::Audio(codec)), TagKind::Frames);
        if codec == AudioCodec::Aac {
            tag.kind = match reader.byte()? {
                0 if Codec::Audio(codec).is_configured_by(reader.rest()) => TagKind::SequenceHeader,
                0 => TagKind::InvalidSequenceHeader,
                1 => TagKind::Frames,
                other => {
                    let text = format!("AAC packet of type {other}, expected 0 or 1");
                    return Err(Error::malformed(text));
                }
            };
        } else if !matches!(codec, AudioCodec::Other(_)) {
            // Formats with only one rate leave the bits arbitrary.
            let (sample_rate, channels) = match (format, first >> 2 & 3, first & 1) {
                (4 | 11, ..) => (16000, 1),
                (5, ..) => (8000, 1),
                (7 | 8 | 14, _, stereo) => (8000, 1 + stereo),
                (_, 0, stereo) => (5512, 1 + stereo),
                (_, 1, stereo) => (11025, 1 + stereo),
                (_, 2, stereo) => (22050, 1 + stereo),
                (_, _, stereo) => (44100, 1 + stereo),
            };
            (tag.sample_rate, tag.channels) = (Some(sample_rate), Some(channels));
        }
        tag.body_offset = reader.at;
        Ok(tag)
    }

    fn parse_enhanced(medium: Medium, mut reader: TagReader<'_>) -> Result<Tag, Error> {
        let Some(prefix) = reader.prefix(medium)? else {
            let mut tag = Tag::new(None, TagKind::Command);
            tag.body_offset = reader.at;
            return Ok(tag);
        };
        let track = reader.track(&prefix)?;
        let mut tag = Tag::of_track(medium, &prefix, &track)?;
        tag.body_offset += reader.at;
        Ok(tag)
    }

    /// Returns the tag of one track. Its `body_offset` counts from the beginning of the track's body.
    fn of_track(medium: Medium, prefix: &TagPrefix, track: &TagTrack<'_>) -> Result<Tag, Error> {
        let codec = match medium {
            Medium::Audio => Codec::Audio(AudioCodec::from_four_cc(track.four_cc)),
            Medium::Video => Codec::Video(VideoCodec::from_four_cc(track.four_cc)),
        };
        let kind = match (prefix.packet_type, medium) {
            (packet_type::SEQUENCE_START, _) if codec.is_configured_by(track.body) => {
                TagKind::SequenceHeader
            }
            (packet_type::SEQUENCE_START, _) => TagKind::InvalidSequenceHeader,
            (packet_type::CODED_FRAMES, _) => TagKind::Frames,
            (packet_type::CODED_FRAMES_X, Medium::Video) => TagKind::Frames,
            (packet_type::SEQUENCE_END, _) => TagKind::SequenceEnd,
            (packet_type::METADATA, Medium::Video) => TagKind::Metadata,
            (packet_type::MULTICHANNEL_CONFIG, Medium::Audio) => TagKind::MultichannelConfig,
            (other, _) => {
                let text = format!("enhanced {medium} packet of type {other}");
                return Err(Error::unsupported(text));
            }
        };
        let mut tag = Tag::new(Some(codec), kind);
        tag.is_multitrack = prefix.layout != Layout::Plain;
        tag.track_id = track.id;
        if let Codec::Video(codec) = codec {
            let mut reader = TagReader::new(track.body);
            if prefix.packet_type == packet_type::CODED_FRAMES && codec.has_composition_time() {
                tag.composition_time = reader.composition_time()?;
            }
            tag.body_offset = reader.at;
            tag.is_keyframe =
                kind == TagKind::Frames && is_keyframe(prefix.first, codec, reader.rest());
        }
        Ok(tag)
    }

    /// The first byte of a video payload as players need it. `first` is the one that came.
    pub fn first_byte_for_players(&self, first: u8) -> u8 {
        first & 0x8F | self.frame_type_for_players(first, self.is_multitrack) << 4
    }

    /// The frame type as players need it.
    ///
    /// gortmplib leaves it 0, but mpegts.js and ffmpeg look for keyframes nowhere else. ffmpeg takes
    /// color information for a frame unless its type is that of a command.
    fn frame_type_for_players(&self, first: u8, is_multitrack: bool) -> u8 {
        let sent = frame_type(first);
        let is_flagged = matches!(sent, frame_type::KEY | frame_type::GENERATED_KEY);
        match self.kind {
            // The bits of an unknown codec may mean anything.
            _ if matches!(self.codec, Some(Codec::Video(VideoCodec::Other(_)))) => sent,
            // It would make all tracks of a multitrack message a command.
            TagKind::Metadata if !is_multitrack => frame_type::COMMAND,
            TagKind::Frames if self.is_keyframe && !is_flagged => frame_type::KEY,
            TagKind::SequenceHeader if sent == frame_type::RESERVED => frame_type::KEY,
            _ if sent == frame_type::RESERVED => frame_type::INTER,
            _ => sent,
        }
    }
}

fn frame_type(first: u8) -> u8 {
    let mask = if first & 0x80 == 0 { 0x0F } else { 0x07 };
    first >> 4 & mask
}

/// Whether the flag or the units say that a frame is a keyframe. A set flag is believed: an encoder
/// that refreshes its frames bit by bit may flag frames that are no keyframes by themselves.
fn is_keyframe(first: u8, codec: VideoCodec, body: &[u8]) -> bool {
    matches!(
        frame_type(first),
        frame_type::KEY | frame_type::GENERATED_KEY
    ) || access_unit::is_keyframe(codec, body)
}

#[cfg(test)]
mod tests;
