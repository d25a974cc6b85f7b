//! Clients other than the system's ffmpeg publish and play: what they receive is what was
//! published.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::media::{self, AAC, H264, ffmpeg7};
use common::packets::{
    Capture, Track, assert_is_part, assert_monotonic, decoded_pictures, flv_tags,
};
use common::process::{Program, run};
use common::{Brooklet, SOON, TempDir};

/// The length of the source.
const SECONDS: u32 = 6;

/// The number of frames, of 180, that a player has to record without a gap; some start late or end
/// early.
const MIN_PICTURES: usize = 120;

/// A server whose grace time is short enough for players to end soon, and a file to publish.
struct Scene {
    dir: TempDir,
    file: PathBuf,
    server: Brooklet,
    url: String,
}

impl Scene {
    fn new() -> Scene {
        let dir = TempDir::new();
        let file = media::make(&dir, SECONDS, &[H264, AAC]);
        let server = Brooklet::start(&["--grace", "1s"]);
        let url = server.url("cam");
        Scene {
            dir,
            file,
            server,
            url,
        }
    }

    /// Publishes with ffmpeg to the end, once `player` is there.
    fn publish_to(&self, player: &mut Command) -> Program {
        let player = Program::start(player);
        self.server.wait_for_log("waiting for its publisher", 1);
        media::publish(&self.file, &self.url).wait_for_success(SOON);
        player
    }

    /// Starts a publisher once ffprobe plays; returns what that received when both are done.
    fn play_from(&self, publisher: &mut Command) -> Capture {
        let mut player = media::play(&self.url);
        self.server.wait_for_log("waiting for its publisher", 1);
        Program::start(publisher).wait_for_success(SOON);
        player.wait_for_success(SOON);
        Capture::of_player(&player)
    }

    /// Checks that the player recorded exactly what was published.
    fn assert_recorded(&self, recorded: &Path, who: &str) {
        let (source, got) = (Capture::of_file(&self.file), Capture::of_file(recorded));
        assert_monotonic(&got, who);
        assert_eq!(got.tracks, source.tracks, "{who}");
        let expected = source.starting_at_keyframe(&source.track(Track::Video)[0].hash);
        for track in [Track::Video, Track::Audio] {
            assert_eq!(
                got.hashes(track),
                expected.hashes(track),
                "{who}: {track:?}"
            );
        }
    }

    /// Checks that ffprobe received exactly what the publisher was given.
    fn assert_played(&self, got: &Capture, publisher: &str) {
        let source = Capture::of_file(&self.file);
        assert_monotonic(got, publisher);
        // GStreamer rewrites the sequence header, so that isn't compared.
        let codecs = |c: &Capture| c.tracks.iter().map(|t| t.codec.clone()).collect::<Vec<_>>();
        assert_eq!(codecs(got), codecs(&source), "{publisher}");
        assert_eq!(
            got.hashes(Track::Video),
            source.hashes(Track::Video),
            "{publisher}"
        );
        let audio = got.hashes(Track::Audio);
        assert_is_part(
            &source.hashes(Track::Audio),
            &audio,
            audio.len().max(200),
            publisher,
        );
    }
}

/// GStreamer's launcher, with an FLV file as the source of `sink`.
fn gst_publisher(file: &Path, sink: &str) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "filesrc", &format!("location={}", file.display())]);
    let pipeline = format!(
        "! flvdemux name=demux flvmux name=mux streamable=true ! {sink} \
         demux.video ! queue ! h264parse ! mux. demux.audio ! queue ! aacparse ! mux."
    );
    command.args(pipeline.split_whitespace());
    command
}

/// GStreamer's launcher, which writes what `source` delivers to a file.
fn gst_player(source: &str, file: &Path) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(source.split_whitespace());
    command.args(["!", "filesink", &format!("location={}", file.display())]);
    command
}

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0"]
fn rtmp2src_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.flv");
    let mut player = gst_player(&format!("rtmp2src location={}", scene.url), &recorded);
    scene.publish_to(&mut player).wait_for_success(SOON);
    scene.assert_recorded(&recorded, "rtmp2src");
}

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0"]
fn rtmp2sink_publishes() {
    let scene = Scene::new();
    let sink = format!("rtmp2sink location={}", scene.url);
    let got = scene.play_from(&mut gst_publisher(&scene.file, &sink));
    scene.assert_played(&got, "rtmp2sink");
}

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0"]
fn rtmpsrc_of_librtmp_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.flv");
    let mut command = Command::new("gst-launch-1.0");
    let location = format!("location={} live=1", scene.url);
    let sink = format!("location={}", recorded.display());
    command.args([
        "-q",
        "rtmpsrc",
        &location,
        "!",
        "filesink",
        "buffer-mode=unbuffered",
        &sink,
    ]);
    let player = scene.publish_to(&mut command);
    // It reconnects whenever a stream has ended, so it has to be stopped.
    scene.server.wait_for_log("playing to", 2);
    drop(player);
    scene.assert_recorded(&recorded, "rtmpsrc");
}

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0"]
fn rtmpsink_of_librtmp_publishes() {
    let scene = Scene::new();
    let sink = format!("rtmpsink location={}", scene.url);
    let got = scene.play_from(&mut gst_publisher(&scene.file, &sink));
    scene.assert_played(&got, "rtmpsink");
}

