//! Many streams, and many publishers of one stream.

use std::thread;

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::text;
use brooklet::rtmp::message::type_id;

use crate::case::Case;
use crate::common::client::Client;
use crate::wire::{self, message};

#[test]
fn publishers_that_fight_for_a_name_leave_it_usable() {
    let case = Case::start("takeover fight", &[]);
    let address = case.address();
    let mut player = Client::playing(address, "live", "disputed");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..30 {
                    let mut client = Client::connected(address, "live");
                    client.publish("disputed");
                    // A publisher that is replaced before it is answered receives no answer.
                    let answer = std::iter::from_fn(|| client.next()).find_map(|m| m.status());
                    if answer.is_some_and(|status| status.1 == "NetStream.Publish.Start") {
                        client.send_headers();
                        for number in 0..5 {
                            client.send_frame(number, number * 40, number == 0, 2_000);
                        }
                        // Until another publisher takes over, or the round is over.
                        wire::flood(client.socket(), &message(type_id::AUDIO, 1, &[]), 20_000);
                    }
                }
            });
        }
    });
    let mut last = wire::publish_again(address, "disputed");
    last.send_headers();
    last.send_frame(4_711, 0, true, 2_000);
    player.wait_for("the last publisher", |m| {
        m.is_media() && m.number() == 4_711
    });
    drop((player, last));
    case.finish(4);
}

/// The number of names per connection, since the number of commands sent at once is limited.
const NAMES: usize = 40;

#[test]
fn unused_streams_are_forgotten() {
    let case = Case::start("streams come and go", &[]);
    let of_many = |command: &str, arguments: &dyn Fn(String) -> Vec<Value>| {
        for connection in 0..40 {
            let mut client = Client::connected(case.address(), "live");
            for number in 0..NAMES {
                let name = format!("{connection}-{number}-{}", "x".repeat(100));
                client.send_command(1, command, 3.0, Value::Null, arguments(name));
                client.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
            }
            assert!(wire::is_served(&mut client));
        }
    };
    of_many("publish", &|name| vec![text(&name), text("live")]);
    of_many("play", &|name| vec![text(&name)]);
    case.finish(2).memory_is_back();
}

#[test]
fn ended_streams_of_one_connection_cost_nothing() {
    let case = Case::start("streams ended", &[]);
    let mut client = Client::connected(case.address(), "live");
    let mut header = vec![0x17, 0, 0, 0, 0];
    header.resize(60_000, 1);
    for number in 0..NAMES {
        client.publish(&format!("ended{number}"));
        // The maximum amount of data that a stream keeps for joining players.
        for track in 0..40 {
            let mut video = vec![0x96, 0x00];
            video.extend(b"hvc1");
            video.push(track);
            video.resize(60_000, number as u8);
            client.send(&message(type_id::VIDEO, 1, &video));
        }
        client.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
    }
    assert!(wire::is_served(&mut client));
    drop(client);
    case.finish(1);
}
