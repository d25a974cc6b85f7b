//! The memory that one connection can make the server keep: for its own parameters, for messages that it
//! has begun, and for the streams that it plays or has published.

use std::io::Write;
use std::thread;
use std::time::Duration;

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::type_id;
use socket2::SockRef;

use crate::canary::Load;
use crate::case::Case;
use crate::common::client::{AAC_HEADER, AVC_HEADER, Client, wait_until};
use crate::wire::{self, command, header, message, metadata, set_chunk_size, user_control};

/// A case with hardly any memory for media, so that the memory outside it becomes visible.
fn case(name: &'static str, options: &[&str]) -> Case {
    Case::start_with(name, 1, Load::LIGHT, options)
}

/// Returns the memory in kB that this many connections may occupy, blocks included.
fn allowed(connections: u64) -> u64 {
    // All of the mebibyte for media may be touched, and the server itself may use as much again.
    2 * 1024 + connections * 24
}

#[test]
fn a_connect_of_eight_thousand_values_costs_no_more_than_its_bytes() {
    const STRANGERS: u64 = 14;

    // With room for all of the messages.
    let case = Case::start("connect of many values", &[]);
    // 8,050 values of six bytes: a tree of them would occupy sixteen times as much memory.
    let mut values = vec![3];
    for number in 0..8_050_u32 {
        values.extend([0, 3]);
        values.extend(format!("{number:03}").as_bytes()[..3].iter());
        values.push(5);
    }
    values.extend([0, 0, 9]);
    let connect = message(type_id::COMMAND, 0, &command("connect", 1.0, &values));
    thread::scope(|scope| {
        let strangers: Vec<_> = (0..STRANGERS)
            .map(|_| {
                let address = case.address();
                let connect = &connect;
                scope.spawn(move || {
                    let mut client = Client::handshaken(address);
                    client.send(&set_chunk_size(65_536));
                    client.send(connect);
                    client.wait_for_command("_result");
                    client
                })
            })
            .collect();
        let strangers = strangers.into_iter().map(|thread| thread.join().unwrap());
        drop(strangers.collect::<Vec<_>>());
    });
    let shown = case.finish(STRANGERS);
    shown.memory_grew_at_most(allowed(STRANGERS));
}

#[test]
fn a_url_of_sixty_kilobytes_is_truncated() {
    const PLAYERS: u64 = 60;

    let case = case("long URLs", &["--grace", "100ms"]);
    let parameters = || {
        object([
            ("app", text("live")),
            ("tcUrl", text(&"u".repeat(61_000))),
            ("flashVer", text(&"f".repeat(2_000))),
        ])
    };
    let mut publisher = Client::publishing(case.address(), "live", "door");
    publisher.send_headers();
    let players: Vec<_> = (0..PLAYERS)
        .map(|_| {
            let mut client = Client::handshaken(case.address());
            client.send(&set_chunk_size(65_536));
            let connect = command("connect", 1.0, &[]);
            let mut body = connect;
            parameters().emit(&mut body);
            client.send(&message(type_id::COMMAND, 0, &body));
            client.wait_for_command("_result");
            client.send(&message(
                type_id::COMMAND,
                1,
                &command("play", 0.0, b"\x05\x02\0\x04door"),
            ));
            while client.wait_for_status().1 != "NetStream.Play.Start" {}
            client
        })
        .collect();
    drop((players, publisher));
    let shown = case.finish(PLAYERS + 1);
    shown.memory_grew_at_most(allowed(PLAYERS + 1));
}

#[test]
fn sixty_four_chunk_streams_cost_no_more_than_a_table() {
    const CLIENTS: u64 = 30;

    let case = case("chunk streams with large messages", &[]);
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|_| Client::connected(case.address(), "live"))
        .collect();
    for client in &mut clients {
        client.send(&set_chunk_size(65_536));
        for chunk_stream_id in 3..10 {
            // A long message, whose list of blocks used to be kept, and a short one.
            client.send(&header(chunk_stream_id, 0, 30_000, type_id::DATA, 1));
            client.send(&vec![0; 30_000]);
            client.send(&header(chunk_stream_id, 0, 500, type_id::DATA, 1));
            client.send(&[0; 500]);
        }
        for chunk_stream_id in 10..60 {
            client.send(&header(chunk_stream_id, 0, 500, type_id::DATA, 1));
            client.send(&[0; 500]);
        }
        assert!(wire::is_served(client));
    }
    drop(clients);
    let shown = case.finish(CLIENTS);
    // Hardly any of the mebibyte is touched.
    shown.memory_grew_at_most(allowed(CLIENTS) - 1024);
}

