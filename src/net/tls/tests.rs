//! TLS between two sockets on loopback.

use std::fs;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::{Reload, TlsClient, TlsServer};
use crate::live::out::sink::Sink;
use crate::net::socket::Socket;

/// The names of certificates.
const NAMES: &str = "DNS:localhost,IP:127.0.0.1";

/// The years for which certificates are valid.
const VALID: [u32; 2] = [2020, 2049];

/// Certificates, made by OpenSSL, in a folder that is removed when dropped.
struct Certificates(PathBuf);

impl Certificates {
    fn new(name: &str) -> Certificates {
        let name = format!("brooklet-tls-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();
        let made = Certificates(dir);
        made.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=root \
             -keyout root.key -out root.pem",
        );
        let settings = "[ca]\ndefault_ca = it\n[it]\ndatabase = index.txt\nnew_certs_dir = .\n\
                        rand_serial = yes\nunique_subject = no\ndefault_md = sha256\npolicy = any\n\
                        copy_extensions = copy\n[any]\ncommonName = supplied\n";
        fs::write(made.file("ca.cnf"), settings).unwrap();
        fs::write(made.file("index.txt"), "").unwrap();
        made.issue("server", VALID);
        made
    }

    /// Makes a certificate for localhost and 127.0.0.1 that is valid for these years.
    fn issue(&self, name: &str, years: [u32; 2]) {
        self.sign(name, years, "-cert root.pem -keyfile root.key");
    }

