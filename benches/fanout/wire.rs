//! Just enough of RTMP's chunks for both ends of the benchmark.
//!
//! Written for the benchmark alone and sharing nothing with the library, so that a mistake in the
//! library can't cancel itself out here. A video message of five bytes at 26 ms on message stream
//! 1:
//!
//! ```text
//! 06 00001A 000005 09 01000000 | 17 01 00 00 00
//! ```

/// The length of C1, S1, C2 and S2.
pub(crate) const HANDSHAKE_LEN: usize = 1536;
/// The size that brooklet announces, and so the bare loop.
pub(crate) const CHUNK_SIZE: usize = 65_536;

pub(crate) const SET_CHUNK_SIZE: u8 = 1;
pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
pub(crate) const USER_CONTROL: u8 = 4;
pub(crate) const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
pub(crate) const SET_PEER_BANDWIDTH: u8 = 6;
pub(crate) const AUDIO: u8 = 8;
pub(crate) const VIDEO: u8 = 9;
pub(crate) const DATA: u8 = 18;
pub(crate) const COMMAND: u8 = 20;

/// No control message or command of either end comes near this.
const MAX_COLLECTED: usize = 16 * 1024;

/// The contents of a message's chunk headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageHeader {
    pub(crate) chunk_stream_id: u32,
    pub(crate) timestamp: u32,
    pub(crate) len: usize,
    pub(crate) message_type: u8,
    pub(crate) message_stream_id: u32,
}

/// A part of a message's payload, as it came in, neither copied nor collected.
pub(crate) struct Piece<'a> {
    pub(crate) header: &'a MessageHeader,
    /// The offset of `bytes` in the payload.
    pub(crate) offset: usize,
    pub(crate) bytes: &'a [u8],
}

impl Piece<'_> {
    pub(crate) fn is_first(&self) -> bool {
        self.offset == 0
    }

    pub(crate) fn is_last(&self) -> bool {
        self.offset + self.bytes.len() == self.header.len
    }
}

/// The state of one chunk stream.
#[derive(Default)]
struct ChunkStream {
    header: MessageHeader,
    delta: u32,
    has_extended_timestamp: bool,
    /// The payload bytes of the message received so far; 0 between messages.
    received: usize,
}

/// Cuts a byte stream, fed in any portions, into pieces of messages. Follows Set Chunk Size itself.
pub(crate) struct ChunkReader {
    chunk_size: usize,
    streams: Vec<ChunkStream>,
    /// A chunk header that the end of the input has cut in two.
    cut: Vec<u8>,
    /// Index into `streams` and payload bytes left of the chunk being read.
    chunk: Option<(usize, usize)>,
    size_bytes: [u8; 4],
}

impl ChunkReader {
    pub(crate) fn new() -> Self {
        Self {
            chunk_size: 128,
            streams: Vec::new(),
            cut: Vec::new(),
            chunk: None,
            size_bytes: [0; 4],
        }
    }

    /// The size that the peer announced, 128 until then.
    pub(crate) fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        mut take: impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        while !input.is_empty() {
            if self.chunk.is_none() {
                input = self.take_header(input)?;
            }
            let Some((index, left)) = self.chunk else {
                break;
            };
            let (bytes, rest) = input.split_at(left.min(input.len()));
            if bytes.is_empty() && left > 0 {
                break;
            }
            input = rest;
            self.chunk = (bytes.len() < left).then(|| (index, left - bytes.len()));
            let stream = &mut self.streams[index];
            let piece = Piece {
                header: &stream.header,
                offset: stream.received,
                bytes,
            };
            stream.received += bytes.len();
            let is_complete = piece.is_last();
            if piece.header.message_type == SET_CHUNK_SIZE {
                let end = piece.offset + bytes.len();
                let target = self.size_bytes.get_mut(piece.offset..end);
                target
                    .ok_or("Set Chunk Size of a wrong length")?
                    .copy_from_slice(bytes);
                if is_complete {
                    self.chunk_size = u32::from_be_bytes(self.size_bytes).max(1) as usize;
                }
            } else {
                take(piece)?;
            }
            if is_complete {
                self.streams[index].received = 0;
            }
        }
        Ok(())
    }

    /// Takes one chunk header from the input, or all of the input if the header is not complete.
    fn take_header<'a>(&mut self, input: &'a [u8]) -> Result<&'a [u8], String> {
        if self.cut.is_empty() {
            if let Some(used) = self.parse_header(input)? {
                return Ok(&input[used..]);
            }
        }
        for (at, byte) in input.iter().enumerate() {
            self.cut.push(*byte);
            let cut = std::mem::take(&mut self.cut);
            if self.parse_header(&cut)?.is_some() {
                return Ok(&input[at + 1..]);
            }
            self.cut = cut;
        }
        Ok(&[])
    }

    /// RTMP 1.0, 5.3.1. `None`: more bytes are needed, and nothing has changed.
    fn parse_header(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let Some((id, mut used)) = parse_basic_header(bytes) else {
            return Ok(None);
        };
        let format = bytes[0] >> 6;
        let field_len = [11, 7, 3, 0][format as usize];
        let known = self
            .streams
            .iter()
            .position(|s| s.header.chunk_stream_id == id);
        if known.is_none() && format > 1 {
            return Err(format!(
                "chunk of type {format} on chunk stream {id} before any full header"
            ));
        }
        let Some(fields) = bytes.get(used..used + field_len) else {
            return Ok(None);
        };
        used += field_len;
        let mut time = 0;
        let has_extended_timestamp = match known {
            Some(index) if format == 3 => self.streams[index].has_extended_timestamp,
            _ => {
                time = be24(fields);
                time == 0xFF_FFFF
            }
        };
        if has_extended_timestamp {
            let Some(extended) = bytes.get(used..used + 4) else {
                return Ok(None);
            };
            time = u32::from_be_bytes([extended[0], extended[1], extended[2], extended[3]]);
            used += 4;
        }

        let index = known.unwrap_or_else(|| {
            self.streams.push(ChunkStream::default());
            self.streams.len() - 1
        });
        let stream = &mut self.streams[index];
        stream.header.chunk_stream_id = id;
        stream.has_extended_timestamp = has_extended_timestamp;
        if stream.received > 0 {
            if format != 3 {
                return Err(format!("new message on chunk stream {id} inside another"));
            }
        } else {
            if format < 3 {
                stream.delta = time;
            }
            if format < 2 {
                stream.header.len = be24(&fields[3..]) as usize;
                stream.header.message_type = fields[6];
            }
            if format == 0 {
                stream.header.timestamp = time;
                stream.header.message_stream_id =
                    u32::from_le_bytes([fields[7], fields[8], fields[9], fields[10]]);
            } else {
                stream.header.timestamp = stream.header.timestamp.wrapping_add(stream.delta);
            }
        }
        let left = stream.header.len - stream.received;
        self.chunk = Some((index, left.min(self.chunk_size)));
        Ok(Some(used))
    }
}

