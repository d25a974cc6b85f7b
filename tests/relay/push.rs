//! Streams that are pushed to other servers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use brooklet::config::{Access, Key, parse_push};
use brooklet::{Config, RelayReport, RelayState, Server, StreamKey};

use crate::common::client::{
    Client, Message, on_free_ports, read_until_closed, server, short_grace, wait_until,
};

/// What must not be seen anywhere.
pub(crate) const SECRET: &str = "tops3cret";

/// `onMetaData` as publishers send it, with one property.
const METADATA: &[u8] =
    b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x08\x00\x00\x00\x01\x00\x05\
    width\x00\x40\x84\x00\x00\x00\x00\x00\x00\x00\x00\x09";

pub(crate) fn port_of(server: &Server) -> SocketAddr {
    server.rtmp_addresses()[0]
}

/// A server that pushes `live/door` to these places, each time under the secret name.
pub(crate) fn pushing(config: Config, targets: &[SocketAddr]) -> Server {
    let pushes = targets.iter().map(|target| {
        let push = format!("live/door=rtmp://{target}/far/{SECRET}");
        parse_push(&push).unwrap()
    });
    server(config.pushes(pushes.collect()))
}

/// Waits until a push is in a state.
pub(crate) fn wait_for(server: &Server, index: usize, state: RelayState) -> RelayReport {
    let mut report = RelayReport::default();
    wait_until(state.name(), || {
        report = server.pushes()[index].clone();
        report.state == state
    });
    assert_keeps_secrets(server);
    report
}

/// Looks for the secret in everything that is shown.
pub(crate) fn assert_keeps_secrets(server: &Server) {
    let shown = format!("{:?} {:?}", server.pushes(), server.config().pushes);
    assert!(!shown.contains(SECRET), "{shown}");
    #[cfg(feature = "http")]
    for path in [
        "/api/v1/streams",
        "/api/v1/connections",
        "/api/v1/pushes",
        "/metrics",
        "/stat",
    ] {
        let mut client = crate::common::http::HttpClient::connect(server.http_addresses()[0]);
        client.request("GET", path, "");
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text().contains(SECRET), "{path}");
    }
}

pub(crate) struct Camera(Client, u32);

impl Camera {
    pub(crate) fn new(server: &Server) -> Camera {
        let mut client = Client::publishing(port_of(server), "live", "door");
        client.send_message(18, 1, 0, METADATA);
        client.send_headers();
        Camera(client, 0)
    }

    /// Sends frames, every tenth of which is a keyframe.
    pub(crate) fn send(&mut self, count: u32, len: usize) {
        for _ in 0..count {
            let number = self.1;
            self.0
                .send_frame(number, number * 40, number % 10 == 0, len);
            self.1 += 1;
        }
    }
}

fn next_media(player: &mut Client) -> Message {
    player.wait_for_media()
}

#[test]
fn what_is_pushed_arrives_with_equal_messages() {
    let far = server(Config::default());
    let near = pushing(Config::default(), &[port_of(&far)]);
    let mut beside = Client::playing(port_of(&near), "live", "door");
    let mut player = Client::playing(port_of(&far), "far", SECRET);
    let mut camera = Camera::new(&near);
    camera.send(1, 3_000);
    // From now on, everything goes both ways.
    let first = next_media(&mut player);
    assert_eq!((first.number(), first.is_keyframe()), (0, true));
    assert_eq!(first, next_media(&mut beside));
    camera.send(60, 150_000);
    for number in 1..61 {
        let message = next_media(&mut player);
        assert_eq!(message.number(), number);
        assert_eq!(message, next_media(&mut beside));
    }
    let report = wait_for(&near, 0, RelayState::Live);
    assert_eq!((report.connections, report.why), (1, None));
    wait_until("the bytes", || near.pushes()[0].bytes > 60 * 150_000);
    assert_eq!(report.target, format!("rtmp://{}/far/***", port_of(&far)));
    // The metadata arrived as a publisher's does.
    let mut late = Client::playing(port_of(&far), "far", SECRET);
    late.wait_for("metadata", |message| {
        message.type_id == 18 && message.payload.starts_with(&METADATA[16..29])
    });
}

#[test]
fn a_push_of_a_whole_app_keeps_the_names_and_ends_with_its_streams() {
    let far = server(Config::default());
    let near = server(short_grace());
    let push = parse_push(&format!("live/*=rtmp://{}/far", port_of(&far))).unwrap();
    let id = near.push(push).unwrap();
    assert_eq!(near.pushes()[0].stream, "live/*");
    let mut camera = Camera::new(&near);
    camera.send(5, 1_000);
    let mut player = Client::playing(port_of(&far), "far", "door");
    assert_eq!(next_media(&mut player).number(), 0);
    drop(camera);
    wait_until("the end of the push", || {
        near.pushes()[0].stream == "live/*"
    });
    assert!(near.stop_push(id));
    assert!(!near.stop_push(id));
    assert!(near.pushes().is_empty());
}

