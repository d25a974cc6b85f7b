//! The media of a stream, as long as either side lasts.
//!
//! A viewer is a player with another framing: the stream writes to its socket, pumped by the
//! publisher's thread, from the head of the response on. The connection's own thread waits for the
//! client to say something, which over HTTP is that it leaves.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::super::end::End;
use super::super::playing::Playing;
use super::admission::{accept_websocket, authorize};
use super::exchange::{Exchange, Reply};
use super::hls;
use crate::config::Shown;
use crate::http::response::Length;
use crate::http::route::Container;
use crate::http::websocket::{self, Event, FrameReader, Opcode, close_code};
use crate::http::{Method, Response, Status};
use crate::live::Millis;
use crate::live::capabilities::Capabilities;
use crate::live::framing::{Base, Carrier, Framing};
use crate::live::join::Join;
use crate::live::sink::Sink;
use crate::live::subscriber::{Receiver, Subscriber};
use crate::media::mp4::Presentation;
use crate::rtmp::stream_key::StreamKey;

/// How long a request waits for the first keyframe of a stream, or for the return of its publisher.
const HOLD: Millis = 5_000;

/// Bytes that a viewer may send over plain HTTP while it watches: a request or two.
const MAX_UNREAD: usize = 4 * 1024;

/// Answers a request for the media of a stream.
pub(super) fn media(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
    container: Container,
) -> Result<Reply, End> {
    let admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    let stream = exchange.shared.table.find(admission.key());
    if !stream.is_some_and(|stream| stream.was_published()) {
        return Ok(not_live(admission.key()));
    }
    let switching = match websocket::is_upgrade(exchange.head) {
        true => match accept_websocket(exchange) {
            Ok(response) => Some(response),
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
    if exchange.head.method() == Method::Head {
        return Ok(describe(exchange, admission.key(), container, opening));
    }
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
        subscriber.of_connection(exchange.client.id())
    };
    let now = exchange.shared.now();
    let id = exchange.client.id();
    let playing = Playing::start(
        exchange.shared,
        id,
        admission.key(),
        0,
        subscriber,
        None,
        now,
    );
    let mut viewing = Viewing {
        playing,
        carrier,
        container,
        frames: FrameReader::default(),
        since: now,
        has_begun: false,
        unread: 0,
    };
    let end = viewing.run(exchange);
    viewing.leave(exchange, end)
}

/// A parameter of the query.
fn parameter<'a>(exchange: &Exchange<'a>, name: &str) -> Option<&'a str> {
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
) -> Reply {
    let content_type = exchange
        .shared
        .table
        .find(key)
        .and_then(|stream| stream.content_type());
    let Some(content_type) = content_type else {
        return not_live(key);
    };
    opening.content_type = match container {
        Container::Mp4 => content_type.into(),
        Container::Flv => "video/x-flv".into(),
    };
    Reply::Unending(opening)
}

fn not_live(key: &StreamKey) -> Reply {
    let why = [key.as_str(), " isn't live"].concat();
    Response::text(Status::NotFound, &why).into()
}

/// A viewer, from its request to its end.
struct Viewing {
    playing: Playing,
    carrier: Carrier,
    container: Container,
    frames: FrameReader,
    since: Millis,
    /// The response has begun.
    has_begun: bool,
    /// Bytes that came from a client which was to watch.
    unread: usize,
}

