//! The thread of a pull: it plays a stream of another server, and publishes what comes as this server's own.
//!
//! ```text
//! waiting (on demand: for a viewer) --> connect --> play --> first message --> Publishing
//!    ^                                                                            |
//!    +---- nobody watches, or failed and waited, while the stream is awaited <----+
//! ```

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Run;
use super::end::{End, elsewhere, failed, lost};
use crate::allowance::Allowance;
use crate::client::ClientError;
use crate::client::flv_link::FlvLink;
use crate::client::link::Link;
use crate::client::target::{LinkOptions, Requests};
use crate::config::Pull;
use crate::live::arena::Block;
use crate::live::out::sink::Sink;
use crate::live::payload::Assembly;
use crate::live::{Millis, When};
use crate::media::flv::tag_type;
use crate::medium::Medium;
use crate::net::socket::Socket;
use crate::relay::back_off::Failure;
use crate::relay::report::RelayState;
use crate::relay::stall::{Pace, Watch};
use crate::rtmp::Error;
use crate::rtmp::bytes::{Bytes, Parts};
use crate::rtmp::client_session::{ClientEvent, RefusalKind};
use crate::rtmp::message::type_id;
use crate::rtmp::metadata;
use crate::rtmp::printable::Printable;
use crate::server::Shared;
use crate::server::relay::local::Local;
use crate::server::rtmp_conn::SPARE_BLOCKS;
use crate::url::Url;

/// The time for everything from the first packet to the accepted play.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the source of a pull on demand is kept after the last viewer has left, in ms.
const LINGER: Millis = 10_000;

/// How often the thread looks for viewers, in ms.
const LOOK: Millis = 200;

/// The longest time that the thread sleeps in a read.
const TICK: Duration = Duration::from_secs(1);

/// The length of the buffer that has to do while the arena has no block.
const SMALL_BUFFER_LEN: usize = 2048;

/// A connection to the source.
// One of them per pull, for its whole life.
#[allow(clippy::large_enum_variant)]
enum Source {
    Rtmp(Link<Assembly>),
    Flv(FlvLink<Assembly>),
}

/// Pulls a stream until the run is stopped.
pub(super) fn run(shared: &Arc<Shared>, pull: &Pull, run: &Run) {
    let mut puller = Puller {
        shared,
        pull,
        run,
        local: Local::new(shared, pull),
        assembly: Assembly::new(shared.arena.clone(), Allowance::default()),
        watched: 0,
    };
    while !puller.is_over() {
        puller.local.advance();
        if let Some(why) = puller.why_wait() {
            run.with_course(|course| course.wait(Some(why), shared.now()));
            run.sleep(LOOK);
            continue;
        }
        run.with_course(|course| course.connect(shared.now()));
        let end = match puller.connect(&run.url) {
            Ok(source) => puller.serve_all(source),
            Err(end) => end,
        };
        puller.assembly.keep(0);
        puller.local.end(&end.to_string());
        if let End::Failed(failure, why) = end {
            puller.back_off(failure, why);
        }
    }
    puller.local.give_up();
}

struct Puller<'a> {
    shared: &'a Arc<Shared>,
    pull: &'a Pull,
    run: &'a Run,
    local: Local<'a>,
    assembly: Assembly,
    /// When somebody was last seen to watch.
    watched: Millis,
}