fn parse_basic_header(bytes: &[u8]) -> Option<(u32, usize)> {
    Some(match bytes.first()? & 0x3F {
        0 => (64 + u32::from(*bytes.get(1)?), 2),
        1 => {
            let (low, high) = (*bytes.get(1)?, *bytes.get(2)?);
            (64 + u32::from(low) + 256 * u32::from(high), 3)
        }
        id => (u32::from(id), 1),
    })
}

fn be24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

/// Collects small messages (control, commands) from pieces.
#[derive(Default)]
pub(crate) struct Collector(Vec<u8>);

impl Collector {
    /// Returns the payload with its last piece. Relies on both ends never interleaving such
    /// messages.
    pub(crate) fn add(&mut self, piece: &Piece<'_>) -> Result<Option<&[u8]>, String> {
        if piece.header.len > MAX_COLLECTED {
            return Err(format!("control message of {} bytes", piece.header.len));
        }
        if piece.is_first() {
            self.0.clear();
        }
        self.0.extend_from_slice(piece.bytes);
        Ok(piece.is_last().then_some(&self.0))
    }
}

/// Writes a type 0 chunk header. The streams here end hours before they would need an extended
/// timestamp.
pub(crate) fn emit_header(header: &MessageHeader, out: &mut Vec<u8>) {
    debug_assert!(header.chunk_stream_id < 64 && header.timestamp < 0xFF_FFFF);
    out.push(header.chunk_stream_id as u8);
    out.extend_from_slice(&header.timestamp.to_be_bytes()[1..]);
    out.extend_from_slice(&(header.len as u32).to_be_bytes()[1..]);
    out.push(header.message_type);
    out.extend_from_slice(&header.message_stream_id.to_le_bytes());
}

/// Writes payload that begins at `offset` of its message, with a type 3 header wherever a chunk ends.
pub(crate) fn emit_payload(
    chunk_stream_id: u32,
    mut offset: usize,
    mut bytes: &[u8],
    chunk_size: usize,
    out: &mut Vec<u8>,
) {
    while !bytes.is_empty() {
        let into_chunk = offset % chunk_size;
        if offset > 0 && into_chunk == 0 {
            out.push(0xC0 | chunk_stream_id as u8);
        }
        let (now, later) = bytes.split_at(bytes.len().min(chunk_size - into_chunk));
        out.extend_from_slice(now);
        offset += now.len();
        bytes = later;
    }
}

/// Writes a whole message.
pub(crate) fn emit_message(
    (chunk_stream_id, message_stream_id): (u32, u32),
    message_type: u8,
    timestamp: u32,
    payload: &[u8],
    chunk_size: usize,
    out: &mut Vec<u8>,
) {
    let header = MessageHeader {
        chunk_stream_id,
        timestamp,
        len: payload.len(),
        message_type,
        message_stream_id,
    };
    emit_header(&header, out);
    emit_payload(chunk_stream_id, 0, payload, chunk_size, out);
}
