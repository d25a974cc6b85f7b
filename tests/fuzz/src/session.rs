//! Whole sessions, from the handshake on.

use super::*;

/// The length of the client's side of the handshake: C0, C1, C2.
pub const HANDSHAKE_LEN: usize = 1 + 1536 + 1536;

const COMMANDS: &[&str] = &[
    "connect",
    "createStream",
    "publish",
    "play",
    "deleteStream",
    "closeStream",
    "FCPublish",
    "FCUnpublish",
    "releaseStream",
    "pause",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "getStreamLength",
    "FCSubscribe",
    "_checkbw",
    "play2",
    "_result",
    "nobodyKnowsThis",
];

/// The lowest bit of the first byte chooses: the rest is what a client sends after the handshake,
/// or a list of steps from which well-formed messages are made, so that commands, data and media
/// get deep into the session.
///
/// The server's replies must always parse, and every block must be returned when the session is
/// gone.
pub fn session(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    ARENA.with(|arena| {
        let mut connection = Connection::new(arena.clone(), first);
        let mut hello = vec![3];
        hello.resize(HANDSHAKE_LEN, 0x5A);
        if connection.feed(&hello).is_ok() {
            let _ = if first & 1 == 1 {
                rest.chunks(1 + usize::from(first >> 1) * 16)
                    .try_for_each(|piece| connection.feed(piece))
            } else {
                connection.steps(rest)
            };
        }
        connection.check_replies();
        drop(connection);
        assert_eq!(
            arena.free_blocks(),
            arena.total_blocks(),
            "blocks that never came home"
        );
    });
}

/// A client's bytes from the handshake on, cut into pieces of `piece_len`.
pub fn session_bytes(bytes: &[u8], piece_len: usize) {
    ARENA.with(|arena| {
        let mut connection = Connection::new(arena.clone(), 1);
        let _ = bytes
            .chunks(piece_len)
            .try_for_each(|piece| connection.feed(piece));
        connection.check_replies();
        drop(connection);
        assert_eq!(
            arena.free_blocks(),
            arena.total_blocks(),
            "blocks that never came home"
        );
    });
}

/// A session with its caller's behavior.
struct Connection {
    session: ServerSession<Arena>,
    arena: Arena,
    refuses: bool,
    publishing: Vec<u32>,
    replies: Vec<u8>,
    recorder: FlightRecorder,
    /// In ms.
    now: u64,
}

/// The connection is closed.
struct Closed;

impl Connection {
    fn new(arena: Arena, flags: u8) -> Connection {
        Connection {
            session: ServerSession::new(arena.clone(), MAX_MESSAGE, |random| random.fill(7)),
            arena,
            refuses: flags & 0x80 != 0,
            publishing: Vec::new(),
            replies: Vec::new(),
            recorder: FlightRecorder::default(),
            now: 0,
        }
    }

