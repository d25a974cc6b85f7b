//! The messages that a player receives when its stream has ended.

use super::amf0::Value;
use super::chunk::chunk_stream_id;
use super::chunk_writer::ChunkWriter;
use super::command::{self, Command, info};
use super::dialect::Dialect;
use super::message::{Control, UserControl};

/// The reason why a player's stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The publisher is gone for good.
    Unpublished,
    /// The server is stopping.
    ShuttingDown,
}

pub(super) const SHUTTING_DOWN: &str = "The server is shutting down.";

pub(super) fn reconnect_request() -> Command {
    let code = "NetConnection.Connect.ReconnectRequest";
    command::call("onStatus", info("status", code, SHUTTING_DOWN))
}

/// Returns the messages that end a stream. There are clients that wait for each of them.
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

/// Returns the message with which a client ends what it publishes.
pub fn end_of_publish(message_stream_id: u32) -> Vec<u8> {
    let id = Value::Number(message_stream_id.into());
    let mut out = Vec::new();
    let delete = command::call("deleteStream", id);
    Dialect::AMF0.write(chunk_stream_id::COMMAND, 0, &delete, &mut out);
    out
}

/// Returns the messages that end a play when the stream has none of the codecs that the player
/// announced.
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
