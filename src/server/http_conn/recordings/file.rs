//! Whole files.

use super::{
    Bytes, Exchange, disk_failed, has_parameter, log_beginning, not_found, with_file_name,
};
use crate::http::{Response, conditions, date};
use crate::record::name::{FileName, Format};
use crate::record::playback::file::{FileBody, InitBody};
use crate::record::playback::{Body, Recordings};
use crate::rtmp::stream_key::StreamKey;
use crate::server::http_conn::ranged::Ranged;

/// Answers a request for a file, or for its init segment if the query has `init`.
pub(super) fn reply(
    exchange: &Exchange<'_>,
    recordings: &Recordings,
    key: &StreamKey,
    name: &str,
) -> Result<Bytes, Response> {
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
    let tag = conditions::tag(&format_args!("{name}-{kind}-{from:x}-{len:x}"));
    let content_type = if is_mp4 { "video/mp4" } else { "video/x-flv" };
    let mut response = Response::new(content_type, &[][..]);
    // A file grows until it is closed, and is deleted when space is needed.
    response.cache = "no-cache";
    let seconds = recording.to / 1_000;
    if seconds >= date::EARLIEST {
        let mut modified = String::new();
        // Writing to a string never fails.
        let _ = date::write(&mut modified, seconds);
        response = response.header("Last-Modified", &modified);
    }
    if has_parameter(exchange, "download") {
        let extension = if is_mp4 { ".mp4" } else { ".flv" };
        response = with_file_name(response, key, from, extension);
    }
    let (response, range) = Ranged::new(exchange.head, tag).open(response, len)?;
    let bytes = Bytes {
        response,
        range,
        body,
        _paid: None,
    };
    if !is_init {
        log_beginning(exchange, key, &bytes, "a recorded file");
    }
    Ok(bytes)
}
