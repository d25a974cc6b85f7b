//! Framings: the few bytes that a receiver wants around a message of the log.
//!
//! The framing of a message is a pure function of the message and of what was fixed when the
//! receiver joined, so a message that was sent in part is resumed by computing the same bytes
//! again. Every message carries a full header, so every message boundary is a legal place to
//! jump to.
//!
//! ```text
//! RTMP   type 0 header (12 or 16) | 65536 bytes | type 3 header (1 or 5) | 65536 bytes | ...
//! ```

use std::ops::Range;

use super::log::Kind;
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
}

/// The framing of one message.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    head: [u8; 16],
    head_len: u8,
    /// Comes between two slices of the payload.
    between: [u8; 5],
    between_len: u8,
    payload_len: u32,
}

/// Longest run of payload without framing bytes.
const SLICE_LEN: u64 = CHUNK_SIZE as u64;

impl Framing {
    /// Frames a message of `payload_len` bytes.
    pub fn frame(&self, kind: Kind, timestamp: u32, payload_len: u32) -> Frame {
        let Framing::Rtmp {
            message_stream_id, ..
        } = *self;
        let (chunk_stream_id, type_id, timestamp) = match kind {
            Kind::Audio => (chunk_stream_id::AUDIO, type_id::AUDIO, timestamp),
            Kind::Video => (chunk_stream_id::VIDEO, type_id::VIDEO, timestamp),
            // ffmpeg, and with it VLC and mpv, take metadata for a text track unless its
            // timestamp is 0; VLC then buffers for ten seconds.
            Kind::Data => (chunk_stream_id::STATUS, type_id::DATA, 0),
        };
        let header = MessageHeader {
            chunk_stream_id,
            timestamp,
            len: payload_len,
            type_id,
            message_stream_id,
        };
        let mut head = [0; 16];
        let mut between = [0; 5];
        Frame {
            head_len: header.emit(&mut head) as u8,
            head,
            between_len: header.emit_continuation(&mut between) as u8,
            between,
            payload_len,
        }
    }
}

impl Framing {
    /// What the receiver is told when the stream has nothing for it.
    pub fn nothing_to_take(&self) -> Vec<u8> {
        let Framing::Rtmp {
            message_stream_id,
            dialect,
        } = *self;
        no_codec_for_player(message_stream_id, dialect)
    }

    /// What the receiver is told when the stream is over.
    pub fn last_words(&self, over: Over) -> Vec<u8> {
        let Framing::Rtmp {
            message_stream_id,
            dialect,
        } = *self;
        end_of_stream(message_stream_id, dialect, over)
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
    /// Length of the framed message in bytes.
    pub fn total_len(&self) -> u64 {
        let payload = u64::from(self.payload_len);
        let seams = payload.div_ceil(SLICE_LEN).saturating_sub(1);
        u64::from(self.head_len) + payload + seams * u64::from(self.between_len)
    }

    /// The framed message without its first `skip` bytes.
    pub fn pieces(&self, skip: u64) -> impl Iterator<Item = Piece<'_>> {
        let head = &self.head[..usize::from(self.head_len)];
        let between = &self.between[..usize::from(self.between_len)];
        let payload = u64::from(self.payload_len);
        let mut skip = skip;
        let slices = payload.div_ceil(SLICE_LEN).max(1);
        (0..slices)
            .flat_map(move |index| {
                let start = index * SLICE_LEN;
                let framing = if index == 0 { head } else { between };
                [
                    Piece::Framing(framing),
                    Piece::Payload(start..payload.min(start + SLICE_LEN)),
                ]
            })
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

    #[test]
    fn a_framed_message_of_any_length_reads_back() {
        for len in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
            for timestamp in [0, 0xFF_FFFE, 0xFF_FFFF, u32::MAX] {
                let payload: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
                let framing = Framing::Rtmp {
                    message_stream_id: 3,
                    dialect: Dialect::AMF0,
                };
                let frame = framing.frame(Kind::Video, timestamp, len);
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
                let mut input = bytes.as_slice();
                let header = reader.read(&mut input).unwrap().unwrap();
                assert_eq!((header.timestamp, header.message_stream_id), (timestamp, 3));
                assert_eq!(reader.payload().unwrap(), &payload);
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
        .frame(Kind::Video, 0x0100_0000, payload.len() as u32);
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
    fn metadata_always_has_timestamp_zero() {
        let frame = Framing::Rtmp {
            message_stream_id: 1,
            dialect: Dialect::AMF0,
        }
        .frame(Kind::Data, 5000, 3);
        assert_eq!(framed(&frame, b"abc", 0)[..4], [5, 0, 0, 0]);
    }
}
