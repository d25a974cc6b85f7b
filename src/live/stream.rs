//! A stream: log, preamble, publisher and subscribers behind one lock.
//!
//! ```text
//! publisher's thread   append, append, append, pump          (after each read)
//! player's thread      subscribe, then pump its own on its tick and after control bytes, leave
//! ```
//!
//! The lock is a plain `Mutex`: nothing that can block happens while it is held. The sends of a
//! pump are made under it on purpose: their slices borrow the log, and none of them waits.

mod append;
mod clock;
pub mod hls;
mod media_clock;
mod pictures;
mod samples;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError, Weak};
use std::time::{Duration, Instant};

use super::arena::{Arena, Full, Holder};
use super::doctor::Finding;
use super::log::{Kind, Log, Needs};
use super::out::request::JoinRequest;
use super::preamble::{Preamble, Slot};
use super::segments::{FEW_LEN, Viewer};
use super::sink::Sink;
use super::stats::{Stats, StreamReport, ViewerReport, Viewers};
use super::subscriber::{Delivered, End, Skip, Subscriber, View};
use super::table::Closed;
use super::tracks::Tracks;
use super::{Millis, When, lock, wait};
use crate::allowance::{Allowance, Taken, push, shrink};
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::server_session::Over;
use crate::rtmp::stream_key::StreamKey;
use append::Publish;
use clock::Clock;
pub use clock::{ClockRepair, Pace};
use hls::Hls;
use media_clock::MediaClock;

/// What a stream takes on the heap besides its blocks, in bytes: its state, its entry in the table,
/// and what it lists. Its name comes on top.
pub const STREAM_COST: usize = 2304;

const _: () = assert!(size_of::<Stream>() + size_of::<State>() + 128 <= STREAM_COST);

/// What a publisher brings besides, in bytes, apart from what is paid as it comes: what HLS lists
/// without a block, the first tracks, and lists of headers and versions.
pub const PUBLISH_COST: usize = FEW_LEN + 3 * TRACKS_COST + 512;

/// Tracks on the heap, but for the decoders' configurations, in bytes.
const TRACKS_COST: usize = size_of::<Tracks>() + 16;

/// A publisher that has been silent this long may be replaced by anybody.
pub const TAKEOVER_SILENCE: Millis = 2_000;

/// Between two takeovers of a stream whose publisher is still sending: two cameras with one name
/// must not fight.
pub const TAKEOVER_INTERVAL: Millis = 5_000;

/// Skips that wait to be told.
const MAX_SKIPS: usize = 16;

/// What all streams of a server have in common.
#[derive(Clone)]
pub struct Settings {
    /// Where the logs' blocks come from.
    pub arena: Arena,
    /// What a log keeps for those who are behind, in ms, while blocks last.
    pub history: Millis,
    /// Lag at which a subscriber is moved to a newer keyframe.
    pub max_lag: Millis,
    /// How long messages may wait for company before they are sent.
    pub batch: Millis,
    /// Whether somebody may ask for HLS, so that a playlist's worth is kept while memory is free.
    pub is_hls_served: bool,
}

/// Who publishes.
pub struct Publisher {
    /// Its connection's number.
    pub connection: u64,
    /// Its address, by which a camera that comes back is recognised.
    pub address: IpAddr,
    /// Whether it has proved that the stream is its own, so that its address doesn't matter.
    pub is_trusted: bool,
    /// Its socket, shut down when somebody takes over.
    pub sink: Arc<dyn Sink>,
    /// What its connection may make the server keep. The decoders' configurations are paid from
    /// it, which are kept on the heap for viewers of files.
    pub allowance: Allowance,
}

/// Why a publish was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Somebody else publishes under this name, and was heard recently.
    InUse {
        /// ms until a takeover is possible if nothing more is heard of the other.
        retry_in: Millis,
    },
    /// There was a takeover a moment ago.
    Fighting {
        /// ms until the next one is allowed.
        retry_in: Millis,
    },
    /// There is no memory for one stream more.
    Full(Full),
}

