//! What the fuzz targets do with their input, and the invariants that they check.
//! `tests/hostile_input.rs` runs the same functions over mutated captures and over every input that
//! ever crashed one.

mod http;
mod mp4;
mod tree;

use std::cell::Cell;
use std::rc::Rc;

use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::live::payload::SMALL_LEN;
use brooklet::media::aac::AacConfig;
use brooklet::media::access_unit::{
    MAX_SETS_LEN, ParameterSets, UnitFormat, clean_range, is_keyframe, summarize,
};
use brooklet::media::avc::{self, AvcConfig};
use brooklet::media::codec::{Codec, VideoCodec};
use brooklet::media::hevc::{self, HevcConfig};
use brooklet::media::tag::tracks::{TrackMessage, TrackSplitter};
use brooklet::media::tag::{Tag, TagKind};
use brooklet::media::video_format::VideoFormat;
use brooklet::media::{Medium, TrackInfo};
use brooklet::rtmp::amf::{Parts, Properties, Reader};
use brooklet::rtmp::amf0::{self, MissingEnd, Value};
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::chunk::{self, chunk_stream_id};
use brooklet::rtmp::chunk_reader::{
    ChunkReader, Heap, Limits, Payload, PayloadSource, ReceivedMessage,
};
use brooklet::rtmp::chunk_writer::ChunkWriter;
use brooklet::rtmp::command::{Command, object, text};
use brooklet::rtmp::data::{self, Relayed};
use brooklet::rtmp::flight_recorder::FlightRecorder;
use brooklet::rtmp::message::{Control, UserControl, type_id};
use brooklet::rtmp::server_session::{Event, MAX_REPLIES, ServerSession};
use brooklet::rtmp::{Error, metadata as rtmp_metadata};

pub use http::{http_head, websocket};
pub use mp4::mp4;

/// The longest media message in these tests.
const MAX_MESSAGE: u32 = 1 << 20;

// Chunk reader.

/// A message as it was read, or the error that ended the reading.
type Read = Result<(ReceivedMessage<'static>, Vec<u8>), Error>;

/// The first byte says how the rest is cut. Whatever the cut, and however little memory there is at
/// a time, the same messages must come out.
pub fn chunk_reader(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = read_all(Heap, [bytes]);
    assert_eq!(read_all(Heap, bytes.chunks(1)), whole, "byte by byte");
    assert_eq!(
        read_all(Heap, bytes.chunks(usize::from(cut) + 2)),
        whole,
        "in pieces"
    );
    let narrow = Narrow {
        room: Rc::new(Cell::new(0)),
    };
    assert_eq!(read_all(narrow, [bytes]), whole, "with little room");
}

/// Reads like a session: obeys Set Chunk Size and Abort.
fn read_all<'a, S: PayloadSource + Refill>(
    source: S,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Read> {
    let limits = Limits {
        media: MAX_MESSAGE,
        data: 1 << 16,
        command: 1 << 15,
        ..Limits::NONE
    };
    let refill = source.refill();
    let mut reader = ChunkReader::new(source, limits);
    let mut messages = Vec::new();
    for input in pieces {
        let mut input = Bytes::from(input);
        loop {
            let (header, body) = match reader.read(&mut input) {
                Ok(Some(message)) => {
                    let payload = reader.payload(message.in_place);
                    let body = payload.collect::<Vec<_>>().concat();
                    // Wherever it lies, it comes to the same.
                    let header = ReceivedMessage {
                        chunk_stream_id: message.chunk_stream_id,
                        timestamp: message.timestamp,
                        type_id: message.type_id,
                        message_stream_id: message.message_stream_id,
                        in_place: None,
                    };
                    (header, body)
                }
                Ok(None) => break,
                Err(Error::OutOfBlocks) => {
                    refill();
                    continue;
                }
                Err(error) => {
                    messages.push(Err(error));
                    return messages;
                }
            };
            let obeyed = match Control::parse(header.type_id, &body) {
                Ok(Control::SetChunkSize(size)) if header.type_id == 1 => {
                    reader.set_chunk_size(size)
                }
                Ok(Control::Abort(id)) if header.type_id == 2 => {
                    reader.abort(id);
                    Ok(())
                }
                _ => Ok(()),
            };
            messages.push(Ok((header, body)));
            if let Err(error) = obeyed {
                messages.push(Err(error));
                return messages;
            }
        }
        assert!(
            input.is_empty(),
            "input is left though the reader wants more"
        );
    }
    messages
}

trait Refill {
    fn refill(&self) -> Box<dyn Fn()>;
}

impl Refill for Heap {
    fn refill(&self) -> Box<dyn Fn()> {
        Box::new(|| panic!("the heap has no blocks to be out of"))
    }
}

/// Memory that is given three bytes at a time.
struct Narrow {
    room: Rc<Cell<usize>>,
}

struct NarrowPayload {
    room: Rc<Cell<usize>>,
    bytes: Vec<u8>,
}

impl Refill for Narrow {
    fn refill(&self) -> Box<dyn Fn()> {
        let room = Rc::clone(&self.room);
        Box::new(move || {
            assert_eq!(room.replace(3), 0, "out of blocks with room left");
        })
    }
}

impl PayloadSource for Narrow {
    type Payload = NarrowPayload;

    fn payload(&self) -> NarrowPayload {
        NarrowPayload {
            room: Rc::clone(&self.room),
            bytes: Vec::new(),
        }
    }
}

impl Payload for NarrowPayload {
    fn extend(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room.get());
        self.room.set(self.room.get() - taken);
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        std::iter::once(self.bytes.as_slice())
    }
}

