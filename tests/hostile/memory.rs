//! More media than fits into memory.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;

use brooklet::rtmp::message::type_id;

use crate::canary::Load;
use crate::case::Case;
use crate::common::client::wait_until;
use crate::wire::{self, header, message, set_chunk_size};

/// The smallest memory that the server accepts, in MiB.
const LEAST: u64 = 1;

#[test]
fn keyframes_larger_than_the_memory_cost_only_their_own_stream() {
    let case = Case::start_with("huge keyframes", LEAST, Load::LIGHT, &[]);
    thread::scope(|scope| {
        for number in 0..6_u8 {
            let case = &case;
            scope.spawn(move || {
                let mut keyframe = vec![0x17, 1, 0, 0, 0];
                keyframe.resize(100_000 << (number % 5), number);
                let keyframe = message(type_id::VIDEO, 1, &keyframe);
                for round in 0..5 {
                    let name = format!("huge{number}-{round}");
                    let publisher = wire::publish_blindly(case.address(), &name);
                    wire::flood(&publisher, &keyframe, 3_000_000);
                }
            });
        }
    });
    case.finish(6);
}

/// Begins a message, which holds a block even though it has only a few bytes so far.
fn hold_a_block(case: &Case, name: &str) -> TcpStream {
    let mut holder = wire::publish_blindly(case.address(), name);
    let begun = [
        set_chunk_size(513),
        header(10, 0, 50_000, type_id::VIDEO, 1),
        vec![0x17; 513],
    ];
    // A server without room closes.
    let _ = holder.write_all(&begun.concat());
    holder.set_nonblocking(true).unwrap();
    holder
}

/// Whether the server has closed the connection.
fn is_closed(mut socket: &TcpStream) -> bool {
    let mut buffer = [0; 16_384];
    loop {
        match socket.read(&mut buffer) {
            Ok(1..) => {}
            Ok(0) => return true,
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

const BLOCKS: usize = LEAST as usize * 64;

/// Holds every block that isn't reserved for the canary. When all connect at once, it is random how many
/// are refused, so further connections are opened until enough have stayed.
fn hold_everything(case: &Case) -> Vec<TcpStream> {
    let mut numbers = 0..;
    let mut holders = Vec::new();
    wait_until("some hold blocks, and the others are refused", || {
        holders.retain(|holder| !is_closed(holder));
        if holders.len() <= BLOCKS / 4 {
            let others = numbers.by_ref().take(2 * BLOCKS - holders.len());
            holders.extend(others.map(|number| hold_a_block(case, &format!("held{number}"))));
            return false;
        }
        holders.len() < BLOCKS
    });
    holders
}

#[test]
fn unfinished_messages_take_no_blocks_from_a_running_stream() {
    let case = Case::start_with("memory held", LEAST, Load::LIGHT, &[]);
    let holders = hold_everything(&case);
    case.canary_goes_on(100);
    drop(holders);
    // And the canary's own.
    case.finish(2 * BLOCKS as u64 + 4);
}

/// Publishes a stream that sends one tiny keyframe and stays connected.
fn still(case: &Case, name: &str) -> TcpStream {
    let publisher = wire::publish_blindly(case.address(), name);
    let keyframe = message(type_id::VIDEO, 1, &[0x17, 1, 0, 0, 0, 0x41]);
    let _ = (&publisher).write_all(&keyframe);
    publisher.set_nonblocking(true).unwrap();
    publisher
}

#[test]
fn many_tiny_streams_take_no_blocks_from_a_running_stream() {
    const STILLS: usize = 200;

    // At this level no line is left out.
    let options = ["--grace", "60s", "--log", "debug"];
    let case = Case::start_with("tiny streams", 4, Load::HEAVY, &options);
    let stills = |round: u8| -> Vec<_> {
        (0..STILLS)
            .map(|number| still(&case, &format!("still{round}-{number}")))
            .collect()
    };
    let mut publishers = stills(0);
    wait_until("those are refused for whom there is no room", || {
        publishers.retain(|publisher| !is_closed(publisher));
        publishers.len() < STILLS
    });
    case.wait_for_log("no memory for another stream", 1);
    case.canary_goes_on(100);
    drop(publishers);
    // The memory that they keep for the grace time is given up for others.
    let others = stills(1);
    case.canary_goes_on(100);
    drop(others);
    case.finish(2 * STILLS as u64 + 4);
}

/// Publishes a stream that sends one tiny keyframe, and begins as many long messages as allowed.
fn assembling(case: &Case, name: &str) -> TcpStream {
    let publisher = still(case, name);
    publisher.set_nonblocking(false).unwrap();
    let mut begun = set_chunk_size(65_536);
    // All but the end of the longest message, and half a MiB of others together.
    for (chunk_stream_id, chunks) in [
        (10, 63),
        (11, 1),
        (12, 1),
        (13, 1),
        (14, 1),
        (15, 1),
        (16, 1),
    ] {
        let len = if chunks > 1 { 4 << 20 } else { 70_000 };
        begun.extend(header(chunk_stream_id, 0, len, type_id::VIDEO, 1));
        begun.extend([0x27; 65_536]);
        for _ in 1..chunks {
            begun.extend(wire::basic(3, chunk_stream_id));
            begun.extend([0x27; 65_536]);
        }
    }
    // A server without room closes.
    let _ = (&publisher).write_all(&begun);
    publisher.set_nonblocking(true).unwrap();
    publisher
}

#[test]
fn many_unfinished_long_messages_take_no_blocks_from_a_running_stream() {
    const ATTACKERS: usize = 20;

    let case = Case::start_with("messages under way", 16, Load::HEAVY, &[]);
    let attackers: Vec<_> = (0..ATTACKERS)
        .map(|number| assembling(&case, &format!("long{number}")))
        .collect();
    case.canary_goes_on(100);
    let held = attackers.iter().filter(|socket| !is_closed(socket)).count();
    println!("{held} of {ATTACKERS} hold what they have begun");
    drop(attackers);
    case.finish(2 * ATTACKERS as u64 + 4);
}
