//! Chunks to messages (5.3), for any split of the bytes.
//!
//! ```text
//! bytes -> header -> chunk_stream -> in_place ------------> ReceivedMessage
//!             \----> repeat -------> assembly, payload ---/
//! ```
//!
//! The caller feeds what its socket brought; [`ChunkReader::read`] consumes up to the end of one
//! message. The payload of an audio or video message that lies whole in the input stays there. All
//! other payloads go into a [`Payload`] of the caller's kind as they arrive: memory is never claimed
//! because a header announced a length.

mod assembly;
mod chunk_stream;
mod header;
mod in_place;
mod limits;
mod payload;
mod repeat;

use std::ops::Range;

use super::Error;
use super::bytes::{Bytes, slice};
use super::chunk::{DEFAULT_CHUNK_SIZE, MAX_CHUNK_SIZE, MAX_HEADER_LEN};
use assembly::UnderAssembly;
use chunk_stream::ChunkStream;
use header::ChunkHeader;
use repeat::{PutBack, Repeat};

pub use in_place::InPlace;
pub use limits::Limits;
pub use payload::{Heap, Payload, PayloadSource};

/// Chunk streams per connection; real clients use fewer than ten.
pub const MAX_CHUNK_STREAMS: usize = 64;

/// The number of bytes that a chunk should carry to be worth its time; see
/// [`missing_bytes`](ChunkReader::missing_bytes). It is the chunk size before any Set Chunk Size.
pub const FULL_CHUNK: u32 = DEFAULT_CHUNK_SIZE;

/// Entries by which the table of chunk streams grows: most clients use no more.
const TABLE_STEP: usize = 4;

/// A message that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReceivedMessage<'a> {
    /// The chunk stream that brought it.
    pub chunk_stream_id: u32,
    /// ms, absolute, wrapping.
    pub timestamp: u32,
    /// Message type (7.1).
    pub type_id: u8,
    /// Message stream.
    pub message_stream_id: u32,
    /// The payload, if it lies whole in the input; else it was assembled. [`ChunkReader::payload`]
    /// knows both.
    pub in_place: Option<InPlace<'a>>,
}

impl<'a> ReceivedMessage<'a> {
    fn new(stream: &ChunkStream, in_place: Option<InPlace<'a>>) -> ReceivedMessage<'a> {
        ReceivedMessage {
            chunk_stream_id: stream.id,
            timestamp: stream.timestamp,
            type_id: stream.type_id,
            message_stream_id: stream.message_stream_id,
            in_place,
        }
    }
}

/// The parts of a payload, wherever they lie. A chain of both would cost more for each of them.
#[derive(Clone)]
enum PayloadParts<'a, A> {
    InPlace(InPlace<'a>),
    Assembled(A),
}

impl<'a, A: Iterator<Item = &'a [u8]>> Iterator for PayloadParts<'a, A> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match self {
            PayloadParts::InPlace(pieces) => pieces.next(),
            PayloadParts::Assembled(parts) => parts.next(),
        }
    }
}

/// See the module's documentation.
pub struct ChunkReader<S: PayloadSource> {
    limits: Limits,
    chunk_size: u32,
    state: ReaderState,
    streams: Vec<ChunkStream>,
    partial: UnderAssembly<S>,
    /// The header under way; complete headers fit.
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    put_back: PutBack,
    missing_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReaderState {
    /// Collecting a header.
    Header,
    /// A type 3 header has come; the next bytes may repeat the extended timestamp.
    Repeat(Repeat),
    /// Collecting the chunk's payload.
    Payload { stream: usize, left: u32 },
}

enum ReadStep<'a> {
    Next,
    NeedsInput,
    /// A message that lies whole in the input.
    InPlace(ReceivedMessage<'a>),
    /// The message on this chunk stream is complete.
    Complete(usize),
}

impl<S: PayloadSource> ChunkReader<S> {
    /// A reader at the start of a connection, after the handshake.
    pub fn new(source: S, limits: Limits) -> ChunkReader<S> {
        ChunkReader {
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE,
            state: ReaderState::Header,
            streams: Vec::new(),
            partial: UnderAssembly::new(source),
            header: [0; MAX_HEADER_LEN],
            header_len: 0,
            put_back: PutBack::default(),
            missing_bytes: 0,
        }
    }

