//! Requests to begin and end recordings, of clients that may do so.

use super::exchange::{Exchange, not_live};
use super::retry_later;
use crate::http::{Method, Response, Status, query};
use crate::rtmp::stream_key::StreamKey;
use crate::server::recording::{StartRefused, Why};
use crate::server::wall_clock;
use crate::status::{ServerStatus, api};

/// The longest pre-roll that makes sense, in ms: a log holds less.
const MAX_PREROLL: u64 = 3_600_000;

/// Begins the recording of a stream, or ends it. Returns its state, which is that before the end if it
/// was ended.
pub(super) fn reply(exchange: &Exchange<'_>, key: &StreamKey) -> Result<Response, Response> {
    let (shared, client) = (exchange.shared, exchange.client);
    let recordings = &shared.recordings;
    let report = if exchange.head.method() == Method::Delete {
        let report = recordings.report(key);
        if !recordings.stop(key) {
            let why = [key.as_str(), " isn't recorded"].concat();
            return Err(Response::text(Status::NotFound, &why));
        }
        log::info!("{client} ended the recording of {key} through the API");
        report
    } else {
        let preroll = preroll(exchange)?;
        let started = recordings.start(shared, key, Why::Asked, preroll);
        if started.map_err(|refused| refusal(refused, key))? {
            log::info!("{client} asked through the API to record {key}");
        }
        recordings.report(key)
    };
    let status = ServerStatus {
        now: shared.now(),
        wall_clock: wall_clock::now(),
        ..ServerStatus::default()
    };
    let mut text = String::new();
    api::recording(&mut text, &status, report.as_ref());
    Ok(Response::new("application/json", text.into_bytes()))
}

/// The pre-roll in the query, in ms, if there is one.
fn preroll(exchange: &Exchange<'_>) -> Result<Option<u64>, Response> {
    let Some(text) = exchange.parameter("preroll") else {
        return Ok(None);
    };
    let ms = query::duration(text).filter(|ms| *ms <= MAX_PREROLL);
    ms.map(Some).ok_or_else(|| {
        let why = "preroll isn't a time such as 10s, 500ms or 1m, at most 1h";
        Response::text(Status::BadRequest, why)
    })
}

fn refusal(refused: StartRefused, key: &StreamKey) -> Response {
    let status = match refused {
        StartRefused::NotLive => return not_live(key),
        StartRefused::NoFolder | StartRefused::NotBuilt | StartRefused::Disk(_) => Status::Conflict,
        StartRefused::NoRoom | StartRefused::Stopping => {
            return retry_later(Status::ServiceUnavailable, refused.text());
        }
    };
    Response::text(status, &["not recorded: ", refused.text()].concat())
}