#[test]
fn a_push_begins_and_ends_at_run_time() {
    let far = server(Config::default());
    let near = server(Config::default());
    let mut camera = Camera::new(&near);
    camera.send(15, 1_000);
    let push = parse_push(&format!("live/door=rtmp://{}/far/x", port_of(&far))).unwrap();
    let id = near.push(push).unwrap();
    let mut player = Client::playing(port_of(&far), "far", "x");
    // It begins at the newest keyframe.
    assert_eq!(next_media(&mut player).number(), 10);
    assert!(near.stop_push(id));
    let key = StreamKey::new("far", "x").unwrap();
    wait_until("the end at the far side", || {
        let streams = far.streams();
        streams.iter().all(|of| of.key != key || !of.report.is_live)
    });
    assert!(near.streams()[0].report.is_live);
}

#[test]
fn a_target_that_comes_back_is_pushed_to_again() {
    let far = server(Config::default());
    let address = port_of(&far);
    let near = pushing(Config::default(), &[address]);
    let mut camera = Camera::new(&near);
    camera.send(1, 1_000);
    wait_for(&near, 0, RelayState::Live);
    drop(far);
    let report = wait_for(&near, 0, RelayState::BackingOff);
    assert!(report.why.is_some() && report.next_try.is_some());
    let config = on_free_ports(Config::default()).rtmp(vec![address]);
    let far = Server::start(config).unwrap();
    let mut player = Client::playing(port_of(&far), "far", SECRET);
    camera.send(19, 1_000);
    let first = next_media(&mut player);
    assert_eq!((first.number(), first.is_keyframe()), (10, true));
    wait_for(&near, 0, RelayState::Live);
}

#[test]
fn a_push_keeps_its_connection_while_the_publisher_is_away() {
    let far = server(Config::default());
    let near = pushing(Config::default(), &[port_of(&far)]);
    let mut camera = Camera::new(&near);
    camera.send(1, 1_000);
    let mut player = Client::playing(port_of(&far), "far", SECRET);
    next_media(&mut player);
    drop(camera);
    let report = wait_for(&near, 0, RelayState::Waiting);
    assert_eq!(report.why.as_deref(), Some("its publisher is away"));
    let mut camera = Camera::new(&near);
    camera.send(3, 1_000);
    for number in 0..3 {
        assert_eq!(next_media(&mut player).number(), number);
    }
    assert_eq!(wait_for(&near, 0, RelayState::Live).connections, 1);
}

#[test]
fn a_taken_name_is_left_alone_for_ten_seconds() {
    let far = server(Config::default());
    // From another address: a publisher from the same one would be replaced.
    let mut other =
        Client::handshaken_from(Ipv4Addr::new(127, 0, 0, 2), port_of(&far)).connect("far");
    other.publish(SECRET);
    assert_eq!(other.wait_for_status().1, "NetStream.Publish.Start");
    let near = pushing(Config::default(), &[port_of(&far)]);
    let _camera = Camera::new(&near);
    let report = wait_for(&near, 0, RelayState::BackingOff);
    let wait = report.next_try.unwrap() - report.since;
    assert!(wait >= 10_000, "{wait}");
}

#[test]
fn a_wrong_key_is_shown_as_what_the_server_said() {
    let publish = Access::default().keys(vec![Key::parse("right").unwrap()]);
    let far = server(Config::default().publish(publish));
    let near = pushing(Config::default(), &[port_of(&far)]);
    let _camera = Camera::new(&near);
    let report = wait_for(&near, 0, RelayState::BackingOff);
    let why = report.why.unwrap();
    assert!(why.contains("refused"), "{why}");
    assert_eq!(report.bytes, 0);
}

#[test]
fn a_push_to_the_server_itself_is_refused() {
    for host in ["127.0.0.1", "localhost"] {
        let config = Config::default().publish(Access::default());
        let near = server(config);
        let port = port_of(&near).port();
        let push = format!("live/door=rtmp://{host}:{port}/far/{SECRET}");
        near.push(parse_push(&push).unwrap()).unwrap();
        let _camera = Camera::new(&near);
        let report = wait_for(&near, 0, RelayState::BackingOff);
        let why = report.why.unwrap();
        assert!(why.contains("it would go in a circle"), "{why}");
    }
}

