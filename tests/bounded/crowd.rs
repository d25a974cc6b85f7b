//! The clients, and what the server keeps for them.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use brooklet::allowance::PER_CONNECTION;
use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::type_id;
use brooklet::{Config, Server};

use crate::HEAP;
use crate::common::client::{AAC_HEADER, on_free_ports};
use crate::common::http::{UPGRADE, client_frame};
use crate::steps::{ANOTHER_TRACK, Act, Acts, Ask, Len, Name, Step, What, Who};
use crate::wire::{self, command, header, message, metadata, set_chunk_size};

/// For the server itself, beyond what it has kept since the first crowd was gone; and the lists of
/// blocks, which are a part of `--memory` (see [`Arena::within`]) and not of this arena.
const REST: usize = 8 * 1024 + ARENA_LEN / BLOCK_LEN * LISTED;

/// For each block, in the lists.
const LISTED: usize = 96;

/// Of memory, in bytes.
const ARENA_LEN: usize = 4 << 20;

/// Clients at a time that came to stay.
const MAX_CLIENTS: usize = 64;

/// Connections at a time, with those that end and are not gone yet.
const MAX_CONNECTIONS: usize = 96;

/// What all clients of a case send at most.
const MAX_SENT: usize = 24 << 20;

/// How long a server that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_millis(50);

/// In which a server answers that has nothing else to do.
const MOMENT: Duration = Duration::from_millis(3);

/// Of the arenas only one is needed: they stay allocated.
static ARENA: LazyLock<Arena> = LazyLock::new(|| Arena::new(ARENA_LEN));

/// See the module's documentation.
pub(crate) struct Crowd {
    rtmp: [Option<Client>; 3],
    http: [Option<Client>; 3],
    /// Those that came to stay.
    others: Vec<Client>,
    sent: usize,
    /// Gives each value a number of its own.
    next: u32,
    last_name: u32,
    // After its clients.
    server: Server,
    idle: usize,
}

struct Client {
    socket: TcpStream,
    /// The server takes no more, or has hung up.
    is_over: bool,
    time: u32,
}

/// What the server keeps at a quiet moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    bytes: usize,
    connections: usize,
}

impl Kept {
    fn allowed(self) -> usize {
        self.connections * PER_CONNECTION + REST
    }

    /// The one that is the greater share of what is allowed.
    pub(crate) fn max(self, other: Kept) -> Kept {
        std::cmp::max_by_key(self, other, |kept| kept.share())
    }

    /// Of what is allowed, in thousandths.
    fn share(self) -> usize {
        self.bytes * 1_000 / self.allowed()
    }

    pub(crate) fn is_too_much(self) -> bool {
        self.bytes > self.allowed()
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, connections) = (self.bytes, self.connections);
        let allowed = self.allowed();
        write!(
            f,
            "{bytes} bytes are kept for {connections} connections, allowed are {allowed}"
        )
    }
}

impl Client {
    fn connect(server: SocketAddr) -> Client {
        let socket = TcpStream::connect(server).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let small = socket2::SockRef::from(&socket).set_recv_buffer_size(2048);
        small.unwrap();
        Client {
            socket,
            is_over: false,
            time: 0,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.is_over = self.is_over || self.socket.write_all(bytes).is_err();
    }

    /// Takes what has come so far.
    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        self.socket.set_nonblocking(true).unwrap();
        loop {
            match self.socket.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => {
                    self.is_over = true;
                    break;
                }
            }
        }
        self.socket.set_nonblocking(false).unwrap();
    }
}

impl Crowd {
    pub(crate) fn new() -> Crowd {
        let config = Config::default()
            .max_connections(MAX_CONNECTIONS)
            .max_per_address(MAX_CONNECTIONS)
            .max_connect_rate(100_000);
        let server = Server::builder(on_free_ports(config))
            .arena(ARENA.clone())
            .start()
            .unwrap();
        let mut crowd = Crowd {
            rtmp: [const { None }; 3],
            http: [const { None }; 3],
            others: Vec::with_capacity(MAX_CONNECTIONS),
            sent: 0,
            next: 0,
            last_name: 0,
            server,
            idle: 0,
        };
        crowd.open_and_close();
        crowd.idle = crowd.quiet();
        crowd
    }

