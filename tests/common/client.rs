//! A plain RTMP client for tests, and servers to talk to.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::chunk::MessageHeader;
use brooklet::rtmp::chunk_reader::{ChunkReader, Heap, Limits};
use brooklet::rtmp::chunk_writer::ChunkWriter;
use brooklet::rtmp::command::{Command, object, text};
use brooklet::rtmp::message::{Control, type_id};
use brooklet::{Config, Server};
use socket2::{Domain, Socket, Type};

/// How long a test waits for what must come: longer than any of the server's own timeouts, and long
/// enough for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const AVC_HEADER: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x04\x67\x42\xC0\x1E\x01\0\0";
pub(crate) const AAC_HEADER: &[u8] = b"\xAF\0\x12\x10";

/// A server on a free port of loopback.
pub(crate) fn server(config: Config) -> Server {
    Server::start(on_free_ports(config)).unwrap()
}

/// The same, listening on free ports of loopback.
pub(crate) fn on_free_ports(config: Config) -> Config {
    let free = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    Config {
        rtmp: free.clone(),
        http: free,
        ..config
    }
}

/// A configuration for tests that wait for the end of a stream.
pub(crate) fn short_grace() -> Config {
    Config {
        grace: Duration::from_millis(200),
        ..Config::default()
    }
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) type_id: u8,
    pub(crate) message_stream_id: u32,
    pub(crate) timestamp: u32,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn is_video(&self) -> bool {
        self.type_id == type_id::VIDEO
    }

    pub(crate) fn is_keyframe(&self) -> bool {
        self.is_video() && self.payload.starts_with(&[0x17, 1])
    }

    /// A picture or sound, not a sequence header.
    pub(crate) fn is_media(&self) -> bool {
        matches!(self.type_id, type_id::VIDEO | type_id::AUDIO) && self.payload[1] == 1
    }

    /// The number which [`Client::send_picture`] put there.
    pub(crate) fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[5..9].try_into().unwrap())
    }

    pub(crate) fn command(&self) -> Option<Command> {
        (self.type_id == type_id::COMMAND).then(|| Command::parse(&self.payload).unwrap())
    }

    /// Level, code and description of an onStatus or _error.
    pub(crate) fn status(&self) -> Option<(String, String, String)> {
        let command = self.command()?;
        let property = |key| {
            Some(
                command
                    .arguments
                    .first()?
                    .property(key)?
                    .as_str()?
                    .to_owned(),
            )
        };
        Some((
            property("level")?,
            property("code")?,
            property("description")?,
        ))
    }
}

pub(crate) struct Client {
    socket: TcpStream,
    reader: ChunkReader<Heap>,
    writer: ChunkWriter,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were handled.
    handled: usize,
    filled: usize,
}

impl Client {
    /// A connection after the handshake.
    pub(crate) fn handshaken(server: SocketAddr) -> Client {
        Client::handshaken_from(Ipv4Addr::LOCALHOST, server)
    }

