//! The functions of a stream that take its lock for recorders.

mod readers;
mod span;

use std::sync::{Arc, Mutex, Weak};

use super::{Stream, StreamState};
use crate::live::cut::find::{Finder, Source};
use crate::live::cut::{CopyPlace, Cut, CutSample, Evicted, Form, Next};
use crate::live::{Millis, copy_front, lock};
pub(super) use readers::Readers;
pub use span::LogSpan;

/// The maximum number of bytes and samples that are copied under one lock: the publisher waits meanwhile.
const MAX_COPY: usize = 64 * 1024;
const MAX_COPIED: usize = 512;

/// The place of a recorder in a stream's log. What it hasn't read stays in the log while blocks last.
/// Not a viewer: reports don't count it.
pub struct RecordPlace {
    finder: Finder,
    id: u64,
    is_recorder: bool,
    /// Nothing is cut from this message on.
    until: Option<u64>,
    /// The end of the last cut.
    cut_to: u64,
    state: Weak<Mutex<StreamState>>,
}

impl RecordPlace {
    /// Notes that the samples of a cut are lost for the recording, such as after [`Evicted`]: a file may
    /// begin with the next cut, and [`Cut::missed`] counts the messages.
    pub fn note_lost(&mut self, cut: &Cut) {
        self.finder.note_lost(cut.messages.end - cut.messages.start);
    }

    /// The message after the last cut.
    pub fn position(&self) -> u64 {
        self.finder.at
    }

    /// The form in which the place cuts.
    pub fn form(&self) -> Form {
        self.finder.form
    }

    /// Goes on in this form, from the first message on with which a file may begin.
    pub fn go_on_as(&mut self, form: Form) {
        self.finder.form = form;
        self.finder.awaits_start = true;
        // Messages that the form before couldn't hold were passed over.
        let from = self.until.take().map(|until| until.max(self.cut_to));
        self.finder.at = from.map_or(self.finder.at, |from| from.min(self.finder.at));
    }
}

impl Drop for RecordPlace {
    fn drop(&mut self) {
        if let Some(state) = self.state.upgrade() {
            lock(&state).end_reading(self.id);
        }
    }
}

impl Stream {
    /// Returns the message at which a recording begins that is asked for now: the newest keyframe, or
    /// without one, what comes next. With `preroll`, the newest keyframe that is at least this many ms
    /// older than the newest message, or the oldest keyframe that is still there.
    pub fn record_start(&self, preroll: Option<Millis>) -> u64 {
        lock(&self.state).start_of_reading(preroll)
    }

    /// Begins to record, with the first keyframe from this message on that no other recording has. While the
    /// stream waits for its publisher, a place counts as an audience.
    pub fn begin_recording(&self, form: Form, from: u64) -> RecordPlace {
        let state = &mut *lock(&self.state);
        let from = from.max(state.recorded_to);
        self.place(state, form, from, true)
    }

    /// Finds the next cut, and puts it into `cut`. From now on, the messages of the previous one may leave
    /// the log.
    pub fn next_cut(&self, place: &mut RecordPlace, cut: &mut Cut, now: Millis) -> Next {
        loop {
            if let Some(next) = lock(&self.state).next_cut(place, cut, now) {
                return next;
            }
            // Without this, the thread would get the lock again before a thread that was woken up for it.
            std::thread::yield_now();
        }
    }

    /// Returns the message before which a recording ends that is to end now. From now on, another one begins
    /// behind it, even if this one still waits for its disk.
    pub fn end_of_recording(&self) -> u64 {
        let state = &mut *lock(&self.state);
        state.recorded_to = state.log.end();
        state.recorded_to
    }

    /// Lets a recording end before this message: [`next_cut`](Self::next_cut) doesn't wait for more, and
    /// says that it is over when everything up to there has been cut.
    pub fn finish_recording(&self, place: &mut RecordPlace, until: u64) {
        place.until.get_or_insert(until);
    }

    /// Lets a recording end, like [`finish_recording`](Self::finish_recording), with the last message before
    /// the tracks were the present ones.
    pub fn finish_before_change(&self, place: &mut RecordPlace) {
        let from = lock(&self.state).intake.eras.newest_from();
        place.until.get_or_insert(from);
    }

    /// Copies the bytes of samples of a cut, from `place` on, and moves `place` behind them. Returns the
    /// number of bytes copied, which may be less than there is room for; 0 if all samples are copied.
    pub fn copy(
        &self,
        samples: &[CutSample],
        place: &mut CopyPlace,
        out: &mut [u8],
    ) -> Result<usize, Evicted> {
        let log = &lock(&self.state).log;
        let most = out.len().min(MAX_COPY);
        let out = &mut out[..most];
        let mut copied = 0;
        let samples = samples.iter().skip(place.index).take(MAX_COPIED);
        for sample in samples {
            let entry = log.entry(sample.number).ok_or(Evicted)?;
            // What MP4 leaves out stands in front.
            let skip = entry.len.saturating_sub(sample.len) + place.offset;
            let left = sample.len.saturating_sub(place.offset) as usize;
            let slices = log.slices(entry.position, skip as usize, left);
            let len = copy_front(slices, &mut out[copied..]);
            copied += len;
            if len < left {
                place.offset += len as u32;
                break;
            }
            (place.index, place.offset) = (place.index + 1, 0);
        }
        Ok(copied)
    }

