//! The next send of a subscriber, and its place afterward: one function for each kind of piece that can
//! be in progress.

use std::io::{self, IoSlice};

use super::{Ending, LogCursor, PlayEnd, SendStep, Sending, StreamView, Subscriber};
use crate::live::capabilities::Capabilities;
use crate::live::kind::Kind;
use crate::live::log::{Entry, Log, Role};
use crate::live::out::desk::Desk;
use crate::live::out::message::Message;
use crate::live::out::outgoing::Outgoing;
use crate::live::out::sink::try_send;
use crate::live::out::slices::Slices;
use crate::live::out::stage::Shelf;

/// The maximum number of messages that are offered in one send.
const MAX_MESSAGES: usize = 64;

/// The maximum number of slices that are offered in one send: enough for 350 ms of a 6 Mbit/s stream.
/// They lie on the stack of the thread that pumps, where each page counts, times the number of players.
const MAX_SLICES: usize = 80;

/// The maximum number of slices of a header: two for each 64 KiB, and one at the end.
const MAX_HEADER_SLICES: usize = 4;

/// The number of messages after which a player that accepted none of them is notified: a few seconds of
/// video, or of audio.
const MAX_UNTAKEN: u32 = 100;

impl Subscriber {
    /// Sends the next piece, as far as the socket accepts it.
    pub(super) fn step(&mut self, view: &StreamView<'_>, desk: &mut Desk) -> io::Result<SendStep> {
        match self.sending {
            Sending::Between => self.begin(view, desk),
            Sending::Control(sent) => self.send_control(sent, view),
            Sending::Opening(sent) => self.send_opening(sent, view),
            Sending::Header(sent) => self.send_header(sent, view),
            Sending::Message(sent) => self.send_messages(sent, view, desk),
        }
    }

    /// Chooses the next piece at a message boundary, and sends it.
    fn begin(&mut self, view: &StreamView<'_>, desk: &mut Desk) -> io::Result<SendStep> {
        // Encrypted bytes may wait though all of their plaintext was accepted, even at the end of a stream.
        if !self.sink.flush()? {
            return Ok(SendStep::Blocked);
        }
        if !self.control.as_slice().is_empty() {
            return self.send_control(0, view);
        }
        if self.is_ending() {
            self.complete_end();
            return Ok(SendStep::Idle);
        }
        let is_draining = matches!(self.ending, Ending::Draining(_));
        if self.is_paused && !is_draining {
            return Ok(SendStep::Idle);
        }
        self.place_cursor(view, &mut desk.skips);
        if is_draining && (self.is_paused || self.has_all(view)) {
            self.stop_draining();
        }
        if self.is_ending() {
            return Ok(SendStep::Sent);
        }
        match &self.lead {
            Some(lead) if lead.opening.is_some() => self.send_opening(0, view),
            Some(_) => self.send_header(0, view),
            None => self.send_messages(0, view, desk),
        }
    }

    fn complete_end(&mut self) {
        let end = match &self.ending {
            Ending::Queued(end) => {
                self.sink.finish();
                end.clone()
            }
            _ => PlayEnd::Left,
        };
        self.ending = Ending::Over(end);
    }

    fn send_control(&mut self, sent: u64, view: &StreamView<'_>) -> io::Result<SendStep> {
        let control = self.control.as_slice();
        let len = control.len() as u64;
        let taken = try_send(&*self.sink, &[IoSlice::new(&control[sent as usize..])])?;
        self.count(taken, view);
        let step = self.note_sent(sent + taken as u64, len, Sending::Control);
        if matches!(step, SendStep::Sent) {
            self.control.take();
        }
        Ok(step)
    }

    /// Notes that `sent` of `len` bytes have been sent.
    fn note_sent(&mut self, sent: u64, len: u64, sending: fn(u64) -> Sending) -> SendStep {
        self.sending = match sent {
            // Nothing has been sent, so another piece may still be chosen.
            0 => Sending::Between,
            sent if sent == len => Sending::Between,
            sent => sending(sent),
        };
        SendStep::of(sent == len)
    }

    /// Sends the beginning of a file.
    fn send_opening(&mut self, sent: u64, view: &StreamView<'_>) -> io::Result<SendStep> {
        let (Some(file), Some(lead)) = (&mut self.file, &mut self.lead) else {
            return Ok(SendStep::Idle);
        };
        let (Some(has), Some(tracks)) = (lead.opening, &file.tracks) else {
            return Ok(SendStep::Idle);
        };
        // Generated for each send: the bytes are the same again, and no copy is kept for a slow
        // receiver.
        let presentation = self.wanted.of_presentation(&tracks.presentation);
        let framing = self.receiver.framing;
        let opening = framing.lead(&presentation, has, file.respond.as_ref());
        let (len, left) = (opening.len() as u64, opening.get(sent as usize..));
        let left = IoSlice::new(left.unwrap_or_default());
        let taken = try_send(&*self.sink, &[left])?;
        let sent = sent + taken as u64;
        if sent == len {
            (lead.opening, file.respond) = (None, None);
            file.is_opening_due = false;
        }
        self.count(taken, view);
        Ok(self.note_sent(sent, len, Sending::Opening))
    }

