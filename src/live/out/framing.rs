//! Framings: a format in a carrier. The framing and the messages alone determine the bytes that a
//! receiver gets.
//!
//! A framed message is a pure function of the message and of values that were fixed when the receiver
//! joined, so a partly sent message is resumed by computing the same bytes again.

use super::carrier::{self, Carrier};
use super::format::{WireFormat, mp4};
use super::framed::FramedMessage;
use super::message::Message;
use crate::live::tracks::Has;
use crate::media::mp4::Presentation;
use crate::rtmp::server_session::{
    Dialect, Over, end_of_publish, end_of_stream, no_codec_for_player,
};

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    pub(super) format: WireFormat,
    carrier: Carrier,
}

/// The answer to a request for a file, once the stream knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAnswer<'a> {
    /// The file follows, with this content type.
    File(&'a str),
    /// The stream ended before there was anything to send.
    NotLive,
    /// The stream has nothing that the format can hold.
    NoCodec,
}

/// Makes the bytes of an answer: always the same bytes for the same answer.
pub type Respond = Box<dyn Fn(FileAnswer<'_>) -> Vec<u8> + Send>;

impl Framing {
    /// The framing of RTMP, for the player on this message stream.
    pub const fn rtmp(message_stream_id: u32, dialect: Dialect) -> Framing {
        Framing {
            format: WireFormat::Rtmp {
                message_stream_id,
                dialect,
                is_publisher: false,
            },
            carrier: Carrier::Raw,
        }
    }

    /// The framing of RTMP for a server, to which the stream is published on this message stream.
    pub const fn publishing(message_stream_id: u32) -> Framing {
        Framing {
            format: WireFormat::Rtmp {
                message_stream_id,
                dialect: Dialect::AMF0,
                is_publisher: true,
            },
            carrier: Carrier::Raw,
        }
    }

    /// The framing of an FLV file.
    pub const fn flv(carrier: Carrier) -> Framing {
        let format = WireFormat::Flv { base: 0 };
        Framing { format, carrier }
    }

    /// The framing of a fragmented MP4 file.
    pub const fn mp4(carrier: Carrier) -> Framing {
        let base = mp4::Base { video: 0, audio: 0 };
        let format = WireFormat::Mp4 { base };
        Framing { format, carrier }
    }

    /// Whether the receiver is a server, to which the stream is published.
    pub(super) fn is_push(&self) -> bool {
        let format = self.format;
        matches!(format, WireFormat::Rtmp { is_publisher, .. } if is_publisher)
    }

    /// Whether framed messages have the same length in both framings.
    pub(super) fn is_like(&self, other: &Framing) -> bool {
        self.carrier == other.carrier && self.format.is_like(&other.format)
    }

    /// Frames a message.
    pub fn frame(&self, message: &Message) -> FramedMessage {
        let mut framed = FramedMessage::bare(message.len);
        let piece_len = self.format.overhead() + u64::from(message.len);
        framed.head.push(self.carrier.head(piece_len).as_slice());
        self.format.frame(message, &mut framed);
        framed.tail.push(self.carrier.tail());
        framed
    }

    /// The head before the first message of a file, and before the first message of another
    /// presentation. `respond`: the file answers an HTTP request, and no byte of the answer has been
    /// sent.
    pub(super) fn lead(
        &self,
        presentation: &Presentation,
        has: Has,
        respond: Option<&Respond>,
    ) -> Vec<u8> {
        let (content_type, file) = self.format.lead(presentation, has);
        let head = respond.map(|respond| respond(FileAnswer::File(&content_type)));
        let mut lead = head.unwrap_or_default();
        // Players of FLV, such as mpegts.js, give up at a message that isn't binary.
        if self.carrier == Carrier::WebSocket && self.format.is_mp4() {
            carrier::put_text(&content_type, &mut lead);
        }
        self.carrier.put(&file, &mut lead);
        lead
    }

    /// The last bytes for the receiver: the stream is `over`, or else has nothing that the receiver
    /// accepts. `respond` as for [`lead`](Framing::lead).
    pub(super) fn goodbye(&self, over: Option<Over>, respond: Option<&Respond>) -> Vec<u8> {
        if let WireFormat::Rtmp {
            message_stream_id,
            dialect,
            is_publisher,
        } = self.format
        {
            if is_publisher {
                return end_of_publish(message_stream_id);
            }
            return match over {
                Some(over) => end_of_stream(message_stream_id, dialect, over),
                None => no_codec_for_player(message_stream_id, dialect),
            };
        }
        match (over, respond) {
            (Some(_), Some(respond)) => respond(FileAnswer::NotLive),
            (Some(_), None) => self.carrier.end(),
            (None, Some(respond)) => respond(FileAnswer::NoCodec),
            (None, None) => self.carrier.give_up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::kind::Kind;
    use crate::live::log::Sample;
    use crate::rtmp::chunk_reader::{ChunkReader, Heap, Limits};
    use crate::rtmp::chunk_writer::CHUNK_SIZE;

    fn framed(message: &FramedMessage, payload: &[u8], skip: u64) -> Vec<u8> {
        let mut out = Vec::new();
        message.each_slice(
            skip,
            &|range, put| put(&payload[range.start as usize..range.end as usize]),
            &mut |bytes| out.extend_from_slice(bytes),
        );
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
                let framing = Framing::rtmp(3, Dialect::AMF0);
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
        let framing = Framing::rtmp(1, Dialect::AMF0);
        let frame = framing.frame(&message(Kind::Video, 0x0100_0000, payload.len() as u32));
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
        let framing = Framing::rtmp(1, Dialect::AMF0);
        let frame = framing.frame(&message(Kind::Data, 5000, 3));
        assert_eq!(framed(&frame, b"abc", 0)[..4], [5, 0, 0, 0]);
    }

    #[test]
    fn a_server_gets_metadata_as_publishers_send_it() {
        let framing = Framing::publishing(5);
        let frame = framing.frame(&message(Kind::Data, 5000, 3));
        let bytes = framed(&frame, b"abc", 0);
        assert_eq!(bytes.len() as u64, frame.total_len());
        assert_eq!(bytes[..12], *b"\x05\0\0\0\0\0\x13\x12\x05\0\0\0");
        assert_eq!(bytes[12..], *b"\x02\0\x0D@setDataFrameabc");
        for skip in 0..bytes.len() {
            assert_eq!(framed(&frame, b"abc", skip as u64), bytes[skip..]);
        }
        let video = message(Kind::Video, 5000, 3);
        let player = Framing::rtmp(5, Dialect::AMF0).frame(&video);
        assert_eq!(
            framed(&framing.frame(&video), b"abc", 0),
            framed(&player, b"abc", 0)
        );
    }
}
