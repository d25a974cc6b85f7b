//! The media of a stream, as long as either side lasts.

use super::super::end::End;
use super::admission::{accept_websocket, authorize};
use super::exchange::{Exchange, Reply};
use crate::http::route::Container;
use crate::http::{Response, websocket};
use crate::rtmp::stream_key::StreamKey;

/// Answers a request for the media of a stream.
pub(super) fn media(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
    _container: Container,
) -> Result<Reply, End> {
    let _admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    if websocket::is_upgrade(exchange.head) {
        if let Err(refusal) = accept_websocket(exchange) {
            return Ok(refusal.into());
        }
    }
    Ok(Response::not_found().into())
}

/// Answers a request for the newest keyframe of a stream.
pub(super) fn frame(exchange: &mut Exchange<'_>, key: &StreamKey) -> Result<Reply, End> {
    let _admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    Ok(Response::not_found().into())
}
