//! A server stop, which notifies every client and ends every connection.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use brooklet::Config;
use brooklet::config::{Access, Key};

use crate::client::{Client, server};
use crate::common::http::HttpClient;

#[test]
fn a_stop_notifies_players_and_publishers_and_ends_all_threads() {
    let mut server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door");
    let mut player = Client::playing(address, "live", "door");
    let mut waiting = Client::playing(address, "live", "other");
    let _idle = Client::connected(address, "live");
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 5_000);
    player.wait_for_media();

    server.stop();
    assert_eq!(server.connection_count(), 0);
    for player in [&mut player, &mut waiting] {
        let codes: Vec<_> = player
            .until_closed()
            .iter()
            .filter_map(|m| m.status())
            .map(|s| s.1)
            .collect();
        assert_eq!(
            codes,
            ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"]
        );
    }
    let rest = publisher.until_closed();
    let codes: Vec<_> = rest
        .iter()
        .filter_map(|m| m.status())
        .map(|s| s.1)
        .collect();
    assert_eq!(codes, ["NetConnection.Connect.AppShutdown"]);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_stop_ends_connections_in_every_state() {
    let mut server = server(
        Config::default()
            .publish(Access::default().keys(vec![Key::parse("right-key").unwrap()]))
            .max_connect_rate(1_000),
    );
    let (address, http) = (server.rtmp_addresses()[0], server.http_addresses()[0]);
    let mut publisher = Client::publishing(address, "live", "door?key=right-key");
    publisher.send_headers();
    for number in 0..20 {
        publisher.send_frame(number, number * 100, number % 10 == 0, 5_000);
    }
    // Clients in the handshake, in a request, and with many unread answers.
    let silent = TcpStream::connect(address).unwrap();
    let mut half = HttpClient::connect(http);
    half.send("GET / HTTP/1.1\r\nHost: loc");
    let mut slow = TcpStream::connect(http).unwrap();
    slow.set_nonblocking(true).unwrap();
    let _ = slow.write(&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000));
    // Clients that wait for the next part, watch without reading, and wait for a name.
    let mut next = HttpClient::connect(http);
    next.request("GET", "/live/door/media.m3u8?_HLS_msn=1", "");
    let mut watching = HttpClient::connect(http);
    watching.request("GET", "/live/door.flv", "");
    let waiting = Client::playing(address, "live", "never");
    // Clients that guess: from the sixth failure on each is delayed.
    let guessing: Vec<_> = (0..12)
        .map(|_| {
            let mut client = Client::connected(address, "live");
            client.publish("door?key=wrong-key");
            client
        })
        .collect();
    // A stream whose publisher is gone, and whose player waits.
    let mut gone = Client::publishing(address, "live", "gate?key=right-key");
    gone.send_headers();
    gone.send_frame(1, 0, true, 500);
    let mut left = Client::playing(address, "live", "gate");
    left.wait_for_media();
    gone.socket().shutdown(Shutdown::Both).unwrap();

    let open = server.connection_count();
    let began = Instant::now();
    server.stop();
    println!(
        "{open} connections stopped in {} ms",
        began.elapsed().as_millis()
    );
    assert_eq!(server.connection_count(), 0);
    drop((
        publisher, silent, half, slow, next, watching, waiting, guessing, left,
    ));
}
