//! Clients that ask for long answers and don't read them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;

use crate::case::Case;
use crate::common::client::wait_until;
use crate::common::http::HttpClient;
use crate::wire;

/// What the server may cost beside its connections while they are attacked, in kB.
const BESIDE: u64 = 3 * 1024;

/// Asks again and again and reads nothing, until the server takes no more.
fn ask_and_not_read(server: SocketAddr, request: &str) -> TcpStream {
    let socket = wire::connect(server);
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(2_048)
        .unwrap();
    wire::flood(&socket, request.as_bytes(), request.len() * 400);
    socket
}

/// Publishes under long names, as many as the server lets one address have.
fn publish_many(case: &Case, count: usize) -> Vec<TcpStream> {
    let long = "x".repeat(100);
    let publish = |number| wire::publish_blindly(case.address(), &format!("{long}{number}"));
    let publishers: Vec<_> = (0..count).map(publish).collect();
    let mut client = HttpClient::connect(case.http_address());
    wait_until("all have been accepted or refused", || {
        let metrics = client.get("/metrics").text();
        let mut lines = metrics.lines();
        let name = "brooklet_connections_accepted_total ";
        let accepted = lines.find_map(|line| line.strip_prefix(name)).unwrap();
        accepted.parse::<usize>().unwrap() > count
    });
    publishers
}

#[test]
fn lists_that_nobody_reads_are_not_kept() {
    const NAMES: usize = 400;
    const CLIENTS: usize = 40;
    let case = Case::start("lists that nobody reads", &[]);
    let publishers = publish_many(&case, NAMES);
    let mut reader = HttpClient::connect(case.http_address());
    let len = reader.get("/stat").body.len();
    let paths = ["/stat", "/metrics", "/api/v1/streams", "/api/v1/connections"];
    let clients: Vec<_> = thread::scope(|scope| {
        let address = case.http_address();
        let ask = |index: usize| {
            let path = paths[index % paths.len()];
            scope.spawn(move || {
                let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                ask_and_not_read(address, &request)
            })
        };
        let threads: Vec<_> = (0..CLIENTS).map(ask).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    case.canary_sings(100);
    println!("{len} bytes of /stat for {NAMES} publishers");
    drop((clients, publishers, reader));
    let connections = (NAMES + CLIENTS + 1) as u64;
    // The streams themselves are a case of their own: most of them have no blocks here.
    case.finish(connections)
        .memory_grew_at_most(connections * 24 + BESIDE);
}

#[test]
fn playlists_that_nobody_reads_are_not_kept() {
    const CLIENTS: usize = 60;
    let case = Case::start("playlists that nobody reads", &[]);
    let mut reader = HttpClient::connect(case.http_address());
    wait_until("there is a playlist", || {
        reader.get("/live/canary/media.m3u8").status == 200
    });
    let query = format!("key={}", "k".repeat(7_000));
    let clients: Vec<_> = thread::scope(|scope| {
        let (address, query) = (case.http_address(), &query);
        let ask = |_| {
            scope.spawn(move || {
                let target = format!("/live/canary/media.m3u8?{query}");
                let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                ask_and_not_read(address, &request)
            })
        };
        let threads: Vec<_> = (0..CLIENTS).map(ask).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    case.canary_sings(100);
    drop((clients, reader));
    let connections = CLIENTS as u64 + 1;
    case.finish(connections)
        .memory_grew_at_most(connections * 24 + BESIDE);
}

#[test]
fn long_heads_are_kept_within_the_bound() {
    const CLIENTS: usize = 200;
    let options = ["--handshake-timeout", "10m"];
    let case = Case::start("long heads", &options);
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: h\r\n{}",
        "A: b\r\n".repeat(60) + "Cookie: " + &"c".repeat(7_000)
    );
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut socket = wire::connect(case.http_address());
            // Who finds no room for it is told so.
            let _ = socket.write_all(head.as_bytes());
            socket
        })
        .collect();
    case.canary_sings(100);
    drop(clients);
    let connections = CLIENTS as u64;
    case.finish(connections)
        .memory_grew_at_most(connections * 24 + BESIDE);
}
