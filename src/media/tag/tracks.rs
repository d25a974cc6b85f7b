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
//! ```
//!
//! Nothing is copied: a [`Rewrite`] says which few bytes stand in front of which of those that
//! came.

use std::ops::Range;

use super::cursor::{Cursor, Layout, Lead, Track, packet_type};
use super::{AudioTag, Kind, Medium, VideoTag};
use crate::media::codec::FourCc;

/// Tracks taken from one message. OBS has ten of video, six of audio.
const MAX_TRACKS: u8 = 32;

/// How much of a track is looked at, if it is one of many: enough for any header, and for most
/// keyframes that aren't flagged.
const WINDOW_LEN: usize = 1024;

/// What a message carries for one track, and how it is to be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackMessage {
    /// What it carries.
    pub kind: Kind,
    /// Whether a decoder can start here.
    pub is_keyframe: bool,
    /// 0 unless the message says otherwise.
    pub track_id: u8,
    /// The codec; `None` in legacy form, which every player takes.
    pub four_cc: Option<FourCc>,
    /// Bytes of ModEx behind its first byte. The last of them has in its low half the type that
    /// the first one has without them. Longer ones than this can tell are dropped.
    pub mod_ex_len: u8,
    /// How to make it of the payload that came; `None`: as it came.
    pub rewrite: Option<Rewrite>,
}

/// A payload made of another: new bytes in front of old ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    first: [u8; 1],
    /// What stays of ModEx: all but the byte that ends it.
    mod_ex: Range<usize>,
    head: [u8; 7],
    head_len: u8,
    body: Range<usize>,
}

impl Rewrite {
    fn new(first: u8, body: Range<usize>) -> Rewrite {
        Rewrite {
            first: [first],
            mod_ex: 0..0,
            head: [0; 7],
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

    /// The new payload; `parts` are those of the old one.
    pub fn apply<'a: 'b, 'b>(
        &'b self,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> impl Iterator<Item = &'b [u8]> + Clone {
        let head = self.head.get(..usize::from(self.head_len));
        std::iter::once(&self.first[..])
            .chain(range_of(parts.clone(), self.mod_ex.clone()))
            .chain(head)
            .chain(range_of(parts, self.body.clone()))
    }
}

/// A range of the concatenation of `parts`.
fn range_of<'a: 'b, 'b>(
    parts: impl Iterator<Item = &'a [u8]> + Clone,
    range: Range<usize>,
) -> impl Iterator<Item = &'b [u8]> + Clone {
    let Range { start, end } = range;
    let mut at = 0;
    parts.filter_map(move |part| {
        let within = |position: usize| position.saturating_sub(at).min(part.len());
        let range = within(start)..within(end);
        at += part.len();
        part.get(range).filter(|part| !part.is_empty())
    })
}

/// The messages of one message's tracks: usually one, none if the message is of no use. Where
/// there are more, track 0 comes first: with its keyframe receivers start.
///
/// Of a damaged message, the tracks before the damage are there.
pub struct TrackMessages<I> {
    medium: Medium,
    parts: I,
    state: State,
}

enum State {
    Begin,
    Many(Many),
    End,
}

/// A message of many tracks on its way through them.
struct Many {
    lead: Lead,
    /// Where they lie in the payload.
    tracks: Range<usize>,
    /// Where those lie that weren't looked at yet.
    rest: Range<usize>,
    left: u8,
    /// First the messages of track 0 are found, then the others.
    is_track_0_over: bool,
}

impl<'a, I: Iterator<Item = &'a [u8]> + Clone> TrackMessages<I> {
    /// Reads a payload, which lies in `parts`. The header of a message, up to its first track,
    /// must lie in the first one.
    pub fn new(medium: Medium, parts: I) -> TrackMessages<I> {
        TrackMessages {
            medium,
            parts,
            state: State::Begin,
        }
    }
}

impl<'a, I: Iterator<Item = &'a [u8]> + Clone> Iterator for TrackMessages<I> {
    type Item = TrackMessage;

    fn next(&mut self) -> Option<TrackMessage> {
        if let State::Begin = self.state {
            self.state = State::End;
            let payload = self.parts.clone().next()?;
            let first = *payload.first()?;
            if !self.medium.is_enhanced(first) {
                return legacy(self.medium, first, payload);
            }
            let mut cursor = Cursor::new(payload);
            let lead = cursor.lead(self.medium).ok()??;
            if matches!(lead.layout, Layout::Plain | Layout::One) {
                let track = cursor.track(&lead).ok()?;
                let body = cursor.at()..usize::MAX;
                return enhanced(self.medium, &lead, &track, body);
            }
            let len = self.parts.clone().map(<[u8]>::len).sum();
            self.state = State::Many(Many::new(lead, cursor.at()..len));
        }
        let State::Many(many) = &mut self.state else {
            return None;
        };
        while many.goes_on() {
            let mut window = [0; WINDOW_LEN];
            let seen = copy(range_of(self.parts.clone(), many.rest.clone()), &mut window);
            if let Some(message) = many.next(self.medium, seen) {
                return Some(message);
            }
        }
        None
    }
}

/// Copies what fits.
fn copy<'a, 'w>(parts: impl Iterator<Item = &'a [u8]>, window: &'w mut [u8]) -> &'w [u8] {
    let mut len = 0;
    for (slot, byte) in window.iter_mut().zip(parts.flatten()) {
        *slot = *byte;
        len += 1;
    }
    window.get(..len).unwrap_or_default()
}

