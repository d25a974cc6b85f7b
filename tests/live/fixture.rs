//! A stream with fake sockets and a simulated clock.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use brooklet::allowance::Allowance;
use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::live::capabilities::Capabilities;
use brooklet::live::kind::Kind;
use brooklet::live::life::{Accepted, Grace, PublishRefused, Publisher};
use brooklet::live::out::framing::Framing;
use brooklet::live::out::join::Join;
use brooklet::live::out::request::{JoinRequest, Receiver};
use brooklet::live::out::sink::Sink;
use brooklet::live::out::subscriber::PlayEnd;
use brooklet::live::stream::{Appended, Desks, Stream, StreamSettings};
use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::chunk_reader::{ChunkReader, Heap, Limits};
use brooklet::rtmp::chunk_writer::CHUNK_SIZE;
use brooklet::rtmp::command::object;
use brooklet::rtmp::server_session::Dialect;
use brooklet::rtmp::stream_key::StreamKey;

pub(crate) const AVC_HEADER: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x04\x67\x42\xC0\x1E\x01\0\0";
pub(crate) const AAC_HEADER: &[u8] = b"\xAF\0\x12\x10";

/// A socket that accepts as many bytes as the test allows.
pub(crate) struct TestSink {
    taken: Mutex<Vec<u8>>,
    room: AtomicUsize,
    /// The error with which sends fail from now on.
    pub(crate) failure: Mutex<Option<ErrorKind>>,
    pub(crate) is_shut: AtomicBool,
    pub(crate) is_finished: AtomicBool,
}

impl Default for TestSink {
    fn default() -> TestSink {
        TestSink {
            taken: Mutex::default(),
            room: AtomicUsize::new(usize::MAX),
            failure: Mutex::default(),
            is_shut: AtomicBool::new(false),
            is_finished: AtomicBool::new(false),
        }
    }
}

impl TestSink {
    /// Returns all bytes that the socket has accepted.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.taken.lock().unwrap().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// Reserves room for bytes, so that accepting them doesn't allocate.
    pub(crate) fn reserve(&self, bytes: usize) {
        self.taken.lock().unwrap().reserve(bytes);
    }

    /// Sets the number of further bytes that the socket accepts before it blocks.
    pub(crate) fn set_room(&self, room: usize) {
        self.room.store(room, Ordering::SeqCst);
    }
}

impl Sink for TestSink {
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(
            !self.is_finished.load(Ordering::SeqCst),
            "a send after the end"
        );
        if let Some(kind) = *self.failure.lock().unwrap() {
            return Err(kind.into());
        }
        let mut room = self.room.load(Ordering::SeqCst);
        let mut taken = self.taken.lock().unwrap();
        let before = taken.len();
        for slice in slices {
            let part = &slice[..slice.len().min(room)];
            taken.extend_from_slice(part);
            room -= part.len();
        }
        let sent = taken.len() - before;
        if self.room.load(Ordering::SeqCst) != usize::MAX {
            self.room.store(room, Ordering::SeqCst);
        }
        if sent == 0 {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(sent)
        }
    }

    fn shutdown(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    fn finish(&self) {
        self.is_finished.store(true, Ordering::SeqCst);
    }
}

/// A message as received by a player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) type_id: u8,
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
}

impl Got {
    pub(crate) fn is_video(&self) -> bool {
        self.type_id == 9
    }

    pub(crate) fn is_audio(&self) -> bool {
        self.type_id == 8
    }

    pub(crate) fn is_keyframe(&self) -> bool {
        self.is_video() && self.payload[0] == 0x17 && self.payload[1] == 1
    }

    pub(crate) fn is_header(&self) -> bool {
        self.payload[1] == 0 && self.type_id != 18
    }

    /// Returns the number that [`Fixture`] put into the payload.
    pub(crate) fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[5..9].try_into().unwrap())
    }
}

pub(crate) struct Player {
    pub(crate) id: u64,
    pub(crate) sink: Arc<TestSink>,
    reader: ChunkReader<Heap>,
}

impl Player {
    /// Returns the complete messages received since the last call. The received bytes must always parse.
    pub(crate) fn got(&mut self) -> Vec<Got> {
        let mut taken = self.sink.taken.lock().unwrap();
        let mut input = Bytes::from(taken.as_slice());
        let mut messages = Vec::new();
        while let Some(header) = self
            .reader
            .read(&mut input)
            .expect("what a player gets parses")
        {
            messages.push(Got {
                type_id: header.type_id,
                timestamp: header.timestamp,
                payload: self
                    .reader
                    .payload(header.in_place)
                    .collect::<Vec<_>>()
                    .concat(),
            });
        }
        taken.clear();
        messages
    }

