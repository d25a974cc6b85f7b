//! The state and figures of recordings and of their disk at one moment, for log, API, metrics and page.
//!
//! ```text
//! recorder's thread  -> RecordingReport    one per stream that is recorded
//! keeper's thread    -> DiskReport         one per server
//! ```

use super::WallMillis;
#[cfg(feature = "record")]
use super::disk::Failure;
use crate::live::Millis;
use crate::live::finding::RecordingTrouble;

/// The state of the disk that the recordings are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskState {
    /// It can be written to.
    #[default]
    Fine,
    /// Too little space is free, and nothing is left that may be deleted.
    Full,
    /// The folder is gone, or another disk is in its place.
    Gone,
    /// It can only be read.
    ReadOnly,
    /// It fails to read or write.
    Failing,
}

impl DiskState {
    /// The state in words, as in the API.
    pub fn name(self) -> &'static str {
        match self.recording() {
            Some(state) => state.name(),
            None => "fine",
        }
    }

    /// The state of a disk that has answered with this error.
    #[cfg(feature = "record")]
    pub(crate) fn of(error: &std::io::Error) -> DiskState {
        match Failure::of(error) {
            Failure::Full => DiskState::Full,
            Failure::Gone => DiskState::Gone,
            Failure::ReadOnly => DiskState::ReadOnly,
            Failure::Other => DiskState::Failing,
        }
    }

    /// The state of recordings on a disk that can't be used; `None` if it can.
    pub fn recording(self) -> Option<RecordingState> {
        Some(match self {
            DiskState::Fine => return None,
            DiskState::Full => RecordingState::DiskFull,
            DiskState::Gone => RecordingState::DiskGone,
            DiskState::ReadOnly => RecordingState::ReadOnly,
            DiskState::Failing => RecordingState::Failing,
        })
    }
}

/// The state of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordingState {
    /// It waits for a keyframe, or for a publisher that is gone.
    #[default]
    Waiting,
    /// It writes what comes.
    Recording,
    /// It writes, but is behind: the disk is slower than the stream.
    Behind,
    /// See [`DiskState::Full`].
    DiskFull,
    /// See [`DiskState::Gone`].
    DiskGone,
    /// See [`DiskState::ReadOnly`].
    ReadOnly,
    /// See [`DiskState::Failing`].
    Failing,
    /// The chosen format can't hold the stream's codecs.
    NoFormat,
}

impl RecordingState {
    /// The state in words, as in the API.
    pub fn name(self) -> &'static str {
        match self {
            RecordingState::Waiting => "waiting",
            RecordingState::Recording => "recording",
            RecordingState::Behind => "behind",
            RecordingState::DiskFull => "disk full",
            RecordingState::DiskGone => "disk gone",
            RecordingState::ReadOnly => "read-only",
            RecordingState::Failing => "failing",
            RecordingState::NoFormat => "no format",
        }
    }
}

/// A recording's figures at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordingReport {
    /// Its state.
    pub state: RecordingState,
    /// When it began, on the server's clock.
    pub since: Millis,
    /// The path of the newest file, relative to the folder of the recordings, without the `.part` of
    /// an open file.
    pub file: Option<String>,
    /// The number of bytes written since it began.
    pub bytes: u64,
    /// The number of bytes of the stream that were written today (UTC), also to files that were removed
    /// since; of those from before a restart, only what is still there.
    pub bytes_today: u64,
    /// The number of gaps since it began: messages left the memory before they were written, or a file couldn't
    /// begin with them.
    pub gaps: u64,
    /// The number of messages that are missing because of them.
    pub missed_messages: u64,
    /// The time that the longest write or sync took, in ms.
    pub longest_write: Millis,
    /// When everything written up to then was last known to be on the disk, on the server's clock.
    pub last_sync: Option<Millis>,
    /// The age of the oldest message that has yet to be written, in ms.
    pub behind: Millis,
}

impl RecordingReport {
    /// What is wrong with the recording, for the stream doctor.
    pub fn trouble(&self) -> Option<RecordingTrouble> {
        Some(match self.state {
            RecordingState::Waiting | RecordingState::Recording => return None,
            RecordingState::Behind => {
                RecordingTrouble::Behind(self.behind.try_into().unwrap_or(u32::MAX))
            }
            RecordingState::DiskFull => RecordingTrouble::DiskFull,
            RecordingState::DiskGone => RecordingTrouble::DiskGone,
            RecordingState::ReadOnly => RecordingTrouble::ReadOnly,
            RecordingState::Failing => RecordingTrouble::Failing,
            RecordingState::NoFormat => RecordingTrouble::NoFormat,
        })
    }
}

/// The figures of the disk and of all recordings on it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskReport {
    /// The state of the disk.
    pub state: DiskState,
    /// When that state began, in ms since 1970; `None` if it has been so since the start.
    pub since: Option<WallMillis>,
    /// The number of bytes that can still be used; `None` if it isn't known.
    pub free: Option<u64>,
    /// The size of the file system in bytes; `None` if it isn't known.
    pub total: Option<u64>,
    /// The number of bytes of all recordings.
    pub recordings: u64,
    /// The number of files.
    pub files: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_and_the_recordings_on_it_are_described_in_the_same_words() {
        for (disk, words) in [
            (DiskState::Fine, "fine"),
            (DiskState::Full, "disk full"),
            (DiskState::Gone, "disk gone"),
            (DiskState::ReadOnly, "read-only"),
            (DiskState::Failing, "failing"),
        ] {
            assert_eq!(disk.name(), words);
            assert!(disk.recording().is_none_or(|state| state.name() == words));
        }
    }

    #[test]
    fn a_recording_that_goes_on_is_no_trouble() {
        let report = |state| RecordingReport {
            state,
            behind: u64::MAX,
            ..RecordingReport::default()
        };
        for state in [RecordingState::Waiting, RecordingState::Recording] {
            assert_eq!(report(state).trouble(), None);
        }
        let behind = RecordingTrouble::Behind(u32::MAX);
        assert_eq!(report(RecordingState::Behind).trouble(), Some(behind));
        let gone = RecordingTrouble::DiskGone;
        assert_eq!(report(RecordingState::DiskGone).trouble(), Some(gone));
    }
}
