//! What sessions and streams keep for their clients, without sockets: any valid sequence of actions
//! of a few clients, repeated many times, must stay within the clients' allowances.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use brooklet::allowance::{Allowance, PER_CONNECTION, Taken};
use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::live::capabilities::Capabilities;
use brooklet::live::hls::requests::{Asker, HlsRequest};
use brooklet::live::life::{Grace, PublishRefused, Publisher};
use brooklet::live::out::framing::Framing;
use brooklet::live::out::join::Join;
use brooklet::live::out::request::{JoinRequest, Receiver};
use brooklet::live::out::sink::Sink;
use brooklet::live::payload::Assembly;
use brooklet::live::stream::{self, Desks, PUBLISH_COST, STREAM_COST, Stream, StreamSettings};
use brooklet::live::table::StreamTable;
use brooklet::media::Medium;
use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::chunk::MessageHeader;
use brooklet::rtmp::chunk_writer::ChunkWriter;
use brooklet::rtmp::command::{Command, object, text};
use brooklet::rtmp::flight_recorder::FlightRecorder;
use brooklet::rtmp::message::type_id;
use brooklet::rtmp::server_session::{Dialect, Event, ServerSession};
use brooklet::rtmp::stream_key::StreamKey;

/// For tables and lists that are rounded up.
const REST: usize = 16 * 1024;

/// The number of clients at a time.
const CLIENTS: usize = 4;

/// The most that is sent in a case.
const MAX_SENT: usize = 2 << 20;

const MAX_MESSAGE: u32 = 1 << 20;

thread_local! {
    // Arenas stay claimed for the rest of the process: one per thread.
    static ARENA: Arena = Arena::new(256 * BLOCK_LEN);
}

/// A socket that takes so much at a time.
struct Taker(AtomicUsize);

impl Sink for Taker {
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        match len.min(self.0.load(Ordering::Relaxed)) {
            0 => Err(ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }

    fn shutdown(&self) {}

    fn finish(&self) {}
}

/// What a connection's thread does, without a thread.
struct Client {
    allowance: Allowance,
    session: ServerSession<Assembly>,
    recorder: FlightRecorder,
    sink: Arc<Taker>,
    /// By message stream: what it publishes, and the generation.
    publishes: Vec<(u32, Arc<Stream>, u64)>,
    /// By message stream: what it plays, and the subscriber.
    plays: Vec<(u32, Arc<Stream>, u64)>,
    /// The cost of each of these, by message stream.
    paid: Vec<(u32, Taken)>,
    time: u32,
}

/// The connection is closed.
struct Closed;

/// A few clients, and the streams.
struct Core {
    table: StreamTable,
    arena: Arena,
    clients: [Option<Client>; CLIENTS],
    /// In ms.
    now: u64,
    sent: usize,
    next: u32,
}

/// Runs steps: a byte says which client does how many actions how often, then there are two for
/// each of them. `heap` returns how many bytes the process has allocated. The error says what was
/// kept.
pub fn kept(data: &[u8], heap: fn() -> usize) -> Result<(), String> {
    ARENA.with(|arena| {
        let settings = StreamSettings {
            arena: arena.clone(),
            history: 12_000,
            max_lag: 2_000,
            batch: 0,
            kept: 0,
            is_hls_served: true,
            desks: Desks::default(),
        };
        let mut core = Core {
            table: StreamTable::new(settings),
            arena: arena.clone(),
            clients: [const { None }; CLIENTS],
            now: 1_000,
            sent: 0,
            next: 0,
        };
        let idle = heap();
        let mut data = data.iter().copied();
        while let Some(first) = data.next() {
            let who = usize::from(first >> 6);
            let times = [1, 1, 2, 8, 60, 200, 400, 800][usize::from(first >> 3 & 7)];
            let acts: Vec<[u8; 2]> = (0..1 + (first & 3))
                .map_while(|_| Some([data.next()?, data.next()?]))
                .collect();
            for _ in 0..times {
                for &[what, how] in &acts {
                    if core.sent < MAX_SENT {
                        core.act(who, what, how);
                    }
                }
            }
            drop(acts);
            let kept = heap().saturating_sub(idle);
            let clients = core.clients.iter().flatten().count();
            let allowed = clients * PER_CONNECTION + REST;
            if kept > allowed {
                return Err(format!(
                    "{kept} bytes are kept for {clients} clients, allowed are {allowed}"
                ));
            }
        }
        Ok(())
    })
}

fn receiver(message_stream_id: u32) -> Receiver {
    Receiver {
        framing: Framing::rtmp(message_stream_id, Dialect::AMF0),
        join: Join::Live,
        capabilities: Capabilities::unknown(),
    }
}

impl Client {
    fn new(arena: &Arena) -> Client {
        let allowance = Allowance::default();
        let assembly = Assembly::new(arena.clone(), allowance.clone());
        Client {
            allowance,
            session: ServerSession::new(assembly, MAX_MESSAGE, |random| random.fill(7)),
            recorder: FlightRecorder::default(),
            sink: Arc::new(Taker(AtomicUsize::new(usize::MAX))),
            publishes: Vec::new(),
            plays: Vec::new(),
            paid: Vec::new(),
            time: 0,
        }
    }

