//! Findings of the stream doctor: the problems that a publish can have, and the words that describe
//! them.

use std::fmt;

use super::Millis;
use crate::media::Medium;
use crate::media::decimal::{Tenths, Thousandths};

/// The time from a publish's first message until it is compared with its metadata, in ms; also the time
/// within which the first message must arrive.
pub const EXAMINATION: Millis = 5_000;

/// The number of kinds of findings. The doctor keeps one finding of each, at the index of its kind.
pub(super) const KINDS: usize = 10;
pub(super) const KEYFRAME_INTERVAL: usize = 0;
pub(super) const MISSING_TRACK: usize = 1;
pub(super) const NETWORK_GAPS: usize = 5;
pub(super) const MEMORY: usize = 6;
pub(super) const MISSING_HEADER: usize = 8;
/// The kind that the doctor doesn't keep: the stream does, since it isn't the publisher's fault.
const RECORDING: usize = KINDS;

/// A problem with a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Keyframes are too far apart.
    KeyframeInterval {
        /// The time from one keyframe to the next, in ms.
        interval: u32,
        /// Whether the second keyframe is still to come.
        is_open: bool,
        /// The frame rate in thousandths of a frame per second, if known.
        frame_rate: Option<u32>,
    },
    /// A track was announced but never arrived.
    MissingTrack(Medium),
    /// The metadata's frame rate is wrong. Both rates are in thousandths of a frame per second.
    FrameRate {
        /// The rate in the metadata.
        announced: u32,
        /// The rate measured from the timestamps.
        measured: u32,
    },
    /// The metadata's frame size is wrong.
    FrameSize {
        /// The size in the metadata: width, height.
        announced: (u16, u16),
        /// The size in the sequence header.
        coded: (u16, u16),
    },
    /// The timestamps jumped. Holds the newest jump.
    Timestamps(ClockRepair),
    /// Media arrived late, in bursts.
    NetworkGaps {
        /// The number of gaps.
        count: u32,
        /// The longest silence, in ms.
        longest: u32,
    },
    /// A GOP doesn't fit into the stream's memory: its keyframe was evicted before the next one
    /// arrived.
    LargeGop {
        /// The number of bytes that the log may hold, capped at 4 GiB.
        may_hold: u32,
    },
    /// A single message doesn't fit into the stream's memory.
    LargeMessage {
        /// Its length in bytes.
        len: u32,
        /// The number of bytes that the log may hold, capped at 4 GiB.
        may_hold: u32,
    },
    /// Neither audio nor video arrived.
    NoMedia,
    /// The timestamps don't keep pace with real time.
    Pace(Pace),
    /// Tracks arrived without a sequence header.
    MissingHeader {
        /// Whether the first audio track did.
        audio: bool,
        /// Whether the first video track did.
        video: bool,
        /// Whether the previous publish's headers are used for them.
        is_known: bool,
    },
    /// No frame arrives at which every player can start.
    NoStart {
        /// Whether recovery points arrive.
        has_recovery_points: bool,
    },
    /// The stream isn't recorded as it should be.
    Recording(RecordingTrouble),
}

/// A problem with the recording of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordingTrouble {
    /// The recorder is this far behind the stream, in ms, because the disk is slow.
    Behind(u32),
    /// The disk is full, and nothing may be deleted.
    DiskFull,
    /// The folder of the recordings or its disk is gone.
    DiskGone,
    /// The disk can only be read.
    ReadOnly,
    /// The disk fails to read or write.
    Failing,
    /// The format that was chosen can't hold the stream's codecs.
    NoFormat,
}

impl RecordingTrouble {
    /// What is wrong and what to do about it, as a sentence for people.
    fn text(self) -> &'static str {
        match self {
            RecordingTrouble::Behind(_) => {
                "behind the stream: the disk is too slow, and what doesn't fit into memory until \
                 then will be missing. Use a faster card or disk, or lower the encoder's bit rate"
            }
            RecordingTrouble::DiskFull => {
                "not recorded: the disk is full, and no recording is left that may be deleted. \
                 Free some space, lower --record-free or raise --record-max"
            }
            RecordingTrouble::DiskGone => {
                "not recorded: the folder of the recordings, or the disk it was on, is gone. \
                 Connect and mount it again: recording then goes on by itself"
            }
            RecordingTrouble::ReadOnly => {
                "not recorded: the disk can only be read, as cards do that wear out. Mount it for \
                 writing, or replace it"
            }
            RecordingTrouble::Failing => {
                "not recorded: the disk fails to read or write. Check its connection, or replace it"
            }
            RecordingTrouble::NoFormat => {
                "not recorded: the format that was chosen has no place for the stream's codecs. \
                 Set --record-format auto"
            }
        }
    }
}

/// A jump of the timestamps that was corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRepair {
    /// The difference between the timestamp and its expected value, in ms.
    pub jump_ms: i32,
    /// Whether the two tracks already differed when the second one began; otherwise a track jumped
    /// later.
    pub is_start: bool,
    /// The number of jumps of this publisher so far. A second track that follows the first isn't
    /// counted again.
    pub total: u32,
}

