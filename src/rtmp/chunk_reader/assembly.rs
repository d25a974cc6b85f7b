//! Messages under assembly.

use super::chunk_stream::ChunkStream;
use super::payload::{Payload, PayloadSource};
use crate::rtmp::Error;

/// The payloads of messages that have begun, the payload of the last completed message, and empty
/// payloads for the next messages.
pub(super) struct UnderAssembly<S: PayloadSource> {
    source: S,
    partial: Vec<Partial<S::Payload>>,
    /// The payload of the message that was returned last.
    finished: Option<S::Payload>,
    /// Empty payloads for audio and video, which may be under assembly at the same time.
    spare: [Option<S::Payload>; 2],
}

/// A message that has begun.
struct Partial<P> {
    /// The index of its chunk stream.
    stream: usize,
    payload: P,
}

impl<S: PayloadSource> UnderAssembly<S> {
    pub(super) fn new(source: S) -> UnderAssembly<S> {
        UnderAssembly {
            source,
            partial: Vec::new(),
            finished: None,
            spare: [None, None],
        }
    }

    /// Returns the number of messages that have begun.
    pub(super) fn messages(&self) -> usize {
        self.partial.len()
    }

    /// Returns the sum of the lengths that the headers of these messages announced, in bytes.
    pub(super) fn announced(&self, streams: &[ChunkStream]) -> u64 {
        let partial = self.partial.iter();
        let streams = partial.filter_map(|partial| streams.get(partial.stream));
        streams.map(|stream| u64::from(stream.len)).sum()
    }

    /// Begins a message. `streams` is the capacity of the table of chunk streams.
    pub(super) fn begin(&mut self, stream: usize, streams: usize) -> Result<(), Error> {
        let payload = self.spare.iter_mut().find_map(Option::take);
        let payload = payload.unwrap_or_else(|| self.source.payload());
        if self.partial.len() == self.partial.capacity() {
            self.pay(streams, self.partial.len() + 1)?;
            // By one at a time, because the connection pays for the whole capacity.
            self.partial.reserve_exact(1);
        }
        self.partial.push(Partial { stream, payload });
        Ok(())
    }

    /// Returns the payload under assembly on a chunk stream.
    pub(super) fn of(&mut self, stream: usize) -> Option<&mut S::Payload> {
        let mut partial = self.partial.iter_mut();
        let found = partial.find(|partial| partial.stream == stream)?;
        Some(&mut found.payload)
    }

    /// Completes the message of a chunk stream.
    pub(super) fn finish(&mut self, stream: usize) {
        self.finished = self.remove(stream);
    }

    /// Drops the part of a chunk stream's message that was received.
    pub(super) fn abort(&mut self, stream: usize) {
        if let Some(payload) = self.remove(stream) {
            self.keep(payload);
        }
    }

    /// Returns the payload of the last completed message.
    pub(super) fn finished(&self) -> Option<&S::Payload> {
        self.finished.as_ref()
    }

    pub(super) fn clear_finished(&mut self) {
        if let Some(payload) = self.finished.take() {
            self.keep(payload);
        }
    }

    /// Pays for growing the table of chunk streams to this capacity.
    pub(super) fn pay_for_streams(&mut self, streams: usize) -> Result<(), Error> {
        self.pay(streams, self.partial.capacity())
    }

    /// Pays for tables of these capacities, freeing spare payloads if necessary.
    fn pay(&mut self, streams: usize, partial: usize) -> Result<(), Error> {
        let bytes = streams * size_of::<ChunkStream>() + partial * size_of::<Partial<S::Payload>>();
        self.source.pay(bytes).or_else(|_| {
            self.spare = [None, None];
            self.source.pay(bytes)
        })
    }

    fn remove(&mut self, stream: usize) -> Option<S::Payload> {
        let mut partial = self.partial.iter();
        let at = partial.position(|partial| partial.stream == stream)?;
        Some(self.partial.swap_remove(at).payload)
    }

    /// Keeps an emptied payload for another message, or drops it.
    fn keep(&mut self, mut payload: S::Payload) {
        payload.clear();
        if let Some(slot) = self.spare.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(payload);
        }
    }
}
