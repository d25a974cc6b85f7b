//! The form in which commands are written to a client.

use super::chunk::MessageHeader;
use super::chunk_writer::ChunkWriter;
use super::command::Command;
use super::connect::Connect;
use super::message::type_id;

/// The form of commands that a client requested in connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Whether commands are in AMF3 (`objectEncoding` 3).
    pub is_amf3: bool,
    /// Whether the client understands a request to reconnect (`capsEx`).
    pub can_reconnect: bool,
}

impl Dialect {
    /// The dialect of nearly all clients.
    pub const AMF0: Dialect = Dialect {
        is_amf3: false,
        can_reconnect: false,
    };

    pub(super) fn of(connect: &Connect) -> Dialect {
        Dialect {
            is_amf3: connect.is_amf3,
            can_reconnect: connect.can_reconnect(),
        }
    }

    /// Returns the message type and payload of a command.
    pub(super) fn emit(self, command: &Command) -> (u8, Vec<u8>) {
        if self.is_amf3 {
            (type_id::COMMAND_AMF3, command.emit_amf3())
        } else {
            (type_id::COMMAND, command.emit())
        }
    }

    /// Appends a command as a message, in chunks of the announced size.
    pub(super) fn write(
        self,
        chunk_stream_id: u8,
        message_stream_id: u32,
        command: &Command,
        out: &mut Vec<u8>,
    ) {
        let (type_id, body) = self.emit(command);
        let header = MessageHeader::untimed(chunk_stream_id, message_stream_id, type_id);
        ChunkWriter::with_announced_chunk_size().write(header, &body, out);
    }
}
