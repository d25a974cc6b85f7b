//! HLS of a stream: its segments, its playlists, and the files that the playlists list.
//!
//! ```text
//! message appended -> Hls::add -> segments (growth) -> lists
//! request -> requests -> segments (listing) -> playlist        a playlist, as text
//!                     -> file_name, reader                     a file, straight out of the log
//! ```
//!
//! A segment is a range of the log's messages, each framed as a fragment of MP4, so the bytes of a file
//! are generated anew whenever it is fetched. While the stream is watched, the log keeps everything
//! that playlists list. Otherwise it keeps enough for a first playlist, as long as no other stream
//! needs that memory.

mod decimal;
pub mod file_name;
mod lists;
pub mod playlist;
pub mod reader;
pub mod requests;
pub mod segment;
pub mod segments;
mod versions;

use std::sync::Arc;

use super::kind::Kind;
use super::log::Log;
use super::report::{Delivered, ViewerReport};
use super::tracks::Tracks;
use super::{Millis, When};
pub(super) use lists::FEW_LEN;
pub use lists::HlsViewer;
use reader::{framed_len, is_sample};
use segment::MediaSample;
use segments::Segments;
use versions::Versions;

/// A stream counts as watched for this long after the last request, in ms.
const WATCHED: Millis = 30_000;

/// A GOP is cut if the memory can't hold this many GOPs of its length: two listed ones, and the next.
const SEGMENTS_IN_MEMORY: u64 = 3;

/// The state that a stream keeps for HLS.
#[derive(Default)]
pub(super) struct Hls {
    segments: Segments,
    versions: Versions,
    /// Whether the server accepts HLS requests.
    is_served: bool,
    /// Whether all tracks were known when the last message was added.
    were_tracks_known: bool,
    /// A part of the file names, drawn at random at the first request.
    life: Option<u32>,
    /// The time of the last request.
    asked: When,
    /// Whether a media playlist has been sent.
    is_given: bool,
    /// The number of requests that wait.
    waiting: u32,
    /// The number of changes that requests may wait for, wrapping.
    pub(super) changes: u32,
    /// Whether there was a change that waiting requests haven't been notified of.
    has_news: bool,
}

/// The parts of a stream that its HLS state works on.
pub(super) struct StreamContext<'a> {
    pub(super) log: &'a mut Log,
    pub(super) tracks: &'a Arc<Tracks>,
    /// Whether it is known which tracks the publisher sends.
    pub(super) are_tracks_known: bool,
    /// The bit rate that the metadata announces, in bits per second.
    pub(super) announced_bandwidth: u32,
    pub(super) is_live: bool,
    pub(super) was_published: bool,
    pub(super) has_ended: bool,
}

impl StreamContext<'_> {
    /// Whether it is known that nothing of the stream fits into MP4.
    fn has_no_samples(&self) -> bool {
        let presentation = &self.tracks.presentation;
        presentation.video.is_none() && presentation.audio.is_none() && self.are_tracks_known
    }
}

impl Hls {
    pub(super) fn new(is_served: bool) -> Hls {
        Hls {
            is_served,
            ..Hls::default()
        }
    }

    /// Adds a message of the log, unless MP4 can't hold it. `is_audio_alone`: whether no video is
    /// expected.
    pub(super) fn note_sample(
        &mut self,
        number: u64,
        log: &mut Log,
        tracks: &Arc<Tracks>,
        are_tracks_known: bool,
        is_audio_alone: bool,
    ) {
        // In a build without HTTP nothing can ask for segments. This leaves out the code that makes them.
        if !cfg!(feature = "http") {
            return;
        }
        self.segments.prune(log.start());
        let Some(entry) = log.entry(number).filter(is_sample) else {
            return;
        };
        let are_new = !std::mem::replace(&mut self.were_tracks_known, are_tracks_known);
        let segments = &mut self.segments;
        let version = self.versions.version_of(tracks, are_new, segments);
        // The open segment's tracks, if its init segment doesn't describe the current ones.
        let open = segments.newest_version().filter(|open| *open != version);
        let open = open.and_then(|open| self.versions.tracks(open.into()));
        let open = &open.unwrap_or(tracks).presentation;
        let now = &tracks.presentation;
        let is_video = entry.meta.kind == Kind::Video;
        let (time, end) = tracks.span(&entry);
        let sample = MediaSample {
            number,
            time,
            end,
            arrived: entry.meta.arrived,
            len: framed_len(&entry) as u32,
            version,
            is_video,
            fits: if is_video {
                open.video == now.video
            } else {
                open.audio == now.audio
            },
            is_main: open.video.is_some() == is_video,
            is_join_point: if is_video {
                entry.meta.is_sync()
            } else {
                now.video.is_none() && are_tracks_known && is_audio_alone
            },
        };
        let max_bytes = log.capacity() / SEGMENTS_IN_MEMORY;
        if segments.add(&sample, max_bytes) {
            self.note_news(sample.arrived, log);
        }
    }

