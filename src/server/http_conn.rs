//! One HTTP connection: its thread reads a request head, has it answered, and reads the next one,
//! until either side has enough.
//!
//! ```text
//! read_head -> reply -> assets, status, hls, watch -> Reply::Response   written here
//!     ^                                            -> Reply::Sent       by the handler, bit by bit
//!     +---- unless it is the last one <------------+
//!                                                  -> Err(End)          the connection is over
//! ```
//!
//! A handler that streams keeps the connection to its end: from then on only the stream writes to
//! the socket, and this thread reads what the client has to say.

mod admission;
mod assets;
mod exchange;
mod hls;
mod status;
mod watch;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::connections::Permit;
use super::end::End;
use super::handler::{Client, Protocol, Way};
use super::listener;
use super::socket::Socket;
use super::{Shared, millis};
use crate::http::head::{self, HeadReader, MAX_HEAD_LEN};
use crate::http::{Head, Method, Rejected, Response, Route, Status};
use crate::live::Millis;
use crate::live::sink::Sink;
use exchange::{Exchange, Reply};

/// From the first byte of a head to its last, unless `--handshake-timeout` is shorter.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two requests, unless `--command-timeout` is shorter.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes that are read at a time, at first: most heads are shorter.
const READ_LEN: usize = 1024;

/// What programs call themselves is kept up to this length, in bytes.
const MAX_USER_AGENT_LEN: usize = 200;

/// Serves a connection to its end.
pub(super) fn run(shared: Arc<Shared>, socket: Arc<Socket>, peer: SocketAddr, permit: Permit) {
    let local = socket.local_address().unwrap_or(peer);
    let client = Client::over_http(permit.id(), peer, local, "");
    let is_of_proxy = shared.is_of_proxy(Protocol::Http, peer, &socket);
    log::debug!("{client} connected over HTTP");
    let mut connection = Connection {
        client,
        peer,
        is_of_proxy,
        shared,
        socket,
        input: Vec::new(),
    };
    // A bug that shows itself here ends this connection properly, and no other.
    let end = catch_unwind(AssertUnwindSafe(|| connection.serve()));
    let end = end.unwrap_or(End::Panicked);
    let why_cut = connection.shared.connections.why_cut(permit.id());
    let end = why_cut.unwrap_or(end);
    let _ = catch_unwind(AssertUnwindSafe(|| connection.finish(&end)));
    connection.socket.shutdown();
}

struct Connection {
    /// Who sends the request that is being answered.
    client: Client,
    /// Who has connected.
    peer: SocketAddr,
    is_of_proxy: bool,
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    /// What has come and isn't looked at yet: less than the longest head.
    input: Vec<u8>,
}

impl Connection {
    fn serve(&mut self) -> End {
        loop {
            let answered = self.read_head().and_then(|head| self.answer(&head));
            match answered {
                Ok(true) if self.shared.is_stopping() => return End::Stopping,
                Ok(true) => {}
                Ok(false) => return End::Answered,
                Err(end) => return end,
            }
        }
    }

    /// Waits for the next request head. What comes behind it is left for the next time.
    #[inline(never)] // Its table of headers is not to be part of the stack of a viewer's thread.
    fn read_head(&mut self) -> Result<Head, End> {
        let config = &self.shared.config;
        let head_timeout = millis(config.handshake_timeout.min(HEAD_TIMEOUT));
        let idle_timeout = millis(config.command_timeout.min(IDLE_TIMEOUT));
        let mut reader = HeadReader::default();
        let began = self.shared.now();
        // A client that sends a byte now and then doesn't stretch it.
        let mut deadline = began + idle_timeout;
        let mut has_begun = false;
        loop {
            if !has_begun && !self.input.is_empty() {
                has_begun = true;
                deadline = self.shared.now() + head_timeout;
            }
            if let Some(len) = reader.find(&self.input).map_err(End::Rejected)? {
                let bytes = self.input.get(..len).unwrap_or_default();
                let head = Head::parse(bytes).map_err(End::Rejected)?;
                self.input.drain(..len);
                self.input.shrink_to(READ_LEN);
                return Ok(head);
            }
            let left = deadline.saturating_sub(self.shared.now());
            if left == 0 {
                return Err(match has_begun {
                    true => End::Rejected(TOO_SLOW),
                    false => End::Idle,
                });
            }
            self.read(left)?;
        }
    }

