//! Playlists and what they name.

use super::super::end::End;
use super::admission::authorize;
use super::exchange::{Exchange, Reply};
use crate::http::{Response, Route};
use crate::rtmp::stream_key::StreamKey;

/// Answers a request for a playlist, a segment or a part of one.
pub(super) fn reply(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
    _route: &Route,
) -> Result<Reply, End> {
    let _admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    Ok(Response::not_found().into())
}
