//! The encoder's side of a connection, in memory: it writes chunks as encoders do, a real server session
//! reads them, and the stream is published.

use brooklet::live::arena::Arena;
use brooklet::live::kind::Kind;
use brooklet::live::stream::Superseded;
use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::chunk_reader::{ChunkReader, Heap, Limits};
use brooklet::rtmp::command::{self, Command};
use brooklet::rtmp::flight_recorder::FlightRecorder;
use brooklet::rtmp::metadata;
use brooklet::rtmp::server_session::{Event, ServerSession};

use crate::fixture::{AAC_HEADER, AVC_HEADER, Fixture, grace};

/// The window that the encoder announces. It would stop if this many bytes were unacknowledged.
const WINDOW: u32 = 2_500_000;

const MAX_MESSAGE: u32 = 4 << 20;

/// The initial chunk size (RTMP 1.0, 5.4.1), and the size that the encoder chooses.
const FIRST_CHUNK_SIZE: usize = 128;
const CHUNK_SIZE: u32 = 4_096;

/// The length of C0, C1 and C2 in bytes, which equals the length of the server's part.
const HANDSHAKE_LEN: usize = 1 + 2 * 1536;

/// A writer of chunks: type 0 for the first message on a chunk stream, for keyframes, and after a step
/// back, otherwise type 1 with a delta; type 3 for the rest of a message, with the extended timestamp if
/// there was one (RTMP 1.0, 5.3.1).
struct Chunks {
    size: usize,
    /// The newest timestamp of each chunk stream.
    newest: [Option<u32>; 8],
}

impl Chunks {
    fn write(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        let Message {
            chunk_stream_id,
            type_id,
            message_stream_id,
            timestamp,
            is_full,
            payload,
        } = *message;
        let newest = &mut self.newest[usize::from(chunk_stream_id)];
        let delta = newest.map(|newest| timestamp.wrapping_sub(newest));
        let delta = delta.filter(|delta| !is_full && *delta < 1 << 31);
        *newest = Some(timestamp);

        let time = delta.unwrap_or(timestamp);
        let extended = time.to_be_bytes();
        let extended = if time >= 0xFF_FFFF {
            &extended[..]
        } else {
            &[]
        };
        let len = (payload.len() as u32).to_be_bytes();
        out.push(if delta.is_some() { 0x40 } else { 0 } | chunk_stream_id);
        out.extend_from_slice(&time.min(0xFF_FFFF).to_be_bytes()[1..]);
        out.extend_from_slice(&len[1..]);
        out.push(type_id);
        if delta.is_none() {
            out.extend_from_slice(&message_stream_id.to_le_bytes());
        }
        out.extend_from_slice(extended);
        for (index, chunk) in payload.chunks(self.size).enumerate() {
            if index > 0 {
                out.push(0xC0 | chunk_stream_id);
                out.extend_from_slice(extended);
            }
            out.extend_from_slice(chunk);
        }
    }
}

struct Message<'a> {
    chunk_stream_id: u8,
    type_id: u8,
    message_stream_id: u32,
    timestamp: u32,
    is_full: bool,
    payload: &'a [u8],
}

/// A publishing encoder and its session.
pub(crate) struct Encoder {
    session: ServerSession<Arena>,
    chunks: Chunks,
    /// The bytes that have been written but not sent yet.
    out: Vec<u8>,
    /// The number of bytes sent, and the number of bytes acknowledged.
    pub(crate) sent: u64,
    acknowledged: u64,
    replies: ChunkReader<Heap>,
    /// The bytes that were sent while it was still writing.
    early: Vec<u8>,
    recorder: FlightRecorder,
    generation: u64,
}

