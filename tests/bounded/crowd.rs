//! The clients, and what the server keeps for them.

mod acts;

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use brooklet::allowance::PER_CONNECTION;
use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::{Config, Server};

use crate::HEAP;
use crate::common::client::on_free_ports;
use crate::common::poll_until;
use crate::steps::{Act, Acts, Ask, Len, Name, Step, What, Who};

/// For the server itself, beyond what it has kept since the first crowd was gone, and the lists of
/// blocks, which are part of `--memory` (see [`Arena::within`]) but not of this arena.
const REST: usize = 8 * 1024 + ARENA_LEN / BLOCK_LEN * LISTED;

/// Per block, in the lists.
const LISTED: usize = 96;

/// The size of the arena, in bytes.
const ARENA_LEN: usize = 4 << 20;

/// The number of clients that stay at a time.
const MAX_CLIENTS: usize = 64;

/// The number of connections at a time, with those that are ending.
const MAX_CONNECTIONS: usize = 96;

/// The most that all clients of a case send.
const MAX_SENT: usize = 24 << 20;

/// How long to wait for a server that reads nothing.
const PATIENCE: Duration = Duration::from_millis(50);

/// One arena for all cases, since its memory stays allocated.
static ARENA: LazyLock<Arena> = LazyLock::new(|| Arena::new(ARENA_LEN));

/// See the module's documentation.
pub(crate) struct Crowd {
    rtmp: [Option<Client>; 3],
    http: [Option<Client>; 3],
    /// The clients that stay.
    others: Vec<Client>,
    sent: usize,
    /// Gives each value a number of its own.
    next: u32,
    last_name: u32,
    // Set once its clients are gone.
    server: Server,
    idle: usize,
}

struct Client {
    socket: TcpStream,
    /// The server reads no more, or has closed.
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

    /// Returns the one that is the greater share of what is allowed.
    pub(crate) fn max(self, other: Kept) -> Kept {
        std::cmp::max_by_key(self, other, |kept| kept.share())
    }

    /// The share of what is allowed, in thousandths.
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

    /// Reads what has come so far.
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

    /// The first connections of either kind make the server allocate what it needs once, and a
    /// crowd of them lists that keep their length.
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
        poll_until(PATIENCE * 20, || self.server.connection_count() == 0);
        self.sent = 0;
    }

    /// Waits until nothing is allocated or freed any more.
    fn quiet(&self) -> usize {
        let (mut now, mut same) = (HEAP.current_usage(), 0);
        poll_until(Duration::from_millis(500), || {
            let before = now;
            now = HEAP.current_usage();
            same = if now == before { same + 1 } else { 0 };
            same == 4
        });
        now
    }

    /// Measures; too much counts only if it stays.
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
        // Threads that are about to end may not be scheduled on a busy machine.
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
}
