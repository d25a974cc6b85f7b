//! Attacks over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use crate::case::Case;
use crate::common::client::wait_until;
use crate::common::http::HttpClient;
use crate::common::random::Random;
use crate::wire::{self, Flooded};

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// Returns everything that the server sends in answer to these bytes before it closes.
fn answer_to(server: SocketAddr, bytes: &[u8]) -> String {
    let mut client = HttpClient::connect(server);
    // The server may have closed before the last byte.
    let _ = client.socket().write_all(bytes);
    String::from_utf8_lossy(&client.until_closed()).into_owned()
}

fn statuses(answers: &str) -> Vec<&str> {
    let lines = answers.split("HTTP/1.1 ").skip(1);
    lines
        .filter_map(|answer| answer.split(' ').next())
        .collect()
}

#[test]
fn smuggled_requests_are_never_answered() {
    let case = Case::start("smuggling", &[]);
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let chunked = format!("0\r\n\r\n{smuggled}");
    let sized = format!("Content-Length: {}\r\n", smuggled.len());
    let twice = format!("{sized}Content-Length: 0\r\n");
    let zero_first = format!("Content-Length: 0\r\n{sized}");
    let both = format!("{sized}Transfer-Encoding: chunked\r\n");
    let longer = format!("{}0\r\n", sized.trim_end());
    for (name, headers, body, status) in [
        ("CL", &*sized, smuggled, "413"),
        ("CL.CL", &twice, smuggled, "400"),
        ("0.CL", &zero_first, smuggled, "400"),
        ("CL in a list", "Content-Length: 0, 37\r\n", smuggled, "400"),
        ("CL with a sign", "Content-Length: +37\r\n", smuggled, "400"),
        ("a longer CL", &longer, smuggled, "413"),
        ("TE", "Transfer-Encoding: chunked\r\n", &chunked, "501"),
        ("CL.TE", &both, &chunked, "400"),
        (
            "TE, hidden",
            "Transfer-Encoding: xchunked\r\n",
            &chunked,
            "501",
        ),
        (
            "TE, twice",
            "Transfer-Encoding: a\r\nTransfer-Encoding: chunked\r\n",
            &chunked,
            "501",
        ),
        (
            "a blank before the colon",
            "Transfer-Encoding : chunked\r\n",
            &chunked,
            "400",
        ),
        (
            "a tab before the colon",
            "Content-Length\t: 37\r\n",
            smuggled,
            "400",
        ),
        (
            "a folded line",
            "A: b\r\n Transfer-Encoding: chunked\r\n",
            &chunked,
            "400",
        ),
        ("a bare LF", "A: b\nContent-Length: 37\r\n", smuggled, "400"),
        ("a bare CR", "A: b\rContent-Length: 37\r\n", smuggled, "400"),
        ("a NUL", "A: b\0\r\nContent-Length: 37\r\n", smuggled, "400"),
        ("LF LF", "A: b\n\n", smuggled, "400"),
        ("two Hosts", "Host: i\r\n", smuggled, "400"),
        (
            "a vertical tab",
            "Transfer-Encoding:\x0bchunked\r\n",
            &chunked,
            "400",
        ),
    ] {
        for method in ["GET", "POST", "HEAD", "OPTIONS"] {
            let request = format!("{method} / HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}");
            let answers = answer_to(case.http_address(), request.as_bytes());
            assert_eq!(statuses(&answers), [status], "{name}, {method}: {answers}");
            assert!(answers.contains("\r\nConnection: close\r\n"), "{answers}");
        }
    }
    // Requests that smuggle nothing are answered in order: two responses, then the end of the
    // connection.
    let audio = GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let answers = answer_to(
        case.http_address(),
        (GET.to_owned() + &audio + smuggled).as_bytes(),
    );
    assert_eq!(statuses(&answers), ["200", "200"], "{answers}");
    case.finish(1);
}

