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

use std::io;
use std::sync::Arc;

use super::clock::{Clock, WallTime, is_next_segment};
use super::name::{FileName, Format};
use super::report::{DiskState, RecordingReport, RecordingState};
use super::space::length_to_set_aside;
use super::staging::Staging;
use super::store::Store;
use super::{WallMillis, name};
use crate::live::cut::{Cut, Form, Next};
use crate::live::finding::Finding;
use crate::live::kind::Kind;
use crate::live::stream::{RecordPlace, Stream};
use crate::live::{Millis, When};
use file::{AppendError, OpenFile};

/// A recorder whose oldest message is older than this, in ms, is behind.
const BEHIND: Millis = 10_000;

/// After a failure of the disk, the next file is begun at once if this time has passed since the failure
/// before, in ms. Otherwise it is begun so much later.
const RETRY: Millis = 30_000;

/// The same for a disk that is full, which is looked at more often: memory may not last any longer.
const RETRY_FULL: Millis = 10_000;

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

/// What a recorder's thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next step at once.
    Again,
    /// The next step in a moment.
    Wait,
    /// Nothing: the stream has ended, and the last file is closed.
    Over,
}

/// See the module's documentation.
pub struct Recorder {
    stream: Arc<Stream>,
    store: Arc<Store>,
    rules: Rules,
    staging: Staging,
    /// The message with which the place begins. It is known before the form is, so that the keyframes of
    /// that time aren't lost.
    from: u64,
    place: Option<RecordPlace>,
    cut: Cut,
    /// Whether the cut still has to be written.
    has_cut: bool,
    file: Option<OpenFile>,
    clock: Clock,
    /// The length of the last file, by which space is set aside for the next one.
    last_len: u64,
    failed: When,
    retry: When,
    /// Whether the last message that was cut was missed, so that the gap is one episode.
    is_in_gap: bool,
    report: RecordingReport,
}

impl Recorder {
    /// Creates a recorder of what the stream sends from now on. It writes nothing before its first
    /// [`step`](Self::step).
    pub fn new(
        stream: Arc<Stream>,
        store: Arc<Store>,
        staging: Staging,
        rules: Rules,
        now: Millis,
    ) -> Recorder {
        Recorder {
            from: stream.record_start(rules.preroll),
            stream,
            store,
            rules,
            staging,
            place: None,
            cut: Cut::default(),
            has_cut: false,
            file: None,
            clock: Clock::new(),
            last_len: 0,
            failed: When::default(),
            retry: When::default(),
            is_in_gap: false,
            report: RecordingReport {
                since: now,
                ..RecordingReport::default()
            },
        }
    }

    /// The recorder's figures.
    pub fn report(&self) -> &RecordingReport {
        &self.report
    }

    /// Writes what is due, of one cut at most. Waits for the disk.
    pub fn step(&mut self, clock: &Now<'_>) -> Step {
        let (now, wall) = clock();
        self.clock.observe(now, wall);
        let step = self.advance(now, wall, clock);
        self.update_report(now, wall);
        step
    }

    /// Closes the file, so that the next one begins with the next keyframe.
    pub fn cut_off(&mut self, clock: &Now<'_>) {
        self.close(clock);
    }

    /// Ends the recording: closes the file.
    pub fn end(&mut self, clock: &Now<'_>) {
        self.close(clock);
        self.leave_place();
        self.stream.set_recording_trouble(None);
    }

    fn advance(&mut self, now: Millis, wall: WallMillis, clock: &Now<'_>) -> Step {
        if !self.is_disk_usable() {
            // What was written is closed while that is possible; what comes waits in the log.
            self.close(clock);
            return self.rest();
        }
        if self.retry.get().is_some_and(|retry| now < retry) {
            return self.rest();
        }
        self.retry = When::default();
        if !self.has_cut {
            if !self.find_place() {
                return self.rest();
            }
            let Some(place) = &mut self.place else {
                return Step::Wait;
            };
            match self.stream.next_cut(place, &mut self.cut, now) {
                Next::Over => {
                    self.end(clock);
                    return Step::Over;
                }
                Next::Wait => {
                    self.sync_if_due(now, clock);
                    return Step::Wait;
                }
                Next::Cut => self.has_cut = true,
            }
            self.count_missed();
            if let Some(speed) = self.rules.speed {
                self.keep_keyframe(speed);
            }
        }
        // Room is asked for first, so that the space that must stay free does.
        let len = self.cut_len();
        if !self.store.catalog().condition.take_room(len) {
            self.store.call_keeper();
            return self.rest();
        }
        self.has_cut = false;
        self.record(now, wall, clock);
        self.sync_if_due(now, clock);
        Step::Again
    }

