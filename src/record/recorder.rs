//! A recorder: one stream on its way to one file after another.
//!
//! ```text
//! cut -> right file? -> append -> sync is due? -> next cut
//!          |              |
//!          |              +-- the disk fails: this file is given up, and the next one is tried later
//!          +-- none, other tracks, the segment is over, the clock was set: the next file begins
//! ```
//!
//! One thread owns it, and is the only one that waits for the disk. What waits for that thread waits in
//! the log.

mod file;
mod lapse;
mod tally;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use super::clock::{Clock, WallTime, is_next_segment};
use super::disk::Failure;
use super::name::{FileName, Format};
use super::report::{DiskState, RecordingReport, RecordingState};
use super::staging::Staging;
use super::store::Store;
use super::{WallMillis, name};
use crate::live::cut::{Cut, Form, Next};
use crate::live::finding::Finding;
use crate::live::stream::{RecordPlace, Stream};
use crate::live::{Millis, When};
use file::{AppendError, OpenFile};
use lapse::Lapse;
use tally::Tally;

/// A recorder whose oldest message is older than this, in ms, is behind.
const BEHIND: Millis = 10_000;

/// After a failure of the disk, the next file is begun at once if this time has passed since the failure
/// before, in ms. Otherwise it is begun so much later.
const RETRY: Millis = 30_000;

/// The same for a disk that is full, which is looked at more often: memory may not last any longer.
const RETRY_FULL: Millis = 10_000;

/// How long a recorder whose stream has ended waits for room, in ms.
const PATIENCE: Millis = 3_000;

/// The length of a file, in bytes, after which the next one begins: FAT ends at 4 GiB.
const MAX_LEN: u64 = 3_900_000_000;

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

/// The chosen form can't hold anything of the stream.
struct NoFormat;

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
    failed: When,
    retry: When,
    /// Whether a new file is asked for, and the end.
    wants_file: bool,
    is_finishing: bool,
    /// When the stream had ended, or the end was asked for, and there was no room.
    ended: When,
    lapse: Lapse,
    tally: Tally,
}

