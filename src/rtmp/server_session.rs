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
use std::ops::Range;

use super::Error;
use super::aggregate::{Aggregate, slice};
use super::amf::{Bytes, Parts, Token};
use super::chunk_reader::{self, ChunkReader, FULL_CHUNK, Limits, Payload, PayloadSource};
use super::chunk_writer::ChunkWriter;
use super::command::Call;
use super::data;
use super::flight_recorder::{self, CommandName, Tape};
use super::handshake::Handshake;
use super::message::{Control, UserControl, type_id};
use super::metadata;
use super::rate::Rate;

pub use event::{
    ALL_BITS, AUDIO_OTHERS, Codecs, Connect, Event, FOUR_CCS, MAX_FLASH_VER_LEN, MAX_URL_LEN,
    Media, MediaKind, VIDEO_FOUR_CCS, VIDEO_OTHERS,
};
pub use replies::{Dialect, Over, end_of_stream, no_codec_for_player};

/// Window that this server announces, for both directions, in bytes.
const WINDOW: u32 = 2_500_000;

/// Bytes after which they are acknowledged to a client that announced no window.
const DEFAULT_ACKNOWLEDGE_AFTER: u32 = 1_000_000;

/// Bytes that a client may send before it publishes or plays.
const MAX_BYTES_BEFORE_USE: u64 = 256 * 1024;

/// Longest command and data message, in bytes.
const MAX_COMMAND_LEN: u32 = 64 * 1024;
const MAX_DATA_LEN: u32 = 256 * 1024;

/// Longest metadata that is read. Longer ones, which nobody sends, would cost more to decode than a
/// small machine has to spare.
const MAX_METADATA_LEN: usize = 64 * 1024;

/// Until something is published, whoever it is: together with the size of a block this bounds
/// what a stranger can hold. Media messages are dropped, and can't be large.
const BEFORE_PUBLISH: Limits = Limits {
    media: 64 * 1024,
    data: 64 * 1024,
    command: MAX_COMMAND_LEN,
    partial_messages: 4,
    partial_bytes: 65 * 1024,
};

/// A publisher may be in the middle of this many messages, and of this many bytes beyond its
/// longest.
const PARTIAL_MESSAGES: u32 = 8;
const PARTIAL_BYTES: u32 = 512 * 1024;

/// Ten seconds of the commands that the busiest client could have a reason for.
const COMMANDS: Rate = Rate::new(100, 10);

/// Control messages. An encoder that acknowledges each of our messages stays far below.
const CONTROLS: Rate = Rate::new(1000, 1000);

/// Chunks and messages without payload in a second: each costs as much time as one with 128 bytes.
const EMPTY_CHUNKS: u32 = 50_000;

/// What chunks may be short of 128 bytes, in bytes: those that carry 100 may come at nearly five
/// times the rate of empty ones. A file of such sounds may be sent at 25 MB a second.
const MISSING_BYTES: Rate = Rate::new(EMPTY_CHUNKS * FULL_CHUNK, EMPTY_CHUNKS * FULL_CHUNK);

/// Replies that are gathered before they must be sent, in bytes. What one command is answered with,
/// or a handshake, comes on top.
pub const MAX_REPLIES: usize = 256;

/// The longest answer to one command, in bytes: two statuses to a play, which name it.
pub const MAX_REPLY: usize = 768;

