//! Clients that speak another protocol, or leave during the handshake.

use std::io::Write;
use std::net::Shutdown;

use crate::case::Case;
use crate::common::client::read_until_closed;
use crate::common::random::Random;
use crate::wire;

#[test]
fn other_protocols_are_closed_without_an_answer() {
    let case = Case::start("other protocols", &["--handshake-timeout", "1s"]);
    let client_hello = b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03";
    let mut beginnings: Vec<Vec<u8>> = [
        &b"GET / HTTP/1.1\r\nHost: camera\r\n\r\n"[..],
        b"POST /open/1 HTTP/1.1\r\nContent-Type: application/x-fcs\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"OPTIONS rtsp://camera/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        client_hello,
        b"\x06",
        b"\x08",
        b"\x09",
        b"\0",
        b"\xFF",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    // Bytes of the same length as C0, C1 and C2: RTMPE, TLS, noise.
    let mut random = Random(3);
    for first in [6, 8, 9, 0x16, b'G', 0, 0xFF] {
        let mut bytes = random.bytes(1 + 1536 + 1536 + 500);
        bytes[0] = first;
        beginnings.push(bytes);
    }
    for bytes in beginnings {
        let mut socket = wire::connect(case.address());
        // The server may have closed before the last byte.
        let _ = socket.write_all(&bytes);
        let answer = read_until_closed(&socket);
        // A version that might become RTMP gets a handshake; other protocols get no answer.
        assert!(
            [0, 3073].contains(&answer.len()),
            "{bytes:02X?}: {answer:02X?}"
        );
    }
    case.finish(1);
}

#[test]
fn noise_after_a_handshake_ends_only_its_connection() {
    let case = Case::start("noise", &["--command-timeout", "2s"]);
    let mut random = Random(4);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            let noise = random.bytes(2_000);
            let address = case.address();
            scope.spawn(move || {
                let mut socket = wire::connect(address);
                let mut bytes = wire::c0_c1();
                bytes.resize(bytes.len() + 1536, 0);
                bytes.extend(noise);
                let _ = socket.write_all(&bytes);
                let _ = socket.shutdown(Shutdown::Write);
                wire::wait_until_closed(&socket);
            });
        }
    });
    case.finish(40);
}

#[test]
fn handshakes_that_end_halfway_are_closed_at_once() {
    let case = Case::start("half a handshake", &["--handshake-timeout", "10m"]);
    let mut handshake = wire::c0_c1();
    handshake.resize(1537 + 1536, 0);
    for len in [0, 1, 2, 800, 1536, 1537, 1538, 3000, 3073] {
        for is_reset in [false, true] {
            let mut socket = wire::connect(case.address());
            socket.write_all(&handshake[..len]).unwrap();
            if is_reset {
                wire::reset(&socket);
            } else {
                // Not after the ten minutes of the timeout.
                socket.shutdown(Shutdown::Write).unwrap();
                wire::wait_until_closed(&socket);
            }
        }
    }
    case.finish(1);
}
