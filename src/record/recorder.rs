//! A recorder: one stream on its way to one file after another.
//!
//! ```text
//! cut -> right file? -> append -> sync is due? -> next cut
//!          |              |
//!          |              +-- the disk fails: it is tried again later, mostly with the next file
//!          +-- none, other tracks, the segment is over, the clock was set: the next file begins
//! ```
//!
//! One thread owns it, and is the only one that waits for the disk. What waits for that thread waits in
//! the log.

mod border;
mod failure;
mod file;
mod lapse;
mod place;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::WallMillis;
use super::clock::{Clock, WallTime};
use super::report::{RecordingReport, RecordingState};
use super::staging::Staging;
use super::store::Store;
use crate::live::Millis;
use crate::live::cut::{Cut, Form, Next};
use crate::live::finding::Finding;
use crate::live::stream::{RecordPlace, Stream};
use failure::Failures;
use file::{AppendError, OpenFile};
use lapse::Lapse;
use tally::Tally;

/// A recorder whose oldest message is older than this, in ms, is behind.
const BEHIND: Millis = 10_000;

/// The longest segment of a time lapse, in ms.
const DAY: Millis = 86_400_000;

/// The rules by which a recorder writes.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The form of the files; `None` for MP4 if it can hold the stream's tracks, and FLV otherwise.
    pub form: Option<Form>,
    /// The length of a file in ms.
    pub segment: Millis,
    /// How often what was written is made durable, in ms; `None`: only at the close.
    pub sync: Option<Millis>,
    /// Records only keyframes, which are shown this many times as fast.
    pub speed: Option<u32>,
    /// How much of what came before is recorded, in ms.
    pub preroll: Option<Millis>,
}

impl Rules {
    /// How long files are, in time that passes while they are written.
    fn segment(&self) -> Millis {
        let longer = self.segment.saturating_mul(self.speed.unwrap_or(1).into());
        longer.min(DAY.max(self.segment))
    }
}

/// The clocks of a recorder: that of the server, and the wall clock.
pub type Now<'a> = dyn Fn() -> (Millis, WallMillis) + 'a;

/// What a recorder's thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next step at once.
    Again,
    /// The next step in a moment.
    Wait,
    /// Nothing: the stream or the recording has ended, and the last file is closed.
    Over,
}

/// See the module's documentation.
pub struct Recorder {
    stream: Arc<Stream>,
    store: Arc<Store>,
    rules: Rules,
    staging: Staging,
    place: Option<RecordPlace>,
    /// The message with which it begins.
    from: u64,
    cut: Cut,
    /// Whether the cut still has to be written.
    has_cut: bool,
    file: Option<OpenFile>,
    clock: Clock,
    /// The length of the last file, by which space is set aside for the next one.
    last_len: u64,
    failures: Failures,
    /// How far it was behind when the disk could be written to again, in ms, as far as it hasn't caught up.
    excused: Millis,
    /// Whether a new file is asked for, and the end.
    wants_file: bool,
    is_finishing: bool,
    lapse: Lapse,
    tally: Tally,
}

impl Recorder {
    /// Creates a recorder. It writes nothing before its first [`step`](Self::step).
    pub fn new(
        stream: Arc<Stream>,
        store: Arc<Store>,
        staging: Staging,
        rules: Rules,
        now: Millis,
    ) -> Recorder {
        let from = stream.record_start(rules.preroll);
        Recorder {
            stream,
            store,
            rules,
            staging,
            place: None,
            from,
            cut: Cut::default(),
            has_cut: false,
            file: None,
            clock: Clock::new(),
            last_len: 0,
            failures: Failures::default(),
            excused: 0,
            wants_file: false,
            is_finishing: false,
            lapse: Lapse::default(),
            tally: Tally::new(now),
        }
    }

    /// The recorder's figures.
    pub fn report(&self) -> &RecordingReport {
        &self.tally.report
    }

    /// Writes what is due, of one cut at most. Waits for the disk.
    pub fn step(&mut self, clock: &Now<'_>) -> Step {
        let (now, wall) = clock();
        self.clock.observe(now, wall);
        let step = self.advance(now, wall, clock);
        if step != Step::Over {
            self.update_report(now, wall);
        }
        step
    }