#[test]
fn two_servers_in_a_circle_are_told_so() {
    let [a, b] = [(); 2].map(|()| server(Config::default()));
    let push = |from: &Server, to: &Server| {
        let push = format!("live/*=rtmp://{}/live", port_of(to));
        from.push(parse_push(&push).unwrap()).unwrap();
    };
    push(&a, &b);
    push(&b, &a);
    let mut camera = Camera::new(&a);
    camera.send(1, 1_000);
    wait_for(&a, 0, RelayState::Live);
    let report = wait_for(&b, 0, RelayState::BackingOff);
    let why = report.why.unwrap();
    assert!(why.contains("it would go in a circle"), "{why}");
}

/// A link to a server, which can be slowed down and blocked.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    is_blocked: Arc<AtomicBool>,
}

impl Wire {
    /// With `pause` after each kB, and little room for what is on its way.
    pub(crate) fn to(target: SocketAddr, pause: Duration) -> Wire {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let buffer = socket2::SockRef::from(&listener).set_recv_buffer_size(16 * 1024);
        buffer.unwrap();
        let wire = Wire {
            address: listener.local_addr().unwrap(),
            is_blocked: Arc::default(),
        };
        let is_blocked = Arc::clone(&wire.is_blocked);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(target) else {
                    continue;
                };
                let (mut back, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut back, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let is_blocked = Arc::clone(&is_blocked);
                thread::spawn(move || pass(near, far, pause, &is_blocked));
            }
        });
        wire
    }
}

fn pass(mut near: TcpStream, mut far: TcpStream, pause: Duration, is_blocked: &AtomicBool) {
    let mut buffer = [0; 1_000];
    loop {
        while is_blocked.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
        let Ok(len @ 1..) = near.read(&mut buffer) else {
            break;
        };
        if far.write_all(&buffer[..len]).is_err() {
            break;
        }
        thread::sleep(pause);
    }
    let _ = far.shutdown(Shutdown::Both);
}

#[test]
fn a_target_that_stops_reading_is_called_stalled_and_delays_nobody() {
    let far = server(Config::default());
    let wire = Wire::to(port_of(&far), Duration::ZERO);
    let other = server(Config::default());
    let near = pushing(Config::default(), &[wire.address, port_of(&other)]);
    let mut camera = Camera::new(&near);
    camera.send(1, 1_000);
    wait_for(&near, 0, RelayState::Live);
    wait_for(&near, 1, RelayState::Live);
    let mut beside = Client::playing(port_of(&near), "live", "door");
    let mut elsewhere = Client::playing(port_of(&other), "far", SECRET);
    wire.is_blocked.store(true, Ordering::SeqCst);
    let mut number = 0;
    for player in [&mut beside, &mut elsewhere] {
        assert_eq!(next_media(player).number(), 0);
    }
    // The others get each frame while one takes nothing.
    wait_until("a stall", || {
        camera.send(1, 10_000);
        number += 1;
        for player in [&mut beside, &mut elsewhere] {
            assert_eq!(next_media(player).number(), number);
        }
        near.pushes()[0].state == RelayState::Stalled
    });
    assert_keeps_secrets(&near);
    wire.is_blocked.store(false, Ordering::SeqCst);
    wait_until("media", || {
        camera.send(1, 1_000);
        near.pushes()[0].state == RelayState::Live
    });
    assert_eq!(near.pushes()[1].skips, 0);
}

#[test]
fn a_slow_target_skips_as_a_player_does() {
    let far = server(Config::default());
    // 10 kB/s.
    let wire = Wire::to(port_of(&far), Duration::from_millis(100));
    let other = server(Config::default());
    let config = Config::default().max_lag(Duration::from_millis(200));
    let near = pushing(config, &[wire.address, port_of(&other)]);
    let mut beside = Client::playing(port_of(&near), "live", "door");
    let mut elsewhere = Client::playing(port_of(&other), "far", SECRET);
    let mut slow = Client::playing(port_of(&far), "far", SECRET);
    let mut camera = Camera::new(&near);
    camera.send(1, 1_000);
    let mut number = 0;
    // Lest the first message at the other server be the one of another keyframe.
    assert_eq!(next_media(&mut elsewhere).number(), 0);
    assert_eq!(next_media(&mut beside).number(), 0);
    wait_until("a skip", || {
        camera.send(1, 2_000);
        number += 1;
        for player in [&mut beside, &mut elsewhere] {
            assert_eq!(next_media(player).number(), number);
        }
        near.pushes()[0].skips > 0
    });
    let [of_slow, of_other] = [0, 1].map(|index| near.pushes()[index].clone());
    assert_eq!((of_slow.connections, of_other.skips), (1, 0));
    // No gap that doesn't end with a keyframe.
    let mut last = 0;
    let after = loop {
        let message = next_media(&mut slow);
        if message.number() > last + 1 {
            break message;
        }
        last = message.number();
    };
    assert!(after.is_keyframe(), "{} after {last}", after.number());
    assert_keeps_secrets(&near);
}

