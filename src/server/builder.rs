//! The start of a server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use super::access::Guard;
use super::client::Protocol;
use super::connections::Connections;
use super::handler::{AcceptAll, Handler};
use super::http_conn::{self, HlsSessions, Scratches, Waiters};
use super::lines::Lines;
use super::listener::{self, Listener};
use super::rates::{Rates, Refused};
use super::recording::Recordings;
use super::relay::Relays;
use super::start_error::{StartError, StartErrorKind};
use super::{Server, Shared, addresses, is_memory_there, millis};
use crate::allowance::Allowance;
use crate::config::Config;
use crate::live::arena::Arena;
use crate::live::stream::{Desks, StreamSettings};
use crate::live::table::StreamTable;
use crate::net::tls::TlsServer;

/// One in this many bytes of the memory isn't for media, but pays for additional streams of connections.
/// A mebibyte of memory pays for a dozen of them.
const COMMON: usize = 32;

/// The settings with which a server is started, made by [`Server::builder`].
#[must_use = "nothing happens before `start`"]
pub struct ServerBuilder {
    config: Config,
    handler: Option<Arc<dyn Handler>>,
    arena: Option<Arena>,
}

impl ServerBuilder {
    pub(super) fn new(config: Config) -> ServerBuilder {
        ServerBuilder {
            config,
            handler: None,
            arena: None,
        }
    }

    /// Asks this handler about every request of a client that the configuration's own rules allow.
    pub fn handler(self, handler: Arc<dyn Handler>) -> ServerBuilder {
        let handler = Some(handler);
        ServerBuilder { handler, ..self }
    }

    /// Keeps media in this arena, a clone of which may outlive the server, instead of in a new one of
    /// [`Config::memory`] bytes.
    ///
    /// ```no_run
    /// use brooklet::{Arena, Config, Server};
    ///
    /// let arena = Arena::new(16 << 20);
    /// let server = Server::builder(Config::default())
    ///     .arena(arena.clone())
    ///     .start()?;
    /// println!("{} of {} blocks are free", arena.free_blocks(), arena.total_blocks());
    /// # Ok::<(), brooklet::StartError>(())
    /// ```
    pub fn arena(self, arena: Arena) -> ServerBuilder {
        let arena = Some(arena);
        ServerBuilder { arena, ..self }
    }

