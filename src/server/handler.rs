//! What a program that embeds the server sees, and may decide.
//!
//! ```text
//! connect ── publish ── metadata ... ── unpublish ── disconnect
//!         └─ play ── stop ─────────────────────────┘
//! ```
//!
//! A handler is called on the thread of the connection that it is about: it may take its time,
//! and only that connection waits. (Plays over HLS outlive connections: their ends come on a thread
//! of their own.) What was accepted is always followed by its counterpart, also
//! when the client vanishes. The configuration's own rules (keys, users, networks) are a handler
//! too, which is asked first.

use std::fmt;
use std::net::SocketAddr;

use super::access::{Action, Login};
use crate::config::Shown;
use crate::rtmp::amf::Properties;
use crate::rtmp::server_session::Connect;
use crate::rtmp::stream_key::{StreamKey, query_value};

/// Decides who may do what, and hears of what happens. Every method has a default which accepts
/// and does nothing.
pub trait Handler: Send + Sync {
    /// A client wants to connect, over RTMP.
    fn connect(&self, client: &mut Client) -> Result<(), Refusal> {
        let _ = client;
        Ok(())
    }

    /// A client that was accepted is gone.
    fn disconnect(&self, client: &Client) {
        let _ = client;
    }

    /// A client wants to publish. The handler may also change the name under which it does.
    fn publish(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        let _ = (client, request);
        Ok(())
    }

    /// A publish has ended. Its players may still wait for another one.
    fn unpublish(&self, client: &Client, stream: &StreamKey) {
        let _ = (client, stream);
    }

    /// A client wants to play. The handler may also change what it plays.
    ///
    /// Over HLS a play is that of a viewer: of all requests with the same stream and query from one
    /// program at one address, until there has been none for 15 seconds. The handler is asked about
    /// the first of them.
    fn play(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        let _ = (client, request);
        Ok(())
    }

    /// A play has ended.
    fn stop(&self, client: &Client, stream: &StreamKey) {
        let _ = (client, stream);
    }

    /// A publisher has described its stream; `None` when it withdraws the description. The
    /// properties are as they came, in their order. They are read from the message itself: whoever
    /// needs one [finds](Properties::find) it, or clones the view and goes through all.
    fn metadata(&self, client: &Client, stream: &StreamKey, properties: Option<&Properties<'_>>) {
        let _ = (client, stream, properties);
    }
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP, over which streams are published and played.
    Rtmp,
    /// HTTP, over which they are played. Each request stands for itself: there is no connect, and
    /// so no disconnect. What the program calls itself stands where RTMP has it, in
    /// [`flash_ver`](Connect::flash_ver).
    Http,
}

/// How it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// By itself.
    #[default]
    Direct,
    /// Through a proxy that is trusted and has said from which address.
    Named,
    /// Through something that may not say so, or hasn't: it may be anywhere.
    Unnamed,
}

/// A connection, and what its client says of itself.
#[derive(Clone, Debug)]
pub struct Client {
    id: u64,
    address: SocketAddr,
    local_address: SocketAddr,
    connect: Connect,
    protocol: Protocol,
    way: Way,
    /// What came with the newest request over HTTP.
    login: Option<Login>,
    user: Option<String>,
    /// It has logged in as one of those who may publish, or play.
    may_publish: bool,
    may_play: bool,
}

impl Client {
    pub(super) fn new(id: u64, address: SocketAddr, local_address: SocketAddr) -> Client {
        Client {
            id,
            address,
            local_address,
            connect: Connect::default(),
            protocol: Protocol::Rtmp,
            way: Way::Direct,
            login: None,
            user: None,
            may_publish: false,
            may_play: false,
        }
    }

    /// One that speaks HTTP, and says that it is this program.
    pub(super) fn over_http(
        id: u64,
        address: SocketAddr,
        local_address: SocketAddr,
        user_agent: &str,
    ) -> Client {
        let connect = Connect {
            flash_ver: user_agent.to_owned(),
            ..Connect::default()
        };
        Client {
            protocol: Protocol::Http,
            connect,
            ..Client::new(id, address, local_address)
        }
    }

    /// The request came in this way.
    pub(super) fn set_way(&mut self, way: Way) {
        self.way = way;
    }

    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// Name and password of a request over HTTP.
    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    pub(super) fn set_login(&mut self, login: Option<Login>) {
        self.login = login;
    }

    /// Whether it has logged in as somebody who may.
    pub(super) fn may(&self, action: Action) -> bool {
        match action {
            Action::Publish => self.may_publish,
            Action::Play => self.may_play,
        }
    }

    pub(super) fn allow(&mut self, action: Action) {
        match action {
            Action::Publish => self.may_publish = true,
            Action::Play => self.may_play = true,
        }
    }

    pub(super) fn set_connect(&mut self, connect: Connect) {
        self.connect = connect;
    }

    /// The connection's number, as in the log.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it comes from: behind a trusted proxy what that says, with port 0 if it says none.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it was accepted.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What it said in connect.
    pub fn connect(&self) -> &Connect {
        &self.connect
    }

    /// As whom it was accepted, if a handler asked.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Notes who it is.
    pub fn set_user(&mut self, user: &str) {
        self.user = Some(user.to_owned());
    }

    /// A parameter of the query of its app or, failing that, of its URL.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        let Connect { app, tc_url, .. } = &self.connect;
        query_value(app, name).or_else(|| query_value(tc_url, name))
    }
}

/// As it stands in the log: `#17 192.0.2.7:5123`.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {}", self.id, Shown(self.address))
    }
}

