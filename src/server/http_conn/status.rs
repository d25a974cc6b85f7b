//! The server's state, as far as it may be shown to who asks.

use std::fmt::Write;
use std::sync::Arc;

use super::super::Shared;
use super::super::access::Visitor;
use super::admission::{check_host, refusal};
use super::end::HttpEnd;
use super::exchange::{Exchange, Reply};
use super::writer::Writer;
use crate::allowance::Allowance;
use crate::http::{self, Response, Route};
use crate::live::Millis;
use crate::live::stats::{ViewerReport, sum};
use crate::output::status::{
    ConnectionReport, Source, Status, StreamStatus, api, metrics, stat, utc,
};
use crate::rtmp::stream_key::StreamKey;

/// What is kept of who asks while a list is sent, in bytes: what it has shown.
const VISITOR_LEN: usize = 2 * 1024;

/// A list to be sent.
pub(super) struct State<'a> {
    form: Form,
    is_privileged: bool,
    lister: Lister<'a>,
}

#[derive(Clone, Copy)]
enum Form {
    Streams,
    Connections,
    Metrics,
    Stat,
}

/// Answers a request for the state of streams or connections, or to end a connection.
#[inline(never)] // Its variables are not to be part of the stack of a viewer's thread.
pub(super) fn reply<'s>(
    shared: &'s Arc<Shared>,
    exchange: &mut Exchange<'_>,
    route: &Route,
) -> Result<Reply<'s>, HttpEnd> {
    let guard = &shared.guard;
    let is_privileged = guard.is_privileged(exchange.client, &exchange.credentials());
    if matches!(route, Route::Connections | Route::Connection(_)) && !is_privileged {
        return Ok(refusal(&guard.api_denial()).into());
    }
    if !is_privileged {
        if let Err(refusal) = check_host(exchange) {
            return Ok(refusal.into());
        }
    }
    let form = match route {
        Route::Connection(id) => return Ok(kick(exchange, *id).into()),
        Route::Connections => Form::Connections,
        Route::Metrics => Form::Metrics,
        Route::Stat => Form::Stat,
        _ => Form::Streams,
    };
    // Each stream's lock is taken for it, several times by some.
    let count = shared.table.next(None).1;
    let looks = match form {
        Form::Streams => count,
        Form::Connections => shared.connections.count(),
        Form::Metrics => count * metrics::WALKS,
        Form::Stat => count * 2,
    };
    let address = exchange.client.address().ip();
    if !shared.looks.allow_many(address, looks, shared.now()) {
        return Ok(super::too_many().into());
    }
    // What is shown may have to wait before it is looked at: first, so that the figures are fresh.
    let visitor = (!is_privileged).then(|| guard.visitor(exchange.client, &exchange.credentials()));
    Ok(Reply::State(State {
        form,
        is_privileged,
        lister: Lister {
            shared,
            visitor,
            now: shared.now(),
            has_past: matches!(form, Form::Metrics),
            is_locked: false,
        },
    }))
}

impl State<'_> {
    #[inline(never)]
    pub(super) fn write(
        mut self,
        writer: &mut Writer<'_>,
        allowance: &Allowance,
    ) -> Result<(), HttpEnd> {
        let Ok(_paid) = allowance.take(VISITOR_LEN) else {
            return writer.respond(super::no_memory());
        };
        let shared = self.lister.shared;
        let (accepted, [bytes_in, bytes_out]) = shared.connections.totals();
        let status = Status {
            now: self.lister.now,
            wall_clock: utc::wall_clock(),
            rtmp_port: shared.rtmp_addresses.first().map(|address| address.port()),
            is_privileged: self.is_privileged,
            connections: shared.connections.open_count(),
            accepted,
            bytes_in,
            bytes_out,
            free_blocks: shared.arena.free_blocks(),
            total_blocks: shared.arena.total_blocks(),
        };
        type Make = fn(&mut dyn Write, &Status, &mut dyn Source);
        let (content_type, make): (_, Make) = match self.form {
            Form::Connections => ("application/json", api::connections),
            Form::Metrics => (metrics::CONTENT_TYPE, metrics::text),
            Form::Stat => (stat::CONTENT_TYPE, stat::xml),
            Form::Streams => ("application/json", api::streams),
        };
        let response = Response::new(content_type, Vec::new());
        writer.write_made(response, |out| make(out, &status, &mut self.lister))
    }
}

/// Ends a connection.
fn kick(exchange: &Exchange<'_>, id: u64) -> Response {
    if !exchange.shared.connections.kick(id) {
        return Response::not_found();
    }
    log::info!("{} ended #{id} through the API", exchange.client);
    Response::text(http::Status::NoContent, "")
}

/// Streams and connections, one at a time. The privileged see all streams, others those that they may
/// play.
struct Lister<'a> {
    shared: &'a Arc<Shared>,
    visitor: Option<Visitor<'a>>,
    now: Millis,
    /// With names whose streams have gone.
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
            // A name that somebody only waits for may be anything.
            if report.totals()[0] > 0 {
                let visitor = &self.visitor;
                if visitor
                    .as_ref()
                    .is_none_or(|visitor| visitor.may_list(&key))
                {
                    return Some(StreamStatus::new(key, report));
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
        let mut report = self.shared.connections.report_after(id)?;
        for played in &mut report.plays {
            *played = self.shared.shown(played);
        }
        Some(report)
    }

    fn connection(&mut self, id: u64) -> Option<ConnectionReport> {
        self.shared.connections.report_of(id)
    }
}
