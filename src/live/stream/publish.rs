//! The publisher's side of a stream, from publish to the end of the grace time.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use super::{Outlook, Stream, StreamState, Superseded};
use crate::live::intake::{Appended, Intake, Store};
use crate::live::life::{Accepted, Grace, LifeStep, PublishRefused, Publisher};
use crate::live::log::Log;
use crate::live::{Millis, lock};
use crate::media::Medium;
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::server_session::Over;

/// The time that subscribers have to receive the last bytes of a stream and hang up, in ms. Then they
/// are disconnected. With less time, a client behind a slow line could lose the bytes that the kernel
/// still holds for it.
const SUBSCRIBER_TAIL: Millis = 3_000;

impl Stream {
    /// Begins a publish.
    ///
    /// A publisher takes over from another one at once if it is trusted or comes from the same address,
    /// or if the other one has been silent for
    /// [`TAKEOVER_SILENCE`](crate::live::life::TAKEOVER_SILENCE). The socket of the other publisher is
    /// then shut down.
    pub fn publish(&self, publisher: Publisher, now: Millis) -> Result<Accepted, PublishRefused> {
        let mut state = lock(&self.state);
        let silence = now.saturating_sub(self.heard.load(Ordering::Relaxed));
        state.life.admit(&publisher, silence, now)?;
        // A stream that was published before has kept its account.
        if state.log.account.is_none() {
            let account = self.arena.admit(publisher.address);
            state.log.account = Some(account.map_err(PublishRefused::Full)?);
        }
        if let Some(account) = &mut state.log.account {
            account.set_running(true);
            let holder: Weak<Mutex<StreamState>> = Arc::downgrade(&self.state);
            account.set_holder(holder);
        }
        state.intake.begin_publish(&publisher.allowance, now);
        let accepted = state.life.publish(publisher, now);
        // Messages of the previous publish may still be sent to receivers that are in the middle of it,
        // but no receiver starts there any more.
        state.log.clear_join_point();
        // HLS players have to be notified of the discontinuity.
        state.hls.cut_off();
        self.notify_hls(&mut state);
        self.heard.store(now, Ordering::Relaxed);
        self.changed.notify();
        Ok(accepted)
    }

    /// Whether the publish of this generation is still running.
    pub fn is_published_by(&self, generation: u64) -> bool {
        self.published(generation).is_ok()
    }

    /// Notes that bytes were received from the publisher.
    pub fn heard(&self, now: Millis) {
        self.heard.store(now, Ordering::Relaxed);
    }

    /// Appends an audio or video message, whose payload may lie in several parts. Nothing is sent
    /// before the next [`pump`](Self::pump).
    pub fn append<'a>(
        &self,
        generation: u64,
        medium: Medium,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Result<Appended, Superseded> {
        self.feed(generation, now, |intake, store| {
            intake.take(medium, timestamp, payload, store)
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
            intake.take_data(timestamp, body, store);
        })
    }

    /// Replaces the metadata, or removes it.
    pub fn set_metadata(
        &self,
        generation: u64,
        metadata: Option<&Properties<'_>>,
        now: Millis,
    ) -> Result<(), Superseded> {
        self.feed(generation, now, |intake, store| {
            intake.set_metadata(metadata, store);
        })
    }

    fn feed<T>(
        &self,
        generation: u64,
        now: Millis,
        act: impl FnOnce(&mut Intake, &mut Store<'_>) -> T,
    ) -> Result<T, Superseded> {
        // This comes before the lock is taken, because other streams may be asked for blocks.
        self.arena.reclaim();
        let state = &mut *self.published(generation)?;
        let result = state.take_in(now, act);
        let is_urgent = std::mem::take(&mut state.intake.publish.is_urgent);
        state.audience.note_arrivals(&state.log, is_urgent, now);
        if state.readers.are_due(now) {
            state.keep_for_readers();
        }
        self.notify_hls(state);
        Ok(result)
    }

    /// Gives up the oldest message, so that a message under assembly finds a block.
    pub fn evict_oldest(&self, generation: u64) -> bool {
        self.arena.reclaim();
        self.published(generation)
            .is_ok_and(|mut state| state.evict(Log::evict_oldest))
    }

    /// Ends a publish. The subscribers stay; the stream waits for its publisher or another one. The
    /// caller must [`advance`](Self::advance) the stream until nothing is left to do.
    pub fn unpublish(&self, generation: u64, grace: Grace, now: Millis) {
        let mut state = lock(&self.state);
        if !state.life.is_published_by(generation) {
            return;
        }
        state.life.unpublish(grace);
        if let Some(account) = &mut state.log.account {
            account.set_running(false);
        }
        state.take_in(now, Intake::complete_frame);
        // Messages held back for batching must wait no longer.
        state.audience.hurry();
        state.hls.cut_off();
        self.notify_hls(&mut state);
    }

    /// Takes the steps that are due after a publish has ended. If its publisher hasn't returned in
    /// time, the stream ends: subscribers get the last bytes of their framing and are finished.
    pub fn advance(&self, generation: u64, now: Millis) -> Outlook {
        self.go_on(generation, now, false)
    }

    /// Ends the stream of a publish before its grace time is over, unless there has been another
    /// publish since.
    pub fn end(&self, generation: u64, now: Millis) -> Outlook {
        self.go_on(generation, now, true)
    }

    fn go_on(&self, generation: u64, now: Millis, is_early: bool) -> Outlook {
        let mut outlook = Outlook::default();
        let mut state = lock(&self.state);
        // Another publish has begun since, whose thread is responsible for the stream.
        if state.life.generation != generation {
            return outlook;
        }
        match state.step(now) {
            LifeStep::Stay(until) if !is_early => outlook.until = until,
            LifeStep::Stay(_) | LifeStep::End if !state.life.has_ended() => {
                outlook.has_ended = true;
                state.end(Over::Unpublished, now);
                if !is_early {
                    let until = now + state.hls.tail(now).unwrap_or(0);
                    state.life.begin_tail(until, now + SUBSCRIBER_TAIL);
                    if let LifeStep::Stay(until) = state.step(now) {
                        outlook.until = until;
                    }
                }
                if outlook.until.is_none() {
                    state.life.close();
                    state.stop_draining(now);
                }
                self.changed.notify();
                self.grown.notify();
            }
            _ => {
                state.life.close();
                state.stop_draining(now);
                state.audience.disconnect_finished();
            }
        }
        outlook
    }

    /// Waits for an event that may change the [`Outlook`], or for the timeout. May return earlier.
    pub fn wait(&self, generation: u64, timeout: Duration, now: Millis) {
        let state = lock(&self.state);
        // Checked under the lock, so that no notification is missed before the wait.
        let is_awaited = matches!(state.step(now), LifeStep::Stay(Some(_)));
        if state.life.generation == generation && is_awaited {
            drop(self.changed.wait(state, timeout));
        }
    }

    fn published(&self, generation: u64) -> Result<MutexGuard<'_, StreamState>, Superseded> {
        let state = lock(&self.state);
        let is_its_own = state.life.is_published_by(generation);
        is_its_own.then_some(state).ok_or(Superseded)
    }
}
