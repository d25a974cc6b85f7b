//! Sends the media of a stream, until one side ends it.
//!
//! A viewer is a player with another framing: the stream writes to its socket, pumped by the
//! publisher's thread, from the head of the response on. The connection's own thread waits for input
//! from the client; over HTTP that is only the end of the connection.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Exchange, not_live};
use super::writer;
use super::{Connection, Reply};
use crate::http::response::Length;
use crate::http::route::Container;
use crate::http::websocket::{self, FrameReader, Opcode, Violation, WebSocketEvent, close_code};
use crate::http::{Method, Response, Status};
use crate::live::Millis;
use crate::live::capabilities::Capabilities;
use crate::live::out::carrier::Carrier;
use crate::live::out::framing::{FileAnswer, Framing};
use crate::live::out::join::Join;
use crate::live::out::request::{JoinRequest, Receiver};
use crate::live::out::sink::Sink;
use crate::live::out::subscriber::PlayEnd;
use crate::live::stream::Stream;
use crate::rtmp::rate::Rate;
use crate::rtmp::stream_key::StreamKey;
use crate::server::end::ConnectionEnd;
use crate::server::http_conn::HttpEnd;
use crate::server::playing::{PLAY_COST, Playing};

/// How long a request waits for the first keyframe of a stream, or for the return of its publisher, in
/// ms.
const HOLD: Millis = 5_000;

/// The maximum number of bytes that a viewer may send over plain HTTP while it watches: a request or
/// two.
const MAX_UNREAD: usize = 4 * 1024;

/// The WebSocket frames that a viewer may send, in a burst and per second: it needs very few. Pings have
/// a lower limit, because they are answered between two messages, under the stream's lock.
const PINGS: Rate = Rate::new(20, 10);
const FRAMES: Rate = Rate::new(200, 100);

/// No Pong is queued behind more than this number of unsent control bytes: a Pong for the newest Ping is
/// enough (RFC 6455, 5.5.3).
const MAX_UNSENT_PONGS: usize = 256;

/// The number of heap bytes that a viewer occupies in addition to those of a player, for the answer to
/// its request.
const ANSWER_COST: usize = 128;

/// Answers a request for the media of a stream.
pub(super) fn media(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
    container: Container,
) -> Result<Reply<'static>, Response> {
    let admission = exchange.authorize(key)?;
    let name = admission.key.clone();
    exchange.check_circle(&name)?;
    let stream = admission.published(exchange.shared);
    let stream = stream.ok_or_else(|| not_live(&name))?;
    let mut switching = None;
    if websocket::is_upgrade(exchange.head) {
        let response = switching.insert(exchange.accept_websocket()?);
        response.date = writer::now();
    }
    let carrier = match &switching {
        Some(_) => Carrier::WebSocket,
        None if exchange.head.is_1_1() => Carrier::Chunked,
        None => Carrier::Raw,
    };
    let opening = Opening {
        is_chunked: carrier == Carrier::Chunked,
        is_for_all_sites: exchange.is_shared,
        date: writer::now(),
    };
    if exchange.head.method() == Method::Head {
        return describe(&stream, container, opening);
    }
    let cost = PLAY_COST + size_of::<Viewing>() + ANSWER_COST;
    let Ok(taken) = exchange.allowance.take(cost) else {
        return Err(super::no_memory());
    };
    let request = |id| {
        let sink: Arc<dyn Sink> = exchange.socket.clone();
        let receiver = receiver(exchange, container, carrier);
        let mut request = match &switching {
            Some(response) => {
                let head = response.head(Length::UntilClose, false);
                JoinRequest::new(id, sink, receiver, head.into_bytes())
            }
            None => JoinRequest {
                respond: Some(Box::new(move |answer| opening.answer(answer))),
                ..JoinRequest::new(id, sink, receiver, Vec::new())
            },
        };
        request.wanted.audio = exchange.parameter("audio") != Some("off");
        let video = exchange.parameter("video") != Some("off");
        request.wanted.set_video(video);
        request.connection = exchange.client.id();
        request.paid = exchange.allowance.take(0).ok();
        request
    };
    let (shared, now) = (exchange.shared, exchange.shared.now());
    let playing = Playing::start(shared, &name, 0, request, taken, now);
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

/// The properties of the head of a response with media.
#[derive(Clone, Copy)]
struct Opening {
    is_chunked: bool,
    is_for_all_sites: bool,
    date: u64,
}