impl Encoder {
    /// Connects and publishes, up to the sequence headers, which have the timestamp `header_time`.
    pub(crate) fn publish(fixture: &Fixture, address: [u8; 4], header_time: u32) -> Encoder {
        let limits = Limits {
            media: 0,
            data: 1 << 16,
            command: 1 << 16,
            ..Limits::NONE
        };
        let mut encoder = Encoder {
            session: ServerSession::new((*fixture.arena).clone(), MAX_MESSAGE, |random| {
                random.fill(0x77);
            }),
            chunks: Chunks {
                size: FIRST_CHUNK_SIZE,
                newest: [None; 8],
            },
            out: vec![3; HANDSHAKE_LEN],
            sent: 0,
            acknowledged: 0,
            replies: ChunkReader::new(Heap, limits),
            early: Vec::new(),
            recorder: FlightRecorder::default(),
            generation: 0,
        };
        let mut say = |message_stream_id, transaction_id, name: &str, object, arguments| {
            let command = Command {
                name: name.to_owned(),
                transaction_id,
                object,
                arguments,
            };
            let payload = command.emit();
            encoder.write(3, 20, message_stream_id, 0, true, &payload);
        };
        let object = command::object([("app", command::text("live"))]);
        say(0, 1.0, "connect", object, vec![]);
        say(0, 2.0, "createStream", Value::Null, vec![]);
        say(1, 3.0, "publish", Value::Null, vec![command::text("test")]);
        encoder.write(2, 5, 0, 0, true, &WINDOW.to_be_bytes());
        encoder.set_chunk_size(CHUNK_SIZE);
        let mut metadata = Vec::new();
        let properties = vec![("width".to_owned(), Value::Number(640.0))];
        for value in [
            command::text("@setDataFrame"),
            command::text("onMetaData"),
            Value::EcmaArray(properties),
        ] {
            value.emit(&mut metadata);
        }
        encoder.write(5, 18, 1, 0, true, &metadata);
        encoder.write(6, 9, 1, header_time, true, AVC_HEADER);
        encoder.write(4, 8, 1, header_time, true, AAC_HEADER);
        // The first message on a chunk stream is never read in place, which the ballast should be.
        encoder.write(7, 9, 2, 0, true, &[0x27]);

        let bytes = std::mem::take(&mut encoder.out);
        encoder.receive(fixture, &bytes, address).unwrap();
        let last = encoder.session.take_output();
        let replies = [std::mem::take(&mut encoder.early), last].concat();
        encoder.read_replies(&replies[HANDSHAKE_LEN..]);
        assert!(encoder.generation > 0, "the publish was accepted");
        encoder
    }

    /// Writes a video or audio frame, to be sent later.
    pub(crate) fn media(&mut self, kind: Kind, timestamp: u32, is_keyframe: bool, payload: &[u8]) {
        match kind {
            Kind::Video => self.write(6, 9, 1, timestamp, is_keyframe, payload),
            _ => self.write(4, 8, 1, timestamp, false, payload),
        }
    }

    /// Sends the written bytes in reads of this length, and pumps the stream after each read.
    pub(crate) fn send(&mut self, fixture: &Fixture, read_len: usize) -> Result<(), Superseded> {
        let bytes = std::mem::take(&mut self.out);
        for read in bytes.chunks(read_len) {
            self.receive(fixture, read, [0; 4])?;
            fixture.stream.pump(fixture.now.get());
        }
        self.out = bytes;
        self.out.clear();
        self.check_acknowledgements();
        Ok(())
    }

    /// Sends 4 MiB of video in one chunk on a message stream that isn't published. The video is
    /// received, counted, acknowledged and dropped.
    pub(crate) fn send_ballast(&mut self, fixture: &Fixture, ballast: &[u8]) {
        self.set_chunk_size(0xFF_FFFF);
        self.receive_out(fixture);
        self.receive(fixture, ballast, [0; 4]).unwrap();
        self.set_chunk_size(CHUNK_SIZE);
        self.receive_out(fixture);
        self.check_acknowledgements();
    }

    /// Returns the bytes for [`send_ballast`](Self::send_ballast).
    pub(crate) fn ballast() -> Vec<u8> {
        let mut chunks = Chunks {
            size: 0xFF_FFFF,
            newest: [None; 8],
        };
        let mut bytes = Vec::new();
        let message = Message {
            chunk_stream_id: 7,
            type_id: 9,
            message_stream_id: 2,
            timestamp: 0,
            is_full: true,
            payload: &vec![0x27; MAX_MESSAGE as usize],
        };
        chunks.write(&message, &mut bytes);
        bytes
    }