/// Whether an error may be that of one stream on a disk that is fine: its folder belongs to somebody else, or
/// the file system doesn't take its name.
fn may_be_own(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};

    matches!(error.kind(), NotADirectory | NotFound) || Failure::of(error) == Failure::Other
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
            failed: When::default(),
            retry: When::default(),
            wants_file: false,
            is_finishing: false,
            ended: When::default(),
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
        self.wants_file = self.file.is_some();
    }

    /// Asks for the end: what is in memory now is written, and then a step says that it is over.
    pub fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_finishing, true) {
            if let Some(place) = &mut self.place {
                self.stream.finish_recording(place);
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
        if !self.is_disk_usable() {
            // What was written is closed while that is possible; what comes waits in the log.
            self.close(clock);
            let is_fine = self.store.catalog().condition.state == DiskState::Fine;
            return self.rest(is_fine, now, clock);
        }
        if self.retry.get().is_some_and(|retry| now < retry) {
            return self.rest(false, now, clock);
        }
        self.retry = When::default();
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
                if self.cut.missed > 0 && self.tally.begin_gap() {
                    tally::warn_of_gap(self.stream.key());
                }
                if let Some(speed) = self.rules.speed {
                    self.lapse.keep_keyframe(&mut self.cut, speed);
                }
                None
            }
        }
    }

    /// Whether the disk can be written to. If it can't, the report says why.
    fn is_disk_usable(&mut self) -> bool {
        let catalog = self.store.catalog();
        let condition = &catalog.condition;
        if let Some(state) = condition.state.recording() {
            self.tally.report.state = state;
        }
        condition.is_usable()
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

    /// The step of a recorder that can't write. At its end it waits only for what soon passes.
    fn rest(&mut self, is_short: bool, now: Millis, clock: &Now<'_>) -> Step {
        if !self.is_finishing && !self.stream.has_ended() {
            return Step::Wait;
        }
        if is_short && now < self.ended.get_or_set(now) + PATIENCE {
            return Step::Wait;
        }
        self.end(clock)
    }

    /// Takes a place in the log if the form of the next file is known, or lets the one that there is end
    /// where the form has changed.
    fn find_place(&mut self) {
        let wanted = self.wanted_form();
        match (&mut self.place, wanted) {
            (None, Err(NoFormat)) => self.tally.report.state = RecordingState::NoFormat,
            (None, Ok(Some(form))) if !self.is_finishing => {
                if self.tally.report.state == RecordingState::NoFormat {
                    self.tally.report.state = RecordingState::Waiting;
                }
                self.place = Some(self.stream.begin_recording(form, self.from));
            }
            (Some(place), Ok(form)) if form.is_none_or(|form| form == place.form()) => {}
            (Some(place), _) => self.stream.finish_before_change(place),
            (None, Ok(_)) => {}
        }
    }

    /// Goes on in another form, if there is one.
    fn change_form(&mut self) {
        match (self.wanted_form(), &mut self.place) {
            (Ok(form), Some(place)) => place.go_on_as(form.unwrap_or(place.form())),
            _ => self.leave_log(),
        }
    }

    /// Gives up the place in the log.
    fn leave_log(&mut self) {
        if let Some(place) = self.place.take() {
            self.tally.missed(self.stream.end_recording(place));
        }
    }

    /// The form of files of what is published now; `None` if it isn't known yet.
    fn wanted_form(&self) -> Result<Option<Form>, NoFormat> {
        let possible = self.stream.record_form();
        let is_other = self.rules.form == Some(Form::Mp4) && possible == Some(Form::Flv);
        // One of two tracks is better than nothing.
        if is_other && self.stream.is_live() && self.stream.content_type().is_none() {
            return Err(NoFormat);
        }
        Ok(self.rules.form.or(possible))
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

    /// The length after which a file ends.
    fn most_len(&self) -> u64 {
        let most = self.store.catalog().condition.most_len;
        most.map_or(MAX_LEN, |most| most.min(MAX_LEN))
    }

    /// Whether a file ends before the cut, which begins at this time.
    fn is_over(&self, file: &OpenFile, time: WallTime) -> bool {
        // A file can begin only with a start, but other tracks can't wait for one.
        let must = !file.takes(&self.cut);
        let may = self.wants_file
            || file.steps != time.steps
            || is_next_segment(file.began, time.wall, self.rules.segment())
            || file.extent().len > self.most_len();
        must || self.cut.is_start && may
    }

    /// Begins a file.
    fn begin(
        &mut self,
        time: WallTime,
        now: Millis,
        wall: WallMillis,
        clock: &Now<'_>,
    ) -> io::Result<()> {
        self.wants_file = false;
        let format = match self.cut.form {
            Some(Form::Flv) => Format::Flv,
            _ => Format::Mp4,
        };
        let key = self.stream.key();
        let mut wanted = if time.is_set {
            FileName::dated(time.wall, format)
        } else {
            FileName::booted(self.store.boot(), self.cut.arrived, format)
        };
        loop {
            let (name, aside) = {
                let mut catalog = self.store.catalog();
                let name = catalog.begin(key, wanted, time.wall);
                let aside = catalog.condition.take_room_aside(self.last_len);
                catalog.set_aside(key, name, aside);
                (name, aside)
            };
            let (disk, path) = (self.store.disk(), name::path(key, name));
            let (times, place) = ((time, now), (&*path, name));
            let began = clock().0;
            let begun = OpenFile::begin(&**disk, place, &self.cut, times, aside, &self.rules);
            self.tally.note_time(clock().0.saturating_sub(began));
            match begun {
                Ok(file) => {
                    self.tally.begin_file(key, path.display().to_string());
                    self.file = Some(file);
                    self.note_growth(wall);
                    return Ok(());
                }
                Err(error) => {
                    self.store.catalog().remove(key, name);
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        return Err(error);
                    }
                    wanted = name.next();
                }
            }
        }
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
            Err(AppendError::Evicted) => {
                if self.lose_cut() {
                    tally::warn_of_gap(self.stream.key());
                }
            }
            Err(AppendError::Disk(error)) => {
                // The next file begins with the same cut, if the log still has it then.
                self.has_cut = self.cut.is_start && error.kind() != io::ErrorKind::InvalidInput;
                if !self.has_cut {
                    self.lose_cut();
                }
                self.fail(&error, clock);
            }
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

    /// Closes the file.
    fn close(&mut self, clock: &Now<'_>) {
        let Some(file) = self.file.take() else {
            return;
        };
        let (name, key) = (file.name, self.stream.key().clone());
        let began = clock().0;
        let closed = file.close(&**self.store.disk());
        self.note_time(began, clock);
        let (now, wall) = clock();
        match closed {
            Ok(Some(extent)) => {
                self.last_len = extent.len;
                self.tally.grow(&extent);
                self.tally.report.last_sync = Some(now);
                let mut catalog = self.store.catalog();
                catalog.close(&key, name, extent.len, extent.to, wall);
            }
            Ok(None) => {
                self.tally.remove_file();
                self.store.catalog().remove(&key, name);
            }
            Err(error) => {
                self.store.catalog().abandon(&key, name);
                self.note_failure(&error, now);
            }
        }
    }

    /// Gives up the file because the disk has failed.
    fn fail(&mut self, error: &io::Error, clock: &Now<'_>) {
        if let Some(file) = self.file.take() {
            let name = file.name;
            // Dropped outside of the list's lock, because this may wait for the disk.
            drop(file);
            self.store.catalog().abandon(self.stream.key(), name);
        }
        self.note_failure(error, clock().0);
    }

    fn note_failure(&mut self, error: &io::Error, now: Millis) {
        // A folder that can't be used, unlike a disk, is no reason to stop all others.
        let is_own = may_be_own(error) && self.store.disk().check().is_ok();
        let state = match is_own {
            true => DiskState::Failing,
            false => DiskState::of(error),
        };
        let last = self
            .failed
            .get()
            .filter(|last| now.saturating_sub(*last) < RETRY);
        self.failed = When::at(now);
        // One file may fail by itself; two in a row are the disk.
        if last.is_some() {
            let is_full = state == DiskState::Full;
            self.retry = When::at(now + if is_full { RETRY_FULL } else { RETRY });
        }
        if last.is_some() || matches!(state, DiskState::Full | DiskState::ReadOnly) {
            self.tally.report.state = state.recording().unwrap_or_default();
            if !is_own {
                self.store.catalog().condition.report_trouble(state);
            }
        }
        self.store.call_keeper();
        log::warn!("{}: a recording failed: {error}", self.stream.key());
    }

    /// Notes that the cut won't be in any file. Its messages are counted with the next one, or at the end.
    /// Returns whether a gap begins.
    fn lose_cut(&mut self) -> bool {
        if let Some(place) = &mut self.place {
            place.note_lost(&self.cut);
        }
        self.tally.begin_gap()
    }

    /// Notes how long a write took.
    fn note_time(&mut self, began: Millis, clock: &Now<'_>) {
        self.tally.note_time(clock().0.saturating_sub(began));
    }

    fn update_report(&mut self, now: Millis, wall: WallMillis) {
        let lag = |place: &RecordPlace| self.stream.record_lag(place, now);
        self.tally.report.behind = self.place.as_ref().map_or(0, lag);
        let is_behind = self.tally.report.behind > BEHIND;
        match self.tally.report.state {
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
