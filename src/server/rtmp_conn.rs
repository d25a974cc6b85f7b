//! One RTMP connection: its thread reads, feeds the session, acts on each event, sends the
//! replies, and pumps the streams that it publishes.

mod requests;

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::connections::Permit;
use super::end::End;
use super::handler::Client;
use super::lines::About;
use super::playing::Playing;
use super::publishing::{Publishing, advance, wait_out_grace};
use super::socket::Socket;
use super::{Shared, millis};
use crate::allowance::{Allowance, Taken, shrink};
use crate::live::arena::{BLOCK_LEN, Block};
use crate::live::kind::Kind;
use crate::live::payload::Assembly;
use crate::live::sink::{Sink, try_send};
use crate::live::subscriber::{self, Subscriber};
use crate::live::{Millis, lock};
use crate::rtmp::Error;
use crate::rtmp::flight_recorder::{self, Decision, Event as Noted, FlightRecorder};
use crate::rtmp::handshake;
use crate::rtmp::message::type_id;
use crate::rtmp::server_session::{Event, Media, MediaKind, ServerSession};

/// Read buffer before anything is published, and for players: they say little, and there are many
/// of them. A publisher reads into a block of the arena: most pictures come with one read.
const SMALL_BUFFER_LEN: usize = 256;

/// What a connection takes on the heap once it speaks RTMP, in bytes. What it says of itself, its
/// chunk streams, and what it publishes and plays comes on top.
const FIXED_COST: usize = size_of::<Connection>() + SMALL_BUFFER_LEN + flight_recorder::COST;

/// Why a publish or play ended that its client ended.
const STOPPED: &str = "stopped by the client";

/// How often a connection wakes at least, when nothing comes.
const TICK: Duration = Duration::from_secs(20);

/// How often a player's thread wakes while one of its plays waits for another to finish a message.
const UNSENT_TICK: Duration = Duration::from_millis(20);

/// How often a publisher's thread wakes while some player has unsent bytes.
const TAIL_TICK: Duration = Duration::from_millis(50);

/// Serves a connection to its end.
pub(super) fn run(shared: Arc<Shared>, socket: Arc<Socket>, peer: SocketAddr, permit: Permit) {
    let local = socket.local_address().unwrap_or(peer);
    let client = Client::new(permit.id(), peer, local);
    shared.say(
        log::Level::Info,
        About::Connection,
        peer.ip(),
        format_args!("{client} connected"),
    );
    let mut connection = Connection::open(Arc::clone(&shared), socket, client, &permit);
    // A bug that shows itself here ends this connection properly, and no other.
    let end = catch_unwind(AssertUnwindSafe(|| connection.serve())).unwrap_or(End::Panicked);
    let why_cut = connection.shared.connections.why_cut(permit.id());
    let end = why_cut.unwrap_or(end);
    let _ = catch_unwind(AssertUnwindSafe(|| connection.finish(&end)));
    connection.socket.shutdown();
    let left_behind = std::mem::take(&mut connection.publishing);
    drop(connection);
    permit.forget_socket();
    wait_out_grace(left_behind, &shared, &permit);
}

struct Connection {
    client: Client,
    shared: Arc<Shared>,
    socket: Arc<Socket>,
    session: ServerSession<Assembly>,
    assembly: Assembly,
    allowance: Allowance,
    _fixed: Option<Taken>,
    /// For what it says of itself.
    kept: Option<Taken>,
    /// When the phase before publish or play has to be over.
    deadline: Option<Millis>,
    /// What the client calls itself, as it stands in log lines.
    name: String,
    /// The handlers have accepted its connect, and must hear of its end.
    is_accepted: bool,
    /// Streams that this connection publishes, or has published and keeps for the grace time.
    publishing: Vec<Publishing>,
    playing: Vec<Playing>,
    /// One of several plays has replies to send, which had to wait for another one.
    has_unsent_replies: bool,
    last_read: Millis,
    recorder: Arc<Mutex<FlightRecorder>>,
}

