//! Spans of a log: ranges of messages that don't change and don't leave the log while they are sent.

use std::ops::Range;

use super::RecordPlace;
use crate::live::cut::find::{Finder, Source};
use crate::live::cut::{Cut, Evicted, Form, Next};
use crate::live::stream::{Stream, StreamState};
use crate::live::{Millis, lock};

/// The maximum number of samples in a cut of a span, so that a reader needs little memory.
const MAX_SAMPLES: usize = 32;

/// A range of messages, from a keyframe on, that can be cut for MP4 again and again: each cut that begins
/// with a certain message is always the same.
pub struct LogSpan {
    place: RecordPlace,
    messages: Range<u64>,
    life: u32,
    arrived: Millis,
    config_len: usize,
}

impl LogSpan {
    /// The range of messages.
    pub fn messages(&self) -> Range<u64> {
        self.messages.clone()
    }

    /// A random number that tells this stream from others, including later ones of the same name.
    pub fn life(&self) -> u32 {
        self.life
    }

    /// When its first message arrived.
    pub fn arrived(&self) -> Millis {
        self.arrived
    }

    /// The number of bytes of its decoder configurations.
    pub fn config_len(&self) -> usize {
        self.config_len
    }
}

impl Stream {
    /// Returns the newest messages, from the newest keyframe on that is at least `last` ms older than the
    /// newest message, or from the oldest keyframe. `known` is a span of which a client already has a
    /// part, by its life and its messages: it is returned again if it is still in the log. `None` if there
    /// is nothing that MP4 can hold. `nonce` draws a random number. From now on, as much is kept for the next
    /// request for some minutes, while blocks are free.
    pub fn last_messages(
        &self,
        last: Millis,
        known: Option<(u32, Range<u64>)>,
        nonce: fn() -> u32,
        now: Millis,
    ) -> Option<LogSpan> {
        let (first, end, life, place) = {
            let state = &mut *lock(&self.state);
            state.readers.note_asked(last, now);
            let life = state.hls.life(nonce);
            let (first, end) = state.bounds_of_span(last, life, known)?;
            (first, end, life, self.place(state, Form::Mp4, first, false))
        };
        let mut span = LogSpan {
            place,
            messages: first..end,
            life,
            arrived: 0,
            config_len: 0,
        };
        let mut cut = Cut::default();
        let found = self.next_of_span(&span, first, &mut cut);
        span.messages.start = cut.messages.start;
        span.arrived = cut.arrived;
        span.config_len = cut.tracks.presentation.config_len();
        (found == Ok(true) && cut.is_start).then_some(span)
    }

    /// Puts the cut of a span that begins with a message into `cut`. False at the end of the span.
    pub fn next_of_span(&self, span: &LogSpan, at: u64, cut: &mut Cut) -> Result<bool, Evicted> {
        let mut finder = Finder::new(Form::Mp4, at);
        finder.max_samples = MAX_SAMPLES;
        // Only the first cut is a start.
        finder.awaits_start = at == span.messages.start;
        loop {
            let state = &*lock(&self.state);
            if at < state.log.start() {
                return Err(Evicted);
            }
            let source = Source {
                end: span.messages.end.min(state.log.end()),
                are_tracks_known: true,
                has_ended: true,
                ..state.source(0)
            };
            if let Some(next) = finder.next(&source, cut) {
                return Ok(next == Next::Cut);
            }
        }
    }

    /// Lets the messages of a span before this one leave the log.
    pub fn release(&self, span: &LogSpan, before: u64) {
        let state = &mut *lock(&self.state);
        state.readers.set_needs(span.place.id, before);
        state.keep_for_readers();
    }
}

impl StreamState {
    fn bounds_of_span(
        &self,
        last: Millis,
        life: u32,
        known: Option<(u32, Range<u64>)>,
    ) -> Option<(u64, u64)> {
        let (log, eras) = (&self.log, &self.intake.eras);
        let is_there = |(of, messages): &(u32, Range<u64>)| {
            let oldest = log.start().max(eras.start());
            *of == life && oldest <= messages.start && messages.end <= log.end()
        };
        if let Some((_, messages)) = known.filter(is_there) {
            return Some((messages.start, messages.end));
        }
        let is_known = self.intake.are_tracks_known() || self.life.has_ended();
        is_known.then(|| (self.start_of_reading(Some(last)), log.end()))
    }
}
