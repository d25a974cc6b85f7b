//! Media messages that lie entirely in the input: they aren't copied, even if they have several chunks.
//!
//! ```text
//! input   06 .. 00 20 58 09 ..  4096 bytes  C6  4096 bytes  C6  ...  next message
//! pieces                        ^^^^^^^^^^      ^^^^^^^^^^      ^^^
//! ```
//!
//! Most messages of a publisher are read this way, since encoders write a message at once. A message is
//! assembled instead if chunks of other messages lie in between, or if its chunk stream hasn't shown yet
//! whether it repeats extended timestamps.

use super::chunk_stream::ChunkStream;
use super::header::ChunkHeader;
use super::payload::{Payload, PayloadSource};
use super::{ChunkReader, ReceivedMessage};
use crate::rtmp::bytes::Bytes;
use crate::rtmp::message::type_id;

/// The number of bytes in the first piece, unless the message is shorter. It is enough for the header of
/// any audio or video message, which is parsed there.
const MIN_FIRST_PIECE: usize = 128;

/// The smallest chunk size in bytes for a message of several chunks to stay in place. Smaller chunks are
/// joined: copying them is cheaper than walking through them several times.
const MIN_CHUNK: usize = 1024;

/// The payload of a message in the input, as an iterator over the pieces between chunk headers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InPlace<'a> {
    /// The bytes from the next payload byte on, in at most two slices.
    first: &'a [u8],
    second: &'a [u8],
    /// The number of payload bytes left.
    left: usize,
    /// The number of payload bytes left in the chunk with which `first` begins.
    left_in_chunk: usize,
    chunk_size: usize,
    /// The length of the header between two chunks, in bytes.
    header_len: usize,
}

impl<'a> Iterator for InPlace<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        if self.left_in_chunk == 0 {
            self.skip_header();
        }
        if self.first.is_empty() {
            self.first = std::mem::take(&mut self.second);
        }
        let len = self.left_in_chunk.min(self.first.len());
        let (piece, rest) = self.first.split_at_checked(len)?;
        self.first = rest;
        self.left_in_chunk -= len;
        self.left = if len > 0 { self.left - len } else { 0 };
        Some(piece)
    }
}

impl<'a> InPlace<'a> {
    /// Returns the number of payload bytes left.
    pub(in crate::rtmp) fn len(&self) -> usize {
        self.left
    }

    /// Moves on to the next chunk, whose header may be split between the two slices.
    fn skip_header(&mut self) {
        self.left_in_chunk = self.left.min(self.chunk_size);
        match self.first.get(self.header_len..) {
            Some(rest) => self.first = rest,
            None => {
                let in_second = self.header_len - self.first.len();
                let second = std::mem::take(&mut self.second);
                self.first = second.get(in_second..).unwrap_or_default();
            }
        }
    }

    /// Finds the payload of the message whose header is at the beginning of `input`. Also returns the
    /// rest of the input. Returns `None` if the payload isn't complete, if other chunks lie in between,
    /// or if its pieces are too short.
    fn find(
        input: Bytes<'a>,
        header: &ChunkHeader,
        stream: &ChunkStream,
        len: usize,
        chunk_size: usize,
    ) -> Option<(InPlace<'a>, Bytes<'a>)> {
        let is_type_3 = header.format == 3;
        let extended = if is_type_3 {
            stream.extended
        } else {
            header.extended
        };
        let chunks = len.div_ceil(chunk_size);
        // All known clients use chunk streams below 64, whose basic header has one byte.
        if header.basic_len > 1 || (chunks > 1 && chunk_size < MIN_FIRST_PIECE) {
            return None;
        }
        let repeated_len = match stream.repeated_len(extended) {
            // There is no type 3 chunk that could repeat an extended timestamp.
            None if !is_type_3 && chunks == 1 => 0,
            repeated_len => repeated_len?,
        };
        let header_len = 1 + repeated_len;
        let mut rest = input;
        rest.advance(header.len + if is_type_3 { repeated_len } else { 0 });
        let total = len + (chunks - 1) * header_len;
        let [first, second] = rest.two_places(total)?;
        let basic_header = 0xC0 | header.chunk_stream_id as u8;
        for _ in 1..chunks {
            rest.advance(chunk_size);
            if rest.first() != Some(basic_header) {
                return None;
            }
            rest.advance(header_len);
        }
        rest.advance(len - (chunks - 1) * chunk_size);
        let left_in_chunk = len.min(chunk_size);
        if first.len() < left_in_chunk.min(MIN_FIRST_PIECE) {
            return None;
        }
        let in_place = InPlace {
            first,
            second,
            left: len,
            left_in_chunk,
            chunk_size,
            header_len,
        };
        Some((in_place, rest))
    }
}

impl<S: PayloadSource> ChunkReader<S> {
    /// Consumes an audio or video message that lies entirely in the input. The input begins with
    /// `header`. Returns `None` and consumes nothing for any other message.
    pub(super) fn read_in_place<'a>(
        &mut self,
        header: &ChunkHeader,
        input: &mut Bytes<'a>,
    ) -> Option<ReceivedMessage<'a>> {
        let mut streams = self.streams.iter();
        let index = streams.position(|stream| stream.id == header.chunk_stream_id)?;
        let stream = self.streams.get(index).filter(|s| !s.is_partial)?;
        let message @ (len, type_id) = stream.message(header);
        let is_media = matches!(type_id, type_id::AUDIO | type_id::VIDEO);
        if !is_media || len == 0 || self.check_limits(message).is_err() {
            return None;
        }
        let (size, chunk_size) = (len as usize, self.chunk_size as usize);
        // Nothing has changed up to here, so a message that isn't found is read chunk by chunk instead.
        let (in_place, rest) = InPlace::find(*input, header, stream, size, chunk_size)?;
        let is_in_place = size <= chunk_size || chunk_size >= MIN_CHUNK;
        if !is_in_place {
            self.put_together(index, in_place)?;
        }
        let stream = self.streams.get_mut(index)?;
        stream.begin(header);
        let message = ReceivedMessage::new(stream, is_in_place.then_some(in_place));
        *input = rest;
        // For a message of several chunks nothing is missing: the last chunk isn't counted, and the
        // others have 128 bytes or more.
        if size <= chunk_size {
            self.note_chunk(len);
        }
        Some(message)
    }

    /// Copies a payload from the input. If there is too little memory, returns `None` and leaves the
    /// message unbegun.
    fn put_together(&mut self, index: usize, pieces: InPlace<'_>) -> Option<()> {
        self.partial.begin(index, self.streams.capacity()).ok()?;
        let payload = self.partial.of(index)?;
        for piece in pieces {
            if payload.extend(piece) < piece.len() {
                self.partial.abort(index);
                return None;
            }
        }
        self.partial.finish(index);
        Some(())
    }
}