#[test]
fn names_published_one_after_the_other_on_one_connection_are_bounded() {
    // Two commands for each name; a hundred commands may be sent at a time.
    const NAMES: u32 = 45;

    let case = case("names on one connection", &["--grace", "60s"]);
    let mut client = Client::connected(case.address(), "live");
    let mut properties = vec![3];
    for number in 0..16 {
        let name = format!("property{number}");
        properties.extend((name.len() as u16).to_be_bytes());
        properties.extend(name.as_bytes());
        Value::String("x".repeat(1_000)).emit(&mut properties);
    }
    properties.extend([0, 0, 9]);
    let metadata = metadata(&properties);
    let mut players = Vec::new();
    for number in 0..NAMES {
        let name = format!("name{number}");
        // Without a viewer, no grace time would begin.
        players.push(Client::playing(case.address(), "live", &name));
        client.publish(&name);
        let (_, code, why) = client.wait_for_status();
        assert_eq!(code, "NetStream.Publish.Start", "{number}: {why}");
        client.send_headers();
        client.send_message(type_id::DATA, 1, 0, &metadata);
        client.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
    }
    // The newest of the ended streams is still awaited.
    assert!(wire::is_served(&mut client));
    // The others were ended early, and their players notified.
    for player in &mut players[..NAMES as usize / 2] {
        player.until_closed();
    }
    drop((client, players));
    case.finish(1 + u64::from(NAMES));
}

#[test]
fn one_connection_publishes_two_streams_and_plays_a_third() {
    let case = case("two publishes and a play", &[]);
    let mut other = Client::publishing(case.address(), "live", "third");
    other.send_headers();
    let mut client = Client::publishing(case.address(), "live", "first");
    for id in [2, 3] {
        client.send_command(0, "createStream", 9.0, Value::Null, vec![]);
        client.wait_for_command("_result");
        let (command, name) = if id == 2 {
            ("publish", "second")
        } else {
            ("play", "third")
        };
        client.send_command(id, command, 0.0, Value::Null, vec![text(name)]);
        loop {
            let (level, code, why) = client.wait_for_status();
            assert_eq!(level, "status", "{command}: {code}: {why}");
            if code.ends_with(".Start") {
                break;
            }
        }
    }
    // Audio and video of both streams, on separate chunk streams, and more.
    client.send(&set_chunk_size(65_536));
    for chunk_stream_id in 10..50 {
        let id = 1 + chunk_stream_id % 2;
        for (kind, payload) in [
            (type_id::VIDEO, AVC_HEADER),
            (type_id::AUDIO, AAC_HEADER),
            (type_id::VIDEO, b"\x17\x01\0\0\0\0\0\0\x07"),
        ] {
            client.send(&header(chunk_stream_id, 0, payload.len() as u32, kind, id));
            client.send(payload);
        }
    }
    assert!(wire::is_served(&mut client));
    for name in ["first", "second"] {
        let mut player = Client::playing(case.address(), "live", name);
        assert_eq!(player.wait_for_media().number(), 7);
    }
    other.send_frame(9, 0, true, 500);
    let frame = client.wait_for_media();
    assert_eq!((frame.message_stream_id, frame.number()), (3, 9));
    drop((client, other));
    case.finish(4).memory_grew_at_most(allowed(4));
}

#[test]
fn a_connection_plays_three_streams() {
    let case = case("three plays", &[]);
    let names = ["one", "two", "three"];
    let mut publishers = names.map(|name| Client::publishing(case.address(), "live", name));
    let mut player = Client::connected(case.address(), "live");
    for (id, name) in (2..).zip(names) {
        player.send_command(id, "play", 0.0, Value::Null, vec![text(name)]);
        while player.wait_for_status().1 != "NetStream.Play.Start" {}
    }
    for (number, publisher) in (2..).zip(&mut publishers) {
        publisher.send_headers();
        publisher.send_frame(number, 0, true, 500);
        let frame = player.wait_for_media();
        assert_eq!((frame.message_stream_id, frame.number()), (number, number));
    }
    drop((player, publishers));
    case.finish(4).memory_grew_at_most(allowed(4));
}

