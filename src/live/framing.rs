//! Framings: the few bytes that a receiver wants around a message of the log.
//!
//! The framing of a message is a pure function of the message and of what was fixed when the
//! receiver joined, so a message that was sent in part is resumed by computing the same bytes
//! again. Every message carries a full header, so every message boundary is a legal place to
//! jump to.
//!
//! ```text
//! RTMP   type 0 header (12 or 16) | 65536 bytes | type 3 header (1 or 5) | 65536 bytes | ...
//! FLV    tag header (11)          | payload     | PreviousTagSize (4)
//! MP4    moof (104), mdat (8)     | picture or sound
//! ```
//!
//! Over a WebSocket each message of FLV or MP4 is a binary message, with 2, 4 or 10 bytes in front. In
//! chunks of HTTP each is a chunk: its length in hexadecimal digits, an end of line, another one behind.

use std::ops::Range;

use super::capabilities::Capabilities;
use super::log::{Entry, Kind, Role, Sample};
use crate::http::response::Length;
use crate::http::websocket::{self, Opcode, close_code};
use crate::http::{Response, Status};
use crate::media::mp4::{
    AUDIO_TRACK_ID, FRAGMENT_HEAD_LEN, Fragment, Presentation, VIDEO_TRACK_ID,
};
use crate::rtmp::chunk::{MessageHeader, chunk_stream_id};
use crate::rtmp::chunk_writer::CHUNK_SIZE;
use crate::rtmp::message::type_id;
use crate::rtmp::server_session::{Dialect, Over, end_of_stream, no_codec_for_player};

/// How one receiver wants its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// RTMP chunks of [`CHUNK_SIZE`] on this message stream.
    Rtmp {
        /// Message stream of the player.
        message_stream_id: u32,
        /// How it wants to be spoken to.
        dialect: Dialect,
    },
    /// The tags of an FLV file (FLV, Annex E).
    Flv {
        /// What carries it.
        carrier: Carrier,
        /// Time stamp that becomes 0, in ms: some players read it as a signed number.
        base: u32,
    },
    /// The fragments of an MP4 file, each of one picture or sound.
    Mp4 {
        /// What carries it.
        carrier: Carrier,
        /// Time that becomes 0.
        base: Base,
    },
}

/// What carries a file that never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The body of a response that ends with its connection, or any bytes.
    Http,
    /// The body of a response in chunks (RFC 9112, 7.1). Its client can tell the end from a cut: for
    /// ffmpeg, a body that ends with its connection ends with an error.
    Chunked,
    /// The messages of a WebSocket.
    WebSocket,
}

/// The decode times that become 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// Of pictures, in ms.
    pub video: u64,
    /// Of sounds, in samples.
    pub audio: u64,
}

/// What a framing looks at of a message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Its number in the log.
    pub number: u64,
    /// Audio, video or data.
    pub kind: Kind,
    /// ms, wrapping.
    pub timestamp: u32,
    /// Length of the payload; for MP4, of the sample.
    pub len: u32,
    /// A decoder can start with it.
    pub is_sync: bool,
    /// What MP4 needs.
    pub sample: Sample,
}

impl Message {
    /// Of the message with this number, whose first `cut` bytes are left out.
    pub(super) fn new(number: u64, entry: &Entry, cut: u32) -> Message {
        Message {
            number,
            kind: entry.meta.kind,
            timestamp: entry.meta.timestamp,
            len: entry.len.saturating_sub(cut),
            is_sync: entry.meta.is_sync(),
            sample: entry.meta.sample,
        }
    }

    /// Makes it a picture that is shown at once and makes room for the next one, which follows
    /// 1 ms later. As always, it is decoded when the one before is due.
    pub(super) fn restamp(&mut self, timestamp: u32) {
        let later = timestamp.wrapping_sub(self.timestamp) as i32;
        let due = self.sample.decode_time + u64::from(self.sample.duration);
        let due = due.saturating_add_signed(later.into());
        self.sample.decode_time = due.saturating_sub(1);
        self.sample.duration = 1;
        self.sample.composition_time = 1;
        self.timestamp = timestamp;
    }
}

/// The framing of one message.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    head: [u8; MAX_HEAD_LEN],
    head_len: u8,
    /// Comes between two slices of the payload.
    between: [u8; 5],
    between_len: u8,
    tail: [u8; 6],
    tail_len: u8,
    payload_len: u32,
    /// Longest run of payload without framing bytes.
    slice_len: u32,
}

/// Longest head of a message.
const MAX_HEAD_LEN: usize = websocket::MAX_FRAME_HEAD_LEN + FRAGMENT_HEAD_LEN;

