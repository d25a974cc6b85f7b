//! Access by keys, users and the API key, as seen by HTTP clients.

mod origins;

use std::sync::{Arc, Mutex};

use brooklet::config::{Access, Key, Network, Secret, User};
use brooklet::rtmp::stream_key::StreamKey;
use brooklet::{Client as Peer, Config, Handler, Refusal, Server, StreamRequest};

use crate::client::{AAC_HEADER, AVC_320X240, Client, on_free_ports, server, wait_until};
use crate::common::Brooklet;
use crate::common::http::{Answer, HttpClient, UPGRADE};

/// In base64: "viewer:play-key", ":play-key", "bob:pass:word", "viewer:wrong-key", "viewer:api-key".
const PLAY_KEY: &str = "Basic dmlld2VyOnBsYXkta2V5";
const PLAY_KEY_ALONE: &str = "Basic OnBsYXkta2V5";
const BOB: &str = "Basic Ym9iOnBhc3M6d29yZA==";
const WRONG: &str = "Basic dmlld2VyOndyb25nLWtleQ==";
const API_KEY: &str = "Basic dmlld2VyOmFwaS1rZXk=";

fn keyed() -> Config {
    Config::default()
        .play(Access::default().keys(vec![Key::parse("play-key").unwrap()]))
        // Each request uses a separate connection.
        .max_connect_rate(1000)
}

/// Sends a request on a new connection.
fn ask(server: &Server, method: &str, target: &str, headers: &str) -> Answer {
    let mut client = HttpClient::connect(server.http_addresses()[0]);
    client.request(method, target, &format!("Connection: close\r\n{headers}"));
    client.answer()
}

fn get(server: &Server, target: &str, authorization: &str) -> Answer {
    let header = match authorization {
        "" => String::new(),
        value => format!("Authorization: {value}\r\n"),
    };
    ask(server, "GET", target, &header)
}

/// Connects a publisher, and sends a frame.
fn camera(server: &Server) -> Client {
    let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    camera.send_headers();
    camera.send_frame(1, 0, true, 500);
    camera
}

fn is_admitted(answer: &Answer) -> bool {
    !matches!(answer.status, 401 | 403 | 429)
}

#[test]
fn a_key_is_shown_in_the_query_or_as_a_password() {
    for (target, status) in [
        ("/live/door/frame.mp4", 200),
        ("/live/door.flv", 200),
        ("/live/door.mp4", 200),
        ("/live/door.m3u8", 200),
        ("/live/door/index.m3u8", 200),
        ("/live/door/media.m3u8", 200),
        ("/live/door/0badcafe-0.mp4", 404),
        ("/live/door/0badcafe-0.m4s", 404),
    ] {
        // A server for each target, since the sixth failure would be delayed.
        let server = server(keyed());
        // A request for a playlist that doesn't exist yet would wait.
        let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "door");
        camera.send_message(9, 1, 0, AVC_320X240);
        camera.send_message(8, 1, 0, AAC_HEADER);
        camera.send_frame(1, 0, true, 500);
        for number in 1..=240 {
            camera.send_frame(1 + number, number * 40, number % 50 == 0, 500);
            camera.send_message(8, 1, number * 40, b"\xAF\x01\x21\x10\x05");
        }
        // Data that a player has received is available for files, too.
        let mut player = Client::playing(
            server.rtmp_addresses()[0],
            "live",
            "door?key=play-key&join=gop",
        );
        player.wait_for("the last frame", |m| {
            m.is_video() && m.is_media() && m.number() == 241
        });
        let denied = get(&server, target, "");
        assert_eq!(denied.status, 401, "{target}");
        let asked = denied.header("www-authenticate");
        assert_eq!(asked, Some("Basic realm=\"brooklet\", charset=\"UTF-8\""));
        let told = (401, denied.text());
        // A page that sends requests by itself.
        let unasked = get(&server, &format!("{target}?challenge=off"), "");
        assert_eq!((unasked.status, unasked.text()), told, "{target}");
        assert_eq!(unasked.header("www-authenticate"), None, "{target}");
        let wrong = get(&server, target, WRONG);
        assert_eq!((wrong.status, wrong.text()), told, "{target}");
        let wrong = get(&server, &format!("{target}?key=wrong-key"), "");
        assert_eq!(wrong, denied, "{target}");
        // A browser first asks for permission, without the credentials that it will send then.
        assert_eq!(ask(&server, "OPTIONS", target, "").status, 204, "{target}");
        // All that there would be, apart from media without end.
        let head = |query: &str, authorization: &str| {
            let mut client = HttpClient::connect(server.http_addresses()[0]);
            let headers = format!("Authorization: {authorization}\r\nConnection: close\r\n");
            client.request("HEAD", &format!("{target}{query}"), &headers);
            client.bodiless_answer()
        };
        for (query, authorization) in [
            ("?key=play-key", "none"),
            ("?join=gop&token=%70lay-key", "none"),
            ("", PLAY_KEY),
            ("", PLAY_KEY_ALONE),
            ("?key=wrong-key", PLAY_KEY),
        ] {
            let answer = head(query, authorization);
            assert_eq!(answer.status, status, "{target}{query} {authorization}");
        }
        assert_eq!(head("", WRONG).status, 401, "{target}");
    }
}

