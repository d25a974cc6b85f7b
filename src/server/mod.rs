//! Sockets and threads: the imperative shell around protocol and live core.
//!
//! | thread             | does                                     | waits in |
//! |--------------------|------------------------------------------|----------|
//! | one per listener   | accepts, enforces the connection caps    | `accept` |
//! | one per connection | reads its socket, runs its session       | `read`   |
//!
//! A publisher's thread also sends to its players. After its connection has ended, it waits out the
//! grace time of its stream.

mod access;
mod attach;
mod builder;
mod client;
mod connection;
mod connections;
mod end;
pub mod handler;
pub mod hosts;
#[cfg_attr(not(feature = "http"), path = "no_http.rs")]
mod http_conn;
mod lines;
mod listener;
mod playing;
mod publishing;
mod rates;
#[cfg_attr(not(feature = "record"), path = "no_recording.rs")]
mod recording;
#[cfg_attr(not(feature = "relay"), path = "no_relay.rs")]
mod relay;
mod rtmp_conn;
mod start_error;
mod text;
pub mod thread;
mod wall_clock;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::allowance::Allowance;
use crate::config::{Config, Pull, Push};
use crate::live::arena::Arena;
use crate::live::out::join::Join;
use crate::live::table::StreamTable;
use crate::live::{Millis, lock};
use crate::net::socket::Socket;
use crate::net::tls::TlsServer;
use crate::record::report::DiskReport;
use crate::relay::report::RelayReport;
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::rtmp::stream_key::StreamKey;
use crate::status::{ConnectionReport, StreamStatus};
use access::Guard;
pub use attach::{Attached, Detached};
pub use builder::ServerBuilder;
use client::Protocol;
use connections::Connections;
use handler::Handler;
use http_conn::{HlsSessions, Scratches, Waiters};
use lines::Lines;
use listener::Listener;
use rates::{Rates, Refused};
pub use recording::StartRefused;
use recording::{Recordings, Why};
use relay::Relays;
pub use start_error::{StartError, StartErrorKind};

/// A running server. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<(Arc<Listener>, Option<JoinHandle<()>>)>,
}

/// State shared by all threads of a server.
struct Shared {
    config: Config,
    arena: Arena,
    /// Pays for the second and further streams of connections.
    common: Allowance,
    table: StreamTable,
    connections: Connections,
    rates: Rates,
    /// The rate of HTTP requests, by address.
    requests: Rates,
    /// The rate at which streams are locked for lists, by address.
    looks: Rates,
    scratches: Scratches,
    refused: Refused,
    lines: Lines,
    guard: Guard,
    /// Asked after the guard has allowed something.
    handler: Arc<dyn Handler>,
    recordings: Arc<Recordings>,
    relays: Arc<Relays>,
    /// The plays over HLS as the embedding program's handler knows them; `None` without a handler.
    hls_sessions: Option<Arc<HlsSessions>>,
    /// `None` if the server doesn't listen for TLS.
    tls: Option<TlsServer>,
    rtmp_addresses: Vec<SocketAddr>,
    http_addresses: Vec<SocketAddr>,
    /// Those for RTMP and HTTP inside of TLS.
    tls_addresses: [Vec<SocketAddr>; 2],
    next_subscriber: AtomicU64,
    /// The HLS requests that wait for the next part of a stream.
    waiters: Waiters,
    /// The wall-clock time at which the server's clock was 0, in ms since 1970, as used in playlists.
    epoch: AtomicU64,
    is_stopping: AtomicBool,
    started: Instant,
}

impl Server {
    /// Starts a server with this configuration, with a new arena and without a handler.
    pub fn start(config: Config) -> Result<Server, StartError> {
        Server::builder(config).start()
    }

    /// Returns a builder, which also accepts a handler and an arena.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use brooklet::{Client, Config, Handler, Refusal, Server, StreamRequest};
    ///
    /// struct NoPlayers;
    ///
    /// impl Handler for NoPlayers {
    ///     fn play(&self, _: &Client, _: &mut StreamRequest<'_>) -> Result<(), Refusal> {
    ///         Err(Refusal::new("streams are recorded only"))
    ///     }
    /// }
    ///
    /// let server = Server::builder(Config::default())
    ///     .handler(Arc::new(NoPlayers))
    ///     .start()?;
    /// # Ok::<(), brooklet::StartError>(())
    /// ```
    pub fn builder(config: Config) -> ServerBuilder {
        ServerBuilder::new(config)
    }

    /// The configuration with which the server was started.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The addresses on which the server listens for RTMP, with the real ports where the configuration
    /// has port 0.
    pub fn rtmp_addresses(&self) -> Vec<SocketAddr> {
        self.shared.rtmp_addresses.clone()
    }

