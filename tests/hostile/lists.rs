//! Clients that request long answers and don't read them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::canary::Load;
use crate::case::Case;
use crate::common::client::wait_until;
use crate::common::http::{HttpClient, UPGRADE};
use crate::wire;

/// The memory that the server may occupy in addition to its connections during the attack, in kB.
const BESIDE: u64 = 3 * 1024;

/// Sends a request repeatedly without reading, until the server accepts no more bytes.
fn ask_and_not_read(server: SocketAddr, request: &str) -> TcpStream {
    let socket = wire::connect(server);
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(2_048)
        .unwrap();
    wire::flood(&socket, request.as_bytes(), request.len() * 400);
    socket
}

/// Publishes under long names, as many as the server allows for one address.
fn publish_many(case: &Case, count: usize) -> Vec<TcpStream> {
    let long = "x".repeat(100);
    let publish = |number| wire::publish_blindly(case.address(), &format!("{long}{number}"));
    let publishers: Vec<_> = (0..count).map(publish).collect();
    let (mut threads, mut since) = (0, Instant::now());
    wait_until("all have been accepted or refused", || {
        let now = case.now().threads;
        if now != threads {
            (threads, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(300)
    });
    publishers
}

#[test]
fn lists_that_nobody_reads_are_not_kept() {
    const NAMES: usize = 400;
    const CLIENTS: u64 = 40;
    let case = Case::start("lists that nobody reads", &[]);
    let publishers = publish_many(&case, NAMES);
    let mut reader = HttpClient::connect(case.http_address());
    let len = reader.get("/stat").body.len();
    let before = case.now().memory;
    let clients: Vec<_> = thread::scope(|scope| {
        let address = case.http_address();
        let ask = |index: u64| {
            let path = LISTS[index as usize % LISTS.len()];
            scope.spawn(move || {
                let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                ask_and_not_read(address, &request)
            })
        };
        let threads: Vec<_> = (0..CLIENTS).map(ask).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    case.canary_goes_on(100);
    let grown = case.now().memory.saturating_sub(before);
    println!("{len} bytes of /stat, {grown} kB more for {CLIENTS} who don't read lists");
    // The memory of the streams is another case.
    assert!(grown <= CLIENTS * 24 + 1024, "{grown} kB");
    drop((clients, publishers, reader));
    case.finish(NAMES as u64 + CLIENTS + 1);
}

const LISTS: [&str; 4] = [
    "/stat",
    "/metrics",
    "/api/v1/streams",
    "/api/v1/connections",
];

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
    case.canary_goes_on(100);
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
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}",
        "A: b\r\n".repeat(60) + "Cookie: " + &"c".repeat(7_000)
    );
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut socket = wire::connect(case.http_address());
            // A publisher that finds no room is notified.
            let _ = socket.write_all(head.as_bytes());
            socket
        })
        .collect();
    case.canary_goes_on(100);
    drop(clients);
    let connections = CLIENTS as u64;
    case.finish(connections)
        .memory_grew_at_most(connections * 24 + BESIDE);
}

/// Returns the path of the canary's newest complete segment.
fn newest_segment(reader: &mut HttpClient) -> String {
    const PLAYLIST: &str = "/live/canary/media.m3u8";

    wait_until("there is a playlist", || reader.get(PLAYLIST).status == 200);
    let playlist = reader.get(PLAYLIST).text();
    let mut segments = playlist.lines().filter(|line| !line.starts_with('#'));
    format!("/live/canary/{}", segments.next_back().unwrap())
}

#[test]
fn ranges_of_one_byte_delay_no_stream() {
    let case = Case::start("ranges of one byte", &[]);
    let mut reader = HttpClient::connect(case.http_address());
    newest_segment(&mut reader);
    case.canary_goes_on(600);
    let segment = newest_segment(&mut reader);
    let alone = case.canary_p99();
    let len = reader.get(&segment).body.len();
    let address = case.http_address();
    let request = format!(
        "GET {segment} HTTP/1.1\r\nHost: localhost\r\nRange: bytes={}-\r\n\r\n",
        len - 1
    );
    thread::scope(|scope| {
        for _ in 0..8 {
            let request = &request;
            scope.spawn(move || {
                let socket = wire::connect(address);
                wire::flood_reading(&socket, request.as_bytes(), request.len() * 600);
            });
        }
        case.canary_goes_on(200);
        println!(
            "ranges of one byte: the canary's p99 is {} ms, {alone} ms without them",
            case.canary_p99()
        );
    });
    drop(reader);
    case.finish(9);
}

/// Parses the segment number in a name of the form `life-number.m4s`.
fn number_of(segment: &str) -> u64 {
    let (_, name) = segment.rsplit_once('-').unwrap();
    name.strip_suffix(".m4s").unwrap().parse().unwrap()
}

/// The limit is 8 KiB of heap per connection, in addition to its stack.
#[test]
fn a_connection_costs_little_in_every_state() {
    const CONNECTIONS: u64 = 200;
    let stat = "GET /stat HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
    let query = "k".repeat(1_000);
    let playlist =
        format!("GET /live/canary/media.m3u8?key={query} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .repeat(20);
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {}",
        "c".repeat(8_000)
    );
    let upgrade = format!("GET /live/canary.flv HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
    for (state, request) in [
        ("idle", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("half of a short head", "GET /healthz HTTP/1.1\r\nHo"),
        ("a long head", &head),
        ("lists that aren't read", &stat),
        ("playlists that aren't read", &playlist),
        ("a segment that isn't read", &get("SEGMENT").repeat(20)),
        (
            "waiting for a segment",
            &get("/live/canary/media.m3u8?_HLS_msn=NEXT"),
        ),
        (
            "FLV",
            "GET /live/canary.flv HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        (
            "MP4",
            "GET /live/canary.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        ("WebSocket", &upgrade),
    ] {
        let options = ["--handshake-timeout", "10m", "--command-timeout", "10m"];
        let case = Case::start_with(state, 32, Load::LIGHT, &options);
        let mut reader = HttpClient::connect(case.http_address());
        let segment = newest_segment(&mut reader);
        let request = request
            .replace("SEGMENT", &segment)
            .replace("NEXT", &(number_of(&segment) + 2).to_string());
        let (before, heap_before) = (case.now(), case.heap());
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let mut socket = wire::connect(case.http_address());
                socket2::SockRef::from(&socket)
                    .set_recv_buffer_size(2_048)
                    .unwrap();
                // A server without room closes.
                let _ = socket.write_all(request.as_bytes());
                socket
            })
            .collect();
        case.wait_until("all are served", |now| {
            now.threads >= before.threads + CONNECTIONS
        });
        case.canary_goes_on(100);
        let now = case.now();
        let open = now.threads - before.threads;
        let heap = case.heap().saturating_sub(heap_before);
        let each = |grown: u64| grown * 1024 / open.max(1);
        println!(
            "{state}: {open} connections of {} bytes each, {} of them on the heap",
            each(now.judged().saturating_sub(before.judged())),
            each(heap)
        );
        // None was refused: otherwise the heap kept for a refused connection would be used for another
        // one.
        assert!(open >= CONNECTIONS, "{open}");
        assert!(heap <= open * 8, "{heap} kB");
        // Unoptimized code has larger stacks.
        let each = each(now.judged().saturating_sub(before.judged()));
        let allowed = if cfg!(debug_assertions) { 48 } else { 24 } * 1024;
        assert!(each <= allowed, "{state}: {each} bytes");
        drop((clients, reader));
        case.finish(CONNECTIONS + 1);
    }
}
