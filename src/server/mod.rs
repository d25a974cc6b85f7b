//! Sockets and threads: the imperative shell around protocol and live core.
//!
//! | thread             | does                                     | waits in |
//! |--------------------|------------------------------------------|----------|
//! | one per listener   | accepts, enforces the connection caps    | `accept` |
//! | one per connection | reads its socket, runs its session       | `read`   |
//!
//! A publisher's thread also sends to its players, and after its connection has ended it waits
//! out the grace time of its stream.

mod access;
mod client;
mod connections;
mod end;
pub mod handler;
pub(crate) mod hosts;
mod http_conn;
mod lines;
mod listener;
mod playing;
mod publishing;
mod rates;
mod rtmp_conn;
mod socket;
mod text;
pub mod thread;
mod wall_clock;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::allowance::Allowance;
use crate::config::{Config, HTTP_PORT, RTMP_PORT};
use crate::live::arena::Arena;
use crate::live::stream::{Desks, StreamSettings};
use crate::live::table::StreamTable;
use crate::live::{Millis, lock};
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::rtmp::stream_key::StreamKey;
use access::Guard;
use client::Protocol;
use connections::Connections;
use handler::{AcceptAll, Handler};
use http_conn::{Scratches, Waiters};
use lines::Lines;
use listener::Listener;
use rates::{Rates, Refused};
use socket::Socket;

/// A running server. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<(Arc<Listener>, Option<JoinHandle<()>>)>,
}

/// The part of the memory that isn't for media but for further streams of connections: one in so
/// many. Of a mebibyte it is enough for a dozen.
const COMMON: usize = 32;

/// What all threads of a server share.
struct Shared {
    config: Config,
    arena: Arena,
    /// What second and further streams of connections are paid from.
    common: Allowance,
    table: StreamTable,
    connections: Connections,
    rates: Rates,
    /// Requests over HTTP, and streams that are looked at for them, by address.
    requests: Rates,
    looks: Rates,
    scratches: Scratches,
    refused: Refused,
    lines: Lines,
    guard: Guard,
    /// Asked after the guard.
    handler: Arc<dyn Handler>,
    /// Where it listens for RTMP and for HTTP.
    rtmp_addresses: Vec<SocketAddr>,
    http_addresses: Vec<SocketAddr>,
    next_subscriber: AtomicU64,
    /// Those who wait for the next part of a stream.
    waiters: Waiters,
    /// When its clock was 0, in ms since 1970, as playlists have it.
    epoch: AtomicU64,
    is_stopping: AtomicBool,
    started: Instant,
}

/// A server couldn't start.
#[derive(Debug)]
pub struct StartError(Failure);

