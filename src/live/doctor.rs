//! The stream doctor: what is wrong with a publish, in plain words, once each.
//!
//! It looks at what the publisher sends and how: each finding says what came, what was expected
//! and what to do. A finding must be worth reading: what normal streams do, such as pictures at
//! uneven times, five of them a second, sound alone, or a step of the clock that was taken out, is
//! none or is said quietly.

use std::fmt;

use super::log::Kind;
use super::stream::{ClockRepair, Pace};
use super::{Millis, When};
use crate::media::Medium;
use crate::media::decimal::Thousandths;
use crate::rtmp::amf::{Properties, Token};

/// Keyframes further apart than this are too far apart, in ms; a little more than the 4 s which
/// the text names, for 4 s are 4004 ms at 29.97 pictures a second.
const MAX_KEYFRAME_INTERVAL: u32 = 4_250;

/// Without a keyframe for this long there may be none to come, in ms.
const PATIENCE_FOR_KEYFRAME: u32 = 10_000;

/// In an interval between keyframes a step counts for this much at most, in ms: the sender may
/// have left out pictures.
const MAX_COUNTED_STEP: u32 = 1_000;

/// How long after its first message a publish is compared with its metadata, and how long the first
/// message may take.
pub const EXAMINATION: Millis = 5_000;

/// Windows of pictures that have to disagree with the metadata, one after the other: 16 s.
const WRONG_WINDOWS: u8 = 4;

/// Sizes that differ by less are the same: H.264 codes 1080 lines as 1088.
const SIZE_TOLERANCE: u16 = 16;

/// Silence which a network may leave, in ms.
const GAP: Millis = 1_000;

/// Silence so long that one is worth a word, in ms.
const LONG_GAP: Millis = 3_000;

/// Shorter ones are worth it when there are so many in [`GAP_EPISODE`].
const MANY_GAPS: u32 = 3;
const GAP_EPISODE: Millis = 600_000;

/// Kinds of findings: places where they are kept.
const KINDS: usize = 10;
const KEYFRAME_INTERVAL: usize = 0;
const MISSING_TRACK: usize = 1;
const FRAME_RATE: usize = 2;
const PICTURE_SIZE: usize = 3;
const TIMESTAMPS: usize = 4;
const NETWORK_GAPS: usize = 5;
const MEMORY: usize = 6;
const PACE: usize = 7;
const MISSING_HEADER: usize = 8;
const NO_START: usize = 9;

/// What is wrong with a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Keyframes are too far apart.
    KeyframeInterval {
        /// From one to the next, in ms.
        interval: u32,
        /// The second one hasn't come yet.
        is_open: bool,
        /// Pictures per second, in thousandths, if known.
        frame_rate: Option<u32>,
    },
    /// A track was announced and did not come.
    MissingTrack(Medium),
    /// The metadata's frame rate is wrong; both in thousandths.
    FrameRate {
        /// In the metadata.
        announced: u32,
        /// By the time stamps.
        measured: u32,
    },
    /// The metadata's picture size is wrong.
    PictureSize {
        /// In the metadata: width, height.
        announced: (u16, u16),
        /// In the sequence header.
        coded: (u16, u16),
    },
    /// The time stamps jumped; the newest time.
    Timestamps(ClockRepair),
    /// What the encoder made came late and all at once.
    NetworkGaps {
        /// How often.
        count: u32,
        /// The longest, in ms.
        longest: u32,
    },
    /// The stream doesn't fit into the memory that it may use.
    Memory(Memory),
    /// Nothing came, neither audio nor video.
    NoMedia,
    /// The time stamps don't keep pace with time.
    Pace(Pace),
    /// Tracks came without a sequence header.
    MissingHeader {
        /// The first track of audio.
        audio: bool,
        /// That of video.
        video: bool,
        /// The one of the publish before is there for each of them.
        is_known: bool,
    },
    /// No picture comes at which every player can start.
    NoStart {
        /// There are recovery points.
        has_recovery_points: bool,
    },
}

