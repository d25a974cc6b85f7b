//! FLV: a file of tags (FLV, Annex E).

use crate::live::out::framed::FramedMessage;
use crate::live::out::message::Message;
use crate::media::flv::since;

pub(super) const CONTENT_TYPE: &str = "video/x-flv";

/// Frames a message as a tag.
pub(super) fn frame(message: &Message, base: u32, framed: &mut FramedMessage) {
    let time = since(base, message.timestamp);
    let header = message.kind.tag_header(message.len, time);
    framed.head.push(&header.bytes());
    framed.tail.push(&header.size_bytes());
}
