//! Servers that never answer, close, refuse, redirect without an end, or send anything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use brooklet::Value;
use brooklet::client::{Client, ClientError, ClientErrorKind};
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::chunk::MessageHeader;
use brooklet::rtmp::chunk_reader::{ChunkReader, Heap, Limits};
use brooklet::rtmp::chunk_writer::ChunkWriter;
use brooklet::rtmp::command::{Command, object, text};
use brooklet::rtmp::message::{Control, type_id};

/// Does something with each connection, on a thread of its own, until dropped.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeServer {
    pub(crate) fn start(serve: impl Fn(TcpStream, usize) + Send + 'static) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (count, over) = (Arc::clone(&connections), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                serve(stream, count.fetch_add(1, Ordering::SeqCst));
            }
        });
        FakeServer {
            address,
            connections,
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn publish(server: &FakeServer, timeout: Duration) -> ClientError {
    let url = format!("rtmp://{}/live/door?key=hidden", server.address);
    let client = Client::new(&url).unwrap().timeout(timeout);
    let error = client.publish().err().unwrap();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hidden"), "{shown}");
    error
}

fn soon() -> Duration {
    Duration::from_secs(20)
}

/// Reads and forgets what comes, until the client closes.
pub(crate) fn read_on(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).is_ok_and(|len| len > 0) {}
}

/// The server's side of the handshake.
pub(crate) fn shake_hands(stream: &mut TcpStream) {
    let mut c0_c1 = [0; 1537];
    stream.read_exact(&mut c0_c1).unwrap();
    stream
        .write_all(&[&[3][..], &[0; 1536], &c0_c1[1..]].concat())
        .unwrap();
    let mut rest = [0; 1536];
    stream.read_exact(&mut rest).unwrap();
}

/// Reads a client's messages up to the next command.
pub(crate) fn command(stream: &mut TcpStream, reader: &mut ChunkReader<Heap>) -> Command {
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).unwrap();
        let mut input = Bytes::from(&byte[..]);
        let Some(header) = reader.read(&mut input).unwrap() else {
            continue;
        };
        let payload: Vec<_> = reader.payload(header.in_place).collect();
        let payload = payload.concat();
        match header.type_id {
            type_id::COMMAND => return Command::parse(&payload).unwrap(),
            1..=6 => {
                if let Ok(Control::SetChunkSize(size)) = Control::parse(header.type_id, &payload) {
                    reader.set_chunk_size(size).unwrap();
                }
            }
            _ => {}
        }
    }
}

/// For what clients send.
pub(crate) fn chunk_reader() -> ChunkReader<Heap> {
    let limits = Limits {
        media: 1 << 20,
        data: 1 << 16,
        command: 1 << 16,
        ..Limits::NONE
    };
    ChunkReader::new(Heap, limits)
}

/// Answers connect with an error.
pub(crate) fn refuse(
    stream: &mut TcpStream,
    code: &str,
    description: &str,
    redirect: Option<&str>,
) {
    let mut info = vec![
        ("level", text("error")),
        ("code", text(code)),
        ("description", text(description)),
    ];
    if let Some(url) = redirect {
        let ex = object([("code", Value::Number(302.0)), ("redirect", text(url))]);
        info.push(("ex", ex));
    }
    send(stream, "_error", 1.0, vec![object(info)]);
}

/// Sends a command without a command object.
pub(crate) fn send(stream: &mut TcpStream, name: &str, transaction_id: f64, arguments: Vec<Value>) {
    let command = Command {
        name: name.to_owned(),
        transaction_id,
        object: Value::Null,
        arguments,
    };
    let mut out = Vec::new();
    let header = MessageHeader {
        chunk_stream_id: 3,
        timestamp: 0,
        len: 0,
        type_id: type_id::COMMAND,
        message_stream_id: 0,
    };
    ChunkWriter::default().write(header, &command.emit(), &mut out);
    let _ = stream.write_all(&out);
}

