//! The messages that a client sends.

use super::WINDOW;
use super::conversation::{Conversation, Phase, Request};
use crate::medium::Medium;
use crate::rtmp::amf0::Value;
use crate::rtmp::chunk::{MessageHeader, chunk_stream_id};
use crate::rtmp::command::{Command, object, text};
use crate::rtmp::dialect::Dialect;
use crate::rtmp::message::{Control, UserControl, type_id};

/// The chunk stream of publish and play: ffmpeg's.
const STREAM_COMMANDS: u8 = 8;

/// The buffer that a player announces, in ms.
const BUFFER_MS: u32 = 1000;

/// The `capsEx` of this client: reconnect, multitrack, ModEx, nanosecond offsets (E2, "connect").
const CAPS_EX: f64 = 15.0;

/// The capability for every codec (E2, "connect"): 4, can forward.
const FORWARD: f64 = 4.0;

impl Conversation {
    /// Writes connect.
    pub(super) fn connect(&mut self) {
        let options = &self.options;
        let mut properties = vec![("app", text(&options.app))];
        if options.is_publisher {
            properties.push(("type", text("nonprivate")));
        }
        properties.extend([
            ("flashVer", text(&options.flash_ver)),
            ("tcUrl", text(&options.tc_url)),
        ]);
        if !options.is_publisher {
            // As Flash Player would: the audio and video codecs are all of its time.
            properties.extend([
                ("fpad", Value::Boolean(false)),
                ("capabilities", Value::Number(15.0)),
                ("audioCodecs", Value::Number(4071.0)),
                ("videoCodecs", Value::Number(252.0)),
                ("videoFunction", Value::Number(1.0)),
            ]);
        }
        if options.is_amf3 {
            properties.push(("objectEncoding", Value::Number(3.0)));
        }
        if options.is_enhanced {
            let everything = || object([("*", Value::Number(FORWARD))]);
            properties.extend([
                ("fourCcList", Value::StrictArray(vec![text("*")])),
                ("videoFourCcInfoMap", everything()),
                ("audioFourCcInfoMap", everything()),
                ("capsEx", Value::Number(CAPS_EX)),
            ]);
        }
        let command = Command {
            name: "connect".to_owned(),
            transaction_id: 0.0,
            object: object(properties),
            arguments: Vec::new(),
        };
        self.phase = Phase::Connecting;
        // Always in AMF0: AMF3 is used only after this message.
        self.call(command, chunk_stream_id::COMMAND, 0, Dialect::AMF0);
    }

    /// Makes a message stream for what the client wants, once connect is accepted.
    pub(super) fn begin(&mut self, request: Request) {
        if self.phase != Phase::Connected {
            return;
        }
        self.writer.announce_chunk_size(&mut self.out);
        self.control(&Control::WindowAcknowledgementSize(WINDOW));
        if let Request::Publish(name) = &request {
            // Some servers free a name that a lost connection still holds only when asked to.
            for command in ["releaseStream", "FCPublish"] {
                self.command(command, vec![text(name)], chunk_stream_id::COMMAND, 0);
            }
        }
        let transaction = self.command("createStream", Vec::new(), chunk_stream_id::COMMAND, 0);
        self.phase = Phase::Creating {
            transaction,
            request,
        };
    }

    /// Asks for what the client wants on its new message stream.
    pub(super) fn request(&mut self, id: u32, request: Request) {
        self.message_stream_id = Some(id);
        let (name, arguments) = match &request {
            Request::Publish(name) => ("publish", vec![text(name), text("live")]),
            // -2000: a live stream if there is one, which waits for it otherwise (7.2.2.1).
            Request::Play(name) => ("play", vec![text(name), Value::Number(-2000.0)]),
        };
        let transaction = self.command(name, arguments, STREAM_COMMANDS, id);
        if let Request::Play(_) = request {
            let buffer = UserControl::SetBufferLength {
                message_stream_id: id,
                buffer_ms: BUFFER_MS,
            };
            self.user_control(buffer);
        }
        self.phase = Phase::Requested {
            transaction,
            request,
        };
    }

    /// Ends the publish or play, and deletes the message stream.
    pub(super) fn close(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Some(id) = self.message_stream_id.take() else {
            return;
        };
        if let Phase::Publishing(name) = phase {
            let command = chunk_stream_id::COMMAND;
            self.command("FCUnpublish", vec![text(&name)], command, 0);
        }
        let arguments = vec![Value::Number(f64::from(id))];
        self.command("deleteStream", arguments, chunk_stream_id::COMMAND, 0);
    }

    pub(super) fn write_media(
        &self,
        medium: Medium,
        timestamp: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let (chunk_stream_id, type_id) = match medium {
            Medium::Audio => (chunk_stream_id::AUDIO, type_id::AUDIO),
            Medium::Video => (chunk_stream_id::VIDEO, type_id::VIDEO),
        };
        self.write_message(chunk_stream_id, type_id, timestamp, payload, out);
    }

    pub(super) fn write_data(&self, timestamp: u32, body: &[u8], out: &mut Vec<u8>) {
        self.write_message(chunk_stream_id::STATUS, type_id::DATA, timestamp, body, out);
    }

    fn write_message(
        &self,
        chunk_stream_id: u8,
        type_id: u8,
        timestamp: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let header = MessageHeader {
            chunk_stream_id,
            timestamp,
            len: 0,
            type_id,
            message_stream_id: self.message_stream_id.unwrap_or_default(),
        };
        self.writer.write(header, payload, out);
    }

    /// Writes a command with a null object. Returns its transaction id.
    pub(super) fn command(
        &mut self,
        name: &str,
        arguments: Vec<Value>,
        chunk_stream_id: u8,
        message_stream_id: u32,
    ) -> u32 {
        let command = Command {
            name: name.to_owned(),
            transaction_id: 0.0,
            object: Value::Null,
            arguments,
        };
        let dialect = Dialect {
            is_amf3: self.is_amf3,
            ..Dialect::AMF0
        };
        self.call(command, chunk_stream_id, message_stream_id, dialect)
    }

    fn call(
        &mut self,
        mut command: Command,
        chunk_stream_id: u8,
        message_stream_id: u32,
        dialect: Dialect,
    ) -> u32 {
        self.transaction += 1;
        command.transaction_id = f64::from(self.transaction);
        let (type_id, body) = dialect.emit(&command);
        let header = MessageHeader::untimed(chunk_stream_id, message_stream_id, type_id);
        self.writer.write(header, &body, &mut self.out);
        self.transaction
    }

    pub(super) fn user_control(&mut self, event: UserControl) {
        let control = Control::User(event);
        self.control(&control);
    }
}