    /// Returns the received audio and video, without headers.
    pub(crate) fn media(&mut self) -> Vec<Got> {
        let is_media = |got: &Got| (got.is_audio() || got.is_video()) && !got.is_header();
        self.got().into_iter().filter(is_media).collect()
    }
}

pub(crate) struct Fixture {
    pub(crate) stream: Arc<Stream>,
    pub(crate) arena: Reused,
    pub(crate) now: Cell<u64>,
    pub(crate) generation: Cell<u64>,
    next_number: Cell<u32>,
    pub(crate) next_player: Cell<u64>,
}

/// An arena that later tests reuse: the memory that it claims is never freed, and property tests have
/// many cases.
pub(crate) struct Reused(Arena);

static UNUSED: Mutex<Vec<Arena>> = Mutex::new(Vec::new());

impl Reused {
    fn of(blocks: usize) -> Reused {
        let mut unused = UNUSED.lock().unwrap();
        let fitting = unused
            .iter()
            .position(|arena| arena.total_blocks() == blocks);
        let arena = fitting.map(|index| unused.swap_remove(index));
        Reused(arena.unwrap_or_else(|| Arena::new(blocks * BLOCK_LEN)))
    }
}

impl Deref for Reused {
    type Target = Arena;

    fn deref(&self) -> &Arena {
        &self.0
    }
}

impl Drop for Reused {
    fn drop(&mut self) {
        if self.free_blocks() == self.total_blocks() {
            UNUSED.lock().unwrap().push(self.0.clone());
        }
    }
}

pub(crate) const HOME: [u8; 4] = [192, 0, 2, 1];
pub(crate) const AWAY: [u8; 4] = [192, 0, 2, 2];

/// The time for which streams wait for their publisher in these tests, in ms.
pub(crate) const GRACE: u64 = 60_000;

