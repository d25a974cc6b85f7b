//! The intake of a stream: processes a publisher's messages until they are in the log.
//!
//! ```text
//! message -> classify -> frames -> clock -> samples -> log
//!            header?     of one    times    for MP4
//!                        frame?
//! ```
//!
//! # When the publisher changes
//!
//! A stream outlives its publisher by a grace time. A publisher that returns within it, or takes over,
//! begins the next generation, and players stay connected. Timestamps continue where the old
//! publisher's ended (see `clock`). Playback continues with the new publisher's first keyframe.

mod arrivals;
mod classify;
mod clock;
mod doctor;
mod frame_rate;
mod frames;
mod headers;
mod media_clock;
mod samples;

use std::sync::Arc;

use super::capabilities::Capabilities;
use super::cut::eras::Eras;
use super::finding::{Finding, Pace};
use super::hls::Hls;
use super::kept::Kept;
use super::kind::Kind;
use super::log::{Log, Meta, Role, Sample};
use super::out::subscriber::StreamView;
use super::preamble::{Preamble, Slot};
use super::report::StreamReport;
use super::tracks::Tracks;
use super::{Millis, When};
use crate::allowance::{Allowance, Taken};
use crate::media::Medium;
use crate::media::codec::Codec;
use crate::media::tag::tracks::{TrackMessage, TrackSplitter};
use crate::rtmp::amf::Bytes;
use crate::rtmp::metadata;
use arrivals::Arrivals;
use classify::{Class, classify};
use clock::Clock;
use frames::{Frames, Judged};
use media_clock::MediaClock;
use samples::FoundTracks;

/// The time after the first media message at which the server decides which tracks a publisher has, in
/// ms.
const SETTLE: Millis = 2_000;

/// The heap memory of tracks without the decoder configurations, in bytes.
pub(super) const TRACKS_COST: usize = size_of::<Tracks>() + 16;

/// The outcome of appending a message. For a message of several tracks, the most serious outcome
/// counts: a dropped track outweighs those that were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Appended {
    /// The message is useless: before the first keyframe, empty, or a header that is already known.
    Ignored,
    /// The message is in the log.
    Stored,
    /// The message was dropped because the stream's share of the memory can't hold it.
    OutOfBlocks,
}

/// Where messages are stored in the log and listed for HLS.
pub(super) struct Store<'a> {
    pub(super) log: &'a mut Log,
    pub(super) hls: &'a mut Hls,
    /// When the messages arrived.
    pub(super) now: Millis,
}

/// See the module's documentation. Lives as long as the stream, through all publishers.
#[derive(Default)]
pub(super) struct Intake {
    preamble: Arc<Preamble>,
    pub(super) tracks: Arc<Tracks>,
    /// Which tracks and headers apply to which messages.
    pub(super) eras: Eras,
    offered: Offered,
    /// The publisher's payment for headers and metadata on the heap, and for decoder configurations.
    paid: Option<Taken>,
    /// The part of `paid` that covers tracks and their configurations, in bytes.
    config_cost: usize,
    pub(super) publish: Publish,
    clock: Clock,
    media_clock: MediaClock,
    arrivals: Arrivals,
}

/// Older versions of the preamble and tracks that receivers may still be in the middle of.
#[derive(Default)]
struct Offered {
    /// The version of the preamble at the last pump of all subscribers.
    newest_preamble: u32,
    /// The version before `newest_preamble`. A receiver that is in the middle of an older one is lost.
    oldest_preamble: u32,
    /// The tracks at the last pump of all subscribers, and those before them: a file may have announced
    /// them.
    tracks: [Option<Arc<Tracks>>; 2],
}

/// The state of the current publish.
#[derive(Default)]
pub(super) struct Publish {
    // These are about the first track of each medium, which is the one that most players show.
    has_audio: bool,
    has_video: bool,
    has_keyframe: bool,
    /// The codecs of the messages: video, audio.
    codecs: [Option<Codec>; 2],
    /// The slots of the headers that have arrived.
    slots: Vec<Slot>,
    /// The part of the metadata that players may get, encoded. It occupies a tenth of the memory of the
    /// values, and at most [`metadata::MAX_LEN`] bytes.
    metadata: Option<Kept>,
    began: When,
    /// Whether enough has arrived to know which tracks there are.
    is_settled: bool,
    /// Whether a keyframe has arrived that must not wait for other messages.
    pub(super) is_urgent: bool,
    found: FoundTracks,
    /// The bandwidth that the metadata announces, in bits per second.
    pub(super) announced_bandwidth: u32,
    frames: Frames,
}

impl Intake {
    /// Begins the publish of another publisher, which pays from this allowance.
    pub(super) fn begin_publish(&mut self, allowance: &Allowance, now: Millis) {
        // The new publisher pays for the existing tracks together with its own next ones.
        self.paid = allowance.take(0).ok();
        self.config_cost = 0;
        self.publish = Publish::default();
        self.eras.close();
        self.clock.begin_publish();
        self.media_clock.begin();
        self.arrivals.begin_publish(now);
    }

