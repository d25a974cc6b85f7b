//! The course of a push or a pull: from one state to the next.
//!
//! ```text
//! waiting --> connecting --> live <--> stalled
//!    ^         ^      |        |          |
//!    |         |      v        v          v
//!    |         +--- backing off <---------+
//!    +--- whenever there is nothing to be done
//! ```

use super::back_off::{BackOff, Failure};
use super::report::{RelayReport, RelayState};
use super::stall::Pace;
use crate::live::Millis;

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    state: RelayState,
    since: Millis,
    why: Option<String>,
    attempts: u32,
    next_try: Option<Millis>,
    connections: u64,
    back_off: BackOff,
    /// The time of which media has flowed in this connection without a stall, up to now.
    flowing_since: Option<Millis>,
}

impl Course {
    /// The state.
    pub(crate) fn state(&self) -> RelayState {
        self.state
    }

    /// Nothing is to be done, for this reason.
    pub(crate) fn wait(&mut self, why: Option<&str>, now: Millis) {
        self.enter(RelayState::Waiting, now);
        self.flowing_since = None;
        self.why = why.map(str::to_owned);
    }

    /// An attempt begins.
    pub(crate) fn connect(&mut self, now: Millis) {
        self.enter(RelayState::Connecting, now);
    }

    /// There is a connection, on which media may flow. It counts as live once [`look`](Self::look) has
    /// seen bytes move.
    pub(crate) fn connected(&mut self) {
        self.connections += 1;
        self.flowing_since = None;
    }

    /// Notes how the connection is doing. Returns whether the state has changed; to be logged.
    pub(crate) fn look(&mut self, pace: Pace, now: Millis) -> bool {
        let state = match pace {
            Pace::Moving => RelayState::Live,
            Pace::Stalled | Pace::Dead => RelayState::Stalled,
            Pace::Idle => self.state,
        };
        if state == RelayState::Live {
            let since = *self.flowing_since.get_or_insert(now);
            self.back_off.note_media(now.saturating_sub(since));
            self.attempts = 0;
            self.why = None;
        } else {
            self.flowing_since = None;
        }
        let has_changed = state != self.state;
        self.enter(state, now);
        has_changed
    }

    /// An attempt or a connection has failed. Returns the time of the next attempt. `why` must not
    /// contain secrets; `random` is any number.
    pub(crate) fn fail(
        &mut self,
        failure: Failure,
        why: String,
        random: u32,
        now: Millis,
    ) -> Millis {
        self.enter(RelayState::BackingOff, now);
        self.flowing_since = None;
        self.why = Some(why);
        self.attempts = self.attempts.saturating_add(1);
        let next = now + self.back_off.after(failure, random);
        self.next_try = Some(next);
        next
    }

    /// Adds state and history to a report.
    pub(crate) fn complete(&self, report: RelayReport) -> RelayReport {
        RelayReport {
            state: self.state,
            since: self.since,
            why: self.why.clone(),
            attempts: self.attempts,
            next_try: self.next_try,
            connections: self.connections,
            ..report
        }
    }

    fn enter(&mut self, state: RelayState, now: Millis) {
        if state != self.state || state == RelayState::Connecting {
            self.since = now;
        }
        self.state = state;
        self.next_try = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RelayState::{BackingOff, Connecting, Live, Stalled, Waiting};

    const MEAN: u32 = 1 << 31;

    fn fail(course: &mut Course, now: Millis) -> Millis {
        course.fail(Failure::Lost, "no".to_owned(), MEAN, now) - now
    }

    #[test]
    fn a_push_goes_its_course() {
        let mut course = Course::default();
        assert_eq!(course.state(), Waiting);
        course.connect(10);
        assert_eq!(course.state(), Connecting);
        assert_eq!(fail(&mut course, 20), 1000);
        let report = course.complete(RelayReport::default());
        assert_eq!((report.state, report.since), (BackingOff, 20));
        assert_eq!((report.attempts, report.next_try), (1, Some(1020)));
        assert_eq!(report.why.as_deref(), Some("no"));

        course.connect(1020);
        course.connected();
        // The server has said yes, but has taken nothing.
        assert!(!course.look(Pace::Idle, 1030));
        assert_eq!(course.state(), Connecting);
        assert!(course.look(Pace::Moving, 1040));
        let report = course.complete(RelayReport::default());
        assert_eq!((report.state, report.attempts), (Live, 0));
        assert_eq!((report.why, report.next_try), (None, None));
        assert!(course.look(Pace::Stalled, 9000));
        assert_eq!(course.state(), Stalled);
        assert!(course.look(Pace::Moving, 9500));
        course.wait(Some("its publisher is away"), 9600);
        assert_eq!(course.state(), Waiting);
    }

    #[test]
    fn a_connection_that_lasts_makes_up_for_earlier_failures_and_a_short_one_does_not() {
        let mut course = Course::default();
        assert_eq!(fail(&mut course, 0), 1000);
        for (from, to, next) in [(1_000, 2_000, 1750), (10_000, 39_000, 3062)] {
            course.connected();
            course.look(Pace::Moving, from);
            course.look(Pace::Moving, to);
            assert_eq!(fail(&mut course, to), next);
        }
        // A stall interrupts the count.
        course.connected();
        course.look(Pace::Moving, 50_000);
        course.look(Pace::Stalled, 70_000);
        course.look(Pace::Moving, 75_000);
        course.look(Pace::Moving, 85_000);
        assert_eq!(fail(&mut course, 85_000), 5358);
        course.connected();
        course.look(Pace::Moving, 100_000);
        course.look(Pace::Moving, 130_000);
        assert_eq!(fail(&mut course, 130_000), 1000);
    }

    #[test]
    fn failures_go_on_for_a_day_and_one_connection_ends_them() {
        let mut course = Course::default();
        let (mut now, mut attempts) = (0, 0);
        while now < 24 * 3_600_000 {
            course.connect(now);
            // Each attempt takes the time of one that gets no answer.
            now += 3_000;
            now = course.fail(Failure::Lost, "no answer".to_owned(), MEAN, now);
            attempts += 1;
        }
        let report = course.complete(RelayReport::default());
        assert_eq!((report.attempts, report.state), (attempts, BackingOff));
        assert_eq!(attempts, 1700);
        course.connect(now);
        course.connected();
        course.look(Pace::Moving, now);
        assert_eq!(course.complete(RelayReport::default()).attempts, 0);
    }
}
