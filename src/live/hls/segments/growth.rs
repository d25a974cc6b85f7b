//! The open segment: how it grows, and where it and its parts end.
//!
//! A picture lasts, in decode time, from when the one before was due until it is due itself. So when
//! a picture comes, it is known where the media before it end, and where they would end with it:
//! nothing is guessed, and what is declared is what the fragments say.

use super::{MAX_GOP, MAX_SEGMENT, MIN_SEGMENT, Part, Segment, Segments, Share, Unit};

/// A GOP longer than this is cut where it takes too much of the memory, in ms.
const MIN_CUT: u32 = 4_000;

/// What a publisher that goes away has begun is dropped if it is shorter, in ms, and nothing of it
/// was listed. It is a keyframe, and a player would wait for what comes behind.
const MIN_LEFT: u32 = 200;

/// Where nothing comes for longer than this, in ms, the media have a hole.
const HOLE: u64 = 500;

/// Sounds of a segment may come before its keyframe by this, in ms.
const EARLY: u64 = 1_000;

/// Sounds cut segments when no picture has come for this long, in ms. A picture that is late by less
/// is waited for: browsers decode it only if nothing is missing before it.
const PICTURE_PAUSE: u32 = 3_000;

/// A part that is as long as this ends before a keyframe, in hundredths of the part target.
const MIN_PART: u32 = 85;

/// What an estimate of the date may be corrected by from one segment to the next, in ms. Messages
/// come late for many reasons, but never early, unless the publisher's clock was put forward by more
/// than `CLOCK_STEP`; and the two clocks' seconds are not quite the same length.
const MAX_BACK: i64 = -10;
const MAX_AHEAD: i64 = 1;
const CLOCK_STEP: i64 = 500;

/// Init segments that the segments held may want.
const MAX_VERSIONS: usize = 8;

/// The segment that is still growing, and the last of its parts.
pub(super) struct Open {
    pub(super) segment: Segment,
    /// Until it ends, its bytes are those of the segment before it.
    part: Part,
    /// When its first picture is due, in ms.
    due: u64,
    /// Where its last keyframe begins, or it does itself.
    keyframe: u64,
    /// Where its pictures and its sounds end so far, in ms. Where there are only sounds, these are
    /// its pictures.
    pub(super) pictures_end: u64,
    sounds_end: u64,
    /// The longest picture, in ms.
    step: u16,
    /// It began with a sound because the pictures pause, and none has come since: until then its
    /// sounds are its pictures.
    is_of_sounds: bool,
    /// Number of the last message, and one.
    end: u64,
}

/// Sounds that are for the next segment.
pub(super) struct Early {
    /// Of the first one.
    pub(super) number: u64,
    time: u64,
    /// Of all of them.
    bytes: u64,
}