impl Viewing {
    fn run(&mut self, exchange: &mut Exchange<'_>) -> End {
        let mut buffer = [0; 512];
        if self.carrier == Carrier::WebSocket {
            let input = exchange.take_input();
            if let Err(end) = self.handle_input(&input, exchange) {
                return end;
            }
        }
        loop {
            let timeout = match self.look(exchange) {
                Ok(timeout) => timeout,
                Err(end) => return end,
            };
            let result = exchange
                .socket
                .set_read_timeout(timeout)
                .and_then(|()| exchange.socket.read(&mut buffer));
            let result = match result {
                Ok(0) => Err(self.why_closed(exchange)),
                Ok(len) => {
                    let input = buffer.get(..len).unwrap_or_default();
                    self.handle_input(input, exchange)
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => self.tick(exchange),
                    ErrorKind::Interrupted => Ok(()),
                    kind => Err(End::Lost(kind)),
                },
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Looks whether the response has begun, and how long the thread may sleep.
    fn look(&mut self, exchange: &Exchange<'_>) -> Result<Duration, End> {
        let interval = self.playing.tick_interval();
        if self.has_begun {
            return Ok(interval);
        }
        let now = exchange.shared.now();
        let left = (self.since + HOLD).saturating_sub(now);
        let mut has_begun = false;
        let look = self.playing.with_subscriber(now, |subscriber| {
            has_begun = subscriber.has_begun();
            // From here on it can't begin any more.
            subscriber.set_paused(!has_begun && left == 0);
        });
        self.has_begun = has_begun;
        look.map_err(End::Player)?;
        if has_begun {
            self.tell(exchange);
        } else if left == 0 {
            return Err(End::NotLive);
        }
        Ok(interval.min(Duration::from_millis(left)))
    }

    fn tell(&self, exchange: &Exchange<'_>) {
        let what = match (self.container, self.carrier) {
            (Container::Flv, Carrier::WebSocket) => "FLV over WebSocket",
            (Container::Mp4, Carrier::WebSocket) => "MP4 over WebSocket",
            (Container::Flv, _) => "FLV over HTTP",
            (Container::Mp4, _) => "MP4 over HTTP",
        };
        let client = &exchange.client;
        log::info!(
            "#{} {}: playing to {} as {what}{}",
            client.id(),
            self.playing.key(),
            Shown(client.address()),
            exchange.agent(),
        );
    }

    fn tick(&mut self, exchange: &Exchange<'_>) -> Result<(), End> {
        let now = exchange.shared.now();
        let is_idle = self.playing.tick(now).map_err(End::Player)?;
        if is_idle && self.has_begun && self.carrier == Carrier::WebSocket {
            // Proxies end what is silent for a minute.
            let ping = websocket::short_frame(Opcode::Ping, &[]);
            self.say(&ping, exchange)?;
        }
        Ok(())
    }

    fn handle_input(&mut self, mut input: &[u8], exchange: &mut Exchange<'_>) -> Result<(), End> {
        if self.carrier != Carrier::WebSocket {
            self.unread += input.len();
            if self.unread > MAX_UNREAD {
                return Err(End::Talkative);
            }
            // It may be the next request, if this one is refused in the end.
            let is_kept = self.has_begun || exchange.put_input(input);
            return is_kept.then_some(()).ok_or(End::Talkative);
        }
        loop {
            match self.frames.next(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Ping(payload))) => {
                    self.say(&websocket::short_frame(Opcode::Pong, &payload), exchange)?;
                }
                Ok(Some(Event::Close(_))) => {
                    self.finish(close_code::NORMAL, "", exchange)?;
                    return Err(End::Closed);
                }
                Ok(Some(_)) => {}
                Err(violation) => {
                    self.finish(violation.code, violation.why, exchange)?;
                    return Err(End::WebSocket(violation));
                }
            }
        }
    }

    fn say(&self, bytes: &[u8], exchange: &Exchange<'_>) -> Result<(), End> {
        let now = exchange.shared.now();
        let said = self
            .playing
            .with_subscriber(now, |s| s.queue_control(bytes));
        said.map(|_| ()).map_err(End::Player)
    }

    /// The last words of a WebSocket.
    fn finish(&self, code: u16, why: &str, exchange: &Exchange<'_>) -> Result<(), End> {
        let now = exchange.shared.now();
        let last_words = websocket::close_frame(code, why);
        // It ends as it should, or it is over already.
        let _ = self
            .playing
            .with_subscriber(now, |s| s.queue_end(&last_words));
        Ok(())
    }

    /// The stream knows better than the socket why a viewer was cut off.
    fn why_closed(&self, exchange: &Exchange<'_>) -> End {
        let (shared, id) = (exchange.shared, exchange.client.id());
        if shared.is_stopping() {
            return End::Stopping;
        }
        let why_cut = shared.connections.why_cut(id);
        why_cut.unwrap_or_else(|| {
            let looked = self.playing.with_subscriber(shared.now(), |_| {});
            looked.map_or_else(End::Player, |_| End::Closed)
        })
    }

    /// Detaches. A viewer that has got nothing is told why.
    fn leave(self, exchange: &Exchange<'_>, end: End) -> Result<Reply, End> {
        let is_not_live = matches!(end, End::NotLive);
        if is_not_live && self.carrier == Carrier::WebSocket {
            self.finish(close_code::TRY_AGAIN_LATER, "not live", exchange)?;
        }
        let now = exchange.shared.now();
        let key = self.playing.key().clone();
        self.playing.leave(exchange.shared, &end.to_string(), now);
        match self.carrier {
            Carrier::Http | Carrier::Chunked if is_not_live => Ok(not_live(&key)),
            _ => Err(end),
        }
    }
}

/// Answers a request for the newest keyframe of a stream.
pub(super) fn frame(exchange: &mut Exchange<'_>, key: &StreamKey) -> Result<Reply, End> {
    let admission = match authorize(exchange, key) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(refusal.into()),
    };
    let Some(stream) = exchange.shared.table.find(admission.key()) else {
        return Ok(not_live(key));
    };
    let Some((tracks, mut reading)) = stream.keyframe() else {
        return Ok(not_live(key));
    };
    let presentation = Presentation {
        video: tracks.presentation.video.clone(),
        audio: None,
    };
    let init = presentation.init_segment();
    let response = Response::new(presentation.content_type(), Vec::new());
    exchange.begin(response, init.len() as u64 + reading.len)?;
    exchange.write(&init)?;
    hls::copy(exchange, &stream, &mut reading)?;
    Ok(Reply::Sent)
}
