//! Events that a session reports to its caller.

use crate::medium::Medium;
use crate::rtmp::chunk_reader::InPlace;
use crate::rtmp::client_command::PublishKind;
use crate::rtmp::connect::Connect;

/// A request or message of the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The client's first command. Requires `accept_connect` or `refuse_connect`.
    Connect(Connect),
    /// A request to publish. Requires `accept_publish` or `refuse_stream`.
    Publish {
        /// Message stream.
        message_stream_id: u32,
        /// The name as sent, query included.
        name: String,
        /// The publish type.
        kind: PublishKind,
    },
    /// A request to play. Requires `accept_play` or `refuse_stream`. A play on a message stream that
    /// already plays replaces the earlier one.
    Play {
        /// Message stream.
        message_stream_id: u32,
        /// The name as sent, query included.
        name: String,
    },
    /// Audio or video on a message stream that publishes.
    Media(Media<'a>),
    /// Metadata of a message stream that publishes, or their withdrawal. The body is in `body()`, for
    /// [`metadata::parse`](crate::rtmp::metadata::parse).
    Metadata {
        /// Message stream.
        message_stream_id: u32,
    },
    /// Another data message on a message stream that publishes. The body is in `body()`, for
    /// [`data::for_players`](crate::rtmp::data::for_players).
    Data {
        /// Message stream.
        message_stream_id: u32,
        /// The timestamp in ms, wrapping.
        timestamp: u32,
    },
    /// Replies must be sent before more input is read.
    Replies,
    /// Publishing or playing has ended on this message stream.
    Stop {
        /// Message stream.
        message_stream_id: u32,
    },
    /// A player pauses or resumes.
    Pause {
        /// Message stream.
        message_stream_id: u32,
        /// Whether the player pauses.
        is_paused: bool,
    },
    /// A player stops receiving audio or video, or resumes it.
    Receive {
        /// Message stream.
        message_stream_id: u32,
        /// Audio or video.
        medium: Medium,
        /// Whether the player wants the medium.
        is_wanted: bool,
    },
}

impl Event<'_> {
    /// Whether the event waits for a verdict.
    pub fn is_question(&self) -> bool {
        matches!(
            self,
            Event::Connect(_) | Event::Publish { .. } | Event::Play { .. }
        )
    }
}

/// An audio or video message; its payload is in [`payload`](super::ServerSession::payload).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Media<'a> {
    /// Message stream.
    pub message_stream_id: u32,
    /// Audio or video.
    pub medium: Medium,
    /// The timestamp in ms, wrapping.
    pub timestamp: u32,
    /// The payload if it lies entirely in the input; otherwise the session holds it.
    pub in_place: Option<InPlace<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_are_questions() {
        let media = Media {
            message_stream_id: 1,
            medium: Medium::Audio,
            timestamp: 0,
            in_place: None,
        };
        assert!(!Event::Media(media).is_question() && !Event::Replies.is_question());
        assert!(Event::Connect(Connect::default()).is_question());
    }
}
