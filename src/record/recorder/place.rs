//! The place of a recorder in the log, and the form in which it reads there.

use super::Recorder;
use crate::live::cut::Form;
use crate::record::report::RecordingState;

/// The chosen form can't hold anything of the stream.
struct NoFormat;

impl Recorder {
    /// Takes a place in the log, or lets the one that there is end where the form has changed.
    pub(super) fn find_place(&mut self) {
        let wanted = self.wanted_form();
        match (&mut self.place, wanted) {
            (None, Err(NoFormat)) => self.tally.report.state = RecordingState::NoFormat,
            (None, Ok(form)) if !self.is_finishing && (form.is_some() || self.stream.is_live()) => {
                if self.tally.report.state == RecordingState::NoFormat {
                    self.tally.report.state = RecordingState::Waiting;
                }
                // What comes before the form is known has to stay in the log.
                let form = form.unwrap_or(Form::Mp4);
                self.place = Some(self.stream.begin_recording(form, self.from));
            }
            (Some(place), Ok(form)) if form.is_none_or(|form| form == place.form()) => {}
            (Some(place), _) => self.stream.finish_before_change(place),
            (None, Ok(_)) => {}
        }
    }

    /// Goes on in another form, if there is one.
    pub(super) fn change_form(&mut self) {
        match (self.wanted_form(), &mut self.place) {
            (Ok(form), Some(place)) => place.go_on_as(form.unwrap_or(place.form())),
            _ => self.leave_log(),
        }
    }

    /// Gives up the place in the log.
    pub(super) fn leave_log(&mut self) {
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
}
