//! A stream that is recorded, and a viewer who must not notice.
//!
//! The bytes of each message follow from its number. Video and audio take turns. The viewer has to get
//! all messages, in order, and with the right bytes; files may lack some in the middle.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::common::Brooklet;
use crate::common::client::{AVC_320X240, Client};
use crate::movie::{Movie, Sample};

/// The time from one message to the next, in ms.
const STEP: u32 = 20;

/// The number of messages from one keyframe to the next: a second.
const GOP: u32 = 50;

/// An AAC sequence header whose frames of 1024 samples last two steps: 25,600 Hz.
const AUDIO_HEADER: &[u8] = b"\xAF\0\x17\x80\x32\0\x10";

/// The length of a frame of audio.
const AUDIO_LEN: usize = 200;

/// The types of messages.
const VIDEO: u8 = 9;
const AUDIO: u8 = 8;

/// The type and the payload of a message.
fn message(number: u32, frame_len: usize) -> (u8, Vec<u8>) {
    let (type_id, mut payload, len) = if number % 2 == 1 {
        (AUDIO, vec![0xAF, 1], 2 + AUDIO_LEN)
    } else {
        let first = if number % GOP == 0 { 0x17 } else { 0x27 };
        let mut payload = vec![first, 1, 0, 0, 0];
        payload.extend((frame_len as u32 - 4).to_be_bytes());
        payload.push(if number % GOP == 0 { 0x65 } else { 0x41 });
        (VIDEO, payload, 5 + frame_len)
    };
    payload.extend(number.to_be_bytes());
    let rest = (payload.len()..len).map(|at| (at as u32 ^ number.wrapping_mul(0x9E37_79B1)) as u8);
    let rest: Vec<u8> = rest.collect();
    payload.extend(rest);
    (type_id, payload)
}

/// See the module's documentation.
pub(super) struct Live {
    is_stopping: Arc<AtomicBool>,
    publisher: JoinHandle<()>,
    viewer: JoinHandle<Seen>,
    frame_len: usize,
}

/// What a viewer got.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) messages: u32,
    /// The longest time from when a message should have been sent to its arrival, in ms.
    pub(super) longest: u128,
}

impl Live {
    /// Publishes live/door with frames of this length, 25 a second, and plays it.
    pub(super) fn start(server: &Brooklet, frame_len: usize) -> Live {
        let address = server.address();
        let mut player = Client::playing(address, "live", "door");
        let mut publisher = Client::publishing(address, "live", "door");
        let is_stopping = Arc::<AtomicBool>::default();
        let sent = Arc::new(AtomicU32::new(u32::MAX));
        let began = Instant::now();
        let due = move |number: u32| began + Duration::from_millis((number * STEP).into());
        let (stop, total) = (Arc::clone(&is_stopping), Arc::clone(&sent));
        let publisher = thread::spawn(move || {
            publisher.send_message(VIDEO, 1, 0, AVC_320X240);
            publisher.send_message(AUDIO, 1, 0, AUDIO_HEADER);
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(due(number).saturating_duration_since(Instant::now()));
                let (type_id, payload) = message(number, frame_len);
                publisher.send_message(type_id, 1, number * STEP, &payload);
                number += 1;
            }
            total.store(number, Ordering::Relaxed);
        });
        let viewer = thread::spawn(move || {
            let mut seen = Seen::default();
            while seen.messages < sent.load(Ordering::Relaxed) {
                let got = player.next().expect("the viewer isn't sent away");
                if got.is_media() {
                    let number = seen.messages;
                    let expected = (number * STEP, message(number, frame_len));
                    let is_same = (got.timestamp, (got.type_id, got.payload)) == expected;
                    assert!(is_same, "the viewer lost message {number}");
                    let late = Instant::now().saturating_duration_since(due(number));
                    seen.longest = seen.longest.max(late.as_millis());
                    seen.messages += 1;
                }
            }
            seen
        });
        Live {
            is_stopping,
            publisher,
            viewer,
            frame_len,
        }
    }

    /// Ends the publish. Returns what the viewer got, which is everything.
    pub(super) fn stop(self) -> Seen {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.publisher.join().unwrap();
        self.viewer.join().unwrap()
    }

    pub(super) fn frame_len(&self) -> usize {
        self.frame_len
    }
}

/// The closed files of live/door, in order.
pub(super) fn closed_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("live/door")).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_closed = |path: &PathBuf| path.extension().is_some_and(|end| end == "mp4");
    let mut paths: Vec<PathBuf> = paths.filter(is_closed).collect();
    paths.sort();
    paths
}

/// Whether a file of live/door is open, or was left so.
pub(super) fn has_part(folder: &Path) -> bool {
    let entries = fs::read_dir(folder.join("live/door")).into_iter().flatten();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.any(|path| path.extension().is_some_and(|end| end == "part"))
}

/// Checks that what is in a closed file is what was published, and without a gap if the file has none.
/// Returns the numbers of the first message of video and of the one after the last.
pub(super) fn check_file(path: &Path, frame_len: usize, may_have_gaps: bool) -> (u32, u32) {
    let movie = Movie::read(path);
    let who = path.display().to_string();
    assert!(!movie.video.is_empty(), "{who}");
    let number = |sample: &Sample, at: usize| {
        u32::from_be_bytes(sample.bytes[at..at + 4].try_into().unwrap())
    };
    let first = number(&movie.video[0], 5);
    assert_eq!(first % GOP, 0, "{who} begins with a keyframe");
    let mut end = first;
    for sample in &movie.video {
        let number = number(sample, 5);
        assert!(
            number == end || may_have_gaps && number > end,
            "{who}: {end} is missing"
        );
        assert!(
            sample.bytes == message(number, frame_len).1[5..],
            "{who}: {number}"
        );
        assert_eq!(
            sample.time,
            u64::from((number - first) * STEP),
            "{who}: {number}"
        );
        end = number + 2;
    }
    let mut next = None;
    for sample in &movie.audio {
        let number = number(sample, 0);
        let is_next = next.is_none_or(|next| number == next || may_have_gaps && number > next);
        assert!(is_next, "{who}: {next:?} is missing");
        assert!(
            sample.bytes == message(number, frame_len).1[2..],
            "{who}: {number}"
        );
        next = Some(number + 2);
    }
    (first, end)
}
