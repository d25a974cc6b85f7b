//! One HTTP connection: its thread reads a request head, answers the request, and reads the next head,
//! until either side closes.
//!
//! ```text
//! read_head -> decide -> assets, status, hls, watch -> Reply     head forgotten -> send
//!     ^                                             -> Err(HttpEnd)
//!     +---- unless it is the last one <---------------------------------------------+
//! ```
//!
//! The head of a request stays in memory until the reply is decided; after that, only a small piece of
//! the response is in memory at a time. A viewer keeps the connection until it ends: only the stream
//! writes to its socket, and this thread reads the bytes that the client sends.

mod assets;
mod end;
mod exchange;
mod hls;
mod input;
mod keyframe;
mod ranged;
mod record;
#[cfg_attr(not(feature = "record"), path = "http_conn/no_recordings.rs")]
mod recordings;
mod relay;
mod scratch;
mod sending;
mod status;
mod watch;
mod writer;

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::access::Page;
use super::client::{Arrival, Client, Protocol};
use super::connection::{self, Conversation, check_open};
use super::connections::Permit;
use super::end::ConnectionEnd;
use super::lines::About;
use super::text::in_brackets;
use super::{Shared, millis};
use crate::allowance::Allowance;
use crate::config::Shown;
use crate::http::head::{self, HeadReader};
use crate::http::route::Container;
use crate::http::{Head, Method, Rejected, Response, Route, Status};
use crate::live::Millis;
use crate::net::socket::Socket;
use crate::rtmp::printable::at_most;
use crate::rtmp::rate::Rate;
use crate::rtmp::stream_key::StreamKey;
pub(super) use end::HttpEnd;
use exchange::{Exchange, Facts};
pub(super) use hls::{HlsSessions, Waiters};
use input::{Input, NoRoom};
pub(super) use scratch::Scratches;
use writer::Writer;

/// The maximum time from the first byte of a head to its last, unless `--handshake-timeout` is shorter.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum time between two requests, unless `--command-timeout` is shorter.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The number of requests that one client may send per second: a page that plays 16 cameras by
/// low-latency HLS sends 160, and half a dozen such pages may share an address. More requests are
/// refused for a second.
pub(super) const REQUESTS_PER_SECOND: u32 = 1_000;

/// The maximum number of streams that are locked per second for one client's lists.
pub(super) const LOOKS_PER_SECOND: u32 = 5_000;

/// The requests that one connection may send in a burst and per second. More have to wait.
const REQUESTS: Rate = Rate::new(400, 200);

/// The pause before a connection with too many requests is checked again.
const PAUSE: Duration = Duration::from_millis(10);

/// The maximum length of a User-Agent that is kept, in bytes.
const MAX_USER_AGENT_LEN: usize = 200;

/// Serves a connection to its end.
#[inline(never)] // Keeps these locals off the stack of RTMP connections.
pub(super) fn run(shared: Arc<Shared>, socket: Arc<Socket>, peer: SocketAddr, permit: Permit) {
    let local = socket.local_address().unwrap_or(peer);
    let client = Client::over_http(permit.id, peer, local, "");
    let is_of_proxy = shared.is_of_proxy(Protocol::Http, peer, &socket);
    log::debug!("{client} connected over HTTP");
    let allowance = permit.allowance.clone();
    let mut connection = Connection {
        client,
        peer,
        is_of_proxy,
        shared: Arc::clone(&shared),
        socket: Arc::clone(&socket),
        input: Input::new(Allowance::clone(&allowance)),
        allowance,
        plays: Vec::new(),
        rate: REQUESTS,
    };
    connection::run(&mut connection, &shared, &socket, permit.id);
}

struct Connection {
    /// The sender of the current request.
    client: Client,
    /// The other end of the connection: a client or a proxy.
    peer: SocketAddr,
    is_of_proxy: bool,
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    allowance: Allowance,
    input: Input,
    /// The streams that the handlers have allowed this client to play. They must be notified when these
    /// plays end.
    plays: Vec<StreamKey>,
    rate: Rate,
}

impl Connection {
    fn check_open(&self) -> Result<(), ConnectionEnd> {
        check_open(&self.shared, self.client.id())
    }

