//! One request, as long as its head is in memory. Decides whether it is allowed, by the same rules as
//! over RTMP.

use std::sync::Arc;

use crate::allowance::Allowance;
use crate::http::{Head, Method, Response, Route, Status, websocket};
use crate::live::stream::Stream;
use crate::net::socket::Socket;
use crate::rtmp::stream_key::StreamKey;
use crate::server::Shared;
use crate::server::access::{Credentials, Page};
use crate::server::client::{Action, Client};
use crate::server::connections::Connections;
use crate::server::handler::{Refusal, RefusalKind, StreamRequest};
use crate::server::lines::About;

/// See the module's documentation.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) socket: &'a Arc<Socket>,
    pub(super) client: &'a Client,
    pub(super) head: &'a Head<'a>,
    /// The body, of the few requests that have one.
    pub(super) body: &'a [u8],
    pub(super) credentials: Credentials<'a>,
    pub(super) page: Page<'a>,
    /// Pays for the memory that the answer occupies.
    pub(super) allowance: &'a Allowance,
    /// Whether pages of other sites may read the response.
    pub(super) is_shared: bool,
    /// Whether it takes many requests to play: for an HLS playlist and the files that it lists, or for
    /// recordings and ranges of them.
    pub(super) is_hls: bool,
    /// The plays that were accepted. The handler has to be notified of their end.
    pub(super) plays: &'a mut Vec<StreamKey>,
}

/// An accepted play. The handler is notified of its end after the reply has been sent.
pub(super) struct Admission {
    /// The name of the stream that is played, which may differ from the requested name.
    pub(super) key: StreamKey,
    /// The stream, if there is one.
    pub(super) stream: Option<Arc<Stream>>,
}

impl Admission {
    /// The stream, if it was published. For one that is pulled on demand, waits some seconds.
    pub(super) fn published(self, shared: &Shared) -> Option<Arc<Stream>> {
        let stream = self.stream.filter(|stream| stream.was_published());
        stream.or_else(|| shared.relays.fetch(shared, &self.key))
    }
}