    /// Claims the memory, opens the listening sockets and starts to serve.
    pub fn start(self) -> Result<Server, StartError> {
        let ServerBuilder {
            config,
            handler,
            arena,
        } = self;
        check_recording(&config)?;
        let recordings = Recordings::new(&config.record);
        recordings.claim().map_err(cannot_record)?;
        let (arena, common) = match arena {
            // All of it is for media, so each connection pays for all of its streams from its own
            // allowance.
            Some(arena) => (arena, Allowance::new(0)),
            None => claim(config.memory)?,
        };
        let tls = load_certificate(&config)?;
        let relays = Relays::new(config.tls.ca.clone());
        let relays = relays.map_err(|error| failed(StartErrorKind::Tls, Some(error)))?;
        let listeners = bind(&config)?;
        arena.set_streams_per_client(config.max_per_address);
        let settings = StreamSettings {
            arena: arena.clone(),
            history: millis(config.history),
            max_lag: millis(config.effective_max_lag()),
            batch: millis(config.batch),
            // Whoever asks for a recording wants what came before it.
            kept: config
                .record
                .dir
                .as_ref()
                .map_or(0, |_| millis(config.record.preroll)),
            is_hls_served: !config.http.is_empty() || !config.tls.https.is_empty(),
            desks: Desks::default(),
        };
        let hls_sessions = |own| HlsSessions::new(own, config.max_connections);
        let hls_sessions = handler.clone().map(hls_sessions);
        let shared = Arc::new(Shared {
            scratches: Scratches::new(arena.clone()),
            arena,
            common,
            table: StreamTable::new(settings),
            connections: Connections::new(config.max_connections, config.max_per_address),
            rates: Rates::new(config.max_connect_rate),
            requests: Rates::new(http_conn::REQUESTS_PER_SECOND),
            looks: Rates::new(http_conn::LOOKS_PER_SECOND),
            refused: Refused::default(),
            lines: Lines::default(),
            guard: Guard::new(&config),
            handler: handler.unwrap_or_else(|| Arc::new(AcceptAll)),
            recordings,
            relays,
            hls_sessions,
            tls,
            rtmp_addresses: addresses(&listeners, Protocol::Rtmp, false),
            http_addresses: addresses(&listeners, Protocol::Http, false),
            tls_addresses: [Protocol::Rtmp, Protocol::Http]
                .map(|protocol| addresses(&listeners, protocol, true)),
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
        let recordings = &server.shared.recordings;
        recordings
            .begin(&server.shared)
            .map_err(|error| failed(StartErrorKind::Thread, Some(error)))?;
        for listener in listeners {
            let accepting = Arc::clone(&listener);
            let thread = listener::spawn(accepting, Arc::clone(&server.shared))
                .map_err(|error| failed(StartErrorKind::Thread, Some(error)))?;
            server.listeners.push((listener, Some(thread)));
        }
        let shared = &server.shared;
        shared
            .relays
            .begin(shared, &shared.config)
            .map_err(|error| failed(StartErrorKind::Thread, Some(error)))?;
        Ok(server)
    }
}

fn failed(kind: StartErrorKind, source: Option<io::Error>) -> StartError {
    StartError { kind, source }
}

/// Refuses settings of recordings with which this build can't record.
fn check_recording(config: &Config) -> Result<(), StartError> {
    let record = &config.record;
    let error = if record.dir.is_none() {
        return Ok(());
    } else if cfg!(not(feature = "record")) {
        let why = "this build is without recording";
        io::Error::new(io::ErrorKind::Unsupported, why)
    } else if let Some(why) = record.error() {
        io::Error::new(io::ErrorKind::InvalidInput, why)
    } else {
        return Ok(());
    };
    Err(cannot_record(error))
}

fn cannot_record(error: io::Error) -> StartError {
    failed(StartErrorKind::Record, Some(error))
}

/// Loads the certificate, if the server listens for TLS.
fn load_certificate(config: &Config) -> Result<Option<TlsServer>, StartError> {
    let tls = &config.tls;
    if !tls.is_on() {
        return Ok(None);
    }
    let loaded = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => TlsServer::load(certificate, key),
        _ => {
            let why = "a certificate and its key are needed (--tls-cert, --tls-key)";
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    };
    let loaded = loaded.map_err(|error| failed(StartErrorKind::Tls, Some(error)));
    loaded.map(Some)
}

/// Listens on all addresses of a configuration.
fn bind(config: &Config) -> Result<Vec<Arc<Listener>>, StartError> {
    let tls = &config.tls;
    let of = |addresses: &'_ [SocketAddr], protocol, is_tls| {
        let with = |address: &SocketAddr| (protocol, *address, is_tls);
        addresses.iter().map(with).collect::<Vec<_>>()
    };
    let all = [
        of(&config.rtmp, Protocol::Rtmp, false),
        of(&config.http, Protocol::Http, false),
        of(&tls.rtmps, Protocol::Rtmp, true),
        of(&tls.https, Protocol::Http, true),
    ];
    let bind = |(protocol, address, is_tls)| {
        let listener = if protocol == Protocol::Http && !cfg!(feature = "http") {
            let why = "this build is without HTTP";
            Err(io::Error::new(io::ErrorKind::Unsupported, why))
        } else {
            Listener::bind(address, protocol, is_tls)
        };
        let kind = StartErrorKind::Listen { protocol, address };
        let failed = |error| failed(kind, Some(error));
        listener.map(Arc::new).map_err(failed)
    };
    all.into_iter().flatten().map(bind).collect()
}

/// Makes an arena of this size, if the machine has the memory. The allocation that checks this is freed
/// at once: the arena's memory is touched only when it is used, unlike memory that was reserved and
/// filled.
///
/// Sets a part aside as an allowance: it pays for additional streams of connections that already publish
/// or play one, for which their own allowances are too small.
fn claim(bytes: usize) -> Result<(Arena, Allowance), StartError> {
    if !is_memory_there(bytes) {
        return Err(failed(StartErrorKind::Memory(bytes), None));
    }
    let common = bytes / COMMON;
    Ok((Arena::within(bytes - common), Allowance::new(common)))
}
