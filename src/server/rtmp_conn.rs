//! One RTMP connection: its thread reads, feeds the session, acts on each event, sends the
//! replies, and pumps the streams that it publishes.
//!
//! ```text
//! read -> session -> Event -> publish, play, requests -> Err(RtmpEnd)
//!  ^                       -> append
//!  +-- timing <- pump <- replies <-+
//! ```

mod end;
mod play;
mod publish;
mod record;
mod replies;
mod requests;
mod timing;

use std::convert::Infallible;
use std::io::{ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::client::Client;
use super::connection::{self, Conversation};
use super::connections::Permit;
use super::end::ConnectionEnd;
use super::lines::About;
use super::playing::Playing;
use super::publishing::{Publishing, wait_out_grace};
use super::{Shared, millis};
use crate::allowance::{Allowance, Taken};
use crate::live::arena::{BLOCK_LEN, Block};
use crate::live::out::sink::Sink;
use crate::live::out::subscriber::PlayEnd;
use crate::live::payload::Assembly;
use crate::live::{Millis, lock};
use crate::media::Medium;
use crate::net::socket::Socket;
use crate::rtmp::Error;
use crate::rtmp::bytes::Bytes;
use crate::rtmp::flight_recorder::{self, FlightRecorder, RecordedEvent};
use crate::rtmp::handshake;
use crate::rtmp::server_session::{Event, Media, ServerSession};
pub(super) use end::RtmpEnd;
#[cfg(feature = "relay")]
pub(super) use publish::{SPARE_BLOCKS, publish_cost};

/// The length of the read buffer of a connection that publishes nothing: players send little, and there
/// are many of them. A publisher reads into blocks of the arena, so that one read brings most frames
/// whole.
const SMALL_BUFFER_LEN: usize = 256;

/// The number of heap bytes that a connection occupies once it speaks RTMP. The client's description of
/// itself, its chunk streams, publishes and plays come on top.
const FIXED_COST: usize = size_of::<RtmpConnection>() + SMALL_BUFFER_LEN + flight_recorder::COST;

/// The logged reason when a client ends its publish or play.
const STOPPED: &str = "stopped by the client";

/// Serves a connection to its end.
pub(super) fn run(shared: Arc<Shared>, socket: Arc<Socket>, peer: SocketAddr, permit: Permit) {
    let local = socket.local_address().unwrap_or(peer);
    let mut client = Client::new(permit.id, peer, local);
    client.is_tls = socket.is_tls();
    let line = shared.info(About::Connection, peer.ip());
    line.say(format_args!("{client} connected"));
    let mut connection =
        RtmpConnection::open(Arc::clone(&shared), Arc::clone(&socket), client, &permit);
    connection::run(&mut *connection, &shared, &socket, permit.id);
    // The grace time needs only the publishes, so everything else is freed before it.
    let left_behind = std::mem::take(&mut connection.publishing);
    drop((connection, socket));
    permit.forget_socket();
    wait_out_grace(left_behind, &shared, &permit);
}

struct RtmpConnection {
    client: Client,
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    session: ServerSession<Assembly>,
    assembly: Assembly,
    allowance: Allowance,
    _fixed: Option<Taken>,
    /// Pays for `client` and `name`.
    kept: Option<Taken>,
    /// The time by which the current phase before publish or play has to be over.
    deadline: Option<Millis>,
    /// The name that the client gives itself, as shown in log lines.
    name: String,
    /// Whether the handlers have accepted the connect, so that they must be notified of the connection's
    /// end.
    is_accepted: bool,
    /// Streams that this connection publishes, or has published and keeps for the grace time.
    publishing: Vec<Publishing>,
    playing: Vec<Playing>,
    /// Whether replies in the queue of one of several plays wait for another play to complete a message.
    has_unsent_replies: bool,
    last_read: Millis,
    recorder: Arc<Mutex<FlightRecorder>>,
}

impl RtmpConnection {
    /// Returns a connection at its start. It is on the heap, and this function isn't inlined, because
    /// the locals of the thread's first function stay on the stack as long as the connection lives.
    #[inline(never)]
    fn open(
        shared: Arc<Shared>,
        socket: Arc<Socket>,
        client: Client,
        permit: &Permit,
    ) -> Box<RtmpConnection> {
        let allowance = permit.allowance.clone();
        let fixed = allowance.take(FIXED_COST);
        let assembly = Assembly::new(shared.arena.clone(), allowance.clone());
        Box::new(RtmpConnection {
            client,
            session: ServerSession::new(assembly.clone(), shared.config.max_message, nonce),
            assembly,
            deadline: Some(shared.now() + millis(shared.config.handshake_timeout)),
            allowance,
            _fixed: fixed.ok(),
            kept: None,
            name: String::new(),
            is_accepted: false,
            publishing: Vec::new(),
            playing: Vec::new(),
            has_unsent_replies: false,
            last_read: shared.now(),
            recorder: Arc::clone(&permit.recorder),
            shared,
            socket,
        })
    }

    /// Takes the blocks into which a publisher's bytes are read: one, and a second one once a read has
    /// filled the first, as long as the arena has plenty. A frame of a 4 Mbit/s stream is a little
    /// longer than a block, and two system calls for each frame would be measurable.
    fn take_blocks(&self, large: &mut [Option<Block>; 2], is_filled: bool) {
        if self.publishing.is_empty() {
            *large = [None, None];
            return;
        }
        let [first, second] = large;
        if first.is_none() {
            *first = self.assembly.take();
        }
        if !self.shared.arena.has_plenty() {
            *second = None;
        } else if is_filled && second.is_none() {
            *second = self.assembly.take();
        }
    }

    /// Handles the bytes of one read, which lie in `buffers`.
    fn handle_input(&mut self, buffers: &[&[u8]]) -> Result<(), RtmpEnd> {
        let now = self.shared.now();
        self.last_read = now;
        for publishing in &self.publishing {
            publishing.stream.heard(now);
        }
        let was_handshaken = self.session.is_handshaken();
        let mut input = Bytes::new(buffers);
        // Not locked while an event is handled: a handler may take long, and may read the record.
        let recorder = Arc::clone(&self.recorder);
        loop {
            let read = self
                .session
                .handle(&mut input, &mut lock(&recorder).at(now));
            match read {
                Ok(Some(Event::Media(media))) => self.append(&media, now)?,
                Ok(Some(event)) => {
                    let is_question = event.is_question();
                    let result = self.handle_event(event, now);
                    if is_question {
                        let is_accepted = result.is_ok();
                        lock(&recorder).note(RecordedEvent::Decision { is_accepted }, now);
                    }
                    result?;
                }
                Ok(None) => break,
                // The freed block lets the session continue with the same message.
                Err(Error::OutOfBlocks) if self.publishing.iter().any(Publishing::evict) => {}
                Err(error) if error == handshake::HTTP => {
                    let right = self.shared.http_addresses.first();
                    return Err(RtmpEnd::wrong_port(error, "HTTP", right));
                }
                Err(error) => return Err(RtmpEnd::Protocol(error)),
            }
        }
        self.set_deadline(was_handshaken, now);
        Ok(())
    }

    fn append(&mut self, media: &Media<'_>, now: Millis) -> Result<(), RtmpEnd> {
        let Some(publishing) = find(&mut self.publishing, media.message_stream_id) else {
            return Ok(());
        };
        let payload = self.session.payload(media);
        Ok(publishing.append(media.medium, media.timestamp, payload, now)?)
    }

    fn handle_event(&mut self, event: Event<'_>, now: Millis) -> Result<(), RtmpEnd> {
        if event.is_question() {
            // A handler may take long: replies to earlier commands don't wait for its verdict.
            self.send_replies()?;
        }
        match event {
            Event::Media(media) => self.append(&media, now),
            Event::Metadata { message_stream_id } => self.set_metadata(message_stream_id, now),
            Event::Data {
                message_stream_id,
                timestamp,
            } => self.append_data(message_stream_id, timestamp, now),
            Event::Replies => self.send_replies(),
            Event::Connect(connect) => self.connect(connect),
            Event::Publish {
                message_stream_id,
                name,
                kind,
            } => self.publish(message_stream_id, &name, kind, now),
            Event::Play {
                message_stream_id,
                name,
            } => self.play(message_stream_id, &name, now),
            Event::Stop { message_stream_id } => {
                self.stop(message_stream_id, STOPPED, now);
                Ok(())
            }
            Event::Pause {
                message_stream_id,
                is_paused,
            } => self.with_subscriber(message_stream_id, now, &mut |s| s.set_paused(is_paused)),
            Event::Receive {
                message_stream_id,
                medium,
                is_wanted,
            } => self.with_subscriber(message_stream_id, now, &mut |subscriber| match medium {
                Medium::Audio => subscriber.wanted.audio = is_wanted,
                Medium::Video => subscriber.wanted.set_video(is_wanted),
            }),
        }
    }

    /// Returns why a player's connection ends, if its stream knows the reason better than its socket
    /// does.
    fn end_of_player(&self, end: &RtmpEnd, now: Millis) -> Option<RtmpEnd> {
        use ConnectionEnd::{Displaced, Kicked};

        let is_cut = matches!(end, RtmpEnd::Connection(Kicked | Displaced));
        let playing = self.playing.first().filter(|_| !is_cut)?;
        match playing.pump(now).err()? {
            // The send has failed for the same reason as the read.
            PlayEnd::Io(_) if !matches!(end, RtmpEnd::Connection(ConnectionEnd::Closed)) => None,
            end => Some(ConnectionEnd::Player(end).into()),
        }
    }

    /// Logs the latest protocol events before a failure, if debug lines are enabled.
    fn print_recorder(&self) {
        if !log::log_enabled!(log::Level::Debug) {
            return;
        }
        let recorder = lock(&self.recorder);
        let shown = recorder.entries().count();
        log::debug!(
            "{} flight recorder, {shown} of {} events:",
            self.client,
            recorder.total()
        );
        for entry in recorder.entries() {
            log::debug!("{} {entry}", self.client);
        }
    }
}

impl Conversation for RtmpConnection {
    type End = RtmpEnd;

    fn serve(&mut self) -> Result<Infallible, RtmpEnd> {
        let mut small = vec![0; SMALL_BUFFER_LEN];
        let mut large: [Option<Block>; 2] = [None, None];
        let mut is_filled = false;
        let mut now = self.shared.now();
        loop {
            self.take_blocks(&mut large, is_filled);
            self.check_deadline(now)?;
            self.set_read_timeout(now)?;
            // Only before publish or play, while clients wait for the acknowledgement of each command.
            if !self.session.is_in_use() {
                self.socket.acknowledge_quickly();
            }
            let read = match &mut large {
                [Some(first), Some(second)] => {
                    let buffers = [first.bytes_mut(), second.bytes_mut()];
                    self.socket.read_vectored(&mut buffers.map(IoSliceMut::new))
                }
                [Some(block), None] => self.socket.read(block.bytes_mut()),
                // If the arena has no block left, the small buffer has to do.
                [None, _] => self.socket.read(&mut small),
            };
            is_filled = read.as_ref().is_ok_and(|len| *len >= BLOCK_LEN);
            match read {
                Ok(0) => return Err(self.why_closed()),
                Ok(len) => match &large {
                    [Some(first), Some(second)] if is_filled => {
                        self.handle_input(&[first.bytes(), &second.bytes()[..len - BLOCK_LEN]])?
                    }
                    [Some(block), _] => self.handle_input(&[&block.bytes()[..len]])?,
                    [None, _] => self.handle_input(&[&small[..len]])?,
                },
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.tick()?,
                    ErrorKind::Interrupted => {}
                    kind => return Err(self.lost(kind)),
                },
            }
            self.send_replies()?;
            now = self.shared.now();
            self.pump(now);
        }
    }

    /// Sends the last replies, detaches from the streams, and closes the socket.
    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    fn finish(&mut self, end: &RtmpEnd) {
        use ConnectionEnd::{Closed, Displaced, Kicked, Lost, Stopping};

        let now = self.shared.now();
        if matches!(end, RtmpEnd::Connection(Stopping)) {
            self.session.shut_down();
        }
        let is_player = !self.playing.is_empty();
        let is_cut = matches!(end, RtmpEnd::Connection(Kicked | Displaced));
        let of_player = self.end_of_player(end, now);
        let logged = of_player.as_ref().unwrap_or(end);
        let mut why = logged.to_string();
        if let Some(failure) = self.socket.tls_failure() {
            why = [&why, ". ", &failure].concat();
        }
        let is_lost = is_cut || matches!(end, RtmpEnd::Connection(Closed | Lost(_)));
        if !is_lost && !is_player {
            let last_words = self.session.take_output();
            let _ = self.write(&last_words);
        }
        self.stop_all(&why, now);
        // Players get everything that arrived before the end now, not after the wait in `drain`.
        for publishing in &mut self.publishing {
            publishing.pump(now);
        }
        if !is_lost && !self.shared.is_stopping() {
            self.socket.drain();
        }
        self.socket.shutdown();
        let level = logged.level(self.session.is_handshaken());
        let (client, name) = (&self.client, &self.name);
        let address = client.address().ip();
        let line = self.shared.line(level, About::Connection, address);
        line.say(format_args!("{client}{name} disconnected: {why}"));
        if level < log::Level::Info {
            self.print_recorder();
        }
    }
}

