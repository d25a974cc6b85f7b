//! An HTTP client that never panics, since malformed responses are to be judged.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// As long as a request may be blocked, three times the longest target, and more.
const TIMEOUT: Duration = Duration::from_secs(45);

/// A response as it was received.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// All lines before the body.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns the value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The body, which isn't compressed.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Requests, over one connection as long as the server keeps it.
pub(crate) struct Http {
    server: SocketAddr,
    socket: Option<TcpStream>,
    rest: Vec<u8>,
}

impl Http {
    pub(crate) fn new(server: SocketAddr) -> Http {
        let (socket, rest) = (None, Vec::new());
        Http {
            server,
            socket,
            rest,
        }
    }

    pub(crate) fn get(&mut self, target: &str) -> std::result::Result<Answer, String> {
        let is_fresh = self.socket.is_none();
        match self.try_get(target) {
            // The server may close an idle connection.
            Err(_) if !is_fresh => {
                self.socket = None;
                self.try_get(target)
            }
            result => result,
        }
    }

    fn try_get(&mut self, target: &str) -> std::result::Result<Answer, String> {
        let result = self.exchange(target);
        let closes = |answer: &Answer| answer.header("connection") == Some("close");
        if result.as_ref().map_or(true, closes) {
            self.socket = None;
        }
        result.map_err(|error| error.to_string())
    }

    fn exchange(&mut self, target: &str) -> Result<Answer> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                let socket = TcpStream::connect(self.server)?;
                socket.set_read_timeout(Some(TIMEOUT))?;
                socket.set_nodelay(true)?;
                self.rest.clear();
                none.insert(socket)
            }
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, deflate\r\n\r\n"
        );
        socket.write_all(request.as_bytes())?;
        let rest = &mut self.rest;
        let mut read = |rest: &mut Vec<u8>| -> Result<()> {
            let mut buffer = [0; 16 * 1024];
            match socket.read(&mut buffer)? {
                0 => Err(ErrorKind::UnexpectedEof.into()),
                len => {
                    rest.extend_from_slice(&buffer[..len]);
                    Ok(())
                }
            }
        };
        let end = loop {
            match rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end,
                None => read(rest)?,
            }
        };
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest.drain(..end + 4);
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut answer = Answer {
            status: status.unwrap_or_default(),
            head,
            body: Vec::new(),
        };
        let bad = |what: String| Error::new(ErrorKind::InvalidData, what);
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = loop {
                    match rest.windows(2).position(|bytes| bytes == b"\r\n") {
                        Some(end) => break rest.drain(..end + 2).collect::<Vec<_>>(),
                        None => read(rest)?,
                    }
                };
                let line = String::from_utf8_lossy(&line);
                let len = usize::from_str_radix(line.trim_end(), 16);
                let len = len.map_err(|_| bad(format!("chunk {line:?}")))?;
                while rest.len() < len + 2 {
                    read(rest)?;
                }
                answer.body.extend(rest.drain(..len));
                rest.drain(..2);
                if len == 0 {
                    return Ok(answer);
                }
            }
        }
        let len = answer.header("content-length");
        let len = len.and_then(|len| len.parse::<usize>().ok());
        let len = len.ok_or_else(|| bad(format!("no Content-Length: {}", answer.head)))?;
        while rest.len() < len {
            read(rest)?;
        }
        answer.body = rest.drain(..len).collect();
        Ok(answer)
    }
}
