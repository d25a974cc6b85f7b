//! Whether a server's certificate is trusted.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, VerifierBuilderError};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    trusted: Trusted,
}

#[derive(Debug)]
enum Trusted {
    /// The one certificate with this SHA-256.
    Pin([u8; 32]),
    /// Those that these roots have issued, and those that are themselves in `own`.
    Roots {
        roots: Option<Arc<WebPkiServerVerifier>>,
        own: Vec<CertificateDer<'static>>,
    },
}

/// Why a certificate isn't trusted, as far as rustls has no word for it. The certificate's SHA-256 lets a
/// person pin it.
#[derive(Debug)]
pub(super) enum Distrust {
    SelfSigned([u8; 32]),
    UnknownIssuer([u8; 32]),
    OtherThanPinned([u8; 32]),
}

impl Verifier {
    /// Trusts one certificate.
    pub(super) fn of_pin(provider: Arc<CryptoProvider>, pin: [u8; 32]) -> Verifier {
        let trusted = Trusted::Pin(pin);
        Verifier { provider, trusted }
    }

    /// Trusts the certificates in `own`, and those that `roots` have issued.
    pub(super) fn of_roots(
        provider: Arc<CryptoProvider>,
        roots: RootCertStore,
        own: Vec<CertificateDer<'static>>,
    ) -> Result<Verifier, VerifierBuilderError> {
        let roots = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                    .build()?,
            ),
        };
        let trusted = Trusted::Roots { roots, own };
        Ok(Verifier { provider, trusted })
    }

    /// Whether a certificate is its own issuer, or that of an authority, which is the same for a server.
    fn is_self_signed(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let mut itself = RootCertStore::empty();
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
            return false;
        };
        itself.add_parsable_certificates([certificate.clone().into_owned()]);
        let algorithms = self.provider.signature_verification_algorithms.all;
        let signed =
            verify_server_cert_signed_by_trust_anchor(&parsed, &itself, &[], now, algorithms);
        signed.map_or_else(|error| is_of_authority(&error), |()| true)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let digest = || Sha256::digest(end_entity).into();
        let (roots, own) = match &self.trusted {
            Trusted::Pin(pin) => {
                let digest: [u8; 32] = digest();
                return match bool::from(digest.as_slice().ct_eq(pin)) {
                    true => Ok(ServerCertVerified::assertion()),
                    false => Err(Distrust::OtherThanPinned(digest).into()),
                };
            }
            Trusted::Roots { roots, own } => (roots, own),
        };
        let verified = match roots {
            Some(roots) => {
                roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let Err(error) = verified else {
            return verified;
        };
        // Self-signed certificates are mostly made as those of authorities, which is what tools do unless
        // told otherwise. Their dates were right, or that would be the error.
        if is_of_authority(&error) && own.iter().any(|own| own == end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        if is_of_authority(&error) || is_of_unknown(&error) {
            return Err(match self.is_self_signed(end_entity, now) {
                true => Distrust::SelfSigned(digest()),
                false => Distrust::UnknownIssuer(digest()),
            }
            .into());
        }
        Err(error)
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

/// Whether nobody who is trusted has issued a certificate: at most somebody of the same name, with another
/// key.
fn is_of_unknown(error: &Error) -> bool {
    use CertificateError::{
        BadSignature, UnknownIssuer, UnsupportedSignatureAlgorithmForPublicKeyContext,
    };
    let Error::InvalidCertificate(error) = error else {
        return false;
    };
    matches!(
        error,
        UnknownIssuer | BadSignature | UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
    )
}

/// Whether a certificate is refused only since it is an authority's. rustls passes this reason on from webpki
/// as it is, in a type that only webpki names.
fn is_of_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(error)) = error else {
        return false;
    };
    error.0.to_string() == "CaUsedAsEndEntity"
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, digest, after) = match self {
            Distrust::SelfSigned(digest) => (
                "the certificate is self-signed. Trust it with --tls-ca FILE, or put ",
                digest,
                " behind the URL if that is the server's",
            ),
            Distrust::UnknownIssuer(digest) => (
                "the certificate's issuer is unknown. Trust it with --tls-ca FILE, or put ",
                digest,
                " behind the URL if that is the server's",
            ),
            Distrust::OtherThanPinned(digest) => (
                "the certificate isn't the one that is pinned, but ",
                digest,
                "",
            ),
        };
        write!(f, "{before}#sha256=")?;
        digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(after)
    }
}

impl std::error::Error for Distrust {}

impl From<Distrust> for Error {
    fn from(distrust: Distrust) -> Error {
        CertificateError::Other(OtherError(Arc::new(distrust))).into()
    }
}