/// The facts about a request that its response depends on.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    /// Whether the response has no body.
    pub(super) is_head: bool,
    pub(super) is_1_1: bool,
    /// Whether another request may follow on the connection.
    pub(super) is_persistent: bool,
    /// Whether pages of other sites may read the response.
    pub(super) is_shared: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn facts(&self) -> Facts {
        Facts {
            is_head: self.head.method() == Method::Head,
            is_1_1: self.head.is_1_1(),
            is_persistent: self.head.is_persistent(),
            is_shared: self.is_shared,
        }
    }

    /// Decides whether pages of other sites may read the response.
    pub(super) fn decide_sharing(&mut self, route: &Route) {
        let is_last = matches!(route, Route::Media(..)) && self.parameter("last").is_some();
        self.is_hls = is_last
            || matches!(
                route,
                Route::Playlist(_)
                    | Route::MediaPlaylist(_)
                    | Route::HlsFile(..)
                    | Route::RecordedPlaylist(_)
                    | Route::RecordedFile(..)
                    | Route::RecordedSpan(_)
            );
        self.is_shared = match route {
            Route::Home | Route::Player(_) | Route::Asset(_) | Route::Health => true,
            route if route.needs_privileges() => false,
            Route::Metrics | Route::Stat => false,
            _ => {
                let guard = &self.shared.guard;
                guard.may_share(&self.credentials, &self.page)
            }
        };
    }

    /// Counts this number of streams against the client's rate limit for looking at streams.
    pub(super) fn look_at(&self, streams: usize) -> Result<(), Response> {
        let (shared, address) = (self.shared, self.client.address().ip());
        let is_allowed = shared.looks.allow_many(address, streams, shared.now());
        is_allowed.then_some(()).ok_or_else(super::too_many)
    }

    /// The value of a parameter in the query, still percent-encoded.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.head.query()?.split('&');
        pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Decides whether a stream may be played. If it is live, the connection occupies a viewer's place.
    pub(super) fn authorize(&mut self, key: &StreamKey) -> Result<Admission, Response> {
        self.check_host()?;
        let (shared, client, now) = (self.shared, self.client, self.shared.now());
        let mut request = StreamRequest::over_http(client, key, self.head.query());
        let hls_sessions = shared.hls_sessions.as_ref().filter(|_| self.is_hls);
        let decided = shared
            .guard
            .authorize_with(&self.credentials, Action::Play, &mut request, now)
            .and_then(|()| match hls_sessions {
                Some(sessions) => sessions.play(client, &mut request),
                None => shared.handler.play(client, &mut request),
            });
        let key = request.key().clone();
        if let Err(refusal) = decided {
            self.log_refusal(&key, &refusal);
            // The page has its own form for the key, which a browser's password dialog would cover.
            let asks_itself = self.parameter("challenge") == Some("off");
            return Err(response_to(&refusal, !asks_itself));
        }
        // Before the next step, which can fail: the handler has accepted the play, and must be notified
        // of its end.
        self.plays.push(key.clone());
        let stream = Connections::note_play(shared, client.id(), &key).map_err(|full| {
            let why = format!("no place: {full}");
            super::retry_later(Status::ServiceUnavailable, &why)
        })?;
        Ok(Admission { key, stream })
    }

    /// Fails if the client is a server that would get back what comes from it.
    pub(super) fn check_circle(&self, key: &StreamKey) -> Result<(), Response> {
        let (shared, agent) = (self.shared, self.client.user_agent());
        let checked = shared.relays.check(agent);
        let checked = checked.and_then(|()| {
            let relays = &shared.relays;
            relays.check_stream(shared, agent, Action::Play, key)
        });
        checked.map_err(|why| {
            self.warn(
                About::Connection,
                format_args!("refused play of {key}: {why}"),
            );
            Response::text(Status::Forbidden, why)
        })
    }

    /// Fails if the host name of a request isn't known to be this server's. Also checked for the page
    /// itself: none of its requests would be allowed under that name, and this way the user can read
    /// why.
    pub(super) fn check_host(&self) -> Result<(), Response> {
        let refused = self.shared.guard.check_host(&self.page);
        refused.map_err(|refusal| {
            self.warn(About::Connection, format_args!("{refusal}"));
            response_to(&refusal, true)
        })
    }

    /// Answers the opening handshake of a WebSocket, with "Switching Protocols" or an error.
    pub(super) fn accept_websocket(&self) -> Result<Response, Response> {
        let guard = &self.shared.guard;
        if !guard.may_open_socket(&self.credentials, &self.page) {
            return Err(Response::text(
                Status::Forbidden,
                "pages of other sites may not open this",
            ));
        }
        websocket::accept(self.head)
    }

    /// Logs a refusal. Over HTTP it doesn't end the connection, so no other line tells of it. No warning
    /// if the client hasn't sent credentials yet: the response asks for them.
    fn log_refusal(&self, key: &StreamKey, refusal: &Refusal) {
        let is_question =
            refusal.kind() == RefusalKind::Unauthorized && !self.credentials.are_for_streams();
        if is_question || refusal.is_step() {
            log::debug!("{} asked to play {key}: {refusal}", self.client);
            return;
        }
        self.warn(
            About::Media,
            format_args!("refused to play {key}: {refusal}"),
        );
    }

    /// Logs a warning about the client.
    pub(super) fn warn(&self, about: About, what: std::fmt::Arguments<'_>) {
        let client = self.client;
        let line = self.shared.warn(about, client.address().ip());
        line.say(format_args!("{client} {what}"));
    }
}

/// The response to a request that is refused. With `may_challenge`, a browser asks the user for a
/// password if one is needed.
pub(super) fn response_to(refusal: &Refusal, may_challenge: bool) -> Response {
    let status = match refusal.kind() {
        RefusalKind::Unauthorized => Status::Unauthorized,
        RefusalKind::TooManyAttempts => Status::TooManyRequests,
        RefusalKind::ServerStops => Status::ServiceUnavailable,
        RefusalKind::Forbidden | RefusalKind::Step => Status::Forbidden,
    };
    let response = Response::text(status, refusal.description());
    if may_challenge && status == Status::Unauthorized {
        let challenge = "Basic realm=\"brooklet\", charset=\"UTF-8\"";
        return response.header("WWW-Authenticate", challenge);
    }
    response
}

/// The response to a request for a stream that isn't live.
pub(super) fn not_live(key: &StreamKey) -> Response {
    let key = key.as_str();
    // Without a time, the path of a recording is that of a stream.
    let hint = if key.starts_with("recordings/") {
        "; recordings need .mp4?from=TIME or .m3u8?from=TIME"
    } else {
        ""
    };
    Response::text(Status::NotFound, &[key, " isn't live", hint].concat())
}
