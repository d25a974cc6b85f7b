//! The receivers, and what each has received.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::browsers::Browser;
use super::common::media::quiet;
use super::common::process::Program;
use super::kind::{Kind, texts};

/// How late the late ones join, in ms.
pub(crate) const LATE: u32 = 3000;

/// The time that a late one may need to start, in ms: programs and browsers on a busy machine.
const START: u32 = 1000;

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Rtmp(Ffmpeg),
    Mp4(Ffmpeg),
    Hls(Ffmpeg),
    /// By this name in the page of the tests' site.
    Page(Browser, &'static str),
    /// mpegts.js, which receives the same messages at the same times from the tests' site: shows
    /// which of them it can't play.
    Alone,
}

/// A version of ffmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ffmpeg {
    /// The system's.
    Debian,
    /// The newest.
    Newest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receiver {
    pub(crate) name: &'static str,
    pub(crate) how: How,
    pub(crate) is_late: bool,
}

const fn receiver(name: &'static str, how: How, is_late: bool) -> Receiver {
    Receiver { name, how, is_late }
}

pub(crate) const RECEIVERS: &[Receiver] = &[
    receiver("rtmp5", How::Rtmp(Ffmpeg::Debian), false),
    receiver("rtmp9", How::Rtmp(Ffmpeg::Newest), false),
    receiver("rtmp9+3", How::Rtmp(Ffmpeg::Newest), true),
    receiver("flv alone", How::Alone, false),
    receiver(
        "mpegts.js",
        How::Page(Browser::Chromium, "mpegts.js"),
        false,
    ),
    receiver("chromium", How::Page(Browser::Chromium, "page"), false),
    receiver("chromium+3", How::Page(Browser::Chromium, "page"), true),
    receiver("firefox+3", How::Page(Browser::Firefox, "page"), true),
    receiver("mp4-ff5", How::Mp4(Ffmpeg::Debian), false),
    receiver("hls.js+3", How::Page(Browser::Chromium, "hls.js"), true),
    receiver("hls-ff9+3", How::Hls(Ffmpeg::Newest), true),
];

/// What a receiver has received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Got {
    pub(crate) pictures: u32,
    pub(crate) sounds: Option<u32>,
    /// The seconds of the stream that it has played.
    pub(crate) played: Option<f64>,
    pub(crate) size: Option<(u32, u32)>,
    /// What it has printed.
    pub(crate) words: Vec<String>,
    /// It doesn't know the codec at all.
    pub(crate) cannot: bool,
}

impl Got {
    /// Adds the results of another attempt.
    pub(crate) fn add(&mut self, more: Got) {
        self.pictures += more.pictures;
        if let Some(sounds) = more.sounds {
            self.sounds = Some(self.sounds.unwrap_or(0) + sounds);
        }
        if self.words.len() < 6 {
            self.words.extend(more.words);
        }
    }
}

impl Ffmpeg {
    pub(crate) fn program(self) -> String {
        match self {
            Ffmpeg::Debian => "ffmpeg".to_owned(),
            Ffmpeg::Newest => std::env::var("BROOKLET_FFMPEG9").unwrap_or_else(|_| {
                panic!(
                    "set BROOKLET_FFMPEG9 to the path of the ffmpeg in the Python package \
                     imageio-ffmpeg 0.8.1 (imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9.0.2)"
                )
            }),
        }
    }

    /// Whether it reads this codec from RTMP.
    fn knows(self, codec: &str) -> bool {
        self == Ffmpeg::Newest || codec == "h264"
    }

    /// The command that prints a line for each frame that it has decoded.
    pub(crate) fn decode(self, input: &str) -> Command {
        let mut command = quiet(&self.program());
        command.args(["-threads", "1", "-i", input]);
        command.args(["-map", "0:v?", "-map", "0:a?", "-fps_mode", "passthrough"]);
        command.args(["-flush_packets", "1", "-f", "framecrc", "-"]);
        command
    }

    /// What it can decode of a file itself: over RTMP no more can be expected.
    pub(crate) fn of_files(self, kind: &Kind) -> Got {
        let mut got = Got::default();
        for suffix in ["", ".again"] {
            let path: PathBuf = super::kind::folder().join(format!("{}{suffix}.flv", kind.name));
            if path.exists() {
                let mut program = Program::start(&mut self.decode(&path.to_string_lossy()));
                program.wait(Duration::from_secs(60));
                got.add(of_program(&program));
            }
        }
        got
    }
}