    fn feed(&mut self, input: &[u8]) -> Result<(), Closed> {
        let mut input = Bytes::from(input);
        loop {
            let event = self
                .session
                .handle(&mut input, &mut self.recorder.at(self.now));
            self.replies.append(&mut self.session.take_output());
            match event {
                Ok(Some(event)) => self.act(event),
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().contains(char::is_control), "{error:?}");
                    return Err(Closed);
                }
            }
        }
        // The flight recorder doesn't grow.
        assert!(self.recorder.entries().count() <= 256);
        self.now += 20;
        assert!(
            input.is_empty(),
            "input is left though the session wants more"
        );
        Ok(())
    }

    fn act(&mut self, event: Event<'_>) {
        match event {
            Event::Connect(connect) if connect.flash_ver.starts_with('!') => {
                self.session
                    .refuse_connect("NetConnection.Connect.Rejected", &connect.app);
            }
            Event::Connect(_) => self.session.accept_connect(),
            Event::Publish {
                message_stream_id, ..
            } if self.refuses => {
                self.publishing.retain(|id| *id != message_stream_id);
                self.session
                    .refuse_stream(message_stream_id, "NetStream.Publish.BadName", "no");
            }
            Event::Publish {
                message_stream_id, ..
            } => {
                self.publishing.push(message_stream_id);
                self.session.accept_publish(message_stream_id, "live/door");
            }
            Event::Play {
                message_stream_id, ..
            } => {
                self.publishing.retain(|id| *id != message_stream_id);
                self.replies
                    .append(&mut self.session.accept_play(message_stream_id, "live/door"));
            }
            Event::Stop { message_stream_id } => {
                self.publishing.retain(|id| *id != message_stream_id);
            }
            Event::Media(media) => {
                assert!(
                    self.publishing.contains(&media.message_stream_id),
                    "media before publish"
                );
                let total: usize = self.session.payload(&media).map(<[u8]>::len).sum();
                assert!(total <= MAX_MESSAGE as usize);
                let is_small = total <= SMALL_LEN || media.in_place.is_some();
                let blocks = if is_small {
                    0
                } else {
                    total.div_ceil(BLOCK_LEN)
                };
                assert!(self.arena.free_blocks() + blocks <= 16);
            }
            Event::Data {
                message_stream_id, ..
            } => {
                assert!(
                    self.publishing.contains(&message_stream_id),
                    "data before publish"
                );
                if let Some(Relayed::Rewritten(bytes)) =
                    data::for_players(self.session.body().bytes())
                {
                    assert!(bytes.len() <= data::MAX_LEN);
                }
            }
            Event::Metadata { message_stream_id } => {
                assert!(
                    self.publishing.contains(&message_stream_id),
                    "metadata before publish"
                );
                let body = self.session.body();
                let properties = rtmp_metadata::parse(body.bytes()).expect("it is metadata");
                if let Some(properties) = properties {
                    rtmp_metadata::for_players(&properties, None, Some(true));
                }
            }
            Event::Replies => assert!(self.replies.len() > MAX_REPLIES),
            Event::Pause { .. } | Event::Receive { .. } => {}
        }
    }

    /// Checks that the replies are whole messages that a client can read.
    fn check_replies(&self) {
        let replies = self.replies.get(HANDSHAKE_LEN..).unwrap_or_default();
        for read in read_all(Heap, [replies]) {
            let (header, body) = read.expect("replies parse");
            let body = match header.type_id {
                type_id::COMMAND => body.as_slice(),
                type_id::COMMAND_AMF3 => &body[1..],
                _ => continue,
            };
            Command::parse(body).expect("replies are commands");
        }
    }

    fn steps(&mut self, data: &[u8]) -> Result<(), Closed> {
        let mut steps = Steps { data };
        let writer = ChunkWriter::default();
        while let Some(step) = steps.byte() {
            let mut bytes = Vec::new();
            let message_stream_id = u32::from(step >> 4) % 4;
            match step & 15 {
                0 => bytes = steps.bytes(),
                1 => bytes = steps.connect(),
                2..=8 => {
                    let body = steps.command().emit();
                    let header = header(type_id::COMMAND, 3, message_stream_id, 0);
                    writer.write(header, &body, &mut bytes);
                }
                9 => {
                    let body = [vec![0], steps.command().emit()].concat();
                    let header = header(type_id::COMMAND_AMF3, 3, message_stream_id, 0);
                    writer.write(header, &body, &mut bytes);
                }
                10 => {
                    let control = steps.control();
                    writer.write_control(&control, &mut bytes);
                }
                11 => {
                    // Any type on any chunk stream; repeating the body makes it long.
                    let kind = steps.byte().unwrap_or(9) % 24;
                    let chunk_stream_id = 2 + steps.byte().unwrap_or(4) % 62;
                    let timestamp = steps.number();
                    let times = 1 + usize::from(steps.byte().unwrap_or(0)) * 8;
                    let body = steps.bytes().repeat(times);
                    let header = header(kind, chunk_stream_id, message_stream_id, timestamp);
                    writer.write(header, &body, &mut bytes);
                }
                12 => {
                    let mut body = Vec::new();
                    for name in ["@setDataFrame", "onMetaData"] {
                        text(name).emit(&mut body);
                    }
                    body.append(&mut steps.bytes());
                    writer.write(
                        header(type_id::DATA, 4, message_stream_id, 0),
                        &body,
                        &mut bytes,
                    );
                }
                13 => self.session.end_publish(message_stream_id, "ended"),
                14 => self.session.ping(steps.number()),
                _ if steps.byte().unwrap_or(0) < 16 => self.session.shut_down(),
                _ => {
                    let header = header(type_id::AGGREGATE, 4, message_stream_id, steps.number());
                    writer.write(header, &steps.aggregate(), &mut bytes);
                }
            }
            if step & 15 == 13 {
                self.publishing.retain(|id| *id != message_stream_id);
            }
            self.feed(&bytes)?;
        }
        Ok(())
    }
}

