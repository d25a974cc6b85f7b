//! Messages as samples of tracks, for receivers of files: which tracks there are, and when each frame
//! of video and audio is due.

use std::sync::Arc;

use super::classify::Class;
use super::frames::Judged;
use super::media_clock::Timed;
use super::{Intake, Store, TRACKS_COST};
use crate::allowance::Taken;
use crate::live::capabilities::Capabilities;
use crate::live::hls::Hls;
use crate::live::kind::Kind;
use crate::live::log::Sample;
use crate::live::preamble::Slot;
use crate::live::tracks::Tracks;
use crate::media::codec::{AudioCodec, Codec, VideoCodec};
use crate::media::mp4::{self, AudioTrack, Presentation, VideoTrack};
use crate::media::tag::tracks::TrackMessage;
use crate::media::video_format::VideoFormat;
use crate::rtmp::amf::Properties;

/// How much of a message is examined, in bytes: any header, and as much behind it as shows how long an
/// audio frame lasts or how large a video frame is.
const PREFIX_LEN: usize = 64;

/// The longest sequence header that files are made of, in bytes: x265 writes a long text into its own.
const MAX_CONFIG_LEN: usize = 3 * 1024;

/// What is known of the tracks of the current publish beside their headers.
#[derive(Default)]
pub(super) struct FoundTracks {
    /// What the first video track's messages ask of their receivers.
    video: Option<Capabilities>,
    /// The same for audio.
    audio: Option<Capabilities>,
    /// An audio track that needs no sequence header.
    audio_track: Option<AudioTrack>,
    /// The size of video frames whose sequence header doesn't say it.
    format: Option<VideoFormat>,
    /// Whether the metadata announces audio and video, if it announces either.
    announced: Option<AnnouncedTracks>,
    /// The bandwidth that the metadata announces, in bits per second.
    pub(super) announced_bandwidth: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct AnnouncedTracks {
    audio: bool,
    video: bool,
}

impl Intake {
    /// Whether it is known which tracks the publisher sends, so that a file can be begun.
    pub(in crate::live) fn are_tracks_known(&self) -> bool {
        let found = &self.publish.found;
        let (audio, video) = (found.audio.is_some(), found.video.is_some());
        let as_announced = found.announced == Some(AnnouncedTracks { audio, video });
        self.publish.is_settled || (audio && video) || ((audio || video) && as_announced)
    }

    /// Notes which tracks the publisher's metadata announces.
    pub(super) fn note_announced(&mut self, properties: Option<&Properties<'_>>) {
        let has = |name: &str| properties.is_some_and(|all| all.token(name).is_some());
        let announced = AnnouncedTracks {
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

    /// Notes a message if it is of a first track. A track has the codec of its header, or of its first
    /// message if it has no header.
    pub(super) fn note_track(
        &mut self,
        kind: Kind,
        class: Class,
        message: &TrackMessage,
        hls: &mut Hls,
    ) {
        if message.track_id != 0 {
            return;
        }
        let publish = &mut self.publish;
        let (is_there, needs_of_kind) = match kind {
            Kind::Audio => (&mut publish.has_audio, &mut publish.found.audio),
            _ => (&mut publish.has_video, &mut publish.found.video),
        };
        *is_there = true;
        let is_header = match class {
            Class::Header(slot) if slot.is_description() => return,
            class => matches!(class, Class::Header(_)),
        };
        let needs = Some(Capabilities::needed_by(message).of_codec());
        if *needs_of_kind != needs && (is_header || needs_of_kind.is_none()) {
            *needs_of_kind = needs;
            self.update_tracks(hls);
        }
    }

    /// Brings the tracks up to date with the preamble and with what was found.
    pub(super) fn update_tracks(&mut self, hls: &mut Hls) {
        let found = &self.publish.found;
        // Until it is known what the publisher sends, what the one before sent is assumed.
        let before = Some(&self.tracks).filter(|_| !self.publish.is_settled);
        let header = |slot| {
            let header = self.preamble.header(slot);
            header.filter(|header| header.len() <= MAX_CONFIG_LEN)
        };
        let video = header(Slot::Video(0))
            .and_then(VideoTrack::from_sequence_header)
            .map(|track| match found.format {
                // A size from before this header may be wrong, so its own comes first.
                Some(format) if track.format().is_none() => track.with_format(format),
                _ => track,
            })
            .filter(|track| track.format().is_some());
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
        // Receivers may hold on to the old tracks, so the new ones are paid for in addition.
        let is_paid = self.pay(tracks_cost(&tracks), self.headers_cost(), hls);
        self.tracks = Arc::new(if is_paid {
            tracks
        } else {
            // There will be no files of it.
            Tracks {
                presentation: Presentation::default(),
                ..tracks
            }
        });
    }

    /// Pays for `tracks` more bytes of tracks, and for `headers` bytes of headers in total. Old tracks
    /// give way: a viewer that still needs them has to connect again, and HLS lists fewer segments.
    pub(super) fn pay(&mut self, tracks: usize, headers: usize, hls: &mut Hls) -> bool {
        let mut is_paid = self.try_to_pay(tracks, headers, hls);
        if !is_paid {
            self.offered.tracks = [Arc::clone(&self.tracks), Arc::clone(&self.tracks)];
            is_paid = self.try_to_pay(tracks, headers, hls);
        }
        while !is_paid && hls.forget_version() {
            is_paid = self.try_to_pay(tracks, headers, hls);
        }
        is_paid
    }

    fn try_to_pay(&mut self, tracks: usize, headers: usize, hls: &Hls) -> bool {
        let bytes = tracks + self.held_tracks_cost(hls);
        let bytes = bytes.saturating_sub(3 * TRACKS_COST);
        let is_paid = |paid: &mut Taken| paid.resize(bytes + headers).is_ok();
        let is_paid = self.paid.as_mut().is_none_or(is_paid);
        if is_paid {
            self.config_cost = bytes;
        }
        is_paid
    }

    /// What the tracks take that receivers may still need: the stream's, those of HLS, and the ones
    /// before. Each may come to be held in another place, but there won't be more of them.
    fn held_tracks_cost(&self, hls: &Hls) -> usize {
        let [newer, older] = &self.offered.tracks;
        let held = hls.held_tracks().chain([&self.tracks, newer, older]);
        let is_counted = |(at, tracks): &(usize, &Arc<Tracks>)| {
            !held
                .clone()
                .take(*at)
                .any(|other| Arc::ptr_eq(other, tracks))
        };
        let each = held.clone().enumerate().filter(is_counted);
        each.map(|(_, tracks)| tracks_cost(tracks)).sum()
    }

    /// A message of the current publish as a sample of its track.
    pub(super) fn sample_of<'a>(
        &mut self,
        message: &TrackMessage,
        seen: &Judged,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]>,
        store: &mut Store<'_>,
    ) -> Sample {
        match seen.class {
            // Files have first tracks only.
            _ if message.track_id != 0 => Sample::default(),
            Class::Rest => self.sample_of_rest(message),
            Class::Keyframe | Class::Frame => {
                let is_sync = seen.is_start && seen.is_sync;
                self.sample(message, is_sync, timestamp, payload, store)
            }
            _ => Sample::default(),
        }
    }