    /// Sends the next header of the preamble, or leaves it out.
    fn send_header(&mut self, sent: u64, view: &StreamView<'_>) -> io::Result<SendStep> {
        let Some(lead) = &mut self.lead else {
            return Ok(SendStep::Idle);
        };
        let Some((slot, payload)) = lead.preamble.nth(lead.next) else {
            self.preamble_version = Some(lead.preamble.version());
            self.lead = None;
            return Ok(SendStep::Sent);
        };
        let kind = slot.kind();
        let needs = Capabilities::needed_by_header(kind, payload);
        let format = self.receiver.framing.format;
        let is_taken = !format.is_mp4() && self.receiver.capabilities.take(needs);
        // The reader of a file waits for the media that it announces. Over RTMP, a player can turn on a
        // medium again; over a file it can't.
        if !is_taken || format.is_file() && !self.wanted.allows_headers(kind) {
            lead.next += 1;
            return Ok(SendStep::Sent);
        }
        let message = Message::header(kind, lead.timestamp, payload.len() as u32);
        let framed = self.receiver.framing.frame(&message);
        let mut slices = Slices::<MAX_HEADER_SLICES>::new();
        framed.each_slice(
            sent,
            &|range, put| put(&payload[range.start as usize..range.end as usize]),
            &mut |bytes| slices.push(bytes),
        );
        let taken = try_send(&*self.sink, slices.as_slice())?;
        let sent = sent + taken as u64;
        lead.next += usize::from(sent == framed.total_len());
        self.count(taken, view);
        Ok(self.note_sent(sent, framed.total_len(), Sending::Header))
    }

    /// Sends messages from the cursor on. `sent` bytes of the first one have been sent before.
    fn send_messages(
        &mut self,
        sent: u64,
        view: &StreamView<'_>,
        desk: &mut Desk,
    ) -> io::Result<SendStep> {
        let LogCursor::At(first) = self.cursor else {
            return Ok(SendStep::Idle);
        };
        if first == view.log.end() {
            // This is nearly always the case when the last send was complete.
            return Ok(SendStep::Idle);
        }
        // The rest of the message is gone, and clients can't abort the message.
        if sent > 0 && first < view.log.start() {
            self.fail(PlayEnd::Stalled);
            return Ok(SendStep::Idle);
        }
        let edge = &mut self.edge;
        edge.burst = edge.burst.filter(|burst| !burst.is_over(first, view.log));
        if sent == 0 && self.wants_all_from(first, view) {
            let (framing, capabilities) = (self.receiver.framing, self.receiver.capabilities);
            let shelf = desk.stage.shelf(framing, capabilities, first, view.log);
            if let Some(shelf) = shelf {
                return self.send_staged(shelf, view);
            }
        }
        let pending = &mut desk.pending;
        let next = self.collect(first, sent > 0, view, pending);
        let mut slices = Slices::<MAX_SLICES>::new();
        let mut skip = sent;
        for outgoing in &*pending {
            outgoing.each_slice(skip, view.log, &mut |bytes| slices.push(bytes));
            skip = 0;
        }
        let offered = slices.len;
        if offered > 0 {
            let taken = try_send(&*self.sink, slices.as_slice())?;
            self.count(taken, view);
            self.advance(view.log, pending, sent, taken as u64, next);
            self.untaken = None;
            if (taken as u64) < offered {
                return Ok(SendStep::Blocked);
            }
        } else {
            self.move_to(next, 0);
            self.note_untaken(next - first);
        }
        let is_at_end = matches!(self.cursor, LogCursor::At(number) if number == view.log.end());
        let has_more = self.has_other_business() || matches!(self.ending, Ending::Draining(_));
        Ok(if is_at_end && !has_more {
            SendStep::Idle
        } else {
            SendStep::Sent
        })
    }

    /// Sends messages that were framed once for all receivers.
    fn send_staged(&mut self, shelf: &Shelf, view: &StreamView<'_>) -> io::Result<SendStep> {
        let bytes = &shelf.bytes;
        let taken = try_send(&*self.sink, &[IoSlice::new(bytes)])?;
        let (number, sent) = shelf.place(taken);
        self.move_to(number, sent);
        self.untaken = None;
        self.count(taken, view);
        Ok(SendStep::of(taken == bytes.len()))
    }

