//! Messages that never end, change in the middle, or arrive in unusual chunks.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, SocketAddr};

use brooklet::rtmp::message::type_id;

use crate::case::Case;
use crate::common::client::{Client, Message};
use crate::common::random::Random;
use crate::wire::{self, basic, control, header, set_chunk_size};

/// The longest message that a chunk header can announce, in bytes.
const LONGEST: u32 = 0xFF_FFFF;

/// Begins a message on each of many chunk streams, with one chunk each.
fn begin_messages(client: &mut Client, chunk_streams: std::ops::Range<u32>, len: u32) {
    client.send(&set_chunk_size(200));
    for chunk_stream_id in chunk_streams {
        client.send(&header(chunk_stream_id, 0, len, type_id::VIDEO, 1));
        client.send(&[0x17; 200]);
    }
}

#[test]
fn unfinished_messages_on_64_chunk_streams_cost_only_what_was_received() {
    let case = Case::start("64 messages begun", &["--max-message", "16383K"]);
    let mut publishers: Vec<_> = (0..4)
        .map(|number| Client::publishing(case.address(), "live", &format!("begun{number}")))
        .collect();
    let mut others: Vec<_> = (0..4)
        .map(|_| Client::connected(case.address(), "live"))
        .collect();
    // As many messages as allowed, held while the canary continues.
    for publisher in &mut publishers {
        begin_messages(publisher, 10..18, LONGEST);
    }
    for other in &mut others {
        begin_messages(other, 10..14, 64 * 1024);
    }
    // One message too many, up to 64.
    for client in publishers.iter_mut().chain(&mut others) {
        begin_messages(client, 40..104, LONGEST);
        client.until_closed();
    }
    drop((publishers, others));
    let shown = case.finish(8);
    // 8 and 4 blocks of 16 KiB for each, and the canary's.
    shown.memory_grew_at_most(4 * 8 * 16 + 4 * 4 * 16 + 8 * 24 + 1024);
}

#[test]
fn a_header_that_changes_in_the_middle_of_a_message_ends_the_connection() {
    let case = Case::start("header changed midway", &[]);
    for (format, len, type_id) in [
        (0, 999, type_id::VIDEO),
        (0, 50, type_id::VIDEO),
        (0, LONGEST, type_id::VIDEO),
        (1, 999, type_id::VIDEO),
        (1, 0, type_id::VIDEO),
        (1, 1000, type_id::AUDIO),
    ] {
        let mut client = Client::publishing(case.address(), "live", "changing");
        client.send(&set_chunk_size(128));
        client.send(&header(10, 0, 1000, type_id::VIDEO, 1));
        client.send(&[0x17; 128]);
        let mut changed = basic(format, 10);
        changed.extend(&header(10, 0, len, type_id, 1)[1..]);
        changed.truncate(if format == 0 { 12 } else { 8 });
        client.send(&changed);
        client.until_closed();
    }
    case.finish(1);
}

#[test]
fn a_message_aborted_in_the_middle_is_forgotten() {
    let case = Case::start("messages aborted", &[]);
    let mut player = Client::playing(case.address(), "live", "aborting");
    let mut publisher = Client::publishing(case.address(), "live", "aborting");
    publisher.send_headers();
    for number in 0..50 {
        // On the frame's own chunk stream, and on others.
        let chunk_stream_id = if number % 2 == 0 { 9 } else { 10 + number };
        publisher.send(&set_chunk_size(128));
        let begun = header(chunk_stream_id, 77, 100_000, type_id::VIDEO, 1);
        publisher.send(&begun);
        publisher.send(&[0x17; 128]);
        publisher.send(&control(type_id::ABORT, &chunk_stream_id.to_be_bytes()));
        // Nothing is under assembly there.
        publisher.send(&control(type_id::ABORT, &60_000_u32.to_be_bytes()));
        publisher.send(&set_chunk_size(65_536));
        publisher.send_frame(number, number * 40, number % 10 == 0, 2_000);
        // One at a time: a player that joins starts at the newest keyframe received so far.
        let frame = player.wait_for_media();
        assert_eq!(frame.number(), number);
        assert_eq!(frame.payload.len(), 2_000);
    }
    drop((player, publisher));
    case.finish(2);
}

/// A message in chunks of arbitrary size.
fn in_chunks(
    chunk_stream_id: u32,
    timestamp: u32,
    type_id: u8,
    message_stream_id: u32,
    payload: &[u8],
    size: usize,
) -> Vec<u8> {
    let len = payload.len() as u32;
    let mut bytes = header(chunk_stream_id, timestamp, len, type_id, message_stream_id);
    for (index, chunk) in payload.chunks(size).enumerate() {
        if index > 0 {
            bytes.extend(basic(3, chunk_stream_id));
        }
        bytes.extend(chunk);
    }
    bytes
}

