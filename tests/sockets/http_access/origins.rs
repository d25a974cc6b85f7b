//! Requests by browsers: pages of other sites, rebound host names, and proxies.

use super::*;

#[test]
fn malformed_origin_and_host_fields_count_as_present() {
    let server = server(Config::default());
    let mut publisher = camera(&server);
    for header in [
        // A proxy that appends to the field that it received.
        &b"X-Forwarded-For: \xFF, 203.0.113.5\r\n"[..],
        b"X-Forwarded-For: \xFF\r\n",
        b"X-Forwarded-For:\r\n",
        b"Forwarded: for=\xFF\r\n",
        b"X-Real-IP: \xFF\r\n",
        b"Via: 1.1 \xFF\r\n",
        b"X-Forwarded-Host: \xFF\r\n",
        b"Origin: http://\xFF\r\n",
        b"Origin: http://localhost\r\nOrigin: http://evil.example\r\n",
        b"Origin: http://localhost\r\nOrigin: http://localhost\r\n",
        b"Sec-Fetch-Site: \xFF\r\n",
        b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        let shown = String::from_utf8_lossy(header);
        for request in [
            "GET /api/v1/connections",
            "DELETE /api/v1/connections/1",
            "POST /api/v1/streams/live/none/recording",
        ] {
            let mut client = HttpClient::connect(server.http_addresses()[0]);
            let start = format!("{request} HTTP/1.1\r\nHost: localhost\r\n");
            client.send([start.as_bytes(), header, b"\r\n"].concat());
            assert_eq!(client.answer().status, 403, "{request} {shown}");
        }
    }
    publisher.send_frame(2, 40, true, 500);
    for header in [
        &b"Origin: http://\xFF\r\n"[..],
        b"Origin: http://localhost\r\nOrigin: http://evil.example\r\n",
    ] {
        let mut client = HttpClient::connect(server.http_addresses()[0]);
        let start = format!("GET /live/door.mp4 HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}");
        client.send([start.as_bytes(), header, b"\r\n"].concat());
        assert_eq!(client.answer().status, 403);
    }
}

/// Access is by network alone: a page of a rebound host name runs in the browser of a client that has
/// access.
#[test]
fn a_page_of_a_rebound_host_name_gets_nothing() {
    const TARGETS: [&str; 12] = [
        "/api/v1/streams",
        "/metrics",
        "/stat",
        "/",
        "/live/door",
        "/live/door.flv",
        "/live/door.mp4",
        "/live/door/frame.mp4",
        "/live/door.m3u8",
        "/live/door/media.m3u8",
        "/live/door/0badcafe-0.mp4",
        "/live/door/0badcafe-0.m4s",
    ];

    let open = server(Config::default().max_connect_rate(1000));
    let for_all = server(
        Config::default()
            .play(Access::default().from(vec![Network::Any]))
            .max_connect_rate(1000),
    );
    let keyed = server(keyed().api_key(Some(Secret::new("api-key"))));
    let _cameras = [&open, &for_all, &keyed].map(camera);
    let ask = |server: &Server, target: &str, host: &str, headers: &str| {
        let mut client = HttpClient::connect(server.http_addresses()[0]);
        client.send(format!(
            "HEAD {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"
        ));
        client.bodiless_answer().status
    };
    for (host, is_local) in [
        ("127.0.0.1", true),
        ("[::1]:8080", true),
        ("192.168.1.5:8080", true),
        ("localhost", true),
        ("LOCALHOST:8080", true),
        ("pi.local", true),
        ("pi.lan:8080", true),
        ("pi.home.arpa", true),
        ("pi.internal", true),
        ("evil.example", false),
        ("evil.example:8080", false),
        ("evil.example.", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("com", false),
        ("local", false),
        ("evil", false),
        ("notlocal.xlocal", false),
    ] {
        // Most targets are tested with one name only, since some answers wait for the stream.
        let targets = match host {
            "evil.example" => &TARGETS[..],
            "pi.local" => &TARGETS[..8],
            _ => &TARGETS[..1],
        };
        for target in targets {
            let is_refused = ask(&open, target, host, "") == 403;
            assert_eq!(is_refused, !is_local, "{target} by {host}");
        }
        // All clients have access, or those with a key.
        for target in &targets[..1] {
            assert_ne!(ask(&for_all, target, host, ""), 403, "{target} by {host}");
            let key = format!("{target}?key=play-key");
            assert_ne!(ask(&keyed, &key, host, ""), 403, "{target} by {host}");
        }
        let upgrade = format!("{UPGRADE}Origin: http://{host}\r\n");
        let mut client = HttpClient::connect(open.http_addresses()[0]);
        client.send(format!(
            "GET /live/door.mp4 HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n"
        ));
        let expected = if is_local { 101 } else { 403 };
        assert_eq!(client.answer().status, expected, "{host}");
        assert_eq!(ask(&open, "/healthz", host, ""), 200);
        let bearer = "Authorization: Bearer api-key\r\n";
        assert_eq!(ask(&keyed, "/api/v1/connections", host, bearer), 200);
    }
    let mut client = HttpClient::connect(open.http_addresses()[0]);
    client.send("GET /api/v1/streams HTTP/1.1\r\nHost: cams.example.com\r\n\r\n");
    let told = client.answer().text();
    assert!(told.contains("--host-name"), "{told}");
}

#[test]
fn a_request_of_http_1_0_counts_as_forwarded() {
    let server = server(Config::default());
    // nginx with its default settings.
    let mut client = HttpClient::connect(server.http_addresses()[0]);
    client.send("GET /api/v1/connections HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().status, 403);
}

#[test]
fn pages_of_other_sites_get_no_websocket_by_the_browsers_address() {
    let open = server(Config::default());
    let keyed = server(keyed());
    let _cameras = [camera(&open), camera(&keyed)];
    for (origin, by_open, by_keyed) in [
        ("", true, true),
        ("Origin: http://localhost\r\n", true, true),
        ("Origin: http://nas.local\r\n", true, true),
        ("Origin: http://evil.example\r\n", false, true),
        ("Origin: null\r\n", false, true),
    ] {
        for (server, expected) in [(&open, by_open), (&keyed, by_keyed)] {
            let mut client = HttpClient::connect(server.http_addresses()[0]);
            let headers = format!("{UPGRADE}{origin}");
            client.request("GET", "/live/door.mp4?key=play-key", &headers);
            let expected = if expected { 101 } else { 403 };
            assert_eq!(client.answer().status, expected, "{origin}");
        }
    }
    // Nor if access was granted by a password that the browser sends on its own.
    let mut client = HttpClient::connect(keyed.http_addresses()[0]);
    let headers = format!("{UPGRADE}Origin: http://evil.example\r\nAuthorization: {PLAY_KEY}\r\n");
    client.request("GET", "/live/door.mp4", &headers);
    assert_eq!(client.answer().status, 403);
}