    /// Whether the disk can be written to. If it can't, the report says why.
    fn is_disk_usable(&mut self) -> bool {
        let catalog = self.store.catalog();
        let condition = &catalog.condition;
        if let Some(state) = condition.state.recording() {
            self.report.state = state;
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

    /// The step of a recorder that can't write: it ends with its stream.
    fn rest(&mut self) -> Step {
        if self.stream.has_ended() {
            self.leave_place();
            return Step::Over;
        }
        Step::Wait
    }

    /// Takes a place in the log in the form of the next file. False if that isn't known yet.
    fn find_place(&mut self) -> bool {
        // In the middle of a file the form stays.
        if self.file.is_some() && self.place.is_some() {
            return true;
        }
        let possible = self.stream.record_form();
        let Some(form) = self.rules.form.or(possible) else {
            return self.place.is_some();
        };
        if !self.has_format(form, possible) {
            return false;
        }
        if self
            .place
            .as_ref()
            .is_some_and(|place| place.form() == form)
        {
            return true;
        }
        self.leave_place();
        self.place = Some(self.stream.begin_recording(form, self.from));
        true
    }

    /// Gives up the place in the log. The next one is where this one was.
    fn leave_place(&mut self) {
        if let Some(place) = self.place.take() {
            self.from = place.position();
            self.stream.end_recording(place);
        }
    }

    /// Whether a file of this form can hold any of the stream's tracks. If not, the report says so.
    fn has_format(&mut self, form: Form, possible: Option<Form>) -> bool {
        let is_other = form == Form::Mp4 && possible == Some(Form::Flv);
        // One of two tracks is better than nothing.
        let is_none = is_other && self.stream.is_live() && self.stream.content_type().is_none();
        if is_none {
            self.report.state = RecordingState::NoFormat;
            self.leave_place();
        } else if self.report.state == RecordingState::NoFormat {
            self.report.state = RecordingState::Waiting;
        }
        !is_none
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
                return self.lose_cut(false);
            }
            if let Err(error) = self.begin(time, now, wall) {
                // The disk's fault, so the cut waits for the disk. Otherwise it may be the cut's.
                self.has_cut = DiskState::of(&error) != DiskState::Failing;
                if !self.has_cut {
                    self.lose_cut(false);
                }
                return self.fail(&error, clock);
            }
        }
        self.append(time, wall, clock);
    }

    /// Whether a file ends before the cut, which begins at this time.
    fn is_over(&self, file: &OpenFile, time: WallTime) -> bool {
        // A file can begin only with a start, but not everything may wait for one.
        let must = file.steps != time.steps || !file.takes(&self.cut);
        let may = is_next_segment(file.began, time.wall, self.rules.segment())
            || file.extent().len > MAX_LEN;
        must || self.cut.is_start && may
    }

    /// Leaves only the keyframe of a cut, if it has one, to be shown `speed` times as fast.
    fn keep_keyframe(&mut self, speed: u32) {
        let speed = speed.max(1);
        let video = self
            .cut
            .samples
            .iter()
            .filter(|sample| sample.kind == Kind::Video);
        let duration: u32 = video
            .map(|sample| sample.duration)
            .fold(0, u32::saturating_add);
        self.cut
            .samples
            .retain(|sample| sample.is_sync && sample.kind == Kind::Video);
        self.cut.samples.truncate(1);
        for sample in &mut self.cut.samples {
            sample.decode_time /= u64::from(speed);
            sample.timestamp /= speed;
            sample.duration = (duration / speed).max(1);
            sample.composition_time = 0;
        }
    }

