//! The media of a stream, as long as either side lasts.
//!
//! A viewer is a player with another framing: the stream writes to its socket, pumped by the
//! publisher's thread, from the head of the response on. The connection's own thread waits for the
//! client to say something, which over HTTP is that it leaves.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::super::end::ConnectionEnd;
use super::super::lines::About;
use super::super::playing::{PLAY_COST, Playing};
use super::super::text::in_brackets;
use super::Connection;
use super::admission::{accept_websocket, authorize};
use super::end::HttpEnd;
use super::exchange::{Exchange, Reply};
use super::hls;
use super::writer::{self, Writer, why_over};
use crate::allowance::Allowance;
use crate::config::Shown;
use crate::http::response::Length;
use crate::http::route::Container;
use crate::http::websocket::{self, Event, FrameReader, Opcode, Violation, close_code};
use crate::http::{Method, Response, Status};
use crate::live::Millis;
use crate::live::capabilities::Capabilities;
use crate::live::framing::{Base, Carrier, Framing};
use crate::live::join::Join;
use crate::live::sink::Sink;
use crate::live::stream::Stream;
use crate::live::subscriber::{Receiver, Subscriber};
use crate::media::mp4::Presentation;
use crate::rtmp::rate::Rate;
use crate::rtmp::stream_key::StreamKey;

/// How long a request waits for the first keyframe of a stream, or for the return of its publisher.
const HOLD: Millis = 5_000;

/// Bytes that a viewer may send over plain HTTP while it watches: a request or two.
const MAX_UNREAD: usize = 4 * 1024;

/// What a viewer may send over a WebSocket at once, and per second: it has next to nothing to say.
/// Pings have to be answered between two pictures, which takes the stream's lock.
const PINGS: Rate = Rate::new(20, 10);
const FRAMES: Rate = Rate::new(200, 100);

/// A Pong isn't sent behind more unsent control bytes than this: one for the newest Ping is enough
/// (RFC 6455, 5.5.3).
const MAX_UNSENT_PONGS: usize = 256;

/// What the head of a response takes until it is out, in bytes.
const OPENING_COST: usize = size_of::<Response>() + 64;

/// Answers a request for the media of a stream.
pub(super) fn media(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
    container: Container,
) -> Result<Reply<'static>, HttpEnd> {
    let admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    let stream = exchange.shared.table.find(admission.key());
    if !stream.is_some_and(|stream| stream.was_published()) {
        return Ok(not_live(admission.key()).into());
    }
    let switching = match websocket::is_upgrade(exchange.head) {
        true => match accept_websocket(exchange) {
            Ok(mut response) => {
                response.date = writer::now();
                Some(response)
            }
            Err(refusal) => return Ok(refusal.into()),
        },
        false => None,
    };
    let carrier = match &switching {
        Some(_) => Carrier::WebSocket,
        None if exchange.head.is_1_1() => Carrier::Chunked,
        None => Carrier::Http,
    };
    let mut opening = Response::new("", Vec::new()).header("X-Accel-Buffering", "no");
    opening.is_for_all_sites = exchange.is_shared();
    opening.date = writer::now();
    if exchange.head.method() == Method::Head {
        return Ok(describe(exchange, admission.key(), container, opening));
    }
    let cost = PLAY_COST + size_of::<Viewing>() + OPENING_COST;
    let Ok(taken) = exchange.allowance.take(cost) else {
        return Ok(super::no_memory().into());
    };
    let subscriber = |id| {
        let sink: Arc<dyn Sink> = exchange.socket.clone();
        let receiver = receiver(exchange, container, carrier);
        let mut subscriber = match &switching {
            Some(response) => {
                let head = response.head(Length::UntilClose, false);
                Subscriber::new(id, sink, receiver, head.into_bytes())
            }
            None => Subscriber::new(id, sink, receiver, Vec::new()).with_opening(opening.clone()),
        };
        subscriber.set_audio(parameter(exchange, "audio") != Some("off"));
        subscriber.set_video(parameter(exchange, "video") != Some("off"));
        let subscriber = subscriber.of_connection(exchange.client.id());
        subscriber.paid_from(exchange.allowance)
    };
    let now = exchange.shared.now();
    let playing = Playing::start(
        exchange.shared,
        admission.key(),
        0,
        subscriber,
        Some(taken),
        now,
    );
    Ok(Reply::Viewing(Viewing {
        playing,
        carrier,
        container,
        frames: FrameReader::default(),
        frame_rate: FRAMES,
        ping_rate: PINGS,
        since: now,
        has_begun: false,
        unread: 0,
    }))
}

/// A parameter of the query.
pub(super) fn parameter<'a>(exchange: &Exchange<'a>, name: &str) -> Option<&'a str> {
    let pairs = exchange.head.query()?.split('&');
    let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values.next()
}

