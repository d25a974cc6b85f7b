//! The server's side of one connection: bytes in; events and reply bytes out.
//!
//! ```text
//! client                               session                          caller
//! C0 C1 C2                        ->   S0 S1 S2
//! connect {app}                   ->                 Event::Connect  -> accept_connect
//!                                 <-   window, bandwidth, chunk size, _result
//! createStream                    ->   _result 1
//! publish "door"                  ->                 Event::Publish  -> accept_publish
//!                                 <-   Stream Begin, onStatus Publish.Start
//! video                           ->                 Event::Media    -> payload()
//! ```
//!
//! Use: feed input to [`handle`](ServerSession::handle) until it returns `None`, acting on each
//! event; then send [`take_output`](ServerSession::take_output). Three events wait for a verdict,
//! given by an `accept_*` or `refuse_*` call: Connect, Publish and Play.
//!
//! Commands may be pipelined and come in any order after connect; replies are tied to requests by
//! their transaction ids only.

mod commands;
mod event;
mod replies;

use std::mem;

use super::Error;
use super::chunk_reader::{self, ChunkReader, Limits, Payload, PayloadSource};
use super::chunk_writer::ChunkWriter;
use super::command::Command;
use super::handshake::Handshake;
use super::message::{Control, UserControl, type_id};
use super::metadata;

pub use event::{Connect, Event, Media, MediaKind};
pub use replies::end_of_stream;

/// Window that this server announces, for both directions, in bytes.
const WINDOW: u32 = 2_500_000;

/// Bytes after which they are acknowledged to a client that announced no window.
const DEFAULT_ACKNOWLEDGE_AFTER: u32 = 1_000_000;

/// Bytes that a client may send before it publishes or plays.
const MAX_BYTES_BEFORE_USE: u64 = 256 * 1024;

/// Longest command and data message, in bytes.
const MAX_COMMAND_LEN: u32 = 64 * 1024;
const MAX_DATA_LEN: u32 = 256 * 1024;

/// Media messages that come before anything is published are dropped, and can't be large.
const MAX_MEDIA_LEN_BEFORE_PUBLISH: u32 = 64 * 1024;

/// See the module's documentation.
pub struct ServerSession<S: PayloadSource> {
    handshake: Option<Handshake>,
    nonce: fn(&mut [u8]),
    reader: ChunkReader<S>,
    writer: ChunkWriter,
    max_message: u32,
    phase: Phase,
    message_streams: Vec<MessageStream>,
    /// Bytes received, handshake included, since the connection began.
    received: u64,
    acknowledged: u64,
    acknowledge_after: u32,
    /// What `received` was when anything was last published or played.
    received_in_use: u64,
    out: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Before connect.
    Handshaken,
    /// The caller decides.
    Connecting {
        transaction_id: f64,
    },
    Connected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MessageStream {
    id: u32,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Idle,
    Publishing,
    Playing,
}

impl<S: PayloadSource> ServerSession<S> {
    /// A session at the start of a connection. Publishers may send media messages of up to
    /// `max_message` bytes. `nonce` fills the random part of the handshake.
    pub fn new(source: S, max_message: u32, nonce: fn(&mut [u8])) -> ServerSession<S> {
        let limits = Limits {
            media: MAX_MEDIA_LEN_BEFORE_PUBLISH,
            data: MAX_DATA_LEN,
            command: MAX_COMMAND_LEN,
        };
        ServerSession {
            handshake: Some(Handshake::default()),
            nonce,
            reader: ChunkReader::new(source, limits),
            writer: ChunkWriter::default(),
            max_message,
            phase: Phase::Handshaken,
            message_streams: Vec::new(),
            received: 0,
            acknowledged: 0,
            acknowledge_after: DEFAULT_ACKNOWLEDGE_AFTER,
            received_in_use: 0,
            out: Vec::new(),
        }
    }

    // Input.

    /// Consumes input up to the next event; `None` when all of it was consumed. After
    /// [`Error::OutOfBlocks`] the call may be repeated, after any other error the connection is
    /// lost.
    pub fn handle(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Error> {
        let before = input.len();
        let was_in_use = self.is_in_use();
        let result = self.handle_bytes(input);
        self.received += (before - input.len()) as u64;
        self.acknowledge();
        if was_in_use || self.is_in_use() {
            self.received_in_use = self.received;
        }
        let unused = self.received - self.received_in_use;
        if unused > MAX_BYTES_BEFORE_USE {
            return Err(Error::Limit {
                what: "bytes without publish or play",
                got: unused,
                allowed: MAX_BYTES_BEFORE_USE,
                option: None,
            });
        }
        result
    }

    /// The next audio or video message, if it is published and lies whole in the input: the short
    /// way for most of what a publisher sends. `None` when something else comes next, which is
    /// for [`handle`](Self::handle).
    pub fn next_media<'a>(&mut self, input: &mut &'a [u8]) -> Option<Media<'a>> {
        if self.handshake.is_some() || !self.is_in_use() {
            return None;
        }
        loop {
            let before = input.len();
            let (header, payload) = self.reader.read_in_place(input)?;
            self.received += (before - input.len()) as u64;
            self.received_in_use = self.received;
            self.acknowledge();
            if self.role(header.message_stream_id) == Some(Role::Publishing) {
                return Some(Media {
                    message_stream_id: header.message_stream_id,
                    kind: MediaKind::of(header.type_id),
                    timestamp: header.timestamp,
                    payload,
                });
            }
        }
    }