    /// Begins a file.
    fn begin(&mut self, time: WallTime, now: Millis, wall: WallMillis) -> io::Result<()> {
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
                let aside = length_to_set_aside(self.last_len);
                let aside = catalog.condition.take_room_aside(aside);
                catalog.set_aside(key, name, aside);
                (name, aside)
            };
            let (disk, path) = (self.store.disk(), name::path(key, name));
            let (times, place) = ((time, now), (&*path, name));
            match OpenFile::begin(&**disk, place, &self.cut, times, aside, &self.rules) {
                Ok(file) => {
                    log::debug!("{key}: recording to {}", path.display());
                    self.report.file = Some(path.display().to_string());
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
        let before = file.extent().len;
        let began = clock().0;
        let result = file.append(
            &mut self.cut,
            time.wall,
            staging,
            &mut |samples, place, out| stream.copy(samples, place, out),
        );
        let after = file.extent().len;
        self.note_time(began, clock);
        match result {
            Ok(()) => {
                self.report.bytes += after.saturating_sub(before);
                self.is_in_gap = false;
                self.report.state = RecordingState::Recording;
                self.note_growth(wall);
            }
            Err(AppendError::Evicted) => self.lose_cut(true),
            Err(AppendError::Disk(error)) => {
                self.lose_cut(false);
                self.fail(&error, clock);
            }
        }
    }

    /// Notes in the list how far the file can be read.
    fn note_growth(&self, wall: WallMillis) {
        if let Some(file) = &self.file {
            let extent = file.extent();
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
            Ok(()) => self.report.last_sync = Some(now),
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
                self.report.last_sync = Some(now);
                let mut catalog = self.store.catalog();
                catalog.close(&key, name, extent.len, extent.to, wall);
            }
            Ok(None) => {
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
        let state = DiskState::of(error);
        let last = self
            .failed
            .get()
            .filter(|last| now.saturating_sub(*last) < RETRY);
        self.failed = When::at(now);
        // One file may fail by itself; two in a row are the disk.
        if last.is_some() || state != DiskState::Failing {
            let is_full = state == DiskState::Full;
            self.retry = When::at(now + if is_full { RETRY_FULL } else { RETRY });
            self.report.state = state.recording().unwrap_or_default();
            self.store.catalog().condition.report_trouble(state);
        }
        self.store.call_keeper();
        log::warn!("{}: a recording failed: {error}", self.stream.key());
    }

    fn count_missed(&mut self) {
        let missed = self.cut.missed;
        if missed == 0 {
            return;
        }
        self.report.missed_messages += missed;
        self.note_gap(true);
    }

    /// Notes that the cut won't be in any file; `is_slow` if that is because the disk is slow.
    fn lose_cut(&mut self, is_slow: bool) {
        let lost = self.cut.samples.len() as u64;
        if let Some(place) = &mut self.place {
            place.note_lost(&self.cut);
        }
        if lost > 0 && self.file.is_some() {
            self.note_gap(is_slow);
        }
    }

    fn note_gap(&mut self, is_slow: bool) {
        self.report.gaps += u64::from(!self.is_in_gap);
        // Of a failure, the log says more.
        if !std::mem::replace(&mut self.is_in_gap, true) && is_slow {
            log::warn!(
                "{}: a gap in the recording: the disk is too slow for the memory that there is",
                self.stream.key()
            );
        }
    }

    /// Notes how long a write took.
    fn note_time(&mut self, began: Millis, clock: &Now<'_>) {
        let took = clock().0.saturating_sub(began);
        self.report.longest_write = self.report.longest_write.max(took);
    }

    fn update_report(&mut self, now: Millis, wall: WallMillis) {
        let lag = |place: &RecordPlace| self.stream.record_lag(place, now);
        self.report.behind = self.place.as_ref().map_or(0, lag);
        let is_behind = self.report.behind > BEHIND;
        match self.report.state {
            RecordingState::Recording if is_behind => self.report.state = RecordingState::Behind,
            RecordingState::Behind if !is_behind => self.report.state = RecordingState::Recording,
            _ => {}
        }
        let key = self.stream.key();
        self.report.bytes_today = self.store.catalog().bytes_today(key, wall);
        let trouble = self.report.trouble();
        if self.stream.set_recording_trouble(trouble) {
            match trouble {
                Some(trouble) => log::warn!("{key}: {}", Finding::Recording(trouble)),
                None => log::info!("{key}: the recording goes on"),
            }
        }
    }
}
