//! A writer that turns messages into chunks, for everything but media: control messages, commands,
//! statuses.
//!
//! Media isn't written here: its headers come from the framing of each receiver, and its payload is sent
//! straight from the log.

use super::chunk::{DEFAULT_CHUNK_SIZE, MessageHeader};
use super::message::Control;

/// The chunk size in bytes that this server announces to every client before it sends any other message.
///
/// ffmpeg adopts it for its own messages (with none announced, it publishes in chunks of 128 bytes), and
/// a message of up to 64 KiB fits in a single chunk.
pub const CHUNK_SIZE: u32 = 65_536;

/// Appends messages as chunks to the caller's buffer.
#[derive(Clone, Copy, Debug)]
pub struct ChunkWriter {
    chunk_size: u32,
}

impl Default for ChunkWriter {
    fn default() -> ChunkWriter {
        ChunkWriter {
            chunk_size: DEFAULT_CHUNK_SIZE,
        }
    }
}

impl ChunkWriter {
    /// Creates a writer whose chunk size has already been announced to the peer.
    pub fn with_announced_chunk_size() -> ChunkWriter {
        ChunkWriter {
            chunk_size: CHUNK_SIZE,
        }
    }

    /// Writes Set Chunk Size and uses [`CHUNK_SIZE`] from the next message on.
    pub fn announce_chunk_size(&mut self, out: &mut Vec<u8>) {
        self.write_control(&Control::SetChunkSize(CHUNK_SIZE), out);
        self.chunk_size = CHUNK_SIZE;
    }

    /// Writes one message: a chunk of type 0, then as many chunks of type 3 as the payload needs. The
    /// header's `len` is set from the payload.
    pub fn write(&self, header: MessageHeader, payload: &[u8], out: &mut Vec<u8>) {
        let header = MessageHeader {
            len: payload.len() as u32,
            ..header
        };
        let mut first = [0; 16];
        let first_len = header.emit(&mut first);
        out.extend_from_slice(first.get(..first_len).unwrap_or_default());
        for (index, chunk) in payload.chunks(self.chunk_size as usize).enumerate() {
            if index > 0 {
                let mut next = [0; 5];
                let next_len = header.emit_continuation(&mut next);
                out.extend_from_slice(next.get(..next_len).unwrap_or_default());
            }
            out.extend_from_slice(chunk);
        }
    }

    /// Writes a protocol control or user control message.
    pub fn write_control(&self, control: &Control, out: &mut Vec<u8>) {
        let (header, body) = control.emit();
        self.write(header, &body, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::bytes::Bytes;
    use crate::rtmp::chunk_reader::{ChunkReader, Heap, Limits};

    #[test]
    fn a_message_written_in_many_chunks_is_read_as_one() {
        let payload: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
        let header = MessageHeader {
            chunk_stream_id: 5,
            timestamp: 0x0200_0000,
            len: 0,
            type_id: 18,
            message_stream_id: 7,
        };
        let mut bytes = Vec::new();
        ChunkWriter::default().write(header, &payload, &mut bytes);
        assert_eq!(bytes.len(), 16 + 1000 + 7 * 5);

        let limits = Limits {
            media: 1 << 20,
            data: 1 << 20,
            command: 1 << 20,
            ..Limits::NONE
        };
        let mut reader = ChunkReader::new(Heap, limits);
        let mut input = Bytes::from(bytes.as_slice());
        let read = reader.read(&mut input).unwrap().unwrap();
        assert_eq!(
            (read.timestamp, read.type_id, read.message_stream_id),
            (0x0200_0000, 18, 7)
        );
        assert_eq!(reader.assembled().unwrap(), &payload);
        assert!(input.is_empty());
    }
}