/// A publish or play that waits for a decision.
#[derive(Clone, Debug)]
pub struct StreamRequest<'a> {
    client: &'a Client,
    name: &'a str,
    key: StreamKey,
    is_trusted: bool,
    /// The key is not the name as sent, but what may be shown of it.
    is_hidden: bool,
    /// It is a request for a playlist or a file of HLS.
    is_hls: bool,
}

impl<'a> StreamRequest<'a> {
    pub(super) fn new(client: &'a Client, name: &'a str, key: StreamKey) -> StreamRequest<'a> {
        StreamRequest {
            client,
            name,
            key,
            is_trusted: false,
            is_hidden: false,
            is_hls: false,
        }
    }

    pub(super) fn set_hls(&mut self, is_hls: bool) {
        self.is_hls = is_hls;
    }

    pub(super) fn is_hls(&self) -> bool {
        self.is_hls
    }

    /// The name holds a secret. `shown` takes its place, in the log and everywhere else.
    pub(super) fn hide(&mut self, shown: StreamKey) {
        self.key = shown;
        self.is_hidden = true;
    }

    /// The name is one: it may be shown.
    pub(super) fn show(&mut self, key: StreamKey) {
        self.key = key;
        self.is_hidden = false;
    }

    /// Whether the name holds a secret, so that the client must not be told what became of it.
    pub(super) fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    /// The stream that is wanted.
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Makes it another stream.
    pub fn set_key(&mut self, key: StreamKey) {
        self.key = key;
    }

    /// The name as the client sent it, query included.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// A parameter of the query of the name or, failing that, of app and URL.
    pub fn query_value(&self, name: &str) -> Option<&'a str> {
        query_value(self.name, name).or_else(|| self.client.query_value(name))
    }

    /// Whether the client has proved that the stream is its own.
    pub fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The client has proved that the stream is its own: it may take it over from a publisher at
    /// another address, which is taken for its own former connection.
    pub fn trust(&mut self) {
        self.is_trusted = true;
    }
}

/// Why a client may not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: String,
    description: Option<String>,
    is_step: bool,
    http_status: u16,
}

impl Refusal {
    /// A refusal whose reason stands in the log and is shown to the client.
    pub fn new(reason: impl Into<String>) -> Refusal {
        Refusal {
            reason: reason.into(),
            description: None,
            is_step: false,
            http_status: 403,
        }
    }

    /// A refusal in the course of things, such as the question for a password: nobody has done
    /// anything wrong, and the log doesn't warn.
    pub fn step(reason: impl Into<String>) -> Refusal {
        Refusal {
            is_step: true,
            ..Refusal::new(reason)
        }
    }

    /// The client is shown this instead: at most 250 bytes.
    pub fn with_description(self, description: impl Into<String>) -> Refusal {
        Refusal {
            description: Some(description.into()),
            ..self
        }
    }

    /// Over HTTP this is the answer, instead of 403 Forbidden.
    pub(super) fn with_http_status(self, http_status: u16) -> Refusal {
        Refusal {
            http_status,
            ..self
        }
    }

    pub(super) fn http_status(&self) -> u16 {
        self.http_status
    }

    /// Whether it is in the course of things.
    pub fn is_step(&self) -> bool {
        self.is_step
    }

    /// What the log says.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What the client is shown.
    pub fn description(&self) -> &str {
        self.description.as_deref().unwrap_or(&self.reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Handlers in the order in which they are asked; the first refusal counts.
pub(super) struct Handlers(Vec<std::sync::Arc<dyn Handler>>);

impl Handlers {
    pub(super) fn new(handlers: Vec<std::sync::Arc<dyn Handler>>) -> Handlers {
        Handlers(handlers)
    }
}

impl Handler for Handlers {
    fn connect(&self, client: &mut Client) -> Result<(), Refusal> {
        self.accepted(|handler| handler.connect(client))
            .map_err(|(count, refusal)| {
                self.undo(count, |handler| handler.disconnect(client));
                refusal
            })
    }

    fn disconnect(&self, client: &Client) {
        self.undo(self.0.len(), |handler| handler.disconnect(client));
    }

    fn publish(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        self.accepted(|handler| handler.publish(client, request))
            .map_err(|(count, refusal)| {
                self.undo(count, |handler| handler.unpublish(client, request.key()));
                refusal
            })
    }

    fn unpublish(&self, client: &Client, stream: &StreamKey) {
        self.undo(self.0.len(), |handler| handler.unpublish(client, stream));
    }

    fn play(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        self.accepted(|handler| handler.play(client, request))
            .map_err(|(count, refusal)| {
                self.undo(count, |handler| handler.stop(client, request.key()));
                refusal
            })
    }

    fn stop(&self, client: &Client, stream: &StreamKey) {
        self.undo(self.0.len(), |handler| handler.stop(client, stream));
    }

    fn metadata(&self, client: &Client, stream: &StreamKey, properties: Option<&Properties<'_>>) {
        for handler in &self.0 {
            handler.metadata(client, stream, properties);
        }
    }
}

impl Handlers {
    /// Asks all; at a refusal says also how many had accepted before.
    fn accepted(
        &self,
        mut ask: impl FnMut(&dyn Handler) -> Result<(), Refusal>,
    ) -> Result<(), (usize, Refusal)> {
        for (count, handler) in self.0.iter().enumerate() {
            ask(&**handler).map_err(|refusal| (count, refusal))?;
        }
        Ok(())
    }

    /// Tells the first `count`, the last one first.
    fn undo(&self, count: usize, tell: impl Fn(&dyn Handler)) {
        for handler in self.0.iter().take(count).rev() {
            tell(&**handler);
        }
    }
}
