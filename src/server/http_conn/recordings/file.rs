//! Whole files.

use super::{Answer, Bytes, Exchange, Offer, disk_failed, has_parameter, log_beginning, not_found};
use crate::http::{Response, date};
use crate::record::name::{FileName, Format};
use crate::record::playback::file::{FileBody, InitBody};
use crate::record::playback::{Body, Recordings};
use crate::rtmp::stream_key::StreamKey;

/// Answers a request for a file, or for its init segment if the query has `init`.
pub(super) fn reply(
    exchange: &Exchange<'_>,
    recordings: &Recordings,
    key: &StreamKey,
    name: &str,
) -> Answer<Bytes> {
    let missing = || not_found("there is no such recording");
    let (name, _) = FileName::parse(name).ok_or_else(missing)?;
    let opened = FileBody::open(recordings, key, name);
    let opened = opened.map_err(|error| disk_failed(exchange, key, &error))?;
    let file = opened.ok_or_else(missing)?;
    let recording = file.entry;
    let is_mp4 = name.format() == Format::Mp4;
    let is_init = is_mp4 && has_parameter(exchange, "init");
    let (body, kind): (Box<dyn Body>, _) = if is_init {
        let init = InitBody::new(file).map_err(|error| disk_failed(exchange, key, &error))?;
        (Box::new(init), "init")
    } else {
        (Box::new(file), "file")
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
        id: format!("{name}-{kind}-{from:x}-{len:x}"),
        from,
        extension,
        body,
        paid: None,
    };
    let bytes = offer.open(exchange, key)?;
    if !is_init {
        log_beginning(exchange, key, &bytes, "a recorded file");
    }
    Ok(bytes)
}