/// What doesn't fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// A GOP: its keyframe had to go before the next one came.
    Gop {
        /// Bytes that the log may hold; at most 4 GiB are told.
        may_hold: u32,
    },
    /// A single message.
    Message {
        /// Its bytes.
        len: u32,
        /// Bytes that the log may hold, as above.
        may_hold: u32,
    },
}

impl Finding {
    /// A stable name for programs.
    pub fn id(&self) -> &'static str {
        match self {
            Finding::KeyframeInterval { .. } => "keyframe-interval",
            Finding::MissingTrack(Medium::Audio) => "missing-audio",
            Finding::MissingTrack(Medium::Video) => "missing-video",
            Finding::FrameRate { .. } => "frame-rate",
            Finding::PictureSize { .. } => "picture-size",
            Finding::Timestamps(_) => "timestamps",
            Finding::NetworkGaps { .. } => "network-gaps",
            Finding::Memory(_) => "memory",
            Finding::NoMedia => "no-media",
            Finding::Pace(_) => "clock",
            Finding::MissingHeader { .. } => "missing-header",
            Finding::NoStart { .. } => "no-start",
        }
    }

    /// Others log the same, each time that it happens.
    fn is_logged_elsewhere(&self) -> bool {
        matches!(
            self,
            Finding::Timestamps(_) | Finding::Memory(Memory::Message { .. })
        )
    }

    /// Where it is kept: one of each kind. At most one track is missing, or all media is.
    fn kind(&self) -> usize {
        match self {
            Finding::KeyframeInterval { .. } => KEYFRAME_INTERVAL,
            Finding::MissingTrack(_) | Finding::NoMedia => MISSING_TRACK,
            Finding::FrameRate { .. } => FRAME_RATE,
            Finding::PictureSize { .. } => PICTURE_SIZE,
            Finding::Timestamps(_) => TIMESTAMPS,
            Finding::NetworkGaps { .. } => NETWORK_GAPS,
            Finding::Memory(_) => MEMORY,
            Finding::Pace(_) => PACE,
            Finding::MissingHeader { .. } => MISSING_HEADER,
            Finding::NoStart { .. } => NO_START,
        }
    }
}

