//! The server's side of TLS: its certificate, which may change while the server runs.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::{Tls, words};
use crate::live::lock;
use crate::small_file::{self, MANY_VALUES};

/// The certificate and key of a server, in files.
pub(crate) struct TlsServer {
    certificate: PathBuf,
    key: PathBuf,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// The files that were looked at last.
    stamps: [Option<Stamp>; 2],
}

/// When a file was changed, and how long it is: one that is written in two steps within a tick of the file
/// system's clock is seen twice, too.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Stamp(SystemTime, u64);

impl Stamp {
    /// The stamp of a file; `None` if there is none.
    pub(super) fn of(path: &Path) -> Option<Stamp> {
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp(metadata.modified().ok()?, metadata.len()))
    }
}

/// What a look at the files has brought.
#[derive(Debug)]
pub(crate) enum Reload {
    /// They are as they were.
    Unchanged,
    /// The new certificate is used from now on.
    Done,
    /// The old one stays in use.
    Failed(io::Error),
}

impl TlsServer {
    /// Loads a certificate, with those of its issuers after it, and its key, both in PEM.
    pub(crate) fn load(certificate: &Path, key: &Path) -> io::Result<TlsServer> {
        Ok(TlsServer {
            loaded: Mutex::new(Loaded {
                stamps: [certificate, key].map(Stamp::of),
                config: load(certificate, key)?,
            }),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Loads the files again if they have changed.
    pub(crate) fn reload(&self) -> Reload {
        let now = [&self.certificate, &self.key].map(|path| Stamp::of(path));
        let mut loaded = lock(&self.loaded);
        if loaded.stamps == now {
            return Reload::Unchanged;
        }
        loaded.stamps = now;
        match load(&self.certificate, &self.key) {
            Ok(config) => {
                loaded.config = config;
                Reload::Done
            }
            Err(error) => Reload::Failed(error),
        }
    }

    /// Begins a connection of a client.
    pub(in crate::net) fn accept(&self) -> io::Result<Tls> {
        let config = Arc::clone(&lock(&self.loaded).config);
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Tls::new(connection.into()))
    }
}

fn load(certificate: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let wrong = |path: &Path, text: String| {
        io::Error::new(
            ErrorKind::InvalidData,
            format!("{}: {text}", path.display()),
        )
    };
    let read = |path: &Path| {
        let bytes = small_file::read(path, MANY_VALUES);
        bytes.map_err(|error| wrong(path, error.to_string()))
    };
    let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(certificate, words::file(&error)))?;
    if chain.is_empty() {
        let text = "no certificate in PEM".to_owned();
        return Err(wrong(certificate, text));
    }
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?);
    let secret = secret.map_err(|error| wrong(key, words::file(&error)))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let config = builder
        .with_no_client_auth()
        .with_single_cert(chain, secret);
    let mut config = config.map_err(|error| wrong(key, words::text(&error)))?;
    // Sessions that are resumed would be kept in memory for clients that never come back.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
