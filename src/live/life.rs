//! The life of a stream: its publisher, and the steps after a publish has ended.
//!
//! ```text
//!        publish          unpublish             time is over           time is over
//! Idle -----------> Live -----------> Awaited --------------> Tail ---------------> Closed
//!  |                |  ^              |     |                                         ^
//!  |       takeover +--+<-- publish --+     +--- no audience -------------------------+
//!  +--- no audience ------------------------------------------------------------------+
//! ```
//!
//! Nothing ends by itself: the thread that is responsible for an ended publish asks for the next
//! `LifeStep`, and carries it out.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::arena::ArenaFull;
use super::out::sink::Sink;
use super::{Millis, When};
use crate::allowance::Allowance;

/// A publisher that has been silent for this long, in ms, may be replaced by any other.
pub const TAKEOVER_SILENCE: Millis = 2_000;

/// The minimum time between two takeovers of a stream whose publisher is still sending, in ms, so that
/// two cameras with one name don't keep replacing each other.
pub const TAKEOVER_INTERVAL: Millis = 5_000;

/// A client that publishes.
pub struct Publisher {
    /// The number of its connection.
    pub connection: u64,
    /// Its address, by which a camera that returns is recognized.
    pub address: IpAddr,
    /// Whether it has proved that it owns the stream, so that its address doesn't matter.
    pub is_trusted: bool,
    /// Its socket, shut down when another publisher takes over.
    pub sink: Arc<dyn Sink>,
    /// Pays for the memory that the server keeps for the connection, such as decoder configurations.
    pub allowance: Allowance,
}

/// The reason why a publish was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishRefused {
    /// The stream was closed between look-up and use: look it up again.
    Closed,
    /// Another client publishes under this name, and was heard recently.
    InUse {
        /// The time in ms until a takeover is possible, if nothing more is heard of the other
        /// publisher.
        retry_in: Millis,
    },
    /// There was a takeover a moment ago, perhaps by an encoder that retries.
    Fighting {
        /// The time in ms until the next takeover is allowed.
        retry_in: Millis,
    },
    /// The arena has no memory for another stream.
    Full(ArenaFull),
}

impl fmt::Display for PublishRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishRefused::Closed => f.write_str("this stream has just ended; try again"),
            PublishRefused::InUse { retry_in } => write!(
                f,
                "another publisher uses this stream; try again when it has been silent for {} s",
                retry_in.div_ceil(1000)
            ),
            PublishRefused::Fighting { retry_in } => write!(
                f,
                "this stream was taken over a moment ago; try again in {} s",
                retry_in.div_ceil(1000)
            ),
            PublishRefused::Full(full) => full.fmt(f),
        }
    }
}

/// A publish that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The number of the publish, to be passed with each later call.
    pub generation: u64,
    /// Whether another publisher was disconnected for it.
    pub is_takeover: bool,
    /// Whether players kept their place from an earlier publisher.
    pub is_return: bool,
}

/// The time that a stream waits for its publisher to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// The end of the wait.
    pub until: Millis,
    /// The time by which the wait is extended if HLS viewers are there at its end, in ms. Their players
    /// don't return after the end of a stream.
    pub longer_for_hls: Millis,
}

/// The next step in the life of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifeStep {
    /// Keep the state until this time, if nothing else happens. `None`: for an unlimited time.
    Stay(Option<Millis>),
    /// The publisher did not return: notify the audience of the end.
    End,
    /// The stream is of no use to anyone: close it.
    Close,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Life {
    phase: LifePhase,
    /// The number of publishes so far, which is also the number of the current one.
    pub(super) generation: u64,
    last_takeover: When,
}

#[derive(Default)]
enum LifePhase {
    /// Nothing is published, and no publisher is expected.
    #[default]
    Idle,
    Live(Publisher),
    /// The publisher has left and is expected back.
    Awaited(Grace),
    /// The stream has ended, and its audience is noticing: HLS viewers can still find it, and
    /// subscribers still get the bytes that were queued for them.
    Tail {
        until: Millis,
        /// The end of the tail as long as there are subscribers.
        subscribers_until: Millis,
    },
    /// Closed for good. When the server stops, the publisher may still be sending.
    Closed(Option<Publisher>),
}

impl Life {
    /// The publisher, if there is one.
    pub(super) fn publisher(&self) -> Option<&Publisher> {
        match &self.phase {
            LifePhase::Live(publisher) | LifePhase::Closed(Some(publisher)) => Some(publisher),
            _ => None,
        }
    }

    /// Whether a client publishes the stream.
    pub(super) fn is_live(&self) -> bool {
        self.publisher().is_some()
    }

