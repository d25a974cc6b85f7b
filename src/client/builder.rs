//! What a program says about the connection it wants.

use std::path::PathBuf;
use std::time::Duration;

use super::error::{ClientError, ClientErrorKind};
use super::player::Player;
use super::publisher::Publisher;
use super::target::LinkOptions;
use crate::rtmp::via::Via;
use crate::url::Url;

/// The time in which a publish or play has to be accepted.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest message that is received, in bytes: what a tag of FLV can hold, which is far more than a
/// frame takes.
const MAX_MESSAGE: u32 = 16 << 20;

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
pub struct Client {
    pub(super) url: Url,
    timeout: Duration,
    flash_ver: String,
    is_enhanced: bool,
    ca: Option<PathBuf>,
}

impl Client {
    /// A client for the stream with this URL: `rtmp://USER:PASSWORD@HOST:PORT/APP/NAME`, where user,
    /// password and port may be left out; `rtmps://` if this build has TLS. `http://` and `https://` play
    /// FLV. Path and query are sent byte for byte.
    ///
    /// Fails if the URL can't be parsed.
    pub fn new(url: &str) -> Result<Client, ClientError> {
        Ok(Client {
            url: Url::parse(url)?,
            timeout: TIMEOUT,
            flash_ver: Via::default().flash_ver(env!("CARGO_PKG_VERSION"), None),
            is_enhanced: true,
            ca: None,
        })
    }

    /// Limits the time from the first packet to the accepted publish or play, redirects and login included.
    /// 10 s unless set.
    pub fn timeout(self, timeout: Duration) -> Client {
        Client { timeout, ..self }
    }

    /// Introduces the client with another name than brooklet's own, as `flashVer`.
    pub fn name(self, name: &str) -> Client {
        let flash_ver = name.to_owned();
        Client { flash_ver, ..self }
    }

    /// Announces the codecs of Enhanced RTMP to the server, or nothing. They are announced unless set; if
    /// the server then refuses connect, the client tries again without.
    pub fn enhanced(self, is_enhanced: bool) -> Client {
        Client {
            is_enhanced,
            ..self
        }
    }

    /// Trusts the certificates in this PEM file, besides those of the system.
    pub fn tls_ca(self, ca: Option<PathBuf>) -> Client {
        Client { ca, ..self }
    }

    /// The URL as it may be shown: without user, password, stream name and query.
    pub fn shown_url(&self) -> String {
        self.url.masked()
    }

    /// Connects and publishes. Returns when the server has accepted that.
    pub fn publish(self) -> Result<Publisher, ClientError> {
        if !self.url.scheme().is_rtmp() {
            let text = format!(
                "cannot publish to {}://, expected rtmp:// or rtmps://",
                self.url.scheme().name()
            );
            return Err(ClientError::new(ClientErrorKind::BadUrl, text));
        }
        Publisher::open(self)
    }

    /// Connects and plays. Returns when the server has accepted that, which may be long before the stream
    /// is live.
    pub fn play(self) -> Result<Player, ClientError> {
        Player::open(self)
    }

    /// The options of a connection to `url`.
    pub(super) fn options<'a>(&'a self, url: &'a Url) -> LinkOptions<'a> {
        LinkOptions {
            url,
            flash_ver: &self.flash_ver,
            timeout: self.timeout,
            max_message: MAX_MESSAGE,
            is_enhanced: self.is_enhanced,
            ca: self.ca.as_deref(),
            is_cancelled: &|| false,
        }
    }
}
