//! Slow players on real sockets: the others don't notice, memory stays.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::common::Brooklet;

/// Publishes pictures in real time, with the time since `start` in each. Gives the client back:
/// closed with unread input it would reset the connection, and its last picture could be lost.
fn publish(
    mut publisher: Client,
    start: Instant,
    seconds: u32,
    bytes_per_picture: usize,
) -> Client {
    publisher.send_headers();
    for number in 0..seconds * 30 {
        let due = Duration::from_micros(u64::from(number) * 33_333);
        thread::sleep(due.saturating_sub(start.elapsed()));
        // The number is the send time in us, which also grows.
        let sent = start.elapsed().as_micros() as u32;
        publisher.send_picture(sent, number * 100 / 3, number % 30 == 0, bytes_per_picture);
    }
    publisher
}

/// Reads all pictures; returns the latencies in us, sorted.
fn latencies(mut player: Client, start: Instant, pictures: u32) -> Vec<u32> {
    let mut latencies: Vec<u32> = (0..pictures)
        .map(|_| {
            let sent = player.wait_for_media().number();
            start.elapsed().as_micros() as u32 - sent
        })
        .collect();
    latencies.sort();
    latencies
}

/// Good players beside slow ones, for some seconds; returns the median and 99th percentile of
/// the good ones' latency.
fn run(server: &Brooklet, seconds: u32, with_slow: bool) -> (u32, u32) {
    const PICTURE: usize = 16_000;
    let address = server.address();
    let publisher = Client::publishing(address, "live", "door");
    let good: Vec<_> = (0..3)
        .map(|_| Client::playing(address, "live", "door"))
        .collect();
    let start = Instant::now();
    let publisher = thread::spawn(move || publish(publisher, start, seconds, PICTURE));
    let good: Vec<_> = good
        .into_iter()
        .map(|player| thread::spawn(move || latencies(player, start, seconds * 30)))
        .collect();
    if with_slow {
        let stopped = Client::playing(address, "live", "door");
        let mut half = Client::playing(address, "live", "door");
        // Small buffers, as of a player on a slow network.
        socket2::SockRef::from(half.socket())
            .set_recv_buffer_size(16 * 1024)
            .unwrap();
        let (mut pictures, mut jumps, mut last) = (0u32, 0, 0);
        while start.elapsed() < Duration::from_secs(u64::from(seconds) - 1) {
            let message = half.wait_for_media();
            if message.timestamp > last + 40 && pictures > 0 {
                assert!(message.is_keyframe());
                jumps += 1;
            }
            last = message.timestamp;
            pictures += 1;
            thread::sleep(Duration::from_micros(66_667));
        }
        println!("the half-speed player got {pictures} pictures with {jumps} jumps to keyframes");
        assert!(jumps > 0);
        drop(stopped);
    }
    let _publisher = publisher.join().unwrap();
    let mut all: Vec<u32> = good
        .into_iter()
        .flat_map(|player| player.join().unwrap())
        .collect();
    all.sort();
    (all[all.len() / 2], all[all.len() * 99 / 100])
}

#[test]
#[ignore = "needs half a minute of real time"]
fn the_other_players_lose_nothing_and_are_not_delayed() {
    let server = Brooklet::start(&["--memory", "8M"]);
    let alone = run(&server, 12, false);
    let beside = run(&server, 14, true);
    println!("latency in us, median and 99th: {alone:?} alone, {beside:?} beside slow players");
}

#[test]
#[ignore = "needs a minute of real time"]
fn two_stalled_players_for_a_minute_do_not_grow_the_server() {
    let server = Brooklet::start(&[]);
    let address = server.address();
    let publisher = Client::publishing(address, "live", "door");
    let good = Client::playing(address, "live", "door");
    let stalled: Vec<_> = (0..2)
        .map(|_| Client::playing(address, "live", "door"))
        .collect();
    let before = server.status("VmRSS");
    let start = Instant::now();
    // 8 Mbit/s.
    let publisher = thread::spawn(move || publish(publisher, start, 60, 33_333));
    let good = thread::spawn(move || latencies(good, start, 60 * 30));
    let mut most = 0;
    while !publisher.is_finished() {
        most = most.max(server.status("VmRSS"));
        thread::sleep(Duration::from_millis(500));
    }
    let _publisher = publisher.join().unwrap();
    let latencies = good.join().unwrap();
    let after = server.status("VmRSS");
    println!("resident: {before} kB before, {most} kB at most, {after} kB after 60 s");
    println!(
        "the good player's latency: median {} us",
        latencies[latencies.len() / 2]
    );
    // Arena, 24 KiB per connection, 3 MB.
    assert!(most < (32 << 10) + 4 * 24 + 3 * 1024);
    for mut stalled in stalled {
        // What was in its buffers ends in the middle of a message.
        stalled.until_closed();
    }
}
