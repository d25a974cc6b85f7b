//! Chunks to messages (5.3), for any split of the bytes.
//!
//! The caller feeds what its socket brought; [`ChunkReader::read`] consumes up to the end of one
//! message and returns its header, [`ChunkReader::payload`] its bytes. Payload bytes go straight
//! into a [`Payload`] of the caller's kind as they arrive: memory is never claimed because a
//! header announced a length.
//!
//! Two habits of senders shape this file beyond the specification:
//! * Some don't repeat the extended timestamp in type 3 chunks (old librtmp, hardware). Four bytes
//!   which equal the last extended timestamp are taken as one, anything else is payload; what a
//!   chunk stream was seen to do is remembered.
//! * librtmp opens a chunk stream with type 1, DJI's drones with type 2. Fields never seen are 0.

mod payload;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::Error;
use super::chunk::{DEFAULT_CHUNK_SIZE, EXTENDED, MAX_CHUNK_SIZE, MAX_HEADER_LEN};

pub use payload::{Heap, Payload, PayloadSource};

/// Chunk streams per connection; real clients use fewer than ten.
pub const MAX_CHUNK_STREAMS: usize = 64;

/// What a chunk should carry to be worth its time; see
/// [`missing_bytes`](ChunkReader::missing_bytes). It is the size that holds before any Set Chunk Size.
pub const FULL_CHUNK: u32 = DEFAULT_CHUNK_SIZE;

/// Entries by which the table of chunk streams grows: most clients use no more.
const TABLE_STEP: usize = 4;

/// What a peer may send: the longest message, in bytes, by what the message is, and how much may
/// be under assembly at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Audio, video and aggregate messages.
    pub media: u32,
    /// Data messages and shared objects.
    pub data: u32,
    /// Commands.
    pub command: u32,
    /// Messages under assembly at the same time, on different chunk streams.
    pub partial_messages: u32,
    /// Bytes that their headers announce, in all.
    pub partial_bytes: u32,
}

impl Limits {
    /// For the side that trusts its peer.
    pub const NONE: Limits = Limits {
        media: u32::MAX,
        data: u32::MAX,
        command: u32::MAX,
        partial_messages: 8,
        partial_bytes: u32::MAX,
    };

    /// Protocol control and user control messages; the longest that is defined has 10 bytes.
    pub(super) const CONTROL: u32 = 64;

    fn of(&self, type_id: u8) -> (u32, &'static str, Option<&'static str>) {
        match type_id {
            8 | 9 | 22 => (
                self.media,
                "length of a media message in bytes",
                Some("--max-message"),
            ),
            15 | 16 | 18 | 19 => (self.data, "length of a data message in bytes", None),
            17 | 20 => (self.command, "length of a command in bytes", None),
            1..=6 => (Self::CONTROL, "length of a control message in bytes", None),
            _ => (
                self.data,
                "length of a message of unknown type in bytes",
                None,
            ),
        }
    }
}

/// The header of a message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader {
    /// The chunk stream that brought it.
    pub chunk_stream_id: u32,
    /// ms, absolute, wrapping.
    pub timestamp: u32,
    /// Message type (7.1).
    pub type_id: u8,
    /// Message stream.
    pub message_stream_id: u32,
}

/// See the module's documentation.
pub struct ChunkReader<S: PayloadSource> {
    source: S,
    limits: Limits,
    chunk_size: u32,
    state: State,
    streams: Vec<ChunkStream>,
    /// Messages under assembly.
    partial: Vec<Partial<S::Payload>>,
    /// Payload of the message that was returned last.
    finished: Option<S::Payload>,
    /// Empty ones for the next messages: of audio and video, which may come at the same time.
    spare: [Option<S::Payload>; 2],
    /// The header under way; complete headers fit.
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    /// Bytes that looked like an extended timestamp and turned out to be payload.
    carry: Carry,
    missing_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Collecting a basic header, message header and extended timestamp.
    Header,
    /// A type 3 header has come; do the next bytes repeat the extended timestamp?
    Repeat { stream: usize, matched: usize },
    /// Collecting the chunk's payload.
    Payload { stream: usize, left: u32 },
}

/// A message under assembly.
struct Partial<P> {
    /// Index of its chunk stream.
    stream: usize,
    payload: P,
}

/// What the last headers of a chunk stream said. All fields start at 0 (see the module).
#[derive(Default)]
struct ChunkStream {
    id: u32,
    timestamp: u32,
    delta: u32,
    len: u32,
    type_id: u8,
    message_stream_id: u32,
    /// The raw extended timestamp of the last header of type 0, 1 or 2, if it had one.
    extended: Option<u32>,
    /// Whether type 3 chunks repeat it, once seen.
    repeats: Option<bool>,
    /// A length is known: messages may begin with types 2 and 3.
    is_opened: bool,
    is_partial: bool,
}