impl Opening {
    /// Returns the bytes of an answer: the head of a file, or a complete response that refuses the
    /// request.
    fn answer(self, answer: FileAnswer<'_>) -> Vec<u8> {
        let (status, why) = match answer {
            FileAnswer::File(content_type) => {
                let length = if self.is_chunked {
                    Length::Chunked
                } else {
                    Length::UntilClose
                };
                let response = self.of_type(content_type.to_owned());
                return response.head(length, true).into_bytes();
            }
            FileAnswer::NotLive => (Status::NotFound, "the stream isn't live"),
            FileAnswer::NoCodec => (Status::UnsupportedMediaType, super::NO_CODEC),
        };
        writer::whole(&self.dated(Response::text(status, why)))
    }

    fn of_type(self, content_type: impl Into<Cow<'static, str>>) -> Response {
        // Turns off nginx's buffering, which would hold messages back.
        let response = Response::new(content_type, Vec::new()).header("X-Accel-Buffering", "no");
        self.dated(response)
    }

    fn dated(self, mut response: Response) -> Response {
        response.is_for_all_sites = self.is_for_all_sites;
        response.date = self.date;
        response
    }
}

/// Returns the framing, join point and capabilities of the viewer.
fn receiver(exchange: &Exchange<'_>, container: Container, carrier: Carrier) -> Receiver {
    let join = exchange.parameter("join").and_then(Join::from_name);
    let (framing, capabilities) = match container {
        Container::Mp4 => (Framing::mp4(carrier), Capabilities::unknown()),
        Container::Flv if exchange.head.is_browser() => {
            (Framing::flv(carrier), Capabilities::browser())
        }
        Container::Flv => (Framing::flv(carrier), Capabilities::unknown()),
    };
    Receiver {
        framing,
        join: join.unwrap_or(exchange.shared.config.join),
        capabilities,
    }
}

/// Answers HEAD.
fn describe(
    stream: &Stream,
    container: Container,
    opening: Opening,
) -> Result<Reply<'static>, Response> {
    let content_type = stream.content_type();
    let content_type = content_type.ok_or_else(|| not_live(stream.key()))?;
    Ok(Reply::Unending(match container {
        Container::Mp4 => opening.of_type(content_type),
        Container::Flv => opening.of_type("video/x-flv"),
    }))
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
    /// Whether the response has begun.
    has_begun: bool,
    /// The number of bytes received from a client that should only receive.
    unread: usize,
}

impl Viewing {
    /// Serves the viewer to its end. Returns a response for a client that was sent nothing.
    pub(super) fn run(mut self, connection: &mut Connection) -> Result<Response, HttpEnd> {
        let Err(end) = self.watch(connection);
        self.leave(connection, end)
    }

    fn watch(&mut self, connection: &mut Connection) -> Result<Infallible, HttpEnd> {
        let mut buffer = [0; 512];
        // The client may have sent frames directly after its request.
        if self.carrier == Carrier::WebSocket {
            let input = connection.input.take();
            self.handle_input(&input, connection)?;
        }
        loop {
            let timeout = self.check(connection)?;
            let result = connection
                .socket
                .set_read_timeout(timeout)
                .and_then(|()| connection.socket.read(&mut buffer));
            match result {
                Ok(0) => return Err(self.why_closed(connection)),
                Ok(len) => {
                    let input = buffer.get(..len).unwrap_or_default();
                    self.handle_input(input, connection)?;
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.tick(connection)?,
                    ErrorKind::Interrupted => {}
                    kind => return Err(self.lost(kind, connection)),
                },
            }
        }
    }

    /// Checks whether the response has begun. Returns how long the thread may sleep.
    fn check(&mut self, connection: &Connection) -> Result<Duration, HttpEnd> {
        connection.check_open()?;
        let interval = self.playing.tick_interval();
        if self.has_begun {
            return Ok(interval);
        }
        let now = connection.shared.now();
        let left = (self.since + HOLD).saturating_sub(now);
        let mut has_begun = false;
        let checked = self.playing.with_subscriber(now, &mut |subscriber| {
            has_begun = subscriber.has_begun();
            // Paused, so that the response can't begin after the decision to refuse it.
            subscriber.set_paused(!has_begun && left == 0);
        });
        self.has_begun = has_begun;
        checked.map_err(ConnectionEnd::Player)?;
        if has_begun {
            self.log(connection);
        } else if left == 0 {
            return Err(HttpEnd::NotLive);
        }
        Ok(interval.min(Duration::from_millis(left)))
    }

    fn log(&self, connection: &Connection) {
        let what = match (self.container, self.carrier) {
            (Container::Flv, Carrier::WebSocket) => "FLV over WebSocket",
            (Container::Mp4, Carrier::WebSocket) => "MP4 over WebSocket",
            (Container::Flv, _) => "FLV over HTTP",
            (Container::Mp4, _) => "MP4 over HTTP",
        };
        let (shared, client) = (&connection.shared, &connection.client);
        super::log_viewer(shared, client, self.playing.key(), what);
    }

