//! Input that no honest client sends: random bytes, damaged captures, connections that end
//! anywhere. Nothing panics, replies can be parsed, and every block of the arena is returned.
//!
//! `tests/fuzz/src/lib.rs`, shared with the fuzz targets, checks the invariants.

use std::fs;
use std::path::Path;

use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::rtmp::Error;
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::flight_recorder::FlightRecorder;
use brooklet::rtmp::server_session::{Event, ServerSession};
use fuzz::HANDSHAKE_LEN;
use proptest::prelude::*;
use random::Random;

#[allow(unreachable_pub)]
#[path = "fuzz/src/lib.rs"]
mod fuzz;
#[path = "common/random.rs"]
mod random;

const CAPTURES: [&[u8]; 4] = [
    include_bytes!("data/ffmpeg_publish.bin"),
    include_bytes!("data/gst_rtmp2sink.bin"),
    include_bytes!("data/ffmpeg_play.bin"),
    include_bytes!("data/rtmpdump_play.bin"),
];

/// A place behind the handshake, whose bytes hardly matter. Early places are chosen more often,
/// since a session that failed early never sees the late ones.
fn place(random: &mut Random, bytes: &[u8]) -> usize {
    let len = bytes.len() - HANDSHAKE_LEN;
    let bound = if random.next() % 2 == 0 {
        len
    } else {
        len.min(600)
    };
    HANDSHAKE_LEN + random.below(bound)
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = place(random, bytes);
    let until = (at + 1 + random.below(64)).min(bytes.len());
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes[at] = [0x00, 0x01, 0x7F, 0x80, 0xFF][random.below(5)],
        3 => bytes.truncate(at + 1),
        4 => {
            bytes.drain(at..until);
        }
        5 => {
            let copy = bytes[at..until].to_vec();
            let to = place(random, bytes);
            bytes.splice(to..to, copy);
        }
        6 => {
            let other = CAPTURES[random.below(CAPTURES.len())];
            let from = place(random, other);
            let until = (from + random.below(500)).min(other.len());
            bytes.splice(at..at, other[from..until].iter().copied());
        }
        _ => {
            let len = random.below(16);
            let noise = random.bytes(len);
            bytes.splice(at..at, noise);
        }
    }
    if bytes.len() == HANDSHAKE_LEN {
        bytes.push(0);
    }
}

#[test]
fn random_bytes_after_a_handshake_end_only_the_connection() {
    let mut random = Random(1);
    for _ in 0..4000 {
        let mut bytes = CAPTURES[0][..HANDSHAKE_LEN].to_vec();
        let len = random.below(600);
        bytes.append(&mut random.bytes(len));
        fuzz::session_bytes(&bytes, 1 + random.below(700));
    }
}

#[test]
fn servers_that_say_anything_make_a_client_neither_panic_nor_grow() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        let len = random.below(120);
        fuzz::client_session(&random.bytes(len));
    }
}

#[test]
fn random_bytes_instead_of_a_handshake_end_only_the_connection() {
    let mut random = Random(2);
    for _ in 0..1000 {
        let len = random.below(HANDSHAKE_LEN + 100);
        let mut bytes = random.bytes(len);
        if let Some(version) = bytes.first_mut() {
            *version %= 8;
        }
        fuzz::session_bytes(&bytes, 1 + random.below(2000));
    }
}

#[test]
fn damaged_captures_end_only_the_connection() {
    let mut random = Random(3);
    for case in 0..4000 {
        let mut bytes = CAPTURES[case % CAPTURES.len()].to_vec();
        for _ in 0..1 + random.below(4) {
            mutate(&mut random, &mut bytes);
        }
        fuzz::session_bytes(&bytes, 1 + random.below(2000));
    }
}

#[test]
fn damaged_captures_give_the_same_messages_however_split() {
    let mut random = Random(4);
    for case in 0..1000 {
        let mut bytes = CAPTURES[case % CAPTURES.len()].to_vec();
        for _ in 0..1 + random.below(4) {
            mutate(&mut random, &mut bytes);
        }
        // The fuzz target's first byte says how the rest is cut.
        fuzz::chunk_reader(&bytes[HANDSHAKE_LEN - 1..]);
    }
}

