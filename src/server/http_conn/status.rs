//! The server's state, as far as it may be shown to who asks.

use super::super::end::End;
use super::admission::{check_host, refusal};
use super::exchange::{Exchange, Reply};
use crate::http::{self, Response, Route};
use crate::output::status::{Status, StreamStatus, api, metrics, stat, utc};

/// Answers a request for the state of streams or connections, or to end a connection.
#[inline(never)] // Its variables are not to be part of the stack of a viewer's thread.
pub(super) fn reply(exchange: &mut Exchange<'_>, route: &Route) -> Result<Reply, End> {
    let guard = &exchange.shared.guard;
    let is_privileged = guard.is_privileged(exchange.client, &exchange.credentials());
    if matches!(route, Route::Connections | Route::Connection(_)) && !is_privileged {
        return Ok(refusal(&guard.api_denial()).into());
    }
    if let Route::Connection(id) = route {
        return Ok(kick(exchange, *id).into());
    }
    if !is_privileged {
        if let Err(refusal) = check_host(exchange) {
            return Ok(refusal.into());
        }
    }
    let status = status(exchange, is_privileged);
    let (content_type, body) = match route {
        Route::Connections => ("application/json", api::connections(&status)),
        Route::Metrics => (metrics::CONTENT_TYPE, metrics::text(&status)),
        Route::Stat => (stat::CONTENT_TYPE, stat::xml(&status)),
        _ => ("application/json", api::streams(&status)),
    };
    Ok(Response::new(content_type, body.into_bytes()).into())
}

/// Ends a connection.
fn kick(exchange: &Exchange<'_>, id: u64) -> Response {
    if !exchange.shared.connections.kick(id) {
        return Response::not_found();
    }
    log::info!("{} disconnects #{id} by the API", exchange.client);
    Response::text(http::Status::NoContent, "")
}

/// The state at this moment. The privileged see all streams, others those that they may play.
fn status(exchange: &Exchange<'_>, is_privileged: bool) -> Status {
    let shared = exchange.shared;
    // What is shown may have to wait before it is looked at: first, so that the figures are fresh.
    let visitor = (!is_privileged).then(|| {
        shared
            .guard
            .visitor(exchange.client, &exchange.credentials())
    });
    let now = shared.now();
    let mut is_locked = false;
    let mut streams = Vec::new();
    for stream in shared.table.streams() {
        let report = stream.report(now);
        // A name that somebody only waits for may be anything.
        if report.publishes == 0 {
            continue;
        }
        let key = stream.key();
        if visitor.as_ref().is_none_or(|visitor| visitor.may_list(key)) {
            let key = key.clone();
            let is_before = |other: &StreamStatus| other.key.as_str() < key.as_str();
            let at = streams.partition_point(is_before);
            streams.insert(at, StreamStatus { key, report });
        } else {
            is_locked = true;
        }
    }
    let mut connections = shared.connections.report();
    for played in connections.iter_mut().flat_map(|c| &mut c.plays) {
        *played = shared.shown(played);
    }
    let (accepted, [bytes_in, bytes_out]) = shared.connections.totals();
    Status {
        now,
        wall_clock: utc::wall_clock(),
        rtmp_port: shared.rtmp_addresses.first().map(|address| address.port()),
        is_privileged,
        is_locked,
        streams,
        connections,
        accepted,
        bytes_in,
        bytes_out,
        free_blocks: shared.arena.free_blocks(),
        total_blocks: shared.arena.total_blocks(),
    }
}
