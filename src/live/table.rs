//! The table: streams by name.
//!
//! Its lock is held for lookup, insertion and removal only, and never together with a stream's.

use std::sync::{Arc, Mutex};

use super::report::{Totals, sum};
use super::stream::{Closed, Stream, StreamSettings};
use super::{Millis, lock};
use crate::rtmp::stream_key::StreamKey;

/// See the module's documentation.
pub struct StreamTable {
    settings: StreamSettings,
    /// Sorted by name.
    streams: Mutex<Vec<Arc<Stream>>>,
    /// The counters of names whose streams are gone, in the order in which they were removed. Locked
    /// after `streams`, if both are locked.
    past: Mutex<Vec<(StreamKey, Totals)>>,
}

/// The number of names whose counters are remembered.
const MAX_PAST: usize = 64;

impl StreamTable {
    /// Creates an empty table whose streams will have these settings.
    pub fn new(settings: StreamSettings) -> StreamTable {
        StreamTable {
            settings,
            streams: Mutex::default(),
            past: Mutex::default(),
        }
    }

    /// Calls `act` with the stream of this name, which is created if there is none.
    ///
    /// If its last user has just closed the stream, which `act` reports as [`Closed`], the next stream
    /// takes its place.
    pub fn with<T>(
        &self,
        key: &StreamKey,
        now: Millis,
        mut act: impl FnMut(&Arc<Stream>) -> Result<T, Closed>,
    ) -> T {
        loop {
            let stream = self.find_or_add(key);
            match act(&stream) {
                Ok(value) => {
                    // A client that was refused must leave no unused stream behind.
                    self.remove_unused(&stream, now);
                    return value;
                }
                Err(Closed) => self.remove(&stream),
            }
        }
    }

    fn find_or_add(&self, key: &StreamKey) -> Arc<Stream> {
        let mut streams = lock(&self.streams);
        let index = place(&streams, key).unwrap_or_else(|index| {
            let stream = Stream::new(key.clone(), &self.settings);
            streams.insert(index, Arc::new(stream));
            index
        });
        Arc::clone(&streams[index])
    }

    /// The stream of this name, if there is one. The stream may have ended.
    pub fn find(&self, key: &StreamKey) -> Option<Arc<Stream>> {
        let streams = lock(&self.streams);
        let index = place(&streams, key).ok()?;
        Some(Arc::clone(&streams[index]))
    }

    /// Removes the stream if it has neither a publisher nor an audience.
    pub fn remove_unused(&self, stream: &Arc<Stream>, now: Millis) {
        if stream.close_unused(now) {
            self.remove(stream);
        }
    }

    /// The next stream in the order of names, and the number of streams. Lists use this so that they
    /// hold no lock from one stream to the next.
    pub fn next(&self, after: Option<&StreamKey>) -> (Option<Arc<Stream>>, usize) {
        let streams = lock(&self.streams);
        let from = after.map_or(0, |after| {
            streams.partition_point(|stream| stream.key() <= after)
        });
        (streams.get(from).map(Arc::clone), streams.len())
    }

    /// The next name with counters, its stream if there is one, and the counters of earlier streams
    /// with that name.
    pub fn next_name(
        &self,
        after: Option<&StreamKey>,
    ) -> Option<(StreamKey, Option<Arc<Stream>>, Totals)> {
        let stream = self.next(after).0;
        let past = lock(&self.past);
        let later = past.iter().map(|(key, _)| key);
        let later = later.filter(|key| after.is_none_or(|after| *key > after));
        let names = later.chain(stream.iter().map(|stream| stream.key()));
        let key = names.min()?.clone();
        let counted = past.iter().find(|(other, _)| *other == key);
        let totals = counted.map(|(_, totals)| *totals).unwrap_or_default();
        let stream = stream.filter(|stream| *stream.key() == key);
        Some((key, stream, totals))
    }

    /// All streams, sorted by name.
    pub fn streams(&self) -> Vec<Arc<Stream>> {
        lock(&self.streams).clone()
    }

    fn remove(&self, stream: &Arc<Stream>) {
        // This comes before the table's lock is taken: the two are never held together.
        let report = stream.report(0);
        let mut streams = lock(&self.streams);
        let index = place(&streams, stream.key());
        // The name may belong to a successor by now.
        let index = index.ok().filter(|at| Arc::ptr_eq(&streams[*at], stream));
        if let Some(index) = index {
            streams.remove(index);
            if report.publishes > 0 {
                let mut past = lock(&self.past);
                let mut totals = report.totals();
                let known = past.iter().position(|(key, _)| key == stream.key());
                if let Some(index) = known {
                    totals = sum(totals, past.remove(index).1);
                } else if past.len() == MAX_PAST {
                    // The oldest name without a stream is preferred.
                    let is_idle = |(key, _): &(_, _)| place(&streams, key).is_err();
                    let idle = past.iter().position(is_idle);
                    past.remove(idle.unwrap_or(0));
                }
                past.push((stream.key().clone(), totals));
            }
        }
    }
}

/// The index of a stream, or the index at which it would be inserted.
fn place(streams: &[Arc<Stream>], key: &StreamKey) -> Result<usize, usize> {
    streams.binary_search_by(|stream| stream.key().cmp(key))
}