#[derive(Clone, Copy, Default)]
struct Carry {
    bytes: [u8; 4],
    start: usize,
    end: usize,
}

impl Carry {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

impl<S: PayloadSource> ChunkReader<S> {
    /// A reader at the start of a connection, after the handshake.
    pub fn new(source: S, limits: Limits) -> ChunkReader<S> {
        ChunkReader {
            source,
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE,
            state: State::Header,
            streams: Vec::new(),
            partial: Vec::new(),
            finished: None,
            spare: [None, None],
            header: [0; MAX_HEADER_LEN],
            header_len: 0,
            carry: Carry::default(),
            missing_bytes: 0,
        }
    }

    /// Consumes input up to the end of one message. `None`: all input was consumed and more is
    /// needed. After [`Error::OutOfBlocks`] the call may be repeated; after any other error the
    /// connection is lost.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<MessageHeader>, Error> {
        self.clear_finished();
        loop {
            let step = match self.state {
                State::Header => self.read_header(input)?,
                State::Repeat { stream, matched } => self.read_repeat(stream, matched, input)?,
                State::Payload { stream, left } => self.read_payload(stream, left, input)?,
            };
            match step {
                Step::Next => {}
                Step::NeedsInput => return Ok(None),
                Step::Message(header) => return Ok(Some(header)),
            }
        }
    }

