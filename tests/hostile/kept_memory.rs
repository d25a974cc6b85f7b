//! The memory that a client can make the server keep outside the arena. Each of these attacks once made
//! it keep many times more than the bound. The bound is that of the case; additions to it are stated
//! here.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::type_id;

use crate::canary::{Load, STREAM};
use crate::case::Case;
use crate::common::client::{AVC_HEADER, Client, wait_until};
use crate::common::http::{HttpClient, UPGRADE};
use crate::wire::{self, command, header, message, metadata, set_chunk_size};

/// An address that isn't the canary's, so that the canary isn't punished together with the attacker.
const STRANGER: [u8; 4] = [127, 0, 0, 7];

/// The time for which a client waits for an answer that may never arrive.
const PATIENCE: Duration = Duration::from_secs(2);

/// Builds a message with a video sequence header, at the time given by `number`.
fn video_header(number: u32, len: usize) -> Vec<u8> {
    let payload = wire::video_header(number, len);
    let mut bytes = header(6, number, payload.len() as u32, type_id::VIDEO, 1);
    bytes.extend(payload);
    bytes
}

/// Builds the sequence header of one track among many.
fn track_header(track: u8, len: usize) -> Vec<u8> {
    let mut header = vec![0x96, 0x00];
    header.extend(b"hvc1");
    header.push(track);
    header.resize(len, track);
    header
}

fn frame(timestamp: u32, is_key: bool, len: usize) -> Vec<u8> {
    let mut payload = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    payload.resize(len, 0x41);
    let mut bytes = header(6, timestamp, len as u32, type_id::VIDEO, 1);
    bytes.extend(payload);
    bytes
}

/// Builds metadata of nearly 64 KB.
fn large_metadata(number: usize) -> Vec<u8> {
    let mut properties = Vec::new();
    let value = "m".repeat(240 + number % 7);
    object((0..230).map(|index| (NAMES[index % NAMES.len()], text(&value)))).emit(&mut properties);
    metadata(&properties)
}

/// Property names: some that a server reads, and others.
const NAMES: [&str; 6] = [
    "encoder",
    "width",
    "videocodecid",
    "comment",
    "title",
    "artist",
];

#[test]
fn headers_that_change_with_every_frame_stay_within_the_bound() {
    let case = Case::start_with("header versions", 8, Load::LIGHT, &[]);
    let mut publisher = Client::publishing(case.address(), "live", "versions");
    publisher.send(&video_header(0, 50));
    publisher.send(&frame(0, true, 100));
    for number in 1..=10_000 {
        let mut bytes = video_header(number, 1_000);
        bytes.extend(frame(number, false, 20));
        publisher.send(&bytes);
    }
    let _ = wire::is_served(&mut publisher);
    drop(publisher);
    case.finish(1);
}

#[test]
fn abandoned_streams_with_http_viewers_stay_within_the_bound() {
    let case = Case::start_with("404 wanted", 8, Load::LIGHT, &["--grace", "2s"]);
    let mut publisher = Client::connected(case.address(), "live");
    let mut viewer = HttpClient::connect(case.http_address());
    for number in 0..60 {
        let name = format!("wanted{number}");
        publisher.publish(&name);
        for track in 0..4 {
            let bytes = message(type_id::VIDEO, 1, &track_header(track, 31_000));
            publisher.send(&bytes);
        }
        publisher.send(&message(type_id::DATA, 1, &large_metadata(number)));
        if !wire::is_served(&mut publisher) {
            publisher = Client::connected(case.address(), "live");
            continue;
        }
        viewer.request("GET", &format!("/live/{name}/00c0ffee-7.m4s"), "");
        if viewer.next(true).is_none() {
            viewer = HttpClient::connect(case.http_address());
        }
        publisher.send_command(1, "closeStream", 0.0, Value::Null, vec![]);
    }
    drop((publisher, viewer));
    case.finish(2);
}

