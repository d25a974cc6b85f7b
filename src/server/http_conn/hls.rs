//! Playlists and what they name.
//!
//! A request for what comes next waits for it in this thread. What a segment is made of is copied
//! out of the log bit by bit, and sent while the log isn't locked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::Shared;
use super::super::end::End;
use super::admission::authorize;
use super::exchange::{Exchange, Reply};
use super::writer::{PIECE_LEN, Writer, why_over};
use crate::allowance::Allowance;
use crate::config::one_client;
use crate::http::response::Length;
use crate::http::route::{SegmentKind, SegmentName};
use crate::http::{Response, Route, Status, percent, range};
use crate::live::segments::Wanted;
use crate::live::stream::Stream;
use crate::live::stream::hls::{Asker, Evicted, Named, Playlist, Reading, Unavailable};
use crate::output::hls::{self, Carried};
use crate::output::status::utc;
use crate::rtmp::stream_key::StreamKey;

/// Longest header Range that is looked at, in bytes.
const MAX_RANGE_LEN: usize = 64;

/// Playlists change all the time; what they name never does.
const PLAYLIST_CACHE: &str = "no-cache";
const MEDIA_CACHE: &str = "max-age=3600, immutable";

/// What is asked of a stream. The answer may have to be waited for.
pub(super) struct Asked {
    stream: Arc<Stream>,
    what: What,
}

enum What {
    Playlist {
        wanted: Option<Wanted>,
        /// Of the media playlist; `None` if it is that one.
        uri: Option<String>,
        query: String,
        is_filled: bool,
    },
    Named {
        name: SegmentName,
        /// The header.
        range: Option<String>,
    },
}

/// Takes in a request for a playlist, a segment or a part of one.
#[inline(never)] // Its variables are not to be part of the stack of a viewer's thread.
pub(super) fn reply(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
    route: &Route,
) -> Result<Reply<'static>, End> {
    let admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    let Some(stream) = exchange.shared.table.find(admission.key()) else {
        return Ok(Response::not_found().into());
    };
    let head = exchange.head;
    if let Route::Segment(_, name) = route {
        let range = head.header("range");
        // A longer one is more than one range.
        let range = range.filter(|range| range.len() <= MAX_RANGE_LEN);
        let what = What::Named {
            name: *name,
            range: range.map(str::to_owned),
        };
        return Ok(Reply::Hls(Asked { stream, what }));
    }
    let query = head.query().unwrap_or_default();
    let (wanted, uri) = match route {
        Route::MediaPlaylist(_) => (wanted(query), None),
        _ => (Ok(None), Some(media_uri(head.path(), key))),
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(why) => return Ok(Response::text(Status::BadRequest, why).into()),
    };
    // A longer one isn't carried on.
    let query = Some(query).filter(|query| query.len() <= hls::MAX_QUERY_LEN);
    let what = What::Playlist {
        wanted,
        uri,
        query: query.unwrap_or_default().to_owned(),
        is_filled: is_of_apple(head.header("user-agent")),
    };
    Ok(Reply::Hls(Asked { stream, what }))
}

impl Asked {
    /// Waits for the answer, and sends it.
    #[inline(never)]
    pub(super) fn write(
        mut self,
        writer: &mut Writer<'_>,
        allowance: &Allowance,
    ) -> Result<(), End> {
        let paid = match &mut self.what {
            What::Playlist { uri, query, .. } => {
                let uri = uri.as_ref().map_or(0, String::capacity);
                allowance.take(query.capacity() + uri)
            }
            What::Named { .. } => allowance.take(MAX_RANGE_LEN),
        };
        let Ok(_paid) = paid else {
            return writer.respond(super::no_memory());
        };
        match self.what {
            What::Playlist {
                wanted,
                uri,
                query,
                is_filled,
            } => {
                let answer = asking(writer, |asker| self.stream.playlist(wanted, asker))?;
                let playlist = match answer {
                    Ok(playlist) => playlist,
                    Err(refusal) => return writer.respond(refusal),
                };
                let Ok(_paid) = allowance.take(playlist.listing.memory()) else {
                    return writer.respond(super::no_memory());
                };
                write_playlist(writer, &playlist, uri.as_deref(), &query, is_filled)
            }
            What::Named { name, range } => {
                match asking(writer, |asker| self.stream.named(name, asker))? {
                    Ok(Named::Init(_)) => write_init(writer, &self.stream, name.kind),
                    Ok(Named::Media(reading)) => {
                        write_media(writer, &self.stream, reading, range.as_deref())
                    }
                    Err(refusal) => writer.respond(refusal),
                }
            }
        }
    }
}

