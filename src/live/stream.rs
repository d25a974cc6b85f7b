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

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::Duration;

use super::arena::{Arena, Holder};
use super::finding::Finding;
use super::kind::Kind;
use super::life::{Accepted, Demand, Grace, Life, PublishRefused, Publisher, Step};
use super::log::{Log, Needs};
use super::preamble::{Preamble, Slot};
use super::report::{Delivered, StreamReport, ViewerReport, Viewers};
use super::segments::{FEW_LEN, Viewer};
use super::signal::Signal;
use super::sink::Sink;
use super::stats::Stats;
use super::subscriber::{End, Skip, Subscriber, View};
use super::tracks::Tracks;
use super::{Millis, When, lock};
use crate::allowance::{Taken, push, shrink};
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::server_session::Over;
use crate::rtmp::stream_key::StreamKey;
use append::Publish;
use clock::Clock;
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

/// The stream was closed between look-up and use: look it up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

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

/// What is left to do for a publish that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The stream has just ended because its publisher did not come back; to be logged.
    pub has_ended: bool,
    /// When to look again at the latest. `None`: the stream is another publisher's or closed.
    pub until: Option<Millis>,
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
    changed: Signal,
    /// Told when a part of a segment is complete that somebody waits for, or the stream is closed.
    grown: Signal,
}