    /// The same from another address of loopback.
    pub(crate) fn handshaken_from(local: Ipv4Addr, server: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::new(IpAddr::V4(local), 0).into())
            .unwrap();
        socket.connect(&server.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut c0_c1 = vec![3; 1537];
        c0_c1[1..9].fill(0);
        socket.write_all(&c0_c1).unwrap();
        let mut answer = vec![0; 3073];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer[1537..], c0_c1[1..], "S2 repeats C1");
        socket.write_all(&answer[1..1537]).unwrap();
        let limits = Limits {
            media: 1 << 24,
            data: 1 << 24,
            command: 1 << 24,
            ..Limits::NONE
        };
        Client {
            socket,
            reader: ChunkReader::new(Heap, limits),
            writer: ChunkWriter::default(),
            buffer: vec![0; 64 * 1024],
            handled: 0,
            filled: 0,
        }
    }

    /// A connection after connect and createStream, with message stream 1.
    pub(crate) fn connected(server: SocketAddr, app: &str) -> Client {
        Client::handshaken(server).connect(app)
    }

    pub(crate) fn connect(self, app: &str) -> Client {
        self.connect_with(parameters_for(app))
    }

    /// Says connect, and no more.
    pub(crate) fn send_connect(&mut self, app: &str) {
        self.send_command(0, "connect", 1.0, parameters_for(app), vec![]);
    }

    pub(crate) fn connect_with(mut self, parameters: Value) -> Client {
        self.send_command(0, "connect", 1.0, parameters, vec![]);
        self.wait_for_command("_result");
        self.send_command(0, "createStream", 2.0, Value::Null, vec![]);
        let reply = self.wait_for_command("_result");
        assert_eq!(reply.arguments, [Value::Number(1.0)]);
        let mut out = Vec::new();
        self.writer.announce_chunk_size(&mut out);
        self.send(&out);
        self
    }

    /// A connection that publishes.
    pub(crate) fn publishing(server: SocketAddr, app: &str, name: &str) -> Client {
        let mut client = Client::connected(server, app);
        client.publish(name);
        let (_, code, _) = client.wait_for_status();
        assert_eq!(code, "NetStream.Publish.Start");
        client
    }

    /// A connection that plays, after the server's answer to that.
    pub(crate) fn playing(server: SocketAddr, app: &str, name: &str) -> Client {
        let mut client = Client::connected(server, app);
        client.play(name);
        while client.wait_for_status().1 != "NetStream.Play.Start" {}
        client
    }

    pub(crate) fn publish(&mut self, name: &str) {
        self.send_command(
            1,
            "publish",
            3.0,
            Value::Null,
            vec![text(name), text("live")],
        );
    }

    pub(crate) fn play(&mut self, name: &str) {
        self.send_command(1, "play", 4.0, Value::Null, vec![text(name)]);
    }

    pub(crate) fn send_command(
        &mut self,
        message_stream_id: u32,
        name: &str,
        transaction_id: f64,
        object: Value,
        arguments: Vec<Value>,
    ) {
        let command = Command {
            name: name.to_owned(),
            transaction_id,
            object,
            arguments,
        };
        self.send_message(type_id::COMMAND, message_stream_id, 0, &command.emit());
    }

    pub(crate) fn send_headers(&mut self) {
        self.send_message(type_id::VIDEO, 1, 0, AVC_HEADER);
        self.send_message(type_id::AUDIO, 1, 0, AAC_HEADER);
    }

    /// A picture of `len` bytes that carries a number.
    pub(crate) fn send_picture(&mut self, number: u32, timestamp: u32, is_key: bool, len: usize) {
        let mut payload = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        payload.extend(number.to_be_bytes());
        payload.push(0x41);
        payload.resize(len.max(10), number as u8);
        self.send_message(type_id::VIDEO, 1, timestamp, &payload);
    }

    pub(crate) fn send_message(
        &mut self,
        type_id: u8,
        message_stream_id: u32,
        timestamp: u32,
        payload: &[u8],
    ) {
        let chunk_stream_id = if type_id == type_id::COMMAND {
            3
        } else {
            type_id % 60
        };
        let header = MessageHeader {
            chunk_stream_id: chunk_stream_id.max(3),
            timestamp,
            len: 0,
            type_id,
            message_stream_id,
        };
        let mut out = Vec::new();
        self.writer.write(header, payload, &mut out);
        self.send(&out);
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A server that has hung up is found out by what is read.
        let _ = self.socket.write_all(bytes);
    }

    /// The next message; `None` when the server has closed.
    pub(crate) fn next(&mut self) -> Option<Message> {
        loop {
            let mut input = &self.buffer[self.handled..self.filled];
            let before = input.len();
            let read = self.reader.read(&mut input).unwrap();
            self.handled += before - input.len();
            if let Some(header) = read {
                let payload = self.reader.payload().unwrap().clone();
                if (1..=6).contains(&header.type_id) {
                    if let Ok(Control::SetChunkSize(size)) =
                        Control::parse(header.type_id, &payload)
                    {
                        self.reader.set_chunk_size(size).unwrap();
                    }
                }
                return Some(Message {
                    type_id: header.type_id,
                    message_stream_id: header.message_stream_id,
                    timestamp: header.timestamp,
                    payload,
                });
            }
            self.handled = 0;
            self.filled = match self.socket.read(&mut self.buffer) {
                Ok(0) => return None,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                // A read with a time-out is not resumed by itself when the process was stopped
                // for a moment.
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => panic!("nothing came: {error}"),
            };
        }
    }

    /// The next message for which this holds.
    pub(crate) fn wait_for(&mut self, what: &str, is_it: impl Fn(&Message) -> bool) -> Message {
        loop {
            match self.next() {
                Some(message) if is_it(&message) => return message,
                Some(_) => {}
                None => panic!("closed while waiting for {what}"),
            }
        }
    }

    pub(crate) fn wait_for_media(&mut self) -> Message {
        self.wait_for("media", Message::is_media)
    }

    pub(crate) fn wait_for_command(&mut self, name: &str) -> Command {
        let is_it = |m: &Message| m.command().is_some_and(|command| command.name == name);
        self.wait_for(name, is_it).command().unwrap()
    }

    /// The next status: level, code, description.
    pub(crate) fn wait_for_status(&mut self) -> (String, String, String) {
        self.wait_for("a status", |message| message.status().is_some())
            .status()
            .unwrap()
    }

    /// Reads until the server closes; returns what came.
    pub(crate) fn until_closed(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.next()).collect()
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

fn parameters_for(app: &str) -> Value {
    object([("app", text(app)), ("flashVer", text("test"))])
}
