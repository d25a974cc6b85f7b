//! The thread of a push: it connects, makes the socket a subscriber of the stream, and answers the server.
//!
//! ```text
//! publisher's thread --pump--> socket --> server
//!                                |
//!            this thread <--read-+        statuses, pings, acknowledgements, the end
//! ```

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Run;
use super::end::{End, elsewhere, failed, lost};
use crate::client::ClientError;
use crate::client::link::Link;
use crate::client::target::{LinkOptions, Requests};
use crate::live::capabilities::Capabilities;
use crate::live::out::framing::Framing;
use crate::live::out::join::Join;
use crate::live::out::request::{JoinRequest, Receiver};
use crate::live::out::sink::Sink;
use crate::live::out::subscriber::{PlayEnd, Subscriber};
use crate::live::report::Delivered;
use crate::live::stream::Stream;
use crate::live::{Millis, When};
use crate::relay::back_off::Failure;
use crate::relay::report::RelayState;
use crate::relay::stall::{Pace, Watch};
use crate::relay::warning;
use crate::rtmp::bytes::Bytes;
use crate::rtmp::chunk_reader::Heap;
use crate::rtmp::client_session::{ClientEvent, RefusalKind};
use crate::rtmp::connect::Codecs;
use crate::rtmp::printable::Printable;
use crate::server::Shared;
use crate::server::text::megabytes;
use crate::url::Url;

/// The time for everything from the first packet to the accepted publish.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the thread looks at the connection.
const TICK: Duration = Duration::from_secs(1);

/// How often it looks while the first GOP is on its way: a publisher that sends little pumps too seldom.
const BURST_TICK: Duration = Duration::from_millis(5);

/// The longest time of that, in ms.
const MAX_BURST: Millis = 3_000;

/// How often the thread looks for a publisher, or for the end of the last message, in ms.
const WAIT_TICK: Millis = 200;

/// Servers send media to nobody who publishes.
const MAX_MESSAGE: u32 = 64 * 1024;

/// The length of the buffer for what the server says.
const BUFFER_LEN: usize = 1024;

/// Pushes a stream until it ends, or the push is stopped.
pub(super) fn run(shared: &Arc<Shared>, stream: &Arc<Stream>, run: &Run) {
    let push = Push {
        shared,
        stream,
        run,
    };
    let mut taken = None;
    let mut requests = Requests::default();
    while !push.is_over() {
        if taken.is_none() && !stream.is_live() {
            push.wait_for_publisher();
            continue;
        }
        let connection = match taken.take() {
            Some(connection) => Ok(connection),
            None => push.connect(&run.url),
        };
        let end = match connection {
            Ok(mut connection) => {
                let mut end = push.serve(&mut connection);
                if let End::Reconnect(_) = &end {
                    let noted = requests.note(&connection.link.url, Instant::now());
                    end = noted.map_or_else(|error| failed(&error), |()| end);
                }
                if let End::Reconnect(to) = &end {
                    // Media go on to the old connection until there is a new one.
                    log::info!("{push}: asked to connect anew, to {to}");
                    let to = to.clone();
                    match push.connect(&to) {
                        Ok(new) => {
                            taken = Some(new);
                            push.leave(connection);
                            continue;
                        }
                        Err(End::Failed(_, why)) => log::warn!("{push}: {why}"),
                        Err(_) => {}
                    }
                    end = push.serve_on(&mut connection);
                }
                push.leave(connection);
                end
            }
            Err(end) => end,
        };
        if let End::Failed(failure, why) = end {
            push.back_off(failure, why);
        }
    }
}

struct Push<'a> {
    shared: &'a Arc<Shared>,
    stream: &'a Arc<Stream>,
    run: &'a Run,
}

/// A connection that the server has accepted, and the subscriber whose socket it is.
struct Connection {
    link: Link<Heap>,
    subscriber: u64,
    since: Millis,
    /// The number of skips, and when they were logged last.
    skips: u32,
    skip_logged: When,
}

impl std::fmt::Display for Push<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Run {
            id, stream, url, ..
        } = self.run;
        write!(f, "push {id} {} to {url}", Printable(stream))
    }
}

