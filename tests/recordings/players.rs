//! Recordings in players: files, spans, playlists, and the last seconds of what is live, from the beginning
//! and from the middle, over file borders, over the return of a publisher, and over a gap.

use std::ops::RangeInclusive;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use super::chromium::Browser;
use super::common::packets::decoded_pictures;
use super::common::process::Program;
use super::common::{Brooklet, SOON, TempDir, media, wait_until};
use super::sources::{FPS, FRAMES, PAIRS, SECONDS, Source};
use super::{get, list};

/// The deadline for a player that plays half a minute on a busy machine.
const PATIENCE: std::time::Duration = SOON.saturating_mul(2);

/// The seconds within which a publisher returns.
const GRACE: usize = 20;

/// The seconds in front of the gap that VLC, which plays in real time, sees of a playlist.
const BEFORE_GAP: usize = 6;

/// One stream, and what was sent.
struct Scene<'a> {
    server: &'a Brooklet,
    source: Source,
    pictures: Vec<String>,
}

/// What a player must show.
#[derive(Clone, Copy)]
struct Part {
    /// The seconds of what was sent in which the first frame may be, and those around.
    from: [usize; 2],
    /// The number of frames, more or less.
    frames: usize,
}

impl Part {
    fn at(from: usize, frames: usize) -> Part {
        Part {
            from: [from; 2],
            frames,
        }
    }
}

impl Scene<'_> {
    fn name(&self) -> &'static str {
        self.source.pair.name
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.http_address())
    }

    /// Plays with VLC from a second on.
    fn play_in_vlc(&self, path: &str, start: usize, part: Part) {
        let dir = TempDir::new();
        let shown = dir.join("vlc.y4m");
        let mut command = media::vlc(dir.path());
        command.args(["--vout", "yuv", "--yuv-yuv4mpeg2", "--yuv-file"]);
        command.arg(&shown);
        let others = "--no-drop-late-frames --no-skip-frames --aout adummy --no-osd \
            --no-video-title-show -v";
        command.args(others.split_whitespace());
        command.arg(format!("--start-time={start}"));
        let mut program = Program::start(command.args([&self.url(path), "vlc://quit"]));
        program.wait_for_success(PATIENCE);
        let shown = decoded_pictures(&shown);
        self.assert_shown(shown, part, &format!("{}, VLC, {path}", self.name()));
    }

    /// The same with mpv, which plays as fast as it can.
    fn play_in_mpv(&self, path: &str, start: usize, part: Part) {
        let dir = TempDir::new();
        let shown = dir.join("mpv.nut");
        let mut command = Command::new("mpv");
        let others = "--no-config --msg-level=all=warn --no-audio --of=nut --ovc=ffv1 \
            --vf=format=yuv420p";
        command.args(others.split_whitespace());
        // Of HLS with MP4, ffmpeg 5.1 decodes nothing once it has moved in time.
        if start > 0 {
            command.arg(format!("--start={start}"));
        }
        command.arg(format!("--o={}", shown.display()));
        let mut program = Program::start(command.arg(self.url(path)));
        program.wait_for_success(PATIENCE);
        let who = format!("{}, mpv, {path}", self.name());
        assert_eq!(program.stderr(), "", "{who}");
        self.assert_shown(decoded_pictures(&shown), part, &who);
    }

    /// Checks that these are pictures that were sent, in order.
    fn assert_shown(&self, mut shown: Vec<String>, part: Part, who: &str) {
        shown.dedup();
        let from = (part.from[0] * FPS).saturating_sub(FPS);
        let sent = &self.pictures[from..];
        let first = sent.iter().position(|picture| *picture == shown[0]);
        let first = first.unwrap_or_else(|| panic!("{who}: begins elsewhere"));
        let latest = (part.from[1] + 1) * FPS;
        assert!(
            from + first <= latest,
            "{who}: begins with frame {}",
            from + first
        );
        let mut rest = sent[first..].iter().enumerate();
        for (index, picture) in shown.iter().enumerate() {
            let at = rest.find(|(_, sent)| *sent == picture);
            assert!(at.is_some(), "{who}: frame {index} isn't sent, or too late");
        }
        let (got, least) = (shown.len(), part.frames * 9 / 10);
        assert!(got >= least, "{who}: {got} frames of {}", part.frames);
        println!("{who}: {got} frames of {}", part.frames);
    }
}

/// Something to play in Chromium.
struct Played {
    path: String,
    /// The number of seconds that it lasts.
    seconds: RangeInclusive<f64>,
}