#[test]
fn endless_heads_are_refused() {
    let case = Case::start("huge heads", &[]);
    let start = "GET / HTTP/1.1\r\nHost: h\r\n";
    for (name, piece) in [
        ("a target", "x"),
        ("headers", "A: b\r\n"),
        ("one header", "abcdefgh"),
        ("empty headers", "A:\r\n"),
    ] {
        let beginning = match name {
            "a target" => "GET /",
            "one header" => "GET / HTTP/1.1\r\nA: ",
            _ => start,
        };
        for len in [9_000, 100_000, 4_000_000] {
            let mut socket = wire::connect(case.http_address());
            socket.write_all(beginning.as_bytes()).unwrap();
            let mut bytes = piece.repeat(len / piece.len());
            bytes.truncate(len);
            // The server closes long before the end.
            let _ = socket.write_all(bytes.as_bytes());
            if len < 10_000 {
                let mut answer = String::new();
                socket.read_to_string(&mut answer).unwrap();
                assert_eq!(statuses(&answer), ["431"], "{name}: {answer}");
            }
        }
    }
    let many = format!("{start}{}\r\n", "A: b\r\n".repeat(64));
    let answers = answer_to(case.http_address(), many.as_bytes());
    assert_eq!(statuses(&answers), ["431"], "{answers}");
    case.finish(2).memory_grew_at_most(3 * 1024);
}

/// Sends endless bytes, one at a time, until the server closes. Returns its answer.
fn trickle(server: SocketAddr, bytes: &str) -> String {
    let mut client = HttpClient::connect(server);
    wire::trickle(client.socket(), bytes.bytes().cycle());
    String::from_utf8_lossy(&client.until_closed()).into_owned()
}

#[test]
fn slow_heads_are_closed() {
    let options = ["--handshake-timeout", "1s", "--command-timeout", "1s"];
    let case = Case::start("slow heads", &options);
    let address = case.http_address();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| trickle(address, "GET / HTTP/1.1\r\nHost: h\r\nA: "));
            scope.spawn(|| trickle(address, "x"));
            // No request was begun, so nothing is answered.
            scope.spawn(|| assert_eq!(answer_to(address, b""), ""));
            // It stops in the middle of the second one.
            scope.spawn(|| {
                let answers = answer_to(address, [GET, "GET"].concat().as_bytes());
                assert_eq!(statuses(&answers), ["200", "408"], "{answers}");
            });
        }
    });
    case.finish(16);
}

#[test]
fn five_hundred_idle_http_connections_cost_little() {
    const CONNECTIONS: u64 = 500;
    let options = ["--handshake-timeout", "10m", "--command-timeout", "10m"];
    let case = Case::start("500 idle HTTP connections", &options);
    let clients: Vec<HttpClient> = (0..CONNECTIONS)
        .map(|number| {
            let mut client = HttpClient::connect(case.http_address());
            match number % 3 {
                0 => {}
                1 => assert_eq!(client.get("/healthz").status, 200),
                _ => assert_eq!(client.get("/page/nothing").status, 404),
            }
            client
        })
        .collect();
    let before = case.before();
    wait_until("all have a thread", || {
        case.now().threads == before.threads + CONNECTIONS
    });
    assert_eq!(case.now().descriptors, before.descriptors + CONNECTIONS);
    // Another client is served at the same time.
    let mut late = HttpClient::connect(case.http_address());
    assert_eq!(late.get("/").status, 200);
    case.canary_goes_on(100);
    drop((clients, late));
    let shown = case.finish(CONNECTIONS + 1);
    shown.memory_grew_at_most(CONNECTIONS * 24 + 3 * 1024);
}

#[test]
fn no_path_leads_to_a_file() {
    let case = Case::start("path traversal", &[]);
    let mut client = HttpClient::connect(case.http_address());
    for (path, status) in [
        ("/../../../../etc/passwd", 404),
        ("/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/page/../../Cargo.toml", 404),
        ("/page/%2e%2e/%2e%2e/Cargo.toml", 404),
        ("/page/..%5c..%5cCargo.toml", 404),
        ("/page//etc/passwd", 404),
        ("/page/index.html%00.js", 404),
        ("/live/..;/door.flv", 404),
        ("/live/door%00.flv", 404),
        ("/live/a%0d%0aSet-Cookie:%20b.flv", 404),
        ("/live/a%c0%ae%c0%ae/b.flv", 400),
        ("/live/%u002e%u002e.flv", 400),
        ("/live/%", 400),
        ("http://evil/../etc/passwd", 404),
        ("/live/door/00000000-0.mp4", 404),
        ("/live/door/00000000-99999999999999999999.m4s", 404),
        ("/api/v1/connections/99999999999999999999999", 404),
        // Decoded once, it is a valid name.
        ("/live/%252e%252e/", 200),
        ("/%252e%252e/", 404),
    ] {
        let answer = client.get(path);
        assert_eq!(answer.status, status, "{path}");
        let text = answer.text();
        assert!(
            !text.contains("root:") && !text.contains("[package]"),
            "{path}"
        );
        assert_eq!(answer.header("set-cookie"), None, "{path}");
    }
    drop(client);
    case.finish(1);
}

