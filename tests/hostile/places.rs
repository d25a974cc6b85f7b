//! Clients from a few addresses that occupy all places, in every state.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::case::Case;
use crate::common::client::{Client, DEADLINE, wait_until};

/// The number of places. Each of the four attacking addresses may occupy a quarter of them.
const PLACES: usize = 256;
const HOSTS: u8 = 4;
const LIMITS: [&str; 2] = ["--max-connections=256", "--max-per-address=64"];

/// Returns one of the attackers' addresses.
fn host(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, 2 + (number % usize::from(HOSTS)) as u8)
}

fn connect_from(local: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::new(IpAddr::V4(local), 0).into())
        .unwrap();
    socket.connect(&server.into()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.into()
}

/// Whether the server has left the connection open. Reads what the server has sent.
fn is_open(mut socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 65_536];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Connects a publisher and a player, and checks that the player receives a frame.
fn are_served(case: &Case, name: &str) -> (Client, Client) {
    let mut publisher = Client::publishing(case.address(), "live", name);
    let mut player = Client::playing(case.address(), "live", name);
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 100);
    player.wait_for_media();
    (publisher, player)
}

/// Checks the number of threads: at most one for each place, plus those that may be ending.
fn threads_are_bounded(case: &Case) {
    let most = case.before().threads + (PLACES + PLACES / 8) as u64;
    let now = case.now().threads;
    assert!(now <= most, "{now} threads, at most {most}");
}

#[test]
fn players_waiting_for_unpublished_names_keep_nobody_out() {
    let case = Case::start("256 players wait", &LIMITS);
    let waiting: Vec<_> = (0..PLACES)
        .map(|number| {
            let client = Client::handshaken_from(host(number), case.address());
            let mut client = client.connect("live");
            client.play(&format!("never{number}"));
            while client.wait_for_status().1 != "NetStream.Play.Start" {}
            client
        })
        .collect();
    let began = Instant::now();
    let served: Vec<_> = (0..8)
        .map(|number| are_served(&case, &format!("door{number}")))
        .collect();
    println!(
        "8 publishers and 8 players: {} ms",
        began.elapsed().as_millis()
    );
    let began = Instant::now();
    let left = || {
        waiting
            .iter()
            .filter(|client| is_open(client.socket()))
            .count()
    };
    // The canary has two places as well.
    wait_until("who had to make room has gone", || left() <= PLACES - 18);
    println!("gone {} ms later", began.elapsed().as_millis());
    threads_are_bounded(&case);
    drop((waiting, served));
    case.finish((PLACES + PLACES / 8) as u64);
}

/// Requests a page a thousand times without reading the answers.
fn ask_and_not_read(local: Ipv4Addr, server: SocketAddr) -> TcpStream {
    let mut socket = connect_from(local, server);
    socket.set_nonblocking(true).unwrap();
    let requests = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let _ = socket.write(requests.as_bytes());
    socket
}

#[test]
fn slow_readers_keep_nobody_out_and_can_be_ended() {
    let case = Case::start("256 slow readers", &LIMITS);
    let slow: Vec<_> = (0..PLACES)
        .map(|number| ask_and_not_read(host(number), case.http_address()))
        .collect();
    // All are in the middle of an answer that fits into no buffer.
    thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    let served: Vec<_> = (0..8)
        .map(|number| are_served(&case, &format!("door{number}")))
        .collect();
    println!(
        "8 publishers and 8 players: {} ms",
        began.elapsed().as_millis()
    );
    let began = Instant::now();
    let threads = case.before().threads;
    wait_until("who had to make room has ended", || {
        case.now().threads <= threads + PLACES as u64
    });
    println!("ended {} ms later", began.elapsed().as_millis());
    drop((slow, served));
    case.finish((PLACES + PLACES / 8) as u64);
}

#[test]
fn viewers_keep_their_places_while_attackers_reconnect() {
    let case = Case::start("strangers come back", &LIMITS);
    let mut publisher = Client::publishing(case.address(), "live", "door");
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 100);
    let mut viewers: Vec<_> = (0..20)
        .map(|number| {
            let local = Ipv4Addr::new(127, 0, 1, 1 + number);
            let mut client = Client::handshaken_from(local, case.address()).connect("live");
            client.play("door");
            client.wait_for_media();
            client
        })
        .collect();
    // Each address has as many clients as allowed, alternately playing the same stream and waiting for
    // another.
    let mut strangers = Vec::new();
    for number in 0..3 * PLACES {
        let mut socket = connect_from(host(number), case.address());
        let _ = socket.write_all(&crate::wire::c0_c1());
        strangers.push((socket, None));
        if number % 2 == 0 {
            let socket = connect_from(host(number), case.http_address());
            let _ = (&socket).write_all(b"GET /live/door.flv HTTP/1.1\r\nHost: localhost\r\n\r\n");
            strangers.push((socket, Some(())));
        }
    }
    let watching = strangers
        .iter()
        .filter(|(socket, what)| what.is_some() && is_open(socket));
    println!("{} strangers watch", watching.count());
    let served = are_served(&case, "gate");
    publisher.send_frame(2, 40, true, 100);
    for viewer in &mut viewers {
        viewer.wait_for("the picture", |m| m.is_media() && m.number() == 2);
    }
    // One more viewer gets the place of a client from the address with the most.
    let mut late = Client::playing(case.address(), "live", "door");
    late.wait_for_media();
    case.canary_goes_on(50);
    drop((strangers, viewers, late, publisher, served));
    case.finish((PLACES + PLACES / 8) as u64);
}
