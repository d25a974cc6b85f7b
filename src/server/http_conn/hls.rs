//! Playlists and what they name.
//!
//! A request for what comes next waits for it in this thread. What a segment is made of is sent
//! straight out of the log as long as the client takes it; nobody waits while that is locked.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::Shared;
use super::super::end::ConnectionEnd;
use super::super::lines::About;
use super::super::text::in_brackets;
use super::admission::authorize;
use super::end::HttpEnd;
use super::exchange::{Exchange, Reply};
use super::watch::not_live;
use super::writer::{PIECE_LEN, Writer, why_over};
use crate::allowance::Allowance;
use crate::config::{Shown, one_client};
use crate::http::response::Length;
use crate::http::route::{SegmentKind, SegmentName};
use crate::http::{Response, Route, Status, conditions, percent, range};
use crate::live::segments::Wanted;
use crate::live::stream::Stream;
use crate::live::stream::hls::{Asker, Evicted, Named, Playlist, Reading, Unavailable};
use crate::live::tracks::Tracks;
use crate::output::hls::{self, Carried};
use crate::output::status::utc;
use crate::rtmp::stream_key::StreamKey;

/// Longest header Range that is looked at, in bytes.
const MAX_RANGE_LEN: usize = 64;

/// Longest list of tags that is looked at for a playlist, in bytes. A player knows one or two.
const MAX_KNOWN_LEN: usize = 256;

