//! Peers that vanish: killed, reset, half closed, or immediately reconnected.

use std::io::Read;
use std::net::{Shutdown, SocketAddr};
use std::process::{Command, Stdio};

use crate::case::Case;
use crate::common::client::Client;
use crate::wire::{self, publish_again};

/// Sends five frames through a stream whose player is already connected. A round is one second of stream
/// time.
fn send_frames(publisher: &mut Client, player: &mut Client, round: u32, last: &mut Option<u32>) {
    publisher.send_headers();
    for frame in 0..5 {
        let timestamp = round * 1000 + frame * 40;
        publisher.send_frame(round * 100 + frame, timestamp, frame == 0, 5_000);
    }
    for frame in 0..5 {
        let came = player.wait_for_media();
        assert_eq!(came.number(), round * 100 + frame);
        let is_later = last.is_none_or(|last| came.timestamp.wrapping_sub(last) as i32 > 0);
        assert!(is_later, "{} after {last:?}", came.timestamp);
        *last = Some(came.timestamp);
    }
}

#[test]
fn a_publisher_that_is_reset_and_back_at_once_finds_its_player() {
    let case = Case::start("publisher reset", &[]);
    let mut player = Client::playing(case.address(), "live", "lost");
    let mut last = None;
    for round in 0..8 {
        let mut publisher = publish_again(case.address(), "lost");
        send_frames(&mut publisher, &mut player, round, &mut last);
        // In the middle of a message.
        publisher.send(&wire::header(6, 9_000, 50_000, 9, 1));
        publisher.send(&[0x17; 1000]);
        wire::reset(publisher.socket());
    }
    drop(player);
    case.finish(3);
}

#[test]
fn a_publisher_that_vanishes_without_a_word_is_replaced_at_once() {
    let case = Case::start("publisher silent", &[]);
    let mut player = Client::playing(case.address(), "live", "cable");
    let mut last = None;
    // The publisher's cable was pulled: the connection stays open.
    let mut silent = Client::publishing(case.address(), "live", "cable");
    send_frames(&mut silent, &mut player, 0, &mut last);
    let mut publisher = Client::publishing(case.address(), "live", "cable");
    send_frames(&mut publisher, &mut player, 1, &mut last);
    // When the cable is plugged in again, the publisher finds that it is too late.
    silent.send_frame(3, 9_000, true, 100);
    silent.until_closed();
    send_frames(&mut publisher, &mut player, 2, &mut last);
    drop((silent, publisher, player));
    case.finish(3);
}

#[test]
fn players_that_are_reset_in_the_middle_of_a_message_are_forgotten() {
    let case = Case::start("players reset", &[]);
    let mut publisher = Client::publishing(case.address(), "live", "left");
    let mut witness = Client::playing(case.address(), "live", "left");
    publisher.send_headers();
    let mut number = 0;
    for _ in 0..8 {
        let players: Vec<_> = (0..10)
            .map(|_| Client::playing(case.address(), "live", "left"))
            .collect();
        for _ in 0..5 {
            publisher.send_frame(number, number * 40, number % 5 == 0, 60_000);
            assert_eq!(witness.wait_for_media().number(), number);
            number += 1;
        }
        for (index, player) in players.iter().enumerate() {
            // With unread bytes a close is a reset anyway.
            if index % 2 == 0 {
                wire::reset(player.socket());
            }
        }
    }
    drop((publisher, witness));
    case.finish(22);
}

#[test]
fn a_publisher_that_closes_its_sending_side_is_gone_and_its_player_waits() {
    let case = Case::start("half closed", &[]);
    let mut player = Client::playing(case.address(), "live", "half");
    let mut last = None;
    for round in 0..4 {
        let mut publisher = publish_again(case.address(), "half");
        send_frames(&mut publisher, &mut player, round, &mut last);
        publisher.socket().shutdown(Shutdown::Write).unwrap();
        publisher.until_closed();
    }
    // A player that has closed its sending side receives nothing more, even though it would read.
    let mut publisher = publish_again(case.address(), "half");
    send_frames(&mut publisher, &mut player, 9, &mut last);
    player.socket().shutdown(Shutdown::Write).unwrap();
    player.until_closed();
    publisher.send_frame(1, 9_000, true, 100);
    assert!(wire::is_served(&mut publisher));
    drop((publisher, player));
    case.finish(2);
}

/// The environment variable that turns a run of the test below into a peer that will be killed: the
/// server's address.
const SERVER: &str = "HOSTILE_PEER_SERVER";

/// The text that the peer prints once it publishes and plays.
const AT_WORK: &str = "peer at work";

/// Publishes and plays until this process is killed.
fn publish_and_play(server: SocketAddr) {
    let mut publisher = Client::publishing(server, "live", "killed");
    let mut player = Client::playing(server, "live", "canary");
    publisher.send_headers();
    for number in 0.. {
        publisher.send_frame(number, number * 10, number % 10 == 0, 20_000);
        player.wait_for_media();
        if number == 20 {
            println!("{AT_WORK}");
        }
    }
}

#[test]
fn peers_that_are_killed_leave_nothing_behind() {
    // Only a process can be killed, so this test starts itself once more for each peer.
    if let Ok(server) = std::env::var(SERVER) {
        return publish_and_play(server.parse().unwrap());
    }
    let case = Case::start("peers killed", &[]);
    let mut player = Client::playing(case.address(), "live", "killed");
    let mut last = None;
    for round in 0..3 {
        let mut peer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("peers::peers_that_are_killed_leave_nothing_behind")
            .env(SERVER, case.address().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut stdout = peer.stdout.take().unwrap();
        while !said.contains(AT_WORK) {
            let mut buffer = [0; 256];
            let len = stdout.read(&mut buffer).unwrap();
            assert!(len > 0, "the peer ended: {said}");
            said.push_str(&String::from_utf8_lossy(&buffer[..len]));
        }
        // SIGKILL: nothing is said, the kernel closes.
        peer.kill().unwrap();
        peer.wait().unwrap();
        // The player is still connected when the name is published again.
        let mut publisher = publish_again(case.address(), "killed");
        publisher.send_headers();
        let number = 1_000_000 + round;
        publisher.send_frame(number, 0, true, 5_000);
        let came = player.wait_for("the new one", |m| m.is_media() && m.number() == number);
        assert!(last.is_none_or(|last| came.timestamp.wrapping_sub(last) as i32 > 0));
        last = Some(came.timestamp);
    }
    drop(player);
    case.finish(4);
}
