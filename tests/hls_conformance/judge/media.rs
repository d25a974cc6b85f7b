//! Segments, parts and their samples.

use super::{Judge, Judged, Known, MAX_GOP, Media};
use crate::codecs::{Audio, Mark, Video};
use crate::mp4::{self, Track};
use crate::playlist::{Part, Playlist, Segment};
use crate::scenario::{Change, Codec, Frame, PAUSE, Times};

impl Judge<'_> {
    /// Returns the times of samples, and which frames they are.
    fn media(
        &mut self,
        name: &str,
        of: &Segment,
        bytes: &[u8],
        is_whole: bool,
    ) -> Option<(Media, Vec<Known>)> {
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

    /// What remains of a sum of times when its first and its successor's first are known, in ms.
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
            // Durations are differences of decode times. Frames are decoded one step early, so if
            // steps differ, they aren't the differences of presentation times.
            let allowed = match self.source.scenario.times {
                Times::Skipped => 50.0 + 2_000.0 / f64::from(self.source.scenario.fps),
                _ => 50.0,
            };
            self.check(off.abs() <= allowed, kinds[1], || {
                format!(
                    "{}: {} s, but {:.1} ms",
                    before.name,
                    before.said,
                    new - old
                )
            });
        }
    }

    /// Judges a part that is listed.
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
        self.report.count(self.source.number, "parts");
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

    /// Notes a segment that is listed, but couldn't be fetched.
    pub(crate) fn missed_segment(&mut self) {
        self.segment_before = None;
        self.next_index = [None; 2];
        self.ends = [None; 2];
    }

    /// Judges a segment that is listed.
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
            // Its last parts weren't listed if it turned out within it that keyframes are far
            // apart.
            let has_rest = self.last().is_some_and(Playlist::has_far_keyframes);
            let is_whole = joined == bytes || has_rest && bytes.starts_with(&joined);
            self.check(is_whole, "a segment isn't its parts", || {
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
        self.samples(of, &samples);
        if let Some((_, listed)) = self.began_short.take_if(|(first, _)| *first == number) {
            // Unless the stream had just begun with it. Audio alone is held back, since video may
            // come.
            let first = media.begins_with.map(|(.., frame)| frame.due_ms);
            let has_video = self.source.scenario.video.is_some();
            let allowed = if has_video { 0 } else { 2_500 };
            let target = self.last().map_or(0, |last| last.target);
            self.check(
                first.is_some_and(|first| first <= allowed),
                "the first playlist has less than three targets, though the stream is older",
                || format!("{listed:.1} s, target {target}; begins at {first:?} ms"),
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

    /// Judges how a segment begins.
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
        let until = frame.due_ms + (of.duration * 1000.0) as u64;
        let (due, delay) = (
            self.source.due(&frame),
            self.source.least_delay(&frame, until),
        );
        let (Some(due), Some(delay)) = (due, delay) else {
            self.wrong("a sample that nobody sent", format!("{track}, {index}"));
            return;
        };
        // The timestamps tell when it was made, except for the time until even the fastest frame
        // arrives.
        let late = delay + u64::from(frame.composition_time) * 1000;
        let off = (date - date.clamp(due as i64, (due + late) as i64)) as f64 / 1000.0;
        self.measured("date", off);
        self.check(off.abs() <= 50.0, "EXT-X-PROGRAM-DATE-TIME", || {
            format!("{}: {off:.0} ms", of.uri)
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
        let is_after_pause = self.source.scenario.times == Times::Pause
            && media
                .begins_with
                .is_some_and(|(.., frame)| frame.due_ms == PAUSE.end);
        let is_needed = old.lives.last() != media.lives.first() || changes || is_after_pause;
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
    fn samples(&mut self, of: &Segment, samples: &[Known]) {
        let name = &of.uri;
        let tracks = of.map.as_ref().and_then(|map| self.inits.get(map));
        let tracks = tracks.cloned().unwrap_or_default();
        for (sample, which, index, frame) in samples {
            self.report.count(self.source.number, "samples");
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

    /// Judges a sample that isn't the successor of the one before.
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
        // A keyframe after which the publisher vanished may be lost: alone it would be a segment
        // without duration.
        let lost = self.source.frame(which, expected);
        let alone = lost.is_some_and(|lost| lost.is_key && lost.life != frame.life);
        if which == 0 && index == expected + 1 && alone {
            return;
        }
        // Audio of a new configuration may be lost if it comes long before the keyframe with which
        // that begins.
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
}

/// Whether the track's configuration is that of this codec.
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
