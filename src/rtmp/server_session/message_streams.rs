//! The message streams of a connection, and the role of each.

use crate::rtmp::Error;

/// The maximum number of message streams per connection.
pub(super) const MAX_MESSAGE_STREAMS: usize = 8;

#[derive(Default)]
pub(super) struct MessageStreams(Vec<MessageStream>);

struct MessageStream {
    id: u32,
    role: StreamRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamRole {
    Idle,
    Publishing,
    Playing,
}

impl MessageStreams {
    pub(super) fn is_full(&self) -> bool {
        self.0.len() == MAX_MESSAGE_STREAMS
    }

    /// Whether any of the message streams publishes or plays.
    pub(super) fn are_in_use(&self) -> bool {
        self.0.iter().any(|stream| stream.role != StreamRole::Idle)
    }

    pub(super) fn role(&self, id: u32) -> Option<StreamRole> {
        let found = self.0.iter().find(|stream| stream.id == id);
        found.map(|stream| stream.role)
    }

    pub(super) fn set_role(&mut self, id: u32, role: StreamRole) {
        if let Some(stream) = self.0.iter_mut().find(|stream| stream.id == id) {
            stream.role = role;
        }
    }

    /// Returns the publishing message stream to which media on message stream `id` belongs: `id` itself,
    /// or else the connection's only publishing one. Node-Media-Server's client publishes on the message
    /// stream that it has created, but sends its media on 0.
    pub(super) fn publish_of(&self, id: u32) -> Option<u32> {
        let is_publishing = |stream: &&MessageStream| stream.role == StreamRole::Publishing;
        let mut publishing = self.0.iter().filter(is_publishing);
        let own = publishing.clone().find(|stream| stream.id == id);
        let only = publishing.next().filter(|_| publishing.next().is_none());
        own.or(only).map(|stream| stream.id)
    }

    /// Returns the lowest id from 1 up that no message stream has. GStreamer refuses 0, and ends at a
    /// Stream EOF only on message stream 1.
    pub(super) fn free_id(&self) -> u32 {
        let is_free = |id: &u32| self.role(*id).is_none();
        (1..).find(is_free).unwrap_or(1)
    }

    /// Adds the message stream if it is unknown. Some clients publish without createStream.
    pub(super) fn open(&mut self, id: u32) -> Result<(), Error> {
        if self.role(id).is_some() {
            return Ok(());
        }
        if self.is_full() {
            let allowed = MAX_MESSAGE_STREAMS as u64;
            let what = "message streams on one connection";
            return Err(Error::limit(what, allowed + 1, allowed));
        }
        let role = StreamRole::Idle;
        self.0.push(MessageStream { id, role });
        Ok(())
    }

    /// Ends the publish or play of a message stream, and returns the stream's id. If `role` or `id` is
    /// missing, the other one must match exactly one message stream in use.
    pub(super) fn stop(&mut self, role: Option<StreamRole>, id: Option<u32>) -> Option<u32> {
        let mut matching = self.0.iter_mut().filter(|stream| {
            stream.role != StreamRole::Idle
                && role.is_none_or(|role| stream.role == role)
                && id.is_none_or(|id| stream.id == id)
        });
        let stream = matching.next()?;
        if matching.next().is_some() {
            return None;
        }
        stream.role = StreamRole::Idle;
        Some(stream.id)
    }

    pub(super) fn remove(&mut self, id: Option<u32>) {
        self.0.retain(|stream| Some(stream.id) != id);
    }
}