fn header(
    type_id: u8,
    chunk_stream_id: u8,
    message_stream_id: u32,
    timestamp: u32,
) -> chunk::MessageHeader {
    chunk::MessageHeader {
        chunk_stream_id,
        timestamp,
        len: 0,
        type_id,
        message_stream_id,
    }
}

/// The fuzzer's bytes, read as numbers, names and values.
struct Steps<'a> {
    data: &'a [u8],
}

impl Steps<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.data.split_first()?;
        self.data = rest;
        Some(byte)
    }

    fn number(&mut self) -> u32 {
        (0..4).fold(0, |number, _| {
            number << 8 | u32::from(self.byte().unwrap_or(0))
        })
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte().unwrap_or(0));
        let (taken, rest) = self.data.split_at(len.min(self.data.len()));
        self.data = rest;
        taken.to_vec()
    }

    /// An aggregate message: like the tags of an FLV file.
    fn aggregate(&mut self) -> Vec<u8> {
        let mut aggregate = Vec::new();
        for _ in 0..self.byte().unwrap_or(0) % 6 {
            let kind = [8, 9, 18, 22][usize::from(self.byte().unwrap_or(0) % 4)];
            let time = self.number().to_be_bytes();
            let body = self.bytes();
            let len = (body.len() as u32).to_be_bytes();
            let times = [time[1], time[2], time[3], time[0], 0, 0, 0];
            aggregate.extend_from_slice(&[&[kind], &len[1..], &times, &body].concat());
            aggregate.extend_from_slice(&(11 + body.len() as u32).to_be_bytes());
        }
        aggregate
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn value(&mut self) -> Value {
        match self.byte().unwrap_or(0) % 8 {
            0 => Value::Null,
            1 => Value::Number(f64::from(self.byte().unwrap_or(1))),
            2 => Value::Number(f64::from_bits(u64::from(self.number()) << 32)),
            3 => Value::Boolean(self.byte().unwrap_or(0) & 1 == 1),
            4 => Value::String(self.text()),
            5 => object([("streamName", text(&self.text()))]),
            6 => Value::StrictArray(vec![Value::Undefined]),
            _ => text("door"),
        }
    }

    fn connect(&mut self) -> Vec<u8> {
        let command = Command {
            name: "connect".into(),
            transaction_id: 1.0,
            object: object([
                ("app", text("live")),
                ("flashVer", text(&self.text())),
                ("objectEncoding", self.value()),
                ("fourCcList", self.value()),
                ("videoFourCcInfoMap", self.value()),
                ("capsEx", self.value()),
            ]),
            arguments: Vec::new(),
        };
        let mut bytes = Vec::new();
        let header = header(type_id::COMMAND, chunk_stream_id::COMMAND, 0, 0);
        ChunkWriter::default().write(header, &command.emit(), &mut bytes);
        bytes
    }

    fn command(&mut self) -> Command {
        let name = usize::from(self.byte().unwrap_or(0));
        let name = match COMMANDS.get(name % (COMMANDS.len() + 1)) {
            Some(name) => (*name).to_owned(),
            None => self.text(),
        };
        let transaction_id = f64::from(self.byte().unwrap_or(0));
        let object = Value::Null;
        let count = self.byte().unwrap_or(0) % 4;
        let arguments = (0..count).map(|_| self.value()).collect();
        Command {
            name,
            transaction_id,
            object,
            arguments,
        }
    }

    fn control(&mut self) -> Control {
        let kind = self.byte().unwrap_or(0) % 9;
        let number = self.number();
        match kind {
            // The steps are written in chunks of 128 bytes; other sizes garble what follows.
            0 => Control::SetChunkSize(if number % 4 == 0 { number } else { 128 }),
            1 => Control::Abort(number % 70),
            2 => Control::Acknowledgement(number),
            3 => Control::WindowAcknowledgementSize(number),
            4 => Control::SetPeerBandwidth {
                size: number,
                limit_type: number as u8,
            },
            5 => Control::User(UserControl::PingRequest(number)),
            6 => Control::User(UserControl::PingResponse(number)),
            7 => Control::User(UserControl::SetBufferLength {
                message_stream_id: 1,
                buffer_ms: number,
            }),
            _ => Control::User(UserControl::Other(number as u16)),
        }
    }
}
