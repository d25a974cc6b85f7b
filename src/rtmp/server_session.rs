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

use std::mem;

use super::Error;
use super::amf0::Value;
use super::chunk::{MessageHeader, chunk_stream_id};
use super::chunk_reader::{self, ChunkReader, Limits, Payload, PayloadSource};
use super::chunk_writer::ChunkWriter;
use super::command::{self, Command, info, object, text};
use super::handshake::Handshake;
use super::message::{Control, UserControl, type_id};
use super::metadata;

pub use event::{Connect, Event, Media, MediaKind};

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

    // Verdicts.

    /// The client may go on.
    pub fn accept_connect(&mut self) {
        let Phase::Connecting { transaction_id } = self.phase else {
            return;
        };
        self.phase = Phase::Connected;
        let out = &mut self.out;
        self.writer
            .write_control(&Control::WindowAcknowledgementSize(WINDOW), out);
        self.writer.write_control(
            &Control::SetPeerBandwidth {
                size: WINDOW,
                limit_type: 2,
            },
            out,
        );
        // Before the reply: OBS reads a long reply in chunks of 128 bytes wrongly.
        self.writer.announce_chunk_size(out);
        let properties = object([
            ("fmsVer", text("FMS/3,0,1,123")),
            ("capabilities", Value::Number(31.0)),
            ("mode", Value::Number(1.0)),
        ]);
        let information = object([
            ("level", text("status")),
            ("code", text("NetConnection.Connect.Success")),
            ("description", text("Connection succeeded.")),
            ("objectEncoding", Value::Number(0.0)),
        ]);
        self.command(0, &command::result(transaction_id, properties, information));
    }

    /// The client must not go on; the caller closes after sending this.
    pub fn refuse_connect(&mut self, code: &str, description: &str) {
        if let Phase::Connecting { transaction_id } = self.phase {
            self.command(0, &command::error(transaction_id, code, description));
        }
    }

    /// The client may send media on this message stream.
    pub fn accept_publish(&mut self, message_stream_id: u32, key: &str) {
        self.set_role(message_stream_id, Role::Publishing);
        self.reader.set_limits(Limits {
            media: self.max_message,
            data: MAX_DATA_LEN,
            command: MAX_COMMAND_LEN,
        });
        self.user_control(UserControl::StreamBegin(message_stream_id));
        let description = format!("Publishing {key}");
        self.status(
            message_stream_id,
            "status",
            "NetStream.Publish.Start",
            &description,
        );
    }

    /// The client must not publish; the caller closes after sending this.
    pub fn refuse_publish(&mut self, message_stream_id: u32, code: &str, description: &str) {
        self.set_role(message_stream_id, Role::Idle);
        self.status(message_stream_id, "error", code, description);
    }

    /// The client will be sent media on this message stream. Returns the bytes that it must get
    /// before anything else on that message stream.
    pub fn accept_play(&mut self, message_stream_id: u32, key: &str) -> Vec<u8> {
        self.set_role(message_stream_id, Role::Playing);
        self.user_control(UserControl::StreamBegin(message_stream_id));
        let description = format!("Playing {key}");
        self.status(
            message_stream_id,
            "status",
            "NetStream.Play.Reset",
            &description,
        );
        self.status(
            message_stream_id,
            "status",
            "NetStream.Play.Start",
            &description,
        );
        let mut access = Vec::new();
        for value in [
            text("|RtmpSampleAccess"),
            Value::Boolean(true),
            Value::Boolean(true),
        ] {
            value.emit(&mut access);
        }
        self.message(
            type_id::DATA,
            chunk_stream_id::STATUS,
            message_stream_id,
            &access,
        );
        self.take_output()
    }

    /// The client must not play; the caller closes after sending this.
    pub fn refuse_play(&mut self, message_stream_id: u32, code: &str, description: &str) {
        self.set_role(message_stream_id, Role::Idle);
        self.status(message_stream_id, "error", code, description);
    }

    // Commands from the caller.

    /// Ends a publish from this side: the client is told before the caller closes.
    pub fn end_publish(&mut self, message_stream_id: u32, description: &str) {
        self.set_role(message_stream_id, Role::Idle);
        self.status(
            message_stream_id,
            "status",
            "NetStream.Unpublish.Success",
            description,
        );
    }

    /// Tells the client that the server stops.
    pub fn shut_down(&mut self) {
        let code = "NetConnection.Connect.AppShutdown";
        self.status(0, "error", code, "The server is shutting down.");
    }

    /// Asks the client for a sign of life (6.2).
    pub fn ping(&mut self, timestamp: u32) {
        self.user_control(UserControl::PingRequest(timestamp));
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

    fn status(&mut self, message_stream_id: u32, level: &str, code: &str, description: &str) {
        let payload = command::call("onStatus", info(level, code, description));
        self.message(
            type_id::COMMAND,
            chunk_stream_id::STATUS,
            message_stream_id,
            &payload,
        );
    }

    fn command(&mut self, message_stream_id: u32, payload: &[u8]) {
        self.message(
            type_id::COMMAND,
            chunk_stream_id::COMMAND,
            message_stream_id,
            payload,
        );
    }

    fn user_control(&mut self, control: UserControl) {
        self.writer
            .write_control(&Control::User(control), &mut self.out);
    }

    fn message(&mut self, type_id: u8, chunk_stream_id: u8, message_stream_id: u32, body: &[u8]) {
        let header = MessageHeader {
            chunk_stream_id,
            timestamp: 0,
            len: 0,
            type_id,
            message_stream_id,
        };
        self.writer.write(header, body, &mut self.out);
    }
}

/// What a player is told when its stream has ended: each of the three is waited for by somebody.
pub fn end_of_stream(message_stream_id: u32) -> Vec<u8> {
    let writer = ChunkWriter::with_announced_chunk_size();
    let mut out = Vec::new();
    writer.write_control(
        &Control::User(UserControl::StreamEof(message_stream_id)),
        &mut out,
    );
    for (code, description) in [
        ("NetStream.Play.UnpublishNotify", "The publisher is gone."),
        ("NetStream.Play.Stop", "The stream has ended."),
    ] {
        let header = MessageHeader {
            chunk_stream_id: chunk_stream_id::STATUS,
            timestamp: 0,
            len: 0,
            type_id: type_id::COMMAND,
            message_stream_id,
        };
        let payload = command::call("onStatus", info("status", code, description));
        writer.write(header, &payload, &mut out);
    }
    out
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