impl Segments {
    /// Ends segment or part before `unit`, if it is time.
    pub(super) fn cut(&mut self, unit: &Unit, max_bytes: u64) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        let length = open.len_to(unit.time);
        // What the first picture of a stream lasts says little of the others.
        let shown = difference(unit.due(), open.due);
        let is_alone = !unit.is_boundary;
        let is_natural = match is_alone {
            true => shown >= MIN_SEGMENT || !open.is_of_sounds,
            false => unit.is_start() && (shown >= MIN_SEGMENT || !open.segment.is_independent),
        };
        let next = difference(unit.end, open.keyframe);
        let is_too_long = next > MAX_GOP
            || next > MIN_CUT && open.segment.bytes > max_bytes
            // Its first picture may last for seconds.
            || open.len_to(unit.end) > MAX_SEGMENT;
        if !is_natural && !is_too_long {
            return self.cut_part(unit);
        }
        let (version, media_end) = (open.segment.version, open.media_end());
        if unit.is_join_point
            && open.is_of_sounds
            && length < EARLY as u32
            && self.is_without_parts()
        {
            // Where the one before ended.
            let time = open.segment.start;
            self.take_back();
            self.begin(&Unit { time, ..*unit }, version);
            return true;
        }
        // Whoever pauses for a while isn't waited for by those who play.
        let is_hole = unit.is_start()
            && length > self.limit()
            && (unit.time > media_end + HOLE || length > MAX_SEGMENT);
        self.end_segment(unit.number, if is_hole { media_end } else { unit.time });
        if is_hole {
            self.forget_date();
        }
        self.begin(unit, version);
        if let Some(open) = self.open.as_mut().filter(|_| is_alone) {
            open.is_of_sounds = true;
            open.segment.is_independent = false;
            open.part.is_independent = false;
        }
        true
    }

    /// Whether a sound that isn't a boundary by itself is one now, since the pictures pause: for
    /// longer than they use to and than one is waited for, or while the segment gets too long.
    pub(super) fn is_alone(&self, unit: &Unit) -> bool {
        let usual = self.interval.saturating_mul(5) / 4;
        self.open.as_ref().is_some_and(|open| {
            let pause = u64::from(difference(unit.time, open.pictures_end));
            let is_long = open.len_to(unit.end) > MAX_SEGMENT;
            let patience = usual.clamp(PICTURE_PAUSE, MAX_GOP);
            !unit.is_picture && (open.is_of_sounds || is_long || pause > patience.into())
        })
    }

    /// Where a unit is in the open segment: a picture that comes after a pause may last from before
    /// that segment, or for as long as the sounds that came in it.
    pub(super) fn placed(&self, unit: &Unit) -> Unit {
        let open = self.open.as_ref().filter(|_| unit.is_picture);
        let time = open.map_or(0, |open| match open.is_of_sounds {
            true => open.pictures_end,
            false => open.sounds_end.min(unit.end).saturating_sub(EARLY),
        });
        Unit {
            time: unit.time.max(time),
            end: unit.end.max(time),
            ..*unit
        }
    }

    /// Forgets that the open segment has begun, of which nobody has seen anything: its sounds are
    /// for the next one.
    fn take_back(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let segment = open.segment;
        self.begun -= 1;
        self.discontinuities -= u32::from(segment.has_discontinuity);
        self.is_cut_off |= segment.has_discontinuity;
        self.early = Some(Early {
            number: segment.messages.start,
            time: segment.start,
            bytes: segment.bytes,
        });
    }

    fn cut_part(&mut self, unit: &Unit) -> bool {
        let (Some(target), Some(open)) = (self.part_target, &mut self.open) else {
            return false;
        };
        let length = difference(unit.time, open.part.start);
        let is_full = difference(unit.end, open.part.start) > target;
        let is_for_keyframe =
            unit.is_picture && unit.is_join_point && length >= target * MIN_PART / 100;
        if !is_full && !is_for_keyframe {
            return false;
        }
        let part = open.end_part(unit.number, unit.time, target);
        open.part = Part::at(unit, unit.number, open.segment.bytes as u32);
        open.part.is_independent &= !open.is_of_sounds;
        if self.is_without_parts() {
            self.fix_date();
        }
        self.push_part(&part);
        true
    }

    /// Begins a segment of another init segment than the open one.
    pub(super) fn change(&mut self, unit: &Unit) {
        if let Some(open) = &self.open {
            let end = open.media_end().min(unit.time.max(open.pictures_end));
            self.end_segment(unit.number, end);
        }
        self.is_cut_off = true;
        self.begin(unit, unit.version);
    }

    /// Begins a segment, with the sounds that came a moment before.
    fn begin(&mut self, unit: &Unit, version: u32) {
        if self.target.is_none() {
            self.set_part_target();
        }
        let has_discontinuity = std::mem::take(&mut self.is_cut_off) && self.begun > 0;
        self.begun += 1;
        // They may be for another version, which begins later.
        let early = self.early.take_if(|_| version == unit.version);
        let early = early.filter(|early| early.time + EARLY >= unit.time);
        let first = early.as_ref().map_or(unit.number, |early| early.number);
        let parts = self.parts_end();
        self.open = Some(Open {
            segment: Segment {
                number: self.begun,
                messages: first..first,
                share: Share::new(unit.number, first),
                start: unit.time,
                duration: 0,
                date: 0,
                version,
                discontinuities: self.discontinuities,
                has_discontinuity,
                is_independent: unit.is_start(),
                bytes: early.map_or(0, |early| early.bytes),
                pictures: 0,
                parts: parts..parts,
            },
            part: Part::at(unit, first, 0),
            due: unit.due(),
            keyframe: unit.time,
            pictures_end: unit.time,
            sounds_end: 0,
            step: 0,
            is_of_sounds: false,
            end: unit.number,
        });
        self.discontinuities += u32::from(has_discontinuity);
    }

    /// Takes note of a message that belongs to the open segment.
    pub(super) fn count(&mut self, unit: &Unit) {
        let Some(open) = &mut self.open else {
            return;
        };
        open.end = unit.number + 1;
        open.segment.bytes += u64::from(unit.len);
        if unit.is_boundary {
            open.segment.pictures += 1;
            open.is_of_sounds = false;
            let before = self.newest_due;
            self.interval = difference(unit.due(), if before == 0 { unit.due() } else { before });
            self.newest_due = unit.due();
            let step = difference(unit.end, unit.time).min(u16::MAX.into());
            open.step = open.step.max(step as u16);
            if unit.is_start() {
                open.keyframe = unit.time;
            }
        } else {
            open.sounds_end = unit.end;
        }
        if unit.is_boundary || open.is_of_sounds {
            open.pictures_end = unit.end;
            let delay = unit.arrived as i64 - unit.due() as i64;
            self.least = Some(self.least.map_or(delay, |least| least.min(delay)));
        }
    }

    /// Takes note of a message for which the open segment has no track: it ends that track.
    pub(super) fn leave_out(&mut self, unit: &Unit) {
        if let Some(open) = &mut self.open {
            open.segment.share.end(unit.number, unit.is_picture);
        }
        if unit.is_picture {
            return;
        }
        let early = self.early.get_or_insert(Early {
            number: unit.number,
            time: unit.time,
            bytes: 0,
        });
        early.bytes += u64::from(unit.len);
    }

    /// Ends the open segment where its media end. True if something is complete now.
    pub(super) fn end_open(&mut self) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        let (end, time) = (open.end, open.media_end());
        let is_nothing = open.len_to(time) < MIN_LEFT && self.is_without_parts();
        if is_nothing {
            // Its number is that of the next one: nobody has seen more of it.
            self.take_back();
            self.forget_sounds();
        } else {
            self.end_segment(end, time);
        }
        !is_nothing
    }

    /// Ends the open segment before message `end`, at `time`.
    fn end_segment(&mut self, end: u64, time: u64) {
        // Before a target duration is promised, nobody has seen the date.
        if self.is_without_parts() || self.target.is_none() {
            self.fix_date();
        }
        let Some(mut open) = self.open.take() else {
            return;
        };
        self.step = open.step;
        let share = &mut open.segment.share;
        share.end(end, true);
        share.end(end, false);
        if let Some(target) = self.part_target {
            self.push_part(&open.end_part(end, time, target));
        }
        let segment = open.segment;
        let length = difference(time, segment.start).clamp(1, MAX_SEGMENT);
        let segment = Segment {
            messages: segment.messages.start..end,
            duration: length,
            parts: segment.parts.start..self.parts_end(),
            ..segment
        };
        self.grow_target(length);
        self.note_bandwidth(&segment);
        self.lists.push_segment(&segment);
        while self.versions() > MAX_VERSIONS {
            self.lists.pop_segment();
        }
    }

    /// Init segments that the segments held want.
    fn versions(&self) -> usize {
        let versions = self.lists.all_segments().map(|segment| segment.version);
        let mut newest = None;
        let changes = versions.filter(|version| newest.replace(*version) != Some(*version));
        changes.count()
    }

    /// Whether no part of the open segment is complete.
    fn is_without_parts(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.segment.parts.start == self.parts_end())
    }

    fn push_part(&mut self, part: &Part) {
        self.first_part += u64::from(self.lists.push_part(part));
    }

    /// Says when the first picture of the open segment came, but for its delay: those that came with
    /// the least one since the last date tell it.
    fn fix_date(&mut self) {
        let (Some(least), Some(open)) = (self.least.take(), &mut self.open) else {
            return;
        };
        let delay = match self.delay {
            None => least,
            Some(known) if self.target.is_none() || least + CLOCK_STEP < known => {
                least.min(known + MAX_AHEAD)
            }
            Some(known) => known + (least - known).clamp(MAX_BACK, MAX_AHEAD),
        };
        self.delay = Some(delay);
        open.segment.date = open.due.saturating_add_signed(delay);
    }
}

