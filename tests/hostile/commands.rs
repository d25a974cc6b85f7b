//! Commands at the wrong time, on the wrong message stream, twice, or with wrong arguments.

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::type_id;

use crate::case::Case;
use crate::common::client::Client;
use crate::wire;

fn publish(client: &mut Client, message_stream_id: u32, name: &str) {
    let arguments = vec![text(name), text("live")];
    client.send_command(message_stream_id, "publish", 3.0, Value::Null, arguments);
}

/// Sends a keyframe on a message stream and waits until a player receives it.
fn relays(publisher: &mut Client, message_stream_id: u32, player: &mut Client, number: u32) {
    let mut payload = vec![0x17, 1, 0, 0, 0];
    payload.extend(number.to_be_bytes());
    payload.resize(100, 0);
    publisher.send_message(type_id::VIDEO, message_stream_id, number * 40, &payload);
    player.wait_for("the picture", |m| m.is_media() && m.number() == number);
}

#[test]
fn commands_before_connect_and_a_second_connect_are_refused() {
    let case = Case::start("commands before connect", &[]);
    for name in [
        "createStream",
        "publish",
        "play",
        "deleteStream",
        "connect2",
        "",
    ] {
        let mut client = Client::handshaken(case.address());
        client.send_command(1, name, 1.0, Value::Null, vec![text("door")]);
        assert!(client.until_closed().is_empty(), "{name}");
    }
    let mut client = Client::connected(case.address(), "live");
    client.send_command(0, "connect", 1.0, object([("app", text("other"))]), vec![]);
    client.until_closed();
    // Media before publish belongs to no stream.
    let mut client = Client::connected(case.address(), "live");
    for id in [0, 1, 2, u32::MAX] {
        client.send_message(type_id::VIDEO, id, 0, &[0x17, 1, 0, 0, 0, 1]);
        client.send_message(type_id::AUDIO, id, 0, &[0xAF, 1, 1]);
        client.send_message(type_id::DATA, id, 0, &wire::metadata(&[5]));
    }
    assert!(wire::is_served(&mut client));
    drop(client);
    case.finish(1);
}

#[test]
fn any_message_stream_may_publish_even_if_never_created() {
    let case = Case::start("message streams", &[]);
    for id in [0, 1, 2, 0x00FF_FFFF, 0x8000_0000, u32::MAX] {
        let mut player = Client::playing(case.address(), "live", &format!("stream{id}"));
        let mut publisher = Client::connected(case.address(), "live");
        publish(&mut publisher, id, &format!("stream{id}"));
        assert_eq!(publisher.wait_for_status().1, "NetStream.Publish.Start");
        for number in 1..5 {
            relays(&mut publisher, id, &mut player, number);
        }
        // Media of another message stream isn't this stream's.
        publisher.send_message(type_id::VIDEO, id ^ 5, 0, &[0x17, 1, 0, 0, 0, 9, 9, 9, 9]);
        relays(&mut publisher, id, &mut player, 5);
    }
    case.finish(2);
}

#[test]
fn the_last_command_on_a_message_stream_wins() {
    let case = Case::start("publish and play on one", &["--grace", "100ms"]);
    // Two publishes: the first stream ends, the second continues.
    let mut first = Client::playing(case.address(), "live", "first");
    let mut second = Client::playing(case.address(), "live", "second");
    let mut client = Client::publishing(case.address(), "live", "first");
    relays(&mut client, 1, &mut first, 1);
    publish(&mut client, 1, "second");
    assert_eq!(client.wait_for_status().1, "NetStream.Publish.Start");
    for number in 2..20 {
        relays(&mut client, 1, &mut second, number);
    }
    first.until_closed();
    // The same name again.
    publish(&mut client, 1, "second");
    assert_eq!(client.wait_for_status().1, "NetStream.Publish.Start");
    relays(&mut client, 1, &mut second, 20);
    // Then the client plays another publisher's stream on the same message stream.
    client.play("canary");
    client.wait_for("the canary", |message| message.is_keyframe());
    second.until_closed();
    // And publish again: its media is accepted, and the play stops.
    let mut third = Client::playing(case.address(), "live", "third");
    publish(&mut client, 1, "third");
    client.wait_for("the start", |message| {
        message
            .status()
            .is_some_and(|status| status.1 == "NetStream.Publish.Start")
    });
    relays(&mut client, 1, &mut third, 1);
    drop((client, first, second, third));
    case.finish(4);
}

#[test]
fn delete_stream_accepts_any_argument() {
    let case = Case::start("deleteStream", &["--grace", "100ms"]);
    for (id, argument) in [
        (0, Some(text("deleted"))),
        (0, Some(text("1"))),
        (0, None),
        (0, Some(Value::Number(1.0))),
        (1, Some(Value::Null)),
        (1, Some(text(""))),
    ] {
        let mut player = Client::playing(case.address(), "live", "deleted");
        let mut publisher = Client::publishing(case.address(), "live", "deleted");
        relays(&mut publisher, 1, &mut player, 1);
        let arguments = argument.into_iter().collect();
        publisher.send_command(id, "deleteStream", 0.0, Value::Null, arguments);
        // The publisher is still connected.
        player.until_closed();
        assert!(wire::is_served(&mut publisher));
    }
    case.finish(2);
}

#[test]
fn commands_for_unknown_streams_change_nothing() {
    let case = Case::start("commands about nothing", &[]);
    let numbers = [
        -1.0,
        0.0,
        2.0,
        1e300,
        f64::NAN,
        f64::INFINITY,
        4_294_967_296.0,
        1.5,
    ];
    let names = [
        "deleteStream",
        "pause",
        "seek",
        "receiveVideo",
        "receiveAudio",
        "FCUnpublish",
    ];
    for name in names {
        let mut client = Client::connected(case.address(), "live");
        for number in numbers {
            for id in [0, 1, u32::MAX] {
                let arguments = vec![Value::Number(number), Value::Number(number)];
                client.send_command(id, name, number, Value::Null, arguments);
            }
        }
        assert!(wire::is_served(&mut client), "{name}");
    }
    // A player that pauses, seeks and turns off audio and video by turns stays connected.
    let mut player = Client::playing(case.address(), "live", "canary");
    for turn in 0..14 {
        for (name, argument) in [
            ("pause", Value::Boolean(turn % 2 == 0)),
            ("seek", Value::Number(f64::NAN)),
            ("receiveVideo", Value::Boolean(turn % 2 == 1)),
            ("receiveAudio", Value::Boolean(turn % 3 == 1)),
        ] {
            player.send_command(1, name, 0.0, Value::Null, vec![argument]);
        }
    }
    player.send_command(
        1,
        "receiveVideo",
        0.0,
        Value::Null,
        vec![Value::Boolean(true)],
    );
    player.send_command(1, "pause", 0.0, Value::Null, vec![Value::Boolean(false)]);
    let paused = 14 / 2;
    for _ in 0..=paused {
        player.wait_for("unpause", |message| {
            message
                .status()
                .is_some_and(|status| status.1 == "NetStream.Unpause.Notify")
        });
    }
    player.wait_for("the canary", |message| message.is_keyframe());
    drop(player);
    case.finish(1);
}