#[test]
fn empty_messages_in_large_chunks_are_rate_limited() {
    let case = Case::start("empty messages", &[]);
    let words = "chunks of less than 128 bytes in a second: 50001 exceeds the limit of 50000";
    for (count, body) in [(1, &b""[..]), (2, b"\x27")] {
        let name = format!("empty{count}");
        let mut publisher = Client::publishing(case.address(), "live", &name);
        publisher.send(&set_chunk_size(65_536));
        let len = body.len() as u32;
        publisher.send(&header(6, 0, len, type_id::VIDEO, 1));
        publisher.send(body);
        // Every byte or two are a message.
        let piece = [&[0xC6][..], body].concat();
        let flooded = wire::flood(publisher.socket(), &piece, 64 << 20);
        assert_ne!(flooded, wire::Flooded::Taken, "{body:?}");
        case.wait_for_log(words, count);
    }
    case.finish(2);
}

/// Connects a client that plays two streams on one connection, on message streams 1 and 2.
fn playing_two(case: &Case) -> Client {
    let mut client = Client::playing(case.address(), "live", "large");
    client.send_command(0, "createStream", 9.0, Value::Null, vec![]);
    client.wait_for_command("_result");
    client.send_command(2, "play", 0.0, Value::Null, vec![text("other")]);
    while client.wait_for_status().1 != "NetStream.Play.Start" {}
    client
}

#[test]
fn a_play_that_ends_within_a_message_leaves_the_other_plays_intact() {
    let case = Case::start("play closed in mid-message", &[]);
    let mut large = Client::publishing(case.address(), "live", "large");
    let mut other = Client::publishing(case.address(), "live", "other");
    let mut player = playing_two(&case);
    let socket = SockRef::from(player.socket());
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    large.send_headers();
    // More than the kernel holds for a client that doesn't read.
    large.send_frame(1, 0, true, 1_900_000);
    assert!(wire::is_served(&mut large));
    player.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
    other.send_headers();
    for number in 10..40 {
        other.send_frame(number, number * 40, number == 10, 1_000);
    }
    let frame = player.wait_for_media();
    assert!(frame.message_stream_id == 1 || frame.message_stream_id == 2);
    player.wait_for("the other stream", |m| {
        m.message_stream_id == 2 && m.is_media() && m.number() == 39
    });
    // Closed streams stay closed, and requests are answered.
    assert!(wire::is_served(&mut player));
    case.wait_for_log("live/large: stopped playing", 1);
    drop((large, other, player));
    case.finish(3);
}

/// The client reads the rest of a message while it keeps sending pings, including at the moment when the
/// play ends.
#[test]
fn no_reply_is_lost_between_two_plays() {
    /// The number of pings per round, spread so that they meet the play in all of its states.
    const PINGS: u32 = 20;
    const INTERVAL: Duration = Duration::from_millis(13);

    let case = Case::start("pings between two plays", &[]);
    let mut large = Client::publishing(case.address(), "live", "large");
    let other = Client::publishing(case.address(), "live", "other");
    let mut player = playing_two(&case);
    let mut socket = player.socket().try_clone().unwrap();
    let receiving = SockRef::from(player.socket());
    receiving.set_recv_buffer_size(64 * 1024).unwrap();
    large.send_headers();
    for round in 0..15 {
        if round > 0 {
            player.send_command(1, "play", 0.0, Value::Null, vec![text("large")]);
            while player.wait_for_status().1 != "NetStream.Play.Start" {}
        }
        large.send_frame(round, round * 400, true, 1_900_000);
        assert!(wire::is_served(&mut large));
        player.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
        thread::scope(|scope| {
            // So that mostly the publisher's thread sends the last of the message.
            let large = &mut large;
            scope.spawn(move || {
                for number in 0..PINGS * 13 {
                    let time = round * 400 + number;
                    large.send_message(type_id::AUDIO, 1, time, b"\xAF\x01sound");
                    thread::sleep(Duration::from_millis(1));
                }
            });
            scope.spawn(|| {
                for number in 0..PINGS {
                    let ping = user_control(6, &(round * PINGS + number).to_be_bytes());
                    socket.write_all(&ping).unwrap();
                    thread::sleep(INTERVAL);
                }
            });
            for number in 0..PINGS {
                let pong = [&[0, 7], &(round * PINGS + number).to_be_bytes()[..]].concat();
                player.wait_for("the answer", |m| {
                    let is_answer = m.payload[..] == pong;
                    assert!(is_answer || !m.payload.starts_with(&[0, 7]), "{number}");
                    is_answer
                });
            }
        });
    }
    drop((large, other, player, socket));
    case.finish(3);
}

