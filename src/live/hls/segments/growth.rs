//! The open segment: how it grows, and where it and its parts end.
//!
//! In decode time a frame lasts from when the previous frame was due until it is due itself. So when
//! a frame arrives, it is known where the media before it end, and where they would end with it:
//! nothing is guessed, and the playlist declares exactly what the fragments say.

use super::{MAX_GOP, MAX_SEGMENT, MIN_SEGMENT, MediaSample, SegmentPart, Segments};
use crate::live::hls::segment::{MessageSet, Segment};

/// A GOP longer than this, in ms, is cut if it occupies too much memory.
const MIN_CUT: u32 = 4_000;

/// The open segment of a departing publisher is dropped if it is shorter than this, in ms, and no part
/// of it was listed. It is little more than a keyframe, and a player would wait for the rest.
const MIN_LEFT: u32 = 200;

/// A pause of the media that is longer than this, in ms, is a hole.
const HOLE: u64 = 500;

/// Audio of a segment may precede its keyframe by this, in ms.
const EARLY: u64 = 1_000;

/// Audio cuts segments if no video has arrived for this long, in ms. The server waits for video that is
/// less late, because browsers decode it only if nothing before it is missing.
const VIDEO_PAUSE: u32 = 3_000;

/// Minimum length of a part that ends before a keyframe, as a percentage of the part target.
const MIN_PART: u32 = 85;

/// The maximum correction of the estimated date from one segment to the next, in ms. Messages are late
/// for many reasons but never early, unless the publisher's clock was set forward by more than
/// `CLOCK_STEP`; and the seconds of two clocks differ slightly.
const MAX_BACK: i64 = -10;
const MAX_AHEAD: i64 = 1;
const CLOCK_STEP: i64 = 500;

/// The maximum number of init segments that the segments held may need.
const MAX_VERSIONS: usize = 8;

/// The segment that is still growing, and its last part.
pub(super) struct OpenSegment {
    pub(super) segment: Segment,
    /// The open part. Until the part ends, its `bytes` are those of the segment before the part.
    part: SegmentPart,
    /// When its first frame is due, in ms.
    due: u64,
    /// Where its last keyframe begins, in ms; without a keyframe, where the segment begins.
    keyframe: u64,
    /// Where its main track (video, or audio if there is no video) and its other audio end so far, in
    /// ms.
    pub(super) main_end: u64,
    audio_end: u64,
    /// The duration of its longest frame, in ms.
    step: u16,
    /// Whether it began with audio because the video pauses, and no video has arrived since. Until
    /// video arrives, audio is its main track.
    is_video_paused: bool,
    /// The number after that of its last message.
    end: u64,
}

/// Audio that belongs to the next segment.
pub(super) struct EarlyAudio {
    /// Number and time of the first message.
    pub(super) number: u64,
    time: u64,
    /// The total length of these messages, in bytes.
    bytes: u64,
}

