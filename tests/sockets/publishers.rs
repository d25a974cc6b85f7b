//! Publishers that come, go, return, and compete for a name.

use std::net::Ipv4Addr;
use std::time::Duration;

use brooklet::Config;
use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::{Control, UserControl, type_id};

use crate::client::{AVC_HEADER, Client, server, short_grace, wait_until};
use crate::common::Brooklet;

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[test]
fn a_player_may_start_before_the_publisher() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut player = Client::playing(address, "live", "door");
    let mut publisher = Client::publishing(address, "live", "door");
    publisher.send_headers();
    publisher.send_frame(1, 40, true, 5_000);
    let headers = [
        player.wait_for("a header", |m| m.is_video()),
        player.next().unwrap(),
    ];
    assert!(headers.iter().all(|header| header.payload[1] == 0));
    assert!(player.next().unwrap().is_keyframe());
}

#[test]
fn another_address_gets_bad_name_with_the_reason() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut first = Client::publishing(address, "live", "door");
    first.send_headers();
    let mut second = Client::handshaken_from(ELSEWHERE, address).connect("live");
    second.publish("door");
    let (level, code, description) = second.wait_for_status();
    assert_eq!(
        (&level[..], &code[..]),
        ("error", "NetStream.Publish.BadName")
    );
    assert!(
        description.contains("another publisher uses this stream"),
        "{description}"
    );
    assert!(second.until_closed().is_empty());
}

#[test]
fn the_same_address_takes_over_and_players_go_on() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut old = Client::publishing(address, "live", "door");
    let mut player = Client::playing(address, "live", "door");
    old.send_headers();
    old.send_frame(1, 50_000, true, 5_000);
    let before = player.wait_for_media().timestamp;

    let mut new = Client::publishing(address, "live", "door");
    assert!(
        old.until_closed()
            .iter()
            .all(|message| message.status().is_none())
    );
    new.send_headers();
    new.send_frame(2, 0, false, 5_000);
    new.send_frame(3, 40, true, 5_000);
    let after = player.wait_for_media();
    assert_eq!(after.number(), 3);
    assert!(after.timestamp.wrapping_sub(before) as i32 > 0);
}

#[test]
fn a_silent_publisher_is_replaced_from_anywhere() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let _frozen = Client::publishing(address, "live", "door");
    wait_until("another address may publish", || {
        // Below the limit on connections per second.
        std::thread::sleep(Duration::from_millis(100));
        let mut other = Client::handshaken_from(ELSEWHERE, address).connect("live");
        other.publish("door");
        other.wait_for_status().1 == "NetStream.Publish.Start"
    });
}

#[test]
fn players_survive_a_publisher_that_vanishes_and_comes_back() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut player = Client::playing(address, "live", "door");
    let mut last = None;
    for round in 0..3 {
        let mut publisher =
            Client::handshaken_from(Ipv4Addr::new(127, 0, 0, 10 + round as u8), address)
                .connect("live");
        publisher.publish("door");
        publisher.wait_for("the start", |message| message.status().is_some());
        publisher.send_headers();
        for frame in 0..10 {
            publisher.send_frame(round * 100 + frame, frame * 40, frame == 0, 5_000);
        }
        for frame in 0..10 {
            let message = player.wait_for_media();
            assert_eq!(message.number(), round * 100 + frame);
            assert!(last.is_none_or(|last| message.timestamp.wrapping_sub(last) as i32 > 0));
            last = Some(message.timestamp);
        }
        drop(publisher);
        // Until then, the next publisher, from another address, would be refused.
        let is_live = || server.streams().iter().any(|stream| stream.report.is_live);
        wait_until("the server has noticed", || !is_live());
    }
}

#[test]
fn what_came_before_a_protocol_error_reaches_players() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    let mut player = Client::playing(address, "live", "door");
    publisher.send_headers();
    // A keyframe of ten bytes, and in the same read a type 3 chunk on an unknown chunk stream.
    publisher.send(b"\x06\0\0\x28\0\0\x0A\x09\x01\0\0\0\x17\x01\0\0\0\0\0\0\x07\x41\xE8");
    assert!(publisher.until_closed().is_empty());
    // The keyframe has been sent by now, without waiting for the next tick of the player's thread.
    player.socket().set_nonblocking(true).unwrap();
    assert_eq!(player.wait_for_media().number(), 7);
}

#[test]
fn a_connection_cannot_publish_a_stream_twice() {
    let server = Brooklet::start(&[]);
    let address = server.address();
    let mut publisher = Client::publishing(address, "live", "door");
    publisher.send_command(0, "createStream", 5.0, Value::Null, vec![]);
    publisher.wait_for_command("_result");
    let arguments = vec![text("door"), text("live")];
    publisher.send_command(2, "publish", 6.0, Value::Null, arguments);
    let (level, code, description) = publisher.wait_for_status();
    assert_eq!((&*level, &*code), ("error", "NetStream.Publish.BadName"));
    let why = "the connection publishes this stream already";
    assert_eq!(description, why);
    server.wait_for_log(&format!("(test) refused to publish live/door: {why}"), 1);
    // The first publisher continues.
    let mut player = Client::playing(address, "live", "door");
    publisher.send_headers();
    publisher.send_frame(7, 40, true, 500);
    assert_eq!(player.wait_for_media().number(), 7);
}