#[test]
fn a_connection_that_ends_anywhere_leaves_no_block_behind() {
    for capture in CAPTURES {
        for len in 0..=capture.len() {
            fuzz::session_bytes(&capture[..len], capture.len());
        }
    }
}

/// Changes a few bytes of a file, or cuts it.
fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0x00, 0x01, 0x7F, 0x80, 0xFF][random.below(5)],
            2 => bytes.truncate(at + 1),
            _ => drop(bytes.drain(at..(at + 1 + random.below(16)).min(bytes.len()))),
        }
        if bytes.is_empty() {
            break;
        }
    }
}

#[test]
fn damaged_files_are_published_or_refused() {
    let mut random = Random(6);
    let read = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mp4");
        fs::read(folder.join(name)).unwrap()
    };
    for name in ["tables.mp4", "fragments.mp4"] {
        let file = read(name);
        for _ in 0..1000 {
            let mut bytes = file.clone();
            damage(&mut random, &mut bytes);
            fuzz::demux(&bytes);
        }
    }
    // The first byte is for the cut.
    let file = [&b"\x1F"[..], &read("expected.flv")].concat();
    for _ in 0..1000 {
        let mut bytes = file.clone();
        damage(&mut random, &mut bytes);
        fuzz::flv_reader(&bytes);
    }
}

#[test]
fn damaged_recordings_are_read_or_refused() {
    let mut random = Random(5);
    let file = fuzz::recorded_file();
    fuzz::recorded(&file);
    for n in 0..20_000 {
        let mut bytes = file.clone();
        damage(&mut random, &mut bytes);
        fuzz::recorded(&bytes);
        if n % 10 == 0 {
            let mode = random.next() as u8;
            fuzz::repair(&[&[mode], &bytes[..]].concat());
        }
    }
}

#[test]
fn known_crashers_no_longer_crash() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/crashers");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let target = match name.split('-').next() {
            Some("chunk_reader") => fuzz::chunk_reader,
            Some("amf0") => fuzz::amf0,
            Some("amf3") => fuzz::amf3,
            Some("metadata") => fuzz::metadata,
            Some("demux") => fuzz::demux,
            Some("flv_reader") => fuzz::flv_reader,
            Some("mp4") => fuzz::mp4,
            Some("recorded") => fuzz::recorded,
            Some("repair") => fuzz::repair,
            Some("session") => fuzz::session,
            Some("tag") => fuzz::tag,
            Some("http_head") => fuzz::http_head,
            Some("websocket") => fuzz::websocket,
            _ => {
                assert_eq!(name, "README.md", "expected TARGET-WHAT");
                continue;
            }
        };
        println!("{name}");
        target(&fs::read(&path).unwrap());
    }
}

// Memory.

fn read<'a>(
    session: &mut ServerSession<Arena>,
    input: &mut Bytes<'a>,
) -> Result<Option<Event<'a>>, Error> {
    loop {
        match session.handle(input, &mut FlightRecorder::default().at(0)) {
            Ok(Some(Event::Replies)) => drop(session.take_output()),
            result => return result,
        }
    }
}

/// A session that publishes on message stream 1, as ffmpeg does.
fn publishing(arena: &Arena) -> ServerSession<Arena> {
    let mut session = ServerSession::new(arena.clone(), 16 << 20, |random| random.fill(7));
    let mut input = Bytes::from(CAPTURES[0]);
    loop {
        match read(&mut session, &mut input).unwrap().unwrap() {
            Event::Connect(_) => session.accept_connect(),
            Event::Publish { .. } => {
                session.accept_publish(1, "live/one");
                session.take_output();
                return session;
            }
            event => panic!("{event:?}"),
        }
    }
}

/// A type 0 header of a video message of 2 MiB less one byte.
fn huge(chunk_stream_id: u8) -> Vec<u8> {
    [
        vec![chunk_stream_id],
        b"\0\0\0\x1F\xFF\xFF\x09\x01\0\0\0".to_vec(),
    ]
    .concat()
}

/// Set Chunk Size.
fn chunk_size(size: u32) -> Vec<u8> {
    [
        b"\x02\0\0\0\0\0\x04\x01\0\0\0\0".as_slice(),
        &size.to_be_bytes(),
    ]
    .concat()
}