    fn tick(&mut self, connection: &Connection) -> Result<(), HttpEnd> {
        let now = connection.shared.now();
        let is_idle = self.playing.tick(now).map_err(ConnectionEnd::Player)?;
        if is_idle && self.has_begun && self.carrier == Carrier::WebSocket {
            // Some proxies close connections that are silent for a minute.
            let ping = websocket::control_frame(Opcode::Ping, &[]);
            self.send(&ping, connection)?;
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
            // Kept, because they may be the next request, if this one is refused in the end.
            let is_kept = self.has_begun || connection.input.put(input);
            return is_kept.then_some(()).ok_or(HttpEnd::Talkative);
        }
        let now = connection.shared.now();
        let mut newest_ping = None;
        loop {
            let event = match self.frames.next(&mut input) {
                Ok(None) => break,
                Ok(Some(WebSocketEvent::Close(_))) => {
                    self.finish(close_code::NORMAL, "", connection);
                    return Err(ConnectionEnd::Closed.into());
                }
                Ok(Some(event)) => event,
                Err(violation) => return Err(self.refuse(violation, connection)),
            };
            let mut is_allowed = self.frame_rate.take(1, now);
            if let WebSocketEvent::Ping(payload) = event {
                is_allowed &= self.ping_rate.take(1, now);
                newest_ping = Some(payload);
            }
            if !is_allowed {
                return Err(self.refuse(TOO_MANY_FRAMES, connection));
            }
        }
        match newest_ping {
            Some(payload) => self.send(
                &websocket::control_frame(Opcode::Pong, &payload),
                connection,
            ),
            None => Ok(()),
        }
    }

    fn refuse(&self, violation: Violation, connection: &Connection) -> HttpEnd {
        self.finish(violation.code, violation.why, connection);
        HttpEnd::WebSocket(violation)
    }

    fn send(&self, bytes: &[u8], connection: &Connection) -> Result<(), HttpEnd> {
        let now = connection.shared.now();
        let sent = self.playing.with_subscriber(now, &mut |subscriber| {
            if subscriber.control_len() <= MAX_UNSENT_PONGS {
                subscriber.queue_control(bytes);
            }
        });
        Ok(sent.map(|_| ()).map_err(ConnectionEnd::Player)?)
    }

    /// Ends a WebSocket with a Close frame.
    fn finish(&self, code: u16, why: &str, connection: &Connection) {
        let now = connection.shared.now();
        let last = websocket::close_frame(code, why);
        // An error means that the play is over already.
        let _ = self
            .playing
            .with_subscriber(now, &mut |s| s.queue_end(PlayEnd::Finished, &last));
    }

    /// Ends the play after a read has failed. Returns why the connection ends.
    fn lost(&self, kind: ErrorKind, connection: &Connection) -> HttpEnd {
        let stalled = self.playing.lose(kind, connection.shared.now());
        let end = stalled.map_or(ConnectionEnd::Lost(kind), ConnectionEnd::Player);
        end.into()
    }

    /// Returns why the connection was closed, possibly by the stream.
    fn why_closed(&self, connection: &Connection) -> HttpEnd {
        let now = connection.shared.now();
        let check_play = || self.playing.pump(now).map_err(ConnectionEnd::Player);
        let checked = connection.check_open().and_then(|()| check_play());
        checked.err().unwrap_or(ConnectionEnd::Closed).into()
    }

    /// Detaches from the stream. Returns a response with the reason for a viewer that was sent nothing.
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
            Carrier::Raw | Carrier::Chunked if is_not_live => Ok(not_live(&key)),
            _ => Err(end),
        }
    }
}

const TOO_MANY_FRAMES: Violation = Violation {
    code: close_code::POLICY_VIOLATION,
    why: "more frames than a viewer has to send",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_with_a_file_or_with_the_reason_why_there_is_none() {
        let opening = Opening {
            is_chunked: true,
            is_for_all_sites: false,
            date: 0,
        };
        for (answer, first_line, last_words) in [
            (FileAnswer::File("video/mp4"), "200 OK", ""),
            (
                FileAnswer::NotLive,
                "404 Not Found",
                "the stream isn't live",
            ),
            (
                FileAnswer::NoCodec,
                "415 Unsupported Media Type",
                "the stream's codecs don't fit this format. Try RTMP, or .flv",
            ),
        ] {
            let text = String::from_utf8(opening.answer(answer)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {first_line}\r\n")),
                "{head}"
            );
            assert_eq!(body.trim_end(), last_words);
        }
    }
}