// AMF0.

/// What was read can be written, and reads as the same again. It equals what a simpler decoder
/// reads, wherever the message is cut in two.
pub fn amf0(data: &[u8]) {
    for missing_end in [MissingEnd::Refused, MissingEnd::Tolerated] {
        compare(data, missing_end);
    }
    let Ok(values) = amf0::parse(data, MissingEnd::Tolerated) else {
        return;
    };
    let bytes = emit(&values);
    // Compared as bytes, since NaN isn't equal to itself.
    let again = amf0::parse(&bytes, MissingEnd::Refused).expect("what was emitted parses");
    assert_eq!(emit(&again), bytes);
    let _ = Command::parse(data);
}

/// The server's reader and the simple decoder must find the same.
fn compare(data: &[u8], missing_end: MissingEnd) {
    let expected = tree::parse(data, missing_end == MissingEnd::Tolerated);
    let middle = data.len() / 2;
    for cut in [0, 1, 2, 3, 5, middle, data.len().saturating_sub(1)] {
        let (left, right) = data.split_at(cut.min(data.len()));
        let parts = Parts::new([left, right]).expect("two are few");
        let mut reader = Reader::tolerating(parts.bytes(), missing_end);
        for value in &expected.values {
            let read = reader.next_value().expect("the decoder read it");
            let read = read.expect("the decoder read it");
            assert_eq!(
                emit(&[read]),
                emit(std::slice::from_ref(value)),
                "cut at {cut}"
            );
        }
        let rest = reader.next_value();
        assert_eq!(
            rest.is_err(),
            expected.is_cut_short,
            "cut at {cut}: {rest:?}"
        );
        assert!(!matches!(rest, Ok(Some(_))), "cut at {cut}: {rest:?}");
    }
}

/// A value in AMF3. What it decodes to is written in AMF3 and in AMF0, and must read back the same.
pub fn amf3(data: &[u8]) {
    let avmplus = [&[0x11], data].concat();
    compare(&avmplus, MissingEnd::Refused);
    let mut reader = Reader::new(avmplus.as_slice().into());
    let value = match reader.next_value() {
        Ok(Some(value)) => value,
        Ok(None) => unreachable!("there is a marker"),
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
            return;
        }
    };
    let mut again = Vec::new();
    amf0::emit_avmplus(&value, &mut again);
    for bytes in [again, emit(std::slice::from_ref(&value))] {
        let read = amf0::parse(&bytes, MissingEnd::Refused).expect("what was emitted parses");
        assert_eq!(emit(&read), emit(std::slice::from_ref(&value)));
    }
}

