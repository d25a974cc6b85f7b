//! What a subscriber sends next: control bytes, the preamble, messages; and where that leaves it.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::{
    Cursor, End, Pending, PreambleCursor, Receiver, Scratch, Step, Subscriber, Video, View,
};
use crate::live::capabilities::Capabilities;
use crate::live::framing::{Framing, Message};
use crate::live::kind::Kind;
use crate::live::log::{Entry, Log, Role, Sample};
use crate::live::outgoing::Outgoing;
use crate::live::sink::{Slices, try_send};
use crate::live::tracks::Tracks;

/// Messages offered in one send, at most.
const MAX_FRAMES: usize = 64;

/// Slices offered in one send, at most: enough for 350 ms of a 6 Mbit/s stream. They lie on the
/// stack, which is small: each page of it counts, times the number of players.
const MAX_SLICES: usize = 80;

/// Slices of a header: two for each 64 KiB.
const MAX_HEADER_SLICES: usize = 4;

/// Messages of codecs that a player didn't announce, after which it is told that there is nothing
/// else: a few seconds of video, or of audio.
const MAX_UNTAKEN: u64 = 100;

/// Whether headers of this kind are left out. Whoever reads a file waits for what it announces, and
/// can't turn on again what it has turned off; over RTMP that is possible.
fn is_left_out(framing: &Framing, audio: bool, video: Video, kind: Kind) -> bool {
    framing.has_base()
        && match kind {
            Kind::Audio => !audio,
            Kind::Video => video == Video::Off,
            Kind::Data | Kind::Script => false,
        }
}

impl Subscriber {
    pub(super) fn wants(&self, number: u64, entry: &Entry) -> bool {
        let Receiver {
            framing,
            capabilities,
            ..
        } = self.receiver;
        if !framing.takes(capabilities, entry) {
            return false;
        }
        match entry.meta.role {
            // The preamble that it got at its join may be newer.
            Role::Header => {
                let is_newer = self.preamble_version.is_none_or(|version| {
                    entry.meta.preamble_version.wrapping_sub(version) as i32 > 0
                });
                return is_newer && !is_left_out(&framing, self.audio, self.video, entry.meta.kind);
            }
            // A burst brings none: with data at its beginning VLC buffers for ten seconds.
            Role::Other => return entry.meta.kind != Kind::Script || number >= self.live_from,
            Role::Media | Role::Rest | Role::Beside | Role::Whole => {}
        }
        match entry.meta.kind {
            Kind::Audio => {
                self.audio
                    && self
                        .burst
                        .is_none_or(|burst| !burst.leaves_out(number, entry))
            }
            Kind::Video => self.video == Video::On,
            Kind::Data | Kind::Script => true,
        }
    }

    /// Whether it gets every message that it can take from this one on, with its own timestamp.
    pub(super) fn wants_all_from(&self, number: u64, view: &View<'_>) -> bool {
        let is_mp4 = matches!(self.receiver.framing, Framing::Mp4 { .. });
        let has_tracks = |own: &Arc<Tracks>| Arc::ptr_eq(own, view.tracks);
        if is_mp4 && !self.tracks.as_ref().is_some_and(has_tracks) {
            return false;
        }
        self.audio
            && self.video == Video::On
            && number >= self.live_from
            && self
                .burst
                .is_none_or(|burst| burst.is_over(number, view.log))
    }

    pub(super) fn outgoing(&self, number: u64, entry: &Entry, log: &Log) -> Outgoing {
        let restamped = self.burst.and_then(|burst| burst.timestamp(entry));
        let Receiver {
            framing,
            capabilities,
            ..
        } = self.receiver;
        Outgoing::new(framing, capabilities, number, entry, restamped, log)
    }

    /// The timestamp under which this subscriber gets a message.
    pub(super) fn timestamp(&self, entry: &Entry) -> u32 {
        let restamped = self.burst.and_then(|burst| burst.timestamp(entry));
        restamped.unwrap_or(entry.meta.timestamp)
    }

    pub(super) fn send_control(&mut self, view: &View<'_>) -> io::Result<Step> {
        let left = &self.control[self.control_sent..];
        let offered = left.len();
        let sent = try_send(&*self.sink, &[IoSlice::new(left)])?;
        self.count(sent, view);
        if sent < offered {
            self.control_sent += sent;
            return Ok(Step::Blocked);
        }
        self.forget_control();
        Ok(Step::Sent)
    }

    /// Headers of a version that is too old are not kept for one receiver: it gets the new ones, or
    /// is lost if it is in the middle of one.
    pub(super) fn give_up_old_preamble(&mut self, view: &View<'_>) {
        let Some(cursor) = &mut self.preamble else {
            return;
        };
        let age = view.oldest_preamble.wrapping_sub(cursor.preamble.version());
        if age as i32 <= 0 {
            return;
        }
        let is_in_lead = cursor.lead.is_some();
        if !is_in_lead && cursor.sent > 0 {
            self.fail(End::Stalled);
            return;
        }
        cursor.preamble = Arc::clone(view.preamble);
        if cursor.index != usize::MAX {
            cursor.index = 0;
        }
    }