impl Segments {
    /// Ends the segment or part before `sample` if it is time. Returns whether one has become complete.
    pub(super) fn cut(&mut self, sample: &MediaSample, max_bytes: u64) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        let length = open.len_to(sample.time);
        // Counted in due times: the decode time of a stream's first frame says little about the others.
        let shown = difference(sample.due(), open.due);
        let stands_in = !sample.is_main;
        let is_natural = if stands_in {
            shown >= MIN_SEGMENT || !open.is_video_paused
        } else {
            sample.is_independent() && (shown >= MIN_SEGMENT || !open.segment.is_independent)
        };
        let next = difference(sample.end, open.keyframe);
        let is_too_long = next > MAX_GOP
            || next > MIN_CUT && open.segment.bytes > max_bytes
            // Its first frame may last for seconds.
            || open.len_to(sample.end) > MAX_SEGMENT;
        if !is_natural && !is_too_long {
            return self.cut_part(sample);
        }
        let (version, media_end) = (open.segment.version, open.media_end());
        if sample.is_join_point
            && open.is_video_paused
            && length < EARLY as u32
            && self.has_no_parts()
        {
            // Video has resumed shortly after its pause made audio begin a segment: begin that segment
            // again with the keyframe, where the previous one ended.
            let time = open.segment.start;
            self.take_back();
            self.begin(&MediaSample { time, ..*sample }, version);
            return true;
        }
        // Players don't wait for the end of a pause this long.
        let is_hole = sample.is_independent()
            && length > self.limit()
            && (sample.time > media_end + HOLE || length > MAX_SEGMENT);
        self.end_segment(sample.number, if is_hole { media_end } else { sample.time });
        if is_hole {
            self.forget_date();
        }
        self.begin(sample, version);
        if let Some(open) = self.open.as_mut().filter(|_| stands_in) {
            open.is_video_paused = true;
            open.segment.is_independent = false;
            open.part.is_independent = false;
        }
        true
    }

    /// Whether an audio frame may cut segments in place of video, because the video pauses: for longer
    /// than usual and longer than the server waits for it, or until the segment gets too long.
    pub(super) fn stands_in_for_video(&self, sample: &MediaSample) -> bool {
        let usual = self.interval.saturating_mul(5) / 4;
        self.open.as_ref().is_some_and(|open| {
            let pause = difference(sample.time, open.main_end);
            let is_long = open.len_to(sample.end) > MAX_SEGMENT;
            let patience = usual.clamp(VIDEO_PAUSE, MAX_GOP);
            !sample.is_video && (open.is_video_paused || is_long || pause > patience)
        })
    }

    /// Moves the times of a video frame into the open segment. After a pause, a frame may begin before
    /// that segment, or last for as long as the audio that arrived meanwhile.
    pub(super) fn placed(&self, sample: &MediaSample) -> MediaSample {
        let open = self.open.as_ref().filter(|_| sample.is_video);
        let earliest = open.map_or(0, |open| {
            if open.is_video_paused {
                open.main_end
            } else {
                open.audio_end.min(sample.end).saturating_sub(EARLY)
            }
        });
        MediaSample {
            time: sample.time.max(earliest),
            end: sample.end.max(earliest),
            ..*sample
        }
    }

    /// Undoes the beginning of the open segment, of which nothing was listed. Its audio belongs to the
    /// next one.
    fn take_back(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        let segment = open.segment;
        self.begun -= 1;
        self.discontinuities -= u32::from(segment.has_discontinuity);
        self.is_cut_off |= segment.has_discontinuity;
        self.early = Some(EarlyAudio {
            number: segment.messages.start,
            time: segment.start,
            bytes: segment.bytes,
        });
    }

    fn cut_part(&mut self, sample: &MediaSample) -> bool {
        let (Some(target), Some(open)) = (self.part_target, &mut self.open) else {
            return false;
        };
        let length = difference(sample.time, open.part.start);
        let is_full = difference(sample.end, open.part.start) > target;
        // The next part should begin with the keyframe, so that players can start with it.
        let is_before_keyframe =
            sample.is_video && sample.is_join_point && length >= target * MIN_PART / 100;
        if !is_full && !is_before_keyframe {
            return false;
        }
        let part = open.end_part(sample.number, sample.time, target);
        open.part = part_from(sample, sample.number, open.segment.bytes as u32);
        open.part.is_independent &= !open.is_video_paused;
        if self.has_no_parts() {
            self.fix_date();
        }
        self.push_part(&part);
        true
    }

    /// Begins a segment that needs another init segment than the open one.
    pub(super) fn change(&mut self, sample: &MediaSample) {
        if let Some(open) = &self.open {
            let end = open.media_end().min(sample.time.max(open.main_end));
            self.end_segment(sample.number, end);
        }
        self.is_cut_off = true;
        self.begin(sample, sample.version);
    }

    /// Begins a segment, with the early audio if there is any.
    fn begin(&mut self, sample: &MediaSample, version: u32) {
        if self.target.is_none() {
            self.set_part_target();
        }
        let has_discontinuity = std::mem::take(&mut self.is_cut_off) && self.begun > 0;
        self.begun += 1;
        // A sample of another version stays: it belongs to a segment that begins later.
        let early = self.early.take_if(|_| version == sample.version);
        let early = early.filter(|early| early.time + EARLY >= sample.time);
        let first = early.as_ref().map_or(sample.number, |early| early.number);
        let parts = self.parts_end();
        self.open = Some(OpenSegment {
            segment: Segment {
                number: self.begun,
                messages: first..first,
                set: MessageSet::new(sample.number, first),
                start: sample.time,
                duration: 0,
                date: 0,
                version,
                discontinuities: self.discontinuities,
                has_discontinuity,
                is_independent: sample.is_independent(),
                bytes: early.map_or(0, |early| early.bytes),
                frames: 0,
                parts: parts..parts,
            },
            part: part_from(sample, first, 0),
            due: sample.due(),
            keyframe: sample.time,
            main_end: sample.time,
            audio_end: 0,
            step: 0,
            is_video_paused: false,
            end: sample.number,
        });
        self.discontinuities += u32::from(has_discontinuity);
    }

    /// Counts a message that belongs to the open segment.
    pub(super) fn count(&mut self, sample: &MediaSample) {
        let Some(open) = &mut self.open else {
            return;
        };
        open.end = sample.number + 1;
        open.segment.bytes += u64::from(sample.len);
        if sample.is_main {
            open.segment.frames += 1;
            open.is_video_paused = false;
            let before = match self.newest_due {
                0 => sample.due(),
                before => before,
            };
            self.interval = difference(sample.due(), before);
            self.newest_due = sample.due();
            let step = difference(sample.end, sample.time).min(u16::MAX.into());
            open.step = open.step.max(step as u16);
            if sample.is_independent() {
                open.keyframe = sample.time;
            }
        } else {
            open.audio_end = sample.end;
        }
        if sample.is_main || open.is_video_paused {
            open.main_end = sample.end;
            let delay = sample.arrived as i64 - sample.due() as i64;
            self.least = Some(self.least.map_or(delay, |least| least.min(delay)));
        }
    }

    /// Leaves a message out of the open segment, which has no track for it. The segment's track of that
    /// medium ends there.
    pub(super) fn leave_out(&mut self, sample: &MediaSample) {
        if let Some(open) = &mut self.open {
            open.segment.set.end(sample.number, sample.is_video);
        }
        if sample.is_video {
            return;
        }
        let early = self.early.get_or_insert(EarlyAudio {
            number: sample.number,
            time: sample.time,
            bytes: 0,
        });
        early.bytes += u64::from(sample.len);
    }

    /// Ends the open segment where its media end. Returns whether a segment has become complete.
    pub(super) fn end_open(&mut self) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        let (end, time) = (open.end, open.media_end());
        let is_dropped = open.len_to(time) < MIN_LEFT && self.has_no_parts();
        if is_dropped {
            // The next segment gets its number: nothing of it was listed.
            self.take_back();
            self.early = None;
        } else {
            self.end_segment(end, time);
        }
        !is_dropped
    }

    /// Ends the open segment before message `end`, at `time`.
    fn end_segment(&mut self, end: u64, time: u64) {
        // Until a target duration is promised, nobody has seen the date.
        if self.has_no_parts() || self.target.is_none() {
            self.fix_date();
        }
        let Some(mut open) = self.open.take() else {
            return;
        };
        self.step = open.step;
        open.segment.set.end(end, true);
        open.segment.set.end(end, false);
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

    /// The number of init segments that the segments held need.
    fn versions(&self) -> usize {
        let versions = self.lists.all_segments().map(|segment| segment.version);
        let mut newest = None;
        let changes = versions.filter(|version| newest.replace(*version) != Some(*version));
        changes.count()
    }

    /// Whether the open segment has no complete part yet.
    fn has_no_parts(&self) -> bool {
        self.open_segment()
            .is_some_and(|open| open.parts.start == self.parts_end())
    }

    fn push_part(&mut self, part: &SegmentPart) {
        self.first_part += u64::from(self.lists.push_part(part));
    }

    /// Fixes the date of the open segment: when its first frame would have arrived without jitter. That
    /// follows from the smallest delay since the last date was fixed.
    fn fix_date(&mut self) {
        let (Some(least), Some(open)) = (self.least.take(), &mut self.open) else {
            return;
        };
        // Nobody has seen a date before a target duration is promised, so until then the estimate may
        // drop freely. Later it may only do so when the publisher's clock was set forward.
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

impl OpenSegment {
    /// The length up to `time`, in ms.
    pub(super) fn len_to(&self, time: u64) -> u32 {
        difference(time, self.segment.start)
    }

    /// Where the media end so far: with the main track, unless the audio goes on alone.
    fn media_end(&self) -> u64 {
        if self.audio_end > self.main_end + HOLE {
            self.audio_end
        } else {
            self.main_end
        }
    }

    /// Returns the open part as it would be if it ended before message `end`, at `time`.
    fn end_part(&self, end: u64, time: u64, target: u32) -> SegmentPart {
        SegmentPart {
            messages: self.part.messages.start..end,
            // Only a single frame may last longer.
            duration: difference(time, self.part.start).clamp(1, target),
            bytes: (self.segment.bytes as u32).wrapping_sub(self.part.bytes),
            ..self.part
        }
    }
}

/// A part that begins with message `first` and with this frame, after `bytes` of its segment.
fn part_from(sample: &MediaSample, first: u64, bytes: u32) -> SegmentPart {
    SegmentPart {
        messages: first..first,
        start: sample.time,
        duration: 0,
        bytes,
        is_independent: sample.is_independent(),
    }
}

/// The time from `earlier` to `later`, in ms; 0 if `later` is earlier.
fn difference(later: u64, earlier: u64) -> u32 {
    u32::try_from(later.saturating_sub(earlier)).unwrap_or(u32::MAX)
}