impl Many {
    fn new(lead: Lead, tracks: Range<usize>) -> Many {
        Many {
            lead,
            rest: tracks.clone(),
            tracks,
            left: MAX_TRACKS,
            is_track_0_over: false,
        }
    }

    /// Whether there is another track to look at, after turning to the others than track 0.
    fn goes_on(&mut self) -> bool {
        if !self.rest.is_empty() && self.left > 0 {
            return true;
        }
        if self.is_track_0_over {
            return false;
        }
        self.is_track_0_over = true;
        self.rest = self.tracks.clone();
        self.left = MAX_TRACKS;
        !self.rest.is_empty()
    }

    /// Takes the next track, whose beginning is `seen`. `None`: it is the turn of others, it is
    /// of no use, or it is damaged; then it is the last.
    fn next(&mut self, medium: Medium, seen: &[u8]) -> Option<TrackMessage> {
        let mut cursor = Cursor::new(seen);
        let track = cursor.track(&self.lead).ok();
        let body = self.rest.start + cursor.at();
        let end = track
            .as_ref()
            .and_then(|track| body.checked_add(track.len?))
            .filter(|end| *end <= self.rest.end);
        self.rest.start = end.unwrap_or(self.rest.end);
        self.left -= 1;
        let track = track.filter(|track| (track.id != 0) == self.is_track_0_over)?;
        enhanced(medium, &self.lead, &track, body..end?)
    }
}

fn legacy(medium: Medium, first: u8, payload: &[u8]) -> Option<TrackMessage> {
    let (kind, is_keyframe, truth) = match medium {
        Medium::Audio => (AudioTag::parse(payload).ok()?.kind, false, first),
        Medium::Video => {
            let tag = VideoTag::parse(payload).ok()?;
            (tag.kind, tag.is_keyframe, tag.first_byte_for_players(first))
        }
    };
    Some(TrackMessage {
        kind,
        is_keyframe,
        track_id: 0,
        four_cc: None,
        mod_ex_len: 0,
        rewrite: (truth != first).then(|| Rewrite::new(truth, 1..usize::MAX)),
    })
}

/// The message of a track whose body lies in this range of the payload.
fn enhanced(
    medium: Medium,
    lead: &Lead,
    track: &Track<'_>,
    body: Range<usize>,
) -> Option<TrackMessage> {
    let is_extra = track.id != 0;
    // The high half of the first byte.
    let (kind, is_keyframe, high) = match medium {
        Medium::Audio => (AudioTag::of_track(lead, track).ok()?.kind, false, 0x90),
        Medium::Video => {
            let tag = VideoTag::of_track(lead, track).ok()?;
            let frame_type = tag.frame_type_for_players(lead.first, is_extra);
            (tag.kind, tag.is_keyframe, 0x80 | frame_type << 4)
        }
    };
    let mut message = TrackMessage {
        kind,
        is_keyframe,
        track_id: track.id,
        four_cc: None,
        mod_ex_len: 0,
        rewrite: None,
    };
    let legacy_head = match (&track.four_cc, lead.packet_type) {
        _ if is_extra => None,
        (b"avc1", packet_type::SEQUENCE_START) => Some(&[0, 0, 0, 0][..]),
        (b"avc1", packet_type::CODED_FRAMES) => Some(&[1][..]),
        (b"avc1", packet_type::CODED_FRAMES_X) => Some(&[1, 0, 0, 0][..]),
        (b"avc1", packet_type::SEQUENCE_END) => Some(&[2, 0, 0, 0][..]),
        (b"mp4a", packet_type::SEQUENCE_START) => Some(&[0][..]),
        (b"mp4a", packet_type::CODED_FRAMES) => Some(&[1][..]),
        // There is no legacy form of these, and to players that know no other the Enhanced one
        // would be one more track. AAC says its channels in its sequence header.
        (b"mp4a", _) => return None,
        _ => None,
    };
    if let Some(head) = legacy_head {
        let first = match medium {
            Medium::Audio => 0xAF,
            Medium::Video => high & 0x70 | 0x07,
        };
        let mut rewrite = Rewrite::new(first, body);
        rewrite.push(head);
        message.rewrite = Some(rewrite);
        return Some(message);
    }

    let is_header = !matches!(kind, Kind::Frames | Kind::SequenceEnd);
    message.four_cc = Some(track.four_cc);
    message.mod_ex_len = match u8::try_from(lead.mod_ex_len) {
        Ok(len) if !is_header => len,
        _ => 0,
    };
    let packet_type = if is_extra {
        medium.multitrack()
    } else {
        lead.packet_type
    };
    let mut rewrite = Rewrite::new(high | packet_type, body);
    if message.mod_ex_len > 0 {
        rewrite.first = [high | packet_type::MOD_EX];
        rewrite.mod_ex = 1..lead.mod_ex_len;
        rewrite.push(&[lead.last & 0xF0 | packet_type]);
    }
    if is_extra {
        // The high half says that there is one track.
        rewrite.push(&[lead.packet_type]);
    }
    rewrite.push(&track.four_cc);
    if is_extra {
        rewrite.push(&[track.id]);
    }
    message.rewrite = Some(rewrite);
    Some(message)
}

#[cfg(test)]
mod tests;