    /// The first connections of either kind bring what the server has once, and a crowd of them
    /// lists that stay as long as they once were.
    fn open_and_close(&mut self) {
        let fresh = |acts, times| Step {
            who: Who::Fresh,
            acts,
            times,
            each: 1,
            reads: true,
        };
        let name = Name::Few(0);
        let crowd = MAX_CLIENTS as u16;
        self.take(&fresh(
            Acts::rtmp(vec![(1, Act::Publish(Name::New))]),
            crowd / 2,
        ));
        self.take(&fresh(Acts::rtmp(vec![(1, Act::Play(name))]), crowd / 4));
        self.take(&fresh(
            Acts::Http(vec![Ask::Get(What::Stat, Len::Tiny, Len::Tiny)]),
            crowd,
        ));
        let address = self.server.http_addresses()[0];
        let more = (self.others.len()..MAX_CONNECTIONS).map(|_| Client::connect(address));
        self.others.extend(more.collect::<Vec<_>>());
        self.quiet();
        self.others.clear();
        let deadline = Instant::now() + PATIENCE * 20;
        while self.server.connection_count() > 0 && Instant::now() < deadline {
            thread::sleep(PATIENCE / 10);
        }
        self.sent = 0;
    }

    /// Waits until nothing is allocated or freed any more.
    fn quiet(&self) -> usize {
        const QUIET: Duration = Duration::from_millis(3);

        let deadline = Instant::now() + Duration::from_millis(500);
        let (mut before, mut same) = (HEAP.current_usage(), 0);
        loop {
            thread::sleep(QUIET);
            let now = HEAP.current_usage();
            same = if now == before { same + 1 } else { 0 };
            if same == 3 || Instant::now() > deadline {
                return now;
            }
            before = now;
        }
    }

    /// Too much only if it stays so.
    pub(crate) fn kept(&self) -> Kept {
        const TIMES: usize = 5;

        let kept = || {
            let bytes = self.quiet().saturating_sub(self.idle);
            Kept {
                bytes,
                connections: self.server.connection_count(),
            }
        };
        let first = kept();
        if !first.is_too_much() {
            return first;
        }
        // Threads that are about to end may not get their turn on a busy machine.
        let again = (1..TIMES).map(|_| {
            thread::sleep(PATIENCE * 4);
            kept()
        });
        again.min_by_key(|kept| kept.share()).unwrap_or(first)
    }