    /// The addresses on which the server listens for HTTP.
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        self.shared.http_addresses.clone()
    }

    /// The addresses on which the server listens for RTMP inside of TLS.
    pub fn rtmps_addresses(&self) -> Vec<SocketAddr> {
        let [rtmps, _] = &self.shared.tls_addresses;
        rtmps.clone()
    }

    /// The addresses on which the server listens for HTTP inside of TLS.
    pub fn https_addresses(&self) -> Vec<SocketAddr> {
        let [_, https] = &self.shared.tls_addresses;
        https.clone()
    }

    /// The streams that are published, or were published and still exist, sorted by name.
    ///
    /// ```no_run
    /// # let server = brooklet::Server::start(brooklet::Config::default())?;
    /// for stream in server.streams() {
    ///     let bits = stream.report.audio.bits_per_second + stream.report.video.bits_per_second;
    ///     println!("{}: {} kbit/s", stream.key, bits / 1000);
    /// }
    /// # Ok::<(), brooklet::StartError>(())
    /// ```
    pub fn streams(&self) -> Vec<StreamStatus> {
        let now = self.shared.now();
        let streams = self.shared.table.streams();
        let reports = streams
            .iter()
            .map(|stream| (stream.key(), stream.report(now)));
        // Left out: streams that clients only wait for, since clients can wait for any name.
        let published = reports.filter(|(_, report)| report.publishes > 0);
        let recordings = &self.shared.recordings;
        published
            .map(|(key, report)| {
                let recording = recordings.report(key);
                StreamStatus::new(key.clone(), report, recording)
            })
            .collect()
    }

    /// The open connections, sorted by number.
    ///
    /// ```no_run
    /// # let server = brooklet::Server::start(brooklet::Config::default())?;
    /// for connection in server.connections() {
    ///     if connection.plays.len() > 4 {
    ///         server.kick(connection.id);
    ///     }
    /// }
    /// # Ok::<(), brooklet::StartError>(())
    /// ```
    pub fn connections(&self) -> Vec<ConnectionReport> {
        let mut last = 0;
        // One at a time, because the list can't stay locked while the table is locked to look up names.
        let next = || {
            let report = self.shared.connection_after(last)?;
            last = report.id;
            Some(report)
        };
        std::iter::from_fn(next).collect()
    }

    /// The number of connections, including those that are closed and wait out a grace time.
    pub fn connection_count(&self) -> usize {
        self.shared.connections.count()
    }

    /// The time since the start, which is the clock of all [`Millis`] in reports.
    pub fn uptime(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Attaches the program to a stream, to receive its messages from a keyframe on without a socket.
    /// Returns at once, even if nobody publishes the stream yet: [`Attached::recv`] waits for messages.
    pub fn attach(&self, key: &StreamKey, join: Join) -> Result<Attached, Detached> {
        Attached::new(&self.shared, key, join)
    }

    /// Disconnects the client of this connection; false if there is no such connection.
    pub fn kick(&self, connection: u64) -> bool {
        self.shared.connections.kick(connection)
    }

    /// Begins to record a stream that is published, with up to `preroll` of what came before: from a
    /// keyframe on, as far as it is still in memory. A stream that is recorded already goes on. Its
    /// state is in [`StreamStatus::recording`].
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use brooklet::config::Record;
    /// use brooklet::{Config, Server, StreamKey};
    ///
    /// // Records nothing unless asked to.
    /// let record = Record::default()
    ///     .dir(Some("/mnt/card".into()))
    ///     .streams(Vec::new());
    /// let server = Server::start(Config::default().record(record))?;
    /// let door = StreamKey::new("live", "door")?;
    /// if server.start_recording(&door, Duration::from_secs(10)).is_ok() {
    ///     std::thread::sleep(Duration::from_secs(60));
    ///     server.stop_recording(&door);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_recording(&self, key: &StreamKey, preroll: Duration) -> Result<(), StartRefused> {
        let shared = &self.shared;
        let preroll = Some(millis(preroll));
        let started = shared.recordings.start(shared, key, Why::Asked, preroll);
        started.map(drop)
    }

    /// Ends the recording of a stream, however it began; false if there is none. A stream that the
    /// settings want recorded is recorded again when it is published again.
    pub fn stop_recording(&self, key: &StreamKey) -> bool {
        self.shared.recordings.stop(key)
    }

    /// Begins to push streams to another server: those that are published now, and those that are published
    /// later. Returns the number of the push; `None` if there is the same one already, or too many, or this build
    /// can't push.
    ///
    /// ```no_run
    /// # let server = brooklet::Server::start(brooklet::Config::default())?;
    /// use brooklet::config::parse_push;
    ///
    /// let push = parse_push("live/door=rtmp://a.rtmp.example/live2/key")?;
    /// if let Some(id) = server.push(push) {
    ///     for push in server.pushes() {
    ///         println!("{} to {}: {}", push.stream, push.target, push.state.name());
    ///     }
    ///     server.stop_push(id);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn push(&self, push: Push) -> Option<u64> {
        self.shared.relays.push(&self.shared, push).ok()
    }

    /// Ends a push; false if there is none with this number.
    pub fn stop_push(&self, id: u64) -> bool {
        self.shared.relays.stop_push(id)
    }

    /// The pushes, by number: one report for each stream that is pushed, or one for a push whose streams
    /// nobody publishes.
    pub fn pushes(&self) -> Vec<RelayReport> {
        self.shared.relays.pushes(self.shared.now())
    }

    /// Begins to pull a stream from another server. Returns the number of the pull; `None` if there is the
    /// same one already, or too many, or no thread for it, or this build can't pull.
    pub fn pull(&self, pull: Pull) -> Option<u64> {
        self.shared.relays.pull(&self.shared, pull).ok()
    }

    /// Ends a pull; false if there is none with this number.
    pub fn stop_pull(&self, id: u64) -> bool {
        self.shared.relays.stop_pull(id)
    }

    /// The pulls, by number.
    pub fn pulls(&self) -> Vec<RelayReport> {
        self.shared.relays.pulls(self.shared.now())
    }

    /// The state of the disk that recordings are on, and how much they take; `None` if the server has
    /// no folder for recordings.
    pub fn disk(&self) -> Option<DiskReport> {
        self.shared.recordings.disk()
    }

    /// The same as [`disk`](Self::disk), but waits at most this long for a first look at the disk. Before that,
    /// its space isn't known.
    pub fn await_disk(&self, timeout: Duration) -> Option<DiskReport> {
        self.shared.recordings.await_disk(timeout)
    }

    /// The last protocol events of the open connection with this number.
    #[doc(hidden)]
    pub fn flight_record(&self, connection: u64) -> Option<FlightRecorder> {
        let recorder = self.shared.connections.recorder(connection)?;
        let copy = lock(&recorder).clone();
        Some(copy)
    }

    /// The number of free blocks of the arena, and of all its blocks.
    #[doc(hidden)]
    pub fn blocks(&self) -> (usize, usize) {
        (
            self.shared.arena.free_blocks(),
            self.shared.arena.total_blocks(),
        )
    }

    /// Stops accepting, notifies players that their stream has ended and publishers that the server
    /// stops, and closes all connections. Waits at most five seconds until they are closed, and then ten more until
    /// recordings are.
    pub fn stop(&mut self) {
        /// The time for players to receive bytes that are on their way to them.
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
            // Fails only if the thread has panicked, which was reported then.
            let _ = thread.join();
        }
        let now = self.shared.now();
        for stream in self.shared.table.streams() {
            stream.close(now);
        }
        // Wakes the threads that delay a refusal, or their connections would stay open for up to 2 s.
        self.shared.guard.close();
        self.shared.connections.stop_reading();
        if !self.shared.connections.wait_until_empty(POLITE) {
            self.shared.connections.shutdown();
            self.shared.connections.wait_until_empty(PATIENCE);
        }
        self.shared.relays.finish();
        if let Some(sessions) = &self.shared.hls_sessions {
            sessions.end_all();
        }
        self.shared.recordings.finish();
        self.shared.lines.finish();
    }
}

