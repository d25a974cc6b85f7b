//! The life of a stream: who publishes it, and what happens after a publish has ended.
//!
//! ```text
//!        publish          unpublish             time is over           time is over
//! Idle -----------> Live -----------> Awaited --------------> Tail ---------------> Closed
//!  |                |  ^              |     |                                         ^
//!  |       takeover +--+<-- publish --+     +--- no audience -------------------------+
//!  +--- no audience ------------------------------------------------------------------+
//! ```
//!
//! Nothing ends by itself: the thread that cares for a publish which has ended asks for the next
//! `LifeStep`, and takes it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::arena::ArenaFull;
use super::out::sink::Sink;
use super::{Millis, When};
use crate::allowance::Allowance;

/// A publisher that has been silent this long may be replaced by any other.
pub const TAKEOVER_SILENCE: Millis = 2_000;

/// The minimum time between two takeovers of a stream whose publisher is still sending, so that two
/// cameras with one name don't fight.
pub const TAKEOVER_INTERVAL: Millis = 5_000;

/// A client that publishes.
pub struct Publisher {
    /// The number of its connection.
    pub connection: u64,
    /// Its address, by which a camera that comes back is recognized.
    pub address: IpAddr,
    /// Whether it has proved that the stream is its own, so that its address doesn't matter.
    pub is_trusted: bool,
    /// Its socket, shut down when another publisher takes over.
    pub sink: Arc<dyn Sink>,
    /// Pays for what the connection makes the server keep, such as the decoders' configurations.
    pub allowance: Allowance,
}

/// Why a publish was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishRefused {
    /// The stream was closed between look-up and use: look it up again.
    Closed,
    /// Another client publishes under this name, and was heard recently.
    InUse {
        /// ms until a takeover is possible if nothing more is heard of the other publisher.
        retry_in: Millis,
    },
    /// There was a takeover a moment ago.
    Fighting {
        /// ms until the next one is allowed.
        retry_in: Millis,
    },
    /// There is no memory for another stream.
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
    /// The number of the publish, to be shown with each later call.
    pub generation: u64,
    /// Another publisher was disconnected for it.
    pub is_takeover: bool,
    /// Players kept their place from an earlier publisher.
    pub is_return: bool,
}

/// How long a stream waits for its publisher to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// The end of the wait.
    pub until: Millis,
    /// How much longer it is, in ms, if HLS viewers are there at its end. Their players don't come
    /// back after the end of a stream.
    pub longer_for_hls: Millis,
}

/// What is to happen to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifeStep {
    /// It stays as it is until this time, if nothing else happens. `None`: for any length of time.
    Stay(Option<Millis>),
    /// The publisher did not come back: the audience is to be notified of the end.
    End,
    /// The stream is of no use to anyone.
    Close,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Life {
    phase: LifePhase,
    /// The number of publishes so far, which is that of the current one.
    pub(super) generation: u64,
    last_takeover: When,
}

#[derive(Default)]
enum LifePhase {
    /// Nothing is published, and no publisher is expected.
    #[default]
    Idle,
    Live(Publisher),
    /// The publisher has gone and is expected back.
    Awaited(Grace),
    /// The stream has ended, and its audience is noticing that: it can still be found by HLS viewers,
    /// and subscribers still get what was sent to them.
    Tail {
        until: Millis,
        /// A later end, as long as there are subscribers.
        subscribers_until: Millis,
    },
    /// Not to be used any more. When the server stops, the publisher may still be sending.
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

    /// Whether a client publishes.
    pub(super) fn is_live(&self) -> bool {
        self.publisher().is_some()
    }

    /// Whether this publish goes on.
    pub(super) fn is_published_by(&self, generation: u64) -> bool {
        self.generation == generation && self.is_live()
    }

    /// Whether the stream has ended for good: who wants to publish or play gets another one.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, LifePhase::Tail { .. } | LifePhase::Closed(_))
    }

    /// Whether the stream need not be found any more.
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
        // The exact address: a neighbor in its /64, one client elsewhere, is another camera.
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

    /// Begins a publish that was admitted. The socket of the publisher that it replaces is shut down.
    pub(super) fn publish(&mut self, publisher: Publisher, now: Millis) -> Accepted {
        let is_return = self.generation > 0;
        self.generation += 1;
        // The thread of a publisher that is replaced notices it by its generation.
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

    /// Ends the publish; another publisher is expected, unless the stream was closed.
    pub(super) fn unpublish(&mut self, grace: Grace) {
        self.phase = match self.phase {
            LifePhase::Closed(_) => LifePhase::Closed(None),
            _ => LifePhase::Awaited(grace),
        };
    }

    /// Ends the stream, whose tail lasts until then, or as long as there are subscribers until
    /// `subscribers_until`.
    pub(super) fn begin_tail(&mut self, until: Millis, subscribers_until: Millis) {
        self.phase = LifePhase::Tail {
            until,
            subscribers_until,
        };
    }

    /// Ends the stream.
    pub(super) fn close(&mut self) {
        self.phase = match std::mem::take(&mut self.phase) {
            LifePhase::Live(publisher) => LifePhase::Closed(Some(publisher)),
            LifePhase::Closed(publisher) => LifePhase::Closed(publisher),
            _ => LifePhase::Closed(None),
        };
    }

    /// What is to happen now. HLS viewers are expected to stay for `hls_for` ms; 0 if there are none.
    pub(super) fn step(&self, has_subscribers: bool, hls_for: Millis, now: Millis) -> LifeStep {
        let has_audience = has_subscribers || hls_for > 0;
        match self.phase {
            LifePhase::Idle | LifePhase::Awaited(_) if !has_audience => LifeStep::Close,
            LifePhase::Idle | LifePhase::Live(_) => LifeStep::Stay(None),
            LifePhase::Awaited(grace) => {
                let mut until = grace.until;
                // Only viewers that are still there when the first wait is over make it longer.
                if until <= now && hls_for > 0 {
                    until += grace.longer_for_hls;
                }
                if until <= now {
                    return LifeStep::End;
                }
                // HLS viewers are only seen when they send a request.
                let look = (!has_subscribers).then(|| now + hls_for);
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