/// What to do about a clock whose time stamps are kept.
const AT_PACE: &str = ": players run dry, or fall behind. Check the encoder's clock and frame rate, and \
                       whether its network keeps up";

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Finding::KeyframeInterval {
                interval,
                is_open,
                frame_rate,
            } => {
                let seconds = Tenths(interval.into());
                if is_open {
                    write!(f, "no keyframe for {seconds} s")?;
                } else {
                    write!(f, "keyframes are {seconds} s apart")?;
                }
                // Two seconds of pictures.
                let pictures = frame_rate.map_or(60, |rate| (rate + 250) / 500).max(1);
                write!(
                    f,
                    ", expected at most 4 s: players wait for them when they join or fall behind, \
                     and HLS viewers are three times as far behind. Set the encoder's \
                     keyframe interval to 2 s (OBS: Keyframe \
                     Interval 2 s; ffmpeg: -g {pictures})"
                )
            }
            Finding::MissingTrack(medium) => {
                let (track, other) = match medium {
                    Medium::Audio => ("audio", "microphone"),
                    Medium::Video => ("video", "camera"),
                };
                write!(
                    f,
                    "the metadata announces {track}, but none came in the first {} s: some players \
                     wait for it. Check the encoder's {other}, or turn its {track} off",
                    EXAMINATION / 1000
                )
            }
            Finding::FrameRate {
                announced,
                measured,
            } => write!(
                f,
                "the metadata says {} pictures a second, {} were measured: the encoder can't keep \
                 up, its source is slower, or it announces a wrong rate. Set its frame rate to \
                 what the source delivers",
                Thousandths(announced.into()),
                Tenths(measured.into())
            ),
            Finding::PictureSize { announced, coded } => write!(
                f,
                "the metadata says {}x{}, the pictures are {}x{}: some players show them \
                 distorted. Set the encoder's output size, or restart it after a change of size",
                announced.0, announced.1, coded.0, coded.1
            ),
            Finding::Timestamps(repair) => {
                let what = if repair.is_start {
                    "of audio and video are apart"
                } else {
                    "jumped"
                };
                let sign = if repair.jump_ms < 0 { "-" } else { "" };
                write!(
                    f,
                    "time stamps {what} by {sign}{} s, continued without a jump ({} so far). Check \
                     the encoder's clock and its source's",
                    Tenths(repair.jump_ms.unsigned_abs().into()),
                    repair.total
                )
            }
            Finding::NetworkGaps { count, longest } => write!(
                f,
                "{count} times nothing came for more than 1 s (at most {} s), and then all of it at \
                 once: the sender's network holds it up. Lower the bit rate, or improve the \
                 connection (cable instead of Wi-Fi, a better signal)",
                Tenths(longest.into())
            ),
            Finding::Pace(pace) => {
                let by_arrival = ", those of arrival take their place. Check the encoder's clock";
                match pace {
                    Pace::Still { is_zero: true } => {
                        write!(f, "all timestamps are zero{by_arrival}")
                    }
                    Pace::Still { is_zero: false } => {
                        write!(f, "timestamps stand still{by_arrival}")
                    }
                    Pace::Hovers => write!(
                        f,
                        "timestamps go back and forth: players stutter. Check the encoder's clock"
                    ),
                    Pace::Backward => write!(f, "timestamps run backward{by_arrival}"),
                    Pace::Fast { tenths, is_lost } => {
                        let times = Thousandths(u64::from(tenths) * 100);
                        let end = if is_lost { by_arrival } else { AT_PACE };
                        write!(f, "timestamps run {times} times too fast{end}")
                    }
                    Pace::Slow { tenths, is_lost } => {
                        let pace = Thousandths(u64::from(tenths) * 100);
                        let end = if is_lost { by_arrival } else { AT_PACE };
                        write!(f, "timestamps run at {pace} of real time{end}")
                    }
                }
            }
            Finding::Memory(Memory::Gop { may_hold }) => write!(
                f,
                "from one keyframe to the next come more than the {} kB that the stream may keep: \
                 players that join or fall behind wait for the next keyframe. Raise --memory, or \
                 lower the encoder's keyframe interval or bit rate",
                may_hold / 1000
            ),
            Finding::MissingHeader {
                audio,
                video,
                is_known,
            } => {
                let tracks = match (video, audio) {
                    (true, true) => "video and audio",
                    (true, false) => "video",
                    _ => "audio",
                };
                let what = match is_known {
                    true => "that of the publish before is used, which may be another's",
                    false => "players can't decode it",
                };
                write!(
                    f,
                    "{tracks} came without a sequence header: {what}. Restart the encoder: a relay \
                     has to send the headers again when it connects again"
                )
            }
            Finding::NoStart {
                has_recovery_points: true,
            } => f.write_str(
                "no IDR pictures come, but recovery points (intra refresh): many browsers can't \
                 start at those and show nothing, RTMP players can. Turn intra refresh off in the \
                 encoder, or set its interval of IDR pictures to 2 s",
            ),
            Finding::NoStart { .. } => f.write_str(
                "no picture says that it is a keyframe (IDR): RTMP players start anywhere, if need \
                 be with faults, and browsers show nothing. Set the encoder's keyframe interval to 2 s",
            ),
            Finding::Memory(Memory::Message { len, may_hold }) => write!(
                f,
                "a message of {} kB was dropped, the stream may keep {} kB in all. Raise --memory, \
                 or lower the encoder's bit rate",
                len.div_ceil(1000),
                may_hold / 1000
            ),
            Finding::NoMedia => write!(
                f,
                "no audio or video came in the first {} s of the publish. Check that the encoder \
                 has a source and is running",
                EXAMINATION / 1000
            ),
        }
    }
}

/// A number of thousandths in tenths.
struct Tenths(u64);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.saturating_add(50) / 100;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

/// Some seconds of pictures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) ms: u32,
    steps: u32,
    shortest: u32,
    longest: u32,
}

