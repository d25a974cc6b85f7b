//! Spans of a stream's recordings: as one MP4 file, and as an HLS playlist.

use super::{
    Answer, Bytes, Exchange, Offer, bad, disk_failed, log_beginning, not_recorded, pay, time_of,
};
use crate::allowance::Taken;
use crate::http::{Response, Status, conditions, percent, query};
use crate::live::hls::playlist::{CONTENT_TYPE, MAX_QUERY_LEN};
use crate::record::WallMillis;
use crate::record::playback::Recordings;
use crate::record::playback::plan::{MAX_FILES, MAX_SPAN, NoPlan, Plan, plan};
use crate::record::playback::playlist::{PlaylistSpan, Survey, Uris};
use crate::record::playback::span::SpanBody;
use crate::record::playback::time::Shown;
use crate::rtmp::stream_key::StreamKey;
use crate::server::http_conn::writer::Writer;
use crate::server::http_conn::{HttpEnd, log_viewer, no_memory};
use crate::server::wall_clock;

/// The cost of a span, in streams that could be listed in the same time, and after how many ms of recordings
/// it costs one more: the notes of all fragments are read.
const COST: usize = 5;
const COST_INTERVAL: WallMillis = 180_000;

/// The parameters that aren't for the files of a playlist.
const OF_SPANS: &[&str] = &["from", "to", "duration", "init", "segment", "download"];

/// Answers a request for a span as one file.
pub(super) fn file(
    exchange: &Exchange<'_>,
    recordings: &Recordings,
    key: &StreamKey,
) -> Answer<Bytes> {
    let [from, to] = times(exchange)?;
    let mut paid = None;
    let plan = plan(recordings, key, from, to, &mut |bytes| {
        // Given back first: it pays for the same.
        drop(paid.take());
        paid = pay(exchange, bytes);
        paid.is_some()
    });
    let plan = plan.map_err(|why| refusal(exchange, recordings, key, from, why))?;
    let id = format!("{:016x}", hash(&plan));
    let response = Response::new("video/mp4", &[][..])
        .header("Recording-From", &Shown(plan.from).to_string())
        .header("Recording-To", &Shown(plan.to).to_string());
    let from = plan.from;
    let body = SpanBody::new(recordings.clone(), key.clone(), plan);
    let body = body.ok_or_else(|| not_recorded(recordings, key, from))?;
    let offer = Offer {
        response,
        id,
        from,
        extension: ".mp4",
        body: Box::new(body),
        paid,
    };
    let bytes = offer.open(exchange, key)?;
    log_beginning(exchange, key, &bytes, "a recording");
    Ok(bytes)
}

/// A number that differs for spans of other bytes.
fn hash(plan: &Plan) -> u64 {
    let mut hash = 0;
    for (name, start, end) in plan.places() {
        hash = conditions::hash(format!("{hash:x} {name} {start} {end}").as_bytes());
    }
    hash
}

/// A playlist that is written while it is sent.
pub(in crate::server::http_conn) struct PlaylistReply {
    span: PlaylistSpan,
    survey: Survey,
    folder: String,
    query: String,
    /// For these texts.
    _paid: Taken,
}

/// Answers a request for a span as a playlist. `asked` is the name of the stream in the URL.
pub(super) fn playlist(
    exchange: &Exchange<'_>,
    recordings: &Recordings,
    key: &StreamKey,
    asked: &StreamKey,
) -> Answer<PlaylistReply> {
    let [from, to] = times(exchange)?;
    let span = PlaylistSpan {
        recordings: recordings.clone(),
        stream: key.clone(),
        from,
        to,
    };
    let survey = span.survey(wall_clock::now());
    let survey = survey.map_err(|why| refusal(exchange, recordings, key, from, why))?;
    let (_, name) = asked.app_and_name();
    let folder = if exchange.head.path().ends_with("/index.m3u8") {
        String::new()
    } else {
        [&percent::encode(name), "/"].concat()
    };
    let query = exchange.head.query().unwrap_or_default();
    let query = if query.len() <= MAX_QUERY_LEN {
        carried(query)
    } else {
        String::new()
    };
    let len = folder.capacity() + query.capacity();
    let paid = pay(exchange, len).ok_or_else(no_memory)?;
    // Growing ones are loaded again and again.
    if !survey.is_growing() {
        log_viewer(exchange.shared, exchange.client, key, "recorded HLS");
    }
    Ok(PlaylistReply {
        span,
        survey,
        folder,
        query,
        _paid: paid,
    })
}

/// The parameters of a query that the files of a playlist need.
fn carried(query: &str) -> String {
    let is_for_files =
        |text: &&str| !OF_SPANS.contains(&text.split('=').next().unwrap_or_default());
    let parameters: Vec<&str> = query.split('&').filter(is_for_files).collect();
    parameters.join("&")
}

impl PlaylistReply {
    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<(), HttpEnd> {
        let mut response = Response::new(CONTENT_TYPE, &[][..]);
        response.cache = "no-cache";
        let uris = Uris {
            folder: &self.folder,
            query: &self.query,
        };
        writer.write_made(response, &mut |out| {
            // The writer remembers its own failure.
            let _ = self.span.write(out, self.survey, uris);
        })
    }
}

/// The times between which a request wants recordings. Without an end: as much as there may be.
fn times(exchange: &Exchange<'_>) -> Answer<[WallMillis; 2]> {
    let from = time_of(exchange, "from")?.ok_or_else(|| bad("from is missing"))?;
    let duration = match exchange.parameter("duration").map(query::duration) {
        Some(None) => return Err(bad("duration isn't a time such as 30s, 500ms or 10m")),
        Some(duration) => duration,
        None => None,
    };
    let to = match (time_of(exchange, "to")?, duration) {
        (Some(to), _) => to,
        (None, duration) => from.saturating_add(duration.unwrap_or(MAX_SPAN)),
    };
    if to <= from {
        return Err(bad("from isn't before to"));
    }
    if to - from > MAX_SPAN {
        return Err(bad("from and to are more than 24 hours apart"));
    }
    let len = to.min(wall_clock::now()).saturating_sub(from);
    exchange.look_at(COST + (len / COST_INTERVAL) as usize)?;
    Ok([from, to])
}

/// The response if there is no such span.
fn refusal(
    exchange: &Exchange<'_>,
    recordings: &Recordings,
    key: &StreamKey,
    from: WallMillis,
    why: NoPlan,
) -> Box<Response> {
    match why {
        NoPlan::Nothing => not_recorded(recordings, key, from),
        NoPlan::Flv(file) => {
            let stream = percent::encode(key.as_str());
            // The page takes the path from behind the colon.
            let text = format!(
                "recorded as FLV, which is only there as whole files: /recordings/{stream}/{file}"
            );
            Response::text(Status::UnsupportedMediaType, &text).into()
        }
        NoPlan::TooManyFiles => bad(&format!(
            "there are more than {MAX_FILES} files in that time"
        )),
        NoPlan::NoMemory => no_memory().into(),
        NoPlan::Disk(error) => disk_failed(exchange, key, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_playlist_need_the_key_and_not_the_time() {
        for (query, expected) in [
            ("from=0", ""),
            ("from=0&key=a", "key=a"),
            ("key=a&from=0&to=1&fromage=b", "key=a&fromage=b"),
            ("init&key=a&duration=3", "key=a"),
        ] {
            assert_eq!(carried(query), expected, "{query}");
        }
    }
}
