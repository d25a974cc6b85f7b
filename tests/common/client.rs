//! A plain RTMP client for tests, and servers that it can connect to.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::chunk::MessageHeader;
use brooklet::rtmp::chunk_reader::{ChunkReader, Heap, Limits};
use brooklet::rtmp::chunk_writer::ChunkWriter;
use brooklet::rtmp::command::{Command, object, text};
use brooklet::rtmp::message::{Control, type_id};
use brooklet::{Config, Server};
use socket2::{Domain, Socket, Type};

/// The deadline for events that a test waits for.
pub(crate) const DEADLINE: Duration = super::SOON;

/// An H.264 sequence header without a usable parameter set: no file format can hold such a stream.
pub(crate) const AVC_HEADER: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x04\x67\x42\xC0\x1E\x01\0\0";
/// An H.264 sequence header of 320x240 pixels, with everything that files need.
pub(crate) const AVC_320X240: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xc0\x0d\xff\xe1\0\x16\x67\x42\xc0\x0d\xda\x05\x07\xec\x04\x40\
    \0\0\x03\0\x40\0\0\x0c\x83\xc5\x0a\xa8\x01\0\x04\x68\xce\x0f\xc8";

pub(crate) const AAC_HEADER: &[u8] = b"\xAF\0\x12\x10";

/// Starts a server on a free port of the loopback address.
pub(crate) fn server(config: Config) -> Server {
    Server::start(on_free_ports(config)).unwrap()
}

/// Makes a configuration listen on free ports of the loopback address.
pub(crate) fn on_free_ports(config: Config) -> Config {
    let free = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let http = if cfg!(feature = "http") {
        free.clone()
    } else {
        Vec::new()
    };
    config.rtmp(free).http(http)
}

/// A configuration with a short grace time, for tests that wait for the end of a stream.
pub(crate) fn short_grace() -> Config {
    Config::default().grace(Duration::from_millis(200))
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    super::wait_until(what, DEADLINE, condition);
}

/// Reads until the server closes, by an end or a reset. Returns the bytes received.
pub(crate) fn read_until_closed(mut socket: &TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16_384]);
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(len) => bytes.extend(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("the server hasn't hung up: {error}"),
        }
    }
}

/// A message as it was received.
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

    /// Whether this is an audio or video frame, as opposed to a sequence header.
    pub(crate) fn is_media(&self) -> bool {
        matches!(self.type_id, type_id::VIDEO | type_id::AUDIO) && self.payload[1] == 1
    }

    /// Returns the number that [`Client::send_frame`] put into the payload.
    pub(crate) fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[5..9].try_into().unwrap())
    }

    pub(crate) fn command(&self) -> Option<Command> {
        (self.type_id == type_id::COMMAND).then(|| Command::parse(&self.payload).unwrap())
    }

    /// Returns the level, code and description of an onStatus or _error.
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
    /// The number of bytes of `buffer` that have been handled.
    handled: usize,
    filled: usize,
}

impl Client {
    /// Opens a connection and does the handshake.
    pub(crate) fn handshaken(server: SocketAddr) -> Client {
        Client::handshaken_from(Ipv4Addr::LOCALHOST, server)
    }

    /// Like [`handshaken`](Client::handshaken), from another loopback address.
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

    /// Opens a connection, up to connect and createStream, with message stream 1.
    pub(crate) fn connected(server: SocketAddr, app: &str) -> Client {
        Client::handshaken(server).connect(app)
    }

    pub(crate) fn connect(self, app: &str) -> Client {
        self.connect_with(parameters_for(app))
    }

    /// Sends connect and nothing else.
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

    /// Opens a connection that publishes.
    pub(crate) fn publishing(server: SocketAddr, app: &str, name: &str) -> Client {
        let mut client = Client::connected(server, app);
        client.publish(name);
        let (_, code, _) = client.wait_for_status();
        assert_eq!(code, "NetStream.Publish.Start");
        client
    }

    /// Opens a connection that plays, up to the server's reply to the play.
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

    /// Sends a frame of `len` bytes that carries a number.
    pub(crate) fn send_frame(&mut self, number: u32, timestamp: u32, is_key: bool, len: usize) {
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
        // Errors are ignored: if the server has closed, the next read notices it.
        let _ = self.socket.write_all(bytes);
    }

    /// Returns the next message; `None` once the server has closed.
    pub(crate) fn next(&mut self) -> Option<Message> {
        loop {
            let mut input = Bytes::from(&self.buffer[self.handled..self.filled]);
            let before = input.len();
            let read = self.reader.read(&mut input).unwrap();
            self.handled += before - input.len();
            if let Some(header) = read {
                let payload = self.reader.payload(header.in_place).collect::<Vec<_>>();
                let payload = payload.concat();
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
                // A read with a timeout isn't resumed automatically after the process was stopped for a
                // moment.
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => panic!("nothing came: {error}"),
            };
        }
    }

    /// Waits for a message that satisfies a condition.
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

    /// Waits for the next status. Returns its level, code and description.
    pub(crate) fn wait_for_status(&mut self) -> (String, String, String) {
        self.wait_for("a status", |message| message.status().is_some())
            .status()
            .unwrap()
    }

    /// Reads until the server closes. Returns all messages.
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
