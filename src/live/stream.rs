//! A stream: its life, intake, log, audience and HLS segments behind one lock.
//!
//! ```text
//! publisher's thread   publish, append, append, append, pump (after each read), unpublish, advance
//! player's thread      subscribe, then pump itself (on its tick and after control bytes), leave
//! ```
//!
//! The lock is a plain `Mutex`: nothing that can block happens while it is held. A pump sends under it
//! on purpose: the slices borrow the log, and none of the sends waits.

mod audience;
mod hls;
mod publish;
mod recording;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, TryLockError};

use super::arena::{Arena, Holder};
use super::finding::{Finding, RecordingTrouble};
use super::hls::{FEW_LEN, Hls, HlsViewer};
pub use super::intake::Appended;
use super::intake::{Intake, Store, TRACKS_COST};
use super::life::{Life, LifeStep};
use super::log::Log;
pub use super::out::desk::Desks;
use super::out::request::JoinRequest;
use super::out::subscriber::{PlayEnd, Skip, Subscriber};
use super::report::{Delivered, StreamReport, ViewerReport};
use super::signal::Signal;
use super::{Millis, lock};
use crate::media::TrackInfo;
use crate::rtmp::server_session::Over;
use crate::rtmp::stream_key::StreamKey;
use audience::Audience;
use recording::Readers;
pub use recording::{LogSpan, RecordPlace};

/// The heap memory of a stream besides its blocks, in bytes: its state, its entry in the table, and
/// its lists. Its name is counted separately.
pub const STREAM_COST: usize = 2472;

const _: () = assert!(size_of::<Stream>() + size_of::<StreamState>() + 128 <= STREAM_COST);

/// The heap memory that a publish adds, in bytes, apart from data that is paid for as it arrives: the
/// HLS lists without a block, the first tracks, and lists of headers and versions.
pub const PUBLISH_COST: usize = FEW_LEN + 3 * TRACKS_COST + 512;

/// The settings and resources that all streams of a server share.
#[derive(Clone)]
pub struct StreamSettings {
    /// The arena from which the logs take blocks.
    pub arena: Arena,
    /// How long a log keeps messages for receivers that are behind, in ms, while blocks last.
    pub history: Millis,
    /// The lag at which a subscriber is moved to a newer keyframe, in ms.
    pub max_lag: Millis,
    /// The maximum time that messages may wait for others before they are sent together, in ms.
    pub batch: Millis,
    /// How long the newest messages are kept for pre-roll and for requests of the last seconds, in ms,
    /// while blocks are free.
    pub kept: Millis,
    /// Whether HLS is served, so that segments for a playlist are kept while memory is free.
    pub is_hls_served: bool,
    /// The buffers of pumps.
    pub desks: Desks,
}

/// The stream was closed between look-up and use: look it up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Another publisher has taken over, so the connection of the replaced one should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded;

/// The outcome of a pump.
#[derive(Debug, Default)]
pub struct Pumped {
    /// Whether some socket didn't accept all bytes.
    pub has_unsent: bool,
    /// Whether messages wait for others (see [`StreamSettings::batch`]).
    pub is_waiting: bool,
    /// Subscribers that were moved to a newer keyframe; to be logged.
    pub skips: Vec<Skip>,
    /// New findings about what the publisher sends, to be logged.
    pub findings: Vec<Finding>,
    /// An HLS viewer that has stopped watching; to be logged.
    pub gone: Option<HlsViewer>,
}

/// The work left after a publish has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Whether the stream has just ended because its publisher did not return; to be logged.
    pub has_ended: bool,
    /// The latest time at which to look again. `None`: the stream is another publisher's or closed.
    pub until: Option<Millis>,
}

/// See the module's documentation.
pub struct Stream {
    key: StreamKey,
    arena: Arena,
    /// When the publisher was last heard from. Outside the lock, since every read sets it.
    heard: AtomicU64,
    state: Arc<Mutex<StreamState>>,
    /// Notified when a publisher arrives, a subscriber leaves, or the stream ends.
    changed: Signal,
    /// Notified when a segment or part that requests wait for is complete, or the stream ends.
    grown: Signal,
}

