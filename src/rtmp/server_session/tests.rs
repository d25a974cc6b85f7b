//! A [`Scenario`] is a client's view of a session: it sends bytes, gives the verdicts that a caller
//! would give, and reads the replies as a client does.

use super::*;
use crate::medium::Medium;
use crate::rtmp::amf::{Name, View};
use crate::rtmp::amf0::{self, Value};
use crate::rtmp::chunk::MessageHeader;
use crate::rtmp::chunk_reader::tests::every_split;
use crate::rtmp::chunk_reader::{Heap, ReceivedMessage};
use crate::rtmp::chunk_writer::CHUNK_SIZE;
use crate::rtmp::command::{Command, object, text};
use crate::rtmp::flight_recorder::FlightRecorder;
use crate::rtmp::message::{UserControl, type_id};
use crate::rtmp::metadata;

mod aggregates;
mod capabilities;
mod captures;
mod connect;
mod control;
mod counters;
mod encodings;
mod limits;
mod media;
mod message_streams;
mod play;
mod publish;

/// The length of C0, C1 and C2 in bytes, and of S0, S1 and S2.
const HANDSHAKE_LEN: usize = 1 + 1536 + 1536;

const MAX_MESSAGE: u32 = 1 << 20;

struct Scenario {
    session: ServerSession<Heap>,
    client: ChunkReader<Heap>,
    /// The number of handshake bytes that the client hasn't read yet.
    handshake_left: usize,
    replies: Vec<String>,
    recorder: FlightRecorder,
    /// The time in ms.
    now: u64,
}

impl Scenario {
    fn new() -> Scenario {
        let limits = Limits {
            media: 1 << 20,
            data: 1 << 20,
            command: 1 << 20,
            ..Limits::NONE
        };
        Scenario {
            session: ServerSession::new(Heap, MAX_MESSAGE, |random| random.fill(0x77)),
            client: ChunkReader::new(Heap, limits),
            handshake_left: HANDSHAKE_LEN,
            replies: Vec::new(),
            recorder: FlightRecorder::default(),
            now: 0,
        }
    }

    fn handshaken() -> Scenario {
        let mut scenario = Scenario::new();
        assert_eq!(scenario.send(&[3; HANDSHAKE_LEN]), []);
        assert!(scenario.session.is_handshaken());
        scenario
    }

    fn connected() -> Scenario {
        let mut scenario = Scenario::handshaken();
        scenario.send(&connect());
        scenario.replies();
        assert!(scenario.session.is_connected());
        scenario
    }

    /// A session in which message stream 1 exists.
    fn created() -> Scenario {
        let mut scenario = Scenario::connected();
        scenario.call(0, "createStream", 2.0, &[]);
        assert_eq!(scenario.replies(), ["3/0 _result(2) 1"]);
        scenario
    }

    /// A session in which message stream 1 publishes.
    fn publishing() -> Scenario {
        let mut scenario = Scenario::created();
        scenario.call(1, "publish", 3.0, &[text("door"), text("live")]);
        scenario.replies();
        assert!(scenario.session.is_in_use());
        scenario
    }

    /// A session in which message stream 1 plays.
    fn playing() -> Scenario {
        let mut scenario = Scenario::created();
        scenario.call(1, "play", 3.0, &[text("door"), Value::Number(-2000.0)]);
        scenario.replies();
        assert!(scenario.session.is_in_use());
        scenario
    }