fn emit(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| value.emit(&mut bytes));
    bytes
}

/// The first byte says which tracks there are, the rest are values. Players must be sent one ECMA
/// array with the right count, never too long, and filtering it again must change nothing.
pub fn metadata(data: &[u8]) {
    let Some((&tracks, bytes)) = data.split_first() else {
        return;
    };
    let Ok(values) = amf0::parse(bytes, MissingEnd::Tolerated) else {
        return;
    };
    let track = |bit: u8| (tracks & bit != 0).then_some(tracks & (bit << 1) != 0);
    let (has_audio, has_video) = (track(1), track(4));
    for value in values {
        let bytes = emit(&[value]);
        let Some(properties) = Properties::of(&bytes) else {
            continue;
        };
        let made = rtmp_metadata::for_players(&properties, has_audio, has_video);
        assert!(made.len() <= rtmp_metadata::MAX_LEN, "{} bytes", made.len());
        let read = amf0::parse(&made, MissingEnd::Refused).expect("players can parse it");
        let [Value::String(name), Value::EcmaArray(safe)] = read.as_slice() else {
            panic!("expected onMetaData and an ECMA array: {read:?}")
        };
        assert_eq!(name, "onMetaData");
        assert_eq!(made[14..18], (safe.len() as u32).to_be_bytes());
        let again = rtmp_metadata::parse(made.as_slice().into()).expect("it is metadata");
        let again = again.expect("it has properties");
        assert_eq!(
            rtmp_metadata::for_players(&again, has_audio, has_video),
            made
        );
    }
}

// Media.

/// The number of prefixes of a payload that are read: headers end before that.
const BEGINNINGS: usize = 128;

/// The lowest bit of the first byte chooses: the rest is the payload of an audio or of a video
/// message.
///
/// However much of the payload is there, its header must read the same once it is there; what is
/// rewritten for players must read as what came.
pub fn tag(data: &[u8]) {
    let Some((&first, payload)) = data.split_first() else {
        return;
    };
    if first & 1 == 1 {
        audio_tag(payload);
    } else {
        video_tag(payload);
    }
    for medium in [Medium::Audio, Medium::Video] {
        tracks(medium, payload);
    }
    configurations(payload);
    frames(payload);
}

/// Players are sent messages of one track each, hardly longer than what came, and rewriting them
/// again changes nothing.
fn tracks(medium: Medium, payload: &[u8]) {
    let split = |payload: &[u8]| -> Vec<(TrackMessage, Vec<u8>)> {
        let mut messages = Vec::new();
        if let Some(mut many) = TrackSplitter::read(medium, payload) {
            while many.has_more() {
                if let Some(message) = many.next(&mut std::iter::once(payload)) {
                    messages.push(message);
                }
            }
        } else if let Some(message) = TrackMessage::read(medium, payload) {
            messages.push(message);
        }
        let rewritten = |message: TrackMessage| {
            let parts = message.payload(std::iter::once(payload));
            let bytes = parts.collect::<Vec<_>>().concat();
            (message, bytes)
        };
        messages.into_iter().map(rewritten).collect()
    };
    for (message, bytes) in split(payload) {
        assert!(bytes.len() <= payload.len() + 8);
        let again = split(&bytes);
        let [(same, same_bytes)] = again.as_slice() else {
            panic!("{} messages of {bytes:X?}", again.len())
        };
        assert_eq!(*same_bytes, bytes);
        assert_eq!(
            (same.kind, same.track_id, same.four_cc, same.mod_ex_len),
            (
                message.kind,
                message.track_id,
                message.four_cc,
                message.mod_ex_len
            )
        );
        assert!(same.is_keyframe || !message.is_keyframe);
    }
}

