//! The header of an audio or video message's payload: legacy (FLV, E.4.2 and E.4.3) and Enhanced
//! (E2, "Enhanced Audio" and "Enhanced Video").
//!
//! ```text
//! legacy video    frame type (4 bits), codec (4)
//!   H.264         packet type: 0 sequence header, 1 NAL units, 2 end; composition time (s24)
//! legacy audio    format (4 bits), rate (2), size (1), stereo (1)
//!   AAC           packet type: 0 sequence header, 1 frame
//! Enhanced video  1 (1 bit), frame type (3), packet type (4)
//! Enhanced audio  9 (4 bits), packet type (4)
//!   ModEx         any number of: size - 1, data, type (4 bits) and the next packet type (4)
//!   Multitrack    how (4 bits), packet type (4)
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
//! A header is read without allocation, and from the beginning of the payload: what is passed may
//! end anywhere behind the header. A first block of 16 KiB is plenty.

mod cursor;
pub mod tracks;

use super::Error;
use super::access_unit;
use super::codec::{AudioCodec, VideoCodec};
use cursor::{Cursor, Layout, Lead, Track, packet_type};

/// Frame types of video (FLV, E.4.3.1).
mod frame_type {
    pub(super) const RESERVED: u8 = 0;
    pub(super) const KEY: u8 = 1;
    pub(super) const INTER: u8 = 2;
    /// A keyframe made by a server.
    pub(super) const GENERATED_KEY: u8 = 4;
    pub(super) const COMMAND: u8 = 5;
}

/// Audio or video: the two have headers of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Audio messages.
    Audio,
    /// Video messages.
    Video,
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
pub enum Kind {
    /// The decoder's configuration, for receivers that come later too.
    SequenceHeader,
    /// A sequence header that configures nothing: empty, or too short for its codec. ffmpeg sends
    /// `AF 00` before its first frame. Must not replace a good one.
    InvalidSequenceHeader,
    /// Media.
    Frames,
    /// The track pauses or ends; of audio also the message without a payload.
    SequenceEnd,
    /// Colour information of video, in AMF0.
    Metadata,
    /// Layout of audio channels.
    MultichannelConfig,
    /// Start or end of seeking; no media.
    Command,
}

/// The header of a video payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoTag {
    /// `None` only for an Enhanced [`Kind::Command`].
    pub codec: Option<VideoCodec>,
    /// What the message carries; with several tracks, for all of them.
    pub kind: Kind,
    /// Whether a decoder can start here: by the header's flag, or else by the frames themselves.
    /// True only for [`Kind::Frames`].
    pub is_keyframe: bool,
    /// Whether the message is a multitrack message. All that follows is about its first track.
    pub is_multitrack: bool,
    /// 0 unless the message says otherwise.
    pub track_id: u8,
    /// ms from decoding to showing; 24 bits, signed.
    pub composition_time: i32,
    /// Where the body begins; at most the length of what was passed.
    pub body_offset: usize,
}

impl VideoTag {
    /// Reads the header at the beginning of a payload.
    pub fn parse(payload: &[u8]) -> Result<VideoTag, Error> {
        let mut cursor = Cursor::new(payload);
        let tag = match payload.first() {
            Some(&first) if Medium::Video.is_enhanced(first) => VideoTag::parse_enhanced(cursor),
            _ => VideoTag::parse_legacy(cursor.byte()?, cursor),
        };
        debug_assert!(tag.as_ref().map_or(0, |tag| tag.body_offset) <= payload.len());
        tag
    }

