//! Finds cuts in a log, from a place on.

use super::eras::{Era, Eras};
use super::{Cut, CutSample, Form, MAX_SAMPLES, Next};
use crate::live::Millis;
use crate::live::capabilities::Capabilities;
use crate::live::kind::Kind;
use crate::live::log::{Entry, Log, Role};
use crate::live::tracks::Tracks;

/// The maximum number of messages that are examined under one lock.
const MAX_EXAMINED: u64 = 2 * MAX_SAMPLES as u64;

/// The maximum number of bytes in a cut, unless it is one larger frame.
const MAX_LEN: u64 = 2 * 1024 * 1024;

/// The longest GOP that isn't cut, in ms: 2 s, and slack for inexact intervals. A longer one is cut every
/// [`PIECE`] ms.
const MAX_GOP: u32 = 2_100;
const PIECE: u32 = 1_000;

/// The time after which a message is cut even if its GOP isn't complete, in ms: because the publisher has
/// stopped sending, or is gone.
const PATIENCE: Millis = 4_000;
const PATIENCE_ALONE: Millis = 1_000;

/// A stream as far as cuts need it.
pub(in crate::live) struct Source<'a> {
    pub(in crate::live) log: &'a Log,
    /// Messages before this one are looked at.
    pub(in crate::live) end: u64,
    pub(in crate::live) eras: &'a Eras,
    /// Whether it is known which tracks the publisher sends.
    pub(in crate::live) are_tracks_known: bool,
    pub(in crate::live) is_live: bool,
    pub(in crate::live) has_ended: bool,
    pub(in crate::live) now: Millis,
}

/// A place in a log from which the messages are cut.
#[derive(Debug)]
pub(in crate::live) struct Finder {
    pub(in crate::live) form: Form,
    /// Messages before this one have been cut or skipped.
    pub(in crate::live) at: u64,
    /// Whether the next cut must be one with which a file may begin.
    pub(in crate::live) awaits_start: bool,
    /// The maximum number of samples in a cut.
    pub(in crate::live) max_samples: usize,
    /// Whether there has been a cut, so that what is skipped is missed.
    has_begun: bool,
    missed: u64,
}

/// Why a cut ends.
enum End {
    /// It is complete: the next one begins with this message.
    Before(u64),
    /// There are no more messages, or too many to go on. The next one to look at.
    Open(u64),
}

impl Finder {
    /// A finder that begins with the first message from `at` on with which a file may begin.
    pub(in crate::live) fn new(form: Form, at: u64) -> Finder {
        Finder {
            form,
            at,
            awaits_start: true,
            max_samples: MAX_SAMPLES,
            has_begun: false,
            missed: 0,
        }
    }

    /// Notes that messages which were cut are lost.
    pub(in crate::live) fn note_lost(&mut self, messages: u64) {
        self.awaits_start = true;
        self.missed += messages;
    }

    /// Finds the next cut. `None` if there was too much to examine: call it again.
    pub(in crate::live) fn next(&mut self, source: &Source<'_>, cut: &mut Cut) -> Option<Next> {
        cut.clear(self.form);
        let oldest = source.log.start().max(source.eras.start());
        // Also where nothing has been appended yet.
        let oldest = oldest.min(source.end);
        if self.at < oldest {
            self.skip_to(oldest);
            self.awaits_start = true;
        }
        if self.awaits_start && !self.find_start(source)? {
            return Some(source.next_or(Next::Wait));
        }
        let end = self.gather(source, cut);
        let (next, is_complete) = match end {
            End::Before(number) => (number, true),
            End::Open(number) => (number, number < source.end),
        };
        if cut.samples.is_empty() {
            self.at = next;
            return (!is_complete).then(|| source.next_or(Next::Wait));
        }
        if !is_complete && !source.is_overdue(cut.arrived) {
            cut.clear(self.form);
            return Some(Next::Wait);
        }
        cut.messages = self.at..next;
        cut.missed = std::mem::take(&mut self.missed);
        self.at = next;
        self.has_begun = true;
        set_durations(&mut cut.samples, self.form);
        Some(Next::Cut)
    }

