//! Message types, and the protocol's control messages (5.4, 6.2).

use byteorder::{BigEndian, ByteOrder};

use super::Error;
use super::bytes::Bytes;
use super::chunk::{MessageHeader, chunk_stream_id};
use crate::medium::Medium;

/// Message types (5.4, 7.1).
pub mod type_id {
    /// Set Chunk Size.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message.
    pub const ABORT: u8 = 2;
    /// Acknowledgement.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control Message.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size.
    pub const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
    /// Set Peer Bandwidth.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// Audio.
    pub const AUDIO: u8 = 8;
    /// Video.
    pub const VIDEO: u8 = 9;
    /// Data in the AMF3 envelope.
    pub const DATA_AMF3: u8 = 15;
    /// Command in the AMF3 envelope.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data in AMF0.
    pub const DATA: u8 = 18;
    /// Command in AMF0.
    pub const COMMAND: u8 = 20;
    /// Aggregate: several messages in one.
    pub const AGGREGATE: u8 = 22;
}

/// Returns the medium of audio and video messages.
pub(super) fn medium_of(type_id: u8) -> Option<Medium> {
    match type_id {
        type_id::AUDIO => Some(Medium::Audio),
        type_id::VIDEO => Some(Medium::Video),
        _ => None,
    }
}

/// Removes the format selector of 0 that precedes the AMF0 values in an AMF3 envelope; some senders omit
/// it.
pub(super) fn without_selector(type_id: u8, body: Bytes<'_>) -> Bytes<'_> {
    let is_envelope = matches!(type_id, type_id::COMMAND_AMF3 | type_id::DATA_AMF3);
    body.strip_prefix(&[0])
        .filter(|_| is_envelope)
        .unwrap_or(body)
}

/// Added to the event number of a user control message to distinguish it from message types.
const EVENTS: u32 = 256;

/// A protocol control message (5.4) or user control message (6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Type 1: the largest chunk payload that the sender will use, in bytes.
    SetChunkSize(u32),
    /// Type 2: the chunk stream whose unfinished message is dropped.
    Abort(u32),
    /// Type 3: the number of bytes received so far, modulo 2^32.
    Acknowledgement(u32),
    /// Type 5: the number of bytes after which the peer has to acknowledge.
    WindowAcknowledgementSize(u32),
    /// Type 6: the limit on the peer's unacknowledged bytes.
    SetPeerBandwidth {
        /// Bytes.
        size: u32,
        /// 0 hard, 1 soft, 2 dynamic.
        limit_type: u8,
    },
    /// Type 4: a user control message.
    User(UserControl),
}

/// The event of a user control message (6.2, 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserControl {
    /// Event 0: the message stream is ready.
    StreamBegin(u32),
    /// Event 1: playback of the message stream has ended.
    StreamEof(u32),
    /// Event 3: the size of the player's buffer.
    SetBufferLength {
        /// Message stream.
        message_stream_id: u32,
        /// The length of the buffer in ms.
        buffer_ms: u32,
    },
    /// Event 6: a request that the peer answers with the same number.
    PingRequest(u32),
    /// Event 7: the answer to a Ping Request, with its number.
    PingResponse(u32),
    /// Any other event. Real servers and clients send undocumented ones.
    Other(u16),
}

impl Control {
    /// Parses the body of a message of type 1 to 6. Longer bodies are tolerated, and so are shorter
    /// bodies of user control events that have no effect.
    pub fn parse(type_id: u8, body: &[u8]) -> Result<Control, Error> {
        let number = |at: usize| {
            body.get(at..at + 4)
                .map(BigEndian::read_u32)
                .ok_or_else(|| {
                    Error::malformed(format!(
                        "control message of type {type_id} with {} bytes, expected {}",
                        body.len(),
                        at + 4
                    ))
                })
        };
        Ok(match type_id {
            type_id::SET_CHUNK_SIZE => Control::SetChunkSize(number(0)?),
            type_id::ABORT => Control::Abort(number(0)?),
            type_id::ACKNOWLEDGEMENT => Control::Acknowledgement(number(0)?),
            type_id::WINDOW_ACKNOWLEDGEMENT_SIZE => Control::WindowAcknowledgementSize(number(0)?),
            type_id::SET_PEER_BANDWIDTH => Control::SetPeerBandwidth {
                size: number(0)?,
                limit_type: body.get(4).copied().unwrap_or(2),
            },
            _ => {
                let event = body.get(..2).map_or(u16::MAX, BigEndian::read_u16);
                Control::User(match event {
                    0 => UserControl::StreamBegin(number(2)?),
                    1 => UserControl::StreamEof(number(2)?),
                    3 => UserControl::SetBufferLength {
                        message_stream_id: number(2)?,
                        buffer_ms: number(6).unwrap_or(0),
                    },
                    6 => UserControl::PingRequest(number(2)?),
                    7 => UserControl::PingResponse(number(2)?),
                    other => UserControl::Other(other),
                })
            }
        })
    }