/// A problem with the pace of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The clock stands still, perhaps at 0.
    Still {
        /// Whether all timestamps are 0.
        is_zero: bool,
    },
    /// The clock jumps back and forth.
    Hovers,
    /// The clock runs backward. The times of arrival replace its timestamps.
    Backward,
    /// The clock is faster or slower than real time.
    Off {
        /// The speed of the clock relative to real time, in tenths.
        tenths: u32,
        /// Whether the times of arrival replace its timestamps, because the duration of the audio shows
        /// that they are wrong.
        is_lost: bool,
    },
}

impl Finding {
    /// A stable name for programs.
    pub fn id(&self) -> &'static str {
        self.kind_and_id().1
    }

    /// The index of the finding's kind.
    pub(super) fn kind(&self) -> usize {
        self.kind_and_id().0
    }

    fn kind_and_id(&self) -> (usize, &'static str) {
        match self {
            Finding::KeyframeInterval { .. } => (KEYFRAME_INTERVAL, "keyframe-interval"),
            // These are one kind, since only one of them can be true: one track is missing, or both
            // are.
            Finding::MissingTrack(Medium::Audio) => (MISSING_TRACK, "missing-audio"),
            Finding::MissingTrack(Medium::Video) => (MISSING_TRACK, "missing-video"),
            Finding::NoMedia => (MISSING_TRACK, "no-media"),
            Finding::FrameRate { .. } => (2, "frame-rate"),
            Finding::FrameSize { .. } => (3, "picture-size"),
            Finding::Timestamps(_) => (4, "timestamps"),
            Finding::NetworkGaps { .. } => (NETWORK_GAPS, "network-gaps"),
            Finding::LargeGop { .. } | Finding::LargeMessage { .. } => (MEMORY, "memory"),
            Finding::Pace(_) => (7, "clock"),
            Finding::MissingHeader { .. } => (MISSING_HEADER, "missing-header"),
            Finding::NoStart { .. } => (9, "no-start"),
            Finding::Recording(RecordingTrouble::Behind(_)) => (RECORDING, "recording-behind"),
            Finding::Recording(_) => (RECORDING, "recording-stopped"),
        }
    }

    /// The minimum interval between two log lines about the finding during a publish, in ms; `None` if
    /// it is logged only once.
    pub(super) fn log_interval(&self) -> Option<u32> {
        match self {
            // The timestamps of some cameras jump all the time.
            Finding::Timestamps(_) => Some(10_000),
            Finding::LargeMessage { .. } => Some(1_000),
            _ => None,
        }
    }
}

/// The advice about a clock whose timestamps are kept.
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
                // The number of frames in two seconds.
                let frames = frame_rate.map_or(60, |rate| (rate + 250) / 500).max(1);
                write!(
                    f,
                    ", expected at most 4 s: players wait for them when they join or fall behind, \
                     and HLS viewers are three times as far behind. Set the encoder's \
                     keyframe interval to 2 s (OBS: Keyframe \
                     Interval 2 s; ffmpeg: -g {frames})"
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
            Finding::FrameSize { announced, coded } => write!(
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
            Finding::NetworkGaps { count: 1, longest } => write!(
                f,
                "once nothing came for {} s, and then all of it at once: the sender's network holds \
                 it up. Lower the bit rate, or improve the connection (cable instead of Wi-Fi, a \
                 better signal)",
                Tenths(longest.into())
            ),
            Finding::NetworkGaps { count, longest } => write!(
                f,
                "{count} times nothing came for more than 1 s (at most {} s), and then all of it at \
                 once: the sender's network holds it up. Lower the bit rate, or improve the \
                 connection (cable instead of Wi-Fi, a better signal)",
                Tenths(longest.into())
            ),
            Finding::Pace(pace) => {
                let by_arrival = ", those of arrival take their place. Check the encoder's clock";
                let (what, end) = match pace {
                    Pace::Still { is_zero: true } => ("all timestamps are zero", by_arrival),
                    Pace::Still { is_zero: false } => ("timestamps stand still", by_arrival),
                    Pace::Backward => ("timestamps run backward", by_arrival),
                    Pace::Hovers => ("timestamps go back and forth", ": players stutter. Check the encoder's clock"),
                    Pace::Off { tenths, is_lost } => {
                        let rate = Thousandths(u64::from(tenths) * 100);
                        let end = if is_lost { by_arrival } else { AT_PACE };
                        return if tenths > 10 {
                            write!(f, "timestamps run {rate} times too fast{end}")
                        } else {
                            write!(f, "timestamps run at {rate} of real time{end}")
                        };
                    }
                };
                write!(f, "{what}{end}")
            }
            Finding::LargeGop { may_hold } => write!(
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
                let what = if is_known {
                    "that of the publish before is used, which may be another's"
                } else {
                    "players can't decode it"
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
            Finding::LargeMessage { len, may_hold } => write!(
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
            Finding::Recording(trouble) => {
                if let RecordingTrouble::Behind(ms) = trouble {
                    write!(f, "the recording is {} s ", Tenths(ms.into()))?;
                }
                f.write_str(trouble.text())
            }
        }
    }
}

#[cfg(test)]
mod tests;
