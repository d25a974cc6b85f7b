//! A message as its tracks, each in the form in which it goes to players.
//!
//! ```text
//! 27 01 ..., AF 01 ...            legacy: as it is, but with the true frame type
//! 91 avc1 SI24 ...                17 01 SI24 ...      every player knows the legacy form
//! 90 mp4a ...                     AF 00 ...
//! 83 hvc1 ...                     93 hvc1 ...         gortmplib's frame type 0
//! 96 01 hvc1 00 ...               91 hvc1 ...         track 0 needs no multitrack header
//! 96 21  avc1 00 size ...         17 01 ...
//!        av01 01 size ...         96 01 av01 01 ...   one message each
//! 97 02 nnnnnn 03 hvc1 ...        the same; of headers without the ModEx
//! A3 av01 ...                     A1 av01 ...         neither has a composition time
//! 83 zzzz ...                     83 zzzz ...         what isn't known: as it is
//! ```
//!
//! Nothing is copied: a [`TrackMessage`] says which few bytes stand in front of which of those
//! that came.

use std::ops::Range;

use super::cursor::{Cursor, Layout, Lead, MAX_MOD_EX_LEN, Track, packet_type};
use super::{AudioTag, Kind, Medium, VideoTag};
use crate::media::codec::{AudioCodec, FourCc, VideoCodec};

/// Tracks taken from one message. OBS has ten of video, six of audio.
const MAX_TRACKS: u8 = 32;

/// How much of a track is looked at, if it is one of many: enough for any header, and for most
/// keyframes that aren't flagged.
const WINDOW_LEN: usize = 1024;

/// First byte, ModEx, multitrack byte, FourCC, track id.
const MAX_HEAD_LEN: usize = 1 + MAX_MOD_EX_LEN + 1 + 4 + 1;

/// What a message carries for one track, and how it is to be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackMessage {
    /// What it carries.
    pub kind: Kind,
    /// Whether a decoder can start here.
    pub is_keyframe: bool,
    /// 0 unless the message says otherwise.
    pub track_id: u8,
    /// The codec, if it is told.
    pub codec: Option<Codec>,
    /// ms from decoding to showing.
    pub composition_time: i32,
    /// Where the coded picture or sound begins in [`payload`](TrackMessage::payload).
    pub body_offset: u8,
    /// What the codec is called in an Enhanced header; `None` in legacy form.
    pub four_cc: Option<FourCc>,
    /// Bytes of ModEx behind its first byte. The last of them has in its low half the type that
    /// the first one has without them.
    pub mod_ex_len: u8,
    /// New bytes.
    head: [u8; MAX_HEAD_LEN],
    head_len: u8,
    /// What follows them of the payload that came.
    body: Range<u32>,
}

/// The codec of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Of audio.
    Audio(AudioCodec),
    /// Of video.
    Video(VideoCodec),
}

impl Codec {
    /// Whether nothing can be made of it without a sequence header.
    pub fn needs_header(self) -> bool {
        match self {
            Codec::Audio(codec) => matches!(codec, AudioCodec::Aac | AudioCodec::Flac),
            Codec::Video(codec) => matches!(
                codec,
                VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Vvc | VideoCodec::Av1
            ),
        }
    }
}

/// What a track's own header says, audio and video alike.
struct Seen {
    kind: Kind,
    is_keyframe: bool,
    codec: Option<Codec>,
    composition_time: i32,
    /// From the beginning of the legacy payload, or of the track's body.
    body_offset: usize,
}

impl From<VideoTag> for Seen {
    fn from(tag: VideoTag) -> Seen {
        Seen {
            kind: tag.kind,
            is_keyframe: tag.is_keyframe,
            codec: tag.codec.map(Codec::Video),
            composition_time: tag.composition_time,
            body_offset: tag.body_offset,
        }
    }
}

impl From<AudioTag> for Seen {
    fn from(tag: AudioTag) -> Seen {
        Seen {
            kind: tag.kind,
            is_keyframe: false,
            codec: tag.codec.map(Codec::Audio),
            composition_time: 0,
            body_offset: tag.body_offset,
        }
    }
}