    fn parse_legacy(first: u8, mut cursor: Cursor<'_>) -> Result<VideoTag, Error> {
        let codec = VideoCodec::from_id(first & 0x0F);
        let mut tag = VideoTag {
            codec: Some(codec),
            kind: Kind::Frames,
            is_keyframe: false,
            is_multitrack: false,
            track_id: 0,
            composition_time: 0,
            body_offset: cursor.at(),
        };
        if frame_type(first) == frame_type::COMMAND {
            tag.kind = Kind::Command;
            return Ok(tag);
        }
        // H.265 and AV1 have no layout of their own here; their senders use that of H.264.
        if matches!(codec, VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Av1) {
            let packet_type = cursor.byte()?;
            // Ends and empty sequence headers come without a composition time too.
            let composition_time = cursor.composition_time();
            match packet_type {
                0 if codec.is_configured_by(cursor.rest()) => tag.kind = Kind::SequenceHeader,
                0 => tag.kind = Kind::InvalidSequenceHeader,
                1 => tag.composition_time = composition_time?,
                2 => tag.kind = Kind::SequenceEnd,
                other => {
                    let text = format!("{codec} packet of type {other}, expected 0, 1 or 2");
                    return Err(Error::malformed(text));
                }
            }
            tag.body_offset = cursor.at();
        }
        tag.is_keyframe = tag.kind == Kind::Frames && is_keyframe(first, codec, cursor.rest());
        Ok(tag)
    }

    fn parse_enhanced(mut cursor: Cursor<'_>) -> Result<VideoTag, Error> {
        let Some(lead) = cursor.lead(Medium::Video)? else {
            return Ok(VideoTag {
                codec: None,
                kind: Kind::Command,
                is_keyframe: false,
                is_multitrack: false,
                track_id: 0,
                composition_time: 0,
                body_offset: cursor.at(),
            });
        };
        let track = cursor.track(&lead)?;
        let mut tag = VideoTag::of_track(&lead, &track)?;
        tag.body_offset += cursor.at();
        Ok(tag)
    }

    /// The tag of one track, with offsets from the beginning of its body.
    fn of_track(lead: &Lead, track: &Track<'_>) -> Result<VideoTag, Error> {
        let codec = VideoCodec::from_four_cc(track.four_cc);
        let kind = match lead.packet_type {
            packet_type::SEQUENCE_START if codec.is_configured_by(track.body) => {
                Kind::SequenceHeader
            }
            packet_type::SEQUENCE_START => Kind::InvalidSequenceHeader,
            packet_type::CODED_FRAMES | packet_type::CODED_FRAMES_X => Kind::Frames,
            packet_type::SEQUENCE_END => Kind::SequenceEnd,
            packet_type::METADATA => Kind::Metadata,
            other => return Err(unknown_packet("video", other)),
        };
        let mut cursor = Cursor::new(track.body);
        let mut composition_time = 0;
        if lead.packet_type == packet_type::CODED_FRAMES && codec.has_composition_time() {
            composition_time = cursor.composition_time()?;
        }
        Ok(VideoTag {
            codec: Some(codec),
            kind,
            is_keyframe: kind == Kind::Frames && is_keyframe(lead.first, codec, cursor.rest()),
            is_multitrack: lead.layout != Layout::Plain,
            track_id: track.id,
            composition_time,
            body_offset: cursor.at(),
        })
    }

    /// The payload's first byte as players want it. `first` is the one that came.
    pub fn first_byte_for_players(&self, first: u8) -> u8 {
        first & 0x8F | self.frame_type_for_players(first, self.is_multitrack) << 4
    }

    /// gortmplib leaves the frame type 0, and mpegts.js and ffmpeg look for keyframes nowhere
    /// else; ffmpeg takes colour information for a frame unless the type is that of a command.
    fn frame_type_for_players(&self, first: u8, is_multitrack: bool) -> u8 {
        let came = frame_type(first);
        let is_flagged = matches!(came, frame_type::KEY | frame_type::GENERATED_KEY);
        match self.kind {
            // What its own bits mean is between those who know it.
            _ if matches!(self.codec, Some(VideoCodec::Other(_))) => came,
            // In a multitrack message that would make the whole of it a command.
            Kind::Metadata if !is_multitrack => frame_type::COMMAND,
            Kind::Frames if self.is_keyframe && !is_flagged => frame_type::KEY,
            Kind::SequenceHeader if came == frame_type::RESERVED => frame_type::KEY,
            _ if came == frame_type::RESERVED => frame_type::INTER,
            _ => came,
        }
    }
}

fn frame_type(first: u8) -> u8 {
    let mask = if first & 0x80 == 0 { 0x0F } else { 0x07 };
    first >> 4 & mask
}

/// The flag may lie in one direction only: an encoder that refreshes its picture bit by bit may
/// rightly flag frames that are no keyframes by themselves.
fn is_keyframe(first: u8, codec: VideoCodec, body: &[u8]) -> bool {
    matches!(
        frame_type(first),
        frame_type::KEY | frame_type::GENERATED_KEY
    ) || access_unit::is_keyframe(codec, body)
}