    fn pay(&mut self, message_stream_id: u32) -> Result<(), Closed> {
        let taken = self
            .allowance
            .take(STREAM_COST + PUBLISH_COST)
            .map_err(|_| Closed)?;
        self.paid.push((message_stream_id, taken));
        Ok(())
    }

    fn stop(&mut self, message_stream_id: Option<u32>, table: &StreamTable, now: u64) {
        let is_it = |id: u32| message_stream_id.is_none_or(|wanted| wanted == id);
        self.paid.retain(|paid| !is_it(paid.0));
        let publishes = std::mem::take(&mut self.publishes).into_iter();
        let (gone, stay): (Vec<_>, _) = publishes.partition(|p| is_it(p.0));
        self.publishes = stay;
        for (_, stream, generation) in gone {
            let grace = Grace {
                until: now,
                longer_for_hls: 0,
            };
            stream.unpublish(generation, grace, now);
            stream.end(generation, now);
            table.remove_unused(&stream, now);
        }
        let plays = std::mem::take(&mut self.plays).into_iter();
        let (gone, stay): (Vec<_>, _) = plays.partition(|p| is_it(p.0));
        self.plays = stay;
        for (_, stream, id) in gone {
            stream.leave(id);
            table.remove_unused(&stream, now);
        }
    }
}

impl Core {
    fn act(&mut self, who: usize, what: u8, how: u8) {
        self.now += 20;
        let mut client = self.clients[who].take();
        if client.is_none() || what == 0 {
            self.leave(client.take());
            client = self.connect(if what == 0 { how } else { 0 });
        }
        let Some(mut one) = client else { return };
        let done = self.do_with(&mut one, what, how);
        match done {
            Ok(()) => self.clients[who] = Some(one),
            Err(Closed) => self.leave(Some(one)),
        }
    }

    fn leave(&mut self, client: Option<Client>) {
        if let Some(mut client) = client {
            client.stop(None, &self.table, self.now);
        }
    }

    fn connect(&mut self, how: u8) -> Option<Client> {
        let mut client = Client::new(&self.arena);
        let mut hello = vec![3];
        hello.resize(1 + 2 * 1536, 0x5A);
        let url = format!("rtmp://host/live?{}", "u".repeat(len(how)));
        let parameters = object([("app", text("live")), ("tcUrl", text(&url))]);
        let mut bytes = Vec::new();
        ChunkWriter::default().announce_chunk_size(&mut bytes);
        hello.extend(bytes);
        let connect = command("connect", parameters, vec![]);
        hello.extend(message(3, type_id::COMMAND, 0, 0, &connect));
        self.feed(&mut client, &hello).ok().map(|()| client)
    }

