//! Judges what one reader receives of one stream by RFC 8216bis and by the source.

mod media;
mod playlists;

use std::collections::{BTreeMap, HashMap};

use crate::http::Answer;
use crate::mp4::{self, Sample, Track};
use crate::playlist::{Playlist, Segment};
use crate::report::Report;
use crate::scenario::{Change, Codec, Frame, Mishap};
use crate::source::{Clock, Source};

/// The longest GOP that is not cut, in ms.
const MAX_GOP: u64 = 10_000;

/// What a busy machine may add to the time at which something is observed, in us.
const BUSY: u64 = 1_000_000;

/// How long the server waits for a publisher that is gone: `--grace`, in us.
const GRACE: u64 = 30_000_000;

/// What was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Multivariant,
    Playlist,
    /// The part that comes next.
    Hint,
    /// Something that is listed.
    Listed,
}

/// What is no longer listed, and until when it must be available.
pub(crate) struct Kept {
    pub(crate) uri: String,
    /// In us.
    pub(crate) until: u64,
    is_part: bool,
    /// What it was, if that was seen.
    bytes: Option<Vec<u8>>,
}

/// What the samples of a segment or part say, in ms of its time line.
#[derive(Clone, Debug, Default)]
struct Media {
    /// The time line: the number of the discontinuity.
    line: u64,
    /// The first decode time, the sum of the durations, and the earliest presentation, by track.
    first: [Option<f64>; 2],
    sum: [f64; 2],
    shown: [Option<f64>; 2],
    /// The first video frame, if there is one, or the first audio frame.
    begins_with: Option<(usize, u32, Frame)>,
    first_picture: Option<(bool, Frame)>,
    lives: Vec<usize>,
    codecs: [Option<Codec>; 2],
}

/// A sample, its track (0 video, 1 audio), and which frame of the source it is.
type Known = (Sample, usize, u32, Frame);

/// A segment or part that was judged, until the next one shows its real duration.
struct Judged {
    name: String,
    said: f64,
    media: Media,
}

