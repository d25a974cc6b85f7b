//! A plain HTTP client for tests.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::client::DEADLINE;

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// All lines before the body, without the empty one.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection, and what has come and wasn't looked at.
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

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request with these further header lines, each with CR LF.
    pub(crate) fn request(&mut self, method: &str, target: &str, headers: &str) {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
        ));
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, "");
        self.answer()
    }

    /// The next answer, its body by Content-Length, or to the end without one.
    pub(crate) fn answer(&mut self) -> Answer {
        self.next(true).expect("an answer")
    }

    /// The same for a request whose answer has no body.
    pub(crate) fn bodiless_answer(&mut self) -> Answer {
        self.next(false).expect("an answer")
    }

    /// The next answer; `None` if the server closes instead.
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
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        if !has_body || matches!(status, 101 | 204 | 304) {
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

    /// Everything until the server closes, by an end or a reset.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        while self.read() > 0 {}
        std::mem::take(&mut self.rest)
    }

    /// Says that nothing more will be sent.
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
