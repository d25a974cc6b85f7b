//! Timeouts, limits, and clients that speak another protocol.

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use brooklet::live::arena::BLOCK_LEN;
use brooklet::rtmp::amf0::Value;
use brooklet::{Config, Server};

use crate::client::{Client, DEADLINE, read_until_closed, server, wait_until};

/// Starts a server on which only one of the three timeouts can end a connection before a test gives up.
fn server_with_timeouts(handshake: Duration, command: Duration, idle: Duration) -> Server {
    server(
        Config::default()
            .handshake_timeout(handshake)
            .command_timeout(command)
            .idle_timeout(idle),
    )
}

/// A timeout that expires before the test's deadline, but leaves enough time for what a client does
/// first.
const SHORT: Duration = Duration::from_secs(1);

/// A timeout that expires after the test's deadline.
const LONG: Duration = DEADLINE.saturating_mul(10);

#[test]
fn the_handshake_timeout_closes_a_silent_client() {
    let server = server_with_timeouts(SHORT, LONG, LONG);
    let silent = TcpStream::connect(server.rtmp_addresses()[0]).unwrap();
    assert!(read_until_closed(&silent).is_empty());
    wait_until("it is gone", || server.connection_count() == 0);
}

#[test]
fn the_command_timeout_closes_a_client_that_neither_publishes_nor_plays() {
    let server = server_with_timeouts(LONG, SHORT, LONG);
    let address = server.rtmp_addresses()[0];
    assert!(Client::handshaken(address).until_closed().is_empty());
    assert!(Client::connected(address, "live").until_closed().is_empty());
    wait_until("both are gone", || server.connection_count() == 0);
}

#[test]
fn the_idle_timeout_closes_a_publisher_that_sends_nothing() {
    let server = server_with_timeouts(LONG, LONG, SHORT);
    let mut publisher = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    let rest = publisher.until_closed();
    let codes: Vec<_> = rest.iter().filter_map(|message| message.status()).collect();
    assert_eq!(codes[0].1, "NetStream.Unpublish.Success");
    drop(publisher);
    wait_until("it is gone", || server.connection_count() == 0);
}

#[test]
fn the_command_timeout_closes_a_client_that_has_stopped_publishing() {
    let server = server_with_timeouts(LONG, SHORT, LONG);
    let mut publisher = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    publisher.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
    publisher.until_closed();
    wait_until("it is gone", || server.connection_count() == 0);
}

#[test]
fn a_trickle_of_bytes_does_not_stretch_the_handshake() {
    /// C0 and C1: with these the handshake would go on.
    const FIRST_LEN: usize = 1537;

    let server = server_with_timeouts(Duration::from_millis(300), LONG, LONG);
    let mut trickle = TcpStream::connect(server.rtmp_addresses()[0]).unwrap();
    trickle.set_nodelay(true).unwrap();
    let mut sent = 0;
    // One byte every 5 ms: sending all of them would take 8 s.
    wait_until("it is closed", || {
        sent += 1;
        trickle.write_all(&[3]).is_err()
    });
    assert!(sent < FIRST_LEN, "it was closed after {sent} bytes");
}

#[test]
fn other_protocols_are_closed_at_their_first_byte() {
    // The first byte decides, not the timeout.
    let server = server_with_timeouts(LONG, LONG, LONG);
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: camera\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01",
        b"\x06",
    ] {
        let mut socket = TcpStream::connect(server.rtmp_addresses()[0]).unwrap();
        socket.write_all(bytes).unwrap();
        assert_eq!(read_until_closed(&socket), b"");
    }
}

#[test]
fn connections_are_capped_in_all_and_per_address() {
    for config in [
        Config::default().max_connections(2),
        Config::default().max_per_address(2),
    ] {
        let server = server(config);
        let address = server.rtmp_addresses()[0];
        let _one = Client::publishing(address, "live", "door");
        let two = Client::playing(address, "live", "door");
        let mut refused = TcpStream::connect(address).unwrap();
        // If the server accepted the connection, it would answer the handshake.
        let _ = refused.write_all(&[3; 1537]);
        assert!(read_until_closed(&refused).is_empty());
        drop(two);
        wait_until("one is gone", || server.connection_count() == 1);
        let mut three = Client::connected(address, "live");
        // A client that hasn't requested anything yet makes room, even for another client from the same
        // address.
        let _four = Client::playing(address, "live", "door");
        assert!(three.until_closed().is_empty());
    }
}

#[test]
fn only_the_address_that_connects_too_often_is_closed() {
    let server = server(Config::default().max_connect_rate(1));
    let address = server.rtmp_addresses()[0];
    let is_refused = || {
        let mut socket = TcpStream::connect(address).unwrap();
        // If the server accepts the connection, it answers the handshake.
        let _ = socket.write_all(&[3; 1537]);
        let _ = socket.shutdown(Shutdown::Write);
        read_until_closed(&socket).is_empty()
    };
    // Two connections may be opened at once. The next attempts are faster than one per second.
    wait_until("one is refused", is_refused);
    Client::handshaken_from(Ipv4Addr::new(127, 0, 0, 2), address).connect("live");
    // The allowance fills up again.
    wait_until("one is accepted", || !is_refused());
}