    /// Sends the beginning of a frame.
    pub(crate) fn frame_in_part(&mut self, fixture: &Fixture, len: usize, sent: usize) {
        self.media(Kind::Video, 0, true, &vec![0x27; len]);
        let bytes = std::mem::take(&mut self.out);
        self.receive(fixture, &bytes[..sent], [0; 4]).unwrap();
    }

    /// Ends the connection.
    pub(crate) fn unpublish(self, fixture: &Fixture) {
        let grace = grace(fixture.now.get());
        fixture
            .stream
            .unpublish(self.generation, grace, fixture.now.get());
    }

    fn write(
        &mut self,
        chunk_stream_id: u8,
        type_id: u8,
        message_stream_id: u32,
        timestamp: u32,
        is_full: bool,
        payload: &[u8],
    ) {
        let message = Message {
            chunk_stream_id,
            type_id,
            message_stream_id,
            timestamp,
            is_full,
            payload,
        };
        self.chunks.write(&message, &mut self.out);
    }

    fn set_chunk_size(&mut self, size: u32) {
        self.write(2, 1, 0, 0, true, &size.to_be_bytes());
        self.chunks.size = size as usize;
    }

    fn receive_out(&mut self, fixture: &Fixture) {
        let bytes = std::mem::take(&mut self.out);
        self.receive(fixture, &bytes, [0; 4]).unwrap();
    }

    /// Handles the bytes of one read, as the connection's thread does.
    fn receive(
        &mut self,
        fixture: &Fixture,
        input: &[u8],
        address: [u8; 4],
    ) -> Result<(), Superseded> {
        let mut input = Bytes::from(input);
        let (stream, now) = (&fixture.stream, fixture.now.get());
        self.sent += input.len() as u64;
        if self.generation > 0 {
            stream.heard(now);
        }
        loop {
            match self
                .session
                .handle(&mut input, &mut self.recorder.at(now))
                .unwrap()
            {
                None => return Ok(()),
                Some(Event::Media(media)) => {
                    let (medium, time) = (media.medium, media.timestamp);
                    let payload = self.session.payload(&media);
                    stream.append(self.generation, medium, time, payload, now)?;
                }
                Some(Event::Metadata { .. }) => {
                    let body = self.session.body();
                    let properties = metadata::parse(body.bytes()).unwrap();
                    stream.set_metadata(self.generation, properties.as_ref(), now)?;
                }
                Some(Event::Replies) => self.early.append(&mut self.session.take_output()),
                Some(Event::Connect(_)) => self.session.accept_connect(),
                Some(Event::Publish {
                    message_stream_id, ..
                }) => {
                    self.generation = fixture.try_publish(address).unwrap().generation;
                    self.session.accept_publish(message_stream_id, "live/test");
                }
                Some(event) => panic!("{event:?}"),
            }
        }
    }

    fn check_acknowledgements(&mut self) {
        let replies = self.session.take_output();
        self.read_replies(&replies);
        assert!(self.acknowledged <= self.sent, "more than was sent");
        let open = self.sent - self.acknowledged;
        assert!(open < WINDOW.into(), "{open} bytes not acknowledged");
    }

    fn read_replies(&mut self, replies: &[u8]) {
        let mut replies = Bytes::from(replies);
        while let Some(header) = self.replies.read(&mut replies).unwrap() {
            let payload = self.replies.assembled().unwrap();
            let number = || u32::from_be_bytes(payload[..4].try_into().unwrap());
            match header.type_id {
                1 => {
                    let size = number();
                    self.replies.set_chunk_size(size).unwrap();
                }
                3 => {
                    // Modulo 2^32, and never decreasing.
                    let step = number().wrapping_sub(self.acknowledged as u32);
                    assert!(step < 1 << 31, "an acknowledgement goes back");
                    self.acknowledged += u64::from(step);
                }
                _ => {}
            }
        }
        assert!(replies.is_empty());
    }
}
