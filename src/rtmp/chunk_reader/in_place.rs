//! Media messages that lie whole in the input: they aren't copied, even if they have several chunks.
//!
//! ```text
//! input   06 .. 00 20 58 09 ..  4096 bytes  C6  4096 bytes  C6  ...  next message
//! pieces                        ^^^^^^^^^^      ^^^^^^^^^^      ^^^
//! ```
//!
//! That is most of what a publisher sends, as encoders write a message at once. Messages with chunks
//! of other messages in between, or of chunk streams that haven't shown yet what they do with extended
//! timestamps, are assembled.

use super::chunk_stream::ChunkStream;
use super::header::ChunkHeader;
use super::payload::{Payload, PayloadSource};
use super::{ChunkReader, ReceivedMessage};
use crate::rtmp::bytes::Bytes;
use crate::rtmp::message::type_id;

/// Bytes that the first piece has, unless the message is shorter: enough for the header of any audio
/// or video message, which is parsed there.
const MIN_FIRST_PIECE: usize = 128;

/// Smallest chunk of a message that has several and stays in place. Smaller ones are put together: to
/// copy them is cheaper than to walk through them several times.
const MIN_CHUNK: usize = 1024;

/// The payload of a message in the input: an iterator over its pieces between chunk headers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InPlace<'a> {
    /// From the next byte of payload on, in at most two places.
    first: &'a [u8],
    second: &'a [u8],
    /// Payload bytes left.
    left: usize,
    /// Payload bytes left in the chunk with which `first` begins.
    left_in_chunk: usize,
    chunk_size: usize,
    /// Length of the header between two chunks.
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
    /// The number of payload bytes.
    pub(in crate::rtmp) fn len(&self) -> usize {
        self.left
    }

    /// Moves on to the next chunk, whose header may be split between the two buffers.
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

    /// Finds the payload of a message whose header `input` begins with; also returns the rest of the
    /// input. `None` if it isn't all there, other chunks lie in between, or its pieces are too short.
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
        // All clients use chunk streams below 64, whose basic header has one byte.
        if header.basic_len > 1 || (chunks > 1 && chunk_size < MIN_FIRST_PIECE) {
            return None;
        }
        let repeated_len = match stream.repeated_len(extended) {
            // There is no type 3 chunk that could repeat it.
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
    /// Takes an audio or video message that lies whole in the input, which begins with `header`.
    /// `None`, with nothing consumed, if it doesn't.
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
        // Up to here nothing has changed: whatever this can't take is read chunk by chunk.
        let (in_place, rest) = InPlace::find(*input, header, stream, size, chunk_size)?;
        let is_in_place = size <= chunk_size || chunk_size >= MIN_CHUNK;
        if !is_in_place {
            self.put_together(index, in_place)?;
        }
        let stream = self.streams.get_mut(index)?;
        stream.begin(header);
        let message = ReceivedMessage::new(stream, is_in_place.then_some(in_place));
        *input = rest;
        // Of several chunks the last isn't counted, and the others have 128 bytes or more.
        if size <= chunk_size {
            self.note_chunk(len);
        }
        Some(message)
    }

    /// Copies a payload from the input. `None`, as if it had not begun, if there is too little memory.
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
