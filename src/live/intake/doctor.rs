//! The stream doctor: finds the problems of a publish.
//!
//! The doctor examines what the publisher sends and how. A finding must be worth reading. Normal
//! streams cause none: uneven frame intervals, five frames a second, or audio alone are no problems.

use super::frame_rate::Window;
use crate::live::finding::{
    EXAMINATION, Finding, KEYFRAME_INTERVAL, KINDS, MEMORY, MISSING_HEADER, MISSING_TRACK,
    NETWORK_GAPS,
};
use crate::live::kind::Kind;
use crate::live::{Millis, When};
use crate::media::Medium;
use crate::rtmp::amf::{Properties, Token};

/// The largest acceptable interval between keyframes, in ms: a little more than the 4 s which the
/// finding names, since 4 s are 4004 ms at 29.97 frames a second.
const MAX_KEYFRAME_INTERVAL: u32 = 4_250;

/// After this long without a keyframe, in ms, the interval is reported: perhaps none arrives at all.
const PATIENCE_FOR_KEYFRAME: u32 = 10_000;

/// The maximum that one step adds to a keyframe interval, in ms: the sender may have left out frames.
const MAX_COUNTED_STEP: u32 = 1_000;

/// The number of successive windows that must disagree with the metadata, 16 s in total.
const WRONG_WINDOWS: u8 = 4;

/// Sizes that differ by less are considered equal: H.264 codes 1080 lines as 1088.
const SIZE_TOLERANCE: u16 = 16;

/// The longest silence that is normal for a network, in ms.
const GAP: Millis = 1_000;

/// The silence that is reported even if it occurs once, in ms.
const LONG_GAP: Millis = 3_000;

/// The number of shorter silences within [`GAP_EPISODE`] at which they are reported.
const MANY_GAPS: u32 = 3;

/// The time over which silences are counted, in ms.
const GAP_EPISODE: Millis = 600_000;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Doctor {
    /// The newest finding of each kind.
    found: [Option<Finding>; KINDS],
    /// A bit for each kind with a finding to be logged.
    news: u16,
    /// A bit for each kind with a finding that was logged.
    logged: u16,
    /// When that was, for the kinds that are logged repeatedly: jumps, memory. In ms, wrapping.
    logged_at: [u32; 2],
    /// When the first message arrived.
    began: When,
    /// Whether the publish has been compared with its metadata.
    is_examined: bool,
    has_audio: bool,
    /// When the first video message arrived.
    first_video: When,
    /// Media time since the last keyframe, in ms, without gaps.
    since_keyframe: u32,
    has_keyframe: bool,
    /// The frame rate in the metadata, in thousandths.
    announced_rate: Option<u32>,
    /// The number of successive windows that disagreed with it.
    wrong_windows: u8,
    last_arrival: When,
    /// The newest timestamps: audio, video.
    timestamps: [Option<u32>; 2],
    gaps: u32,
    longest_gap: u32,
    /// The number of gaps since `episode` began.
    gaps_in_episode: u32,
    episode: Millis,
}

