//! Splits a message into its tracks, each in the form that is sent to players.
//!
//! ```text
//! 27 01 ..., AF 01 ...            legacy: unchanged, but with the true frame type
//! 91 avc1 SI24 ...                17 01 SI24 ...      every player knows the legacy form
//! 90 mp4a ...                     AF 00 ...
//! 83 hvc1 ...                     93 hvc1 ...         gortmplib's frame type 0
//! 96 01 hvc1 00 ...               91 hvc1 ...         track 0 needs no multitrack header
//! 96 21  avc1 00 size ...         17 01 ...
//!        av01 01 size ...         96 01 av01 01 ...   one message each
//! 97 02 nnnnnn 03 hvc1 ...        the same; sequence headers without the ModEx
//! A3 av01 ...                     A1 av01 ...         neither has a composition time
//! 83 zzzz ...                     83 zzzz ...         unknown codecs: unchanged
//! ```
//!
//! Nothing is copied: a [`TrackMessage`] holds a few new bytes, and the range of the original bytes that
//! follow them.

use std::ops::Range;
use std::{iter, mem};

use super::reader::{Layout, MAX_MOD_EX_LEN, TagPrefix, TagReader, TagTrack, packet_type};
use super::{Tag, TagKind};
use crate::media::Medium;
use crate::media::codec::{AudioCodec, Codec, FourCc, VideoCodec};
use crate::media::short_bytes::ShortBytes;

/// The maximum number of tracks that are read from one message. OBS sends ten video and six audio
/// tracks.
const MAX_TRACKS: u8 = 32;

/// The number of bytes that are read of each track in a message with many tracks: enough for any header,
/// and for recognizing most keyframes that aren't flagged.
const WINDOW_LEN: usize = 1024;

/// The maximum number of new bytes: first byte, ModEx, multitrack byte, FourCC, track id.
const MAX_HEAD_LEN: usize = 1 + MAX_MOD_EX_LEN + 1 + 4 + 1;

/// The part of a message that belongs to one track, in the form that is sent to players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackMessage {
    /// The kind of data that the message carries.
    pub kind: TagKind,
    /// Whether a decoder can start here.
    pub is_keyframe: bool,
    /// The id of the track; 0 if the message has none.
    pub track_id: u8,
    /// The codec, if the header has it.
    pub codec: Option<Codec>,
    /// The time from decoding to presentation in ms.
    pub composition_time: i32,
    /// The offset of the coded frame in [`payload`](TrackMessage::payload).
    pub body_offset: u8,
    /// The codec's FourCC in an Enhanced header; `None` in the legacy form.
    pub four_cc: Option<FourCc>,
    /// The number of bytes of ModEx after the first byte. The low half of the last ModEx byte is the
    /// packet type that the first byte would have without ModEx.
    pub mod_ex_len: u8,
    /// The new bytes.
    head: ShortBytes<MAX_HEAD_LEN>,
    /// The range of the original payload that follows the new bytes.
    body: Range<u32>,
}

impl TrackMessage {
    /// Reads the payload of a message with one track; its first part is enough. Returns `None` if the
    /// message is of no use to players, or if it must be split with a [`TrackSplitter`].
    pub fn read(medium: Medium, payload: &[u8]) -> Option<TrackMessage> {
        let first = *payload.first()?;
        if medium.is_enhanced(first) {
            return read_enhanced(medium, payload);
        }
        let tag = Tag::parse(medium, payload).ok()?;
        let mut message = TrackMessage::new(&tag, 0..u32::MAX);
        if medium == Medium::Video {
            let true_first = tag.first_byte_for_players(first);
            if true_first != first {
                message.body.start = 1;
                message.head.push(&[true_first]);
            }
        }
        Some(message)
    }

    fn new(tag: &Tag, body: Range<u32>) -> TrackMessage {
        TrackMessage {
            kind: tag.kind,
            is_keyframe: tag.is_keyframe,
            track_id: tag.track_id,
            codec: tag.codec,
            composition_time: tag.composition_time,
            // Fits: legacy headers are short, and Enhanced ones are replaced by `head`.
            body_offset: tag.body_offset as u8,
            four_cc: None,
            mod_ex_len: 0,
            head: ShortBytes::new(),
            body,
        }
    }

