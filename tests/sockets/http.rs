//! Requests over HTTP, one after another and all at once.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use brooklet::config::{Access, Key};
use brooklet::{Config, Protocol, Server, StartErrorKind};

use crate::client::{AAC_HEADER, AVC_320X240, Client, on_free_ports, server, wait_until};
use crate::common::http::{HttpClient, WebSocket};

fn http(server: &Server) -> HttpClient {
    HttpClient::connect(server.http_addresses()[0])
}

#[test]
fn requests_of_one_connection_are_answered_one_after_the_other() {
    let server = server(Config::default());
    let mut client = http(&server);
    for _ in 0..3 {
        let health = client.get("/healthz");
        assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
        assert_eq!(health.header("connection"), None);
        assert_eq!(client.get("/page/nothing").status, 404);
    }
    assert_eq!(server.connection_count(), 1);
    client.request("GET", "/healthz", "Connection: close\r\n");
    let last = client.answer();
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(client.until_closed(), b"");
    wait_until("it is gone", || server.connection_count() == 0);
}

#[test]
fn requests_sent_at_once_are_answered_in_their_order() {
    let server = server(Config::default());
    let mut client = http(&server);
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let once = [get("/healthz"), get("/page/nothing"), get("/")].concat();
    client.send(once.repeat(20) + "GET / HTTP/1.1\r\nHost: localhost");
    for _ in 0..20 {
        let found = [(); 3].map(|()| client.answer().status);
        assert_eq!(found, [200, 404, 200]);
    }
    client.send("\r\n\r\n");
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let server = server(Config::default());
    let mut client = http(&server);
    client.socket().set_nodelay(true).unwrap();
    for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: b\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.answer().text(), "ok\n");
}

#[test]
fn a_client_of_http_1_0_is_answered_and_closed() {
    let server = server(Config::default());
    for headers in ["", "Connection: keep-alive\r\n", "Host: h\r\n"] {
        let mut client = http(&server);
        client.send(format!("GET /healthz HTTP/1.0\r\n{headers}\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok\n"));
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(client.until_closed(), b"");
    }
}

