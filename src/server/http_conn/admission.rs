//! Whether a request may have what it asks for: the same decision as over RTMP.

use std::sync::Arc;

use super::exchange::{Exchange, parameter};
use crate::http::{Response, Status, websocket};
use crate::live::stream::Stream;
use crate::rtmp::stream_key::StreamKey;
use crate::server::client::Action;
use crate::server::handler::{Refusal, RefusalKind, StreamRequest};
use crate::server::lines::About;

/// A play that was accepted. The handler is notified of its end when the exchange is over.
pub(super) struct Admission {
    /// The name of the stream to be played, which may differ from the one that was asked for.
    pub(super) key: StreamKey,
    /// The stream, if there is one.
    pub(super) stream: Option<Arc<Stream>>,
}

/// Decides whether a stream may be played. If it is live, the connection takes a viewer's place.
pub(super) fn authorize(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
) -> Result<Admission, Response> {
    check_host(exchange)?;
    let (shared, client, now) = (exchange.shared, exchange.client, exchange.shared.now());
    let mut request = StreamRequest::over_http(client, key, exchange.head.query());
    let hls_sessions = shared.hls_sessions.as_ref().filter(|_| exchange.is_hls);
    let decided = shared
        .guard
        .authorize_with(&exchange.credentials, Action::Play, &mut request, now)
        .and_then(|()| match hls_sessions {
            Some(sessions) => sessions.play(client, &mut request),
            None => shared.handler.play(client, &mut request),
        });
    let key = request.key().clone();
    if let Err(refusal) = decided {
        log_refusal(exchange, &key, &refusal);
        // The page has a form of its own for the key: a browser's dialog would be in front of it.
        let asks_itself = parameter(exchange, "challenge") == Some("off");
        return Err(response_to(&refusal, !asks_itself));
    }
    let stream = exchange.note_play(&key).map_err(|full| {
        let why = format!("no place: {full}");
        Response::text(Status::ServiceUnavailable, &why).header("Retry-After", "1")
    })?;
    Ok(Admission { key, stream })
}

/// Whether the host name of a request may be used. This also decides about the page itself: nothing
/// that it requests would be available under that name, and here the user can read why.
pub(super) fn check_host(exchange: &Exchange<'_>) -> Result<(), Response> {
    let refused = exchange.shared.guard.check_host(&exchange.page);
    refused.map_err(|refusal| {
        warn(exchange, About::Connection, format_args!("{refusal}"));
        response_to(&refusal, true)
    })
}

/// Answers the opening handshake of a WebSocket, with "Switching Protocols" or an error.
pub(super) fn accept_websocket(exchange: &Exchange<'_>) -> Result<Response, Response> {
    let guard = &exchange.shared.guard;
    if !guard.may_open_socket(&exchange.credentials, &exchange.page) {
        return Err(Response::text(
            Status::Forbidden,
            "pages of other sites may not open this",
        ));
    }
    websocket::accept(exchange.head)
}

/// The response to a request that is refused. With `may_challenge`, a browser asks the user for a
/// password where one is needed.
pub(super) fn response_to(refusal: &Refusal, may_challenge: bool) -> Response {
    let status = match refusal.kind() {
        RefusalKind::Unauthorized => Status::Unauthorized,
        RefusalKind::TooManyAttempts => Status::TooManyRequests,
        RefusalKind::ServerStops => Status::ServiceUnavailable,
        RefusalKind::Forbidden | RefusalKind::Step => Status::Forbidden,
    };
    let response = Response::text(status, refusal.description());
    if may_challenge && status == Status::Unauthorized {
        let challenge = "Basic realm=\"brooklet\", charset=\"UTF-8\"";
        return response.header("WWW-Authenticate", challenge);
    }
    response
}

/// Logs a refusal: over HTTP it doesn't end the connection, which would have its own line. A client
/// that has sent no credentials yet is only about to be asked for them.
fn log_refusal(exchange: &Exchange<'_>, key: &StreamKey, refusal: &Refusal) {
    let is_question =
        refusal.kind() == RefusalKind::Unauthorized && !exchange.credentials.are_for_streams();
    if is_question || refusal.is_step() {
        log::debug!("{} asked to play {key}: {refusal}", exchange.client);
        return;
    }
    warn(
        exchange,
        About::Media,
        format_args!("refused to play {key}: {refusal}"),
    );
}

/// Logs a warning about the client.
pub(super) fn warn(exchange: &Exchange<'_>, about: About, what: std::fmt::Arguments<'_>) {
    let client = exchange.client;
    let line = exchange.shared.warn(about, client.address().ip());
    line.say(format_args!("{client} {what}"));
}