    /// Asks for a new file, which begins with the next keyframe.
    pub fn begin_anew(&mut self) {
        self.wants_file = true;
    }

    /// Asks for the end: what comes before this message is written, and then a step says that it is over. See
    /// [`Stream::end_of_recording`].
    pub fn finish(&mut self, until: u64) {
        if !std::mem::replace(&mut self.is_finishing, true) {
            if let Some(place) = &mut self.place {
                self.stream.finish_recording(place, until);
            }
        }
    }

    /// Ends the recording: closes the file.
    fn end(&mut self, clock: &Now<'_>) -> Step {
        self.close(clock);
        if std::mem::take(&mut self.has_cut) {
            self.lose_cut();
        }
        self.leave_log();
        self.stream.set_recording_trouble(None);
        self.tally.log_end(self.stream.key());
        Step::Over
    }

    fn advance(&mut self, now: Millis, wall: WallMillis, clock: &Now<'_>) -> Step {
        if let Some(step) = self.await_disk(now, clock) {
            return step;
        }
        if !self.has_cut {
            if let Some(step) = self.find_cut(now, clock) {
                return step;
            }
        }
        // Room is asked for first, so that the space that must stay free does.
        let len = self.cut_len();
        if !self.store.catalog().condition.take_room(len) {
            self.store.call_keeper();
            self.sync_if_due(now, clock);
            return self.rest(true, now, clock);
        }
        self.has_cut = false;
        self.record(now, wall, clock);
        self.sync_if_due(now, clock);
        Step::Again
    }

    /// Finds the next cut. Returns what to do if there is none.
    fn find_cut(&mut self, now: Millis, clock: &Now<'_>) -> Option<Step> {
        self.find_place();
        let Some(place) = &mut self.place else {
            let is_over = self.is_finishing || self.stream.has_ended();
            return Some(if is_over { self.end(clock) } else { Step::Wait });
        };
        match self.stream.next_cut(place, &mut self.cut, now) {
            Next::Over if self.is_finishing || self.stream.has_ended() => Some(self.end(clock)),
            Next::Over => {
                // The form doesn't suit any more.
                self.close(clock);
                self.change_form();
                Some(Step::Again)
            }
            Next::Wait => {
                self.sync_if_due(now, clock);
                self.note_idle(now);
                Some(Step::Wait)
            }
            Next::Cut => {
                self.has_cut = true;
                self.tally.missed(self.cut.missed);
                if self.cut.missed > 0 {
                    self.tally.begin_gap(self.stream.key());
                }
                if let Some(speed) = self.rules.speed {
                    self.lapse.keep_keyframe(&mut self.cut, speed);
                }
                None
            }
        }
    }

    /// The number of bytes that the cut will take on the disk, at most.
    fn cut_len(&self) -> u64 {
        /// What is around each fragment, and around each sample in its tables: at the close once more.
        const AROUND: u64 = 1_024;
        const EACH: u64 = 64;

        let samples = self.cut.samples.iter();
        AROUND
            + samples
                .map(|sample| u64::from(sample.len) + EACH)
                .sum::<u64>()
    }

    /// Notes that there is nothing to write, if so.
    fn note_idle(&mut self, now: Millis) {
        let lag = self
            .place
            .as_ref()
            .map_or(0, |place| self.stream.record_lag(place, now));
        let state = &mut self.tally.report.state;
        let is_over = match state {
            RecordingState::Recording | RecordingState::Behind => !self.stream.is_live(),
            RecordingState::Waiting | RecordingState::NoFormat => false,
            // The disk is fine again.
            _ => true,
        };
        if lag == 0 && is_over {
            *state = RecordingState::Waiting;
        }
    }

