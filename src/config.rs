//! The settings of a server, with their defaults and limits.

/// Declares a struct of settings. Each setting has a field, a default value, and a method of the same
/// name that replaces the value.
macro_rules! settings {
    (
        $(#[$struct_doc:meta])*
        $struct:ident {
            $($(#[$doc:meta])* $name:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$struct_doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $struct {
            $($(#[$doc])* pub $name: $type,)*
        }

        impl Default for $struct {
            fn default() -> $struct {
                $struct { $($name: $default,)* }
            }
        }

        impl $struct {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(self, $name: $type) -> $struct {
                    $struct { $name, ..self }
                }
            )*
        }
    };
}

mod access;
mod host;
mod network;
mod record;
mod relay;
mod tls;

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::live::out::join::Join;

pub use access::{Access, Key, Scope, Secret, User, parse_api_key};
pub use host::parse_host_name;
pub use network::Network;
pub(crate) use network::{Shown, is_private, one_client};
pub use record::{Record, RecordFormat, parse_recorded};
pub use relay::{Pull, Push, parse_pull, parse_push};
pub use tls::Tls;

/// The port that RTMP clients use by default.
pub const RTMP_PORT: u16 = 1935;

/// The default port for browsers and players that speak HTTP.
pub const HTTP_PORT: u16 = 8080;

settings! {
    /// The configuration of a server. Each setting has a default, and a method that replaces it:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use brooklet::Config;
    ///
    /// let config = Config::default()
    ///     .rtmp(vec!["127.0.0.1:1935".parse()?])
    ///     .memory(8 << 20)
    ///     .grace(Duration::from_secs(10));
    /// assert_eq!(config.memory, 8 << 20);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    Config {
        /// Addresses to listen on for RTMP. `[::]` accepts IPv4 clients, too.
        rtmp: Vec<SocketAddr> = vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, RTMP_PORT))],
        /// Addresses to listen on for HTTP; none if empty.
        http: Vec<SocketAddr> = if cfg!(feature = "http") {
            vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, HTTP_PORT))]
        } else {
            Vec::new()
        },
        /// The number of bytes for all media in memory, claimed at start.
        memory: usize = 32 << 20,
        /// The duration of media that a stream keeps for players that are behind, while memory lasts.
        /// The newest GOP is always kept.
        history: Duration = Duration::from_secs(12),
        /// The lag at which a player is moved to a newer keyframe; at most half the history is used.
        max_lag: Duration = Duration::from_secs(2),
        /// The length of the longest audio or video message, in bytes.
        max_message: u32 = 4 << 20,
        /// How long players wait for a publisher that is gone. HLS players wait twice as long if its
        /// connection was lost.
        grace: Duration = Duration::from_secs(30),
        /// Where players start, unless their URL contains `?join=`.
        join: Join = Join::Live,
        /// How long messages wait for later ones, to be sent together.
        batch: Duration = Duration::ZERO,
        /// Who may publish.
        publish: Access = Access::default(),
        /// Who may play.
        play: Access = Access::default(),
        /// The key that HTTP clients need to see addresses, to end connections, and to begin and end
        /// recordings. Without it, only clients on this machine may do so.
        api_key: Option<Secret> = None,
        /// Proxies that are trusted to name the client for whom they send an HTTP request.
        trusted_proxies: Vec<Network> = Vec::new(),
        /// Host names of the server, in lower case, that browsers may use if no key is required.
        /// Addresses and names that are only valid within a network work without being listed.
        host_names: Vec<String> = Vec::new(),
        /// The maximum number of connections.
        max_connections: usize = 256,
        /// The maximum number of connections from one address.
        max_per_address: usize = 64,
        /// The maximum number of new connections per second from one address. A burst may have twice as
        /// many.
        max_connect_rate: u32 = 20,
        /// A publisher that sends nothing for this long is disconnected.
        idle_timeout: Duration = Duration::from_secs(15),
        /// The time from accept to the end of the handshake.
        handshake_timeout: Duration = Duration::from_secs(10),
        /// The time from the handshake to publish or play.
        command_timeout: Duration = Duration::from_secs(15),
        /// What is recorded, and where.
        record: Record = Record::default(),
        /// The streams that are pushed to other servers.
        pushes: Vec<Push> = Vec::new(),
        /// The streams that are pulled from other servers.
        pulls: Vec<Pull> = Vec::new(),
        /// Where the server listens for TLS, and its certificate.
        tls: Tls = Tls::default(),
    }
}

impl Config {
    /// The effective value of [`max_lag`](Config::max_lag): at most half the history.
    pub fn effective_max_lag(&self) -> Duration {
        self.max_lag.min(self.history / 2)
    }
}
