//! Joins at random points of a long GOP.

use std::time::{Duration, Instant};

use brooklet::{Config, Server};

use crate::client::{Client, server};
use crate::common::random::Random;

/// The number of frames in a GOP of 10 s, at 30 per second, with the sizes of a 4 Mbit/s stream.
const GOP: u32 = 300;

fn timestamp(number: u32) -> u32 {
    number * 100 / 3
}

struct Joins {
    /// The times from `play` until the first keyframe is complete.
    first_keyframe: Vec<Duration>,
    /// The stream time in ms between the newest message sent at the join and the publisher's newest
    /// message.
    behind: Vec<u32>,
}

fn hundred_joins(server: &Server, join: &str) -> Joins {
    let address = server.rtmp_addresses()[0];
    let name = format!("door{join}");
    let mut publisher = Client::publishing(address, "live", &name);
    let mut witness = Client::playing(address, "live", &name);
    publisher.send_headers();
    let mut joins = Joins {
        first_keyframe: Vec::new(),
        behind: Vec::new(),
    };
    let mut number = 0;
    let mut random = Random(0x1234_5678);
    for _ in 0..100 {
        for _ in 0..=random.below(GOP as usize) {
            let len = if number % GOP == 0 { 100_000 } else { 16_000 };
            publisher.send_frame(number, timestamp(number), number % GOP == 0, len);
            // A frame that the witness has received is available to joiners.
            assert_eq!(witness.wait_for_media().number(), number);
            number += 1;
        }
        let newest = number - 1;

        let mut player = Client::connected(address, "live");
        let started = Instant::now();
        player.play(&format!("{name}?join={join}"));
        let first = player.wait_for_media();
        joins.first_keyframe.push(started.elapsed());
        assert!(first.is_keyframe());
        assert_eq!(first.number(), newest - newest % GOP);
        let mut last = first;
        while last.number() < newest {
            let next = player.wait_for_media();
            assert_eq!(next.number(), last.number() + 1);
            assert!(next.timestamp > last.timestamp);
            last = next;
        }
        joins.behind.push(timestamp(newest) - last.timestamp);
        if join == "live" {
            assert_eq!(last.timestamp, timestamp(newest));
        }
    }
    joins
}

/// This test takes some seconds: 200 joins, with up to 300 relayed frames before each.
#[test]
fn a_hundred_joins_get_the_keyframe_at_once_and_end_at_the_live_edge() {
    let server = server(Config::default().max_connect_rate(1_000));
    for join in ["live", "gop"] {
        let Joins {
            mut first_keyframe,
            mut behind,
        } = hundred_joins(&server, join);
        first_keyframe.sort();
        behind.sort();
        println!(
            "{join}: play to first keyframe: median {:?}, 99th {:?}; newest message sent at the \
             join is {} ms behind live (99th {} ms)",
            first_keyframe[50], first_keyframe[98], behind[50], behind[98]
        );
    }
}
