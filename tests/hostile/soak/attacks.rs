//! The eight kinds of attack.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::type_id;
use socket2::{Domain, Socket, Type};

use crate::canary::STREAM;
use crate::common::http::{UPGRADE, client_frame};
use crate::common::random::Random;
use crate::wire::{self, command, header, message, metadata, set_chunk_size};

/// The state of an attacker.
pub(super) struct Attack<'a> {
    pub(super) kind: u8,
    pub(super) rtmp: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) is_over: &'a AtomicBool,
    /// The number of accepted connections.
    pub(super) count: &'a AtomicU64,
    pub(super) random: Random,
}

impl Attack<'_> {
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Connects from one of a few addresses that belong to this kind of attack.
    fn connect(&mut self, server: SocketAddr) -> Option<TcpStream> {
        let local = Ipv4Addr::new(127, 0, 10 + self.kind, 1 + self.random.below(3) as u8);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        socket
            .bind(&SocketAddr::new(IpAddr::V4(local), 0).into())
            .ok()?;
        socket.connect(&server.into()).ok()?;
        let socket = TcpStream::from(socket);
        let patience = Some(Duration::from_millis(300));
        socket.set_write_timeout(patience).ok()?;
        socket.set_read_timeout(patience).ok()?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(socket)
    }

    /// Connects, does the handshake and connect, and sends `more`.
    fn rtmp(&mut self, more: &[u8]) -> Option<TcpStream> {
        let mut socket = self.connect(self.rtmp)?;
        let mut bytes = wire::c0_c1();
        bytes.resize(bytes.len() + 1536, 0);
        bytes.extend(set_chunk_size(65_536));
        let mut app = Vec::new();
        object([("app", text("live"))]).emit(&mut app);
        bytes.extend(message(type_id::COMMAND, 0, &command("connect", 1.0, &app)));
        bytes.extend(message(
            type_id::COMMAND,
            0,
            &command("createStream", 2.0, &[5]),
        ));
        bytes.extend(more);
        socket.write_all(&bytes).ok()?;
        Some(socket)
    }

    /// Reads what has arrived, and lets some time pass: attackers are as fast as a network, not as fast
    /// as memory.
    fn pause(&self, socket: &TcpStream, ms: u64) {
        let mut buffer = [0; 16 * 1024];
        let _ = socket.set_nonblocking(true);
        while let Ok(1..) = (&mut &*socket).read(&mut buffer) {}
        let _ = socket.set_nonblocking(false);
        thread::sleep(Duration::from_millis(ms));
    }
}

fn on_stream(name: &str, stream: &str) -> Vec<u8> {
    let mut rest = vec![5];
    text(stream).emit(&mut rest);
    message(type_id::COMMAND, 1, &command(name, 3.0, &rest))
}

fn frame(timestamp: u32, is_key: bool, len: usize) -> Vec<u8> {
    let mut bytes = header(6, timestamp, len as u32, type_id::VIDEO, 1);
    let mut payload = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    payload.resize(len, 0x41);
    bytes.extend(payload);
    bytes
}