#[test]
fn a_user_logs_in_by_http_basic() {
    let server = server(
        Config::default()
            .play(Access::default().users(vec![User::parse("bob:pass:word").unwrap()])),
    );
    let target = "/live/door/frame.mp4";
    let denied = get(&server, target, "");
    assert_eq!(denied.status, 401);
    assert_eq!(denied.text(), "wrong or missing user or password\n");
    let wrong = get(&server, target, PLAY_KEY);
    assert_eq!((wrong.status, wrong.text()), (401, denied.text()));
    assert!(is_admitted(&get(&server, target, BOB)));
    let in_query = format!("{target}?user=bob&pass=pass%3Aword");
    assert!(is_admitted(&get(&server, &in_query, "")));
}

#[test]
fn malformed_authorization_fields_end_nothing() {
    let server = server(keyed());
    let long = "QUFB".repeat(1800);
    let mut fields: Vec<Vec<u8>> = [
        "",
        " ",
        "Basic",
        "Basic ",
        "Basic =",
        "Basic ====",
        "Basic !",
        "Basic Ym9i",
        "Basic Og==",
        "Basic Ov8=",
        "Basic QQ",
        "Basic QR==",
        "Bearer",
        "Bearer ",
        "Bearer \t",
        "Digest x=\"\"",
        "Negotiate YII=",
        ":",
        "Basic Basic OnBsYXkta2V5",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    fields.push(format!("Basic {long}").into_bytes());
    fields.push(b"Basic \xFF\xFE\x80".to_vec());
    fields.push("Basic \u{f6}\u{1f600}".into());
    let mut client = HttpClient::connect(server.http_addresses()[0]);
    for field in fields {
        let start = b"GET /live/door/frame.mp4 HTTP/1.1\r\nHost: h\r\nAuthorization: ";
        client.send([start, &field[..], b"\r\n\r\n"].concat());
        let answer = client.answer();
        let shown = String::from_utf8_lossy(&field).into_owned();
        assert_eq!(answer.status, 401, "{shown}");
    }
    // A value of 8 KiB is too long for a head.
    let too_long = format!("Authorization: Basic {}\r\n", "QUFB".repeat(2048));
    assert_eq!(
        ask(&server, "GET", "/live/door/frame.mp4", &too_long).status,
        431
    );
    assert!(is_admitted(&get(&server, "/live/door/frame.mp4", PLAY_KEY)));
}

#[test]
fn guesses_are_delayed_and_the_right_key_is_accepted_meanwhile() {
    let server = server(keyed().api_key(Some(Secret::new("api-key"))));
    let target = "/live/door/frame.mp4";
    for _ in 0..5 {
        assert_eq!(get(&server, target, WRONG).status, 401);
        assert_eq!(get(&server, "/api/v1/connections", WRONG).status, 401);
    }
    // From now on as many failures wait as may, and others are refused at once.
    let guess = |target: &str| {
        let mut client = HttpClient::connect(server.http_addresses()[0]);
        client.request("GET", target, &format!("Authorization: {WRONG}\r\n"));
        client
    };
    let mut guesses: Vec<_> = (0..9).map(|_| guess(target)).collect();
    // A client with the right key isn't delayed.
    assert!(is_admitted(&get(&server, target, PLAY_KEY)));
    let list = get(&server, "/api/v1/streams?key=play-key", "");
    assert!(is_admitted(&list));
    let connections = get(&server, "/api/v1/connections", "Bearer api-key");
    assert!(is_admitted(&connections));
    let answers: Vec<_> = guesses.iter_mut().map(|c| c.answer().status).collect();
    assert!(answers.contains(&429), "{answers:?}");
    assert!(answers.contains(&401), "{answers:?}");
    assert!(is_admitted(&get(&server, target, PLAY_KEY)));
}

#[test]
fn an_api_key_is_required_even_on_this_machine() {
    let server = server(keyed().api_key(Some(Secret::new("api-key"))));
    let connections = "/api/v1/connections";
    let denied = get(&server, connections, "");
    assert_eq!(denied.status, 401);
    assert!(denied.header("www-authenticate").is_some());
    for (query, authorization, is_right) in [
        ("", "Bearer api-key", true),
        ("", API_KEY, true),
        ("?api_key=api-key", "", true),
        ("?api_key=api%2Dkey", "", true),
        ("", "Bearer play-key", false),
        ("", PLAY_KEY, false),
        ("?key=api-key", "", false),
        ("?api_key=wrong-key", "", false),
    ] {
        let answer = get(&server, &format!("{connections}{query}"), authorization);
        assert_eq!(is_admitted(&answer), is_right, "{query} {authorization}");
        if !is_right {
            assert_eq!(answer, denied, "{query} {authorization}");
        }
        let target = format!("{connections}/99999{query}");
        let delete = ask(
            &server,
            "DELETE",
            &target,
            &format!("Authorization: {authorization}\r\n"),
        );
        assert_eq!(is_admitted(&delete), is_right, "{query} {authorization}");
        let target = format!("/api/v1/streams/live/none/recording{query}");
        let record = ask(
            &server,
            "POST",
            &target,
            &format!("Authorization: {authorization}\r\n"),
        );
        assert_eq!(is_admitted(&record), is_right, "{query} {authorization}");
    }
    // A browser that has the key as a password doesn't send it on behalf of other sites' pages.
    for (origin, is_right) in [("http://localhost", true), ("http://evil.example", false)] {
        let headers = format!("Authorization: {API_KEY}\r\nOrigin: {origin}\r\n");
        for (method, target) in [
            ("GET", connections),
            ("DELETE", "/api/v1/connections/99999"),
            ("POST", "/api/v1/streams/live/none/recording"),
            ("DELETE", "/api/v1/streams/live/none/recording"),
        ] {
            let answer = ask(&server, method, target, &headers);
            assert_eq!(is_admitted(&answer), is_right, "{method} {origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
}

#[test]
fn without_an_api_key_only_programs_on_this_machine_have_access() {
    let server = server(Config::default().max_connect_rate(1000));
    let address = server.http_addresses()[0];
    for (host, headers, status_is_forbidden) in [
        ("localhost", "", false),
        (&*address.to_string(), "", false),
        ("localhost", "Origin: http://localhost\r\n", false),
        ("localhost", "Sec-Fetch-Site: same-origin\r\n", false),
        ("localhost", "Origin: http://evil.example\r\n", true),
        ("localhost", "Origin: null\r\n", true),
        ("localhost", "Sec-Fetch-Site: cross-site\r\n", true),
        // A host name of the page's own that resolves to this server.
        ("evil.example", "", true),
        ("evil.example", "Origin: http://evil.example\r\n", true),
        // A client on the internet, through a proxy.
        ("localhost", "X-Forwarded-For: 203.0.113.5\r\n", true),
        ("localhost", "Forwarded: for=203.0.113.5\r\n", true),
    ] {
        for (method, target) in [
            ("GET", "/api/v1/connections"),
            ("DELETE", "/api/v1/connections/99999"),
            ("POST", "/api/v1/streams/live/none/recording"),
            ("DELETE", "/api/v1/streams/live/none/recording"),
        ] {
            let mut client = HttpClient::connect(address);
            client.send(format!(
                "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"
            ));
            let answer = client.answer();
            let is_forbidden = answer.status == 403;
            assert_eq!(
                is_forbidden, status_is_forbidden,
                "{method} {host} {headers}"
            );
            assert_ne!(answer.status, 401);
        }
    }
}

#[test]
fn handlers_are_notified_of_each_play_and_its_end() {
    #[derive(Default)]
    struct Witness(Mutex<Vec<String>>);

    impl Witness {
        fn note(&self, client: &Peer, what: &str, stream: &StreamKey) {
            let name = client.user_agent();
            self.0
                .lock()
                .unwrap()
                .push(format!("{name} {what} {stream}"));
        }
    }

    impl Handler for Witness {
        fn play(&self, client: &Peer, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
            self.note(client, "play", request.key());
            match request.query_value("who").as_deref() {
                Some("stranger") => Err(Refusal::new("no strangers")),
                _ => Ok(()),
            }
        }

        fn stop(&self, client: &Peer, stream: &StreamKey) {
            self.note(client, "stop", stream);
        }
    }

    let witness = Arc::new(Witness::default());
    let server = Server::builder(on_free_ports(keyed()))
        .handler(witness.clone())
        .start()
        .unwrap();
    let target = |query: &str| format!("/live/door/frame.mp4?key=play-key{query}");
    let agent = "User-Agent: curl/8\r\n";
    assert!(is_admitted(&ask(&server, "GET", &target(""), agent)));
    wait_until("the end of the first is heard of", || {
        witness.0.lock().unwrap().len() == 2
    });
    let denied = ask(&server, "GET", &target("&who=stranger"), agent);
    assert_eq!(
        (denied.status, denied.text().as_str()),
        (403, "no strangers\n")
    );
    assert_eq!(
        ask(&server, "GET", "/live/door/frame.mp4", agent).status,
        401
    );
    let expected = [
        "curl/8 play live/door",
        "curl/8 stop live/door",
        "curl/8 play live/door",
    ];
    wait_until("it has heard of all", || {
        *witness.0.lock().unwrap() == expected
    });
}

#[test]
fn each_refusal_is_in_the_log_with_its_reason() {
    let server = Brooklet::start(&[]);
    for host in ["evil.example", "other.example:8080", "a$(reboot).example"] {
        let mut client = HttpClient::connect(server.http_address());
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.answer().status, 403);
    }
    // Characters that a shell would interpret aren't shown.
    for name in ["evil.example", "other.example", "NAME"] {
        let line =
            format!("asked for unknown host name {name}; to allow it, add --host-name {name}");
        server.wait_for_log(&line, 1);
    }
    let server = Brooklet::start(&["--play-key", "play-key"]);
    let mut client = HttpClient::connect(server.http_address());
    for (target, authorization) in [
        ("/live/door.mp4?key=guess", "none"),
        ("/live/door.mp4", WRONG),
    ] {
        let field = format!("Authorization: {authorization}\r\n");
        client.request("GET", target, &field);
        assert_eq!(client.answer().status, 401);
    }
    for came in [
        "a wrong key in ?key= of the stream name",
        "a wrong password, by HTTP Basic",
    ] {
        server.wait_for_log(&format!("refused to play live/***: {came};"), 1);
    }
    assert!(!server.printed().contains("since the last line"));
}

#[test]
fn wrong_keys_for_the_state_are_logged() {
    let server = Brooklet::start_with(&["--play-key", "play-key"], |command| {
        command.env("BROOKLET_API_KEY", "api-key");
    });
    let ask = |target: &str, authorization: &str| {
        let mut client = HttpClient::connect(server.http_address());
        let field = format!("Connection: close\r\nAuthorization: {authorization}\r\n");
        client.request("GET", target, &field);
        client.answer();
    };
    // Valid keys, each where it is accepted, and no key.
    ask("/api/v1/streams?key=play-key", "none");
    ask("/metrics", "Bearer api-key");
    ask("/api/v1/connections", API_KEY);
    ask("/stat", "none");
    ask("/api/v1/connections", "none");
    for (target, authorization, asked) in [
        ("/api/v1/streams?key=guess", "none", "for /api/v1/streams"),
        ("/metrics", "Bearer guess", "for /metrics"),
        ("/stat?api_key=guess", "none", "for /stat"),
        ("/api/v1/connections", WRONG, "for /api/v1/connections"),
    ] {
        ask(target, authorization);
        server.wait_for_log(&format!("asked {asked} with a wrong key"), 1);
    }
    let printed = server.printed();
    assert_eq!(printed.matches("with a wrong key").count(), 4, "{printed}");
    assert!(!printed.contains("guess"), "{printed}");
}

#[test]
fn no_key_and_no_guess_is_logged() {
    let server = Brooklet::start_with(&["--play-key", "play-key", "--log", "trace"], |command| {
        command.env("BROOKLET_API_KEY", "api-key");
    });
    let mut client = HttpClient::connect(server.http_address());
    for (target, authorization) in [
        ("/live/door/frame.mp4?key=play-key", "none"),
        ("/live/door/frame.mp4?key=wrong-key", "none"),
        ("/live/door/play-key/frame.mp4?key=wrong-key", "none"),
        ("/live/door/api-key/frame.mp4?key=wrong-key", "none"),
        ("/live/door/frame.mp4", WRONG),
        ("/api/v1/connections?api_key=api-key", "none"),
        ("/api/v1/connections", "Bearer api-key"),
        ("/api/v1/connections", "Bearer wrong-key"),
    ] {
        client.request(
            "GET",
            target,
            &format!("Authorization: {authorization}\r\n"),
        );
        client.answer();
    }
    server.wait_for_log("refused to play live/***: a wrong ", 1);
    let printed = server.printed();
    for secret in ["play-key", "wrong-key", "api-key", "dmlld2Vy"] {
        // The option's name isn't a key.
        let text = printed.replace("--play-key", "");
        assert!(!text.contains(secret), "{secret}: {printed}");
    }
}