    /// Payload of the last [`Event::Media`], until the next call of `handle`.
    pub fn payload(&self) -> Option<&S::Payload> {
        self.reader.payload()
    }

    // Output.

    /// Bytes to be sent to the client, in whole messages.
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    // Getters.

    /// Whether the handshake is complete.
    pub fn is_handshaken(&self) -> bool {
        self.handshake.is_none()
    }

    /// Whether connect was accepted.
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether anything is published or played.
    pub fn is_in_use(&self) -> bool {
        self.message_streams
            .iter()
            .any(|stream| stream.role != Role::Idle)
    }

    /// Bytes received since the connection began.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn handle_bytes(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Error> {
        if let Some(handshake) = &mut self.handshake {
            if !handshake.handle(input, self.nonce, &mut self.out)? {
                return Ok(None);
            }
            self.handshake = None;
        }
        while let Some(header) = self.reader.read(input)? {
            if let Some(event) = self.handle_message(header)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn handle_message(
        &mut self,
        header: chunk_reader::MessageHeader,
    ) -> Result<Option<Event>, Error> {
        let id = header.message_stream_id;
        match header.type_id {
            type_id::AUDIO | type_id::VIDEO => {
                if self.role(id) != Some(Role::Publishing) {
                    return Ok(None);
                }
                let kind = MediaKind::of(header.type_id);
                let timestamp = header.timestamp;
                Ok(Some(Event::Media {
                    message_stream_id: id,
                    kind,
                    timestamp,
                }))
            }
            1..=6 => {
                let body = self.body();
                self.handle_control(Control::parse(header.type_id, &body)?)?;
                Ok(None)
            }
            type_id::COMMAND | type_id::COMMAND_AMF3 => {
                let body = self.body();
                let command = Command::parse(without_selector(header.type_id, &body))?;
                self.handle_command(id, command)
            }
            type_id::DATA | type_id::DATA_AMF3 if self.role(id) == Some(Role::Publishing) => {
                let body = self.body();
                let properties = metadata::parse(without_selector(header.type_id, &body));
                Ok(properties.map(|properties| Event::Metadata {
                    message_stream_id: id,
                    properties,
                }))
            }
            _ => Ok(None),
        }
    }

    fn handle_control(&mut self, control: Control) -> Result<(), Error> {
        match control {
            Control::SetChunkSize(size) => self.reader.set_chunk_size(size)?,
            Control::Abort(id) => self.reader.abort(id),
            Control::WindowAcknowledgementSize(size) if size > 0 => {
                // Half the window: an encoder that waits for acknowledgements never has to.
                self.acknowledge_after = (size / 2).clamp(1, DEFAULT_ACKNOWLEDGE_AFTER);
            }
            Control::SetPeerBandwidth { size, .. } if size > 0 && size != WINDOW => {
                self.writer
                    .write_control(&Control::WindowAcknowledgementSize(WINDOW), &mut self.out);
            }
            Control::User(UserControl::PingRequest(time)) => {
                self.user_control(UserControl::PingResponse(time));
            }
            // What arrived at the client is known from the socket; players' buffers are their
            // own affair.
            _ => {}
        }
        Ok(())
    }

    fn role(&self, id: u32) -> Option<Role> {
        self.message_streams
            .iter()
            .find(|stream| stream.id == id)
            .map(|stream| stream.role)
    }

    fn set_role(&mut self, id: u32, role: Role) {
        if let Some(stream) = self
            .message_streams
            .iter_mut()
            .find(|stream| stream.id == id)
        {
            stream.role = role;
        }
    }

    fn body(&self) -> Vec<u8> {
        self.reader
            .payload()
            .map(|payload| payload.parts().collect::<Vec<_>>().concat())
            .unwrap_or_default()
    }

    fn acknowledge(&mut self) {
        let since = self.received - self.acknowledged;
        if self.handshake.is_none() && since >= u64::from(self.acknowledge_after) {
            self.acknowledged = self.received;
            // Modulo 2^32 on the wire.
            let control = Control::Acknowledgement(self.received as u32);
            self.writer.write_control(&control, &mut self.out);
        }
    }
}

/// The AMF3 envelope has a format selector of 0 in front of AMF0 values; some senders omit it.
fn without_selector(type_id: u8, body: &[u8]) -> &[u8] {
    let is_envelope = matches!(type_id, type_id::COMMAND_AMF3 | type_id::DATA_AMF3);
    body.strip_prefix(&[0])
        .filter(|_| is_envelope)
        .unwrap_or(body)
}

#[cfg(test)]
mod tests;
