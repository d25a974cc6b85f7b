//! The subscriber of a file: what it announces, before its first message and whenever that changes.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::{Cursor, End, PreambleCursor, Step, Subscriber, Video, View};
use crate::live::out::framing::{Framing, Has};
use crate::live::log::Entry;
use crate::live::out::sink::try_send;
use crate::live::tracks::Tracks;
use crate::media::mp4::Presentation;
use crate::rtmp::server_session::Over;

impl Subscriber {
    /// Headers are to be sent before the message with this number, after what a file begins with if
    /// it has these tracks.
    pub(super) fn send_headers(&mut self, number: u64, lead: Option<Has>, view: &View<'_>) {
        let entry = view.log.entry(number);
        let is_wanted = !matches!(self.receiver.framing, Framing::Mp4 { .. });
        self.preamble = Some(PreambleCursor {
            lead,
            preamble: Arc::clone(view.preamble),
            index: if is_wanted { 0 } else { usize::MAX },
            sent: 0,
            timestamp: entry.map_or(0, |entry| self.timestamp(&entry)),
        });
    }

    /// Tracks of a version that is too old are not kept for one receiver either.
    pub(super) fn give_up_old_tracks(&mut self, view: &View<'_>) {
        let Some(own) = &mut self.tracks else {
            return;
        };
        let mut kept = view.old_tracks.iter().chain([view.tracks]);
        if kept.any(|kept| Arc::ptr_eq(own, kept)) {
            return;
        }
        match self.receiver.framing {
            Framing::Mp4 { .. } => self.fail(End::OtherTracks),
            // It has announced them, and has no use for them any more.
            _ => *own = Arc::clone(view.tracks),
        }
    }

    /// Whether a file must announce other tracks before this message.
    pub(super) fn must_announce(&self, number: u64, view: &View<'_>) -> bool {
        let (Framing::Mp4 { .. }, Some(own)) = (self.receiver.framing, &self.tracks) else {
            return false;
        };
        let tracks = view.tracks;
        // A message of theirs, or a newer one.
        let is_theirs =
            |entry: Entry| entry.meta.preamble_version.wrapping_sub(tracks.since) as i32 >= 0;
        !Arc::ptr_eq(own, tracks) && view.log.entry(number).is_some_and(is_theirs)
    }

    /// Sets the cursor of a file, after what it announces if that is new.
    pub(super) fn announce(&mut self, number: u64, view: &View<'_>) {
        let tracks = view.tracks;
        let can_begin = view.are_tracks_known || self.tracks.is_some();
        let Some(entry) = view.log.entry(number).filter(|_| can_begin) else {
            self.cursor = Cursor::Waiting { from: number };
            return;
        };
        self.cursor = Cursor::At { number, sent: 0 };
        self.preamble = None;
        let mut framing = self.receiver.framing;
        let is_mp4 = matches!(framing, Framing::Mp4 { .. });
        let presentation = self.wanted_of(&tracks.presentation);
        let has = match is_mp4 {
            true => Has::tracks_of(&presentation),
            false => self.wanted_tracks(tracks),
        };
        match &self.tracks {
            Some(own) if own.presentation == tracks.presentation => {}
            Some(own) => {
                let own = self.wanted_of(&own.presentation);
                if is_mp4 && !own.is_continued_by(&presentation) {
                    self.end_as(
                        End::OtherTracks,
                        framing.last_words(Over::Unpublished, None),
                    );
                    return;
                }
                self.is_lead_due |= is_mp4 && own != presentation;
            }
            None if !has.audio && !has.video => {
                self.end_as(
                    End::NothingToTake,
                    framing.nothing_to_take(self.opening.as_deref()),
                );
                return;
            }
            None => {
                let restamped = self.burst.and_then(|burst| burst.timestamp(&entry));
                let timestamp = restamped.unwrap_or(entry.meta.timestamp);
                let later = timestamp.wrapping_sub(entry.meta.timestamp) as i32;
                let time = tracks.time(&entry).saturating_add_signed(later.into());
                framing.set_base(timestamp, time, tracks.audio_rate());
                self.receiver.framing = framing;
            }
        }
        let lead = self.is_lead_due.then_some(has);
        self.tracks = Some(Arc::clone(tracks));
        if self.is_lead_due || self.preamble_version != Some(view.preamble.version()) {
            self.send_headers(number, lead, view);
        }
    }

    /// What of a presentation the receiver hasn't turned off.
    pub(super) fn wanted_of(&self, presentation: &Presentation) -> Presentation {
        let Presentation { video, audio } = presentation;
        Presentation {
            video: video.clone().filter(|_| self.video != Video::Off),
            audio: audio.clone().filter(|_| self.audio),
        }
    }

    /// What it can take, and hasn't turned off.
    pub(super) fn wanted_tracks(&self, tracks: &Tracks) -> Has {
        let has = tracks.has(self.receiver.capabilities);
        Has {
            audio: has.audio && self.audio,
            video: has.video && self.video != Video::Off,
        }
    }

    pub(super) fn send_lead(&mut self, view: &View<'_>) -> io::Result<Step> {
        let (Some(cursor), Some(tracks)) = (&self.preamble, &self.tracks) else {
            return Ok(Step::Idle);
        };
        let (Some(has), sent) = (cursor.lead, cursor.sent) else {
            return Ok(Step::Idle);
        };
        // Made anew for each send: it is the same again, and whoever takes it slowly holds nothing.
        let presentation = self.wanted_of(&tracks.presentation);
        let opening = self.opening.as_deref();
        let lead = self.receiver.framing.lead(&presentation, has, opening);
        let left = lead.get(sent as usize..).unwrap_or_default();
        let offered = left.len();
        let taken = try_send(&*self.sink, &[IoSlice::new(left)])?;
        let is_complete = taken == offered;
        if let Some(cursor) = &mut self.preamble {
            cursor.sent += taken as u64;
            if is_complete {
                (cursor.lead, cursor.sent) = (None, 0);
            }
        }
        if is_complete {
            self.opening = None;
            self.is_lead_due = false;
        }
        self.count(taken, view);
        Ok(if is_complete {
            Step::Sent
        } else {
            Step::Blocked
        })
    }
}