impl Connection {
    /// A connection at its start. It lies on the heap, and is put there by a function of its own: what
    /// is on the stack of the thread's first one stays there for life.
    #[inline(never)]
    fn open(
        shared: Arc<Shared>,
        socket: Arc<Socket>,
        client: Client,
        permit: &Permit,
    ) -> Box<Connection> {
        let allowance = permit.allowance();
        let fixed = allowance.take(FIXED_COST);
        let assembly = Assembly::new(shared.arena.clone(), allowance.clone());
        Box::new(Connection {
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
            recorder: permit.recorder(),
            shared,
            socket,
        })
    }

    fn serve(&mut self) -> End {
        let mut small = vec![0; SMALL_BUFFER_LEN];
        let mut large: [Option<Block>; 2] = [None, None];
        let mut is_filled = false;
        loop {
            self.take_blocks(&mut large, is_filled);
            if let Err(end) = self.check_deadline().and_then(|()| self.set_read_timeout()) {
                return end;
            }
            if !self.session.is_in_use() {
                self.socket.acknowledge_quickly();
            }
            let read = match &mut large {
                [Some(first), Some(second)] => {
                    let buffers = [first.bytes_mut(), second.bytes_mut()];
                    self.socket.read_vectored(&mut buffers.map(IoSliceMut::new))
                }
                [Some(block), None] => self.socket.read(block.bytes_mut()),
                // Without a block it goes on with the small buffer.
                [None, _] => self.socket.read(&mut small),
            };
            is_filled = read.as_ref().is_ok_and(|len| *len >= BLOCK_LEN);
            let result = match read {
                Ok(0) if self.shared.is_stopping() => Err(End::Stopping),
                Ok(0) if self.publishing.iter().any(Publishing::is_superseded) => {
                    Err(End::Superseded)
                }
                Ok(0) => Err(End::Closed),
                Ok(len) => match &large {
                    [Some(first), Some(second)] if is_filled => self
                        .handle_input(first.bytes())
                        .and_then(|()| self.handle_input(&second.bytes()[..len - BLOCK_LEN])),
                    [Some(block), _] => self.handle_input(&block.bytes()[..len]),
                    [None, _] => self.handle_input(&small[..len]),
                },
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => self.tick(),
                    ErrorKind::Interrupted => Ok(()),
                    kind => Err(End::Lost(kind)),
                },
            };
            if let Err(end) = result.and_then(|()| self.send_replies()) {
                return end;
            }
            self.pump();
        }
    }

    /// The blocks into which a publisher's bytes are read: one, and as long as there are enough for
    /// everybody a second one once the first was filled. A frame of 4 Mbit/s is a little longer than
    /// a block, and two system calls for each would show.
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

    fn handle_input(&mut self, mut input: &[u8]) -> Result<(), End> {
        let now = self.shared.now();
        self.last_read = now;
        for publishing in &self.publishing {
            publishing.stream.heard(now);
        }
        let was_handshaken = self.session.is_handshaken();
        // Locked for moments only: a handler may take its time, and may read the record.
        let recorder = Arc::clone(&self.recorder);
        let note = |event| lock(&recorder).note(event, now);
        loop {
            while let Some(media) = self.session.next_media(&mut input) {
                let Media {
                    message_stream_id,
                    kind,
                    timestamp,
                    payload,
                } = media;
                self.append(message_stream_id, kind, timestamp, Some(payload), now)?;
            }
            let read = self
                .session
                .handle(&mut input, &mut lock(&recorder).at(now));
            match read {
                Ok(Some(event)) => {
                    let is_question = event.is_question();
                    let result = self.handle_event(event, now);
                    if is_question {
                        note(Noted::Decision(match &result {
                            Ok(()) => Decision::Accepted,
                            Err(_) => Decision::Refused,
                        }));
                    }
                    result?;
                }
                Ok(None) => break,
                Err(Error::OutOfBlocks) if self.publishing.iter().any(Publishing::evict) => {}
                Err(error) if error == handshake::HTTP => {
                    let right = self.shared.http_addresses.first();
                    return Err(End::wrong_port(error, "HTTP", right));
                }
                Err(error) => return Err(End::Protocol(error)),
            }
        }
        self.set_deadline(was_handshaken, now);
        Ok(())
    }

    /// Appends an audio or video message: this one, or the one that the session holds.
    fn append(
        &mut self,
        message_stream_id: u32,
        kind: MediaKind,
        timestamp: u32,
        whole: Option<&[u8]>,
        now: Millis,
    ) -> Result<(), End> {
        let payload = self.session.payload_or(whole);
        let len = payload.clone().map(<[u8]>::len).sum();
        lock(&self.recorder).note(noted(kind, len, timestamp), now);
        let Some(publishing) = find(&mut self.publishing, message_stream_id) else {
            return Ok(());
        };
        publishing
            .append(kind_of(kind), timestamp, payload, now)
            .map_err(|_| End::Superseded)
    }

    fn set_deadline(&mut self, was_handshaken: bool, now: Millis) {
        if !was_handshaken && self.session.is_handshaken() {
            self.deadline = Some(now + millis(self.shared.config.command_timeout));
        }
        if self.session.is_in_use() {
            self.deadline = None;
        } else if self.session.is_connected() {
            // Also after a publish or play: who does nothing takes somebody's place.
            let deadline = now + millis(self.shared.config.command_timeout);
            self.deadline.get_or_insert(deadline);
        }
    }

    fn handle_event(&mut self, event: Event, now: Millis) -> Result<(), End> {
        if event.is_question() {
            // Nothing waits while somebody else decides.
            self.send_replies()?;
        }
        match event {
            Event::Media {
                message_stream_id,
                kind,
                timestamp,
            } => self.append(message_stream_id, kind, timestamp, None, now)?,
            Event::Metadata { message_stream_id } => self.set_metadata(message_stream_id, now)?,
            Event::Data {
                message_stream_id,
                timestamp,
            } => self.append_data(message_stream_id, timestamp, now)?,
            Event::Replies => self.send_replies()?,
            Event::Connect(connect) => self.connect(connect)?,
            Event::Publish {
                message_stream_id,
                name,
            } => self.publish(message_stream_id, &name, now)?,
            Event::Play {
                message_stream_id,
                name,
            } => self.play(message_stream_id, &name, now)?,
            Event::Stop { message_stream_id } => {
                self.stop(message_stream_id, STOPPED, now);
            }
            Event::Pause {
                message_stream_id,
                is_paused,
            } => {
                self.with_subscriber(message_stream_id, now, |s| s.set_paused(is_paused))?;
            }
            Event::Receive {
                message_stream_id,
                kind,
                is_wanted,
            } => {
                self.with_subscriber(message_stream_id, now, |subscriber| match kind {
                    MediaKind::Audio => subscriber.set_audio(is_wanted),
                    MediaKind::Video => subscriber.set_video(is_wanted),
                })?;
            }
        }
        Ok(())
    }

    fn with_subscriber(
        &self,
        message_stream_id: u32,
        now: Millis,
        act: impl FnOnce(&mut Subscriber),
    ) -> Result<(), End> {
        let playing = self
            .playing
            .iter()
            .find(|p| p.message_stream_id == message_stream_id && !p.is_retiring);
        let result = playing.map(|playing| playing.with_subscriber(now, act));
        result.transpose().map(|_| ()).map_err(End::Player)
    }

    /// Sends what the session has to say. Once something is played, only the streams write to
    /// the socket: the replies go out at a message boundary.
    fn send_replies(&mut self) -> Result<(), End> {
        let replies = self.session.take_output();
        if replies.is_empty() {
            return Ok(());
        }
        let now = self.shared.now();
        for playing in &self.playing {
            let mut is_taken = false;
            let result = playing.with_subscriber(now, |subscriber| {
                // One that has left sends nothing any more.
                is_taken = subscriber.end().is_none();
                if is_taken {
                    subscriber.queue_control(&replies);
                }
            });
            match result {
                // Another play may be in the middle of a message, and has nothing to do with these.
                Ok(has_unsent) => self.has_unsent_replies |= has_unsent && self.playing.len() > 1,
                Err(subscriber::End::Left) => {}
                Err(end) => return Err(End::Player(end)),
            }
            if is_taken {
                return Ok(());
            }
        }
        self.write(&replies)
    }

    /// Writes to the socket. Whoever doesn't take it, so that it waits, pays for what is left: a
    /// few replies find room in any socket.
    fn write(&self, bytes: &[u8]) -> Result<(), End> {
        let lost = |error: io::Error| End::Lost(error.kind());
        let sent = try_send(&*self.socket, &[IoSlice::new(bytes)]).map_err(lost)?;
        let left = bytes.get(sent..).unwrap_or_default();
        if left.is_empty() {
            return Ok(());
        }
        // All of it is kept meanwhile, and its vector may have room for as much again.
        let _taken = self.allowance.take(2 * bytes.len()).map_err(|exceeded| {
            End::Protocol(Error::Limit {
                what: "bytes of replies that are waiting, beyond what is left for the connection",
                got: exceeded.wanted as u64,
                allowed: exceeded.left as u64,
                option: None,
            })
        })?;
        self.socket.write_all(left).map_err(lost)
    }

    /// Lets go of plays that are over, once the message has been sent that was under way.
    fn leave_retired(&mut self, now: Millis) {
        let has_left = |playing: &Playing| {
            let sent = || playing.with_subscriber(now, |_| {});
            playing.is_retiring && sent() == Err(subscriber::End::Left)
        };
        while let Some(index) = self.playing.iter().position(has_left) {
            let playing = self.playing.swap_remove(index);
            shrink(&mut self.playing);
            self.leave(playing, STOPPED, now);
        }
    }

    fn pump(&mut self) {
        let now = self.shared.now();
        // After every read: a connection that goes on to send never comes to its tick.
        advance(&mut self.publishing, now);
        shrink(&mut self.publishing);
        for publishing in &mut self.publishing {
            publishing.pump(now);
        }
        if self.has_unsent_replies {
            self.has_unsent_replies = false;
            for playing in &self.playing {
                // Who has failed is found out by its own read, or at its next tick.
                let result = playing.with_subscriber(now, |_| {});
                self.has_unsent_replies |= result.unwrap_or(false);
            }
        }
        self.leave_retired(now);
        // Not where a play begins: what lies on the stack there would make the stack of each player
        // a page larger.
        for playing in self.playing.iter_mut().filter(|p| p.is_in_burst()) {
            // Who has failed is found out by its own read, or at its next tick.
            let _ = playing.tick(now);
        }
    }

    /// A client that sends a byte now and then doesn't stretch a phase.
    fn check_deadline(&self) -> Result<(), End> {
        if self
            .deadline
            .is_none_or(|deadline| self.shared.now() < deadline)
        {
            return Ok(());
        }
        let config = &self.shared.config;
        let (missing, after, option) = if !self.session.is_handshaken() {
            (
                "no complete handshake",
                config.handshake_timeout,
                "--handshake-timeout",
            )
        } else {
            let missing = if self.session.is_connected() {
                "neither publish nor play"
            } else {
                "no connect command"
            };
            (missing, config.command_timeout, "--command-timeout")
        };
        Err(End::Timeout {
            missing,
            after,
            option,
        })
    }

    /// Nothing has come for a while.
    fn tick(&mut self) -> Result<(), End> {
        let now = self.shared.now();
        let silence = now.saturating_sub(self.last_read);
        let is_publishing = self.publishing.iter().any(Publishing::is_live);
        if is_publishing && silence >= millis(self.shared.config.idle_timeout) {
            for publishing in self
                .publishing
                .iter()
                .filter(|publishing| publishing.is_live())
            {
                self.session
                    .end_publish(publishing.message_stream_id, "Nothing was sent.");
            }
            return Err(End::Timeout {
                missing: "nothing from the publisher",
                after: self.shared.config.idle_timeout,
                option: "--idle-timeout",
            });
        }
        self.leave_retired(now);
        for playing in &mut self.playing {
            if playing.tick(now).map_err(End::Player)? {
                self.session.ping(now as u32);
            }
        }
        Ok(())
    }

    fn set_read_timeout(&mut self) -> Result<(), End> {
        let now = self.shared.now();
        let config = &self.shared.config;
        let mut timeout = TICK;
        if let Some(deadline) = self.deadline {
            timeout = timeout.min(Duration::from_millis(deadline.saturating_sub(now)));
        }
        if !self.publishing.is_empty() {
            timeout = timeout.min(config.idle_timeout);
        }
        for playing in &self.playing {
            timeout = timeout.min(playing.tick_interval());
        }
        if self.has_unsent_replies {
            timeout = timeout.min(UNSENT_TICK);
        }
        for publishing in &self.publishing {
            timeout = timeout.min(publishing.time_left(now).unwrap_or(TICK));
            timeout = timeout.min(publishing.patience_left(now).unwrap_or(TICK));
            if publishing.has_unsent(now) {
                timeout = timeout.min(TAIL_TICK);
            } else if publishing.is_waiting() {
                timeout = timeout.min(config.batch);
            }
        }
        let result = self.socket.set_read_timeout(timeout);
        result.map_err(|error| End::Lost(error.kind()))
    }

    /// Says the last words, closes, and detaches from the streams.
    #[inline(never)] // Its variables are not to be on the stack of a connection that lives.
    fn finish(&mut self, end: &End) {
        let now = self.shared.now();
        if matches!(end, End::Stopping) {
            self.session.shut_down();
        }
        let is_player = !self.playing.is_empty();
        let is_cut = matches!(end, End::Kicked | End::Displaced);
        let why = match self.playing.first() {
            _ if is_cut => end.to_string(),
            // The stream knows better than the socket why a player was cut off.
            Some(playing) => match playing.with_subscriber(now, |_| {}) {
                Ok(_) => end.to_string(),
                Err(end) => end.to_string(),
            },
            None => end.to_string(),
        };
        let is_lost = is_cut || matches!(end, End::Closed | End::Lost(_));
        if !is_lost && !is_player {
            let last_words = self.session.take_output();
            let _ = self.write(&last_words);
        }
        self.stop_all(&why, now);
        if !is_lost && !self.shared.is_stopping() {
            self.socket.drain();
        }
        self.socket.shutdown();
        let level = end.level(self.session.is_handshaken());
        self.shared.say(
            level,
            About::Connection,
            self.client.address().ip(),
            format_args!("{}{} disconnected: {why}", self.client, self.name),
        );
        if level < log::Level::Info {
            self.print_recorder();
        }
    }
}

