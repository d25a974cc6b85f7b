//! A message of a stream, as programs get and send it.

use crate::media::Medium;
use crate::media::tag::{Tag, TagKind};
use crate::rtmp::message::type_id;

/// A message of a stream, as its publisher sends it.
///
/// ```
/// use brooklet::{Medium, StreamMessage};
///
/// // H.264: a keyframe at 40 ms.
/// let message = StreamMessage::video(40, vec![0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88]);
/// assert_eq!(message.medium(), Some(Medium::Video));
/// assert!(message.is_keyframe());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamMessage {
    type_id: u8,
    timestamp: u32,
    payload: Vec<u8>,
}

impl StreamMessage {
    /// Audio: the body of an FLV audio tag, decoded at this time in ms.
    pub fn audio(timestamp: u32, payload: impl Into<Vec<u8>>) -> StreamMessage {
        StreamMessage::of(type_id::AUDIO, timestamp, payload.into())
    }

    /// Video: the body of an FLV video tag, decoded at this time in ms.
    pub fn video(timestamp: u32, payload: impl Into<Vec<u8>>) -> StreamMessage {
        StreamMessage::of(type_id::VIDEO, timestamp, payload.into())
    }

    /// Data: a name and its values in AMF0, as in an FLV script tag. `onMetaData` describes the stream.
    pub fn data(timestamp: u32, payload: impl Into<Vec<u8>>) -> StreamMessage {
        StreamMessage::of(type_id::DATA, timestamp, payload.into())
    }

    fn of(type_id: u8, timestamp: u32, payload: Vec<u8>) -> StreamMessage {
        StreamMessage {
            type_id,
            timestamp,
            payload,
        }
    }

    /// Becomes another message, in the memory of this one.
    pub(crate) fn replace<'a>(
        &mut self,
        type_id: u8,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]>,
    ) {
        self.type_id = type_id;
        self.timestamp = timestamp;
        self.payload.clear();
        payload.for_each(|part| self.payload.extend_from_slice(part));
    }

    /// Audio or video; `None` for data: metadata, cue points, captions.
    pub fn medium(&self) -> Option<Medium> {
        match self.type_id {
            type_id::AUDIO => Some(Medium::Audio),
            type_id::VIDEO => Some(Medium::Video),
            _ => None,
        }
    }

    /// The RTMP message type, which is also the type of the FLV tag: 8 for audio, 9 for video, 18 for
    /// data.
    pub fn type_id(&self) -> u8 {
        self.type_id
    }

    /// The decode time in ms. Wraps around; 0 for metadata.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// The payload, which is also the body of the FLV tag.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether a video decoder can start at this message.
    pub fn is_keyframe(&self) -> bool {
        self.tag().is_some_and(|tag| tag.is_keyframe)
    }

    /// Whether the message configures a decoder.
    pub fn is_sequence_header(&self) -> bool {
        let kind = self.tag().map(|tag| tag.kind);
        kind == Some(TagKind::SequenceHeader)
    }

    fn tag(&self) -> Option<Tag> {
        Tag::parse(self.medium()?, &self.payload).ok()
    }
}