/// The state behind a stream's lock.
struct StreamState {
    life: Life,
    intake: Intake,
    log: Log,
    audience: Audience,
    hls: Hls,
    /// What is wrong with the recording of the stream. Kept here, since it outlives a publish.
    recording_trouble: Option<RecordingTrouble>,
    readers: Readers,
    /// What comes before this message was recorded, or is left to a recorder that is about to end.
    recorded_to: u64,
}

impl Stream {
    /// Creates a stream without a publisher and subscribers.
    pub fn new(key: StreamKey, settings: &StreamSettings) -> Stream {
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
                recording_trouble: None,
                readers: Readers::new(settings.kept),
                recorded_to: 0,
            })),
            changed: Signal::default(),
            grown: Signal::default(),
        }
    }

    /// The stream's name.
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Offers every subscriber the bytes that it hasn't got yet, unless the messages should wait for
    /// others. The publisher's thread calls this after each read.
    pub fn pump(&self, now: Millis) -> Pumped {
        let state = &mut *lock(&self.state);
        if state.audience.is_waiting(now) {
            return Pumped {
                is_waiting: true,
                ..Pumped::default()
            };
        }
        let has_unsent = state.pump(now);
        let is_live = state.life.is_live();
        Pumped {
            has_unsent,
            is_waiting: false,
            skips: std::mem::take(&mut state.audience.skips),
            // Even if nothing arrived, because silence is a finding, too.
            findings: state.take_in(now, |intake, store| intake.examine(is_live, store)),
            gone: state.hls.take_gone(now),
        }
    }

    /// Ends the stream, even if it is published, because the server stops.
    pub fn close(&self, now: Millis) {
        let mut state = lock(&self.state);
        state.end(Over::ShuttingDown, now);
        state.stop_draining(now);
        self.changed.notify();
        self.grown.notify();
    }

    /// Attaches a subscriber. It is sent nothing until it is pumped.
    pub fn subscribe(&self, request: JoinRequest, now: Millis) -> Result<(), Closed> {
        let state = &mut *lock(&self.state);
        if state.life.has_ended() {
            return Err(Closed);
        }
        state.audience.join(request, &mut state.log, now);
        state.note_viewers(now);
        Ok(())
    }

    /// Applies `act` to a subscriber, then pumps it. Returns whether something is left unsent; the
    /// error is the reason why it must be removed.
    pub fn with_subscriber(
        &self,
        id: u64,
        now: Millis,
        act: impl FnOnce(&mut Subscriber),
    ) -> Result<bool, PlayEnd> {
        let state = &mut *lock(&self.state);
        let audience = &mut state.audience;
        audience.pump_one(id, &mut state.log, &state.intake, now, act)
    }

    /// Detaches a subscriber. Returns what it was sent.
    pub fn leave(&self, id: u64) -> Option<Delivered> {
        // The thread that awaits the publisher may have waited only because of this viewer.
        let delivered = lock(&self.state).audience.leave(id)?;
        self.changed.notify();
        Some(delivered)
    }

    /// Closes the stream if it has neither a publisher nor an audience. Returns whether it is closed
    /// and no longer needs to be found.
    pub(super) fn close_unused(&self, now: Millis) -> bool {
        let mut state = lock(&self.state);
        if state.step(now) == LifeStep::Close {
            state.life.close();
        }
        state.life.is_closed()
    }

    /// The first tracks of the current or last publish, as described by their sequence headers: video,
    /// audio.
    pub fn track_infos(&self) -> [Option<TrackInfo>; 2] {
        lock(&self.state).intake.track_infos()
    }

    /// Whether the stream is published, or was published and waits for its publisher.
    pub fn was_published(&self) -> bool {
        lock(&self.state).life.generation > 0
    }

    /// The content type of an MP4 file of the stream; `None` while nothing is published that an MP4
    /// file can hold.
    pub fn content_type(&self) -> Option<String> {
        let state = lock(&self.state);
        let presentation = &state.intake.tracks.presentation;
        let has_any = presentation.video.is_some() || presentation.audio.is_some();
        let is_there = state.life.is_live() && state.intake.are_tracks_known();
        (is_there && has_any).then(|| presentation.content_type())
    }

    /// Whether the stream has ended: another one with its name will be another stream.
    pub fn has_ended(&self) -> bool {
        lock(&self.state).life.has_ended()
    }

    /// Whether the stream is published.
    pub fn is_live(&self) -> bool {
        lock(&self.state).life.is_live()
    }

    /// The viewer with the next higher id.
    pub fn viewer_after(&self, id: u64, now: Millis) -> Option<ViewerReport> {
        let state = lock(&self.state);
        let subscriber = state.audience.viewer_after(id, &state.log, now);
        subscriber.or_else(|| state.hls.viewer_after(id, now))
    }

    /// The age of the oldest message that a subscriber hasn't got yet, in ms.
    pub fn lag_of(&self, subscriber: u64, now: Millis) -> Millis {
        let state = lock(&self.state);
        state.audience.lag_of(subscriber, &state.log, now)
    }

    /// Notes what is wrong with the recording of the stream, for its list of findings; `None` if it is
    /// fine, or has ended. Returns whether the trouble is of another kind than before, so that the
    /// recorder has to log it.
    pub fn set_recording_trouble(&self, trouble: Option<RecordingTrouble>) -> bool {
        let old = std::mem::replace(&mut lock(&self.state).recording_trouble, trouble);
        old.as_ref().map(std::mem::discriminant) != trouble.as_ref().map(std::mem::discriminant)
    }

    /// A report on the stream and its receivers.
    pub fn report(&self, now: Millis) -> StreamReport {
        let state = lock(&self.state);
        let publisher = state.life.publisher();
        let mut report = StreamReport {
            is_live: publisher.is_some(),
            publishes: state.life.generation,
            publisher: publisher.map(|publisher| (publisher.connection, publisher.address)),
            blocks: state.log.blocks_held(),
            hls_viewers: state.hls.viewer_count(now),
            ..state.intake.report(now)
        };
        let trouble = state.recording_trouble.map(Finding::Recording);
        report.findings.extend(trouble);
        state.audience.complete(report, &state.log, now)
    }
}

