//! Players on few threads: they read, parse and check every message, and record its latency.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::media::{self, Track};
use crate::process::{self, Server};
use crate::session::{Protocol, Reader, Session};
use crate::view::View;
use crate::wire;

/// Above this many players a second thread reads half of them.
const PLAYERS_PER_THREAD: usize = 100;
const MAX_THREADS: usize = 2;
const READ_LEN: usize = 256 * 1024;
/// The time between two players' requests on one thread: viewers don't all come in one instant.
const PLAY_INTERVAL: Duration = Duration::from_millis(2);
/// How long the last messages may take after the publishers have stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long players may take to see their first keyframe: one GOP, and an answer.
pub(crate) const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Shared by the threads and the measuring thread.
#[derive(Default)]
struct Shared {
    /// The number of players that have seen their first keyframe, or failed.
    joined: AtomicUsize,
    is_counting: AtomicBool,
    is_aborted: AtomicBool,
    /// Messages published, by stream and track; set once no more will come.
    sent: OnceLock<Vec<[u32; 2]>>,
}

/// What was received while counting.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) payload_bytes: u64,
    pub(crate) latencies_us: Vec<u32>,
    /// The share of the time that the busiest thread was on a processor.
    pub(crate) busy: f64,
    /// Everything that a player should not have seen, with the player's number.
    pub(crate) faults: Vec<String>,
}

impl Tally {
    /// The latency in ms that `percent` of the messages don't exceed; NaN without any.
    pub(crate) fn latency(&self, percent: usize) -> f64 {
        let latencies = &self.latencies_us;
        let at = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
        latencies
            .get(at)
            .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }
}

/// All players of a run.
pub(crate) struct Players {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<Tally>>>,
    count: usize,
}

impl Players {
    /// Connects `each` players per stream, which begin to play at once.
    pub(crate) fn start(
        server: &Server,
        protocol: Protocol,
        streams: u32,
        each: usize,
    ) -> Result<Self, String> {
        let count = streams as usize * each;
        let mut players = Vec::with_capacity(count);
        for number in 0..count {
            let stream = (number % streams as usize) as u32;
            let player = Player::connect(server, protocol, number, stream);
            players.push(player.map_err(|error| format!("player {number}: {error}"))?);
        }
        let shared = Arc::new(Shared::default());
        let threads = count.div_ceil(PLAYERS_PER_THREAD).min(MAX_THREADS);
        let share = count.div_ceil(threads);
        let mut started = Vec::new();
        while !players.is_empty() {
            let later = players.split_off(share.min(players.len()));
            let seen = Arc::clone(&shared);
            started.push(thread::spawn(move || Engine::new(players, seen)?.run()));
            players = later;
        }
        Ok(Self {
            shared,
            threads: started,
            count,
        })
    }

    pub(crate) fn have_joined(&self) -> bool {
        self.shared.joined.load(Ordering::Relaxed) >= self.count
    }

    pub(crate) fn count_messages(&self, is_counting: bool) {
        self.shared
            .is_counting
            .store(is_counting, Ordering::Relaxed);
    }

    /// Lets the players receive what is still on its way, and returns the results.
    pub(crate) fn end(mut self, sent: &[[u32; 2]]) -> Result<Tally, String> {
        let _ = self.shared.sent.set(sent.to_vec());
        let mut all = Tally::default();
        for thread in self.threads.drain(..) {
            let ended = thread.join().map_err(|_| "a player thread panicked")?;
            let tally = ended.map_err(|error| format!("a player thread: {error}"))?;
            all.payload_bytes += tally.payload_bytes;
            all.latencies_us.extend(tally.latencies_us);
            all.busy = all.busy.max(tally.busy);
            all.faults.extend(tally.faults);
        }
        all.latencies_us.sort_unstable();
        Ok(all)
    }
}

impl Drop for Players {
    fn drop(&mut self) {
        self.shared.is_aborted.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One thread's players and their poll loop.
struct Engine {
    poll: Poll,
    players: Vec<Player>,
    /// Players before this index have requested their stream.
    started: usize,
    tally: Tally,
    shared: Arc<Shared>,
}

impl Engine {
    fn new(players: Vec<Player>, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            players,
            started: 0,
            tally: Tally::default(),
            shared,
        })
    }

