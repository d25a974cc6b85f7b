//! Publishers and players against this server.

use std::time::Duration;

use brooklet::client::{Client, ClientErrorKind, Player};
use brooklet::config::{Access, Key, User};
use brooklet::{Config, Server, StreamMessage};

use crate::common::client::{AAC_HEADER, AVC_HEADER, server};
use crate::common::{SOON, wait_until};

/// `onMetaData` with one property.
const METADATA: &[u8] = b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x01\x00\x05width\x00\x40\x84\x00\x00\x00\x00\x00\x00\x00\x00\x09";

fn url(server: &Server, rest: &str) -> String {
    format!("rtmp://{}/{rest}", server.rtmp_addresses()[0])
}

fn client(url: &str) -> Client {
    Client::new(url).unwrap().timeout(SOON)
}

/// A video message of `len` bytes.
fn frame(timestamp: u32, is_key: bool, len: usize) -> StreamMessage {
    let mut payload = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    payload.extend((payload.len()..len).map(|at| (at % 251) as u8));
    StreamMessage::video(timestamp, payload)
}

fn next(player: &mut Player) -> StreamMessage {
    let message = player.recv(SOON).unwrap();
    message.expect("the stream goes on").clone()
}

fn script() -> Vec<StreamMessage> {
    let mut script = vec![
        StreamMessage::data(0, METADATA),
        StreamMessage::video(0, AVC_HEADER),
        StreamMessage::audio(0, AAC_HEADER),
    ];
    for number in 0..60 {
        // Some are longer than a chunk, and one than many blocks.
        let len = [2_000, 70_000, 400_000][number as usize % 3];
        script.push(frame(1_000 + number * 40, number % 20 == 0, len));
        let sound = vec![0xAF, 1, number as u8];
        script.push(StreamMessage::audio(1_010 + number * 40, sound));
    }
    script
}

#[test]
fn what_is_published_is_played_with_equal_messages() {
    // The player isn't moved on, however late it reads.
    let patient = Config::default().history(Duration::from_secs(30));
    let server = server(patient.max_lag(Duration::from_secs(15)).memory(64 << 20));
    let url = url(&server, "live/door");
    let mut player = client(&url).play().unwrap();
    let mut publisher = client(&url).publish().unwrap();
    for message in script() {
        publisher.send(&message).unwrap();
    }
    for (index, sent) in script().iter().enumerate() {
        let got = next(&mut player);
        match sent.medium() {
            // Headers get the time of what follows.
            Some(_) if sent.is_sequence_header() || index == 2 => {
                assert_eq!(got.payload(), sent.payload());
            }
            // Not assert_eq: nobody reads that many bytes.
            Some(_) => assert!(&got == sent, "message {index}"),
            None => assert!(got.payload().starts_with(&METADATA[..13]), "{got:?}"),
        }
    }
    publisher.finish().unwrap();
    let (key, count) = ("live/door", 123);
    wait_until("the server has it all", SOON, || {
        let streams = server.streams();
        let found = streams.iter().find(|stream| stream.key.as_str() == key);
        found.is_some_and(|stream| {
            let report = &stream.report;
            report.audio.messages + report.video.messages + 1 >= count
        })
    });
}

#[test]
fn the_end_of_a_stream_is_no_error() {
    let config = Config::default().grace(Duration::ZERO);
    let server = server(config);
    let url = url(&server, "live/door");
    let mut publisher = client(&url).publish().unwrap();
    publisher.send(&frame(0, true, 100)).unwrap();
    let mut player = client(&url).play().unwrap();
    assert!(next(&mut player).is_keyframe());
    publisher.finish().unwrap();
    while let Some(message) = player.recv(SOON).unwrap() {
        assert_eq!(message.medium(), None);
    }
}

