//! In the steady state relaying allocates nothing.

use brooklet::live::join::Join;
use brooklet::rtmp::chunk_reader::{ChunkReader, Limits, Payload};

use crate::fixture::Fixture;

/// The publisher's chunks, as bytes: pictures of several chunks and sounds.
fn chunks(messages: u32) -> Vec<u8> {
    use brooklet::rtmp::chunk::MessageHeader;
    use brooklet::rtmp::chunk_writer::ChunkWriter;

    let mut bytes = Vec::new();
    for index in 0..messages {
        let (type_id, chunk_stream_id, tag, len): (_, _, &[u8], _) = match index % 2 {
            0 if index % 60 == 0 => (9, 6, b"\x17\x01\0\0\0", 40_000),
            0 => (9, 6, b"\x27\x01\0\0\0", 9_000),
            _ => (8, 4, b"\xAF\x01\0\0\0", 300),
        };
        let mut payload = tag.to_vec();
        payload.resize(len, index as u8);
        let timestamp = index * 20;
        let header = MessageHeader {
            chunk_stream_id,
            timestamp,
            len: 0,
            type_id,
            message_stream_id: 1,
        };
        ChunkWriter::with_announced_chunk_size().write(header, &payload, &mut bytes);
    }
    bytes
}

#[test]
fn relaying_a_thousand_messages_to_three_subscribers_allocates_nothing() {
    relay_a_thousand_messages_to(3);
}

#[test]
fn nor_does_it_to_as_many_as_are_sent_staged_bytes() {
    relay_a_thousand_messages_to(8);
}

fn relay_a_thousand_messages_to(subscribers: usize) {
    use brooklet::live::log::Kind;

    let fixture = Fixture::published();
    let players: Vec<_> = (0..subscribers).map(|_| fixture.play(Join::Live)).collect();
    let limits = Limits {
        media: 1 << 20,
        data: 0,
        command: 0,
        ..Limits::NONE
    };
    let mut reader = ChunkReader::new(fixture.arena.clone(), limits);
    reader.set_chunk_size(65_536).unwrap();
    let (warm_up, measured) = (chunks(400), chunks(1_000));
    for player in &players {
        player.reserve(3 * (warm_up.len() + measured.len()));
    }

    let mut relay = |bytes: &[u8]| {
        let mut relayed = 0;
        for mut read in bytes.chunks(7_000) {
            while let Some(header) = reader.read(&mut read).unwrap() {
                let kind = if header.type_id == 9 {
                    Kind::Video
                } else {
                    Kind::Audio
                };
                let (generation, now) = (fixture.generation.get(), fixture.now.get());
                let payload = reader.payload().unwrap().parts();
                fixture
                    .stream
                    .append(generation, kind, header.timestamp, payload, now)
                    .unwrap();
                relayed += 1;
            }
            fixture.pump();
            fixture.wait(10);
        }
        relayed
    };
    relay(&warm_up);
    let mut relayed = 0;
    let allocations = allocation_counter::measure(|| relayed = relay(&measured));
    assert_eq!(relayed, 1_000);
    assert_eq!(allocations.count_total, 0);
    for mut player in players {
        assert!(player.media().len() >= 1_000);
    }
}