    /// Returns the payload for players, given the parts of the whole message's payload.
    pub fn payload<'a: 'b, 'b>(
        &'b self,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> impl Iterator<Item = &'b [u8]> + Clone {
        let (mut skip, mut left) = (self.body.start as usize, self.body.len());
        let (mut head, mut parts) = (self.head.as_slice(), parts);
        iter::from_fn(move || {
            if !head.is_empty() {
                return Some(mem::take(&mut head));
            }
            while left > 0 {
                let part = parts.next()?;
                let Some(part) = part.get(skip..) else {
                    skip -= part.len();
                    continue;
                };
                skip = 0;
                let part = part.get(..left).unwrap_or(part);
                left -= part.len();
                return Some(part);
            }
            None
        })
    }
}

/// Splits a message with many tracks. Track 0 is returned first, wherever it is in the message, because
/// receivers start with its keyframe.
///
/// For a damaged message, the tracks before the damage are returned.
pub struct TrackSplitter {
    medium: Medium,
    prefix: TagPrefix,
    /// The offset of the first track.
    start: usize,
    /// The offset of the next track.
    at: usize,
    /// The length of the payload in bytes, once it is known.
    len: usize,
    /// The number of tracks that may still be read.
    left: u8,
    /// False in the first pass, which returns only track 0; true in the second pass.
    is_track_0_done: bool,
}

impl TrackSplitter {
    /// Reads the payload of a message with many tracks. Its first part must contain everything up to the
    /// first track. Returns `None` for any other message.
    #[inline]
    pub fn read(medium: Medium, payload: &[u8]) -> Option<TrackSplitter> {
        let first = *payload.first()?;
        medium
            .is_enhanced(first)
            .then(|| TrackSplitter::read_enhanced(medium, payload))
            .flatten()
    }

    fn read_enhanced(medium: Medium, payload: &[u8]) -> Option<TrackSplitter> {
        let mut reader = TagReader::new(payload);
        let prefix = reader.prefix(medium).ok()??;
        matches!(prefix.layout, Layout::Many | Layout::ManyCodecs).then(|| TrackSplitter {
            medium,
            prefix,
            start: reader.at,
            at: reader.at,
            len: usize::MAX,
            left: MAX_TRACKS,
            is_track_0_done: false,
        })
    }

    /// Whether there are more tracks to read.
    pub fn has_more(&mut self) -> bool {
        if (self.at >= self.len || self.left == 0) && !self.is_track_0_done {
            self.is_track_0_done = true;
            self.at = self.start;
            self.left = MAX_TRACKS;
        }
        self.at < self.len && self.left > 0
    }

    /// Reads the next track of a payload. Returns `None` if it isn't this track's turn, or if the track
    /// is of no use to players.
    pub fn next(&mut self, payload: &mut dyn Iterator<Item = &[u8]>) -> Option<TrackMessage> {
        let mut window = [0; WINDOW_LEN];
        let (bytes, len) = copy_from(payload, self.at, &mut window);
        let mut reader = TagReader::new(bytes);
        let track = reader.track(&self.prefix).ok();
        let body = self.at + reader.at;
        let end = track
            .as_ref()
            .and_then(|track| body.checked_add(track.len?))
            .filter(|end| *end <= len);
        self.len = len;
        // A damaged track ends the message, because the next one can't be found.
        self.at = end.unwrap_or(len);
        self.left = self.left.saturating_sub(1);
        // The first pass returns only track 0, the second pass all others.
        let track = track.filter(|track| (track.id != 0) == self.is_track_0_done)?;
        let body = u32::try_from(body).ok()?..u32::try_from(end?).ok()?;
        enhanced(self.medium, &self.prefix, &track, body)
    }
}

/// Copies the bytes of a payload starting at a position, as many as fit. Returns them, and the length of
/// the payload.
fn copy_from<'w>(
    payload: &mut dyn Iterator<Item = &[u8]>,
    position: usize,
    window: &'w mut [u8],
) -> (&'w [u8], usize) {
    let mut len = 0;
    let mut copied = 0;
    for part in payload {
        let wanted = part.get(position.saturating_sub(len)..).unwrap_or_default();
        let free = window.get_mut(copied..).unwrap_or_default();
        for (slot, byte) in free.iter_mut().zip(wanted) {
            *slot = *byte;
            copied += 1;
        }
        len += part.len();
    }
    (window.get(..copied).unwrap_or_default(), len)
}