#[test]
fn eight_message_streams_per_connection_stay_within_the_bound() {
    const CONNECTIONS: usize = 60;

    let case = Case::start_with("8 message streams each", 8, Load::LIGHT, &[]);
    let clients: Vec<Client> = (0..CONNECTIONS)
        .map(|connection| {
            let mut client = Client::connected(case.address(), "live");
            for stream in 1..=8 {
                let name = text(&format!("many{connection}-{stream}"));
                let arguments = vec![name, text("live")];
                client.send_command(stream, "publish", 3.0, Value::Null, arguments);
                for track in 0..4 {
                    let header = track_header(track, 30_000);
                    client.send(&message(type_id::VIDEO, stream, &header));
                }
                let metadata = large_metadata(connection);
                client.send(&message(type_id::DATA, stream, &metadata));
            }
            client
        })
        .collect();
    case.canary_goes_on(100);
    drop(clients);
    case.finish(CONNECTIONS as u64);
}

/// Publishes many streams with long names, and connects many clients that request `target` and don't
/// read.
fn ask_and_do_not_read(name: &'static str, target: &str) {
    const PUBLISHERS: usize = 100;
    const CLIENTS: usize = 120;

    let case = Case::start_with(name, 8, Load::LIGHT, &[]);
    let mut publishers = Vec::new();
    for number in 0..PUBLISHERS {
        let mut client = Client::connected(case.address(), "live");
        for stream in 1..=4 {
            let name = text(&format!("{number}-{stream}-{}", "n".repeat(100)));
            let arguments = vec![name, text("live")];
            client.send_command(stream, "publish", 3.0, Value::Null, arguments);
            client.send(&message(type_id::VIDEO, stream, AVC_HEADER));
        }
        // A client that is refused a stream may be notified and disconnected.
        let _ = wire::is_served(&mut client);
        publishers.push(client);
    }
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut socket = wire::connect(case.http_address());
            let small = socket2::SockRef::from(&socket).set_recv_buffer_size(2048);
            small.unwrap();
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let _ = socket.write_all(request.repeat(16).as_bytes());
            socket
        })
        .collect();
    case.canary_goes_on(200);
    drop((publishers, clients));
    case.finish((PUBLISHERS + CLIENTS) as u64);
}

#[test]
fn unread_statistics_stay_within_the_bound() {
    ask_and_do_not_read("unread /stat", "/stat");
}

#[test]
fn unread_metrics_stay_within_the_bound() {
    ask_and_do_not_read("unread /metrics", "/metrics");
}

#[test]
fn unread_stream_lists_stay_within_the_bound() {
    ask_and_do_not_read("unread /api/v1/streams", "/api/v1/streams");
}

#[test]
fn playlists_with_long_queries_stay_within_the_bound() {
    const CLIENTS: usize = 60;

    let case = Case::start_with("unread playlists", 8, Load::LIGHT, &["--history", "30s"]);
    let playlist = format!("/{}/{}/media.m3u8", STREAM.0, STREAM.1);
    // There are segments from the first request on.
    let mut first = HttpClient::connect(case.http_address());
    for _ in 0..5 {
        first.request("GET", &format!("{playlist}?_HLS_msn=3"), "");
        let _ = first.next(true);
        case.canary_goes_on(200);
    }
    let target = format!("{playlist}?key={}", "q".repeat(6_000));
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let mut socket = wire::connect(case.http_address());
            let small = socket2::SockRef::from(&socket).set_recv_buffer_size(2048);
            small.unwrap();
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let _ = socket.write_all(request.repeat(40).as_bytes());
            socket
        })
        .collect();
    case.canary_goes_on(100);
    drop((first, clients));
    case.finish(CLIENTS as u64 + 1);
}

#[test]
fn streams_of_tiny_messages_stay_within_the_bound() {
    const STREAMS: u32 = 16;

    let case = Case::start_with("tiny messages", 8, Load::LIGHT, &[]);
    let publishers: Vec<Client> = (0..STREAMS)
        .map(|number| {
            let mut publisher = Client::connected(case.address(), "live");
            publisher.publish(&format!("tiny{number}"));
            // The last publishers are refused while the earlier ones need everything that can be shared.
            let (_, code, _) = publisher.wait_for_status();
            if code != "NetStream.Publish.Start" {
                assert!(number >= STREAMS / 2, "{code} for stream {number}");
                return publisher;
            }
            let mut bytes = video_header(0, 50);
            bytes.extend(frame(0, true, 100));
            // Until there is another keyframe, all of them are needed.
            for number in 1..20_000 {
                bytes.extend(frame(number / 2, false, 6));
            }
            publisher.send(&bytes);
            publisher
        })
        .collect();
    case.canary_goes_on(100);
    drop(publishers);
    case.finish(u64::from(STREAMS));
}