#[test]
fn a_client_that_closed_its_sending_side_still_gets_all_answers() {
    let server = server(Config::default());
    let mut client = http(&server);
    client.send("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3));
    client.finish();
    for _ in 0..3 {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(client.next(true), None);
}

#[test]
fn head_is_get_without_a_body() {
    let server = server(Config::default());
    let mut client = http(&server);
    for path in ["/", "/healthz", "/page/nothing", "/live/door"] {
        let get = client.get(path);
        client.request("HEAD", path, "");
        let head = client.bodiless_answer();
        assert_eq!(head.head, get.head, "{path}");
        let len: usize = head.header("content-length").unwrap().parse().unwrap();
        assert_eq!(len, get.body.len(), "{path}");
    }
}

#[test]
fn unsupported_methods_are_told_the_supported_ones() {
    let server = server(Config::default());
    let mut client = http(&server);
    for (method, path, status, allow) in [
        ("POST", "/", 405, Some("GET, HEAD, OPTIONS")),
        ("PUT", "/live/door.flv", 405, Some("GET, HEAD, OPTIONS")),
        ("DELETE", "/live/door.flv", 405, Some("GET, HEAD, OPTIONS")),
        ("TRACE", "/healthz", 405, Some("GET, HEAD, OPTIONS")),
        ("get", "/healthz", 405, Some("GET, HEAD, OPTIONS")),
        ("GET", "/api/v1/connections/7", 405, Some("DELETE, OPTIONS")),
        (
            "GET",
            "/api/v1/streams/live/door/recording",
            405,
            Some("POST, DELETE, OPTIONS"),
        ),
        ("POST", "/api/v1/streams/live/door", 404, None),
        ("POST", "/live/../x", 404, None),
        ("OPTIONS", "*", 204, Some("GET, HEAD, OPTIONS")),
    ] {
        client.request(method, path, "Content-Length: 0\r\n");
        let answer = client.answer();
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[test]
fn pages_of_other_sites_may_read_media_but_not_the_state() {
    let server = server(Config::default());
    let mut client = http(&server);
    // From a page in the same network, and from a page elsewhere.
    const NEAR: &str = "Origin: http://192.168.1.9\r\n";
    const FAR: &str = "Origin: https://example.com\r\n";
    for (path, headers, is_shared) in [
        ("/", FAR, true),
        ("/live/nobody.flv", NEAR, true),
        ("/live/nobody.mp4", NEAR, true),
        ("/live/nobody.m3u8", NEAR, true),
        ("/live/nobody.flv", FAR, false),
        ("/live/nobody.m3u8", FAR, false),
        ("/api/v1/connections", NEAR, false),
        ("/metrics", NEAR, false),
        ("/stat", NEAR, false),
    ] {
        let expected = is_shared.then_some("*");
        client.request("HEAD", path, headers);
        let answer = client.bodiless_answer();
        let found = answer.header("access-control-allow-origin");
        assert_eq!(found, expected, "{path} {headers}");
        client.request("OPTIONS", path, headers);
        let preflight = client.answer();
        assert_eq!((preflight.status, preflight.body.len()), (204, 0), "{path}");
        let found = preflight.header("access-control-allow-origin");
        assert_eq!(found, expected, "{path} {headers}");
        let methods = preflight.header("access-control-allow-methods");
        assert_eq!(methods.is_some(), is_shared, "{path} {headers}");
    }
}

#[test]
fn the_page_is_sent_once_and_then_only_when_it_has_changed() {
    let server = server(Config::default());
    let mut client = http(&server);
    let page = client.get("/");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.text().starts_with("<!doctype html>"));
    assert_eq!(client.get("/live/door").body, page.body);
    let tag = page.header("etag").unwrap();
    client.request("GET", "/", &format!("If-None-Match: {tag}\r\n"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("etag")), (304, Some(tag)));
    client.request("GET", "/", "If-None-Match: \"another\"\r\n");
    assert_eq!(client.answer().status, 200);
    for path in ["/page/nothing.js", "/favicon.ico", "/page/../index.html"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
}

#[test]
fn the_page_is_gzip_for_clients_that_accept_it() {
    let server = server(Config::default());
    let mut client = http(&server);
    for path in ["/", "/page/app.js", "/page/player.js", "/page/style.css"] {
        let mut tags = Vec::new();
        let plain = client.get(path);
        for (takes, encoding) in [
            ("", None),
            ("Accept-Encoding: identity\r\n", None),
            ("Accept-Encoding: gzip;q=0, br\r\n", None),
            ("Accept-Encoding: gzip, deflate, br\r\n", Some("gzip")),
            ("Accept-Encoding: *\r\n", Some("gzip")),
        ] {
            client.request("GET", path, takes);
            let answer = client.answer();
            assert_eq!(answer.status, 200, "{path} {takes}");
            assert_eq!(
                answer.header("content-encoding"),
                encoding,
                "{path} {takes}"
            );
            assert!(
                answer.head.contains("\r\nVary: Accept-Encoding\r\n"),
                "{path}"
            );
            assert!(
                answer.text() == String::from_utf8_lossy(&plain.body),
                "{path}"
            );
            client.request("HEAD", path, takes);
            assert_eq!(client.bodiless_answer().head, answer.head, "{path} {takes}");
            let tag = answer.header("etag").unwrap().to_owned();
            client.request("GET", path, &format!("{takes}If-None-Match: W/{tag}\r\n"));
            let known = client.answer();
            assert_eq!(known.status, 304, "{path} {takes}");
            for name in ["etag", "cache-control"] {
                assert!(known.header(name).is_some(), "{path} {name}");
            }
            tags.push((tag, encoding));
        }
        // Another representation has other bytes.
        tags.dedup();
        assert_eq!(tags.len(), 2, "{path}");
        assert_ne!(tags[0].0, tags[1].0, "{path}");
    }
}

#[test]
fn the_page_of_a_stream_names_its_files() {
    let server = server(Config::default());
    let mut client = http(&server);
    for (path, place) in [
        ("/live/page/app.js", "../../page/app.js"),
        ("/live/page/style.css", "../../page/style.css"),
        ("/a/b/c/page/app.js?key=1", "../../../../page/app.js"),
        ("//page/app.js", "../../page/app.js"),
    ] {
        let answer = client.get(path);
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, Some(place))
        );
    }
    assert_eq!(client.get("/page/app.js").status, 200);
    assert_eq!(client.get("/live/page/player.js").status, 404);
}

/// Whether a text has the format of RFC 9110, 5.6.7. The value itself is printed, to be compared
/// manually with the machine's clock.
fn is_date(text: &str) -> bool {
    let shape = |c: char| match c {
        '0'..='9' => '1',
        'a'..='z' => 'a',
        'A'..='Z' => 'A',
        other => other,
    };
    text.chars().map(shape).collect::<String>() == "Aaa, 11 Aaa 1111 11:11:11 AAA"
        && text.ends_with(" GMT")
}

#[test]
fn every_response_has_a_date() {
    let server = server(Config::default());
    let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    for number in 0..50 {
        camera.send_frame(number, number * 40, number == 0, 1_000);
        camera.send_message(8, 1, number * 40, b"\xAF\x01\x21\x10\x05");
    }
    let mut early = http(&server);
    wait_until("it is there", || {
        early.get("/api/v1/streams").text().contains("AAC")
    });
    let upgrade = crate::common::http::UPGRADE;
    for (method, target, headers, status) in [
        ("GET", "/", "", 200),
        ("HEAD", "/", "", 200),
        ("GET", "/", "Accept-Encoding: gzip\r\n", 200),
        ("GET", "/", "If-None-Match: *\r\n", 304),
        ("OPTIONS", "/", "", 204),
        ("POST", "/", "", 405),
        ("GET", "/live/page/app.js", "", 301),
        ("GET", "/live/../x", "", 404),
        ("GET", "/live/nobody.flv", "", 404),
        ("GET", "/live/nobody.m3u8", "", 404),
        ("GET", "/api/v1/streams", "", 200),
        ("GET", "/metrics", "", 200),
        ("GET", "/", "Content-Length: 7\r\n", 413),
        ("GET", "/", "Host: other\r\n", 400),
        ("GET", "/live/door.flv", "", 200),
        ("GET", "/live/door.flv", upgrade, 101),
        ("HEAD", "/live/door.flv", "", 200),
    ] {
        let mut client = http(&server);
        client.request(method, target, headers);
        let answer = client.answer_head();
        assert_eq!(answer.status, status, "{method} {target} {headers}");
        assert!(
            is_date(&answer.date),
            "{method} {target} {headers}: {}",
            answer.date
        );
        assert_eq!(answer.header("date"), None, "another one");
    }
}

#[test]
fn malformed_requests_are_refused_and_their_connection_closed() {
    let server = server(Config::default());
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: h\n\n", 400),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
            413,
        ),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
    ] {
        let mut client = http(&server);
        // The bytes that follow are never treated as another request.
        client.send([request, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
        let answer = client.answer();
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.header("connection"), Some("close"), "{request}");
        assert_eq!(client.until_closed(), b"", "{request}");
    }
}

#[test]
fn slow_and_silent_clients_are_closed() {
    // Long enough for the first request on a busy machine.
    let short = Duration::from_secs(1);
    let server = server(
        Config::default()
            .handshake_timeout(short)
            .command_timeout(short),
    );
    let mut silent = http(&server);
    let mut idle = http(&server);
    idle.get("/healthz");
    let mut half = http(&server);
    half.send("GET / HTTP/1.1\r\n");
    // Nothing was requested, so nothing is answered.
    assert_eq!(silent.until_closed(), b"");
    assert_eq!(idle.until_closed(), b"");
    assert_eq!(half.answer().status, 408);
    assert_eq!(half.until_closed(), b"");
    wait_until("all are gone", || server.connection_count() == 0);
}

#[test]
fn both_protocols_share_the_places_and_stop_together() {
    let mut server = server(Config::default().max_connections(2));
    let mut idle = Client::connected(server.rtmp_addresses()[0], "live");
    let mut first = http(&server);
    assert_eq!(first.get("/healthz").status, 200);
    // The oldest connection makes room, whichever protocol it speaks.
    let mut second = http(&server);
    assert_eq!(second.get("/healthz").status, 200);
    assert!(idle.until_closed().is_empty());
    server.stop();
    assert_eq!(second.until_closed(), b"");
    assert_eq!(first.until_closed(), b"");
    assert_eq!(server.connection_count(), 0);
}

#[test]
fn a_connection_between_two_requests_makes_room_for_a_new_one() {
    let server = server(
        Config::default()
            .max_connections(18)
            .max_connect_rate(1_000),
    );
    let mut publisher = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 500);
    let mut viewer = WebSocket::open(server.http_addresses()[0], "/live/door.flv");
    let mut idle: Vec<_> = (0..16)
        .map(|_| {
            let mut client = http(&server);
            // An answered request gives the client no right to keep its place.
            assert_eq!(client.get("/healthz").status, 200);
            client
        })
        .collect();
    assert_eq!(server.connection_count(), 18);
    assert_eq!(http(&server).get("/healthz").status, 200);
    assert_eq!(idle.remove(0).until_closed(), b"");
    // Publishers and viewers need no place of others.
    publisher.send_frame(2, 40, false, 4_711);
    while viewer.next().expect("the viewer is served").1.len() < 4_711 {}
    assert_eq!(idle.remove(0).get("/healthz").status, 200);
}

