//! The eras of a stream: which tracks and headers apply to which messages of its log. Players get the
//! newest ones, but a recorder may lag behind a change.

use std::sync::Arc;

use crate::live::log::{Entry, Log, Role};
use crate::live::preamble::Preamble;
use crate::live::tracks::Tracks;

/// The maximum number of eras that are kept for recorders besides the newest one.
const MAX_OLDER: usize = 8;

/// The time during which the tracks don't change.
#[derive(Clone)]
pub(in crate::live) struct Era {
    /// The number of its first message.
    from: u64,
    /// The version of the preamble that its messages have at least.
    since: u32,
    pub(in crate::live) tracks: Arc<Tracks>,
    /// Its newest headers.
    pub(in crate::live) preamble: Arc<Preamble>,
    /// Whether it isn't known yet which tracks the publisher sends: what is found belongs to this era.
    is_open: bool,
}

/// See the module's documentation.
#[derive(Default)]
pub(in crate::live) struct Eras {
    newest: Option<Era>,
    /// Oldest first; only if they are kept.
    older: Vec<Era>,
    /// Whether older eras are kept, because there are recorders.
    are_kept: bool,
}

impl Eras {
    /// Notes the tracks and headers that apply to the next message of the log.
    pub(in crate::live) fn note(
        &mut self,
        tracks: &Arc<Tracks>,
        preamble: &Arc<Preamble>,
        log: &Log,
        are_tracks_known: bool,
    ) {
        let continues = |newest: &&mut Era| newest.is_open || Arc::ptr_eq(&newest.tracks, tracks);
        if let Some(newest) = self.newest.as_mut().filter(continues) {
            if !Arc::ptr_eq(&newest.preamble, preamble) {
                newest.preamble = Arc::clone(preamble);
            }
            if !Arc::ptr_eq(&newest.tracks, tracks) {
                newest.tracks = Arc::clone(tracks);
            }
            newest.is_open &= !are_tracks_known;
            return;
        }
        let is_header = |number| {
            let entry: Option<Entry> = log.entry(number);
            entry.is_some_and(|entry| entry.meta.role == Role::Header)
        };
        let last = self.newest.as_ref().map(|newest| newest.from);
        // Nothing but a header had the tracks that have changed again.
        let again = last.filter(|from| from + 1 == log.end() && is_header(*from));
        let is_again = again.is_some();
        let before = self.newest.replace(Era {
            from: again.unwrap_or(log.end()),
            since: tracks.since,
            tracks: Arc::clone(tracks),
            preamble: Arc::clone(preamble),
            is_open: !are_tracks_known,
        });
        if self.are_kept && !is_again {
            if self.older.len() == MAX_OLDER {
                self.older.remove(0);
            }
            self.older.extend(before);
        }
    }

    /// Notes that another publisher has begun: what it sends doesn't belong to the previous era.
    pub(in crate::live) fn close(&mut self) {
        if let Some(newest) = &mut self.newest {
            newest.is_open = false;
        }
    }

    /// Keeps eras as long as a recorder needs messages from this one on; `None` for no recorder.
    pub(in crate::live) fn keep_from(&mut self, number: Option<u64>) {
        self.are_kept = number.is_some();
        let number = number.unwrap_or(u64::MAX);
        let ends = self.older.iter().skip(1).chain(&self.newest);
        let past = ends.take_while(|next| next.from <= number).count();
        self.older.drain(..past.min(self.older.len()));
        if self.older.is_empty() {
            self.older = Vec::new();
        }
    }

    /// The first message whose tracks are known; `u64::MAX` if there has been none.
    pub(in crate::live) fn start(&self) -> u64 {
        let oldest = self.older.first().or(self.newest.as_ref());
        oldest.map_or(u64::MAX, |oldest| oldest.from)
    }

    /// The first message of the newest era.
    pub(in crate::live) fn newest_from(&self) -> u64 {
        self.newest.as_ref().map_or(u64::MAX, |newest| newest.from)
    }

    /// The era of a message.
    pub(in crate::live) fn of(&self, number: u64, entry: &Entry) -> Option<&Era> {
        let version = entry.meta.preamble_version;
        // A frame that is assembled behind a new header has the version of its first message.
        let includes =
            |era: &&Era| era.from <= number && version.wrapping_sub(era.since) as i32 >= 0;
        let mut newest_first = self.newest.iter().chain(self.older.iter().rev());
        let of_message = newest_first.find(includes);
        of_message.or(self.older.first()).or(self.newest.as_ref())
    }
}
