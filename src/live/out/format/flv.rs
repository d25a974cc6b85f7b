//! FLV: a file of tags (FLV, Annex E).

use crate::live::kind::Kind;
use crate::live::out::framed::FramedMessage;
use crate::live::out::message::Message;
use crate::live::tracks::Has;
use crate::rtmp::message::type_id;

pub(super) const CONTENT_TYPE: &str = "video/x-flv";

/// Length of a tag's header (E.4.1).
const TAG_HEADER_LEN: u32 = 11;

/// The number of bytes around a tag's payload: its header, and the tag's size after it.
pub(super) const OVERHEAD: u64 = TAG_HEADER_LEN as u64 + 4;

/// Timestamps up to this many ms before 0 become 0.
const JUST_BEFORE: u32 = 10_000;

/// The header of a file, and the size of the tag before the first one (E.2, E.3).
pub(super) fn file_header(has: Has) -> [u8; 13] {
    let mut header = *b"FLV\x01\0\0\0\0\x09\0\0\0\0";
    header[4] = u8::from(has.audio) << 2 | u8::from(has.video);
    header
}

/// Frames a message as a tag.
pub(super) fn frame(message: &Message, base: u32, framed: &mut FramedMessage) {
    framed.head.push(&tag_header(message, base));
    framed
        .tail
        .push(&(TAG_HEADER_LEN + message.len).to_be_bytes());
}

fn tag_header(message: &Message, base: u32) -> [u8; TAG_HEADER_LEN as usize] {
    let timestamp = message.timestamp.wrapping_sub(base);
    let (tag_type, timestamp) = match message.kind {
        Kind::Audio => (type_id::AUDIO, timestamp),
        Kind::Video => (type_id::VIDEO, timestamp),
        // As in RTMP: players mistake metadata with any other timestamp for a text track.
        Kind::Data => (type_id::DATA, 0),
        Kind::Script => (type_id::DATA, timestamp),
    };
    // Clamps timestamps that would fall before the base and wrap to a huge value.
    let timestamp = if timestamp > u32::MAX - JUST_BEFORE {
        0
    } else {
        timestamp
    };
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [_, l1, l2, l3] = message.len.to_be_bytes();
    [tag_type, l1, l2, l3, t1, t2, t3, t0, 0, 0, 0]
}