impl Receiver {
    pub(crate) fn can_take(self, kind: &Kind) -> bool {
        match self.how {
            How::Rtmp(ffmpeg) => ffmpeg.knows(&kind.codec),
            _ => true,
        }
    }

    pub(crate) fn is_page(self) -> bool {
        self.browser().is_some()
    }

    /// The browser, if it's in a page.
    pub(crate) fn browser(self) -> Option<Browser> {
        match self.how {
            How::Page(browser, _) => Some(browser),
            How::Alone => Some(Browser::Chromium),
            _ => None,
        }
    }

    /// Whether it receives the messages unchanged, whatever players make of them.
    fn is_as_sent(self) -> bool {
        matches!(self.how, How::Rtmp(_) | How::Page(_, "mpegts.js"))
    }

    fn is_hls(self) -> bool {
        matches!(self.how, How::Hls(_) | How::Page(_, "hls.js"))
    }

    /// When it joins, in ms from the stream's beginning. A browser needs a while for a page.
    pub(crate) fn joins(self) -> i64 {
        match self.is_page() {
            _ if self.is_late => i64::from(LATE),
            true => -2500,
            false => -700,
        }
    }

    /// The time from which on frames are expected, in ms: the server's page may jump to the live
    /// edge when it has begun.
    fn from(self, kind: &Kind) -> u32 {
        match self.how {
            _ if self.is_late => kind.from_ms.max(kind.late_from_ms).max(LATE + START),
            How::Page(_, "page") => kind.from_ms.max(START),
            _ => kind.from_ms,
        }
    }

    /// The time until which frames are expected: browsers are behind, and an incomplete segment
    /// isn't played.
    fn until(self, kind: &Kind) -> u32 {
        let behind = match self.is_page() {
            _ if self.is_hls() => 2500,
            true => 500,
            false => 0,
        };
        kind.end().saturating_sub(behind)
    }

    /// The number of frames that it has to show at least.
    fn needed(self, kind: &Kind) -> u32 {
        let expected = kind.pictures_between(self.from(kind), self.until(kind));
        let is_rtmp = matches!(self.how, How::Rtmp(_));
        let fraction = if is_rtmp { 0.9 } else { kind.fraction };
        let enough = (f64::from(expected) * fraction).floor() as u32;
        let least = u32::from(expected > 0);
        enough.min(expected.saturating_sub(1)).max(least)
    }

    fn sounds_needed(self, kind: &Kind) -> u32 {
        let from = self.from(kind);
        // A second for what is behind at the end.
        let from = from.max(u32::from(self.is_late) * LATE + START);
        kind.sounds_from(from) * if self.is_hls() { 7 } else { 9 } / 10
    }

    /// Whether it loses frames of this by chance: AV1, and frames that come once per second while
    /// it waits for more to begin with; Firefox, after a pause, all up to the next connection if
    /// others than a keyframe come first.
    fn is_chance(self, kind: &Kind) -> bool {
        match self.how {
            How::Page(_, "mpegts.js") => kind.codec == "av1" || kind.name == "04-fps-1",
            How::Page(Browser::Firefox, _) => kind.name == "06-still-inter",
            _ => false,
        }
    }

    /// Whether it can't do better, by what it makes of the messages themselves.
    pub(crate) fn cannot(self, kind: &Kind, alone: Option<&Got>) -> bool {
        self.how == How::Alone
            || self.is_chance(kind)
            || alone.is_some_and(|alone| alone.pictures < self.needed(kind))
    }

