//! The table: streams by name.
//!
//! Its lock is held for look-up, insert and remove only, and never together with a stream's.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use super::lock;
use super::stream::{Settings, Stream};
use crate::rtmp::stream_key::StreamKey;

/// See the module's documentation.
pub struct StreamTable {
    settings: Settings,
    streams: Mutex<BTreeMap<StreamKey, Arc<Stream>>>,
}

/// The stream was closed between look-up and use: look it up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl StreamTable {
    /// An empty table whose streams will have these settings.
    pub fn new(settings: Settings) -> StreamTable {
        StreamTable {
            settings,
            streams: Mutex::new(BTreeMap::new()),
        }
    }

    /// Does something with the stream of this name, which is made if it isn't there.
    ///
    /// A stream that its last user has just closed answers [`Closed`]; then the next one takes
    /// its place.
    pub fn with<T>(
        &self,
        key: &StreamKey,
        mut act: impl FnMut(&Arc<Stream>) -> Result<T, Closed>,
    ) -> T {
        loop {
            let stream = Arc::clone(
                lock(&self.streams)
                    .entry(key.clone())
                    .or_insert_with(|| Arc::new(Stream::new(key.clone(), &self.settings))),
            );
            match act(&stream) {
                Ok(value) => {
                    // Whoever was refused must leave no stream behind that nobody uses.
                    self.remove_unused(&stream);
                    return value;
                }
                Err(Closed) => self.remove(&stream),
            }
        }
    }

    /// The stream of this name, if there is one. It may have ended.
    pub fn find(&self, key: &StreamKey) -> Option<Arc<Stream>> {
        lock(&self.streams).get(key).map(Arc::clone)
    }

    /// Removes the stream if nobody publishes or plays it.
    pub fn remove_unused(&self, stream: &Arc<Stream>) {
        if stream.close_unused() {
            self.remove(stream);
        }
    }

    /// The stream that comes next in the order of names, and how many there are: for lists, which
    /// hold nothing from one stream to the next.
    pub fn next(&self, after: Option<&StreamKey>) -> (Option<Arc<Stream>>, usize) {
        let streams = lock(&self.streams);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let next = streams.range((from, Bound::Unbounded)).next();
        (next.map(|(_, stream)| Arc::clone(stream)), streams.len())
    }

    /// All streams, by name.
    pub fn streams(&self) -> Vec<Arc<Stream>> {
        lock(&self.streams).values().map(Arc::clone).collect()
    }

    fn remove(&self, stream: &Arc<Stream>) {
        let mut streams = lock(&self.streams);
        // By now the name may belong to a successor.
        if streams
            .get(stream.key())
            .is_some_and(|found| Arc::ptr_eq(found, stream))
        {
            streams.remove(stream.key());
        }
    }
}