/// Header of a tag, and of a file with the size of the tag before the first (FLV, E.4.1, E.2, E.3).
const TAG_HEADER_LEN: usize = 11;
const FILE_HEADER: [u8; 13] = *b"FLV\x01\0\0\0\0\x09\0\0\0\0";

impl Framing {
    /// Frames a message.
    pub fn frame(&self, message: &Message) -> Frame {
        let mut frame = Frame {
            head: [0; MAX_HEAD_LEN],
            head_len: 0,
            between: [0; 5],
            between_len: 0,
            tail: [0; 6],
            tail_len: 0,
            payload_len: message.len,
            slice_len: u32::MAX,
        };
        match *self {
            Framing::Rtmp {
                message_stream_id, ..
            } => frame.put_chunk_headers(message, message_stream_id),
            Framing::Flv { carrier, base } => {
                let body = u64::from(message.len);
                frame.put_carrier(carrier, TAG_HEADER_LEN as u64 + body + 4);
                frame.put(&tag_header(message, base));
                frame.put_tail(&(TAG_HEADER_LEN as u32 + message.len).to_be_bytes());
                frame.end_carrier(carrier);
            }
            Framing::Mp4 { carrier, base } => {
                let body = u64::from(message.len);
                frame.put_carrier(carrier, FRAGMENT_HEAD_LEN as u64 + body);
                frame.put(&fragment(message, base).head());
                frame.end_carrier(carrier);
            }
        }
        frame
    }

    /// Whether it is of a file, whose time begins at 0 for each receiver.
    pub(super) fn has_base(&self) -> bool {
        !matches!(self, Framing::Rtmp { .. })
    }

    /// Whether it differs in nothing but the time that is 0, so that all is of the same length.
    pub(super) fn is_like(&self, other: &Framing) -> bool {
        match (*self, *other) {
            (Framing::Flv { carrier, .. }, Framing::Flv { carrier: its, .. })
            | (Framing::Mp4 { carrier, .. }, Framing::Mp4 { carrier: its, .. }) => carrier == its,
            (own, other) => own == other,
        }
    }

    /// Whether a receiver of this framing can take a message.
    pub(super) fn takes(&self, capabilities: Capabilities, entry: &Entry) -> bool {
        match self {
            Framing::Mp4 { .. } => entry.meta.sample.duration > 0,
            _ => entry.meta.role != Role::Whole && capabilities.take(entry.meta.needs),
        }
    }

    /// What the receiver is told when the stream has nothing for it. `opening` as in
    /// [`lead`](Framing::lead): without it a file just ends.
    pub(super) fn nothing_to_take(&self, opening: Option<&Response>) -> Vec<u8> {
        match *self {
            Framing::Rtmp {
                message_stream_id,
                dialect,
            } => no_codec_for_player(message_stream_id, dialect),
            Framing::Flv { carrier, .. } | Framing::Mp4 { carrier, .. } => match carrier {
                Carrier::Http | Carrier::Chunked => opening.map(no_codec).unwrap_or_default(),
                Carrier::WebSocket => websocket::close_frame(NO_CODEC_CLOSE, "no codec that fits"),
            },
        }
    }

    /// What the receiver is told when the stream is over. `opening` as in [`lead`](Framing::lead): if
    /// it isn't out, the request is answered with that there is nothing.
    pub(super) fn last_words(&self, over: Over, opening: Option<&Response>) -> Vec<u8> {
        match *self {
            Framing::Rtmp {
                message_stream_id,
                dialect,
            } => end_of_stream(message_stream_id, dialect, over),
            Framing::Flv { carrier, .. } | Framing::Mp4 { carrier, .. } => match carrier {
                Carrier::WebSocket => websocket::close_frame(close_code::GOING_AWAY, ""),
                _ if opening.is_some() => opening.map(not_live).unwrap_or_default(),
                Carrier::Http => Vec::new(),
                Carrier::Chunked => b"0\r\n\r\n".to_vec(),
            },
        }
    }

