//! The tally of a recorder: its figures, and what the log says of them.

use crate::live::Millis;
use crate::media::decimal::{Size, Tenths};
use crate::record::extent::Extent;
use crate::record::report::RecordingReport;
use crate::rtmp::stream_key::StreamKey;

/// See the module's documentation.
pub(super) struct Tally {
    pub(super) report: RecordingReport,
    /// The number of files, and the sum of their durations in ms.
    files: u32,
    duration: Millis,
    /// The length and the duration of the open file that are counted.
    counted: (u64, Millis),
    /// Whether the last messages were missed, so that the gap is one episode.
    is_in_gap: bool,
}

impl Tally {
    pub(super) fn new(now: Millis) -> Tally {
        Tally {
            report: RecordingReport {
                since: now,
                ..RecordingReport::default()
            },
            files: 0,
            duration: 0,
            counted: (0, 0),
            is_in_gap: false,
        }
    }

    /// Notes that a file was begun.
    pub(super) fn begin_file(&mut self, key: &StreamKey, path: String) {
        // Further files are details.
        let level = match self.files {
            0 => log::Level::Info,
            _ => log::Level::Debug,
        };
        log::log!(level, "{key}: recording to {path}");
        self.files = self.files.saturating_add(1);
        self.counted = (0, 0);
        self.report.file = Some(path);
    }

    /// Notes what is in the file.
    pub(super) fn grow(&mut self, extent: &Extent) {
        let (len, duration) = self.counted;
        self.report.bytes += extent.len.saturating_sub(len);
        self.duration += extent.duration.saturating_sub(duration);
        self.counted = (extent.len, extent.duration);
    }

    /// Notes that a file was removed because nothing was in it.
    pub(super) fn remove_file(&mut self) {
        self.files = self.files.saturating_sub(1);
        self.report.bytes = self.report.bytes.saturating_sub(self.counted.0);
    }

    /// Notes that a fragment was written.
    pub(super) fn end_gap(&mut self) {
        self.is_in_gap = false;
    }

    /// Notes that messages won't be in any file, which is a gap that ends with the next fragment.
    pub(super) fn begin_gap(&mut self, key: &StreamKey) {
        if !std::mem::replace(&mut self.is_in_gap, true) {
            self.report.gaps += 1;
            log::warn!("{key}: a gap in the recording: the disk was too slow, or has failed");
        }
    }

    /// Counts messages that aren't in any file.
    pub(super) fn missed(&mut self, messages: u64) {
        self.report.missed_messages += messages;
    }

    /// Notes how long a write took.
    pub(super) fn note_time(&mut self, took: Millis) {
        self.report.longest_write = self.report.longest_write.max(took);
    }

    /// Logs the end of the recording.
    pub(super) fn log_end(&self, key: &StreamKey) {
        if self.files > 0 {
            log::info!(
                "{key}: recorded {} in {} files, {} s, {} gaps",
                Size(self.report.bytes),
                self.files,
                Tenths(self.duration),
                self.report.gaps
            );
        }
    }
}