    /// Collects the messages of the next send, from `first` on; returns the number of the message
    /// after them.
    fn collect(
        &self,
        first: u64,
        is_begun: bool,
        view: &StreamView<'_>,
        pending: &mut Vec<Outgoing>,
    ) -> u64 {
        // Control bytes, a pause or a skip wait for the end of this message, so don't begin another
        // one.
        let ends_here = is_begun
            && (self.has_other_business() || self.is_paused || self.is_lagging(first, view));
        pending.clear();
        let mut next = first;
        while let Some(entry) = view.log.entry(next) {
            let is_later = next > first;
            if pending.len() == MAX_MESSAGES || is_later && self.must_announce(next, view) {
                break;
            }
            if is_begun && !is_later || self.wants(next, &entry) {
                pending.push(self.outgoing(next, &entry, view.log));
            } else if is_later && self.wanted.awaits_keyframe() && entry.meta.is_join_point {
                // The cursor stops here, which turns video on.
                break;
            }
            next += 1;
            if ends_here {
                break;
            }
        }
        next
    }

    /// Whether nothing of an ended stream is left for the receiver.
    fn has_all(&self, view: &StreamView<'_>) -> bool {
        match self.cursor {
            LogCursor::At(number) => number >= view.log.end(),
            LogCursor::Waiting { .. } => true,
        }
    }

    /// Whether there are control bytes or an end to send.
    fn has_other_business(&self) -> bool {
        !self.control.as_slice().is_empty() || self.is_ending()
    }

    fn wants(&self, number: u64, entry: &Entry) -> bool {
        let (format, kind) = (self.receiver.framing.format, entry.meta.kind);
        if !format.takes(self.receiver.capabilities, entry) {
            return false;
        }
        match entry.meta.role {
            Role::Header => {
                // The preamble that the receiver got at its join may be newer.
                let is_newer = self.preamble_version.is_none_or(|version| {
                    entry.meta.preamble_version.wrapping_sub(version) as i32 > 0
                });
                is_newer && (!format.is_file() || self.wanted.allows_headers(kind))
            }
            // A burst contains none: with data at its beginning, VLC buffers for ten seconds.
            Role::Other => kind != Kind::Script || number >= self.edge.live_from,
            Role::Media | Role::Rest | Role::Beside | Role::Whole => {
                let burst = self.edge.burst;
                self.wanted.allows(kind)
                    && burst.is_none_or(|burst| !burst.leaves_out(number, entry))
            }
        }
    }

    /// Whether the receiver gets every message that it accepts from this one on, with its own
    /// timestamp.
    fn wants_all_from(&self, number: u64, view: &StreamView<'_>) -> bool {
        self.wanted.is_everything()
            && number >= self.edge.live_from
            && self.edge.burst.is_none()
            && self.has_newest_tracks(view)
    }

    fn outgoing(&self, number: u64, entry: &Entry, log: &Log) -> Outgoing {
        let restamped = self.edge.burst.and_then(|burst| burst.timestamp(entry));
        let (framing, capabilities) = (self.receiver.framing, self.receiver.capabilities);
        Outgoing::new(framing, capabilities, number, entry, restamped, log)
    }

    /// Counts messages that the player doesn't accept. After too many of them it is notified, so that
    /// it doesn't wait in silence, unless the player itself turned a medium off.
    fn note_untaken(&mut self, messages: u64) {
        let Some(untaken) = &mut self.untaken else {
            return;
        };
        *untaken = untaken.saturating_add(messages as u32);
        let is_too_much = *untaken >= MAX_UNTAKEN;
        if is_too_much && self.wanted.is_everything() && !self.is_ending() {
            self.say_goodbye(PlayEnd::NothingToTake, None);
        }
    }

    /// Advances the cursor by `taken` bytes of the pending messages, or to `next` if that is all of
    /// them. `sent` bytes of the first message had been sent before.
    fn advance(&mut self, log: &Log, pending: &[Outgoing], mut sent: u64, taken: u64, next: u64) {
        let mut left = taken;
        for outgoing in pending {
            let number = outgoing.message.number;
            let missing = outgoing.framed.total_len() - sent;
            if left < missing {
                self.move_to(number, sent + left);
                return;
            }
            left -= missing;
            sent = 0;
            let entry = log.entry(number);
            if let Some(entry) = entry.filter(|entry| entry.meta.role == Role::Header) {
                self.preamble_version = Some(entry.meta.preamble_version);
            }
        }
        self.move_to(next, 0);
    }
}
