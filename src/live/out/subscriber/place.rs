//! The place of a subscriber in the log: joins, follows, skips; and the announcement that a file needs
//! there.

use std::sync::Arc;

use super::{LeadIn, LogCursor, PlayEnd, Sending, StreamView, Subscriber, lag_of};
use crate::live::log::Entry;
use crate::live::out::desk::Skip;
use crate::live::out::join::{Burst, Join};
use crate::live::tracks::Has;
use crate::live::{Millis, When};
use crate::rtmp::server_session::Over;

impl Subscriber {
    /// Joins, skips, or stays. Called at a message boundary.
    pub(super) fn place_cursor(&mut self, view: &StreamView<'_>, skips: &mut Vec<Skip>) {
        match self.cursor {
            LogCursor::Waiting { from } => {
                // A waiting subscriber gets everything that arrived while it waited.
                let is_mp4 = self.is_mp4();
                let first = from.max(self.edge.live_from);
                let first = view.log.join_point_from(first, is_mp4);
                let newest = self.start(view).filter(|number| *number >= from);
                if let Some(number) = first.or(newest) {
                    self.join(number, view);
                }
            }
            LogCursor::At(number) if self.must_announce(number, view) => {
                self.announce(number, view);
            }
            LogCursor::At(number) => {
                let is_evicted = number < view.log.start();
                if is_evicted || self.is_lagging(number, view) {
                    self.skip(number, view, skips);
                } else if self.wanted.awaits_keyframe() {
                    let entry = view.log.entry(number);
                    if entry.is_some_and(|entry| entry.meta.is_join_point) {
                        self.wanted.pass_keyframe();
                    }
                }
            }
        }
    }

    fn is_mp4(&self) -> bool {
        self.receiver.framing.format.is_mp4()
    }

    /// The newest message where the subscriber may start.
    fn start(&self, view: &StreamView<'_>) -> Option<u64> {
        view.log.start_of(self.is_mp4())
    }

    fn join(&mut self, number: u64, view: &StreamView<'_>) {
        let edge = &mut self.edge;
        edge.burst = match self.receiver.join {
            Join::Live if number < edge.live_from => Burst::to_live_edge(number, view.log),
            _ => None,
        };
        edge.joined = view.now;
        edge.live_from = edge.live_from.min(view.log.end());
        self.wanted.pass_keyframe();
        self.start_at(number, view);
    }

    /// Sets the cursor on a join point, after the preamble if the receiver's version is out of date.
    fn start_at(&mut self, number: u64, view: &StreamView<'_>) {
        if self.file.is_some() {
            self.announce(number, view);
            return;
        }
        self.move_to(number, 0);
        if self.preamble_version != Some(view.preamble.version()) {
            self.lead_in(number, None, view);
        }
    }

    /// Waits for a join point with at least this number.
    pub(super) fn wait_from(&mut self, from: u64) {
        (self.cursor, self.lead) = (LogCursor::Waiting { from }, None);
    }

    /// Sets the cursor on a message of which `sent` bytes have been sent.
    pub(super) fn move_to(&mut self, number: u64, sent: u64) {
        (self.cursor, self.lead) = (LogCursor::At(number), None);
        self.sending = match sent {
            0 => Sending::Between,
            sent => Sending::Message(sent),
        };
    }

    /// Puts the headers before the message with this number; with `opening`, also the beginning of a
    /// file with these tracks before the headers.
    fn lead_in(&mut self, number: u64, opening: Option<Has>, view: &StreamView<'_>) {
        let entry = view.log.entry(number);
        let lead = LeadIn {
            opening,
            preamble: Arc::clone(view.preamble),
            next: 0,
            timestamp: entry.map_or(0, |entry| self.timestamp(&entry)),
        };
        self.lead = Some(Box::new(lead));
    }

    /// The timestamp with which this subscriber gets a message.
    fn timestamp(&self, entry: &Entry) -> u32 {
        let restamped = self.edge.burst.and_then(|burst| burst.timestamp(entry));
        restamped.unwrap_or(entry.meta.timestamp)
    }

    /// Whether the subscriber should skip, and can: there is a newer join point, and the subscriber is
    /// further behind than allowed, or than half of the log's capacity. If it were moved any later, it
    /// would nearly always be in the middle of a message that has left the log.
    pub(super) fn is_lagging(&self, number: u64, view: &StreamView<'_>) -> bool {
        if self.start(view).is_none_or(|target| target <= number) {
            return false;
        }
        view.log.entry(number).is_some_and(|entry| {
            let came = entry.meta.arrived.max(self.edge.joined);
            view.now.saturating_sub(came) > view.max_lag
                || view.log.bytes_behind(&entry) > view.log.capacity() / 2
        })
    }

    /// Continues at the newest join point, or waits for the next one.
    fn skip(&mut self, from: u64, view: &StreamView<'_>, skips: &mut Vec<Skip>) {
        let end = view.log.end();
        let target = self.start(view).filter(|target| *target > from);
        self.note_skip(from, target.unwrap_or(end), view, skips);
        match target {
            Some(target) => self.start_at(target, view),
            None => self.wait_from(end),
        }
    }

