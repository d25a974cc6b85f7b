//! Playlists, over all reloads.

use super::{BUSY, GRACE, Judge, Kept, MAX_GOP};
use crate::codecs::{Audio, Video};
use crate::http::Answer;
use crate::playlist::{self, Multivariant, Playlist, Segment};
use crate::scenario::{Change, Times};

impl Judge<'_> {
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
        // Skipped frames lower it.
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

    /// Judges a Media Playlist that came at `at`.
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

    /// Checks what a player with low latency needs.
    fn low_latency(&self, playlist: &Playlist) {
        let Some(hold_back) = playlist.part_hold_back else {
            // The longest part is not much longer than one of these frames.
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

    /// Judges the first playlist, which came after `seconds`.
    pub(crate) fn first_after(&self, seconds: f64) {
        self.measured("s to the first playlist", seconds);
        // As long as a segment may take, which is as long as players wait for a response.
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
        // Segments that are no longer listed.
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

    /// Records what is listed, and whether it was listed differently before.
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
}
