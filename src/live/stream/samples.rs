//! Messages as samples of tracks, for receivers that want files: which tracks there are, and where
//! in time each picture and sound belongs.

use std::sync::Arc;

use super::media_clock::Timed;
use super::{State, TRACKS_COST};
use crate::allowance::Taken;
use crate::live::capabilities::Capabilities;
use crate::live::log::{Kind, Sample};
use crate::live::preamble::Slot;
use crate::live::tracks::Tracks;
use crate::media::codec::{AudioCodec, Codec, VideoCodec};
use crate::media::mp4::{self, AudioTrack, Presentation, VideoTrack};
use crate::media::tag::tracks::TrackMessage;
use crate::media::video_format::VideoFormat;
use crate::rtmp::amf::Properties;

/// How much of a message is looked at: any header, and as much of what follows as tells how long a
/// sound lasts or how large a picture is.
const PREFIX_LEN: usize = 64;

/// Longest sequence header of which a file is made, in bytes: x265 writes a long text into its own.
const MAX_CONFIG_LEN: usize = 3 * 1024;

/// What is known of the tracks of the current publish beside their headers.
#[derive(Default)]
pub(super) struct Found {
    /// What the first track's messages ask of their receivers.
    pub(super) video: Option<Capabilities>,
    pub(super) audio: Option<Capabilities>,
    /// A track of audio that does without a sequence header.
    audio_track: Option<AudioTrack>,
    /// Of pictures whose sequence header doesn't tell it.
    picture: Option<VideoFormat>,
    /// Whether the metadata announces audio and video, if it announces any.
    announced: Option<Announced>,
    /// What the metadata announces, in bits per second.
    pub(super) announced_bandwidth: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Announced {
    audio: bool,
    video: bool,
}

impl State {
    /// Whether it is known which tracks the publisher sends, so that a file can be begun.
    pub(super) fn are_tracks_known(&self) -> bool {
        let found = &self.publish.found;
        let (audio, video) = (found.audio.is_some(), found.video.is_some());
        let as_announced = found.announced == Some(Announced { audio, video });
        self.publish.is_settled || (audio && video) || ((audio || video) && as_announced)
    }

    /// Notes which tracks the publisher's metadata announces.
    pub(super) fn note_announced(&mut self, properties: Option<&Properties<'_>>) {
        let has = |name: &str| properties.is_some_and(|all| all.token(name).is_some());
        let announced = Announced {
            audio: has("audiocodecid"),
            video: has("videocodecid"),
        };
        self.publish.found.announced = Some(announced).filter(|a| a.audio || a.video);
        let rate = |name: &str| {
            let token = properties.and_then(|all| all.token(name));
            token.and_then(|token| token.as_f64()).unwrap_or_default()
        };
        let kbits = rate("videodatarate") + rate("audiodatarate");
        // Some count a kbit as 1024 bits.
        self.publish.found.announced_bandwidth = (kbits.max(0.0) * 1024.0) as u32;
    }

    /// Notes a message of a first track. A track has the codec of its header, or of its first
    /// message if it does without.
    pub(super) fn note_track(&mut self, kind: Kind, needs: Capabilities, is_header: bool) {
        let found = &mut self.publish.found;
        let of_kind = match kind {
            Kind::Audio => &mut found.audio,
            _ => &mut found.video,
        };
        let needs = Some(needs.of_codec());
        if *of_kind != needs && (is_header || of_kind.is_none()) {
            *of_kind = needs;
            self.update_tracks();
        }
    }

    /// Brings the tracks up to date with the preamble and with what was found.
    pub(super) fn update_tracks(&mut self) {
        let found = &self.publish.found;
        // Until it is known what the publisher sends, what the one before sent counts too.
        let before = Some(&self.tracks).filter(|_| !self.publish.is_settled);
        let header = |slot| {
            let header = self.preamble.header(slot);
            header.filter(|header| header.len() <= MAX_CONFIG_LEN)
        };
        let video = header(Slot::Video(0))
            .and_then(VideoTrack::from_sequence_header)
            .map(|track| match found.picture {
                // One from before the header may be of another size.
                Some(picture) if !track.has_size() => {
                    track.with_size(picture.width, picture.height)
                }
                _ => track,
            })
            .filter(VideoTrack::has_size);
        let audio = match header(Slot::Audio(0)) {
            Some(header) => AudioTrack::from_sequence_header(header),
            None if found.audio.is_some() => found.audio_track.clone(),
            None => before.and_then(|tracks| tracks.presentation.audio.clone()),
        };
        let tracks = Tracks {
            since: self.preamble.version(),
            presentation: Presentation { video, audio },
            video: found.video.or(before.and_then(|tracks| tracks.video)),
            audio: found.audio.or(before.and_then(|tracks| tracks.audio)),
        };
        if tracks.is_same_as(&self.tracks) {
            return;
        }
        let is_paid = self.pay(tracks_cost(&tracks), self.headers_cost());
        self.tracks = Arc::new(match is_paid {
            true => tracks,
            // No files of it.
            false => Tracks {
                presentation: Presentation::default(),
                ..tracks
            },
        });
    }

