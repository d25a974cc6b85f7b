//! A play of a connection, from its beginning to its end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::handler::Client;
use super::lines::About;
use super::text::{megabytes, seconds};
use crate::allowance::Taken;
use crate::live::Millis;
use crate::live::out::request::JoinRequest;
use crate::live::out::subscriber::{PlayEnd, Subscriber};
use crate::live::stream::Stream;
use crate::rtmp::stream_key::StreamKey;

/// How often the thread wakes while the first burst is on its way: a publisher that sends little
/// pumps too seldom for a player that has just joined.
const BURST_TICK: Duration = Duration::from_millis(5);

/// How often the thread checks whether the last message of a play that has ended is sent completely.
const RETIRING_TICK: Duration = Duration::from_millis(20);

/// A burst that takes longer than this, in ms, is left to the publisher's pump.
const MAX_BURST: Millis = 3_000;

/// How often the thread wakes otherwise. Publishers' threads send what is left unsent; the tick is for
/// everything else, and for pings: a player that waits for a stream is pinged each time, since some
/// players hang up after 30 s of silence.
const TICK: Duration = Duration::from_secs(20);

/// See the module's documentation.
pub(super) struct Playing {
    pub(super) message_stream_id: u32,
    stream: Arc<Stream>,
    subscriber: u64,
    since: Millis,
    /// Whether a part of the first burst is still unsent.
    pub(super) is_in_burst: bool,
    /// Whether the play has ended, except for the rest of a message that has begun.
    pub(super) is_retiring: bool,
    /// Pays for the play.
    _taken: Taken,
}

/// The number of heap bytes that a play occupies besides its stream and its control bytes: the
/// subscriber (its list may have room for twice as many), the headers that are being sent, and the
/// play's entry in the connection's list.
pub(super) const PLAY_COST: usize = 896;

const _: () = assert!(2 * size_of::<Subscriber>() + 2 * size_of::<Playing>() <= PLAY_COST);

impl Playing {
    /// Attaches a subscriber to the stream of this name. `request` makes the request to join from the
    /// subscriber's number. The subscriber is sent nothing before the first [`tick`](Playing::tick).
    pub(super) fn start(
        shared: &Shared,
        key: &StreamKey,
        message_stream_id: u32,
        request: impl Fn(u64) -> JoinRequest,
        taken: Taken,
        now: Millis,
    ) -> Playing {
        let id = shared.next_subscriber();
        let stream = shared.table.with(key, now, |stream| {
            stream.subscribe(request(id), now)?;
            Ok(Arc::clone(stream))
        });
        shared.relays.watched(key);
        Playing {
            message_stream_id,
            stream,
            subscriber: id,
            since: now,
            is_in_burst: true,
            is_retiring: false,
            _taken: taken,
        }
    }

    /// The name of the stream.
    pub(super) fn key(&self) -> &StreamKey {
        self.stream.key()
    }

    /// Whether the stream is published.
    pub(super) fn is_live(&self) -> bool {
        self.stream.is_live()
    }

    /// Calls `act` on the subscriber, then pumps it. Returns whether something is left unsent.
    pub(super) fn with_subscriber(
        &self,
        now: Millis,
        act: &mut dyn FnMut(&mut Subscriber),
    ) -> Result<bool, PlayEnd> {
        self.stream.with_subscriber(self.subscriber, now, act)
    }

    /// Ends the play because a read from its socket has failed. Returns why, if the client has stalled.
    pub(super) fn lose(&self, kind: ErrorKind, now: Millis) -> Option<PlayEnd> {
        let ended = self.with_subscriber(now, &mut |subscriber| subscriber.lose(kind));
        ended.err().filter(|end| *end == PlayEnd::Stalled)
    }

    /// Sends the subscriber what it hasn't got yet. Returns whether something is left unsent.
    pub(super) fn pump(&self, now: Millis) -> Result<bool, PlayEnd> {
        self.with_subscriber(now, &mut |_| {})
    }

    /// How long the thread may sleep.
    pub(super) fn tick_interval(&self) -> Duration {
        if self.is_retiring {
            RETIRING_TICK
        } else if self.is_in_burst {
            BURST_TICK
        } else {
            TICK
        }
    }

    /// Ends the play. Returns the control bytes that the caller has to send, or `None` if a message has
    /// begun: then the play goes on to the end of that message.
    pub(super) fn retire(&mut self, now: Millis) -> Option<Vec<u8>> {
        let mut left = None;
        let result = self.with_subscriber(now, &mut |subscriber| left = subscriber.retire());
        self.is_retiring = left.is_none() && result.is_ok();
        // A subscriber that has failed leaves nothing to be sent.
        (!self.is_retiring).then(|| left.unwrap_or_default())
    }

    /// Pumps the subscriber. Returns whether a ping is due.
    pub(super) fn tick(&mut self, now: Millis) -> Result<bool, PlayEnd> {
        let has_unsent = match self.pump(now) {
            // The connection's next `leave_retired` removes the play.
            Err(PlayEnd::Left) if self.is_retiring => return Ok(false),
            result => result?,
        };
        if self.is_in_burst {
            self.is_in_burst = has_unsent && now - self.since < MAX_BURST;
            return Ok(false);
        }
        Ok(!self.is_live())
    }

    /// Detaches the subscriber, and logs the end of the play.
    pub(super) fn leave(self, shared: &Shared, client: &Client, why: &str, now: Millis) {
        let delivered = self.stream.leave(self.subscriber).unwrap_or_default();
        let skips = match delivered.skips {
            0 => String::new(),
            skips => format!(
                ", {skips} skips over {} messages because it was too slow",
                delivered.skipped_messages
            ),
        };
        // Viewers that gave up waiting for a stream were sent nothing.
        let level = match delivered.bytes {
            0 => log::Level::Debug,
            _ => log::Level::Info,
        };
        let line = shared.line(level, About::Media, client.address().ip());
        line.say(format_args!(
            "#{} {}: stopped playing after {}, {} sent{skips}: {why}",
            client.id(),
            shared.shown(self.stream.key()),
            seconds(now - self.since),
            megabytes(delivered.bytes),
        ));
        shared.table.remove_unused(&self.stream, now);
    }
}
