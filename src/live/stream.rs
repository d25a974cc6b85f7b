//! A stream: log, preamble, publisher and subscribers behind one lock.
//!
//! ```text
//! publisher's thread   append, append, append, pump          (after each read)
//! player's thread      subscribe, then pump its own on its tick and after control bytes, leave
//! ```
//!
//! The lock is a plain `Mutex`: nothing that can block happens while it is held. The sends of a
//! pump are made under it on purpose: their slices borrow the log, and none of them waits.

mod audience;
mod deliveries;
mod desks;
pub mod hls;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::Duration;

use super::arena::{Arena, Holder};
use super::finding::Finding;
pub use super::intake::Appended;
use super::intake::{Arrival, Intake, Store, TRACKS_COST};
use super::kind::Kind;
use super::life::{Accepted, Demand, Grace, Life, PublishRefused, Publisher, Step};
use super::log::Log;
use super::preamble::Slot;
use super::report::{Delivered, StreamReport, ViewerReport};
use super::segments::{FEW_LEN, Viewer};
use super::signal::Signal;
use super::subscriber::{End, Skip, Subscriber};
use super::{Millis, lock};
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::server_session::Over;
use crate::rtmp::stream_key::StreamKey;
use audience::Audience;
pub use desks::Desks;
use hls::Hls;

/// What a stream takes on the heap besides its blocks, in bytes: its state, its entry in the table,
/// and what it lists. Its name comes on top.
pub const STREAM_COST: usize = 2304;

const _: () = assert!(size_of::<Stream>() + size_of::<State>() + 128 <= STREAM_COST);

/// What a publisher brings besides, in bytes, apart from what is paid as it comes: what HLS lists
/// without a block, the first tracks, and lists of headers and versions.
pub const PUBLISH_COST: usize = FEW_LEN + 3 * TRACKS_COST + 512;

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
    /// What pumps work on.
    pub desks: Desks,
}

/// The stream was closed between look-up and use: look it up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// The publisher was replaced; its connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded;

/// What a pump left behind.
#[derive(Debug, Default)]
pub struct Pumped {
    /// Some subscriber has bytes which its socket didn't take.
    pub has_unsent: bool,
    /// Messages wait for company (see [`Settings::batch`]).
    pub is_waiting: bool,
    /// Subscribers that were moved to a newer keyframe; to be logged.
    pub skips: Vec<Skip>,
    /// What is wrong with what the publisher sends; to be logged.
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
    arena: Arena,
    /// When the publisher was last heard of. Outside the lock, since every read sets it.
    heard: AtomicU64,
    state: Arc<Mutex<StreamState>>,
    /// Notified when a publisher comes, a subscriber leaves, or the stream ends.
    changed: Signal,
    /// Notified when a part of a segment is complete for which requests wait, or the stream ends.
    grown: Signal,
}

/// What is behind a stream's lock.
struct StreamState {
    life: Life,
    intake: Intake,
    log: Log,
    audience: Audience,
    hls: Hls,
}

