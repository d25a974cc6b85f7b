//! The client side of one connection: bytes in; events and bytes to be sent out. The mirror of
//! [`server_session`](super::server_session).
//!
//! ```text
//! caller                      session                              server
//! new                         C0 C1                            ->
//!                             C2                               <-  S0 S1 S2
//!                             connect {app, tcUrl}             ->
//! Event::Connected        <-                                   <-  window, bandwidth, chunk size, _result
//! publish "door"          ->  chunk size, window,
//!                             releaseStream, FCPublish,
//!                             createStream                     ->
//!                             publish "door" "live"            <-  _result 1
//! Event::Publishing       <-                                   <-  Stream Begin, onStatus Publish.Start
//! write_media             ->  video                            ->
//! ```
//!
//! To use a session, send [`take_output`](ClientSession::take_output), pass input to
//! [`handle`](ClientSession::handle) until it returns `None`, acting on each event, and send the output
//! again. After [`ClientEvent::Connected`], call [`publish`](ClientSession::publish) or
//! [`play`](ClientSession::play) once.
//!
//! What a server can make a session keep is bounded: by the limits of its [`Limits`], a few texts, and
//! [`MAX_OUTPUT`].

mod commands;
mod event;
mod messages;
mod write;

use std::mem;
use std::ops::Range;

use super::Error;
use super::aggregate::Aggregate;
use super::bytes::{Bytes, Parts, slice};
use super::chunk_reader::{ChunkReader, Limits, Payload, PayloadSource};
use super::chunk_writer::ChunkWriter;
use super::connect::Codecs;
use super::handshake::ClientHandshake;
use super::message::Control;
use super::server_session::{
    DEFAULT_ACKNOWLEDGE_AFTER, MAX_COMMAND_LEN, MAX_DATA_LEN, PARTIAL_BYTES, PARTIAL_MESSAGES,
    Quotas, WINDOW,
};

pub use event::{ClientEvent, Media, Refusal, RefusalKind};

/// The number of bytes to be sent that are gathered before they must be sent; what one message of the
/// server causes comes on top.
pub const MAX_OUTPUT: usize = 4 * 1024;

/// The properties with which a client introduces itself in connect (7.2.1.1).
#[derive(Clone, PartialEq)]
pub struct ConnectOptions {
    /// The app, with its query.
    pub app: String,
    /// The URL without the stream name.
    pub tc_url: String,
    /// The name and version of the client.
    pub flash_ver: String,
    /// Whether the client will publish.
    pub is_publisher: bool,
    /// Whether commands are exchanged in AMF3 after connect, if the server agrees.
    pub is_amf3: bool,
    /// Announces Enhanced RTMP: all codecs, reconnect, multitrack, ModEx. Some servers refuse a connect that
    /// has this.
    pub is_enhanced: bool,
    /// Whether C1 has a digest.
    pub has_digest: bool,
}

/// See the module's documentation.
pub struct ClientSession<S: PayloadSource> {
    handshake: Option<ClientHandshake>,
    options: ConnectOptions,
    reader: ChunkReader<S>,
    writer: ChunkWriter,
    phase: Phase,
    /// Whether commands are written in AMF3, as client and server have agreed.
    is_amf3: bool,
    has_checked_bandwidth: bool,
    /// The transaction id of the last command that expects a reply.
    transaction: u32,
    message_stream_id: Option<u32>,
    /// Bytes received since the connection began, handshake included.
    received: u64,
    acknowledged: u64,
    acknowledge_after: u32,
    /// The number in the server's last Acknowledgement.
    peer_acknowledged: Option<u32>,
    /// What the server announced in its reply to connect.
    announced: (Codecs, u32),
    /// The aggregate message whose inner messages are being read.
    aggregate: Option<Aggregate>,
    /// The range of the last event's message in the payload.
    body: Range<usize>,
    quotas: Quotas,
    out: Vec<u8>,
}

/// What the client wants to do with its stream.
#[derive(Clone, Debug, PartialEq)]
enum Request {
    Publish(String),
    Play(String),
}