    /// What comes before the first message, and before the first of another presentation: for FLV the
    /// file's header, for MP4 the initialization segment. `opening` is what the response to an HTTP
    /// request will be, for the first time, but for its content type.
    pub(super) fn lead(
        &self,
        presentation: &Presentation,
        has: Has,
        opening: Option<&Response>,
    ) -> Vec<u8> {
        let (carrier, content_type, file) = match *self {
            Framing::Rtmp { .. } => return Vec::new(),
            Framing::Flv { carrier, .. } => {
                let mut header = FILE_HEADER;
                header[4] = u8::from(has.audio) << 2 | u8::from(has.video);
                (carrier, FLV_TYPE.to_owned(), header.to_vec())
            }
            Framing::Mp4 { carrier, .. } => {
                let init = presentation.init_segment();
                (carrier, presentation.content_type(), init)
            }
        };
        match carrier {
            Carrier::Http | Carrier::Chunked => {
                let is_chunked = carrier == Carrier::Chunked;
                let head = opening.map(|response| {
                    let mut response = response.clone();
                    response.content_type = content_type.into();
                    let length = match is_chunked {
                        true => Length::Chunked,
                        false => Length::UntilClose,
                    };
                    response.head(length, true)
                });
                let head = head.unwrap_or_default();
                let (size, size_len) = chunk_head(file.len() as u64);
                match is_chunked {
                    true => [head.as_bytes(), &size[..size_len], &file, b"\r\n"].concat(),
                    false => [head.as_bytes(), &file].concat(),
                }
            }
            Carrier::WebSocket => {
                let mut lead = Vec::new();
                // Players of FLV, such as mpegts.js, give up at a message that isn't binary.
                if let Framing::Mp4 { .. } = self {
                    put_message(&mut lead, Opcode::Text, content_type.as_bytes());
                }
                put_message(&mut lead, Opcode::Binary, &file);
                lead
            }
        }
    }

    /// Sets what becomes 0: the time of the first message, and a little before it, for what comes
    /// beside it may be earlier.
    pub(super) fn set_base(&mut self, timestamp: u32, time: u64, audio_rate: u32) {
        /// Four frames of any usual codec, in ms.
        const BEFORE: u32 = 200;

        let time = time.saturating_sub(BEFORE.into());
        match self {
            Framing::Rtmp { .. } => {}
            Framing::Flv { base, .. } => *base = timestamp.wrapping_sub(BEFORE),
            Framing::Mp4 { base, .. } => {
                *base = Base {
                    video: time,
                    audio: time * u64::from(audio_rate) / 1000,
                }
            }
        }
    }
}

/// The answer to a request for a stream that has nothing that the format can hold.
fn no_codec(opening: &Response) -> Vec<u8> {
    let why = "the stream's codecs don't fit this format. Try RTMP, or .flv";
    refusal(Status::UnsupportedMediaType, why, opening)
}

/// The answer to a request for a stream that has ended before there was anything to send.
fn not_live(opening: &Response) -> Vec<u8> {
    refusal(Status::NotFound, "the stream isn't live", opening)
}

fn refusal(status: Status, why: &str, opening: &Response) -> Vec<u8> {
    let mut response = Response::text(status, why);
    (response.is_for_all_sites, response.date) = (opening.is_for_all_sites, opening.date);
    let body = response.body.as_bytes();
    let head = response.head(Length::Known(body.len() as u64), true);
    [head.as_bytes(), body].concat()
}

/// Unsupported data (RFC 6455, 7.4.1).
const NO_CODEC_CLOSE: u16 = 1003;

const FLV_TYPE: &str = "video/x-flv";

fn put_message(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let (head, len) = websocket::server_frame_head(opcode, payload.len() as u64);
    out.extend_from_slice(&head[..len]);
    out.extend_from_slice(payload);
}

/// The head of a chunk of `len` bytes, and how many bytes of it count (RFC 9112, 7.1).
fn chunk_head(len: u64) -> ([u8; websocket::MAX_FRAME_HEAD_LEN], usize) {
    let mut head = [0; websocket::MAX_FRAME_HEAD_LEN];
    // A message has less than 2^32 bytes.
    let digits = (67 - len.leading_zeros() as usize) / 4;
    let digits = digits.clamp(1, head.len() - 2);
    for (index, digit) in head[..digits].iter_mut().rev().enumerate() {
        let value = (len >> (4 * index)) as u8 & 0xF;
        *digit = value + if value < 10 { b'0' } else { b'A' - 10 };
    }
    head[digits..digits + 2].copy_from_slice(b"\r\n");
    (head, digits + 2)
}

/// The header of an FLV tag. Metadata has time 0 for the reason that it has in RTMP.
fn tag_header(message: &Message, base: u32) -> [u8; TAG_HEADER_LEN] {
    let (tag_type, timestamp) = match message.kind {
        Kind::Audio => (type_id::AUDIO, message.timestamp.wrapping_sub(base)),
        Kind::Video => (type_id::VIDEO, message.timestamp.wrapping_sub(base)),
        Kind::Data => (type_id::DATA, 0),
        Kind::Script => (type_id::DATA, message.timestamp.wrapping_sub(base)),
    };
    // What is earlier than the first message by more than there is room for.
    let timestamp = if timestamp > u32::MAX - JUST_BEFORE {
        0
    } else {
        timestamp
    };
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [_, l1, l2, l3] = message.len.to_be_bytes();
    [tag_type, l1, l2, l3, t1, t2, t3, t0, 0, 0, 0]
}

