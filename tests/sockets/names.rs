//! Streams are found by name, however a client splits it into app and name.

use brooklet::Config;

use crate::client::{AAC_HEADER, AVC_320X240, Client, server};
use crate::common::http::HttpClient;

fn plays(server: &brooklet::Server, publish: (&str, &str), play: (&str, &str)) {
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, publish.0, publish.1);
    publisher.send_headers();
    publisher.send_frame(7, 1_000, true, 500);
    let mut player = Client::playing(address, play.0, play.1);
    assert_eq!(player.wait_for_media().number(), 7, "{publish:?} {play:?}");
}

#[test]
fn app_and_name_are_joined_before_they_are_compared() {
    let server = server(Config::default());
    for (publish, play) in [
        (("live", "a"), ("live", "a")),
        (("live/cam", "main"), ("live", "cam/main")),
        (("live/cam/two", "main"), ("live/cam/two", "main")),
        (("", "live/b"), ("live", "b")),
        (("live", "c?key=x&y=z"), ("live", "c")),
        (("live?key=x", "d"), ("live/", "d?join=gop")),
        (("live", "e"), ("live", "mp4:e")),
    ] {
        plays(&server, publish, play);
    }
}

#[test]
fn two_simultaneous_streams_do_not_mix() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publishers: Vec<_> = ["a", "b"]
        .iter()
        .map(|name| Client::publishing(address, "live", name))
        .collect();
    let mut players: Vec<_> = ["a", "b"]
        .iter()
        .map(|name| Client::playing(address, "live", name))
        .collect();
    for (index, publisher) in publishers.iter_mut().enumerate() {
        publisher.send_headers();
        for frame in 0..20 {
            publisher.send_frame(index as u32 * 100 + frame, frame * 40, frame == 0, 3_000);
        }
    }
    for (index, player) in players.iter_mut().enumerate() {
        for frame in 0..20 {
            assert_eq!(player.wait_for_media().number(), index as u32 * 100 + frame);
        }
    }
}

#[test]
fn an_empty_name_is_refused_with_a_reason() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::connected(address, "live");
    publisher.publish("");
    let (level, code, description) = publisher.wait_for_status();
    assert_eq!(
        (&level[..], &code[..]),
        ("error", "NetStream.Publish.BadName")
    );
    assert!(description.contains("name is empty"), "{description}");
    assert!(publisher.until_closed().is_empty());

    let mut player = Client::connected(address, "live");
    player.play("");
    let (level, code, _) = player.wait_for_status();
    assert_eq!(
        (&level[..], &code[..]),
        ("error", "NetStream.Play.StreamNotFound")
    );
    assert!(player.until_closed().is_empty());
}

#[test]
fn one_connection_may_play_several_streams() {
    use brooklet::rtmp::amf0::Value;
    use brooklet::rtmp::command::text;

    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publishers: Vec<_> = ["a", "b"]
        .iter()
        .map(|name| Client::publishing(address, "live", name))
        .collect();
    let mut player = Client::playing(address, "live", "a");
    player.send_command(0, "createStream", 5.0, Value::Null, vec![]);
    assert_eq!(
        player.wait_for_command("_result").arguments,
        [Value::Number(2.0)]
    );
    player.send_command(2, "play", 6.0, Value::Null, vec![text("b")]);
    while player.wait_for_status().1 != "NetStream.Play.Start" {}
    for publisher in &mut publishers {
        publisher.send_headers();
        for frame in 0..50 {
            publisher.send_frame(frame, frame * 40, frame == 0, 9_000);
        }
    }
    let mut next = [0, 0];
    while next != [50, 50] {
        let message = player.wait_for_media();
        let next = &mut next[message.message_stream_id as usize - 1];
        assert_eq!(message.number(), *next);
        assert_eq!(message.payload.len(), 9_000);
        *next += 1;
    }
}

#[test]
fn app_and_name_of_255_bytes_each_are_published_played_and_watched() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    // Three bytes each in a URL, and more in the log.
    let (latin, umlauts) = ("a".repeat(255), "\u{f6}".repeat(127));
    let cjk = "\u{4e2d}".repeat(85);
    for (app, name) in [("live", &*latin), (&latin, &latin), (&umlauts, &cjk)] {
        let mut publisher = Client::publishing(address, app, name);
        publisher.send_message(9, 1, 0, AVC_320X240);
        publisher.send_message(8, 1, 0, AAC_HEADER);
        for number in 0..240 {
            publisher.send_frame(number, number * 40, number % 50 == 0, 500);
            publisher.send_message(8, 1, number * 40, b"\xAF\x01\x21\x10\x05");
        }
        let mut player = Client::playing(address, app, name);
        assert!(player.wait_for_media().is_keyframe());
        let encode = |part: &str| -> String {
            let encoded = part.bytes().map(|byte| format!("%{byte:02X}"));
            encoded.collect()
        };
        let path = format!("/{}/{}", encode(app), encode(name));
        // The allowance of a connection is too small for both at full length and an MP4 track.
        let (others, unending): (&[&str], &[&str]) = match app {
            "live" => (
                &["", "/frame.mp4", ".m3u8", "/media.m3u8"],
                &[".mp4", ".flv"],
            ),
            _ => (&[""], &[".flv"]),
        };
        for ending in others {
            let answer =
                HttpClient::connect(server.http_addresses()[0]).get(&format!("{path}{ending}"));
            assert_eq!(answer.status, 200, "{app} {name} {ending}");
        }
        for ending in unending {
            let mut viewer = HttpClient::connect(server.http_addresses()[0]);
            viewer.request("GET", &format!("{path}{ending}"), "");
            assert_eq!(viewer.answer_head().status, 200, "{app} {name} {ending}");
        }
    }
}
