//! Requests for HLS playlists, and for the files that they list.
//!
//! A request for a part or segment that doesn't exist yet waits for it on its connection's thread.

mod sessions;
mod waiting;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::exchange::{Exchange, not_live};
use super::ranged::{MAX_RANGE_LEN, Ranged};
use super::sending::send;
use super::writer::{PIECE_LEN, Writer};
use crate::allowance::Allowance;
use crate::http::response::Length;
use crate::http::{Response, Route, Status, conditions, percent};
use crate::live::hls::file_name::FileName;
use crate::live::hls::playlist::{self, Carried, MediaContext};
use crate::live::hls::reader::FragmentReader;
use crate::live::hls::requests::{Answer, HlsRequest, Playlist, Unavailable};
use crate::live::hls::segments::Wanted;
use crate::live::stream::Stream;
use crate::live::tracks::Tracks;
use crate::rtmp::stream_key::StreamKey;
use crate::server::Shared;
use crate::server::http_conn::{HttpEnd, log_viewer};
use crate::server::wall_clock;
pub(in crate::server) use sessions::HlsSessions;
pub(in crate::server) use waiting::Waiters;

/// The maximum length of If-None-Match for a playlist, in bytes. A player sends one or two tags.
const MAX_KNOWN_LEN: usize = 256;

/// The values of Cache-Control: a playlist changes all the time, a file that it lists never does.
const PLAYLIST_CACHE: &str = "no-cache";
const FILE_CACHE: &str = "max-age=3600, immutable";

/// An admitted request, whose answer may not exist yet.
pub(super) struct HlsTask {
    stream: Arc<Stream>,
    request: HlsRequest,
    /// The URI of the media playlist in the multivariant playlist.
    media_uri: String,
    query: String,
    /// Whether gaps fill a playlist that is too short.
    is_filled: bool,
    /// The tags of the playlists that the client has.
    known: String,
    /// The wanted part of a file.
    part: Option<Ranged>,
}

/// Checks and parses a request for a playlist or a file.
#[inline(never)] // Keeps these locals off the stack while the answer is sent.
pub(super) fn reply(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
    route: &Route,
) -> Result<HlsTask, Response> {
    let file = match route {
        Route::HlsFile(_, name) => Some(FileName::parse(name).ok_or_else(Response::not_found)?),
        _ => None,
    };
    let admission = exchange.authorize(key)?;
    let name = admission.key.clone();
    let stream = admission.published(exchange.shared);
    let stream = stream.ok_or_else(|| not_found(file.is_some(), &name))?;
    let head = exchange.head;
    let query = head.query().unwrap_or_default();
    let request = match (file, route) {
        (Some(name), _) => HlsRequest::File(name),
        (None, Route::MediaPlaylist(_)) => {
            let wanted = wanted(query).map_err(|why| Response::text(Status::BadRequest, why))?;
            HlsRequest::Media(wanted)
        }
        _ => HlsRequest::Multivariant,
    };
    let mut task = HlsTask {
        stream,
        request,
        media_uri: String::new(),
        query: String::new(),
        is_filled: is_of_apple(head.header("user-agent")),
        known: String::new(),
        part: file.map(|name| Ranged::new(head, conditions::tag(&name))),
    };
    if file.is_none() {
        if request == HlsRequest::Multivariant {
            task.media_uri = media_uri(head.path(), key);
        }
        if query.len() <= playlist::MAX_QUERY_LEN {
            task.query = query.to_owned();
        }
        task.known = head.known_tags();
        if task.known.len() > MAX_KNOWN_LEN {
            task.known = String::new();
        }
    }
    Ok(task)
}

/// Returns the response if the stream, or a file of it, doesn't exist.
fn not_found(is_file: bool, key: &StreamKey) -> Response {
    if is_file {
        Response::not_found()
    } else {
        not_live(key)
    }
}

