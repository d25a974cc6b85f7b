//! What the server says to a client: verdicts, statuses, and the end of a stream.

use super::{
    MAX_COMMAND_LEN, MAX_DATA_LEN, MAX_REPLIES, MAX_REPLY, PARTIAL_BYTES, PARTIAL_MESSAGES, Phase,
    Role, ServerSession, WINDOW,
};
use crate::rtmp::amf0::Value;
use crate::rtmp::chunk::{MessageHeader, chunk_stream_id};
use crate::rtmp::chunk_reader::{Limits, PayloadSource};
use crate::rtmp::chunk_writer::ChunkWriter;
use crate::rtmp::command::{self, Command, info, object, text};
use crate::rtmp::message::{Control, UserControl, type_id};

/// What this server can do with a codec (E2, "connect"): 4, forward it.
const FORWARD: f64 = 4.0;

/// Reconnect, multitrack, ModEx, nanosecond offsets (E2, "connect").
const CAPS_EX: f64 = 15.0;

impl<S: PayloadSource> ServerSession<S> {
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
        // Everything is forwarded, nothing decoded (E2, "Enhancing NetConnection connect Command").
        let everything = || object([("*", Value::Number(FORWARD))]);
        let properties = object([
            ("fmsVer", text("FMS/3,0,1,123")),
            ("capabilities", Value::Number(31.0)),
            ("mode", Value::Number(1.0)),
            ("fourCcList", Value::StrictArray(vec![text("*")])),
            ("videoFourCcInfoMap", everything()),
            ("audioFourCcInfoMap", everything()),
            ("capsEx", Value::Number(CAPS_EX)),
        ]);
        let information = object([
            ("level", text("status")),
            ("code", text("NetConnection.Connect.Success")),
            ("description", text("Connection succeeded.")),
            (
                "objectEncoding",
                Value::Number(if self.dialect.is_amf3 { 3.0 } else { 0.0 }),
            ),
        ]);
        let reply = command::result(transaction_id, properties, information);
        // In AMF0 whatever was agreed: this is the message that agrees on it.
        self.message(type_id::COMMAND, chunk_stream_id::COMMAND, 0, &reply.emit());
    }

    /// The client must not go on; the caller closes after sending this.
    pub fn refuse_connect(&mut self, code: &str, description: &str) {
        if let Phase::Connecting { transaction_id } = self.phase {
            let reply = command::error(transaction_id, code, description);
            self.message(type_id::COMMAND, chunk_stream_id::COMMAND, 0, &reply.emit());
        }
    }

    /// The client may send media on this message stream.
    pub fn accept_publish(&mut self, message_stream_id: u32, key: &str) {
        self.set_role(message_stream_id, Role::Publishing);
        self.reader.set_limits(Limits {
            media: self.max_message,
            data: MAX_DATA_LEN,
            command: MAX_COMMAND_LEN,
            partial_messages: PARTIAL_MESSAGES,
            partial_bytes: self.max_message.saturating_add(PARTIAL_BYTES),
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

    /// Tells the client that the server stops; one that knows how is asked to come again, which
    /// it does once the server is back (E2, "Reconnect Request").
    pub fn shut_down(&mut self) {
        let status = if self.dialect.can_reconnect {
            reconnect_request()
        } else {
            let code = "NetConnection.Connect.AppShutdown";
            command::call("onStatus", info("error", code, SHUTTING_DOWN))
        };
        self.command(0, &status);
    }

    /// How the client wants to be spoken to.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Asks the client for a sign of life (6.2).
    pub fn ping(&mut self, timestamp: u32) {
        self.user_control(UserControl::PingRequest(timestamp));
    }

    pub(super) fn status(
        &mut self,
        message_stream_id: u32,
        level: &str,
        code: &str,
        description: &str,
    ) {
        let status = command::call("onStatus", info(level, code, description));
        self.send(chunk_stream_id::STATUS, message_stream_id, &status);
    }

    pub(super) fn command(&mut self, message_stream_id: u32, command: &Command) {
        self.send(chunk_stream_id::COMMAND, message_stream_id, command);
    }

    fn send(&mut self, chunk_stream_id: u8, message_stream_id: u32, command: &Command) {
        let (type_id, body) = self.dialect.emit(command);
        self.message(type_id, chunk_stream_id, message_stream_id, &body);
    }

    pub(super) fn user_control(&mut self, control: UserControl) {
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
        if self.out.capacity() == 0 {
            self.out.reserve_exact(MAX_REPLIES + MAX_REPLY);
        }
        self.writer.write(header, body, &mut self.out);
    }
}

/// How a client wants to be spoken to, by what it said in connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// In AMF3 (objectEncoding 3).
    pub is_amf3: bool,
    /// It understands the request to connect anew (capsEx).
    pub can_reconnect: bool,
}

impl Dialect {
    /// What nearly everybody speaks.
    pub const AMF0: Dialect = Dialect {
        is_amf3: false,
        can_reconnect: false,
    };

    /// Message type and payload of a command.
    fn emit(self, command: &Command) -> (u8, Vec<u8>) {
        if self.is_amf3 {
            (type_id::COMMAND_AMF3, command.emit_amf3())
        } else {
            (type_id::COMMAND, command.emit())
        }
    }

    /// Appends a command as a message, in chunks of the size that was announced.
    fn write(
        self,
        chunk_stream_id: u8,
        message_stream_id: u32,
        command: &Command,
        out: &mut Vec<u8>,
    ) {
        let (type_id, body) = self.emit(command);
        let header = MessageHeader {
            chunk_stream_id,
            timestamp: 0,
            len: 0,
            type_id,
            message_stream_id,
        };
        ChunkWriter::with_announced_chunk_size().write(header, &body, out);
    }
}

/// Why a player's stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Its publisher is gone for good.
    Unpublished,
    /// The server stops.
    ShuttingDown,
}

const SHUTTING_DOWN: &str = "The server is shutting down.";

fn reconnect_request() -> Command {
    let code = "NetConnection.Connect.ReconnectRequest";
    command::call("onStatus", info("status", code, SHUTTING_DOWN))
}

/// What a player is told when its stream is over: each of the messages is waited for by somebody.
pub fn end_of_stream(message_stream_id: u32, dialect: Dialect, over: Over) -> Vec<u8> {
    let mut out = Vec::new();
    if over == Over::ShuttingDown && dialect.can_reconnect {
        dialect.write(chunk_stream_id::COMMAND, 0, &reconnect_request(), &mut out);
    }
    let eof = Control::User(UserControl::StreamEof(message_stream_id));
    ChunkWriter::with_announced_chunk_size().write_control(&eof, &mut out);
    for (code, description) in [
        ("NetStream.Play.UnpublishNotify", "The publisher is gone."),
        ("NetStream.Play.Stop", "The stream has ended."),
    ] {
        let status = command::call("onStatus", info("status", code, description));
        dialect.write(
            chunk_stream_id::STATUS,
            message_stream_id,
            &status,
            &mut out,
        );
    }
    out
}

/// What a player is told that announced codecs of which the stream has none.
pub fn no_codec_for_player(message_stream_id: u32, dialect: Dialect) -> Vec<u8> {
    let description = "The stream has none of the codecs that you announced.";
    let status = info("error", "NetStream.Play.Failed", description);
    let mut out = Vec::new();
    dialect.write(
        chunk_stream_id::STATUS,
        message_stream_id,
        &command::call("onStatus", status),
        &mut out,
    );
    out
}