pub(crate) struct Judge<'a> {
    source: &'a Source,
    report: &'a Report,
    clock: &'a Clock,
    who: &'static str,
    /// What was last listed of each segment.
    known: BTreeMap<u64, Segment>,
    last: Option<(Playlist, u64)>,
    /// The first playlist had less than three targets, and this was its first segment.
    began_short: Option<(u64, f64)>,
    /// The newest segment, and when it was first seen.
    newest: Option<(u64, u64)>,
    pub(crate) kept: Vec<Kept>,
    inits: HashMap<String, Vec<Track>>,
    part_bytes: BTreeMap<(u64, usize), Vec<u8>>,
    segment_bytes: BTreeMap<u64, Vec<u8>>,
    segment_before: Option<Judged>,
    part_before: Option<Judged>,
    next_index: [Option<u32>; 2],
    /// Of the time line: its number, the difference to the source by track, and where each track
    /// ends.
    line: u64,
    offsets: [Option<f64>; 2],
    ends: [Option<f64>; 2],
    sequence: u32,
    /// Of each segment: number, bytes, EXTINF.
    rates: Vec<(u64, usize, f64)>,
    bandwidths: Vec<(u64, u64)>,
    has_ended: bool,
    segments: u32,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        source: &'a Source,
        report: &'a Report,
        clock: &'a Clock,
        who: &'static str,
    ) -> Judge<'a> {
        Judge {
            source,
            report,
            clock,
            who,
            known: BTreeMap::new(),
            last: None,
            began_short: None,
            newest: None,
            kept: Vec::new(),
            inits: HashMap::new(),
            part_bytes: BTreeMap::new(),
            segment_bytes: BTreeMap::new(),
            segment_before: None,
            part_before: None,
            next_index: [None; 2],
            line: 0,
            offsets: [None; 2],
            ends: [None; 2],
            sequence: 0,
            rates: Vec::new(),
            bandwidths: Vec::new(),
            has_ended: false,
            segments: 0,
        }
    }

    pub(crate) fn wrong(&self, kind: &'static str, detail: impl AsRef<str>) {
        let at = self.clock.now() as f64 / 1e6;
        let detail = format!("{at:6.1} s, {}: {}", self.who, detail.as_ref());
        self.report.wrong(self.source.number, kind, detail);
    }

    fn check(&self, is_right: bool, kind: &'static str, detail: impl FnOnce() -> String) {
        if !is_right {
            self.wrong(kind, detail());
        }
    }

    pub(crate) fn measured(&self, name: &'static str, value: f64) {
        self.report.measured(self.source.number, name, value);
    }

    fn counts(&self) -> bool {
        self.who == "low latency"
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(crate) fn last(&self) -> Option<&Playlist> {
        self.last.as_ref().map(|(playlist, _)| playlist)
    }

    pub(crate) fn knows_init(&self, uri: &str) -> bool {
        self.inits.contains_key(uri)
    }

    /// Judges the complete response to a request that was sent at `from`; returns whether it is a
    /// 200.
    pub(crate) fn answer(
        &mut self,
        asked: Asked,
        target: &str,
        answer: &Answer,
        from: u64,
    ) -> bool {
        let status = answer.status;
        if status == 200 {
            if matches!(asked, Asked::Multivariant | Asked::Playlist) {
                let content_type = answer.header("content-type").unwrap_or_default();
                self.check(
                    content_type == "application/vnd.apple.mpegurl",
                    "Content-Type of a playlist",
                    || content_type.into(),
                );
                self.check(
                    answer.header("content-encoding").is_none(),
                    "Content-Encoding of a playlist",
                    || answer.head.clone(),
                );
            }
            return true;
        }
        let detail = || format!("{status} for {target}");
        let was_live = self.source.was_live(from, self.clock.now());
        match asked {
            Asked::Listed => self.wrong("what is listed isn't there", detail()),
            Asked::Hint if was_live => self.wrong("the hinted part isn't there", detail()),
            // Without a publisher it may never come.
            Asked::Hint => {}
            _ if was_live => self.wrong("playlist refused while somebody publishes", detail()),
            _ if status == 503 => self.check(
                answer.header("retry-after").is_some(),
                "503 without Retry-After",
                detail,
            ),
            _ => self.check(
                self.has_ended,
                "playlist refused while the publisher is gone",
                detail,
            ),
        }
        false
    }

    pub(crate) fn init(&mut self, uri: &str, bytes: &[u8]) {
        match mp4::parse_init(bytes) {
            Ok(tracks) => {
                self.inits.insert(uri.to_owned(), tracks);
            }
            Err(error) => {
                self.wrong("initialization segment", format!("{uri}: {error}"));
                self.inits.insert(uri.to_owned(), Vec::new());
            }
        }
    }

    /// Takes what is no longer listed but must still be available, while there is time to request
    /// it.
    pub(crate) fn due_kept(&mut self, now: u64) -> Vec<Kept> {
        let (due, later) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|kept| now + 1_500_000 >= kept.until);
        self.kept = later;
        let mut due: Vec<Kept> = due;
        due.retain(|kept| now + 300_000 < kept.until);
        due
    }

    pub(crate) fn kept(&mut self, kept: &Kept, answer: &Answer) {
        let left = (kept.until as f64 - self.clock.now() as f64) / 1e6;
        // Requested in time, but the machine is busy: proves nothing.
        if left < 0.2 {
            return;
        }
        let kind = match kept.is_part {
            true => "a part is gone before three targets",
            false => "a segment is gone before its and the list's duration",
        };
        let counted = match kept.is_part {
            true => "kept parts",
            false => "kept segments",
        };
        self.report.count(self.source.number, counted);
        self.check(answer.status == 200, kind, || {
            format!("{} for {}, {left:.1} s early", answer.status, kept.uri)
        });
        if let (200, Some(bytes)) = (answer.status, &kept.bytes) {
            self.check(*bytes == answer.body, "a segment's bytes change", || {
                kept.uri.clone()
            });
        }
    }

    /// Judges what can only be judged at the end.
    pub(crate) fn finish(&mut self) {
        let now = self.clock.now();
        let target = self.last().map_or(2, |last| last.target) as f64;
        let mut peak: f64 = 0.0;
        for (begin, first) in self.rates.iter().enumerate() {
            let (mut bytes, mut duration, mut number) = (0, 0.0, first.0);
            for (of, len, seconds) in &self.rates[begin..] {
                if *of != number {
                    break;
                }
                number += 1;
                bytes += len;
                duration += seconds;
                if duration > 1.5 * target {
                    break;
                }
                if duration >= 0.5 * target {
                    peak = peak.max(bytes as f64 * 8.0 / duration);
                }
            }
        }
        let least = self.bandwidths.iter().map(|(peak, _)| *peak).min();
        if let Some(least) = least.filter(|least| *least > 0) {
            let ratio = peak / least as f64;
            self.measured("peak", ratio);
            self.check(ratio <= 1.0, "BANDWIDTH is less than what comes", || {
                format!("{least} said, {peak:.0} came")
            });
        }
        let (bytes, duration) = self
            .rates
            .iter()
            .fold((0, 0.0), |(bytes, sum), (_, len, s)| (bytes + len, sum + s));
        if let (Some((_, said)), true) = (self.bandwidths.last(), duration > 3.0 * target) {
            let average = bytes as f64 * 8.0 / duration;
            let ratio = *said as f64 / average;
            // What began later wasn't known.
            let is_known = self.source.scenario.change != Change::LateAudio;
            let is_right = !is_known || (0.6..=1.6).contains(&ratio);
            self.check(is_right, "AVERAGE-BANDWIDTH", || {
                format!("{said} said, {average:.0} came")
            });
        }
        let published = self.source.lives().iter().fold(0, |sum, life| {
            sum + life.ended.unwrap_or(now).saturating_sub(life.began)
        }) as f64
            / 1e6;
        let watched = published - self.source.scenario.age as f64;
        let expected = (watched / target - 3.0).max(0.0);
        self.check(
            f64::from(self.segments) >= expected.floor().min(1.0).max(expected * 0.5),
            "few segments",
            || format!("{} in {watched:.0} s of target {target}", self.segments),
        );
        let lives = self.source.lives();
        if let (Mishap::Goodbye, Some(ended)) = (
            self.source.scenario.mishap,
            lives.last().and_then(|life| life.ended),
        ) {
            if ended + GRACE + 6_000_000 < now {
                self.check(self.has_ended, "no ENDLIST after the end", String::new);
                let sent = self.source.plan.frames[0].len() as u32;
                self.check(
                    self.next_index[0] == Some(sent),
                    "pictures lost at the end",
                    || format!("{:?} of {sent}", self.next_index[0]),
                );
            }
        }
    }
}