fn read_enhanced(medium: Medium, payload: &[u8]) -> Option<TrackMessage> {
    let mut reader = TagReader::new(payload);
    let prefix = reader.prefix(medium).ok()??;
    if !matches!(prefix.layout, Layout::Plain | Layout::One) {
        return None;
    }
    let track = reader.track(&prefix).ok()?;
    let body = u32::try_from(reader.at).ok()?..u32::MAX;
    enhanced(medium, &prefix, &track, body)
}

/// Returns the message of a track whose body is this range of the payload.
fn enhanced(
    medium: Medium,
    prefix: &TagPrefix,
    track: &TagTrack<'_>,
    body: Range<u32>,
) -> Option<TrackMessage> {
    const H264: Option<Codec> = Some(Codec::Video(VideoCodec::H264));
    const AAC: Option<Codec> = Some(Codec::Audio(AudioCodec::Aac));

    let tag = Tag::of_track(medium, prefix, track).ok()?;
    let is_extra = track.id != 0;
    // The high half of the first byte.
    let high = match medium {
        Medium::Audio => 0x90,
        Medium::Video => 0x80 | tag.frame_type_for_players(prefix.first, is_extra) << 4,
    };
    let mut message = TrackMessage::new(&tag, body);
    // The bytes after the first one in the legacy form.
    let legacy: Option<&[u8]> = match (tag.codec, prefix.packet_type) {
        _ if is_extra => None,
        (H264, packet_type::SEQUENCE_START) => Some(&[0, 0, 0, 0]),
        (H264, packet_type::CODED_FRAMES) => Some(&[1]),
        (H264, packet_type::CODED_FRAMES_X) => Some(&[1, 0, 0, 0]),
        (H264, packet_type::SEQUENCE_END) => Some(&[2, 0, 0, 0]),
        (AAC, packet_type::SEQUENCE_START) => Some(&[0]),
        (AAC, packet_type::CODED_FRAMES) => Some(&[1]),
        // Other packet types have no legacy form. Players that only know that form would treat the
        // Enhanced message as another track. For AAC, the channels are in the sequence header anyway.
        (AAC, _) => return None,
        _ => None,
    };
    if let Some(head) = legacy {
        message.head.push(&[match medium {
            Medium::Audio => 0xAF,
            Medium::Video => high & 0x70 | 0x07,
        }]);
        message.head.push(head);
        message.body_offset += message.head.len() as u8;
        return Some(message);
    }

    message.four_cc = Some(track.four_cc);
    // Without composition times, both packet types mean the same, but mpegts.js only knows one of them.
    let own_type = match (tag.codec, prefix.packet_type) {
        (Some(Codec::Video(codec)), packet_type::CODED_FRAMES_X)
            if !codec.has_composition_time() && !matches!(codec, VideoCodec::Other(_)) =>
        {
            packet_type::CODED_FRAMES
        }
        (_, own_type) => own_type,
    };
    let packet_type = if is_extra {
        medium.multitrack()
    } else {
        own_type
    };
    // The time in a ModEx has no meaning for a header.
    let is_header = !matches!(tag.kind, TagKind::Frames | TagKind::SequenceEnd);
    match prefix.mod_ex.as_slice().split_last() {
        Some((last, data)) if !is_header => {
            message.mod_ex_len = data.len() as u8 + 1;
            message.head.push(&[high | packet_type::MOD_EX]);
            message.head.push(data);
            message.head.push(&[last & 0xF0 | packet_type]);
        }
        _ => message.head.push(&[high | packet_type]),
    }
    if is_extra {
        // The high half of this byte, 0, is the layout: one track.
        message.head.push(&[own_type]);
    }
    message.head.push(&track.four_cc);
    if is_extra {
        message.head.push(&[track.id]);
    }
    message.body_offset += message.head.len() as u8;
    Some(message)
}

#[cfg(test)]
mod tests;
