//! Holds what one reader gets of one stream against RFC 8216bis and against the source.

mod media;

use std::collections::{BTreeMap, HashMap};

use crate::codecs::{Audio, Video};
use crate::http::Answer;
use crate::mp4::{self, Sample, Track};
use crate::playlist::{self, Multivariant, Playlist, Segment};
use crate::report::Report;
use crate::scenario::{Change, Codec, Frame, Mishap, Times};
use crate::source::{Clock, Source};

/// Longest GOP that is not cut, in ms.
const MAX_GOP: u64 = 10_000;

/// What a busy machine may add to the time at which something is seen, in us.
const BUSY: u64 = 1_000_000;

/// How long the server waits for a publisher that is gone: `--grace`, in us.
const GRACE: u64 = 30_000_000;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Multivariant,
    Playlist,
    /// The part that is yet to come.
    Hint,
    /// Something that is listed.
    Listed,
}

/// What is no longer listed, and until when it must be there.
pub(crate) struct Kept {
    pub(crate) uri: String,
    /// us
    pub(crate) until: u64,
    is_part: bool,
    /// What it was, if that was seen.
    bytes: Option<Vec<u8>>,
}

/// What the samples of a segment or part say, in ms of its time line.
#[derive(Clone, Debug, Default)]
struct Media {
    /// Time line: number of the discontinuity.
    line: u64,
    /// First decode time, sum of the durations, and earliest presentation, by track.
    first: [Option<f64>; 2],
    sum: [f64; 2],
    shown: [Option<f64>; 2],
    /// The first picture, if there is one, or the first sound.
    begins_with: Option<(usize, u32, Frame)>,
    first_picture: Option<(bool, Frame)>,
    lives: Vec<usize>,
    codecs: [Option<Codec>; 2],
}

/// A sample, its track (0 video, 1 audio), and which frame of the source it is.
type Known = (Sample, usize, u32, Frame);

