//! Files: whole, or the pieces of them that playlists list.

use super::{Answer, Bytes, Exchange, Offer};
use super::{bad, disk_failed, has_parameter, log_beginning, missing, parameter};
use crate::http::{Response, date};
use crate::record::name::{FileName, Format};
use crate::record::playback::file::{FileBody, InitBody};
use crate::record::playback::segment::{Place, SegmentBody};
use crate::record::playback::{Body, Recordings};
use crate::rtmp::stream_key::StreamKey;

/// Answers a request for a file, for its init segment if the query has `init`, or for a `segment` of it.
pub(super) fn reply(
    exchange: &Exchange<'_>,
    recordings: &Recordings,
    key: &StreamKey,
    name: &str,
) -> Answer<Bytes> {
    let missing = || missing(recordings, "there is no such recording");
    let (name, _) = FileName::parse(name).ok_or_else(missing)?;
    let opened = FileBody::open(recordings, key, name);
    let opened = opened.map_err(|error| disk_failed(exchange, key, &error))?;
    let file = opened.ok_or_else(missing)?;
    let recording = file.entry;
    let is_mp4 = name.format() == Format::Mp4;
    let failed = |error| disk_failed(exchange, key, &error);
    let place = parameter(exchange, "segment").filter(|_| is_mp4);
    let mut part = String::new();
    let body: Box<dyn Body> = if let Some(text) = place {
        let place = Place::parse(&text)
            .ok_or_else(|| bad("a segment is an offset, a length and a time"))?;
        part = place.to_string();
        let body = SegmentBody::new(file, place).map_err(failed)?;
        Box::new(body.ok_or_else(missing)?)
    } else if is_mp4 && has_parameter(exchange, "init") {
        part.push_str("init");
        Box::new(InitBody::new(file).map_err(failed)?)
    } else {
        Box::new(file)
    };
    let (len, from) = (body.len(), recording.from);
    let (content_type, extension) = if is_mp4 {
        ("video/mp4", ".mp4")
    } else {
        ("video/x-flv", ".flv")
    };
    let mut response = Response::new(content_type, &[][..]);
    let seconds = recording.to / 1_000;
    if seconds >= date::EARLIEST {
        let mut modified = String::new();
        // Writing to a string never fails.
        let _ = date::write(&mut modified, seconds);
        response = response.header("Last-Modified", &modified);
    }
    let offer = Offer {
        response,
        id: format!("{name}-{part}-{from:x}-{len:x}"),
        from,
        extension,
        body,
        paid: None,
    };
    let bytes = offer.open(exchange, key)?;
    if part.is_empty() {
        log_beginning(exchange, key, &bytes, "a recorded file");
    }
    Ok(bytes)
}
