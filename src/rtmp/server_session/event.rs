//! What a session reports to its caller.

use crate::medium::Medium;
use crate::rtmp::chunk_reader::InPlace;
use crate::rtmp::connect::Connect;

/// What the client wants or sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// The first command; wants `accept_connect` or `refuse_connect`.
    Connect(Connect),
    /// Wants `accept_publish` or `refuse_stream`.
    Publish {
        /// Message stream.
        message_stream_id: u32,
        /// Name as sent, query included.
        name: String,
    },
    /// Wants `accept_play` or `refuse_stream`. A play on a message stream that plays already
    /// replaces it.
    Play {
        /// Message stream.
        message_stream_id: u32,
        /// Name as sent, query included.
        name: String,
    },
    /// Audio or video on a message stream that publishes.
    Media(Media<'a>),
    /// Metadata of a message stream that publishes, or their withdrawal; the properties are in
    /// `body()`, for [`metadata::parse`](crate::rtmp::metadata::parse).
    Metadata {
        /// Message stream.
        message_stream_id: u32,
    },
    /// Another data message on a message stream that publishes; it is in `body()`, for
    /// [`data::for_players`](crate::rtmp::data::for_players).
    Data {
        /// Message stream.
        message_stream_id: u32,
        /// ms, wrapping.
        timestamp: u32,
    },
    /// The replies must be sent before more is read.
    Replies,
    /// Publishing or playing ends on this message stream.
    Stop {
        /// Message stream.
        message_stream_id: u32,
    },
    /// A player pauses or resumes.
    Pause {
        /// Message stream.
        message_stream_id: u32,
        /// Whether it pauses.
        is_paused: bool,
    },
    /// A player doesn't want audio or video, or wants it again.
    Receive {
        /// Message stream.
        message_stream_id: u32,
        /// Audio or video.
        medium: Medium,
        /// Whether it is wanted.
        is_wanted: bool,
    },
}

impl Event<'_> {
    /// Whether it waits for a verdict.
    pub fn is_question(&self) -> bool {
        matches!(
            self,
            Event::Connect(_) | Event::Publish { .. } | Event::Play { .. }
        )
    }
}

/// An audio or video message; its bytes are in [`payload`](super::ServerSession::payload).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Media<'a> {
    /// Message stream.
    pub message_stream_id: u32,
    /// Audio or video.
    pub medium: Medium,
    /// ms, wrapping.
    pub timestamp: u32,
    /// The payload, if it lies whole in the input; else the session holds it.
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