/// A segment or part that was judged, until the next shows how long it really was.
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
    /// Newest segment, and when it was first seen.
    newest: Option<(u64, u64)>,
    pub(crate) kept: Vec<Kept>,
    inits: HashMap<String, Vec<Track>>,
    part_bytes: BTreeMap<(u64, usize), Vec<u8>>,
    segment_bytes: BTreeMap<u64, Vec<u8>>,
    segment_before: Option<Judged>,
    part_before: Option<Judged>,
    next_index: [Option<u32>; 2],
    /// Of the time line: its number, difference to the source by track, where each track ends.
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

    /// An answer to a request that was sent at `from` and is complete; true if it is a 200.
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

    pub(crate) fn multivariant(&mut self, answer: &Answer) -> Multivariant {
        let mut wrong = Vec::new();
        let found = playlist::parse_multivariant(&answer.text(), &mut wrong);
        for what in wrong {
            self.wrong("Multivariant Playlist", what);
        }
        let attribute = |name: &str| found.attributes.get(name).map_or("", String::as_str);
        let scenario = &self.source.scenario;
        let number = |name| attribute(name).parse::<u64>().unwrap_or_default();
        let (peak, average) = (number("BANDWIDTH"), number("AVERAGE-BANDWIDTH"));
        self.check(peak > 0, "BANDWIDTH", || "none".into());
        self.check(average == 0 || average <= peak, "AVERAGE-BANDWIDTH", || {
            format!("{average}, more than BANDWIDTH {peak}")
        });
        self.bandwidths.push((peak, average));
        let names = [
            scenario.video.map(Video::name),
            scenario.audio.map(Audio::name),
        ];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        let said = attribute("CODECS");
        let is_late = scenario.change == Change::LateAudio;
        self.check(
            said == names.join(",") || is_late && said == names[0],
            "CODECS",
            || format!("{said:?}, not {names:?}"),
        );
        let Some(video) = scenario.video else {
            return found;
        };
        let said = attribute("RESOLUTION");
        self.check(
            said == video.size() || scenario.change == Change::Video && said == "640x480",
            "RESOLUTION",
            || format!("{said:?}, not {}", video.size()),
        );
        let said = attribute("FRAME-RATE").parse::<f64>().unwrap_or_default();
        let wanted = f64::from(scenario.fps);
        // What was skipped lowers it.
        let tolerance = if scenario.times == Times::Skipped {
            0.4
        } else {
            0.1
        };
        self.check(
            (said / wanted - 1.0).abs() < tolerance,
            "FRAME-RATE",
            || format!("{said}, not {wanted}"),
        );
        self.check(
            attribute("CLOSED-CAPTIONS") == "NONE",
            "CLOSED-CAPTIONS=NONE",
            || format!("{:?}", found.attributes),
        );
        found
    }

    /// A Media Playlist that came at `at`.
    pub(crate) fn playlist(&mut self, text: &str, at: u64) -> Playlist {
        let mut wrong = Vec::new();
        let playlist = playlist::parse(text, &mut wrong);
        for what in wrong {
            self.wrong("playlist of itself", what);
        }
        let scenario = self.source.scenario;
        let gop = scenario.longest_gop();
        if scenario.video.is_some() && gop <= MAX_GOP {
            self.check(
                playlist.is_independent,
                "no EXT-X-INDEPENDENT-SEGMENTS",
                || format!("GOP of {gop} ms"),
            );
        }
        let limit = gop.clamp(2_000, MAX_GOP).div_ceil(1000) + 1;
        self.check(playlist.target <= limit, "TARGETDURATION", || {
            format!("{}, with GOPs of {gop} ms", playlist.target)
        });
        match self.last.take() {
            None => self.first_playlist(&playlist),
            Some((last, last_at)) => self.compare(&last, last_at, &playlist, at),
        }
        for segment in playlist.segments.iter().chain([&playlist.open]) {
            self.note(segment);
        }
        let newest = playlist.next_number();
        match self.newest {
            Some((before, _)) if before >= newest => {}
            before => {
                if let Some((_, since)) = before {
                    let allowed = playlist.target as f64 * 1.5;
                    let took = (at - since) as f64 / 1e6;
                    if self.counts() && self.source.was_live(since, at) {
                        self.check(
                            took <= allowed + BUSY as f64 / 1e6,
                            "new segment later than 1.5 targets",
                            || format!("{took:.1} s, target {}", playlist.target),
                        );
                    }
                }
                self.newest = Some((newest, at));
            }
        }
        self.has_ended |= playlist.has_ended;
        if !playlist.has_ended && self.source.was_live(at, at) {
            self.low_latency(&playlist);
        }
        if playlist.has_ended {
            let lives = self.source.lives();
            let earliest = lives.last().and_then(|life| {
                let grace = if life.said_goodbye { GRACE } else { 2 * GRACE };
                Some(life.ended? + grace)
            });
            self.check(
                earliest.is_some_and(|earliest| at + 500_000 >= earliest),
                "ENDLIST too early",
                || format!("{lives:?}"),
            );
        }
        self.last = Some((playlist.clone(), at));
        playlist
    }

    /// What a player with low latency needs.
    fn low_latency(&self, playlist: &Playlist) {
        let Some(hold_back) = playlist.part_hold_back else {
            // The longest part is not much longer than a picture of these.
            let is_slow = (1..10).contains(&self.source.scenario.fps);
            self.check(
                is_slow || playlist.has_far_keyframes(),
                "no low latency",
                String::new,
            );
            return;
        };
        self.check(
            playlist.hint.is_some(),
            "no EXT-X-PRELOAD-HINT",
            String::new,
        );
        let mut listed = 0.0;
        for segment in playlist.segments.iter().chain([&playlist.open]).rev() {
            if segment.parts.is_empty() && !segment.uri.is_empty() {
                self.check(
                    listed >= hold_back,
                    "parts of less than PART-HOLD-BACK",
                    || format!("{listed:.1} s of {hold_back}"),
                );
                return;
            }
            let parts = segment.parts.iter();
            listed += parts.map(|part| part.duration).sum::<f64>();
        }
    }

    /// Whether a blocked reload that was sent at `from` got what it asked for: this part.
    pub(crate) fn reload(&mut self, playlist: &Playlist, (number, part): (u64, usize), from: u64) {
        let next = playlist.next_number();
        let has_it = next > number || next == number && playlist.open.parts.len() > part;
        if playlist.part_target.is_some() && self.source.was_live(from, self.clock.now()) {
            self.check(has_it, "a blocked reload is answered early", || {
                let open = playlist.open.parts.len();
                format!("{number}.{part} asked for, {next}.{open} is next")
            });
        }
    }

    /// The first playlist came after so many seconds.
    pub(crate) fn first_after(&self, seconds: f64) {
        self.measured("s to the first playlist", seconds);
        // As long as a segment may take, which is as long as players wait for an answer.
        let allowed = MAX_GOP as f64 / 1000.0 + BUSY as f64 / 1e6;
        self.check(
            seconds <= allowed,
            "the first playlist is held for more than 10 s",
            || format!("{seconds:.1} s"),
        );
    }

    fn first_playlist(&mut self, playlist: &Playlist) {
        let listed = playlist.duration();
        self.check(
            !playlist.segments.is_empty(),
            "the first playlist has no segment",
            String::new,
        );
        if listed < 3.0 * playlist.target as f64 {
            self.began_short = Some((playlist.media_sequence, listed));
        }
        if let Some(segment) = playlist.segments.first() {
            self.check(
                segment.date.is_some(),
                "no EXT-X-PROGRAM-DATE-TIME at the beginning",
                String::new,
            );
        }
    }

    fn compare(&mut self, last: &Playlist, last_at: u64, new: &Playlist, at: u64) {
        let change = self.source.scenario.change;
        let may_grow = matches!(change, Change::LongerGop | Change::AnyGop);
        self.check(
            new.target == last.target || new.target > last.target && may_grow,
            "TARGETDURATION changes",
            || format!("from {} to {}", last.target, new.target),
        );
        self.check(
            new.part_target == last.part_target
                || new.part_target.is_none() && new.has_far_keyframes(),
            "PART-TARGET changes",
            || format!("from {:?} to {:?}", last.part_target, new.part_target),
        );
        self.check(
            new.media_sequence >= last.media_sequence && new.next_number() >= last.next_number(),
            "MEDIA-SEQUENCE",
            || {
                format!(
                    "from {} up to {} to {} up to {}",
                    last.media_sequence,
                    last.next_number(),
                    new.media_sequence,
                    new.next_number()
                )
            },
        );
        if last.has_ended {
            self.check(new.has_ended, "ENDLIST is taken back", String::new);
        }
        if new.media_sequence > last.media_sequence && !new.has_ended {
            // bis, 6.2.2
            let wanted = 3 * new.target.min(last.target);
            self.check(
                new.duration() >= wanted as f64 - 0.001,
                "less than three targets listed after a removal",
                || format!("{:.3} s of {wanted}", new.duration()),
            );
        }
        // What has left.
        let own_list = last.duration();
        for segment in &last.segments {
            let is_gone = segment.number < new.media_sequence;
            if is_gone && self.counts() {
                let stays = segment.duration + own_list;
                self.kept.push(Kept {
                    uri: segment.uri.clone(),
                    until: at + (stays * 1e6) as u64,
                    is_part: false,
                    bytes: self.segment_bytes.remove(&segment.number),
                });
            }
            let still = new.segments.iter().find(|s| s.number == segment.number);
            let has_parts = still.is_some_and(|segment| !segment.parts.is_empty());
            if let (false, Some(part), true) = (has_parts, segment.parts.last(), self.counts()) {
                self.kept.push(Kept {
                    uri: part.uri.clone(),
                    until: at + new.target * 3_000_000,
                    is_part: true,
                    bytes: None,
                });
            }
        }
        // bis, 4.4.5.3: the hinted part is the next.
        if self.counts() && self.source.was_live(last_at, at) {
            let is_new = |(of, index): &(&Segment, usize)| {
                let known = self.known.get(&of.number);
                known.is_none_or(|known| known.parts.len() <= *index)
            };
            if let (Some((of, index)), Some(hint)) = (new.parts().find(is_new), &last.hint) {
                let uri = &of.parts[index].uri;
                self.report.count(self.source.number, "hints");
                self.check(uri == hint, "the hinted part isn't the next", || {
                    format!("{hint}, but {uri} came")
                });
            }
        }
    }

    /// Takes note of what is listed, and whether it was listed otherwise before.
    fn note(&mut self, new: &Segment) {
        let Some(old) = self.known.get(&new.number) else {
            self.known.insert(new.number, new.clone());
            return;
        };
        let was_whole = !old.uri.is_empty();
        let change = self.source.scenario.change;
        let has_far_keyframes = matches!(change, Change::LongerGop | Change::AnyGop);
        let name = if was_whole {
            &old.uri
        } else {
            "the open segment"
        };
        let changes = |kind, old: String, new: String| {
            self.check(old == new, kind, || format!("{name}: {old}, now {new}"));
        };
        if was_whole {
            changes("a URI changes", old.uri.clone(), new.uri.clone());
            let durations = [old, new].map(|segment| segment.duration.to_string());
            let [old, new] = durations;
            changes("EXTINF changes", old, new);
        }
        if was_whole || !old.parts.is_empty() {
            let kind = match old.date {
                Some(_) => "a date changes",
                None => "a date is added",
            };
            let [date, now] = [old, new].map(|segment| format!("{:?}", segment.date));
            changes(kind, date, now);
            let [map, now] = [old, new].map(|segment| format!("{:?}", segment.map));
            changes("EXT-X-MAP changes", map, now);
            let seams = |segment: &Segment| {
                format!("{}, {}", segment.is_discontinuous, segment.discontinuities)
            };
            changes("discontinuities change", seams(old), seams(new));
        }
        let may_drop = (was_whole || has_far_keyframes) && new.parts.is_empty();
        self.check(
            may_drop || new.parts.starts_with(&old.parts),
            "parts change",
            || format!("{name}: {:?}, now {:?}", old.parts, new.parts),
        );
        let parts = if may_drop { &old.parts } else { &new.parts }.clone();
        let new = Segment {
            parts,
            ..new.clone()
        };
        self.known.insert(new.number, new);
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

    /// What is no longer listed and still there, hopefully, or too late to be asked for.
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
        // Asked for in time, but the machine is busy: says nothing.
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

    /// Everything that can be said only in the end.
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