#[test]
fn the_oldest_idle_connection_makes_room_for_a_new_one() {
    let server = server(
        Config::default()
            .max_connections(16)
            .max_connect_rate(1_000),
    );
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    let mut player = Client::playing(address, "live", "door");
    let mut idle: Vec<_> = (0..14)
        .map(|_| Client::connected(address, "live"))
        .collect();
    assert_eq!(server.connection_count(), 16);

    // Only the oldest idle connection has to go.
    let mut new = Client::publishing(address, "live", "gate");
    assert!(idle.remove(0).until_closed().is_empty());
    let mut last = idle.remove(0);
    last.publish("yard");
    assert_eq!(last.wait_for_status().1, "NetStream.Publish.Start");
    for client in idle.iter_mut().chain([&mut new]) {
        client.play("door");
        while client.wait_for_status().1 != "NetStream.Play.Start" {}
    }
    publisher.send_headers();
    publisher.send_frame(7, 0, true, 500);
    assert_eq!(player.wait_for_media().number(), 7);
}

/// Returns a loopback address, for tests with several clients.
fn host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, number)
}

#[test]
fn a_player_of_a_name_never_published_makes_room_for_a_publisher() {
    let server = server(
        Config::default()
            .max_connections(16)
            .max_connect_rate(1_000),
    );
    let address = server.rtmp_addresses()[0];
    let wait_for = |from: u8, name: &str| {
        let mut player = Client::handshaken_from(host(from), address).connect("live");
        player.play(name);
        while player.wait_for_status().1 != "NetStream.Play.Start" {}
        player
    };
    let mut waiting: Vec<_> = (0..16)
        .map(|number| wait_for(2 + number % 2, &format!("never{number}")))
        .collect();
    let mut publisher = Client::publishing(address, "live", "never5");
    publisher.send_headers();
    publisher.send_frame(7, 0, true, 500);
    waiting.remove(0).until_closed();
    // The player that waited for this stream now watches it.
    let mut watching = waiting.remove(4);
    assert_eq!(watching.wait_for_media().number(), 7);
    // From now on, the player keeps its place.
    let _more: Vec<_> = (0..20).map(|_| wait_for(4, "nothing")).collect();
    publisher.send_frame(8, 40, false, 500);
    assert_eq!(watching.wait_for_media().number(), 8);
}

#[test]
fn viewers_leave_places_for_publishers_and_share_the_rest_by_address() {
    let server = server(
        Config::default()
            .max_connections(16)
            .max_connect_rate(1_000),
    );
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    let play = |from: u8| {
        let mut player = Client::handshaken_from(host(from), address).connect("live");
        player.play("door");
        loop {
            match player.wait_for_status().1.as_str() {
                "NetStream.Play.Start" => return Some(player),
                "NetStream.Play.Failed" => return None,
                _ => {}
            }
        }
    };
    // Seven of eight places are for viewers.
    let mut many: Vec<_> = (0..14).map(|_| play(2).unwrap()).collect();
    assert!(
        play(2).is_none(),
        "the address with most viewers gets no more"
    );
    // Another address gets its share, until both have the same number. A displaced viewer may take a
    // moment to disconnect.
    let mut few = Vec::new();
    wait_until("seven of the other address watch", || {
        few.extend(play(3));
        few.len() == 7
    });
    assert!(play(3).is_none());
    for player in many.drain(..7) {
        let mut player = player;
        player.until_closed();
    }
    // None of the viewers keeps a publisher out.
    let mut other = Client::publishing(address, "live", "gate");
    other.send_headers();
    publisher.send_headers();
    publisher.send_frame(7, 0, true, 500);
    for player in &mut many.into_iter().chain(few) {
        let mut player = player;
        assert_eq!(player.wait_for_media().number(), 7);
    }
}

#[test]
fn a_message_over_the_limit_ends_only_its_own_connection() {
    let server = server(Config::default().max_message(10_000));
    let address = server.rtmp_addresses()[0];
    let mut good = Client::publishing(address, "live", "good");
    let mut player = Client::playing(address, "live", "good");
    let mut bad = Client::publishing(address, "live", "bad");
    bad.send_headers();
    bad.send_frame(1, 0, true, 10_001);
    bad.until_closed();
    good.send_headers();
    good.send_frame(5, 0, true, 10_000);
    assert_eq!(player.wait_for_media().number(), 5);
}

#[test]
fn a_publisher_fills_the_arena_and_goes_on_within_it() {
    const MEMORY: usize = 8 << 20;

    let server = server(Config::default().memory(MEMORY));
    let address = server.rtmp_addresses()[0];
    let (_, blocks) = server.blocks();
    assert!(blocks * BLOCK_LEN <= MEMORY);
    let mut publisher = Client::publishing(address, "live", "door");
    publisher.send_headers();
    // 40 MB of one GOP pass through 8 MiB of blocks. Without viewers and HLS, the log is emptied once it
    // is full, and nothing more is kept until the next keyframe, so it takes several GOPs to observe the
    // log just before that.
    let mut least_free = blocks;
    let mut number = 0;
    while number < 400 || least_free >= blocks / 4 && number < 4_000 {
        let is_key = number == 0 || number >= 400 && number % 100 == 0;
        publisher.send_frame(number, number * 40, is_key, 100_000);
        least_free = least_free.min(server.blocks().0);
        number += 1;
    }
    // One eighth is reserved for messages under assembly.
    assert!(least_free < blocks / 4, "{least_free} of {blocks} are free");
    let mut player = Client::playing(address, "live", "door");
    publisher.send_frame(number, number * 40, true, 1_000);
    player.wait_for("the next keyframe", |m| {
        m.is_media() && m.number() == number
    });
}