    fn do_with(&mut self, client: &mut Client, what: u8, how: u8) -> Result<(), Closed> {
        self.next += 1;
        let number = self.next;
        let len = len(how);
        // Mostly on the first message stream.
        let stream = match how >> 2 & 7 {
            0..5 => 1,
            5 => 2,
            _ => 1 + number % 8,
        };
        let few = format!("few{}", how >> 5 & 3);
        let media = |client: &mut Client, type_id, payload: &[u8]| {
            client.time += if len < 100 { 1 } else { 33 };
            message(6, type_id, stream, client.time, payload)
        };
        let filled = |tag: &[u8]| {
            let mut payload = [tag, &number.to_be_bytes()].concat();
            payload.resize(payload.len().max(len), 0x41);
            payload
        };
        let on_stream = |name, arguments| {
            let command = command(name, Value::Null, arguments);
            message(3, type_id::COMMAND, stream, 0, &command)
        };
        let bytes = match what % 24 {
            1 | 2 => on_stream("publish", vec![text(&few), text("live")]),
            3 => on_stream("publish", vec![text(&format!("new{number}")), text("live")]),
            4 | 5 => on_stream("play", vec![text(&few)]),
            6 => on_stream("closeStream", vec![]),
            7 => on_stream("deleteStream", vec![Value::Number(stream.into())]),
            8 => {
                let value = "m".repeat(200);
                let properties = (0..1 + len / 220).map(|_| ("comment", text(&value)));
                let mut body = Vec::new();
                text("@setDataFrame").emit(&mut body);
                text("onMetaData").emit(&mut body);
                object(properties).emit(&mut body);
                message(4, type_id::DATA, stream, 0, &body)
            }
            9 => {
                let parameters = filled(b"\x68\xce");
                let mut header = b"\x17\0\0\0\0\x01\x42\xc0\x0d\xff\xe1\0\x16\x67\x42\xc0\x0d\xda\
                    \x05\x07\xec\x04\x40\0\0\x03\0\x40\0\0\x0c\x83\xc5\x0a\xa8\x01"
                    .to_vec();
                header.extend((parameters.len() as u16).to_be_bytes());
                header.extend(parameters);
                media(client, type_id::VIDEO, &header)
            }
            10 => {
                let tag = [b"\x96\0hvc1", &[number as u8 % 40][..]].concat();
                media(client, type_id::VIDEO, &filled(&tag))
            }
            11 => media(client, type_id::AUDIO, &filled(b"\xAF\0\x12\x10")),
            12 => media(client, type_id::VIDEO, &filled(&[0x17, 1, 0, 0, 0])),
            13 | 14 => media(client, type_id::VIDEO, &filled(&[0x27, 1, 0, 0, 0])),
            15 => media(client, type_id::AUDIO, &filled(&[0xAF, 1])),
            16 | 17 => {
                let unknown = vec![Value::Null; len];
                let unknown = command("unknown", Value::Null, unknown);
                message(3 + number as u8 % 56, type_id::COMMAND, 0, 0, &unknown)
            }
            18 => {
                let ping = [&[0, 6], &number.to_be_bytes()[..]].concat();
                message(2, type_id::USER_CONTROL, 0, 0, &ping)
            }
            19 => {
                let room = [0, 1, 1_000, usize::MAX][usize::from(how & 3)];
                client.sink.0.store(room, Ordering::Relaxed);
                return Ok(());
            }
            20 | 21 => {
                let key = StreamKey::new("live", &few).expect("a name");
                if let Some(stream) = self.table.find(&key) {
                    let _ = stream.ask_hls(HlsRequest::Media(None), &self.asker());
                }
                return Ok(());
            }
            22 => {
                self.now += u64::from(how) * 100;
                return Ok(());
            }
            _ => return Err(Closed),
        };
        self.feed(client, &bytes)
    }

    /// A client of HLS from the client's own address.
    fn asker(&self) -> Asker {
        Asker {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            connection: 1,
            now: self.now,
            nonce: || 1,
        }
    }

    fn feed(&mut self, client: &mut Client, input: &[u8]) -> Result<(), Closed> {
        self.sent += input.len();
        let mut input = Bytes::from(input);
        loop {
            let event = client
                .session
                .handle(&mut input, &mut client.recorder.at(self.now));
            match event {
                Ok(Some(event)) => self.answer(client, event)?,
                Ok(None) => break,
                Err(_) => return Err(Closed),
            }
            drop(client.session.take_output());
        }
        drop(client.session.take_output());
        for (_, stream, _) in &client.publishes {
            stream.pump(self.now);
        }
        Ok(())
    }

