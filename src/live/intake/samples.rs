//! Messages as samples of tracks, for receivers of files: the tracks that exist, and the times at which
//! their video and audio frames are due.

use std::sync::Arc;

use super::classify::Class;
use super::frames::Judged;
use super::media_clock::Timed;
use super::{Intake, Store, TRACKS_COST};
use crate::allowance::Taken;
use crate::live::capabilities::Capabilities;
use crate::live::copy_front;
use crate::live::hls::Hls;
use crate::live::kind::Kind;
use crate::live::log::Sample;
use crate::live::preamble::Slot;
use crate::live::tracks::{Has, Tracks};
use crate::media::codec::{AudioCodec, Codec, VideoCodec};
use crate::media::mp4::{self, AudioTrack, Presentation, VideoTrack};
use crate::media::tag::tracks::TrackMessage;
use crate::media::video_format::VideoFormat;
use crate::rtmp::amf::Properties;

/// The length of a message's beginning that is examined, in bytes: any header, and enough after it to
/// find the duration of an audio frame or the size of a video frame.
const PREFIX_LEN: usize = 64;

/// The longest sequence header from which files are made, in bytes. x265 writes a long text into its
/// header.
const MAX_CONFIG_LEN: usize = 3 * 1024;

/// The state of the current publish's tracks besides their headers.
#[derive(Default)]
pub(super) struct FoundTracks {
    /// The capabilities that messages of the first video track need.
    video: Option<Capabilities>,
    /// The same for audio.
    audio: Option<Capabilities>,
    /// An audio track that needs no sequence header.
    audio_track: Option<AudioTrack>,
    /// The size of video frames whose sequence header doesn't contain it.
    format: Option<VideoFormat>,
    /// Whether there is such a header, and no size yet.
    awaits_size: bool,
    /// The media that the metadata announces, if it announces any.
    announced: Option<Has>,
}

impl Intake {
    /// Whether it is known which tracks the publisher sends, so that a file can begin.
    pub(in crate::live) fn are_tracks_known(&self) -> bool {
        let found = &self.publish.found;
        let (audio, video) = (found.audio.is_some(), found.video.is_some());
        let as_announced = found.announced == Some(Has { audio, video });
        self.publish.is_settled || (audio && video) || ((audio || video) && as_announced)
    }

    /// Like [`are_tracks_known`](Self::are_tracks_known), and the size of video isn't missing, which comes
    /// with a keyframe.
    pub(in crate::live) fn are_tracks_complete(&self) -> bool {
        let awaits_size = self.publish.found.awaits_size && !self.publish.is_settled;
        self.are_tracks_known() && !awaits_size
    }

    /// Notes which tracks and rates the publisher's metadata announces.
    pub(super) fn note_announced(&mut self, properties: Option<&Properties<'_>>) {
        let token = |name: &str| properties?.token(name);
        let announced = Has {
            audio: token("audiocodecid").is_some(),
            video: token("videocodecid").is_some(),
        };
        self.publish.found.announced = Some(announced).filter(|a| a.audio || a.video);
        let number = |name: &str| token(name)?.as_f64();
        if let Some(rate) = number("framerate") {
            self.media_clock.announce(rate);
        }
        let rates = [number("videodatarate"), number("audiodatarate")];
        let kbits: f64 = rates.into_iter().flatten().sum();
        // Some encoders count a kbit as 1024 bits.
        self.publish.announced_bandwidth = (kbits.max(0.0) * 1024.0) as u32;
    }

