//! What a session tells its caller.

use crate::rtmp::amf0::Value;
use crate::rtmp::message::type_id;

/// What the client wants or sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first command; wants `accept_connect` or `refuse_connect`.
    Connect(Connect),
    /// Wants `accept_publish` or `refuse_publish`.
    Publish {
        /// Message stream.
        message_stream_id: u32,
        /// Name as sent, query included.
        name: String,
    },
    /// Wants `accept_play` or `refuse_play`. A play on a message stream that plays already
    /// replaces it.
    Play {
        /// Message stream.
        message_stream_id: u32,
        /// Name as sent, query included.
        name: String,
    },
    /// Audio or video on a message stream that publishes; the bytes are in `payload()`.
    Media {
        /// Message stream.
        message_stream_id: u32,
        /// Audio or video.
        kind: MediaKind,
        /// ms, wrapping.
        timestamp: u32,
    },
    /// Metadata of a message stream that publishes; `None` when it is withdrawn.
    Metadata {
        /// Message stream.
        message_stream_id: u32,
        /// The properties in order.
        properties: Option<Vec<(String, Value)>>,
    },
    /// Publishing or playing ends on this message stream.
    Stop {
        /// Message stream.
        message_stream_id: u32,
    },
    /// A player pauses or goes on.
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
        kind: MediaKind,
        /// Whether it is wanted.
        is_wanted: bool,
    },
}

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Message type 8.
    Audio,
    /// Message type 9.
    Video,
}

impl MediaKind {
    pub(super) fn of(type_id: u8) -> MediaKind {
        if type_id == type_id::AUDIO {
            MediaKind::Audio
        } else {
            MediaKind::Video
        }
    }
}

/// An audio or video message in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// Message stream.
    pub message_stream_id: u32,
    /// Audio or video.
    pub kind: MediaKind,
    /// ms, wrapping.
    pub timestamp: u32,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What a client says of itself in connect (7.2.1.1); what it left out is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connect {
    /// The application, query included.
    pub app: String,
    /// URL that the user gave.
    pub tc_url: String,
    /// Name and version of the client.
    pub flash_ver: String,
}
