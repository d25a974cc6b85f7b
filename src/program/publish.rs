//! `brooklet publish`: a file, in real time, to a server.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use brooklet::client::{Client, Publisher};
use brooklet::{Medium, StreamMessage};

use super::pace::Pace;
use super::progress::{Progress, Stop};
use super::source::Source;

/// The time between two looks at what the server says, and at signals.
const LOOK: u64 = 200;

/// The time between the last frame of a pass and the first one of the next, if the file doesn't show how far
/// apart frames are, in ms.
const GAP: u32 = 40;

/// The longest such time.
const MAX_GAP: u32 = 1_000;

/// Publishes a file. The error is one line for its reader.
pub(crate) fn publish(
    client: Client,
    path: &Path,
    is_paced: bool,
    is_looped: bool,
) -> Result<(), String> {
    let stop = Stop::catch().map_err(|error| error.to_string())?;
    // Before the connection, so that a wrong file disturbs no server.
    let mut source = Source::open(path)?;
    let mut message = source.next()?;
    source.warn_of_tracks();
    let mut publisher = client.publish().map_err(|error| error.to_string())?;
    let mut progress = Progress::new();
    let mut timeline = Timeline::default();
    let (mut pace, start) = (Pace::default(), Instant::now());
    loop {
        let Some(read) = message.take() else {
            if !timeline.has_frames {
                return Err(format!("{} has no audio or video", path.display()));
            }
            if !is_looped {
                break;
            }
            timeline.begin_again();
            source = Source::open(path)?;
            message = source.next()?;
            continue;
        };
        let timestamp = timeline.place(&read);
        let is_media = read.medium().is_some() && !read.is_sequence_header();
        if is_paced && is_media {
            let wait = pace.wait(timestamp, start.elapsed().as_millis() as u64);
            pause(wait, &stop, &mut publisher)?;
        }
        if stop.is_asked() {
            break;
        }
        progress.add(read.payload().len());
        let payload = read.payload();
        let placed = match read.medium() {
            Some(Medium::Audio) => StreamMessage::audio(timestamp, payload),
            Some(Medium::Video) => StreamMessage::video(timestamp, payload),
            None => StreamMessage::data(timestamp, payload),
        };
        let sent = publisher.send(&placed);
        sent.map_err(|error| error.to_string())?;
        message = source.next()?;
    }
    publisher.finish().map_err(|error| error.to_string())
}

fn pause(mut ms: u64, stop: &Stop, publisher: &mut Publisher) -> Result<(), String> {
    while ms > 0 && !stop.is_asked() {
        let part = ms.min(LOOK);
        sleep(Duration::from_millis(part));
        ms -= part;
        if ms > 0 {
            publisher.poll().map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The timestamps of all passes through a file: they begin at 0, and go on when the file begins again.
#[derive(Debug, Default)]
struct Timeline {
    /// The time at which this pass began.
    offset: u32,
    /// The first timestamp of this pass in the file.
    base: Option<u32>,
    /// The latest time of a frame, and the one before it of the same medium.
    last: u32,
    last_of: [Option<u32>; 2],
    gap: u32,
    has_frames: bool,
}

impl Timeline {
    /// Returns the time of a message.
    fn place(&mut self, message: &StreamMessage) -> u32 {
        let medium = message.medium().filter(|_| !message.is_sequence_header());
        let Some(medium) = medium else {
            // What comes before the first frame has its time.
            let since = self
                .base
                .map_or(0, |base| message.timestamp().wrapping_sub(base));
            let is_before = since > u32::MAX / 2;
            return self.offset.wrapping_add(if is_before { 0 } else { since });
        };
        let base = *self.base.get_or_insert(message.timestamp());
        let at = message.timestamp().wrapping_sub(base);
        // A frame that is a little earlier than the first one.
        let at = if at > u32::MAX - MAX_GAP { 0 } else { at };
        let at = self.offset.wrapping_add(at);
        let last_of = &mut self.last_of[usize::from(medium == Medium::Video)];
        let step = last_of.map_or(0, |last| at.wrapping_sub(last));
        if (1..=MAX_GAP).contains(&step) && (medium == Medium::Video || self.gap == 0) {
            self.gap = step;
        }
        *last_of = Some(at);
        if !self.has_frames || at.wrapping_sub(self.last) < u32::MAX / 2 {
            self.last = at;
        }
        self.has_frames = true;
        at
    }

    fn begin_again(&mut self) {
        let gap = if self.gap == 0 { GAP } else { self.gap };
        self.offset = self.last.wrapping_add(gap);
        self.base = None;
        self.last_of = [None; 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_go_on_when_a_file_begins_again() {
        let mut timeline = Timeline::default();
        let header = StreamMessage::audio(0, &b"\xAF\0\x12\x10"[..]);
        let mut times = Vec::new();
        for _ in 0..2 {
            times.push(timeline.place(&header));
            for at in [500, 533, 566] {
                let frame = StreamMessage::video(at, &b"\x27\x01\0\0\0\0\0\0\x01\x41"[..]);
                times.push(timeline.place(&frame));
            }
            times.push(timeline.place(&StreamMessage::audio(560, &b"\xAF\x01\0"[..])));
            timeline.begin_again();
        }
        assert_eq!(times, [0, 0, 33, 66, 60, 99, 99, 132, 165, 159]);
    }
}