    /// The number of messages before `end` that are missed if there is no further cut.
    pub(in crate::live) fn left(&self, end: u64) -> u64 {
        let uncut = if self.has_begun {
            end.saturating_sub(self.at)
        } else {
            0
        };
        self.missed + uncut
    }

    fn skip_to(&mut self, number: u64) {
        if self.has_begun {
            self.missed += number - self.at;
        }
        self.at = number;
    }

    /// Moves to the next message with which a file may begin. `None` if there was too much to examine.
    fn find_start(&mut self, source: &Source<'_>) -> Option<bool> {
        if !source.are_tracks_known && !source.has_ended {
            return Some(false);
        }
        let end = source.end.min(self.at + MAX_EXAMINED);
        let start = (self.at..end).find(|number| {
            let entry = source.log.entry(*number);
            let entry = entry.filter(|entry| self.form.takes(entry));
            entry.is_some_and(|entry| {
                let era = source.eras.of(*number, &entry);
                era.is_some_and(|era| self.form.starts_at(&entry, &era.tracks))
            })
        });
        self.skip_to(start.unwrap_or(end));
        self.awaits_start = start.is_none();
        match start {
            None if end < source.end => None,
            start => Some(start.is_some()),
        }
    }

    /// Adds messages to a cut until it ends.
    fn gather(&self, source: &Source<'_>, cut: &mut Cut) -> End {
        let form = self.form;
        let end = source.end.min(self.at + MAX_EXAMINED);
        let mut clock = MediaTime::default();
        let mut are_headers = true;
        let mut bytes = 0;
        for number in self.at..end {
            let Some(entry) = source.log.entry(number) else {
                continue;
            };
            let Some(era) = source
                .eras
                .of(number, &entry)
                .filter(|_| form.takes(&entry))
            else {
                continue;
            };
            let sample = form.sample(number, &entry);
            bytes += u64::from(sample.len);
            if cut.samples.is_empty() {
                cut.arrived = entry.meta.arrived;
            } else if cut.samples.len() == self.max_samples || bytes > MAX_LEN {
                return End::Before(number);
            } else if !are_headers {
                let is_keyframe =
                    entry.meta.kind == Kind::Video && form.starts_at(&entry, &era.tracks);
                if is_keyframe || !is_of_tracks(&entry, &era.tracks, &cut.tracks) {
                    return End::Before(number);
                }
            }
            if are_headers {
                cut.begin_era(era);
            }
            if form.is_frame(&entry) {
                if are_headers {
                    cut.is_start = form.starts_at(&entry, &era.tracks);
                    are_headers = false;
                }
                let main = form.main_kind(&cut.tracks);
                if let Some((len, next)) = clock.pass(number, &entry, main, cut.samples.len()) {
                    cut.samples.truncate(len);
                    return End::Before(next);
                }
            }
            cut.samples.push(sample);
        }
        End::Open(end)
    }
}

/// The time of the frames in a cut.
#[derive(Default)]
struct MediaTime {
    /// The timestamp of the first frame.
    first: Option<u32>,
    /// The first place where a long GOP may be cut: number of samples before it, and number of the
    /// message.
    split: Option<(usize, u64)>,
}

impl MediaTime {
    /// Passes a frame before which there are `len` samples. Returns where the cut ends if it is too
    /// long.
    fn pass(&mut self, number: u64, entry: &Entry, main: Kind, len: usize) -> Option<(usize, u64)> {
        let timestamp = entry.meta.timestamp;
        let first = *self.first.get_or_insert(timestamp);
        // Frames of the other track may be a little earlier.
        let so_far = (timestamp.wrapping_sub(first) as i32).max(0) as u32;
        if entry.meta.kind == main && so_far >= PIECE && len > 0 {
            self.split.get_or_insert((len, number));
        }
        let limit = if main == Kind::Video { MAX_GOP } else { PIECE };
        if so_far < limit || len == 0 {
            return None;
        }
        Some(self.split.unwrap_or((len, number)))
    }
}

