//! Requests for playlists and files.
//!
//! Nothing here blocks. A request that comes too early is told how long to wait, and looks again after
//! each change (see `live/stream/hls.rs`):
//!
//! ```text
//! ask -> Look::Answer
//!     -> Look::Wait -> begin_wait -> (the caller waits) -> look_again -> Look::Answer -> end_wait
//!                                           ^                  -> Look::Wait
//!                                           +------------------------/
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use super::file_name::{FileKind, FileName};
use super::reader::FragmentReader;
use super::segments::{Listing, Lookup, Wanted};
use super::{Hls, StreamContext};
use crate::live::out::format::mp4::Base;
use crate::live::tracks::Tracks;
use crate::live::{Millis, When};

/// The time that a request waits for the first segment, or for more segments if players need more to
/// start, in ms: enough for any segment, and less than most players wait.
const FIRST_WAIT: Millis = 12_000;

/// The time that a request waits for the return of the publisher before the client has to ask again, in
/// ms.
const RETURN_WAIT: Millis = 5_000;

/// The time that a request waits for the next segment or part, in target durations (RFC 8216bis,
/// 6.2.5.2).
const MAX_WAIT: Millis = 3;

/// A request for a playlist or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HlsRequest {
    /// The multivariant playlist.
    Multivariant,
    /// The media playlist, once it contains the segment or part that is wanted, if any.
    Media(Option<Wanted>),
    /// A file that the media playlist lists.
    File(FileName),
}

/// The sender of a request, and its time.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The client's address.
    pub address: IpAddr,
    /// The number of its connection.
    pub connection: u64,
    /// When it sent the request.
    pub now: Millis,
    /// Draws a random number.
    pub nonce: fn() -> u32,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The contents of both playlists.
    Playlist(Box<Playlist>),
    /// The version and tracks of an init segment.
    Init(u64, Arc<Tracks>),
    /// A segment or part, to be read.
    Media(FragmentReader),
}

/// See [`Answer::Playlist`].
#[derive(Clone, Debug)]
pub struct Playlist {
    /// The content of the media playlist.
    pub listing: Listing,
    /// The life of the stream, for the names of files.
    pub life: u32,
    /// The tracks of the newest segment.
    pub tracks: Arc<Tracks>,
    /// Whether the request was the viewer's first one.
    pub is_new_viewer: bool,
}

/// The outcome of a request.
#[derive(Clone, Debug)]
pub enum Look {
    /// The answer to the request.
    Answer(Answer),
    /// The answer isn't available yet.
    Wait {
        /// How long the request may wait in total, in ms.
        limit: Millis,
        /// The changes that this look has taken into account, as counted by `Hls::changes`.
        seen: u32,
    },
}

/// The reason why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The file doesn't exist, or no longer exists.
    NotFound,
    /// The request is for something too far in the future.
    TooFar,
    /// Nothing of the stream fits into MP4.
    NoCodec,
    /// The arena has no memory for the lists of segments and parts.
    NoMemory,
}

impl Hls {
    /// Answers a request, or returns how long it has to wait.
    pub(in crate::live) fn ask(
        &mut self,
        request: HlsRequest,
        asker: &Asker,
        stream: &mut StreamContext<'_>,
    ) -> Result<Look, Unavailable> {
        self.note_request(request, asker, stream)?;
        self.look_again(request, asker, false, stream)
    }

    /// Notes that a request begins to wait. Until it no longer waits, the stream counts as watched.
    pub(in crate::live) fn begin_wait(&mut self) {
        self.waiting += 1;
    }

    /// Notes that a request no longer waits.
    pub(in crate::live) fn end_wait(&mut self, now: Millis) {
        self.waiting -= 1;
        self.asked = self.asked.max(When::at(now));
    }

    /// The tracks of an init segment. The call doesn't count as a request that shows that somebody
    /// watches.
    pub(in crate::live) fn init(&self, version: u64) -> Option<Arc<Tracks>> {
        self.versions.tracks(version).map(Arc::clone)
    }

    /// Notes that the stream is watched, and makes sure that future segments are kept.
    fn note_request(
        &mut self,
        request: HlsRequest,
        asker: &Asker,
        stream: &mut StreamContext<'_>,
    ) -> Result<(), Unavailable> {
        // A name that no playlist of this stream lists doesn't show that anybody watches.
        let is_of_this_life = match request {
            HlsRequest::File(name) => self.life == Some(name.life),
            _ => true,
        };
        if !stream.was_published || !is_of_this_life {
            return Err(Unavailable::NotFound);
        }
        // While the stream is live, its lists will grow.
        if stream.is_live && !self.segments.lists.has_block() {
            let block = stream.log.take_block().ok_or(Unavailable::NoMemory)?;
            self.segments.lists.move_to(Some(block));
        }
        self.life.get_or_insert_with(asker.nonce);
        // From the first request on, no message that HLS needs is spare.
        if !self.is_watched(asker.now) {
            stream
                .log
                .set_kept_from(self.segments.needed_from(true), None);
        }
        self.asked = self.asked.max(When::at(asker.now));
        if let HlsRequest::Media(_) = request {
            self.segments.lists.note_viewer(asker.address, asker.now);
        }
        Ok(())
    }

