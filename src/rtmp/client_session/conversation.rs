//! What client and server have told each other: all of a session but the reading, so that it doesn't
//! depend on where messages are kept.

use super::ConnectOptions;
use crate::rtmp::chunk_writer::ChunkWriter;
use crate::rtmp::connect::Codecs;
use crate::rtmp::message::Control;

/// See the module's documentation.
pub(super) struct Conversation {
    pub(super) options: ConnectOptions,
    pub(super) writer: ChunkWriter,
    pub(super) phase: Phase,
    /// Whether commands are written in AMF3, as client and server have agreed.
    pub(super) is_amf3: bool,
    pub(super) has_checked_bandwidth: bool,
    /// The transaction id of the last command that expects a reply.
    pub(super) transaction: u32,
    pub(super) message_stream_id: Option<u32>,
    /// What the server announced in its reply to connect.
    pub(super) announced: (Codecs, u32),
    /// The bytes to be sent.
    pub(super) out: Vec<u8>,
}

/// What the client wants to do with its stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    Publish(String),
    Play(String),
}

/// How far a session has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// The handshake goes on.
    Handshake,
    /// Waiting for the reply to connect.
    Connecting,
    /// Connect was accepted.
    Connected,
    /// Waiting for the reply to createStream with this transaction id.
    Creating { transaction: u32, request: Request },
    /// Waiting for the status of the publish or play with this transaction id.
    Requested { transaction: u32, request: Request },
    /// Media may be sent.
    Publishing(String),
    /// Media may come.
    Playing(String),
    /// The stream has ended, or was refused.
    Over,
}

impl Conversation {
    pub(super) fn new(options: ConnectOptions) -> Conversation {
        Conversation {
            options,
            writer: ChunkWriter::default(),
            phase: Phase::Handshake,
            is_amf3: false,
            has_checked_bandwidth: false,
            transaction: 0,
            message_stream_id: None,
            announced: (Codecs::default(), 0),
            out: Vec::new(),
        }
    }

    /// Whether the server has accepted connect, and the session isn't over.
    pub(super) fn is_connected(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Handshake | Phase::Connecting | Phase::Over
        )
    }

    /// Whether media may come. Some servers send them before the status of the play.
    pub(super) fn is_playing(&self) -> bool {
        match &self.phase {
            Phase::Playing(_) => true,
            Phase::Requested { request, .. } => matches!(request, Request::Play(_)),
            _ => false,
        }
    }

    pub(super) fn control(&mut self, control: &Control) {
        self.writer.write_control(control, &mut self.out);
    }
}
