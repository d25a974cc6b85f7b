//! What a server is told at start, with the defaults and limits of each number.

mod access;
mod host;
mod network;

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::live::join::Join;

pub use access::{Access, Key, Scope, Secret, User, parse_api_key};
pub use host::parse_host_name;
pub use network::Network;
pub(crate) use network::{Shown, is_private, one_client};

/// Port that RTMP clients try by themselves.
pub const RTMP_PORT: u16 = 1935;

/// Port for browsers and players that speak HTTP.
pub const HTTP_PORT: u16 = 8080;

/// Configuration of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen. `[::]` takes IPv4 too.
    pub rtmp: Vec<SocketAddr>,
    /// Where to listen for HTTP; empty for nowhere.
    pub http: Vec<SocketAddr>,
    /// Bytes for all media in memory, claimed at start.
    pub memory: usize,
    /// What a stream keeps for players that are behind, while memory lasts. The newest GOP is
    /// kept in any case.
    pub history: Duration,
    /// Lag at which a player is moved to a newer keyframe; at most half the history is used.
    pub max_lag: Duration,
    /// Longest audio or video message, in bytes.
    pub max_message: u32,
    /// How long players wait for a publisher that is gone; those of HLS twice as long if it said
    /// nothing.
    pub grace: Duration,
    /// Where players start, unless their URL says `?join=`.
    pub join: Join,
    /// How long messages wait for company before they are sent.
    pub batch: Duration,
    /// Who may publish.
    pub publish: Access,
    /// Who may play.
    pub play: Access,
    /// What somebody has to show, over HTTP, to see addresses and to end connections. Without it
    /// this machine itself may, and nobody else.
    pub api_key: Option<Secret>,
    /// Proxies whose word is taken for who sends a request over HTTP that they hand on.
    pub trusted_proxies: Vec<Network>,
    /// Names of the server, in lower case, by which browsers may ask for what the network alone lets
    /// them have: beside addresses, and names that mean something inside of a network only.
    pub host_names: Vec<String>,
    /// Connections in all.
    pub max_connections: usize,
    /// Connections from one address.
    pub max_per_address: usize,
    /// New connections a second from one address; twice as many may come at once.
    pub max_connect_rate: u32,
    /// A publisher that sends nothing for this long is disconnected.
    pub idle_timeout: Duration,
    /// From accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// From the handshake to publish or play.
    pub command_timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            rtmp: vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, RTMP_PORT))],
            http: vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, HTTP_PORT))],
            memory: 32 << 20,
            history: Duration::from_secs(12),
            max_lag: Duration::from_secs(2),
            max_message: 4 << 20,
            grace: Duration::from_secs(30),
            join: Join::Live,
            batch: Duration::ZERO,
            publish: Access::default(),
            play: Access::default(),
            api_key: None,
            trusted_proxies: Vec::new(),
            host_names: Vec::new(),
            max_connections: 256,
            max_per_address: 64,
            max_connect_rate: 20,
            idle_timeout: Duration::from_secs(15),
            handshake_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(15),
        }
    }
}

impl Config {
    /// Lag that is in force.
    pub fn effective_max_lag(&self) -> Duration {
        self.max_lag.min(self.history / 2)
    }
}