    pub(super) fn send_preamble(&mut self, view: &View<'_>) -> io::Result<Step> {
        if self.preamble.as_ref().is_some_and(|p| p.lead.is_some()) {
            return self.send_lead(view);
        }
        let Some(PreambleCursor {
            lead: _,
            preamble,
            index,
            sent,
            timestamp,
        }) = &mut self.preamble
        else {
            return Ok(Step::Idle);
        };
        let Some((slot, payload)) = preamble.nth(*index) else {
            self.preamble_version = Some(preamble.version());
            self.preamble = None;
            return Ok(Step::Sent);
        };
        let receiver = &self.receiver;
        let needs = Capabilities::needed_by_header(slot.kind(), payload);
        if !receiver.capabilities.take(needs)
            || is_left_out(&receiver.framing, self.audio, self.video, slot.kind())
        {
            *index += 1;
            return Ok(Step::Sent);
        }
        let frame = receiver.framing.frame(&Message {
            number: 0,
            kind: slot.kind(),
            timestamp: *timestamp,
            len: payload.len() as u32,
            is_sync: false,
            sample: Sample::default(),
        });
        let mut slices = Slices::<MAX_HEADER_SLICES>::new();
        slices.push_frame(&frame, *sent, |range| {
            std::iter::once(&payload[range.start as usize..range.end as usize])
        });
        let taken = try_send(&*self.sink, slices.as_slice())?;
        *sent += taken as u64;
        let is_complete = *sent == frame.total_len();
        if is_complete {
            *index += 1;
            *sent = 0;
        }
        self.count(taken, view);
        Ok(if is_complete {
            Step::Sent
        } else {
            Step::Blocked
        })
    }

    pub(super) fn send_messages(
        &mut self,
        view: &View<'_>,
        scratch: &mut Scratch,
    ) -> io::Result<Step> {
        let Cursor::At {
            number: first,
            sent,
        } = self.cursor
        else {
            return Ok(Step::Idle);
        };
        if first == view.log.end() {
            // As nearly always when the last send was complete.
            return Ok(Step::Idle);
        }
        if sent > 0 && first < view.log.start() {
            self.fail(End::Stalled);
            return Ok(Step::Idle);
        }
        if sent == 0 && self.wants_all_from(first, view) {
            let receiver = &self.receiver;
            let (framing, capabilities) = (receiver.framing, receiver.capabilities);
            let stage = &mut scratch.stage;
            if let Some(shelf) = stage.shelf(framing, capabilities, first, view.log) {
                let bytes = shelf.bytes();
                let offered = bytes.len();
                let taken = try_send(&*self.sink, &[IoSlice::new(bytes)])?;
                let (number, sent) = shelf.place(taken);
                self.cursor = Cursor::At { number, sent };
                self.untaken = None;
                self.count(taken, view);
                return Ok(if taken < offered {
                    Step::Blocked
                } else {
                    Step::Sent
                });
            }
        }
        // Something waits for this message's end: don't begin another one.
        let ends_here = sent > 0
            && (!self.control.is_empty()
                || self.is_retiring
                || self.is_ending
                || self.is_paused
                || self.is_lagging(first, view));

        let scratch = &mut scratch.pending;
        scratch.clear();
        let mut next = first;
        while let Some(entry) = view.log.entry(next).filter(|_| scratch.len() < MAX_FRAMES) {
            let is_begun = next == first && sent > 0;
            if next > first && self.must_announce(next, view) {
                break;
            }
            if is_begun || self.wants(next, &entry) {
                scratch.push((next, self.outgoing(next, &entry, view.log)));
            } else if next > first && self.video == Video::FromKeyframe && entry.meta.is_join_point
            {
                break;
            }
            next += 1;
            if ends_here {
                break;
            }
        }

        let mut slices = Slices::<MAX_SLICES>::new();
        let mut skip = sent;
        for (_, outgoing) in &*scratch {
            slices.push_frame(&outgoing.frame, skip, |range| {
                outgoing.payload(range, view.log)
            });
            skip = 0;
        }
        let offered = slices.len;
        if offered > 0 {
            let taken = try_send(&*self.sink, slices.as_slice())?;
            self.count(taken, view);
            self.advance(view.log, scratch, taken as u64, next);
            self.untaken = None;
            if (taken as u64) < offered {
                return Ok(Step::Blocked);
            }
        } else {
            // Nothing there that this receiver wants.
            self.cursor = Cursor::At {
                number: next,
                sent: 0,
            };
            self.note_untaken(next - first);
        }
        let head = Cursor::At {
            number: view.log.end(),
            sent: 0,
        };
        let is_done = self.cursor == head && self.control.is_empty() && !self.is_ending;
        Ok(if is_done { Step::Idle } else { Step::Sent })
    }

    /// A player that announced its codecs, and finds none of them, is told so: silence is the
    /// worst answer. One that didn't turn anything off, that is.
    pub(super) fn note_untaken(&mut self, messages: u64) {
        let Some(untaken) = &mut self.untaken else {
            return;
        };
        *untaken += messages;
        let is_too_much = *untaken >= MAX_UNTAKEN;
        if is_too_much && self.audio && self.video == Video::On && !self.is_ending {
            self.end_as(
                End::NothingToTake,
                self.receiver
                    .framing
                    .nothing_to_take(self.opening.as_deref()),
            );
        }
    }

    /// Moves the cursor over `taken` bytes of the messages in `scratch`, and to `next` when that
    /// is all of them.
    pub(super) fn advance(&mut self, log: &Log, scratch: &[Pending], taken: u64, next: u64) {
        let Cursor::At { mut sent, .. } = self.cursor else {
            return;
        };
        let mut left = taken;
        for (number, outgoing) in scratch {
            let missing = outgoing.frame.total_len() - sent;
            if left < missing {
                self.cursor = Cursor::At {
                    number: *number,
                    sent: sent + left,
                };
                return;
            }
            left -= missing;
            sent = 0;
            if let Some(entry) = log
                .entry(*number)
                .filter(|entry| entry.meta.role == Role::Header)
            {
                self.preamble_version = Some(entry.meta.preamble_version);
            }
        }
        self.cursor = Cursor::At {
            number: next,
            sent: 0,
        };
    }
}