/// Plays these in Chromium, all at once: a little from the beginning, a frame behind the middle, where a publisher
/// may have returned, and the end.
fn play_in_chromium(browser: &mut Browser, wanted: &[Played]) {
    for (said, Played { path, seconds }) in evaluate(browser, PLAY, wanted).iter().zip(wanted) {
        let who = format!("Chromium, {path}: {said}");
        println!("{who}");
        assert_eq!(said["error"], Value::Null, "{who}");
        let duration = said["duration"].as_f64().unwrap();
        assert!(seconds.contains(&duration), "{who}");
        let middle = said["middle"].as_f64().unwrap();
        assert!((middle - duration * 0.6).abs() < 0.25, "{who}");
    }
}

/// Loads all of these playlists with hls.js, and plays the beginning, a gap, and the end.
fn play_in_hls_js(browser: &mut Browser, wanted: &[Played]) {
    for (said, Played { path, seconds }) in evaluate(browser, PLAY_HLS, wanted).iter().zip(wanted) {
        let who = format!("hls.js, {path}: {said}");
        println!("{who}");
        assert_eq!(said["error"], Value::Null, "{who}");
        assert_eq!(said["faults"], json!([]), "{who}");
        let ranges = said["ranges"].as_array().unwrap();
        assert_eq!(ranges.len(), 1, "{who}");
        let [start, end] = [0, 1].map(|index| ranges[0][index].as_f64().unwrap());
        assert!(seconds.contains(&(end - start)), "{who}");
    }
}

/// What a script says of each.
fn evaluate(browser: &mut Browser, script: &str, wanted: &[Played]) -> Vec<Value> {
    let script = script
        .replace("COMMON", COMMON)
        .replace("SECONDS", &SECONDS.to_string());
    let scripts = wanted
        .iter()
        .map(|Played { path, .. }| script.replace("PATH", path));
    let scripts: Vec<_> = scripts.collect();
    let said = browser.evaluate(&format!("Promise.all([{}])", scripts.join(",")));
    said.as_array().expect("a result of each").clone()
}

/// How long it takes to play what was published so many times: longer by the time that a publisher needed to
/// return.
fn lasts(times: usize) -> RangeInclusive<f64> {
    let seconds = (times * SECONDS) as f64;
    seconds - 0.5..=seconds + GRACE as f64
}

/// Functions for the scripts that follow.
const COMMON: &str = "
    const video = document.createElement('video'), said = {};
    const done = error => { video.remove(); resolve({ ...said, error }); };
    const event = name => new Promise(then => video.addEventListener(name, then, { once: true }));
    const shown = () => new Promise(then => video.requestVideoFrameCallback((_, frame) => then(frame)));
    const reach = async time => { while (video.currentTime < time) await event('timeupdate'); };
    setTimeout(() => done('too late'), 50000);
    video.muted = true;
    document.body.append(video);
";

/// Plays a path in a page of the server, and returns what came of it.
const PLAY: &str = "new Promise(resolve => {
    COMMON
    video.onerror = () => done(video.error.message);
    video.src = 'PATH';
    (async () => {
        await Promise.all([shown(), video.play()]);
        await reach(0.3);
        said.duration = video.duration;
        video.pause();
        let frame = shown();
        video.currentTime = video.duration * 0.6;
        // One from before may still be on its way.
        while ((said.middle = (await frame).mediaTime) < video.duration / 2) frame = shown();
        await video.play();
        const ended = event('ended');
        video.currentTime = video.duration - 1;
        await ended;
    })().then(() => done(null), error => done(String(error)));
})";

/// The same with hls.js. It doesn't end a stream of which nothing was played.
const PLAY_HLS: &str = "new Promise(resolve => {
    COMMON
    said.faults = [];
    const hls = new Hls({ maxBufferLength: 60, enableWorker: false });
    const on = name => new Promise(then => hls.once(Hls.Events[name], then));
    hls.on(Hls.Events.ERROR, (_, { details, fatal }) => {
        // A busy machine may be too slow, and with B-frames the first picture isn't at 0.
        const isStart = details === 'bufferSeekOverHole' && video.currentTime < 1;
        if (details !== 'bufferStalledError' && !isStart) said.faults.push(details);
        if (fatal) done(details);
    });
    const loaded = on('BUFFER_EOS');
    hls.loadSource('PATH');
    hls.attachMedia(video);
    (async () => {
        await on('MANIFEST_PARSED');
        await video.play();
        await loaded;
        await reach(0.3);
        said.ranges = [...Array(video.buffered.length).keys()]
            .map(i => [video.buffered.start(i), video.buffered.end(i)]);
        // Behind it, the source was published once.
        const gap = video.buffered.end(0) - SECONDS;
        video.currentTime = gap - 0.5;
        await event('seeked');
        await reach(gap + 0.5);
        const ended = event('ended');
        video.currentTime = video.buffered.end(0) - 1;
        await ended;
        hls.destroy();
    })().then(() => done(null), error => done(String(error)));
})";

