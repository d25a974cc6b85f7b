//! The reasons of TLS in words.

use std::borrow::Cow;
use std::io::{self, ErrorKind};

use rustls::pki_types::{UnixTime, pem};
use rustls::{AlertDescription, CertificateError, Error};

use crate::calendar;

/// The number of bytes of a certificate's names that are shown.
const MAX_NAMES: usize = 200;

/// Returns an I/O error that says what has happened.
pub(super) fn to_io(error: &Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text(error))
}

/// Says what has happened.
pub(super) fn text(error: &Error) -> String {
    let reason = match error {
        Error::InvalidCertificate(error) => return format!("TLS: {}", certificate(error)),
        Error::InvalidMessage(_) => "the peer doesn't speak TLS",
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateExpired => {
                "the peer says that the certificate has expired"
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown => "the peer doesn't trust the certificate",
            AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion => {
                "the peer has no version or cipher of TLS in common"
            }
            AlertDescription::UnrecognisedName => "the peer has no such name",
            _ => return format!("TLS: the peer says {alert:?}"),
        },
        Error::InconsistentKeys(_) => return "the key of another certificate".to_owned(),
        Error::NoCertificatesPresented => "the server has no certificate",
        Error::PeerIncompatible(_) => "the peer has no version or cipher of TLS in common",
        error => return format!("TLS: {error}"),
    };
    ["TLS: ", reason].concat()
}

/// Says why a file can't be used.
pub(super) fn file(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "no key in PEM, or an encrypted one".to_owned(),
        pem::Error::MissingSectionEnd { .. } => "the file is cut off".to_owned(),
        error => format!("not in PEM: {error}"),
    }
}

fn certificate(error: &CertificateError) -> Cow<'static, str> {
    let reason = match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            let when = time(*not_after);
            return format!("the certificate has expired at {when}").into();
        }
        CertificateError::NotValidYetContext {
            not_before,
            time: now,
        } => {
            let (when, now) = (time(*not_before), time(*now));
            return format!(
                "the certificate isn't valid before {when}, and this machine's clock says {now}"
            )
            .into();
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            return names(presented).into();
        }
        CertificateError::Expired => "the certificate has expired",
        CertificateError::NotValidYet => "the certificate isn't valid yet",
        CertificateError::NotValidForName => "the certificate is for another name",
        CertificateError::Revoked => "the certificate was revoked",
        CertificateError::BadEncoding => "the certificate can't be read",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate isn't meant for servers"
        }
        // Reasons of the verifier's own, and rare ones.
        CertificateError::Other(other) => return other.0.to_string().into(),
        error => return format!("the certificate is refused: {error}").into(),
    };
    reason.into()
}

fn time(time: UnixTime) -> String {
    calendar::date_and_time(time.as_secs(), ' ') + " UTC"
}

/// Says which names a certificate has that is for none that was wanted. They come as `DnsName("pi")` and
/// `IpAddress(192.0.2.7)`.
fn names(presented: &[String]) -> String {
    let mut text = String::new();
    for name in presented {
        let name = name.split_once('(').map_or("", |(_, name)| name);
        let name = name.trim_end_matches(')').trim_matches('"');
        // Whatever a certificate holds, a line of the log stays readable.
        let is_usual = |c: char| c.is_ascii_alphanumeric() || "-._*:".contains(c);
        if name.is_empty() || !name.chars().all(is_usual) {
            continue;
        }
        if text.len() + name.len() > MAX_NAMES {
            text.push_str(", ...");
            break;
        }
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(name);
    }
    match text.is_empty() {
        true => "the certificate is for no name. Pin it with #sha256=... behind the URL".to_owned(),
        false => format!("the certificate is for other names: {text}"),
    }
}
