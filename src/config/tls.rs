//! TLS: where the server listens for it, and its certificate.

use std::net::SocketAddr;
use std::path::PathBuf;

settings! {
    /// Where the server listens for RTMP and HTTP inside of TLS. Builds without the feature `tls` refuse to
    /// start with any address here.
    ///
    /// ```
    /// use brooklet::Config;
    /// use brooklet::config::Tls;
    ///
    /// let tls = Tls::default()
    ///     .rtmps(vec!["[::]:1936".parse()?])
    ///     .certificate(Some("/etc/brooklet/fullchain.pem".into()))
    ///     .key(Some("/etc/brooklet/privkey.pem".into()));
    /// let config = Config::default().tls(tls);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    Tls {
        /// Addresses to listen on for RTMP inside of TLS (`rtmps://`).
        rtmps: Vec<SocketAddr> = Vec::new(),
        /// Addresses to listen on for HTTP inside of TLS (`https://`).
        https: Vec<SocketAddr> = Vec::new(),
        /// The PEM file with the server's certificate, followed by those of its issuers. It is loaded again
        /// when it changes.
        certificate: Option<PathBuf> = None,
        /// The PEM file with the certificate's private key.
        key: Option<PathBuf> = None,
        /// A PEM file with certificates that pushes and pulls trust besides those of the system.
        ca: Option<PathBuf> = None,
    }
}

impl Tls {
    /// Whether the server listens for TLS.
    pub fn is_on(&self) -> bool {
        !self.rtmps.is_empty() || !self.https.is_empty()
    }
}