    /// Returns the message's header and body. Lengths are exact, because librtmp reads the fields
    /// without checking the length.
    pub fn emit(&self) -> (MessageHeader, Vec<u8>) {
        let (kind, value) = self.kind_and_value();
        let mut body = Vec::with_capacity(10);
        if let Some(event) = kind.checked_sub(EVENTS) {
            body.extend_from_slice(&(event as u16).to_be_bytes());
        }
        match *self {
            Control::User(UserControl::Other(_)) => {}
            Control::User(UserControl::SetBufferLength {
                message_stream_id, ..
            }) => {
                body.extend_from_slice(&message_stream_id.to_be_bytes());
                body.extend_from_slice(&value.to_be_bytes());
            }
            _ => body.extend_from_slice(&value.to_be_bytes()),
        }
        if let Control::SetPeerBandwidth { limit_type, .. } = self {
            body.push(*limit_type);
        }
        let type_id = u8::try_from(kind).unwrap_or(type_id::USER_CONTROL);
        let header = MessageHeader::untimed(chunk_stream_id::CONTROL, 0, type_id);
        let len = body.len() as u32;
        (MessageHeader { len, ..header }, body)
    }

    /// Returns the message type, or [`EVENTS`] plus the event number of a user control message; and the
    /// first number of the message: bytes, an id or a time.
    pub(super) fn kind_and_value(&self) -> (u32, u32) {
        match *self {
            Control::SetChunkSize(size) => (1, size),
            Control::Abort(id) => (2, id),
            Control::Acknowledgement(sequence) => (3, sequence),
            Control::WindowAcknowledgementSize(size) => (5, size),
            Control::SetPeerBandwidth { size, .. } => (6, size),
            Control::User(UserControl::StreamBegin(id)) => (EVENTS, id),
            Control::User(UserControl::StreamEof(id)) => (EVENTS + 1, id),
            Control::User(UserControl::SetBufferLength { buffer_ms, .. }) => {
                (EVENTS + 3, buffer_ms)
            }
            Control::User(UserControl::PingRequest(time)) => (EVENTS + 6, time),
            Control::User(UserControl::PingResponse(time)) => (EVENTS + 7, time),
            Control::User(UserControl::Other(event)) => (EVENTS + u32::from(event), 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::chunk_writer::ChunkWriter;

    /// Complete messages as on the wire, from the specification's layouts.
    const MESSAGES: &[(Control, &[u8])] = &[
        (
            Control::SetChunkSize(4096),
            b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x10\0",
        ),
        (
            Control::Abort(6),
            b"\x02\0\0\0\0\0\x04\x02\0\0\0\0\0\0\0\x06",
        ),
        (
            Control::WindowAcknowledgementSize(2_500_000),
            b"\x02\0\0\0\0\0\x04\x05\0\0\0\0\0\x26\x25\xA0",
        ),
        (
            Control::SetPeerBandwidth {
                size: 2_500_000,
                limit_type: 2,
            },
            b"\x02\0\0\0\0\0\x05\x06\0\0\0\0\0\x26\x25\xA0\x02",
        ),
        (
            Control::Acknowledgement(1_000_000),
            b"\x02\0\0\0\0\0\x04\x03\0\0\0\0\0\x0F\x42\x40",
        ),
        (
            Control::User(UserControl::StreamBegin(1)),
            b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\0\0\0\0\x01",
        ),
        (
            Control::User(UserControl::StreamEof(1)),
            b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x01\0\0\0\x01",
        ),
        (
            Control::User(UserControl::SetBufferLength {
                message_stream_id: 1,
                buffer_ms: 3000,
            }),
            b"\x02\0\0\0\0\0\x0A\x04\0\0\0\0\0\x03\0\0\0\x01\0\0\x0B\xB8",
        ),
        (
            Control::User(UserControl::PingRequest(0x01020304)),
            b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x06\x01\x02\x03\x04",
        ),
    ];

    #[test]
    fn control_messages_have_the_bytes_of_the_specification() {
        for (control, bytes) in MESSAGES {
            let mut out = Vec::new();
            ChunkWriter::default().write_control(control, &mut out);
            assert_eq!(out, *bytes, "{control:?}");
            assert_eq!(Control::parse(bytes[7], &bytes[12..]).unwrap(), *control);
        }
    }

    #[test]
    fn a_short_control_message_is_refused_and_names_what_was_expected() {
        let error = Control::parse(type_id::SET_CHUNK_SIZE, &[0, 0, 1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "control message of type 1 with 3 bytes, expected 4"
        );
    }

    #[test]
    fn undocumented_user_control_events_are_tolerated() {
        let control = Control::parse(type_id::USER_CONTROL, &[0, 31, 0]).unwrap();
        assert_eq!(control, Control::User(UserControl::Other(31)));
        let control = Control::parse(type_id::USER_CONTROL, &[]).unwrap();
        assert_eq!(control, Control::User(UserControl::Other(u16::MAX)));
    }
}
