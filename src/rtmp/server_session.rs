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

use std::mem;

use super::Error;
use super::amf0::{self, Value};
use super::chunk::{MessageHeader, chunk_stream_id};
use super::chunk_reader::{self, ChunkReader, Limits, Payload, PayloadSource};
use super::chunk_writer::ChunkWriter;
use super::command::{self, Command, info, object, text};
use super::handshake::Handshake;
use super::message::{Control, UserControl, type_id};

/// Window that this server announces, for both directions, in bytes.
const WINDOW: u32 = 2_500_000;

/// Bytes after which they are acknowledged to a client that announced no window.
const DEFAULT_ACKNOWLEDGE_AFTER: u32 = 1_000_000;

/// Bytes that a client may send before it publishes or plays.
const MAX_BYTES_BEFORE_USE: u64 = 256 * 1024;

/// Message streams per connection.
const MAX_MESSAGE_STREAMS: usize = 8;

/// Longest command and data message, in bytes.
const MAX_COMMAND_LEN: u32 = 64 * 1024;
const MAX_DATA_LEN: u32 = 256 * 1024;

/// Media messages that come before anything is published are dropped, and can't be large.
const MAX_MEDIA_LEN_BEFORE_PUBLISH: u32 = 64 * 1024;

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
    fn of(type_id: u8) -> MediaKind {
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
                let properties = metadata(without_selector(header.type_id, &body));
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

    fn handle_command(&mut self, id: u32, command: Command) -> Result<Option<Event>, Error> {
        let transaction_id = command.transaction_id;
        if self.phase == Phase::Handshaken && command.name == "connect" {
            self.phase = Phase::Connecting { transaction_id };
            let property = |key| command.object.property(key).and_then(Value::as_str);
            return Ok(Some(Event::Connect(Connect {
                app: property("app").unwrap_or_default().to_owned(),
                tc_url: property("tcUrl")
                    .or(property("tcurl"))
                    .unwrap_or_default()
                    .to_owned(),
                flash_ver: property("flashVer").unwrap_or_default().to_owned(),
            })));
        }
        if self.phase != Phase::Connected || command.name == "connect" {
            return Err(Error::malformed(format!(
                "command {} {} connect",
                command.name.escape_default().take(40).collect::<String>(),
                if self.phase == Phase::Connected {
                    "after"
                } else {
                    "before"
                },
            )));
        }
        let message_stream_id = id;
        match command.name.as_str() {
            "releaseStream" | "_checkbw" => self.acknowledge_command(transaction_id),
            "FCPublish" => {
                self.acknowledge_command(transaction_id);
                let information = info("status", "NetStream.Publish.Start", "FCPublish");
                self.command(0, &command::call("onFCPublish", information));
            }
            "FCSubscribe" => {
                let information = info("status", "NetStream.Play.Start", "FCSubscribe");
                self.command(0, &command::call("onFCSubscribe", information));
            }
            "getStreamLength" => {
                let reply = command::result(transaction_id, Value::Null, Value::Number(0.0));
                self.command(0, &reply);
            }
            "createStream" => self.create_stream(transaction_id)?,
            "publish" => {
                self.open(id)?;
                let name = command.text(0).unwrap_or_default().to_owned();
                return Ok(Some(Event::Publish {
                    message_stream_id,
                    name,
                }));
            }
            "play" | "play2" => {
                self.open(id)?;
                let argument = command.arguments.first();
                let stream_name = argument.and_then(|value| value.property("streamName"));
                let name = stream_name
                    .or(argument)
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                return Ok(Some(Event::Play {
                    message_stream_id,
                    name: name.to_owned(),
                }));
            }
            "FCUnpublish" => {
                let information = info("status", "NetStream.Unpublish.Success", "FCUnpublish");
                self.command(0, &command::call("onFCUnpublish", information));
                self.acknowledge_command(transaction_id);
                return Ok(self.stop(Some(Role::Publishing), None));
            }
            "closeStream" => return Ok(self.stop(None, Some(id).filter(|id| *id != 0))),
            "deleteStream" => {
                // GStreamer sends the stream's name where the id belongs. A name of digits is
                // no id either.
                let is_name = command.text(0).is_some();
                let target = command.unsigned(0).filter(|_| !is_name);
                let target = target.or(Some(id)).filter(|id| *id != 0);
                let event = self.stop(None, target);
                self.message_streams
                    .retain(|stream| Some(stream.id) != target);
                return Ok(event);
            }
            "pause" | "pauseRaw" if self.role(id) == Some(Role::Playing) => {
                let is_paused = command.flag(0).unwrap_or(true);
                if is_paused {
                    self.status(id, "status", "NetStream.Pause.Notify", "Paused.");
                    self.user_control(UserControl::StreamEof(id));
                } else {
                    self.user_control(UserControl::StreamBegin(id));
                    self.status(id, "status", "NetStream.Unpause.Notify", "Unpaused.");
                }
                return Ok(Some(Event::Pause {
                    message_stream_id,
                    is_paused,
                }));
            }
            "seek" if self.role(id) == Some(Role::Playing) => {
                // A live stream has one place to play from. The client hears what it expects.
                self.status(
                    id,
                    "status",
                    "NetStream.Seek.Notify",
                    "Live: seeking has no effect.",
                );
            }
            "receiveAudio" | "receiveVideo" if self.role(id) == Some(Role::Playing) => {
                let is_wanted = command.flag(0).unwrap_or(true);
                if is_wanted {
                    self.status(id, "status", "NetStream.Seek.Notify", "Receiving.");
                    self.status(id, "status", "NetStream.Play.Start", "Receiving.");
                }
                let is_audio = command.name == "receiveAudio";
                let kind = if is_audio {
                    MediaKind::Audio
                } else {
                    MediaKind::Video
                };
                return Ok(Some(Event::Receive {
                    message_stream_id,
                    kind,
                    is_wanted,
                }));
            }
            // Replies to what this server never asked, and calls of unknown procedures. An
            // _error to the latter makes some encoders give up; nobody misses an answer.
            _ => {}
        }
        Ok(None)
    }

    fn create_stream(&mut self, transaction_id: f64) -> Result<(), Error> {
        // From 1 up: 0 is refused by GStreamer, which ends on a Stream EOF for 1 only.
        let is_free = |id: &u32| self.message_streams.iter().all(|stream| stream.id != *id);
        let id = (1..).find(is_free).unwrap_or(1);
        self.open(id)?;
        let reply = command::result(transaction_id, Value::Null, Value::Number(id.into()));
        self.command(0, &reply);
        Ok(())
    }

    /// Makes the message stream known. Some clients publish without createStream.
    fn open(&mut self, id: u32) -> Result<(), Error> {
        if self.role(id).is_some() {
            return Ok(());
        }
        if self.message_streams.len() == MAX_MESSAGE_STREAMS {
            return Err(Error::Limit {
                what: "message streams on one connection",
                got: MAX_MESSAGE_STREAMS as u64 + 1,
                allowed: MAX_MESSAGE_STREAMS as u64,
                option: None,
            });
        }
        self.message_streams.push(MessageStream {
            id,
            role: Role::Idle,
        });
        Ok(())
    }

    /// Ends what a message stream does. Without an id: the only one in use that has the role.
    fn stop(&mut self, role: Option<Role>, id: Option<u32>) -> Option<Event> {
        let mut matching = self.message_streams.iter_mut().filter(|stream| {
            stream.role != Role::Idle
                && role.is_none_or(|role| stream.role == role)
                && id.is_none_or(|id| stream.id == id)
        });
        let stream = matching.next()?;
        if matching.next().is_some() {
            return None;
        }
        stream.role = Role::Idle;
        Some(Event::Stop {
            message_stream_id: stream.id,
        })
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

    fn acknowledge_command(&mut self, transaction_id: f64) {
        if transaction_id != 0.0 {
            self.command(
                0,
                &command::result(transaction_id, Value::Null, Value::Undefined),
            );
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

/// The properties of a metadata message, `Some(None)` when it withdraws them, `None` when the
/// message is something else or can't be decoded. ffmpeg sends time codes as data messages that
/// aren't AMF; that must not end a publish.
fn metadata(body: &[u8]) -> Option<Option<Vec<(String, Value)>>> {
    let values = amf0::parse(body, amf0::MissingEnd::Tolerated).ok()?;
    let mut values = values.into_iter();
    let mut name = values.next()?;
    let mut is_cleared = false;
    match name.as_str()? {
        "@setDataFrame" => name = values.next()?,
        "@clearDataFrame" => {
            is_cleared = true;
            name = values.next()?;
        }
        _ => {}
    }
    if name.as_str()? != "onMetaData" {
        return None;
    }
    if is_cleared {
        return Some(None);
    }
    match values.next()? {
        Value::Object(properties) | Value::EcmaArray(properties) => Some(Some(properties)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
