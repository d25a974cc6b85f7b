//! Servers that ask their clients to connect anew (E2, "Reconnect Request").

use std::io::{Read, Write};
use std::thread;

use brooklet::client::{Client, Publisher};
use brooklet::config::{parse_pull, parse_push};
use brooklet::rtmp::command::{object, text};
use brooklet::{Config, Server, StreamMessage, Value};

use crate::common::client::{AVC_HEADER, server};
use crate::common::{SOON, wait_until};
use crate::hostile::{FakeServer, read_on, send, shake_hands};

/// A server that accepts a publish or play of message stream 1, and sends its client to `target` after that,
/// or after a keyframe.
fn leaving(target: &Server, is_played: bool) -> FakeServer {
    leaving_to(
        format!("rtmp://{}/live", target.rtmp_addresses()[0]),
        is_played,
    )
}

/// The same, to a URL.
pub(crate) fn leaving_to(to: String, is_played: bool) -> FakeServer {
    leaving_after(Vec::new(), to, is_played)
}

/// The same, with these bytes before the request.
fn leaving_after(media: Vec<u8>, to: String, is_played: bool) -> FakeServer {
    FakeServer::start(move |mut stream, _| {
        shake_hands(&mut stream);
        let status = |code: &str| vec![("level", text("status")), ("code", text(code))];
        // The answers to connect and createStream come before the questions, which clients can't tell.
        let accepted = status("NetConnection.Connect.Success");
        send(&mut stream, "_result", 1.0, vec![object(accepted)]);
        let create = if is_played { 2.0 } else { 4.0 };
        wait_for(&mut stream, b"createStream");
        send(&mut stream, "_result", create, vec![Value::Number(1.0)]);
        wait_for(
            &mut stream,
            if is_played { b"\x04play" } else { b"publish" },
        );
        let start = if is_played {
            "NetStream.Play.Start"
        } else {
            "NetStream.Publish.Start"
        };
        send(&mut stream, "onStatus", 0.0, vec![object(status(start))]);
        if !is_played {
            // Otherwise the first keyframe may already be the one with which the client goes on elsewhere.
            wait_for(&mut stream, b"\x17\x01\0\0\0");
        }
        stream.write_all(&media).unwrap();
        let mut request = status("NetConnection.Connect.ReconnectRequest");
        request.push(("tcUrl", text(&to)));
        send(&mut stream, "onStatus", 0.0, vec![object(request)]);
        thread::spawn(|| read_on(stream));
    })
}

/// Reads until these bytes have come.
fn wait_for(stream: &mut std::net::TcpStream, bytes: &[u8]) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.windows(bytes.len()).any(|window| window == bytes) {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        seen.push(byte[0]);
    }
}

fn client(place: std::net::SocketAddr) -> Client {
    let url = format!("rtmp://{place}/live/door");
    Client::new(&url).unwrap().timeout(SOON)
}

fn frame(number: u32, is_key: bool) -> StreamMessage {
    let kind = if is_key { 0x17 } else { 0x27 };
    let mut payload = vec![kind, 1, 0, 0, 0];
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(100, 0x41);
    StreamMessage::video(number * 40, payload)
}

fn publish_keyframe(publisher: &mut Publisher, number: u32) {
    publisher
        .send(&StreamMessage::video(0, AVC_HEADER))
        .unwrap();
    publisher.send(&frame(number, true)).unwrap();
}

#[test]
fn a_publisher_goes_on_elsewhere_at_the_next_keyframe() {
    let target = server(Config::default());
    let leaving = leaving(&target, false);
    let mut publisher = client(leaving.address).publish().unwrap();
    publish_keyframe(&mut publisher, 0);
    let mut number = 1;
    wait_until("the new connection is made", SOON, || {
        publisher.send(&frame(number, false)).unwrap();
        number += 1;
        !target.streams().is_empty()
    });
    // Nothing has come there that doesn't begin with a keyframe.
    assert_eq!(target.streams()[0].report.video.messages, 0);
    publisher.send(&frame(number, true)).unwrap();
    let mut player = client(target.rtmp_addresses()[0]).play().unwrap();
    let header = player.recv(SOON).unwrap().unwrap();
    assert_eq!(header.payload(), AVC_HEADER);
    let first = player.recv(SOON).unwrap().unwrap();
    assert_eq!(first, &frame(number, true));
}

