//! The threads of recordings, and who has asked for them.

mod request;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Shared;
use crate::config::Record;
use crate::live::{Millis, lock};
use crate::record::report::{DiskReport, RecordingReport};
use crate::rtmp::stream_key::StreamKey;

pub use request::StartRefused;
pub(super) use request::{Why, why};

/// The recordings of a server.
#[derive(Default)]
pub(super) struct Recordings {
    /// The streams that are recorded, and since when.
    wanted: Mutex<BTreeMap<StreamKey, Millis>>,
}

impl Recordings {
    pub(super) fn new(_: &Record) -> Arc<Recordings> {
        Arc::default()
    }

    /// Begins to record a stream, with up to `preroll` ms of what came before. If it is recorded
    /// already, this changes nothing, except that [`Why::Record`] begins a new file.
    pub(super) fn start(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        key: &StreamKey,
        _: Why,
        _preroll: Option<Millis>,
    ) -> Result<(), StartRefused> {
        if shared.config.record.dir.is_none() {
            return Err(StartRefused::NoFolder);
        }
        let stream = shared.table.find(key);
        if !stream.is_some_and(|stream| stream.is_live()) {
            return Err(StartRefused::NotLive);
        }
        lock(&self.wanted)
            .entry(key.clone())
            .or_insert_with(|| shared.now());
        Ok(())
    }

    /// Ends the recording of a stream; false if there is none.
    pub(super) fn stop(&self, key: &StreamKey) -> bool {
        lock(&self.wanted).remove(key).is_some()
    }

    /// The figures of a stream's recording, if there is one.
    pub(super) fn report(&self, key: &StreamKey) -> Option<RecordingReport> {
        let since = *lock(&self.wanted).get(key)?;
        Some(RecordingReport {
            since,
            ..RecordingReport::default()
        })
    }

    /// The figures of the disk; `None` if nothing can be recorded.
    pub(super) fn disk(&self) -> Option<DiskReport> {
        None
    }
}