struct State {
    log: Log,
    preamble: Arc<Preamble>,
    tracks: Arc<Tracks>,
    subscribers: Vec<Subscriber>,
    life: Life,
    /// What the publisher pays for: headers and metadata on the heap, and the decoders'
    /// configurations.
    paid: Option<Taken>,
    /// What it pays for tracks and their configurations, in bytes.
    config_cost: usize,
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
                life: Life::default(),
                paid: None,
                config_cost: 0,
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
            changed: Signal::default(),
            grown: Signal::default(),
        }
    }

    /// Its name.
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Begins a publish.
    ///
    /// A publisher takes over from another one at once if it is trusted or comes from the same
    /// address, or if the other has been silent for [`TAKEOVER_SILENCE`](super::life::TAKEOVER_SILENCE).
    /// The socket of the other is then shut down.
    pub fn publish(&self, publisher: Publisher, now: Millis) -> Result<Accepted, PublishRefused> {
        let mut state = lock(&self.state);
        let silence = now.saturating_sub(self.heard.load(Ordering::Relaxed));
        state.life.admit(&publisher, silence, now)?;
        if state.log.account().is_none() {
            let account = self.arena.admit(publisher.address);
            state
                .log
                .set_account(account.map_err(PublishRefused::Full)?);
        }
        if let Some(account) = state.log.account() {
            account.set_running(true);
            let state: Weak<Mutex<State>> = Arc::downgrade(&self.state);
            account.set_holder(state);
        }
        // What the publisher before has paid for is due again with the next track.
        state.paid = publisher.allowance.take(0).ok();
        state.config_cost = 0;
        let accepted = state.life.publish(publisher, now);
        state.publish = Publish::default();
        state.clock.begin_publish();
        state.stats.begin_publish(now);
        // What was published before may still be sent to those who are in the middle of it, but
        // nobody starts there any more.
        state.log.clear_join_point();
        state.cut_off_hls();
        self.tell_hls(&mut state);
        self.heard.store(now, Ordering::Relaxed);
        self.changed.notify();
        Ok(accepted)
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

    /// Ends a publish. The subscribers stay; the stream waits for its publisher or another one. It
    /// is the caller's duty to [`advance`](Self::advance) the stream until nothing is left to do.
    pub fn unpublish(&self, generation: u64, grace: Grace) {
        let mut state = lock(&self.state);
        if !state.life.is_published_by(generation) {
            return;
        }
        state.life.unpublish(grace);
        if let Some(account) = state.log.account() {
            account.set_running(false);
        }
        state.complete_picture();
        // Whatever waited for company has waited long enough.
        state.is_urgent = true;
        state.cut_off_hls();
        self.tell_hls(&mut state);
    }

    /// Does what is due after a publish has ended. If its publisher hasn't come back in time, the
    /// stream ends: subscribers get their framing's last words and are finished.
    pub fn advance(&self, generation: u64, now: Millis) -> Outlook {
        self.go_on(generation, now, false)
    }

    /// Ends the stream of a publish before its time, unless there was another publish since.
    pub fn end(&self, generation: u64, now: Millis) -> Outlook {
        self.go_on(generation, now, true)
    }

    fn go_on(&self, generation: u64, now: Millis, is_early: bool) -> Outlook {
        let mut outlook = Outlook::default();
        let mut state = lock(&self.state);
        if state.life.generation() != generation {
            return outlook;
        }
        match state.life.step(state.demand(now), now) {
            Step::Stay(until) if !is_early => outlook.until = until,
            Step::Stay(_) | Step::End if !state.life.has_ended() => {
                outlook.has_ended = true;
                state.end(Over::Unpublished, self.max_lag, now);
                let tail = state.hls.tail(now).filter(|_| !is_early);
                outlook.until = tail.map(|tail| now + tail);
                if let Some(until) = outlook.until {
                    state.life.begin_tail(until);
                }
                self.changed.notify();
                self.grown.notify();
            }
            _ => state.life.close(),
        }
        outlook
    }

    /// Waits until something happens that may change the [`Outlook`], or the timeout. May return
    /// earlier.
    pub fn wait(&self, generation: u64, timeout: Duration, now: Millis) {
        let state = lock(&self.state);
        let step = state.life.step(state.demand(now), now);
        if state.life.generation() == generation && matches!(step, Step::Stay(Some(_))) {
            drop(self.changed.wait(state, timeout));
        }
    }

    /// Ends the stream, even if it is published: the server stops.
    pub fn close(&self, now: Millis) {
        let mut state = lock(&self.state);
        state.end(Over::ShuttingDown, self.max_lag, now);
        self.changed.notify();
        self.grown.notify();
    }

    /// Attaches a subscriber. It is sent nothing before it is pumped.
    pub fn subscribe(&self, mut subscriber: Subscriber, now: Millis) -> Result<(), Closed> {
        let mut state = lock(&self.state);
        if state.life.has_ended() {
            return Err(Closed);
        }
        subscriber.attach(&state.log, now);
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
        self.changed.notify();
        Some(delivered)
    }

    /// Closes the stream if it has neither a publisher nor an audience. True if it is closed now, and
    /// need not be found any more.
    pub(super) fn close_unused(&self, now: Millis) -> bool {
        let mut state = lock(&self.state);
        if state.life.step(state.demand(now), now) == Step::Close {
            state.life.close();
        }
        state.life.is_closed()
    }

    /// Sequence headers of the first tracks of the current publish, or of the last one: video, audio.
    pub fn sequence_headers(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let preamble = lock(&self.state).own_preamble();
        let header = |slot| preamble.header(slot).map(<[u8]>::to_vec);
        (header(Slot::Video(0)), header(Slot::Audio(0)))
    }

    /// Whether somebody publishes, or has published and is waited for.
    pub fn was_published(&self) -> bool {
        lock(&self.state).life.generation() > 0
    }

    /// What an MP4 file of the stream is; `None` while nobody publishes what could be in one.
    pub fn content_type(&self) -> Option<String> {
        let state = lock(&self.state);
        let presentation = &state.tracks.presentation;
        let has_any = presentation.video.is_some() || presentation.audio.is_some();
        let is_there = state.life.is_live() && state.are_tracks_known();
        (is_there && has_any).then(|| presentation.content_type())
    }

    /// The stream's figures.
    pub fn snapshot(&self) -> Snapshot {
        let state = lock(&self.state);
        Snapshot {
            is_live: state.life.is_live(),
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
        let publisher = state.life.publisher();
        StreamReport {
            is_live: publisher.is_some(),
            publishes: state.life.generation(),
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
        if state.life.is_published_by(generation) {
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

    /// The audience at this moment.
    fn demand(&self, now: Millis) -> Demand {
        Demand {
            has_subscribers: !self.subscribers.is_empty(),
            hls_for: self.hls.wanted_for(now),
        }
    }

    fn end(&mut self, over: Over, max_lag: Millis, now: Millis) {
        self.life.close();
        self.cut_off_hls();
        for subscriber in &mut self.subscribers {
            subscriber.queue_last_words(over);
        }
        // What a slow one hasn't got yet stays in the log until it has left.
        self.pump_all(max_lag, now);
    }
}
