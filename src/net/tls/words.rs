//! The reasons of TLS in words.

use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError, Error};

/// Returns an I/O error that says what has happened.
pub(super) fn to_io(error: &Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text(error))
}

/// Says what has happened.
pub(super) fn text(error: &Error) -> String {
    let reason = match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::InvalidMessage(_) => "the peer doesn't speak TLS",
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => {
                "the peer says that the certificate has expired"
            }
            AlertDescription::UnknownCA | AlertDescription::BadCertificate => {
                "the peer doesn't trust the certificate"
            }
            AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => {
                "the peer has no version or cipher of TLS in common"
            }
            AlertDescription::UnrecognisedName => "the peer has no such name",
            _ => return format!("TLS: the peer says {alert:?}"),
        },
        Error::NoCertificatesPresented => "the server has no certificate",
        Error::PeerIncompatible(_) => "the peer has no version or cipher of TLS in common",
        error => return format!("TLS: {error}"),
    };
    ["TLS: ", reason].concat()
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate isn't valid yet. Is this machine's clock right?"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name"
        }
        CertificateError::UnknownIssuer => {
            "the certificate is self-signed, or of an unknown issuer. Trust its issuer with --tls-ca \
             FILE, or pin it with #sha256=... behind the URL"
        }
        CertificateError::ApplicationVerificationFailure => {
            "the certificate isn't the one that is pinned"
        }
        CertificateError::Revoked => "the certificate was revoked",
        _ => "the certificate is invalid",
    }
}