/// Connections that come and go; some of them send a few bytes and stay.
fn connections(attack: &mut Attack<'_>) -> Option<()> {
    let mut held = Vec::new();
    for number in 0..20 {
        let server = if number % 2 == 0 {
            attack.rtmp
        } else {
            attack.http
        };
        let mut socket = attack.connect(server)?;
        let said = [&b""[..], b"\x03", b"GET / HT", b"\x16\x03\x01"][number % 4];
        let _ = socket.write_all(said);
        if number % 3 == 0 {
            wire::reset(&socket);
        } else {
            held.push(socket);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Some(())
}

/// Players of the canary that read slowly or not at all.
fn slow_players(attack: &mut Attack<'_>) -> Option<()> {
    let mut players = Vec::new();
    for _ in 0..6 {
        let player = attack.rtmp(&on_stream("play", STREAM.1))?;
        let _ = socket2::SockRef::from(&player).set_recv_buffer_size(2048);
        players.push(player);
    }
    for round in 0..100 {
        for player in players.iter().skip(round % 3) {
            let _ = (&mut &*player).read(&mut [0; 300]);
        }
        thread::sleep(Duration::from_millis(30));
        if attack.is_over() {
            break;
        }
    }
    Some(())
}

/// Headers that change with each frame, for many tracks, and metadata.
fn headers(attack: &mut Attack<'_>) -> Option<()> {
    let name = format!("headers{}", attack.random.below(4));
    let mut socket = attack.rtmp(&on_stream("publish", &name))?;
    let mut properties = Vec::new();
    let value = "m".repeat(200);
    object((0..200).map(|_| ("comment", text(&value)))).emit(&mut properties);
    socket
        .write_all(&message(type_id::DATA, 1, &metadata(&properties)))
        .ok()?;
    socket.write_all(&frame(0, true, 500)).ok()?;
    for number in 1..2_000 {
        let payload = match number % 5 {
            0 => {
                let mut track = [b"\x96\0hvc1", &[number as u8 % 40][..]].concat();
                track.resize(20_000, number as u8);
                track
            }
            _ => wire::video_header(number, 100 << (number % 6)),
        };
        let mut bytes = header(6, number, payload.len() as u32, type_id::VIDEO, 1);
        bytes.extend(payload);
        bytes.extend(frame(number, number % 500 == 0, 50));
        socket.write_all(&bytes).ok()?;
        if number % 20 == 0 {
            attack.pause(&socket, 5);
        }
        if attack.is_over() {
            break;
        }
    }
    Some(())
}

/// Thousands of values in connect, in commands and in metadata.
fn values(attack: &mut Attack<'_>) -> Option<()> {
    let mut value = b"\x0A\0\0\x1F\x40".to_vec();
    value.extend(b"\x02\0\x03abc".repeat(8_000));
    let mut socket = attack.connect(attack.rtmp)?;
    let mut bytes = wire::c0_c1();
    bytes.resize(bytes.len() + 1536, 0);
    bytes.extend(set_chunk_size(65_536));
    bytes.extend(message(
        type_id::COMMAND,
        0,
        &command("connect", 1.0, &value),
    ));
    socket.write_all(&bytes).ok()?;
    let mut socket = attack.rtmp(&[])?;
    for name in ["releaseStream", "unknown", "createStream", "FCPublish"] {
        for _ in 0..8 {
            let bytes = message(type_id::COMMAND, 0, &command(name, 4.0, &value));
            socket.write_all(&bytes).ok()?;
            attack.pause(&socket, 5);
        }
    }
    Some(())
}

/// Clients that wait for the next part, request single bytes, or don't read long answers.
fn waiters(attack: &mut Attack<'_>) -> Option<()> {
    let mut held = Vec::new();
    let (app, name) = STREAM;
    for number in 0..24 {
        let mut socket = attack.connect(attack.http)?;
        let request = match number % 4 {
            0 => format!(
                "/{app}/{name}/media.m3u8?_HLS_msn=999999&key={}",
                "q".repeat(3_000)
            ),
            1 => format!("/{app}/awaited{number}.mp4"),
            2 => "/stat".to_owned(),
            _ => "/metrics".to_owned(),
        };
        let head = format!("GET {request} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=7-7\r\n\r\n");
        let _ = socket.write_all(head.repeat(6).as_bytes());
        held.push(socket);
        thread::sleep(Duration::from_millis(40));
    }
    // One client reads the playlist, and then single bytes of its segments.
    let mut socket = attack.connect(attack.http)?;
    let head = format!("GET /{app}/{name}/media.m3u8 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.write_all(head.as_bytes()).ok()?;
    let mut text = [0; 8192];
    let len = socket.read(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text[..len]).into_owned();
    let segment = text.lines().find(|line| line.ends_with(".m4s"))?;
    let head = format!(
        "GET /{app}/{name}/{segment} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=999-999\r\n\r\n"
    );
    for _ in 0..200 {
        socket.write_all(head.as_bytes()).ok()?;
        attack.pause(&socket, 2);
        if attack.is_over() {
            break;
        }
    }
    Some(())
}

/// Empty pings at line rate on the canary's stream.
fn pings(attack: &mut Attack<'_>) -> Option<()> {
    let mut socket = attack.connect(attack.http)?;
    let (app, name) = STREAM;
    let head = format!("GET /{app}/{name}.flv HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
    socket.write_all(head.as_bytes()).ok()?;
    attack.pause(&socket, 50);
    let pings = client_frame(0x89, b"").repeat(2_000);
    for _ in 0..500 {
        socket.write_all(&pings).ok()?;
        attack.pause(&socket, 2);
        if attack.is_over() {
            break;
        }
    }
    Some(())
}

/// Tiny chunks, empty messages, and messages begun on many chunk streams.
fn chunks(attack: &mut Attack<'_>) -> Option<()> {
    let name = format!("chunks{}", attack.random.below(4));
    let mut socket = attack.rtmp(&on_stream("publish", &name))?;
    let bytes = match attack.random.below(3) {
        0 => [
            set_chunk_size(1),
            header(6, 0, 60_000, type_id::VIDEO, 1),
            b"\x17".to_vec(),
        ]
        .concat()
        .into_iter()
        .chain(b"\xC6\x41".repeat(30_000))
        .collect(),
        1 => message(type_id::AUDIO, 1, &[]).repeat(4_000),
        _ => {
            let begun = |id| [header(id, 0, 60_000, type_id::VIDEO, 1), vec![0x17; 128]].concat();
            let begun: Vec<u8> = (7..14).flat_map(begun).collect();
            [set_chunk_size(128), begun].concat()
        }
    };
    for _ in 0..20 {
        socket.write_all(&bytes).ok()?;
        attack.pause(&socket, 20);
    }
    Some(())
}

/// Names that are published for a moment, one after another, on one connection and on many.
fn cycles(attack: &mut Attack<'_>) -> Option<()> {
    let mut socket = attack.rtmp(&[])?;
    for _ in 0..25 {
        let name = format!("cycle{}", attack.random.next());
        let mut bytes = on_stream("publish", &name);
        let payload = wire::video_header(1, 30_000);
        bytes.extend(message(type_id::VIDEO, 1, &payload));
        bytes.extend(frame(0, true, 3_000));
        bytes.extend(message(
            type_id::COMMAND,
            1,
            &command("closeStream", 0.0, &[5]),
        ));
        socket.write_all(&bytes).ok()?;
        let mut viewer = attack.connect(attack.http)?;
        let head = format!("GET /live/{name}/00c0ffee-1.m4s HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let _ = viewer.write_all(head.as_bytes());
        attack.pause(&socket, 50);
        if attack.is_over() {
            break;
        }
    }
    Some(())
}

/// One round of an attack; `None` once the server has closed.
pub(super) type Kind = fn(&mut Attack<'_>) -> Option<()>;

pub(super) const KINDS: [(&str, Kind); 8] = [
    ("connections", connections),
    ("slow players", slow_players),
    ("headers", headers),
    ("AMF", values),
    ("HLS and ranges", waiters),
    ("pings", pings),
    ("chunks", chunks),
    ("cycles", cycles),
];