/// Commands without a readable name that are let pass in a row.
const MAX_UNREADABLE: u8 = 10;

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
    /// The aggregate message whose parts are being given out.
    aggregate: Option<Aggregate>,
    /// Where in the reader's payload the last media message, or metadata, lies.
    media: Range<usize>,
    dialect: Dialect,
    commands: Rate,
    controls: Rate,
    missing_bytes: Rate,
    missing_bytes_counted: u64,
    /// Commands without a readable name, in a row.
    unreadable: u8,
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
        ServerSession {
            handshake: Some(Handshake::default()),
            nonce,
            reader: ChunkReader::new(source, BEFORE_PUBLISH),
            writer: ChunkWriter::default(),
            max_message,
            phase: Phase::Handshaken,
            message_streams: Vec::new(),
            received: 0,
            acknowledged: 0,
            acknowledge_after: DEFAULT_ACKNOWLEDGE_AFTER,
            received_in_use: 0,
            aggregate: None,
            media: 0..0,
            dialect: Dialect::default(),
            commands: COMMANDS,
            controls: CONTROLS,
            missing_bytes: MISSING_BYTES,
            missing_bytes_counted: 0,
            unreadable: 0,
            out: Vec::new(),
        }
    }

    // Input.

    /// Consumes input up to the next event; `None` when all of it was consumed. After
    /// [`Error::OutOfBlocks`] the call may be repeated, after any other error the connection is
    /// lost. What comes is noted on the tape, except for media that is published.
    pub fn handle(
        &mut self,
        input: &mut &[u8],
        tape: &mut Tape<'_>,
    ) -> Result<Option<Event>, Error> {
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
            return Err(Error::Limit {
                what: "bytes without publish or play",
                got: unused,
                allowed: MAX_BYTES_BEFORE_USE,
                option: None,
            });
        }
        self.check_missing_bytes(tape.now())?;
        result
    }

    /// The next audio or video message, if it is published and lies whole in the input: the short
    /// way for most of what a publisher sends. `None` when something else comes next, which is
    /// for [`handle`](Self::handle).
    pub fn next_media<'a>(&mut self, input: &mut &'a [u8]) -> Option<Media<'a>> {
        if self.handshake.is_some() || self.aggregate.is_some() || !self.is_in_use() {
            return None;
        }
        loop {
            let before = input.len();
            let (header, payload) = self.reader.read_in_place(input)?;
            self.received += (before - input.len()) as u64;
            self.received_in_use = self.received;
            self.acknowledge();
            if let Some(message_stream_id) = self.publish_of(header.message_stream_id) {
                return Some(Media {
                    message_stream_id,
                    kind: MediaKind::of(header.type_id),
                    timestamp: header.timestamp,
                    payload,
                });
            }
        }
    }

    /// Payload of the last [`Event::Media`] in as many parts as it lies in, until the next call
    /// of `handle`.
    pub fn payload(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.payload_or(None)
    }

    /// The same, or these bytes, as if they lay there: so both ways of media are one from here on.
    pub fn payload_or<'a>(
        &'a self,
        whole: Option<&'a [u8]>,
    ) -> impl Iterator<Item = &'a [u8]> + Clone {
        let held = self.reader.payload().filter(|_| whole.is_none());
        let parts = held.map(Payload::parts).into_iter().flatten();
        whole.into_iter().chain(slice(parts, self.media.clone()))
    }

    /// Body of the last [`Event::Metadata`] or [`Event::Data`] where it lies, until the next call of `handle`.
    pub fn body(&self) -> Parts<'_> {
        self.parts(self.media.clone())
    }

    // Output.

    /// Gives bytes back that [`take_output`](Self::take_output) returned, to be sent first.
    pub fn put_back_output(&mut self, bytes: &[u8]) {
        self.out.splice(..0, bytes.iter().copied());
    }

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

    fn handle_bytes(
        &mut self,
        input: &mut &[u8],
        tape: &mut Tape<'_>,
    ) -> Result<Option<Event>, Error> {
        if let Some(handshake) = &mut self.handshake {
            if !handshake.handle(input, self.nonce, &mut self.out)? {
                return Ok(None);
            }
            let has_digest = handshake.has_digest();
            tape.note(flight_recorder::Event::Handshake { has_digest });
            self.handshake = None;
        }
        loop {
            if let Some(event) = self.next_in_aggregate() {
                return Ok(Some(event));
            }
            if self.out.len() > MAX_REPLIES && !input.is_empty() {
                return Ok(Some(Event::Replies));
            }
            let Some(header) = self.reader.read(input)? else {
                return Ok(None);
            };
            if let Some(event) = self.handle_message(header, tape)? {
                return Ok(Some(event));
            }
        }
    }

    fn handle_message(
        &mut self,
        header: chunk_reader::MessageHeader,
        tape: &mut Tape<'_>,
    ) -> Result<Option<Event>, Error> {
        let id = header.message_stream_id;
        let publish = self.publish_of(id);
        let len = self.reader.payload().map_or(0, Payload::len);
        match header.type_id {
            type_id::AUDIO | type_id::VIDEO => {
                if let Some(message_stream_id) = publish {
                    self.media = 0..len;
                    return Ok(Some(Event::Media {
                        message_stream_id,
                        kind: MediaKind::of(header.type_id),
                        timestamp: header.timestamp,
                    }));
                }
            }
            1..=6 => {
                let body: [u8; Limits::CONTROL as usize] = self.parts(0..len).bytes().to_array();
                let control = Control::parse(header.type_id, body.get(..len).unwrap_or(&body))?;
                tape.note_control(&control);
                if !self.controls.take(1, tape.now()) {
                    return Err(too_often(
                        "control messages in a second",
                        CONTROLS.capacity(),
                    ));
                }
                self.handle_control(control)?;
                return Ok(None);
            }
            // Empty ones are ignored; the envelope has a selector all the same.
            type_id::COMMAND | type_id::COMMAND_AMF3
                if len > usize::from(header.type_id == type_id::COMMAND_AMF3) =>
            {
                let read = self.read_command(header.type_id, 0..len);
                // What comes of it may take a while, and may need the room.
                self.reader.forget_payload();
                return self.handle_read_command(id, read, tape);
            }
            _ => {}
        }
        tape.note(flight_recorder::Event::Message {
            type_id: header.type_id,
            len: len as u32,
            timestamp: header.timestamp,
        });
        let Some(id) = publish else {
            return Ok(None);
        };
        match header.type_id {
            type_id::DATA | type_id::DATA_AMF3 => {
                Ok(self.data(id, header.type_id, header.timestamp, 0..len))
            }
            type_id::AGGREGATE => {
                self.aggregate = Some(Aggregate::new(id, header.timestamp));
                Ok(self.next_in_aggregate())
            }
            _ => Ok(None),
        }
    }

    /// Reads a command, and of connect what it says.
    #[inline(never)] // Its variables are not to be on the stack of a connection that waits.
    fn read_command(&self, type_id: u8, range: Range<usize>) -> Result<Read, Error> {
        let parts = self.parts(range);
        let mut connect = None;
        let body = without_selector(type_id, parts.bytes());
        let call = Call::read(body, |name, token, reader| {
            let is_object = matches!(token, Token::Object | Token::EcmaArray);
            if name != "connect" || !is_object {
                return reader.skip(token);
            }
            connect = Some(Connect::read(reader)?);
            Ok(())
        })?;
        Ok((call, connect))
    }

    fn handle_read_command(
        &mut self,
        id: u32,
        read: Result<Read, Error>,
        tape: &mut Tape<'_>,
    ) -> Result<Option<Event>, Error> {
        if !self.commands.take(1, tape.now()) {
            return Err(too_often("commands at a time", COMMANDS.capacity()));
        }
        let (call, connect) = match read {
            Ok(read) => read,
            Err(error) => {
                // Some encoders send things of their own invention.
                tape.note(flight_recorder::Event::Command(CommandName::UNREADABLE, 0));
                self.unreadable += 1;
                return if self.unreadable < MAX_UNREADABLE {
                    Ok(None)
                } else {
                    Err(error)
                };
            }
        };
        self.unreadable = 0;
        let name = CommandName::new(&call.name);
        tape.note(flight_recorder::Event::Command(name, id as u8));
        self.handle_command(id, call, connect)
    }

    /// The next message in an aggregate message that somebody wants.
    fn next_in_aggregate(&mut self) -> Option<Event> {
        loop {
            let parts = self.reader.payload()?.parts();
            let aggregate = self.aggregate.as_mut()?;
            let message_stream_id = aggregate.message_stream_id;
            let inner = aggregate.next(parts);
            let is_published = self.role(message_stream_id) == Some(Role::Publishing);
            let Some(inner) = inner.filter(|_| is_published) else {
                self.aggregate = None;
                return None;
            };
            // It costs as much as a message of its own.
            self.reader.note_chunk(inner.range.len() as u32);
            match inner.type_id {
                type_id::AUDIO | type_id::VIDEO => {
                    self.media = inner.range;
                    return Some(Event::Media {
                        message_stream_id,
                        kind: MediaKind::of(inner.type_id),
                        timestamp: inner.timestamp,
                    });
                }
                type_id::DATA | type_id::DATA_AMF3 => {
                    let (type_id, timestamp) = (inner.type_id, inner.timestamp);
                    let event = self.data(message_stream_id, type_id, timestamp, inner.range);
                    if event.is_some() {
                        return event;
                    }
                }
                _ => {}
            }
        }
    }

    #[inline(never)] // Its variables are not to be on the stack of a connection that waits.
    fn data(
        &mut self,
        message_stream_id: u32,
        type_id: u8,
        timestamp: u32,
        range: Range<usize>,
    ) -> Option<Event> {
        if range.len() > MAX_METADATA_LEN {
            return None;
        }
        let parts = self.parts(range.clone());
        let body = without_selector(type_id, parts.bytes());
        let event = if metadata::parse(body).is_some() {
            Event::Metadata { message_stream_id }
        } else if data::may_have_name(body) {
            Event::Data {
                message_stream_id,
                timestamp,
            }
        } else {
            return None;
        };
        let start = range.end - body.len();
        self.media = start..range.end;
        Some(event)
    }

    fn check_missing_bytes(&mut self, now: u64) -> Result<(), Error> {
        let counted = self.reader.missing_bytes();
        let new = counted - std::mem::replace(&mut self.missing_bytes_counted, counted);
        let new = u32::try_from(new).unwrap_or(u32::MAX);
        if self.missing_bytes.take(new, now) {
            return Ok(());
        }
        Err(too_often(
            "chunks of less than 128 bytes in a second",
            EMPTY_CHUNKS.into(),
        ))
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

    /// The publish that media on this message stream belongs to: the one on it, or else the
    /// connection's only one. Node-Media-Server's client publishes on the message stream that it has
    /// created, and sends its media on 0.
    fn publish_of(&self, id: u32) -> Option<u32> {
        let is_publishing = |stream: &&MessageStream| stream.role == Role::Publishing;
        let mut publishing = self.message_streams.iter().filter(is_publishing);
        let own = publishing.clone().find(|stream| stream.id == id);
        let only = publishing.next().filter(|_| publishing.next().is_none());
        own.or(only).map(|stream| stream.id)
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

    /// Bytes of the reader's payload; none if they lie in more places than what is read ever does.
    fn parts(&self, range: Range<usize>) -> Parts<'_> {
        let parts = self.reader.payload().map(Payload::parts);
        Parts::new(slice(parts.into_iter().flatten(), range)).unwrap_or_default()
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

fn too_often(what: &'static str, allowed: u64) -> Error {
    Error::Limit {
        what,
        got: allowed + 1,
        allowed,
        option: None,
    }
}

/// A command, and what it says if it is connect.
type Read = (Call, Option<(Connect, Dialect)>);

/// The AMF3 envelope has a format selector of 0 in front of AMF0 values; some senders omit it.
fn without_selector(type_id: u8, body: Bytes<'_>) -> Bytes<'_> {
    let is_envelope = matches!(type_id, type_id::COMMAND_AMF3 | type_id::DATA_AMF3);
    body.strip_prefix(&[0])
        .filter(|_| is_envelope)
        .unwrap_or(body)
}

#[cfg(test)]
mod tests;