    /// Writes the cut.
    fn record(&mut self, now: Millis, wall: WallMillis, clock: &Now<'_>) {
        let time = self.clock.time_of(self.cut.arrived);
        if let (Some(file), Some(_)) = (&mut self.file, self.rules.speed) {
            file.extend(time);
        }
        if self
            .file
            .as_ref()
            .is_some_and(|file| self.is_over(file, time))
        {
            self.close(clock);
        }
        if self.cut.samples.is_empty() {
            return;
        }
        if self.file.is_none() {
            if !self.cut.is_start {
                self.lose_cut();
                return;
            }
            if let Err(error) = self.begin(time, now, wall, clock) {
                self.has_cut = true;
                return self.fail(&error, clock);
            }
        }
        self.append(time, wall, clock);
    }

    fn append(&mut self, time: WallTime, wall: WallMillis, clock: &Now<'_>) {
        let (stream, staging) = (&self.stream, &mut self.staging);
        let Some(file) = &mut self.file else {
            return;
        };
        let began = clock().0;
        let begins_at = match file.steps == time.steps {
            true => time.wall,
            // The clock was set, but this file goes on until another one can begin.
            false => file.extent().to,
        };
        let result = file.append(
            &mut self.cut,
            begins_at,
            staging,
            &mut |samples, place, out| stream.copy(samples, place, out),
        );
        self.note_time(began, clock);
        match result {
            Ok(()) => {
                self.tally.end_gap();
                self.tally.report.state = RecordingState::Recording;
                self.note_growth(wall);
            }
            Err(AppendError::Evicted) => self.lose_cut(),
            Err(AppendError::Disk(error)) => self.fail_to_append(&error, clock),
        }
    }

    /// Notes in the list how far the file can be read.
    fn note_growth(&mut self, wall: WallMillis) {
        if let Some(file) = &self.file {
            let extent = file.extent();
            self.tally.grow(extent);
            let (name, key) = (file.name, self.stream.key());
            let mut catalog = self.store.catalog();
            catalog.grow(key, name, extent.len, extent.to, wall);
            if let Some(gap) = extent.gap {
                catalog.note_gaps(key, name, &[gap]);
            }
        }
    }

    fn sync_if_due(&mut self, now: Millis, clock: &Now<'_>) {
        let (Some(file), Some(interval)) = (&mut self.file, self.rules.sync) else {
            return;
        };
        if !file.is_sync_due(now, interval) {
            return;
        }
        let began = clock().0;
        let result = file.sync(now);
        self.note_time(began, clock);
        match result {
            Ok(()) => self.tally.report.last_sync = Some(now),
            // What the kernel couldn't write is lost, and a second sync of the same file would say
            // nothing of that.
            Err(error) => self.fail(&error, clock),
        }
    }

    /// Notes that the cut won't be in any file. Its messages are counted with the next one.
    fn lose_cut(&mut self) {
        if !self.cut.samples.is_empty() {
            self.tally.begin_gap(self.stream.key());
        }
        if let Some(place) = &mut self.place {
            place.note_lost(&self.cut);
        }
    }

    /// Notes how long a write took.
    fn note_time(&mut self, began: Millis, clock: &Now<'_>) {
        self.tally.note_time(clock().0.saturating_sub(began));
    }

    fn update_report(&mut self, now: Millis, wall: WallMillis) {
        let lag = |place: &RecordPlace| self.stream.record_lag(place, now);
        self.tally.report.behind = self.place.as_ref().map_or(0, lag);
        let behind = self.tally.report.behind;
        let state = self.tally.report.state;
        let is_stopped = state != RecordingState::Behind && self.tally.report.trouble().is_some();
        // What has waited for a disk that was full or gone doesn't make it a slow one.
        self.excused = if is_stopped {
            behind
        } else {
            self.excused.min(behind)
        };
        let is_behind = behind > self.excused + BEHIND;
        match state {
            RecordingState::Recording if is_behind => {
                self.tally.report.state = RecordingState::Behind
            }
            RecordingState::Behind if !is_behind => {
                self.tally.report.state = RecordingState::Recording
            }
            _ => {}
        }
        let key = self.stream.key();
        self.tally.report.bytes_today = self.store.catalog().bytes_today(key, wall);
        let trouble = self.tally.report.trouble();
        if self.stream.set_recording_trouble(trouble) {
            match trouble {
                Some(trouble) => log::warn!("{key}: {}", Finding::Recording(trouble)),
                None => log::info!("{key}: the recording goes on"),
            }
        }
    }
}
