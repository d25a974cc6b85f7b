//! Routes: the resources that paths of requests name.
//!
//! ```text
//! /                    the list of streams       /live/door              a player for one
//! /live/door.flv .mp4  its media                 /live/door/frame.mp4    its newest keyframe
//! /live/door.m3u8      its playlists             /live/door/media.m3u8
//! /live/door.mp4?last=30s                        its last seconds, as a file that has an end
//! /live/door/1a2b3c4d-0.mp4  -7.m4s  -7.2.m4s    the files that these list
//! /recordings/live/door/2026-11-28T11-30-00Z.mp4 a file of the stream's recordings
//! /recordings/live/door.mp4?from=...  .m3u8      its recordings from a time on, as one file or playlist
//! /api/v1/streams  /metrics  /healthz  /stat     the server's state
//! /api/v1/recordings                             the list of recordings
//! /api/v1/pushes  /api/v1/pulls  /api/v1/pulls/3 what is exchanged with other servers
//! /api/v1/streams/live/door/recording            begins or ends the recording of a stream
//! /page/app.js  /live/page/app.js                the files of the page
//! ```
//!
//! A path of two or more parts is the page of a stream, even if the stream doesn't exist: the page waits
//! for it. The exception is a last part with the extension of another kind of file. A path of one part
//! is a page only while such a stream exists, which isn't known in this module.
//!
//! A stream may have a name that begins with `recordings/`. Its media and its playlist stay where those of
//! other streams are: the parameter `from` alone makes these paths that of a recording.
//!
//! A path is split at its slashes, then each part is decoded once: an encoded slash would be part of a
//! name, which isn't allowed. No route is the name of a file on disk.

use super::percent::decode;
use super::{Rejected, Status};
use crate::rtmp::stream_key::StreamKey;

/// The resource that a path names; see the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The page that lists the streams.
    Home,
    /// The page that plays one stream.
    Player(StreamKey),
    /// The media of a stream, until it ends.
    Media(StreamKey, Container),
    /// The newest keyframe of a stream.
    Frame(StreamKey),
    /// The multivariant playlist of a stream.
    Playlist(StreamKey),
    /// The media playlist of a stream.
    MediaPlaylist(StreamKey),
    /// A file that a media playlist lists, by its name. Only the form of the name has been checked.
    HlsFile(StreamKey, String),
    /// The streams, as JSON.
    Streams,
    /// The connections, as JSON.
    Connections,
    /// One connection, by its number.
    Connection(u64),
    /// The recordings, as JSON.
    Recordings,
    /// A file of a stream's recordings, by its name. Only the form of the name has been checked.
    RecordedFile(StreamKey, String),
    /// What was recorded of a stream from a time on, as one file.
    RecordedSpan(StreamKey),
    /// The same, as a playlist.
    RecordedPlaylist(StreamKey),
    /// The recording of a stream, to begin or end it.
    Recording(StreamKey),
    /// The pushes to other servers, as JSON; to add one.
    Pushes,
    /// One push, by its number, to end it.
    Push(u64),
    /// The pulls from other servers, as JSON; to add one.
    Pulls,
    /// One pull, by its number, to end it.
    Pull(u64),
    /// Metrics for Prometheus.
    Metrics,
    /// The streams, in the format of nginx-rtmp.
    Stat,
    /// The health of the server.
    Health,
    /// A file of the page.
    Asset(String),
}

/// The container format of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.flv`
    Flv,
    /// `.mp4`
    Mp4,
}

/// Extensions of files that players guess and robots look for. If the answer were a page, they would
/// mistake it for the file.
const NOT_HERE: &str = "flv mp4 m3u8 m4s m3u mpd ts mts m2ts m4v m4a mov mkv webm ogg aac ac3 mp3 wav vtt key \
    jpg jpeg png gif svg ico webp avif bmp f4v htm html js css json xml txt php";