#[test]
fn when_the_grace_time_ends_players_are_notified_and_closed() {
    let server = server(short_grace());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    let mut player = Client::playing(address, "live", "door");
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 5_000);
    player.wait_for_media();
    drop(publisher);
    let rest = player.until_closed();
    let eof = Control::User(UserControl::StreamEof(1));
    assert_eq!(
        Control::parse(type_id::USER_CONTROL, &rest[0].payload).unwrap(),
        eof
    );
    let codes: Vec<_> = rest[1..]
        .iter()
        .map(|message| message.status().unwrap().1)
        .collect();
    assert_eq!(
        codes,
        ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"]
    );
    drop(player);
    wait_until("everybody is gone", || server.connection_count() == 0);
    let (free, total) = server.blocks();
    assert_eq!(free, total);
}

#[test]
fn a_connection_that_stops_publishing_may_publish_again() {
    let server = server(short_grace());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    publisher.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
    publisher.publish("gate");
    assert_eq!(publisher.wait_for_status().1, "NetStream.Publish.Start");
    let mut player = Client::playing(address, "live", "gate");
    publisher.send_headers();
    publisher.send_frame(9, 0, true, 100);
    assert_eq!(player.wait_for_media().number(), 9);
}

#[test]
fn players_of_a_stream_that_was_stopped_deliberately_are_notified_after_the_grace_time() {
    let server = server(short_grace());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    let mut player = Client::playing(address, "live", "door");
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 100);
    player.wait_for_media();
    // The connection stays open.
    publisher.send_command(0, "FCUnpublish", 5.0, Value::Null, vec![]);
    let rest = player.until_closed();
    assert!(
        rest.iter()
            .any(|m| m.status().is_some_and(|s| s.1 == "NetStream.Play.Stop"))
    );
}

#[test]
fn a_former_publisher_may_wait_for_another_stream() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut client = Client::publishing(address, "live", "mine");
    client.send_headers();
    client.send_frame(0, 0, true, 100);
    // On the same message stream. The published stream still waits for its publisher.
    client.play("other");
    let mut other = Client::publishing(address, "live", "other");
    other.send_headers();
    other.send_frame(7, 0, true, 100);
    assert_eq!(client.wait_for_media().number(), 7);
}

#[test]
fn media_on_message_stream_0_is_published() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    let mut player = Client::playing(address, "live", "door");
    publisher.send_message(type_id::VIDEO, 0, 0, AVC_HEADER);
    for number in 0..3 {
        let first = if number == 0 { 0x17 } else { 0x27 };
        let payload = [&[first, 1, 0, 0, 0, 0, 0, 0, number][..], &[0x41; 5000]].concat();
        publisher.send_message(type_id::VIDEO, 0, 40 * u32::from(number), &payload);
    }
    for number in 0..3 {
        assert_eq!(player.wait_for_media().number(), number);
    }
}

/// This test takes 5 s, the time after which the stream doctor reports a silent publisher.
#[test]
fn a_publisher_that_sends_nothing_is_logged_while_it_is_connected() {
    let server = Brooklet::start(&[]);
    let mut publisher = Client::publishing(server.address(), "live", "door");
    server.wait_for_log("live/door: no audio or video came in the first 5 s", 1);
    publisher.send_headers();
    drop(publisher);
    server.wait_for_log("live/door: stopped publishing", 1);
}

#[test]
fn data_messages_are_relayed_if_short_and_few() {
    let server = Brooklet::start(&[]);
    let mut publisher = Client::publishing(server.address(), "live", "door");
    let mut player = Client::playing(server.address(), "live", "door");
    let body = |words: &str| {
        let mut body = Vec::new();
        for value in [text("onTextData"), object([("text", text(words))])] {
            value.emit(&mut body);
        }
        body
    };
    let mut set = Vec::new();
    text("@setDataFrame").emit(&mut set);
    set.extend(body("hello"));
    publisher.send_headers();
    publisher.send_frame(0, 0, true, 1_000);
    player.wait_for_media();
    publisher.send_message(type_id::DATA, 1, 20, &set);
    publisher.send_message(type_id::DATA, 1, 30, &body(&"x".repeat(20_000)));
    publisher.send_message(type_id::DATA, 1, 40, b"\x02\0\x01a\x99");
    publisher.send_frame(1, 60, false, 1_000);
    let data = player.next().unwrap();
    assert_eq!((data.type_id, data.timestamp), (type_id::DATA, 20));
    assert_eq!(data.payload, body("hello"));
    assert_eq!(player.next().unwrap().number(), 1);
    server.wait_for_log(
        "live/door: data messages are dropped: more than 50 a second",
        1,
    );

    for number in 0..500 {
        publisher.send_message(type_id::DATA, 1, 60, &body(&number.to_string()));
    }
    publisher.send_frame(2, 100, false, 1_000);
    let mut count = 0;
    while player.next().unwrap().type_id == type_id::DATA {
        count += 1;
    }
    assert!((48..450).contains(&count), "{count} of 500");
    drop(publisher);
    server.wait_for_log(" data messages dropped: ", 1);
    let count = server.with_log(|log| log.matches("data messages are dropped").count());
    assert_eq!(count, 1);
}