impl Source<'_> {
    /// This outcome, unless the stream has ended.
    fn next_or(&self, next: Next) -> Next {
        if self.has_ended { Next::Over } else { next }
    }

    /// Whether a message has waited long enough for others.
    fn is_overdue(&self, arrived: Millis) -> bool {
        let patience = match (self.has_ended, self.is_live) {
            (true, _) => 0,
            (false, true) => PATIENCE,
            (false, false) => PATIENCE_ALONE,
        };
        self.now.saturating_sub(arrived) >= patience
    }
}

impl Form {
    /// Whether files of this form contain a message.
    fn takes(self, entry: &Entry) -> bool {
        match self {
            Form::Mp4 => entry.meta.sample.duration > 0,
            Form::Flv => {
                let needs = entry.meta.needs;
                entry.meta.role != Role::Whole && Capabilities::everything().take(needs)
            }
        }
    }

    /// Whether a message is a frame of a first track, or the beginning of one.
    fn is_frame(self, entry: &Entry) -> bool {
        match self {
            Form::Mp4 => true,
            Form::Flv => entry.meta.role == Role::Media && !entry.meta.needs.has_multitrack(),
        }
    }

    /// The kind of the frames between which a long cut is divided.
    fn main_kind(self, tracks: &Tracks) -> Kind {
        let has_video = match self {
            Form::Mp4 => tracks.presentation.video.is_some(),
            Form::Flv => tracks.video.is_some(),
        };
        if has_video { Kind::Video } else { Kind::Audio }
    }

    /// Whether a file with these tracks may begin with a message that it contains.
    fn starts_at(self, entry: &Entry, tracks: &Tracks) -> bool {
        entry.meta.kind == self.main_kind(tracks) && entry.meta.is_sync() && self.is_frame(entry)
    }

    fn sample(self, number: u64, entry: &Entry) -> CutSample {
        let meta = &entry.meta;
        let cut = match self {
            Form::Mp4 => meta.sample.body_offset,
            Form::Flv => 0,
        };
        CutSample {
            number,
            kind: meta.kind,
            timestamp: meta.timestamp,
            len: entry.len.saturating_sub(cut.into()),
            decode_time: meta.sample.decode_time,
            duration: meta.sample.duration.into(),
            composition_time: meta.sample.composition_time,
            is_sync: meta.sample.is_sync,
        }
    }
}

impl Cut {
    fn clear(&mut self, form: Form) {
        self.form = Some(form);
        self.samples.clear();
        self.messages = 0..0;
        self.is_start = false;
        self.missed = 0;
    }

    fn begin_era(&mut self, era: &Era) {
        self.tracks.clone_from(&era.tracks);
        self.preamble.clone_from(&era.preamble);
    }
}

/// Whether a message of the tracks `own` belongs to a file with the tracks `other`: its own track must be
/// the same.
fn is_of_tracks(entry: &Entry, own: &Tracks, other: &Tracks) -> bool {
    if std::ptr::eq(own, other) {
        return true;
    }
    match entry.meta.kind {
        Kind::Video => {
            own.video == other.video && own.presentation.video == other.presentation.video
        }
        Kind::Audio => {
            own.audio == other.audio && own.presentation.audio == other.presentation.audio
        }
        Kind::Data | Kind::Script => true,
    }
}

/// Sets the duration of each sample to the distance to the next one of its track.
fn set_durations(samples: &mut [CutSample], form: Form) {
    if form != Form::Mp4 {
        return;
    }
    let mut next = [None; 2];
    for sample in samples.iter_mut().rev() {
        let next = &mut next[usize::from(sample.kind == Kind::Audio)];
        if let Some(next) = next.replace(sample.decode_time) {
            let distance: u64 = next;
            let distance = distance.saturating_sub(sample.decode_time);
            sample.duration = distance.try_into().unwrap_or(u32::MAX);
        }
    }
}