impl Window {
    pub(super) fn add(&mut self, step: u32) {
        self.shortest = if self.steps == 0 {
            step
        } else {
            self.shortest.min(step)
        };
        self.longest = self.longest.max(step);
        self.ms += step;
        self.steps = self.steps.saturating_add(1);
    }

    /// Pictures per second, in thousandths.
    pub(super) fn rate(&self) -> u32 {
        let rate = u64::from(self.steps) * 1_000_000 / u64::from(self.ms.max(1));
        // To a hundredth: more would only show how the ms were rounded.
        ((rate + 5) / 10 * 10) as u32
    }

    /// Whether the pictures come at even times: those that don't have no frame rate.
    fn is_even(&self) -> bool {
        self.longest - self.shortest <= (self.ms / self.steps.max(1) / 2).max(4)
    }
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Doctor {
    found: [Option<Finding>; KINDS],
    /// Some finding is to be told.
    has_news: bool,
    /// A bit for each kind that has been told.
    told: u16,
    /// When the first message came.
    began: When,
    is_examined: bool,
    /// Media that came, video since when.
    has_audio: bool,
    first_video: When,
    /// Media time since the last keyframe, in ms, without holes.
    since_keyframe: u32,
    has_keyframe: bool,
    /// Of the metadata, in thousandths.
    announced_rate: Option<u32>,
    /// Windows in a row that disagreed with it.
    wrong_windows: u8,
    last_arrival: When,
    /// Newest time stamps: audio, video.
    timestamps: [Option<u32>; 2],
    gaps: u32,
    longest_gap: u32,
    /// Gaps since `episode` began.
    gaps_in_episode: u32,
    episode: Millis,
}

impl Doctor {
    /// What was found so far, told or not.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.found.iter().flatten().copied().collect()
    }

    /// What hasn't been told, and isn't told by others.
    pub(super) fn take_news(&mut self) -> Vec<Finding> {
        if !std::mem::take(&mut self.has_news) {
            return Vec::new();
        }
        let mut news = self.findings();
        news.retain(|finding| {
            let bit = 1 << finding.kind();
            let is_news = !finding.is_logged_elsewhere() && self.told & bit == 0;
            self.told |= bit;
            is_news
        });
        news
    }

    fn find(&mut self, finding: Finding) {
        let kind = finding.kind();
        self.has_news |= self.told & 1 << kind == 0 && !finding.is_logged_elsewhere();
        self.found[kind] = Some(finding);
    }

    /// A message came, whatever becomes of it.
    pub(super) fn note_message(&mut self, medium: Medium, now: Millis) {
        if self.began.get().is_none() {
            self.began = When::at(now);
            // It may have been found that nothing comes; a track may be missing yet.
            self.found[MISSING_TRACK] = None;
            self.told &= !(1 << MISSING_TRACK);
        }
        let is_known = match medium {
            Medium::Audio => std::mem::replace(&mut self.has_audio, true),
            Medium::Video => self.first_video.get().is_some(),
        };
        if !is_known && self.found[MISSING_TRACK] == Some(Finding::MissingTrack(medium)) {
            self.found[MISSING_TRACK] = None;
        }
        if medium == Medium::Video {
            let waited = now.saturating_sub(self.first_video.get_or_set(now));
            if !self.has_keyframe && waited > PATIENCE_FOR_KEYFRAME.into() {
                self.find_interval(waited.try_into().unwrap_or(u32::MAX), true, None);
            }
        }
    }

