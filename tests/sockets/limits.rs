//! Time-outs, caps, and clients that speak something else.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use brooklet::Config;
use brooklet::rtmp::amf0::Value;

use crate::client::{Client, DEADLINE, server, wait_until};

#[test]
fn whoever_says_nothing_is_closed_in_every_phase() {
    let short = Duration::from_millis(100);
    let server = server(
        Config::default()
            .handshake_timeout(short)
            .command_timeout(short)
            .idle_timeout(short),
    );
    let address = server.rtmp_addresses()[0];

    let mut silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
    assert!(Client::handshaken(address).until_closed().is_empty());
    assert!(Client::connected(address, "live").until_closed().is_empty());

    let mut publisher = Client::publishing(address, "live", "door");
    let rest = publisher.until_closed();
    let codes: Vec<_> = rest.iter().filter_map(|message| message.status()).collect();
    assert_eq!(codes[0].1, "NetStream.Unpublish.Success");
    drop(publisher);
    wait_until("all are gone", || server.connection_count() == 0);
}

#[test]
fn whoever_has_stopped_publishing_may_not_stay_for_ever() {
    let command_timeout = Duration::from_millis(500);
    let server = server(Config::default().command_timeout(command_timeout));
    let mut publisher = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    publisher.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
    publisher.until_closed();
    wait_until("it is gone", || server.connection_count() == 0);
}

#[test]
fn a_trickle_of_bytes_does_not_stretch_the_handshake() {
    let handshake_timeout = Duration::from_millis(300);
    let server = server(Config::default().handshake_timeout(handshake_timeout));
    let mut trickle = TcpStream::connect(server.rtmp_addresses()[0]).unwrap();
    let mut is_closed = false;
    wait_until("it is closed", || {
        is_closed |= trickle.write_all(&[3]).is_err();
        is_closed
    });
}

#[test]
fn other_protocols_are_closed() {
    let server = server(Config::default());
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: camera\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01",
        b"\x06",
    ] {
        let mut socket = TcpStream::connect(server.rtmp_addresses()[0]).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset is as good an answer as an end.
        let _ = socket.read_to_end(&mut answer);
        assert_eq!(answer, b"");
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
        refused.set_read_timeout(Some(DEADLINE)).unwrap();
        // A server that takes it waits for more.
        let _ = refused.write_all(&[3; 1537]);
        assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0);
        drop(two);
        wait_until("one is gone", || server.connection_count() == 1);
        let mut three = Client::connected(address, "live");
        // Who has asked for nothing yet makes room, within the address too.
        let _four = Client::playing(address, "live", "door");
        assert!(three.until_closed().is_empty());
    }
}

#[test]
fn an_address_that_connects_too_often_is_closed_and_no_other() {
    let server = server(Config::default().max_connect_rate(1));
    let address = server.rtmp_addresses()[0];
    let is_closed = || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        // A server that takes it waits for more.
        socket.write_all(&[3; 1537]).unwrap();
        socket.read(&mut [0; 1]).unwrap_or(0) == 0
    };
    // Two may come at once. So many as follow can't be slower than one a second.
    wait_until("one is refused", is_closed);
    Client::handshaken_from(Ipv4Addr::new(127, 0, 0, 2), address).connect("live");
    // The bucket fills again.
    wait_until("one is accepted", || !is_closed());
}

#[test]
fn who_hangs_about_makes_room_for_who_comes() {
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

    // The oldest of those that do nothing has to go, and no other.
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
    publisher.send_picture(7, 0, true, 500);
    assert_eq!(player.wait_for_media().number(), 7);
}

/// Addresses of loopback for those who have several.
fn host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, number)
}

#[test]
fn who_waits_for_a_name_that_nobody_has_published_makes_room_for_a_publisher() {
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
    publisher.send_picture(7, 0, true, 500);
    waiting.remove(0).until_closed();
    // The one that waited for this stream watches it.
    let mut watching = waiting.remove(4);
    assert_eq!(watching.wait_for_media().number(), 7);
    // It stays now, whoever comes.
    let _more: Vec<_> = (0..20).map(|_| wait_for(4, "nothing")).collect();
    publisher.send_picture(8, 40, false, 500);
    assert_eq!(watching.wait_for_media().number(), 8);
}

#[test]
fn viewers_leave_places_for_publishers_and_an_address_with_many_for_one_with_few() {
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
    assert!(play(2).is_none(), "the address that has most gets no more");
    // Another one gets its share: until both have as many. Who has to go may need a moment.
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
    // None of them is in the way of publishers.
    let mut other = Client::publishing(address, "live", "gate");
    other.send_headers();
    publisher.send_headers();
    publisher.send_picture(7, 0, true, 500);
    for player in &mut many.into_iter().chain(few) {
        let mut player = player;
        assert_eq!(player.wait_for_media().number(), 7);
    }
}

#[test]
fn a_message_over_the_limit_ends_the_connection_and_nothing_else() {
    let server = server(Config::default().max_message(10_000));
    let address = server.rtmp_addresses()[0];
    let mut good = Client::publishing(address, "live", "good");
    let mut player = Client::playing(address, "live", "good");
    let mut bad = Client::publishing(address, "live", "bad");
    bad.send_headers();
    bad.send_picture(1, 0, true, 10_001);
    bad.until_closed();
    good.send_headers();
    good.send_picture(5, 0, true, 10_000);
    assert_eq!(player.wait_for_media().number(), 5);
}

#[test]
fn a_publisher_can_use_all_memory_but_not_more() {
    let server = server(Config::default().memory(8 << 20));
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    publisher.send_headers();
    // 40 MB of one GOP through 8 MiB of blocks.
    for number in 0..400 {
        publisher.send_picture(number, number * 40, number == 0, 100_000);
    }
    let mut player = Client::playing(address, "live", "door");
    publisher.send_picture(1_000, 16_000, true, 1_000);
    player.wait_for("the next keyframe", |m| m.is_media() && m.number() == 1_000);
}
