//! Requests to begin and end pushes and pulls, of clients that may do so.

use std::io::ErrorKind;

use super::exchange::Exchange;
use super::retry_later;
use crate::config::{parse_pull, parse_push};
use crate::http::{Response, Route, Status};

/// Begins a push or pull, which the body names as the options do, or ends one.
#[inline(never)] // Keeps these locals off the stack of idle connection threads.
pub(super) fn reply(exchange: &Exchange<'_>, route: &Route) -> Result<Response, Response> {
    let (shared, client) = (exchange.shared, exchange.client);
    if cfg!(not(feature = "relay")) {
        let why = "this build neither pushes nor pulls";
        return Err(Response::text(Status::Conflict, why));
    }
    let relays = &shared.relays;
    let body = std::str::from_utf8(exchange.body).unwrap_or_default();
    // Not repeated: it may have a key in it.
    let wrong = |expected: String| {
        let why = format!("the body isn't what was expected: {expected}");
        Response::text(Status::BadRequest, &why)
    };
    let begun = match route {
        Route::Push(id) => return ended(exchange, "push", *id, relays.stop_push(*id)),
        Route::Pull(id) => return ended(exchange, "pull", *id, relays.stop_pull(*id)),
        // A file of the server isn't read for a client.
        _ if body.contains("=@") => return Err(wrong("a URL, not a file".to_owned())),
        Route::Pulls => relays.pull(shared, parse_pull(body).map_err(wrong)?),
        _ => relays.push(shared, parse_push(body).map_err(wrong)?),
    };
    let id = begun.map_err(|error| match (error.kind(), error.to_string()) {
        (ErrorKind::AlreadyExists, why) => Response::text(Status::Conflict, &why),
        (_, why) => retry_later(Status::ServiceUnavailable, &why),
    })?;
    let what = match route {
        Route::Pulls => "pull",
        _ => "push",
    };
    log::info!("{client} began {what} {id} through the API");
    let text = format!("{{\"id\":{id}}}");
    Ok(Response::new("application/json", text.into_bytes()))
}

fn ended(
    exchange: &Exchange<'_>,
    what: &str,
    id: u64,
    is_ended: bool,
) -> Result<Response, Response> {
    if !is_ended {
        return Err(Response::text(Status::NotFound, &format!("no {what} {id}")));
    }
    log::info!("{} ended {what} {id} through the API", exchange.client);
    Ok(Response::text(Status::NoContent, ""))
}