    /// An audio or video message that lies whole in the input, in one chunk, without a copy: what
    /// most messages are once a publisher has adopted our chunk size. `None`, with nothing
    /// consumed, when anything else comes next; [`read`](Self::read) goes on with that.
    pub fn read_in_place<'a>(&mut self, input: &mut &'a [u8]) -> Option<(MessageHeader, &'a [u8])> {
        if self.state != State::Header || self.header_len > 0 || !self.carry.as_slice().is_empty() {
            return None;
        }
        let mut header_len = 0;
        let stream_id = loop {
            match needed(input.get(..header_len)?) {
                Needed::Bytes(len) => header_len = len,
                Needed::Nothing { stream_id } => break stream_id,
            }
        };
        let header = input.get(..header_len)?;
        let format = header.first()? >> 6;
        let stream = self
            .streams
            .iter_mut()
            .find(|s| s.id == stream_id && !s.is_partial)?;
        let fields = header.get(basic_header_len(header)..)?;
        let new = stream.read_fields(format, fields);
        let is_plain = format < 3
            && matches!(new.type_id, 8 | 9)
            && (1..=self.chunk_size.min(self.limits.media)).contains(&new.len);
        let end = header_len + new.len as usize;
        let payload = input.get(header_len..end).filter(|_| is_plain)?;
        stream.apply(&new);
        let message = stream.message_header();
        self.note_chunk(new.len);
        self.clear_finished();
        *input = input.get(end..)?;
        Some((message, payload))
    }

    /// How many bytes the chunks that were read so far were short of [`FULL_CHUNK`], all together:
    /// a chunk costs the same time whatever it carries, and one without payload is short of all of
    /// them. The last chunk of a message that has several isn't counted.
    pub fn missing_bytes(&self) -> u64 {
        self.missing_bytes
    }

    /// Counts something that costs as much time as a chunk and carried so many bytes.
    pub fn note_chunk(&mut self, carried: u32) {
        self.missing_bytes += u64::from(FULL_CHUNK.saturating_sub(carried));
    }

    /// Payload of the message that [`read`](Self::read) returned last, until the next call.
    pub fn payload(&self) -> Option<&S::Payload> {
        self.finished.as_ref()
    }

    /// Gives the payload's memory back before the next call.
    pub fn forget_payload(&mut self) {
        self.clear_finished();
    }

    /// The peer's Set Chunk Size (5.4.1); holds from the next chunk on, in the middle of a
    /// message too.
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
        let Some(index) = self.streams.iter().position(|s| s.id == chunk_stream_id) else {
            return;
        };
        if let Some(payload) = self.end_message(index) {
            self.keep(payload);
        }
    }

    /// Replaces the limits; they hold from the next header on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Step, Error> {
        let stream_id = loop {
            let have = self.header.get(..self.header_len).unwrap_or_default();
            let needed = match needed(have) {
                Needed::Bytes(needed) => needed,
                Needed::Nothing { stream_id } => break stream_id,
            };
            while self.header_len < needed {
                let Some(byte) = self.next_byte(input) else {
                    return Ok(Step::NeedsInput);
                };
                if let Some(slot) = self.header.get_mut(self.header_len) {
                    *slot = byte;
                }
                self.header_len += 1;
            }
        };
        let header = self.header;
        let header = header.get(..self.header_len).unwrap_or_default();
        self.header_len = 0;
        self.begin_chunk(stream_id, header)
    }

    /// Applies a complete header, whose type 3 form may still be followed by an extended
    /// timestamp.
    fn begin_chunk(&mut self, stream_id: u32, header: &[u8]) -> Result<Step, Error> {
        let index = self.stream_index(stream_id)?;
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(Step::Next);
        };

        let format = header.first().map_or(0, |byte| byte >> 6);
        let fields = header.get(basic_header_len(header)..).unwrap_or_default();
        if format == 3 {
            if !stream.is_opened {
                return Err(Error::malformed(format!(
                    "chunk of type 3 on chunk stream {stream_id} before any full header"
                )));
            }
            if stream.extended.is_some() && stream.repeats != Some(false) {
                self.state = State::Repeat {
                    stream: index,
                    matched: 0,
                };
                return Ok(Step::Next);
            }
            return self.resume(index);
        }

        let new = stream.read_fields(format, fields);
        if stream.is_partial {
            // Not allowed by the specification, but some send types 1 and 2 as continuations. A
            // length that changes in the middle has been the way to a buffer overflow elsewhere.
            if format == 0 || new.len != stream.len || new.type_id != stream.type_id {
                return Err(Error::malformed(format!(
                    "chunk of type {format} on chunk stream {stream_id} in the middle of a \
                     message of {} bytes, expected type 3",
                    stream.len
                )));
            }
            stream.extended = new.extended;
            return self.begin_payload(index);
        }
        stream.apply(&new);
        self.begin_message(index)
    }

    /// After a type 3 header: the message goes on, or a new one starts with everything as before,
    /// one delta later.
    fn resume(&mut self, index: usize) -> Result<Step, Error> {
        match self.streams.get_mut(index) {
            Some(stream) if !stream.is_partial => {
                stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
                self.begin_message(index)
            }
            _ => self.begin_payload(index),
        }
    }

    fn begin_message(&mut self, index: usize) -> Result<Step, Error> {
        let messages = self.partial.len() as u64;
        let partial = self.partial.iter();
        let lens = partial.filter_map(|partial| self.streams.get(partial.stream));
        let bytes: u64 = lens.map(|stream| u64::from(stream.len)).sum();
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(Step::Next);
        };
        let (allowed, what, option) = self.limits.of(stream.type_id);
        let limit = |what, got, allowed: u32, option| {
            let allowed = allowed.into();
            let error = Error::Limit {
                what,
                got,
                allowed,
                option,
            };
            if got > allowed { Err(error) } else { Ok(()) }
        };
        limit(what, stream.len.into(), allowed, option)?;
        limit(
            "messages under assembly at the same time",
            messages + 1,
            self.limits.partial_messages,
            None,
        )?;
        limit(
            "bytes of messages under assembly",
            bytes + u64::from(stream.len),
            self.limits.partial_bytes,
            Some("--max-message"),
        )?;
        stream.is_partial = true;
        let payload = self.spare.iter_mut().find_map(Option::take);
        let payload = payload.unwrap_or_else(|| self.source.payload());
        if self.partial.len() == self.partial.capacity() {
            self.pay(self.streams.capacity(), self.partial.len() + 1)?;
            self.partial.reserve_exact(1);
        }
        self.partial.push(Partial {
            stream: index,
            payload,
        });
        self.begin_payload(index)
    }

    /// Pays for tables of these capacities, if need be with what is kept for the next messages.
    fn pay(&mut self, streams: usize, partial: usize) -> Result<(), Error> {
        let bytes = streams * size_of::<ChunkStream>() + partial * size_of::<Partial<S::Payload>>();
        self.source.pay(bytes).or_else(|_| {
            self.spare = [None, None];
            self.source.pay(bytes)
        })
    }

    /// Keeps an empty payload for another message, or drops it.
    fn keep(&mut self, mut payload: S::Payload) {
        payload.clear();
        if let Some(slot) = self.spare.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(payload);
        }
    }

    /// The payload of a chunk stream's message, which is no longer under assembly.
    fn end_message(&mut self, index: usize) -> Option<S::Payload> {
        let of_stream = |partial: &Partial<S::Payload>| partial.stream == index;
        let at = self.partial.iter().position(of_stream)?;
        let partial = self.partial.swap_remove(at);
        if let Some(stream) = self.streams.get_mut(index) {
            stream.is_partial = false;
        }
        Some(partial.payload)
    }

    /// Compares byte by byte, so that a mismatch is known at once and nothing waits for bytes
    /// that may belong to a later chunk.
    fn read_repeat(
        &mut self,
        index: usize,
        mut matched: usize,
        input: &mut &[u8],
    ) -> Result<Step, Error> {
        let Some(stream) = self.streams.get(index) else {
            return Ok(Step::Next);
        };
        let field = stream.extended.unwrap_or(0).to_be_bytes();
        // Some repeat the message's timestamp where the header had a delta.
        let timestamp = stream.timestamp.to_be_bytes();
        let is_known = stream.repeats == Some(true);
        let mut seen = [0; 4];
        for (slot, byte) in seen.iter_mut().zip(self.header) {
            *slot = byte;
        }
        let repeats = loop {
            if matched == 4 {
                break true;
            }
            let Some(byte) = self.next_byte(input) else {
                self.state = State::Repeat {
                    stream: index,
                    matched,
                };
                return Ok(Step::NeedsInput);
            };
            // The header buffer is free between two headers; it keeps what was compared.
            if let (Some(slot), Some(kept)) = (seen.get_mut(matched), self.header.get_mut(matched))
            {
                *slot = byte;
                *kept = byte;
            }
            matched += 1;
            let so_far = seen.get(..matched);
            if !is_known && so_far != field.get(..matched) && so_far != timestamp.get(..matched) {
                break false;
            }
        };
        if let Some(stream) = self.streams.get_mut(index) {
            stream.repeats = Some(repeats);
        }
        if !repeats {
            // At most four bytes were taken since the carry was last empty, or all came from it.
            let mut carry = Carry {
                bytes: seen,
                start: 0,
                end: matched,
            };
            for &byte in self.carry.as_slice() {
                if let Some(slot) = carry.bytes.get_mut(carry.end) {
                    *slot = byte;
                    carry.end += 1;
                }
            }
            self.carry = carry;
        }
        self.resume(index)
    }

    fn begin_payload(&mut self, index: usize) -> Result<Step, Error> {
        let partial = self.partial.iter().find(|partial| partial.stream == index);
        let (Some(stream), Some(partial)) = (self.streams.get(index), partial) else {
            return Ok(Step::Next);
        };
        let come = partial.payload.len() as u32;
        let missing = stream.len.saturating_sub(come);
        let left = missing.min(self.chunk_size);
        if come == 0 || left < missing {
            self.note_chunk(left);
        }
        self.state = State::Payload {
            stream: index,
            left,
        };
        Ok(Step::Next)
    }

    fn read_payload(
        &mut self,
        index: usize,
        mut left: u32,
        input: &mut &[u8],
    ) -> Result<Step, Error> {
        let partial = self.partial.iter_mut();
        let mut of_stream = partial.filter(|partial| partial.stream == index);
        let (Some(stream), Some(partial)) = (self.streams.get(index), of_stream.next()) else {
            self.state = State::Header;
            return Ok(Step::Next);
        };
        while left > 0 {
            let from_carry = self.carry.start < self.carry.end;
            let bytes = if from_carry {
                self.carry.as_slice()
            } else {
                *input
            };
            if bytes.is_empty() {
                self.state = State::Payload {
                    stream: index,
                    left,
                };
                return Ok(Step::NeedsInput);
            }
            let wanted = bytes.get(..left as usize).unwrap_or(bytes);
            let taken = partial.payload.extend(wanted).min(wanted.len());
            left -= taken as u32;
            if from_carry {
                self.carry.start += taken;
            } else {
                *input = input.get(taken..).unwrap_or_default();
            }
            if taken == 0 {
                self.state = State::Payload {
                    stream: index,
                    left,
                };
                return Err(Error::OutOfBlocks);
            }
        }
        self.state = State::Header;
        if (partial.payload.len() as u32) < stream.len {
            return Ok(Step::Next);
        }
        let header = stream.message_header();
        self.finished = self.end_message(index);
        Ok(Step::Message(header))
    }

    fn clear_finished(&mut self) {
        if let Some(payload) = self.finished.take() {
            self.keep(payload);
        }
    }

    fn stream_index(&mut self, id: u32) -> Result<usize, Error> {
        if let Some(index) = self.streams.iter().position(|stream| stream.id == id) {
            return Ok(index);
        }
        if self.streams.len() == MAX_CHUNK_STREAMS {
            return Err(Error::Limit {
                what: "chunk streams on one connection",
                got: MAX_CHUNK_STREAMS as u64 + 1,
                allowed: MAX_CHUNK_STREAMS as u64,
                option: None,
            });
        }
        if self.streams.len() == self.streams.capacity() {
            self.pay(self.streams.len() + TABLE_STEP, self.partial.capacity())?;
            self.streams.reserve_exact(TABLE_STEP);
        }
        self.streams.push(ChunkStream {
            id,
            ..ChunkStream::default()
        });
        Ok(self.streams.len() - 1)
    }

    fn next_byte(&mut self, input: &mut &[u8]) -> Option<u8> {
        if let Some(&byte) = self.carry.as_slice().first() {
            self.carry.start += 1;
            return Some(byte);
        }
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        Some(byte)
    }
}