    /// Waits for the next request head and returns its length. Bytes after the head stay for the next
    /// call.
    #[inline(never)] // Keeps these locals off the stack of viewers.
    fn read_head(&mut self) -> Result<usize, HttpEnd> {
        let config = &self.shared.config;
        let head_timeout = millis(config.handshake_timeout.min(HEAD_TIMEOUT));
        let idle_timeout = millis(config.command_timeout.min(IDLE_TIMEOUT));
        let mut reader = HeadReader::default();
        let began = self.shared.now();
        // Not extended when bytes arrive, or else a client could stall by sending one now and then.
        let mut deadline = began + idle_timeout;
        let mut has_begun = false;
        loop {
            let bytes = self.input.bytes();
            if !has_begun && !bytes.is_empty() {
                has_begun = true;
                deadline = self.shared.now() + head_timeout;
            }
            if let Some(len) = reader.find(bytes).map_err(HttpEnd::Rejected)? {
                return Ok(len);
            }
            let left = deadline.saturating_sub(self.shared.now());
            if left == 0 {
                return Err(if has_begun {
                    HttpEnd::Rejected(TOO_SLOW)
                } else {
                    HttpEnd::Idle
                });
            }
            self.read(left)?;
        }
    }

    /// Reads available bytes. Waits for them for at most `timeout` ms.
    fn read(&mut self, timeout: Millis) -> Result<(), HttpEnd> {
        let lost = |error: std::io::Error| ConnectionEnd::Lost(error.kind());
        self.socket
            .set_read_timeout(Duration::from_millis(timeout))
            .map_err(lost)?;
        let result = self.input.read(&self.socket, &self.shared.scratches);
        match result.map_err(|NoRoom| HttpEnd::Rejected(NO_MEMORY))? {
            Ok(0) => {
                self.check_open()?;
                Err(ConnectionEnd::Closed.into())
            }
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
                _ => Err(lost(error).into()),
            },
        }
    }

    /// Answers the request whose head is the first `len` bytes of the input. Returns whether another
    /// request may follow.
    fn answer(&mut self, len: usize) -> Result<bool, HttpEnd> {
        self.wait_for_turn()?;
        let shared = Arc::clone(&self.shared);
        let end = self.read_body(len)?;
        let decided = self.decide(&shared, len, end);
        // The response may take long; the head is no longer needed.
        self.input.consume(end);
        let result = decided.and_then(|(reply, facts)| self.send(&shared, reply, facts));
        self.end_plays();
        if self.is_of_proxy {
            let connections = &self.shared.connections;
            connections.forget_sender(self.client.id(), self.peer);
        }
        result
    }

    /// Waits for the body of the request whose head is the first `len` bytes of the input. Returns the
    /// length of both.
    #[inline(never)] // Keeps these locals off the stack of viewers.
    fn read_body(&mut self, len: usize) -> Result<usize, HttpEnd> {
        let bytes = self.input.bytes().get(..len).unwrap_or_default();
        if !bytes.starts_with(head::WITH_BODY) {
            return Ok(len);
        }
        let head = Head::parse(bytes).map_err(HttpEnd::Rejected)?;
        let end = len + head.body_len();
        if end > head::MAX_HEAD_LEN {
            return Err(HttpEnd::Rejected(TOO_LONG));
        }
        let deadline = self.shared.now() + millis(HEAD_TIMEOUT);
        while self.input.bytes().len() < end {
            let left = deadline.saturating_sub(self.shared.now());
            if left == 0 {
                return Err(HttpEnd::Rejected(TOO_SLOW));
            }
            self.read(left)?;
        }
        Ok(end)
    }

    /// Delays the requests of a client that sends more of them than any player needs.
    fn wait_for_turn(&mut self) -> Result<(), HttpEnd> {
        while !self.rate.take(1, self.shared.now()) {
            std::thread::sleep(PAUSE);
            self.check_open()?;
        }
        Ok(())
    }

    /// Decides on the reply to a request.
    #[inline(never)] // Keeps these locals off the stack of viewers.
    fn decide<'s>(
        &mut self,
        shared: &'s Arc<Shared>,
        len: usize,
        end: usize,
    ) -> Result<(Reply<'s>, Facts), HttpEnd> {
        let bytes = self.input.bytes().get(..len).unwrap_or_default();
        let head = Head::parse(bytes).map_err(HttpEnd::Rejected)?;
        let (id, local) = (self.client.id(), self.client.local_address());
        let name = head.header("user-agent").unwrap_or_default();
        let name = at_most(name, MAX_USER_AGENT_LEN);
        let connections = &shared.connections;
        if name != self.client.user_agent() {
            connections.note_client(id, name);
        }
        // Each request that arrives through a proxy may be from another client.
        let (sender, arrival) = shared.guard.sender(&head, self.peer, local.ip());
        self.client = Client::over_http(id, sender, local, name);
        self.client.arrival = arrival;
        self.client.is_tls = self.socket.is_tls();
        let is_full = if self.is_of_proxy && arrival != Arrival::Direct {
            connections.note_sender(id, sender).err()
        } else {
            None
        };
        let mut exchange = Exchange {
            shared,
            socket: &self.socket,
            client: &self.client,
            head: &head,
            body: self.input.bytes().get(len..end).unwrap_or_default(),
            credentials: shared.guard.credentials(&head),
            page: Page::of(&head),
            allowance: &self.allowance,
            is_shared: false,
            is_hls: false,
            plays: &mut self.plays,
        };
        let reply = match is_full {
            Some(full) => {
                connection::refuse(shared, sender, full);
                Reply::Response(Response::text(Status::TooManyRequests, &full.to_string()))
            }
            None => reply(shared, &mut exchange).unwrap_or_else(Reply::Response),
        };
        Ok((reply, exchange.facts()))
    }

    /// Sends the reply. Returns whether another request may follow.
    #[inline(never)] // Keeps these locals off the stack of connections between requests.
    fn send(
        &mut self,
        shared: &Arc<Shared>,
        reply: Reply<'_>,
        facts: Facts,
    ) -> Result<bool, HttpEnd> {
        let reply = match reply {
            Reply::Viewing(viewing) => Reply::Response(viewing.run(self)?),
            reply => reply,
        };
        let mut writer = Writer::new(self, shared, facts);
        match reply {
            Reply::Response(response) => writer.respond(response)?,
            Reply::Packed(response) => writer.unpack(response)?,
            Reply::Unending(response) => {
                writer.describe(&response)?;
                return Ok(false);
            }
            Reply::Status(text) => text.write(&mut writer)?,
            Reply::Hls(task) => task.run(&mut writer, &self.allowance)?,
            Reply::Recorded(reply) => reply.write(&mut writer)?,
            Reply::Keyframe(keyframe) => keyframe.write(&mut writer, &self.allowance)?,
            Reply::Viewing(_) => {}
        }
        Ok(writer.may_go_on())
    }

    /// Notifies the handlers of the end of the plays that they have allowed.
    fn end_plays(&mut self) {
        for key in self.plays.drain(..) {
            self.shared.connections.note_stop(self.client.id(), &key);
            match &self.shared.hls_sessions {
                Some(sessions) => sessions.stop(&self.client, &key),
                None => self.shared.handler.stop(&self.client, &key),
            }
        }
    }
}

