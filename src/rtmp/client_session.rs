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
mod conversation;
mod event;
mod messages;
mod write;

use std::mem;
use std::ops::Range;

use super::Error;
use super::aggregate::Aggregate;
use super::bytes::{Bytes, Parts, slice};
use super::chunk_reader::{ChunkReader, Limits, Payload, PayloadSource};
use super::connect::Codecs;
use super::handshake::ClientHandshake;
use super::message::Control;
use super::server_session::{
    BEFORE_PUBLISH, DEFAULT_ACKNOWLEDGE_AFTER, MAX_COMMAND_LEN, MAX_DATA_LEN, PARTIAL_BYTES,
    PARTIAL_MESSAGES, Quotas, WINDOW,
};

use crate::medium::Medium;
use conversation::{Conversation, Request};

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
    reader: ChunkReader<S>,
    conversation: Conversation,
    max_message: u32,
    /// Bytes received since the connection began, handshake included.
    received: u64,
    acknowledged: u64,
    acknowledge_after: u32,
    /// The number in the server's last Acknowledgement.
    peer_acknowledged: Option<u32>,
    /// The aggregate message whose inner messages are being read.
    aggregate: Option<Aggregate>,
    /// The range of the last event's message in the payload.
    body: Range<usize>,
    quotas: Quotas,
}

impl<S: PayloadSource> ClientSession<S> {
    /// Begins a session. Audio and video messages that are played may have up to `max_message` bytes; while
    /// nothing is played, a server can't make the session keep more than 65 KiB. `nonce` fills the random
    /// part of the handshake.
    pub fn new(
        source: S,
        options: ConnectOptions,
        max_message: u32,
        nonce: fn(&mut [u8]),
    ) -> ClientSession<S> {
        let has_digest = options.has_digest;
        let mut conversation = Conversation::new(options);
        let handshake = ClientHandshake::begin(nonce, has_digest, &mut conversation.out);
        ClientSession {
            handshake: Some(handshake),
            reader: ChunkReader::new(source, BEFORE_PUBLISH),
            conversation,
            max_message,
            received: 0,
            acknowledged: 0,
            acknowledge_after: DEFAULT_ACKNOWLEDGE_AFTER,
            peer_acknowledged: None,
            aggregate: None,
            body: 0..0,
            quotas: Quotas::default(),
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
            let is_complete = handshake.handle(&mut front, &mut self.conversation.out)?;
            input.advance(len - front.len());
            if is_complete {
                self.handshake = None;
                self.conversation.connect();
            }
        }
        loop {
            if let Some(event) = self.next_in_aggregate() {
                return Ok(Some(event));
            }
            // A server that asks more than it reads must not make answers pile up in memory.
            if self.conversation.out.len() > MAX_OUTPUT && !input.is_empty() {
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
        mem::take(&mut self.conversation.out)
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
        self.conversation.message_stream_id
    }

    /// Whether the handshake is complete.
    pub fn is_handshaken(&self) -> bool {
        self.handshake.is_none()
    }

    /// Whether the server has accepted connect, and the session isn't over.
    pub fn is_connected(&self) -> bool {
        self.conversation.is_connected()
    }

    /// The number of bytes that the server has acknowledged, modulo 2^32; `None` before the first
    /// Acknowledgement, which many servers never send.
    pub fn acknowledged(&self) -> Option<u32> {
        self.peer_acknowledged
    }

    /// The codecs and the `capsEx` that the server announced in its reply to connect.
    pub fn announced(&self) -> (Codecs, u32) {
        self.conversation.announced
    }

    /// Publishes a stream, after [`ClientEvent::Connected`]. The name is sent as it is, query included.
    pub fn publish(&mut self, name: &str) {
        self.conversation.begin(Request::Publish(name.to_owned()));
    }

    /// Plays a stream, after [`ClientEvent::Connected`].
    pub fn play(&mut self, name: &str) {
        self.conversation.begin(Request::Play(name.to_owned()));
    }

    /// Ends the publish or play, and deletes the message stream. The connection is closed after sending
    /// this.
    pub fn close(&mut self) {
        self.conversation.close();
    }

    /// Appends an audio or video message of the stream that is published to `out`.
    pub fn write_media(&self, medium: Medium, timestamp: u32, payload: &[u8], out: &mut Vec<u8>) {
        let conversation = &self.conversation;
        conversation.write_media(medium, timestamp, payload, out);
    }

    /// Appends a data message in AMF0 to `out`: the name of its handler as a string, then its values.
    /// Metadata begins with `@setDataFrame` and `onMetaData`.
    pub fn write_data(&self, timestamp: u32, body: &[u8], out: &mut Vec<u8>) {
        self.conversation.write_data(timestamp, body, out);
    }

    /// Raises the limits for a stream that is played.
    fn expect_media(&mut self) {
        self.reader.set_limits(Limits {
            media: self.max_message,
            data: MAX_DATA_LEN,
            command: MAX_COMMAND_LEN,
            partial_messages: PARTIAL_MESSAGES,
            partial_bytes: self.max_message.saturating_add(PARTIAL_BYTES),
        });
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
            self.conversation.control(&control);
        }
    }
}

#[cfg(test)]
mod tests;