impl HlsTask {
    /// Waits for the answer, and sends it.
    #[inline(never)]
    pub(super) fn run(self, writer: &mut Writer<'_>, allowance: &Allowance) -> Result<(), HttpEnd> {
        let texts = [&self.media_uri, &self.query, &self.known];
        let len: usize = texts.map(String::capacity).iter().sum();
        let len = len + self.part.as_ref().map_or(0, |part| part.tag.capacity());
        let Ok(_paid) = allowance.take(len + MAX_RANGE_LEN) else {
            return writer.respond(super::no_memory());
        };
        match waiting::answer(writer, &self.stream, self.request)? {
            Ok(Answer::Playlist(playlist)) => {
                if playlist.is_new_viewer {
                    log_viewer(writer.shared, writer.client, self.stream.key(), "HLS");
                }
                let Ok(_paid) = allowance.take(playlist.listing.memory()) else {
                    return writer.respond(super::no_memory());
                };
                self.write_playlist(writer, &playlist)
            }
            Ok(Answer::Init(version, tracks)) => {
                let (len, has_video) = measure_init(&tracks);
                // Dropped, so that a slow client doesn't hold on to them.
                drop(tracks);
                match self.file_response(has_video, len) {
                    Ok((response, range)) => {
                        writer.begin(response, Length::Known(range.end - range.start))?;
                        send_init(writer, &self.stream, version, range)
                    }
                    Err(response) => writer.respond(response),
                }
            }
            Ok(Answer::Media(reader)) => self.write_media(writer, reader),
            Err(refusal) if refusal.status == Status::NotFound => {
                let is_file = matches!(self.request, HlsRequest::File(_));
                writer.respond(not_found(is_file, self.stream.key()))
            }
            Err(refusal) => writer.respond(refusal),
        }
    }

    #[inline(never)] // Keeps these locals off the stack of other answers.
    fn write_playlist(&self, writer: &mut Writer<'_>, playlist: &Playlist) -> Result<(), HttpEnd> {
        let context = MediaContext {
            life: playlist.life,
            epoch: epoch(writer.shared),
            query: Carried(&self.query),
            is_filled: self.is_filled,
        };
        let mut response = Response::new(playlist::CONTENT_TYPE, Vec::new());
        response.cache = PLAYLIST_CACHE;
        let (listing, presentation) = (&playlist.listing, &playlist.tracks.presentation);
        writer.write_tagged(response, &self.known, &|out| match self.request {
            HlsRequest::Multivariant => playlist::write_multivariant(
                out,
                listing,
                presentation,
                &self.media_uri,
                context.query,
            ),
            _ => playlist::write_media(out, listing, context),
        })
    }

    /// Returns the response for a file and the range of bytes to send, or the response to send instead
    /// of the file.
    fn file_response(&self, has_video: bool, len: u64) -> Result<(Response, Range<u64>), Response> {
        let content_type = if has_video { "video/mp4" } else { "audio/mp4" };
        let mut response = Response::new(content_type, Vec::new());
        response.cache = FILE_CACHE;
        match &self.part {
            Some(part) => part.open(response, len),
            None => Err(Response::not_found()),
        }
    }

    #[inline(never)] // Keeps these locals off the stack of other answers.
    fn write_media(
        &self,
        writer: &mut Writer<'_>,
        mut reader: FragmentReader,
    ) -> Result<(), HttpEnd> {
        let (response, range) = match self.file_response(reader.has_video, reader.len) {
            Ok(opening) => opening,
            Err(response) => return writer.respond(response),
        };
        let len = range.end - range.start;
        let is_cut = len < reader.len;
        if is_cut && self.stream.cut(&mut reader, range.start, len).is_err() {
            return writer.respond(Response::not_found());
        }
        let head = writer.head(response, Length::Known(len));
        send(writer, &self.stream, &mut reader, &head)
    }
}

/// Returns the length of an init segment, and whether it contains video.
#[inline(never)]
fn measure_init(tracks: &Tracks) -> (u64, bool) {
    let presentation = &tracks.presentation;
    let len = presentation.init_segment().len();
    (len as u64, presentation.video.is_some())
}

/// Sends a range of an init segment. The segment is made again for each piece, so that a slow client
/// holds neither a long segment nor the headers that it is made of.
#[inline(never)] // Keeps these locals off the stack of other answers.
fn send_init(
    writer: &mut Writer<'_>,
    stream: &Stream,
    version: u64,
    mut range: Range<u64>,
) -> Result<(), HttpEnd> {
    while writer.wants_body() && !range.is_empty() {
        let mut piece = [0; PIECE_LEN];
        // If no segment needs this version any more, the response stays incomplete and the connection
        // ends.
        let Some(piece) = piece_of_init(stream, version, &range, &mut piece) else {
            break;
        };
        writer.write(piece)?;
        range.start += piece.len() as u64;
    }
    Ok(())
}

#[inline(never)]
fn piece_of_init<'a>(
    stream: &Stream,
    version: u64,
    range: &Range<u64>,
    out: &'a mut [u8],
) -> Option<&'a [u8]> {
    let init = stream.init(version)?.presentation.init_segment();
    let (start, end) = (range.start as usize, range.end as usize);
    let part = init.get(start..end.min(start + out.len()))?;
    let out = out.get_mut(..part.len())?;
    out.copy_from_slice(part);
    Some(out)
}

