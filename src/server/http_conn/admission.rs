//! Whether a request may have what it asks for: the same decision as over RTMP.

use super::super::access::{Denied, authorize_play};
use super::exchange::Exchange;
use super::watch;
use crate::http::{Response, Status, websocket};
use crate::rtmp::stream_key::StreamKey;

/// A play that was allowed. The handlers hear of its end when the exchange is over.
pub(super) struct Admission {
    key: StreamKey,
}

impl Admission {
    /// The stream that may be played, which need not be the one that was asked for.
    pub(super) fn key(&self) -> &StreamKey {
        &self.key
    }
}

/// Asks whether a stream may be played. While a live one is, the connection has a viewer's place.
pub(super) fn authorize(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
) -> Result<Admission, Response> {
    let credentials = exchange.credentials();
    let shared = exchange.shared;
    let key = authorize_play(
        &shared.handlers,
        &shared.guard,
        exchange.client,
        &credentials,
        key,
    )
    .map_err(|denied| match watch::parameter(exchange, "challenge") {
        // The page asks for the key itself: a browser's own window would be in front of it.
        Some("off") => text(&denied),
        _ => refusal(&denied),
    })?;
    exchange.note_play(&key).map_err(|full| {
        let why = format!("no place: {full}");
        Response::text(Status::ServiceUnavailable, &why).header("Retry-After", "1")
    })?;
    Ok(Admission { key })
}

/// Whether the page may be shown where it was asked for: what it asks for itself then may not be had
/// by that name either, and this way somebody reads why.
pub(super) fn check_host(exchange: &Exchange<'_>) -> Result<(), Response> {
    let guard = &exchange.shared.guard;
    guard
        .check_host(exchange.client, &exchange.credentials())
        .map_err(|denied| refusal(&denied))
}

/// Answers the opening handshake of a WebSocket with "Switching Protocols", or with why not.
pub(super) fn accept_websocket(exchange: &Exchange<'_>) -> Result<Response, Response> {
    let guard = &exchange.shared.guard;
    if !guard.may_open_socket(&exchange.credentials()) {
        return Err(Response::text(
            Status::Forbidden,
            "pages of other sites may not open this",
        ));
    }
    websocket::accept(exchange.head)
}

/// What somebody is told who may not.
pub(super) fn refusal(denied: &Denied) -> Response {
    let response = text(denied);
    match denied.challenge() {
        Some(challenge) => response.header("WWW-Authenticate", challenge),
        None => response,
    }
}

/// The same without asking for a password.
fn text(denied: &Denied) -> Response {
    let status = match denied.status {
        401 => Status::Unauthorized,
        429 => Status::TooManyRequests,
        503 => Status::ServiceUnavailable,
        _ => Status::Forbidden,
    };
    Response::text(status, &denied.text)
}