    fn run(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ_LEN];
        let mut counting_since = None;
        let mut drain_deadline = None;
        while !self.shared.is_aborted.load(Ordering::Relaxed) {
            self.start_next()?;
            let is_starting = self.started < self.players.len();
            let timeout = if is_starting {
                PLAY_INTERVAL
            } else {
                Duration::from_millis(20)
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let is_counting = self.shared.is_counting.load(Ordering::Relaxed);
            match (is_counting, counting_since) {
                (true, None) => {
                    counting_since = Some((Instant::now(), process::own_thread_cpu()));
                }
                (false, Some((since, cpu))) if self.tally.busy == 0.0 => {
                    let used = process::own_thread_cpu().saturating_sub(cpu);
                    self.tally.busy = used.as_secs_f64() / since.elapsed().as_secs_f64();
                }
                _ => {}
            }
            for event in &events {
                let player = &mut self.players[event.token().0];
                player.read(&mut buffer, &mut self.tally, &self.shared);
            }
            let Some(sent) = self.shared.sent.get() else {
                continue;
            };
            let deadline = *drain_deadline.get_or_insert_with(|| Instant::now() + DRAIN_TIMEOUT);
            if self.players.iter().all(|p| p.has_all(sent)) || Instant::now() > deadline {
                self.players.iter_mut().for_each(|p| p.check_end(sent));
                break;
            }
        }
        for player in &mut self.players {
            self.tally.faults.append(&mut player.view.faults);
        }
        Ok(self.tally)
    }

    fn start_next(&mut self) -> io::Result<()> {
        let Some(player) = self.players.get_mut(self.started) else {
            return Ok(());
        };
        let (token, readable) = (Token(self.started), Interest::READABLE);
        let registry = self.poll.registry();
        registry.register(&mut player.socket, token, readable)?;
        // A fresh connection takes this much without waiting.
        player.socket.write_all(&player.request)?;
        self.started += 1;
        Ok(())
    }
}

struct Player {
    socket: TcpStream,
    reader: Reader,
    /// The bytes that start the stream, ready to send.
    request: Vec<u8>,
    view: View,
    /// For RTMP; 0 for never.
    acknowledgement_window: u32,
    received: u32,
    acknowledged: u32,
    has_ended: bool,
}

impl Player {
    fn connect(
        server: &Server,
        protocol: Protocol,
        number: usize,
        stream: u32,
    ) -> Result<Self, String> {
        let session = Session::open(server, protocol, stream)?;
        let nonblocking = session.socket.set_nonblocking(true);
        nonblocking.map_err(|error| error.to_string())?;
        Ok(Self {
            request: session.request,
            acknowledgement_window: session.acknowledgement_window,
            socket: TcpStream::from_std(session.socket),
            reader: session.reader,
            view: View::new(number, stream),
            received: 0,
            acknowledged: 0,
            has_ended: false,
        })
    }

    fn read(&mut self, buffer: &mut [u8], tally: &mut Tally, shared: &Shared) {
        let had_joined = self.has_joined();
        if let Err(fault) = self.try_read(buffer, tally, shared) {
            self.view.fault(&fault);
            self.has_ended = true;
        }
        if !had_joined && self.has_joined() {
            shared.joined.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn has_joined(&self) -> bool {
        self.has_ended || self.view.next[Track::Video as usize].is_some()
    }

    fn try_read(
        &mut self,
        buffer: &mut [u8],
        tally: &mut Tally,
        shared: &Shared,
    ) -> Result<(), String> {
        while !self.has_ended {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("read: {error}")),
            };
            let arrived_ns = media::now_ns();
            let is_counting = shared.is_counting.load(Ordering::Relaxed);
            let view = &mut self.view;
            self.reader.feed(&buffer[..count], |piece| {
                let Some(sent_ns) = view.take(&piece)? else {
                    return Ok(());
                };
                if is_counting {
                    let latency_us = arrived_ns.saturating_sub(sent_ns) / 1000;
                    tally.payload_bytes += piece.header.len as u64;
                    tally
                        .latencies_us
                        .push(latency_us.min(u64::from(u32::MAX)) as u32);
                }
                Ok(())
            })?;
            self.received = self.received.wrapping_add(count as u32);
            self.answer()?;
            // A short read has emptied the socket; later bytes are a new event.
            if count < buffer.len() {
                break;
            }
        }
        Ok(())
    }

    /// Sends acknowledgements and ping responses, as any client does.
    fn answer(&mut self) -> Result<(), String> {
        let mut out = Vec::new();
        let window = self.acknowledgement_window;
        if window > 0 && self.received.wrapping_sub(self.acknowledged) >= window {
            self.acknowledged = self.received;
            let received = self.received.to_be_bytes();
            wire::emit_message((2, 0), wire::ACKNOWLEDGEMENT, 0, &received, 128, &mut out);
        }
        if let Some(token) = self.view.ping.take() {
            let response = [&[0, 7], &token[..]].concat();
            wire::emit_message((2, 0), wire::USER_CONTROL, 0, &response, 128, &mut out);
        }
        if out.is_empty() {
            return Ok(());
        }
        let written = self.socket.write_all(&out);
        written.map_err(|error| format!("acknowledging: {error}"))
    }

    fn has_all(&self, sent: &[[u32; 2]]) -> bool {
        self.has_ended || self.view.next == sent[self.view.stream as usize].map(Some)
    }

    fn check_end(&mut self, sent: &[[u32; 2]]) {
        if !self.has_all(sent) {
            let sent = sent[self.view.stream as usize];
            let next = self.view.next;
            let fault = format!("the end is missing: next [audio, video] {next:?} of {sent:?}");
            self.view.fault(&fault);
        }
    }
}
