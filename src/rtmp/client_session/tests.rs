//! A [`Pair`] is a client and a server session that talk to each other in memory; the test gives the
//! server's verdicts. A [`Server`] sends the client whatever a test wants.

use super::conversation::Phase;
use super::*;
use crate::rtmp::amf0::Value;
use crate::rtmp::chunk::{MessageHeader, chunk_stream_id};
use crate::rtmp::chunk_reader::Heap;
use crate::rtmp::chunk_writer::ChunkWriter;
use crate::rtmp::command::{self, Command, object, text};
use crate::rtmp::dialect::Dialect;
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::rtmp::message::{UserControl, type_id};
use crate::rtmp::server_session::{Event, ServerSession, end_of_stream};

mod hostile;
mod independent;
mod pair;
mod replies;

const MAX_MESSAGE: u32 = 1 << 20;

fn nonce(bytes: &mut [u8]) {
    bytes.fill(0x77);
}

fn options() -> ConnectOptions {
    ConnectOptions {
        app: "live".to_owned(),
        tc_url: "rtmp://host:1935/live".to_owned(),
        flash_ver: "FMLE/3.0 (compatible; brooklet/1)".to_owned(),
        is_publisher: true,
        is_amf3: false,
        is_enhanced: false,
        has_digest: false,
    }
}

fn client(options: ConnectOptions) -> ClientSession<Heap> {
    ClientSession::new(Heap, options, MAX_MESSAGE, nonce)
}

/// Describes an event in one line; media with their payload.
fn line(session: &ClientSession<Heap>, event: &ClientEvent<'_>) -> String {
    let body = || {
        let parts = session.body();
        String::from_utf8_lossy(&parts.bytes().parts().collect::<Vec<_>>().concat()).into_owned()
    };
    match event {
        ClientEvent::Media(media) => {
            let payload = session.payload(media).collect::<Vec<_>>().concat();
            let payload = String::from_utf8_lossy(&payload).into_owned();
            format!("{:?} {} {payload}", media.medium, media.timestamp)
        }
        ClientEvent::Metadata { timestamp } => format!("metadata {timestamp}"),
        ClientEvent::Data { timestamp } => format!("data {timestamp} {}", body().len()),
        ClientEvent::Refused(refusal) => format!("refused {:?}: {refusal}", refusal.kind),
        ClientEvent::Status { level, code, .. } => format!("{level} {code}"),
        other => format!("{other:?}"),
    }
}

/// A server that says what a test wants, after the handshake.
struct Server {
    session: ClientSession<Heap>,
    /// The length of the pieces in which the client gets the server's bytes.
    piece_len: usize,
}

impl Server {
    /// A server whose client has just sent connect.
    fn new(options: ConnectOptions) -> Server {
        let mut server = Server {
            session: client(options),
            piece_len: usize::MAX,
        };
        assert_eq!(server.send(&[3; 1 + 2 * 1536]), Vec::<String>::new());
        assert!(server.session.is_handshaken());
        server
    }

    /// A server that has accepted connect.
    fn connected() -> Server {
        let mut server = Server::new(options());
        let success = command::info("status", "NetConnection.Connect.Success", "");
        let reply = command::result(1.0, Value::Null, success);
        assert_eq!(server.say(0, &reply), ["Connected"]);
        server
    }

    /// A server whose client waits for the status of what it has asked for, on message stream 1.
    fn requested(ask: impl FnOnce(&mut ClientSession<Heap>)) -> Server {
        let mut server = Server::connected();
        ask(&mut server.session);
        let transaction = server.session.conversation.transaction;
        let created = command::result(f64::from(transaction), Value::Null, Value::Number(1.0));
        assert_eq!(server.say(0, &created), Vec::<String>::new());
        assert_eq!(server.session.message_stream_id(), Some(1));
        server
    }

    fn try_send(&mut self, bytes: &[u8]) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        for piece in bytes.chunks(self.piece_len) {
            let mut input = Bytes::from(piece);
            while let Some(event) = self.session.handle(&mut input, 0)? {
                if event == ClientEvent::Output {
                    self.session.take_output();
                    continue;
                }
                lines.push(line(&self.session, &event));
            }
            assert!(input.is_empty());
        }
        Ok(lines)
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<String> {
        self.try_send(bytes).unwrap()
    }

    /// Sends a command. The server has announced no chunk size.
    fn say(&mut self, message_stream_id: u32, command: &Command) -> Vec<String> {
        let header = MessageHeader::untimed(
            chunk_stream_id::COMMAND,
            message_stream_id,
            type_id::COMMAND,
        );
        let mut out = Vec::new();
        ChunkWriter::default().write(header, &command.emit(), &mut out);
        self.send(&out)
    }

    fn status(&mut self, level: &str, code: &str) -> Vec<String> {
        let info = command::info(level, code, "words");
        self.say(1, &command::call("onStatus", info))
    }
}
