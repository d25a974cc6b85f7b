//! The server side of one connection: bytes in; events and reply bytes out.
//!
//! ```text
//! client                               session                          caller
//! C0 C1 C2                        ->   S0 S1 S2
//! connect {app}                   ->                 Event::Connect  -> accept_connect
//!                                 <-   window, bandwidth, chunk size, _result
//! createStream                    ->   _result 1
//! publish "door"                  ->                 Event::Publish  -> accept_publish
//!                                 <-   Stream Begin, onStatus Publish.Start
//! video                           ->                 Event::Media    -> payload(media)
//! ```
//!
//! To use a session, pass input to [`handle`](ServerSession::handle) until it returns `None`, acting on
//! each event; then send [`take_output`](ServerSession::take_output). Three events wait for a verdict,
//! given by an `accept_*` or `refuse_*` call: Connect, Publish and Play.
//!
//! Commands may be pipelined, and arrive in any order after connect; only transaction ids connect
//! replies to requests.

mod commands;
mod event;
mod message_streams;
mod messages;
mod quotas;
mod replies;

use std::mem;
use std::ops::Range;

use super::Error;
use super::aggregate::Aggregate;
use super::bytes::{Bytes, Parts};
use super::chunk_reader::{ChunkReader, Limits, PayloadSource};
use super::chunk_writer::ChunkWriter;
use super::flight_recorder::{RecordedEvent, Tape};
use super::handshake::Handshake;
use super::message::Control;
use message_streams::{MessageStreams, StreamRole};
pub(super) use quotas::Quotas;

pub use super::client_command::PublishKind;
pub use super::connect::{
    ALL_BITS, AUDIO_OTHERS, Codecs, Connect, FOUR_CCS, MAX_FLASH_VER_LEN, MAX_URL_LEN,
    VIDEO_FOUR_CCS, VIDEO_OTHERS,
};
pub use super::dialect::Dialect;
pub use super::goodbye::{Over, end_of_publish, end_of_stream, no_codec_for_player};
pub use event::{Event, Media};

/// The window that this server announces for both directions, in bytes.
pub(super) const WINDOW: u32 = 2_500_000;

/// The number of bytes after which this server acknowledges if the client announced no window.
pub(super) const DEFAULT_ACKNOWLEDGE_AFTER: u32 = 1_000_000;

/// The number of bytes that a client may send before it publishes or plays.
const MAX_BYTES_BEFORE_USE: u64 = 256 * 1024;

/// The longest command and the longest data message, in bytes.
pub(super) const MAX_COMMAND_LEN: u32 = 64 * 1024;
pub(super) const MAX_DATA_LEN: u32 = 256 * 1024;

/// The longest metadata in bytes that is decoded. Longer metadata, which no client sends, would cost
/// more time than a small machine can spare.
const MAX_METADATA_LEN: usize = 64 * 1024;

/// The limits until a stream is published: together with the size of a block, they bound the memory that
/// an unauthenticated client can hold. Media messages are dropped, so they needn't be large.
pub(super) const BEFORE_PUBLISH: Limits = Limits {
    media: 64 * 1024,
    data: 64 * 1024,
    command: MAX_COMMAND_LEN,
    partial_messages: 4,
    partial_bytes: 65 * 1024,
};

/// The number of messages that a publisher may have under assembly, and the number of bytes that they
/// may have beyond the longest message.
pub(super) const PARTIAL_MESSAGES: u32 = 8;
pub(super) const PARTIAL_BYTES: u32 = 512 * 1024;

/// The number of reply bytes that are gathered before they must be sent. The reply to one command, or to
/// the handshake, comes on top.
pub const MAX_REPLIES: usize = 256;

/// The longest reply to one command, in bytes: two statuses for a play, which name the stream.
pub const MAX_REPLY: usize = 768;

/// See the module's documentation.
pub struct ServerSession<S: PayloadSource> {
    handshake: Option<Handshake>,
    nonce: fn(&mut [u8]),
    reader: ChunkReader<S>,
    writer: ChunkWriter,
    max_message: u32,
    phase: Phase,
    streams: MessageStreams,
    /// Bytes received since the connection began, handshake included.
    received: u64,
    acknowledged: u64,
    acknowledge_after: u32,
    /// The value of `received` when a stream was last published or played.
    received_in_use: u64,
    /// The aggregate message whose inner messages are being read.
    aggregate: Option<Aggregate>,
    /// The range of the last event's message in the payload.
    body: Range<usize>,
    dialect: Dialect,
    quotas: Quotas,
    out: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Waiting for connect.
    Handshaken,
    /// Waiting for the caller's verdict on connect.
    Connecting {
        transaction_id: f64,
    },
    Connected,
}