fn video_tag(payload: &[u8]) {
    let info = TrackInfo::read(Medium::Video, payload);
    let tag = match Tag::parse(Medium::Video, payload) {
        Ok(tag) => tag,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
            assert_eq!(info, None);
            beginnings(payload).for_each(|part| drop(Tag::parse(Medium::Video, part)));
            return;
        }
    };
    assert!(tag.body_offset <= payload.len());
    assert_eq!(info.is_some(), tag.codec.is_some());
    if let Some(info) = info {
        assert!(!info.to_string().contains(char::is_control), "{info}");
    }
    assert!(tag.kind == TagKind::Frames || !tag.is_keyframe);
    for part in beginnings(payload) {
        let read = Tag::parse(Medium::Video, part);
        if part.len() >= tag.body_offset {
            let read = read.expect("the header is there");
            assert!(is_kind_of_beginning(read.kind, tag.kind));
            assert!(tag.is_keyframe || !read.is_keyframe);
            let (kind, is_keyframe) = (tag.kind, tag.is_keyframe);
            let read = Tag {
                kind,
                is_keyframe,
                ..read
            };
            assert_eq!(read, tag, "{} bytes", part.len());
        }
    }

    let mut rewritten = payload.to_vec();
    rewritten[0] = tag.first_byte_for_players(payload[0]);
    assert_eq!(
        payload[0] & 0x8F,
        rewritten[0] & 0x8F,
        "more than the frame type"
    );
    assert_eq!(Tag::parse(Medium::Video, &rewritten), Ok(tag));
    assert_eq!(tag.first_byte_for_players(rewritten[0]), rewritten[0]);
    if matches!(tag.codec, Some(Codec::Video(VideoCodec::Other(_)))) {
        assert_eq!(rewritten, payload, "of a codec that nobody here knows");
        return;
    }
    let frame_type = rewritten[0] >> 4 & 7;
    assert_ne!(frame_type, 0);
    if tag.kind == TagKind::Frames {
        assert_eq!(matches!(frame_type, 1 | 4), tag.is_keyframe);
    }
}

fn audio_tag(payload: &[u8]) {
    let info = TrackInfo::read(Medium::Audio, payload);
    let tag = match Tag::parse(Medium::Audio, payload) {
        Ok(tag) => tag,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
            assert_eq!(info, None);
            beginnings(payload).for_each(|part| drop(Tag::parse(Medium::Audio, part)));
            return;
        }
    };
    assert!(tag.body_offset <= payload.len());
    assert_eq!(info.is_some(), tag.codec.is_some());
    if let Some(info) = info {
        assert!(!info.to_string().contains(char::is_control), "{info}");
    }
    assert_eq!(tag.codec.is_none(), payload.is_empty());
    for part in beginnings(payload) {
        let read = Tag::parse(Medium::Audio, part);
        if part.len() >= tag.body_offset {
            let read = read.expect("the header is there");
            assert!(is_kind_of_beginning(read.kind, tag.kind));
            let kind = tag.kind;
            assert_eq!(Tag { kind, ..read }, tag, "{} bytes", part.len());
        }
    }
}

fn beginnings(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..payload.len().min(BEGINNINGS)).map(|len| &payload[..len])
}

/// A sequence header that is cut may no longer be one; everything else stays what it is.
fn is_kind_of_beginning(part: TagKind, whole: TagKind) -> bool {
    part == whole || (part, whole) == (TagKind::InvalidSequenceHeader, TagKind::SequenceHeader)
}

