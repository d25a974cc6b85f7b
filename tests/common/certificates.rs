//! Certificates, made by OpenSSL, and a server that uses one.

use std::path::PathBuf;
use std::process::Command;

use super::process::run;
use super::{Brooklet, TempDir};

/// A root of one's own (`root.pem`), and a certificate of it for localhost and 127.0.0.1 (`server.pem`,
/// `server.key`).
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn new() -> Certificates {
        let made = Certificates(TempDir::new());
        made.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=root \
             -keyout root.key -out root.pem",
        );
        made.issue();
        made
    }

    /// Makes the server's certificate anew.
    pub(crate) fn issue(&self) {
        self.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
             -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout server.key -out server.csr",
        );
        self.openssl(
            "x509 -req -in server.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 \
             -copy_extensions copy -out server.pem",
        );
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.current_dir(self.0.path());
        run(command.args(arguments.split_whitespace()));
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }
}

/// A server with a certificate, which also listens for RTMP and HTTP inside of TLS.
pub(crate) struct Secured {
    pub(crate) server: Brooklet,
    pub(crate) rtmps: u16,
    pub(crate) https: u16,
}

impl Secured {
    pub(crate) fn start(made: &Certificates) -> Secured {
        let (certificate, key) = (made.path("server.pem"), made.path("server.key"));
        let server = Brooklet::start(&[
            "--rtmps",
            "127.0.0.1:0",
            "--https",
            "127.0.0.1:0",
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
        ]);
        let printed = server.printed();
        let port = |protocol| {
            let start = format!("listening for {protocol} inside of TLS on 127.0.0.1:");
            let mut lines = printed.lines();
            let port = lines.find_map(|line| line.strip_prefix(&start)?.parse().ok());
            port.expect("it says where it listens")
        };
        Secured {
            rtmps: port("RTMP"),
            https: port("HTTP"),
            server,
        }
    }

    /// The URL of a stream. Programs that are linked statically can't look up names.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("rtmps://127.0.0.1:{}/live/{name}", self.rtmps)
    }
}
