//! A viewer of FLV or fragmented MP4, over HTTP or a WebSocket.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::client::DEADLINE;

/// The key from RFC 6455, 1.3, and the server's response to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const PROOF: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Opcodes of WebSocket messages.
pub(crate) mod opcode {
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

/// The parts of a file, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The header of an FLV file, with its flags.
    FileHeader(u8),
    /// Metadata or a sequence header.
    Header(Vec<u8>),
    /// The init segment of an MP4 file.
    Init(Vec<u8>),
    Frame(Frame),
    Sound,
}

/// A frame sent by [`Client::send_frame`](crate::client::Client::send_frame).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) number: u32,
    /// The timestamp in ms.
    pub(crate) time: u64,
    pub(crate) is_keyframe: bool,
    /// The length of the frame in bytes, without the five bytes that precede it in RTMP.
    pub(crate) len: usize,
}

pub(crate) struct Viewer {
    socket: TcpStream,
    is_mp4: bool,
    carrier: Carrier,
    /// The received bytes that haven't been parsed yet.
    raw: Vec<u8>,
    /// The received bytes of the file, without the carrier's framing.
    body: Vec<u8>,
    /// WebSocket messages other than binary ones.
    messages: VecDeque<(u8, Vec<u8>)>,
    has_header: bool,
    /// Whether the last chunk was received.
    is_over: bool,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    /// A body that ends with its connection.
    Plain,
    /// A chunked body.
    Chunks,
    WebSocket,
}

