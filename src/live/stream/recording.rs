//! The functions of a stream that take its lock for recorders.

use super::Stream;
use crate::live::Millis;
use crate::live::cut::{CopyPlace, Cut, CutSample, Evicted, Form, Next};

/// The place of a recorder in a stream's log. What it hasn't read stays in the log while blocks last.
/// Not a viewer: reports don't count it.
#[derive(Debug)]
pub struct RecordPlace {
    form: Form,
}

impl RecordPlace {
    /// Notes that the samples of a cut are lost for the recording, such as after [`Evicted`]: the next
    /// cut will be one with which a file may begin, and counts the messages in
    /// [`Cut::missed`].
    pub fn note_lost(&mut self, cut: &Cut) {
        let _ = cut;
    }

    /// The form in which the place cuts.
    pub fn form(&self) -> Form {
        self.form
    }
}

impl Stream {
    /// Begins to record at the newest keyframe, or without one, at the next. With `preroll`, at the newest
    /// keyframe that is at least this many ms older than the newest message, or at the oldest keyframe
    /// that is still there. While the stream waits for its publisher, a place counts as an audience.
    pub fn begin_recording(&self, form: Form, preroll: Option<Millis>) -> RecordPlace {
        let _ = preroll;
        RecordPlace { form }
    }

    /// Finds the next cut, and puts it into `cut`. The messages of the previous one may leave the log
    /// from now on.
    pub fn next_cut(&self, place: &mut RecordPlace, cut: &mut Cut, now: Millis) -> Next {
        let _ = (place, cut, now);
        Next::Wait
    }

    /// Copies the bytes of samples of a cut, from `place` on, and moves `place` behind them. Returns the
    /// number of bytes copied, which may be less than there is room for; 0 if all samples are copied.
    pub fn copy(
        &self,
        samples: &[CutSample],
        place: &mut CopyPlace,
        out: &mut [u8],
    ) -> Result<usize, Evicted> {
        let _ = (samples, place, out);
        Ok(0)
    }

    /// The time since the oldest message arrived that hasn't been cut, in ms; 0 if there is none.
    pub fn record_lag(&self, place: &RecordPlace, now: Millis) -> Millis {
        let _ = (place, now);
        0
    }

    /// The form in which nothing of the first tracks gets lost: MP4 if it can hold them. `None` as long as
    /// it isn't known what the publisher sends.
    pub fn record_form(&self) -> Option<Form> {
        None
    }

    /// Ends a recording: its place no longer keeps messages in the log.
    pub fn end_recording(&self, place: RecordPlace) {
        drop(place);
    }
}
