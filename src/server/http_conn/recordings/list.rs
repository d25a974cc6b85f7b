//! The list of recordings as JSON.

use std::sync::Arc;

use super::{Answer, Exchange, bad, parameter, time_of};
use crate::http::{Response, Route};
use crate::record::playback::Recordings;
use crate::rtmp::stream_key::StreamKey;
use crate::server::Shared;
use crate::server::access::Visitor;
use crate::server::http_conn::HttpEnd;
use crate::server::http_conn::status::log_wrong_key;
use crate::server::http_conn::writer::Writer;
use crate::status::recordings::{self, Wanted};

/// The cost of a list, in streams that could be listed in the same time.
const COST: usize = 50;

/// The reply to a request for the list, whose text is made piece by piece while it is sent.
pub(in crate::server::http_conn) struct ListReply<'s> {
    /// `None` if nothing can be recorded: then the list is empty.
    recordings: Option<&'s Recordings>,
    /// What the client may see; everything if it is privileged.
    visitor: Option<Visitor<'s>>,
    wanted: Wanted,
}

/// Answers a request for the list.
pub(super) fn reply<'s>(
    shared: &'s Arc<Shared>,
    recordings: Option<&'s Recordings>,
    exchange: &Exchange<'_>,
) -> Answer<ListReply<'s>> {
    let guard = &shared.guard;
    let (client, credentials) = (exchange.client, &exchange.credentials);
    let is_privileged = guard.is_privileged(client, credentials, &exchange.page, shared.now());
    if !is_privileged {
        exchange.check_host()?;
    }
    let stream = match parameter(exchange, "stream") {
        Some(name) => {
            let key = StreamKey::new("", &name);
            Some(key.map_err(|why| bad(&why.to_string()))?)
        }
        None => None,
    };
    let from = time_of(exchange, "from")?.unwrap_or(0);
    let to = time_of(exchange, "to")?.unwrap_or(u64::MAX);
    if from > to {
        return Err(bad("from is after to"));
    }
    exchange.look_at(COST)?;
    // Credentials are checked first, since this may have to wait.
    let visitor = (!is_privileged).then(|| guard.visitor(client, credentials, shared.now()));
    if visitor.is_some() {
        log_wrong_key(exchange, &Route::Recordings, visitor.as_ref());
    }
    Ok(ListReply {
        recordings,
        visitor,
        wanted: Wanted {
            stream,
            within: from..to,
        },
    })
}

impl ListReply<'_> {
    pub(super) fn write(self, writer: &mut Writer<'_>) -> Result<(), HttpEnd> {
        let response = Response::new("application/json", &[][..]);
        let may_list = |key: &StreamKey| {
            let visitor = self.visitor.as_ref();
            visitor.is_none_or(|visitor| visitor.may_list(key))
        };
        writer.write_made(response, &mut |out| {
            recordings::list(out, self.recordings, &self.wanted, &may_list);
        })
    }
}
