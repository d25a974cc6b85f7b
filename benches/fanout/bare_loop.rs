//! The baseline: the least that a fan-out can do, as a process of its own.
//!
//! One thread reads the publishers, chunks each message once and sends it to each player with one
//! send that never waits. Whatever a send leaves over is copied for that player. There is no log,
//! no limit and no recovery: a player starts at the next keyframe, and one that stops reading would
//! fill the memory.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::thread;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::amf::{self, Value};
use crate::wire::{self, CHUNK_SIZE, ChunkReader, Collector, HANDSHAKE_LEN};

const LISTENER: Token = Token(usize::MAX);
const READ_LEN: usize = 64 * 1024;
/// The only message stream of each connection.
const MESSAGE_STREAM_ID: u32 = 1;

/// Serves until standard input ends, which is when the benchmark ends in whatever way.
pub(crate) fn run(address: SocketAddr) -> io::Result<()> {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut server = BareLoop::default();
    let mut buffer = vec![0; READ_LEN];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => server.accept(&listener, &poll)?,
                Token(index) => server.handle_ready(index, &mut buffer),
            }
        }
    }
}

#[derive(Default)]
struct BareLoop {
    /// Indexed by token. A connection is taken out while it is being read.
    connections: Vec<Option<Connection>>,
    streams: HashMap<String, Stream>,
}

/// What the players of one name share.
#[derive(Default)]
struct Stream {
    /// Metadata and sequence headers in chunks, by message type.
    preamble: HashMap<u8, Vec<u8>>,
    /// Indices of connections.
    players: Vec<usize>,
}

struct Connection {
    socket: TcpStream,
    /// C1, until it is complete.
    handshake: Vec<u8>,
    handshake_left: usize,
    reader: ChunkReader,
    collector: Collector,
    role: Role,
    /// Media in chunks, by message type: audio and video may interleave.
    outgoing: HashMap<u8, Vec<u8>>,
    player: Receiver,
}

#[derive(Default)]
enum Role {
    #[default]
    Undecided,
    Publisher(String),
    Player(String),
}

#[derive(Default)]
struct Receiver {
    waits_for_keyframe: bool,
    /// Bytes that the socket did not take yet.
    unsent: Vec<u8>,
}

impl BareLoop {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            let token = Token(self.connections.len());
            poll.registry().register(&mut socket, token, both)?;
            self.connections.push(Some(Connection {
                socket,
                handshake: Vec::new(),
                handshake_left: 1 + 2 * HANDSHAKE_LEN,
                reader: ChunkReader::new(),
                collector: Collector::default(),
                role: Role::default(),
                outgoing: HashMap::new(),
                player: Receiver::default(),
            }));
        }
    }

    fn handle_ready(&mut self, index: usize, buffer: &mut [u8]) {
        let Some(mut connection) = self.connections[index].take() else {
            return;
        };
        let result = connection
            .flush()
            .and_then(|()| self.read(index, &mut connection, buffer));
        match result {
            Ok(()) => self.connections[index] = Some(connection),
            Err(error) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    eprintln!("bare loop: {error}");
                }
                if let Role::Player(name) = &connection.role {
                    let stream = self.streams.entry(name.clone()).or_default();
                    stream.players.retain(|player| *player != index);
                }
            }
        }
    }

    fn read(&mut self, index: usize, from: &mut Connection, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let count = match from.socket.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let input = from.shake_hands(&buffer[..count])?;
            self.handle_input(index, from, input)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            // A short read has emptied the socket; later bytes are a new event.
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    fn handle_input(
        &mut self,
        index: usize,
        from: &mut Connection,
        input: &[u8],
    ) -> Result<(), String> {
        let Connection {
            socket,
            reader,
            collector,
            role,
            outgoing,
            player,
            ..
        } = from;
        reader.feed(input, |piece| {
            match piece.header.message_type {
                message_type @ (wire::AUDIO | wire::VIDEO) => {
                    let Role::Publisher(name) = &*role else {
                        return Ok(());
                    };
                    let out = outgoing.entry(message_type).or_default();
                    if append_media(&piece, out) {
                        self.broadcast(name, message_type, out);
                    }
                }
                message_type => {
                    let Some(payload) = collector.add(&piece)? else {
                        return Ok(());
                    };
                    match (message_type, &*role) {
                        (wire::COMMAND, _) => {
                            let values = amf::parse(payload);
                            let mut out = answer(&values, role);
                            if let (Role::Player(name), b"play") = (&*role, command_name(&values)) {
                                let stream = self.streams.entry(name.clone()).or_default();
                                stream.players.push(index);
                                player.waits_for_keyframe = true;
                                stream
                                    .preamble
                                    .values()
                                    .for_each(|m| out.extend_from_slice(m));
                            }
                            player.send(socket, &out).map_err(|e| e.to_string())?;
                        }
                        (wire::DATA, Role::Publisher(name)) => {
                            let stream = self.streams.entry(name.clone()).or_default();
                            stream.preamble.insert(wire::DATA, metadata(payload));
                        }
                        _ => {}
                    }
                }
            }
            Ok(())
        })
    }

    /// The loop itself: one send per player.
    fn broadcast(&mut self, name: &str, message_type: u8, message: &[u8]) {
        const HEADER_LEN: usize = 12;
        let Some(stream) = self.streams.get_mut(name) else {
            return;
        };
        let (tag, is_sequence_header) = match message.get(HEADER_LEN..HEADER_LEN + 2) {
            Some(start) => (start[0], start[1] == 0),
            None => return,
        };
        if is_sequence_header {
            stream.preamble.insert(message_type, message.to_vec());
        }
        let is_keyframe = message_type == wire::VIDEO && tag >> 4 == 1 && !is_sequence_header;
        let connections = &mut self.connections;
        stream.players.retain(|index| {
            let Some(connection) = &mut connections[*index] else {
                return true; // its `play` is being read right now
            };
            let player = &mut connection.player;
            player.waits_for_keyframe &= !is_keyframe;
            if player.waits_for_keyframe && !is_sequence_header {
                return true;
            }
            let sent = player.send(&mut connection.socket, message);
            if sent.is_err() {
                connections[*index] = None;
            }
            sent.is_ok()
        });
    }
}

