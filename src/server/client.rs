//! A client: the address from which it is connected, and its description of itself.

use std::fmt;
use std::net::SocketAddr;

use crate::config::Shown;
use crate::rtmp::server_session::Connect;
use crate::rtmp::stream_key::query_value;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP: streams are published and played.
    Rtmp,
    /// HTTP: streams are played. Each request stands on its own, so handlers see neither a connect
    /// nor a disconnect.
    Http,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Rtmp => "rtmp",
            Protocol::Http => "http",
        }
    }
}

/// The action that an access rule governs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Sending a stream.
    Publish,
    /// Receiving a stream.
    Play,
}

impl Action {
    /// The verb of the options, as in `--publish-key`.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Action::Publish => "publish",
            Action::Play => "play",
        }
    }
}

/// How a request reached this server, which decides whether its address can be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The client has sent the request directly.
    #[default]
    Direct,
    /// A trusted proxy has forwarded the request, and named the client's address.
    ByTrustedProxy,
    /// A proxy that isn't trusted, or doesn't name the client, has forwarded the request. The client may
    /// be anywhere.
    ByUnknownProxy,
}

/// The client of a connection, or of an HTTP request, with its description of itself.
#[derive(Clone, Debug)]
pub struct Client {
    id: u64,
    address: SocketAddr,
    local_address: SocketAddr,
    protocol: Protocol,
    pub(super) arrival: Arrival,
    pub(super) is_tls: bool,
    pub(super) connect: Connect,
    user_agent: String,
    user: Option<String>,
    /// For each action, whether the client has logged in as a user who may do it.
    may: [bool; 2],
}

impl Client {
    pub(super) fn new(id: u64, address: SocketAddr, local_address: SocketAddr) -> Client {
        Client {
            id,
            address,
            local_address,
            protocol: Protocol::Rtmp,
            arrival: Arrival::Direct,
            is_tls: false,
            connect: Connect::default(),
            user_agent: String::new(),
            user: None,
            may: [false; 2],
        }
    }

    pub(super) fn over_http(
        id: u64,
        address: SocketAddr,
        local_address: SocketAddr,
        user_agent: &str,
    ) -> Client {
        Client {
            protocol: Protocol::Http,
            user_agent: user_agent.to_owned(),
            ..Client::new(id, address, local_address)
        }
    }

    /// Whether the client has logged in as a user who may do this.
    pub(super) fn may(&self, action: Action) -> bool {
        self.may[action as usize]
    }

    pub(super) fn allow(&mut self, action: Action) {
        self.may[action as usize] = true;
    }

    /// The number of the connection, as in the log.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The address of the client. Behind a trusted proxy, it is the address that the proxy names, with
    /// port 0 if the proxy names no port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of this machine at which the connection was accepted.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// The protocol of the connection.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether the connection to this server is inside of TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The parameters of RTMP's `connect`, the name of the program ([`flash_ver`](Connect::flash_ver))
    /// among them. Over HTTP all of them are empty.
    pub fn connect(&self) -> &Connect {
        &self.connect
    }

    /// The field `User-Agent` of a request over HTTP, or its first 200 bytes. Empty over RTMP.
    pub fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// The name of the user that the client has logged in as, or that a handler has set.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Sets the user name of the client.
    pub fn set_user(&mut self, user: &str) {
        self.user = Some(user.to_owned());
    }

    /// The value of a parameter in the query of the app, or else of the URL, over RTMP.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        let Connect { app, tc_url, .. } = &self.connect;
        query_value(app, name).or_else(|| query_value(tc_url, name))
    }
}

/// Prints the client as in log lines: `#17 192.0.2.7:5123`.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {}", self.id, Shown(self.address))
    }
}
