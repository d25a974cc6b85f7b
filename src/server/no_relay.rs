//! Replaces `relay` in a build that neither pushes nor pulls.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Shared;
use crate::config::{Config, Pull, Push};
use crate::live::Millis;
use crate::live::stream::Stream;
use crate::relay::report::RelayReport;
use crate::rtmp::stream_key::StreamKey;
use crate::server::client::Action;

pub(super) struct Relays;

impl Relays {
    pub(super) fn new(_: Option<PathBuf>) -> io::Result<Arc<Relays>> {
        Ok(Arc::new(Relays))
    }

    pub(super) fn begin(self: &Arc<Self>, _: &Arc<Shared>, config: &Config) -> io::Result<()> {
        if config.pushes.is_empty() && config.pulls.is_empty() {
            return Ok(());
        }
        let why = "this build neither pushes nor pulls";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    pub(super) fn check(&self, _: &str) -> Result<(), &'static str> {
        Ok(())
    }

    pub(super) fn check_stream(
        &self,
        _: &Shared,
        _: &str,
        _: Action,
        _: &StreamKey,
    ) -> Result<(), &'static str> {
        Ok(())
    }

    pub(super) fn published(self: &Arc<Self>, _: &Arc<Shared>, _: &Arc<Stream>) {}

    pub(super) fn push(self: &Arc<Self>, _: &Arc<Shared>, _: Push) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn pull(self: &Arc<Self>, _: &Arc<Shared>, _: Pull) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn watched(&self, _: &StreamKey) {}

    #[cfg(feature = "http")]
    pub(super) fn fetch(&self, _: &Shared, _: &StreamKey) -> Option<Arc<Stream>> {
        None
    }

    pub(super) fn stop_push(&self, _: u64) -> bool {
        false
    }

    pub(super) fn stop_pull(&self, _: u64) -> bool {
        false
    }

    pub(super) fn pushes(&self, _: Millis) -> Vec<RelayReport> {
        Vec::new()
    }

    pub(super) fn pulls(&self, _: Millis) -> Vec<RelayReport> {
        Vec::new()
    }

    pub(super) fn finish(&self) {}
}
