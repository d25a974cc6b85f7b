//! Recordings in players: files, spans, playlists, and the last seconds of what is live, from the beginning
//! and from the middle.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::chromium::Browser;
use super::common::packets::{Capture, Track, assert_is_part, decoded_pictures};
use super::common::process::Program;
use super::common::{Brooklet, SOON, TempDir, media, wait_until};
use super::matrix::packets;
use super::sources::{FPS, FRAMES, PAIRS, SECONDS, Source};
use super::{get, list};

/// The number of frames that a player on a busy machine has to show of so many.
fn most_of(frames: usize) -> usize {
    frames * 3 / 4
}

struct Scene {
    server: Brooklet,
    source: Source,
    pictures: Vec<String>,
}

impl Scene {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.http_address())
    }

    fn who(&self, player: &str, path: &str) -> String {
        format!("{}, {player}, {path}", self.source.pair.name)
    }

    /// Plays with VLC from a second on; what it shows must be frames of the source in order.
    fn play_in_vlc(&self, path: &str, from: usize, frames: usize) {
        let dir = TempDir::new();
        let shown = dir.join("vlc.y4m");
        let mut command = media::vlc(dir.path());
        command.args(["--vout", "yuv", "--yuv-yuv4mpeg2", "--yuv-file"]);
        command.arg(&shown);
        command.args([
            "--no-drop-late-frames",
            "--no-skip-frames",
            "--aout",
            "adummy",
        ]);
        command.args(["--no-video-title-show", "--no-osd", "-v"]);
        command.arg(format!("--start-time={from}"));
        let mut program = Program::start(command.args([&self.url(path), "vlc://quit"]));
        program.wait_for_success(SOON);
        let who = self.who("VLC", path);
        let mut shown = decoded_pictures(&shown);
        shown.dedup();
        self.assert_shown(&shown, from, frames, &who);
    }

    /// The same with mpv.
    fn play_in_mpv(&self, path: &str, from: usize, frames: usize) {
        let dir = TempDir::new();
        let shown = dir.join("mpv.nut");
        let mut command = Command::new("mpv");
        command.args(["--no-config", "--msg-level=all=warn", "--no-audio"]);
        command.arg(format!("--start={from}"));
        command.args(["--of=nut", "--ovc=ffv1", "--vf=format=yuv420p"]);
        command
            .arg(format!("--o={}", shown.display()))
            .arg(self.url(path));
        let mut program = Program::start(&mut command);
        program.wait_for_success(SOON);
        let who = self.who("mpv", path);
        assert_eq!(program.stderr(), "", "{who}");
        let mut shown = decoded_pictures(&shown);
        shown.dedup();
        self.assert_shown(&shown, from, frames, &who);
    }

    /// Checks that these frames are of the source, in order, from a second on, and most of so many.
    fn assert_shown(&self, shown: &[String], from: usize, frames: usize, who: &str) {
        assert!(
            shown.len() >= most_of(frames),
            "{who}: {} frames",
            shown.len()
        );
        let at = |hash| self.pictures.iter().position(|picture| picture == hash);
        let first = at(&shown[0]).unwrap_or_else(|| panic!("{who}: an unknown frame"));
        // Files and spans begin with the keyframe before.
        let range = (from * FPS).saturating_sub(FPS)..=from * FPS + FPS;
        assert!(range.contains(&first), "{who}: begins with frame {first}");
        let mut rest = self.pictures.iter();
        let is_in_order = |hash: &String| rest.any(|picture| picture == hash);
        assert!(shown.iter().all(is_in_order), "{who}: out of order");
    }

    /// Plays so many seconds, more or less, in Chromium: a little from the beginning, from the middle, and the end.
    fn play_in_chromium(&self, browser: &mut Browser, path: &str, (seconds, slack): (f64, f64)) {
        let script = PLAY
            .replace("PATH", path)
            .replace("SECONDS", &seconds.to_string());
        let said = browser.evaluate(&script);
        let who = self.who("Chromium", path);
        assert_eq!(said["error"], serde_json::Value::Null, "{who}: {said}");
        let duration = said["duration"].as_f64().unwrap();
        assert!((duration - seconds).abs() < slack, "{who}: {said}");
        let middle = said["middle"].as_f64().unwrap();
        assert!((middle - duration / 2.0).abs() < 0.25, "{who}: {said}");
        assert_eq!(said["hasEnded"], true, "{who}: {said}");
    }
}

