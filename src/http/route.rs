//! What the path of a request stands for.
//!
//! ```text
//! /                    the list of streams       /live/door              a player for one
//! /live/door.flv .mp4  its media                 /live/door/frame.mp4    its newest keyframe
//! /live/door.m3u8      its playlists             /live/door/media.m3u8
//! /live/door/1a2b3c4d-0.mp4  -7.m4s  -7.2.m4s    what these name
//! /api/v1/streams  /metrics  /healthz  /stat     the server's state
//! /page/app.js  /live/page/app.js                what the page is made of
//! ```
//!
//! A path of two or more parts is where the page of a stream is, whether there is such a stream or
//! not: the page waits for it. That is unless its last part has the ending of another kind of file. A
//! path of one part is a page only while there is such a stream, which isn't known here.
//!
//! A path is split at its slashes, then each part is decoded, once: an encoded slash is part of a
//! name, in which no slash may stand. Nothing here is the name of a file.

use std::fmt;

use super::percent::decode;
use super::{Rejected, Status};
use crate::rtmp::stream_key::StreamKey;

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The page that lists the streams.
    Home,
    /// The page that plays one stream.
    Player(StreamKey),
    /// The media of a stream, as long as it lasts.
    Media(StreamKey, Container),
    /// The newest keyframe of a stream.
    Frame(StreamKey),
    /// The playlist that names the other one.
    Playlist(StreamKey),
    /// The playlist that names segments.
    MediaPlaylist(StreamKey),
    /// What a playlist names.
    Segment(StreamKey, SegmentName),
    /// The streams, as JSON.
    Streams,
    /// The connections, as JSON.
    Connections,
    /// A connection, by its number.
    Connection(u64),
    /// Figures for Prometheus.
    Metrics,
    /// The streams, as nginx-rtmp describes them.
    Stat,
    /// Whether the server is well.
    Health,
    /// A file of the page.
    Asset(String),
}

/// How media is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.flv`
    Flv,
    /// `.mp4`
    Mp4,
}

/// A name in a playlist. Each has one spelling: two URLs are never one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentName {
    /// The life of the stream that it is of. Names of another life are never found, in no cache.
    pub life: u32,
    /// What it names.
    pub kind: SegmentKind,
}

/// What a [`SegmentName`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// `LIFE-VERSION.mp4`, the beginning that segments need.
    Init(u64),
    /// `LIFE-NUMBER.m4s`
    Segment(u64),
    /// `LIFE-NUMBER.PART.m4s`
    Part(u64, u64),
}

impl SegmentName {
    fn parse(text: &str) -> Option<SegmentName> {
        let (stem, extension) = text.rsplit_once('.')?;
        let (life, numbers) = stem.split_once('-')?;
        if !is_life(life) {
            return None;
        }
        let kind = match (extension, numbers.split_once('.')) {
            ("mp4", None) => SegmentKind::Init(number(numbers)?),
            ("m4s", None) => SegmentKind::Segment(number(numbers)?),
            ("m4s", Some((segment, part))) => SegmentKind::Part(number(segment)?, number(part)?),
            _ => return None,
        };
        let life = u32::from_str_radix(life, 16).ok()?;
        Some(SegmentName { life, kind })
    }
}

/// As it stands in playlists and URLs.
impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-", self.life)?;
        match self.kind {
            SegmentKind::Init(version) => write!(f, "{version}.mp4"),
            SegmentKind::Segment(number) => write!(f, "{number}.m4s"),
            SegmentKind::Part(number, part) => write!(f, "{number}.{part}.m4s"),
        }
    }
}

/// Endings of files of other kinds, which players guess at and robots look for. A page in their place
/// would be taken for what they want.
const NOT_HERE: &str = "flv mp4 m3u8 m4s m3u mpd ts mts m2ts m4v m4a mov mkv webm ogg aac ac3 mp3 wav vtt key \
    jpg jpeg png gif svg ico webp avif bmp f4v htm html js css json xml txt php";

/// Whether a path is that of a file which isn't here: by its ending, or since it begins as the names
/// of segments do.
fn is_of_a_file(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, ending)) = last.rsplit_once('.') else {
        return false;
    };
    let number = stem
        .get(..8)
        .filter(|life| is_life(life))
        .and(stem.get(8..));
    let mut others = NOT_HERE.split(' ');
    others.any(|other| other.eq_ignore_ascii_case(ending))
        || number.is_some_and(|number| {
            let is_letter = |c: char| c.is_ascii_alphabetic() || !c.is_ascii();
            number.starts_with('-') && !number.contains(is_letter)
        })
}

/// Eight digits, hexadecimal ones, which have one spelling.
fn is_life(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 8 && text.bytes().all(is_hex)
}

/// A decimal number without zeros in front.
fn number(digits: &str) -> Option<u64> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_one_spelling = digits == "0" || !digits.starts_with('0');
    digits
        .parse()
        .ok()
        .filter(|_| is_number && has_one_spelling)
}

impl Route {
    /// What the path of a target stands for, as it came: without query, with percent signs.
    pub fn of(path: &str) -> Result<Route, Rejected> {
        let path = decode_path(path)?;
        match &*path {
            "" => return Ok(Route::Home),
            "api/v1/streams" => return Ok(Route::Streams),
            "api/v1/connections" => return Ok(Route::Connections),
            "metrics" => return Ok(Route::Metrics),
            "stat" => return Ok(Route::Stat),
            "healthz" => return Ok(Route::Health),
            // Browsers and robots ask for these unasked.
            "favicon.ico" | "robots.txt" => return Ok(Route::Asset(path)),
            _ => {}
        }
        if let Some(name) = path.strip_prefix("page/") {
            return Ok(Route::Asset(name.to_owned()));
        }
        // As the page asks for them that is a stream's; it doesn't know how far up the first one is.
        for name in ["app.js", "style.css"] {
            let above = path.strip_suffix(name);
            if above.is_some_and(|above| above.ends_with("/page/")) {
                return Ok(Route::Asset(name.to_owned()));
            }
        }
        if path == "api/v1" {
            return Err(NOT_FOUND);
        }
        if let Some(rest) = path.strip_prefix("api/v1/") {
            let id = rest.strip_prefix("connections/").and_then(number);
            return id.map(Route::Connection).ok_or(NOT_FOUND);
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
        } else if is_of_a_file(&path) {
            Err(NOT_FOUND)
        } else {
            Ok(Route::Player(key(&path)?))
        }
    }
}

fn below_a_stream(stream: &str, last: &str) -> Option<Result<Route, Rejected>> {
    let route: fn(StreamKey) -> Route = match last {
        "frame.mp4" => Route::Frame,
        "index.m3u8" => Route::Playlist,
        "media.m3u8" => Route::MediaPlaylist,
        _ => {
            let name = SegmentName::parse(last)?;
            return Some(key(stream).map(|key| Route::Segment(key, name)));
        }
    };
    Some(key(stream).map(route))
}

const NOT_FOUND: Rejected = Rejected {
    status: Status::NotFound,
    why: super::response::NOT_FOUND,
};

/// The parts of a path, decoded and joined again; empty ones are left out.
fn decode_path(path: &str) -> Result<String, Rejected> {
    let mut decoded = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let part = decode(part).ok_or(Rejected {
            status: Status::BadRequest,
            why: "a path that isn't percent-encoded UTF-8",
        })?;
        // Such parts are of no stream, file or anything. A question mark would begin a query.
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
