//! The clients: connections that stay open, each with a thread that sends requests one after
//! another.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::client::ANSWER_TIMEOUT;
use crate::process::{Load, Server};

/// After this time without requests a server's threads wait again, and their CPU times are
/// complete.
const SETTLE: Duration = Duration::from_millis(10);

/// The cost of a number of requests.
pub(crate) struct Measured {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// Requests one thing over `connections` connections, `count` times by each.
pub(crate) fn measure<P: Copy + Default>(
    server: &Server,
    path: &str,
    connections: usize,
    requests: usize,
    set_phase: impl Fn(P),
    phase: P,
) -> Result<Measured, String> {
    let barrier = Barrier::new(connections + 1);
    thread::scope(|scope| {
        let barrier = &barrier;
        let ask = |_| {
            scope.spawn(move || {
                let mut asking = Asking::connect(server.http_address, next_host());
                let mut result = match &mut asking {
                    Ok(asking) => asking.ask(path, 1),
                    Err(error) => Err(error.clone()),
                };
                barrier.wait();
                barrier.wait();
                if let (Ok(asking), Ok(())) = (&mut asking, &result) {
                    result = asking.ask(path, requests);
                }
                barrier.wait();
                barrier.wait();
                result
            })
        };
        let threads: Vec<_> = (0..connections).map(ask).collect();
        barrier.wait();
        thread::sleep(SETTLE);
        let before = Load::read(server);
        set_phase(phase);
        let began = Instant::now();
        barrier.wait();
        barrier.wait();
        let wall = began.elapsed();
        set_phase(P::default());
        thread::sleep(SETTLE);
        let cpu = Load::read(server).since(&before).server;
        barrier.wait();
        for thread in threads {
            thread.join().map_err(|_| "a thread that asks panicked")??;
        }
        Ok(Measured { cpu, wall })
    })
}

/// Addresses by turns, since servers count the requests of each.
fn next_host() -> u8 {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) % 250 + 2
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A connection.
pub(crate) struct Asking {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Asking {
    /// Connects from this address of 127.0.0.0/24, or from any for 0.
    pub(crate) fn connect(server: SocketAddr, host: u8) -> Result<Self, String> {
        let connect = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            if host > 0 {
                let local = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
                socket.bind(&local.into())?;
            }
            socket.connect(&server.into())?;
            socket.set_tcp_nodelay(true)?;
            socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            Ok(socket.into())
        };
        Ok(Self {
            socket: connect().map_err(|error| format!("connecting to {server}: {error}"))?,
            buffer: vec![0; 256 * 1024],
        })
    }

    /// Sends `count` requests, all of which must succeed.
    fn ask(&mut self, path: &str, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let status = self.exchange(path, |_| {})?;
            if status != 200 {
                return Err(format!("{path}: status {status}"));
            }
        }
        Ok(())
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer, String> {
        let mut body = Vec::new();
        let status = self.exchange(path, |bytes| body.extend_from_slice(bytes))?;
        Ok(Answer { status, body })
    }

    /// Sends a request and reads the response to its end; `take` receives the body.
    fn exchange(&mut self, path: &str, mut take: impl FnMut(&[u8])) -> Result<u16, String> {
        let failed = |error| format!("{path}: {error}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.socket.write_all(request.as_bytes()).map_err(failed)?;
        let mut filled = 0;
        let (head_len, head) = loop {
            let room = &mut self.buffer[filled..];
            match self.socket.read(room).map_err(failed)? {
                0 => return Err(format!("{path}: the connection was closed")),
                len => filled += len,
            }
            let bytes = &self.buffer[..filled];
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break (
                    at + 4,
                    String::from_utf8_lossy(&bytes[..at + 2]).into_owned(),
                );
            }
        };
        let header = |name: &str| {
            let lines = head.lines().skip(1);
            lines
                .filter_map(|line| line.split_once(": "))
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| format!("{path}: {head}"))?;
        let Some(len) = header("content-length").and_then(|len| len.parse::<usize>().ok()) else {
            return match header("transfer-encoding") {
                Some("chunked") => self.chunks(head_len..filled, take).map(|()| status),
                _ => Err(format!("{path}: {head}")),
            };
        };
        take(&self.buffer[head_len..filled]);
        let mut left = (head_len + len) - filled;
        while left > 0 {
            match self.socket.read(&mut self.buffer).map_err(failed)? {
                0 => return Err(format!("{path}: {left} bytes are missing")),
                len => {
                    take(&self.buffer[..len]);
                    left -= len;
                }
            }
        }
        Ok(status)
    }

    /// Reads the rest of a response in chunks, of which this part of the buffer is here.
    fn chunks(
        &mut self,
        here: std::ops::Range<usize>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), String> {
        let mut all = self.buffer[here].to_vec();
        while !all.ends_with(b"\r\n0\r\n\r\n") {
            let read = self.socket.read(&mut self.buffer);
            match read.map_err(|error| error.to_string())? {
                0 => return Err("an answer without an end".into()),
                len => all.extend_from_slice(&self.buffer[..len]),
            }
        }
        let mut rest = &all[..];
        while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
            let size = String::from_utf8_lossy(&rest[..at]);
            let size = usize::from_str_radix(&size, 16).map_err(|error| error.to_string())?;
            let chunk = rest.get(at + 2..at + 2 + size).ok_or("a chunk is cut")?;
            take(chunk);
            rest = rest.get(at + 2 + size + 2..).ok_or("a chunk is cut")?;
        }
        Ok(())
    }
}
