//! What is published: which codecs, at which times, with which faults.

use crate::codecs::{Audio, Mark, Video};
use crate::common::random::Random;

/// How the times of video frames are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Even,
    /// Each up to 12 ms early or late, timestamps too.
    Jitter,
    /// Now and then up to five frames in a row are left out.
    Skipped,
    /// Even, but sent 400 ms at a time.
    Bursts,
    /// Even, but each is delayed by up to 250 ms, as on a wireless network.
    Network,
    /// Even, but what is due in the first 900 ms is sent only then.
    LateStart,
    /// Nothing for 8 s, from 14 s on, and then the timestamps continue as if it had been there.
    Pause,
    /// The encoder's clock gains or loses 1 ms in 3 s, which is more than quartz does.
    FastClock,
    SlowClock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// Audio begins after 5 s, without having been announced.
    LateAudio,
    /// Another size at a keyframe, every 16 s.
    Video,
    /// Another sample rate in the middle of a GOP, about every 16 s.
    Audio,
    /// From the tenth second on, GOPs of 6 s instead of 2.
    LongerGop,
    /// Each GOP has a different length, from 0.5 to 4 s.
    AnyGop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// After 14 s the connection is lost for this many seconds.
    Gone(u64),
    /// The same, directly after a keyframe.
    GoneAfterKeyframe(u64),
    /// After 16 s the encoder ends the stream properly.
    Goodbye,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) video: Option<Video>,
    pub(crate) audio: Option<Audio>,
    pub(crate) fps: u32,
    pub(crate) gop_ms: u64,
    pub(crate) has_b_frames: bool,
    /// The age of the stream at the first request, in s.
    pub(crate) age: u64,
    pub(crate) times: Times,
    pub(crate) change: Change,
    pub(crate) mishap: Mishap,
    /// The timestamp of the first frame.
    pub(crate) first_time: u32,
}

const SMALL: Video = Video::Avc(320, 240);
const OTHER: Video = Video::Avc(640, 480);
const AAC: Audio = Audio::Aac(44_100);

/// When nothing is sent by [`Times::Pause`], in ms.
pub(crate) const PAUSE: std::ops::Range<u64> = 14_000..22_000;

/// H.264 and AAC; GOP in ms, frame rate, age in s at the first request.
const fn av(name: &'static str, gop_ms: u64, fps: u32, age: u64) -> Scenario {
    Scenario {
        name,
        video: Some(SMALL),
        audio: Some(AAC),
        fps,
        gop_ms,
        has_b_frames: false,
        age,
        times: Times::Even,
        change: Change::None,
        mishap: Mishap::None,
        first_time: 0,
    }
}

pub(crate) const ALL: &[Scenario] = &[
    av("gop-1", 1_000, 25, 0),
    av("gop-2", 2_000, 30, 0),
    av("gop-2-at-12", 2_000, 30, 12),
    av("gop-4", 4_000, 25, 0),
    av("gop-4-at-1", 4_000, 25, 1),
    Scenario {
        first_time: 3_600_000,
        ..av("gop-8.3", 8_300, 30, 0)
    },
    av("gop-10", 10_000, 25, 0),
    av("gop-10-at-12", 10_000, 25, 12),
    av("gop-12", 12_000, 25, 1),
    av("gop-20", 20_000, 25, 0),
    Scenario {
        has_b_frames: true,
        ..av("b-frames-2", 2_000, 30, 1)
    },
    Scenario {
        has_b_frames: true,
        ..av("b-frames-4", 4_000, 24, 12)
    },
    Scenario {
        first_time: 0xFF_FF00,
        ..av("fps-5", 2_000, 5, 0)
    },
    av("fps-10", 4_000, 10, 1),
    av("fps-60", 2_000, 60, 0),
    Scenario {
        times: Times::Jitter,
        ..av("jitter", 2_000, 30, 0)
    },
    Scenario {
        times: Times::Skipped,
        ..av("skipped", 4_000, 30, 1)
    },
    Scenario {
        times: Times::Bursts,
        ..av("bursts", 2_000, 25, 0)
    },
    Scenario {
        times: Times::Network,
        ..av("network", 2_000, 25, 1)
    },
    Scenario {
        times: Times::LateStart,
        ..av("late-start", 2_000, 25, 0)
    },
    Scenario {
        times: Times::Pause,
        ..av("pause", 2_000, 25, 0)
    },
    Scenario {
        audio: None,
        times: Times::FastClock,
        ..av("fast-clock", 2_000, 25, 0)
    },
    Scenario {
        audio: None,
        times: Times::SlowClock,
        ..av("slow-clock", 2_000, 25, 0)
    },
    Scenario {
        video: None,
        ..av("aac-only", 0, 0, 0)
    },
    Scenario {
        video: None,
        audio: Some(Audio::Opus),
        ..av("opus-only", 0, 0, 1)
    },
    Scenario {
        audio: None,
        ..av("video-only-2", 2_000, 25, 0)
    },
    Scenario {
        audio: None,
        ..av("video-only-10", 10_000, 25, 1)
    },
    Scenario {
        change: Change::LateAudio,
        ..av("late-audio", 10_000, 25, 0)
    },
    Scenario {
        change: Change::Video,
        ..av("new-video", 2_000, 25, 0)
    },
    Scenario {
        change: Change::Audio,
        ..av("new-audio", 2_000, 25, 1)
    },
    Scenario {
        change: Change::LongerGop,
        ..av("longer-gop", 2_000, 25, 0)
    },
    Scenario {
        change: Change::AnyGop,
        ..av("any-gop", 4_000, 25, 12)
    },
    Scenario {
        video: Some(Video::Hevc),
        ..av("hevc", 4_000, 25, 0)
    },
    Scenario {
        video: Some(Video::Av1),
        audio: Some(Audio::Opus),
        ..av("av1-opus", 4_000, 25, 1)
    },
    Scenario {
        video: Some(Video::Vp9),
        audio: Some(Audio::Flac),
        ..av("vp9-flac", 2_000, 25, 0)
    },
    Scenario {
        mishap: Mishap::Gone(3),
        ..av("gone-3", 2_000, 25, 0)
    },
    Scenario {
        mishap: Mishap::Gone(20),
        ..av("gone-20", 2_000, 25, 1)
    },
    Scenario {
        mishap: Mishap::Gone(40),
        ..av("gone-40", 2_000, 25, 0)
    },
    Scenario {
        mishap: Mishap::GoneAfterKeyframe(5),
        ..av("gone-at-keyframe", 2_000, 25, 0)
    },
    Scenario {
        mishap: Mishap::Goodbye,
        ..av("goodbye", 2_000, 25, 0)
    },
];

