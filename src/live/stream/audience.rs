//! The subscribers of a stream, the pump that sends them the log's messages, and the totals of bytes
//! sent.

use crate::allowance::{push, shrink};
use crate::live::byte_rate::ByteRate;
use crate::live::intake::Intake;
use crate::live::log::{Log, Needs};
use crate::live::out::desk::Desks;
use crate::live::out::request::JoinRequest;
use crate::live::out::subscriber::{PlayEnd, Skip, Subscriber};
use crate::live::report::{Delivered, StreamReport, ViewerReport, Viewers};
use crate::live::{Millis, When};
use crate::rtmp::server_session::Over;

/// The maximum number of skips that wait to be logged.
const MAX_SKIPS: usize = 16;

/// See the module's documentation.
pub(super) struct Audience {
    /// How long messages may wait for others before they are sent, in ms.
    batch: u32,
    /// The lag at which a subscriber is moved to a newer keyframe, in ms.
    max_lag: u32,
    desks: Desks,
    subscribers: Vec<Subscriber>,
    /// Messages before this one have been offered to all subscribers.
    pumped_to: u64,
    /// The time until which messages that haven't been offered may wait; none if there are no such
    /// messages.
    due: When,
    /// A few skips that haven't been logged.
    pub(super) skips: Vec<Skip>,
    peak_viewers: usize,
    /// The figures of fetches, and of subscribers that have left.
    past: Delivered,
    /// The rate of bytes sent and fetched.
    rate: ByteRate,
    /// The number of bytes that are counted in `rate`.
    rated: u64,
}

impl Audience {
    pub(super) fn new(batch: Millis, max_lag: Millis, desks: Desks) -> Audience {
        // Without `..default()`, which would put a second one on the stack of a thread that joins.
        Audience {
            batch: batch.try_into().unwrap_or(u32::MAX),
            max_lag: max_lag.try_into().unwrap_or(u32::MAX),
            desks,
            subscribers: Vec::new(),
            pumped_to: 0,
            due: When::default(),
            skips: Vec::new(),
            peak_viewers: 0,
            past: Delivered::default(),
            rate: ByteRate::default(),
            rated: 0,
        }
    }

    /// The number of subscribers.
    pub(super) fn len(&self) -> usize {
        self.subscribers.len()
    }

    /// Attaches a subscriber.
    pub(super) fn join(&mut self, request: JoinRequest, log: &mut Log, now: Millis) {
        let subscriber = Subscriber::new(request, log, now);
        push(&mut self.subscribers, subscriber);
        self.note_needs(log);
    }

    /// Notes the number of viewers, `by_hls` of which watch by HLS.
    pub(super) fn note_viewers(&mut self, by_hls: usize) {
        let viewers = self.viewers().count() + by_hls;
        self.peak_viewers = self.peak_viewers.max(viewers);
    }

    fn viewers(&self) -> impl Iterator<Item = &Subscriber> {
        self.subscribers.iter().filter(|of| of.is_viewer())
    }

    /// Detaches a subscriber.
    pub(super) fn leave(&mut self, id: u64) -> Option<Delivered> {
        let index = self.index_of(id)?;
        let subscriber = self.subscribers.swap_remove(index);
        let delivered = subscriber.delivered();
        // After a crowd has left, its memory must not be kept.
        shrink(&mut self.subscribers);
        if subscriber.is_viewer() {
            self.past.add(delivered);
        }
        Some(delivered)
    }

    fn index_of(&self, id: u64) -> Option<usize> {
        self.subscribers.iter().position(|other| other.id == id)
    }

    /// Notes that messages may have been appended, and whether one of them must not wait.
    pub(super) fn note_arrivals(&mut self, log: &Log, is_urgent: bool, now: Millis) {
        if is_urgent {
            self.hurry();
        } else if log.end() > self.pumped_to {
            self.due.get_or_set(now + Millis::from(self.batch));
        }
    }

    /// Whether the messages that have arrived should wait for more.
    pub(super) fn is_waiting(&self, now: Millis) -> bool {
        self.due.get().is_some_and(|due| now < due)
    }

    /// Makes the messages that wait due at once.
    pub(super) fn hurry(&mut self) {
        self.due = When::at(0);
    }

