//! Playlists and what they name.
//!
//! A request for what comes next waits for it in this thread. What a segment is made of is copied
//! out of the log bit by bit, and sent while the log isn't locked.

use super::super::end::End;
use super::admission::authorize;
use super::exchange::{Exchange, Reply};
use crate::http::route::SegmentName;
use crate::http::{Response, Route, Status, percent, range};
use crate::live::segments::Wanted;
use crate::live::stream::Stream;
use crate::live::stream::hls::{Asker, Evicted, Named, Playlist, Reading, Unavailable};
use crate::output::hls;
use crate::output::status::utc;
use crate::rtmp::stream_key::StreamKey;

/// Bytes that are copied at a time.
const COPY_LEN: usize = 16 * 1024;

/// Playlists change all the time; what they name never does.
const PLAYLIST_CACHE: &str = "no-cache";
const MEDIA_CACHE: &str = "max-age=3600, immutable";

/// Answers a request for a playlist, a segment or a part of one.
#[inline(never)] // Its variables are not to be part of the stack of a viewer's thread.
pub(super) fn reply(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
    route: &Route,
) -> Result<Reply, End> {
    let admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    let Some(stream) = exchange.shared.table.find(admission.key()) else {
        return Ok(Response::not_found().into());
    };
    let head = exchange.head;
    let query = head.query().unwrap_or_default();
    let wanted = match route {
        Route::Segment(_, name) => return segment(exchange, &stream, *name),
        Route::MediaPlaylist(_) => wanted(query),
        _ => Ok(None),
    };
    let playlist = match wanted {
        Ok(wanted) => stream.playlist(wanted, asker(exchange)).map_err(refusal),
        Err(why) => Err(Response::text(Status::BadRequest, why)),
    };
    let Playlist {
        listing,
        life,
        tracks,
    } = match playlist {
        Ok(playlist) => playlist,
        Err(refusal) => return Ok(refusal.into()),
    };
    let query = hls::carried_query(query);
    let text = match route {
        Route::MediaPlaylist(_) => {
            let is_filled = is_of_apple(head.header("user-agent"));
            hls::media(&listing, life, epoch(exchange), &query, is_filled)
        }
        _ => {
            let uri = media_uri(head.path(), key);
            hls::multivariant(&listing, &tracks.presentation, &uri, &query)
        }
    };
    let mut response = Response::new(hls::CONTENT_TYPE, text.into_bytes());
    response.cache = PLAYLIST_CACHE;
    Ok(response.into())
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

fn asker<'a>(exchange: &Exchange<'a>) -> Asker<'a> {
    let mut random = [0; 4];
    // Without random numbers the time will do: it is the name of nothing that is secret.
    if getrandom::fill(&mut random).is_err() {
        random = (epoch(exchange) as u32).to_be_bytes();
    }
    Asker {
        address: exchange.client.address().ip(),
        now: exchange.shared.now(),
        nonce: u32::from_be_bytes(random),
        waiters: &exchange.shared.waiters,
    }
}

/// When the server's clock was 0, in ms since 1970.
fn epoch(exchange: &Exchange<'_>) -> u64 {
    utc::wall_clock().saturating_sub(exchange.shared.now())
}

fn segment(exchange: &mut Exchange<'_>, stream: &Stream, name: SegmentName) -> Result<Reply, End> {
    match stream.named(name, asker(exchange)) {
        Ok(Named::Init(tracks)) => {
            let presentation = &tracks.presentation;
            let content_type = content_type(presentation.video.is_some());
            let mut response = Response::new(content_type, presentation.init_segment());
            response.cache = MEDIA_CACHE;
            Ok(response.into())
        }
        Ok(Named::Media(reading)) => media(exchange, stream, reading),
        Err(why) => Ok(refusal(why).into()),
    }
}

fn media(exchange: &mut Exchange<'_>, stream: &Stream, mut reading: Reading) -> Result<Reply, End> {
    let len = reading.len;
    let mut response = Response::new(content_type(reading.has_video), Vec::new());
    response.cache = MEDIA_CACHE;
    response = response.header("Accept-Ranges", "bytes");
    match range::parse(exchange.head.header("range"), len) {
        Ok(None) => {}
        Ok(Some(range)) => {
            if stream
                .cut(&mut reading, range.start, range.end - range.start)
                .is_err()
            {
                return Ok(Response::not_found().into());
            }
            response.status = Status::PartialContent;
            response = response.header("Content-Range", &range::content_range(Some(&range), len));
        }
        Err(range::Unsatisfiable) => {
            let content_range = range::content_range(None, len);
            let refusal = Response::text(Status::RangeNotSatisfiable, "no such range");
            return Ok(refusal.header("Content-Range", &content_range).into());
        }
    }
    exchange.begin(response, reading.len)?;
    copy(exchange, stream, &mut reading)?;
    Ok(Reply::Sent)
}

/// Sends messages of the log, of which the head has told the length.
pub(super) fn copy(
    exchange: &mut Exchange<'_>,
    stream: &Stream,
    reading: &mut Reading,
) -> Result<(), End> {
    let mut buffer = vec![0; COPY_LEN.min(reading.len as usize)];
    loop {
        let now = exchange.shared.now();
        match stream.read(reading, &mut buffer, now) {
            Ok(0) => return Ok(()),
            Ok(len) => exchange.write(buffer.get(..len).unwrap_or_default())?,
            // The response is cut short, and the connection ends for it.
            Err(Evicted) => {
                log::debug!("{}: too slow for a segment", exchange.client);
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
        Unavailable::TooMany => later("too many requests wait"),
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
