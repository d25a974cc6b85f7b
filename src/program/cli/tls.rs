//! The options of TLS.

use std::path::PathBuf;

use super::opt::{Kind, Opt};
use super::{Settings, listen};

const ADDRESS: &str = "a port, an address or a name such as 1936, 0.0.0.0:1936 or localhost:1936";
const FILE: &str = "a file in PEM";
const BUILD: &str = "a build with TLS (cargo build --release --features tls), or stunnel in front of \
                     brooklet, as the README shows";

fn listen(settings: &mut Settings, option: &'static str, text: &str) -> Result<(), &'static str> {
    is_built()?;
    listen::listen(settings, option, text).ok_or(ADDRESS)
}

/// The file that a value names, which errors may then repeat. It isn't a URL, which may have a key in it.
pub(super) fn file(text: &str) -> Result<PathBuf, &'static str> {
    is_built()?;
    let is_file = !text.is_empty() && !text.contains("://");
    is_file.then(|| text.into()).ok_or(FILE)
}

fn is_built() -> Result<(), &'static str> {
    match cfg!(feature = "tls") {
        true => Ok(()),
        false => Err(BUILD),
    }
}

/// The options of TLS, which a build without it refuses.
pub(super) const TLS: &[Opt] = &[
    Opt {
        name: "rtmps",
        value: "ADDR:PORT",
        default: "none",
        help: "listen here for RTMP inside of TLS; may be repeated; needs --tls-cert and \
               --tls-key, and a build with the feature tls",
        kind: Kind::Several(|settings| listen::forget(settings, "rtmps")),
        set: |settings, text| listen(settings, "rtmps", text),
    },
    Opt {
        name: "https",
        value: "ADDR:PORT",
        default: "none",
        help: "listen here for HTTP inside of TLS; may be repeated",
        kind: Kind::Several(|settings| listen::forget(settings, "https")),
        set: |settings, text| listen(settings, "https", text),
    },
    Opt {
        name: "tls-cert",
        value: "FILE",
        default: "none",
        help: "certificate in PEM, with those of its issuers; loaded again when it changes",
        kind: Kind::Single,
        set: |settings, text| {
            settings.config.tls.certificate = Some(file(text)?);
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
            settings.config.tls.key = Some(file(text)?);
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
            settings.config.tls.ca = Some(file(text)?);
            Ok(())
        },
    },
];