/// The bodies of sequence headers, also tried at the payload's beginning: the fuzzer gets there
/// sooner without a header in front.
fn configurations(payload: &[u8]) {
    for start in [0, 1, 2, 5].into_iter().filter(|at| *at <= payload.len()) {
        let body = &payload[start..];
        let avc = AvcConfig::parse(body).map(|config| {
            assert!((1..=4).contains(&config.nal_length_size));
            config.format
        });
        let hevc = HevcConfig::parse(body).map(|config| {
            assert!((1..=4).contains(&config.nal_length_size));
            config.format
        });
        for format in [&avc, &hevc].into_iter().filter_map(|f| f.clone().ok()?) {
            assert!(format.width > 0 && format.height > 0);
            let rate = format.frame_rate.unwrap_or(2_500);
            assert!((1..=100_000).contains(&rate), "{rate}");
        }
        for part in beginnings(body) {
            same_or_none(AvcConfig::parse(part).ok().and_then(|c| c.format), &avc);
            same_or_none(HevcConfig::parse(part).ok().and_then(|c| c.format), &hevc);
        }
        let _ = HevcConfig::is_disguised(body);
        match AacConfig::parse(body) {
            Ok(config) => {
                assert!(config.sample_rate > 0 && config.output_sample_rate > 0);
                assert_ne!(config.channels, Some(0));
            }
            Err(error) => assert!(!error.to_string().contains(char::is_control)),
        }
    }
}

/// What the beginning of a configuration says is not revoked by the rest.
fn same_or_none<E>(part: Option<VideoFormat>, whole: &Result<Option<VideoFormat>, E>) {
    if part.is_some() {
        assert!(matches!(whole, Ok(whole) if *whole == part));
    }
}

/// A frame that is a keyframe by its beginning is one as a whole. How it is split doesn't matter to
/// what its units say, and of what containers forbid nothing remains to be removed.
fn frames(payload: &[u8]) {
    use VideoCodec::*;
    for codec in [H264, Hevc, Vvc, Av1, Vp8, Vp9, Screen] {
        let whole = is_keyframe(codec, payload);
        for part in beginnings(payload) {
            assert!(whole || !is_keyframe(codec, part), "{codec}");
        }
        let length_size = payload.first().map_or(4, |byte| (byte & 3) + 1);
        units(UnitFormat { codec, length_size }, payload);
    }
}

fn units(format: UnitFormat, body: &[u8]) {
    let mut sets = ParameterSets::default();
    let seen = summarize(format, &mut body.chunks(7), &mut sets);
    assert!(sets.iter().map(<[u8]>::len).sum::<usize>() < MAX_SETS_LEN);
    let _ = avc::config_of_sets(format.length_size, sets.iter());
    let _ = hevc::config_of_sets(format.length_size, Some(body), sets.iter());
    assert_eq!(
        seen,
        summarize(format, &mut std::iter::once(body), &mut sets)
    );
    let mut clean = Vec::new();
    let mut at = 0;
    loop {
        let range = clean_range(format, at, &mut body[at..].chunks(7));
        if range.is_empty() {
            break;
        }
        assert!(at <= range.start);
        clean.extend_from_slice(&body[range.clone()]);
        at = range.end;
    }
    if let Some(seen) = seen {
        assert!(seen.forbidden <= body.len());
        let again = summarize(format, &mut clean.chunks(7), &mut sets);
        assert!(
            clean.is_empty() || again.is_some_and(|look| look.forbidden == 0 && !look.is_unclean)
        );
    }
}

// Session.

/// The length of the client's side of the handshake: C0, C1, C2.
pub const HANDSHAKE_LEN: usize = 1 + 1536 + 1536;

const COMMANDS: &[&str] = &[
    "connect",
    "createStream",
    "publish",
    "play",
    "deleteStream",
    "closeStream",
    "FCPublish",
    "FCUnpublish",
    "releaseStream",
    "pause",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "getStreamLength",
    "FCSubscribe",
    "_checkbw",
    "play2",
    "_result",
    "nobodyKnowsThis",
];

/// The lowest bit of the first byte chooses: the rest is what a client sends after the handshake,
/// or a list of steps from which well-formed messages are made, so that commands, data and media
/// get deep into the session.
///
/// The server's replies must always parse, and every block must be returned when the session is
/// gone.
pub fn session(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    ARENA.with(|arena| {
        let mut connection = Connection::new(arena.clone(), first);
        let mut hello = vec![3];
        hello.resize(HANDSHAKE_LEN, 0x5A);
        if connection.feed(&hello).is_ok() {
            let _ = if first & 1 == 1 {
                rest.chunks(1 + usize::from(first >> 1) * 16)
                    .try_for_each(|piece| connection.feed(piece))
            } else {
                connection.steps(rest)
            };
        }
        connection.check_replies();
        drop(connection);
        assert_eq!(
            arena.free_blocks(),
            arena.total_blocks(),
            "blocks that never came home"
        );
    });
}

