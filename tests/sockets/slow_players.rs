//! Slow players on real sockets: other players lose nothing, and memory doesn't grow.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::common::Brooklet;

/// Returns the timestamp of a frame, at 30 frames per second.
fn timestamp(number: u32) -> u32 {
    number * 100 / 3
}

/// Publishes frames in real time, each with the time since `start` as its number. Returns the client: if
/// it were dropped with unread input, it would reset the connection and might lose its last frame.
fn publish(mut publisher: Client, start: Instant, seconds: u32, bytes_per_frame: usize) -> Client {
    publisher.send_headers();
    for number in 0..seconds * 30 {
        let due = Duration::from_micros(u64::from(number) * 33_333);
        thread::sleep(due.saturating_sub(start.elapsed()));
        let sent = start.elapsed().as_micros() as u32;
        publisher.send_frame(sent, timestamp(number), number % 30 == 0, bytes_per_frame);
    }
    publisher
}

/// Reads all frames, each of which must arrive once, complete and in order. Returns the latencies in us,
/// sorted.
fn latencies(mut player: Client, start: Instant, frames: u32, bytes_per_frame: usize) -> Vec<u32> {
    let mut latencies: Vec<u32> = (0..frames)
        .map(|number| {
            let frame = player.wait_for_media();
            let came = (frame.timestamp, frame.payload.len());
            assert_eq!(came, (timestamp(number), bytes_per_frame), "frame {number}");
            start.elapsed().as_micros() as u32 - frame.number()
        })
        .collect();
    latencies.sort();
    latencies
}

/// Runs three good players for some seconds, with or without slow players at the same time. Returns the
/// median and the 99th percentile of the good players' latency.
fn run(server: &Brooklet, seconds: u32, with_slow: bool) -> (u32, u32) {
    const FRAME_LEN: usize = 16_000;

    let address = server.address();
    let publisher = Client::publishing(address, "live", "door");
    let good: Vec<_> = (0..3)
        .map(|_| Client::playing(address, "live", "door"))
        .collect();
    let start = Instant::now();
    let publisher = thread::spawn(move || publish(publisher, start, seconds, FRAME_LEN));
    let good: Vec<_> = good
        .into_iter()
        .map(|player| thread::spawn(move || latencies(player, start, seconds * 30, FRAME_LEN)))
        .collect();
    if with_slow {
        let stopped = Client::playing(address, "live", "door");
        let mut half = Client::playing(address, "live", "door");
        // A small buffer, as if the network were slow.
        socket2::SockRef::from(half.socket())
            .set_recv_buffer_size(16 * 1024)
            .unwrap();
        let (mut frames, mut jumps, mut last) = (0u32, 0, 0);
        while start.elapsed() < Duration::from_secs(u64::from(seconds) - 1) {
            let message = half.wait_for_media();
            if message.timestamp > last + 40 && frames > 0 {
                assert!(message.is_keyframe());
                jumps += 1;
            }
            last = message.timestamp;
            frames += 1;
            // Half the rate of the stream: the player's own slowness.
            thread::sleep(Duration::from_micros(66_667));
        }
        println!("the half-speed player got {frames} frames with {jumps} jumps to keyframes");
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
fn players_beside_slow_ones_get_every_frame_once_and_in_order() {
    let server = Brooklet::start(&["--memory", "8M"]);
    let alone = run(&server, 12, false);
    let beside = run(&server, 14, true);
    // Printed only: a busy machine delays frames as well.
    println!("latency in us, median and 99th: {alone:?} alone, {beside:?} beside slow players");
}

#[test]
#[ignore = "needs a minute of real time"]
fn two_stalled_players_for_a_minute_do_not_grow_the_server() {
    /// 8 Mbit/s.
    const FRAME_LEN: usize = 33_333;

    let server = Brooklet::start(&[]);
    let address = server.address();
    let publisher = Client::publishing(address, "live", "door");
    let good = Client::playing(address, "live", "door");
    let stalled: Vec<_> = (0..2)
        .map(|_| Client::playing(address, "live", "door"))
        .collect();
    let before = server.status("VmRSS");
    let start = Instant::now();
    let publisher = thread::spawn(move || publish(publisher, start, 60, FRAME_LEN));
    let good = thread::spawn(move || latencies(good, start, 60 * 30, FRAME_LEN));
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
    // The README's bound: arena, 24 KiB per connection, 3.5 MB.
    assert!(most < (32 << 10) + 4 * 24 + 3_584);
    for mut stalled in stalled {
        // The data in the player's buffers ends in the middle of a message.
        stalled.until_closed();
    }
}

/// In most cases, the kernel gives up a connection that accepts nothing for 20 s before the server does.
#[test]
#[ignore = "needs half a minute of real time"]
fn players_that_stop_reading_are_logged_as_stalled() {
    /// 300 kbit/s: the kernel's buffers last for some seconds.
    const FRAME_LEN: usize = 1_250;

    let server = Brooklet::start(&[]);
    let publisher = Client::publishing(server.address(), "live", "door");
    let players: Vec<_> = (0..6)
        .map(|_| {
            let player = Client::playing(server.address(), "live", "door");
            socket2::SockRef::from(player.socket())
                .set_recv_buffer_size(2048)
                .unwrap();
            player
        })
        .collect();
    let _publisher = publish(publisher, Instant::now(), 40, FRAME_LEN);
    let printed = server.printed();
    for line in printed
        .lines()
        .filter(|line| line.contains(" disconnected: "))
    {
        println!("{line}");
    }
    let stalled = " disconnected: stalled: it stopped reading, or reads too slowly";
    let warned = printed
        .lines()
        .filter(|l| l.contains("warn") && l.contains(stalled));
    assert_eq!(warned.count(), players.len(), "{printed}");
}