/// A publish that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// To be shown with every call of this publisher.
    pub generation: u64,
    /// Another publisher was disconnected for it.
    pub is_takeover: bool,
    /// Players kept their place from an earlier publisher.
    pub is_return: bool,
}

/// The publisher was replaced; its connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log.
    Stored,
    /// It is of no use to anybody: before the first keyframe, empty, or a header already known.
    Ignored,
    /// It was dropped because the stream's share of the memory can't hold it.
    OutOfBlocks,
}

/// What a pump left behind.
#[derive(Debug, Default)]
pub struct Pumped {
    /// Some subscriber has bytes which its socket didn't take.
    pub has_unsent: bool,
    /// Messages wait for company (see [`Settings::batch`]).
    pub is_waiting: bool,
    /// Subscribers that were moved to a newer keyframe; to be logged.
    pub skips: Vec<Skip>,
    /// The publisher's time stamps jumped; to be logged.
    pub repair: Option<ClockRepair>,
    /// What else is wrong with what it sends; to be logged.
    pub findings: Vec<Finding>,
    /// Who watched by HLS and has stopped; to be logged.
    pub gone: Option<Viewer>,
}

/// How the wait for another publisher ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Somebody publishes.
    Returned,
    /// No subscriber is left, or the stream was closed.
    Deserted,
    /// The time is over.
    TimedOut,
}

/// A stream's figures at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Somebody publishes.
    pub is_live: bool,
    /// Subscribers attached.
    pub subscribers: usize,
    /// Blocks held by the log.
    pub blocks: usize,
}

/// See the module's documentation.
pub struct Stream {
    key: StreamKey,
    batch: Millis,
    max_lag: Millis,
    /// When the publisher was last heard of; outside the lock, since every read sets it.
    heard: AtomicU64,
    arena: Arena,
    state: Arc<Mutex<State>>,
    /// Told when a publisher comes, a subscriber leaves, or the stream is closed.
    changed: Condvar,
    /// Told when a part of a segment is complete that somebody waits for, or the stream is closed.
    grown: Condvar,
}

struct State {
    log: Log,
    preamble: Arc<Preamble>,
    tracks: Arc<Tracks>,
    subscribers: Vec<Subscriber>,
    publisher: Option<Publisher>,
    /// What the publisher pays for: headers and metadata on the heap, and the decoders'
    /// configurations.
    paid: Option<Taken>,
    /// What it pays for tracks and their configurations, in bytes.
    config_cost: usize,
    generation: u64,
    last_takeover: When,
    /// There is a publisher, or the thread of the last one waits for another.
    is_awaited: bool,
    /// No longer in the table, or about to be removed.
    is_closed: bool,
    publish: Publish,
    clock: Clock,
    stats: Stats,
    media_clock: MediaClock,
    hls: Hls,
    /// Arrival of the oldest message not pumped yet.
    batch_since: When,
    /// A keyframe is among the messages not pumped yet.
    is_urgent: bool,
    /// Everything before this message has been offered to everybody.
    pumped_to: u64,
    /// Skips that are to be told, a few at most; taken by whoever pumps next.
    skips: Vec<Skip>,
    /// Version of the preamble at the last pump of all.
    pumped_preamble: u32,
    /// Version before that. Who is in the middle of an older one is lost.
    oldest_preamble: u32,
    /// Tracks at the last pump of all, and those before: a file may still have announced them.
    old_tracks: [Arc<Tracks>; 2],
}

impl Stream {
    /// A stream without publisher and subscribers.
    pub fn new(key: StreamKey, settings: &Settings) -> Stream {
        Stream {
            key,
            batch: settings.batch,
            max_lag: settings.max_lag,
            heard: AtomicU64::new(0),
            arena: settings.arena.clone(),
            state: Arc::new(Mutex::new(State {
                log: Log::new(settings.arena.clone(), settings.history),
                preamble: Arc::default(),
                tracks: Arc::default(),
                subscribers: Vec::new(),
                publisher: None,
                paid: None,
                config_cost: 0,
                generation: 0,
                last_takeover: When::default(),
                is_awaited: false,
                is_closed: false,
                publish: Publish::default(),
                clock: Clock::default(),
                stats: Stats::default(),
                media_clock: MediaClock::default(),
                hls: Hls::new(settings.is_hls_served),
                batch_since: When::default(),
                is_urgent: false,
                pumped_to: 0,
                skips: Vec::new(),
                pumped_preamble: 0,
                oldest_preamble: 0,
                old_tracks: Default::default(),
            })),
            changed: Condvar::new(),
            grown: Condvar::new(),
        }
    }

