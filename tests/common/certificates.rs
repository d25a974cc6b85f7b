//! Certificates, made by OpenSSL.

use std::path::PathBuf;
use std::process::Command;

use super::TempDir;
use super::process::run;

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
