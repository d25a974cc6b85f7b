//! A reader that turns chunks into messages (5.3), however the bytes are split.
//!
//! ```text
//! bytes -> header -> chunk_stream -> in_place ------------> ReceivedMessage
//!             \----> repeat -------> assembly, payload ---/
//! ```
//!
//! The caller passes in the bytes that its socket received; [`ChunkReader::read`] consumes up to the end
//! of one message. The payload of an audio or video message that lies entirely in the input stays there.
//! All other payloads go into a [`Payload`] of the caller's kind as they arrive: memory is never claimed
//! just because a header announced a length.

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

/// The maximum number of chunk streams per connection; real clients use fewer than ten.
pub const MAX_CHUNK_STREAMS: usize = 64;

/// The number of bytes that a chunk should carry to be worth its processing time; see
/// [`missing_bytes`](ChunkReader::missing_bytes). It equals the chunk size before any Set Chunk Size.
pub const FULL_CHUNK: u32 = DEFAULT_CHUNK_SIZE;

/// The number of entries by which the table of chunk streams grows: most clients use no more.
const TABLE_STEP: usize = 4;

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReceivedMessage<'a> {
    /// The chunk stream on which the message arrived.
    pub chunk_stream_id: u32,
    /// The timestamp in ms, absolute, wrapping.
    pub timestamp: u32,
    /// The message type (7.1).
    pub type_id: u8,
    /// The message stream.
    pub message_stream_id: u32,
    /// The payload if it lies entirely in the input; otherwise it was assembled.
    /// [`ChunkReader::payload`] handles both cases.
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

/// The parts of a payload, in place or assembled. Chaining the two iterators would make every step
/// slower.
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
    /// The bytes of an incomplete header; every complete header fits.
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    put_back: PutBack,
    missing_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReaderState {
    /// Collecting a header.
    Header,
    /// A type 3 header was read; the next bytes may repeat the extended timestamp.
    Repeat(Repeat),
    /// Collecting the chunk's payload.
    Payload { stream: usize, left: u32 },
}

enum ReadStep<'a> {
    Next,
    NeedsInput,
    /// A message that lies entirely in the input.
    InPlace(ReceivedMessage<'a>),
    /// The index of the chunk stream whose message is complete.
    Complete(usize),
}

impl<S: PayloadSource> ChunkReader<S> {
    /// Creates a reader at the start of a connection, after the handshake.
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

    /// Consumes input up to the end of one message. Returns `None` once all input was consumed and more
    /// is needed. After [`Error::OutOfBlocks`] the call may be repeated; after any other error the
    /// connection can't be used any longer.
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

    /// Returns the total number of bytes by which the chunks read so far fell short of [`FULL_CHUNK`],
    /// since a chunk costs the same time however little it carries. The last chunk of a message with
    /// several chunks isn't counted.
    pub fn missing_bytes(&self) -> u64 {
        self.missing_bytes
    }

    /// Counts an item that costs as much time as a chunk and carried this many bytes.
    pub fn note_chunk(&mut self, carried: u32) {
        self.missing_bytes += u64::from(FULL_CHUNK.saturating_sub(carried));
    }

    /// Returns the payload of the message that [`read`](Self::read) last returned, if it was assembled.
    /// Valid until the next call.
    pub fn assembled(&self) -> Option<&S::Payload> {
        self.partial.finished()
    }

    /// Returns the payload of the message that [`read`](Self::read) last returned, in one or more parts.
    pub fn payload<'m>(
        &'m self,
        in_place: Option<InPlace<'m>>,
    ) -> impl Iterator<Item = &'m [u8]> + Clone {
        self.payload_range(in_place, 0..usize::MAX)
    }

    /// Like [`payload`](Self::payload), but returns only a range of the bytes if the payload was
    /// assembled.
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

    /// Releases the memory of the assembled payload without waiting for the next call.
    pub fn forget_payload(&mut self) {
        self.partial.clear_finished();
    }

    /// Applies the peer's Set Chunk Size (5.4.1). It holds from the next chunk on, even in the middle of
    /// a message.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), Error> {
        if size == 0 || size > 0x7FFF_FFFF {
            return Err(Error::malformed(format!(
                "chunk size of {size}, expected 1 to 2147483647"
            )));
        }
        self.chunk_size = size.min(MAX_CHUNK_SIZE);
        Ok(())
    }

    /// Applies the peer's Abort Message (5.4.2): drops the part of the message that was received.
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

    /// Replaces the limits; the new ones hold from the next message on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    fn read_header<'a>(&mut self, input: &mut Bytes<'a>) -> Result<ReadStep<'a>, Error> {
        if self.header_len == 0 && self.put_back.bytes().is_empty() {
            // Most headers also lie entirely in the input.
            if let Ok(header) = ChunkHeader::parse(input.front()) {
                if let Some(message) = self.read_in_place(&header, input) {
                    return Ok(ReadStep::InPlace(message));
                }
                input.advance(header.len);
                return self.begin_chunk(&header);
            }
        }
        // Collected byte by byte: the header may be split between reads, or begin in bytes that
        // were put back.
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

    /// Applies a complete header. If it is of type 3, an extended timestamp may still follow.
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
            // The specification doesn't allow types 1 and 2 as continuations, but some clients send
            // them. A length that changes in the middle of a message has caused buffer overflows in
            // other servers.
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
        // The last of several chunks isn't counted: it is as short as the message requires.
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

    /// Checks the length and type of a message that begins.
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