/// A client's bytes from the handshake on, cut into pieces of `piece_len`.
pub fn session_bytes(bytes: &[u8], piece_len: usize) {
    ARENA.with(|arena| {
        let mut connection = Connection::new(arena.clone(), 1);
        let _ = bytes
            .chunks(piece_len)
            .try_for_each(|piece| connection.feed(piece));
        connection.check_replies();
        drop(connection);
        assert_eq!(
            arena.free_blocks(),
            arena.total_blocks(),
            "blocks that never came home"
        );
    });
}

thread_local! {
    // Arenas stay claimed for the rest of the process: one per thread.
    static ARENA: Arena = Arena::new(16 * BLOCK_LEN);
}

/// A session with its caller's behavior.
struct Connection {
    session: ServerSession<Arena>,
    arena: Arena,
    refuses: bool,
    publishing: Vec<u32>,
    replies: Vec<u8>,
    recorder: FlightRecorder,
    /// In ms.
    now: u64,
}

/// The connection is closed.
struct Closed;

impl Connection {
    fn new(arena: Arena, flags: u8) -> Connection {
        Connection {
            session: ServerSession::new(arena.clone(), MAX_MESSAGE, |random| random.fill(7)),
            arena,
            refuses: flags & 0x80 != 0,
            publishing: Vec::new(),
            replies: Vec::new(),
            recorder: FlightRecorder::default(),
            now: 0,
        }
    }