    fn answer(&mut self, client: &mut Client, event: Event<'_>) -> Result<(), Closed> {
        match event {
            Event::Connect(_) => client.session.accept_connect(),
            Event::Publish {
                message_stream_id: id,
                name,
                ..
            } => {
                client.stop(Some(id), &self.table, self.now);
                let key = StreamKey::new("live", &name).map_err(|_| Closed)?;
                client.pay(id)?;
                let publisher = || Publisher {
                    connection: 1,
                    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    is_trusted: false,
                    sink: client.sink.clone(),
                    allowance: client.allowance.clone(),
                };
                let now = self.now;
                let publish = |stream: &Arc<Stream>| match stream.publish(publisher(), now) {
                    Err(PublishRefused::Closed) => Err(stream::Closed),
                    result => Ok((Arc::clone(stream), result)),
                };
                let (stream, accepted) = self.table.with(&key, now, publish);
                match accepted {
                    Ok(accepted) => {
                        client.publishes.push((id, stream, accepted.generation));
                        client.session.accept_publish(id, key.as_str());
                    }
                    Err(_) => {
                        self.table.remove_unused(&stream, now);
                        let code = "NetStream.Publish.BadName";
                        client.session.refuse_stream(id, code, "no");
                    }
                }
            }
            Event::Play {
                message_stream_id: id,
                name,
                ..
            } => {
                client.stop(Some(id), &self.table, self.now);
                let key = StreamKey::new("live", &name).map_err(|_| Closed)?;
                client.pay(id)?;
                let control = client.session.accept_play(id, key.as_str());
                let (sink, now) = (client.sink.clone(), self.now);
                let subscriber = u64::from(self.next) << 8 | u64::from(id);
                let play = |stream: &Arc<Stream>| {
                    let sink = sink.clone();
                    let control = control.clone();
                    let request = JoinRequest::new(subscriber, sink, receiver(id), control);
                    stream.subscribe(request, now)?;
                    Ok(Arc::clone(stream))
                };
                let stream = self.table.with(&key, now, play);
                let _ = stream.with_subscriber(subscriber, now, |_| {});
                client.plays.push((id, stream, subscriber));
            }
            Event::Media(media) => {
                let payload = client.session.payload(&media);
                let (id, time) = (media.message_stream_id, media.timestamp);
                append(&client.publishes, id, media.medium, time, payload, self.now)?;
            }
            Event::Stop {
                message_stream_id: id,
            } => client.stop(Some(id), &self.table, self.now),
            _ => {}
        }
        Ok(())
    }
}

fn append<'a>(
    publishes: &[(u32, Arc<Stream>, u64)],
    message_stream_id: u32,
    medium: Medium,
    timestamp: u32,
    payload: impl Iterator<Item = &'a [u8]> + Clone,
    now: u64,
) -> Result<(), Closed> {
    let found = publishes.iter().find(|p| p.0 == message_stream_id);
    if let Some((_, stream, generation)) = found {
        stream.heard(now);
        let appended = stream.append(*generation, medium, timestamp, payload, now);
        appended.map_err(|_| Closed)?;
    }
    Ok(())
}

fn len(how: u8) -> usize {
    [30, 400, 6_000, 15_000][usize::from(how & 3)]
}

fn command(name: &str, object: Value, arguments: Vec<Value>) -> Vec<u8> {
    let command = Command {
        name: name.to_owned(),
        transaction_id: 1.0,
        object,
        arguments,
    };
    command.emit()
}

fn message(
    chunk_stream_id: u8,
    type_id: u8,
    message_stream_id: u32,
    timestamp: u32,
    payload: &[u8],
) -> Vec<u8> {
    let header = MessageHeader {
        chunk_stream_id,
        timestamp,
        len: 0,
        type_id,
        message_stream_id,
    };
    let mut bytes = Vec::new();
    ChunkWriter::with_announced_chunk_size().write(header, payload, &mut bytes);
    bytes
}