    /// A random number that tells the stream from others.
    pub(super) fn life(&mut self, nonce: fn() -> u32) -> u32 {
        *self.life.get_or_insert_with(nonce)
    }

    /// Ends the open segment, because the next message doesn't continue it.
    pub(super) fn cut_off(&mut self) {
        self.segments.cut_off();
        self.note_change();
    }

    /// Drops all segments that begin before message `number`.
    pub(super) fn forget_before(&mut self, number: u64) {
        self.segments.prune(number);
    }

    fn note_change(&mut self) {
        self.has_news = true;
        self.changes = self.changes.wrapping_add(1);
    }

    fn note_news(&mut self, now: Millis, log: &mut Log) {
        self.note_change();
        self.versions.forget_unused(&mut self.segments);
        let is_watched = self.is_watched(now);
        if !is_watched {
            self.segments.shrink();
        }
        if self.is_served {
            let kept_from = self.segments.needed_from(is_watched);
            // The open segment is never given up: without its beginning it would never be complete.
            let spare_to = (!is_watched).then(|| self.segments.open_from());
            log.set_kept_from(kept_from, spare_to);
        }
    }

    /// Whether waiting requests have to be notified now.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news) && self.waiting > 0
    }

    fn is_watched(&self, now: Millis) -> bool {
        self.watched_for(now) > 0
    }

    /// How long the stream still counts as watched without another request, in ms.
    pub(super) fn watched_for(&self, now: Millis) -> Millis {
        match self.asked.get() {
            Some(_) if self.waiting > 0 => WATCHED,
            Some(asked) => (asked + WATCHED).saturating_sub(now),
            None => 0,
        }
    }

    /// How long the ended stream must remain available so that its HLS viewers learn of the end, in ms;
    /// `None` if it has no HLS viewers.
    pub(super) fn tail(&self, now: Millis) -> Option<Millis> {
        self.max_wait().filter(|_| self.is_watched(now))
    }

    /// The tracks of all segments held.
    pub(super) fn held_tracks(&self) -> impl Iterator<Item = &Arc<Tracks>> + Clone {
        self.versions.all()
    }

    /// Drops the oldest tracks with their segments, unless they are the only ones.
    pub(super) fn forget_version(&mut self) -> bool {
        self.versions.forget_oldest(&mut self.segments)
    }

    /// The number of viewers: addresses that requested a playlist recently.
    pub(super) fn viewer_count(&self, now: Millis) -> usize {
        self.segments.lists.viewers(now).count()
    }

    /// Returns a viewer that is gone, to be logged; each only once.
    pub(super) fn take_gone(&mut self, now: Millis) -> Option<HlsViewer> {
        self.segments.lists.take_gone(now)
    }

    /// The viewer with the next higher id. Their ids are beyond those of subscribers.
    pub(super) fn viewer_after(&self, id: u64, now: Millis) -> Option<ViewerReport> {
        const FIRST: u64 = 1 << 63;

        let viewers = self.segments.lists.viewers(now);
        let mut viewers = viewers.map(|(place, viewer)| (FIRST + place as u64, viewer));
        let (id, viewer) = viewers.find(|(next, viewer)| viewer.connection > 0 && *next > id)?;
        Some(ViewerReport {
            id,
            connection: viewer.connection,
            protocol: "hls",
            since: viewer.since,
            delivered: Delivered::default(),
            lag: 0,
        })
    }
}