/// Plays a path in a page of the server, and returns what came of it.
const PLAY: &str = "new Promise(resolve => {
    const video = document.createElement('video'), said = {};
    const done = error => { video.remove(); resolve({ ...said, error }); };
    const shown = () => new Promise(then => video.requestVideoFrameCallback((_, frame) => then(frame)));
    const event = name => new Promise(then => video.addEventListener(name, then, { once: true }));
    setTimeout(() => done('too late'), 40000);
    video.onerror = () => done(video.error.message);
    video.muted = true;
    video.src = 'PATH';
    document.body.append(video);
    (async () => {
        await Promise.all([shown(), video.play()]);
        while (video.currentTime < 0.3) await shown();
        said.width = video.videoWidth;
        said.duration = video.duration;
        let frame = shown();
        video.currentTime = video.duration / 2;
        await event('seeked');
        said.middle = (await frame).mediaTime;
        const ended = event('ended');
        video.currentTime = video.duration - 1;
        await ended;
        said.hasEnded = video.ended;
    })().then(() => done(null), error => done(String(error)));
})";

/// hls.js loads all of a playlist and plays its end.
const PLAY_HLS: &str = "new Promise(resolve => {
    const video = document.createElement('video'), said = { faults: [] };
    const done = error => { hls.destroy(); video.remove(); resolve({ ...said, error }); };
    setTimeout(() => done('too late'), 40000);
    video.muted = true;
    document.body.append(video);
    const hls = new Hls({ maxBufferLength: 60, enableWorker: false });
    hls.on(Hls.Events.ERROR, (_, data) => {
        said.faults.push(data.details);
        if (data.fatal) done(data.details);
    });
    hls.on(Hls.Events.BUFFER_EOS, async () => {
        said.ranges = [...Array(video.buffered.length).keys()]
            .map(i => [video.buffered.start(i), video.buffered.end(i)]);
        video.addEventListener('ended', () => done(null));
        video.currentTime = video.buffered.end(0) - 1;
        await video.play();
    });
    hls.loadSource('PATH');
    hls.attachMedia(video);
})";

/// Publishes one source to a server that records, and returns the path of each way to play it.
fn record(dir: &TempDir, source: Source) -> (Scene, Vec<String>) {
    let folder: PathBuf = dir.join(&format!("recordings-{}", source.pair.name));
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.display().to_string();
    let rules = "--record-segment 4s --record-free 0 --grace 4s --max-connect-rate 1000 --record";
    let mut arguments: Vec<&str> = rules.split(' ').collect();
    arguments.push(&folder);
    let server = Brooklet::start(&arguments);
    let pictures = decoded_pictures(&source.file);
    let scene = Scene {
        server,
        source,
        pictures,
    };
    let name = scene.source.pair.name;
    let mut publisher = scene.source.publish(&scene.server);
    publisher.wait_for_success(SOON);
    let address = scene.server.http_address();
    // From memory, while the stream waits for its publisher.
    let last = get(address, &format!("/live/{name}.mp4?last=30s"), "");
    assert_eq!(last.status, 200, "{}", last.text());
    let file = dir.join(&format!("last-{name}.mp4"));
    std::fs::write(&file, last.body).unwrap();
    // As much of it as the server keeps, from a keyframe on to the end.
    let (sent, got) = (
        Capture::of_file(&scene.source.file),
        Capture::of_file(&file),
    );
    let (sent, got) = (sent.hashes(Track::Video), got.hashes(Track::Video));
    let is_end = sent.ends_with(&got) && got.len() >= 2 * FPS && got.len() % FPS == 0;
    assert!(is_end, "{name}: {} frames", got.len());
    scene.server.wait_for_log("ended, its publisher", 1);
    wait_until("the last file is closed", SOON, || {
        list(address, "")["recordings"][0]["is_recording"] == false
    });
    let list = list(address, &format!("?stream=live/{name}"));
    let stream = &list["recordings"][0];
    let (from, to) = (&stream["spans"][0]["from"], &stream["spans"][0]["to"]);
    let [from, to] = [from, to].map(|time| time.as_str().unwrap().to_owned());
    let files = stream["files"].as_array().unwrap();
    let longest = files.iter().max_by_key(|file| file["bytes"].as_u64());
    let longest = longest.unwrap()["name"].as_str().unwrap();
    let paths = vec![
        format!("/recordings/live/{name}/{longest}"),
        format!("/recordings/live/{name}.mp4?from={from}&to={to}"),
        format!("/recordings/live/{name}.m3u8?from={from}&to={to}"),
    ];
    (scene, paths)
}

