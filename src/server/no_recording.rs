//! Replaces `recording` in a build that can't record.

#[path = "recording/request.rs"]
mod request;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::config::Record;
use crate::live::Millis;
use crate::record::report::{DiskReport, RecordingReport};
use crate::rtmp::stream_key::StreamKey;

pub use request::StartRefused;
pub(super) use request::{Why, why};

pub(super) struct Recordings;

impl Recordings {
    pub(super) fn new(_: &Record) -> Arc<Recordings> {
        Arc::new(Recordings)
    }

    pub(super) fn claim(&self) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn start(
        self: &Arc<Self>,
        _: &Arc<Shared>,
        _: &StreamKey,
        _: Why,
        _: Option<Millis>,
    ) -> Result<bool, StartRefused> {
        Err(StartRefused::NotBuilt)
    }

    pub(super) fn stop(&self, _: &StreamKey) -> bool {
        false
    }

    pub(super) fn report(&self, _: &StreamKey) -> Option<RecordingReport> {
        None
    }

    pub(super) fn begin(&self, _: &Arc<Shared>) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn finish(&self) {}

    pub(super) fn await_disk(&self, _: Duration) -> Option<DiskReport> {
        None
    }

    pub(super) fn disk(&self) -> Option<DiskReport> {
        None
    }
}