    /// Whether the publish of this generation is still running.
    pub(super) fn is_published_by(&self, generation: u64) -> bool {
        self.generation == generation && self.is_live()
    }

    /// Whether the stream has ended for good, so that clients that publish or play get another one.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, LifePhase::Tail { .. } | LifePhase::Closed(_))
    }

    /// Whether the stream no longer needs to be found.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, LifePhase::Closed(_))
    }

    /// Whether `newcomer` may publish, given how long the current publisher has been silent.
    pub(super) fn admit(
        &self,
        newcomer: &Publisher,
        silence: Millis,
        now: Millis,
    ) -> Result<(), PublishRefused> {
        let old = match &self.phase {
            LifePhase::Tail { .. } | LifePhase::Closed(_) => return Err(PublishRefused::Closed),
            LifePhase::Live(old) if silence < TAKEOVER_SILENCE => old,
            _ => return Ok(()),
        };
        // The exact address counts: a neighbor in the same /64, which is one client elsewhere, is
        // another camera.
        if old.address != newcomer.address && !newcomer.is_trusted {
            return Err(PublishRefused::InUse {
                retry_in: TAKEOVER_SILENCE - silence,
            });
        }
        let last = self.last_takeover.get();
        match last.map(|last| now.saturating_sub(last)) {
            Some(since) if since < TAKEOVER_INTERVAL => Err(PublishRefused::Fighting {
                retry_in: TAKEOVER_INTERVAL - since,
            }),
            _ => Ok(()),
        }
    }

    /// Begins a publish that was admitted. Shuts down the socket of the publisher that it replaces.
    pub(super) fn publish(&mut self, publisher: Publisher, now: Millis) -> Accepted {
        let is_return = self.generation > 0;
        self.generation += 1;
        // The thread of a replaced publisher notices the takeover by the generation.
        let before = std::mem::replace(&mut self.phase, LifePhase::Live(publisher));
        let is_takeover = matches!(before, LifePhase::Live(_));
        if let LifePhase::Live(old) = before {
            old.sink.shutdown();
            self.last_takeover = When::at(now);
        }
        Accepted {
            generation: self.generation,
            is_takeover,
            is_return,
        }
    }

    /// Ends the publish. Another publisher is expected, unless the stream was closed.
    pub(super) fn unpublish(&mut self, grace: Grace) {
        self.phase = match self.phase {
            LifePhase::Closed(_) => LifePhase::Closed(None),
            _ => LifePhase::Awaited(grace),
        };
    }

    /// Ends the stream. Its tail lasts until `until`, or as long as there are subscribers, until
    /// `subscribers_until`.
    pub(super) fn begin_tail(&mut self, until: Millis, subscribers_until: Millis) {
        self.phase = LifePhase::Tail {
            until,
            subscribers_until,
        };
    }

    /// Closes the stream.
    pub(super) fn close(&mut self) {
        self.phase = match std::mem::take(&mut self.phase) {
            LifePhase::Live(publisher) => LifePhase::Closed(Some(publisher)),
            LifePhase::Closed(publisher) => LifePhase::Closed(publisher),
            _ => LifePhase::Closed(None),
        };
    }

    /// Returns the next step. HLS viewers are expected to stay for `hls_for` ms; 0 if there are none.
    /// A recorder waits for the publisher to return, but doesn't keep an idle or ended stream.
    pub(super) fn step(
        &self,
        has_subscribers: bool,
        has_recorder: bool,
        hls_for: Millis,
        now: Millis,
    ) -> LifeStep {
        let has_audience = has_subscribers || hls_for > 0;
        match self.phase {
            LifePhase::Idle if !has_audience => LifeStep::Close,
            LifePhase::Awaited(_) if !has_audience && !has_recorder => LifeStep::Close,
            LifePhase::Idle | LifePhase::Live(_) => LifeStep::Stay(None),
            LifePhase::Awaited(grace) => {
                let mut until = grace.until;
                // Only viewers that are still there at the end of the first wait extend it.
                if until <= now && hls_for > 0 {
                    until += grace.longer_for_hls;
                }
                if until <= now {
                    return LifeStep::End;
                }
                // HLS viewers are only noticed when they send a request.
                let look = (!has_subscribers && !has_recorder).then(|| now + hls_for);
                LifeStep::Stay(Some(look.map_or(until, |look| look.min(until))))
            }
            LifePhase::Tail {
                mut until,
                subscribers_until,
            } => {
                if has_subscribers {
                    until = until.max(subscribers_until);
                }
                if now < until {
                    LifeStep::Stay(Some(until))
                } else {
                    LifeStep::Close
                }
            }
            LifePhase::Closed(_) => LifeStep::Close,
        }
    }
}

#[cfg(test)]
mod tests;