#[test]
fn malformed_ranges_count_as_missing() {
    let case = Case::start("ranges", &[]);
    let mut client = HttpClient::connect(case.http_address());
    let many = (0..1_000).map(|n| format!("{n}-{n},")).collect::<String>();
    let many = format!("bytes={many}");
    let whole = client.get("/").body;
    for range in [
        "bytes=0-",
        "bytes=-1",
        "bytes=9223372036854775807-",
        "bytes=0-18446744073709551616",
        "bytes=5-3",
        "bytes=0-0,0-0,0-0",
        &many[..5_000],
        "\u{fffd}",
        "",
    ] {
        client.request("GET", "/", &format!("Range: {range}\r\n"));
        let answer = client.answer();
        assert!([200, 206, 416].contains(&answer.status), "{range}");
        assert!(answer.body.len() <= whole.len(), "{range}");
    }
    drop(client);
    case.finish(1);
}

#[test]
fn floods_of_requests_delay_no_stream() {
    let case = Case::start("pipelining", &[]);
    let address = case.http_address();
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    thread::scope(|scope| {
        for _ in 0..4 {
            // A client that reads the responses receives all of them.
            scope.spawn(|| {
                let socket = wire::connect(address);
                // More requests than may be sent at once: the remaining ones are delayed a little.
                let len = GET.len() * 600;
                let flooded = wire::flood_reading(&socket, GET.as_bytes(), len);
                assert_eq!(flooded, Flooded::Taken);
            });
            // A client that doesn't read isn't read from either.
            scope.spawn(|| {
                let socket = wire::connect(address);
                let flooded = wire::flood(&socket, page.as_bytes(), 64 << 20);
                assert_eq!(flooded, Flooded::Stalled);
            });
        }
        case.canary_goes_on(200);
    });
    case.finish(8).memory_grew_at_most(8 * 24 + 3 * 1024);
}

#[test]
fn other_protocols_on_the_http_port_get_an_error() {
    let case = Case::start("other protocols over HTTP", &[]);
    for (bytes, words) in [
        (
            &wire::c0_c1()[..],
            "RTMP on the HTTP port, expected http://. RTMP is on port",
        ),
        (
            b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03",
            "TLS (https://) on the HTTP port",
        ),
        (b"\0\0\0\0", "not an HTTP request"),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "a version other than HTTP/1.0",
        ),
        (
            b"OPTIONS rtsp://camera/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            "a version other than HTTP/1.0",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "an invalid request line"),
    ] {
        let answer = answer_to(case.http_address(), bytes);
        assert!(
            ["400", "505"].contains(&statuses(&answer)[0]),
            "{words}: {answer}"
        );
        case.wait_for_log(words, 1);
    }
    // And the other way round.
    let mut socket = wire::connect(case.address());
    socket.write_all(GET.as_bytes()).unwrap();
    wire::wait_until_closed(&socket);
    let port = case.http_address().port();
    let words = format!(
        "an HTTP or RTSP request on the RTMP port, expected an rtmp:// client. HTTP is on port {port}"
    );
    case.wait_for_log(&words, 1);
    case.finish(1);
}

#[test]
fn damaged_requests_end_only_their_connection() {
    let case = Case::start("damaged requests", &["--handshake-timeout", "1s"]);
    let request = "GET /live/d%6For.flv?key=a%2Db&join=live HTTP/1.1\r\nHost: pi:8080\r\n\
        Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nIf-None-Match: \"a\", W/\"b\"\r\n\
        Authorization: Basic Ym9iOnB3\r\nOrigin: http://pi:8080\r\nContent-Length: 0\r\n\r\n";
    let mut random = Random(17);
    for _ in 0..300 {
        let mut bytes = request.as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes[at] = random.next() as u8,
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, b"\r\n\0 :%,\"\xFF"[random.below(9)]),
            }
        }
        let socket = wire::connect(case.http_address());
        let _ = (&socket).write_all(&bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        wire::wait_until_closed(&socket);
    }
    case.finish(4).memory_is_back();
}

#[test]
fn clients_that_vanish_at_any_point_are_forgotten() {
    let case = Case::start("vanishing HTTP clients", &[]);
    let pieces = [&GET[..0], &GET[..10], GET];
    for round in 0..150 {
        let socket: TcpStream = wire::connect(case.http_address());
        let _ = (&socket).write_all(pieces[round % 3].repeat(1 + round % 5).as_bytes());
        if round % 2 == 0 {
            wire::reset(&socket);
        }
    }
    case.finish(60).memory_is_back();
}
