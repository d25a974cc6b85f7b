//! The end of a stream: players and pushes get everything before it.

use std::time::Duration;

use brooklet::client::{Client, Player};
use brooklet::config::parse_push;
use brooklet::{Config, Server, StreamMessage};

use crate::common::client::{AVC_HEADER, server};
use crate::common::{SOON, wait_until};

const FRAMES: u32 = 200;

fn client(server: &Server, stream: &str) -> Client {
    let url = format!("rtmp://{}/{stream}", server.rtmp_addresses()[0]);
    Client::new(&url).unwrap().timeout(SOON)
}

fn frame(number: u32, len: usize) -> StreamMessage {
    let mut payload = vec![if number == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(len, 0x41);
    StreamMessage::video(number * 10, payload)
}

/// The number of frames up to the end of the stream.
fn count(player: &mut Player) -> u32 {
    let mut count = 0_u32;
    while let Ok(Some(message)) = player.recv(SOON) {
        if message.medium().is_some() && !message.is_sequence_header() {
            assert_eq!(message.payload()[5..9], count.to_be_bytes());
            count += 1;
        }
    }
    count
}

/// A stream whose time is over as soon as its publisher has gone.
fn ending_at_once() -> Config {
    Config::default().grace(Duration::from_millis(1))
}

/// Publishes a stream of frames of `len` bytes, most of them once `is_ready`.
fn publish(server: &Server, len: usize, is_ready: impl Fn() -> bool) {
    let mut publisher = client(server, "live/door").publish().unwrap();
    publisher
        .send(&StreamMessage::video(0, AVC_HEADER))
        .unwrap();
    publisher.send(&frame(0, len)).unwrap();
    wait_until("it is ready", SOON, is_ready);
    for number in 1..FRAMES {
        publisher.send(&frame(number, len)).unwrap();
    }
    publisher.finish().unwrap();
}

#[test]
fn players_get_the_last_messages_of_a_stream_that_ends_at_once() {
    // The second one is more than the kernel holds for a player that hasn't begun to read.
    for len in [100, 30_000] {
        let server = server(ending_at_once().memory(64 << 20));
        let mut player = client(&server, "live/door").play().unwrap();
        publish(&server, len, || true);
        assert_eq!(count(&mut player), FRAMES, "of {len} bytes");
    }
}

#[test]
fn a_push_gets_the_last_messages_of_a_stream_that_ends_at_once() {
    let [far, near] = [(); 2].map(|()| server(ending_at_once()));
    let push = format!("live/door=rtmp://{}/far/x", far.rtmp_addresses()[0]);
    near.push(parse_push(&push).unwrap()).unwrap();
    let mut player = client(&far, "far/x").play().unwrap();
    publish(&near, 10_000, || near.pushes()[0].connections == 1);
    assert_eq!(count(&mut player), FRAMES);
}