#[test]
fn announced_lengths_claim_no_memory() {
    let arena = Arena::new(16 * BLOCK_LEN);
    let mut session = publishing(&arena);
    assert_eq!(
        read(&mut session, &mut chunk_size(513).as_slice().into()),
        Ok(None)
    );
    for (begun, chunk_stream_id) in (10..18).enumerate() {
        assert_eq!(
            read(&mut session, &mut huge(chunk_stream_id).as_slice().into()),
            Ok(None)
        );
        assert_eq!(arena.free_blocks(), 16 - begun);
        assert_eq!(
            read(&mut session, &mut [0x17; 513].as_slice().into()),
            Ok(None)
        );
        assert_eq!(arena.free_blocks(), 16 - begun - 1);
    }
    assert!(read(&mut session, &mut huge(18).as_slice().into()).is_err());
    drop(session);
    assert_eq!(arena.free_blocks(), 16);
}

#[test]
fn a_message_longer_than_the_memory_fails_and_returns_its_blocks() {
    let arena = Arena::new(8 * BLOCK_LEN);
    let mut session = publishing(&arena);
    let begin = [chunk_size(0x7FFF_FFFF), huge(10)].concat();
    assert_eq!(read(&mut session, &mut begin.as_slice().into()), Ok(None));
    assert_eq!(arena.free_blocks(), 8);
    let picture = [0x17; 1000];
    let end = loop {
        let mut input = Bytes::from(picture.as_slice());
        match read(&mut session, &mut input) {
            Ok(event) => assert_eq!(event, None),
            Err(error) => break (error, input.len()),
        }
    };
    // 8 blocks took 131,072 bytes; 928 bytes of the last piece are left for when there is room.
    assert_eq!(end, (Error::OutOfBlocks, 928));
    assert_eq!(arena.free_blocks(), 0);
    drop(session);
    assert_eq!(arena.free_blocks(), 8);
}

// Arbitrary bytes.

/// Chunks with mostly valid headers, which get further than arbitrary bytes.
fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let basic = (0_u8..4, 2_u8..6).prop_map(|(format, id)| vec![format << 6 | id]);
    let long = (0_u8..4, 0_u8..2).prop_map(|(format, high)| vec![format << 6, high]);
    let time = prop_oneof![
        Just(vec![0, 0, 26]),
        Just(vec![0xFF, 0xFF, 0xFF, 0, 0, 5, 9, 1, 0, 0, 0, 1, 2, 3, 4]),
        Just(vec![0xFF, 0xFF, 0xFF, 0, 0, 5, 9, 1, 2, 3, 4]),
        Just(vec![0xFF, 0xFF, 0xFF, 1, 2, 3, 4]),
        Just(vec![0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 3]),
        Just(vec![0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 3]),
    ];
    let bytes = proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..6], 0..12);
    let chunk = (prop_oneof![4 => basic, 1 => long], time, bytes);
    let chunk = chunk.prop_map(|(basic, time, bytes)| [basic, time, bytes].concat());
    proptest::collection::vec(chunk, 1..20).prop_map(|chunks| chunks.concat())
}

/// Headers of media messages; anything may follow them.
const MEDIA_HEADERS: &[&[u8]] = &[
    b"\0\x17\0\0\0\0\x01\x64\0\x28\xFF\xE1\0\x1B\x67\x64\0\x28",
    b"\0\x17\x01\0\0\0\0\0\0\x02\x65",
    b"\0\x80hvc1\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\x01\x21\0\x01\0",
    b"\0\x97\x02\0\0\x05\x01avc1",
    b"\0\x96\x21avc1\x01\0\0\x08\0\0\x53",
    b"\0\x81av01\x12\0\x0A\x01\0\x32",
    b"\0\x84hvc1",
    b"\0\x90av01\x81\0\x0C\0\x0A\x7F",
    b"\0\x90vp09\x01\0\0\0",
    b"\0",
    b"\x01\xAF\0\x11",
    b"\x01\x90OpusOpusHead",
    b"\x01\x95\x11Opus",
    b"\x01\x2F\xFF\xFB",
    b"\x01\x90fLaC\x10\0\x10\0",
    b"\x01\x97",
    b"\x01",
];