    /// Pays for so many bytes of tracks more, and for headers of so many in all. Old tracks give way: a
    /// viewer who still needs them has to connect again, and HLS lists fewer segments.
    pub(super) fn pay(&mut self, tracks: usize, headers: usize) -> bool {
        let mut is_paid = self.try_to_pay(tracks, headers);
        if !is_paid {
            self.old_tracks = Default::default();
            is_paid = self.try_to_pay(tracks, headers);
        }
        while !is_paid && self.hls.forget_version() {
            is_paid = self.try_to_pay(tracks, headers);
        }
        is_paid
    }

    fn try_to_pay(&mut self, tracks: usize, headers: usize) -> bool {
        let bytes = tracks + self.held_tracks_cost();
        let bytes = bytes.saturating_sub(3 * TRACKS_COST);
        let is_paid = |paid: &mut Taken| paid.resize(bytes + headers).is_ok();
        let is_paid = self.paid.as_mut().is_none_or(is_paid);
        if is_paid {
            self.config_cost = bytes;
        }
        is_paid
    }

    /// What tracks take that somebody may still need: the stream's, HLS's, and those before. Each
    /// may come to be held in another place, but no more of them.
    fn held_tracks_cost(&self) -> usize {
        let [newer, older] = &self.old_tracks;
        let held = self.hls.held_tracks().chain([&self.tracks, newer, older]);
        let is_counted = |(at, tracks): &(usize, &Arc<Tracks>)| {
            !held
                .clone()
                .take(*at)
                .any(|other| Arc::ptr_eq(other, tracks))
        };
        let each = held.clone().enumerate().filter(is_counted);
        each.map(|(_, tracks)| tracks_cost(tracks)).sum()
    }

    /// A picture or sound of a first track as a sample. One that no file can hold has no duration.
    pub(super) fn sample<'a>(
        &mut self,
        message: &TrackMessage,
        is_keyframe: bool,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]>,
    ) -> Sample {
        let mut prefix = [0; PREFIX_LEN];
        let len = gather(payload, &mut prefix);
        let prefix = prefix.get(..len).unwrap_or_default();
        let body = prefix.get(message.body_offset.into()..).unwrap_or_default();
        let timed = match message.codec {
            Some(Codec::Video(codec)) => self.picture(codec, is_keyframe, timestamp, body),
            Some(Codec::Audio(codec)) => self.sound(codec, timestamp, prefix, body),
            None => None,
        };
        let Some(timed) = timed else {
            // Who wants it as a file is to learn that it fits none.
            return Sample {
                is_sync: is_keyframe,
                ..Sample::default()
            };
        };
        Sample {
            decode_time: timed.time,
            composition_time: message.composition_time.saturating_add(timed.delay.into()),
            duration: timed.duration,
            body_offset: message.body_offset,
            is_sync: is_keyframe,
        }
    }

    fn picture(
        &mut self,
        codec: VideoCodec,
        is_keyframe: bool,
        timestamp: u32,
        body: &[u8],
    ) -> Option<Timed> {
        let timed = self.media_clock.picture(timestamp, is_keyframe);
        if is_keyframe {
            let picture = mp4::format_of_keyframe(codec, body);
            if picture.is_some() && picture != self.publish.found.picture {
                self.publish.found.picture = picture;
                self.update_tracks();
            }
        }
        let track = self.tracks.presentation.video.as_ref()?;
        // What some cameras send as H.264 is HEVC, which their sequence header tells.
        let is_its_own = track.codec() == codec || codec == VideoCodec::H264;
        is_its_own.then_some(timed)
    }

    fn sound(
        &mut self,
        codec: AudioCodec,
        timestamp: u32,
        prefix: &[u8],
        body: &[u8],
    ) -> Option<Timed> {
        if self.publish.found.audio_track.is_none()
            && self.preamble.header(Slot::Audio(0)).is_none()
        {
            self.publish.found.audio_track = AudioTrack::from_frame(prefix);
            if self.publish.found.audio_track.is_some() {
                self.update_tracks();
            }
        }
        let track = self.tracks.presentation.audio.as_ref()?;
        let samples = u16::try_from(track.samples(body)).ok()?;
        let rate = track.sample_rate();
        if track.codec() != codec || samples == 0 {
            return None;
        }
        let us = u64::from(samples) * 1_000_000 / u64::from(rate.max(1));
        self.clock.note_sound(us);
        self.media_clock.sound(timestamp, rate, samples)
    }
}

/// Bytes on the heap.
fn tracks_cost(tracks: &Tracks) -> usize {
    TRACKS_COST + tracks.presentation.config_len()
}

/// Copies the beginning of a payload that lies in parts; returns how much.
fn gather<'a>(parts: impl Iterator<Item = &'a [u8]>, out: &mut [u8]) -> usize {
    let mut len = 0;
    for part in parts {
        let free = out.get_mut(len..).unwrap_or_default();
        let take = part.len().min(free.len());
        for (slot, byte) in free.iter_mut().zip(part) {
            *slot = *byte;
        }
        len += take;
        if len == out.len() {
            break;
        }
    }
    len
}