    /// Consumes input up to the end of one message. `None`: all input was consumed and more is
    /// needed. After [`Error::OutOfBlocks`] the call may be repeated; after any other error the
    /// connection is lost.
    pub fn read<'a>(
        &mut self,
        input: &mut Bytes<'a>,
    ) -> Result<Option<ReceivedMessage<'a>>, Error> {
        self.partial.clear_finished();
        loop {
            let step = match self.state {
                ReaderState::Header => self.read_header(input)?,
                ReaderState::Repeat(repeat) => self.read_repeat(repeat, input)?,
                ReaderState::Payload { stream, left } => self.read_payload(stream, left, input)?,
            };
            match step {
                ReadStep::Next => {}
                ReadStep::NeedsInput => return Ok(None),
                ReadStep::InPlace(message) => return Ok(Some(message)),
                ReadStep::Complete(index) => {
                    self.partial.finish(index);
                    let stream = self.streams.get_mut(index);
                    return Ok(stream.map(|stream| {
                        stream.is_partial = false;
                        ReceivedMessage::new(stream, None)
                    }));
                }
            }
        }
    }

    /// The number of bytes that the chunks read so far fell short of [`FULL_CHUNK`]: a chunk costs
    /// the same time whatever it carries. The last chunk of a message that has several isn't counted.
    pub fn missing_bytes(&self) -> u64 {
        self.missing_bytes
    }

    /// Counts something that costs as much time as a chunk and carried this many bytes.
    pub fn note_chunk(&mut self, carried: u32) {
        self.missing_bytes += u64::from(FULL_CHUNK.saturating_sub(carried));
    }

    /// Payload of the message that [`read`](Self::read) returned last if it was assembled, until the
    /// next call.
    pub fn assembled(&self) -> Option<&S::Payload> {
        self.partial.finished()
    }

    /// Payload of the message that [`read`](Self::read) returned last, in as many parts as it lies
    /// in.
    pub fn payload<'m>(
        &'m self,
        in_place: Option<InPlace<'m>>,
    ) -> impl Iterator<Item = &'m [u8]> + Clone {
        self.payload_range(in_place, 0..usize::MAX)
    }

    /// The same; of an assembled payload only the bytes in a range.
    pub(super) fn payload_range<'m>(
        &'m self,
        in_place: Option<InPlace<'m>>,
        range: Range<usize>,
    ) -> impl Iterator<Item = &'m [u8]> + Clone {
        match in_place {
            Some(pieces) => PayloadParts::InPlace(pieces),
            None => {
                let parts = self.assembled().map(Payload::parts);
                PayloadParts::Assembled(slice(parts.into_iter().flatten(), range))
            }
        }
    }

    /// Gives the memory of the assembled payload back before the next call.
    pub fn forget_payload(&mut self) {
        self.partial.clear_finished();
    }

    /// The peer's Set Chunk Size (5.4.1); holds from the next chunk on, even in the middle of a
    /// message.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), Error> {
        if size == 0 || size > 0x7FFF_FFFF {
            return Err(Error::malformed(format!(
                "chunk size of {size}, expected 1 to 2147483647"
            )));
        }
        self.chunk_size = size.min(MAX_CHUNK_SIZE);
        Ok(())
    }

    /// The peer's Abort Message (5.4.2): forgets what has come of a message.
    pub fn abort(&mut self, chunk_stream_id: u32) {
        let mut streams = self.streams.iter();
        let Some(index) = streams.position(|stream| stream.id == chunk_stream_id) else {
            return;
        };
        self.partial.abort(index);
        if let Some(stream) = self.streams.get_mut(index) {
            stream.is_partial = false;
        }
    }

    /// Replaces the limits; they hold from the next message on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    fn read_header<'a>(&mut self, input: &mut Bytes<'a>) -> Result<ReadStep<'a>, Error> {
        if self.header_len == 0 && self.put_back.bytes().is_empty() {
            // Most headers lie whole in the input too.
            if let Ok(header) = ChunkHeader::parse(input.front()) {
                if let Some(message) = self.read_in_place(&header, input) {
                    return Ok(ReadStep::InPlace(message));
                }
                input.advance(header.len);
                return self.begin_chunk(&header);
            }
        }
        let header = loop {
            let have = self.header.get(..self.header_len).unwrap_or_default();
            let needed = match ChunkHeader::parse(have) {
                Ok(header) => break header,
                Err(needed) => needed,
            };
            while self.header_len < needed {
                let Some(byte) = self.next_byte(input) else {
                    return Ok(ReadStep::NeedsInput);
                };
                if let Some(slot) = self.header.get_mut(self.header_len) {
                    *slot = byte;
                }
                self.header_len += 1;
            }
        };
        self.header_len = 0;
        self.begin_chunk(&header)
    }

    /// Applies a complete header, whose type 3 form may still be followed by an extended
    /// timestamp.
    fn begin_chunk(&mut self, header: &ChunkHeader) -> Result<ReadStep<'static>, Error> {
        let index = self.stream_index(header.chunk_stream_id)?;
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(ReadStep::Next);
        };
        let id = header.chunk_stream_id;
        if header.format == 3 {
            if !stream.is_opened {
                return Err(Error::malformed(format!(
                    "chunk of type 3 on chunk stream {id} before any full header"
                )));
            }
            if stream.extended.is_some() && stream.repeats != Some(false) {
                self.state = ReaderState::Repeat(Repeat::new(index));
                return Ok(ReadStep::Next);
            }
        } else if stream.is_partial {
            // Not allowed by the specification, but some send types 1 and 2 as continuations. A
            // length that changes in the middle has been the way to a buffer overflow elsewhere.
            if header.format == 0 || stream.message(header) != (stream.len, stream.type_id) {
                return Err(Error::malformed(format!(
                    "chunk of type {} on chunk stream {id} in the middle of a message of {} \
                     bytes, expected type 3",
                    header.format, stream.len
                )));
            }
            stream.extended = header.extended;
        }
        self.begin_or_continue(index, header)
    }

    fn begin_or_continue(
        &mut self,
        index: usize,
        header: &ChunkHeader,
    ) -> Result<ReadStep<'static>, Error> {
        let stream = self.streams.get(index);
        if stream.is_some_and(|stream| !stream.is_partial) {
            self.begin_message(index, header)?;
        }
        let Some(stream) = self.streams.get(index) else {
            return Ok(ReadStep::Next);
        };
        let come = self.partial.of(index).map_or(0, |payload| payload.len());
        let missing = stream.len.saturating_sub(come as u32);
        let left = missing.min(self.chunk_size);
        if come == 0 || left < missing {
            self.note_chunk(left);
        }
        self.state = ReaderState::Payload {
            stream: index,
            left,
        };
        Ok(ReadStep::Next)
    }

    fn begin_message(&mut self, index: usize, header: &ChunkHeader) -> Result<(), Error> {
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(());
        };
        stream.begin(header);
        let message = stream.message(header);
        self.check_limits(message)?;
        self.partial.begin(index, self.streams.capacity())?;
        if let Some(stream) = self.streams.get_mut(index) {
            stream.is_partial = true;
        }
        Ok(())
    }

    /// Checks length and type of a message that begins.
    fn check_limits(&self, message: (u32, u8)) -> Result<(), Error> {
        let bytes = self.partial.announced(&self.streams);
        self.limits.check(message, self.partial.messages(), bytes)
    }

    fn read_repeat(
        &mut self,
        mut repeat: Repeat,
        input: &mut Bytes<'_>,
    ) -> Result<ReadStep<'static>, Error> {
        let repeats = loop {
            let Some(byte) = self.next_byte(input) else {
                self.state = ReaderState::Repeat(repeat);
                return Ok(ReadStep::NeedsInput);
            };
            let stream = self.streams.get(repeat.stream);
            if let Some(repeats) = stream.and_then(|stream| repeat.push(byte, stream)) {
                break repeats;
            }
        };
        if !repeats {
            self.put_back.put(repeat.seen());
        }
        let Some(stream) = self.streams.get_mut(repeat.stream) else {
            return Ok(ReadStep::Next);
        };
        stream.repeats = Some(repeats);
        let header = ChunkHeader::of_type_3(stream.id);
        self.begin_or_continue(repeat.stream, &header)
    }

    fn read_payload(
        &mut self,
        index: usize,
        mut left: u32,
        input: &mut Bytes<'_>,
    ) -> Result<ReadStep<'static>, Error> {
        let (Some(stream), Some(payload)) = (self.streams.get(index), self.partial.of(index))
        else {
            self.state = ReaderState::Header;
            return Ok(ReadStep::Next);
        };
        while left > 0 {
            let put_back = self.put_back.bytes();
            let is_put_back = !put_back.is_empty();
            let bytes = if is_put_back { put_back } else { input.front() };
            if bytes.is_empty() {
                self.state = ReaderState::Payload {
                    stream: index,
                    left,
                };
                return Ok(ReadStep::NeedsInput);
            }
            let wanted = bytes.get(..left as usize).unwrap_or(bytes);
            let taken = payload.extend(wanted).min(wanted.len());
            left -= taken as u32;
            if is_put_back {
                self.put_back.advance(taken);
            } else {
                input.advance(taken);
            }
            if taken == 0 {
                self.state = ReaderState::Payload {
                    stream: index,
                    left,
                };
                return Err(Error::OutOfBlocks);
            }
        }
        self.state = ReaderState::Header;
        if payload.len() as u32 >= stream.len {
            return Ok(ReadStep::Complete(index));
        }
        Ok(ReadStep::Next)
    }

    fn stream_index(&mut self, id: u32) -> Result<usize, Error> {
        if let Some(index) = self.streams.iter().position(|stream| stream.id == id) {
            return Ok(index);
        }
        let streams = self.streams.len();
        if streams == MAX_CHUNK_STREAMS {
            let allowed = MAX_CHUNK_STREAMS as u64;
            let what = "chunk streams on one connection";
            return Err(Error::limit(what, allowed + 1, allowed));
        }
        if streams == self.streams.capacity() {
            self.partial.pay_for_streams(streams + TABLE_STEP)?;
            self.streams.reserve_exact(TABLE_STEP);
        }
        self.streams.push(ChunkStream::new(id));
        Ok(streams)
    }

    fn next_byte(&mut self, input: &mut Bytes<'_>) -> Option<u8> {
        if let Some(&byte) = self.put_back.bytes().first() {
            self.put_back.advance(1);
            return Some(byte);
        }
        let byte = input.first()?;
        input.advance(1);
        Some(byte)
    }
}

#[cfg(test)]
pub(super) mod tests;