fn find(publishing: &mut [Publishing], message_stream_id: u32) -> Option<&mut Publishing> {
    publishing
        .iter_mut()
        .find(|p| p.message_stream_id == message_stream_id && p.is_live())
}

/// Fills `bytes` with random values. Only the handshake uses them, and nothing depends on their quality.
fn nonce(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        bytes.fill(0x42);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::out::subscriber::{MAX_CONTROL_LEN, Subscriber};
    use crate::server::playing::PLAY_COST;

    /// Fails if the fixed cost grows: a connection that plays needs less than 4 KiB, and the rest of its
    /// allowance is for its chunk streams and the texts of its commands.
    #[test]
    fn the_fixed_cost_of_a_connection_is_bounded() {
        let sizes = [
            ("connection", size_of::<RtmpConnection>(), 1200),
            ("session", size_of::<ServerSession<Assembly>>(), 752),
            ("client", size_of::<Client>(), 240),
            ("play", size_of::<Playing>(), 80),
            ("publish", size_of::<Publishing>(), 208),
            ("subscriber", size_of::<Subscriber>(), 336),
            ("record", flight_recorder::COST, 640),
            ("all", FIXED_COST, 2112),
        ];
        for (what, size, most) in sizes {
            assert!(size <= most, "{what}: {size} bytes, {most} were planned");
        }
        const { assert!(FIXED_COST + PLAY_COST + MAX_CONTROL_LEN < 4 * 1024) }
    }
}
