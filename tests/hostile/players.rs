//! Players that read too little, or nothing.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::canary::{Load, STREAM};
use crate::case::Case;
use crate::common::client::Client;

/// A player of the canary's stream with a small receive buffer.
fn small_player(server: SocketAddr, buffer_len: usize) -> Client {
    let client = Client::playing(server, STREAM.0, STREAM.1);
    let socket = SockRef::from(client.socket());
    socket.set_recv_buffer_size(buffer_len).unwrap();
    client
}

#[test]
fn stalled_and_very_slow_players_cost_the_others_nothing() {
    const STOPPED: usize = 5;
    const SLOW: usize = 5;

    // 8 MiB hold 3 s of the canary. A player in the middle of a message that leaves the log is
    // disconnected.
    let options = ["--max-lag", "1s"];
    let case = Case::start_with("slow players", 8, Load::HEAVY, &options);
    let address = case.address();
    let stopped: Vec<_> = (0..STOPPED).map(|_| small_player(address, 4096)).collect();
    let slow: Vec<_> = (0..SLOW).map(|_| small_player(address, 4096)).collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for client in &slow {
            scope.spawn(|| {
                let mut buffer = [0; 50];
                while !is_over.load(Ordering::Relaxed) {
                    let _ = client.socket().read(&mut buffer);
                    // The player's own slowness.
                    thread::sleep(Duration::from_millis(50));
                }
            });
        }
        // A player that reads nearly fast enough: it is moved to newer keyframes, and not disconnected.
        let mut half = small_player(address, 16 * 1024);
        let (mut last, mut jumps) = (None, 0);
        while jumps < 2 {
            let message = half.wait_for_media();
            if last.is_some_and(|last| message.timestamp > last + 100) {
                assert!(message.is_keyframe());
                jumps += 1;
            }
            last = Some(message.timestamp);
            // The player's own slowness: 100 messages arrive per second.
            thread::sleep(Duration::from_millis(20));
        }
        drop(half);
        let stalled = "stopped playing after";
        case.wait_for_log(stalled, STOPPED + SLOW + 1);
        is_over.store(true, Ordering::Relaxed);
    });
    drop((stopped, slow));
    let shown = case.finish(13);
    assert!(shown.log.contains("skipped"), "{}", shown.log);
    let stalled = |line: &&str| line.contains("stopped playing") && line.contains("stalled");
    let stalled = shown.log.lines().filter(stalled).count();
    assert_eq!(stalled, STOPPED + SLOW, "{}", shown.log);
}

#[test]
fn players_that_send_and_never_read_are_disconnected() {
    use crate::wire::{self, Flooded};

    let case = Case::start("players that only send", &[]);
    let ping = wire::user_control(wire::PING_REQUEST, &[0; 4]);
    for _ in 0..4 {
        let player = small_player(case.address(), 4096);
        let flooded = wire::flood(player.socket(), &ping, 16 << 20);
        assert_ne!(flooded, Flooded::Taken);
        wire::wait_until_closed(player.socket());
    }
    case.finish(4);
}