fn addresses(listeners: &[Arc<Listener>], protocol: Protocol, is_tls: bool) -> Vec<SocketAddr> {
    let is_one = |l: &&Arc<Listener>| (l.protocol, l.is_tls) == (protocol, is_tls);
    let of_protocol = listeners.iter().filter(is_one);
    of_protocol.map(|listener| listener.address).collect()
}

/// Whether this number of bytes could be allocated. Checked in advance, because a failed allocation
/// would end the process.
fn is_memory_there(bytes: usize) -> bool {
    let mut room = Vec::<u8>::new();
    let is_there = room.try_reserve_exact(bytes).is_ok();
    // Keeps the compiler from removing the unused allocation.
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

    /// The open connection with the next higher number. The names of the streams that it plays are as
    /// they may be shown.
    fn connection_after(&self, id: u64) -> Option<ConnectionReport> {
        let mut report = self.connections.report_after(id)?;
        for played in &mut report.plays {
            *played = self.shown(played);
        }
        Some(report)
    }

    /// Whether a connection comes from a proxy that is trusted to name its clients.
    fn is_of_proxy(&self, protocol: Protocol, peer: SocketAddr, socket: &Socket) -> bool {
        let local = socket.local_address().unwrap_or(peer);
        protocol == Protocol::Http && self.guard.is_trusted_proxy(peer.ip(), local.ip())
    }

    /// The name of a stream that is played, as the log and the API show it. If everybody may play
    /// anything, a name that was never published is masked, because it may contain a key.
    fn shown(&self, key: &StreamKey) -> StreamKey {
        let Some(masked) = self.guard.masked_in_play(key) else {
            return key.clone();
        };
        let stream = self.table.find(key);
        if stream.is_some_and(|stream| stream.was_published()) {
            key.clone()
        } else {
            masked
        }
    }

    /// A new number for a subscriber.
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
