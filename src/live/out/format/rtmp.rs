//! RTMP: the chunks of a message.

use crate::live::kind::Kind;
use crate::live::out::framed::FramedMessage;
use crate::live::out::message::Message;
use crate::rtmp::chunk::{MessageHeader, chunk_stream_id};
use crate::rtmp::chunk_writer::CHUNK_SIZE;
use crate::rtmp::message::type_id;

/// What a publisher's metadata begins with: an AMF0 string. Players get it without.
const SET_DATA_FRAME: &[u8; 16] = b"\x02\0\x0D@setDataFrame";

/// Longest metadata that gets this beginning, in bytes: together they are one chunk. Kept metadata is
/// shorter.
const MAX_SET: u32 = CHUNK_SIZE - SET_DATA_FRAME.len() as u32;

/// Adds chunk headers around and into a message.
pub(super) fn frame(
    message: &Message,
    message_stream_id: u32,
    is_publisher: bool,
    framed: &mut FramedMessage,
) {
    let is_set = is_publisher && message.kind == Kind::Data && message.len <= MAX_SET;
    let before: &[u8] = if is_set { SET_DATA_FRAME } else { &[] };
    let (chunk_stream_id, type_id, timestamp) = match message.kind {
        Kind::Audio => (chunk_stream_id::AUDIO, type_id::AUDIO, message.timestamp),
        Kind::Video => (chunk_stream_id::VIDEO, type_id::VIDEO, message.timestamp),
        // ffmpeg, and with it VLC and mpv, mistake metadata for a text track unless its timestamp is 0;
        // VLC then buffers for ten seconds.
        Kind::Data => (chunk_stream_id::STATUS, type_id::DATA, 0),
        Kind::Script => (chunk_stream_id::STATUS, type_id::DATA, message.timestamp),
    };
    let header = MessageHeader {
        chunk_stream_id,
        timestamp,
        len: message.len + before.len() as u32,
        type_id,
        message_stream_id,
    };
    let (mut head, mut between) = ([0; 16], [0; 5]);
    let head_len = header.emit(&mut head);
    framed.head.push(&head[..head_len]);
    framed.head.push(before);
    let between_len = header.emit_continuation(&mut between);
    framed.split_into_chunks(&between[..between_len]);
}
