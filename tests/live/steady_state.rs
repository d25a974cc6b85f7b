//! Relaying allocates nothing in the steady state.

use std::ops::Range;
use std::sync::Arc;

use brooklet::allowance::Allowance;
use brooklet::live::capabilities::Capabilities;
use brooklet::live::kind::Kind;
use brooklet::live::out::carrier::Carrier;
use brooklet::live::out::framing::Framing;
use brooklet::live::out::join::Join;
use brooklet::live::out::request::Receiver;
use brooklet::live::payload::Assembly;
use brooklet::media::Medium;
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::chunk_reader::{ChunkReader, Limits};
use brooklet::rtmp::server_session::Dialect;

use crate::files::SMALL;
use crate::fixture::{AAC_HEADER, Fixture, TestSink};

/// A message, as its type and its payload.
type Message = (u8, Vec<u8>);

/// Video frames of several chunks, and audio.
fn legacy(index: u32) -> Message {
    let (type_id, tag, len): (_, &[u8], _) = match index % 2 {
        0 if index % 60 == 0 => (9, b"\x17\x01\0\0\0", 40_000),
        0 => (9, b"\x27\x01\0\0\0", 9_000),
        _ => (8, b"\xAF\x01\0\0\0", 300),
    };
    filled(type_id, tag, len, index)
}

/// The same media in forms that players don't receive unchanged.
fn enhanced(index: u32) -> Message {
    let (type_id, tag, len): (_, &[u8], _) = match index % 12 {
        0 if index % 60 == 0 => (9, b"\x91avc1\0\0\0", 40_000),
        // Two tracks, the second of which has the rest.
        0 | 2 => (
            9,
            b"\xA6\x11avc1\0\0\0\x07\0\0\0\0\0\0\0\x01\0\x23\x13",
            9_000,
        ),
        4 => (9, b"\xA7\x02\0\0\x01\x03hvc1", 9_000),
        6 => (9, b"\x83hvc1", 9_000),
        8 | 10 => (9, b"\xA3avc1", 9_000),
        1 | 3 | 5 => (8, b"\x91mp4a", 300),
        _ => (8, b"\x95\x01mp4a\0", 300),
    };
    filled(type_id, tag, len, index)
}

fn filled(type_id: u8, tag: &[u8], len: usize, index: u32) -> Message {
    let mut payload = tag.to_vec();
    payload.resize(len, index as u8);
    (type_id, payload)
}

/// The publisher's chunks, as bytes.
fn chunks(numbers: Range<u32>, message: fn(u32) -> Message) -> Vec<u8> {
    use brooklet::rtmp::chunk::MessageHeader;
    use brooklet::rtmp::chunk_writer::ChunkWriter;

    let mut bytes = Vec::new();
    for index in numbers {
        let (type_id, payload) = message(index);
        let header = MessageHeader {
            chunk_stream_id: if type_id == 9 { 6 } else { 4 },
            timestamp: index * 20,
            len: 0,
            type_id,
            message_stream_id: 1,
        };
        ChunkWriter::with_announced_chunk_size().write(header, &payload, &mut bytes);
    }
    bytes
}

fn rtmp(capabilities: Capabilities) -> Receiver {
    receiver(Framing::rtmp(1, Dialect::AMF0), capabilities)
}

fn receiver(framing: Framing, capabilities: Capabilities) -> Receiver {
    Receiver {
        framing,
        join: Join::Live,
        capabilities,
    }
}

/// Receivers of files, one for each kind of file.
fn files() -> Vec<Receiver> {
    let everything = Capabilities::everything();
    let of_carrier = |carrier| {
        [
            receiver(Framing::flv(carrier), everything),
            receiver(Framing::flv(carrier), Capabilities::browser()),
            receiver(Framing::mp4(carrier), everything),
        ]
    };
    [Carrier::Raw, Carrier::Chunked, Carrier::WebSocket]
        .into_iter()
        .flat_map(of_carrier)
        .collect()
}