impl Push<'_> {
    fn is_over(&self) -> bool {
        self.run.is_stopped() || self.stream.has_ended()
    }

    fn wait_for_publisher(&self) {
        let now = self.shared.now();
        let why = Some("its publisher is away");
        self.run.with_course(|course| course.wait(why, now));
        self.run.sleep(WAIT_TICK);
    }

    /// Connects, and attaches the socket to the stream.
    fn connect(&self, url: &Url) -> Result<Connection, End> {
        let (shared, run) = (self.shared, self.run);
        let is_first = run.with_course(|course| {
            let is_handover = matches!(course.state(), RelayState::Live | RelayState::Stalled);
            if !is_handover {
                course.connect(shared.now());
            }
            !is_handover
        });
        let flash_ver = shared.relays.flash_ver(shared, self.stream);
        let link = Link::publish(
            Heap,
            &LinkOptions {
                url,
                flash_ver: &flash_ver,
                timeout: CONNECT_TIMEOUT,
                max_message: MAX_MESSAGE,
                is_enhanced: self.is_enhanced(),
                tls: &shared.relays.trusted,
                is_cancelled: &|| self.is_over(),
            },
        );
        let mut link = link.map_err(|error| failed(&error))?;
        if is_first {
            log::debug!("{self}: accepted");
        }
        let (codecs, caps_ex) = link.session.announced();
        if codecs == Codecs::default() {
            let tracks = self.stream.track_infos();
            let codecs = tracks.iter().flatten().map(|track| track.codec_name());
            if let Some(warning) = warning::about(url.host(), codecs) {
                log::warn!("{self}: {}", url.shown(&warning));
            }
        }
        let Some(message_stream_id) = link.session.message_stream_id() else {
            return Err(End::Failed(Failure::Lost, "no message stream".to_owned()));
        };
        let receiver = Receiver {
            framing: Framing::publishing(message_stream_id),
            join: Join::Gop,
            capabilities: Capabilities::announced(codecs, caps_ex),
        };
        let control = link.session.take_output();
        let subscriber = shared.next_subscriber();
        let sink: Arc<dyn Sink> = link.socket.clone();
        let request = JoinRequest::new(subscriber, sink, receiver, control);
        let since = shared.now();
        if self.stream.subscribe(request, since).is_err() {
            return Err(End::Done);
        }
        run.hold(Some(Arc::clone(&link.socket)));
        run.with_course(|course| course.connected());
        Ok(Connection {
            link,
            subscriber,
            since,
            skips: 0,
            skip_logged: When::default(),
        })
    }

    /// Whether there is something to negotiate: codecs that only Enhanced RTMP has.
    fn is_enhanced(&self) -> bool {
        let tracks = self.stream.track_infos();
        let codecs = tracks.iter().flatten().map(|track| track.codec_name());
        codecs.into_iter().any(|codec| warning::is_enhanced(&codec))
    }

    /// Serves a connection to its end.
    fn serve(&self, connection: &mut Connection) -> End {
        let [acknowledged, _] = connection.link.socket.acknowledged().unwrap_or_default();
        let mut watch = Watch::new(acknowledged, self.shared.now());
        let early = std::mem::take(&mut connection.link.input);
        if let Err(end) = self.handle(connection, &early) {
            return end;
        }
        let mut buffer = [0; BUFFER_LEN];
        let mut is_in_burst = true;
        loop {
            let (has_unsent, pace) = match self.look(connection, &mut watch) {
                Ok(look) => look,
                Err(end) => return end,
            };
            if pace == Pace::Dead {
                let place = connection.link.url.place();
                let why = format!("{place} takes nothing");
                return End::Failed(Failure::Lost, why);
            }
            let age = self.shared.now().saturating_sub(connection.since);
            is_in_burst &= has_unsent && age < MAX_BURST;
            let tick = if is_in_burst { BURST_TICK } else { TICK };
            let socket = &connection.link.socket;
            let read = socket
                .set_read_timeout(tick)
                .and_then(|()| socket.read(&mut buffer));
            let len = match read {
                Ok(0) => return self.closed(connection),
                Ok(len) => len,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => continue,
                    _ if self.is_over() => return End::Done,
                    _ => {
                        return lost(&ClientError::io(&connection.link.url, "the push", &error));
                    }
                },
            };
            if let Err(end) = self.handle(connection, buffer.get(..len).unwrap_or_default()) {
                return end;
            }
        }
    }

    /// Serves a connection whose server has asked in vain for another one.
    fn serve_on(&self, connection: &mut Connection) -> End {
        match self.serve(connection) {
            End::Reconnect(_) => {
                let why = "asked again to connect anew".to_owned();
                End::Failed(Failure::Lost, why)
            }
            end => end,
        }
    }

    fn closed(&self, connection: &Connection) -> End {
        if self.is_over() {
            return End::Done;
        }
        // The stream gives up a subscriber that is too far behind, and closes its socket.
        let pumped = self.with_subscriber(connection, self.shared.now(), &mut |_| {});
        if let Err(PlayEnd::Stalled) = pumped {
            let why = format!("{} takes too little", connection.link.url.place());
            return End::Failed(Failure::Lost, why);
        }
        lost(&ClientError::closed(&connection.link.url, "the push"))
    }

    /// Offers the socket what it hasn't got yet, and notes how the connection is doing. Returns whether
    /// something is left unsent.
    fn look(&self, connection: &mut Connection, watch: &mut Watch) -> Result<(bool, Pace), End> {
        if self.run.is_stopped() {
            return Err(End::Done);
        }
        let now = self.shared.now();
        let mut delivered = Delivered::default();
        let pumped = self.with_subscriber(connection, now, &mut |subscriber| {
            delivered = subscriber.delivered();
        });
        let has_unsent = pumped.map_err(|end| match end {
            PlayEnd::Finished => End::Done,
            _ if self.is_over() => End::Done,
            end => End::Failed(Failure::Lost, end.to_string()),
        })?;
        let lag = match has_unsent {
            true => self.stream.lag_of(connection.subscriber, now),
            false => 0,
        };
        let Delivered { bytes, skips, .. } = delivered;
        self.run.note(bytes, skips.into(), lag, now);
        if skips != connection.skips {
            connection.skips = skips;
            self.log_skip(connection, now);
        }
        // What the kernel has accepted may never arrive, and of a stream with a low rate it accepts minutes.
        let pace = match connection.link.socket.acknowledged() {
            Some([acknowledged, left]) => watch.look(acknowledged, has_unsent || left > 0, now),
            None => watch.look(bytes, has_unsent, now),
        };
        let is_away = !has_unsent && !self.stream.is_live();
        let before = self.run.with_course(|course| course.state());
        if is_away {
            let why = Some("its publisher is away");
            self.run.with_course(|course| course.wait(why, now));
        } else if self.run.with_course(|course| course.look(pace, now)) {
            match self.run.with_course(|course| course.state()) {
                RelayState::Live if before != RelayState::Waiting => log::info!("{self}: live"),
                RelayState::Stalled => {
                    log::warn!("{self}: stalled: it has taken nothing for some seconds");
                }
                _ => {}
            }
        }
        Ok((has_unsent, pace))
    }

    /// Logs that the server gets a part of the stream only, once in a while.
    fn log_skip(&self, connection: &mut Connection, now: Millis) {
        const EPISODE: Millis = 10_000;

        let last = connection.skip_logged.get();
        if last.is_none_or(|last| now.saturating_sub(last) > EPISODE) {
            connection.skip_logged = When::at(now);
            log::warn!("{self}: it is too slow, skipped to a newer keyframe");
        }
    }

    fn with_subscriber(
        &self,
        connection: &Connection,
        now: Millis,
        act: &mut dyn FnMut(&mut Subscriber),
    ) -> Result<bool, PlayEnd> {
        self.stream.with_subscriber(connection.subscriber, now, act)
    }

    /// Handles what the server says. Answers go to the server between two messages of the stream.
    fn handle(&self, connection: &mut Connection, bytes: &[u8]) -> Result<(), End> {
        let mut input = Bytes::from(bytes);
        loop {
            let now = connection.link.now();
            let Link { session, url, .. } = &mut connection.link;
            let event = session.handle(&mut input, now);
            let event = event.map_err(|error| lost(&ClientError::protocol(url, &error)))?;
            match event {
                None => break,
                Some(ClientEvent::Refused(refusal)) => {
                    if let RefusalKind::Redirect(to) = &refusal.kind {
                        return Err(elsewhere(url, to));
                    }
                    return Err(failed(&ClientError::refused(url, "the push", &refusal)));
                }
                Some(ClientEvent::Reconnect { url: to, .. }) => {
                    self.answer(connection)?;
                    return Err(elsewhere(
                        &connection.link.url,
                        to.as_deref().unwrap_or_default(),
                    ));
                }
                Some(ClientEvent::Output) => self.answer(connection)?,
                Some(ClientEvent::EndOfStream) => return Err(self.closed(connection)),
                Some(_) => {}
            }
        }
        self.answer(connection)
    }

    fn answer(&self, connection: &mut Connection) -> Result<(), End> {
        let output = connection.link.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let now = self.shared.now();
        let result = self.with_subscriber(connection, now, &mut |subscriber| {
            subscriber.queue_control(&output);
        });
        match result {
            Ok(_) => Ok(()),
            Err(PlayEnd::Finished) => Err(End::Done),
            Err(end) => Err(End::Failed(Failure::Lost, end.to_string())),
        }
    }

    /// Ends a connection, at the end of a message if that is soon.
    fn leave(&self, mut connection: Connection) {
        const LOOKS: u32 = 20;

        let now = || self.shared.now();
        let mut left = None;
        for _ in 0..LOOKS {
            let mut retired = None;
            let result = self.with_subscriber(&connection, now(), &mut |subscriber| {
                if subscriber.end().is_none() {
                    retired = subscriber.retire();
                }
            });
            match (retired, result) {
                (Some(control), _) => left = Some(control),
                (None, Err(PlayEnd::Left)) => left = Some(Vec::new()),
                (None, Err(_)) => {}
                (None, Ok(_)) => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
            }
            break;
        }
        let delivered = self.stream.leave(connection.subscriber);
        self.shared.table.remove_unused(self.stream, now());
        let bytes = delivered.unwrap_or_default().bytes;
        log::info!("{self}: {} sent", megabytes(bytes));
        let link = &mut connection.link;
        match left {
            Some(control) if link.socket.write_all(&control).is_ok() => link.close(),
            _ => link.socket.shutdown(),
        }
        // A connection that takes over is held already.
        self.run.let_go(&link.socket);
    }

    /// Waits until the next attempt.
    fn back_off(&self, failure: Failure, why: String) {
        if self.is_over() {
            return;
        }
        let next = self.run.fail(self, failure, why, self.shared.now());
        loop {
            let now = self.shared.now();
            if now >= next || self.is_over() {
                return;
            }
            self.run.sleep((next - now).min(WAIT_TICK));
        }
    }
}