/// A frame of the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The publish that it belongs to.
    pub(crate) life: usize,
    /// The timestamp on the wire, and when it is due after the beginning of the publish, in ms.
    pub(crate) timestamp: u32,
    pub(crate) due_ms: u64,
    /// In ms.
    pub(crate) composition_time: u32,
    pub(crate) is_key: bool,
    pub(crate) codec: Codec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Video(Video),
    Audio(Audio),
}

impl Frame {
    /// Its presentation time on the time line of its publish, in ms.
    pub(crate) fn presented(&self) -> f64 {
        f64::from(self.timestamp) + f64::from(self.composition_time)
    }

    pub(crate) fn body(&self, mark: Mark) -> Vec<u8> {
        match self.codec {
            Codec::Video(video) => {
                let len = if self.is_key { 1_500 } else { 200 };
                video.body(self.is_key, len + mark.index as usize % 97, mark)
            }
            Codec::Audio(audio) => audio.body(60 + mark.index as usize % 13, mark),
        }
    }
}

/// What a publisher does, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// In ms since the beginning of the publish; for `Connect`, since the end of the one before.
    pub(crate) at_ms: u64,
    pub(crate) action: Action,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Connect,
    Header(Codec),
    /// Track (0 video, 1 audio) and index.
    Frame(usize, u32),
    Vanish,
    Goodbye,
}

#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) frames: [Vec<Frame>; 2],
    pub(crate) steps: Vec<Step>,
}

/// When something is due, in ms; its order among what is due at the same time: 0 and 1 are headers
/// of video and audio, 2 and 3 frames; and of a frame, whether it is a keyframe, and its
/// composition time.
type Due = (u64, usize, Codec, Option<(bool, u32)>);

impl Scenario {
    /// The longest GOP that it has, in ms; 0 without video.
    pub(crate) fn longest_gop(&self) -> u64 {
        match (self.video, self.change) {
            (None, _) => 0,
            (_, Change::LongerGop) => 6_000,
            _ => self.gop_ms,
        }
    }

    pub(crate) fn plan(&self, number: u16, seconds: u64) -> Plan {
        let mut plan = Plan::default();
        let whole = seconds * 1000;
        let connect = |at_ms| Step {
            at_ms,
            action: Action::Connect,
        };
        plan.steps.push(connect(u64::from(number) * 97));
        let (first_life, pause, end) = match self.mishap {
            Mishap::None => (whole, None, None),
            Mishap::Gone(pause) => (14_000 + 370, Some(pause), Some(Action::Vanish)),
            Mishap::GoneAfterKeyframe(pause) => (14_000 + 1, Some(pause), Some(Action::Vanish)),
            Mishap::Goodbye => (16_000 + 370, None, Some(Action::Goodbye)),
        };
        self.live(&mut plan, 0, first_life.min(whole));
        let Some(end) = end.filter(|_| first_life < whole) else {
            return plan;
        };
        plan.steps.push(Step {
            at_ms: first_life + 5,
            action: end,
        });
        if let Some(pause) = pause {
            plan.steps.push(connect(pause * 1000));
            self.live(
                &mut plan,
                1,
                whole.saturating_sub(first_life + pause * 1000),
            );
        }
        plan
    }

