//! Bytes that no honest client sends, and functions that send them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::type_id;

use crate::common::client::{Client, DEADLINE, read_until_closed, wait_until};

/// The chunk size that [`Client::connected`] has announced.
const CHUNK_SIZE: usize = 65_536;

/// The event type of a ping in a User Control message (RTMP 1.0, 7.1.7).
pub(crate) const PING_REQUEST: u16 = 6;

/// A basic header in its shortest form.
pub(crate) fn basic(format: u8, chunk_stream_id: u32) -> Vec<u8> {
    let format = format << 6;
    match chunk_stream_id {
        0..64 => vec![format | chunk_stream_id as u8],
        64..320 => vec![format, (chunk_stream_id - 64) as u8],
        _ => {
            let [low, high, ..] = (chunk_stream_id - 64).to_le_bytes();
            vec![format | 1, low, high]
        }
    }
}

/// A type 0 chunk header with an arbitrary length.
pub(crate) fn header(
    chunk_stream_id: u32,
    timestamp: u32,
    len: u32,
    type_id: u8,
    message_stream_id: u32,
) -> Vec<u8> {
    let mut out = basic(0, chunk_stream_id);
    out.extend(&timestamp.min(0xFF_FFFF).to_be_bytes()[1..]);
    out.extend(&len.to_be_bytes()[1..]);
    out.push(type_id);
    out.extend(message_stream_id.to_le_bytes());
    if timestamp >= 0xFF_FFFF {
        out.extend(timestamp.to_be_bytes());
    }
    out
}

/// A complete message in chunks of the announced size.
pub(crate) fn message(type_id: u8, message_stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let chunk_stream_id = if type_id == type_id::COMMAND { 3 } else { 6 };
    let len = payload.len() as u32;
    let mut out = header(chunk_stream_id, 0, len, type_id, message_stream_id);
    for (index, chunk) in payload.chunks(CHUNK_SIZE).enumerate() {
        if index > 0 {
            out.extend(basic(3, chunk_stream_id));
        }
        out.extend(chunk);
    }
    out
}

/// An H.264 sequence header, 320x240, of about `len` bytes, which contains a number to make it unique.
pub(crate) fn video_header(number: u32, len: usize) -> Vec<u8> {
    let mut header = b"\x17\0\0\0\0\x01\x42\xc0\x0d\xff\xe1\0\x16\x67\x42\xc0\x0d\xda\x05\x07\xec\
        \x04\x40\0\0\x03\0\x40\0\0\x0c\x83\xc5\x0a\xa8\x01"
        .to_vec();
    let mut parameters = [b"\x68\xce", &number.to_be_bytes()[..]].concat();
    parameters.resize(len.saturating_sub(header.len() + 2).max(6), 0xC8);
    header.extend((parameters.len() as u16).to_be_bytes());
    header.extend(parameters);
    header
}

/// A protocol control message with an arbitrary body.
pub(crate) fn control(type_id: u8, body: &[u8]) -> Vec<u8> {
    [header(2, 0, body.len() as u32, type_id, 0), body.to_vec()].concat()
}

pub(crate) fn set_chunk_size(size: u32) -> Vec<u8> {
    control(type_id::SET_CHUNK_SIZE, &size.to_be_bytes())
}

pub(crate) fn user_control(event: u16, data: &[u8]) -> Vec<u8> {
    let body = [&event.to_be_bytes(), data].concat();
    control(type_id::USER_CONTROL, &body)
}

/// The payload of a command in which the values after the transaction id are arbitrary bytes.
pub(crate) fn command(name: &str, transaction_id: f64, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Value::String(name.to_owned()).emit(&mut out);
    Value::Number(transaction_id).emit(&mut out);
    out.extend(rest);
    out
}

/// The payload of `onMetaData` with arbitrary bytes as properties.
pub(crate) fn metadata(rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Value::String("@setDataFrame".to_owned()).emit(&mut out);
    Value::String("onMetaData".to_owned()).emit(&mut out);
    out.extend(rest);
    out
}

/// Whether the server still answers this client; otherwise it has closed.
pub(crate) fn is_served(client: &mut Client) -> bool {
    const TRANSACTION: f64 = 4711.0;
    client.send_command(0, "releaseStream", TRANSACTION, Value::Null, vec![]);
    while let Some(message) = client.next() {
        let is_answer = message
            .command()
            .is_some_and(|command| command.transaction_id == TRANSACTION);
        if is_answer {
            return true;
        }
    }
    false
}