    /// Notes a message if it belongs to a first track. A track has the codec of its header, or of its
    /// first message if it has no header.
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
            // Decoders can do without these headers.
            Class::Header(Slot::VideoMetadata(_) | Slot::AudioChannels(_)) => return,
            class => matches!(class, Class::Header(_)),
        };
        let needs = Some(Capabilities::needed_by(message).of_codec());
        if *needs_of_kind != needs && (is_header || needs_of_kind.is_none()) {
            *needs_of_kind = needs;
            self.update_tracks(hls);
        }
    }

    /// Brings the tracks up to date with the preamble and with the findings about the messages.
    pub(super) fn update_tracks(&mut self, hls: &mut Hls) {
        let found = &mut self.publish.found;
        // Until it is known what the publisher sends, the previous publisher's tracks are assumed.
        let before = Some(&self.tracks).filter(|_| !self.publish.is_settled);
        let header = |slot| {
            let header = self.preamble.header(slot);
            header.filter(|header| header.len() <= MAX_CONFIG_LEN)
        };
        let video = header(Slot::Video(0)).and_then(VideoTrack::from_sequence_header);
        let is_described = video.is_some();
        let video = video.and_then(|track| {
            // A size found before this header may be wrong, so the header's own size comes first. A
            // publisher that returns with the same header may send audio before its keyframe.
            let own = track.format.or(found.format);
            let old = self.tracks.presentation.video.as_ref();
            let format = own.or_else(|| old?.format_if_same(&track))?;
            Some(track.with_format(format))
        });
        found.awaits_size = is_described && video.is_none();
        let audio = match header(Slot::Audio(0)) {
            Some(header) => AudioTrack::from_sequence_header(header),
            None if found.audio.is_some() => found.audio_track.clone(),
            None => before.and_then(|tracks| tracks.presentation.audio.clone()),
        };
        let mut tracks = Tracks {
            since: self.preamble.version(),
            presentation: Presentation { video, audio },
            video: found.video.or(before.and_then(|tracks| tracks.video)),
            audio: found.audio.or(before.and_then(|tracks| tracks.audio)),
        };
        if tracks.is_same_as(&self.tracks) {
            return;
        }
        // Receivers may hold on to the old tracks, so the new ones are paid for in addition.
        if !self.pay(tracks_cost(&tracks), self.headers_cost(), hls) {
            // The stream then has no files.
            tracks.presentation = Presentation::default();
        }
        self.tracks = Arc::new(tracks);
    }

    /// Pays for `tracks` more bytes of tracks, and for `headers` bytes of headers in total. If that
    /// fails, old tracks are given up: a viewer that still needs them has to reconnect, and HLS lists
    /// fewer segments.
    pub(super) fn pay(&mut self, tracks: usize, headers: usize, hls: &mut Hls) -> bool {
        let mut is_paid = self.try_to_pay(tracks, headers, hls);
        if !is_paid {
            self.offered.tracks = [Some(Arc::clone(&self.tracks)), None];
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

    /// The heap memory of all tracks that receivers may still need: the stream's current ones, those of
    /// HLS, and the previous ones. Tracks may move from one place to another, but there won't be more
    /// of them.
    fn held_tracks_cost(&self, hls: &Hls) -> usize {
        let offered = self.offered.tracks.iter().flatten();
        let held = hls.held_tracks().chain([&self.tracks]).chain(offered);
        let cost = |(at, tracks): (usize, &Arc<Tracks>)| {
            let mut before = held.clone().take(at);
            let is_again = before.any(|other| Arc::ptr_eq(other, tracks));
            if is_again { 0 } else { tracks_cost(tracks) }
        };
        held.clone().enumerate().map(cost).sum()
    }

    /// Returns the sample of its track that a message of the current publish is. A message that no file
    /// can hold has a duration of 0.
    pub(super) fn sample<'a>(
        &mut self,
        message: &TrackMessage,
        seen: &Judged,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]>,
        store: &mut Store<'_>,
    ) -> Sample {
        match seen.class {
            // Files contain first tracks only.
            _ if message.track_id != 0 => return Sample::default(),
            Class::Keyframe | Class::Frame => {}
            Class::Rest => {
                let open = self.publish.frames.open.as_ref();
                return Sample {
                    body_offset: message.body_offset,
                    decode_time: open.map_or(0, |open| open.meta.sample.decode_time),
                    ..Sample::default()
                };
            }
            _ => return Sample::default(),
        }
        let is_sync = seen.is_start && seen.is_sync;
        let mut prefix = [0; PREFIX_LEN];
        let len = copy_front(payload, &mut prefix);
        let prefix = prefix.get(..len).unwrap_or_default();
        let body = prefix.get(message.body_offset.into()..).unwrap_or_default();
        let timed = match message.codec {
            Some(Codec::Video(codec)) => {
                self.time_video(codec, is_sync, timestamp, body, store.hls)
            }
            Some(Codec::Audio(codec)) => self.time_audio(codec, timestamp, prefix, body, store.hls),
            None => None,
        };
        let Some(timed) = timed else {
            // Viewers that request a file are notified that the stream fits into none.
            return Sample {
                is_sync,
                ..Sample::default()
            };
        };
        Sample {
            decode_time: timed.time,
            composition_time: message.composition_time.saturating_add(timed.delay.into()),
            duration: timed.duration,
            body_offset: message.body_offset,
            is_sync,
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
        let is_its_own = track.codec == codec || codec == VideoCodec::H264;
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
        let found = &mut self.publish.found;
        if found.audio_track.is_none() && self.preamble.header(Slot::Audio(0)).is_none() {
            found.audio_track = AudioTrack::from_frame(prefix);
            if found.audio_track.is_some() {
                self.update_tracks(hls);
            }
        }
        let track = self.tracks.presentation.audio.as_ref()?;
        let samples = u16::try_from(track.samples(body)).ok()?;
        let rate = track.sample_rate;
        if track.codec != codec || samples == 0 {
            return None;
        }
        let us = u64::from(samples) * 1_000_000 / u64::from(rate.max(1));
        self.clock.pacer.audio += us;
        self.media_clock.audio(timestamp, rate, samples)
    }
}

/// The heap memory of tracks, in bytes.
fn tracks_cost(tracks: &Tracks) -> usize {
    TRACKS_COST + tracks.presentation.config_len()
}