/// Bytes with which it is waited for a client to take more.
const WAITING_LEN: usize = 512;

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
        /// Tags of those that the client has.
        known: String,
    },
    Named {
        name: SegmentName,
        /// The client has it.
        is_known: bool,
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
) -> Result<Reply<'static>, HttpEnd> {
    let admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    let Some(stream) = exchange.shared.table.find(admission.key()) else {
        let response = match route {
            Route::Segment(..) => Response::not_found(),
            _ => not_live(admission.key()),
        };
        return Ok(response.into());
    };
    let head = exchange.head;
    if let Route::Segment(_, name) = route {
        let tag = conditions::tag(name);
        // A longer one is more than one range.
        let range = head.range(&tag);
        let range = range.filter(|range| range.len() <= MAX_RANGE_LEN);
        let what = What::Named {
            name: *name,
            is_known: conditions::lists(&head.known_tags(), &tag),
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
    let known = Some(head.known_tags()).filter(|known| known.len() <= MAX_KNOWN_LEN);
    let what = What::Playlist {
        wanted,
        uri,
        known: known.unwrap_or_default(),
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
    ) -> Result<(), HttpEnd> {
        let paid = match &mut self.what {
            What::Playlist {
                uri, query, known, ..
            } => {
                let uri = uri.as_ref().map_or(0, String::capacity);
                allowance.take(query.capacity() + known.capacity() + uri)
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
                known,
            } => {
                let answer = asking(writer, |asker| match uri {
                    Some(_) => self.stream.outline(asker),
                    None => self.stream.playlist(wanted, asker),
                })?;
                let playlist = match answer {
                    Ok(playlist) => playlist,
                    Err(refusal) if refusal.status == Status::NotFound => {
                        return writer.respond(not_live(self.stream.key()));
                    }
                    Err(refusal) => return writer.respond(refusal),
                };
                if uri.is_none() {
                    note_viewer(writer, &self.stream);
                }
                let Ok(_paid) = allowance.take(playlist.listing.memory()) else {
                    return writer.respond(super::no_memory());
                };
                write_playlist(writer, &playlist, uri.as_deref(), &query, is_filled, &known)
            }
            What::Named {
                name,
                is_known,
                range,
            } => {
                let named = match asking(writer, |asker| self.stream.named(name, asker))? {
                    Ok(named) => named,
                    Err(refusal) => return writer.respond(refusal),
                };
                let (len, has_video) = match &named {
                    Named::Init(tracks) => measure_init(tracks),
                    Named::Media(reading) => (reading.len, reading.has_video),
                };
                match opening(&name, is_known, range.as_deref(), has_video, len) {
                    Ok((response, range)) => {
                        write_named(writer, &self.stream, name.kind, named, response, range)
                    }
                    Err(response) => writer.respond(response),
                }
            }
        }
    }
}

/// Says who begins to watch: whoever gets the media playlist, by address.
#[inline(never)] // Its variables are not to be part of the stack of what follows.
fn note_viewer(writer: &Writer<'_>, stream: &Stream) {
    let (shared, client) = (writer.shared, writer.client());
    let address = client.address();
    if !stream.name_hls_viewer(address.ip(), client.id()) {
        return;
    }
    shared.say(
        log::Level::Info,
        About::Media,
        address.ip(),
        format_args!(
            "#{} {}: playing to {} as HLS{}",
            client.id(),
            shared.shown(stream.key()),
            Shown(address),
            in_brackets(&client.connect().flash_ver),
        ),
    );
}

#[inline(never)] // Its variables are not to be part of the stack of other answers.
fn write_playlist(
    writer: &mut Writer<'_>,
    playlist: &Playlist,
    uri: Option<&str>,
    query: &str,
    is_filled: bool,
    known: &str,
) -> Result<(), HttpEnd> {
    let epoch = epoch(writer.shared);
    let mut response = Response::new(hls::CONTENT_TYPE, Vec::new());
    response.cache = PLAYLIST_CACHE;
    let (listing, query) = (&playlist.listing, Carried(query));
    let presentation = &playlist.tracks.presentation;
    writer.write_tagged(response, known, &|out| match uri {
        Some(uri) => hls::multivariant(out, listing, presentation, uri, query),
        None => hls::media(out, listing, playlist.life, epoch, query, is_filled),
    })
}

/// Asks a stream for something, as this client: what it answers, or what the client is answered.
#[inline(never)] // Its variables are not to be part of the stack of what follows.
fn asking<T>(
    writer: &mut Writer<'_>,
    ask: impl FnOnce(Asker<'_>) -> Result<T, Unavailable>,
) -> Result<Result<T, Response>, HttpEnd> {
    let (shared, client) = (writer.shared, writer.client());
    let address = client.address().ip();
    let asker = Asker {
        address,
        client: one_client(address),
        now: shared.now(),
        nonce: random,
        waiters: &shared.waiters,
        is_over: &|| why_over(shared, client).is_some() || writer.is_closed_by_client(),
    };
    let answer = ask(asker);
    writer.note_wait();
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(why) => unavailable(writer, why).map(Err),
    }
}

fn unavailable(writer: &Writer<'_>, why: Unavailable) -> Result<Response, HttpEnd> {
    match why {
        Unavailable::Over => {
            let why = why_over(writer.shared, writer.client());
            Err(why.unwrap_or(ConnectionEnd::Closed).into())
        }
        why => Ok(refusal(why)),
    }
}

fn random() -> u32 {
    let mut random = [0; 4];
    // Without random numbers the time will do: it is the name of nothing that is secret.
    match getrandom::fill(&mut random) {
        Ok(()) => u32::from_be_bytes(random),
        Err(_) => utc::wall_clock() as u32,
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

/// When the server's clock was 0, in ms since 1970. It is the same each time, unless the machine's
/// time was changed: what dates a playlist has doesn't depend on when it is asked for.
fn epoch(shared: &Shared) -> u64 {
    /// Less, in ms, is the rounding of two clocks, or not worth a change.
    const SLACK: u64 = 20;

    let now = shared.now();
    let epoch = utc::wall_clock().saturating_sub(now);
    let before = shared.epoch.load(Ordering::Relaxed);
    // Two clocks are not compared by a thread that had to wait in between.
    let was_interrupted = before > 0 && shared.now() > now + 1;
    if was_interrupted || before.abs_diff(epoch) < SLACK {
        return before;
    }
    shared.epoch.store(epoch, Ordering::Relaxed);
    epoch
}

/// What is sent of an init segment, a segment or a part: the response, and which bytes. Or else what
/// is answered instead.
#[inline(never)] // Its variables are not to be part of the stack of what follows.
fn opening(
    name: &SegmentName,
    is_known: bool,
    range: Option<&str>,
    has_video: bool,
    len: u64,
) -> Result<(Response, Range<u64>), Response> {
    let mut response = Response::new(content_type(has_video), Vec::new());
    response.cache = MEDIA_CACHE;
    response = response
        .header("ETag", &conditions::tag(name))
        .header("Accept-Ranges", "bytes");
    if is_known {
        response.status = Status::NotModified;
        return Err(response);
    }
    match range::parse(range, len) {
        Ok(None) => Ok((response, 0..len)),
        Ok(Some(range)) => {
            response.status = Status::PartialContent;
            let content_range = range::content_range(Some(&range), len);
            Ok((response.header("Content-Range", &content_range), range))
        }
        Err(range::Unsatisfiable) => {
            let refusal = Response::text(Status::RangeNotSatisfiable, "no such range");
            Err(refusal.header("Content-Range", &range::content_range(None, len)))
        }
    }
}

#[inline(never)] // Its variables are not to be part of the stack of other answers.
fn write_named(
    writer: &mut Writer<'_>,
    stream: &Stream,
    kind: SegmentKind,
    named: Named,
    response: Response,
    range: Range<u64>,
) -> Result<(), HttpEnd> {
    let len = range.end - range.start;
    match named {
        Named::Init(tracks) => {
            // Who takes it slowly holds nothing.
            drop(tracks);
            writer.begin(response, Length::Known(len))?;
            write_init(writer, stream, kind, range)
        }
        Named::Media(mut reading) => {
            if len < reading.len && stream.cut(&mut reading, range.start, len).is_err() {
                return writer.respond(Response::not_found());
            }
            let head = writer.head(response, Length::Known(len));
            send(writer, stream, &mut reading, &head)
        }
    }
}

/// The length of an init segment, and whether there is video in it.
#[inline(never)]
fn measure_init(tracks: &Tracks) -> (u64, bool) {
    let presentation = &tracks.presentation;
    let len = presentation.init_segment().len();
    (len as u64, presentation.video.is_some())
}

/// Sends a part of an init segment. It is made anew for each piece, so that nobody who takes it slowly
/// holds a long one, nor the headers that it is made of.
#[inline(never)] // Its variables are not to be part of the stack of other answers.
fn write_init(
    writer: &mut Writer<'_>,
    stream: &Stream,
    kind: SegmentKind,
    mut range: Range<u64>,
) -> Result<(), HttpEnd> {
    while writer.wants_body() && !range.is_empty() {
        let mut piece = [0; PIECE_LEN];
        // If it is of no use to anybody any more, the response is cut short, and the connection ends.
        let Some(piece) = piece_of_init(stream, kind, &range, &mut piece) else {
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
    kind: SegmentKind,
    range: &Range<u64>,
    out: &'a mut [u8],
) -> Option<&'a [u8]> {
    let init = stream.init(kind)?.presentation.init_segment();
    let (start, end) = (range.start as usize, range.end as usize);
    let part = init.get(start..end.min(start + out.len()))?;
    let out = out.get_mut(..part.len())?;
    out.copy_from_slice(part);
    Some(out)
}

/// Sends the head of a response, and messages of the log, of which it has told the length.
pub(super) fn send(
    writer: &mut Writer<'_>,
    stream: &Stream,
    reading: &mut Reading,
    head: &[u8],
) -> Result<(), HttpEnd> {
    if !writer.wants_body() {
        return writer.write_all(head);
    }
    match writer.shared.scratches.take() {
        Some(mut block) => send_through(block.bytes_mut(), writer, stream, reading, head),
        None => send_slowly(writer, stream, reading, head),
    }
}

#[inline(never)] // Its buffer is not to be part of the stack of others.
fn send_slowly(
    writer: &mut Writer<'_>,
    stream: &Stream,
    reading: &mut Reading,
    head: &[u8],
) -> Result<(), HttpEnd> {
    send_through(&mut [0; PIECE_LEN], writer, stream, reading, head)
}

/// Sends straight out of the log as long as the client takes it. While it doesn't, a few bytes are
/// waited with that are copied: nobody waits while the stream is locked.
#[inline(never)]
fn send_through(
    room: &mut [u8],
    writer: &mut Writer<'_>,
    stream: &Stream,
    reading: &mut Reading,
    mut head: &[u8],
) -> Result<(), HttpEnd> {
    let mut is_begun = head.is_empty();
    loop {
        let now = writer.shared.now();
        let mut is_blocked = false;
        let sent = stream.send(reading, head, room, now, &mut |slices| {
            let sent = writer.try_send(slices)?;
            is_blocked = sent < slices.iter().map(|slice| slice.len()).sum();
            Ok(sent)
        });
        let sent = match sent {
            Ok(sent) => writer.check(sent)?,
            Err(Evicted) if !is_begun => return writer.respond(Response::not_found()),
            // The response is cut short, and the connection ends for it.
            Err(Evicted) => {
                log::debug!("{}: too slow for a segment", writer.client());
                return Ok(());
            }
        };
        is_begun |= sent > 0;
        head = head.get(sent..).unwrap_or_default();
        writer.note_sent(sent, is_blocked)?;
        if !is_blocked {
            if sent == 0 || reading.len == 0 {
                return Ok(());
            }
            continue;
        }
        let (piece, room) = room.split_at_mut(WAITING_LEN);
        let copied = stream.send(reading, head, room, now, &mut |slices| {
            (&mut *piece).write_vectored(slices)
        });
        // What isn't there any more won't be there the next time either.
        if let Ok(Ok(copied)) = copied {
            head = head.get(copied..).unwrap_or_default();
            writer.write_all(piece.get(..copied).unwrap_or_default())?;
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