/// The status and fields of a response, in lower case.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Head {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Viewer {
    /// Sends a request without reading the response.
    pub(crate) fn ask(server: SocketAddr, target: &str) -> Viewer {
        Viewer::ask_with(server, target, "HTTP/1.1", "")
    }

    /// Sends a request in HTTP/1.0.
    pub(crate) fn ask_by_http_1_0(server: SocketAddr, target: &str) -> Viewer {
        Viewer::ask_with(server, target, "HTTP/1.0", "")
    }

    /// Requests a file, and reads the head of the response, whose status must be 200.
    pub(crate) fn of(server: SocketAddr, target: &str) -> Viewer {
        let mut viewer = Viewer::ask(server, target);
        let head = viewer.head();
        assert_eq!(head.status, 200, "{head:?}");
        viewer
    }

    /// Opens a file over a WebSocket.
    pub(crate) fn of_websocket(server: SocketAddr, target: &str) -> Viewer {
        let fields = format!(
            "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n"
        );
        let mut viewer = Viewer::ask_with(server, target, "HTTP/1.1", &fields);
        let head = viewer.head();
        assert_eq!(head.status, 101, "{head:?}");
        let proof = PROOF.to_lowercase();
        assert_eq!(head.field("sec-websocket-accept"), Some(&proof[..]));
        viewer.carrier = Carrier::WebSocket;
        viewer
    }

    fn ask_with(server: SocketAddr, target: &str, version: &str, fields: &str) -> Viewer {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // A small buffer, so that a viewer that doesn't read fills it quickly.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.connect(&server.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!("GET {target} {version}\r\nHost: {server}\r\n{fields}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        Viewer {
            socket,
            is_mp4: target.contains(".mp4"),
            carrier: Carrier::Plain,
            raw: Vec::new(),
            body: Vec::new(),
            messages: VecDeque::new(),
            has_header: false,
            is_over: false,
            has_ended: false,
        }
    }

    /// Reads the response's head.
    pub(crate) fn head(&mut self) -> Head {
        let end = loop {
            let found = self.raw.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = found {
                break end + 4;
            }
            assert!(self.receive(), "no response");
        };
        let head: Vec<u8> = self.raw.drain(..end).collect();
        let text = String::from_utf8(head).unwrap().to_lowercase();
        let status = text.strip_prefix("http/1.1 ").unwrap();
        let status = status.get(..3).unwrap().parse().unwrap();
        let head = Head { status, text };
        if head.field("transfer-encoding") == Some("chunked") {
            self.carrier = Carrier::Chunks;
        }
        head
    }

    /// Reads the available bytes. Returns false at the end.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let len = loop {
            match self.socket.read(&mut buffer) {
                Ok(len) => break len,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("nothing came: {error}"),
            }
        };
        self.raw.extend_from_slice(&buffer[..len]);
        self.has_ended |= len == 0;
        len > 0
    }

    /// Removes the next WebSocket message from the front. Returns false if it is incomplete.
    fn unwrap_message(&mut self) -> bool {
        let raw = &self.raw;
        let (len, head) = match raw.get(1) {
            Some(126) if raw.len() >= 4 => (u64::from(u16::from_be_bytes([raw[2], raw[3]])), 4),
            Some(127) if raw.len() >= 10 => {
                (u64::from_be_bytes(raw[2..10].try_into().unwrap()), 10)
            }
            Some(len @ 0..=125) => (u64::from(*len), 2),
            Some(len) if *len > 127 => panic!("a server doesn't mask"),
            _ => return false,
        };
        assert_eq!(raw[0] & 0xF0, 0x80, "a whole message");
        let end = head + len as usize;
        if raw.len() < end {
            return false;
        }
        let opcode = raw[0] & 0x0F;
        let payload = raw[head..end].to_vec();
        self.raw.drain(..end);
        match opcode {
            opcode::BINARY => self.body.extend(payload),
            _ => self.messages.push_back((opcode, payload)),
        }
        true
    }

    /// Reads until `len` bytes of the file are available. Returns false if the file ends before that.
    fn fill(&mut self, len: usize) -> bool {
        while self.body.len() < len {
            let is_unwrapped = match self.carrier {
                Carrier::Plain => {
                    self.body.append(&mut self.raw);
                    false
                }
                Carrier::Chunks => self.unwrap_chunk(),
                Carrier::WebSocket => self.unwrap_message(),
            };
            if !is_unwrapped && self.body.len() < len && (self.is_over || !self.receive()) {
                return false;
            }
        }
        true
    }

    /// Removes the next chunk from the front. Returns false if it is incomplete.
    fn unwrap_chunk(&mut self) -> bool {
        let line = self.raw.windows(2).position(|two| two == b"\r\n");
        let Some(line) = line else { return false };
        let digits = std::str::from_utf8(&self.raw[..line]).unwrap();
        let size = usize::from_str_radix(digits, 16).expect("the size of a chunk");
        let end = line + 2 + size;
        if self.raw.len() < end + 2 {
            return false;
        }
        assert_eq!(self.raw[end..end + 2], *b"\r\n");
        self.body.extend_from_slice(&self.raw[line + 2..end]);
        self.raw.drain(..end + 2);
        self.is_over |= size == 0;
        true
    }

    /// Returns the next WebSocket message that isn't part of the file; `None` at the end.
    pub(crate) fn next_message(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Some(message);
            }
            if !self.unwrap_message() && !self.receive() {
                return None;
            }
        }
    }

    /// Sends a message, masked as required for clients.
    pub(crate) fn send_message(&mut self, opcode: u8, payload: &[u8]) {
        const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
        let mut frame = vec![0x80 | opcode, 0x80 | payload.len() as u8];
        frame.extend(MASK);
        let masked = payload.iter().zip(MASK.iter().cycle());
        frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        self.socket.write_all(&frame).unwrap();
    }

    /// Returns the next part; `None` once the server has closed.
    pub(crate) fn next(&mut self) -> Option<Part> {
        match self.is_mp4 {
            true => self.next_box(),
            false => self.next_tag(),
        }
    }

    /// Returns the next frame. The file must not end before it.
    pub(crate) fn next_frame(&mut self) -> Frame {
        self.frames().next().expect("the file goes on")
    }

    /// Returns the frames up to the file's end.
    pub(crate) fn frames(&mut self) -> impl Iterator<Item = Frame> + '_ {
        std::iter::from_fn(|| self.next()).filter_map(|part| match part {
            Part::Frame(frame) => Some(frame),
            _ => None,
        })
    }

    /// Whether the file ended at the end of a part. Reads to the end first.
    pub(crate) fn is_whole(&mut self) -> bool {
        while self.receive() {}
        let is_over = self.is_over || self.carrier != Carrier::Chunks;
        self.has_ended && is_over && self.raw.is_empty() && self.body.is_empty()
    }

    fn next_tag(&mut self) -> Option<Part> {
        if !self.has_header {
            self.fill(13).then_some(())?;
            let header: Vec<u8> = self.body.drain(..13).collect();
            assert_eq!(header[..4], *b"FLV\x01");
            assert_eq!(header[5..], [0, 0, 0, 9, 0, 0, 0, 0]);
            self.has_header = true;
            return Some(Part::FileHeader(header[4]));
        }
        self.fill(11).then_some(())?;
        let len = number(&[&[0], &self.body[1..4]].concat()) as usize;
        self.fill(11 + len + 4).then_some(())?;
        let tag: Vec<u8> = self.body.drain(..11 + len + 4).collect();
        assert_eq!(tag[8..11], [0; 3]);
        assert_eq!(number(&tag[11 + len..]) as usize, 11 + len);
        let time = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
        let payload = &tag[11..11 + len];
        Some(match (tag[0], payload) {
            (9, [first, 1, _, _, _, body @ ..]) => Part::Frame(Frame {
                number: number(body),
                time: time.into(),
                is_keyframe: first >> 4 == 1,
                len: body.len(),
            }),
            (8, [_, 1, ..]) => Part::Sound,
            _ => Part::Header(payload.to_vec()),
        })
    }

    fn next_box(&mut self) -> Option<Part> {
        self.fill(8).then_some(())?;
        let first = number(&self.body) as usize;
        self.fill(first + 8).then_some(())?;
        let second = number(&self.body[first..]) as usize;
        self.fill(first + second).then_some(())?;
        let both: Vec<u8> = self.body.drain(..first + second).collect();
        match (&both[4..8], &both[first + 4..first + 8]) {
            (b"ftyp", b"moov") => Some(Part::Init(both)),
            (b"moof", b"mdat") => {
                let (head, sample) = (&both[..first], &both[first + 8..]);
                assert_eq!(number(&head[92..]) as usize, sample.len());
                let time = u64::from(number(&head[60..])) << 32 | u64::from(number(&head[64..]));
                Some(match number(&head[44..]) {
                    1 => Part::Frame(Frame {
                        number: number(sample),
                        time,
                        is_keyframe: number(&head[96..]) & 0x1_0000 == 0,
                        len: sample.len(),
                    }),
                    _ => Part::Sound,
                })
            }
            names => panic!("boxes {names:?}"),
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}
