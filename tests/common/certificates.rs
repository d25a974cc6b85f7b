//! Certificates, made by OpenSSL, and a server that uses one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::process::run;
use super::{Brooklet, TempDir};

/// A root of one's own (`root.pem`), and a certificate of it for localhost and 127.0.0.1 (`server.pem`,
/// `server.key`).
pub(crate) struct Certificates(TempDir);

/// The names of the server.
pub(crate) const HERE: &str = "DNS:localhost,IP:127.0.0.1";

/// The years for which a certificate is valid.
pub(crate) const VALID: [u32; 2] = [2020, 2049];

impl Certificates {
    pub(crate) fn new() -> Certificates {
        let made = Certificates(TempDir::new());
        made.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=root \
             -keyout root.key -out root.pem",
        );
        let settings = "[ca]\ndefault_ca = it\n[it]\ndatabase = index.txt\nnew_certs_dir = .\n\
                        rand_serial = yes\nunique_subject = no\ndefault_md = sha256\npolicy = any\n\
                        copy_extensions = copy\n[any]\ncommonName = supplied\n";
        fs::write(made.file("ca.cnf"), settings).unwrap();
        fs::write(made.file("index.txt"), "").unwrap();
        made.issue();
        made
    }

    /// Makes the server's certificate anew.
    pub(crate) fn issue(&self) {
        self.issue_as("server", HERE, VALID);
    }

    /// Makes a certificate of the root.
    pub(crate) fn issue_as(&self, name: &str, names: &str, [from, to]: [u32; 2]) {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server \
             -addext subjectAltName={names} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "ca -batch -notext -config ca.cnf -in {name}.csr -cert root.pem -keyfile root.key \
             -startdate {from}0101000000Z -enddate {to}0101000000Z -out {name}.pem"
        ));
    }

    /// Makes a certificate that is its own issuer.
    pub(crate) fn self_sign(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} \
             -addext subjectAltName={HERE} -keyout {name}.key -out {name}.pem"
        ));
    }

    /// Returns the SHA-256 of a certificate as OpenSSL prints it.
    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let arguments = format!("x509 -in {name}.pem -noout -fingerprint -sha256");
        let text = self.openssl(&arguments);
        let (_, fingerprint) = text.trim().split_once('=').unwrap();
        fingerprint.to_owned()
    }

    fn openssl(&self, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        command.current_dir(self.0.path());
        run(command.args(arguments.split_whitespace()))
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
        Secured::start_as(made, "server")
    }

    /// Starts a server with another certificate.
    pub(crate) fn start_as(made: &Certificates, name: &str) -> Secured {
        let [certificate, key] = ["pem", "key"].map(|end| made.path(&format!("{name}.{end}")));
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

    /// The URL of a stream in FLV over HTTP.
    pub(crate) fn flv(&self, name: &str) -> String {
        format!("https://127.0.0.1:{}/live/{name}.flv", self.https)
    }
}