impl Stream {
    /// A stream without publisher and subscribers.
    pub fn new(key: StreamKey, settings: &Settings) -> Stream {
        Stream {
            key,
            arena: settings.arena.clone(),
            heard: AtomicU64::new(0),
            state: Arc::new(Mutex::new(StreamState {
                life: Life::default(),
                intake: Intake::default(),
                log: Log::new(settings.arena.clone(), settings.history),
                audience: Audience::new(settings.batch, settings.max_lag, settings.desks.clone()),
                hls: Hls::new(settings.is_hls_served),
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
            let holder: Weak<Mutex<StreamState>> = Arc::downgrade(&self.state);
            account.set_holder(holder);
        }
        state.intake.begin_publish(&publisher.allowance, now);
        let accepted = state.life.publish(publisher, now);
        // What was published before may still be sent to receivers that are in the middle of it, but
        // none starts there any more.
        state.log.clear_join_point();
        state.hls.cut_off();
        self.notify_hls(&mut state);
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

    /// Appends an audio or video message, in as many parts as it lies in. It is sent to nobody before
    /// the next [`pump`](Self::pump).
    pub fn append<'a>(
        &self,
        generation: u64,
        kind: Kind,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Result<Appended, Superseded> {
        let arrival = Arrival {
            kind,
            timestamp,
            now,
        };
        self.feed(generation, now, |intake, store| {
            intake.take(arrival, payload, store)
        })
    }

    /// Appends a data message that isn't metadata, in AMF0.
    pub fn append_data(
        &self,
        generation: u64,
        timestamp: u32,
        body: Bytes<'_>,
        now: Millis,
    ) -> Result<(), Superseded> {
        self.feed(generation, now, |intake, store| {
            intake.take_data(timestamp, body, now, store);
        })
    }

    /// Replaces the metadata, or forgets it.
    pub fn set_metadata(
        &self,
        generation: u64,
        metadata: Option<&Properties<'_>>,
        now: Millis,
    ) -> Result<(), Superseded> {
        self.feed(generation, now, |intake, store| {
            intake.set_metadata(metadata, now, store);
        })
    }

    fn feed<T>(
        &self,
        generation: u64,
        now: Millis,
        act: impl FnOnce(&mut Intake, &mut Store<'_>) -> T,
    ) -> Result<T, Superseded> {
        // Before the lock: other streams may be asked for blocks.
        self.arena.reclaim();
        let mut state = self.published(generation)?;
        let (intake, mut store) = state.parts();
        let result = act(intake, &mut store);
        let is_urgent = state.intake.take_urgency();
        let StreamState { log, audience, .. } = &mut *state;
        audience.note_arrivals(log, is_urgent, now);
        self.notify_hls(&mut state);
        Ok(result)
    }

    /// Gives up the oldest message, so that a message under assembly finds a block.
    pub fn evict_oldest(&self, generation: u64) -> bool {
        self.arena.reclaim();
        self.published(generation)
            .is_ok_and(|mut state| state.evict(Log::evict_oldest))
    }

    /// Offers every subscriber what it hasn't got yet, unless the messages are to wait for
    /// company. The publisher's thread calls this after each read.
    pub fn pump(&self, now: Millis) -> Pumped {
        let mut state = lock(&self.state);
        if state.audience.is_waiting(now) {
            return Pumped {
                is_waiting: true,
                ..Pumped::default()
            };
        }
        let has_unsent = state.pump(now);
        let is_live = state.life.is_live();
        let (intake, mut store) = state.parts();
        let findings = intake.examine(is_live, &mut store, now);
        Pumped {
            has_unsent,
            is_waiting: false,
            skips: state.audience.take_skips(),
            findings,
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
        let (intake, mut store) = state.parts();
        intake.end_publish(&mut store);
        // What waited for company has waited long enough.
        state.audience.hurry();
        state.hls.cut_off();
        self.notify_hls(&mut state);
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
                state.end(Over::Unpublished, now);
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
        state.end(Over::ShuttingDown, now);
        self.changed.notify();
        self.grown.notify();
    }

    /// Attaches a subscriber. It is sent nothing before it is pumped.
    pub fn subscribe(&self, subscriber: Subscriber, now: Millis) -> Result<(), Closed> {
        let mut state = lock(&self.state);
        if state.life.has_ended() {
            return Err(Closed);
        }
        let StreamState { log, audience, .. } = &mut *state;
        audience.join(subscriber, log, now);
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
        let StreamState {
            intake,
            log,
            audience,
            ..
        } = &mut *state;
        audience.pump_one(id, log, intake, now, act)
    }

    /// Detaches a subscriber; returns what it was sent.
    pub fn leave(&self, id: u64) -> Option<Delivered> {
        let delivered = lock(&self.state).audience.leave(id)?;
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
        let preamble = lock(&self.state).intake.own_preamble();
        let header = |slot| preamble.header(slot).map(<[u8]>::to_vec);
        (header(Slot::Video(0)), header(Slot::Audio(0)))
    }

    /// Whether the stream is published, or was and is waiting for its publisher.
    pub fn was_published(&self) -> bool {
        lock(&self.state).life.generation() > 0
    }

    /// The content type of an MP4 file of the stream; `None` while nothing is published that such a
    /// file can hold.
    pub fn content_type(&self) -> Option<String> {
        let state = lock(&self.state);
        let presentation = &state.intake.tracks().presentation;
        let has_any = presentation.video.is_some() || presentation.audio.is_some();
        let is_there = state.life.is_live() && state.intake.are_tracks_known();
        (is_there && has_any).then(|| presentation.content_type())
    }

    /// The stream's figures.
    pub fn snapshot(&self) -> Snapshot {
        let state = lock(&self.state);
        Snapshot {
            is_live: state.life.is_live(),
            subscribers: state.audience.len(),
            blocks: state.log.blocks_held(),
        }
    }

    /// The viewer with the next higher number.
    pub fn viewer_after(&self, id: u64, now: Millis) -> Option<ViewerReport> {
        let state = lock(&self.state);
        let subscriber = state.audience.viewer_after(id, &state.log, now);
        subscriber.or_else(|| state.hls.viewer_after(id, now))
    }

    /// All that is known of the stream and its receivers.
    pub fn report(&self, now: Millis) -> StreamReport {
        let state = lock(&self.state);
        let publisher = state.life.publisher();
        let report = StreamReport {
            is_live: publisher.is_some(),
            publishes: state.life.generation(),
            publisher: publisher.map(|publisher| (publisher.connection, publisher.address)),
            blocks: state.log.blocks_held(),
            hls_viewers: state.hls.viewers(now),
            ..state.intake.report(now)
        };
        state.audience.complete(report, &state.log, now)
    }

    fn published(&self, generation: u64) -> Result<MutexGuard<'_, StreamState>, Superseded> {
        let state = lock(&self.state);
        if state.life.is_published_by(generation) {
            Ok(state)
        } else {
            Err(Superseded)
        }
    }
}

impl Holder for Mutex<StreamState> {
    fn give_up(&self, count: usize) {
        let mut state = match self.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The thread that works on it gives up blocks itself when it takes the next one.
            Err(TryLockError::WouldBlock) => return,
        };
        state.evict(|log| log.give_up(count));
    }
}

impl StreamState {
    /// The intake, and where its messages go.
    fn parts(&mut self) -> (&mut Intake, Store<'_>) {
        let StreamState {
            intake, log, hls, ..
        } = self;
        (intake, Store { log, hls })
    }

    /// Offers all subscribers what there is. True if some socket didn't take all of it.
    fn pump(&mut self, now: Millis) -> bool {
        let StreamState {
            intake,
            log,
            audience,
            ..
        } = self;
        audience.pump(log, intake, now)
    }

    /// Evicts messages for lack of memory.
    fn evict<T>(&mut self, act: impl FnOnce(&mut Log) -> T) -> T {
        let was_joinable = self.log.join_point().is_some();
        let result = act(&mut self.log);
        self.intake.note_eviction(was_joinable, &self.log);
        result
    }

    /// The audience at this moment.
    fn demand(&self, now: Millis) -> Demand {
        Demand {
            has_subscribers: self.audience.len() > 0,
            hls_for: self.hls.wanted_for(now),
        }
    }

    fn end(&mut self, over: Over, now: Millis) {
        self.life.close();
        self.hls.cut_off();
        self.audience.queue_last_words(over);
        // What slow subscribers haven't got yet stays in the log until they have left.
        self.pump(now);
    }
}
