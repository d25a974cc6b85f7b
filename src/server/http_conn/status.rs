//! The server's state.

use super::super::end::End;
use super::admission::refusal;
use super::exchange::{Exchange, Reply};
use crate::http::{Response, Route};

/// Answers a request for the state of streams or connections.
pub(super) fn reply(exchange: &mut Exchange<'_>, route: &Route) -> Result<Reply, End> {
    let guard = &exchange.shared.guard;
    let is_privileged = guard.is_privileged(exchange.client, &exchange.credentials());
    if matches!(route, Route::Connections | Route::Connection(_)) && !is_privileged {
        return Ok(refusal(&guard.api_denial()).into());
    }
    Ok(Response::not_found().into())
}
