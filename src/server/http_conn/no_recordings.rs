//! Replaces `recordings` in a build that doesn't record.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;

use super::end::HttpEnd;
use super::exchange::Exchange;
use super::writer::Writer;
use crate::http::{Response, Route};
use crate::rtmp::stream_key::StreamKey;
use crate::server::Shared;

pub(super) struct RecordedReply<'s>(Infallible, PhantomData<&'s ()>);

impl RecordedReply<'_> {
    pub(super) fn write(self, _: &mut Writer<'_>) -> Result<(), HttpEnd> {
        match self.0 {}
    }
}

pub(super) fn last<'s>(_: &mut Exchange<'_>, _: &StreamKey) -> Result<RecordedReply<'s>, Response> {
    Err(Response::not_found())
}

pub(super) fn reply<'s>(
    _: &'s Arc<Shared>,
    _: &mut Exchange<'_>,
    _: &Route,
) -> Result<RecordedReply<'s>, Response> {
    Err(Response::not_found())
}