impl Puller<'_> {
    fn is_over(&self) -> bool {
        self.run.is_stopped() || self.shared.is_stopping()
    }

    /// Why nothing is to be done now.
    fn why_wait(&mut self) -> Option<&'static str> {
        if self.local.is_published_by_another() {
            return Some("somebody publishes it here");
        }
        if self.pull.is_on_demand && !self.is_watched() {
            return Some("nobody watches");
        }
        self.watched = self.shared.now();
        None
    }

    fn is_watched(&self) -> bool {
        self.local.is_watched() || self.run.is_wanted(self.shared.now())
    }

    /// Whether the pull should end because nobody has watched for some time.
    fn is_unwatched(&mut self) -> bool {
        let now = self.shared.now();
        if !self.pull.is_on_demand || self.is_watched() {
            self.watched = now;
        }
        now.saturating_sub(self.watched) >= LINGER
    }

    /// Connects, and returns when the server has accepted the play.
    fn connect(&self, url: &Url) -> Result<Source, End> {
        let shared = self.shared;
        let flash_ver = self.local.flash_ver();
        let options = LinkOptions {
            url,
            flash_ver: &flash_ver,
            timeout: CONNECT_TIMEOUT,
            max_message: shared.config.max_message,
            is_enhanced: true,
            tls: &shared.relays.trusted,
            is_cancelled: &|| self.is_over(),
        };
        let source = match url.scheme().is_rtmp() {
            true => Link::play(self.assembly.clone(), &options).map(Source::Rtmp),
            false => FlvLink::open(&self.assembly, &options).map(Source::Flv),
        };
        let source = source.map_err(|error| failed(&error))?;
        self.run.hold(Some(Arc::clone(source.socket())));
        self.run.with_course(|course| course.connected());
        Ok(source)
    }

    /// Serves a connection, and those to which its server refers, to the end.
    fn serve_all(&mut self, mut source: Source) -> End {
        self.assembly.keep(SPARE_BLOCKS);
        let mut requests = Requests::default();
        loop {
            let mut end = self.serve(&mut source);
            if let End::Reconnect(_) = &end {
                let noted = requests.note(source.url(), Instant::now());
                end = noted.map_or_else(|error| failed(&error), |()| end);
            }
            let next = match &end {
                // What comes meanwhile waits in the old socket, and is dropped with it: the new connection
                // begins at a keyframe.
                End::Reconnect(to) => {
                    log::info!("{self}: asked to connect anew, to {to}");
                    self.connect(to)
                }
                _ => {
                    self.local.end(&end.to_string());
                    source.close(&end);
                    self.run.let_go(source.socket());
                    return end;
                }
            };
            let mut old = match next {
                Ok(next) => {
                    self.local.moved(next.socket());
                    std::mem::replace(&mut source, next)
                }
                Err(end) => {
                    source.close(&end);
                    self.run.let_go(source.socket());
                    return end;
                }
            };
            old.close(&end);
        }
    }

    /// Serves a connection to its end.
    fn serve(&mut self, source: &mut Source) -> End {
        let socket = Arc::clone(source.socket());
        let mut watch = Watch::new(0, self.shared.now());
        let mut small = vec![0; SMALL_BUFFER_LEN];
        let mut block: Option<Block> = None;
        if let Err(end) = self.begin(source) {
            return end;
        }
        self.local.pump();
        let mut looked = When::default();
        loop {
            let now = self.shared.now();
            if looked.get().is_none_or(|at| now >= at + LOOK) {
                looked = When::at(now);
                if let Err(end) = self.look(&socket, &mut watch) {
                    return end;
                }
            }
            let tick = self.local.tick_interval(now).min(TICK);
            if block.is_none() {
                block = self.assembly.take();
            }
            let buffer = match &mut block {
                Some(block) => &mut block.bytes_mut()[..],
                None => &mut small[..],
            };
            let read = socket
                .set_read_timeout(tick)
                .and_then(|()| socket.read(buffer));
            let len = match read {
                Ok(0) if self.is_over() => return End::Done,
                Ok(0) => return lost(&ClientError::closed(source.url(), "the pull")),
                Ok(len) => len,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => {
                        self.local.pump();
                        continue;
                    }
                    _ if self.is_over() => return End::Done,
                    _ => return lost(&ClientError::io(source.url(), "the pull", &error)),
                },
            };
            let handled = self.handle(source, buffer.get(..len).unwrap_or_default());
            self.local.pump();
            if let Err(end) = handled {
                return end;
            }
        }
    }

    /// Handles what has come together with the acceptance.
    fn begin(&mut self, source: &mut Source) -> Result<(), End> {
        if let Source::Rtmp(link) = source {
            for message in std::mem::take(&mut link.early) {
                let parts = std::iter::once(message.payload());
                self.take(&link.socket, message.type_id(), message.timestamp(), parts)?;
            }
        }
        let input = std::mem::take(match source {
            Source::Rtmp(link) => &mut link.input,
            Source::Flv(link) => &mut link.input,
        });
        self.handle(source, &input)
    }

    /// Notes how the connection is doing.
    fn look(&mut self, socket: &Socket, watch: &mut Watch) -> Result<(), End> {
        if self.is_over() {
            return Err(End::Done);
        }
        if self.is_unwatched() {
            return Err(End::Unwatched);
        }
        if self.local.is_superseded() || self.local.is_published_by_another() {
            return Err(End::Superseded);
        }
        let now = self.shared.now();
        let [received, _] = socket.bytes();
        self.run.note(received, 0, 0, now);
        // A stream that isn't live yet may take its time.
        let pace = watch.look(received, self.local.is_live(), now);
        if !self.local.is_live() {
            return Ok(());
        }
        if self.run.with_course(|course| course.look(pace, now)) {
            match self.run.with_course(|course| course.state()) {
                RelayState::Live => log::info!("{self}: live"),
                RelayState::Stalled => {
                    log::warn!("{self}: stalled: nothing has come for some seconds");
                }
                _ => {}
            }
        }
        if pace == Pace::Dead {
            let why = format!("{} sends nothing", self.run.url.place());
            return Err(End::Failed(Failure::Lost, why));
        }
        Ok(())
    }

    fn handle(&mut self, source: &mut Source, bytes: &[u8]) -> Result<(), End> {
        self.local.heard();
        match source {
            Source::Rtmp(link) => self.handle_rtmp(link, bytes),
            Source::Flv(link) => self.handle_flv(link, bytes),
        }
    }

    fn handle_rtmp(&mut self, link: &mut Link<Assembly>, bytes: &[u8]) -> Result<(), End> {
        let mut input = Bytes::from(bytes);
        loop {
            let now = link.now();
            let event = match link.session.handle(&mut input, now) {
                Ok(event) => event,
                // The freed block lets the session continue with the same message.
                Err(Error::OutOfBlocks) if self.local.evict() => continue,
                Err(error) => return Err(lost(&ClientError::protocol(&link.url, &error))),
            };
            match event {
                None => break,
                Some(ClientEvent::Media(media)) => {
                    let type_id = match media.medium {
                        Medium::Audio => type_id::AUDIO,
                        Medium::Video => type_id::VIDEO,
                    };
                    let payload = link.session.payload(&media);
                    self.take(&link.socket, type_id, media.timestamp, payload)?;
                }
                Some(ClientEvent::Metadata { timestamp } | ClientEvent::Data { timestamp }) => {
                    let body = link.session.body();
                    let parts = body.bytes().parts();
                    self.take(&link.socket, type_id::DATA, timestamp, parts)?;
                }
                Some(ClientEvent::Refused(refusal)) => {
                    if let RefusalKind::Redirect(to) = &refusal.kind {
                        return Err(elsewhere(&link.url, to));
                    }
                    let error = ClientError::refused(&link.url, "the pull", &refusal);
                    return Err(failed(&error));
                }
                Some(ClientEvent::Reconnect { url, .. }) => {
                    return Err(elsewhere(&link.url, url.as_deref().unwrap_or_default()));
                }
                Some(ClientEvent::EndOfStream) => {
                    let why = format!("{} has ended the stream", link.url.place());
                    return Err(End::Failed(Failure::Lost, why));
                }
                Some(ClientEvent::Output) => send(link)?,
                Some(_) => {}
            }
        }
        send(link)
    }

    fn handle_flv(&mut self, link: &mut FlvLink<Assembly>, bytes: &[u8]) -> Result<(), End> {
        let mut input = bytes;
        loop {
            match link.next(&mut input) {
                Ok(None) => break,
                Ok(Some(tag)) => {
                    let type_id = match tag.tag_type {
                        tag_type::AUDIO => type_id::AUDIO,
                        tag_type::VIDEO => type_id::VIDEO,
                        _ => type_id::DATA,
                    };
                    self.take(&link.socket, type_id, tag.timestamp, link.payload())?;
                }
                Err(Error::OutOfBlocks) if self.local.evict() => {}
                Err(error) => return Err(lost(&ClientError::protocol(&link.url, &error))),
            }
        }
        if link.is_over() {
            let why = format!("{} has ended the stream", link.url.place());
            return Err(End::Failed(Failure::Lost, why));
        }
        Ok(())
    }

    /// Appends a message to the stream, which is published with the first one.
    fn take<'m>(
        &mut self,
        socket: &Arc<Socket>,
        type_id: u8,
        timestamp: u32,
        payload: impl Iterator<Item = &'m [u8]> + Clone,
    ) -> Result<(), End> {
        let parts = match type_id {
            type_id::AUDIO | type_id::VIDEO => Parts::default(),
            _ => Parts::new(payload.clone()).unwrap_or_default(),
        };
        let metadata = metadata::parse(parts.bytes());
        if !self.local.is_live() {
            // What servers say of the play, such as |RtmpSampleAccess, doesn't mean that there is a stream.
            if type_id == type_id::DATA && metadata.is_none() {
                return Ok(());
            }
            let begun = self.local.publish(socket);
            begun.map_err(|why| End::Failed(Failure::NameTaken, why))?;
        }
        let taken = match type_id {
            type_id::AUDIO => self.local.append(Medium::Audio, timestamp, payload),
            type_id::VIDEO => self.local.append(Medium::Video, timestamp, payload),
            _ => match metadata {
                Some(properties) => self.local.set_metadata(properties.as_ref()),
                None => self.local.append_data(timestamp, parts.bytes()),
            },
        };
        taken.map_err(|_| End::Superseded)
    }

    /// Waits until the next attempt.
    fn back_off(&mut self, failure: Failure, why: String) {
        if self.is_over() {
            return;
        }
        let next = self.run.fail(self, failure, why, self.shared.now());
        loop {
            let now = self.shared.now();
            if now >= next || self.is_over() {
                return;
            }
            self.local.advance();
            self.run.sleep((next - now).min(LOOK));
        }
    }
}

impl Source {
    fn socket(&self) -> &Arc<Socket> {
        match self {
            Source::Rtmp(link) => &link.socket,
            Source::Flv(link) => &link.socket,
        }
    }

    fn url(&self) -> &Url {
        match self {
            Source::Rtmp(link) => &link.url,
            Source::Flv(link) => &link.url,
        }
    }

    /// Closes the connection; politely, if the server is still there.
    fn close(&mut self, end: &End) {
        match self {
            Source::Rtmp(link) if !matches!(end, End::Failed(..)) => link.close(),
            _ => self.socket().shutdown(),
        }
    }
}

fn send(link: &mut Link<Assembly>) -> Result<(), End> {
    let sent = link.send_output("the pull");
    sent.map_err(|error| lost(&error))
}

impl fmt::Display for Puller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run {
            id, stream, url, ..
        } = self.run;
        write!(f, "pull {id} {} from {url}", Printable(stream))
    }
}