    /// Processes an audio or video message, whose payload may lie in several parts.
    pub(super) fn take<'a>(
        &mut self,
        medium: Medium,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        store: &mut Store<'_>,
    ) -> Appended {
        self.arrivals
            .note_message(medium, payload.clone(), store.now);
        // Tag headers are short, so they lie in the first part.
        let first = payload.clone().next().unwrap_or_default();
        let Some(mut many) = TrackSplitter::read(medium, first) else {
            return match TrackMessage::read(medium, first) {
                Some(message) => self.take_track(medium, timestamp, &message, payload, store),
                None => Appended::Ignored,
            };
        };
        let mut appended = Appended::Ignored;
        while many.has_more() {
            if let Some(message) = many.next(&mut payload.clone()) {
                let of_track = self.take_track(medium, timestamp, &message, payload.clone(), store);
                appended = appended.max(of_track);
            }
        }
        appended
    }

    /// Processes a data message that isn't metadata. Its timestamp is placed relative to the media's,
    /// and says nothing about the publisher's clock.
    pub(super) fn take_data(&mut self, timestamp: u32, body: Bytes<'_>, store: &mut Store<'_>) {
        let timestamp = self.clock.place_beside(Kind::Script, timestamp);
        let meta = self.meta_beside(Kind::Script, Role::Other, timestamp, store);
        self.append(meta, body.parts(), store);
    }

    /// Processes a message of one track.
    fn take_track<'a>(
        &mut self,
        medium: Medium,
        sent: u32,
        message: &TrackMessage,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        store: &mut Store<'_>,
    ) -> Appended {
        let kind = Kind::from(medium);
        let Some(class) = classify(kind, message) else {
            return Appended::Ignored;
        };
        let is_first_track = message.track_id == 0;
        self.note_track(kind, class, message, store.hls);
        if let Class::Header(slot) = class {
            return self.take_header(slot, sent, message.payload(payload), store);
        }
        // Only the first video track is judged by its units. The other tracks follow it.
        let seen = match (kind, class) {
            (Kind::Video, Class::Keyframe | Class::Frame) if is_first_track => {
                self.judge(message, class, sent, payload.clone(), store)
            }
            (Kind::Video, Class::Other) if is_first_track => {
                self.complete_frame(store);
                Judged::of(class)
            }
            _ => Judged::of(class),
        };
        self.publish.has_keyframe |= seen.is_start;
        // Without a keyframe, decoders couldn't use it.
        if kind == Kind::Video && !self.publish.has_keyframe {
            return Appended::Ignored;
        }
        let timestamp = match seen.class {
            Class::Other | Class::Rest => self.clock.place_beside(kind, sent),
            _ => self.clock.place(kind, sent, store.now),
        };
        let payload = message.payload(payload);
        let sample = self.sample(message, &seen, timestamp, payload.clone(), store);
        // Without video, receivers may start at every audio frame.
        let is_alone = kind == Kind::Audio && is_first_track && !self.publish.has_video;
        let mut meta = Meta {
            is_join_point: seen.is_start || is_alone,
            mod_ex_len: message.mod_ex_len,
            needs: Capabilities::needed_by(message),
            sample,
            ..self.meta_beside(kind, seen.role(), timestamp, store)
        };
        let is_keyframe = seen.class == Class::Keyframe;
        if meta.role == Role::Media {
            self.note_frame(&meta, message, is_keyframe);
        }
        self.publish.is_urgent |= is_keyframe;
        let look = seen.look;
        let is_again =
            look.is_some_and(|look| self.note_part(&mut meta, look, sent, store.log.end()));
        let appended = self.append(meta, payload, store);
        if is_again {
            self.complete_frame(store);
        }
        self.publish.began.get_or_set(store.now);
        self.settle_in_time(store);
        appended
    }

    /// Returns the properties of a message that is neither a join point nor a sample, and that every
    /// receiver accepts.
    fn meta_beside(&self, kind: Kind, role: Role, timestamp: u32, store: &Store<'_>) -> Meta {
        Meta {
            kind,
            timestamp,
            arrived: store.now,
            is_join_point: false,
            role,
            preamble_version: self.preamble.version(),
            needs: Capabilities::NONE,
            mod_ex_len: 0,
            sample: Sample::default(),
        }
    }

    /// Counts a frame of audio or video.
    fn note_frame(&mut self, meta: &Meta, message: &TrackMessage, is_keyframe: bool) {
        let (kind, timestamp, now) = (meta.kind, meta.timestamp, meta.arrived);
        self.arrivals.doctor.note_arrival(kind, timestamp, now);
        if message.track_id != 0 {
            return;
        }
        self.publish.codecs[usize::from(kind == Kind::Audio)] = message.codec;
        if kind == Kind::Video {
            self.arrivals.note_video_frame(is_keyframe, timestamp, now);
        }
    }

    fn append<'a>(
        &mut self,
        meta: Meta,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
        store: &mut Store<'_>,
    ) -> Appended {
        self.note_era(store.log);
        let was_joinable = store.log.join_point().is_some();
        let Ok(number) = store.log.append(meta, parts.clone()) else {
            let len: usize = parts.map(<[u8]>::len).sum();
            self.arrivals.note_dropped(len, store.log.capacity());
            // Later frames can't be decoded without the lost one.
            self.publish.has_keyframe &= meta.kind != Kind::Video || meta.needs.has_multitrack();
            self.publish.frames.open = None;
            return Appended::OutOfBlocks;
        };
        self.note_eviction(was_joinable, store.log);
        self.note_sample(number, store);
        Appended::Stored
    }

    /// Notes the tracks and headers that apply to the next message.
    fn note_era(&mut self, log: &Log) {
        let are_known = self.are_tracks_complete();
        let (tracks, preamble) = (&self.tracks, &self.preamble);
        self.eras.note(tracks, preamble, log, are_known);
    }

    /// Notifies HLS of a message that was appended.
    fn note_sample(&self, number: u64, store: &mut Store<'_>) {
        let are_known = self.are_tracks_known();
        // Video may still be on its way, or have a size that only a keyframe shows.
        let is_audio_alone = self.tracks.video.is_none() || self.publish.is_settled;
        let Store { log, hls, .. } = store;
        hls.note_sample(number, log, &self.tracks, are_known, is_audio_alone);
    }

    /// Notifies the doctor if messages that new receivers would have needed were evicted for lack of
    /// memory.
    pub(super) fn note_eviction(&mut self, was_joinable: bool, log: &Log) {
        if was_joinable && log.join_point().is_none() {
            let may_hold = log.capacity().try_into().unwrap_or(u32::MAX);
            self.arrivals.doctor.find(Finding::LargeGop { may_hold });
        }
    }

    /// Stops waiting for tracks that haven't arrived.
    fn settle_in_time(&mut self, store: &mut Store<'_>) {
        let began = self
            .publish
            .began
            .get()
            .filter(|_| !self.publish.is_settled);
        if began.is_some_and(|began| store.now.saturating_sub(began) > SETTLE) {
            self.settle(store);
        }
    }

    /// Lets the doctor examine what has arrived, and returns the findings to log.
    pub(super) fn examine(&mut self, is_live: bool, store: &mut Store<'_>) -> Vec<Finding> {
        if is_live {
            // Also if nothing arrives any more: a recording waits for it.
            self.settle_in_time(store);
        }
        let Arrivals { since, doctor, .. } = &mut self.arrivals;
        if is_live {
            doctor.note_silence(*since, store.now);
        }
        if let Some(repair) = self.clock.repair.take() {
            doctor.find(Finding::Timestamps(repair));
        }
        if let Some(pace) = self.clock.pacer.news.take() {
            if matches!(
                pace,
                Pace::Off {
                    is_lost: true,
                    tenths: 11..
                }
            ) {
                // Otherwise players would spend minutes on a few frames.
                store.hls.forget_before(store.log.end());
            }
            doctor.find(Finding::Pace(pace));
        }
        if doctor.is_examination_due(store.now) {
            self.compare_with_metadata();
        }
        self.arrivals.doctor.take_news(store.now)
    }

    #[inline(never)] // Keeps these locals off the stack of every publisher's thread.
    fn compare_with_metadata(&mut self) {
        let metadata = self.publish.metadata.as_deref();
        let metadata = metadata.and_then(|bytes| metadata::parse(bytes.into()));
        let video = self.tracks.presentation.video.as_ref();
        let size = video.and_then(|video| Some(video.format?.size()));
        let doctor = &mut self.arrivals.doctor;
        doctor.examine(metadata.flatten().as_ref(), size);
    }

    /// The view of the stream for subscribers while they are pumped.
    pub(super) fn view<'a>(&'a self, log: &'a Log, max_lag: Millis, now: Millis) -> StreamView<'a> {
        StreamView {
            log,
            preamble: &self.preamble,
            oldest_preamble: self.offered.oldest_preamble,
            old_tracks: &self.offered.tracks,
            tracks: &self.tracks,
            are_tracks_known: self.are_tracks_known(),
            now,
            max_lag,
        }
    }

    /// Notes that all subscribers are about to be offered the current preamble and tracks.
    pub(super) fn note_pump(&mut self) {
        let offered = &mut self.offered;
        let version = self.preamble.version();
        if version != offered.newest_preamble {
            offered.oldest_preamble = offered.newest_preamble;
            offered.newest_preamble = version;
        }
        let newest = offered.tracks[0].as_ref();
        if newest.is_none_or(|newest| !Arc::ptr_eq(newest, &self.tracks)) {
            offered.tracks.swap(0, 1);
            offered.tracks[0] = Some(Arc::clone(&self.tracks));
        }
    }

    /// The part of a report that describes the received media.
    pub(super) fn report(&self, now: Millis) -> StreamReport {
        let mut report = self.arrivals.report(now);
        let [video, audio] = self.track_infos();
        report.video.info = video.or(report.video.info);
        report.audio.info = audio.or(report.audio.info);
        report.tracks = Arc::clone(&self.tracks);
        report
    }
}