    /// A picture came, so much later than the one before by its time stamp.
    pub(super) fn note_picture(
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
            self.has_keyframe = true;
            self.since_keyframe = 0;
        } else if interval > PATIENCE_FOR_KEYFRAME {
            self.find_interval(interval, true, frame_rate);
        }
    }

    /// Keeps the longest interval.
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

    /// Some seconds of pictures came.
    pub(super) fn note_window(&mut self, window: &Window) {
        let Some(announced) = self.announced_rate else {
            return;
        };
        let measured = window.rate();
        let is_wrong = announced.abs_diff(measured) > announced / 5;
        if !is_wrong || !window.is_even() {
            self.wrong_windows = 0;
            return;
        }
        self.wrong_windows = self.wrong_windows.saturating_add(1);
        if self.wrong_windows == WRONG_WINDOWS {
            self.find(Finding::FrameRate {
                announced,
                measured,
            });
        }
    }

    /// The clock took a jump out.
    pub(super) fn note_repair(&mut self, repair: ClockRepair) {
        self.find(Finding::Timestamps(repair));
    }

    /// The clock doesn't keep pace.
    pub(super) fn note_pace(&mut self, pace: Pace) {
        self.find(Finding::Pace(pace));
    }

    /// Something didn't fit.
    pub(super) fn note_memory(&mut self, memory: Memory) {
        self.find(Finding::Memory(memory));
    }

    /// Looks whether anything has come of a publish that began at `since`.
    pub(super) fn note_silence(&mut self, since: Millis, now: Millis) {
        if self.began.get().is_none() && now.saturating_sub(since) >= EXAMINATION {
            self.find(Finding::NoMedia);
        }
    }

    /// A first track came without a sequence header; the publish before had the same.
    pub(super) fn note_missing_header(&mut self, kind: Kind, is_kept: bool) {
        let (mut audio, mut video, mut is_known) = (false, false, true);
        if let Some(Finding::MissingHeader {
            audio: a,
            video: v,
            is_known: known,
        }) = self.found[MISSING_HEADER]
        {
            (audio, video, is_known) = (a, v, known);
        }
        audio |= kind == Kind::Audio;
        video |= kind == Kind::Video;
        is_known &= is_kept;
        self.find(Finding::MissingHeader {
            audio,
            video,
            is_known,
        });
    }

    /// The sequence header of a first track came.
    pub(super) fn note_header(&mut self) {
        self.found[MISSING_HEADER] = None;
    }

    /// Players had to wait long for a keyframe, and then there was none.
    pub(super) fn note_no_start(&mut self, has_recovery_points: bool) {
        self.find(Finding::NoStart {
            has_recovery_points,
        });
    }

    /// Whether it is time to compare the publish with its metadata.
    pub(super) fn is_examination_due(&self, now: Millis) -> bool {
        let age = self.began.get().map(|began| now.saturating_sub(began));
        !self.is_examined && age.is_some_and(|age| age >= EXAMINATION)
    }

    /// Compares the publish with its metadata, once. `coded` is the picture size of the sequence
    /// header.
    pub(super) fn examine(&mut self, metadata: Option<&Properties<'_>>, coded: Option<(u16, u16)>) {
        self.is_examined = true;
        let value = |names: &[&str]| {
            let mut found = names.iter().filter_map(|name| metadata?.token(name));
            found.next()
        };
        let number = |names: &[&str]| value(names)?.as_f64().filter(|number| *number > 0.0);
        // A codec is a number or a FourCC; 0 is PCM in name, and nothing in practice.
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
        self.announced_rate =
            number(&["framerate", "fps"]).map(|rate| (rate.min(1000.0) * 1000.0) as u32);
        let size = |name| Some(number(&[name])?.min(f64::from(u16::MAX)) as u16);
        if let (Some(width), Some(height), Some(coded)) = (size("width"), size("height"), coded) {
            let differs = |a: u16, b: u16| a.abs_diff(b) >= SIZE_TOLERANCE;
            if differs(width, coded.0) || differs(height, coded.1) {
                self.find(Finding::PictureSize {
                    announced: (width, height),
                    coded,
                });
            }
        }
    }

    /// A picture or sound came, and has its place in time.
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
        // Where the encoder paused or dropped pictures, the time stamps say so.
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
        let is_worth_it = silence >= LONG_GAP || self.gaps_in_episode >= MANY_GAPS;
        if is_worth_it || self.found[NETWORK_GAPS].is_some() {
            self.find(Finding::NetworkGaps {
                count: self.gaps,
                longest: self.longest_gap,
            });
        }
    }
}

#[cfg(test)]
mod tests;