    /// Looks again for the answer to a waiting request. `is_last`: whether the request won't wait any
    /// longer.
    pub(in crate::live) fn look_again(
        &mut self,
        request: HlsRequest,
        asker: &Asker,
        is_last: bool,
        stream: &mut StreamContext<'_>,
    ) -> Result<Look, Unavailable> {
        self.segments.prune(stream.log.start());
        match request {
            HlsRequest::Multivariant => self.playlist(stream),
            HlsRequest::Media(wanted) => self.media_playlist(wanted, asker, is_last, stream),
            HlsRequest::File(name) => self.file(name.kind, stream.has_ended),
        }
    }

    fn wait(&self, limit: Millis) -> Look {
        Look::Wait {
            limit,
            seen: self.changes,
        }
    }

    fn media_playlist(
        &mut self,
        wanted: Option<Wanted>,
        asker: &Asker,
        is_last: bool,
        stream: &StreamContext<'_>,
    ) -> Result<Look, Unavailable> {
        let may_wait = stream.is_live && !is_last && !stream.has_ended;
        if may_wait && !self.is_given && !self.segments.is_fit_to_start() {
            return if stream.has_no_samples() {
                Err(Unavailable::NoCodec)
            } else {
                Ok(self.wait(FIRST_WAIT))
            };
        }
        if let (Some(wanted), Some(limit), false) = (wanted, self.max_wait(), stream.has_ended) {
            match self.segments.has(wanted) {
                Lookup::Found(()) => {}
                Lookup::Missing => return Err(Unavailable::TooFar),
                // While the publisher is away, requests that have waited get the current playlist.
                Lookup::NotYet if is_last && !stream.is_live => {}
                // A playlist without the wanted segment or part would be no answer (RFC 8216bis,
                // 6.2.5.2).
                Lookup::NotYet => return Ok(self.wait(limit)),
            }
        }
        let mut look = self.playlist(stream)?;
        if let Look::Answer(Answer::Playlist(playlist)) = &mut look {
            self.is_given = true;
            let lists = &mut self.segments.lists;
            playlist.is_new_viewer = lists.note_connection(asker.address, asker.connection);
        }
        Ok(look)
    }

    fn playlist(&mut self, stream: &StreamContext<'_>) -> Result<Look, Unavailable> {
        if stream.is_live && stream.has_no_samples() {
            return Err(Unavailable::NoCodec);
        }
        let first_wait = if stream.is_live {
            FIRST_WAIT
        } else {
            RETURN_WAIT
        };
        if self.segments.target.is_none() && !stream.are_tracks_known && !stream.has_ended {
            return Ok(self.wait(first_wait));
        }
        let is_safe = |number| stream.log.is_safe(number);
        let listing = self.segments.listing(stream.has_ended, &is_safe);
        match (listing, self.versions.all().next_back()) {
            (Some(mut listing), Some(tracks)) => {
                listing.bandwidth = listing.bandwidth.max(stream.announced_bandwidth);
                Ok(Look::Answer(Answer::Playlist(Box::new(Playlist {
                    listing,
                    life: self.life.unwrap_or_default(),
                    tracks: Arc::clone(tracks),
                    is_new_viewer: false,
                }))))
            }
            _ if stream.has_ended => Err(Unavailable::NotFound),
            _ => Ok(self.wait(first_wait)),
        }
    }

    fn file(&self, kind: FileKind, has_ended: bool) -> Result<Look, Unavailable> {
        let (messages, len, segment) = match kind {
            FileKind::Init(version) => {
                let tracks = self.versions.tracks(version);
                let tracks = tracks.ok_or(Unavailable::NotFound)?;
                return Ok(Look::Answer(Answer::Init(version, Arc::clone(tracks))));
            }
            FileKind::Segment(number) => {
                let segment = self.segments.segment(number);
                let segment = segment.ok_or(Unavailable::NotFound)?;
                (segment.messages.clone(), segment.bytes, segment)
            }
            FileKind::Part(number, part) => match self.segments.part(number, part) {
                Lookup::Found((part, segment)) => (part.messages, part.bytes.into(), segment),
                Lookup::NotYet if !has_ended => {
                    return Ok(self.wait(self.max_wait().unwrap_or(0)));
                }
                _ => return Err(Unavailable::NotFound),
            },
        };
        let tracks = self.versions.tracks(segment.version.into());
        let has_video = tracks.is_some_and(|tracks| tracks.presentation.video.is_some());
        // Timestamps are those of the stream, so that the file is the same for everyone.
        let base = Base::default();
        let reader = FragmentReader::new(messages, len, segment.set, base, has_video);
        Ok(Look::Answer(Answer::Media(reader)))
    }

    /// The time that a request waits for the next segment or part, in ms; `None` before there is a
    /// target duration.
    pub(super) fn max_wait(&self) -> Option<Millis> {
        let target = self.segments.target?;
        Some(Millis::from(target) * 1_000 * MAX_WAIT)
    }
}
