//! Replaces `recordings` in a build that doesn't record.

use std::sync::Arc;

use super::end::HttpEnd;
use super::exchange::Exchange;
use super::writer::Writer;
use crate::http::{Response, Route};
use crate::rtmp::stream_key::StreamKey;
use crate::server::Shared;

pub(super) enum RecordedReply {}

impl RecordedReply {
    pub(super) fn write(self, _: &mut Writer<'_>) -> Result<(), HttpEnd> {
        match self {}
    }
}

pub(super) fn last(_: &mut Exchange<'_>, _: &StreamKey) -> Result<RecordedReply, Response> {
    Err(Response::not_found())
}

pub(super) fn reply(
    _: &Arc<Shared>,
    _: &mut Exchange<'_>,
    _: &Route,
) -> Result<RecordedReply, Response> {
    Err(Response::not_found())
}
