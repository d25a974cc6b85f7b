//! One HTTP connection: its thread reads a request head, has it answered, and reads the next one,
//! until either side has enough.
//!
//! ```text
//! read_head -> decide -> assets, status, hls, watch -> Reply     head forgotten -> send
//!     ^                                             -> Err(End)  the connection is over
//!     +---- unless it is the last one <---------------------------------------------+
//! ```
//!
//! What a request keeps is a head until it is decided, and then what is to be sent, of which no more
//! is made at a time than a small piece. A viewer keeps the connection to its end: from then on only
//! the stream writes to the socket, and this thread reads what the client has to say.

mod admission;
mod assets;
mod exchange;
mod hls;
mod input;
mod keyframe;
mod scratch;
mod sending;
mod status;
mod watch;
mod writer;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::client::{Arrival, Client, Protocol};
use super::connections::Permit;
use super::end::End;
use super::lines::About;
use super::listener;
use super::socket::Socket;
use super::{Shared, millis};
use crate::allowance::Allowance;
use crate::http::head::{self, HeadReader};
use crate::http::{Head, Method, Rejected, Response, Route, Status};
use crate::live::Millis;
use crate::live::sink::Sink;
use crate::rtmp::printable::at_most;
use crate::rtmp::rate::Rate;
use crate::rtmp::stream_key::StreamKey;
use exchange::{Exchange, Facts};
pub(super) use hls::Waiters;
use input::{Input, NoRoom};
pub(super) use scratch::Scratches;
use writer::{Writer, why_over};

/// From the first byte of a head to its last, unless `--handshake-timeout` is shorter.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two requests, unless `--command-timeout` is shorter.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Requests of one client: a page with 16 cameras that are played by low-latency HLS makes 160 a
/// second, and half a dozen of its kind may share an address. Who asks more often is told to wait.
pub(super) const REQUESTS_PER_SECOND: u32 = 1_000;

/// Streams that are looked at for one client's lists.
pub(super) const LOOKS_PER_SECOND: u32 = 5_000;

/// Requests of one connection, at once and per second: who asks more often is made to wait.
const REQUESTS: Rate = Rate::new(400, 200);

/// How long such a one waits before it is looked again whether it may go on.
const PAUSE: Duration = Duration::from_millis(10);

/// What programs call themselves is kept up to this length, in bytes.
const MAX_USER_AGENT_LEN: usize = 200;

