//! The list of recordings in JSON.

use std::fmt::Write;
use std::ops::Range;

use super::json::Json;
use crate::record::WallMillis;
use crate::record::playback::Recordings;
use crate::record::playback::time::Shown;
use crate::rtmp::stream_key::StreamKey;

/// The number of spans or files that are looked up at a time.
const PIECE: usize = 16;

/// The recordings that are listed.
pub(crate) struct Wanted {
    /// The stream whose files are listed; `None` for the spans of all streams.
    pub(crate) stream: Option<StreamKey>,
    /// Files that have nothing within this time are left out.
    pub(crate) within: Range<WallMillis>,
}

/// Writes the response to `GET /api/v1/recordings`, without the streams that the client may not see. The
/// list isn't locked while a part of it is written.
pub(crate) fn list(
    out: &mut dyn Write,
    recordings: Option<&Recordings>,
    wanted: &Wanted,
    may_list: &dyn Fn(&StreamKey) -> bool,
) {
    let mut json = Json::new(out);
    let mut is_locked = false;
    json.begin('{');
    json.name("recordings");
    json.begin('[');
    let mut last = None;
    while let Some(recordings) = recordings {
        let key = match &wanted.stream {
            Some(key) => Some(key.clone()).filter(|_| last.is_none()),
            None => recordings.list().next_stream(last.as_ref()).cloned(),
        };
        let Some(key) = key else {
            break;
        };
        if may_list(&key) {
            write_stream(&mut json, recordings, wanted, &key);
        } else {
            is_locked = true;
        }
        last = Some(key);
    }
    json.end(']');
    json.named_value("locked", Some(&is_locked));
    json.end('}');
}

/// Writes the recordings of a stream, unless it has none that are wanted.
fn write_stream(json: &mut Json<'_>, recordings: &Recordings, wanted: &Wanted, key: &StreamKey) {
    let mut within = wanted.within.clone();
    let mut spans = Vec::with_capacity(PIECE);
    let list = recordings.list();
    list.spans(key, within.clone(), PIECE, &mut spans);
    let is_recording = list.is_recording(key);
    drop(list);
    if spans.is_empty() {
        return;
    }
    json.begin('{');
    json.named_text("stream", key.as_str());
    json.named_value("is_recording", Some(&is_recording));
    json.name("spans");
    json.begin('[');
    while let Some(last) = spans.last() {
        within.start = last.to.max(last.from + 1);
        for span in spans.drain(..) {
            json.begin('{');
            write_times(json, [span.from, span.to], span.bytes);
            json.end('}');
        }
        let list = recordings.list();
        list.spans(key, within.clone(), PIECE, &mut spans);
        // One that has grown meanwhile is listed already.
        spans.retain(|span| span.from >= within.start);
    }
    json.end(']');
    if wanted.stream.is_some() {
        json.name("files");
        json.begin('[');
        write_files(json, recordings, wanted, key);
        json.end(']');
    }
    json.end('}');
}

fn write_files(json: &mut Json<'_>, recordings: &Recordings, wanted: &Wanted, key: &StreamKey) {
    let mut files = Vec::with_capacity(PIECE);
    let mut last = None;
    loop {
        let within = wanted.within.clone();
        recordings
            .list()
            .files(key, within, last, PIECE, &mut files);
        let Some(file) = files.last() else {
            break;
        };
        last = Some(file.name);
        for file in files.drain(..) {
            json.begin('{');
            json.named_text("name", &file.name.to_string());
            write_times(json, [file.from, file.to], file.len);
            json.named_value("is_open", Some(&file.is_open));
            json.end('}');
        }
    }
}

fn write_times(json: &mut Json<'_>, times: [WallMillis; 2], bytes: u64) {
    for (name, time) in ["from", "to"].into_iter().zip(times) {
        json.named_text(name, &Shown(time).to_string());
    }
    json.named_number("bytes", bytes);
}

#[cfg(test)]
mod tests;
