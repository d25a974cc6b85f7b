//! A push of one stream, or a pull, as its thread and others see it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::live::byte_rate::ByteRate;
use crate::live::out::sink::Sink;
use crate::live::signal::Signal;
use crate::live::{Millis, lock};
use crate::media::decimal::Tenths;
use crate::net::socket::Socket;
use crate::relay::back_off::Failure;
use crate::relay::course::Course;
use crate::relay::report::RelayReport;
use crate::url::Url;

/// See the module's documentation.
pub(in crate::server) struct Run {
    /// The number of the push or pull.
    pub(in crate::server) id: u64,
    /// The name of the stream.
    pub(in crate::server) stream: String,
    /// The other server.
    pub(in crate::server) url: Url,
    is_on_demand: bool,
    is_stopped: AtomicBool,
    /// The time up to which somebody waits for the stream who isn't known to it yet.
    wanted_until: AtomicU64,
    state: Mutex<State>,
    /// Notified when the run is stopped.
    woken: Signal,
}

#[derive(Default)]
struct State {
    course: Course,
    /// The socket from which the thread reads.
    socket: Option<Arc<Socket>>,
    bytes: u64,
    /// The number of bytes of the present connection that are counted.
    counted: u64,
    rate: ByteRate,
    lag: Millis,
    skips: u64,
    /// The number of skips of the present connection that are counted.
    counted_skips: u64,
    /// When the first byte was counted.
    since: Option<Millis>,
}

impl Run {
    pub(super) fn new(id: u64, stream: &str, url: Url, is_on_demand: bool) -> Run {
        Run {
            id,
            stream: stream.to_owned(),
            url,
            is_on_demand,
            is_stopped: AtomicBool::new(false),
            wanted_until: AtomicU64::new(0),
            state: Mutex::default(),
            woken: Signal::default(),
        }
    }

    /// Whether the thread should end.
    pub(in crate::server) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Asks the thread to end, and wakes it.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        let state = lock(&self.state);
        if let Some(socket) = &state.socket {
            socket.stop_reading();
        }
        self.woken.notify();
    }

    /// Wakes a pull on demand, for somebody who waits until then.
    pub(super) fn want(&self, until: Millis) {
        self.wanted_until.fetch_max(until, Ordering::Relaxed);
        self.wake();
    }

    /// Wakes the thread, if it sleeps.
    pub(super) fn wake(&self) {
        let _state = lock(&self.state);
        self.woken.notify();
    }

    /// Whether somebody waits for the stream who isn't known to it yet.
    pub(super) fn is_wanted(&self, now: Millis) -> bool {
        now < self.wanted_until.load(Ordering::Relaxed)
    }

    /// Cuts the connection, whatever is left to be sent.
    pub(super) fn cut(&self) {
        if let Some(socket) = &lock(&self.state).socket {
            socket.shutdown();
        }
    }

    /// Waits for at most this long, in ms, or until the run is stopped.
    pub(in crate::server) fn sleep(&self, ms: Millis) {
        let state = lock(&self.state);
        if !self.is_stopped() {
            drop(self.woken.wait(state, Duration::from_millis(ms)));
        }
    }

    /// Notes the socket that the thread reads from now on, so that [`stop`](Self::stop) wakes it.
    pub(in crate::server) fn hold(&self, socket: Option<Arc<Socket>>) {
        let mut state = lock(&self.state);
        if let Some(socket) = socket.as_ref().filter(|_| self.is_stopped()) {
            socket.stop_reading();
        }
        state.socket = socket;
        (state.counted, state.counted_skips, state.lag) = (0, 0, 0);
    }

    /// Changes the state.
    pub(in crate::server) fn with_course<T>(&self, act: impl FnOnce(&mut Course) -> T) -> T {
        act(&mut lock(&self.state).course)
    }

    /// Notes the figures of the present connection: bytes and skips since it began, and the lag.
    pub(in crate::server) fn note(&self, bytes: u64, skips: u64, lag: Millis, now: Millis) {
        let state = &mut *lock(&self.state);
        let new = bytes.saturating_sub(state.counted);
        state.skips += skips.saturating_sub(state.counted_skips);
        (state.counted, state.counted_skips, state.lag) = (bytes, skips, lag);
        state.bytes += new;
        if new > 0 {
            state.since.get_or_insert(now);
            state.rate.add(new, now);
        }
    }

    /// Notes and logs that `who` has failed. Returns the time of the next attempt.
    pub(super) fn fail(
        &self,
        who: &dyn fmt::Display,
        failure: Failure,
        why: String,
        now: Millis,
    ) -> Millis {
        let mut random = [0; 4];
        let _ = getrandom::fill(&mut random);
        let (said, random) = (why.clone(), u32::from_ne_bytes(random));
        let next = self.with_course(|course| course.fail(failure, why, random, now));
        let seconds = Tenths(next - now);
        let stop = if said.ends_with(['.', '?', '!']) {
            ""
        } else {
            "."
        };
        log::warn!("{who}: {said}{stop} Next attempt in {seconds} s");
        next
    }

    pub(super) fn report(&self, now: Millis) -> RelayReport {
        let state = lock(&self.state);
        let age = state.since.map_or(0, |since| now.saturating_sub(since));
        state.course.complete(RelayReport {
            id: self.id,
            stream: self.stream.clone(),
            target: self.url.masked(),
            bytes: state.bytes,
            bits_per_second: state.rate.bits_per_second(age, now),
            lag: state.lag,
            skips: state.skips,
            is_on_demand: self.is_on_demand,
            ..RelayReport::default()
        })
    }

    /// Notes that a socket isn't read any more.
    pub(in crate::server) fn let_go(&self, socket: &Arc<Socket>) {
        let held = &mut lock(&self.state).socket;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, socket)) {
            *held = None;
        }
    }
}