/// Serves a connection to its end.
#[inline(never)] // Its variables are not to be part of the stack of a connection over RTMP.
pub(super) fn run(shared: Arc<Shared>, socket: Arc<Socket>, peer: SocketAddr, permit: Permit) {
    let local = socket.local_address().unwrap_or(peer);
    let client = Client::over_http(permit.id(), peer, local, "");
    let is_of_proxy = shared.is_of_proxy(Protocol::Http, peer, &socket);
    log::debug!("{client} connected over HTTP");
    let allowance = permit.allowance();
    let mut connection = Connection {
        client,
        peer,
        is_of_proxy,
        shared,
        socket,
        input: Input::new(Allowance::clone(&allowance)),
        allowance,
        plays: Vec::new(),
        rate: REQUESTS,
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
    allowance: Allowance,
    input: Input,
    /// Streams whose play was allowed, and has to be followed by its end.
    plays: Vec<StreamKey>,
    rate: Rate,
}

impl Connection {
    fn serve(&mut self) -> End {
        loop {
            let answered = self.read_head().and_then(|len| self.answer(len));
            match answered {
                Ok(true) => {}
                Ok(false) => return End::Answered,
                Err(end) => return end,
            }
            // Whoever has more requests here already need not be read from.
            if let Some(end) = why_over(&self.shared, &self.client) {
                return end;
            }
        }
    }

    /// Waits for the next request head; returns its length. What comes behind it is left for the next
    /// time.
    #[inline(never)] // Its variables are not to be part of the stack of a viewer's thread.
    fn read_head(&mut self) -> Result<usize, End> {
        let config = &self.shared.config;
        let head_timeout = millis(config.handshake_timeout.min(HEAD_TIMEOUT));
        let idle_timeout = millis(config.command_timeout.min(IDLE_TIMEOUT));
        let mut reader = HeadReader::default();
        let began = self.shared.now();
        // A client that sends a byte now and then doesn't stretch it.
        let mut deadline = began + idle_timeout;
        let mut has_begun = false;
        loop {
            let bytes = self.input.bytes();
            if !has_begun && !bytes.is_empty() {
                has_begun = true;
                deadline = self.shared.now() + head_timeout;
            }
            if let Some(len) = reader.find(bytes).map_err(End::Rejected)? {
                return Ok(len);
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
        let result = self.input.read(&self.socket, &self.shared.scratches);
        match result.map_err(|NoRoom| End::Rejected(NO_MEMORY))? {
            Ok(0) => Err(why_over(&self.shared, &self.client).unwrap_or(End::Closed)),
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                _ => Err(lost(error)),
            },
        }
    }

    /// Has the request answered whose head is there; whether another one may follow.
    fn answer(&mut self, len: usize) -> Result<bool, End> {
        self.wait_for_turn()?;
        let shared = Arc::clone(&self.shared);
        let decided = self.decide(&shared, len);
        // From here on nothing is left of the head, however long what follows takes.
        self.input.consume(len);
        let result = decided.and_then(|(reply, facts)| self.send(&shared, reply, facts));
        self.end_plays();
        if self.is_of_proxy {
            let connections = &self.shared.connections;
            connections.forget_sender(self.client.id(), self.peer);
        }
        result
    }

    /// Slows down who asks more often than anybody has to.
    fn wait_for_turn(&mut self) -> Result<(), End> {
        while !self.rate.take(1, self.shared.now()) {
            std::thread::sleep(PAUSE);
            if let Some(end) = why_over(&self.shared, &self.client) {
                return Err(end);
            }
        }
        Ok(())
    }

    /// Decides what a request is answered.
    #[inline(never)] // Its variables are not to be part of the stack of a viewer's thread.
    fn decide<'s>(
        &mut self,
        shared: &'s Arc<Shared>,
        len: usize,
    ) -> Result<(Reply<'s>, Facts), End> {
        let bytes = self.input.bytes().get(..len).unwrap_or_default();
        let head = Head::parse(bytes).map_err(End::Rejected)?;
        let (id, local) = (self.client.id(), self.client.local_address());
        let name = head.header("user-agent").unwrap_or_default();
        let name = at_most(name, MAX_USER_AGENT_LEN);
        let connections = &shared.connections;
        connections.note_client(id, name);
        // Behind a proxy each request may be somebody else's.
        let (sender, arrival) = shared.guard.sender(&head, self.peer, local.ip());
        self.client = Client::over_http(id, sender, local, name);
        self.client.set_arrival(arrival);
        let is_full = match self.is_of_proxy && arrival != Arrival::Direct {
            true => connections.note_sender(id, sender).err(),
            false => None,
        };
        let mut exchange = Exchange::new(
            shared,
            &self.socket,
            &self.client,
            &head,
            &self.allowance,
            &mut self.plays,
        );
        let reply = match is_full {
            Some(full) => {
                listener::refuse(shared, sender, full);
                Response::text(Status::TooManyRequests, &full.to_string()).into()
            }
            None => reply(shared, &mut exchange)?,
        };
        Ok((reply, exchange.facts()))
    }

    /// Sends what was decided.
    #[inline(never)] // Its variables are not to be on the stack of a connection between requests.
    fn send(&mut self, shared: &Arc<Shared>, reply: Reply<'_>, facts: Facts) -> Result<bool, End> {
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
            Reply::Keyframe(keyframe) => keyframe.write(&mut writer, &self.allowance)?,
            Reply::Viewing(_) => {}
        }
        Ok(writer.may_go_on())
    }

    /// Tells the handlers that what they have allowed is over.
    fn end_plays(&mut self) {
        for key in self.plays.drain(..) {
            self.shared.connections.note_stop(self.client.id(), &key);
            self.shared.handler.stop(&self.client, &key);
        }
    }

    /// Says the last words and closes.
    #[inline(never)] // Its variables are not to be on the stack of a connection that is served.
    fn finish(&mut self, end: &End) {
        self.end_plays();
        // Nothing more is looked at.
        self.input.take();
        if let End::Rejected(rejected) = end {
            writer::reject(&self.socket, *rejected);
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
        self.shared.say(
            level,
            About::Connection,
            self.client.address().ip(),
            format_args!("{} disconnected: {end}{hint}", self.client),
        );
    }
}

/// What is done for a request after its head is dropped.
enum Reply<'a> {
    /// Sends a response.
    Response(Response),
    /// Sends a response whose body is gzip, which is unpacked first.
    Packed(Response),
    /// Answers HEAD with the head of a response that would have no end.
    Unending(Response),
    /// Sends a list of the server's state.
    Status(status::StatusReply<'a>),
    /// Sends a playlist or a segment, for which it may have to wait.
    Hls(hls::HlsTask),
    /// Sends the newest keyframe of a stream.
    Keyframe(keyframe::Keyframe),
    /// Sends the media of a stream until either side ends.
    Viewing(watch::Viewing),
}

impl From<Response> for Reply<'_> {
    fn from(response: Response) -> Self {
        Reply::Response(response)
    }
}

const TOO_SLOW: Rejected = Rejected {
    status: Status::RequestTimeout,
    why: "the request head took too long",
};

const NO_MEMORY: Rejected = Rejected {
    status: Status::ServiceUnavailable,
    why: "there is no memory for this at the moment",
};

fn no_memory() -> Response {
    Response::from(NO_MEMORY).header("Retry-After", "1")
}

fn too_many() -> Response {
    Response::text(Status::TooManyRequests, "too many requests").header("Retry-After", "1")
}

/// What may be done with most things.
const READABLE: &str = "GET, HEAD, OPTIONS";

/// Has the right module answer.
fn reply<'s>(shared: &'s Arc<Shared>, exchange: &mut Exchange<'_>) -> Result<Reply<'s>, End> {
    let head = exchange.head;
    let address = exchange.client.address().ip();
    if !shared.requests.allow(address, shared.now()) {
        return Ok(too_many().into());
    }
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
        Route::Frame(key) => keyframe::keyframe(exchange, key),
        Route::Playlist(key) | Route::MediaPlaylist(key) | Route::HlsFile(key, _) => {
            let task = hls::reply(exchange, key, &route);
            Ok(task.map_or_else(Reply::Response, Reply::Hls))
        }
        Route::Streams
        | Route::Connections
        | Route::Connection(_)
        | Route::Metrics
        | Route::Stat => status::reply(shared, exchange, &route),
    }
}
