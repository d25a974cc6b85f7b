//! The program is killed again and again while it records.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::movie::{Movie, Sample};
use super::*;
use common::Brooklet;
use common::media;
use common::packets::{Capture, FlvTag, Track, assert_is_part, flv_tags};
use common::publisher::Publisher;

/// The number of folders in which programs record at the same time, and of kills in each.
const FOLDERS: u64 = 8;
const KILLS: usize = 25;

/// Where the first `moov` of a file is.
const MOVIE_AT: usize = 52;

/// The number of samples of video and audio.
type Counts = (usize, usize);

/// What is published each time.
struct Source {
    tags: Vec<FlvTag>,
    capture: Capture,
}

impl Source {
    fn make(dir: &TempDir) -> Source {
        let video = [
            "-c:v",
            "libx264",
            "-bf",
            "2",
            "-g",
            "6",
            "-preset",
            "ultrafast",
        ];
        let file = media::make(dir, 4, &[&video, &["-c:a", "aac"]]);
        Source {
            tags: flv_tags(&file),
            capture: Capture::of_file(&file),
        }
    }

    /// The frames of video or audio, as files have them.
    fn frames(&self, type_id: u8) -> Vec<Frame<'_>> {
        let tags = self.tags.iter();
        let tags = tags.filter(|tag| tag.type_id == type_id && tag.body[1] == 1);
        tags.map(Frame::of).collect()
    }

    /// The number of frames of audio before the first keyframe, which no file has.
    fn early(&self) -> usize {
        let is_frame = |tag: &&FlvTag| tag.body[1] == 1;
        let tags = self.tags.iter().filter(is_frame);
        tags.take_while(|tag| tag.type_id == 8).count()
    }

    /// Checks that these are the first frames but for some. Returns the end of the last one of them, in
    /// ms.
    fn check(&self, type_id: u8, skipped: usize, got: &[&Sample], who: &str) -> u32 {
        let all = self.frames(type_id);
        let frames = &all[skipped..];
        assert!(got.len() <= frames.len(), "{who}");
        for (index, (got, expected)) in got.iter().zip(frames).enumerate() {
            let is_same = got.bytes == expected.bytes;
            assert!(is_same, "{who}: frame {index} of type {type_id}");
        }
        frames
            .get(got.len())
            .unwrap_or(&frames[frames.len() - 1])
            .timestamp
    }
}

/// A frame as files have it, its timestamp, and when it is shown, in ms.
struct Frame<'a> {
    bytes: &'a [u8],
    timestamp: u32,
    shown: i64,
}

impl Frame<'_> {
    fn of(tag: &FlvTag) -> Frame<'_> {
        let (header, offset) = match tag.type_id {
            9 => (
                5,
                u32::from_be_bytes([0, tag.body[2], tag.body[3], tag.body[4]]),
            ),
            _ => (2, 0),
        };
        Frame {
            bytes: &tag.body[header..],
            timestamp: tag.timestamp,
            shown: i64::from(tag.timestamp + offset),
        }
    }
}

/// The files of a stream, with what is in their whole fragments.
fn look(folder: &Path) -> BTreeMap<String, Counts> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder.join("live/door")) else {
        return found;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = name.trim_end_matches(".part").to_owned();
        let counts = whole_fragments(&fs::read(&path).unwrap());
        if counts.0 > 0 {
            found.insert(name, counts);
        }
    }
    found
}

/// Counts the samples of a file up to the last fragment that is whole. Each begins with a note: 96 bytes
/// in a box `uuid`, with the fragment's length and the numbers of its samples.
fn whole_fragments(file: &[u8]) -> Counts {
    let number = |at: usize| {
        let bytes = file.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().unwrap()) as usize)
    };
    let samples = |at: usize| number(at).unwrap() >> 16;
    let mut at = MOVIE_AT + number(MOVIE_AT).unwrap_or_default();
    let (mut video, mut audio) = (0, 0);
    while number(at) == Some(96) && file.get(at + 4..at + 8) == Some(b"uuid") {
        let end = number(at + 24).map(|len| at + len);
        let Some(end) = end.filter(|end| *end <= file.len()) else {
            break;
        };
        video += samples(at + 64);
        audio += samples(at + 72);
        at = end;
    }
    (video, audio)
}