    /// The faults in what it received. `alone` is what it makes of the messages themselves, if that
    /// is known.
    pub(crate) fn faults(
        self,
        kind: &Kind,
        got: &Got,
        alone: Option<&Got>,
        findings: &[String],
    ) -> Vec<String> {
        let mut faults = Vec::new();
        if self.how == How::Alone || self.is_chance(kind) {
            return faults;
        }
        let of_alone =
            |number: fn(&Got) -> u32| alone.map_or(u32::MAX, |alone| number(alone) / 10 * 9);
        let needed = self.needed(kind).min(of_alone(|alone| alone.pictures));
        let whole = kind.pictures.len() as f64;
        if got.pictures < needed && !self.is_explained(kind, got, findings) {
            faults.push(format!("{} pictures, not {needed}", got.pictures));
        } else if !self.is_as_sent() && f64::from(got.pictures) > kind.at_most * whole {
            faults.push(format!("{} pictures of {whole}", got.pictures));
        }
        if let Some(sounds) = got.sounds {
            let needed = self.sounds_needed(kind);
            let needed = needed.min(of_alone(|alone| alone.sounds.unwrap_or(u32::MAX)));
            if sounds < needed && !self.is_explained(kind, got, findings) {
                faults.push(format!("{sounds} sound frames, not {needed}"));
            }
        }
        if let (Some(played), true) = (got.played, kind.plays > 0.0) {
            let late = f64::from(LATE + START) / 1000.0;
            let whole = kind.plays - if self.is_late { late } else { 0.0 };
            let needed = 0.8 * (whole - if self.is_hls() { 2.5 } else { 0.5 });
            let alone = alone.and_then(|alone| alone.played);
            let needed = needed.min(alone.map_or(f64::INFINITY, |alone| alone * 0.9));
            if played < needed {
                faults.push(format!("plays {played:.1} s, not {needed:.1}"));
            }
        }
        if let (Some(got), Some(size), None) = (got.size, kind.size, alone) {
            if got != size {
                faults.push(format!(
                    "shows {}x{}, not {}x{}",
                    got.0, got.1, size.0, size.1
                ));
            }
        }
        faults
    }

    /// Whether something explains why it shows nothing, where that is all that can be done.
    fn is_explained(self, kind: &Kind, got: &Got, findings: &[String]) -> bool {
        const REASONS: &[&str] = &["intra refresh", "recovery point", "idr"];

        let says = |words: &[String], reasons: &[&str]| {
            let words = words.join(" ").replace(&kind.name, "").to_lowercase();
            reasons.iter().any(|reason| words.contains(reason))
        };
        kind.may_say_why
            && match self.how {
                How::Rtmp(_) => false,
                How::Page(_, "page") => says(&got.words, &[REASONS, &["keyframe"]].concat()),
                _ => says(findings, REASONS),
            }
    }

    /// The command of a program.
    pub(crate) fn command(self, rtmp: &str, http: &str) -> Option<Command> {
        match self.how {
            How::Rtmp(ffmpeg) => Some(ffmpeg.decode(rtmp)),
            How::Mp4(ffmpeg) => Some(ffmpeg.decode(&format!("{http}.mp4"))),
            How::Hls(ffmpeg) => Some(ffmpeg.decode(&format!("{http}.m3u8"))),
            How::Page(..) | How::Alone => None,
        }
    }
}

/// Parses a program's output: `#media_type 0: video`, and a line for each frame, which begins with
/// its track's number.
pub(crate) fn of_program(program: &Program) -> Got {
    let mut got = program.with_stdout(|text| {
        let (mut pictures, mut sounds) = (0, 0);
        let mut kinds = [0_u8; 4];
        for line in text.lines() {
            if let Some(media) = line.strip_prefix("#media_type ") {
                if let Some((index, media)) = media.split_once(": ") {
                    let index: usize = index.parse().unwrap_or(0);
                    kinds[index.min(3)] = media.bytes().next().unwrap_or(0);
                }
            } else if let Some((index, _)) = line.split_once(',') {
                match kinds[index.trim().parse().unwrap_or(3).min(3)] {
                    b'v' => pictures += 1,
                    b'a' => sounds += 1,
                    _ => {}
                }
            }
        }
        Got {
            pictures,
            sounds: Some(sounds),
            ..Got::default()
        }
    });
    let stderr = program.stderr();
    got.words = stderr.lines().take(3).map(str::to_owned).collect();
    got
}

/// Parses what a page has reported.
pub(crate) fn of_report(report: &Value) -> Got {
    let number = |name: &str| report[name].as_u64().unwrap_or_default() as u32;
    Got {
        pictures: number("pictures"),
        sounds: None,
        played: report["played"].as_f64(),
        size: (number("width") > 0).then(|| (number("width"), number("height"))),
        words: texts(&report["words"]),
        cannot: report["cannot"] == true,
    }
}