/// What the viewer gets.
fn receiver(exchange: &Exchange<'_>, container: Container, carrier: Carrier) -> Receiver {
    let join = parameter(exchange, "join").and_then(Join::from_name);
    let (framing, capabilities) = match container {
        Container::Mp4 => {
            let base = Base::default();
            (Framing::Mp4 { carrier, base }, Capabilities::unknown())
        }
        Container::Flv => {
            let capabilities = match exchange.head.is_browser() {
                true => Capabilities::browser(),
                false => Capabilities::unknown(),
            };
            (Framing::Flv { carrier, base: 0 }, capabilities)
        }
    };
    Receiver {
        framing,
        join: join.unwrap_or(exchange.shared.config.join),
        capabilities,
    }
}

/// The answer to HEAD.
fn describe(
    exchange: &Exchange<'_>,
    key: &StreamKey,
    container: Container,
    mut opening: Response,
) -> Reply<'static> {
    let content_type = exchange
        .shared
        .table
        .find(key)
        .and_then(|stream| stream.content_type());
    let Some(content_type) = content_type else {
        return not_live(key).into();
    };
    opening.content_type = match container {
        Container::Mp4 => content_type.into(),
        Container::Flv => "video/x-flv".into(),
    };
    Reply::Unending(opening)
}

pub(super) fn not_live(key: &StreamKey) -> Response {
    let why = [key.as_str(), " isn't live"].concat();
    Response::text(Status::NotFound, &why)
}

/// A viewer, from its request to its end.
pub(super) struct Viewing {
    playing: Playing,
    carrier: Carrier,
    container: Container,
    frames: FrameReader,
    frame_rate: Rate,
    ping_rate: Rate,
    since: Millis,
    /// The response has begun.
    has_begun: bool,
    /// Bytes that came from a client which was to watch.
    unread: usize,
}

impl Viewing {
    /// Lets the client watch. Returns what it is answered if it has got nothing.
    pub(super) fn run(mut self, connection: &mut Connection) -> Result<Response, HttpEnd> {
        let end = self.watch(connection);
        self.leave(connection, end)
    }

    fn watch(&mut self, connection: &mut Connection) -> HttpEnd {
        let mut buffer = [0; 512];
        if self.carrier == Carrier::WebSocket {
            let input = connection.input.take();
            if let Err(end) = self.handle_input(&input, connection) {
                return end;
            }
        }
        loop {
            let timeout = match self.look(connection) {
                Ok(timeout) => timeout,
                Err(end) => return end,
            };
            let result = connection
                .socket
                .set_read_timeout(timeout)
                .and_then(|()| connection.socket.read(&mut buffer));
            let result = match result {
                Ok(0) => Err(self.why_closed(connection)),
                Ok(len) => {
                    let input = buffer.get(..len).unwrap_or_default();
                    self.handle_input(input, connection)
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => self.tick(connection),
                    ErrorKind::Interrupted => Ok(()),
                    kind => Err(ConnectionEnd::Lost(kind).into()),
                },
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Looks whether the response has begun, and how long the thread may sleep.
    fn look(&mut self, connection: &Connection) -> Result<Duration, HttpEnd> {
        if let Some(end) = why_over(&connection.shared, &connection.client) {
            return Err(end.into());
        }
        let interval = self.playing.tick_interval();
        if self.has_begun {
            return Ok(interval);
        }
        let now = connection.shared.now();
        let left = (self.since + HOLD).saturating_sub(now);
        let mut has_begun = false;
        let look = self.playing.with_subscriber(now, |subscriber| {
            has_begun = subscriber.has_begun();
            // From here on it can't begin any more.
            subscriber.set_paused(!has_begun && left == 0);
        });
        self.has_begun = has_begun;
        look.map_err(ConnectionEnd::Player)?;
        if has_begun {
            self.tell(connection);
        } else if left == 0 {
            return Err(HttpEnd::NotLive);
        }
        Ok(interval.min(Duration::from_millis(left)))
    }

    fn tell(&self, connection: &Connection) {
        let what = match (self.container, self.carrier) {
            (Container::Flv, Carrier::WebSocket) => "FLV over WebSocket",
            (Container::Mp4, Carrier::WebSocket) => "MP4 over WebSocket",
            (Container::Flv, _) => "FLV over HTTP",
            (Container::Mp4, _) => "MP4 over HTTP",
        };
        let client = &connection.client;
        connection.shared.say(
            log::Level::Info,
            About::Media,
            client.address().ip(),
            format_args!(
                "#{} {}: playing to {} as {what}{}",
                client.id(),
                self.playing.key(),
                Shown(client.address()),
                in_brackets(&client.connect().flash_ver),
            ),
        );
    }

    fn tick(&mut self, connection: &Connection) -> Result<(), HttpEnd> {
        let now = connection.shared.now();
        let is_idle = self.playing.tick(now).map_err(ConnectionEnd::Player)?;
        if is_idle && self.has_begun && self.carrier == Carrier::WebSocket {
            // Proxies end what is silent for a minute.
            let ping = websocket::short_frame(Opcode::Ping, &[]);
            self.say(&ping, connection)?;
        }
        Ok(())
    }

    fn handle_input(
        &mut self,
        mut input: &[u8],
        connection: &mut Connection,
    ) -> Result<(), HttpEnd> {
        if self.carrier != Carrier::WebSocket {
            self.unread += input.len();
            if self.unread > MAX_UNREAD {
                return Err(HttpEnd::Talkative);
            }
            // It may be the next request, if this one is refused in the end.
            let is_kept = self.has_begun || connection.input.put(input);
            return is_kept.then_some(()).ok_or(HttpEnd::Talkative);
        }
        let now = connection.shared.now();
        let mut newest_ping = None;
        loop {
            let event = match self.frames.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Event::Close(_))) => {
                    self.finish(close_code::NORMAL, "", connection);
                    return Err(ConnectionEnd::Closed.into());
                }
                Ok(Some(event)) => event,
                Err(violation) => return Err(self.refuse(violation, connection)),
            };
            let mut is_allowed = self.frame_rate.take(1, now);
            if let Event::Ping(payload) = event {
                is_allowed &= self.ping_rate.take(1, now);
                newest_ping = Some(payload);
            }
            if !is_allowed {
                return Err(self.refuse(TOO_MANY_FRAMES, connection));
            }
        }
        match newest_ping {
            Some(payload) => self.say(&websocket::short_frame(Opcode::Pong, &payload), connection),
            None => Ok(()),
        }
    }

