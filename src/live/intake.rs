//! The way in of a stream: what becomes of a publisher's messages until they are in the log.
//!
//! ```text
//! message -> classify -> frames -> clock -> samples -> log
//!            header?     of one    times    for MP4
//!                        frame?
//! ```
//!
//! # When the publisher changes
//!
//! A stream outlives its publisher by a grace time. A publisher that comes back within it, or takes
//! over, begins the next generation, and players stay. Timestamps continue at the seam (see `clock`).
//! Playback goes on with the new publisher's first keyframe.

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

/// How long after the first media message it is decided which tracks a publisher has.
const SETTLE: Millis = 2_000;

/// What tracks take on the heap without the decoders' configurations, in bytes.
pub(super) const TRACKS_COST: usize = size_of::<Tracks>() + 16;

/// What became of a message. Of several tracks, what matters most: one lost track more than those that
/// were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Appended {
    /// It is useless: before the first keyframe, empty, or a header that is known already.
    Ignored,
    /// It is in the log.
    Stored,
    /// It was dropped because the stream's share of the memory can't hold it.
    OutOfBlocks,
}

/// Where messages are stored, and listed for HLS.
pub(super) struct Store<'a> {
    pub(super) log: &'a mut Log,
    pub(super) hls: &'a mut Hls,
    /// When they came.
    pub(super) now: Millis,
}

/// See the module's documentation. Lives as long as the stream, through all publishers.
#[derive(Default)]
pub(super) struct Intake {
    preamble: Arc<Preamble>,
    pub(super) tracks: Arc<Tracks>,
    offered: Offered,
    /// What the publisher pays for: headers and metadata on the heap, and the decoders'
    /// configurations.
    paid: Option<Taken>,
    /// What it pays for tracks and their configurations, in bytes.
    config_cost: usize,
    pub(super) publish: Publish,
    clock: Clock,
    media_clock: MediaClock,
    arrivals: Arrivals,
}

/// Older versions that receivers may still be in the middle of.
#[derive(Default)]
struct Offered {
    /// Version of the preamble at the last pump of all subscribers.
    newest_preamble: u32,
    /// The version before that one. A receiver that is in the middle of an older one is lost.
    oldest_preamble: u32,
    /// The tracks at the last pump of all, and those before: a file may have announced them.
    tracks: [Option<Arc<Tracks>>; 2],
}

/// What is known of the current publish.
#[derive(Default)]
pub(super) struct Publish {
    // These are about the first track of each kind: that is what most players show.
    has_audio: bool,
    has_video: bool,
    has_keyframe: bool,
    /// Codecs of the messages: video, audio.
    codecs: [Option<Codec>; 2],
    /// The headers that have come.
    slots: Vec<Slot>,
    /// The part of the metadata that players may get, encoded: a tenth of what the values take, and
    /// at most [`metadata::MAX_LEN`] bytes.
    metadata: Option<Kept>,
    began: When,
    /// Enough has come to know which tracks there are.
    is_settled: bool,
    /// A keyframe has come, which doesn't wait for other messages.
    pub(super) is_urgent: bool,
    found: FoundTracks,
    /// The bandwidth that the metadata announces, in bits per second.
    pub(super) announced_bandwidth: u32,
    frames: Frames,
}

impl Intake {
    /// Another publisher begins, which pays from this allowance.
    pub(super) fn begin_publish(&mut self, allowance: &Allowance, now: Millis) {
        // What the publisher before has paid for is due again with the next track.
        self.paid = allowance.take(0).ok();
        self.config_cost = 0;
        self.publish = Publish::default();
        self.clock.begin_publish();
        self.arrivals.begin_publish(now);
    }

    /// Takes in an audio or video message, in as many parts as it lies in.
    pub(super) fn take<'a>(
        &mut self,
        medium: Medium,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        store: &mut Store<'_>,
    ) -> Appended {
        self.arrivals
            .note_message(medium, payload.clone(), store.now);
        // Tag headers are short, and lie in the first part.
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

    /// Takes in a data message that isn't metadata. Its timestamp is placed beside those of the
    /// media, and says nothing about the publisher's clock.
    pub(super) fn take_data(&mut self, timestamp: u32, body: Bytes<'_>, store: &mut Store<'_>) {
        let timestamp = self.clock.place_beside(Kind::Script, timestamp);
        let meta = self.meta_beside(Kind::Script, Role::Other, timestamp, store);
        self.append(meta, body.parts(), store);
    }

    /// Takes in a message of one track.
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
        // Only the first video track is judged by its units: the others follow it.
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
        // Without a keyframe decoders could do nothing with it.
        if kind == Kind::Video && !self.publish.has_keyframe {
            return Appended::Ignored;
        }
        let timestamp = match seen.class {
            Class::Other | Class::Rest => self.clock.place_beside(kind, sent),
            _ => self.clock.place(kind, sent, store.now),
        };
        let payload = message.payload(payload);
        let sample = self.sample(message, &seen, timestamp, payload.clone(), store);
        // Without video, every audio frame is a place to start.
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
        let began = self.publish.began.get_or_set(store.now);
        if !self.publish.is_settled && store.now.saturating_sub(began) > SETTLE {
            self.settle(store);
        }
        appended
    }

    /// What a message is that is neither a join point nor a sample, and that every receiver can take.
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
        let was_joinable = store.log.join_point().is_some();
        let Ok(number) = store.log.append(meta, parts.clone()) else {
            let len: usize = parts.map(<[u8]>::len).sum();
            self.arrivals.note_dropped(len, store.log.capacity());
            // What follows can't be decoded without what was lost.
            self.publish.has_keyframe &= meta.kind != Kind::Video || meta.needs.has_multitrack();
            self.publish.frames.open = None;
            return Appended::OutOfBlocks;
        };
        self.note_eviction(was_joinable, store.log);
        self.note_sample(number, store);
        Appended::Stored
    }

    /// Notifies HLS of a message that was appended.
    fn note_sample(&self, number: u64, store: &mut Store<'_>) {
        let are_known = self.are_tracks_known();
        // Video may be on its way, or of a size that only a keyframe shows.
        let is_audio_alone = self.tracks.video.is_none() || self.publish.is_settled;
        let Store { log, hls, .. } = store;
        hls.note_sample(number, log, &self.tracks, are_known, is_audio_alone);
    }

    /// Notifies the doctor if messages that joiners would have needed were evicted for lack of
    /// memory.
    pub(super) fn note_eviction(&mut self, was_joinable: bool, log: &Log) {
        if was_joinable && log.join_point().is_none() {
            let may_hold = log.capacity().try_into().unwrap_or(u32::MAX);
            self.arrivals.doctor.find(Finding::LargeGop { may_hold });
        }
    }

    /// Lets the doctor examine what has come, and returns the findings that are to be logged.
    pub(super) fn examine(&mut self, is_live: bool, store: &mut Store<'_>) -> Vec<Finding> {
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
                // Players would play minutes with a frame now and then.
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

    /// What subscribers see of the stream while they are pumped.
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

    /// All subscribers are about to be offered the current preamble and tracks.
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

    /// The part of a report that is about what came.
    pub(super) fn report(&self, now: Millis) -> StreamReport {
        let mut report = self.arrivals.report(now);
        let [video, audio] = self.track_infos();
        report.video.info = video.or(report.video.info);
        report.audio.info = audio.or(report.audio.info);
        report.tracks = Arc::clone(&self.tracks);
        report
    }
}
