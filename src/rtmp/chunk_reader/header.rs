//! Parses chunk headers (5.3.1) into fields. The result doesn't depend on earlier chunks.

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use crate::rtmp::chunk::EXTENDED;

/// A basic header and a message header, including the extended timestamp that the message header
/// announces. An extended timestamp that may follow a type 3 header isn't part of it (see `repeat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    /// The chunk type, 0 to 3.
    pub(super) format: u8,
    pub(super) chunk_stream_id: u32,
    /// The length of the basic header in bytes.
    pub(super) basic_len: usize,
    /// The length of the whole header in bytes.
    pub(super) len: usize,
    /// The timestamp field or its extension: a timestamp in type 0, a delta in types 1 and 2.
    pub(super) time: Option<u32>,
    /// The extended timestamp, if the header has one.
    pub(super) extended: Option<u32>,
    /// The length and type of the message, in types 0 and 1.
    pub(super) message: Option<(u32, u8)>,
    /// The message stream, in type 0 only.
    pub(super) message_stream_id: Option<u32>,
}

impl ChunkHeader {
    /// Creates a type 3 header, which has no fields.
    pub(super) fn of_type_3(chunk_stream_id: u32) -> ChunkHeader {
        ChunkHeader {
            format: 3,
            chunk_stream_id,
            basic_len: 1,
            len: 1,
            time: None,
            extended: None,
            message: None,
            message_stream_id: None,
        }
    }

    /// Parses the header at the beginning of `bytes`. If it is incomplete, the error is the minimum
    /// length of the whole header in bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<ChunkHeader, usize> {
        let first = *bytes.first().ok_or(1_usize)?;
        let (chunk_stream_id, basic_len) = match (first & 0x3F, bytes) {
            (0, [_, low, ..]) => (64 + u32::from(*low), 2),
            (0, _) => return Err(2),
            (1, [_, low, high, ..]) => (64 + u32::from(*low) + 256 * u32::from(*high), 3),
            (1, _) => return Err(3),
            (id, _) => (id.into(), 1),
        };
        let format = first >> 6;
        let message_len = match format {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        };
        let mut len = basic_len + message_len;
        let fields = bytes.get(basic_len..len).ok_or(len)?;
        let field = |at: usize| fields.get(at..at + 3).map(BigEndian::read_u24);
        let mut time = field(0);
        let mut extended = None;
        if time == Some(EXTENDED) {
            let at = len;
            len += 4;
            extended = Some(bytes.get(at..len).map(BigEndian::read_u32).ok_or(len)?);
            time = extended;
        }
        Ok(ChunkHeader {
            format,
            chunk_stream_id,
            basic_len,
            len,
            time,
            extended,
            message: field(3).zip(fields.get(6).copied()),
            message_stream_id: fields.get(7..11).map(LittleEndian::read_u32),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_header_says_how_many_bytes_it_needs() {
        for (header, steps) in [
            (
                b"\x06\0\0\x01\0\0\x05\x09\x01\0\0\0".as_slice(),
                &[1, 12][..],
            ),
            (b"\x46\0\0\x01\0\0\x05\x09", &[1, 8]),
            (b"\x86\xFF\xFF\xFF\0\0\0\x01", &[1, 4, 8]),
            (b"\xC6", &[1]),
            (b"\xC0\x05", &[1, 2]),
            (b"\x81\x05\x01\0\0\x01", &[1, 3, 6]),
        ] {
            let mut needed = vec![];
            let parsed = loop {
                match ChunkHeader::parse(&header[..needed.last().copied().unwrap_or(0)]) {
                    Err(len) => needed.push(len),
                    Ok(parsed) => break parsed,
                }
            };
            assert_eq!(needed, steps, "{header:?}");
            assert_eq!(parsed.len, header.len(), "{header:?}");
            // Bytes after the header make no difference.
            assert_eq!(ChunkHeader::parse(&[header, b"more"].concat()), Ok(parsed));
        }
    }

    #[test]
    fn an_extended_timestamp_takes_the_place_of_the_field() {
        let header = b"\x46\xFF\xFF\xFF\0\0\x05\x09\x01\x02\x03\x04";
        let expected = ChunkHeader {
            format: 1,
            chunk_stream_id: 6,
            basic_len: 1,
            len: 12,
            time: Some(0x0102_0304),
            extended: Some(0x0102_0304),
            message: Some((5, 9)),
            message_stream_id: None,
        };
        assert_eq!(ChunkHeader::parse(header), Ok(expected));
    }
}