/// Checks that ffprobe finds all packets of the source.
fn assert_complete(scene: &Scene, url: &str) {
    let hashes = |file: &Path| {
        packets(file).map(|track| {
            track
                .into_iter()
                .map(|packet| packet.hash)
                .collect::<Vec<_>>()
        })
    };
    let [sent, got] = [&scene.source.file, Path::new(url)].map(hashes);
    let name = scene.source.pair.name;
    assert!(sent[0] == got[0], "{name}: {url}");
    // Audio in front of the first keyframe isn't recorded.
    let least = sent[1].len() - 1;
    assert_is_part(&sent[1], &got[1], least, &format!("{name}: {url}"));
}

fn play_everywhere(dir: &TempDir, source: Source) {
    let (scene, paths) = record(dir, source);
    let [file, span, playlist] = &paths[..] else {
        unreachable!()
    };
    assert_complete(&scene, &scene.url(span));
    assert_complete(&scene, &scene.url(playlist));
    let middle = SECONDS / 2;
    let half = FRAMES / 2 - FPS;
    thread::scope(|scope| {
        // VLC 3 ends where a playlist goes on with another file: it doesn't request its init segment.
        scope.spawn(|| scene.play_in_vlc(playlist, 0, FPS));
        scope.spawn(|| scene.play_in_vlc(span, 0, FRAMES));
        scope.spawn(|| scene.play_in_vlc(span, middle, half));
        // To mpv, time goes back where another file begins.
        scene.play_in_mpv(span, 0, FRAMES);
        scene.play_in_mpv(span, middle, half);
    });
    // Debian's Chromium has no decoder for it.
    if scene.source.pair.name != "hevc-aac" {
        let mut browser = Browser::start();
        browser.open(&scene.url("/"));
        scene.play_in_chromium(&mut browser, file, (4.0, 1.5));
        scene.play_in_chromium(&mut browser, span, (SECONDS as f64, 0.3));
        play_in_hls_js(&scene, &mut browser, playlist);
    }
}

fn play_in_hls_js(scene: &Scene, browser: &mut Browser, path: &str) {
    let library = std::env::var("BROOKLET_HLS_JS").unwrap_or_else(|_| {
        panic!("set BROOKLET_HLS_JS to the path of hls.js 1.7.4 (dist/hls.js)")
    });
    let library = std::fs::read_to_string(&library).unwrap();
    browser.evaluate(&format!("{library};0"));
    let said = browser.evaluate(&PLAY_HLS.replace("PATH", path));
    let who = scene.who("hls.js", path);
    assert_eq!(said["error"], serde_json::Value::Null, "{who}: {said}");
    assert_eq!(said["faults"], serde_json::json!([]), "{who}: {said}");
    let ranges = said["ranges"].as_array().unwrap();
    assert_eq!(ranges.len(), 1, "{who}: {said}");
    let [start, end] = [0, 1].map(|index| ranges[0][index].as_f64().unwrap());
    assert!((end - start - SECONDS as f64).abs() < 0.3, "{who}: {said}");
}

#[test]
#[ignore = "needs ffmpeg, vlc, mpv, Chromium, BROOKLET_FFMPEG9, BROOKLET_HLS_JS"]
fn files_spans_and_playlists_play_everywhere_also_from_the_middle() {
    let dir = TempDir::new();
    let make = |pair| Source::make(&dir, pair);
    let sources: Vec<_> = PAIRS.iter().copied().map(make).collect();
    thread::scope(|scope| {
        for source in sources.into_iter().filter(Source::is_mp4) {
            let dir = &dir;
            scope.spawn(move || play_everywhere(dir, source));
        }
    });
}
