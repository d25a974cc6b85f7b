//! The client's side of a session, up to where media flows: handshake, connect, createStream,
//! publish.
//!
//! Blocking, with timeouts; the caller makes the socket non-blocking when media begins.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::amf::{self, Value};
use crate::wire::{self, ChunkReader, Collector, HANDSHAKE_LEN};

/// How long a server may take for any one answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The application's name appears only in the server's log.
pub(crate) const APP: &str = "bench";

/// A connection on which createStream has succeeded.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) reader: ChunkReader,
    pub(crate) message_stream_id: u32,
    /// The number of bytes after which the server wants an Acknowledgement; 0 for never.
    pub(crate) acknowledgement_window: u32,
    collector: Collector,
    transaction_id: f64,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, String> {
        let mut client = Self {
            socket: connect(address)?,
            reader: ChunkReader::new(),
            message_stream_id: 0,
            acknowledgement_window: 0,
            collector: Collector::default(),
            transaction_id: 0.0,
        };
        client
            .handshake()
            .map_err(|error| format!("handshake: {}", explain(&error)))?;
        client.command(
            "connect",
            &[Value::object(&[
                ("app", Value::text(APP)),
                ("type", Value::text("nonprivate")),
                ("flashVer", Value::text("FMLE/3.0 (compatible; fanout)")),
                ("tcUrl", Value::String(format!("rtmp://{address}/{APP}"))),
                ("fpad", Value::Boolean(false)),
            ])],
        )?;
        client.wait_for_result()?;
        client.command("createStream", &[Value::Null])?;
        let result = client.wait_for_result()?;
        let id = result.get(3).and_then(Value::as_number);
        client.message_stream_id = id.ok_or("createStream: no stream id")? as u32;
        Ok(client)
    }

    /// Sends `publish` and waits until the server agrees.
    pub(crate) fn publish(&mut self, name: &str) -> Result<(), String> {
        let arguments = [Value::Null, Value::text(name), Value::text("live")];
        self.command("publish", &arguments)?;
        let status = self.wait_for("onStatus", None)?;
        let code = status.get(3).and_then(|info| info.member("code"));
        match code.and_then(Value::as_text) {
            Some("NetStream.Publish.Start") => Ok(()),
            _ => Err(format!("publish refused: {status:?}")),
        }
    }

    /// Returns the bytes of the `play` command.
    pub(crate) fn play(&self, name: &str) -> Vec<u8> {
        let values = [
            Value::text("play"),
            Value::Number(0.0),
            Value::Null,
            Value::text(name),
            Value::Number(-2000.0),
        ];
        let (ids, payload) = ((3, self.message_stream_id), amf::emit(&values));
        let mut out = Vec::new();
        wire::emit_message(ids, wire::COMMAND, 0, &payload, 128, &mut out);
        out
    }

    /// Does the simple handshake (RTMP 1.0, 5.2).
    fn handshake(&mut self) -> io::Result<()> {
        let mut hello = vec![0x5A; 1 + HANDSHAKE_LEN];
        hello[0] = 3;
        hello[1..9].fill(0);
        self.socket.write_all(&hello)?;
        let mut answer = vec![0; 1 + 2 * HANDSHAKE_LEN];
        self.socket.read_exact(&mut answer)?;
        self.socket.write_all(&answer[1..1 + HANDSHAKE_LEN])
    }

    fn command(&mut self, name: &str, arguments: &[Value]) -> Result<(), String> {
        self.transaction_id += 1.0;
        let mut values = vec![Value::text(name), Value::Number(self.transaction_id)];
        values.extend_from_slice(arguments);
        let (ids, payload) = ((3, self.message_stream_id), amf::emit(&values));
        let mut out = Vec::new();
        wire::emit_message(ids, wire::COMMAND, 0, &payload, 128, &mut out);
        let sent = self.socket.write_all(&out);
        sent.map_err(|error| format!("{name}: {}", explain(&error)))
    }

    fn wait_for_result(&mut self) -> Result<Vec<Value>, String> {
        self.wait_for("_result", Some(self.transaction_id))
    }

    fn wait_for(&mut self, name: &str, transaction_id: Option<f64>) -> Result<Vec<Value>, String> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut found = None;
        let mut buffer = [0; 4096];
        while found.is_none() {
            let count = self.socket.read(&mut buffer);
            let count =
                count.map_err(|error| format!("waiting for {name}: {}", explain(&error)))?;
            if count == 0 {
                return Err(format!(
                    "waiting for {name}: the server closed the connection"
                ));
            }
            if Instant::now() > deadline {
                return Err(format!("waiting for {name}: the server did not answer"));
            }
            let Self {
                reader,
                collector,
                acknowledgement_window,
                ..
            } = self;
            reader.feed(&buffer[..count], |piece| {
                let message_type = piece.header.message_type;
                let Some(payload) = collector.add(&piece)? else {
                    return Ok(());
                };
                match message_type {
                    wire::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                        let size = payload.first_chunk().copied().unwrap_or_default();
                        *acknowledgement_window = u32::from_be_bytes(size);
                    }
                    wire::COMMAND => {
                        let values = amf::parse(payload);
                        let is_name = |n| values.first().and_then(Value::as_text) == Some(n);
                        if is_name("_error") {
                            return Err(format!("waiting for {name}: {values:?}"));
                        }
                        let id = values.get(1).and_then(Value::as_number);
                        if is_name(name) && (transaction_id.is_none() || transaction_id == id) {
                            found = Some(values);
                        }
                    }
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(found.unwrap_or_default())
    }
}

/// Connects, with timeouts.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let connect = || -> io::Result<TcpStream> {
        let socket = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        socket.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(socket)
    };
    connect().map_err(|error| format!("connecting to {address}: {error}"))
}

/// A socket's timeout calls itself "Resource temporarily unavailable".
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => format!("no answer within {ANSWER_TIMEOUT:?}"),
        _ => error.to_string(),
    }
}