    /// Sends bytes and accepts all requests. The in-place payload is removed from media events.
    fn try_send(&mut self, input: &[u8]) -> Result<Vec<(Event<'static>, Vec<u8>)>, Error> {
        let mut events = Vec::new();
        // Media events borrow the input.
        let input: &'static [u8] = input.to_vec().leak();
        let mut input = Bytes::from(input);
        loop {
            let event = self.next(&mut input);
            self.collect();
            let Some(mut event) = event? else { break };
            if event == Event::Replies {
                continue;
            }
            let payload = match &event {
                Event::Media(media) => self.session.payload(media).collect::<Vec<_>>().concat(),
                Event::Metadata { .. } => self.metadata(),
                Event::Data { .. } => {
                    let body = self.session.body();
                    body.bytes().parts().collect::<Vec<_>>().concat()
                }
                _ => Vec::new(),
            };
            match &event {
                Event::Connect(_) => self.session.accept_connect(),
                Event::Publish {
                    message_stream_id, ..
                } => {
                    self.session.accept_publish(*message_stream_id, "live/door");
                }
                Event::Play {
                    message_stream_id, ..
                } => {
                    let control = self.session.accept_play(*message_stream_id, "live/door");
                    self.read(&control);
                }
                _ => {}
            }
            self.collect();
            if let Event::Media(media) = &mut event {
                media.in_place = None;
            }
            events.push((event, payload));
        }
        assert!(input.is_empty(), "input is left");
        Ok(events)
    }

    /// Returns the properties of the received metadata, as an object.
    fn metadata(&self) -> Vec<u8> {
        let body = self.session.body();
        let properties = metadata::parse(body.bytes()).expect("it was parsed before");
        let properties = properties.map(|all| {
            let pair =
                |(name, value): (Name<'_>, View<'_>)| (name.to_string(), value.to_value().unwrap());
            values(&[Value::Object(all.map(pair).collect())])
        });
        properties.unwrap_or_default()
    }

    fn next<'a>(&mut self, input: &mut Bytes<'a>) -> Result<Option<Event<'a>>, Error> {
        self.session.handle(input, &mut self.recorder.at(self.now))
    }

    fn send(&mut self, input: &[u8]) -> Vec<Event<'static>> {
        let events = self.try_send(input).unwrap();
        events.into_iter().map(|(event, _)| event).collect()
    }

    fn call(
        &mut self,
        message_stream_id: u32,
        name: &str,
        transaction_id: f64,
        arguments: &[Value],
    ) -> Vec<Event<'static>> {
        self.send(&command(message_stream_id, name, transaction_id, arguments))
    }

    fn error(&mut self, input: &[u8]) -> String {
        self.try_send(input).unwrap_err().to_string()
    }

    /// Sends input up to the event that needs a verdict, which the test gives itself.
    fn ask(&mut self, input: &[u8]) -> Event<'static> {
        let input: &'static [u8] = input.to_vec().leak();
        self.next(&mut input.into()).unwrap().unwrap()
    }

    /// Sends input that must not cause an event.
    fn ask_none(&mut self, input: &[u8]) {
        assert_eq!(self.next(&mut input.into()), Ok(None));
    }

    /// Returns the server's replies since the last call.
    fn replies(&mut self) -> Vec<String> {
        self.collect();
        mem::take(&mut self.replies)
    }

    fn collect(&mut self) {
        let bytes = self.session.take_output();
        self.read(&bytes);
    }

    fn read(&mut self, bytes: &[u8]) {
        let (handshake, bytes) = bytes.split_at(self.handshake_left.min(bytes.len()));
        self.handshake_left -= handshake.len();
        let mut bytes = Bytes::from(bytes);
        while let Some(header) = self.client.read(&mut bytes).unwrap() {
            let body = self.client.assembled().unwrap().clone();
            if header.type_id == type_id::SET_CHUNK_SIZE {
                assert_eq!(body, CHUNK_SIZE.to_be_bytes());
                self.client.set_chunk_size(CHUNK_SIZE).unwrap();
            }
            assert_eq!(header.timestamp, 0);
            self.replies.push(described(&header, &body));
        }
    }
}

