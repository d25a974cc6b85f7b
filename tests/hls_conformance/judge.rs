//! Holds what one reader gets of one stream against RFC 8216bis and against the source.

use std::collections::{BTreeMap, HashMap};

use crate::codecs::{Audio, Mark, Video};
use crate::common::http::Answer;
use crate::mp4::{self, Sample, Track};
use crate::playlist::{self, Multivariant, Part, Playlist, Segment};
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
        self.check(
            playlist.has_ended || playlist.hint.is_some() || !self.source.was_live(at, at),
            "no EXT-X-PRELOAD-HINT",
            String::new,
        );
        if playlist.has_ended {
            let lives = self.source.lives();
            let ended = lives.last().and_then(|life| life.ended);
            self.check(
                ended.is_some_and(|ended| at + 500_000 >= ended + GRACE),
                "ENDLIST too early",
                || format!("{lives:?}"),
            );
        }
        self.last = Some((playlist.clone(), at));
        playlist
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
            new.part_target == last.part_target,
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
                || format!("{:.1} s of {wanted}", new.duration()),
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
        let may_drop = was_whole && new.parts.is_empty();
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
        self.check(answer.status == 200, kind, || {
            format!("{} for {}, {left:.1} s early", answer.status, kept.uri)
        });
        if let (200, Some(bytes)) = (answer.status, &kept.bytes) {
            self.check(*bytes == answer.body, "a segment's bytes change", || {
                kept.uri.clone()
            });
        }
    }

    /// The times of samples, and which frames they are.
    fn media(
        &mut self,
        name: &str,
        of: &Segment,
        bytes: &[u8],
        is_whole: bool,
    ) -> Option<(Media, Vec<(Sample, usize, u32, Frame)>)> {
        let samples = match mp4::parse_media(bytes) {
            Ok(samples) => samples,
            Err(error) => {
                self.wrong("media", format!("{name}: {error}"));
                return None;
            }
        };
        let Some(tracks) = of.map.as_ref().and_then(|map| self.inits.get(map)) else {
            self.wrong("initialization segment", format!("{name} has none"));
            return None;
        };
        let scenario = &self.source.scenario;
        let mut media = Media {
            line: of.discontinuities,
            ..Media::default()
        };
        let mut known = Vec::new();
        for sample in samples {
            let Some(track) = tracks.iter().find(|track| track.id == sample.track) else {
                self.wrong("media", format!("{name}: no track {}", sample.track));
                continue;
            };
            let which = usize::from(!track.is_video);
            let scale = 1000.0 / f64::from(track.timescale);
            let time = sample.decode_time as f64 * scale;
            let shown = time + sample.composition_offset as f64 * scale;
            media.first[which].get_or_insert(time);
            media.sum[which] += f64::from(sample.duration) * scale;
            let least = media.shown[which].get_or_insert(shown);
            *least = least.min(shown);
            let body = &bytes[sample.bytes.clone()];
            let mark = match (track.is_video, scenario.video, scenario.audio) {
                (true, Some(video), _) => video.mark_of(body),
                (false, _, Some(audio)) => audio.mark_of(body),
                _ => None,
            };
            let own =
                |mark: &Mark| mark.stream == self.source.number && usize::from(mark.track) == which;
            let Some(index) = mark.filter(own).map(|mark| mark.index) else {
                self.wrong("a sample that nobody sent", format!("{name}: {mark:?}"));
                continue;
            };
            let Some(frame) = self.source.frame(which, index).copied() else {
                self.wrong("a sample that nobody sent", format!("{name}: {mark:?}"));
                continue;
            };
            if is_whole {
                let sent = self.source.bytes(which, index);
                self.check(
                    sent.is_some_and(|sent| sent == body),
                    "the bytes of a sample differ",
                    || format!("{name}: {mark:?}"),
                );
                let config = config_of(track, frame.codec);
                self.check(config, "a sample under another configuration", || {
                    format!("{name}: {mark:?} is {:?}", frame.codec)
                });
            }
            if track.is_video && media.first_picture.is_none() {
                media.first_picture = Some((sample.is_sync, frame));
            }
            match media.begins_with {
                Some((before, ..)) if before == 0 || which == 1 => {}
                _ => media.begins_with = Some((which, index, frame)),
            }
            if !media.lives.contains(&frame.life) {
                media.lives.push(frame.life);
            }
            media.codecs[which].get_or_insert(frame.codec);
            known.push((sample, which, index, frame));
        }
        Some((media, known))
    }

    /// What is left of a sum of times when its first and its successor's first are known, in ms.
    fn lasted(&self, media: &Media, next: Option<&Media>) -> Option<(f64, f64)> {
        let has_video = self.source.scenario.video.is_some();
        let which = usize::from(!has_video);
        let first = media.first[which]?;
        let tolerance = match self.source.scenario.audio {
            Some(audio) if !has_video => audio.frame_ms() + 0.01,
            _ => 2.0,
        };
        let lasted = match next {
            Some(next) if next.line == media.line => next.first[which]? - first,
            _ => media.sum[which],
        };
        Some((lasted, tolerance))
    }

    fn durations(&self, kinds: [&'static str; 2], before: &Judged, next: &Media) {
        if let Some((lasted, tolerance)) = self.lasted(&before.media, Some(next)) {
            let off = before.said * 1000.0 - lasted;
            self.measured("EXTINF", off);
            self.check(off.abs() <= tolerance + 0.01, kinds[0], || {
                format!("{}: {} s, but {lasted:.1} ms", before.name, before.said)
            });
        }
        let which = usize::from(self.source.scenario.video.is_none());
        let (old, new) = (before.media.shown[which], next.shown[which]);
        if let (Some(old), Some(new), true) = (old, new, before.media.line == next.line) {
            let off = before.said * 1000.0 - (new - old);
            self.measured("presentation", off);
            self.check(off.abs() <= 50.0, kinds[1], || {
                format!(
                    "{}: {} s, but {:.1} ms",
                    before.name,
                    before.said,
                    new - old
                )
            });
        }
    }

    /// A part that is listed.
    pub(crate) fn part(&mut self, of: &Segment, index: usize, bytes: Vec<u8>) {
        let part: &Part = &of.parts[index];
        let Some((media, _)) = self.media(&part.uri, of, &bytes, false) else {
            self.part_before = None;
            return;
        };
        if let Some((is_sync, frame)) = media.first_picture {
            let begins_with_key = is_sync && frame.is_key;
            self.check(
                part.is_independent == begins_with_key,
                "INDEPENDENT of a part",
                || {
                    let part = &part.uri;
                    format!("{part}: begins with a keyframe: {begins_with_key}")
                },
            );
        } else if self.source.scenario.video.is_none() {
            self.check(
                part.is_independent,
                "INDEPENDENT of a part with sound only",
                || part.uri.clone(),
            );
        }
        if let Some(before) = self.part_before.take() {
            let kinds = ["duration of a part", "presentation of a part"];
            self.durations(kinds, &before, &media);
        }
        self.part_before = Some(Judged {
            name: part.uri.clone(),
            said: part.duration,
            media,
        });
        self.part_bytes.insert((of.number, index), bytes);
    }

    pub(crate) fn missed_part(&mut self) {
        self.part_before = None;
    }

    /// A segment that is listed, but couldn't be fetched.
    pub(crate) fn missed_segment(&mut self) {
        self.segment_before = None;
        self.next_index = [None; 2];
        self.ends = [None; 2];
    }

    /// A segment that is listed.
    pub(crate) fn segment(&mut self, of: &Segment, bytes: Vec<u8>) {
        self.segments += 1;
        let name = &of.uri;
        let number = of.number;
        let parts = self.known.get(&number).map_or(0, |known| known.parts.len());
        let fetched: Vec<_> = (0..parts)
            .map_while(|index| self.part_bytes.get(&(number, index)))
            .collect();
        if parts > 0 && fetched.len() == parts {
            let joined: Vec<u8> = fetched.into_iter().flatten().copied().collect();
            self.check(joined == bytes, "a segment isn't its parts", || {
                format!("{name}: {} bytes, parts {}", bytes.len(), joined.len())
            });
        }
        self.part_bytes.retain(|(of, _), _| *of > number);
        self.rates.push((number, bytes.len(), of.duration));

        let Some((media, samples)) = self.media(name, of, &bytes, true) else {
            self.missed_segment();
            return;
        };
        if self.line != of.discontinuities || self.segments == 1 {
            self.line = of.discontinuities;
            (self.offsets, self.ends, self.sequence) = ([None; 2], [None; 2], 0);
        }
        self.begin(of, &media);
        self.samples(name, &samples);
        if let Some((_, listed)) = self.began_short.take_if(|(first, _)| *first == number) {
            // Unless the stream had just begun with it.
            let first = media.begins_with.map(|(_, index, _)| index);
            let target = self.last().map_or(0, |last| last.target);
            self.check(
                first == Some(0),
                "the first playlist has less than three targets, though the stream is older",
                || format!("{listed:.1} s, target {target}; begins with frame {first:?}"),
            );
        }
        if let Some(before) = self.segment_before.take() {
            let kinds = ["EXTINF", "presentation of a segment"];
            self.durations(kinds, &before, &media);
            self.seam(&before, of, &media);
        }
        self.check(of.duration >= 0.1, "a segment of next to nothing", || {
            format!("{name}: {} s", of.duration)
        });
        self.segment_before = Some(Judged {
            name: name.clone(),
            said: of.duration,
            media,
        });
        if self.counts() {
            self.segment_bytes.insert(number, bytes);
        }
    }

    /// How a segment begins.
    fn begin(&mut self, of: &Segment, media: &Media) {
        let scenario = &self.source.scenario;
        if self.counts() {
            self.report.count(self.source.number, "segments");
        }
        let is_independent = match media.first_picture {
            Some((is_sync, frame)) => is_sync && frame.is_key,
            None => scenario.video.is_none(),
        };
        if is_independent && self.counts() {
            self.report
                .count(self.source.number, "begin with a keyframe");
        }
        let detail = || format!("{}, {} s", of.uri, of.duration);
        if scenario.longest_gop() <= MAX_GOP {
            self.check(
                is_independent,
                "a segment begins without a keyframe",
                detail,
            );
        }
        let is_said = self.last().is_some_and(|last| last.is_independent);
        self.check(
            is_independent || !is_said,
            "EXT-X-INDEPENDENT-SEGMENTS isn't true",
            detail,
        );
        let (Some(date), Some((track, index, frame))) = (of.date, media.begins_with) else {
            return;
        };
        let date = self.clock.of_date(date);
        let (Some(due), Some(sent)) = (self.source.due(&frame), self.source.sent(track, index))
        else {
            self.wrong("a sample that nobody sent", format!("{frame:?}"));
            return;
        };
        // From when it should have been sent, which the time stamps tell, to when it was.
        let late = u64::from(frame.composition_time) * 1000;
        let (from, to) = (due as i64, sent.max(due) as i64 + late as i64);
        let off = (date - date.clamp(from.min(to), to)) as f64 / 1000.0;
        self.measured("date", off);
        self.check(off.abs() <= 50.0, "EXT-X-PROGRAM-DATE-TIME", || {
            format!(
                "{}: {off:.0} ms, sent {} ms late",
                of.uri,
                (to - from) / 1000
            )
        });
    }

    /// Whether a discontinuity is where it must be, and only there.
    fn seam(&self, before: &Judged, of: &Segment, media: &Media) {
        let old = &before.media;
        self.check(
            media.lives.len() <= 1,
            "two publishes in one segment",
            || of.uri.clone(),
        );
        let changes =
            [0, 1]
                .into_iter()
                .any(|track| match (old.codecs[track], media.codecs[track]) {
                    (Some(old), Some(new)) => old != new,
                    (None, Some(_)) => self.source.scenario.change == Change::LateAudio,
                    _ => false,
                });
        let is_needed = old.lives.last() != media.lives.first() || changes;
        self.check(
            of.is_discontinuous || !is_needed,
            "no EXT-X-DISCONTINUITY where one is needed",
            || of.uri.clone(),
        );
        self.check(
            !of.is_discontinuous || is_needed,
            "EXT-X-DISCONTINUITY without need",
            || of.uri.clone(),
        );
    }

    /// Whether all samples are there, at the right times.
    fn samples(&mut self, name: &str, samples: &[(Sample, usize, u32, Frame)]) {
        let tracks = self
            .known
            .values()
            .rev()
            .find(|segment| segment.uri == name);
        let tracks = tracks.and_then(|segment| self.inits.get(segment.map.as_ref()?));
        let tracks = tracks.cloned().unwrap_or_default();
        for (sample, which, index, frame) in samples {
            let (which, index) = (*which, *index);
            if sample.sequence < self.sequence {
                self.wrong(
                    "sequence numbers go back",
                    format!("{name}: from {} to {}", self.sequence, sample.sequence),
                );
            }
            self.sequence = sample.sequence;
            if which == 0 {
                self.check(
                    sample.is_sync == frame.is_key,
                    "sync flag of a sample",
                    || format!("{name}: picture {index}"),
                );
            }
            if let Some(expected) = self.next_index[which] {
                self.sequel(name, which, expected, index, frame);
            }
            self.next_index[which] = Some(index + 1);
            let Some(track) = tracks.iter().find(|track| track.id == sample.track) else {
                continue;
            };
            let scale = 1000.0 / f64::from(track.timescale);
            let time = sample.decode_time as f64 * scale;
            let off = time + sample.composition_offset as f64 * scale - frame.presented();
            let one_frame = match frame.codec {
                Codec::Audio(audio) => audio.frame_ms().max(2.0),
                Codec::Video(_) => 1.0,
            };
            let first = *self.offsets[which].get_or_insert(off);
            let kind = ["time of a picture", "time of a sound"][which];
            self.check((off - first).abs() <= one_frame + 0.05, kind, || {
                format!("{name}: {index} is off by {:.1} ms", off - first)
            });
            if let (1, [Some(video), _]) = (which, self.offsets) {
                self.measured("A/V", off - video);
                let allowed = one_frame + 2.0;
                self.check((off - video).abs() <= allowed, "picture and sound", || {
                    format!("{name}: sound {index} is off by {:.1} ms", off - video)
                });
            }
            if let Some(end) = self.ends[which] {
                let allowed = if which == 0 { 2.0 } else { one_frame };
                self.check(
                    (time - end).abs() <= allowed + 0.05,
                    ["a gap between pictures", "a gap between sounds"][which],
                    || format!("{name}: {:.1} ms before {index}", time - end),
                );
            }
            self.ends[which] = Some(time + f64::from(sample.duration) * scale);
        }
    }

    /// A sample that isn't the one after the one before it.
    fn sequel(&self, name: &str, which: usize, expected: u32, index: u32, frame: &Frame) {
        let kind = match (which, index.cmp(&expected)) {
            (_, std::cmp::Ordering::Equal) => return,
            (0, std::cmp::Ordering::Less) => "pictures doubled or in another order",
            (_, std::cmp::Ordering::Less) => "sounds doubled or in another order",
            (0, _) => "pictures lost",
            _ => "sounds lost",
        };
        let before = self.source.frame(which, expected.saturating_sub(1));
        let other_life = before.is_some_and(|before| before.life != frame.life);
        // Sounds of a new configuration may be lost that come long before the keyframe with which it
        // begins.
        let is_early = |sound: &Frame| {
            let keys = self.source.plan.frames[0].iter();
            let mut keys = keys.filter(|key| key.is_key && key.life == sound.life);
            let next = keys.find(|key| key.due_ms >= sound.due_ms);
            next.is_none_or(|key| key.due_ms - sound.due_ms > 470)
        };
        let is_new = |sound: &Frame| before.is_some_and(|before| before.codec != sound.codec);
        let mut lost = (expected..index).filter_map(|lost| self.source.frame(which, lost));
        let has_video = self.source.scenario.video.is_some();
        if which == 1
            && index > expected
            && has_video
            && lost.all(|sound| is_new(sound) && is_early(sound))
        {
            return;
        }
        let life = if other_life { ", across an outage" } else { "" };
        self.wrong(
            kind,
            format!("{name}: {expected} expected, {index} came{life}"),
        );
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
            self.check((0.6..=1.6).contains(&ratio), "AVERAGE-BANDWIDTH", || {
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

/// Whether the track is configured as this codec wants it.
fn config_of(track: &Track, codec: Codec) -> bool {
    let contains =
        |config: &[u8], wanted: &[u8]| config.windows(wanted.len()).any(|bytes| bytes == wanted);
    match codec {
        Codec::Video(video) => {
            let (entry, name) = video.entry();
            let config = track.config(name);
            let size = match video {
                Video::Avc(width, height) => track.size() == Some((width, height)),
                _ => true,
            };
            track.entry == entry && config == Some(&video.record()[..]) && size
        }
        Codec::Audio(audio) => {
            let header = audio.header();
            let config = match audio {
                Audio::Aac(_) => track.config("esds").map(|c| contains(c, &header[2..])),
                Audio::Opus => track.config("dOps").map(|c| c.get(1) == Some(&2)),
                Audio::Flac => track.config("dfLa").map(|c| contains(c, &header[5..])),
            };
            track.entry == audio.entry() && config == Some(true)
        }
    }
}