impl TrackMessage {
    /// Reads the payload of a message of one track; its first part is enough. `None`: the message
    /// is of no use, or one of [`Many`] tracks.
    pub fn read(medium: Medium, payload: &[u8]) -> Option<TrackMessage> {
        let first = *payload.first()?;
        if medium.is_enhanced(first) {
            return read_enhanced(medium, payload);
        }
        match medium {
            Medium::Audio => {
                let seen = AudioTag::parse(payload).ok()?.into();
                Some(TrackMessage::new(&seen, 0, 0..u32::MAX))
            }
            Medium::Video => {
                let tag = VideoTag::parse(payload).ok()?;
                let mut message = TrackMessage::new(&tag.into(), 0, 0..u32::MAX);
                let truth = tag.first_byte_for_players(first);
                if truth != first {
                    message.body.start = 1;
                    message.push(&[truth]);
                }
                Some(message)
            }
        }
    }

    fn new(seen: &Seen, track_id: u8, body: Range<u32>) -> TrackMessage {
        TrackMessage {
            kind: seen.kind,
            is_keyframe: seen.is_keyframe,
            track_id,
            codec: seen.codec,
            composition_time: seen.composition_time,
            // Headers are short: what comes before the body is kept or made anew.
            body_offset: seen.body_offset as u8,
            four_cc: None,
            mod_ex_len: 0,
            head: [0; MAX_HEAD_LEN],
            head_len: 0,
            body,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let free = self.head.get_mut(usize::from(self.head_len)..);
        for (slot, byte) in free.unwrap_or_default().iter_mut().zip(bytes) {
            *slot = *byte;
            self.head_len += 1;
        }
    }

    /// The payload, made of that of the whole message.
    pub fn payload<'a: 'b, 'b>(
        &'b self,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> impl Iterator<Item = &'b [u8]> + Clone {
        let head = self.head.get(..usize::from(self.head_len));
        Rewritten {
            head: head.unwrap_or_default(),
            parts,
            skip: self.body.start as usize,
            left: self.body.len(),
        }
    }
}

/// New bytes, then a range of others.
#[derive(Clone)]
struct Rewritten<'b, I> {
    head: &'b [u8],
    parts: I,
    skip: usize,
    left: usize,
}

impl<'a: 'b, 'b, I: Iterator<Item = &'a [u8]>> Iterator for Rewritten<'b, I> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        if !self.head.is_empty() {
            return Some(std::mem::take(&mut self.head));
        }
        while self.left > 0 {
            let part = self.parts.next()?;
            let Some(part) = part.get(self.skip..) else {
                self.skip -= part.len();
                continue;
            };
            self.skip = 0;
            let part = part.get(..self.left).unwrap_or(part);
            self.left -= part.len();
            return Some(part);
        }
        None
    }
}

/// A message of many tracks on its way through them. Track 0 comes first, wherever it stands:
/// receivers start with its keyframe.
///
/// Of a damaged message, the tracks before the damage are there.
pub struct Many {
    medium: Medium,
    lead: Lead,
    /// Where the first track begins.
    start: usize,
    /// Where the next one begins.
    at: usize,
    /// Length of the payload, once it is known.
    len: usize,
    left: u8,
    is_track_0_over: bool,
}

impl Many {
    /// Reads the payload of a message of many tracks, of which the first part must hold everything
    /// up to the first track. `None`: the message is another.
    #[inline]
    pub fn read(medium: Medium, payload: &[u8]) -> Option<Many> {
        let first = *payload.first()?;
        medium
            .is_enhanced(first)
            .then(|| Many::read_enhanced(medium, payload))
            .flatten()
    }

    fn read_enhanced(medium: Medium, payload: &[u8]) -> Option<Many> {
        let mut cursor = Cursor::new(payload);
        let lead = cursor.lead(medium).ok()??;
        matches!(lead.layout, Layout::Many | Layout::ManyCodecs).then(|| Many {
            medium,
            lead,
            start: cursor.at(),
            at: cursor.at(),
            len: usize::MAX,
            left: MAX_TRACKS,
            is_track_0_over: false,
        })
    }

    /// Whether there is more to look at.
    pub fn has_more(&mut self) -> bool {
        if (self.at >= self.len || self.left == 0) && !self.is_track_0_over {
            self.is_track_0_over = true;
            self.at = self.start;
            self.left = MAX_TRACKS;
        }
        self.at < self.len && self.left > 0
    }

    /// Looks at the next track of a payload. `None`: it is the turn of others, or the track is of
    /// no use.
    pub fn next(&mut self, payload: &mut dyn Iterator<Item = &[u8]>) -> Option<TrackMessage> {
        let mut window = [0; WINDOW_LEN];
        let (seen, len) = look(payload, self.at, &mut window);
        let mut cursor = Cursor::new(seen);
        let track = cursor.track(&self.lead).ok();
        let body = self.at + cursor.at();
        let end = track
            .as_ref()
            .and_then(|track| body.checked_add(track.len?))
            .filter(|end| *end <= len);
        self.len = len;
        self.at = end.unwrap_or(len);
        self.left = self.left.saturating_sub(1);
        let track = track.filter(|track| (track.id != 0) == self.is_track_0_over)?;
        let body = u32::try_from(body).ok()?..u32::try_from(end?).ok()?;
        enhanced(self.medium, &self.lead, &track, body)
    }
}