#[test]
fn thousands_of_values_in_connect_stay_within_the_bound() {
    const STRANGERS: usize = 14;

    // From the canary's address only.
    let rules = ["--publish-from", "127.0.0.1", "--play-from", "127.0.0.1"];
    let case = Case::start_with("strangers' AMF", 8, Load::LIGHT, &rules);
    let mut value = b"\x0A\0\0\x1F\x70".to_vec();
    for index in 0..8_000_u32 {
        value.extend([2, 0, 3, b'a', b'0' + (index % 10) as u8, b'x']);
    }
    let connect = command("connect", 1.0, &value);
    thread::scope(|scope| {
        for _ in 0..STRANGERS {
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut client = Client::handshaken_from(STRANGER.into(), case.address());
                    let _ = client.socket().set_read_timeout(Some(PATIENCE));
                    client.send(&set_chunk_size(65_536));
                    client.send(&message(type_id::COMMAND, 0, &connect));
                    let metadata = metadata(&value);
                    client.send(&message(type_id::DATA, 1, &metadata));
                    wire::wait_for_answer(client.socket());
                }
            });
        }
    });
    case.finish(STRANGERS as u64);
}

#[test]
fn players_that_stop_within_the_headers_stay_within_the_bound() {
    const PLAYERS: u32 = 60;

    let case = Case::start_with("players within headers", 8, Load::LIGHT, &[]);
    let mut publisher = Client::publishing(case.address(), "live", "preamble");
    let mut players = Vec::new();
    for number in 0..PLAYERS {
        for track in 0..2_u8 {
            let mut header = track_header(track, 60_000);
            header[10] = number as u8;
            publisher.send(&message(type_id::VIDEO, 1, &header));
        }
        publisher.send(&message(type_id::DATA, 1, &large_metadata(number as usize)));
        if !wire::is_served(&mut publisher) {
            publisher = wire::publish_again(case.address(), "preamble");
        }
        let player = Client::connected(case.address(), "live");
        let socket = socket2::SockRef::from(player.socket());
        socket.set_recv_buffer_size(2048).unwrap();
        let mut player = player;
        player.play("preamble");
        players.push(player);
        publisher.send(&frame(number, true, 200));
    }
    case.canary_goes_on(100);
    drop((players, publisher));
    case.finish(u64::from(PLAYERS) + 1);
}

#[test]
fn long_urls_in_connect_stay_within_the_bound() {
    const PLAYERS: usize = 60;

    let case = Case::start_with("long tcUrl", 8, Load::LIGHT, &["--command-timeout", "1m"]);
    let players: Vec<Client> = (0..PLAYERS)
        .map(|number| {
            let mut client = Client::handshaken(case.address());
            client.send(&set_chunk_size(65_536));
            let mut app = Vec::new();
            object([
                ("app", text("live")),
                (
                    "tcUrl",
                    text(&format!("rtmp://host/live?{}", "u".repeat(61_000))),
                ),
                ("flashVer", text("test")),
            ])
            .emit(&mut app);
            client.send(&message(
                type_id::COMMAND,
                0,
                &command("connect", 1.0, &app),
            ));
            client.send_command(0, "createStream", 2.0, Value::Null, vec![]);
            client.play(&format!("awaited{number}"));
            client
        })
        .collect();
    case.canary_goes_on(100);
    drop(players);
    case.finish(PLAYERS as u64);
}

