//! Entries: a file of the list in 24 bytes.

use crate::record::WallMillis;
use crate::record::name::FileName;

/// What is to be done about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is being written.
    Open,
    /// Nothing.
    Closed,
    /// It is closed, but its end, as the file system tells it, can't be right: to be looked at.
    Unsure,
    /// A crash has left it with `.part`: to be repaired, and not shown until then.
    Damaged,
    /// It can't be removed.
    Stuck,
}

/// A file, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: FileName,
    /// When it begins.
    pub from: WallMillis,
    /// When its last frame ends.
    pub to: WallMillis,
    /// Its length in bytes; of one that is open, that of its whole fragments.
    pub len: u64,
    /// Whether it is being written: it has `.part` at its end.
    pub is_open: bool,
}

/// See the module's documentation. Entries order by name; of two with the same name, the closed one comes
/// before the damaged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: FileName,
    pub(super) state: State,
    pub(super) len: u64,
    /// From its first frame to the end of its last, in ms.
    pub(super) duration: u32,
    /// The part of the second in which it began that was over, in ms.
    lead: u16,
}

impl Entry {
    pub(super) fn new(name: FileName, state: State) -> Entry {
        Entry {
            name,
            state,
            len: 0,
            duration: 0,
            lead: 0,
        }
    }

    /// Sets when the file began, to the millisecond.
    pub(super) fn begin_at(&mut self, wall: WallMillis) {
        // Another second: the name was taken, and is that of the next one.
        let lead = wall.saturating_sub(self.name.start());
        self.lead = lead.min(999) as u16;
    }

    /// When it began.
    pub(super) fn from(&self) -> WallMillis {
        self.name.start() + u64::from(self.lead)
    }

    /// When it ends.
    pub(super) fn to(&self) -> WallMillis {
        self.from() + u64::from(self.duration)
    }

    /// When it began and ends.
    pub(super) fn times(&self) -> [WallMillis; 2] {
        [self.from(), self.to()]
    }

    /// Whether it may be removed.
    pub(super) fn is_removable(&self) -> bool {
        matches!(self.state, State::Closed | State::Unsure)
    }

    /// What is shown of it; `None` if it isn't shown.
    pub(super) fn shown(&self) -> Option<File> {
        let file = File {
            name: self.name,
            from: self.from(),
            to: self.to(),
            len: self.len,
            is_open: self.state == State::Open,
        };
        (self.state != State::Damaged).then_some(file)
    }
}