#[test]
#[ignore = "needs ffmpeg, rtmpdump"]
fn rtmpdump_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.flv");
    let mut command = Command::new("rtmpdump");
    command
        .args(["-q", "--live", "-r", &scene.url, "-o"])
        .arg(&recorded);
    scene.publish_to(&mut command).wait_for_success(SOON);
    scene.assert_recorded(&recorded, "rtmpdump");
    // The file has everything as it came, timestamps included.
    let media = |file| {
        let mut tags = flv_tags(file);
        // An encoder's message that its stream ends is of no use to a player.
        tags.retain(|tag| tag.type_id == 9 && tag.body.get(1) == Some(&1));
        tags
    };
    assert_eq!(media(&recorded), media(&scene.file));
}

#[test]
#[ignore = "needs ffmpeg, vlc"]
fn vlc_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.ts");
    let mut command = media::vlc(scene.dir.path());
    let sout = format!("#standard{{access=file,mux=ts,dst={}}}", recorded.display());
    command.args(["--sout", &sout, &scene.url, "vlc://quit"]);
    scene.publish_to(&mut command).wait_for_success(SOON);
    let (source, got) = (decoded_pictures(&scene.file), decoded_pictures(&recorded));
    assert_is_part(&source, &got, MIN_PICTURES, "VLC");
    assert!(
        Capture::of_file(&recorded).track(Track::Audio).len() >= 200,
        "VLC got sound"
    );
}

#[test]
#[ignore = "needs ffmpeg, mpv"]
fn mpv_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.mkv");
    let mut command = Command::new("mpv");
    command.args(["--no-config", "--no-terminal", "--vo=null", "--ao=null"]);
    command
        .arg(format!("--stream-record={}", recorded.display()))
        .arg(&scene.url);
    scene.publish_to(&mut command).wait_for_success(SOON);
    let (source, got) = (Capture::of_file(&scene.file), Capture::of_file(&recorded));
    let pictures = got.hashes(Track::Video);
    assert_is_part(
        &source.hashes(Track::Video),
        &pictures,
        MIN_PICTURES,
        "mpv's pictures",
    );
    assert_is_part(
        &source.hashes(Track::Audio),
        &got.hashes(Track::Audio),
        150,
        "mpv's sound",
    );
}

#[test]
#[ignore = "needs ffmpeg, BROOKLET_FFMPEG7"]
fn ffmpeg_7_plays() {
    let ffmpeg = ffmpeg7();
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.flv");
    let mut command = media::quiet(&ffmpeg);
    command
        .args(["-i", &scene.url, "-map", "0", "-c", "copy"])
        .arg(&recorded);
    scene.publish_to(&mut command).wait_for_success(SOON);
    scene.assert_recorded(&recorded, "ffmpeg 7");
}

#[test]
#[ignore = "needs ffmpeg, BROOKLET_FFMPEG7"]
fn ffmpeg_7_publishes() {
    let ffmpeg = ffmpeg7();
    let scene = Scene::new();
    let mut command = media::quiet(&ffmpeg);
    command
        .arg("-re")
        .arg("-i")
        .arg(&scene.file)
        .args(["-c", "copy", "-f", "flv", &scene.url]);
    let got = scene.play_from(&mut command);
    let source = Capture::of_file(&scene.file);
    scene.assert_played(&got, "ffmpeg 7");
    let times = |c: &Capture| {
        c.track(Track::Video)
            .iter()
            .map(|p| p.dts)
            .collect::<Vec<_>>()
    };
    assert_eq!(times(&got), times(&source));
}

/// HEVC has no number in the classic FLV format; ffmpeg 7 sends it over Enhanced RTMP.
#[test]
#[ignore = "needs ffmpeg, BROOKLET_FFMPEG7"]
fn ffmpeg_7_publishes_and_plays_hevc() {
    let ffmpeg = ffmpeg7();
    let scene = Scene::new();
    let source = scene.dir.join("source.mkv");
    let mut encode = media::quiet("ffmpeg");
    encode
        .arg("-i")
        .arg(&scene.file)
        .args(["-c:v", "libx265", "-preset", "ultrafast"]);
    encode.args([
        "-x265-params",
        "log-level=none:bframes=0:keyint=60",
        "-c:a",
        "copy",
    ]);
    run(encode.arg(&source));

    let recorded = scene.dir.join("recorded.mkv");
    let mut play = media::quiet(&ffmpeg);
    let mut player = Program::start(
        play.args(["-i", &scene.url, "-map", "0", "-c", "copy"])
            .arg(&recorded),
    );
    scene.server.wait_for_log("waiting for its publisher", 1);
    media::publish_with(&ffmpeg, &source, &[], &scene.url).wait_for_success(SOON);
    player.wait_for_success(SOON + Duration::from_secs(5));

    assert_eq!(decoded_pictures(&recorded), decoded_pictures(&source));
    let codecs: Vec<_> = Capture::of_file(&recorded)
        .tracks
        .into_iter()
        .map(|t| t.codec)
        .collect();
    assert_eq!(codecs, ["hevc", "aac"]);
}