/// Request lines and header lines, valid and invalid.
const REQUEST_LINES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "GET /live/d%6For.flv?key=1 HTTP/1.1\r\n",
    "GET http://pi:8080/live/door/1a2b3c4d-7.2.m4s HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "HEAD /page/%2e%2e/x HTTP/1.0\r\n",
    "\r\nGET /a//b%5c HTTP/1.1\r\n",
    "GET /\n",
];
const HEADER_LINES: &[&str] = &[
    "",
    "A: b\r\n",
    "Host: pi:8080\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: Upgrade, close\r\n",
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "Range: bytes=5-9\r\n",
    "Range: bytes=-99999999999999999999\r\n",
    "User-Agent: \u{e9}\t1\r\n",
    "A: b\n",
    " folded\r\n",
    "\r\n",
];

/// Beginnings of client frames; anything may follow them.
const FRAMES: &[&[u8]] = &[
    b"\x82\x83\x01\x02\x03\x04",
    b"\x89\x82\x01\x02\x03\x04",
    b"\x88\x82\x00\x00\x00\x00\x03\xE8",
    b"\x02\xFE\x00\x80",
    b"\x80\xFF\0\0\0\0\0\x01\0\0",
    b"\x00\x80\x01\x02\x03\x04",
    b"",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_bytes_give_the_same_messages_however_split(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        fuzz::chunk_reader(&bytes);
    }

    #[test]
    fn arbitrary_chunks_give_the_same_messages_however_split(
        bytes in chunks(), cut in 0_u8..8,
    ) {
        fuzz::chunk_reader(&[vec![cut], bytes].concat());
    }

    #[test]
    fn arbitrary_amf0_reads_as_a_simple_decoder_reads_it(
        bytes in proptest::collection::vec(prop_oneof![0_u8..0x12, any::<u8>()], 0..200)
    ) {
        fuzz::amf0(&bytes);
    }

    #[test]
    fn arbitrary_amf3_reads_back_as_it_was_written(
        bytes in proptest::collection::vec(prop_oneof![0_u8..0x13, any::<u8>()], 0..200),
    ) {
        fuzz::amf3(&bytes);
    }

    #[test]
    fn arbitrary_media_reads_the_same_from_any_prefix(
        header in prop::sample::select(MEDIA_HEADERS),
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..6], 0..100),
    ) {
        fuzz::tag(&[header, &bytes].concat());
    }

    #[test]
    fn arbitrary_media_becomes_whole_boxes(
        video in prop::sample::select(MEDIA_HEADERS),
        audio in prop::sample::select(MEDIA_HEADERS),
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..6], 0..100),
        frame in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        // The headers' first byte says what they are of, the target's how long they are.
        let piece = |header: &[u8]| {
            let payload = [&header[1..], &bytes].concat();
            [&[payload.len() as u8], &payload[..]].concat()
        };
        fuzz::mp4(&[piece(video), piece(audio), frame].concat());
    }

    #[test]
    fn arbitrary_steps_of_a_client_end_only_the_connection(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..32], 1..300),
    ) {
        fuzz::session(&[vec![0], bytes].concat());
    }
    #[test]
    fn arbitrary_request_heads_are_refused_or_read_in_one_way(
        line in prop::sample::select(REQUEST_LINES),
        host in prop::sample::select(&["Host: pi:8080\r\n", "Host: [::1]\r\n", ""][..]),
        lines in proptest::collection::vec(prop::sample::select(HEADER_LINES), 0..5),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<u8>(),
    ) {
        let head = [line, host, &lines.concat(), "\r\n"].concat();
        let mut bytes = [&[cut], head.as_bytes()].concat();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz::http_head(&bytes);
    }

    #[test]
    fn arbitrary_frames_give_the_same_events_however_split(
        frames in proptest::collection::vec(
            (prop::sample::select(FRAMES), proptest::collection::vec(any::<u8>(), 0..12)),
            0..6,
        ),
        cut in any::<u8>(),
    ) {
        let mut bytes = vec![cut];
        for (frame, rest) in &frames {
            bytes.extend_from_slice(frame);
            bytes.extend_from_slice(rest);
        }
        fuzz::websocket(&bytes);
    }
}