pub(super) fn random() -> u32 {
    let mut random = [0; 4];
    // Without a random number, the time is good enough: the value isn't a secret.
    match getrandom::fill(&mut random) {
        Ok(()) => u32::from_be_bytes(random),
        Err(_) => wall_clock::now() as u32,
    }
}

/// Returns the URI of the media playlist, relative to the URL of the multivariant playlist.
fn media_uri(path: &str, key: &StreamKey) -> String {
    let name = key.as_str().rsplit('/').next().unwrap_or_default();
    if path.ends_with("/index.m3u8") {
        "media.m3u8".to_owned()
    } else {
        [&percent::encode(name), "/media.m3u8"].concat()
    }
}

/// Whether the client is one of Apple's players. Other players treat gaps as segments that failed to
/// load.
fn is_of_apple(user_agent: Option<&str>) -> bool {
    user_agent.is_some_and(|name| name.starts_with("AppleCoreMedia/"))
}

/// Parses the segment and part that a request for the media playlist waits for (RFC 8216bis, 6.2.5.2).
fn wanted(query: &str) -> Result<Option<Wanted>, &'static str> {
    let number = |name: &str| {
        let mut parameters = query.split('&').filter_map(|p| p.split_once('='));
        let Some((_, digits)) = parameters.find(|(key, _)| *key == name) else {
            return Ok(None);
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse::<u64>().ok().filter(|_| is_number);
        number
            .map(Some)
            .ok_or("_HLS_msn and _HLS_part are decimal numbers")
    };
    match (number("_HLS_msn")?, number("_HLS_part")?) {
        (None, None) => Ok(None),
        (Some(segment), None) => Ok(Some(Wanted::Segment(segment))),
        (Some(segment), Some(part)) => Ok(Some(Wanted::Part(segment, part))),
        (None, Some(_)) => Err("_HLS_part without _HLS_msn"),
    }
}

/// Returns the wall-clock time at which the server's clock was 0, in ms since 1970. It stays the same
/// unless the machine's time was changed, so that the dates in a playlist don't depend on the time of
/// the request.
fn epoch(shared: &Shared) -> u64 {
    /// Smaller differences, in ms, come from rounding or aren't worth a change.
    const SLACK: u64 = 20;

    let now = shared.now();
    let epoch = wall_clock::now().saturating_sub(now);
    let before = shared.epoch.load(Ordering::Relaxed);
    // If this thread was interrupted between reading the two clocks, their difference is meaningless.
    let was_interrupted = before > 0 && shared.now() > now + 1;
    if was_interrupted || before.abs_diff(epoch) < SLACK {
        return before;
    }
    shared.epoch.store(epoch, Ordering::Relaxed);
    epoch
}

fn refusal(why: Unavailable) -> Response {
    match why {
        Unavailable::NotFound => Response::not_found(),
        Unavailable::TooFar => Response::text(
            Status::BadRequest,
            "_HLS_msn or _HLS_part is too far in the future",
        ),
        Unavailable::NoMemory => super::no_memory(),
        Unavailable::NoCodec => Response::text(Status::UnsupportedMediaType, super::NO_CODEC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_playlist_is_next_to_the_multivariant_one_or_below_it() {
        let key = StreamKey::new("live", "a:b c").unwrap();
        for (path, uri) in [
            ("/live/a:b%20c.m3u8", "a%3Ab%20c/media.m3u8"),
            ("/live/a:b%20c/index.m3u8", "media.m3u8"),
        ] {
            assert_eq!(media_uri(path, &key), uri);
        }
    }

    #[test]
    fn the_query_tells_what_to_wait_for() {
        let numbers = "_HLS_msn and _HLS_part are decimal numbers";
        for (query, expected) in [
            ("", Ok(None)),
            ("key=a", Ok(None)),
            ("_HLS_msn=7", Ok(Some(Wanted::Segment(7)))),
            ("key=a&_HLS_part=2&_HLS_msn=7", Ok(Some(Wanted::Part(7, 2)))),
            ("_HLS_part=2", Err("_HLS_part without _HLS_msn")),
            ("_HLS_msn=", Err(numbers)),
            ("_HLS_msn=-1", Err(numbers)),
            ("_HLS_msn=+1", Err(numbers)),
            ("_HLS_msn=1.5", Err(numbers)),
            ("_HLS_msn=99999999999999999999", Err(numbers)),
            ("_HLS_msn=1&_HLS_part=x", Err(numbers)),
        ] {
            assert_eq!(wanted(query), expected, "{query}");
        }
    }
}
