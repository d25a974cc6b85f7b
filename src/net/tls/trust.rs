//! The client's side of TLS: whom it trusts.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Tls;

/// The servers that are trusted: those of the system's roots, and of one's own.
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Trusts the roots of the system, and the certificates in a PEM file.
    pub(crate) fn new(ca: Option<&Path>) -> io::Result<TlsClient> {
        let mut roots = RootCertStore::empty();
        // A machine without roots can still use pins and a file of its own.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca {
            let wrong = |text: String| io::Error::new(ErrorKind::InvalidData, text);
            let shown = path.display();
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| wrong(format!("{shown}: {error}")))?;
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(wrong(format!("{shown} has no certificate in PEM")));
            }
        }
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if roots.is_empty() {
            Arc::new(Pinned::new(Arc::clone(&provider), None))
        } else {
            let builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            builder.build().map_err(io::Error::other)?
        };
        let config = config(provider, verifier).map_err(io::Error::other)?;
        Ok(TlsClient {
            config: Arc::new(config),
        })
    }

    /// Begins a connection to a host. With a pin, the server's certificate has to have this SHA-256, and
    /// nothing else of it matters.
    pub(in crate::net) fn connect(&self, host: &str, pin: Option<&[u8; 32]>) -> io::Result<Tls> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::new(ErrorKind::InvalidInput, "TLS: not a host name"))?;
        let config = match pin {
            None => Arc::clone(&self.config),
            Some(pin) => {
                let provider = Arc::new(ring::default_provider());
                let verifier = Arc::new(Pinned::new(Arc::clone(&provider), Some(*pin)));
                Arc::new(config(provider, verifier).map_err(io::Error::other)?)
            }
        };
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Tls::new(connection.into()))
    }
}

fn config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, Error> {
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    // The verifier checks signatures and either the chain or the pin.
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(builder.with_no_client_auth())
}

/// Trusts the one certificate with this SHA-256; none if there is no pin.
#[derive(Debug)]
struct Pinned {
    provider: Arc<CryptoProvider>,
    pin: Option<[u8; 32]>,
}

impl Pinned {
    fn new(provider: Arc<CryptoProvider>, pin: Option<[u8; 32]>) -> Pinned {
        Pinned { provider, pin }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(pin) = &self.pin else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let digest = Sha256::digest(end_entity);
        if bool::from(digest.as_slice().ct_eq(pin)) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