#[test]
fn relaying_a_thousand_messages_to_three_subscribers_allocates_nothing() {
    relay_a_thousand_messages_to(&[rtmp(Capabilities::unknown()); 3], legacy);
}

#[test]
fn relaying_staged_bytes_to_eight_subscribers_allocates_nothing() {
    relay_a_thousand_messages_to(&[rtmp(Capabilities::unknown()); 8], legacy);
}

#[test]
fn relaying_messages_that_are_split_and_rewritten_allocates_nothing() {
    let (plain, all) = (
        rtmp(Capabilities::unknown()),
        rtmp(Capabilities::everything()),
    );
    let sent = relay_a_thousand_messages_to(&[plain, all], enhanced);
    assert!(sent[1] > sent[0], "{sent:?}");
    relay_a_thousand_messages_to(&[plain, plain, plain, plain, all, all], enhanced);
}

#[test]
fn relaying_flv_and_mp4_over_http_and_websocket_allocates_nothing() {
    let payload: usize = (0..1_000).map(|index| legacy(index).1.len()).sum();
    let players = vec![rtmp(Capabilities::unknown()); 4];
    for receivers in [files(), [files(), players].concat()] {
        let sent = relay_a_thousand_messages_to(&receivers, legacy);
        // MP4 leaves out the first bytes of each, but has a longer head.
        assert!(sent.iter().all(|sent| *sent > payload), "{sent:?}");
        relay_a_thousand_messages_to(&receivers[..1], enhanced);
    }
}

/// Returns the number of bytes of the measured messages that each receiver was sent.
fn relay_a_thousand_messages_to(receivers: &[Receiver], message: fn(u32) -> Message) -> Vec<usize> {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    let limits = Limits {
        media: 1 << 20,
        data: 0,
        command: 0,
        ..Limits::NONE
    };
    // A publisher's buffer.
    let assembly = Assembly::new((*fixture.arena).clone(), Allowance::default());
    assembly.keep(4);
    let mut reader = ChunkReader::new(assembly, limits);
    reader.set_chunk_size(65_536).unwrap();
    let (warm_up, measured) = (chunks(0..1_500, message), chunks(1_500..2_500, message));
    let attach = |receiver: &Receiver| {
        let sink = Arc::<TestSink>::default();
        sink.reserve(3 * (warm_up.len() + measured.len()));
        fixture.receive(*receiver, sink.clone());
        sink
    };
    let sinks: Vec<_> = receivers.iter().map(attach).collect();

    let mut relay = |bytes: &[u8]| {
        let mut relayed = 0;
        for read in bytes.chunks(7_000) {
            let mut read = Bytes::from(read);
            while let Some(header) = reader.read(&mut read).unwrap() {
                let medium = if header.type_id == 9 {
                    Medium::Video
                } else {
                    Medium::Audio
                };
                let (generation, now) = (fixture.generation.get(), fixture.now.get());
                let payload = reader.payload(header.in_place);
                fixture
                    .stream
                    .append(generation, medium, header.timestamp, payload, now)
                    .unwrap();
                relayed += 1;
            }
            fixture.pump();
            fixture.wait(10);
        }
        relayed
    };
    relay(&warm_up);
    let len = |sink: &Arc<TestSink>| sink.len();
    let before: Vec<_> = sinks.iter().map(len).collect();
    let mut relayed = 0;
    let allocations = allocation_counter::measure(|| relayed = relay(&measured));
    assert_eq!(relayed, 1_000);
    assert_eq!(allocations.count_total, 0);
    let sent = sinks.iter().zip(before).map(|(sink, b)| sink.len() - b);
    let sent: Vec<_> = sent.collect();
    // Some messages are left out for receivers that can't handle them.
    assert!(sent.iter().all(|sent| *sent > measured.len() / 2));
    sent
}
