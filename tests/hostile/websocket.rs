//! Attacks by viewers over WebSocket.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::case::Case;
use crate::common::http::{HttpClient, UPGRADE, WebSocket, client_frame};
use crate::common::random::Random;
use crate::wire;

const STREAM: &str = "/live/canary.flv";

#[test]
fn frames_that_break_the_protocol_close_their_connection_with_a_code() {
    let case = Case::start("broken frames", &[]);
    let sized = |len: u64| [&[0x82, 0xFF][..], &len.to_be_bytes(), &[1, 2, 3, 4]].concat();
    for (name, bytes, code) in [
        ("without mask", b"\x81\x05Hello".to_vec(), 1002),
        ("a Ping without mask", vec![0x89, 0], 1002),
        ("a huge length", sized(i64::MAX as u64), 1009),
        ("a negative length", sized(u64::MAX), 1002),
        ("a megabyte", client_frame(0x82, &[0; 1 << 20]), 1009),
        ("a control frame in pieces", client_frame(0x09, b"a"), 1002),
        ("a long Ping", client_frame(0x89, &[0; 126]), 1002),
        ("a long Close", client_frame(0x88, &[0x03; 126]), 1002),
        ("half a status code", client_frame(0x88, &[3]), 1002),
        ("reserved bits", client_frame(0xF2, b"a"), 1002),
        ("an unknown kind", client_frame(0x85, b"a"), 1002),
        ("a rest without beginning", client_frame(0x80, b"a"), 1002),
        (
            "another handshake",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            1002,
        ),
        ("no text", client_frame(0x81, b"caf\xE9"), 1007),
        (
            "no text in pieces",
            [client_frame(0x01, b"\xE2\x82"), client_frame(0x80, b"!")].concat(),
            1007,
        ),
        (
            "too much in pieces",
            [
                client_frame(0x01, &[b'a'; 40_000]),
                client_frame(0x80, &[b'a'; 40_000]),
            ]
            .concat(),
            1009,
        ),
        ("Close", client_frame(0x88, &1000_u16.to_be_bytes()), 1000),
    ] {
        let mut viewer = WebSocket::open(case.http_address(), STREAM);
        // The server may close before the last byte.
        let _ = viewer.socket().write_all(&bytes);
        assert_eq!(viewer.close_code(), Some(code), "{name}");
    }
    case.finish(2);
}

#[test]
fn frames_may_come_with_the_request_and_are_answered_after_it() {
    let case = Case::start("early frames", &[]);
    let mut client = HttpClient::connect(case.http_address());
    let request = format!("GET {STREAM} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
    let early = [
        request.as_bytes(),
        &client_frame(0x88, &1001_u16.to_be_bytes()),
    ]
    .concat();
    client.send(early);
    let bytes = client.until_closed();
    assert!(bytes.starts_with(b"HTTP/1.1 101 "), "{:?}", &bytes[..20]);
    case.finish(1);
}

#[test]
fn malformed_handshakes_are_refused() {
    let case = Case::start("broken handshakes", &[]);
    let mut client = HttpClient::connect(case.http_address());
    for (from, to, status) in [
        ("Version: 13", "Version: 8", 426),
        ("Version: 13", "Version: 13, 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        (
            "Sec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n",
            400,
        ),
        (
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            400,
        ),
        ("Connection: Upgrade\r\n", "", 400),
        ("Connection: Upgrade", "Connection: keep-alive", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "********************* *==", 400),
        (
            "websocket\r\n",
            "websocket\r\nContent-Length: 0\r\nOrigin: https://evil.example\r\n",
            403,
        ),
    ] {
        client.request("GET", STREAM, &UPGRADE.replace(from, to));
        let answer = client.answer();
        assert_eq!(answer.status, status, "{to:?}");
        if status == 426 {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        }
    }
    drop(client);
    case.finish(1);
}

#[test]
fn floods_of_frames_delay_no_stream() {
    let case = Case::start("frame floods", &[]);
    let address = case.http_address();
    let pings = client_frame(0x89, &[7; 125]);
    let pongs = client_frame(0x8A, b"");
    let empty = client_frame(0x00, b"");
    let text = client_frame(0x81, &[b'a'; 60_000]);
    let begun = client_frame(0x01, b"a");
    thread::scope(|scope| {
        for piece in [&pings, &pongs, &text, &empty] {
            let begun = &begun;
            scope.spawn(move || {
                let mut viewer = WebSocket::open(address, STREAM);
                if piece[0] == 0 {
                    viewer.send_bytes(begun);
                }
                // Accepted or closed: both are fine.
                wire::flood_reading(viewer.socket(), piece, 4 << 20);
            });
            scope.spawn(move || {
                let viewer = WebSocket::open(address, STREAM);
                wire::flood(viewer.socket(), piece, 4 << 20);
            });
        }
        case.canary_goes_on(100);
    });
    case.finish(8).memory_grew_at_most(8 * 24 + 3 * 1024);
}

#[test]
fn noise_after_the_handshake_ends_only_its_connection() {
    let case = Case::start("noise over WebSocket", &[]);
    let mut random = Random(23);
    for round in 0..60 {
        let viewer = WebSocket::open(case.http_address(), STREAM);
        let len = 1 + random.below(2_000);
        let noise = random.bytes(len);
        let _ = viewer.socket().write_all(&noise);
        if round % 3 == 0 {
            wire::reset(viewer.socket());
        } else {
            let _ = viewer.socket().shutdown(std::net::Shutdown::Write);
            wire::wait_until_closed(viewer.socket());
        }
    }
    case.finish(4).memory_is_back();
}

#[test]
fn empty_pings_at_line_rate_are_closed_and_delay_no_stream() {
    let case = Case::start("empty pings", &[]);
    case.canary_goes_on(100);
    let alone = case.canary_p99();
    let address = case.http_address();
    let is_over = AtomicBool::new(false);
    let ping = client_frame(0x89, b"");
    thread::scope(|scope| {
        for _ in 0..4 {
            let (is_over, ping) = (&is_over, &ping);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let viewer = WebSocket::open(address, STREAM);
                    wire::flood_reading(viewer.socket(), ping, 16 << 20);
                    // Each time causes log lines, which are another case.
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
        case.canary_goes_on(300);
        is_over.store(true, Ordering::Relaxed);
    });
    println!(
        "empty pings: the canary's p99 is {} ms, {alone} ms without them",
        case.canary_p99()
    );
    let mut viewer = WebSocket::open(address, STREAM);
    // The server may close before the last byte.
    let _ = viewer.socket().write_all(&ping.repeat(1_000));
    assert_eq!(viewer.close_code(), Some(1008));
    // Occasional pings are answered.
    let mut viewer = WebSocket::open(address, STREAM);
    viewer.send(0x89, b"a");
    viewer.send(0x89, b"b");
    let pong = std::iter::from_fn(|| viewer.next()).find(|(first, _)| *first == 0x8A);
    assert!([b"a", b"b"].contains(&&pong.unwrap().1[..].try_into().unwrap()));
    drop(viewer);
    case.finish(8);
}
