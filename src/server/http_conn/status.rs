//! Requests for the part of the server's state that the client may see.

use std::fmt::Write;
use std::sync::Arc;

use super::Reply;
use super::end::HttpEnd;
use super::exchange::{Exchange, response_to};
use super::record;
use super::relay;
use super::writer::Writer;
use crate::http::{self, Method, Response, Route};
use crate::live::Millis;
use crate::live::report::{ViewerReport, sum};
use crate::rtmp::stream_key::StreamKey;
use crate::server::Shared;
use crate::server::access::Visitor;
use crate::server::lines::About;
use crate::server::wall_clock;
use crate::status::{ConnectionReport, ServerStatus, Source, StreamStatus, api, metrics, stat};

/// The reply to a request for the server's state, whose text is made piece by piece while it is sent.
pub(super) struct StatusReply<'a> {
    content_type: &'static str,
    write: WriteStatus,
    is_privileged: bool,
    lister: Lister<'a>,
}

type WriteStatus = fn(&mut dyn Write, &ServerStatus, &mut dyn Source);

/// Answers a request for the state of streams or connections, or to end a connection, or to begin or end
/// a recording.
#[inline(never)] // Keeps these locals off the stack of idle connection threads.
pub(super) fn reply<'s>(
    shared: &'s Arc<Shared>,
    exchange: &mut Exchange<'_>,
    route: &Route,
) -> Result<Reply<'s>, Response> {
    let guard = &shared.guard;
    let (client, credentials) = (exchange.client, &exchange.credentials);
    let is_privileged = guard.is_privileged(client, credentials, &exchange.page, shared.now());
    if route.needs_privileges() && !is_privileged {
        log_wrong_key(exchange, route, None);
        return Err(response_to(&guard.api_refusal(), true));
    }
    if !is_privileged {
        exchange.check_host()?;
    }
    let streams = shared.table.next(None).1;
    let json = "application/json";
    // Each text locks every stream, some texts several times.
    let (content_type, write, looks): (_, WriteStatus, _) = match route {
        Route::Connection(id) => return Ok(Reply::Response(kick(exchange, *id))),
        Route::Recording(key) => return record::reply(exchange, key).map(Reply::Response),
        Route::Push(_) | Route::Pull(_) => {
            return relay::reply(exchange, route).map(Reply::Response);
        }
        Route::Pushes | Route::Pulls if exchange.head.method() == Method::Post => {
            return relay::reply(exchange, route).map(Reply::Response);
        }
        Route::Pushes => (json, api::pushes, 1),
        Route::Pulls => (json, api::pulls, 1),
        Route::Connections => (json, api::connections, shared.connections.count()),
        Route::Metrics => (
            metrics::CONTENT_TYPE,
            metrics::text,
            streams * metrics::WALKS,
        ),
        Route::Stat => (stat::CONTENT_TYPE, stat::xml, streams * 2),
        _ => (json, api::streams, streams),
    };
    exchange.look_at(looks)?;
    // Credentials are checked first, since this may have to wait, and the figures should be fresh.
    let visitor = (!is_privileged).then(|| guard.visitor(client, credentials, shared.now()));
    if visitor.is_some() {
        log_wrong_key(exchange, route, visitor.as_ref());
    }
    Ok(Reply::Status(StatusReply {
        content_type,
        write,
        is_privileged,
        lister: Lister {
            shared,
            visitor,
            now: shared.now(),
            has_past: matches!(route, Route::Metrics),
            is_locked: false,
        },
    }))
}

impl StatusReply<'_> {
    #[inline(never)]
    pub(super) fn write(mut self, writer: &mut Writer<'_>) -> Result<(), HttpEnd> {
        let shared = self.lister.shared;
        let (accepted, [bytes_in, bytes_out]) = shared.connections.totals();
        let status = ServerStatus {
            now: self.lister.now,
            wall_clock: wall_clock::now(),
            rtmp_port: shared.rtmp_addresses.first().map(|address| address.port()),
            is_privileged: self.is_privileged,
            connections: shared.connections.open_count(),
            accepted,
            bytes_in,
            bytes_out,
            free_blocks: shared.arena.free_blocks(),
            total_blocks: shared.arena.total_blocks(),
            disk: shared.recordings.disk(),
            pushes: shared.relays.pushes(self.lister.now),
            pulls: shared.relays.pulls(self.lister.now),
        };
        let response = Response::new(self.content_type, Vec::new());
        writer.write_made(response, &mut |out| {
            (self.write)(out, &status, &mut self.lister)
        })
    }
}

/// Logs that a request without privileges has sent a key or password that wasn't accepted. Doesn't log
/// the requested path, whose query contains the key.
pub(super) fn log_wrong_key(exchange: &Exchange<'_>, route: &Route, visitor: Option<&Visitor<'_>>) {
    let guard = &exchange.shared.guard;
    if !guard.has_refused(&exchange.credentials, visitor) {
        return;
    }
    let what = match route {
        Route::Connection(_) => "to end a connection",
        Route::Recording(_) => "to begin or end a recording",
        Route::Push(_) => "to end a push",
        Route::Pull(_) => "to end a pull",
        Route::Pushes => "for /api/v1/pushes",
        Route::Pulls => "for /api/v1/pulls",
        Route::Connections => "for /api/v1/connections",
        Route::Metrics => "for /metrics",
        Route::Stat => "for /stat",
        Route::Recordings => "for /api/v1/recordings",
        _ => "for /api/v1/streams",
    };
    exchange.warn(
        About::Connection,
        format_args!("asked {what} with a wrong key or password, or after too many of them"),
    );
}

/// Disconnects the client of a connection.
fn kick(exchange: &Exchange<'_>, id: u64) -> Response {
    if !exchange.shared.connections.kick(id) {
        return Response::not_found();
    }
    log::info!("{} ended #{id} through the API", exchange.client);
    Response::text(http::Status::NoContent, "")
}

/// Looks up streams and connections, one at a time. Privileged clients see all streams, others only
/// those that they may play.
struct Lister<'a> {
    shared: &'a Arc<Shared>,
    visitor: Option<Visitor<'a>>,
    now: Millis,
    /// Whether to include the names of streams that are gone.
    has_past: bool,
    is_locked: bool,
}

impl Source for Lister<'_> {
    fn stream_after(&mut self, key: Option<&StreamKey>) -> Option<StreamStatus> {
        let mut skipped: Option<StreamKey> = None;
        loop {
            let (key, stream, totals) = self.shared.table.next_name(skipped.as_ref().or(key))?;
            let report = stream.map(|stream| stream.report(self.now));
            let mut report = report.unwrap_or_default();
            if self.has_past {
                report.past = sum(report.past, totals);
            }
            // Skips streams that were never published: a client may wait for a stream of any name.
            if report.totals()[0] > 0 {
                let visitor = self.visitor.as_ref();
                if visitor.is_none_or(|visitor| visitor.may_list(&key)) {
                    let recording = self.shared.recordings.report(&key);
                    return Some(StreamStatus::new(key, report, recording));
                }
                self.is_locked = true;
            }
            skipped = Some(key);
        }
    }

    fn is_locked(&self) -> bool {
        self.is_locked
    }

    fn viewer_after(&mut self, key: &StreamKey, viewer: u64) -> Option<ViewerReport> {
        let stream = self.shared.table.find(key)?;
        stream.viewer_after(viewer, self.now)
    }

    fn connection_after(&mut self, id: u64) -> Option<ConnectionReport> {
        self.shared.connection_after(id)
    }

    fn connection(&mut self, id: u64) -> Option<ConnectionReport> {
        self.shared.connections.report_of(id)
    }
}