/// Formats a reply as one line: `chunk stream/message stream name(transaction id) information`.
fn described(header: &ReceivedMessage<'_>, body: &[u8]) -> String {
    let place = format!("{}/{}", header.chunk_stream_id, header.message_stream_id);
    match header.type_id {
        1..=6 => {
            assert_eq!(place, "2/0");
            format!("{:?}", Control::parse(header.type_id, body).unwrap())
        }
        type_id::COMMAND => {
            let command = Command::parse(body).unwrap();
            let [information] = command.arguments.as_slice() else {
                panic!("{command:?}")
            };
            let property = |key| information.property(key).and_then(Value::as_str);
            let information = match (information, property("level"), property("code")) {
                (Value::Number(number), ..) => number.to_string(),
                (Value::Undefined, ..) => "undefined".to_owned(),
                (_, Some(level), Some(code)) => format!("{level} {code}"),
                _ => panic!("{command:?}"),
            };
            let Command {
                name,
                transaction_id,
                ..
            } = command;
            format!("{place} {name}({transaction_id}) {information}")
        }
        type_id::DATA => format!(
            "{place} {:?}",
            amf0::parse(body, amf0::MissingEnd::Refused).unwrap()
        ),
        other => panic!("reply of type {other}"),
    }
}

fn message(type_id: u8, message_stream_id: u32, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let header = MessageHeader {
        chunk_stream_id: 8,
        timestamp,
        len: 0,
        type_id,
        message_stream_id,
    };
    let mut bytes = Vec::new();
    ChunkWriter::default().write(header, body, &mut bytes);
    bytes
}

fn control(control: Control) -> Vec<u8> {
    let mut bytes = Vec::new();
    ChunkWriter::default().write_control(&control, &mut bytes);
    bytes
}

fn body(name: &str, transaction_id: f64, object: Value, arguments: &[Value]) -> Vec<u8> {
    let arguments = arguments.to_vec();
    Command {
        name: name.to_owned(),
        transaction_id,
        object,
        arguments,
    }
    .emit()
}

fn command(
    message_stream_id: u32,
    name: &str,
    transaction_id: f64,
    arguments: &[Value],
) -> Vec<u8> {
    let body = body(name, transaction_id, Value::Null, arguments);
    message(type_id::COMMAND, message_stream_id, 0, &body)
}

fn connect_body() -> Vec<u8> {
    let properties = object([
        ("app", text("live?key=1")),
        ("flashVer", text("FMLE/3.0")),
        ("tcUrl", text("rtmp://host/live")),
    ]);
    body("connect", 1.0, properties, &[])
}

fn connect() -> Vec<u8> {
    message(type_id::COMMAND, 0, 0, &connect_body())
}

fn values(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| value.emit(&mut bytes));
    bytes
}

fn width(number: f64) -> Vec<(String, Value)> {
    vec![("width".to_owned(), Value::Number(number))]
}

const MEDIA: &[u8] = b"\x17\x01\0\0\0picture";

fn video(message_stream_id: u32, timestamp: u32) -> Vec<u8> {
    message(type_id::VIDEO, message_stream_id, timestamp, MEDIA)
}

/// Returns the event and the body that metadata with these properties result in.
fn described_as(properties: Vec<(String, Value)>) -> (Event<'static>, Vec<u8>) {
    let event = Event::Metadata {
        message_stream_id: 1,
    };
    (event, values(&[Value::Object(properties)]))
}

fn stop(message_stream_id: u32) -> Event<'static> {
    Event::Stop { message_stream_id }
}

fn media(medium: Medium, timestamp: u32) -> Event<'static> {
    Event::Media(Media {
        message_stream_id: 1,
        medium,
        timestamp,
        in_place: None,
    })
}

const PUBLISH_REPLIES: [&str; 2] = [
    "User(StreamBegin(1))",
    "5/1 onStatus(0) status NetStream.Publish.Start",
];

const PLAY_REPLIES: [&str; 4] = [
    "User(StreamBegin(1))",
    "5/1 onStatus(0) status NetStream.Play.Reset",
    "5/1 onStatus(0) status NetStream.Play.Start",
    "5/1 [String(\"|RtmpSampleAccess\"), Boolean(true), Boolean(true)]",
];