    /// Its name.
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Makes `publisher` the one who appends.
    ///
    /// A busy name is taken over at once by a publisher that is trusted or comes from the address
    /// of the old one, or when the old one has been silent for [`TAKEOVER_SILENCE`]; then the old one's socket is shut
    /// down.
    pub fn publish(
        &self,
        publisher: Publisher,
        now: Millis,
    ) -> Result<Result<Accepted, Busy>, Closed> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(Closed);
        }
        let mut account = None;
        if state.log.account().is_none() {
            account = match self.arena.admit(publisher.address) {
                Ok(account) => Some(account),
                Err(full) => return Ok(Err(Busy::Full(full))),
            };
        }
        let mut is_takeover = false;
        if let Some(old) = &state.publisher {
            let silence = now.saturating_sub(self.heard.load(Ordering::Relaxed));
            if silence < TAKEOVER_SILENCE {
                // The very address: a neighbour in its /64, one client elsewhere, is another camera.
                if old.address != publisher.address && !publisher.is_trusted {
                    return Ok(Err(Busy::InUse {
                        retry_in: TAKEOVER_SILENCE - silence,
                    }));
                }
                let since = state
                    .last_takeover
                    .get()
                    .map(|last| now.saturating_sub(last));
                if let Some(since) = since.filter(|since| *since < TAKEOVER_INTERVAL) {
                    return Ok(Err(Busy::Fighting {
                        retry_in: TAKEOVER_INTERVAL - since,
                    }));
                }
            }
            old.sink.shutdown();
            state.last_takeover = When::at(now);
            is_takeover = true;
        }
        if let Some(account) = account {
            state.log.set_account(account);
        }
        if let Some(account) = state.log.account() {
            account.set_running(true);
            let state: Weak<Mutex<State>> = Arc::downgrade(&self.state);
            account.set_holder(state);
        }
        let is_return = state.generation > 0;
        state.generation += 1;
        state.is_awaited = true;
        // What the publisher before has paid for is due again with the next track.
        state.paid = publisher.allowance.take(0).ok();
        state.config_cost = 0;
        state.publisher = Some(publisher);
        state.publish = Publish::default();
        state.clock.begin_publish();
        state.stats.begin_publish(now);
        // What was published before may still be sent to those who are in the middle of it, but
        // nobody starts there any more.
        state.log.clear_join_point();
        state.cut_off_hls();
        self.tell_hls(&mut state);
        self.heard.store(now, Ordering::Relaxed);
        self.changed.notify_all();
        Ok(Ok(Accepted {
            generation: state.generation,
            is_takeover,
            is_return,
        }))
    }

    /// Whether the publisher of this generation still publishes.
    pub fn is_published_by(&self, generation: u64) -> bool {
        self.published(generation).is_ok()
    }

    /// Notes that bytes came from the publisher.
    pub fn heard(&self, now: Millis) {
        self.heard.store(now, Ordering::Relaxed);
    }

    /// Appends an audio or video message, in as many parts as it lies in. Nobody is sent anything
    /// before the next [`pump`](Self::pump).
    pub fn append<'a>(
        &self,
        generation: u64,
        kind: Kind,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Result<Appended, Superseded> {
        self.arena.reclaim();
        let mut state = self.published(generation)?;
        let appended = state.append_media(kind, timestamp, payload, now);
        self.tell_hls(&mut state);
        Ok(appended)
    }

    /// Appends a data message that isn't metadata, in AMF0.
    pub fn append_data(
        &self,
        generation: u64,
        timestamp: u32,
        body: Bytes<'_>,
        now: Millis,
    ) -> Result<(), Superseded> {
        self.arena.reclaim();
        let mut state = self.published(generation)?;
        state.append_data(timestamp, body, now);
        self.tell_hls(&mut state);
        Ok(())
    }

    /// Replaces the metadata, or forgets it.
    pub fn set_metadata(
        &self,
        generation: u64,
        metadata: Option<&Properties<'_>>,
        now: Millis,
    ) -> Result<(), Superseded> {
        let mut state = self.published(generation)?;
        state.set_metadata(metadata, now);
        Ok(())
    }

    /// Gives up the oldest message, so that a message under assembly finds a block.
    pub fn evict_oldest(&self, generation: u64) -> bool {
        self.arena.reclaim();
        self.published(generation).is_ok_and(|mut state| {
            let was_joinable = state.log.join_point().is_some();
            let is_evicted = state.log.evict_oldest();
            state.note_eviction(was_joinable);
            is_evicted
        })
    }

    /// Offers every subscriber what it hasn't got yet, unless the messages are to wait for
    /// company. The publisher's thread calls this after each read.
    pub fn pump(&self, now: Millis) -> Pumped {
        let mut state = lock(&self.state);
        let waited = state
            .batch_since
            .get()
            .map_or(self.batch, |since| now.saturating_sub(since));
        if waited < self.batch && !state.is_urgent {
            return Pumped {
                is_waiting: true,
                ..Pumped::default()
            };
        }
        state.batch_since = When::default();
        state.is_urgent = false;
        let has_unsent = state.pump_all(self.max_lag, now);
        let repair = state.clock.take_repair();
        Pumped {
            has_unsent,
            is_waiting: false,
            skips: std::mem::take(&mut state.skips),
            repair,
            findings: state.examine(repair, now),
            gone: state.hls.take_gone(now),
        }
    }

    /// The publisher is gone. Its subscribers stay; the stream waits for it or another one.
    pub fn unpublish(&self, generation: u64) {
        let mut state = lock(&self.state);
        if state.generation == generation {
            state.publisher = None;
            if let Some(account) = state.log.account() {
                account.set_running(false);
            }
            state.complete_picture();
            // Whatever waited for company has waited long enough.
            state.is_urgent = true;
            state.cut_off_hls();
            self.tell_hls(&mut state);
        }
    }

    /// Waits until somebody publishes, nobody is left to wait for it, or the time is over.
    pub fn wait_for_publisher(&self, generation: u64, timeout: Duration, now: Millis) -> Waited {
        let began = Instant::now();
        let mut state = lock(&self.state);
        loop {
            if state.generation != generation {
                return Waited::Returned;
            }
            let elapsed = began.elapsed();
            let mut left = timeout.saturating_sub(elapsed);
            state.is_awaited = true;
            if state.subscribers.is_empty() {
                // Those who watch by HLS are seen only when they ask.
                let wanted = state.hls.wanted_for(now + elapsed.as_millis() as Millis);
                state.is_awaited = wanted > 0;
                left = left.min(Duration::from_millis(wanted));
            }
            if state.is_closed || !state.is_awaited {
                return Waited::Deserted;
            }
            if timeout <= elapsed {
                return Waited::TimedOut;
            }
            state = wait(&self.changed, state, left);
        }
    }

    /// Ends the stream, unless another publisher than that of `generation` has come: subscribers
    /// get their framing's last words and are finished, the memory goes back.
    pub fn end(&self, generation: u64, now: Millis) {
        let mut state = lock(&self.state);
        if state.generation == generation {
            state.end(Over::Unpublished, self.max_lag, now);
            self.changed.notify_all();
            self.grown.notify_all();
        }
    }

    /// Ends the stream whoever publishes: the server stops.
    pub fn close(&self, now: Millis) {
        let mut state = lock(&self.state);
        state.end(Over::ShuttingDown, self.max_lag, now);
        state.hls.is_in_tail = false;
        self.changed.notify_all();
        self.grown.notify_all();
    }

    /// Attaches a subscriber. It is sent nothing before it is pumped.
    pub fn subscribe(&self, request: JoinRequest, now: Millis) -> Result<(), Closed> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(Closed);
        }
        let subscriber = Subscriber::new(request, &state.log, now);
        push(&mut state.subscribers, subscriber);
        state.note_needs();
        let count = state.subscribers.len();
        state.stats.note_viewers(count);
        Ok(())
    }

    /// Does something to a subscriber, then pumps it. True when something is left unsent; the
    /// error says why it is to be removed.
    pub fn with_subscriber(
        &self,
        id: u64,
        now: Millis,
        act: impl FnOnce(&mut Subscriber),
    ) -> Result<bool, End> {
        let mut state = lock(&self.state);
        let found = state
            .subscribers
            .iter()
            .position(|subscriber| subscriber.id() == id);
        let Some(index) = found else { return Ok(false) };
        act(&mut state.subscribers[index]);
        let has_unsent = state.pump_one(index, self.max_lag, now);
        match state.subscribers[index].end() {
            Some(end) => Err(end.clone()),
            None => Ok(has_unsent),
        }
    }

    /// Detaches a subscriber; returns what it was sent.
    pub fn leave(&self, id: u64) -> Option<Delivered> {
        let mut state = lock(&self.state);
        let index = state
            .subscribers
            .iter()
            .position(|subscriber| subscriber.id() == id)?;
        let delivered = state.subscribers.swap_remove(index).delivered();
        shrink(&mut state.subscribers);
        state.stats.note_left(delivered);
        self.changed.notify_all();
        Some(delivered)
    }

    /// Closes the stream if nobody publishes, plays or waits. True if it is closed now, and need not
    /// be found any more.
    pub(super) fn close_unused(&self) -> bool {
        let mut state = lock(&self.state);
        // Those who watch by HLS are the last publisher's thread's care.
        let is_used = !state.subscribers.is_empty() || state.is_awaited && state.hls.is_known();
        if state.publisher.is_none() && !is_used {
            state.is_closed = true;
        }
        state.is_closed && !state.hls.is_in_tail
    }

    /// Sequence headers of the first tracks of the current publish, or of the last one: video, audio.
    pub fn sequence_headers(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let preamble = lock(&self.state).own_preamble();
        let header = |slot| preamble.header(slot).map(<[u8]>::to_vec);
        (header(Slot::Video(0)), header(Slot::Audio(0)))
    }

    /// Whether somebody publishes, or has published and is waited for.
    pub fn was_published(&self) -> bool {
        lock(&self.state).generation > 0
    }

    /// What an MP4 file of the stream is; `None` while nobody publishes what could be in one.
    pub fn content_type(&self) -> Option<String> {
        let state = lock(&self.state);
        let presentation = &state.tracks.presentation;
        let has_any = presentation.video.is_some() || presentation.audio.is_some();
        let is_there = state.publisher.is_some() && state.are_tracks_known();
        (is_there && has_any).then(|| presentation.content_type())
    }

    /// The stream's figures.
    pub fn snapshot(&self) -> Snapshot {
        let state = lock(&self.state);
        Snapshot {
            is_live: state.publisher.is_some(),
            subscribers: state.subscribers.len(),
            blocks: state.log.blocks_held(),
        }
    }

    /// The viewer with the next higher number.
    pub fn viewer_after(&self, id: u64, now: Millis) -> Option<ViewerReport> {
        let state = lock(&self.state);
        let later = state.subscribers.iter().filter(|viewer| viewer.id() > id);
        match later.min_by_key(|viewer| viewer.id()) {
            Some(next) => Some(next.report(&state.log, now)),
            None => state.hls.viewer_after(id, now),
        }
    }

    /// All that is known of the stream, and of those who receive it.
    pub fn report(&self, now: Millis) -> StreamReport {
        let state = lock(&self.state);
        let mut viewers = Viewers::default();
        for viewer in &state.subscribers {
            viewers.add(&viewer.report(&state.log, now));
        }
        let publisher = state.publisher.as_ref();
        StreamReport {
            is_live: publisher.is_some(),
            publishes: state.generation,
            publisher: publisher.map(|publisher| (publisher.connection, publisher.address)),
            blocks: state.log.blocks_held(),
            preamble: state.own_preamble(),
            tracks: Arc::clone(&state.tracks),
            hls_viewers: state.hls.viewers(now),
            ..state.stats.report(viewers, now)
        }
    }

    fn published(&self, generation: u64) -> Result<MutexGuard<'_, State>, Superseded> {
        let state = lock(&self.state);
        if state.generation == generation && state.publisher.is_some() {
            Ok(state)
        } else {
            Err(Superseded)
        }
    }
}