pub(crate) fn grace(now: u64) -> Grace {
    Grace {
        until: now + GRACE,
        longer_for_hls: 0,
    }
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture::with(1024, 0)
    }

    /// Makes a stream in an arena of `blocks` blocks, with a batch time in ms.
    pub(crate) fn with(blocks: usize, batch: u64) -> Fixture {
        Fixture::of_settings(blocks, |settings| settings.batch = batch)
    }

    /// Makes a stream in an arena of `blocks` blocks, with changed settings.
    pub(crate) fn of_settings(blocks: usize, change: impl Fn(&mut StreamSettings)) -> Fixture {
        let arena = Reused::of(blocks);
        let mut settings = StreamSettings {
            arena: Arena::clone(&arena),
            history: 12_000,
            max_lag: 2_000,
            batch: 0,
            kept: 0,
            is_hls_served: true,
            desks: Desks::default(),
        };
        change(&mut settings);
        Fixture {
            stream: Arc::new(Stream::new(
                StreamKey::new("live", "test").unwrap(),
                &settings,
            )),
            arena,
            now: Cell::new(1_000),
            generation: Cell::new(0),
            next_number: Cell::new(0),
            next_player: Cell::new(1),
        }
    }

    /// Makes a published stream with AVC and AAC headers.
    pub(crate) fn published() -> Fixture {
        let fixture = Fixture::new();
        fixture.publish();
        fixture.headers();
        fixture
    }

    pub(crate) fn publish(&self) {
        self.try_publish(HOME).unwrap();
    }

    pub(crate) fn headers(&self) {
        self.append(Kind::Video, 0, AVC_HEADER);
        self.append(Kind::Audio, 0, AAC_HEADER);
    }

    pub(crate) fn try_publish(&self, address: [u8; 4]) -> Result<Accepted, PublishRefused> {
        self.try_publish_with(address, &Arc::default())
    }

    pub(crate) fn try_publish_with(
        &self,
        address: [u8; 4],
        sink: &Arc<TestSink>,
    ) -> Result<Accepted, PublishRefused> {
        self.try_publish_paid(address, sink, Allowance::default())
    }

    /// Publishes with the allowance of the publisher's connection given by the test.
    pub(crate) fn try_publish_paid(
        &self,
        address: [u8; 4],
        sink: &Arc<TestSink>,
        allowance: Allowance,
    ) -> Result<Accepted, PublishRefused> {
        let publisher = Publisher {
            connection: 1,
            is_trusted: false,
            address: IpAddr::from(address),
            sink: sink.clone(),
            allowance,
        };
        let result = self.stream.publish(publisher, self.now.get());
        if let Ok(accepted) = result {
            self.generation.set(accepted.generation);
        }
        result
    }

    pub(crate) fn unpublish(&self) {
        let grace = grace(self.now.get());
        let now = self.now.get();
        self.stream.unpublish(self.generation.get(), grace, now);
    }

    pub(crate) fn play(&self, join: Join) -> Player {
        self.play_with(join, Arc::default())
    }

    pub(crate) fn play_with(&self, join: Join, sink: Arc<TestSink>) -> Player {
        self.play_as(Capabilities::unknown(), join, sink)
    }

    pub(crate) fn play_as(
        &self,
        capabilities: Capabilities,
        join: Join,
        sink: Arc<TestSink>,
    ) -> Player {
        let receiver = Receiver {
            framing: Framing::rtmp(1, Dialect::AMF0),
            join,
            capabilities,
        };
        let id = self.receive(receiver, sink.clone());
        let limits = Limits {
            media: 1 << 24,
            data: 1 << 24,
            command: 1 << 24,
            ..Limits::NONE
        };
        let mut reader = ChunkReader::new(Heap, limits);
        reader.set_chunk_size(CHUNK_SIZE).unwrap();
        Player { id, sink, reader }
    }

    /// Attaches a receiver. Returns the number of its subscriber.
    pub(crate) fn receive(&self, receiver: Receiver, sink: Arc<TestSink>) -> u64 {
        let id = self.next_player.get();
        self.next_player.set(id + 1);
        let request = JoinRequest::new(id, sink, receiver, Vec::new());
        let now = self.now.get();
        self.stream.subscribe(request, now).unwrap();
        // A subscriber that fails at once is the test's concern.
        let _ = self.stream.with_subscriber(id, now, |_| {});
        id
    }

    /// Advances the clock.
    pub(crate) fn wait(&self, ms: u64) {
        self.now.set(self.now.get() + ms);
    }

    pub(crate) fn append(&self, kind: Kind, timestamp: u32, payload: &[u8]) -> Appended {
        let (generation, now) = (self.generation.get(), self.now.get());
        let medium = kind.medium().expect("audio or video");
        self.stream.heard(now);
        self.stream
            .append(generation, medium, timestamp, std::iter::once(payload), now)
            .unwrap()
    }

    /// Appends a data message that isn't metadata.
    pub(crate) fn data(&self, timestamp: u32, payload: &[u8]) {
        let (generation, now) = (self.generation.get(), self.now.get());
        let body = payload.into();
        let result = self.stream.append_data(generation, timestamp, body, now);
        result.unwrap();
    }

    pub(crate) fn pump(&self) -> bool {
        self.stream.pump(self.now.get()).has_unsent
    }

    /// Appends a video frame of `len` bytes that contains a running number. Returns the number.
    pub(crate) fn frame(&self, timestamp: u32, is_keyframe: bool, len: usize) -> u32 {
        let first = if is_keyframe { 0x17 } else { 0x27 };
        self.numbered(Kind::Video, timestamp, [first, 1, 0, 0, 0], len)
    }

    /// Appends an AAC frame of `len` bytes, numbered in the same way.
    pub(crate) fn audio(&self, timestamp: u32, len: usize) -> u32 {
        self.numbered(Kind::Audio, timestamp, [0xAF, 1, 0, 0, 0], len)
    }

    fn numbered(&self, kind: Kind, timestamp: u32, tag: [u8; 5], len: usize) -> u32 {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        let mut payload = tag.to_vec();
        payload.extend(number.to_be_bytes());
        // In place of the first NAL unit's header: a frame that is no IDR.
        payload.push(0x41);
        payload.resize(len.max(10), number as u8);
        self.append(kind, timestamp, &payload);
        number
    }

    /// Appends and pumps a GOP in real time, at 25 frames per second, starting at `timestamp`. Each
    /// video frame is followed by an audio frame 10 ms later.
    pub(crate) fn gop(&self, timestamp: u32, frames: u32) {
        self.frames(timestamp, frames, true);
    }

    /// Like [`gop`](Self::gop), with or without the keyframe.
    pub(crate) fn frames(&self, timestamp: u32, frames: u32, has_keyframe: bool) {
        for index in 0..frames {
            let timestamp = timestamp.wrapping_add(index * 40);
            self.frame(timestamp, has_keyframe && index == 0, 1_000);
            self.audio(timestamp.wrapping_add(10), 100);
            self.pump();
            self.wait(40);
        }
    }

    /// Returns the reason why a player must be removed, if it must.
    pub(crate) fn end_of(&self, player: &Player) -> Option<PlayEnd> {
        self.stream
            .with_subscriber(player.id, self.now.get(), |_| {})
            .err()
    }
}

/// Properties whose values are all numbers, as an object in AMF0.
pub(crate) fn numbers(properties: &[(&str, f64)]) -> Vec<u8> {
    let pairs = properties.iter();
    let pairs = pairs.map(|(name, number)| (*name, Value::Number(*number)));
    let mut bytes = Vec::new();
    object(pairs).emit(&mut bytes);
    bytes
}