impl Connection {
    /// Answers C0 and C1, skips C2; returns what follows.
    fn shake_hands<'a>(&mut self, mut input: &'a [u8]) -> io::Result<&'a [u8]> {
        while self.handshake_left > 0 && !input.is_empty() {
            let in_c1 = self.handshake_left.saturating_sub(HANDSHAKE_LEN);
            let wanted = if in_c1 > 0 {
                in_c1
            } else {
                self.handshake_left
            };
            let (now, rest) = input.split_at(wanted.min(input.len()));
            input = rest;
            self.handshake_left -= now.len();
            if in_c1 > 0 {
                self.handshake.extend_from_slice(now);
            }
            if in_c1 == now.len() {
                // S0, then C1 as S1 and as S2: any bytes do for S1, and S2 is an echo.
                let c1 = self.handshake.split_off(1);
                let hello = [&[3], &c1[..], &c1[..]].concat();
                self.player.send(&mut self.socket, &hello)?;
            }
        }
        Ok(input)
    }

    fn flush(&mut self) -> io::Result<()> {
        let unsent = std::mem::take(&mut self.player.unsent);
        self.player.send(&mut self.socket, &unsent)
    }
}

impl Receiver {
    /// Sends what the socket takes, and keeps the rest.
    fn send(&mut self, socket: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            while !bytes.is_empty() {
                match socket.write(bytes) {
                    Ok(count) => bytes = &bytes[count..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends a piece of media in chunks; returns whether the message is complete.
fn append_media(piece: &wire::Piece<'_>, out: &mut Vec<u8>) -> bool {
    let chunk_stream_id = if piece.header.message_type == wire::AUDIO {
        4
    } else {
        6
    };
    if piece.is_first() {
        out.clear();
        let mut header = piece.header.clone();
        header.chunk_stream_id = chunk_stream_id;
        header.message_stream_id = MESSAGE_STREAM_ID;
        wire::emit_header(&header, out);
    }
    wire::emit_payload(chunk_stream_id, piece.offset, piece.bytes, CHUNK_SIZE, out);
    piece.is_last()
}

/// Metadata as players receive it: in chunks, without "@setDataFrame".
fn metadata(payload: &[u8]) -> Vec<u8> {
    let payload = payload
        .strip_prefix(b"\x02\0\x0D@setDataFrame")
        .unwrap_or(payload);
    let mut out = Vec::new();
    wire::emit_message(
        (5, MESSAGE_STREAM_ID),
        wire::DATA,
        0,
        payload,
        CHUNK_SIZE,
        &mut out,
    );
    out
}

fn command_name(values: &[Value]) -> &[u8] {
    values
        .first()
        .and_then(Value::as_text)
        .unwrap_or_default()
        .as_bytes()
}

/// The reply to a command, in chunks. `publish` and `play` decide the role.
fn answer(values: &[Value], role: &mut Role) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = |ids, arguments: &[Value], size| {
        let payload = amf::emit(arguments);
        wire::emit_message(ids, wire::COMMAND, 0, &payload, size, &mut out);
    };
    let transaction_id = values.get(1).cloned().unwrap_or(Value::Null);
    let name = || {
        values
            .get(3)
            .and_then(Value::as_text)
            .unwrap_or_default()
            .to_owned()
    };
    match command_name(values) {
        b"connect" => {
            let success = Value::object(&[
                ("level", Value::text("status")),
                ("code", Value::text("NetConnection.Connect.Success")),
            ]);
            let properties = Value::object(&[("fmsVer", Value::text("FMS/3,0,1,123"))]);
            let result = [Value::text("_result"), transaction_id, properties, success];
            let mut control = |message_type, payload: &[u8]| {
                wire::emit_message((2, 0), message_type, 0, payload, 128, &mut out);
            };
            let window = 2_500_000u32.to_be_bytes();
            control(wire::WINDOW_ACKNOWLEDGEMENT_SIZE, &window);
            control(wire::SET_PEER_BANDWIDTH, &[&window[..], &[2]].concat());
            control(wire::SET_CHUNK_SIZE, &(CHUNK_SIZE as u32).to_be_bytes());
            let payload = amf::emit(&result);
            wire::emit_message((3, 0), wire::COMMAND, 0, &payload, CHUNK_SIZE, &mut out);
        }
        b"createStream" => {
            let id = Value::Number(f64::from(MESSAGE_STREAM_ID));
            let result = [Value::text("_result"), transaction_id, Value::Null, id];
            reply((3, 0), &result, CHUNK_SIZE);
        }
        b"publish" => {
            *role = Role::Publisher(name());
            reply(
                (5, MESSAGE_STREAM_ID),
                &status("NetStream.Publish.Start"),
                CHUNK_SIZE,
            );
        }
        b"play" => {
            *role = Role::Player(name());
            reply(
                (5, MESSAGE_STREAM_ID),
                &status("NetStream.Play.Start"),
                CHUNK_SIZE,
            );
        }
        _ => {}
    }
    out
}

fn status(code: &str) -> [Value; 4] {
    let information = Value::object(&[
        ("level", Value::text("status")),
        ("code", Value::text(code)),
    ]);
    [
        Value::text("onStatus"),
        Value::Number(0.0),
        Value::Null,
        information,
    ]
}