/// Time stamps this much before 0, in ms, are taken for 0.
const JUST_BEFORE: u32 = 10_000;

/// What stands in front of a sample in MP4.
pub(super) fn fragment(message: &Message, base: Base) -> Fragment {
    let sample = &message.sample;
    let (track_id, base) = match message.kind {
        Kind::Video => (VIDEO_TRACK_ID, base.video),
        _ => (AUDIO_TRACK_ID, base.audio),
    };
    Fragment {
        // Grows, which is all that is asked of it, and by more than one each time: after a number that
        // is the next one VLC doesn't look at the decode time, and takes the first sound of HLS for one
        // at 0, which is much too late to be heard.
        sequence: (message.number as u32).wrapping_mul(2).wrapping_add(2),
        track_id,
        decode_time: sample.decode_time.saturating_sub(base),
        duration: sample.duration.into(),
        composition_offset: sample.composition_time,
        is_sync: message.is_sync,
        len: message.len,
    }
}

/// Which kinds of media a receiver is to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Has {
    pub(super) audio: bool,
    pub(super) video: bool,
}

impl Has {
    /// Those that a file has.
    pub(super) fn tracks_of(presentation: &Presentation) -> Has {
        Has {
            audio: presentation.audio.is_some(),
            video: presentation.video.is_some(),
        }
    }
}

/// A stretch of a framed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of the framing.
    Framing(&'a [u8]),
    /// A range of the message's payload.
    Payload(Range<u64>),
}

impl Frame {
    /// What stands in front of the payload.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    fn put(&mut self, bytes: &[u8]) {
        let start = usize::from(self.head_len);
        self.head[start..start + bytes.len()].copy_from_slice(bytes);
        self.head_len += bytes.len() as u8;
    }

    fn put_tail(&mut self, bytes: &[u8]) {
        let start = usize::from(self.tail_len);
        self.tail[start..start + bytes.len()].copy_from_slice(bytes);
        self.tail_len += bytes.len() as u8;
    }

    /// What the carrier puts in front of `len` bytes.
    fn put_carrier(&mut self, carrier: Carrier, len: u64) {
        let (head, head_len) = match carrier {
            Carrier::Http => return,
            Carrier::Chunked => chunk_head(len),
            Carrier::WebSocket => websocket::server_frame_head(Opcode::Binary, len),
        };
        self.put(&head[..head_len]);
    }

    /// What it puts behind them.
    fn end_carrier(&mut self, carrier: Carrier) {
        if carrier == Carrier::Chunked {
            self.put_tail(b"\r\n");
        }
    }

    fn put_chunk_headers(&mut self, message: &Message, message_stream_id: u32) {
        let (chunk_stream_id, type_id, timestamp) = match message.kind {
            Kind::Audio => (chunk_stream_id::AUDIO, type_id::AUDIO, message.timestamp),
            Kind::Video => (chunk_stream_id::VIDEO, type_id::VIDEO, message.timestamp),
            // ffmpeg, and with it VLC and mpv, take metadata for a text track unless its
            // timestamp is 0; VLC then buffers for ten seconds.
            Kind::Data => (chunk_stream_id::STATUS, type_id::DATA, 0),
            Kind::Script => (chunk_stream_id::STATUS, type_id::DATA, message.timestamp),
        };
        let header = MessageHeader {
            chunk_stream_id,
            timestamp,
            len: message.len,
            type_id,
            message_stream_id,
        };
        let mut head = [0; 16];
        let len = header.emit(&mut head);
        self.put(&head[..len]);
        self.between_len = header.emit_continuation(&mut self.between) as u8;
        self.slice_len = CHUNK_SIZE;
    }

    /// Length of the framed message in bytes.
    pub fn total_len(&self) -> u64 {
        let payload = u64::from(self.payload_len);
        let seams = payload.div_ceil(self.slice_len.into()).saturating_sub(1);
        let framing = u64::from(self.head_len) + u64::from(self.tail_len);
        framing + payload + seams * u64::from(self.between_len)
    }

    /// The framed message without its first `skip` bytes.
    pub fn pieces(&self, skip: u64) -> impl Iterator<Item = Piece<'_>> {
        let head = self.head();
        let between = &self.between[..usize::from(self.between_len)];
        let payload = u64::from(self.payload_len);
        let mut skip = skip;
        let tail = &self.tail[..usize::from(self.tail_len)];
        let slice_len = u64::from(self.slice_len);
        let slices = payload.div_ceil(slice_len).max(1);
        (0..slices)
            .flat_map(move |index| {
                let start = index * slice_len;
                let framing = if index == 0 { head } else { between };
                [
                    Piece::Framing(framing),
                    Piece::Payload(start..payload.min(start + slice_len)),
                ]
            })
            .chain([Piece::Framing(tail)])
            .filter_map(move |piece| {
                let len = piece.len();
                let cut = skip.min(len);
                skip -= cut;
                (cut < len).then(|| piece.without_first(cut))
            })
    }
}

