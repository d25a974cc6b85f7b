//! The options of TLS.

use super::listen;
use super::opt::{Kind, Opt};

const ADDRESS: &str = "a port, an address or a name such as 1936, 0.0.0.0:1936 or localhost:1936";
const FILE: &str = "a file in PEM";

/// The options of TLS, which a build without it refuses at the start.
pub(super) const TLS: &[Opt] = &[
    Opt {
        name: "rtmps",
        value: "ADDR:PORT",
        default: "none",
        help: "listen here for RTMP inside of TLS; may be repeated; needs --tls-cert and \
               --tls-key, and a build with the feature tls",
        kind: Kind::Several(|settings| listen::forget(settings, "rtmps")),
        set: |settings, text| listen::listen(settings, "rtmps", text).ok_or(ADDRESS),
    },
    Opt {
        name: "https",
        value: "ADDR:PORT",
        default: "none",
        help: "listen here for HTTP inside of TLS; may be repeated",
        kind: Kind::Several(|settings| listen::forget(settings, "https")),
        set: |settings, text| listen::listen(settings, "https", text).ok_or(ADDRESS),
    },
    Opt {
        name: "tls-cert",
        value: "FILE",
        default: "none",
        help: "certificate in PEM, with those of its issuers; loaded again when it changes",
        kind: Kind::Single,
        set: |settings, text| {
            let path = Some(text).filter(|text| !text.is_empty());
            settings.config.tls.certificate = Some(path.ok_or(FILE)?.into());
            Ok(())
        },
    },
    Opt {
        name: "tls-key",
        value: "FILE",
        default: "none",
        help: "private key of the certificate, in PEM",
        kind: Kind::Single,
        set: |settings, text| {
            let path = Some(text).filter(|text| !text.is_empty());
            settings.config.tls.key = Some(path.ok_or(FILE)?.into());
            Ok(())
        },
    },
    Opt {
        name: "tls-ca",
        value: "FILE",
        default: "none",
        help: "certificates in PEM that pushes and pulls trust besides those of the system",
        kind: Kind::Single,
        set: |settings, text| {
            let path = Some(text).filter(|text| !text.is_empty());
            settings.config.tls.ca = Some(path.ok_or(FILE)?.into());
            Ok(())
        },
    },
];
