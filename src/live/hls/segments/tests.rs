mod changes;
mod complete;
mod dates;
mod growth;
mod listed;
mod listing;

use super::*;
use crate::live::arena::Arena;
use crate::live::hls::segment::Segment;

/// The length of a message by its number. Lengths don't repeat within 200 messages.
fn message_len(number: u64) -> u32 {
    900 + (number * 37 % 211) as u32
}

/// A message of the log.
#[derive(Clone, Copy, Debug)]
struct SentMessage {
    is_video: bool,
    is_keyframe: bool,
    /// Its track's configuration.
    config: u8,
    /// In decode time, in ms.
    time: u64,
    end: u64,
}

/// A stream under construction: what is appended, and what the log holds of it.
struct TestStream {
    segments: Segments,
    messages: Vec<SentMessage>,
    /// When the newest frame was due, how much earlier it was decoded, and how long after the previous
    /// one it came.
    time: u64,
    step: u64,
    interval: u64,
    /// How long only audio has been sent since then, in ms.
    alone: u64,
    /// Current configurations of video and audio; 0 if there is none.
    tracks: (u8, u8),
    versions: Vec<(u32, (u8, u8))>,
    log_start: u64,
    max_bytes: u64,
}

impl TestStream {
    fn new() -> TestStream {
        let mut segments = Segments::default();
        segments.lists.move_to(Arena::new(0).take());
        TestStream {
            segments,
            messages: Vec::new(),
            time: 10_000,
            step: 40,
            interval: 0,
            alone: 0,
            tracks: (1, 1),
            versions: Vec::new(),
            log_start: 0,
            max_bytes: 1_000_000,
        }
    }

    fn number(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Finds the version as the stream does.
    fn version(&mut self) -> u32 {
        let mut version = 1;
        if let Some((newest, tracks)) = self.versions.last().copied() {
            if tracks == self.tracks {
                return newest;
            }
            if tracks.1 != self.tracks.1 {
                self.segments.forget_early_audio();
            }
            version = newest + 1;
        }
        let used = self.segments.newest_version();
        self.versions.retain(|(version, _)| used >= Some(*version));
        match self.versions.last() {
            Some((used, tracks)) if *tracks == self.tracks => *used,
            _ => {
                self.versions.push((version, self.tracks));
                version
            }
        }
    }

    fn tracks_of(&self, version: u32) -> (u8, u8) {
        let found = self.versions.iter().find(|(known, _)| *known == version);
        found.unwrap().1
    }

    fn add(&mut self, message: SentMessage, arrived: u64) -> bool {
        let (number, is_video) = (self.number(), message.is_video);
        self.messages.push(message);
        self.segments.prune(self.log_start);
        let version = self.version();
        let open = self.segments.newest_version();
        let open = self.tracks_of(open.unwrap_or(version));
        let now = self.tracks;
        let sample = MediaSample {
            number,
            time: message.time,
            end: message.end,
            arrived,
            len: message_len(number),
            version,
            is_video,
            fits: if is_video {
                open.0 == now.0
            } else {
                open.1 == now.1
            },
            is_main: (open.0 > 0) == is_video,
            is_join_point: (now.0 > 0) == is_video && (!is_video || message.is_keyframe),
        };
        self.segments.add(&sample, self.max_bytes)
    }

    /// Adds a frame, `step` ms after the previous one, that arrives late.
    fn late_frame(&mut self, step: u64, is_keyframe: bool, delay: u64) -> bool {
        self.time += step;
        let step = step + std::mem::take(&mut self.alone);
        // After a pause the media clock starts over.
        if !(is_keyframe && step > 1_000.max(self.interval * 3 / 2)) {
            self.step = step;
        }
        self.interval = step;
        let message = SentMessage {
            is_video: true,
            is_keyframe,
            config: self.tracks.0,
            time: self.time - self.step,
            end: self.time,
        };
        self.add(message, self.time - 9_000 + delay)
    }

    fn audio(&mut self) -> bool {
        let message = SentMessage {
            is_video: false,
            is_keyframe: false,
            config: self.tracks.1,
            time: self.time,
            end: self.time + 23,
        };
        self.add(message, self.time - 9_000)
    }

    /// Adds `ms` of audio while the video pauses.
    fn audio_for(&mut self, ms: u64) {
        for _ in 0..ms / 23 {
            self.time += 23;
            self.alone += 23;
            self.audio();
        }
    }

    /// Adds a frame, `step` ms after the previous one, and an audio frame.
    fn frame(&mut self, step: u64, is_keyframe: bool) -> bool {
        let is_news = self.late_frame(step, is_keyframe, 0);
        self.audio() || is_news
    }

    /// Adds GOPs of `frames` frames that are 40 ms apart.
    fn gops(&mut self, gops: u32, frames: u32) {
        for index in 0..gops * frames {
            self.frame(40, index % frames == 0);
        }
    }

    /// The numbers of the messages of a segment.
    fn in_segment(&self, segment: &Segment) -> Vec<u64> {
        let has = |number: &u64| {
            let message = &self.messages[*number as usize];
            segment.set.contains(*number, message.is_video)
        };
        segment.messages.clone().filter(has).collect()
    }

    fn listing(&mut self) -> Listing {
        self.segments.prune(self.log_start);
        assert!(self.segments.promise(), "nothing to list");
        let log_start = self.log_start;
        let listing = self.segments.listing(false, &|number| number >= log_start);
        listing.expect("something to list")
    }

    fn lengths(&mut self) -> Vec<u32> {
        let listing = self.listing();
        let lengths = listing.segments.iter().map(|segment| segment.duration);
        lengths.collect()
    }

    fn part_lengths(&mut self, number: u64) -> Vec<u32> {
        let listing = self.listing();
        let segment = listing.segments.iter().chain(&listing.open);
        let segment = segment.clone().find(|segment| segment.number == number);
        let parts = listing.parts(segment.unwrap());
        parts.iter().map(|part| part.duration).collect()
    }
}