/// Whether a path is that of a file that doesn't exist, judging by its extension, or by a beginning like
/// that of HLS file names.
fn is_missing_file(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, extension)) = last.rsplit_once('.') else {
        return false;
    };
    let mut others = NOT_HERE.split(' ');
    others.any(|other| other.eq_ignore_ascii_case(extension))
        || after_life(stem).is_some_and(|number| {
            let is_letter = |c: char| c.is_ascii_alphabetic() || !c.is_ascii();
            !number.contains(is_letter)
        })
}

/// Whether a name has the form of HLS files: `1a2b3c4d-0.mp4`, `1a2b3c4d-7.m4s` or `1a2b3c4d-7.2.m4s`.
fn is_hls_file(name: &str) -> bool {
    let Some((numbers, extension)) = after_life(name).and_then(|rest| rest.rsplit_once('.')) else {
        return false;
    };
    let is_digit = |c: char| c.is_ascii_digit() || c == '.' && extension == "m4s";
    matches!(extension, "mp4" | "m4s") && !numbers.is_empty() && numbers.chars().all(is_digit)
}

/// Returns the part of a file name after the life of the stream, which is eight hexadecimal digits and a
/// hyphen.
fn after_life(name: &str) -> Option<&str> {
    let (life, rest) = name.split_once('-')?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (life.len() == 8 && life.bytes().all(is_digit)).then_some(rest)
}

/// The part before the names of recordings.
const RECORDINGS: &str = "recordings/";

/// Whether a name has the form of a recorded file: `2026-11-28T11-30-00Z.mp4`, `2026-11-28T11-30-00Z_2.flv`
/// or `0000-boot0003-000765s.mp4`.
fn is_recorded_file(name: &str) -> bool {
    let is_like = |pattern: &str| {
        let mut pairs = pattern.bytes().zip(name.bytes());
        pattern.len() < name.len()
            && pairs.all(|(pattern, byte)| match pattern {
                b'0' => byte.is_ascii_digit(),
                letter => byte == letter,
            })
    };
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let stem = name
        .strip_suffix(".mp4")
        .or_else(|| name.strip_suffix(".flv"));
    stem.is_some_and(|stem| stem.chars().all(is_of_name))
        && (is_like("0000-00-00T00-00-00Z") || is_like("0000-boot0"))
}

/// Parses a decimal number without leading zeros.
fn number(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_one_spelling = digits == "0" || !digits.starts_with('0');
    digits
        .parse()
        .ok()
        .filter(|_| is_number && has_one_spelling)
}

impl Route {
    /// Whether it is for privileged clients only, because it shows addresses and targets, or changes something.
    pub fn needs_privileges(&self) -> bool {
        matches!(
            self,
            Route::Connections
                | Route::Connection(_)
                | Route::Recording(_)
                | Route::Pushes
                | Route::Push(_)
                | Route::Pulls
                | Route::Pull(_)
        )
    }

