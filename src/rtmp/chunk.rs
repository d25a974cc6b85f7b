//! The chunk format (5.3.1), shared by reader and writer.
//!
//! ```text
//! basic header      1 byte   fmt(2) id(6)            ids 2 to 63
//!                   2 bytes  fmt(2) 0 | id-64        ids 64 to 319
//!                   3 bytes  fmt(2) 1 | lo hi        ids 64 to 65599, id = 64 + lo + 256 hi
//! message header    type 0   timestamp(3) length(3) type(1) message stream id(4, little-endian)
//!                   type 1   delta(3) length(3) type(1)
//!                   type 2   delta(3)
//!                   type 3   nothing
//! extended timestamp         4 bytes, when the three-byte field is FFFFFF; repeated after type 3
//! ```

use byteorder::{BigEndian, ByteOrder, LittleEndian};

/// The initial chunk size in bytes, in each direction (5.4.1).
pub const DEFAULT_CHUNK_SIZE: u32 = 128;

/// The largest chunk size in bytes that makes a difference: no message is longer (5.4.1).
pub const MAX_CHUNK_SIZE: u32 = 0xFF_FFFF;

/// The value of a three-byte timestamp field that announces an extended timestamp (5.3.1.3).
pub const EXTENDED: u32 = 0xFF_FFFF;

/// The longest chunk header in bytes: basic 3, message 11, extended timestamp 4.
pub const MAX_HEADER_LEN: usize = 3 + 11 + 4;

/// The chunk streams on which this server sends. Clients don't depend on the numbers, but each kind of
/// message has its own, and all are below 64, where every client handles continuation headers correctly.
pub mod chunk_stream_id {
    /// Protocol control and user control messages.
    pub const CONTROL: u8 = 2;
    /// Command replies of the connection.
    pub const COMMAND: u8 = 3;
    /// Audio.
    pub const AUDIO: u8 = 4;
    /// Status and data messages of a message stream.
    pub const STATUS: u8 = 5;
    /// Video.
    pub const VIDEO: u8 = 6;
}

/// The header of an outgoing message, whose first chunk is always of type 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader {
    /// The chunk stream, 2 to 63.
    pub chunk_stream_id: u8,
    /// The timestamp in ms, absolute, wrapping.
    pub timestamp: u32,
    /// The payload length in bytes, 24 bits.
    pub len: u32,
    /// The message type (7.1).
    pub type_id: u8,
    /// The message stream.
    pub message_stream_id: u32,
}

impl MessageHeader {
    /// Creates the header of a message that isn't media: its timestamp is 0, and the writer sets its
    /// length.
    pub(super) fn untimed(chunk_stream_id: u8, message_stream_id: u32, type_id: u8) -> Self {
        MessageHeader {
            chunk_stream_id,
            timestamp: 0,
            len: 0,
            type_id,
            message_stream_id,
        }
    }

    /// Writes a type 0 chunk header. Returns its length in bytes: 12, or 16 with the extended timestamp.
    ///
    /// Type 0 for every message costs up to 11 bytes more than a delta would, but lets the stream skip
    /// messages for a receiver at any message boundary.
    pub fn emit(&self, out: &mut [u8; 16]) -> usize {
        let [basic, rest @ ..] = out;
        *basic = self.chunk_stream_id & 0x3F;
        BigEndian::write_u24(&mut rest[0..3], self.timestamp.min(EXTENDED));
        BigEndian::write_u24(&mut rest[3..6], self.len & 0xFF_FFFF);
        rest[6] = self.type_id;
        LittleEndian::write_u32(&mut rest[7..11], self.message_stream_id);
        if self.timestamp < EXTENDED {
            return 12;
        }
        BigEndian::write_u32(&mut rest[11..15], self.timestamp);
        16
    }

    /// Writes the type 3 header of the chunks after the first. Returns its length in bytes: 1, or 5 with
    /// the extended timestamp.
    pub fn emit_continuation(&self, out: &mut [u8; 5]) -> usize {
        out[0] = 0xC0 | (self.chunk_stream_id & 0x3F);
        if self.timestamp < EXTENDED {
            return 1;
        }
        BigEndian::write_u32(&mut out[1..5], self.timestamp);
        5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_timestamp_follows_the_header_and_is_repeated() {
        let header = MessageHeader {
            chunk_stream_id: chunk_stream_id::VIDEO,
            timestamp: 0x0100_0000,
            len: 5,
            type_id: 9,
            message_stream_id: 1,
        };
        let mut out = [0; 16];
        assert_eq!(header.emit(&mut out), 16);
        assert_eq!(
            out,
            *b"\x06\xFF\xFF\xFF\x00\x00\x05\x09\x01\x00\x00\x00\x01\x00\x00\x00"
        );
        let mut out = [0; 5];
        assert_eq!(header.emit_continuation(&mut out), 5);
        assert_eq!(out, *b"\xC6\x01\x00\x00\x00");
    }

    #[test]
    fn the_timestamp_ffffff_itself_is_extended() {
        let header = |timestamp| MessageHeader {
            chunk_stream_id: 4,
            timestamp,
            len: 1,
            type_id: 8,
            message_stream_id: 1,
        };
        assert_eq!(header(0xFF_FFFE).emit(&mut [0; 16]), 12);
        assert_eq!(header(0xFF_FFFF).emit(&mut [0; 16]), 16);
    }
}