#[derive(Debug)]
enum Failure {
    Memory(usize),
    Thread(io::Error),
    Listen {
        protocol: Protocol,
        address: SocketAddr,
        error: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, address, error) = match &self.0 {
            Failure::Memory(bytes) => {
                let mib = bytes >> 20;
                return write!(
                    f,
                    "this machine has no {mib} MiB of memory to give. Try a smaller --memory"
                );
            }
            Failure::Thread(error) => return write!(f, "cannot start a thread: {error}"),
            Failure::Listen {
                protocol,
                address,
                error,
            } => (protocol, address, error),
        };
        let (option, usual_port) = match protocol {
            Protocol::Rtmp => ("--rtmp", RTMP_PORT),
            Protocol::Http => ("--http", HTTP_PORT),
        };
        write!(f, "cannot listen on {address}: ")?;
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                let next = address.port().checked_add(1).unwrap_or(usual_port + 1);
                write!(
                    f,
                    "the address is in use, by another program or another option. Try {option} {next}"
                )?;
                match protocol {
                    Protocol::Rtmp => Ok(()),
                    Protocol::Http => f.write_str(", or --http off"),
                }
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "permission denied. Ports below 1024 need privileges; try {option} {usual_port}"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "this machine doesn't have that address. Try {option} {usual_port} for all of its \
                 addresses"
            ),
            _ => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl Server {
    /// Claims the memory, opens the listening sockets and starts to serve.
    pub fn start(config: Config) -> Result<Server, StartError> {
        let (arena, common) = claim(config.memory)?;
        Server::start_all(config, arena, common, Arc::new(AcceptAll))
    }

    /// Like [`start`](Server::start); `handler` decides too who may do what, once the
    /// configuration's own rules have no objection.
    pub fn start_with(config: Config, handler: Arc<dyn Handler>) -> Result<Server, StartError> {
        let (arena, common) = claim(config.memory)?;
        Server::start_all(config, arena, common, handler)
    }

    /// Like [`start`](Server::start), with memory from an arena that outlives the server. A
    /// connection may publish and play what its own allowance pays for.
    pub fn start_in(config: Config, arena: Arena) -> Result<Server, StartError> {
        Server::start_all(config, arena, Allowance::new(0), Arc::new(AcceptAll))
    }

    fn start_all(
        config: Config,
        arena: Arena,
        common: Allowance,
        handler: Arc<dyn Handler>,
    ) -> Result<Server, StartError> {
        let mut listeners = Vec::new();
        for (protocol, addresses) in [
            (Protocol::Rtmp, &config.rtmp),
            (Protocol::Http, &config.http),
        ] {
            for address in addresses {
                let listener = Listener::bind(*address, protocol).map_err(|error| {
                    let address = *address;
                    StartError(Failure::Listen {
                        protocol,
                        address,
                        error,
                    })
                })?;
                listeners.push(Arc::new(listener));
            }
        }
        let settings = StreamSettings {
            arena: arena.clone(),
            history: millis(config.history),
            max_lag: millis(config.effective_max_lag()),
            batch: millis(config.batch),
            is_hls_served: !config.http.is_empty(),
            desks: Desks::default(),
        };
        arena.set_streams_per_client(config.max_per_address);
        let scratches = Scratches::new(arena.clone());
        let shared = Arc::new(Shared {
            arena,
            common,
            table: StreamTable::new(settings),
            connections: Connections::new(config.max_connections, config.max_per_address),
            rates: Rates::new(config.max_connect_rate),
            requests: Rates::new(http_conn::REQUESTS_PER_SECOND),
            looks: Rates::new(http_conn::LOOKS_PER_SECOND),
            scratches,
            refused: Refused::default(),
            lines: Lines::default(),
            guard: Guard::new(&config),
            handler,
            rtmp_addresses: addresses(&listeners, Protocol::Rtmp),
            http_addresses: addresses(&listeners, Protocol::Http),
            next_subscriber: AtomicU64::new(1),
            waiters: Waiters::new(config.max_connections),
            epoch: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            started: Instant::now(),
            config,
        });
        let mut server = Server {
            shared,
            listeners: Vec::new(),
        };
        for listener in listeners {
            let accepting = Arc::clone(&listener);
            let thread = listener::spawn(accepting, Arc::clone(&server.shared))
                .map_err(|error| StartError(Failure::Thread(error)))?;
            server.listeners.push((listener, Some(thread)));
        }
        Ok(server)
    }

    /// Where it listens for RTMP; with port 0 in the configuration, the ports that were found.
    pub fn rtmp_addresses(&self) -> Vec<SocketAddr> {
        self.shared.rtmp_addresses.clone()
    }

    /// The same for HTTP; empty if it doesn't.
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        self.shared.http_addresses.clone()
    }

    /// Connections open at this moment, those included that wait out a grace time.
    pub fn connections(&self) -> usize {
        self.shared.connections.count()
    }

    /// The last protocol events of a connection that is open, by its number in the log.
    pub fn flight_record(&self, connection: u64) -> Option<FlightRecorder> {
        let recorder = self.shared.connections.recorder(connection)?;
        let copy = lock(&recorder).clone();
        Some(copy)
    }

    /// Blocks of the arena: free, in all.
    pub fn blocks(&self) -> (usize, usize) {
        (
            self.shared.arena.free_blocks(),
            self.shared.arena.total_blocks(),
        )
    }

    /// Stops accepting, tells players that their stream has ended and publishers that the server
    /// stops, and ends all connections; waits for that for at most five seconds.
    pub fn stop(&mut self) {
        /// For players to take in what is on its way to them.
        const POLITE: Duration = Duration::from_secs(1);
        const PATIENCE: Duration = Duration::from_secs(3);

        self.shared.is_stopping.store(true, Ordering::SeqCst);
        for (listener, _) in &self.listeners {
            listener.close();
        }
        for thread in self
            .listeners
            .iter_mut()
            .filter_map(|(_, thread)| thread.take())
        {
            // A listener that panicked has been reported.
            let _ = thread.join();
        }
        let now = self.shared.now();
        for stream in self.shared.table.streams() {
            stream.close(now);
        }
        self.shared.guard.close();
        self.shared.connections.stop_reading();
        if !self.shared.connections.wait_until_empty(POLITE) {
            self.shared.connections.shutdown();
            self.shared.connections.wait_until_empty(PATIENCE);
        }
        self.shared.lines.finish();
    }
}

fn addresses(listeners: &[Arc<Listener>], protocol: Protocol) -> Vec<SocketAddr> {
    let of_protocol = listeners.iter().filter(|l| l.protocol() == protocol);
    of_protocol.map(|listener| listener.address()).collect()
}

/// An arena of this size, if there can be one. The first try is given back at once: memory that
/// is claimed this way is touched only when it is used, unlike memory that was reserved and filled.
///
/// A part of it is set aside: from that the streams are paid for which the allowance of a connection
/// that publishes or plays already is too small.
fn claim(bytes: usize) -> Result<(Arena, Allowance), StartError> {
    let common = bytes / COMMON;
    is_memory_there(bytes)
        .then(|| (Arena::within(bytes - common), Allowance::new(common)))
        .ok_or(StartError(Failure::Memory(bytes)))
}

/// Whether so much memory could be had. An allocation that fails ends the process, and everybody in
/// it.
fn is_memory_there(bytes: usize) -> bool {
    let mut room = Vec::<u8>::new();
    let is_there = room.try_reserve_exact(bytes).is_ok();
    // Or else the compiler sees that nobody uses it, and leaves out the question.
    std::hint::black_box(&mut room);
    is_there
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// The time on the server's clock.
    fn now(&self) -> Millis {
        millis(self.started.elapsed())
    }

    /// Whether a connection is one of a proxy that is trusted to say for whom it comes.
    fn is_of_proxy(&self, protocol: Protocol, peer: SocketAddr, socket: &Socket) -> bool {
        let local = socket.local_address().unwrap_or(peer);
        protocol == Protocol::Http && self.guard.is_trusted_proxy(peer.ip(), local.ip())
    }

    /// A name that is played as log and API show it: where everybody may play anything, and nobody has
    /// published this, only what can't be a key.
    fn shown(&self, key: &StreamKey) -> StreamKey {
        let Some(masked) = self.guard.masked_in_play(key) else {
            return key.clone();
        };
        let stream = self.table.find(key);
        match stream.is_some_and(|stream| stream.was_published()) {
            true => key.clone(),
            false => masked,
        }
    }

    /// A number that no other subscriber has.
    fn next_subscriber(&self) -> u64 {
        self.next_subscriber.fetch_add(1, Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }
}

fn millis(duration: Duration) -> Millis {
    duration.as_millis() as Millis
}