#[test]
fn a_port_in_use_is_an_error_that_says_which() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let config = on_free_ports(Config::default()).http(vec![address]);
    let error = Server::start(config).err().unwrap();
    let protocol = Protocol::Http;
    assert_eq!(error.kind(), StartErrorKind::Listen { protocol, address });
    let source = error.source().unwrap().downcast_ref::<io::Error>();
    assert_eq!(source.unwrap().kind(), io::ErrorKind::AddrInUse);
    let expected = format!("cannot listen on {address}: ");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn without_http_nothing_listens_for_it() {
    let server = Server::start(on_free_ports(Config::default()).http(Vec::new()));
    let server = server.unwrap();
    assert_eq!(server.http_addresses(), Vec::<SocketAddr>::new());
    assert_eq!(server.rtmp_addresses().len(), 1);
}

#[test]
fn a_stream_without_video_is_live_and_has_no_still() {
    let server = server(Config::default());
    let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "radio");
    camera.send_message(8, 1, 0, AAC_HEADER);
    let mut client = http(&server);
    let mut answer = (0, String::new());
    wait_until("it is known to be live", || {
        let still = client.get("/live/radio/frame.mp4");
        answer = (still.status, still.text());
        answer.1 != "live/radio isn't live\n"
    });
    assert_eq!(answer, (404, "live/radio has no keyframe now\n".to_owned()));
}