#[test]
fn chunks_of_one_byte_and_of_two_gigabytes_carry_the_same_messages() {
    let case = Case::start("chunk sizes", &[]);
    let mut player = Client::playing(case.address(), "live", "sizes");
    let mut publisher = Client::publishing(case.address(), "live", "sizes");
    publisher.send_headers();
    let mut in_force = 65_536;
    for (number, size) in [1, 0x7FFF_FFFF, 128, 2, 0x0100_0000]
        .into_iter()
        .enumerate()
    {
        // In chunks of the old size.
        let body = u32::to_be_bytes(size);
        publisher.send(&in_chunks(
            2,
            0,
            type_id::SET_CHUNK_SIZE,
            0,
            &body,
            in_force,
        ));
        in_force = size as usize;
        let len = if size < 128 { 700 } else { 100_000 };
        let mut payload = vec![0x17, 1, 0, 0, 0, 0, 0, 0, number as u8];
        payload.resize(len, number as u8);
        let timestamp = 40 * number as u32;
        publisher.send(&in_chunks(
            6,
            timestamp,
            type_id::VIDEO,
            1,
            &payload,
            in_force,
        ));
        assert!(
            player.wait_for_media().payload == payload,
            "chunks of {size}"
        );
    }
    drop((player, publisher));

    for size in [0, 0x8000_0000, 0xFFFF_FFFF] {
        let mut client = Client::publishing(case.address(), "live", "sizes");
        client.send(&set_chunk_size(size));
        client.until_closed();
    }
    let mut client = Client::connected(case.address(), "live");
    client.send(&control(type_id::SET_CHUNK_SIZE, &[0, 1]));
    client.until_closed();
    drop(client);
    case.finish(2);
}

#[test]
fn a_flood_of_one_byte_chunks_delays_no_other_stream() {
    let case = Case::start("one-byte chunks", &[]);
    let attackers: Vec<_> = (0..2)
        .map(|number| Client::publishing(case.address(), "live", &format!("tiny{number}")))
        .collect();
    std::thread::scope(|scope| {
        for attacker in &attackers {
            scope.spawn(|| {
                let mut socket = attacker.socket();
                let begin = [
                    set_chunk_size(1),
                    header(6, 0, 4_000_000, type_id::VIDEO, 1),
                    vec![0x17],
                ];
                socket.write_all(&begin.concat()).unwrap();
                wire::flood(socket, b"\xC6\x17", 1_000_000);
            });
        }
    });
    drop(attackers);
    case.finish(2);
}

const CAPTURE: &[u8] = include_bytes!("../data/ffmpeg_publish.bin");

/// Publishes the capture in random pieces. Returns what its player received, starting at the last
/// keyframe. A waiting player starts at the newest keyframe, which depends on what arrives in one read.
fn replay(server: SocketAddr, random: &mut Random, longest: usize) -> Vec<Message> {
    let mut player = Client::playing(server, "live", "one");
    let mut socket = wire::connect(server);
    let mut rest = CAPTURE;
    while !rest.is_empty() {
        let len = 1 + random.below(longest.min(rest.len()));
        let (piece, later) = rest.split_at(len);
        socket.write_all(piece).unwrap();
        rest = later;
    }
    socket.shutdown(Shutdown::Write).unwrap();
    // The publisher doesn't return, so the grace time ends the stream.
    let mut messages = player.until_closed();
    messages.retain(|m| matches!(m.type_id, type_id::AUDIO | type_id::VIDEO));
    let keyframe = messages.iter().rposition(Message::is_keyframe);
    messages.split_off(keyframe.expect("a keyframe among them"))
}

#[test]
fn a_session_split_anywhere_is_the_same_session() {
    let case = Case::start("random pieces", &["--grace", "100ms"]);
    let mut random = Random(1);
    let whole = replay(case.address(), &mut random, 1 << 20);
    assert_eq!(whole.len(), 17);
    let sizes = [1 << 20, 2000, 500, 100, 20, 5, 1500, 3000];
    for longest in sizes {
        let pieces = replay(case.address(), &mut random, longest);
        assert!(pieces == whole, "pieces of at most {longest} bytes");
    }
    let shown = case.finish(2);
    let of_36 = shown.log.matches(", 36 messages,").count();
    assert_eq!(of_36, 1 + sizes.len(), "{}", shown.log);
}

#[test]
fn sessions_cut_off_anywhere_leave_nothing_behind() {
    let case = Case::start("sessions broken off", &[]);
    let mut random = Random(2);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let captures: Vec<_> = [
        "ffmpeg_publish",
        "gst_rtmp2sink",
        "ffmpeg_play",
        "rtmpdump_play",
    ]
    .iter()
    .map(|name| fs::read(format!("{folder}/{name}.bin")).unwrap())
    .collect();
    for round in 0..200 {
        let capture = &captures[round % captures.len()];
        let mut socket = wire::connect(case.address());
        // Commands begin after the 3073 bytes of the handshake. The last quarter of the cuts lies
        // there.
        let from = if round < 50 { 0 } else { 3000 };
        let cut = from + random.below(capture.len() - from);
        let (first, second) = capture[..cut].split_at(random.below(cut + 1));
        // A server that has already closed is fine.
        let _ = socket
            .write_all(first)
            .and_then(|()| socket.write_all(second));
        if round % 2 == 0 {
            wire::reset(&socket);
        }
    }
    case.finish(200).memory_is_back();
}