    /// A frame of a first track as a sample. One that no file can hold has no duration.
    fn sample<'a>(
        &mut self,
        message: &TrackMessage,
        is_keyframe: bool,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]>,
        store: &mut Store<'_>,
    ) -> Sample {
        let mut prefix = [0; PREFIX_LEN];
        let len = gather(payload, &mut prefix);
        let prefix = prefix.get(..len).unwrap_or_default();
        let body = prefix.get(message.body_offset.into()..).unwrap_or_default();
        let timed = match message.codec {
            Some(Codec::Video(codec)) => {
                self.time_video(codec, is_keyframe, timestamp, body, store.hls)
            }
            Some(Codec::Audio(codec)) => self.time_audio(codec, timestamp, prefix, body, store.hls),
            None => None,
        };
        let Some(timed) = timed else {
            // Viewers that want a file are notified that it fits into none.
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

    fn time_video(
        &mut self,
        codec: VideoCodec,
        is_keyframe: bool,
        timestamp: u32,
        body: &[u8],
        hls: &mut Hls,
    ) -> Option<Timed> {
        let timed = self.media_clock.video(timestamp, is_keyframe);
        if is_keyframe {
            let format = mp4::format_of_keyframe(codec, body);
            if format.is_some() && format != self.publish.found.format {
                self.publish.found.format = format;
                self.update_tracks(hls);
            }
        }
        let track = self.tracks.presentation.video.as_ref()?;
        // Some cameras send HEVC as H.264; their sequence header shows that.
        let is_its_own = track.codec() == codec || codec == VideoCodec::H264;
        is_its_own.then_some(timed)
    }

    fn time_audio(
        &mut self,
        codec: AudioCodec,
        timestamp: u32,
        prefix: &[u8],
        body: &[u8],
        hls: &mut Hls,
    ) -> Option<Timed> {
        if self.publish.found.audio_track.is_none()
            && self.preamble.header(Slot::Audio(0)).is_none()
        {
            self.publish.found.audio_track = AudioTrack::from_frame(prefix);
            if self.publish.found.audio_track.is_some() {
                self.update_tracks(hls);
            }
        }
        let track = self.tracks.presentation.audio.as_ref()?;
        let samples = u16::try_from(track.samples(body)).ok()?;
        let rate = track.sample_rate();
        if track.codec() != codec || samples == 0 {
            return None;
        }
        let us = u64::from(samples) * 1_000_000 / u64::from(rate.max(1));
        self.clock.note_audio(us);
        self.media_clock.audio(timestamp, rate, samples)
    }
}

/// What tracks take on the heap, in bytes.
fn tracks_cost(tracks: &Tracks) -> usize {
    TRACKS_COST + tracks.presentation.config_len()
}

/// Copies the beginning of a payload that lies in parts; returns its length.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_payload_is_gathered_from_its_parts() {
        let parts = [&b"ab"[..], b"", b"cde", b"f"];
        for (room, expected) in [
            (1, "a"),
            (2, "ab"),
            (4, "abcd"),
            (6, "abcdef"),
            (9, "abcdef"),
        ] {
            let mut out = vec![0; room];
            let len = gather(parts.into_iter(), &mut out);
            assert_eq!(&out[..len], expected.as_bytes());
        }
    }
}
