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
    let stop = Stop::catch()?;
    // Before the connection, so that a wrong file disturbs no server.
    let mut source = Source::open(path)?;
    let mut message = source.next()?;
    source.warn_of_tracks();
    let mut publisher = client.publish().map_err(|error| error.to_string())?;
    stop.begin();
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
    /// Audio and video of this pass, in times since the first timestamp.
    spans: [Option<Span>; 2],
    has_frames: bool,
}

/// The frames of a medium.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u32,
    last: u32,
    /// The latest step between two frames, if it is one without a jump.
    gap: Option<u32>,
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
        let span = &mut self.spans[usize::from(medium == Medium::Video)];
        let span = span.get_or_insert(Span {
            first: at,
            last: at,
            gap: None,
        });
        let step = at.wrapping_sub(span.last);
        if (1..=MAX_GAP).contains(&step) {
            span.gap = Some(step);
        }
        if step < u32::MAX / 2 {
            span.last = at;
        }
        self.has_frames = true;
        self.offset.wrapping_add(at)
    }

    /// Begins again as soon as each medium has ended. They begin and end at different times: both are as
    /// close as they can be without going back.
    fn begin_again(&mut self) {
        let lengths = self.spans.iter().flatten().map(|span| {
            let gap = span.gap.unwrap_or(GAP);
            span.last.wrapping_sub(span.first).wrapping_add(gap)
        });
        let length = lengths.max().unwrap_or(0);
        self.offset = self.offset.wrapping_add(length);
        self.base = None;
        self.spans = [None; 2];
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

    #[test]
    fn a_seam_is_no_longer_than_the_medium_that_ends_last_needs() {
        let mut timeline = Timeline::default();
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..3 {
            // B-frames make video begin before audio, which ends after it.
            for at in [0, 40, 80, 120] {
                let frame = StreamMessage::video(at, &b"\x27\x01\0\0\0\0\0\0\x01\x41"[..]);
                times[0].push(timeline.place(&frame));
            }
            for at in [60, 81, 102, 123, 144, 165, 186] {
                times[1].push(timeline.place(&StreamMessage::audio(at, &b"\xAF\x01\0"[..])));
            }
            timeline.begin_again();
        }
        let steps = |times: &[u32]| -> Vec<u32> {
            times.windows(2).map(|pair| pair[1] - pair[0]).collect()
        };
        assert_eq!(steps(&times[0])[..4], [40, 40, 40, 40]);
        let audio = steps(&times[1]);
        // Video needs 160 ms, audio 147.
        assert_eq!(audio[..8], [21, 21, 21, 21, 21, 21, 34, 21]);
    }
}