    fn note_skip(&mut self, from: u64, to: u64, view: &StreamView<'_>, skips: &mut Vec<Skip>) {
        /// Skips closer together than this, in ms, are one episode.
        const EPISODE: Millis = 10_000;
        /// The maximum number of skips that wait for the publisher's next pump to report them.
        const MAX_REPORTS: usize = 16;

        let messages = to.saturating_sub(from);
        let record = &mut self.record;
        record.delivered.skips += 1;
        record.delivered.skipped_messages += messages;
        self.edge.burst = None;
        let last = record.last_skip.get();
        let is_new = last.is_none_or(|last| view.now.saturating_sub(last) > EPISODE);
        record.last_skip = When::at(view.now);
        if is_new && self.is_viewer() && skips.len() < MAX_REPORTS {
            skips.push(Skip {
                subscriber: self.id,
                lag: lag_of(from, view.log, view.now),
                messages,
            });
        }
    }

    /// Replaces headers of a version that is too old, which is not kept for one receiver: it gets the
    /// new headers, or is lost if it is in the middle of an old one.
    pub(super) fn replace_old_preamble(&mut self, view: &StreamView<'_>) {
        let Some(lead) = self.lead.as_mut() else {
            return;
        };
        let age = view.oldest_preamble.wrapping_sub(lead.preamble.version());
        if age as i32 <= 0 {
            return;
        }
        if matches!(self.sending, Sending::Header(_)) {
            self.fail(PlayEnd::Stalled);
            return;
        }
        lead.preamble = Arc::clone(view.preamble);
        lead.next = 0;
    }

    /// Replaces tracks of a version that is too old, which is not kept for one receiver either.
    pub(super) fn replace_old_tracks(&mut self, view: &StreamView<'_>) {
        let Some(own) = self.file.as_mut().and_then(|file| file.tracks.as_mut()) else {
            return;
        };
        let mut kept = view.old_tracks.iter().flatten().chain([view.tracks]);
        if kept.any(|kept| Arc::ptr_eq(own, kept)) {
            return;
        }
        if self.receiver.framing.format.is_mp4() {
            self.fail(PlayEnd::OtherTracks);
        } else {
            // FLV announces tracks only once, and has no further use for them.
            *own = Arc::clone(view.tracks);
        }
    }

    /// Whether an MP4 file has announced the stream's newest tracks. True for other formats, which
    /// don't have to.
    pub(super) fn has_newest_tracks(&self, view: &StreamView<'_>) -> bool {
        let own = self.file.as_ref().and_then(|file| file.tracks.as_ref());
        !self.is_mp4() || own.is_some_and(|own| Arc::ptr_eq(own, view.tracks))
    }

    /// Whether a file must announce other tracks before this message.
    pub(super) fn must_announce(&self, number: u64, view: &StreamView<'_>) -> bool {
        if self.has_newest_tracks(view) {
            return false;
        }
        // A message of the newest tracks, or a later one.
        let is_theirs = |entry: Entry| {
            let newer = entry.meta.preamble_version.wrapping_sub(view.tracks.since);
            newer as i32 >= 0
        };
        view.log.entry(number).is_some_and(is_theirs)
    }

    /// Sets the cursor of a file, after the announcement of its tracks if they are new.
    fn announce(&mut self, number: u64, view: &StreamView<'_>) {
        let tracks = view.tracks;
        let Some(file) = &mut self.file else {
            return;
        };
        let can_begin = view.are_tracks_known || file.tracks.is_some();
        let Some(entry) = view.log.entry(number).filter(|_| can_begin) else {
            self.wait_from(number);
            return;
        };
        (self.cursor, self.lead) = (LogCursor::At(number), None);
        let format = &mut self.receiver.framing.format;
        let presentation = self.wanted.of_presentation(&tracks.presentation);
        let has = if format.is_mp4() {
            Has::tracks_of(&presentation)
        } else {
            let takes = tracks.has(self.receiver.capabilities);
            self.wanted.of_tracks(takes)
        };
        match &file.tracks {
            None if !has.audio && !has.video => {
                return self.say_goodbye(PlayEnd::NothingToTake, None);
            }
            None => {
                // In a burst, the first message's new timestamp determines the base.
                let restamped = self.edge.burst.and_then(|burst| burst.timestamp(&entry));
                let timestamp = restamped.unwrap_or(entry.meta.timestamp);
                let later = timestamp.wrapping_sub(entry.meta.timestamp) as i32;
                let time = tracks.time(&entry).saturating_add_signed(later.into());
                format.set_base(timestamp, time, tracks.audio_rate());
            }
            Some(own) if format.is_mp4() => {
                let own = self.wanted.of_presentation(&own.presentation);
                if !own.is_continued_by(&presentation) {
                    return self.say_goodbye(PlayEnd::OtherTracks, Some(Over::Unpublished));
                }
                file.is_opening_due |= own != presentation;
            }
            // FLV announces only which media there are, and only once.
            Some(_) => {}
        }
        file.tracks = Some(Arc::clone(tracks));
        let opening = file.is_opening_due.then_some(has);
        if opening.is_some() || self.preamble_version != Some(view.preamble.version()) {
            self.lead_in(number, opening, view);
        }
    }
}