    /// Offers all subscribers the bytes that they haven't got yet. Returns whether a socket didn't
    /// accept all of them.
    pub(super) fn pump(&mut self, log: &mut Log, intake: &mut Intake, now: Millis) -> bool {
        self.due = When::default();
        intake.note_pump();
        // Messages that several subscribers get in the same form are framed once, on the stage.
        let mut desk = self.desks.take();
        desk.stage
            .begin(self.pumped_to, log, self.subscribers.len());
        self.pumped_to = log.end();
        let view = intake.view(log, self.max_lag.into(), now);
        let mut has_unsent = false;
        let mut needs = Needs::NOTHING;
        let mut total = self.past.bytes;
        for subscriber in &mut self.subscribers {
            has_unsent |= subscriber.pump(&view, &mut desk);
            // Messages that all subscribers have been sent may leave the log.
            needs = needs.and(subscriber.needs());
            if subscriber.is_viewer() {
                total += subscriber.delivered().bytes;
            }
        }
        // The total only grows: a subscriber's figures move to `past` when it leaves.
        self.rate.add(total.saturating_sub(self.rated), now);
        self.rated = total;
        self.note_skips(&mut desk.skips);
        self.desks.put(desk);
        log.set_needs(needs);
        has_unsent
    }

    /// Applies `act` to a subscriber, and offers it the bytes that it hasn't got yet. Returns whether
    /// its socket didn't accept all of them.
    pub(super) fn pump_one(
        &mut self,
        id: u64,
        log: &mut Log,
        intake: &Intake,
        now: Millis,
        act: impl FnOnce(&mut Subscriber),
    ) -> Result<bool, PlayEnd> {
        let Some(index) = self.index_of(id) else {
            return Ok(false);
        };
        act(&mut self.subscribers[index]);
        let has_unsent = self.offer(index, log, intake, now);
        match self.subscribers[index].end() {
            Some(end) => Err(end.clone()),
            None => Ok(has_unsent),
        }
    }

    // Separate from the generic function, which is compiled for each of many kinds of `act`.
    fn offer(&mut self, index: usize, log: &mut Log, intake: &Intake, now: Millis) -> bool {
        let mut desk = self.desks.take();
        let view = intake.view(log, self.max_lag.into(), now);
        let has_unsent = self.subscribers[index].pump(&view, &mut desk);
        self.note_skips(&mut desk.skips);
        self.desks.put(desk);
        self.note_needs(log);
        has_unsent
    }

    fn note_skips(&mut self, skips: &mut Vec<Skip>) {
        self.skips.append(skips);
        // A crowd of slow players must not fill the memory or the log file.
        self.skips.truncate(MAX_SKIPS);
    }

    /// Notifies the log of the messages that the subscribers still need.
    fn note_needs(&self, log: &mut Log) {
        let needs = self.subscribers.iter().map(Subscriber::needs);
        log.set_needs(needs.fold(Needs::NOTHING, Needs::and));
    }

    /// Lets each subscriber get what is left of a stream that is over, and then the last bytes of its
    /// framing.
    pub(super) fn drain(&mut self, over: Over) {
        self.subscribers.iter_mut().for_each(|of| of.drain(over));
    }

    /// Doesn't wait any longer for subscribers that haven't got everything before the end.
    pub(super) fn stop_draining(&mut self) {
        self.subscribers
            .iter_mut()
            .for_each(Subscriber::stop_draining);
    }

    /// Disconnects the subscribers that have been sent everything and haven't hung up.
    pub(super) fn disconnect_finished(&self) {
        let all = self.subscribers.iter();
        all.for_each(Subscriber::disconnect_finished);
    }

    /// The age of the oldest message that a subscriber hasn't got yet, in ms.
    pub(super) fn lag_of(&self, id: u64, log: &Log, now: Millis) -> Millis {
        let index = self.index_of(id);
        index.map_or(0, |index| self.subscribers[index].report(log, now).lag)
    }

    /// The viewer with the next higher id.
    pub(super) fn viewer_after(&self, id: u64, log: &Log, now: Millis) -> Option<ViewerReport> {
        let later = self.viewers().filter(|viewer| viewer.id > id);
        let next = later.min_by_key(|viewer| viewer.id)?;
        Some(next.report(log, now))
    }

    /// Notes the number of bytes that were fetched.
    pub(super) fn note_fetched(&mut self, bytes: u64, now: Millis) {
        self.past.bytes += bytes;
        // The next pump subtracts `rated` from a total that includes `past`, so these bytes aren't
        // counted twice.
        self.rated += bytes;
        self.rate.add(bytes, now);
    }

    /// Completes a report with the figures of present and earlier receivers.
    pub(super) fn complete(&self, report: StreamReport, log: &Log, now: Millis) -> StreamReport {
        let mut viewers = Viewers::default();
        for viewer in self.viewers() {
            viewers.add(&viewer.report(log, now));
        }
        let mut all = self.past;
        all.add(viewers.delivered);
        let age = now.saturating_sub(report.since);
        StreamReport {
            bytes_out: all.bytes,
            bits_out: self.rate.bits_per_second(age, now),
            skips: all.skips.into(),
            skipped_messages: all.skipped_messages,
            peak_viewers: self.peak_viewers,
            viewers,
            ..report
        }
    }
}
