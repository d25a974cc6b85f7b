//! Small messages at full speed: control messages, pings, commands.

use std::thread;

use brooklet::rtmp::message::type_id;

use crate::canary::STREAM;
use crate::case::Case;
use crate::common::client::Client;
use crate::wire::{self, command, control, message, set_chunk_size, user_control};

/// The length of each flood in bytes: tens of thousands of messages.
const LEN: usize = 400_000;

/// Connects an unused connection, a publisher and a player.
fn clients(case: &Case, name: &str) -> [Client; 3] {
    [
        Client::connected(case.address(), "live"),
        Client::publishing(case.address(), "live", name),
        Client::playing(case.address(), STREAM.0, STREAM.1),
    ]
}

/// Sends each piece repeatedly from an unused connection, a publisher and a player, first reading the
/// replies and then without reading them.
fn flood(case: &Case, pieces: &[(&str, Vec<u8>)]) {
    for (what, piece) in pieces {
        let clients = [clients(case, "unread"), clients(case, "read")];
        let [unread, read] = &clients;
        let endings: Vec<_> = thread::scope(|scope| {
            let unread = unread
                .iter()
                .map(|client| scope.spawn(|| wire::flood(client.socket(), piece, LEN)));
            let read = read
                .iter()
                .map(|client| scope.spawn(|| wire::flood_reading(client.socket(), piece, LEN)));
            let threads: Vec<_> = unread.chain(read).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        println!("{what}: {endings:?}");
        drop(clients);
        case.wait_until_alone();
    }
}

#[test]
fn floods_of_control_messages_end_only_their_connection() {
    let case = Case::start("control floods", &[]);
    let number = |type_id, number: u32| control(type_id, &number.to_be_bytes());
    let bandwidth = |type_id| {
        let messages = (0..200_u32).map(|size| {
            let body = [&(1 + size * 1000).to_be_bytes()[..], &[size as u8 % 3]].concat();
            control(type_id, &body)
        });
        messages.collect::<Vec<_>>().concat()
    };
    let both = |a: Vec<u8>, b: Vec<u8>| [a, b].concat();
    flood(
        &case,
        &[
            (
                "acknowledgements",
                number(type_id::ACKNOWLEDGEMENT, u32::MAX),
            ),
            ("aborts", number(type_id::ABORT, 2)),
            (
                "chunk sizes",
                both(set_chunk_size(1), set_chunk_size(0x7FFF_FFFF)),
            ),
            (
                "windows of 0",
                number(type_id::WINDOW_ACKNOWLEDGEMENT_SIZE, 0),
            ),
            (
                "windows of 1",
                number(type_id::WINDOW_ACKNOWLEDGEMENT_SIZE, 1),
            ),
            (
                "windows",
                number(type_id::WINDOW_ACKNOWLEDGEMENT_SIZE, u32::MAX),
            ),
            ("bandwidths", bandwidth(type_id::SET_PEER_BANDWIDTH)),
            (
                "empty control messages",
                control(type_id::USER_CONTROL, &[]),
            ),
        ],
    );
    case.finish(6).memory_is_back();
}

#[test]
fn floods_of_events_and_pings_end_only_their_connection() {
    let case = Case::start("event floods", &[]);
    let mut events: Vec<_> = (0..40_u16).chain([u16::MAX]).collect();
    events.retain(|event| *event != wire::PING_REQUEST);
    let any = events
        .into_iter()
        .flat_map(|event| user_control(event, &[0xFF; 8]));
    flood(
        &case,
        &[
            ("pings", user_control(wire::PING_REQUEST, &[1, 2, 3, 4])),
            ("events", any.collect()),
            (
                "pings that are too long",
                user_control(wire::PING_REQUEST, &[0; 62]),
            ),
        ],
    );
    case.finish(6).memory_is_back();
}

#[test]
fn floods_of_commands_end_only_their_connection() {
    let case = Case::start("command floods", &[]);
    let commands = [
        ("createStream", 0, &[5][..]),
        ("doesNotExist", 0, &[5]),
        ("releaseStream", 0, b"\x05\x02\0\x01a"),
        ("FCPublish", 0, b"\x05\x02\0\x01a"),
        ("getStreamLength", 0, b"\x05\x02\0\x01a"),
        ("publish", 1, b"\x05\x02\0\x01a\x02\0\x04live"),
        ("play", 1, b"\x05\x02\0\x06canary"),
        ("closeStream", 1, b"\x05"),
        ("pause", 1, b"\x05\x01\x01"),
    ];
    let pieces: Vec<_> = commands
        .iter()
        .map(|(name, id, rest)| {
            (
                *name,
                message(type_id::COMMAND, *id, &command(name, 9.0, rest)),
            )
        })
        .collect();
    flood(&case, &pieces);
    let turns = [&pieces[5].1[..], &pieces[7].1, &pieces[6].1, &pieces[7].1].concat();
    flood(&case, &[("publish and play in turns", turns)]);
    case.finish(6).memory_is_back();
}
