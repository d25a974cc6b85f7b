//! Client sessions whose server says anything.

use brooklet::rtmp::authmod::Reply;
use brooklet::rtmp::client_session::{
    ClientEvent, ClientSession, ConnectOptions, MAX_OUTPUT, RefusalKind,
};

use super::*;

/// The most bytes to be sent that one message of the server may cause, beyond [`MAX_OUTPUT`]: a client's
/// commands up to createStream, with names of 64 bytes.
const MOST_PER_MESSAGE: usize = 2048;

/// The longest text of a server that may be kept, in bytes.
const MAX_TEXT_LEN: usize = 2048;

const NAMES: &[&str] = &[
    "_result",
    "_error",
    "onStatus",
    "close",
    "onBWDone",
    "onFCPublish",
];

const CODES: &[&str] = &[
    "NetConnection.Connect.Success",
    "NetConnection.Connect.Rejected",
    "NetConnection.Connect.ReconnectRequest",
    "NetStream.Publish.Start",
    "NetStream.Publish.BadName",
    "NetStream.Publish.Denied",
    "NetStream.Play.Start",
    "NetStream.Play.UnpublishNotify",
    "NetStream.Play.StreamNotFound",
    "NetStream.Unpublish.Success",
    "",
];

const DESCRIPTIONS: &[&str] = &[
    "",
    "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
    "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=a&salt=b&challenge=c&opaque=d",
    "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=a&nonce=b",
    "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=authfail",
];

const CONTROLS: &[fn(u32) -> Control] = &[
    Control::SetChunkSize,
    Control::Abort,
    Control::Acknowledgement,
    Control::WindowAcknowledgementSize,
    |size| Control::SetPeerBandwidth {
        size,
        limit_type: 2,
    },
    |time| Control::User(UserControl::PingRequest(time)),
    |id| Control::User(UserControl::StreamEof(id)),
];

/// The first byte says what the client wants; the rest are steps of the server, so that well-formed replies
/// get deep into the session.
///
/// What the session keeps to be sent is bounded, every text of an event is short, and every block is
/// returned when the session is gone.
pub fn client_session(data: &[u8]) {
    let Some((&flags, steps)) = data.split_first() else {
        return;
    };
    ARENA.with(|arena| {
        let mut client = Client::new(arena.clone(), flags);
        let hello = [3; HANDSHAKE_LEN];
        if client.feed(&hello).is_ok() {
            let _ = client.steps(steps);
        }
        drop(client);
        assert_eq!(
            arena.free_blocks(),
            arena.total_blocks(),
            "blocks that never came home"
        );
    });
}

struct Closed;

struct Client {
    session: ClientSession<Arena>,
    is_publisher: bool,
    /// Splits the server's bytes.
    piece_len: usize,
    writer: ChunkWriter,
    now: u64,
}

impl Client {
    fn new(arena: Arena, flags: u8) -> Client {
        let options = ConnectOptions {
            app: "live".into(),
            tc_url: "rtmp://host/live".into(),
            flash_ver: "fuzz".into(),
            is_publisher: flags & 1 != 0,
            is_amf3: flags & 2 != 0,
            is_enhanced: flags & 4 != 0,
            has_digest: flags & 8 != 0,
        };
        Client {
            session: ClientSession::new(arena, options, MAX_MESSAGE, |random| random.fill(7)),
            is_publisher: flags & 1 != 0,
            piece_len: 1 + usize::from(flags >> 4) * 50,
            writer: ChunkWriter::default(),
            now: 0,
        }
    }