    /// A publish of this length.
    fn live(&self, plan: &mut Plan, life: usize, len_ms: u64) {
        let mut random = Random(self.name.len() as u64);
        let mut latest = 0;
        let mut todo: Vec<Due> = Vec::new();
        if let Some(first) = self.video {
            self.pictures(first, len_ms, &mut random, &mut todo);
        }
        if let Some(first) = self.audio {
            self.sounds(first, len_ms, &mut todo);
        }
        if self.times == Times::Pause {
            todo.retain(|(due, ..)| !PAUSE.contains(due));
        }
        todo.sort_by_key(|(due, order, ..)| (*due, *order));
        for (due_ms, track, codec, frame) in todo {
            let track = track % 2;
            let said_ms = match self.times {
                Times::FastClock => due_ms + due_ms / 3000,
                Times::SlowClock => due_ms - due_ms / 3000,
                _ => due_ms,
            };
            let action = match frame {
                None => Action::Header(codec),
                Some((is_key, composition_time)) => {
                    let index = plan.frames[track].len() as u32;
                    plan.frames[track].push(Frame {
                        life,
                        timestamp: self.first_time.wrapping_add(said_ms as u32),
                        due_ms,
                        composition_time,
                        is_key,
                        codec,
                    });
                    Action::Frame(track, index)
                }
            };
            let at_ms = match self.times {
                Times::Bursts => due_ms.div_ceil(400) * 400,
                Times::LateStart => due_ms.max(900),
                Times::Network => due_ms + random.below(250) as u64,
                _ => due_ms,
            };
            // In order, as TCP is.
            latest = at_ms.max(latest);
            let at_ms = latest;
            plan.steps.push(Step { at_ms, action });
        }
    }

    fn pictures(&self, first: Video, len_ms: u64, random: &mut Random, todo: &mut Vec<Due>) {
        let step = 1000.0 / f64::from(self.fps);
        let (mut next_key, mut in_gop, mut gop_len, mut to_skip) = (0, 0, 0, 0);
        let mut video = None;
        for number in 0.. {
            let nominal = (f64::from(number) * step).round() as u64;
            if nominal >= len_ms {
                return;
            }
            let is_key = nominal >= next_key;
            if is_key {
                let gop_ms = match self.change {
                    Change::LongerGop if nominal >= 10_000 => 6_000,
                    Change::AnyGop => 500 + random.below(3_500) as u64,
                    _ => self.gop_ms,
                };
                // Frames keep their places, and so does the first after the GOP's length.
                next_key = nominal + gop_ms;
                gop_len = (0..)
                    .find(|n| (f64::from(number + n) * step).round() as u64 >= next_key)
                    .unwrap_or(1);
                (in_gop, to_skip) = (0, 0);
                let wanted = match self.change {
                    Change::Video if nominal / 16_000 % 2 == 1 => OTHER,
                    _ => first,
                };
                if video != Some(wanted) {
                    video = Some(wanted);
                    todo.push((nominal, 0, Codec::Video(wanted), None));
                }
            } else {
                in_gop += 1;
            }
            let due = match self.times {
                Times::Jitter if number > 0 => nominal + 12 - random.below(25) as u64,
                _ => nominal,
            };
            if self.times == Times::Skipped && !is_key {
                if to_skip == 0 && random.below(20) == 0 {
                    to_skip = 1 + random.below(2);
                }
                if to_skip > 0 {
                    to_skip -= 1;
                    continue;
                }
            }
            let composition_time = if self.has_b_frames {
                // I, then P B B in threes, shown one step later than decoded at the earliest.
                let three = (in_gop + 2) / 3;
                let shown_at = match (in_gop, in_gop % 3) {
                    (0, _) => number + 1,
                    _ if three * 3 >= gop_len => number + 1,
                    (_, 1) => number + 3,
                    _ => number,
                };
                ((f64::from(shown_at) * step).round() as u64 - nominal) as u32
            } else {
                0
            };
            let codec = Codec::Video(video.unwrap_or(first));
            todo.push((due, 2, codec, Some((is_key, composition_time))));
        }
    }

    fn sounds(&self, first: Audio, len_ms: u64, todo: &mut Vec<Due>) {
        let mut time = match self.change {
            Change::LateAudio => 5_000.0,
            _ => 0.0,
        };
        let mut audio = None;
        while time < len_ms as f64 {
            let due = time.round() as u64;
            let wanted = match self.change {
                // By turns 700 and 300 ms before a keyframe.
                Change::Audio if (7_300..23_700).contains(&(due % 32_000)) => Audio::Aac(48_000),
                _ => first,
            };
            if audio != Some(wanted) {
                audio = Some(wanted);
                todo.push((due, 1, Codec::Audio(wanted), None));
            }
            todo.push((due, 3, Codec::Audio(wanted), Some((true, 0))));
            time += wanted.frame_ms();
        }
    }
}