#[test]
fn every_file_of_a_stream_that_is_not_live_gets_the_same_answer() {
    let server = server(Config::default());
    let mut client = http(&server);
    let ask = |client: &mut HttpClient, name: &str| {
        for form in [
            ".flv",
            ".mp4",
            ".m3u8",
            "/index.m3u8",
            "/media.m3u8",
            "/frame.mp4",
        ] {
            let answer = client.get(&format!("/live/{name}{form}"));
            let found = (answer.status, answer.text());
            assert_eq!(found, (404, format!("live/{name} isn't live\n")), "{form}");
        }
    };
    ask(&mut client, "nobody");
    // A player waits for the stream.
    let _player = Client::playing(server.rtmp_addresses()[0], "live", "awaited");
    ask(&mut client, "awaited");
}

#[test]
fn the_page_is_served_only_at_paths_of_streams() {
    let status = |server: &Server, path: &str| http(server).get(path).status;
    let open = server(Config::default());
    for (path, expected) in [
        ("/", 200),
        // The page waits for these streams.
        ("/live/cam", 200),
        ("/live/cam/main", 200),
        ("/foo", 404),
        ("/foo/", 404),
        ("/api", 404),
        ("/api/v1", 404),
        ("/api/v1/", 404),
        ("/admin?x=1", 404),
        ("/live/cam/frame.jpg", 404),
        ("/live/cam/frame.webp", 404),
        ("/live/cam.ts", 404),
    ] {
        assert_eq!(status(&open, path), expected, "{path}");
    }
    // A name of one part, while such a stream exists.
    let _waiting = Client::playing(open.rtmp_addresses()[0], "", "bar");
    assert_eq!(status(&open, "/bar"), 404);
    let _camera = Client::publishing(open.rtmp_addresses()[0], "", "foo");
    assert_eq!(status(&open, "/foo"), 200);

    // If a key is required, clients don't learn which streams exist.
    let locked = server(
        Config::default().play(Access::default().keys(vec![Key::parse("watch-4711").unwrap()])),
    );
    assert_eq!(status(&locked, "/foo"), 200);
}