impl Open {
    /// Length up to some time, in ms.
    pub(super) fn len_to(&self, time: u64) -> u32 {
        difference(time, self.segment.start)
    }

    /// Where the media end so far: where the pictures do, unless sounds go on alone.
    fn media_end(&self) -> u64 {
        match self.sounds_end > self.pictures_end + HOLE {
            true => self.sounds_end,
            false => self.pictures_end,
        }
    }

    /// The open part, if it ends before message `end`, at `time`.
    fn end_part(&self, end: u64, time: u64, target: u32) -> Part {
        Part {
            messages: self.part.messages.start..end,
            // Only a single picture may last longer.
            duration: difference(time, self.part.start).clamp(1, target),
            bytes: (self.segment.bytes as u32).wrapping_sub(self.part.bytes),
            ..self.part
        }
    }
}

impl Part {
    /// One that begins with message `first`, and with this picture, behind so many bytes.
    fn at(unit: &Unit, first: u64, bytes: u32) -> Part {
        Part {
            messages: first..first,
            start: unit.time,
            duration: 0,
            bytes,
            is_independent: unit.is_start(),
        }
    }
}

/// ms from one time to a later one.
fn difference(later: u64, earlier: u64) -> u32 {
    u32::try_from(later.saturating_sub(earlier)).unwrap_or(u32::MAX)
}