    fn sign(&self, name: &str, [from, to]: [u32; 2], by: &str) {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} \
             -addext subjectAltName={NAMES} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "ca -batch -notext -config ca.cnf -in {name}.csr {by} -startdate {from}0101000000Z -enddate \
             {to}0101000000Z -out {name}.pem"
        ));
    }

    /// Makes certificates that are their own issuers: as tools make them, which are those of an authority,
    /// and one that isn't.
    fn issue_self_signed(&self) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=own \
             -addext subjectAltName={NAMES} -keyout own.key -out own.pem"
        ));
        self.sign("leaf", VALID, "-selfsign -keyfile leaf.key");
        // One with the same name and another kind of key.
        self.openssl(
            "req -x509 -newkey rsa:2048 -nodes -subj /CN=leaf -keyout other.key -out other.pem",
        );
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .current_dir(&self.0)
            .args(arguments.split_whitespace())
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "{output:?}");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn load(&self, name: &str) -> TlsServer {
        let [certificate, key] = ["pem", "key"].map(|end| self.file(&format!("{name}.{end}")));
        TlsServer::load(&certificate, &key).unwrap()
    }

    fn pin(&self, name: &str) -> [u8; 32] {
        let path = self.file(&format!("{name}.pem"));
        let certificate = CertificateDer::from_pem_file(path).unwrap();
        Sha256::digest(&certificate).into()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Two connected sockets: of the client, and of the server.
fn plain() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn socket(stream: TcpStream) -> Socket {
    let socket = Socket::new(stream);
    socket.set_read_timeout(Duration::from_secs(30)).unwrap();
    socket
}

/// Reads until bytes or an error come.
fn read(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Says "hello" from the client to the server, and back. Returns the client's error, and the server's.
fn greet(
    server: &TlsServer,
    host: &str,
    ca: Option<&Path>,
    pin: Option<[u8; 32]>,
) -> (io::Result<()>, io::Result<()>) {
    let (client, accepted) = plain();
    let accepted = socket(accepted).accept_tls(server).unwrap();
    let echo = thread::spawn(move || {
        let mut buffer = [0; 100];
        let len = read(&accepted, &mut buffer)?;
        accepted.write_all(&buffer[..len])
    });
    let client = socket(client);
    let client = client.connect_tls(&TlsClient::new(ca.map(Path::to_owned)), host, pin.as_ref());
    let client = client.unwrap();
    let greeted = client.write_all(b"hello").and_then(|()| {
        let mut buffer = [0; 100];
        let len = read(&client, &mut buffer)?;
        assert_eq!(&buffer[..len], b"hello");
        Ok(())
    });
    drop(client);
    (greeted, echo.join().unwrap())
}

#[test]
fn a_client_trusts_names_issuers_and_pins_and_says_what_is_wrong_with_others() {
    let made = Certificates::new("trust");
    made.issue("expired", [2020, 2021]);
    made.issue("early", [2048, 2049]);
    made.issue_self_signed();
    let hex: String = made
        .pin("server")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let unknown = format!(
        "issuer is unknown. Trust it with --tls-ca FILE, or put #sha256={hex} behind the URL"
    );
    let pinned = format!("isn't the one that is pinned, but #sha256={hex}");
    let self_signed =
        "the certificate is self-signed. Trust it with --tls-ca FILE, or put #sha256=";
    let names = "the certificate is for other names: localhost, 127.0.0.1";
    let too_early = "isn't valid before 2048-01-01 00:00:00 UTC, and this machine's clock says 20";
    for (of, host, ca, pin, why) in [
        ("server", "localhost", "root", None, ""),
        ("server", "127.0.0.1", "root", None, ""),
        ("server", "anything.example", "", Some("server"), ""),
        ("expired", "localhost", "", Some("expired"), ""),
        ("own", "anything.example", "", Some("own"), ""),
        ("own", "localhost", "own", None, ""),
        ("leaf", "localhost", "leaf", None, ""),
        (
            "expired",
            "localhost",
            "root",
            None,
            "has expired at 2021-01-01 00:00:00 UTC",
        ),
        ("early", "localhost", "root", None, too_early),
        ("server", "other.example", "root", None, names),
        ("own", "other.example", "own", None, names),
        ("leaf", "other.example", "leaf", None, names),
        ("server", "localhost", "", None, &unknown),
        ("server", "localhost", "own", None, &unknown),
        ("own", "localhost", "", None, self_signed),
        ("own", "localhost", "root", None, self_signed),
        ("leaf", "localhost", "root", None, self_signed),
        ("leaf", "localhost", "other", None, self_signed),
        ("server", "localhost", "root", Some("root"), &pinned),
    ] {
        let ca = Some(made.file(&format!("{ca}.pem"))).filter(|_| !ca.is_empty());
        let pin = pin.map(|pin| made.pin(pin));
        let (client, accepted) = greet(&made.load(of), host, ca.as_deref(), pin);
        match client {
            Ok(()) => assert_eq!(why, "", "{of} {host}"),
            Err(error) => {
                let text = error.to_string();
                assert!(!why.is_empty() && text.contains(why), "{of} {host}: {text}");
                // The alert has left.
                let text = accepted.unwrap_err().to_string();
                assert!(text.contains("TLS: the peer "), "{of} {host}: {text}");
            }
        }
    }
}

#[test]
fn a_self_signed_certificate_that_is_trusted_has_to_be_valid_today() {
    let made = Certificates::new("own");
    made.issue_self_signed();
    // Days in the past are no use to this command.
    made.openssl("x509 -in own.pem -signkey own.key -days -1 -out past.pem");
    fs::copy(made.file("own.key"), made.file("past.key")).unwrap();
    let past = made.file("past.pem");
    let (client, _) = greet(&made.load("past"), "localhost", Some(&past), None);
    let text = client.unwrap_err().to_string();
    assert!(text.contains("the certificate has expired"), "{text}");
}

#[test]
fn trusted_certificates_are_loaded_once_and_again_when_they_change() {
    let made = Certificates::new("ca");
    made.issue_self_signed();
    let ca = made.file("ca.pem");
    fs::copy(made.file("own.pem"), &ca).unwrap();
    let trust = TlsClient::new(Some(ca.clone()));
    trust.check().unwrap();
    let first = trust.config().unwrap();
    assert!(Arc::ptr_eq(&first, &trust.config().unwrap()));
    fs::copy(made.file("root.pem"), &ca).unwrap();
    let second = trust.config().unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    for text in ["", "nothing"] {
        fs::write(&ca, text).unwrap();
        let shown = ca.display();
        let expected = format!("{shown}: no certificate in PEM");
        assert_eq!(trust.check().unwrap_err().to_string(), expected);
        assert_eq!(trust.config().unwrap_err().to_string(), expected);
    }
    let endless = TlsClient::new(Some("/dev/zero".into()));
    assert_eq!(
        endless.check().unwrap_err().to_string(),
        "/dev/zero: more than 1048576 bytes, expected a short text"
    );
    fs::remove_file(&ca).unwrap();
    let text = trust.check().unwrap_err().to_string();
    assert!(
        text.contains("ca.pem") && text.contains("No such file"),
        "{text}"
    );
}

#[test]
fn peers_without_tls_are_told_apart() {
    let made = Certificates::new("plain");
    let (mut client, accepted) = plain();
    client.write_all(&[3; 1537]).unwrap();
    let accepted = socket(accepted).accept_tls(&made.load("server")).unwrap();
    let error = read(&accepted, &mut [0; 10]).unwrap_err();
    assert_eq!(error.to_string(), "TLS: the peer doesn't speak TLS");
    assert_eq!(accepted.tls_failure(), Some(error.to_string()));
    assert!(accepted.is_closed_by_peer());

    let (client, mut accepted) = plain();
    accepted
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .unwrap();
    let trust = TlsClient::new(None);
    let client = socket(client).connect_tls(&trust, "pi", None).unwrap();
    client.write_all(b"hello").unwrap();
    let error = read(&client, &mut [0; 10]).unwrap_err();
    assert_eq!(error.to_string(), "TLS: the peer doesn't speak TLS");
}

#[test]
fn a_read_returns_whenever_a_handshake_trickles() {
    let made = Certificates::new("trickle");
    let (mut client, accepted) = plain();
    let accepted = socket(accepted).accept_tls(&made.load("server")).unwrap();
    // The start of a ClientHello, byte by byte.
    for byte in b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03" {
        client.write_all(&[*byte]).unwrap();
        let error = accepted.read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
    }
    assert!(!accepted.is_closed_by_peer());
    drop(client);
    assert!(accepted.is_closed_by_peer());
    assert_eq!(accepted.read(&mut [0; 10]).unwrap(), 0);
}

#[test]
fn a_changed_certificate_is_used_and_a_broken_one_is_not() {
    let made = Certificates::new("reload");
    let server = made.load("server");
    let old = made.pin("server");
    assert!(matches!(server.reload(), Reload::Unchanged));

    made.issue_self_signed();
    let whole = fs::read_to_string(made.file("server.pem")).unwrap();
    for (certificate, key, why) in [
        ("nothing", "server", "server.pem: no certificate in PEM"),
        (
            &whole[..whole.len() / 2],
            "server",
            "server.pem: the file is cut off",
        ),
        (&whole, "own", "server.key: the key of another certificate"),
        (
            &whole,
            "server.pem",
            "server.key: no key in PEM, or an encrypted one",
        ),
        (&whole, "none", "server.key: No such file or directory"),
    ] {
        fs::write(made.file("server.pem"), certificate).unwrap();
        match key {
            "none" => fs::remove_file(made.file("server.key")).unwrap(),
            "server.pem" => fs::write(made.file("server.key"), &whole).unwrap(),
            "own" => drop(fs::copy(made.file("own.key"), made.file("server.key")).unwrap()),
            _ => {}
        }
        let Reload::Failed(error) = server.reload() else {
            panic!("it has changed");
        };
        assert!(error.to_string().contains(why), "{error}");
        assert!(matches!(server.reload(), Reload::Unchanged));
    }
    assert!(greet(&server, "localhost", None, Some(old)).0.is_ok());

    made.issue("server", VALID);
    assert!(matches!(server.reload(), Reload::Done));
    let new = made.pin("server");
    assert!(greet(&server, "localhost", None, Some(new)).0.is_ok());
    assert!(greet(&server, "localhost", None, Some(old)).0.is_err());
}

#[test]
fn what_was_accepted_leaves_once_and_in_order_though_the_receiver_is_slow() {
    const LEN: usize = 3_000_000;
    let made = Certificates::new("slow");
    let server = made.load("server");
    let (client, accepted) = plain();
    let accepted = Arc::new(socket(accepted).accept_tls(&server).unwrap());
    let pin = made.pin("server");
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let client = thread::spawn(move || {
        let trust = TlsClient::new(None);
        let client = socket(client);
        let client = client.connect_tls(&trust, "pi", Some(&pin)).unwrap();
        client.write_all(b"play").unwrap();
        // It leaves with the end of the handshake, which a read does.
        assert_eq!(read(&client, &mut [0; 10]).unwrap(), 2);
        begun.recv().unwrap();
        let (mut all, mut buffer) = (Vec::new(), [0; 9_999]);
        loop {
            match read(&client, &mut buffer).unwrap() {
                0 => return all,
                len => all.extend_from_slice(&buffer[..len]),
            }
        }
    });
    let mut buffer = [0; 10];
    assert_eq!(read(&accepted, &mut buffer).unwrap(), 4);
    accepted.write_all(b"go").unwrap();

    // The connection's thread waits in a read meanwhile.
    let reader = Arc::clone(&accepted);
    let reader = thread::spawn(move || read(&reader, &mut [0; 10]));
    let bytes: Vec<u8> = (0..LEN).map(|at| (at / 7) as u8).collect();
    let (mut sent, mut blocked) = (0, 0);
    while sent < LEN {
        let rest = &bytes[sent..];
        let (first, second) = rest.split_at(rest.len().min(100));
        match accepted.try_send(&[IoSlice::new(first), IoSlice::new(second)]) {
            Ok(len) => {
                assert!(len <= super::MAX_PENDING);
                sent += len;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                blocked += 1;
                if blocked == 1 {
                    assert!(!accepted.flush().unwrap(), "encrypted bytes wait");
                    begin.send(()).unwrap();
                }
                thread::yield_now();
            }
        }
    }
    assert!(blocked > 0, "the kernel has taken everything");
    while !accepted.flush().unwrap() {
        thread::yield_now();
    }
    accepted.finish();
    let received = client.join().unwrap();
    assert!(received == bytes, "{} of {LEN} bytes", received.len());
    assert_eq!(reader.join().unwrap().unwrap(), 0);
}
