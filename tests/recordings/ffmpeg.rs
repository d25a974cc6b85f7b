//! What is recorded of a publish by ffmpeg, as ffmpeg reads it back.

use std::path::Path;

use super::*;
use common::Brooklet;
use common::media::{self, quiet};
use common::packets::{Capture, Track, assert_is_part, assert_monotonic};
use common::process::run;

/// A recorded publish of 24 s in files of 5 s, with B-frames.
struct Recorded {
    dir: TempDir,
    server: Brooklet,
    source: Capture,
    /// When it begins and ends.
    from: u64,
    to: u64,
}

impl Recorded {
    fn make() -> Recorded {
        let dir = TempDir::new();
        let folder = dir.join("recordings");
        std::fs::create_dir(&folder).unwrap();
        let b_frames = [
            "-c:v",
            "libx264",
            "-bf",
            "2",
            "-g",
            "30",
            "-preset",
            "ultrafast",
        ];
        let file = media::make(&dir, 24, &[&b_frames, &["-c:a", "aac"]]);
        let folder = folder.to_str().unwrap();
        let rules = [
            "--record-segment",
            "5s",
            "--record-free",
            "0",
            "--grace",
            "1s",
            "--max-connect-rate",
            "1000",
        ];
        let server = Brooklet::start(&[&["--record", folder][..], &rules].concat());
        let mut publisher = media::publish(&file, &server.url("door"));
        wait_until("it was published", SOON, || !publisher.is_running());
        wait_until("the last file is closed", SOON, || {
            let list = list(server.http_address(), "");
            list["recordings"][0]["is_recording"] == false
        });
        let list = list(server.http_address(), "");
        let spans = list["recordings"][0]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), 1, "{list}");
        let time = |name: &str| {
            let text = spans[0][name].as_str().unwrap();
            brooklet::http::query::time(text).unwrap()
        };
        Recorded {
            from: time("from"),
            to: time("to"),
            source: Capture::of_file(&file),
            dir,
            server,
        }
    }

    /// Fetches a span into a file.
    fn fetch(&self, from: u64, to: u64) -> std::path::PathBuf {
        let target = format!("/recordings/live/door.mp4?from={from}&to={to}");
        let answer = get(self.server.http_address(), &target, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let path = self.dir.join(&format!("span-{from}-{to}.mp4"));
        std::fs::write(&path, &answer.body).unwrap();
        path
    }
}

/// Compares the tracks of two captures: the same packets, at the same times but for a constant.
fn compare(expected: &Capture, got: &Capture, who: &str) {
    for track in [Track::Video, Track::Audio] {
        assert!(
            expected.hashes(track) == got.hashes(track),
            "{who} {track:?}"
        );
    }
    assert_monotonic(got, who);
    // Both count video in ms. Decode times of MP4 are those of the frame before. The source's audio is
    // rounded to ms.
    let times = |capture: &Capture| -> Vec<i64> {
        let video = capture.track(Track::Video);
        video.iter().map(|p| p.pts - video[0].pts).collect()
    };
    assert_eq!(times(expected), times(got), "{who}");
    let audio = got.track(Track::Audio);
    for pair in audio.windows(2) {
        assert_eq!(pair[1].dts - pair[0].dts, 1_024, "{who}: {pair:?}");
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn a_span_has_the_packets_of_the_source_and_any_span_those_that_ffmpeg_cuts() {
    let recorded = Recorded::make();
    let whole_file = recorded.fetch(recorded.from, recorded.to + 1_000);
    let whole = Capture::of_file(&whole_file);
    compare(&recorded.source, &whole, "the whole");
    let duration = recorded.to - recorded.from;
    let mut random = Random(5);
    for round in 0..20 {
        // In the middle between two keyframes: recordings are found by when frames arrived, which isn't
        // as regular as their timestamps.
        let start = random.below(duration as usize / 1_000 - 4) as u64 * 1_000 + 500;
        let end = start + 500 + random.below((duration - start) as usize - 500) as u64;
        let who = format!("round {round}: {start} to {end} ms");
        let span = recorded.fetch(recorded.from + start, recorded.from + end);
        let span = Capture::of_file(&span);
        assert_monotonic(&span, &who);
        assert!(span.track(Track::Video)[0].is_keyframe, "{who}");
        for track in [Track::Video, Track::Audio] {
            assert_is_part(&whole.hashes(track), &span.hashes(track), 1, &who);
        }
        let cut = recorded.dir.join("cut.mp4");
        cut_by_ffmpeg(&whole_file, &cut, start, end);
        let cut = Capture::of_file(&cut);
        let (cut, span) = (cut.hashes(Track::Video), span.hashes(Track::Video));
        // The span goes on to the end of its last fragment.
        assert_eq!(cut[0], span[0], "{who}");
        let is_same = cut.iter().zip(&span).filter(|(a, b)| a == b).count();
        // With B-frames, ffmpeg's end is in the order of presentation. A span doesn't begin another
        // fragment in its last quarter of a second.
        assert!(
            is_same + 11 >= cut.len(),
            "{who}: {is_same} of {}",
            cut.len()
        );
    }
}

fn cut_by_ffmpeg(from: &Path, to: &Path, start: u64, end: u64) {
    let time = |ms: u64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    let mut command = quiet("ffmpeg");
    command.args(["-ss", &time(start), "-to", &time(end), "-i"]);
    command.arg(from).args(["-c", "copy"]).arg(to);
    run(&mut command);
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_plays_a_playlist_of_recordings() {
    let recorded = Recorded::make();
    let address = recorded.server.http_address();
    let (from, to) = (recorded.from, recorded.to);
    let url = format!("http://{address}/recordings/live/door.m3u8?from={from}&to={to}");
    let played = Capture::of_file(Path::new(&url));
    for track in [Track::Video, Track::Audio] {
        let (source, played) = (recorded.source.hashes(track), played.hashes(track));
        assert!(source == played, "{track:?}");
    }
}