impl Connection {
    /// What led to the failure, for whoever has asked for debug lines.
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

fn find(publishing: &mut [Publishing], message_stream_id: u32) -> Option<&mut Publishing> {
    publishing
        .iter_mut()
        .find(|p| p.message_stream_id == message_stream_id && p.is_live())
}

fn kind_of(kind: MediaKind) -> Kind {
    match kind {
        MediaKind::Audio => Kind::Audio,
        MediaKind::Video => Kind::Video,
    }
}

fn noted(kind: MediaKind, len: usize, timestamp: u32) -> Noted {
    let type_id = match kind {
        MediaKind::Audio => type_id::AUDIO,
        MediaKind::Video => type_id::VIDEO,
    };
    Noted::Message {
        type_id,
        len: len as u32,
        timestamp,
    }
}

/// Fills with random bytes. Only the handshake uses them, and nothing depends on their quality.
fn nonce(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        bytes.fill(0x42);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::subscriber::MAX_CONTROL_LEN;
    use crate::server::playing::PLAY_COST;

    /// What is fixed can't grow unnoticed: a connection that plays takes less than 4 KiB, and the
    /// rest of its allowance is for its chunk streams and what it says.
    #[test]
    fn what_a_connection_takes_has_a_fixed_size() {
        let sizes = [
            ("connection", size_of::<Connection>(), 1200),
            ("session", size_of::<ServerSession<Assembly>>(), 752),
            ("client", size_of::<Client>(), 240),
            ("play", size_of::<Playing>(), 80),
            ("publish", size_of::<Publishing>(), 208),
            ("subscriber", size_of::<Subscriber>(), 272),
            ("record", flight_recorder::COST, 640),
            ("all", FIXED_COST, 2112),
        ];
        for (what, size, most) in sizes {
            assert!(size <= most, "{what}: {size} bytes, {most} were planned");
        }
        const { assert!(FIXED_COST + PLAY_COST + MAX_CONTROL_LEN < 4 * 1024) }
    }
}
