//! Media and data messages that are too frequent, too large, or empty.

use std::io::Read;
use std::thread;

use brooklet::rtmp::message::type_id;

use crate::case::Case;
use crate::common::client::Client;
use crate::common::random::Random;
use crate::wire::{self, message, metadata};

/// Publishes the messages of each attacker at full speed, to a player that reads all of them.
fn flood(case: &Case, attackers: &[Vec<u8>], len: usize) {
    thread::scope(|scope| {
        for (number, piece) in attackers.iter().enumerate() {
            scope.spawn(move || {
                let name = format!("flood{number}");
                let player = Client::playing(case.address(), "live", &name);
                let publisher = Client::publishing(case.address(), "live", &name);
                let reading = player.socket().try_clone().unwrap();
                let reader = scope.spawn(move || {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(1..) = (&reading).read(&mut buffer) {}
                });
                wire::flood(publisher.socket(), piece, len);
                drop(publisher);
                player.socket().shutdown(std::net::Shutdown::Both).unwrap();
                reader.join().unwrap();
            });
        }
    });
}

#[test]
fn empty_and_malformed_messages_cost_nothing() {
    let case = Case::start("empty messages", &[]);
    let mut random = Random(5);
    let noise: Vec<u8> = (0..400)
        .flat_map(|_| {
            let type_id = [8, 9, 18, 15, 22][random.below(5)];
            let len = random.below(60);
            message(type_id, 1, &random.bytes(len))
        })
        .collect();
    let unknown: Vec<u8> = [0, 7, 10, 11, 12, 13, 14, 16, 19, 21, 23, 64, 128, 255]
        .into_iter()
        .flat_map(|type_id| message(type_id, 1, b"nobody knows"))
        .collect();
    let elsewhere: Vec<u8> = [0, 2, u32::MAX]
        .into_iter()
        .flat_map(|id| message(type_id::VIDEO, id, &[0x17, 1, 0, 0, 0, 1]))
        .collect();
    let empty = [
        message(type_id::AUDIO, 1, &[]),
        message(type_id::VIDEO, 1, &[]),
    ]
    .concat();
    flood(&case, &[empty, noise, unknown, elsewhere], 1_000_000);
    case.finish(8).memory_is_back();
}

#[test]
fn malformed_aggregates_are_dropped() {
    let case = Case::start("aggregates", &[]);
    let tag = |type_id: u8, len: u32, body: &[u8]| {
        let mut tag = vec![type_id];
        tag.extend(&len.to_be_bytes()[1..]);
        tag.extend([0; 7]);
        tag.extend(body);
        tag.extend((11 + len).to_be_bytes());
        tag
    };
    let inner = tag(8, 3, &[0xAF, 1, 1]);
    let aggregates = [
        vec![],
        vec![9],
        vec![0xFF; 100_000],
        tag(9, 0xFF_FFFF, &[0x17, 1]),
        tag(9, 0, &[]).repeat(20_000),
        tag(22, inner.len() as u32, &inner),
        inner.repeat(20_000),
        tag(20, 3, &[2, 0, 0]).repeat(100),
        tag(1, 4, &[0, 0, 0, 1]).repeat(100),
    ];
    let attackers: Vec<_> = aggregates
        .chunks(3)
        .map(|some| {
            let messages = some.iter().map(|body| message(22, 1, body));
            messages.collect::<Vec<_>>().concat()
        })
        .collect();
    flood(&case, &attackers, 2_000_000);
    case.finish(6);
}

/// Builds metadata that is as large as possible when decoded, in two versions, so that it changes each
/// time.
fn large_metadata() -> [Vec<u8>; 2] {
    // 8192 values with different names; long strings; the same names with other values.
    let mut many = vec![8, 0, 0, 0x20, 0];
    let mut long = vec![8, 0, 0, 0, 0];
    for number in 0..8_100_u32 {
        many.extend([0, 8]);
        many.extend(format!("name{number:04}").as_bytes());
        many.extend(b"\x02\0\x08somewhat");
    }
    for number in 0..250_u32 {
        long.extend([0, 7]);
        long.extend(format!("long{number:03}").as_bytes());
        long.extend([2, 3, 0xFF]);
        long.extend([b'x'; 1023]);
    }
    [many, long].map(|mut properties| {
        properties.extend([0, 0, 9]);
        let first = metadata(&properties);
        let at = first.len() - 4;
        let mut second = first.clone();
        second[at] ^= 1;
        assert!(first.len() <= 256 * 1024);
        let messages = [
            message(type_id::DATA, 1, &first),
            message(type_id::DATA, 1, &second),
        ];
        messages.concat()
    })
}

#[test]
fn repeated_metadata_of_256_kib_is_bounded() {
    let case = Case::start("large metadata", &[]);
    flood(&case, &vec![large_metadata(); 2].concat(), 6_000_000);
    case.finish(8);
}

#[test]
fn metadata_of_256_kib_from_many_publishers_is_bounded() {
    let case = Case::start("large metadata from many", &[]);
    flood(&case, &vec![large_metadata(); 8].concat(), 3_000_000);
    case.finish(32);
}

#[test]
fn ever_changing_sequence_headers_are_bounded() {
    let case = Case::start("sequence headers", &[]);
    // Enhanced RTMP, one track per message: 64 tracks with headers of nearly 64 KiB.
    let headers = |version: u8| -> Vec<u8> {
        let of_track = |track: u8| {
            let mut video = vec![0x96, 0x00];
            video.extend(b"hvc1");
            video.push(track);
            video.resize(65_000, version);
            message(type_id::VIDEO, 1, &video)
        };
        (0..64).flat_map(of_track).collect()
    };
    let piece = [headers(1), headers(2)].concat();
    flood(&case, &vec![piece; 6], 9_000_000);
    case.finish(12);
}
