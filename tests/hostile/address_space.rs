//! Decreasing address space, down to the size at which the server reports that it can't start.

use std::io::{Read, Write};
use std::net::TcpStream;

use brooklet::rtmp::message::type_id;

use crate::case::Case;
use crate::common::Brooklet;
use crate::wire;

/// The number of clients, which alternately send nothing, send half a request, or play a stream.
const CONNECTIONS: usize = 300;

fn come(case: &Case, number: usize) -> Option<TcpStream> {
    match number % 3 {
        0 => {
            let mut socket = wire::connect(case.address());
            socket.write_all(&wire::c0_c1()).ok()?;
            let mut answer = [0; 3073];
            socket.read_exact(&mut answer).ok()?;
            Some(socket)
        }
        1 => {
            let mut socket = wire::connect(case.http_address());
            socket.write_all(b"GET / HTTP/1.1\r\nHost: loc").ok()?;
            Some(socket)
        }
        _ => {
            let mut socket = wire::publish_blindly(case.address(), &format!("n{number}"));
            let frame = wire::message(type_id::VIDEO, 1, &[0x17; 20_000]);
            socket.write_all(&frame).ok()?;
            Some(socket)
        }
    }
}

#[test]
fn clients_are_refused_for_lack_of_memory_without_harm_to_others() {
    let mut kib: u64 = 400 * 1024;
    loop {
        let options = ["--handshake-timeout", "10m", "--command-timeout", "10m"];
        let case = Case::start_within("little address space", kib, &options).unwrap();
        let guests: Vec<_> = (0..CONNECTIONS).map(|number| come(&case, number)).collect();
        case.canary_goes_on(30);
        let threads = case.now().threads - case.before().threads;
        println!(
            "{} MiB of address space: {threads} of {CONNECTIONS} got in",
            kib >> 10
        );
        drop(guests);
        case.finish(CONNECTIONS as u64);
        kib = kib * 3 / 4;
        // Between runs, up to 36 fewer connections are accepted, and the canary needs two places.
        if threads < 40 {
            break;
        }
    }
    // Step by step, because each lacks its memory at another place of the start.
    let step = kib / 16;
    while start_within(kib).is_none() {
        kib -= step;
    }
    let fine = step / 128;
    for kib in (0..256).map(|number| kib + step - number * fine) {
        if let Some(last_words) = start_within(kib) {
            println!("{kib} KiB of address space: {last_words}");
            assert!(last_words.starts_with("brooklet: "), "{last_words}");
        }
    }
}

/// Starts a server within so much address space. Returns the last words of one that says that it can't.
fn start_within(kib: u64) -> Option<String> {
    let words =
        Brooklet::try_after(&format!("ulimit -v {kib}"), &["--memory", "8M"], |_| {}).err()?;
    // std aborts when there is no room for a new thread's signal stack, with or without a message.
    let is_stdlib = words.contains("alternative stack") || words.contains("fatal runtime error");
    (!is_stdlib).then_some(words)
}
