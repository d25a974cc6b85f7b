//! What a program says about the connection it wants.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::{ClientError, ClientErrorKind};
use super::player::Player;
use super::publisher::Publisher;
use super::settings::Settings;
use crate::net::tls::TlsClient;
use crate::url::Url;

/// A client of another server, before it connects.
///
/// ```no_run
/// use std::time::Duration;
///
/// use brooklet::client::Client;
///
/// let client = Client::new("rtmp://192.0.2.7/live/door")?.timeout(Duration::from_secs(5));
/// let mut player = client.play()?;
/// while let Some(message) = player.recv(Duration::from_secs(10))? {
///     println!("{} ms: {} bytes", message.timestamp(), message.payload().len());
/// }
/// # Ok::<(), brooklet::client::ClientError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client(Settings);

impl Client {
    /// A client for the stream with this URL: `rtmp://USER:PASSWORD@HOST:PORT/APP/NAME`, where user,
    /// password and port may be left out; `rtmps://` if this build has TLS. `http://` and `https://` play
    /// FLV. Path and query are sent byte for byte.
    ///
    /// Fails if the URL can't be parsed, or if it needs TLS and this build has none.
    pub fn new(url: &str) -> Result<Client, ClientError> {
        Ok(Client(Settings::new(Url::parse(url)?.usable()?)))
    }

    /// Limits the time from the first packet to the accepted publish or play, redirects and login included.
    /// 10 s unless set.
    pub fn timeout(mut self, timeout: Duration) -> Client {
        self.0.timeout = timeout;
        self
    }

    /// Introduces the client with another name than brooklet's own, as `flashVer`.
    pub fn name(mut self, name: &str) -> Client {
        self.0.flash_ver = Some(name.to_owned());
        self
    }

    /// Announces the codecs of Enhanced RTMP to the server, or nothing. They are announced unless set; if
    /// the server then refuses connect, the client tries again without.
    pub fn enhanced(mut self, is_enhanced: bool) -> Client {
        self.0.is_enhanced = is_enhanced;
        self
    }

    /// Trusts the certificates in this PEM file, besides those of the system.
    pub fn tls_ca(mut self, ca: Option<PathBuf>) -> Client {
        self.0.tls = Arc::new(TlsClient::new(ca));
        self
    }

    /// The URL as it may be shown: without user, password, stream name and query.
    pub fn shown_url(&self) -> String {
        self.0.url.masked()
    }

    /// Connects and publishes. Returns when the server has accepted that.
    pub fn publish(self) -> Result<Publisher, ClientError> {
        if !self.0.url.scheme().is_rtmp() {
            let text = format!(
                "cannot publish to {}://, expected rtmp:// or rtmps://",
                self.0.url.scheme().name()
            );
            return Err(ClientError::new(ClientErrorKind::BadUrl, text));
        }
        Publisher::open(self.0.named(true))
    }

    /// Connects and plays. Returns when the server has accepted that, which may be long before the stream
    /// is live.
    pub fn play(self) -> Result<Player, ClientError> {
        Player::open(self.0.named(false))
    }
}