/// What a header of type 0, 1 or 2 says, with what it leaves out filled in.
struct Fields {
    /// Only type 0 has one.
    message_stream_id: Option<u32>,
    /// The timestamp field or its extension: a time for type 0, else a delta.
    time: u32,
    extended: Option<u32>,
    len: u32,
    type_id: u8,
}

impl ChunkStream {
    fn read_fields(&self, format: u8, fields: &[u8]) -> Fields {
        let field = field_u24(fields, 0);
        let extended = (field == EXTENDED).then(|| {
            let at = MESSAGE_HEADER_LEN
                .get(usize::from(format))
                .copied()
                .unwrap_or(0);
            fields.get(at..at + 4).map_or(0, BigEndian::read_u32)
        });
        let (len, type_id) = match format {
            0 | 1 => (field_u24(fields, 3), fields.get(6).copied().unwrap_or(0)),
            _ => (self.len, self.type_id),
        };
        Fields {
            message_stream_id: (format == 0)
                .then(|| fields.get(7..11).map_or(0, LittleEndian::read_u32)),
            time: extended.unwrap_or(field),
            extended,
            len,
            type_id,
        }
    }

    /// Takes over the header of a new message.
    fn apply(&mut self, new: &Fields) {
        match new.message_stream_id {
            Some(id) => {
                self.timestamp = new.time;
                self.message_stream_id = id;
            }
            None => self.timestamp = self.timestamp.wrapping_add(new.time),
        }
        // After type 0 too: a following type 3 adds the field of the type 0 header (5.3.1.2.4);
        // ffmpeg and GStreamer send by that rule.
        self.delta = new.time;
        self.extended = new.extended;
        self.len = new.len;
        self.type_id = new.type_id;
        self.is_opened = true;
    }