/// A browser with a page of a server, and hls.js in it.
fn open_browser(server: &Brooklet) -> Browser {
    let library = std::env::var("BROOKLET_HLS_JS").unwrap_or_else(|_| {
        panic!("set BROOKLET_HLS_JS to the path of hls.js 1.7.4 (dist/hls.js)")
    });
    let library = std::fs::read_to_string(&library).unwrap();
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", server.http_address()));
    browser.evaluate(&format!("{library};0"));
    browser
}

/// Publishes all sources to the end.
fn publish(scenes: &[Scene<'_>]) {
    let publishers: Vec<_> = scenes
        .iter()
        .map(|scene| scene.source.publish(scene.server))
        .collect();
    for mut publisher in publishers {
        publisher.wait_for_success(SOON);
    }
}

/// Waits until the files of all streams are closed, for the `times`th time, and returns what the server
/// lists of each stream.
fn wait_for_the_end(scenes: &[Scene<'_>], times: usize) -> Vec<Value> {
    let server = scenes[0].server;
    server.wait_for_log(": recorded ", times * scenes.len());
    let recorded = scenes.iter().map(|scene| {
        let query = format!("?stream=live/{}", scene.name());
        list(server.http_address(), &query)["recordings"][0].clone()
    });
    recorded.collect()
}

/// The times between which a span was recorded.
fn ends(recorded: &Value, span: usize) -> [String; 2] {
    let span = &recorded["spans"][span];
    ["from", "to"].map(|end| span[end].as_str().expect("there is such a span").to_owned())
}

/// Debian's Chromium has no decoder for HEVC.
fn is_for_chromium(scene: &Scene<'_>) -> bool {
    scene.name() != "hevc-aac"
}

/// What a browser has to play: what `of` makes of the index of each stream.
fn for_chromium(scenes: &[Scene<'_>], of: impl Fn(usize) -> Played) -> Vec<Played> {
    let scenes = scenes.iter().enumerate();
    let scenes = scenes.filter(|(_, scene)| is_for_chromium(scene));
    scenes.map(|(index, _)| of(index)).collect()
}

/// Plays the last seconds while more is published.
fn play_last_seconds(scenes: &[Scene<'_>]) {
    let mut browser = open_browser(scenes[0].server);
    for scene in scenes {
        let path = format!("/live/{}.mp4?last=8s", scene.name());
        let whole = std::fs::metadata(&scene.source.file).unwrap().len() as usize;
        wait_until("there are seconds enough", SOON, || {
            let last = get(scene.server.http_address(), &path, "");
            last.status == 200 && last.body.len() > whole * 6 / 10
        });
    }
    // More is published meanwhile.
    let from = [SECONDS, 2 * SECONDS];
    let (frames, rest) = (6 * FPS, 2 * FPS);
    thread::scope(|scope| {
        for scene in scenes {
            let path = format!("/live/{}.mp4?last=8s", scene.name());
            scope.spawn(move || {
                scene.play_in_mpv(&path, 0, Part { from, frames });
                scene.play_in_mpv(&path, 4, Part { from, frames: rest });
            });
            scope.spawn(move || {
                let path = format!("/live/{}.mp4?last=8s", scene.name());
                scene.play_in_vlc(&path, 0, Part { from, frames });
            });
        }
        let last = for_chromium(scenes, |index| Played {
            path: format!("/live/{}.mp4?last=8s", scenes[index].name()),
            seconds: 6.5..=9.5,
        });
        play_in_chromium(&mut browser, &last);
    });
}

/// Plays files, and what was published twice, without a gap, as one file.
fn play_files_and_spans(scenes: &[Scene<'_>], recorded: &[Value]) {
    let whole = Part::at(0, 2 * FRAMES);
    let middle = SECONDS + SECONDS / 2;
    // Earlier by the time that the publisher needed to return.
    let rest = Part {
        from: [SECONDS, middle],
        frames: FRAMES / 2,
    };
    let span = |index: usize| {
        let [from, to] = ends(&recorded[index], 0);
        let name = scenes[index].name();
        format!("/recordings/live/{name}.mp4?from={from}&to={to}")
    };
    // The second of a stream, 4 s or so.
    let file = |index: usize| {
        let file = recorded[index]["files"][1]["name"].as_str().unwrap();
        format!("/recordings/live/{}/{file}", scenes[index].name())
    };
    let from = [0, SECONDS];
    let rest_of_file = Part { from, frames: FPS };
    let (span, file) = (&span, &file);
    thread::scope(|scope| {
        for (index, scene) in scenes.iter().enumerate() {
            scope.spawn(move || {
                scene.play_in_mpv(&span(index), 0, whole);
                scene.play_in_mpv(&span(index), middle, rest);
                scene.play_in_mpv(&file(index), 2, rest_of_file);
                scene.play_in_vlc(&file(index), 2, rest_of_file);
                scene.play_in_vlc(&span(index), middle, rest);
            });
        }
        // In real time, so with one stream only.
        scope.spawn(|| scenes[0].play_in_vlc(&span(0), 0, whole));
        let mut browser = open_browser(scenes[0].server);
        let spans = for_chromium(scenes, |index| Played {
            path: span(index),
            seconds: lasts(2),
        });
        play_in_chromium(&mut browser, &spans);
        let files = for_chromium(scenes, |index| Played {
            path: file(index),
            seconds: 2.5..=5.5,
        });
        play_in_chromium(&mut browser, &files);
    });
}

/// Plays all that was recorded, with a gap in it, as a playlist.
fn play_playlists(scenes: &[Scene<'_>], recorded: &[Value]) {
    let whole = Part::at(0, 3 * FRAMES);
    let gap = 2 * SECONDS;
    let later = Part::at(gap - BEFORE_GAP, BEFORE_GAP * FPS + FRAMES);
    let playlist = |index: usize, from: &str| {
        let [_, to] = ends(&recorded[index], 1);
        let name = scenes[index].name();
        format!("/recordings/live/{name}.m3u8?from={from}&to={to}")
    };
    let playlist = &playlist;
    thread::scope(|scope| {
        for (index, scene) in scenes.iter().enumerate() {
            let [from, end] = ends(&recorded[index], 0);
            scope.spawn(move || {
                scene.play_in_mpv(&playlist(index, &from), 0, whole);
                let end = brooklet::http::query::time(&end).unwrap();
                let from = end - 1_000 * BEFORE_GAP as u64;
                scene.play_in_vlc(&playlist(index, &from.to_string()), 0, later);
            });
        }
        let middle = gap + SECONDS / 2;
        let end = Part {
            // The beginning of a segment, or earlier by the time that the publisher needed to return.
            from: [gap, middle],
            frames: FRAMES / 2,
        };
        let [from, _] = ends(&recorded[0], 0);
        scope.spawn(move || scenes[0].play_in_vlc(&playlist(0, &from), middle, end));
        let playlists = for_chromium(scenes, |index| Played {
            path: playlist(index, &ends(&recorded[index], 0)[0]),
            seconds: lasts(3),
        });
        play_in_hls_js(&mut open_browser(scenes[0].server), &playlists);
    });
}

#[test]
#[ignore = "needs ffmpeg, vlc, mpv, Chromium, BROOKLET_FFMPEG9, BROOKLET_HLS_JS"]
fn recordings_play_everywhere_over_files_returns_and_gaps() {
    let dir = TempDir::new();
    let folder = dir.join("recordings");
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.display().to_string();
    let rules = format!(
        "--record-segment 4s --record-free 0 --grace {GRACE}s --max-connect-rate 1000 --memory 128M"
    );
    let mut arguments: Vec<&str> = rules.split_whitespace().collect();
    arguments.extend(["--record", &folder]);
    let server = Brooklet::start(&arguments);
    let make = |pair| {
        let source = Source::make(&dir, pair);
        // It is published three times.
        let pictures = decoded_pictures(&source.file);
        let pictures = [&pictures[..]; 3].concat();
        Scene {
            server: &server,
            source,
            pictures,
        }
    };
    let scenes = PAIRS.iter().copied().map(make);
    let scenes: Vec<_> = scenes.filter(|scene| scene.source.is_mp4()).collect();

    publish(&scenes);
    thread::scope(|scope| {
        scope.spawn(|| publish(&scenes));
        play_last_seconds(&scenes);
    });
    let recorded = wait_for_the_end(&scenes, 1);
    thread::scope(|scope| {
        scope.spawn(|| publish(&scenes));
        play_files_and_spans(&scenes, &recorded);
    });
    let recorded = wait_for_the_end(&scenes, 2);
    play_playlists(&scenes, &recorded);
}