    fn refuse(&self, violation: Violation, connection: &Connection) -> HttpEnd {
        self.finish(violation.code, violation.why, connection);
        HttpEnd::WebSocket(violation)
    }

    fn say(&self, bytes: &[u8], connection: &Connection) -> Result<(), HttpEnd> {
        let now = connection.shared.now();
        let said = self.playing.with_subscriber(now, |subscriber| {
            if subscriber.control_len() <= MAX_UNSENT_PONGS {
                subscriber.queue_control(bytes);
            }
        });
        Ok(said.map(|_| ()).map_err(ConnectionEnd::Player)?)
    }

    /// The last words of a WebSocket.
    fn finish(&self, code: u16, why: &str, connection: &Connection) {
        let now = connection.shared.now();
        let last_words = websocket::close_frame(code, why);
        // It ends as it should, or it is over already.
        let _ = self
            .playing
            .with_subscriber(now, |s| s.queue_end(&last_words));
    }

    /// The stream knows better than the socket why a viewer was cut off.
    fn why_closed(&self, connection: &Connection) -> HttpEnd {
        let shared = &connection.shared;
        let why = why_over(shared, &connection.client).unwrap_or_else(|| {
            let looked = self.playing.with_subscriber(shared.now(), |_| {});
            looked.map_or_else(ConnectionEnd::Player, |_| ConnectionEnd::Closed)
        });
        why.into()
    }

    /// Detaches. A viewer that has got nothing is told why.
    fn leave(self, connection: &Connection, end: HttpEnd) -> Result<Response, HttpEnd> {
        let is_not_live = matches!(end, HttpEnd::NotLive);
        if is_not_live && self.carrier == Carrier::WebSocket {
            self.finish(close_code::TRY_AGAIN_LATER, "not live", connection);
        }
        let now = connection.shared.now();
        let key = self.playing.key().clone();
        let why = end.to_string();
        self.playing
            .leave(&connection.shared, &connection.client, &why, now);
        match self.carrier {
            Carrier::Http | Carrier::Chunked if is_not_live => Ok(not_live(&key)),
            _ => Err(end),
        }
    }
}

const TOO_MANY_FRAMES: Violation = Violation {
    code: close_code::POLICY_VIOLATION,
    why: "more frames than a viewer has to send",
};

/// The newest keyframe of a stream, to be sent.
pub(super) struct Frame(Arc<Stream>);

/// Answers a request for the newest keyframe of a stream.
pub(super) fn frame(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
) -> Result<Reply<'static>, HttpEnd> {
    let admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    Ok(match exchange.shared.table.find(admission.key()) {
        Some(stream) => Reply::Frame(Frame(stream)),
        None => not_live(key).into(),
    })
}

impl Frame {
    #[inline(never)]
    pub(super) fn write(
        self,
        writer: &mut Writer<'_>,
        allowance: &Allowance,
    ) -> Result<(), HttpEnd> {
        let Some((tracks, mut reading)) = self.0.keyframe() else {
            let key = self.0.key();
            if !self.0.snapshot().is_live {
                return writer.respond(not_live(key));
            }
            let why = [key.as_str(), " has no keyframe now"].concat();
            return writer.respond(Response::text(Status::NotFound, &why));
        };
        let presentation = Presentation {
            video: tracks.presentation.video.clone(),
            audio: None,
        };
        let init = presentation.init_segment();
        let response = Response::new(presentation.content_type(), Vec::new());
        drop((tracks, presentation));
        // Held until it is out.
        let Ok(_paid) = allowance.take(init.capacity()) else {
            return writer.respond(super::no_memory());
        };
        writer.begin(response, Length::Known(init.len() as u64 + reading.len))?;
        writer.write(&init)?;
        drop(init);
        hls::send(writer, &self.0, &mut reading, &[])
    }
}