#[test]
fn a_push_is_no_viewer() {
    let far = server(Config::default());
    let near = pushing(Config::default(), &[port_of(&far)]);
    let mut camera = Camera::new(&near);
    camera.send(1, 1_000);
    wait_for(&near, 0, RelayState::Live);
    let report = &near.streams()[0].report;
    assert_eq!((report.viewer_count(), report.peak_viewers), (0, 0));
    assert_eq!((report.bytes_out, report.skips), (0, 0));
    #[cfg(feature = "http")]
    {
        let mut client = crate::common::http::HttpClient::connect(near.http_addresses()[0]);
        client.request("GET", "/api/v1/streams", "");
        let text = client.answer().text().to_string();
        assert!(text.contains(r#""viewers":0"#), "{text}");
    }
    drop(camera);
    // But the stream is kept for it.
    wait_for(&near, 0, RelayState::Waiting);
    assert_eq!(near.streams().len(), 1);
}

#[test]
fn a_target_that_stops_reading_a_stream_of_a_low_rate_is_called_stalled_too() {
    let far = server(Config::default());
    let wire = Wire::to(port_of(&far), Duration::ZERO);
    let near = pushing(Config::default(), &[wire.address]);
    let mut camera = Camera::new(&near);
    camera.send(1, 1_000);
    wait_for(&near, 0, RelayState::Live);
    wire.is_blocked.store(true, Ordering::SeqCst);
    // A little more than what the other side's system takes without its program. From here on, our own
    // would take it all for a long time.
    camera.send(10, 4_000);
    wait_until("a stall", || {
        camera.send(1, 10);
        thread::sleep(Duration::from_millis(50));
        near.pushes()[0].state == RelayState::Stalled
    });
    assert_eq!(near.pushes()[0].lag, 0);
}

#[test]
fn a_target_that_never_answers_does_not_keep_the_server_from_stopping() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut near = pushing(Config::default(), &[listener.local_addr().unwrap()]);
    let _camera = Camera::new(&near);
    let (silent, _) = listener.accept().unwrap();
    assert_eq!(near.pushes()[0].state, RelayState::Connecting);
    near.stop();
    assert!(!read_until_closed(&silent).is_empty());
}

#[cfg(feature = "http")]
#[test]
fn the_api_begins_and_ends_pushes() {
    use crate::common::http::HttpClient;

    let far = server(Config::default());
    let near = server(Config::default());
    let mut camera = Camera::new(&near);
    camera.send(1, 1_000);
    let mut client = HttpClient::connect(near.http_addresses()[0]);
    let mut post = |path: &str, body: &str| {
        let length = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        // The helper ends the head with an empty line, which comes before the next request.
        client.send(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{length}").as_bytes());
        client.answer()
    };
    for (body, words) in [
        ("live/door", "live/door=rtmp://HOST/APP/KEY"),
        ("live/door=@/etc/passwd", "a URL, not a file"),
        ("live/door=ftp://h/a/tops3cret", "unknown scheme ftp://"),
    ] {
        let answer = post("/api/v1/pushes", body);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(words), "{}", answer.text());
        assert!(!answer.text().contains(SECRET));
    }
    let push = format!("live/door=rtmp://{}/far/{SECRET}", port_of(&far));
    let answer = post("/api/v1/pushes", &push);
    assert_eq!((answer.status, &*answer.text()), (200, r#"{"id":1}"#));
    // Bodies aren't expected anywhere else.
    let mut player = Client::playing(port_of(&far), "far", SECRET);
    assert_eq!(next_media(&mut player).number(), 0);
    wait_for(&near, 0, RelayState::Live);
    client.request("GET", "/api/v1/pushes", "");
    let text = client.answer().text();
    for words in [
        r#""stream":"live/door""#,
        r#"/far/***""#,
        r#""state":"live""#,
    ] {
        assert!(text.contains(words), "{text}");
    }
    client.request("GET", "/metrics", "");
    let text = client.answer().text();
    let line = text.lines().find(|line| line.contains(r#"state="live""#));
    assert!(line.unwrap().ends_with("} 1"), "{text}");
    for status in [204, 404] {
        client.request("DELETE", "/api/v1/pushes/1", "");
        assert_eq!(client.answer().status, status);
    }
    assert!(near.pushes().is_empty());
}