impl<'a> Piece<'a> {
    fn len(&self) -> u64 {
        match self {
            Piece::Framing(bytes) => bytes.len() as u64,
            Piece::Payload(range) => range.end - range.start,
        }
    }

    fn without_first(self, cut: u64) -> Piece<'a> {
        match self {
            Piece::Framing(bytes) => Piece::Framing(&bytes[cut as usize..]),
            Piece::Payload(range) => Piece::Payload(range.start + cut..range.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::chunk_reader::{ChunkReader, Heap, Limits};

    fn framed(frame: &Frame, payload: &[u8], skip: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in frame.pieces(skip) {
            match piece {
                Piece::Framing(bytes) => out.extend_from_slice(bytes),
                Piece::Payload(range) => {
                    out.extend_from_slice(&payload[range.start as usize..range.end as usize]);
                }
            }
        }
        out
    }

    fn message(kind: Kind, timestamp: u32, len: u32) -> Message {
        Message {
            number: 7,
            kind,
            timestamp,
            len,
            is_sync: true,
            sample: Sample::default(),
        }
    }

    #[test]
    fn a_framed_message_of_any_length_reads_back() {
        for len in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
            for timestamp in [0, 0xFF_FFFE, 0xFF_FFFF, u32::MAX] {
                let payload: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
                let framing = Framing::Rtmp {
                    message_stream_id: 3,
                    dialect: Dialect::AMF0,
                };
                let frame = framing.frame(&message(Kind::Video, timestamp, len));
                let bytes = framed(&frame, &payload, 0);
                assert_eq!(bytes.len() as u64, frame.total_len());

                let limits = Limits {
                    media: 1 << 24,
                    data: 0,
                    command: 0,
                    ..Limits::NONE
                };
                let mut reader = ChunkReader::new(Heap, limits);
                reader.set_chunk_size(CHUNK_SIZE).unwrap();
                let mut input = bytes.as_slice().into();
                let header = reader.read(&mut input).unwrap().unwrap();
                assert_eq!((header.timestamp, header.message_stream_id), (timestamp, 3));
                assert_eq!(reader.assembled().unwrap(), &payload);
                assert!(input.is_empty());
            }
        }
    }

    #[test]
    fn resuming_anywhere_gives_the_rest_of_the_same_bytes() {
        let payload: Vec<u8> = (0..140_000u32).map(|i| (i % 249) as u8).collect();
        let frame = Framing::Rtmp {
            message_stream_id: 1,
            dialect: Dialect::AMF0,
        }
        .frame(&message(Kind::Video, 0x0100_0000, payload.len() as u32));
        let whole = framed(&frame, &payload, 0);
        let near_seams = (0..40).chain(65_540..65_570).chain(131_080..131_110);
        for skip in near_seams.chain(whole.len() - 3..whole.len() + 1) {
            assert_eq!(
                framed(&frame, &payload, skip as u64),
                whole[skip..],
                "skip {skip}"
            );
        }
    }

    #[test]
    fn the_size_of_a_chunk_is_written_in_as_few_digits_as_it_takes() {
        for (len, expected) in [
            (0, "0\r\n"),
            (1, "1\r\n"),
            (0xF, "F\r\n"),
            (0x10, "10\r\n"),
            (0xABC, "ABC\r\n"),
            (0x9_0000, "90000\r\n"),
            (0xFFFF_FFFF, "FFFFFFFF\r\n"),
        ] {
            let (head, head_len) = chunk_head(len);
            assert_eq!(&head[..head_len], expected.as_bytes());
        }
    }

    #[test]
    fn metadata_always_has_timestamp_zero() {
        let frame = Framing::Rtmp {
            message_stream_id: 1,
            dialect: Dialect::AMF0,
        }
        .frame(&message(Kind::Data, 5000, 3));
        assert_eq!(framed(&frame, b"abc", 0)[..4], [5, 0, 0, 0]);
    }
}