/// What stands in a payload from a position on, as far as it fits; and the payload's length.
fn look<'w>(
    payload: &mut dyn Iterator<Item = &[u8]>,
    position: usize,
    window: &'w mut [u8],
) -> (&'w [u8], usize) {
    let mut len = 0;
    let mut seen = 0;
    for part in payload {
        let wanted = part.get(position.saturating_sub(len)..).unwrap_or_default();
        let free = window.get_mut(seen..).unwrap_or_default();
        for (slot, byte) in free.iter_mut().zip(wanted) {
            *slot = *byte;
            seen += 1;
        }
        len += part.len();
    }
    (window.get(..seen).unwrap_or_default(), len)
}

fn read_enhanced(medium: Medium, payload: &[u8]) -> Option<TrackMessage> {
    let mut cursor = Cursor::new(payload);
    let lead = cursor.lead(medium).ok()??;
    if !matches!(lead.layout, Layout::Plain | Layout::One) {
        return None;
    }
    let track = cursor.track(&lead).ok()?;
    let body = u32::try_from(cursor.at()).ok()?..u32::MAX;
    enhanced(medium, &lead, &track, body)
}

/// The message of a track whose body lies in this range of the payload.
fn enhanced(
    medium: Medium,
    lead: &Lead,
    track: &Track<'_>,
    body: Range<u32>,
) -> Option<TrackMessage> {
    const H264: Option<Codec> = Some(Codec::Video(VideoCodec::H264));
    const AAC: Option<Codec> = Some(Codec::Audio(AudioCodec::Aac));

    let is_extra = track.id != 0;
    // The high half of the first byte.
    let (seen, high) = match medium {
        Medium::Audio => (Seen::from(AudioTag::of_track(lead, track).ok()?), 0x90),
        Medium::Video => {
            let tag = VideoTag::of_track(lead, track).ok()?;
            let frame_type = tag.frame_type_for_players(lead.first, is_extra);
            (tag.into(), 0x80 | frame_type << 4)
        }
    };
    let mut message = TrackMessage::new(&seen, track.id, body);
    // What follows the legacy form's first byte.
    let legacy: Option<&[u8]> = match (seen.codec, lead.packet_type) {
        _ if is_extra => None,
        (H264, packet_type::SEQUENCE_START) => Some(&[0, 0, 0, 0]),
        (H264, packet_type::CODED_FRAMES) => Some(&[1]),
        (H264, packet_type::CODED_FRAMES_X) => Some(&[1, 0, 0, 0]),
        (H264, packet_type::SEQUENCE_END) => Some(&[2, 0, 0, 0]),
        (AAC, packet_type::SEQUENCE_START) => Some(&[0]),
        (AAC, packet_type::CODED_FRAMES) => Some(&[1]),
        // There is no legacy form of these, and to players that know no other the Enhanced one
        // would be one more track. AAC says its channels in its sequence header.
        (AAC, _) => return None,
        _ => None,
    };
    if let Some(head) = legacy {
        message.push(&[match medium {
            Medium::Audio => 0xAF,
            Medium::Video => high & 0x70 | 0x07,
        }]);
        message.push(head);
        message.body_offset += message.head_len;
        return Some(message);
    }

    message.four_cc = Some(track.four_cc);
    // Codecs that have no composition time: the two are the same, and mpegts.js knows but one.
    let own_type = match (seen.codec, lead.packet_type) {
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
    let is_header = !matches!(seen.kind, Kind::Frames | Kind::SequenceEnd);
    match lead.mod_ex.as_slice().split_last() {
        Some((last, data)) if !is_header => {
            message.mod_ex_len = data.len() as u8 + 1;
            message.push(&[high | packet_type::MOD_EX]);
            message.push(data);
            message.push(&[last & 0xF0 | packet_type]);
        }
        _ => message.push(&[high | packet_type]),
    }
    if is_extra {
        // The high half says that there is one track.
        message.push(&[own_type]);
    }
    message.push(&track.four_cc);
    if is_extra {
        message.push(&[track.id]);
    }
    message.body_offset += message.head_len;
    Some(message)
}

#[cfg(test)]
mod tests;