/// The stream of the first play sends nothing, so the reply to it waits for a frame of the other play.
#[test]
fn a_reply_follows_the_frame_that_delayed_it() {
    const TRANSACTION: f64 = 815.0;

    let case = Case::start("a reply behind a picture of another play", &[]);
    let large = Client::publishing(case.address(), "live", "large");
    let mut other = Client::publishing(case.address(), "live", "other");
    let mut player = playing_two(&case);
    let receiving = SockRef::from(player.socket());
    receiving.set_recv_buffer_size(64 * 1024).unwrap();
    other.send_headers();
    other.send_frame(0, 0, true, 1_900_000);
    assert!(wire::is_served(&mut other));
    // Its publisher may have been answered a moment before anything of the frame was sent.
    let mut begun = [0; 8_192];
    wait_until("the picture has begun", || {
        player.socket().peek(&mut begun).unwrap() == begun.len()
    });
    player.send_command(0, "releaseStream", TRANSACTION, Value::Null, vec![]);
    player.wait_for("the picture", |m| m.payload.len() > 1_000_000);
    let mut is_answered = false;
    // If the player's thread didn't wake up for this, the reply would be sent with the next ping, after
    // 20 s.
    for number in 1..100 {
        other.send_frame(number, number * 40, false, 500);
        loop {
            let message = player.next().expect("it is served");
            let command = message.command();
            is_answered |= command.is_some_and(|command| command.transaction_id == TRANSACTION);
            if message.is_media() && message.number() == number {
                break;
            }
        }
        if is_answered {
            break;
        }
        thread::sleep(Duration::from_millis(40));
    }
    assert!(is_answered);
    drop((large, other, player));
    case.finish(3);
}

#[test]
fn a_connection_plays_a_stream_once() {
    let case = Case::start("one stream played twice", &[]);
    let mut publisher = Client::publishing(case.address(), "live", "twice");
    let mut player = Client::playing(case.address(), "live", "twice");
    for id in 2..8 {
        player.send_command(id, "play", 0.0, Value::Null, vec![text("twice")]);
        let (level, code, why) = player.wait_for_status();
        assert_eq!(
            (level.as_str(), code.as_str(), why.as_str()),
            (
                "error",
                "NetStream.Play.Failed",
                "the connection plays this stream already"
            )
        );
    }
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 500);
    assert_eq!(player.wait_for_media().message_stream_id, 1);
    // A play replaces the previous play on the same message stream.
    player.play("twice");
    while player.wait_for_status().1 != "NetStream.Play.Start" {}
    drop((publisher, player));
    case.finish(2);
}

#[test]
fn the_plays_of_a_connection_are_bounded_by_its_allowance() {
    let case = case("plays of names that nobody publishes", &[]);
    let mut player = Client::playing(case.address(), "live", "waiting1");
    let mut failed = 0;
    for id in 2..8_u32 {
        let name = text(&format!("waiting{id}"));
        player.send_command(id, "play", 0.0, Value::Null, vec![name]);
        loop {
            match player.wait_for_status().1.as_str() {
                "NetStream.Play.Start" => break,
                "NetStream.Play.Failed" => {
                    failed += 1;
                    break;
                }
                _ => {}
            }
        }
    }
    assert!(failed > 0, "all were accepted");
    assert!(wire::is_served(&mut player));
    drop(player);
    case.finish(1);
}
