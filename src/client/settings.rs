//! What a program has said about its connection, as publishers and players keep it.

use std::sync::Arc;
use std::time::Duration;

use super::target::LinkOptions;
use crate::net::tls::TlsClient;
use crate::rtmp::via::Via;
use crate::url::Url;

/// The time in which a publish or play has to be accepted.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest message that is received, in bytes: what a tag of FLV can hold, which is far more than a
/// frame takes.
const MAX_MESSAGE: u32 = 16 << 20;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) url: Url,
    pub(super) timeout: Duration,
    /// The name of the client, if it isn't that of brooklet.
    pub(super) flash_ver: Option<String>,
    pub(super) is_enhanced: bool,
    pub(super) tls: Arc<TlsClient>,
}

impl Settings {
    pub(super) fn new(url: Url) -> Settings {
        Settings {
            url,
            timeout: TIMEOUT,
            flash_ver: None,
            is_enhanced: true,
            tls: Arc::new(TlsClient::new(None)),
        }
    }

    /// With a name for those who didn't give one.
    pub(super) fn named(mut self, is_publisher: bool) -> Settings {
        self.flash_ver.get_or_insert_with(|| {
            Via::default().flash_ver(is_publisher, env!("CARGO_PKG_VERSION"), None)
        });
        self
    }

    /// The options of a connection to `url`.
    pub(super) fn options<'a>(&'a self, url: &'a Url) -> LinkOptions<'a> {
        LinkOptions {
            url,
            flash_ver: self.flash_ver.as_deref().unwrap_or_default(),
            timeout: self.timeout,
            max_message: MAX_MESSAGE,
            is_enhanced: self.is_enhanced,
            tls: &self.tls,
            is_cancelled: &|| false,
        }
    }
}