impl Holder for Mutex<StreamState> {
    fn give_up(&self, count: usize) {
        let mut state = match self.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The thread that holds the lock gives up blocks itself when it takes the next one.
            Err(TryLockError::WouldBlock) => return,
        };
        state.evict(|log| log.give_up(count));
    }
}

impl StreamState {
    /// Applies `act` to the intake, which stores messages in the log.
    fn take_in<T>(&mut self, now: Millis, act: impl FnOnce(&mut Intake, &mut Store<'_>) -> T) -> T {
        let (log, hls) = (&mut self.log, &mut self.hls);
        act(&mut self.intake, &mut Store { log, hls, now })
    }

    /// Offers all subscribers the bytes that they haven't got yet. Returns whether a socket didn't
    /// accept all of them.
    fn pump(&mut self, now: Millis) -> bool {
        self.audience.pump(&mut self.log, &mut self.intake, now)
    }

    /// Evicts messages for lack of memory.
    fn evict<T>(&mut self, act: impl FnOnce(&mut Log) -> T) -> T {
        let was_joinable = self.log.join_point().is_some();
        let result = act(&mut self.log);
        self.intake.note_eviction(was_joinable, &self.log);
        result
    }

    /// Notes the number of viewers of all kinds.
    fn note_viewers(&mut self, now: Millis) {
        self.audience.note_viewers(self.hls.viewer_count(now));
    }

    /// Returns the next step in the stream's life.
    fn step(&self, now: Millis) -> LifeStep {
        let hls_for = self.hls.watched_for(now);
        let has_recorder = self.readers.has_recorder();
        self.life
            .step(self.audience.len() > 0, has_recorder, hls_for, now)
    }

    fn end(&mut self, over: Over, now: Millis) {
        // This comes first, so that no viewer joins any more.
        self.life.close();
        self.hls.cut_off();
        // Messages that slow subscribers haven't got yet stay in the log until they have left.
        self.audience.drain(over);
        self.pump(now);
    }

    /// Tells subscribers that haven't got everything before the end that it is over.
    fn stop_draining(&mut self, now: Millis) {
        self.audience.stop_draining();
        self.pump(now);
    }
}