    pub(crate) fn take(&mut self, step: &Step) {
        let (is_rtmp, address) = match step.acts {
            Acts::Rtmp { .. } => (true, self.server.rtmp_addresses()[0]),
            Acts::Http(_) => (false, self.server.http_addresses()[0]),
        };
        let mut client = match step.who {
            Who::Slot(slot) if is_rtmp => self.rtmp[usize::from(slot)].take(),
            Who::Slot(slot) => self.http[usize::from(slot)].take(),
            Who::Fresh => None,
        };
        for round in 0..step.times {
            if self.sent > MAX_SENT {
                break;
            }
            if client.as_ref().is_none_or(|client| client.is_over) {
                let mut new = Client::connect(address);
                if is_rtmp {
                    self.begin(&mut new);
                }
                client = Some(new);
            }
            let Some(one) = &mut client else { break };
            let is_first = round == 0 || step.who == Who::Fresh;
            match &step.acts {
                Acts::Rtmp { first, then } => {
                    let first = first.iter().filter(|_| is_first);
                    for &(stream, act) in first {
                        self.act(one, stream.into(), act);
                    }
                    for time in 0..step.each {
                        for &(stream, act) in then {
                            let stream = match stream {
                                0 if step.who == Who::Fresh && step.each > 1 => {
                                    1 + u32::from(time % 8)
                                }
                                0 => 1 + u32::from(round % 8),
                                stream => stream.into(),
                            };
                            self.act(one, stream, act);
                        }
                    }
                }
                Acts::Http(asks) => {
                    for &ask in asks
                        .iter()
                        .cycle()
                        .take(asks.len() * usize::from(step.each))
                    {
                        self.ask(one, ask);
                    }
                }
            }
            if step.reads {
                one.read();
            }
            if step.who == Who::Fresh {
                if self.others.len() == MAX_CLIENTS {
                    break;
                }
                self.others.extend(client.take());
            }
        }
        match step.who {
            Who::Slot(slot) if is_rtmp => self.rtmp[usize::from(slot)] = client,
            Who::Slot(slot) => self.http[usize::from(slot)] = client,
            Who::Fresh => {}
        }
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn name(&mut self, name: Name) -> String {
        if matches!(name, Name::New | Name::NewLong) {
            self.last_name = self.number();
        }
        match name {
            Name::Few(number) => format!("few{number}"),
            Name::New | Name::Last => format!("new{}", self.last_name),
            Name::NewLong => format!("new{}-{}", self.last_name, "n".repeat(100)),
        }
    }

    fn send(&mut self, client: &mut Client, bytes: &[u8]) {
        self.sent += bytes.len();
        client.send(bytes);
    }

    /// Handshake and connect, without waiting for what the server says.
    fn begin(&mut self, client: &mut Client) {
        let mut bytes = wire::c0_c1();
        bytes.resize(bytes.len() + 1536, 0);
        bytes.extend(set_chunk_size(65_536));
        self.send(client, &bytes);
        self.connect(client, Len::Tiny);
        self.command(client, 0, "createStream", &[5]);
    }

    fn connect(&mut self, client: &mut Client, len: Len) {
        let url = format!("rtmp://host/live?{}", "u".repeat(len.bytes()));
        let mut arguments = Vec::new();
        object([("app", text("live")), ("tcUrl", text(&url))]).emit(&mut arguments);
        self.command(client, 0, "connect", &arguments);
    }

    fn command(&mut self, client: &mut Client, stream: u32, name: &str, rest: &[u8]) {
        let bytes = message(type_id::COMMAND, stream, &command(name, 1.0, rest));
        self.send(client, &bytes);
    }

    fn act(&mut self, client: &mut Client, stream: u32, act: Act) {
        let number = self.number();
        let with_name = |name: &str| {
            let mut rest = vec![5];
            text(name).emit(&mut rest);
            rest
        };
        let bytes = match act {
            Act::Connect(len) => {
                let address = self.server.rtmp_addresses()[0];
                *client = Client::connect(address);
                let mut bytes = wire::c0_c1();
                bytes.resize(bytes.len() + 1536, 0);
                bytes.extend(set_chunk_size(65_536));
                self.send(client, &bytes);
                return self.connect(client, len);
            }
            Act::CreateStream => return self.command(client, 0, "createStream", &[5]),
            Act::Publish(name) => {
                let name = self.name(name);
                return self.command(client, stream, "publish", &with_name(&name));
            }
            Act::Play(name) => {
                let name = self.name(name);
                return self.command(client, stream, "play", &with_name(&name));
            }
            Act::Pause => return self.command(client, stream, "pause", &[5, 1, 1]),
            Act::CloseStream => return self.command(client, stream, "closeStream", &[5]),
            Act::DeleteStream => {
                let mut rest = vec![5];
                Value::Number(stream.into()).emit(&mut rest);
                return self.command(client, 0, "deleteStream", &rest);
            }
            Act::Metadata(len) => {
                let value = format!("{number}{}", "m".repeat(200));
                let names = ["encoder", "width", "comment", "title"];
                let properties = (0..1 + len.bytes() / 220)
                    .map(|index| (names[index % names.len()], text(&value)));
                let mut rest = Vec::new();
                object(properties).emit(&mut rest);
                message(type_id::DATA, stream, &metadata(&rest))
            }
            Act::VideoHeader(None, len) => {
                let payload = wire::video_header(number, len.bytes());
                let mut bytes =
                    header(6, client.time, payload.len() as u32, type_id::VIDEO, stream);
                bytes.extend(payload);
                bytes
            }
            Act::VideoHeader(Some(track), len) => {
                let track = match track {
                    ANOTHER_TRACK => (number % 40) as u8,
                    track => track,
                };
                let mut payload = [b"\x96\0hvc1", &[track][..], &number.to_be_bytes()].concat();
                payload.resize(payload.len().max(len.bytes()), 1);
                message(type_id::VIDEO, stream, &payload)
            }
            Act::AudioHeader(len) => {
                let mut payload = AAC_HEADER.to_vec();
                payload.extend(number.to_be_bytes());
                payload.resize(payload.len().max(len.bytes()), 1);
                message(type_id::AUDIO, stream, &payload)
            }
            Act::Keyframe(len) => self.media(client, stream, &[0x17, 1, 0, 0, 0], len),
            Act::Picture(len) => self.media(client, stream, &[0x27, 1, 0, 0, 0], len),
            Act::Sound(len) => self.media(client, stream, &[0xAF, 1], len),
            Act::Unknown(len) => {
                let payload = command("unknown", 0.0, &vec![5; len.bytes()]);
                let chunk_stream_id = 3 + number % 56;
                let len = payload.len() as u32;
                let mut bytes = header(chunk_stream_id, 0, len, type_id::COMMAND, 0);
                bytes.extend(payload);
                bytes
            }
            Act::Begin(len) => {
                let len = len.bytes() as u32 * 2;
                let mut bytes = header(3 + number % 56, 0, len, type_id::VIDEO, stream);
                bytes.resize(bytes.len() + len as usize / 2, 0x17);
                // Unless it is cut into chunks, more of them than one would end.
                client.is_over = true;
                bytes
            }
            Act::Ping => wire::user_control(wire::PING_REQUEST, &number.to_be_bytes()),
            Act::Read => {
                thread::sleep(MOMENT);
                return client.read();
            }
            Act::Leave => {
                client.is_over = true;
                return;
            }
        };
        if matches!(act, Act::Begin(_)) {
            client.is_over = false;
            self.send(client, &bytes);
            client.is_over = true;
            return;
        }
        self.send(client, &bytes);
    }

    fn media(&mut self, client: &mut Client, stream: u32, tag: &[u8], len: Len) -> Vec<u8> {
        // Many tiny ones lie within any history.
        client.time += if matches!(len, Len::Tiny) { 1 } else { 33 };
        let type_id = if tag[0] == 0xAF {
            type_id::AUDIO
        } else {
            type_id::VIDEO
        };
        let mut bytes = header(6, client.time, len.bytes() as u32, type_id, stream);
        bytes.extend(tag);
        bytes.resize(bytes.len() + len.bytes() - tag.len(), 0x41);
        bytes
    }

    fn ask(&mut self, client: &mut Client, ask: Ask) {
        // A request's head is at most 8 KiB.
        let padding = |len: Len| -> String {
            let lines = 0..len.bytes().min(6_900) / 120;
            lines
                .map(|n| format!("X-{n}: {}\r\n", "h".repeat(110)))
                .collect()
        };
        let request = match ask {
            Ask::Get(what, query, head) => {
                let target = self.target(what, query.bytes().min(5_000));
                format!(
                    "GET {target} HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
                    padding(head)
                )
            }
            Ask::Upgrade(what, head) => {
                let target = self.target(what, 10);
                let headers = UPGRADE.to_owned() + &padding(head);
                format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
            }
            Ask::Half(head) => format!("GET / HTTP/1.1\r\n{}", padding(head)),
            Ask::Ping => return self.send(client, &client_frame(0x89, b"")),
            Ask::Leave => {
                client.is_over = true;
                return;
            }
        };
        self.send(client, request.as_bytes());
    }

    fn target(&mut self, what: What, query_len: usize) -> String {
        let query = format!("key={}", "q".repeat(query_len));
        let path = match what {
            What::Home => "/".into(),
            What::Stat => "/stat".into(),
            What::Metrics => "/metrics".into(),
            What::Streams => "/api/v1/streams".into(),
            What::Connections => "/api/v1/connections".into(),
            What::Player(name) => format!("/live/{}", self.name(name)),
            What::Playlist(name) => format!("/live/{}.m3u8", self.name(name)),
            What::MediaPlaylist(name) => format!("/live/{}/media.m3u8", self.name(name)),
            What::NextPlaylist(name) => {
                return format!("/live/{}/media.m3u8?_HLS_msn=1&{query}", self.name(name));
            }
            What::Init(name) => format!("/live/{}/00c0ffee-1.mp4", self.name(name)),
            What::Segment(name) => format!("/live/{}/00c0ffee-7.m4s", self.name(name)),
            What::Flv(name) => format!("/live/{}.flv", self.name(name)),
            What::Mp4(name) => format!("/live/{}.mp4", self.name(name)),
            What::Frame(name) => format!("/live/{}/frame.mp4", self.name(name)),
        };
        format!("{path}?{query}")
    }
}