#[test]
fn a_player_goes_on_elsewhere() {
    let target = server(Config::default());
    let leaving = leaving(&target, true);
    let mut publisher = client(target.rtmp_addresses()[0]).publish().unwrap();
    publish_keyframe(&mut publisher, 5);
    let mut player = client(leaving.address).play().unwrap();
    let header = player.recv(SOON).unwrap().unwrap();
    assert_eq!(header.payload(), AVC_HEADER);
    let first = player.recv(SOON).unwrap().unwrap();
    assert_eq!(first, &frame(5, true));
}

#[test]
fn a_server_that_always_asks_for_another_connection_is_left_in_the_end() {
    const WORDS: &str = "asks to connect anew again and again";

    let leaving = || leaving_to(String::new(), true);
    let played = leaving();
    let mut player = client(played.address).play().unwrap();
    let error = player.recv(SOON).unwrap_err();
    assert!(error.to_string().contains(WORDS), "{error}");

    let (source, edge) = (leaving(), server(Config::default()));
    let pull = format!("live/door=rtmp://{}/live/door", source.address);
    edge.pull(parse_pull(&pull).unwrap()).unwrap();
    wait_until("the pull backs off", SOON, || {
        let pulls = edge.pulls();
        let why = pulls[0].why.as_deref().unwrap_or_default();
        why.contains(WORDS)
    });
    assert_eq!(edge.pulls()[0].connections, 4);
}

#[test]
fn a_push_leaves_a_server_that_always_asks_for_another_connection() {
    let (target, origin) = (leaving_to(String::new(), false), server(Config::default()));
    let push = format!("live/door=rtmp://{}/live/door", target.address);
    origin.push(parse_push(&push).unwrap()).unwrap();
    let mut publisher = client(origin.rtmp_addresses()[0]).publish().unwrap();
    let mut number = 0;
    publish_keyframe(&mut publisher, number);
    wait_until("the push backs off", SOON, || {
        number += 1;
        publisher.send(&frame(number, true)).unwrap();
        let pushes = origin.pushes();
        let why = pushes[0].why.as_deref().unwrap_or_default();
        why.contains("asks to connect anew again and again")
    });
    assert_eq!(origin.pushes()[0].connections, 4);
}

#[test]
fn the_connection_of_a_pull_that_went_elsewhere_can_be_ended() {
    let (target, edge) = (server(Config::default()), server(Config::default()));
    let place = target.rtmp_addresses()[0];
    let mut publisher = client(place).publish().unwrap();
    publish_keyframe(&mut publisher, 0);
    // One chunk of chunk stream 6, on message stream 1.
    let payload = frame(0, true).payload().to_vec();
    let header = [6, 0, 0, 0, 0, 0, payload.len() as u8, 9, 1, 0, 0, 0];
    let media = [&header[..], &payload].concat();
    let source = leaving_after(media, format!("rtmp://{place}/live"), true);
    let pull = format!("live/door=rtmp://{}/live/door", source.address);
    edge.pull(parse_pull(&pull).unwrap()).unwrap();
    let to_target = || {
        let connections = edge.connections();
        connections.into_iter().find(|of| of.address == place)
    };
    wait_until("the pull is elsewhere", SOON, || to_target().is_some());
    assert!(edge.kick(to_target().unwrap().id));
    wait_until("the pull has lost its connection", SOON, || {
        edge.pulls()[0].connections > 2
    });
}