impl Doctor {
    /// All findings of the publish.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.found.iter().flatten().copied().collect()
    }

    /// Returns the findings to log now.
    pub(super) fn take_news(&mut self, now: Millis) -> Vec<Finding> {
        let mut news = Vec::new();
        if self.news == 0 {
            return news;
        }
        let now = now as u32;
        for (kind, finding) in self.found.iter().enumerate() {
            let bit = 1 << kind;
            let Some(finding) = finding.filter(|_| self.news & bit != 0) else {
                continue;
            };
            let logged_at = &mut self.logged_at[usize::from(kind == MEMORY)];
            let is_again = self.logged & bit != 0;
            let interval = finding.log_interval();
            if is_again && interval.is_some_and(|ms| now.wrapping_sub(*logged_at) < ms) {
                // The finding stays news until it may be logged again.
                continue;
            }
            self.news &= !bit;
            if interval.is_some() {
                *logged_at = now;
            } else if is_again {
                continue;
            }
            self.logged |= bit;
            news.push(finding);
        }
        news
    }

    /// Stores a finding, which replaces an earlier one of its kind.
    pub(super) fn find(&mut self, finding: Finding) {
        let kind = finding.kind();
        self.news |= 1 << kind;
        self.found[kind] = Some(finding);
    }

    /// Notes a message, whether or not it is stored.
    pub(super) fn note_message(&mut self, medium: Medium, now: Millis) {
        if self.began.get().is_none() {
            self.began = When::at(now);
            // "No media" is no longer true, but a track may still be missing.
            self.found[MISSING_TRACK] = None;
            self.logged &= !(1 << MISSING_TRACK);
        }
        self.has_audio |= medium == Medium::Audio;
        if self.found[MISSING_TRACK] == Some(Finding::MissingTrack(medium)) {
            self.found[MISSING_TRACK] = None;
        }
        if medium == Medium::Video {
            let waited = now.saturating_sub(self.first_video.get_or_set(now));
            if !self.has_keyframe && waited > PATIENCE_FOR_KEYFRAME.into() {
                self.find_interval(waited.try_into().unwrap_or(u32::MAX), true, None);
            }
        }
    }

    /// Notes a video frame, and its step from the previous frame by the timestamps.
    pub(super) fn note_video_frame(
        &mut self,
        is_keyframe: bool,
        step: Option<u32>,
        frame_rate: Option<u32>,
    ) {
        let step = step.map_or(0, |step| step.min(MAX_COUNTED_STEP));
        self.since_keyframe = self.since_keyframe.saturating_add(step);
        let interval = self.since_keyframe;
        if is_keyframe {
            if self.has_keyframe && interval > MAX_KEYFRAME_INTERVAL {
                self.find_interval(interval, false, frame_rate);
            }
            // The first interval began before the publish, so only later ones are judged.
            self.has_keyframe = true;
            self.since_keyframe = 0;
        } else if interval > PATIENCE_FOR_KEYFRAME {
            self.find_interval(interval, true, frame_rate);
        }
    }

    /// Reports a keyframe interval if it is the longest one so far.
    fn find_interval(&mut self, interval: u32, is_open: bool, frame_rate: Option<u32>) {
        let known = match self.found[KEYFRAME_INTERVAL] {
            Some(Finding::KeyframeInterval { interval, .. }) => interval,
            _ => 0,
        };
        if interval > known {
            self.find(Finding::KeyframeInterval {
                interval,
                is_open,
                frame_rate,
            });
        }
    }

    /// Notes a window of video frames.
    pub(super) fn note_window(&mut self, window: &Window) {
        let Some(announced) = self.announced_rate else {
            return;
        };
        let measured = window.rate();
        // A fifth leaves room for encoders that drop frames now and then.
        let is_wrong = announced.abs_diff(measured) > announced / 5;
        if !is_wrong || !window.is_even() {
            self.wrong_windows = 0;
            return;
        }
        self.wrong_windows = self.wrong_windows.saturating_add(1);
        // Only once: further windows would repeat the finding.
        if self.wrong_windows == WRONG_WINDOWS {
            self.find(Finding::FrameRate {
                announced,
                measured,
            });
        }
    }

    /// Reports a publish that began at `since` if none of its media has arrived.
    pub(super) fn note_silence(&mut self, since: Millis, now: Millis) {
        if self.began.get().is_none() && now.saturating_sub(since) >= EXAMINATION {
            self.find(Finding::NoMedia);
        }
    }

    /// Notes the sequence header of a first track.
    pub(super) fn note_header(&mut self) {
        self.found[MISSING_HEADER] = None;
    }

    /// Whether it is time to compare the publish with its metadata.
    pub(super) fn is_examination_due(&self, now: Millis) -> bool {
        let age = self.began.get().map(|began| now.saturating_sub(began));
        !self.is_examined && age.is_some_and(|age| age >= EXAMINATION)
    }

    /// Compares the publish with its metadata, once. `coded` is the frame size in the sequence header.
    pub(super) fn examine(&mut self, metadata: Option<&Properties<'_>>, coded: Option<(u16, u16)>) {
        self.is_examined = true;
        let value = |names: &[&str]| names.iter().find_map(|name| metadata?.token(name));
        let number = |names: &[&str]| value(names)?.as_f64().filter(|number| *number > 0.0);
        // A codec is a number or a FourCC. 0 is PCM by the specification, and no track in practice.
        let is_announced = |codec: &str, flag: &str| {
            let is_codec = match value(&[codec]) {
                Some(Token::Number(id)) => id > 0.0,
                Some(Token::String(name)) => !name.is_empty(),
                _ => false,
            };
            is_codec && value(&[flag]) != Some(Token::Boolean(false))
        };
        if !self.has_audio && is_announced("audiocodecid", "hasAudio") {
            self.find(Finding::MissingTrack(Medium::Audio));
        }
        if self.first_video.get().is_none() && is_announced("videocodecid", "hasVideo") {
            self.find(Finding::MissingTrack(Medium::Video));
        }
        // Kept for the following windows.
        self.announced_rate =
            number(&["framerate", "fps"]).map(|rate| (rate.min(1000.0) * 1000.0) as u32);
        let size = |name| Some(number(&[name])?.min(f64::from(u16::MAX)) as u16);
        if let (Some(width), Some(height), Some(coded)) = (size("width"), size("height"), coded) {
            let differs = |a: u16, b: u16| a.abs_diff(b) >= SIZE_TOLERANCE;
            if differs(width, coded.0) || differs(height, coded.1) {
                self.find(Finding::FrameSize {
                    announced: (width, height),
                    coded,
                });
            }
        }
    }

    /// Notes a frame of audio or video with its timestamp on the stream's clock.
    ///
    /// ```text
    /// arrived   0   40   80                        3000 3001 3002      a gap: 2920 ms of silence,
    /// placed    0   40   80                         120  160  200      40 ms of media
    /// ```
    pub(super) fn note_arrival(&mut self, kind: Kind, timestamp: u32, now: Millis) {
        let slot = &mut self.timestamps[usize::from(kind == Kind::Video)];
        let step = slot.replace(timestamp);
        let step = step.map(|last| timestamp.wrapping_sub(last) as i32);
        let silence = now.saturating_sub(self.last_arrival.get_or_set(now));
        self.last_arrival = When::at(now);
        // If the encoder paused or dropped frames, the timestamps show it.
        let is_gap = step.is_some_and(|step| step >= 0 && u64::from(step as u32) <= silence / 2);
        if silence <= GAP || !is_gap {
            return;
        }
        self.gaps = self.gaps.saturating_add(1);
        let longest = silence.try_into().unwrap_or(u32::MAX);
        self.longest_gap = self.longest_gap.max(longest);
        if now.saturating_sub(self.episode) > GAP_EPISODE {
            self.episode = now;
            self.gaps_in_episode = 0;
        }
        self.gaps_in_episode = self.gaps_in_episode.saturating_add(1);
        let is_serious = silence >= LONG_GAP || self.gaps_in_episode >= MANY_GAPS;
        if is_serious || self.found[NETWORK_GAPS].is_some() {
            self.find(Finding::NetworkGaps {
                count: self.gaps,
                longest: self.longest_gap,
            });
        }
    }
}

#[cfg(test)]
mod tests;