    /// The time since the oldest message arrived that hasn't been cut, in ms; 0 if there is none.
    pub fn record_lag(&self, place: &RecordPlace, now: Millis) -> Millis {
        let log = &lock(&self.state).log;
        let oldest = log.entry(place.finder.at.max(log.start()));
        oldest.map_or(0, |oldest| now.saturating_sub(oldest.meta.arrived))
    }

    /// The form in which nothing of the first tracks gets lost: MP4 if it can hold them. `None` as long as
    /// it isn't known what the publisher sends.
    pub fn record_form(&self) -> Option<Form> {
        let state = lock(&self.state);
        let tracks = &state.intake.tracks;
        let presentation = &tracks.presentation;
        let is_mp4 = tracks.video.is_some() == presentation.video.is_some()
            && tracks.audio.is_some() == presentation.audio.is_some();
        let has_any = tracks.video.is_some() || tracks.audio.is_some();
        let is_known = has_any && state.intake.are_tracks_complete();
        is_known.then_some(if is_mp4 { Form::Mp4 } else { Form::Flv })
    }

    /// Ends a recording: its place no longer keeps messages in the log. Returns the number of messages
    /// that are missing in it and haven't been counted by a cut.
    pub fn end_recording(&self, place: RecordPlace) -> u64 {
        let end = lock(&self.state).log.end();
        let missed = place.finder.left(place.until.unwrap_or(end).min(end));
        drop(place);
        // The thread that awaits the publisher may have waited only because of this recorder.
        self.changed.notify();
        missed
    }

    /// Takes a place. `is_recorder`: whether it counts as an audience.
    fn place(
        &self,
        state: &mut StreamState,
        form: Form,
        at: u64,
        is_recorder: bool,
    ) -> RecordPlace {
        let id = state.readers.add(at, is_recorder);
        state.keep_for_readers();
        RecordPlace {
            finder: Finder::new(form, at),
            id,
            is_recorder,
            until: None,
            cut_to: at,
            state: Arc::downgrade(&self.state),
        }
    }
}

impl StreamState {
    /// The message at which a reader begins to look for a keyframe.
    fn start_of_reading(&self, preroll: Option<Millis>) -> u64 {
        let log = &self.log;
        let from = self.intake.eras.newest_from();
        let newest = log.start_of(true).filter(|newest| *newest >= from);
        let (Some(preroll), Some(entry)) = (preroll, log.newest()) else {
            return newest.unwrap_or(log.end());
        };
        let since = entry.meta.arrived.saturating_sub(preroll);
        let start = log.start_before(log.newest_until(since), from);
        let start = start.or_else(|| log.join_point_from(from, true));
        start.or(newest).unwrap_or(log.end())
    }

    /// The stream as far as cuts need it.
    fn source(&self, now: Millis) -> Source<'_> {
        Source {
            log: &self.log,
            end: self.log.end(),
            eras: &self.intake.eras,
            are_tracks_known: self.intake.are_tracks_complete(),
            is_live: self.life.is_live(),
            has_ended: self.life.has_ended(),
            now,
        }
    }

    fn next_cut(&mut self, place: &mut RecordPlace, cut: &mut Cut, now: Millis) -> Option<Next> {
        let mut source = self.source(now);
        if let Some(until) = place.until {
            source.end = source.end.min(until.max(place.finder.at));
            source.has_ended = true;
        }
        let next = place.finder.next(&source, cut);
        let needed_from = match next {
            Some(Next::Cut) => {
                place.cut_to = cut.messages.end;
                if place.is_recorder {
                    self.recorded_to = self.recorded_to.max(place.cut_to);
                }
                cut.messages.start
            }
            _ => place.finder.at,
        };
        self.readers.set_needs(place.id, needed_from);
        self.keep_for_readers();
        next
    }

    fn end_reading(&mut self, id: u64) {
        self.readers.remove(id);
        self.keep_for_readers();
    }

    /// Keeps the messages that present and future readers need.
    pub(super) fn keep_for_readers(&mut self) {
        let needed_from = self.readers.needed_from();
        self.intake.eras.keep_from(needed_from);
        let kept_from = self.readers.kept_from(&self.log);
        let from = needed_from.unwrap_or(u64::MAX).min(kept_from);
        self.log.set_read_from(from);
    }
}