    fn feed(&mut self, input: &[u8]) -> Result<(), Closed> {
        let mut input = Bytes::from(input);
        loop {
            let event = self
                .session
                .handle(&mut input, &mut self.recorder.at(self.now));
            self.replies.append(&mut self.session.take_output());
            match event {
                Ok(Some(event)) => self.act(event),
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().contains(char::is_control), "{error:?}");
                    return Err(Closed);
                }
            }
        }
        // The flight recorder doesn't grow.
        assert!(self.recorder.entries().count() <= 256);
        self.now += 20;
        assert!(
            input.is_empty(),
            "input is left though the session wants more"
        );
        Ok(())
    }

    fn act(&mut self, event: Event<'_>) {
        match event {
            Event::Connect(connect) if connect.flash_ver.starts_with('!') => {
                self.session
                    .refuse_connect("NetConnection.Connect.Rejected", &connect.app);
            }
            Event::Connect(_) => self.session.accept_connect(),
            Event::Publish {
                message_stream_id, ..
            } if self.refuses => {
                self.publishing.retain(|id| *id != message_stream_id);
                self.session
                    .refuse_publish(message_stream_id, "NetStream.Publish.BadName", "no");
            }
            Event::Publish {
                message_stream_id, ..
            } => {
                self.publishing.push(message_stream_id);
                self.session.accept_publish(message_stream_id, "live/door");
            }
            Event::Play {
                message_stream_id, ..
            } => {
                self.publishing.retain(|id| *id != message_stream_id);
                self.replies
                    .append(&mut self.session.accept_play(message_stream_id, "live/door"));
            }
            Event::Stop { message_stream_id } => {
                self.publishing.retain(|id| *id != message_stream_id);
            }
            Event::Media(media) => {
                assert!(
                    self.publishing.contains(&media.message_stream_id),
                    "media before publish"
                );
                let total: usize = self.session.payload(&media).map(<[u8]>::len).sum();
                assert!(total <= MAX_MESSAGE as usize);
                let is_small = total <= SMALL_LEN || media.in_place.is_some();
                let blocks = if is_small {
                    0
                } else {
                    total.div_ceil(BLOCK_LEN)
                };
                assert!(self.arena.free_blocks() + blocks <= 16);
            }
            Event::Data {
                message_stream_id, ..
            } => {
                assert!(
                    self.publishing.contains(&message_stream_id),
                    "data before publish"
                );
                if let Some(Relayed::Rewritten(bytes)) =
                    data::for_players(self.session.body().bytes())
                {
                    assert!(bytes.len() <= data::MAX_LEN);
                }
            }
            Event::Metadata { message_stream_id } => {
                assert!(
                    self.publishing.contains(&message_stream_id),
                    "metadata before publish"
                );
                let body = self.session.body();
                let properties = rtmp_metadata::parse(body.bytes()).expect("it is metadata");
                if let Some(properties) = properties {
                    rtmp_metadata::for_players(&properties, None, Some(true));
                }
            }
            Event::Replies => assert!(self.replies.len() > MAX_REPLIES),
            Event::Pause { .. } | Event::Receive { .. } => {}
        }
    }

    /// Checks that the replies are whole messages that a client can read.
    fn check_replies(&self) {
        let replies = self.replies.get(HANDSHAKE_LEN..).unwrap_or_default();
        for read in read_all(Heap, [replies]) {
            let (header, body) = read.expect("replies parse");
            let body = match header.type_id {
                type_id::COMMAND => body.as_slice(),
                type_id::COMMAND_AMF3 => &body[1..],
                _ => continue,
            };
            Command::parse(body).expect("replies are commands");
        }
    }

    fn steps(&mut self, data: &[u8]) -> Result<(), Closed> {
        let mut steps = Steps { data };
        let writer = ChunkWriter::default();
        while let Some(step) = steps.byte() {
            let mut bytes = Vec::new();
            let message_stream_id = u32::from(step >> 4) % 4;
            match step & 15 {
                0 => bytes = steps.bytes(),
                1 => bytes = steps.connect(),
                2..=8 => {
                    let body = steps.command().emit();
                    let header = header(type_id::COMMAND, 3, message_stream_id, 0);
                    writer.write(header, &body, &mut bytes);
                }
                9 => {
                    let body = [vec![0], steps.command().emit()].concat();
                    let header = header(type_id::COMMAND_AMF3, 3, message_stream_id, 0);
                    writer.write(header, &body, &mut bytes);
                }
                10 => {
                    let control = steps.control();
                    writer.write_control(&control, &mut bytes);
                }
                11 => {
                    // Any type on any chunk stream; repeating the body makes it long.
                    let kind = steps.byte().unwrap_or(9) % 24;
                    let chunk_stream_id = 2 + steps.byte().unwrap_or(4) % 62;
                    let timestamp = steps.number();
                    let times = 1 + usize::from(steps.byte().unwrap_or(0)) * 8;
                    let body = steps.bytes().repeat(times);
                    let header = header(kind, chunk_stream_id, message_stream_id, timestamp);
                    writer.write(header, &body, &mut bytes);
                }
                12 => {
                    let mut body = Vec::new();
                    for name in ["@setDataFrame", "onMetaData"] {
                        text(name).emit(&mut body);
                    }
                    body.append(&mut steps.bytes());
                    writer.write(
                        header(type_id::DATA, 4, message_stream_id, 0),
                        &body,
                        &mut bytes,
                    );
                }
                13 => self.session.end_publish(message_stream_id, "ended"),
                14 => self.session.ping(steps.number()),
                _ if steps.byte().unwrap_or(0) < 16 => self.session.shut_down(),
                _ => {
                    let header = header(type_id::AGGREGATE, 4, message_stream_id, steps.number());
                    writer.write(header, &steps.aggregate(), &mut bytes);
                }
            }
            if step & 15 == 13 {
                self.publishing.retain(|id| *id != message_stream_id);
            }
            self.feed(&bytes)?;
        }
        Ok(())
    }
}

fn header(
    type_id: u8,
    chunk_stream_id: u8,
    message_stream_id: u32,
    timestamp: u32,
) -> chunk::MessageHeader {
    chunk::MessageHeader {
        chunk_stream_id,
        timestamp,
        len: 0,
        type_id,
        message_stream_id,
    }
}

