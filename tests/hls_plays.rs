//! HLS in players: ffmpeg, mpv, VLC and GStreamer.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::http::HttpClient;
use common::media::{self, AAC};
use common::packets::{Capture, Track, assert_is_part, assert_monotonic, decoded_pictures};
use common::process::Program;
use common::{Brooklet, SOON, TempDir, wait_until};

/// A keyframe every two seconds, and B-frames.
const VIDEO: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "2",
    "-g",
    "60",
    "-sc_threshold",
    "0",
];

/// The length of the source.
const SECONDS: u32 = 24;

/// The number of frames, of 720, that a player has to show without a gap, and of audio frames, of
/// about 1030.
const MIN_PICTURES: usize = 360;
const MIN_SOUNDS: usize = 450;

/// The frames of a quarter of a second.
const LAST: usize = 8;

struct Scene {
    dir: TempDir,
    file: PathBuf,
    server: Brooklet,
}

impl Scene {
    fn new() -> Scene {
        let dir = TempDir::new();
        let file = media::make(&dir, SECONDS, &[VIDEO, AAC]);
        let server = Brooklet::start(&["--grace", "1s"]);
        Scene { dir, file, server }
    }

    fn url(&self) -> String {
        format!("http://{}/live/cam.m3u8", self.server.http_address())
    }

    fn client(&self) -> HttpClient {
        HttpClient::connect(self.server.http_address())
    }

    /// Starts to publish; returns when there is a playlist.
    fn publish(&self) -> Program {
        let publisher = media::publish(&self.file, &self.server.url("cam"));
        let mut client = self.client();
        wait_until("there is a playlist", SOON, || {
            client.get("/live/cam.m3u8").status == 200
        });
        publisher
    }

    /// Publishes to the end while `player` plays to the end.
    fn play(&self, player: &mut Command) -> Program {
        let mut publisher = self.publish();
        let mut player = Program::start(player);
        publisher.wait_for_success(SOON * 2);
        player.wait_for_success(SOON * 2);
        player
    }

    /// Checks that the file has what was published, from a keyframe on.
    fn check_packets(&self, got: &Capture, who: &str) {
        let source = Capture::of_file(&self.file);
        for (track, min) in [(Track::Video, MIN_PICTURES), (Track::Audio, MIN_SOUNDS)] {
            assert_is_part(&source.hashes(track), &got.hashes(track), min, who);
        }
        let (source, got) = (source.track(Track::Video), got.track(Track::Video));
        assert!(got[0].is_keyframe, "{who} begins with a keyframe");
        let ends = |packets: &[&common::packets::Packet]| packets.last().unwrap().hash.clone();
        assert_eq!(ends(&got), ends(&source), "{who} plays to the end");
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_gets_every_packet_to_the_end() {
    let scene = Scene::new();
    let player = scene.play(&mut common::packets::ffprobe(&scene.url()));
    // It reports for every segment that its init segment is known already.
    for line in player.stderr().lines() {
        assert!(
            line.contains("duplicated MOOV") || line.contains("Last message"),
            "{line}"
        );
    }
    let got = Capture::of_player(&player);
    assert_monotonic(&got, "ffprobe");
    scene.check_packets(&got, "ffprobe");
}

#[test]
#[ignore = "needs ffmpeg"]
fn frames_that_ffmpeg_decodes_are_those_of_the_source() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.mkv");
    let mut command = media::quiet("ffmpeg");
    command
        .args(["-i", &scene.url(), "-c", "copy"])
        .arg(&recorded);
    scene.play(&mut command);
    let (source, got) = (decoded_pictures(&scene.file), decoded_pictures(&recorded));
    assert_is_part(&source, &got, MIN_PICTURES, "ffmpeg");
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
        .arg(scene.url());
    scene.play(&mut command);
    scene.check_packets(&Capture::of_file(&recorded), "mpv");
}

#[test]
#[ignore = "needs ffmpeg, vlc"]
fn vlc_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.ts");
    let mut command = media::vlc(scene.dir.path());
    let sout = format!("#standard{{access=file,mux=ts,dst={}}}", recorded.display());
    command.args(["--sout", &sout, &scene.url(), "vlc://quit"]);
    scene.play(&mut command);
    let (source, got) = (decoded_pictures(&scene.file), decoded_pictures(&recorded));
    // It drops some of the last quarter of a second.
    let got = &got[..got.len().saturating_sub(LAST)];
    assert_is_part(&source, got, MIN_PICTURES, "VLC");
    let sounds = Capture::of_file(&recorded).track(Track::Audio).len();
    assert!(sounds >= MIN_SOUNDS, "VLC got {sounds} sounds");
}

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0"]
fn gstreamer_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.mkv");
    let mut command = Command::new("gst-launch-1.0");
    let location = format!("location={}", scene.url());
    let file = format!("location={}", recorded.display());
    command.args([
        "-e",
        "souphttpsrc",
        &location,
        "!",
        "hlsdemux",
        "!",
        "qtdemux",
        "name=d",
    ]);
    command.args([
        "d.video_0",
        "!",
        "queue",
        "!",
        "h264parse",
        "!",
        "matroskamux",
        "name=m",
    ]);
    command.args(["!", "filesink", &file]);
    command.args(["d.audio_0", "!", "queue", "!", "aacparse", "!", "m."]);
    scene.play(&mut command);
    let (source, got) = (decoded_pictures(&scene.file), decoded_pictures(&recorded));
    assert_is_part(&source, &got, MIN_PICTURES, "GStreamer");
}