impl Conversation for Connection {
    type End = HttpEnd;

    fn serve(&mut self) -> Result<Infallible, HttpEnd> {
        loop {
            let len = self.read_head()?;
            if !self.answer(len)? {
                return Err(HttpEnd::Answered);
            }
            // The next read notices that a connection was closed, unless the next request has arrived
            // already.
            if self.shared.is_stopping() || !self.input.bytes().is_empty() {
                self.check_open()?;
            }
        }
    }

    /// Rejects an invalid request, if that is the reason for the end, and closes the connection.
    #[inline(never)] // Keeps these locals off the stack of a live connection.
    fn finish(&mut self, end: &HttpEnd) {
        self.end_plays();
        // Requests that have arrived already aren't answered.
        self.input.take();
        if let HttpEnd::Rejected(rejected) = end {
            writer::reject(&self.socket, *rejected);
        }
        // If the connection were closed at once, the client might not get the last bytes.
        if !end.is_lost() && !self.shared.is_stopping() {
            self.socket.drain();
        }
        let hint = match (end, self.shared.rtmp_addresses.first()) {
            _ if self.socket.is_tls() => said(self.socket.tls_failure()),
            (HttpEnd::Rejected(head::RTMP), Some(right)) => {
                format!(". RTMP is on port {}", right.port())
            }
            _ => String::new(),
        };
        let address = self.client.address().ip();
        let line = self.shared.line(end.level(), About::Connection, address);
        line.say(format_args!("{} disconnected: {end}{hint}", self.client));
    }
}

/// The end of a log line with the reason why TLS has failed.
fn said(failure: Option<String>) -> String {
    failure.map_or_else(String::new, |why| [". ", &why].concat())
}

/// Logs that a client has begun to watch a stream in the format `kind`.
#[inline(never)] // Keeps these locals off the stack while media is sent.
fn log_viewer(shared: &Shared, client: &Client, key: &StreamKey, kind: &str) {
    let address = client.address();
    shared.info(About::Media, address.ip()).say(format_args!(
        "#{} {}: playing to {} as {kind}{}",
        client.id(),
        shared.shown(key),
        Shown(address),
        in_brackets(client.user_agent()),
    ));
}

