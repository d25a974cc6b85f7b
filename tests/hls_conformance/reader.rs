//! Two readers: one with low latency, by blocked reloads and parts; one like ordinary players.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::http::{Answer, Http};
use crate::judge::{Asked, Judge};
use crate::playlist::{Playlist, Segment};
use crate::scenario::Change;
use crate::source::{Clock, Source};

/// The pause after a refusal, and the shortest time between two requests for a playlist, in us.
const REST: u64 = 500_000;
const SHORTEST: u64 = 100_000;

/// A reader of one stream.
pub(crate) struct Reader<'a> {
    http: Http,
    source: &'a Source,
    clock: &'a Clock,
    judge: Judge<'a>,
    end: u64,
    /// The URL path of the Media Playlist.
    media: String,
    next_segment: Option<u64>,
    next_part: (u64, usize),
    /// Parts that were fetched before they were listed.
    hinted: HashMap<String, Vec<u8>>,
}

/// Resolves a URI in a playlist at `base`.
fn resolve(base: &str, uri: &str) -> String {
    if uri.starts_with('/') {
        return uri.to_owned();
    }
    let path = base.split('?').next().unwrap_or(base);
    let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
    format!("{folder}{uri}")
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        server: SocketAddr,
        source: &'a Source,
        clock: &'a Clock,
        judge: Judge<'a>,
        end: u64,
    ) -> Reader<'a> {
        Reader {
            http: Http::new(server),
            source,
            clock,
            judge,
            end,
            media: String::new(),
            next_segment: None,
            next_part: (0, 0),
            hinted: HashMap::new(),
        }
    }

    fn is_over(&self) -> bool {
        self.clock.now() >= self.end
    }

    fn rest(&self, us: u64) {
        self.clock
            .sleep_until((self.clock.now() + us).min(self.end));
    }

    /// Waits until the stream is as old as its scenario says.
    fn wait_for_age(&self) {
        let age = self.source.scenario.age * 1_000_000;
        while !self.is_over() {
            let track = usize::from(self.source.scenario.video.is_none());
            match self.source.sent(track, 0) {
                Some(sent) => return self.clock.sleep_until(sent + age),
                None => self.rest(20_000),
            }
        }
    }

    fn get(&mut self, asked: Asked, target: &str) -> Option<Answer> {
        let from = self.clock.now();
        match self.http.get(target) {
            Ok(answer) => {
                let is_good = self.judge.answer(asked, target, &answer, from);
                is_good.then_some(answer)
            }
            Err(error) => {
                self.judge.wrong("no answer", format!("{target}: {error}"));
                None
            }
        }
    }

    /// Requests the Multivariant Playlist until it comes.
    fn multivariant(&mut self) {
        let target = format!("/live/{}.m3u8", self.source.name());
        while !self.is_over() {
            if let Some(answer) = self.get(Asked::Multivariant, &target) {
                let found = self.judge.multivariant(&answer);
                self.media = resolve(&target, &found.uri);
                return;
            }
            self.rest(REST);
        }
    }

    /// Returns what came for a Media Playlist.
    fn playlist(&mut self, target: &str) -> Option<Playlist> {
        let answer = self.get(Asked::Playlist, target)?;
        let text = answer.text();
        let playlist = self.judge.playlist(&text, self.clock.now());
        for segment in playlist.segments.iter().chain([&playlist.open]) {
            let Some(uri) = &segment.map else { continue };
            if !self.judge.knows_init(uri) {
                if let Some(answer) = self.get(Asked::Listed, &resolve(&self.media, uri)) {
                    self.judge.init(uri, &answer.body);
                }
            }
        }
        Some(playlist)
    }

    fn new_parts(&mut self, playlist: &Playlist) {
        let all: Vec<(Segment, usize)> = (playlist.parts())
            .map(|(of, index)| (of.clone(), index))
            .collect();
        for (of, index) in all {
            if (of.number, index) < self.next_part {
                continue;
            }
            self.next_part = (of.number, index + 1);
            let uri = &of.parts[index].uri;
            let bytes = self.hinted.remove(uri).or_else(|| {
                let answer = self.get(Asked::Listed, &resolve(&self.media, uri));
                answer.map(|answer| answer.body)
            });
            match bytes {
                Some(bytes) => self.judge.part(&of, index, bytes),
                None => self.judge.missed_part(),
            }
        }
        self.hinted.clear();
    }

    fn new_segments(&mut self, playlist: &Playlist) {
        let next = self.next_segment.unwrap_or(playlist.media_sequence);
        if next < playlist.media_sequence {
            // The reader was away for too long, such as when nothing was answered.
            self.judge.missed_segment();
        }
        self.next_segment = Some(next.max(playlist.next_number()));
        for segment in playlist.segments.iter().filter(|s| s.number >= next) {
            let target = resolve(&self.media, &segment.uri);
            match self.get(Asked::Listed, &target) {
                Some(answer) => self.judge.segment(segment, answer.body),
                None => self.judge.missed_segment(),
            }
        }
    }

    fn kept(&mut self) {
        for kept in self.judge.due_kept(self.clock.now()) {
            let target = resolve(&self.media, &kept.uri);
            match self.http.get(&target) {
                Ok(answer) => self.judge.kept(&kept, &answer),
                Err(error) => self.judge.wrong("no answer", format!("{target}: {error}")),
            }
        }
    }

    /// The seconds from then until now.
    fn since(&self, then: u64) -> f64 {
        (self.clock.now() - then) as f64 / 1e6
    }

    /// Records how long it took until there was something to play, and how much.
    fn first(&mut self, asked_at: u64, playlist: &Playlist) {
        self.judge.first_after(self.since(asked_at));
        self.judge
            .measured("s in the first playlist", playlist.duration());
    }

    pub(crate) fn watch_with_low_latency(mut self) {
        self.wait_for_age();
        let asked_at = self.clock.now();
        self.multivariant();
        self.judge.first_after(self.since(asked_at));
        let asked_at = self.clock.now();
        let mut target = self.media.clone();
        let mut is_first = true;
        let mut asked_for = None;
        for turn in 0.. {
            if self.is_over() || self.judge.has_ended() {
                break;
            }
            let from = self.clock.now();
            let Some(playlist) = self.playlist(&target) else {
                target.clone_from(&self.media);
                asked_for = None;
                self.rest(REST);
                continue;
            };
            if let Some(part) = asked_for {
                self.judge.reload(&playlist, part, from);
            }
            if std::mem::take(&mut is_first) {
                self.first(asked_at, &playlist);
            }
            self.new_parts(&playlist);
            self.new_segments(&playlist);
            self.kept();
            let open = playlist.open.parts.len();
            let next = playlist.next_number();
            asked_for = Some((next, open));
            target = format!("{}?_HLS_msn={next}&_HLS_part={open}", self.media);
            // By turns, so that either is what is waited for.
            if let (Some(hint), 0) = (&playlist.hint, turn % 2) {
                if let Some(answer) = self.get(Asked::Hint, &resolve(&self.media, hint)) {
                    self.hinted.insert(hint.clone(), answer.body);
                }
            }
            if self.clock.now() < from + SHORTEST {
                self.rest(SHORTEST);
            }
        }
        self.judge.finish();
    }

    pub(crate) fn watch_by_polling(mut self) {
        self.wait_for_age();
        self.multivariant();
        let media = self.media.clone();
        let (mut before, mut has_probed) = (0, false);
        let mut multivariant_at = self.clock.now();
        while !self.is_over() && !self.judge.has_ended() {
            let Some(playlist) = self.playlist(&media) else {
                self.rest(REST);
                continue;
            };
            self.new_segments(&playlist);
            if !has_probed && playlist.segments.len() >= 3 {
                has_probed = true;
                self.probe(&playlist);
            }
            if self.clock.now() > multivariant_at + 10_000_000 {
                multivariant_at = self.clock.now();
                self.multivariant();
            }
            // RFC 8216bis, 6.3.4: the target, or half of it if nothing was new.
            let target = playlist.target.max(1) * 1_000_000;
            let is_new = playlist.next_number() != before;
            before = playlist.next_number();
            self.rest(if is_new { target } else { target / 2 });
        }
        if self.judge.has_ended() {
            self.after_the_end(&media);
        }
        self.judge.finish();
    }

    /// An ended stream stays available for a while.
    fn after_the_end(&mut self, media: &str) {
        let target = self.judge.last().map_or(2, |last| last.target);
        let until = self.clock.now() + target * 2_000_000;
        while !self.is_over() && self.clock.now() < until {
            let Some(playlist) = self.playlist(media) else {
                self.judge.wrong("an ended playlist is gone at once", media);
                return;
            };
            self.new_segments(&playlist);
            self.rest(target * 500_000);
        }
    }

    /// Requests what doesn't exist.
    fn probe(&mut self, playlist: &Playlist) {
        let Some(segment) = playlist.segments.last() else {
            return;
        };
        let uri = &segment.uri;
        let (stem, extension) = uri.rsplit_once('.').unwrap_or((uri, ""));
        let other_life = match uri.split_at(1) {
            ("0", rest) => format!("1{rest}"),
            (_, rest) => format!("0{rest}"),
        };
        let number = stem
            .rfind(|c: char| !c.is_ascii_digit())
            .map_or(0, |at| at + 1);
        let base = &stem[..number];
        let far = segment.number + 1000;
        let media = self.media.clone();
        let next = playlist.next_number();
        let names = vec![
            (format!("{stem}.ts"), &[404][..]),
            (format!("{stem}.mp4"), &[404]),
            (format!("{stem}.m4v"), &[404]),
            (format!("{uri}x"), &[404]),
            (other_life, &[404]),
            (format!("{base}{far}.{extension}"), &[404, 400]),
            (format!("{base}{next}.99.{extension}"), &[404, 400]),
        ];
        let mut requests: Vec<(String, &[u16])> = names
            .into_iter()
            .map(|(name, allowed)| (resolve(&media, &name), allowed))
            .collect();
        let far = next + 10;
        // It may be anything where there are no parts, and there may be none any more.
        let change = self.source.scenario.change;
        let far_part: &[u16] = match playlist.part_target {
            Some(_) if !matches!(change, Change::LongerGop | Change::AnyGop) => &[400],
            _ => &[400, 200],
        };
        for (query, allowed) in [
            ("_HLS_part=1".to_owned(), &[400][..]),
            ("_HLS_msn=x".to_owned(), &[400]),
            ("_HLS_msn=-1".to_owned(), &[400]),
            (format!("_HLS_msn={far}"), &[400]),
            (format!("_HLS_msn={next}&_HLS_part=99"), far_part),
            (format!("_HLS_msn={}&_HLS_part=0", segment.number), &[200]),
            (format!("_HLS_msn={}", segment.number), &[200]),
        ] {
            requests.push((format!("{media}?{query}"), allowed));
        }
        for (target, allowed) in requests {
            match self.http.get(&target) {
                Ok(answer) if allowed.contains(&answer.status) => {}
                Ok(answer) => {
                    let detail = format!("{} for {target}, not {allowed:?}", answer.status);
                    self.judge.wrong("what isn't there", detail);
                }
                Err(error) => self.judge.wrong("no answer", format!("{target}: {error}")),
            }
        }
    }
}