impl Holder for Mutex<State> {
    fn give_up(&self, count: usize) {
        let mut state = match self.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Whoever is at work on it gives way by itself, when it takes the next block.
            Err(TryLockError::WouldBlock) => return,
        };
        let was_joinable = state.log.join_point().is_some();
        state.log.give_up(count);
        state.note_eviction(was_joinable);
    }
}

impl State {
    /// Offers everybody what there is; true when some socket didn't take all of it.
    fn pump_all(&mut self, max_lag: Millis, now: Millis) -> bool {
        let version = self.preamble.version();
        if version != self.pumped_preamble {
            self.oldest_preamble = self.pumped_preamble;
            self.pumped_preamble = version;
        }
        if !Arc::ptr_eq(&self.tracks, &self.old_tracks[0]) {
            self.old_tracks.swap(0, 1);
            self.old_tracks[0] = Arc::clone(&self.tracks);
        }
        let are_tracks_known = self.are_tracks_known();
        let mut desk = self.log.arena().desks().take();
        let State {
            log,
            preamble,
            tracks,
            subscribers,
            skips,
            oldest_preamble,
            old_tracks,
            pumped_to,
            stats,
            ..
        } = self;
        desk.stage.begin(*pumped_to, log, subscribers.len());
        *pumped_to = log.end();
        let view = View {
            log,
            preamble,
            oldest_preamble: *oldest_preamble,
            old_tracks,
            tracks,
            are_tracks_known,
            now,
            max_lag,
        };
        let mut has_unsent = false;
        let mut needs = Needs::NOTHING;
        let mut sent = 0;
        for subscriber in subscribers {
            has_unsent |= subscriber.pump(&view, &mut desk);
            needs = needs.and(subscriber.needs());
            sent += subscriber.delivered().bytes;
        }
        stats.note_sent(sent, now);
        skips.append(&mut desk.skips);
        skips.truncate(MAX_SKIPS);
        log.arena().desks().put(desk);
        log.set_needs(needs);
        has_unsent
    }