/// The header of an audio payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioTag {
    /// `None` only for the message without a payload.
    pub codec: Option<AudioCodec>,
    /// What the message carries; with several tracks, for all of them.
    pub kind: Kind,
    /// Whether the message is a multitrack message. All that follows is about its first track.
    pub is_multitrack: bool,
    /// 0 unless the message says otherwise.
    pub track_id: u8,
    /// Hz, if the header tells it: not for AAC and Enhanced headers.
    pub sample_rate: Option<u32>,
    /// If the header tells it, as with the sample rate.
    pub channels: Option<u8>,
    /// Where the body begins; at most the length of what was passed.
    pub body_offset: usize,
}

impl AudioTag {
    /// Reads the header at the beginning of a payload.
    pub fn parse(payload: &[u8]) -> Result<AudioTag, Error> {
        let mut cursor = Cursor::new(payload);
        let tag = match payload.first() {
            None => Ok(AudioTag::new(Kind::SequenceEnd)),
            Some(&first) if Medium::Audio.is_enhanced(first) => AudioTag::parse_enhanced(cursor),
            Some(_) => AudioTag::parse_legacy(cursor.byte()?, cursor),
        };
        debug_assert!(tag.as_ref().map_or(0, |tag| tag.body_offset) <= payload.len());
        tag
    }

    fn new(kind: Kind) -> AudioTag {
        AudioTag {
            codec: None,
            kind,
            is_multitrack: false,
            track_id: 0,
            sample_rate: None,
            channels: None,
            body_offset: 0,
        }
    }

    fn parse_legacy(first: u8, mut cursor: Cursor<'_>) -> Result<AudioTag, Error> {
        let format = first >> 4;
        let codec = AudioCodec::from_format(format);
        let mut tag = AudioTag {
            codec: Some(codec),
            ..AudioTag::new(Kind::Frames)
        };
        if codec == AudioCodec::Aac {
            tag.kind = match cursor.byte()? {
                0 if codec.is_configured_by(cursor.rest()) => Kind::SequenceHeader,
                0 => Kind::InvalidSequenceHeader,
                1 => Kind::Frames,
                other => {
                    let text = format!("AAC packet of type {other}, expected 0 or 1");
                    return Err(Error::malformed(text));
                }
            };
        } else if !matches!(codec, AudioCodec::Other(_)) {
            // Where the format has one rate only, the bits are arbitrary.
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
        tag.body_offset = cursor.at();
        Ok(tag)
    }

    fn parse_enhanced(mut cursor: Cursor<'_>) -> Result<AudioTag, Error> {
        // Commands are for video only.
        let lead = cursor.lead(Medium::Audio)?;
        let lead = lead.ok_or_else(|| unknown_packet("audio", 0))?;
        let track = cursor.track(&lead)?;
        let mut tag = AudioTag::of_track(&lead, &track)?;
        tag.body_offset = cursor.at();
        Ok(tag)
    }

    /// The tag of one track.
    fn of_track(lead: &Lead, track: &Track<'_>) -> Result<AudioTag, Error> {
        let codec = AudioCodec::from_four_cc(track.four_cc);
        let kind = match lead.packet_type {
            packet_type::SEQUENCE_START if codec.is_configured_by(track.body) => {
                Kind::SequenceHeader
            }
            packet_type::SEQUENCE_START => Kind::InvalidSequenceHeader,
            packet_type::CODED_FRAMES => Kind::Frames,
            packet_type::SEQUENCE_END => Kind::SequenceEnd,
            packet_type::MULTICHANNEL_CONFIG => Kind::MultichannelConfig,
            other => return Err(unknown_packet("audio", other)),
        };
        Ok(AudioTag {
            codec: Some(codec),
            is_multitrack: lead.layout != Layout::Plain,
            track_id: track.id,
            ..AudioTag::new(kind)
        })
    }
}

fn unknown_packet(medium: &str, packet_type: u8) -> Error {
    Error::unsupported(format!("enhanced {medium} packet of type {packet_type}"))
}

#[cfg(test)]
mod tests;
