//! What recorders and readers of the last seconds need of a log. They aren't viewers: the log keeps it for
//! them as long as blocks are free.

use crate::live::log::Log;
use crate::live::{Millis, When};

/// The interval at which the messages to be kept are determined, in ms.
const INTERVAL: Millis = 500;

/// After a request for the last seconds, that many are kept for this long, in ms: the next request will get
/// all of them. No memory is spent on streams of which nobody asks for them.
const ASKED: Millis = 600_000;

/// How much is kept then, at least and at most, in ms.
const LEAST_ASKED: Millis = 30_000;
const MOST_ASKED: Millis = 300_000;

/// A reader's place.
struct Reader {
    id: u64,
    /// The first message that it needs.
    needed_from: u64,
    /// Whether the stream waits for its publisher because of it.
    is_recorder: bool,
}

/// See the module's documentation.
#[derive(Default)]
pub(in crate::live::stream) struct Readers {
    readers: Vec<Reader>,
    next_id: u64,
    /// How long messages are kept for future readers in any case, in ms.
    kept: Millis,
    /// How long they are kept because somebody has asked for the last seconds, and until when.
    asked: Millis,
    asked_until: When,
    /// When to determine again which messages are kept.
    due: When,
}

impl Readers {
    /// No readers; messages are kept for `kept` ms for future ones.
    pub(in crate::live::stream) fn new(kept: Millis) -> Readers {
        Readers {
            kept,
            ..Readers::default()
        }
    }

    /// Whether there is a recorder.
    pub(in crate::live::stream) fn has_recorder(&self) -> bool {
        self.readers.iter().any(|reader| reader.is_recorder)
    }

    /// Whether the messages to be kept have to be determined now, because time has passed.
    pub(in crate::live::stream) fn are_due(&mut self, now: Millis) -> bool {
        // A reader that waits for its disk doesn't look at the log.
        let is_any = self.kept_for() > 0 || !self.readers.is_empty();
        let is_due = is_any && self.due.get().is_none_or(|due| due <= now);
        if is_due {
            self.due = When::at(now + INTERVAL);
            if self.asked_until.get().is_some_and(|until| until <= now) {
                (self.asked, self.asked_until) = Default::default();
            }
        }
        is_due
    }

    /// Notes a request for the last `ms` milliseconds.
    pub(super) fn note_asked(&mut self, ms: Millis, now: Millis) {
        self.asked = self.asked.max(ms.clamp(LEAST_ASKED, MOST_ASKED));
        self.asked_until = When::at(now + ASKED);
    }

    /// How long messages are kept for future readers, in ms.
    fn kept_for(&self) -> Millis {
        self.kept.max(self.asked)
    }

    /// Adds a reader; returns its number.
    pub(super) fn add(&mut self, needed_from: u64, is_recorder: bool) -> u64 {
        self.next_id += 1;
        self.readers.push(Reader {
            id: self.next_id,
            needed_from,
            is_recorder,
        });
        self.next_id
    }

    pub(super) fn set_needs(&mut self, id: u64, from: u64) {
        let mut readers = self.readers.iter_mut();
        if let Some(reader) = readers.find(|reader| reader.id == id) {
            reader.needed_from = from;
        }
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.readers.retain(|reader| reader.id != id);
        if self.readers.is_empty() {
            self.readers = Vec::new();
        }
    }

    /// The first message that a reader needs; `None` without readers.
    pub(super) fn needed_from(&self) -> Option<u64> {
        self.readers.iter().map(|reader| reader.needed_from).min()
    }

    /// The first message that is kept for future readers: a keyframe, if possible.
    pub(super) fn kept_from(&self, log: &Log) -> u64 {
        let kept = self.kept_for();
        let Some(newest) = log.newest().filter(|_| kept > 0) else {
            return u64::MAX;
        };
        let since = newest.meta.arrived.saturating_sub(kept);
        let first = log.newest_until(since);
        log.start_before(first, 0).unwrap_or(first)
    }
}