    fn message_header(&self) -> MessageHeader {
        MessageHeader {
            chunk_stream_id: self.id,
            timestamp: self.timestamp,
            type_id: self.type_id,
            message_stream_id: self.message_stream_id,
        }
    }
}

enum Step {
    Next,
    NeedsInput,
    Message(MessageHeader),
}

/// Length of the message header by type, without the extended timestamp.
const MESSAGE_HEADER_LEN: [usize; 4] = [11, 7, 3, 0];

enum Needed {
    /// The header has at least this many bytes.
    Bytes(usize),
    /// It is complete, but for the extended timestamp of a type 3 chunk.
    Nothing { stream_id: u32 },
}

fn needed(have: &[u8]) -> Needed {
    let Some(&first) = have.first() else {
        return Needed::Bytes(1);
    };
    let basic_len = basic_header_len(have);
    if have.len() < basic_len {
        return Needed::Bytes(basic_len);
    }
    let stream_id = match (first & 0x3F, have) {
        (0, [_, low, ..]) => 64 + u32::from(*low),
        (1, [_, low, high, ..]) => 64 + u32::from(*low) + 256 * u32::from(*high),
        (id, _) => u32::from(id),
    };
    let message_len = MESSAGE_HEADER_LEN
        .get(usize::from(first >> 6))
        .copied()
        .unwrap_or(0);
    let fixed_len = basic_len + message_len;
    if have.len() < fixed_len {
        return Needed::Bytes(fixed_len);
    }
    let is_extended = message_len > 0 && field_u24(have, basic_len) == EXTENDED;
    if is_extended && have.len() < fixed_len + 4 {
        return Needed::Bytes(fixed_len + 4);
    }
    Needed::Nothing { stream_id }
}

fn basic_header_len(header: &[u8]) -> usize {
    match header.first().map(|byte| byte & 0x3F) {
        Some(0) => 2,
        Some(1) => 3,
        _ => 1,
    }
}

fn field_u24(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 3).map_or(0, BigEndian::read_u24)
}

#[cfg(test)]
pub(super) mod tests;