fn start_recording(folder: &Path) -> Brooklet {
    let folder = folder.to_str().unwrap();
    let rules = ["--record-segment", "1s", "--record-free", "off"];
    Brooklet::start(&[&["--record", folder][..], &rules].concat())
}

/// What was found after a kill.
struct Kill {
    files: BTreeMap<String, Counts>,
    /// How much had been published, in ms.
    published: u32,
}

/// Kills the program many times in one folder. Returns how much was lost each time, in ms.
fn kill_and_check(source: &Source, seed: u64) -> Vec<u32> {
    let dir = TempDir::new();
    let mut random = Random(seed);
    let mut known = BTreeMap::new();
    let mut kills = Vec::new();
    for _ in 0..KILLS {
        // What the last kill has left is repaired meanwhile, or isn't.
        let server = start_recording(dir.path());
        let publisher = Publisher::start(server.port(), "door", source.tags.clone(), 0);
        thread::sleep(Duration::from_millis(200 + random.below(2_800) as u64));
        let published = publisher.live_edge() as u32;
        drop(server);
        let mut files = look(dir.path());
        for (name, counts) in &known {
            assert_eq!(files.remove(name), Some(*counts), "seed {seed}: {name}");
        }
        known.extend(files.clone());
        kills.push(Kill { files, published });
    }
    let server = start_recording(dir.path());
    let files = dir.join("live").join("door");
    let paths = || {
        fs::read_dir(&files)
            .unwrap()
            .map(|entry| entry.unwrap().path())
    };
    let is_closed = |path: PathBuf| path.extension().is_some_and(|end| end == "mp4");
    wait_until("everything is repaired", SOON, || paths().all(is_closed));
    assert_eq!(paths().count(), known.len(), "seed {seed}");
    drop(server);
    let lost = kills.iter().map(|kill| check_kill(source, &files, kill));
    let lost = lost.collect();
    for path in paths().step_by(10) {
        let capture = Capture::of_file(&path);
        for track in [Track::Video, Track::Audio] {
            let who = path.display().to_string();
            let whole = source.capture.hashes(track);
            assert_is_part(&whole, &capture.hashes(track), 1, &who);
        }
    }
    lost
}

/// Checks that the files of one run have the first packets of the source, without a gap.
fn check_kill(source: &Source, files: &Path, kill: &Kill) -> u32 {
    let mut movies = Vec::new();
    for (name, counts) in &kill.files {
        let movie = Movie::read(&files.join(name));
        assert_eq!((movie.video.len(), movie.audio.len()), *counts, "{name}");
        movies.push(movie);
    }
    let who = format!("{:?}", kill.files);
    let video: Vec<&Sample> = movies.iter().flat_map(|movie| &movie.video).collect();
    let audio: Vec<&Sample> = movies.iter().flat_map(|movie| &movie.audio).collect();
    source.check(8, source.early(), &audio, &who);
    let end = source.check(9, 0, &video, &who);
    for movie in &movies {
        check_times(source, movie, &who);
    }
    kill.published.saturating_sub(end)
}

/// Checks when frames of video are shown: as far from each other as in the source.
fn check_times(source: &Source, movie: &Movie, who: &str) {
    let frames = source.frames(9);
    let is_first = |frame: &Frame<'_>| frame.bytes == movie.video[0].bytes;
    let frames = &frames[frames.iter().position(is_first).unwrap()..];
    for (sample, frame) in movie.video.iter().zip(frames) {
        let got = sample.shown - movie.video[0].shown;
        assert_eq!(got, frame.shown - frames[0].shown, "{who}");
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn after_a_kill_everything_is_there_but_the_last_fragment() {
    let dir = TempDir::new();
    let source = &Source::make(&dir);
    let mut lost = thread::scope(|scope| {
        let run = |seed| scope.spawn(move || kill_and_check(source, seed));
        let threads: Vec<_> = (1..=FOLDERS).map(run).collect();
        let lost = threads.into_iter().map(|thread| thread.join().unwrap());
        lost.collect::<Vec<_>>().concat()
    });
    lost.sort_unstable();
    let (median, most) = (lost[lost.len() / 2], lost[lost.len() - 1]);
    println!(
        "{} kills; lost: {median} ms in the middle, {most} ms at most",
        lost.len()
    );
}
