//! Clients that impersonate others, and clients that guess keys.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::case::Case;
use crate::common::http::HttpClient;
use crate::common::random::Random;

/// Makes a value for a field: addresses, pieces of addresses, and bytes that aren't text.
fn claim(random: &mut Random) -> Vec<u8> {
    const PIECES: [&[u8]; 18] = [
        b"127.0.0.1",
        b"::1",
        b"[::1]:80",
        b"192.168.1.9",
        b"for=127.0.0.1",
        b"for=\"",
        b"\"",
        b"\\",
        b",",
        b", ",
        b";",
        b"unknown",
        b"\xFF",
        b"\xC3\xB6",
        b"\t",
        b"=",
        b"localhost",
        b"10.0.0.1",
    ];
    let count = random.below(8);
    let pieces: Vec<_> = (0..count)
        .map(|_| PIECES[random.below(PIECES.len())])
        .collect();
    pieces.concat()
}

/// The proxy on this machine appends its client's address to whatever the client has sent.
#[test]
fn no_forged_field_makes_a_client_behind_a_proxy_local() {
    const FIELDS: [&str; 5] = ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "Origin"];

    let case = Case::start("claims", &["--trusted-proxy", "127.0.0.1"]);
    let mut random = Random(1);
    let mut client = HttpClient::connect(case.http_address());
    for _ in 0..3_000 {
        let mut lines = Vec::new();
        for _ in 0..random.below(4) {
            let field = FIELDS[random.below(FIELDS.len())].as_bytes();
            lines.extend([field, b": ", &claim(&mut random), b"\r\n"].concat());
        }
        let before = claim(&mut random);
        lines.extend([b"X-Forwarded-For: ", &before[..], b", 203.0.113.5\r\n"].concat());
        for (target, may_answer) in [
            ("/api/v1/connections", false),
            ("/live/canary/frame.mp4", false),
            ("/api/v1/streams", true),
        ] {
            let start = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n");
            client.send([start.as_bytes(), &lines, b"\r\n"].concat());
            let answer = client.answer();
            let shown = String::from_utf8_lossy(&lines);
            assert_eq!(answer.status == 200, may_answer, "{target}\n{shown}");
            assert!(!answer.text().contains("canary"), "{target}\n{shown}");
        }
    }
    drop(client);
    case.finish(1);
}

#[test]
fn fifteen_guesses_per_second_delay_no_client_with_the_key() {
    let case = Case::start("guesses", &["--api-key", "s3cret-key"]);
    let address = case.http_address();
    let is_over = AtomicBool::new(false);
    let ask = |key: &str| {
        // All guesses come from the same address.
        let mut client = HttpClient::connect_from(Ipv4Addr::new(127, 0, 0, 2), address);
        let target = format!("/api/v1/connections?api_key={key}");
        client.request("GET", &target, "");
        client
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            // One client doesn't wait for the answer, another one does.
            let mut guesses = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                guesses.push(ask("s3cret-kez"));
                guesses.drain(..guesses.len().saturating_sub(20));
                thread::sleep(Duration::from_millis(66));
            }
        });
        for _ in 0..200 {
            assert_eq!(ask("s3cret-key").answer().status, 200);
            thread::sleep(Duration::from_millis(20));
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let shown = case.finish(24);
    let line = shown.log.lines().find(|line| line.contains("s3cret-ke"));
    assert_eq!(line, None);
}
