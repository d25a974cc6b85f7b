//! The replies to a client: verdicts and statuses.

use super::{
    MAX_COMMAND_LEN, MAX_DATA_LEN, MAX_REPLIES, MAX_REPLY, PARTIAL_BYTES, PARTIAL_MESSAGES, Phase,
    ServerSession, StreamRole, WINDOW,
};
use crate::rtmp::amf0::Value;
use crate::rtmp::chunk::{MessageHeader, chunk_stream_id};
use crate::rtmp::chunk_reader::{Limits, PayloadSource};
use crate::rtmp::command::{self, Command, info, object, text};
use crate::rtmp::dialect::Dialect;
use crate::rtmp::goodbye::{SHUTTING_DOWN, reconnect_request};
use crate::rtmp::message::{Control, UserControl, type_id};

/// The server's capability for every codec (E2, "connect"): 4, can forward.
const FORWARD: f64 = 4.0;

/// The server's `capsEx`: reconnect, multitrack, ModEx, nanosecond offsets (E2, "connect").
const CAPS_EX: f64 = 15.0;

impl<S: PayloadSource> ServerSession<S> {
    /// Accepts the connect.
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
        // Announced before the reply, because OBS misreads a long reply in chunks of 128 bytes.
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
        // Always in AMF0: AMF3 is used only after this message.
        self.message(type_id::COMMAND, chunk_stream_id::COMMAND, 0, &reply.emit());
    }

    /// Refuses the connect. The caller closes the connection after sending this.
    pub fn refuse_connect(&mut self, code: &str, description: &str) {
        if let Phase::Connecting { transaction_id } = self.phase {
            let reply = command::error(transaction_id, code, description);
            self.message(type_id::COMMAND, chunk_stream_id::COMMAND, 0, &reply.emit());
        }
    }

    /// Accepts the publish: the client may now send media on this message stream.
    pub fn accept_publish(&mut self, message_stream_id: u32, key: &str) {
        self.streams
            .set_role(message_stream_id, StreamRole::Publishing);
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

    /// Notifies a publisher of the recording that it has asked for.
    pub fn note_recording(&mut self, message_stream_id: u32, level: &str, code: &str, text: &str) {
        self.status(message_stream_id, level, code, text);
    }

    /// Refuses a publish or play. The caller closes the connection after sending this.
    pub fn refuse_stream(&mut self, message_stream_id: u32, code: &str, description: &str) {
        self.streams.set_role(message_stream_id, StreamRole::Idle);
        self.status(message_stream_id, "error", code, description);
    }

    /// Accepts the play. Returns the bytes that the client must receive before any others on this
    /// message stream.
    pub fn accept_play(&mut self, message_stream_id: u32, key: &str) -> Vec<u8> {
        self.streams
            .set_role(message_stream_id, StreamRole::Playing);
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

    /// Ends a publish from the server side: notifies the client before the caller closes the connection.
    pub fn end_publish(&mut self, message_stream_id: u32, description: &str) {
        self.streams.set_role(message_stream_id, StreamRole::Idle);
        self.status(
            message_stream_id,
            "status",
            "NetStream.Unpublish.Success",
            description,
        );
    }

    /// Notifies the client that the server is stopping. A client that understands it is asked to
    /// reconnect, which it does once the server is back (E2, "Reconnect Request").
    pub fn shut_down(&mut self) {
        let status = if self.dialect.can_reconnect {
            reconnect_request()
        } else {
            let code = "NetConnection.Connect.AppShutdown";
            command::call("onStatus", info("error", code, SHUTTING_DOWN))
        };
        self.command(&status);
    }

    /// Returns the form in which commands are written to the client.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Sends a Ping Request (6.2).
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

    pub(super) fn command(&mut self, command: &Command) {
        self.send(chunk_stream_id::COMMAND, 0, command);
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
        let header = MessageHeader::untimed(chunk_stream_id, message_stream_id, type_id);
        if self.out.capacity() == 0 {
            self.out.reserve_exact(MAX_REPLIES + MAX_REPLY);
        }
        self.writer.write(header, body, &mut self.out);
    }
}