#[test]
fn a_player_without_messages_times_out_and_goes_on() {
    let server = server(Config::default());
    let url = url(&server, "live/door");
    let mut player = client(&url).play().unwrap();
    let error = player.recv(Duration::from_millis(10)).unwrap_err();
    assert_eq!(error.kind(), ClientErrorKind::TimedOut);
    let place = server.rtmp_addresses()[0];
    assert_eq!(
        error.to_string(),
        format!("{place} has sent no message for 10ms")
    );
    let mut publisher = client(&url).publish().unwrap();
    publisher.send(&frame(0, true, 100)).unwrap();
    assert_eq!(next(&mut player), frame(0, true, 100));
}

#[test]
fn a_user_logs_in_with_a_second_and_third_connection() {
    let bob = User::parse("bob:s3cret/@x").unwrap();
    let access = Access::default().users(vec![bob]);
    let server = server(Config::default().publish(access));
    let place = server.rtmp_addresses()[0];
    let login = |login: &str| client(&format!("rtmp://{login}{place}/live/door")).publish();
    let mut publisher = login("bob:s3cret%2F%40x@").unwrap();
    publisher.send(&frame(0, true, 100)).unwrap();
    let wrong = login("bob:wrong-one@").err().unwrap();
    assert_eq!(wrong.kind(), ClientErrorKind::Denied);
    assert_eq!(
        wrong.to_string(),
        format!("{place} refused user or password")
    );
    let missing = login("").err().unwrap();
    assert_eq!(missing.kind(), ClientErrorKind::Denied);
    assert!(!format!("{wrong} {wrong:?}").contains("wrong-one"));
}

#[test]
fn a_refusal_says_what_the_server_said_without_the_key() {
    let access = Access::default().keys(vec![Key::parse("right-key").unwrap()]);
    let server = server(Config::default().publish(access));
    let url = url(&server, "live/door?key=wrong-key");
    let error = client(&url).publish().err().unwrap();
    assert_eq!(error.kind(), ClientErrorKind::Denied);
    let text = error.to_string();
    assert!(text.contains(" refused publish: "), "{text}");
    assert!(text.contains("NetStream.Publish.Denied"), "{text}");
    assert!(!text.contains("wrong-key"), "{text}");
}

#[test]
fn a_publisher_that_is_replaced_is_told_so() {
    let server = server(Config::default());
    let url = url(&server, "live/door");
    let mut first = client(&url).publish().unwrap();
    first.send(&frame(0, true, 100)).unwrap();
    let _second = client(&url).publish().unwrap();
    let mut error = None;
    wait_until("the first one notices", SOON, || {
        error = first.send(&frame(40, false, 100)).err();
        error.is_some()
    });
    let kind = error.unwrap().kind();
    let expected = [
        ClientErrorKind::Lost,
        ClientErrorKind::NameTaken,
        ClientErrorKind::Refused,
    ];
    assert!(expected.contains(&kind), "{kind:?}");
}

#[test]
fn messages_longer_than_a_tag_of_flv_are_refused() {
    let server = server(Config::default());
    let mut publisher = client(&url(&server, "live/door")).publish().unwrap();
    let message = StreamMessage::video(0, vec![0x17; 1 << 24]);
    let error = publisher.send(&message).unwrap_err();
    assert_eq!(error.kind(), ClientErrorKind::BadMessage);
}

#[test]
fn urls_that_cannot_be_used_are_refused_before_anything_is_sent() {
    for (url, says) in [
        (
            "door",
            "not a URL, expected one such as rtmp://HOST/APP/NAME",
        ),
        (
            "rtsp://camera/x",
            "unknown scheme rtsp://: brooklet doesn't speak RTSP, \
             expected rtmp://, rtmps://, http:// or https://",
        ),
    ] {
        let error = Client::new(url).err().unwrap();
        assert_eq!(error.kind(), ClientErrorKind::BadUrl);
        assert_eq!(error.to_string(), says);
    }
    let http = Client::new("http://127.0.0.1/live/door.flv").unwrap();
    let error = http.publish().err().unwrap();
    assert_eq!(
        error.to_string(),
        "cannot publish to http://, expected rtmp:// or rtmps://"
    );
}