    /// Reads what is there, and waits for it for at most so many ms.
    fn read(&mut self, timeout: Millis) -> Result<(), End> {
        let lost = |error: std::io::Error| End::Lost(error.kind());
        self.socket
            .set_read_timeout(Duration::from_millis(timeout))
            .map_err(lost)?;
        let before = self.input.len();
        let room = before.max(READ_LEN).min(MAX_HEAD_LEN - before);
        self.input.resize(before + room, 0);
        let result = self
            .socket
            .read(self.input.get_mut(before..).unwrap_or_default());
        self.input.truncate(before + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) if self.shared.is_stopping() => Err(End::Stopping),
            Ok(0) => Err(End::Closed),
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                _ => Err(lost(error)),
            },
        }
    }

    /// Has a request answered; whether another one may follow.
    fn answer(&mut self, head: &Head) -> Result<bool, End> {
        let (id, local) = (self.client.id(), self.client.local_address());
        let name = head.header("user-agent").unwrap_or_default();
        let name = name.get(..MAX_USER_AGENT_LEN).unwrap_or(name);
        let connections = &self.shared.connections;
        connections.note_client(id, name);
        // Behind a proxy each request may be somebody else's.
        let (sender, way) = self.shared.guard.sender(head, self.peer, local.ip());
        self.client = Client::over_http(id, sender, local, name);
        self.client.set_way(way);
        let is_full = match self.is_of_proxy && way != Way::Direct {
            true => connections.note_sender(id, sender).err(),
            false => None,
        };
        let mut exchange = Exchange::new(
            &self.shared,
            &self.socket,
            &mut self.client,
            head,
            &mut self.input,
        );
        let reply = match is_full {
            Some(full) => {
                listener::refuse(&self.shared, sender, full);
                let text = full.to_string();
                Ok(Response::text(Status::TooManyRequests, &text).into())
            }
            None => reply(&mut exchange),
        };
        let result = reply.and_then(|reply| exchange.finish(reply));
        drop(exchange);
        if self.is_of_proxy {
            self.shared.connections.forget_sender(id, self.peer);
        }
        result
    }

    /// Says the last words and closes.
    fn finish(&mut self, end: &End) {
        if let End::Rejected(rejected) = end {
            exchange::reject(&self.socket, *rejected);
        }
        // So that the client gets to read what was sent last.
        let is_over = matches!(
            end,
            End::Closed | End::Lost(_) | End::Idle | End::Slow | End::Kicked | End::Displaced
        );
        if !is_over && !self.shared.is_stopping() {
            self.socket.drain();
        }
        let hint = match (end, self.shared.rtmp_addresses.first()) {
            (End::Rejected(head::RTMP), Some(right)) => {
                format!(". RTMP is on port {}", right.port())
            }
            _ => String::new(),
        };
        let level = match end {
            End::Rejected(_) | End::Slow | End::Kicked => log::Level::Info,
            End::Panicked => log::Level::Error,
            End::Player(_) => end.level(true),
            _ => log::Level::Debug,
        };
        log::log!(level, "{} disconnected: {end}{hint}", self.client);
    }
}

const TOO_SLOW: Rejected = Rejected {
    status: Status::RequestTimeout,
    why: "the request head took too long",
};

/// What may be done with most things.
const READABLE: &str = "GET, HEAD, OPTIONS";

/// Has the right module answer.
fn reply(exchange: &mut Exchange<'_>) -> Result<Reply, End> {
    let head = exchange.head;
    if head.path() == "*" {
        return Ok(Response::options(READABLE, false).into());
    }
    let route = match Route::of(head.path()) {
        Ok(route) => route,
        Err(rejected) => return Ok(Response::from(rejected).into()),
    };
    exchange.decide_sharing(&route);
    let is_connection = matches!(route, Route::Connection(_));
    let allowed = match is_connection {
        true => "DELETE, OPTIONS",
        false => READABLE,
    };
    match head.method() {
        Method::Options => {
            return Ok(Response::options(allowed, exchange.is_shared()).into());
        }
        Method::Get | Method::Head if !is_connection => {}
        Method::Delete if is_connection => {}
        _ => return Ok(Response::method_not_allowed(allowed).into()),
    }
    if matches!(route, Route::Home | Route::Player(_)) {
        if let Err(refusal) = admission::check_host(exchange) {
            return Ok(refusal.into());
        }
    }
    match &route {
        Route::Health => Ok(Response::text(Status::Ok, "ok").into()),
        Route::Home | Route::Player(_) | Route::Asset(_) => assets::reply(exchange, &route),
        Route::Media(key, container) => watch::media(exchange, key, *container),
        Route::Frame(key) => watch::frame(exchange, key),
        Route::Playlist(key) | Route::MediaPlaylist(key) | Route::Segment(key, _) => {
            hls::reply(exchange, key, &route)
        }
        Route::Streams
        | Route::Connections
        | Route::Connection(_)
        | Route::Metrics
        | Route::Stat => status::reply(exchange, &route),
    }
}