/// How far a session has come.
#[derive(Clone, Debug, PartialEq)]
enum Phase {
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

impl<S: PayloadSource> ClientSession<S> {
    /// Begins a session. Audio and video messages may have up to `max_message` bytes. `nonce` fills the
    /// random part of the handshake.
    pub fn new(
        source: S,
        options: ConnectOptions,
        max_message: u32,
        nonce: fn(&mut [u8]),
    ) -> ClientSession<S> {
        let limits = Limits {
            media: max_message,
            data: MAX_DATA_LEN,
            command: MAX_COMMAND_LEN,
            partial_messages: PARTIAL_MESSAGES,
            partial_bytes: max_message.saturating_add(PARTIAL_BYTES),
        };
        let mut out = Vec::new();
        let handshake = ClientHandshake::begin(nonce, options.has_digest, &mut out);
        ClientSession {
            handshake: Some(handshake),
            options,
            reader: ChunkReader::new(source, limits),
            writer: ChunkWriter::default(),
            phase: Phase::Handshake,
            is_amf3: false,
            has_checked_bandwidth: false,
            transaction: 0,
            message_stream_id: None,
            received: 0,
            acknowledged: 0,
            acknowledge_after: DEFAULT_ACKNOWLEDGE_AFTER,
            peer_acknowledged: None,
            announced: (Codecs::default(), 0),
            aggregate: None,
            body: 0..0,
            quotas: Quotas::default(),
            out,
        }
    }

    /// Consumes input up to the next event. Returns `None` once all input was consumed. `now` is the time
    /// in ms on any clock. After [`Error::OutOfBlocks`] the call may be repeated; after any other error the
    /// connection can't be used any longer.
    pub fn handle<'a>(
        &mut self,
        input: &mut Bytes<'a>,
        now: u64,
    ) -> Result<Option<ClientEvent<'a>>, Error> {
        let before = input.len();
        let result = self.handle_bytes(input, now);
        self.received += (before - input.len()) as u64;
        self.acknowledge();
        let missing_bytes = self.reader.missing_bytes();
        self.quotas.take_missing_bytes(missing_bytes, now)?;
        result
    }

    fn handle_bytes<'a>(
        &mut self,
        input: &mut Bytes<'a>,
        now: u64,
    ) -> Result<Option<ClientEvent<'a>>, Error> {
        while let Some(handshake) = &mut self.handshake {
            let mut front = input.front();
            if front.is_empty() {
                return Ok(None);
            }
            let len = front.len();
            let is_complete = handshake.handle(&mut front, &mut self.out)?;
            input.advance(len - front.len());
            if is_complete {
                self.handshake = None;
                self.connect();
            }
        }
        loop {
            if let Some(event) = self.next_in_aggregate() {
                return Ok(Some(event));
            }
            // A server that asks more than it reads must not make answers pile up in memory.
            if self.out.len() > MAX_OUTPUT && !input.is_empty() {
                return Ok(Some(ClientEvent::Output));
            }
            let Some(message) = self.reader.read(input)? else {
                return Ok(None);
            };
            if let Some(event) = self.handle_message(message, now)? {
                return Ok(Some(event));
            }
        }
    }

    /// Takes the bytes to be sent to the server, in whole messages.
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    /// Returns the payload of the last [`ClientEvent::Media`] in one or more parts. Valid until the next
    /// call of `handle`.
    pub fn payload<'m>(&'m self, media: &Media<'m>) -> impl Iterator<Item = &'m [u8]> + Clone {
        self.reader.payload_range(media.in_place, self.body.clone())
    }

    /// Returns the body of the last [`ClientEvent::Metadata`] or [`ClientEvent::Data`]. Valid until the
    /// next call of `handle`.
    pub fn body(&self) -> Parts<'_> {
        self.parts(self.body.clone())
    }

    /// The message stream, once the server has created it.
    pub fn message_stream_id(&self) -> Option<u32> {
        self.message_stream_id
    }

    /// Whether the handshake is complete.
    pub fn is_handshaken(&self) -> bool {
        self.handshake.is_none()
    }

    /// Whether the server has accepted connect, and the session isn't over.
    pub fn is_connected(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Handshake | Phase::Connecting | Phase::Over
        )
    }

    /// The number of bytes that the server has acknowledged, modulo 2^32; `None` before the first
    /// Acknowledgement, which many servers never send.
    pub fn acknowledged(&self) -> Option<u32> {
        self.peer_acknowledged
    }

    /// The codecs and the `capsEx` that the server announced in its reply to connect.
    pub fn announced(&self) -> (Codecs, u32) {
        self.announced
    }

    fn parts(&self, range: Range<usize>) -> Parts<'_> {
        let parts = self.reader.assembled().map(Payload::parts);
        Parts::new(slice(parts.into_iter().flatten(), range)).unwrap_or_default()
    }

    fn acknowledge(&mut self) {
        let since = self.received - self.acknowledged;
        if self.handshake.is_none() && since >= u64::from(self.acknowledge_after) {
            self.acknowledged = self.received;
            // The number is modulo 2^32 on the wire.
            let control = Control::Acknowledgement(self.received as u32);
            self.writer.write_control(&control, &mut self.out);
        }
    }
}

#[cfg(test)]
mod tests;