impl<S: PayloadSource> ServerSession<S> {
    /// Creates a session at the start of a connection. Publishers may send media messages of up to
    /// `max_message` bytes. `nonce` fills the random part of the handshake.
    pub fn new(source: S, max_message: u32, nonce: fn(&mut [u8])) -> ServerSession<S> {
        ServerSession {
            handshake: Some(Handshake::default()),
            nonce,
            reader: ChunkReader::new(source, BEFORE_PUBLISH),
            writer: ChunkWriter::default(),
            max_message,
            phase: Phase::Handshaken,
            streams: MessageStreams::default(),
            received: 0,
            acknowledged: 0,
            acknowledge_after: DEFAULT_ACKNOWLEDGE_AFTER,
            received_in_use: 0,
            aggregate: None,
            body: 0..0,
            dialect: Dialect::default(),
            quotas: Quotas::default(),
            out: Vec::new(),
        }
    }

    /// Consumes input up to the next event. Returns `None` once all input was consumed. After
    /// [`Error::OutOfBlocks`] the call may be repeated; after any other error the connection can't be
    /// used any longer. All messages are recorded on the tape.
    pub fn handle<'a>(
        &mut self,
        input: &mut Bytes<'a>,
        tape: &mut Tape<'_>,
    ) -> Result<Option<Event<'a>>, Error> {
        let before = input.len();
        let was_in_use = self.is_in_use();
        let result = self.handle_bytes(input, tape);
        self.received += (before - input.len()) as u64;
        self.acknowledge();
        if was_in_use || self.is_in_use() {
            self.received_in_use = self.received;
        }
        let unused = self.received - self.received_in_use;
        if unused > MAX_BYTES_BEFORE_USE {
            let what = "bytes without publish or play";
            return Err(Error::limit(what, unused, MAX_BYTES_BEFORE_USE));
        }
        let missing_bytes = self.reader.missing_bytes();
        self.quotas.take_missing_bytes(missing_bytes, tape.now)?;
        result
    }

    /// Returns the payload of the last [`Event::Media`] in one or more parts. Valid until the next call
    /// of `handle`.
    pub fn payload<'m>(&'m self, media: &Media<'m>) -> impl Iterator<Item = &'m [u8]> + Clone {
        self.reader.payload_range(media.in_place, self.body.clone())
    }

    /// Returns the body of the last [`Event::Metadata`] or [`Event::Data`]. Valid until the next call of
    /// `handle`.
    pub fn body(&self) -> Parts<'_> {
        self.parts(self.body.clone())
    }

    /// Puts back bytes that [`take_output`](Self::take_output) returned, so that they are sent first.
    pub fn put_back_output(&mut self, bytes: &[u8]) {
        self.out.splice(..0, bytes.iter().copied());
    }

    /// Takes the bytes to be sent to the client, in whole messages.
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    /// Whether the handshake is complete.
    pub fn is_handshaken(&self) -> bool {
        self.handshake.is_none()
    }

    /// Whether connect was accepted.
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether any stream is published or played.
    pub fn is_in_use(&self) -> bool {
        self.streams.are_in_use()
    }

    fn handle_bytes<'a>(
        &mut self,
        input: &mut Bytes<'a>,
        tape: &mut Tape<'_>,
    ) -> Result<Option<Event<'a>>, Error> {
        while let Some(handshake) = &mut self.handshake {
            let mut front = input.front();
            if front.is_empty() {
                return Ok(None);
            }
            let len = front.len();
            let is_complete = handshake.handle(&mut front, self.nonce, &mut self.out)?;
            input.advance(len - front.len());
            if is_complete {
                let has_digest = handshake.has_digest();
                tape.note(RecordedEvent::Handshake { has_digest });
                self.handshake = None;
            }
        }
        loop {
            if let Some(event) = self.next_in_aggregate(tape) {
                return Ok(Some(event));
            }
            // Commands in one read must not make their replies pile up in memory.
            if self.out.len() > MAX_REPLIES && !input.is_empty() {
                return Ok(Some(Event::Replies));
            }
            let Some(message) = self.reader.read(input)? else {
                return Ok(None);
            };
            if let Some(event) = self.handle_message(message, tape)? {
                return Ok(Some(event));
            }
        }
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
