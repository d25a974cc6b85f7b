//! Pulls: streams that this server plays from another one, and publishes as its own.

use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use brooklet::client::{Client, Player, Publisher};
use brooklet::config::{parse_pull, parse_push};
use brooklet::{Config, RelayReport, RelayState, Server, StreamMessage};

use crate::common::client::server;
use crate::common::{SOON, all_the_while, wait_until};
use crate::hostile::FakeServer;

fn url(server: &Server, name: &str) -> String {
    format!("rtmp://{}/live/{name}", server.rtmp_addresses()[0])
}

fn publish(server: &Server, name: &str) -> Publisher {
    let client = Client::new(&url(server, name)).unwrap().timeout(SOON);
    client.publish().unwrap()
}

fn play(server: &Server, name: &str) -> Player {
    let client = Client::new(&url(server, name)).unwrap().timeout(SOON);
    client.play().unwrap()
}

fn frame(number: u32, len: usize) -> StreamMessage {
    let mut payload = vec![if number % 10 == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(len, 0x41);
    StreamMessage::video(number * 40, payload)
}

/// The next video message with a frame.
fn next_frame(player: &mut Player) -> StreamMessage {
    loop {
        let message = player.recv(SOON).unwrap().expect("the stream goes on");
        if message.medium().is_some() && !message.is_sequence_header() {
            return message.clone();
        }
    }
}

fn report(server: &Server) -> RelayReport {
    server.pulls().into_iter().next().unwrap()
}

fn wait_for(server: &Server, state: RelayState) {
    let what = format!("the pull is {}", state.name());
    wait_until(&what, SOON, || report(server).state == state);
}

fn pull(server: &Server, text: &str) -> u64 {
    server.pull(parse_pull(text).unwrap()).unwrap()
}

#[test]
fn a_pull_publishes_what_its_source_sends() {
    let source = server(Config::default());
    let edge = server(Config::default());
    pull(&edge, &format!("live/copy={}", url(&source, "door")));
    let mut player = play(&edge, "copy");
    let mut publisher = publish(&source, "door");
    wait_until("the pull plays", SOON, || {
        source.streams()[0].report.viewer_count() == 1
    });
    for number in 0..40 {
        publisher
            .send(&frame(number, 300 + 7_000 * (number as usize % 5)))
            .unwrap();
    }
    for number in 0..40 {
        let expected = frame(number, 300 + 7_000 * (number as usize % 5));
        // Not assert_eq: nobody reads that many bytes.
        assert!(next_frame(&mut player) == expected, "{number}");
    }
    wait_for(&edge, RelayState::Live);
    wait_until("its bytes are counted", SOON, || {
        report(&edge).bytes > 400_000
    });
    let report = report(&edge);
    assert_eq!((&*report.stream, report.connections), ("live/copy", 1));
    assert!(report.target.ends_with("/live/***"), "{}", report.target);
}

#[test]
fn a_pull_is_not_live_before_its_source_is() {
    let source = server(Config::default());
    let edge = server(Config::default());
    pull(&edge, &format!("live/copy={}", url(&source, "door")));
    wait_until("the pull plays", SOON, || report(&edge).connections == 1);
    // The source has said something of the play, but nothing of the stream.
    all_the_while("nothing is live", Duration::from_millis(600), || {
        report(&edge).state != RelayState::Live
    });
    let mut publisher = publish(&source, "door");
    publisher.send(&frame(0, 500)).unwrap();
    wait_for(&edge, RelayState::Live);
}

#[test]
fn a_pull_on_demand_begins_with_the_first_viewer_and_ends_after_the_last() {
    let source = server(Config::default());
    let edge = server(Config::default());
    let mut publisher = publish(&source, "door");
    publisher.send(&frame(0, 500)).unwrap();
    pull(
        &edge,
        &format!("live/copy={},on-demand", url(&source, "door")),
    );
    wait_for(&edge, RelayState::Waiting);
    wait_until("the pull has looked", SOON, || {
        report(&edge).why.as_deref() == Some("nobody watches")
    });
    assert_eq!(report(&edge).connections, 0);
    let asked = Instant::now();
    let mut player = play(&edge, "copy");
    assert_eq!(next_frame(&mut player), frame(0, 500));
    println!("the first viewer waited {:.1?}", asked.elapsed());
    wait_for(&edge, RelayState::Live);
    // A push of the stream is no viewer of it.
    let elsewhere = server(Config::default());
    let push = format!("live/copy={}", url(&elsewhere, "copy"));
    edge.push(parse_push(&push).unwrap()).unwrap();
    assert_eq!(
        next_frame(&mut play(&elsewhere, "copy")).payload(),
        frame(0, 500).payload()
    );
    drop(player);
    wait_for(&edge, RelayState::Waiting);
    wait_until("the source is left", SOON, || {
        source.streams()[0].report.viewer_count() == 0
    });
}

#[test]
fn a_pull_waits_while_a_local_publisher_is_there() {
    let source = server(Config::default());
    let edge = server(Config::default().grace(Duration::ZERO));
    let mut local = publish(&edge, "copy");
    local.send(&frame(0, 500)).unwrap();
    let mut far = publish(&source, "door");
    far.send(&frame(0, 700)).unwrap();
    pull(&edge, &format!("live/copy={}", url(&source, "door")));
    wait_until("the pull says why it waits", SOON, || {
        report(&edge).why.as_deref() == Some("somebody publishes it here")
    });
    local.finish().unwrap();
    wait_for(&edge, RelayState::Live);
    let mut player = play(&edge, "copy");
    assert_eq!(next_frame(&mut player), frame(0, 700));
}

#[test]
fn a_source_that_returns_is_pulled_again_and_viewers_stay() {
    let source = server(Config::default().grace(Duration::ZERO));
    let edge = server(Config::default().grace(SOON));
    let mut publisher = publish(&source, "door");
    publisher.send(&frame(0, 500)).unwrap();
    pull(&edge, &format!("live/copy={}", url(&source, "door")));
    let mut player = play(&edge, "copy");
    assert_eq!(next_frame(&mut player).payload(), frame(0, 500).payload());
    publisher.finish().unwrap();
    wait_for(&edge, RelayState::BackingOff);
    let why = report(&edge).why.unwrap();
    assert!(why.contains("has ended the stream"), "{why}");
    let mut publisher = publish(&source, "door");
    publisher.send(&frame(10, 600)).unwrap();
    assert_eq!(next_frame(&mut player).payload(), frame(10, 600).payload());
}

#[test]
fn a_pull_from_the_server_itself_is_refused() {
    let edge = server(Config::default());
    let mut publisher = publish(&edge, "door");
    publisher.send(&frame(0, 500)).unwrap();
    let port = edge.rtmp_addresses()[0].port();
    pull(
        &edge,
        &format!("live/copy=rtmp://localhost:{port}/live/door"),
    );
    wait_for(&edge, RelayState::BackingOff);
    let why = report(&edge).why.unwrap();
    assert!(why.contains("it would go in a circle"), "{why}");
}

#[test]
fn two_servers_that_pull_from_each_other_are_told_so() {
    let [a, b] = [(); 2].map(|()| server(Config::default()));
    pull(&a, &format!("live/door={}", url(&b, "door")));
    wait_until("one waits at the other", SOON, || {
        report(&a).connections == 1
    });
    pull(&b, &format!("live/door={}", url(&a, "door")));
    wait_for(&b, RelayState::BackingOff);
    let why = report(&b).why.unwrap();
    assert!(why.contains("it would go in a circle"), "{why}");
}

#[test]
#[cfg(feature = "http")]
fn two_servers_that_pull_from_each_other_in_flv_are_told_so() {
    let [a, b] = [(); 2].map(|()| server(Config::default()));
    let source = |server: &Server| {
        let place = server.http_addresses()[0];
        format!("live/door=http://{place}/live/door.flv")
    };
    let mut publisher = publish(&a, "door");
    pull(&b, &source(&a));
    let mut number = 0;
    wait_until("the pull is live", SOON, || {
        publisher.send(&frame(number, 500)).unwrap();
        number += 1;
        report(&b).state == RelayState::Live
    });
    pull(&a, &source(&b));
    drop(publisher);
    wait_for(&a, RelayState::BackingOff);
    let why = report(&a).why.unwrap();
    assert!(why.contains("answered 403"), "{why}");
}

#[test]
fn a_pull_that_is_stopped_ends_its_stream() {
    let source = server(Config::default());
    let edge = server(Config::default());
    let mut publisher = publish(&source, "door");
    publisher.send(&frame(0, 500)).unwrap();
    let id = pull(&edge, &format!("live/copy={}", url(&source, "door")));
    let mut player = play(&edge, "copy");
    next_frame(&mut player);
    assert!(edge.stop_pull(id));
    assert!(edge.pulls().is_empty());
    while player.recv(SOON).unwrap().is_some() {}
    assert!(!edge.stop_pull(id));
}

#[test]
fn failures_are_reported_without_secrets() {
    let camera = FakeServer::start(|mut stream, _| {
        let mut head = [0; 2048];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(b"HTTP/1.1 401 s3cret is wrong\r\n\r\n");
    });
    let edge = server(Config::default());
    let path = "flv?port=1935&app=bcs&stream=channel0_main.bcs&user=admin&password=s3cret";
    pull(&edge, &format!("live/cam=http://{}/{path}", camera.address));
    wait_for(&edge, RelayState::BackingOff);
    let report = report(&edge);
    let why = report.why.clone().unwrap();
    let place = camera.address;
    let expected = format!("{place} answered 401 *** is wrong, expected 200 and FLV");
    assert_eq!(why, expected);
    assert!(!format!("{report:?}").contains("s3cret"));
    assert!(camera.connections.load(Ordering::SeqCst) >= 1);
}

#[test]
#[cfg(feature = "http")]
fn a_viewer_over_http_wakes_a_pull_on_demand() {
    use std::io::{BufRead, BufReader};
    use std::net::TcpStream;

    let source = server(Config::default());
    let edge = server(Config::default());
    let mut publisher = publish(&source, "door");
    for number in 0..=100 {
        publisher.send(&frame(number, 500)).unwrap();
    }
    for (name, path) in [
        ("hls", "hls.m3u8"),
        ("flv", "flv.flv"),
        ("mp4", "mp4.mp4"),
        ("picture", "picture/frame.mp4"),
    ] {
        let text = format!("live/{name}={},on-demand", url(&source, "door"));
        let id = pull(&edge, &text);
        let mut stream = TcpStream::connect(edge.http_addresses()[0]).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request = format!("GET /live/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut status = String::new();
        BufReader::new(stream).read_line(&mut status).unwrap();
        let reports = edge.pulls();
        let report = reports.iter().find(|report| report.id == id).unwrap();
        assert_eq!(report.connections, 1, "{path}: {status}");
        // The media are no true H.264. A picture is answered at once, even before the first keyframe.
        let is_there = status.contains(" 200 ") || status.contains(" 415 ");
        assert!(is_there || name == "picture", "{path}: {status}");
    }
}