#[test]
fn a_server_that_never_answers() {
    let server = FakeServer::start(|stream, _| drop(thread::spawn(|| read_on(stream))));
    let error = publish(&server, Duration::from_millis(300));
    assert_eq!(error.kind(), ClientErrorKind::TimedOut);
    let place = server.address;
    let expected = format!("{place} has not answered the handshake within 300ms");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_server_that_answers_only_the_handshake() {
    let server = FakeServer::start(|mut stream, _| {
        shake_hands(&mut stream);
        thread::spawn(|| read_on(stream));
    });
    let error = publish(&server, Duration::from_millis(300));
    let expected = format!("{} has not answered connect within 300ms", server.address);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_server_that_closes_at_once_is_tried_with_a_digest_and_then_given_up() {
    let server = FakeServer::start(|stream, _| drop(stream));
    let error = publish(&server, soon());
    assert_eq!(error.kind(), ClientErrorKind::Lost);
    let expected = format!(
        "{} closed the connection during the handshake",
        server.address
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_server_that_closes_after_connect_is_tried_without_announcements() {
    let server = FakeServer::start(|mut stream, _| shake_hands(&mut stream));
    let error = publish(&server, soon());
    let expected = format!("{} closed the connection during connect", server.address);
    assert_eq!(error.to_string(), expected);
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_server_that_refuses_says_why() {
    let server = FakeServer::start(|mut stream, _| {
        shake_hands(&mut stream);
        let why = "no door?key=hidden \u{1b}[2J for you";
        refuse(&mut stream, "NetConnection.Connect.Rejected", why, None);
        read_on(stream);
    });
    let error = publish(&server, soon());
    assert_eq!(error.kind(), ClientErrorKind::Denied);
    let expected = format!(
        "{} refused connect: no *** \\u{{1b}}[2J for you (NetConnection.Connect.Rejected)",
        server.address
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_server_that_rejects_what_it_does_not_know_is_tried_without() {
    let server = FakeServer::start(|mut stream, _| {
        shake_hands(&mut stream);
        let connect = command(&mut stream, &mut chunk_reader());
        let is_enhanced = connect.object.property("fourCcList").is_some();
        let why = if is_enhanced { "what is that" } else { "no" };
        refuse(&mut stream, "NetConnection.Connect.Rejected", why, None);
        read_on(stream);
    });
    let error = publish(&server, soon());
    // What it says without them is what counts.
    let expected = format!(
        "{} refused connect: no (NetConnection.Connect.Rejected)",
        server.address
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_server_that_wants_a_login() {
    let server = FakeServer::start(|mut stream, _| {
        shake_hands(&mut stream);
        let why = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
        refuse(&mut stream, "NetConnection.Connect.Rejected", why, None);
        read_on(stream);
    });
    let error = publish(&server, soon());
    assert_eq!(error.kind(), ClientErrorKind::Denied);
    let expected = format!(
        "{} wants a login, expected USER:PASSWORD@ before the host in the URL",
        server.address
    );
    assert_eq!(error.to_string(), expected);
    // One that asks again and again.
    let url = format!("rtmp://bob:pass@{}/live/door", server.address);
    let client = Client::new(&url).unwrap().timeout(soon());
    let error = client.publish().err().unwrap();
    let expected = format!("{} refused user or password", server.address);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_server_that_redirects_in_a_circle() {
    let server = FakeServer::start(|mut stream, _| {
        let here = stream.local_addr().unwrap();
        shake_hands(&mut stream);
        let to = format!("rtmp://{here}/live");
        let code = "NetConnection.Connect.Rejected";
        refuse(&mut stream, code, "elsewhere", Some(&to));
        read_on(stream);
    });
    let error = publish(&server, soon());
    assert_eq!(error.kind(), ClientErrorKind::BadRedirect);
    let expected = format!(
        "redirected more than 3 times, at last by {}",
        server.address
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(server.connections.load(Ordering::SeqCst), 4);
}

#[test]
fn a_server_that_redirects_to_what_is_no_stream() {
    for (to, says) in [
        (
            "ftp://x/y",
            "redirects to \"ftp://x/***\": a reference from rtmp:// to ftp://, expected",
        ),
        (
            "http://127.0.0.1/live",
            "redirects to \"http://127.0.0.1/***\": a reference from rtmp:// to http://, expected",
        ),
    ] {
        let server = FakeServer::start(move |mut stream, _| {
            shake_hands(&mut stream);
            refuse(&mut stream, "x", "elsewhere", Some(to));
            read_on(stream);
        });
        let error = publish(&server, soon());
        assert_eq!(error.kind(), ClientErrorKind::BadRedirect);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_server_that_sends_garbage() {
    let server = FakeServer::start(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        read_on(stream);
    });
    let error = publish(&server, soon());
    assert_eq!(error.kind(), ClientErrorKind::Protocol);
    let server = FakeServer::start(|mut stream, _| {
        shake_hands(&mut stream);
        let mut state = 1_u32;
        let mut garbage = [0; 4096];
        for byte in &mut garbage {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        let _ = stream.write_all(&garbage);
        read_on(stream);
    });
    let error = publish(&server, soon());
    assert_eq!(error.kind(), ClientErrorKind::Protocol, "{error}");
}

#[test]
fn a_port_at_which_nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = Client::new(&format!("rtmp://{address}/live/door")).unwrap();
    let error = client.play().err().unwrap();
    assert_eq!(error.kind(), ClientErrorKind::NoConnection);
    let expected = format!("cannot connect to {address}: 127.0.0.1: Connection refused");
    assert!(error.to_string().starts_with(&expected), "{error}");
}