/// The way in which a flood ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flooded {
    /// The server accepted everything.
    Taken,
    /// The server closed the connection.
    Closed,
    /// The server stopped reading, since its replies weren't read.
    Stalled,
}

/// Sends a piece repeatedly until `len` bytes are sent, or the server closes or accepts no more. The
/// server's replies aren't read.
pub(crate) fn flood(mut socket: &TcpStream, piece: &[u8], len: usize) -> Flooded {
    /// A server that reads at all accepts some bytes within this time.
    const PATIENCE: Duration = Duration::from_millis(300);

    let pieces = piece.repeat((32_768 / piece.len()).max(1));
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut sent = 0;
    while sent < len {
        // A piece that was sent in part continues where it stopped.
        let offset = sent % pieces.len();
        match socket.write(&pieces[offset..]) {
            Ok(written) => sent += written,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Flooded::Stalled;
            }
            Err(_) => return Flooded::Closed,
        }
    }
    Flooded::Taken
}

/// Like [`flood`], but reads the server's replies.
pub(crate) fn flood_reading(socket: &TcpStream, piece: &[u8], len: usize) -> Flooded {
    let replies = socket.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut replies = &replies;
            let mut buffer = [0; 16_384];
            while let Ok(1..) = replies.read(&mut buffer) {}
        });
        let flooded = flood(socket, piece, len);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        flooded
    })
}

/// Sends one byte at a time, at a slow client's pace, until the server closes or all bytes are sent.
pub(crate) fn trickle(mut socket: &TcpStream, bytes: impl Iterator<Item = u8>) {
    socket.set_nodelay(true).unwrap();
    let deadline = Instant::now() + DEADLINE;
    for byte in bytes {
        if socket.write_all(&[byte]).is_err() {
            return;
        }
        assert!(Instant::now() < deadline, "the server takes it all");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the server has closed, whatever it sends before that.
pub(crate) fn wait_until_closed(socket: &TcpStream) {
    read_until_closed(socket);
}

/// Waits until the server sends something or closes, for at most the socket's timeout.
pub(crate) fn wait_for_answer(mut socket: &TcpStream) {
    let _ = socket.read(&mut [0; 16_384]);
}

/// Publishes, retrying until the name is free: two takeovers in a row are refused.
pub(crate) fn publish_again(server: SocketAddr, name: &str) -> Client {
    let mut publisher = None;
    wait_until(&format!("{name} is free"), || {
        // Each attempt is a connection and a line of the log.
        std::thread::sleep(Duration::from_millis(50));
        let mut client = Client::connected(server, "live");
        client.publish(name);
        let is_accepted = client.wait_for_status().1 == "NetStream.Publish.Start";
        publisher = is_accepted.then_some(client);
        is_accepted
    });
    publisher.expect("it was accepted")
}

/// Opens a connection that sends everything up to publish at once, without reading.
pub(crate) fn publish_blindly(server: SocketAddr, name: &str) -> TcpStream {
    let mut bytes = c0_c1();
    bytes.resize(bytes.len() + 1536, 0);
    bytes.extend(set_chunk_size(CHUNK_SIZE as u32));
    let mut app = Vec::new();
    object([("app", text("live"))]).emit(&mut app);
    let mut arguments = vec![5];
    text(name).emit(&mut arguments);
    text("live").emit(&mut arguments);
    for (id, command) in [
        (0, command("connect", 1.0, &app)),
        (0, command("createStream", 2.0, &[5])),
        (1, command("publish", 3.0, &arguments)),
    ] {
        bytes.extend(message(type_id::COMMAND, id, &command));
    }
    let mut socket = connect(server);
    // A server without room closes.
    let _ = socket.write_all(&bytes);
    socket
}

/// Opens a connection and sends nothing.
pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(server).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Makes closing send a reset, as a killed process with unread input does.
pub(crate) fn reset(socket: &TcpStream) {
    let socket = socket2::SockRef::from(socket);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

/// C0 and C1 of the plain handshake.
pub(crate) fn c0_c1() -> Vec<u8> {
    let mut bytes = vec![3; 1537];
    bytes[1..9].fill(0);
    bytes
}
