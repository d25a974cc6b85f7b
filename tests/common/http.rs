//! A plain HTTP client for tests.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};

use flate2::read::GzDecoder;
use socket2::{Domain, Socket, Type};

use super::client::DEADLINE;

/// A response as received. The date is ignored when responses are compared.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// All lines before the body, without the empty line and the date.
    pub(crate) head: String,
    pub(crate) date: String,
    pub(crate) body: Vec<u8>,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Answer) -> bool {
        (self.status, &self.head, &self.body) == (other.status, &other.head, &other.body)
    }
}

impl Eq for Answer {}

impl Answer {
    /// Returns the value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        match self.header("content-encoding") {
            Some("gzip") => GzDecoder::new(&self.body[..])
                .read_to_end(&mut text)
                .unwrap(),
            _ => (&self.body[..]).read_to_end(&mut text).unwrap(),
        };
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// A connection, and the received bytes that haven't been read yet.
pub(crate) struct HttpClient {
    socket: TcpStream,
    rest: Vec<u8>,
}

impl HttpClient {
    pub(crate) fn connect(server: SocketAddr) -> HttpClient {
        let socket = TcpStream::connect(server).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        let rest = Vec::new();
        HttpClient { socket, rest }
    }

    /// Connects with a receive buffer of about `len` bytes.
    pub(crate) fn with_receive_buffer(server: SocketAddr, len: usize) -> HttpClient {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(len).unwrap();
        socket.connect(&server.into()).unwrap();
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        let rest = Vec::new();
        HttpClient { socket, rest }
    }

    /// Waits until there is a byte to read.
    pub(crate) fn wait_for_byte(&self) {
        assert_eq!(self.socket.peek(&mut [0]).unwrap(), 1);
    }

    /// Connects from an address of this machine.
    pub(crate) fn connect_from(local: Ipv4Addr, server: SocketAddr) -> HttpClient {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((local, 0)).into()).unwrap();
        socket.connect(&server.into()).unwrap();
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        let rest = Vec::new();
        HttpClient { socket, rest }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request with additional header lines, each ending with CR LF.
    pub(crate) fn request(&mut self, method: &str, target: &str, headers: &str) {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
        ));
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, "");
        self.answer()
    }

    /// Returns the next response. The end of its body is given by Content-Length, by chunks, or by the
    /// end of the connection.
    pub(crate) fn answer(&mut self) -> Answer {
        self.next(true).expect("an answer")
    }

    /// Returns the head of a response with an endless body.
    pub(crate) fn answer_head(&mut self) -> Answer {
        self.next(false).expect("an answer")
    }

    /// Returns a response that has no body.
    pub(crate) fn bodiless_answer(&mut self) -> Answer {
        self.next(false).expect("an answer")
    }

    /// Returns the next response; `None` if the server closes instead.
    pub(crate) fn next(&mut self, has_body: bool) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            if self.read() == 0 {
                assert_eq!(self.rest, b"", "half an answer");
                return None;
            }
        };
        let head = String::from_utf8(self.rest[..end].to_vec()).unwrap();
        self.rest.drain(..end + 4);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut head, mut date) = (head, String::new());
        if let Some((before, rest)) = head.split_once("\r\nDate: ") {
            let end = rest.find("\r\n").unwrap_or(rest.len());
            date = rest[..end].to_owned();
            head = [before, &rest[end..]].concat();
        }
        let mut answer = Answer {
            status,
            head,
            date,
            body: Vec::new(),
        };
        if !has_body || matches!(status, 101 | 204 | 304) {
            return Some(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = self.chunked_body();
            return Some(answer);
        }
        match answer
            .header("content-length")
            .map(|len| len.parse().unwrap())
        {
            Some(len) => {
                while self.rest.len() < len {
                    assert_ne!(self.read(), 0, "the body is complete: {}", answer.head);
                }
                answer.body = self.rest.drain(..len).collect();
            }
            None => {
                while self.read() > 0 {}
                answer.body = std::mem::take(&mut self.rest);
            }
        }
        Some(answer)
    }

    /// Reads a chunked body (RFC 9112, 7.1).
    fn chunked_body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = self.rest.windows(2).position(|bytes| bytes == b"\r\n") {
                    break self.rest.drain(..at + 2).take(at).collect::<Vec<_>>();
                }
                assert_ne!(self.read(), 0, "the body is complete");
            };
            let len = usize::from_str_radix(std::str::from_utf8(&line).unwrap(), 16).unwrap();
            while self.rest.len() < len + 2 {
                assert_ne!(self.read(), 0, "the body is complete");
            }
            body.extend(self.rest.drain(..len));
            assert_eq!(self.rest.drain(..2).collect::<Vec<_>>(), b"\r\n");
            if len == 0 {
                return body;
            }
        }
    }

    /// Returns all bytes until the server closes, by an end or a reset.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        while self.read() > 0 {}
        std::mem::take(&mut self.rest)
    }

    /// Closes the sending side.
    pub(crate) fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    fn read(&mut self) -> usize {
        let mut buffer = [0; 16 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(len) => {
                self.rest.extend_from_slice(&buffer[..len]);
                len
            }
            Err(error) => {
                let is_reset = error.kind() == ErrorKind::ConnectionReset;
                assert!(is_reset, "waited in vain for the server: {error}");
                0
            }
        }
    }
}

/// A WebSocket, and the received bytes that haven't been read yet.
pub(crate) struct WebSocket(HttpClient);

/// The header lines of an upgrade, with the key from RFC 6455, 1.3.
pub(crate) const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl WebSocket {
    /// Opens a WebSocket.
    pub(crate) fn open(server: SocketAddr, target: &str) -> WebSocket {
        let mut client = HttpClient::connect(server);
        client.request("GET", target, UPGRADE);
        let answer = client.answer();
        assert_eq!(answer.status, 101, "{}", answer.head);
        let accept = answer.header("sec-websocket-accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        WebSocket(client)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.0.socket()
    }

    /// Sends a masked frame: its first byte, and the payload.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        self.0.send(client_frame(first, payload));
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.send(bytes);
    }

    /// Returns the first byte and the payload of the next frame; `None` at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, payload, len)) = server_frame(&self.0.rest) {
                self.0.rest.drain(..len);
                return Some((first, payload));
            }
            if self.0.read() == 0 {
                return None;
            }
        }
    }

    /// Returns the status code with which the server closes, after skipping other frames.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some((first, payload)) = self.next() {
            assert_eq!(code, None, "a frame after Close");
            if first == 0x88 {
                code = Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        code
    }
}

/// Builds a frame in the form that clients send (RFC 6455, 5.2 and 5.3).
pub(crate) fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

    let mut bytes = match payload.len() {
        len @ 0..=125 => vec![first, 0x80 | len as u8],
        len @ 126..=0xFFFF => [&[first, 0xFE][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[first, 0xFF][..], &(len as u64).to_be_bytes()].concat(),
    };
    bytes.extend(MASK);
    let mask = MASK.iter().cycle();
    bytes.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Returns the first byte, payload and length of the frame at the front, if it is complete.
fn server_frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (start, len) = match *bytes.get(1)? {
        126 => (
            4,
            u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(),
        ),
        127 => (
            10,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
        ),
        len => {
            assert!(len < 126, "servers don't mask");
            (2, usize::from(len))
        }
    };
    let payload = bytes.get(start..start + len)?.to_vec();
    Some((bytes[0], payload, start + len))
}