    /// Each step is a byte for its kind, and what that kind needs.
    fn steps(&mut self, mut steps: &[u8]) -> Result<(), Closed> {
        let mut transaction = 1.0;
        while let Some((&kind, rest)) = steps.split_first() {
            steps = rest;
            let (&argument, rest) = steps.split_first().unwrap_or((&0, steps));
            steps = rest;
            match kind % 8 {
                // Any bytes.
                0 => {
                    let len = steps.len().min(argument.into());
                    let (bytes, rest) = steps.split_at(len);
                    steps = rest;
                    self.feed(bytes)?;
                }
                1 => {
                    let values = [4, 2].map(|at| u32::from(argument) << (at * (kind >> 5)));
                    let control = CONTROLS[usize::from(kind >> 3) % CONTROLS.len()](values[0]);
                    let mut out = Vec::new();
                    self.writer.write_control(&control, &mut out);
                    self.feed(&out)?;
                }
                2 => {
                    // The reply to createStream, or a wrong one.
                    let id = Value::Number(f64::from(argument >> 4));
                    self.call(
                        0,
                        "_result",
                        f64::from(argument & 15),
                        vec![Value::Null, id],
                    )?;
                }
                3 | 4 => {
                    let name = NAMES[usize::from(kind >> 3) % NAMES.len()];
                    let code = CODES[usize::from(argument & 15) % CODES.len()];
                    let words = DESCRIPTIONS[usize::from(argument >> 4) % DESCRIPTIONS.len()];
                    let info = object([
                        (
                            "level",
                            text(if kind & 128 == 0 { "status" } else { "error" }),
                        ),
                        ("code", text(code)),
                        ("description", text(words)),
                    ]);
                    self.call(1, name, transaction, vec![Value::Null, info])?;
                    transaction += 1.0;
                }
                5 => {
                    let ex = object([("redirect", text(&"r".repeat(argument.into())))]);
                    let info = object([("ex", ex), ("tcUrl", text("rtmp://b/live"))]);
                    self.call(0, "_error", transaction, vec![Value::Null, info])?;
                }
                _ => {
                    let type_id = [8, 9, 18, 22, 15, 20][usize::from(kind >> 3) % 6];
                    let len = steps.len().min(argument.into());
                    let (payload, rest) = steps.split_at(len);
                    steps = rest;
                    self.message(6, type_id, u32::from(kind >> 7) + 1, payload)?;
                }
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        id: u32,
        name: &str,
        transaction: f64,
        values: Vec<Value>,
    ) -> Result<(), Closed> {
        let mut values = values.into_iter();
        let command = Command {
            name: name.to_owned(),
            transaction_id: transaction,
            object: values.next().unwrap_or(Value::Null),
            arguments: values.collect(),
        };
        self.message(
            chunk_stream_id::COMMAND,
            type_id::COMMAND,
            id,
            &command.emit(),
        )
    }

    fn message(&mut self, on: u8, type_id: u8, id: u32, payload: &[u8]) -> Result<(), Closed> {
        let header = chunk::MessageHeader {
            chunk_stream_id: on,
            timestamp: self.now as u32,
            len: 0,
            type_id,
            message_stream_id: id,
        };
        let mut out = Vec::new();
        self.writer.write(header, payload, &mut out);
        self.feed(&out)
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        for piece in bytes.chunks(self.piece_len) {
            let mut input = Bytes::from(piece);
            loop {
                let event = self.session.handle(&mut input, self.now);
                let is_over = matches!(event, Ok(None) | Err(_));
                match event {
                    Ok(Some(event)) => {
                        check(&self.session, &event);
                        if event == ClientEvent::Connected {
                            match self.is_publisher {
                                true => self.session.publish("door"),
                                false => self.session.play("door"),
                            }
                        }
                    }
                    Ok(None) => assert!(input.is_empty(), "input is left"),
                    Err(error) => {
                        assert!(!error.to_string().contains(char::is_control), "{error:?}");
                        return Err(Closed);
                    }
                }
                let output = self.session.take_output();
                assert!(
                    output.len() <= MAX_OUTPUT + MOST_PER_MESSAGE,
                    "{}",
                    output.len()
                );
                if is_over {
                    break;
                }
            }
        }
        self.now += 20;
        Ok(())
    }
}

fn check(session: &ClientSession<Arena>, event: &ClientEvent<'_>) {
    match event {
        ClientEvent::Media(media) => {
            let total: usize = session.payload(media).map(<[u8]>::len).sum();
            assert!(total <= MAX_MESSAGE as usize);
        }
        ClientEvent::Metadata { .. } | ClientEvent::Data { .. } => drop(session.body()),
        ClientEvent::Refused(refusal) => {
            assert!(refusal.code.len() <= MAX_TEXT_LEN);
            assert!(refusal.description.len() <= MAX_TEXT_LEN);
            if let RefusalKind::Redirect(url) = &refusal.kind {
                assert!(!url.is_empty() && url.len() <= MAX_TEXT_LEN);
            }
            if let Some(reply) = Reply::parse(&refusal.description) {
                let query = reply.query("bob", "secret", "live", &[1; 8]);
                assert!(query.is_none_or(|query| query.len() <= 2 * MAX_TEXT_LEN));
            }
        }
        ClientEvent::Reconnect { url, description } => {
            let len = url.as_ref().map_or(0, String::len);
            assert!(len.max(description.len()) <= MAX_TEXT_LEN);
        }
        ClientEvent::Status {
            level,
            code,
            description,
        } => {
            let lens = [level, code, description].map(String::len);
            assert!(lens.into_iter().all(|len| len <= MAX_TEXT_LEN));
        }
        _ => {}
    }
}