/// The fuzzer's bytes, read as numbers, names and values.
struct Steps<'a> {
    data: &'a [u8],
}

impl Steps<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.data.split_first()?;
        self.data = rest;
        Some(byte)
    }

    fn number(&mut self) -> u32 {
        (0..4).fold(0, |number, _| {
            number << 8 | u32::from(self.byte().unwrap_or(0))
        })
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte().unwrap_or(0));
        let (taken, rest) = self.data.split_at(len.min(self.data.len()));
        self.data = rest;
        taken.to_vec()
    }

    /// An aggregate message: like the tags of an FLV file.
    fn aggregate(&mut self) -> Vec<u8> {
        let mut aggregate = Vec::new();
        for _ in 0..self.byte().unwrap_or(0) % 6 {
            let kind = [8, 9, 18, 22][usize::from(self.byte().unwrap_or(0) % 4)];
            let time = self.number().to_be_bytes();
            let body = self.bytes();
            let len = (body.len() as u32).to_be_bytes();
            let times = [time[1], time[2], time[3], time[0], 0, 0, 0];
            aggregate.extend_from_slice(&[&[kind], &len[1..], &times, &body].concat());
            aggregate.extend_from_slice(&(11 + body.len() as u32).to_be_bytes());
        }
        aggregate
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn value(&mut self) -> Value {
        match self.byte().unwrap_or(0) % 8 {
            0 => Value::Null,
            1 => Value::Number(f64::from(self.byte().unwrap_or(1))),
            2 => Value::Number(f64::from_bits(u64::from(self.number()) << 32)),
            3 => Value::Boolean(self.byte().unwrap_or(0) & 1 == 1),
            4 => Value::String(self.text()),
            5 => object([("streamName", text(&self.text()))]),
            6 => Value::StrictArray(vec![Value::Undefined]),
            _ => text("door"),
        }
    }

    fn connect(&mut self) -> Vec<u8> {
        let command = Command {
            name: "connect".into(),
            transaction_id: 1.0,
            object: object([
                ("app", text("live")),
                ("flashVer", text(&self.text())),
                ("objectEncoding", self.value()),
                ("fourCcList", self.value()),
                ("videoFourCcInfoMap", self.value()),
                ("capsEx", self.value()),
            ]),
            arguments: Vec::new(),
        };
        let mut bytes = Vec::new();
        let header = header(type_id::COMMAND, chunk_stream_id::COMMAND, 0, 0);
        ChunkWriter::default().write(header, &command.emit(), &mut bytes);
        bytes
    }

    fn command(&mut self) -> Command {
        let name = usize::from(self.byte().unwrap_or(0));
        let name = match COMMANDS.get(name % (COMMANDS.len() + 1)) {
            Some(name) => (*name).to_owned(),
            None => self.text(),
        };
        let transaction_id = f64::from(self.byte().unwrap_or(0));
        let object = Value::Null;
        let count = self.byte().unwrap_or(0) % 4;
        let arguments = (0..count).map(|_| self.value()).collect();
        Command {
            name,
            transaction_id,
            object,
            arguments,
        }
    }

    fn control(&mut self) -> Control {
        let kind = self.byte().unwrap_or(0) % 9;
        let number = self.number();
        match kind {
            // The steps are written in chunks of 128 bytes; other sizes garble what follows.
            0 => Control::SetChunkSize(if number % 4 == 0 { number } else { 128 }),
            1 => Control::Abort(number % 70),
            2 => Control::Acknowledgement(number),
            3 => Control::WindowAcknowledgementSize(number),
            4 => Control::SetPeerBandwidth {
                size: number,
                limit_type: number as u8,
            },
            5 => Control::User(UserControl::PingRequest(number)),
            6 => Control::User(UserControl::PingResponse(number)),
            7 => Control::User(UserControl::SetBufferLength {
                message_stream_id: 1,
                buffer_ms: number,
            }),
            _ => Control::User(UserControl::Other(number as u16)),
        }
    }
}