/// Sends a message on each of nearly as many chunk streams as allowed, from connections that stay open.
fn fill_chunk_streams(name: &'static str, len: usize) {
    const CONNECTIONS: usize = 40;

    let case = Case::start_with(name, 8, Load::LIGHT, &["--command-timeout", "1m"]);
    let clients: Vec<Client> = (0..CONNECTIONS)
        .map(|_| {
            let mut client = Client::connected(case.address(), "live");
            // Parsed to the end, and of no use.
            let unknown = command("unknown", 0.0, &vec![5; len]);
            for chunk_stream_id in 3..60 {
                let size = unknown.len() as u32;
                let mut bytes = header(chunk_stream_id, 0, size, type_id::COMMAND, 0);
                bytes.extend(&unknown);
                client.send(&bytes);
                if chunk_stream_id % 20 == 0 {
                    let _ = wire::is_served(&mut client);
                }
            }
            client
        })
        .collect();
    case.canary_goes_on(100);
    drop(clients);
    case.finish(CONNECTIONS as u64);
}

#[test]
fn many_chunk_streams_stay_within_the_bound() {
    fill_chunk_streams("chunk streams", 10);
}

#[test]
fn many_chunk_streams_after_long_messages_stay_within_the_bound() {
    fill_chunk_streams("chunk streams with long messages", 4_000);
}

#[test]
fn long_request_heads_of_viewers_stay_within_the_bound() {
    const VIEWERS: usize = 100;

    let case = Case::start_with("HTTP heads", 8, Load::LIGHT, &[]);
    let padding: String = (0..28)
        .map(|number| format!("X-{number}: {}\r\n", "h".repeat(250)))
        .collect();
    let clients: Vec<HttpClient> = (0..VIEWERS)
        .map(|number| {
            let mut client = HttpClient::connect(case.http_address());
            let target = format!("/{}/{}.flv", STREAM.0, STREAM.1);
            match number % 4 {
                0 => client.request("GET", &target, &padding),
                1 => client.request("GET", &target, &format!("{UPGRADE}{padding}")),
                // A stream that isn't published.
                2 => client.request("GET", "/live/awaited.flv", &padding),
                // A head that doesn't end.
                _ => client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{padding}")),
            }
            client
        })
        .collect();
    case.canary_goes_on(100);
    drop(clients);
    case.finish(VIEWERS as u64);
}

#[test]
fn viewers_that_wait_in_vain_stay_within_the_bound() {
    const WAITING: usize = 120;

    let case = Case::start_with("waiting viewers", 8, Load::LIGHT, &[]);
    let mut first = HttpClient::connect(case.http_address());
    let playlist = format!("/{}/{}/media.m3u8", STREAM.0, STREAM.1);
    first.request("GET", &playlist, "");
    let _ = first.next(true);
    let clients: Vec<HttpClient> = (0..WAITING)
        .map(|number| {
            let mut client = HttpClient::connect(case.http_address());
            let key = "k".repeat(5_000);
            let target = match number % 3 {
                0 => format!("{playlist}?_HLS_msn=1&key={key}"),
                1 => format!("/live/awaited{number}.mp4?key={key}"),
                _ => format!("/live/awaited{number}/media.m3u8?_HLS_msn=1&key={key}"),
            };
            client.request("GET", &target, "");
            client
        })
        .collect();
    case.canary_goes_on(100);
    drop((first, clients));
    case.finish(WAITING as u64 + 1);
}

/// glibc reserves 64 MiB for each heap that it creates for threads, up to eight heaps per processor.
#[test]
fn address_space_grows_by_stacks_only() {
    const CONNECTIONS: u64 = 60;
    /// The size of one stack with its guard page, in kB. Stacks are larger in unoptimized code.
    const STACK: u64 = if cfg!(debug_assertions) { 512 } else { 128 } + 64;

    let case = Case::start("address space", &["--handshake-timeout", "1m"]);
    let before = case.address_space();
    let clients: Vec<Client> = (0..CONNECTIONS)
        .map(|_| Client::connected(case.address(), "live"))
        .collect();
    wait_until("all have a thread", || {
        case.now().threads >= case.before().threads + CONNECTIONS
    });
    let grown = case.address_space().saturating_sub(before);
    assert!(grown <= CONNECTIONS * STACK + 4 * 1024, "{grown} kB");
    drop(clients);
    case.finish(CONNECTIONS);
}