    /// Returns the route of a path as sent: percent-encoded, without the query.
    pub fn of(path: &str) -> Result<Route, Rejected> {
        let path = decode_path(path)?;
        match &*path {
            "" => return Ok(Route::Home),
            "api/v1/streams" => return Ok(Route::Streams),
            "api/v1/connections" => return Ok(Route::Connections),
            "api/v1/recordings" => return Ok(Route::Recordings),
            "api/v1/pushes" => return Ok(Route::Pushes),
            "api/v1/pulls" => return Ok(Route::Pulls),
            "metrics" => return Ok(Route::Metrics),
            "stat" => return Ok(Route::Stat),
            "healthz" => return Ok(Route::Health),
            // Browsers and robots request these files on their own.
            "favicon.ico" | "robots.txt" => return Ok(Route::Asset(path)),
            _ => {}
        }
        if let Some(name) = path.strip_prefix("page/") {
            return Ok(Route::Asset(name.to_owned()));
        }
        // The page of a stream uses relative URLs, since it doesn't know the number of parts in the
        // stream's name.
        for name in ["app.js", "style.css"] {
            let above = path.strip_suffix(name);
            if above.is_some_and(|above| above.ends_with("/page/")) {
                return Ok(Route::Asset(name.to_owned()));
            }
        }
        // Otherwise this path of two parts would be the page of a stream.
        if path == "api/v1" {
            return Err(NOT_FOUND);
        }
        if let Some(rest) = path.strip_prefix("api/v1/") {
            let stream = rest.strip_prefix("streams/");
            if let Some(stream) = stream.and_then(|path| path.strip_suffix("/recording")) {
                return Ok(Route::Recording(key(stream)?));
            }
            let (list, id) = rest.split_once('/').ok_or(NOT_FOUND)?;
            let id = number(id).ok_or(NOT_FOUND)?;
            return match list {
                "connections" => Ok(Route::Connection(id)),
                "pushes" => Ok(Route::Push(id)),
                "pulls" => Ok(Route::Pull(id)),
                _ => Err(NOT_FOUND),
            };
        }
        if let Some((stream, last)) = path.rsplit_once('/') {
            if let Some(route) = below_a_stream(stream, last) {
                return route;
            }
        }
        let stream = |extension| path.strip_suffix(extension).map(key);
        if let Some(key) = stream(".flv") {
            Ok(Route::Media(key?, Container::Flv))
        } else if let Some(key) = stream(".mp4") {
            Ok(Route::Media(key?, Container::Mp4))
        } else if let Some(key) = stream(".m3u8") {
            Ok(Route::Playlist(key?))
        } else if is_missing_file(&path) {
            Err(NOT_FOUND)
        } else {
            Ok(Route::Player(key(&path)?))
        }
    }

    /// Returns the route of a request with this path, as it was sent, and with or without the parameter
    /// `from`.
    pub fn of_request(path: &str, has_from: bool) -> Result<Route, Rejected> {
        let route = Route::of(path)?;
        let recorded = |stream: &StreamKey| {
            let name = stream.as_str().strip_prefix(RECORDINGS);
            name.filter(|_| has_from).map(key)
        };
        Ok(match &route {
            Route::Media(stream, Container::Mp4) => recorded(stream)
                .transpose()?
                .map_or(route, Route::RecordedSpan),
            Route::Playlist(stream) => recorded(stream)
                .transpose()?
                .map_or(route, Route::RecordedPlaylist),
            _ => route,
        })
    }
}

fn below_a_stream(stream: &str, last: &str) -> Option<Result<Route, Rejected>> {
    let recorded = stream.strip_prefix(RECORDINGS);
    if let Some(recorded) = recorded.filter(|_| is_recorded_file(last)) {
        return Some(key(recorded).map(|key| Route::RecordedFile(key, last.to_owned())));
    }
    let route: fn(StreamKey) -> Route = match last {
        "frame.mp4" => Route::Frame,
        "index.m3u8" => Route::Playlist,
        "media.m3u8" => Route::MediaPlaylist,
        _ if is_hls_file(last) => {
            return Some(key(stream).map(|key| Route::HlsFile(key, last.to_owned())));
        }
        _ => return None,
    };
    Some(key(stream).map(route))
}

const NOT_FOUND: Rejected = Rejected {
    status: Status::NotFound,
    why: super::response::NOT_FOUND,
};

/// Decodes the parts of a path, and joins them again without empty ones.
fn decode_path(path: &str) -> Result<String, Rejected> {
    let mut decoded = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let part = decode(part, false).ok_or(Rejected {
            status: Status::BadRequest,
            why: "a path that isn't percent-encoded UTF-8",
        })?;
        // No stream or file has such a part; a question mark would begin a query.
        let is_forbidden = |c: char| c.is_control() || matches!(c, '/' | '\\' | '?');
        if part.starts_with('.') || part.contains(is_forbidden) {
            return Err(NOT_FOUND);
        }
        if !decoded.is_empty() {
            decoded.push('/');
        }
        decoded.push_str(&part);
    }
    Ok(decoded)
}

fn key(path: &str) -> Result<StreamKey, Rejected> {
    StreamKey::new("", path).map_err(|_| NOT_FOUND)
}

#[cfg(test)]
mod tests;
