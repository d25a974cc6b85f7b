//! What follows a client to the places to which servers refer it, and what of these places is shown.

use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use brooklet::StreamMessage;
use brooklet::client::{Client, ClientErrorKind, Publisher};

use crate::common::client::{self, AAC_HEADER, AVC_320X240, AVC_HEADER};
use crate::common::http::HttpClient;
use crate::common::{Brooklet, SOON, TempDir, wait_until};
use crate::hostile::{FakeServer, chunk_reader, command, read_on, refuse, shake_hands};
use crate::reconnect::leaving_to;

const KEY: &str = "kq7Zx3vTn9Lw";

/// What clients have sent to a server.
type Heard = Arc<Mutex<String>>;

/// A server that asks everybody for a login, and a text with the commands that came.
fn asking() -> (FakeServer, Heard) {
    let heard = Heard::default();
    let all = Arc::clone(&heard);
    let server = FakeServer::start(move |mut stream, _| {
        shake_hands(&mut stream);
        let connect = command(&mut stream, &mut chunk_reader());
        *all.lock().unwrap() += &format!("{connect:?}\n");
        let why = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
        refuse(&mut stream, "NetConnection.Connect.Rejected", why, None);
        thread::spawn(|| read_on(stream));
    });
    (server, heard)
}

fn assert_no_login(heard: &Heard, what: &str) {
    let heard = heard.lock().unwrap();
    assert!(heard.contains("live"), "{what}: {heard}");
    for secret in ["bob", "Ym9i", "authmod", "Authorization"] {
        assert!(!heard.contains(secret), "{what}: {heard}");
    }
}

fn url(of: &FakeServer) -> String {
    format!("rtmp://bob:opensesame@{}/live/{KEY}", of.address)
}

fn keyframe() -> StreamMessage {
    StreamMessage::video(0, [0x17, 1, 0, 0, 0, 0x41])
}

/// Publishes a stream.
fn camera(server: &Brooklet, name: &str) -> Publisher {
    let mut camera = Client::new(&server.url(name)).unwrap().publish().unwrap();
    camera.send(&StreamMessage::video(0, AVC_HEADER)).unwrap();
    camera.send(&keyframe()).unwrap();
    camera
}

#[test]
fn a_login_does_not_follow_a_request_to_connect_anew() {
    // Programs.
    let (far, heard) = asking();
    let near = leaving_to(format!("rtmp://{}/live", far.address), false);
    let mut publisher = Client::new(&url(&near)).unwrap().publish().unwrap();
    wait_until("it has asked", SOON, || {
        publisher.send(&keyframe()).unwrap();
        far.connections.load(Ordering::SeqCst) > 0
    });
    assert_no_login(&heard, "a publisher");
    let (far, heard) = asking();
    let near = leaving_to(format!("rtmp://{}/live", far.address), true);
    let mut player = Client::new(&url(&near)).unwrap().play().unwrap();
    wait_until("it has asked", SOON, || {
        assert!(player.recv(Duration::from_millis(10)).is_err());
        far.connections.load(Ordering::SeqCst) > 0
    });
    assert_no_login(&heard, "a player");
    // Pushes and pulls.
    for option in ["--push", "--pull"] {
        let (far, heard) = asking();
        let to = format!("rtmp://{}/live", far.address);
        let near = leaving_to(to, option == "--pull");
        let here = Brooklet::start(&[option, &format!("live/door={}", url(&near))]);
        let _camera = (option == "--push").then(|| camera(&here, "door"));
        wait_until("it has given up", SOON, || {
            here.with_log(|log| log.contains("wants a login") || log.contains("refused user"))
        });
        assert_no_login(&heard, option);
    }
}