#[inline(never)] // Its variables are not to be part of the stack of other answers.
fn write_playlist(
    writer: &mut Writer<'_>,
    playlist: &Playlist,
    uri: Option<&str>,
    query: &str,
    is_filled: bool,
) -> Result<(), End> {
    let epoch = epoch(writer.shared);
    let mut response = Response::new(hls::CONTENT_TYPE, Vec::new());
    response.cache = PLAYLIST_CACHE;
    let (listing, query) = (&playlist.listing, Carried(query));
    let presentation = &playlist.tracks.presentation;
    writer.write_made(response, |out| {
        // Who can't take any more keeps that to itself.
        let _ = match uri {
            Some(uri) => hls::multivariant(out, listing, presentation, uri, query),
            None => hls::media(out, listing, playlist.life, epoch, query, is_filled),
        };
    })
}

/// Asks a stream for something, as this client: what it answers, or what the client is answered.
#[inline(never)] // Its variables are not to be part of the stack of what follows.
fn asking<T>(
    writer: &Writer<'_>,
    ask: impl FnOnce(Asker<'_>) -> Result<T, Unavailable>,
) -> Result<Result<T, Response>, End> {
    let (shared, client) = (writer.shared, writer.client());
    let mut random = [0; 4];
    // Without random numbers the time will do: it is the name of nothing that is secret.
    if getrandom::fill(&mut random).is_err() {
        random = (epoch(shared) as u32).to_be_bytes();
    }
    let address = client.address().ip();
    let asker = Asker {
        address,
        client: one_client(address),
        now: shared.now(),
        nonce: u32::from_be_bytes(random),
        waiters: &shared.waiters,
        is_over: &|| why_over(shared, client).is_some(),
    };
    match ask(asker) {
        Ok(answer) => Ok(Ok(answer)),
        Err(Unavailable::Over) => Err(why_over(shared, client).unwrap_or(End::Closed)),
        Err(why) => Ok(Err(refusal(why))),
    }
}

/// The media playlist, as seen from the URL of the other one.
fn media_uri(path: &str, key: &StreamKey) -> String {
    let name = key.as_str().rsplit('/').next().unwrap_or_default();
    match path.ends_with("/index.m3u8") {
        true => "media.m3u8".to_owned(),
        false => [&percent::encode(name), "/media.m3u8"].concat(),
    }
}

/// Others take gaps for segments that can't be fetched.
fn is_of_apple(user_agent: Option<&str>) -> bool {
    user_agent.is_some_and(|name| name.starts_with("AppleCoreMedia/"))
}

/// What a request for the media playlist waits for (RFC 8216bis, 6.2.5.2).
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

/// When the server's clock was 0, in ms since 1970. Segments keep their dates until the wall clock is
/// set: the difference of two clocks isn't the same at any two moments.
fn epoch(shared: &Shared) -> u64 {
    /// ms
    const JITTER: u64 = 20;

    let epoch = utc::wall_clock().saturating_sub(shared.now());
    let before = shared.epoch.load(Ordering::Relaxed);
    if epoch.abs_diff(before) <= JITTER {
        return before;
    }
    shared.epoch.store(epoch, Ordering::Relaxed);
    epoch
}

#[inline(never)] // Its variables are not to be part of the stack of other answers.
fn write_media(
    writer: &mut Writer<'_>,
    stream: &Stream,
    mut reading: Reading,
    range: Option<&str>,
) -> Result<(), End> {
    let len = reading.len;
    let mut response = Response::new(content_type(reading.has_video), Vec::new());
    response.cache = MEDIA_CACHE;
    response = response.header("Accept-Ranges", "bytes");
    match range::parse(range, len) {
        Ok(None) => {}
        Ok(Some(range)) => {
            let part = range.end - range.start;
            if stream.cut(&mut reading, range.start, part).is_err() {
                return writer.respond(Response::not_found());
            }
            response.status = Status::PartialContent;
            response = response.header("Content-Range", &range::content_range(Some(&range), len));
        }
        Err(range::Unsatisfiable) => {
            let content_range = range::content_range(None, len);
            let refusal = Response::text(Status::RangeNotSatisfiable, "no such range");
            return writer.respond(refusal.header("Content-Range", &content_range));
        }
    }
    writer.begin(response, Length::Known(reading.len))?;
    copy(writer, stream, &mut reading)
}

/// Sends an init segment. It is made anew for each piece, so that nobody who takes it slowly holds a
/// long one, nor the headers that it is made of.
#[inline(never)] // Its variables are not to be part of the stack of other answers.
fn write_init(writer: &mut Writer<'_>, stream: &Stream, kind: SegmentKind) -> Result<(), End> {
    let mut sent = 0;
    loop {
        let mut piece = [0; PIECE_LEN];
        let Some(part) = part_of_init(stream, kind, sent, &mut piece) else {
            // It is of no use to anybody any more.
            return match sent {
                0 => writer.respond(Response::not_found()),
                _ => Ok(()),
            };
        };
        if sent == 0 {
            let mut response = Response::new(content_type(part.has_video), Vec::new());
            response.cache = MEDIA_CACHE;
            writer.begin(response, Length::Known(part.total as u64))?;
        }
        writer.write(piece.get(..part.len).unwrap_or_default())?;
        sent += part.len;
        if sent == part.total || part.len == 0 {
            return Ok(());
        }
    }
}

/// A part of an init segment, which was copied.
struct InitPart {
    has_video: bool,
    len: usize,
    /// Of the whole.
    total: usize,
}

#[inline(never)]
fn part_of_init(
    stream: &Stream,
    kind: SegmentKind,
    start: usize,
    out: &mut [u8],
) -> Option<InitPart> {
    let tracks = stream.init(kind)?;
    let init = tracks.presentation.init_segment();
    let part = init.get(start..)?;
    let part = part.get(..out.len()).unwrap_or(part);
    out.get_mut(..part.len())?.copy_from_slice(part);
    Some(InitPart {
        has_video: tracks.presentation.video.is_some(),
        len: part.len(),
        total: init.len(),
    })
}

/// Sends messages of the log, of which the head has told the length.
pub(super) fn copy(
    writer: &mut Writer<'_>,
    stream: &Stream,
    reading: &mut Reading,
) -> Result<(), End> {
    if !writer.wants_body() {
        return Ok(());
    }
    match writer.shared.scratches.take() {
        Some(mut block) => copy_through(block.bytes_mut(), writer, stream, reading),
        None => copy_slowly(writer, stream, reading),
    }
}

#[inline(never)] // Its buffer is not to be part of the stack of others.
fn copy_slowly(writer: &mut Writer<'_>, stream: &Stream, reading: &mut Reading) -> Result<(), End> {
    copy_through(&mut [0; PIECE_LEN], writer, stream, reading)
}

#[inline(never)]
fn copy_through(
    buffer: &mut [u8],
    writer: &mut Writer<'_>,
    stream: &Stream,
    reading: &mut Reading,
) -> Result<(), End> {
    loop {
        let now = writer.shared.now();
        match stream.read(reading, buffer, now) {
            Ok(0) => return Ok(()),
            Ok(len) => writer.write(buffer.get(..len).unwrap_or_default())?,
            // The response is cut short, and the connection ends for it.
            Err(Evicted) => {
                log::debug!("{}: too slow for a segment", writer.client());
                return Ok(());
            }
        }
    }
}

fn content_type(has_video: bool) -> &'static str {
    if has_video { "video/mp4" } else { "audio/mp4" }
}

fn refusal(why: Unavailable) -> Response {
    let later = |why| Response::text(Status::ServiceUnavailable, why).header("Retry-After", "1");
    match why {
        Unavailable::NotFound => Response::not_found(),
        Unavailable::TooFar => Response::text(
            Status::BadRequest,
            "_HLS_msn or _HLS_part is too far in the future",
        ),
        Unavailable::TimedOut => later("nothing new has come"),
        Unavailable::TooMany | Unavailable::Over => later("too many requests wait"),
        Unavailable::NoMemory => super::no_memory(),
        Unavailable::NoCodec => Response::text(
            Status::UnsupportedMediaType,
            "the stream's codecs don't fit this format. Try RTMP, or .flv",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_playlist_is_beside_the_other_one_or_below() {
        let key = StreamKey::new("live", "a:b c").unwrap();
        for (path, uri) in [
            ("/live/a:b%20c.m3u8", "a%3Ab%20c/media.m3u8"),
            ("/live/a:b%20c/index.m3u8", "media.m3u8"),
        ] {
            assert_eq!(media_uri(path, &key), uri);
        }
    }

    #[test]
    fn what_is_waited_for_stands_in_the_query() {
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