    /// Offers one subscriber what there is.
    fn pump_one(&mut self, index: usize, max_lag: Millis, now: Millis) -> bool {
        let are_tracks_known = self.are_tracks_known();
        let mut desk = self.log.arena().desks().take();
        let State {
            log,
            preamble,
            tracks,
            subscribers,
            skips,
            oldest_preamble,
            old_tracks,
            ..
        } = self;
        let view = View {
            log,
            preamble,
            oldest_preamble: *oldest_preamble,
            old_tracks,
            tracks,
            are_tracks_known,
            now,
            max_lag,
        };
        let has_unsent = match subscribers.get_mut(index) {
            Some(subscriber) => subscriber.pump(&view, &mut desk),
            None => false,
        };
        skips.append(&mut desk.skips);
        skips.truncate(MAX_SKIPS);
        log.arena().desks().put(desk);
        self.note_needs();
        has_unsent
    }

    /// Tells the log what the subscribers still need.
    fn note_needs(&mut self) {
        let needs = self.subscribers.iter().map(Subscriber::needs);
        self.log.set_needs(needs.fold(Needs::NOTHING, Needs::and));
    }

    fn end(&mut self, over: Over, max_lag: Millis, now: Millis) {
        self.is_closed = true;
        self.cut_off_hls();
        for subscriber in &mut self.subscribers {
            subscriber.queue_last_words(over);
        }
        // What a slow one hasn't got yet stays in the log until it has left.
        self.pump_all(max_lag, now);
    }
}