#[test]
fn a_login_does_not_follow_a_redirect_to_another_port() {
    let heard = Heard::default();
    let all = Arc::clone(&heard);
    let far = FakeServer::start(move |mut stream, _| {
        let mut buffer = [0; 4096];
        let len = stream.read(&mut buffer).unwrap();
        *all.lock().unwrap() += &String::from_utf8_lossy(&buffer[..len]);
        let _ = stream.write_all(b"HTTP/1.1 401 who is that\r\n\r\n");
    });
    let to = far.address;
    let near = FakeServer::start(move |mut stream, _| {
        let mut buffer = [0; 4096];
        let len = stream.read(&mut buffer).unwrap();
        let head = String::from_utf8_lossy(&buffer[..len]);
        assert!(head.contains("Authorization: Basic Ym9i"), "{head}");
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{to}/live\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
    });
    let client = Client::new(&url(&near).replace("rtmp", "http")).unwrap();
    let error = client.play().err().unwrap();
    assert_eq!(error.kind(), ClientErrorKind::Denied);
    assert_no_login(&heard, "a request");
    // Over RTMP, it says why there is no login.
    let (far, heard) = asking();
    let to = format!("rtmp://{}/live", far.address);
    let near = FakeServer::start(move |mut stream, _| {
        shake_hands(&mut stream);
        let code = "NetConnection.Connect.Rejected";
        refuse(&mut stream, code, "elsewhere", Some(&to));
        read_on(stream);
    });
    let error = Client::new(&url(&near)).unwrap().play().err().unwrap();
    assert_no_login(&heard, "a redirect");
    let expected = format!(
        "{} wants a login, but user and password are for the host and port that were given with them",
        far.address
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn the_log_does_not_show_secrets_that_a_server_refers_to() {
    let lower = KEY.to_lowercase();
    for (to, words) in [
        (
            format!("rtmp://127.0.0.1:1/{KEY}/live"),
            "anew, to rtmp://127.0.0.1:1/***/live/***",
        ),
        (
            format!("rtmp://127.0.0.1:1/x/{lower}"),
            "anew, to rtmp://127.0.0.1:1/x/***/***",
        ),
        (
            "rtmp://127.0.0.1:1/open%73esame/x".to_owned(),
            "anew, to rtmp://127.0.0.1:1/***/x/***",
        ),
        (
            format!("rtmp://{KEY}.invalid/live"),
            "cannot resolve ***.invalid",
        ),
        (
            format!("{KEY}://h/live"),
            "redirects: a reference from rtmp:// to ***://",
        ),
    ] {
        for option in ["--push", "--pull"] {
            let near = leaving_to(to.clone(), option == "--pull");
            let here = Brooklet::start(&[option, &format!("live/door={}", url(&near))]);
            let _camera = (option == "--push").then(|| camera(&here, "door"));
            here.wait_for_log(words, 1);
            let mut http = HttpClient::connect(here.http_address());
            let list = if option == "--push" {
                "pushes"
            } else {
                "pulls"
            };
            let shown = here.log() + &http.get(&format!("/api/v1/{list}")).text();
            let shown = shown.to_lowercase();
            for secret in [&*lower, "opensesame", "open%73esame"] {
                assert!(!shown.contains(secret), "{option} {to}: {shown}");
            }
        }
    }
}

/// Whether a line with this character may read otherwise than it is.
fn turns(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn names_do_not_turn_lines_of_the_log_around() {
    const NAME: &str = "a\u{202e}b\u{2028}c\u{2066}d\u{61c}e";

    let dir = TempDir::new();
    let folder = dir.path().display().to_string();
    let near = leaving_to("rtmp://x\u{202e}y\u{2028}z.invalid/live".to_owned(), false);
    let target = format!("rtmp://{}/live", near.address);
    let pushed = format!("live/{NAME}={target}/door");
    let left = leaving_to("rtmp://x\u{202e}y.invalid/live".to_owned(), true);
    let source = format!("rtmp://{}/live", left.address);
    let pulled = format!("live/\u{2067}={source}/door");
    let under = format!("live/\u{2068}/*={target}");
    let here = Brooklet::start_with(
        &[
            "--push",
            &pushed,
            "--push",
            &under,
            "--pull",
            &pulled,
            "--record",
            &folder,
            "--record-free",
            "0",
        ],
        |command| {
            command.env("RUST_LOG", "trace");
        },
    );
    let mut camera = client::Client::publishing(here.address(), "live", NAME);
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    for number in 0..50 {
        camera.send_frame(number, number * 40, number % 10 == 0, 2_000);
    }
    here.wait_for_log("recording to ", 1);
    here.wait_for_log("redirects: the URL has a space, a control character", 2);
    let mut player = client::Client::playing(here.address(), "live", NAME);
    player.wait_for_media();
    let mut http = HttpClient::connect(here.http_address());
    let body = format!("live/\u{200f}={source}/\u{2069}");
    let len = body.len();
    http.send(format!(
        "POST /api/v1/pulls HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n{body}"
    ));
    assert_eq!(http.answer().status, 400);
    let body = format!("live/\u{200f}={source}/x");
    let len = body.len();
    http.send(format!(
        "POST /api/v1/pulls HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len}\r\n\r\n{body}"
    ));
    assert_eq!(http.answer().status, 200);
    here.wait_for_log("live/\\u{200f}", 1);
    drop((camera, player));
    here.wait_for_log("stopped publishing", 1);
    let log = here.log();
    assert!(log.contains("live/a\\u{202e}b\\u{2028}c"), "{log}");
    let turned: Vec<_> = log.lines().filter(|line| line.contains(turns)).collect();
    assert!(turned.is_empty(), "{turned:#?}");
}

#[test]
fn a_login_in_base64_is_not_shown() {
    let near = FakeServer::start(|mut stream, _| {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let answer = "HTTP/1.1 403 no Ym9iOm9wZW5zZXNhbWU=, OpenSesame, KQ7ZX3VTN9LW\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
    });
    let client = Client::new(&url(&near).replace("rtmp", "http")).unwrap();
    let error = client.play().err().unwrap().to_string();
    let expected = "answered 403 no ***=, ***, ***, expected 200 and FLV";
    assert!(error.ends_with(expected), "{error}");
}
