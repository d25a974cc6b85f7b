//! The client's side of TLS: whom it trusts.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::certificate::Stamp;
use super::verifier::Verifier;
use super::{Tls, words};
use crate::live::lock;
use crate::small_file::{self, MANY_VALUES};

/// How long roots are used. A system renews its own now and then.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// The servers that are trusted: those of the system's roots, and of one's own. They are loaded when they are
/// first needed, kept for all connections, and loaded again when one's own have changed, or after a day.
pub(crate) struct TlsClient {
    ca: Option<PathBuf>,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    config: Arc<ClientConfig>,
    ca: Option<Stamp>,
    since: Instant,
}

impl TlsClient {
    /// Trusts the roots of the system, and the certificates in a PEM file.
    pub(crate) fn new(ca: Option<PathBuf>) -> TlsClient {
        TlsClient {
            ca,
            loaded: Mutex::default(),
        }
    }

    /// Checks that the certificates of one's own can be used, if there are some.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.ca.as_deref().map_or(Ok(()), |ca| own(ca).map(drop))
    }

    /// Begins a connection to a host. With a pin, the server's certificate has to have this SHA-256, and
    /// nothing else of it matters.
    pub(in crate::net) fn connect(&self, host: &str, pin: Option<&[u8; 32]>) -> io::Result<Tls> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "TLS: not a host name"))?;
        let config = match pin {
            None => self.config()?,
            Some(pin) => config(|provider| Ok(Verifier::of_pin(provider, *pin)))?,
        };
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Tls::new(connection.into()))
    }

    pub(super) fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let stamp = self.ca.as_deref().and_then(Stamp::of);
        let mut loaded = lock(&self.loaded);
        if let Some(loaded) = &*loaded {
            if loaded.ca == stamp && loaded.since.elapsed() < MAX_AGE {
                return Ok(Arc::clone(&loaded.config));
            }
        }
        let config = load(self.ca.as_deref())?;
        *loaded = Some(Loaded {
            config: Arc::clone(&config),
            ca: stamp,
            since: Instant::now(),
        });
        Ok(config)
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsClient").field(&self.ca).finish()
    }
}

fn load(ca: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    // A machine without roots can still use pins and a file of its own.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let own = ca.map_or(Ok(Vec::new()), own)?;
    roots.add_parsable_certificates(own.iter().cloned());
    config(|provider| Verifier::of_roots(provider, roots, own).map_err(io::Error::other))
}

/// Reads certificates of one's own.
fn own(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let wrong = |text: String| {
        let text = format!("{}: {text}", path.display());
        io::Error::new(ErrorKind::InvalidData, text)
    };
    let bytes = small_file::read(path, MANY_VALUES).map_err(|error| wrong(error.to_string()))?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(words::file(&error)))?;
    let mut usable = RootCertStore::empty();
    match usable.add_parsable_certificates(certificates.iter().cloned()) {
        (0, _) => Err(wrong("no certificate in PEM".to_owned())),
        _ => Ok(certificates),
    }
}

fn config(
    verifier: impl FnOnce(Arc<CryptoProvider>) -> io::Result<Verifier>,
) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumed session would skip the look at the certificate.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