/// The remaining work for a request after its head has been dropped.
enum Reply<'a> {
    /// Sends a response.
    Response(Response),
    /// Unpacks the gzip body of a response, and sends it.
    Packed(Response),
    /// Answers HEAD for a resource whose body would be endless.
    Unending(Response),
    /// Sends a list of the server's state.
    Status(status::StatusReply<'a>),
    /// Sends a playlist or a segment, possibly after a wait until it exists.
    Hls(hls::HlsTask),
    /// Sends recordings, or a list of them.
    Recorded(recordings::RecordedReply<'a>),
    /// Sends the newest keyframe of a stream.
    Keyframe(keyframe::Keyframe),
    /// Sends the media of a stream until either side ends it.
    Viewing(watch::Viewing),
}

const TOO_SLOW: Rejected = Rejected {
    status: Status::RequestTimeout,
    why: "the request head took too long",
};

const TOO_LONG: Rejected = Rejected {
    status: Status::ContentTooLarge,
    why: "head and body are too long together",
};

const NO_MEMORY: Rejected = Rejected {
    status: Status::ServiceUnavailable,
    why: "there is no memory for this at the moment",
};

/// Tells a client that the stream's codecs can't be sent in the requested format.
const NO_CODEC: &str = "the stream's codecs don't fit this format. Try RTMP, or .flv";

fn retry_later(status: Status, why: &str) -> Response {
    Response::text(status, why).header("Retry-After", "1")
}

fn no_memory() -> Response {
    retry_later(NO_MEMORY.status, NO_MEMORY.why)
}

fn too_many() -> Response {
    retry_later(Status::TooManyRequests, "too many requests")
}

/// The allowed methods of most resources.
const READABLE: &str = "GET, HEAD, OPTIONS";

/// Routes a request to the module that answers it. Returns a reply, or the response that refuses the
/// request.
fn reply<'s>(shared: &'s Arc<Shared>, exchange: &mut Exchange<'_>) -> Result<Reply<'s>, Response> {
    let head = exchange.head;
    let address = exchange.client.address().ip();
    if !shared.requests.allow(address, shared.now()) {
        return Err(too_many());
    }
    if head.path() == "*" {
        return Err(Response::options(READABLE, false));
    }
    let has_from = exchange.parameter("from").is_some();
    let route = Route::of_request(head.path(), has_from).map_err(Response::from)?;
    exchange.decide_sharing(&route);
    let allowed = match route {
        Route::Connection(_) | Route::Push(_) | Route::Pull(_) => "DELETE, OPTIONS",
        Route::Pushes | Route::Pulls => "GET, HEAD, POST, OPTIONS",
        Route::Recording(_) => "POST, DELETE, OPTIONS",
        _ => READABLE,
    };
    match (head.method(), &route) {
        (Method::Options, _) => return Err(Response::options(allowed, exchange.is_shared)),
        (
            Method::Delete,
            Route::Connection(_) | Route::Recording(_) | Route::Push(_) | Route::Pull(_),
        )
        | (Method::Post, Route::Recording(_) | Route::Pushes | Route::Pulls) => {}
        (_, Route::Connection(_) | Route::Recording(_) | Route::Push(_) | Route::Pull(_)) => {
            return Err(Response::method_not_allowed(allowed));
        }
        (Method::Get | Method::Head, _) => {}
        _ => return Err(Response::method_not_allowed(allowed)),
    }
    if matches!(route, Route::Home | Route::Player(_)) {
        exchange.check_host()?;
    }
    match &route {
        Route::Health => Ok(Reply::Response(Response::text(Status::Ok, "ok"))),
        Route::Home | Route::Player(_) | Route::Asset(_) => assets::reply(exchange, &route),
        Route::Media(key, Container::Mp4) if exchange.parameter("last").is_some() => {
            recordings::last(exchange, key).map(Reply::Recorded)
        }
        Route::Media(key, container) => watch::media(exchange, key, *container),
        Route::Frame(key) => keyframe::keyframe(exchange, key),
        Route::Playlist(key) | Route::MediaPlaylist(key) | Route::HlsFile(key, _) => {
            hls::reply(exchange, key, &route).map(Reply::Hls)
        }
        Route::Recordings
        | Route::RecordedFile(..)
        | Route::RecordedSpan(_)
        | Route::RecordedPlaylist(_) => {
            recordings::reply(shared, exchange, &route).map(Reply::Recorded)
        }
        Route::Streams
        | Route::Connections
        | Route::Connection(_)
        | Route::Recording(_)
        | Route::Pushes
        | Route::Push(_)
        | Route::Pulls
        | Route::Pull(_)
        | Route::Metrics
        | Route::Stat => status::reply(shared, exchange, &route),
    }
}
