//! ffmpeg, GStreamer and rtmpdump show their credentials: user and password, or a key in the URL.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::media::{self, AAC, H264, ffmpeg7};
use common::packets::{Capture, Track, flv_tags};
use common::process::Program;
use common::{Brooklet, SOON, TempDir};

const SECONDS: u32 = 3;

/// The message of ffmpeg 5 and 7.
const WRONG_PASSWORD: &str = "Incorrect username/password";

/// A server that requires credentials, and a file to publish.
struct Scene {
    dir: TempDir,
    file: PathBuf,
    server: Brooklet,
}

impl Scene {
    fn new(access: &[&str]) -> Scene {
        let dir = TempDir::new();
        let file = media::make(&dir, SECONDS, &[H264, AAC]);
        let server = Brooklet::start(&[&["--grace", "1s"], access].concat());
        Scene { dir, file, server }
    }

    fn with_users() -> Scene {
        Scene::new(&["--publish-user", "bob:pub-pw", "--play-user", "eve:play-pw"])
    }

    /// A URL with a user, a path below the host, and a query.
    fn url(&self, user: &str, path: &str) -> String {
        format!("rtmp://{user}127.0.0.1:{}/{path}", self.server.port())
    }

    /// Plays to the end of the publish, once the player has been accepted.
    fn play_to_end(&self, player: &mut Command, publisher: impl FnOnce() -> Program) -> Program {
        let mut player = Program::start(player);
        self.server.wait_for_log("waiting for its publisher", 1);
        publisher().wait_for_success(SOON);
        player.wait_for_success(SOON);
        player
    }

    fn assert_played(&self, player: &Program) {
        let (source, got) = (Capture::of_file(&self.file), Capture::of_player(player));
        assert_eq!(got.hashes(Track::Video), source.hashes(Track::Video));
    }

    /// Checks that ffmpeg gives up and prints why.
    fn assert_fails(&self, mut program: Program, words: &str) {
        assert!(!program.wait(SOON).success());
        assert!(program.stderr().contains(words), "{}", program.stderr());
    }
}

fn logs_in(ffmpeg: &str) {
    let scene = Scene::with_users();
    let mut player = common::packets::ffprobe(&scene.url("eve:play-pw@", "live/cam"));
    let url = scene.url("bob:pub-pw@", "live/cam");
    let publisher = || media::publish_with(ffmpeg, &scene.file, &[], &url);
    let player = scene.play_to_end(&mut player, publisher);
    scene.assert_played(&player);
    // Two challenges for each of the two, which are no warnings.
    let log = scene.server.log();
    assert_eq!(log.matches("asked to log in").count(), 2, "{log}");
    assert_eq!(
        log.matches("was sent a login challenge").count(),
        2,
        "{log}"
    );
    assert!(!log.contains(" warn "), "{log}");
}

fn prints_that_its_password_is_wrong(ffmpeg: &str) {
    let scene = Scene::with_users();
    for user in ["bob:wrong@", "nobody:pub-pw@"] {
        let url = scene.url(user, "live/cam");
        let publisher = media::publish_with(ffmpeg, &scene.file, &[], &url);
        scene.assert_fails(publisher, WRONG_PASSWORD);
        let mut player = media::quiet(ffmpeg);
        player.args(["-i", &url, "-f", "null", "-"]);
        scene.assert_fails(Program::start(&mut player), WRONG_PASSWORD);
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_logs_in_to_publish_and_to_play() {
    logs_in("ffmpeg");
}

#[test]
#[ignore = "needs ffmpeg, BROOKLET_FFMPEG7"]
fn ffmpeg_7_logs_in_to_publish_and_to_play() {
    logs_in(&ffmpeg7());
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_prints_that_its_password_is_wrong() {
    prints_that_its_password_is_wrong("ffmpeg");
}

#[test]
#[ignore = "needs ffmpeg, BROOKLET_FFMPEG7"]
fn ffmpeg_7_prints_that_its_password_is_wrong() {
    prints_that_its_password_is_wrong(&ffmpeg7());
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_shows_a_key_in_name_or_path_and_prints_that_one_is_required() {
    for (publish, play) in [
        ("live/cam?key=pub-key", "live/cam?token=play-key"),
        ("live/cam/pub-key", "live/cam/play-key"),
        ("live/site/cam?key=pub-key", "live/site/cam/play-key"),
    ] {
        let scene = Scene::new(&["--publish-key", "pub-key", "--play-key", "play-key"]);
        let mut player = common::packets::ffprobe(&scene.url("", play));
        let url = scene.url("", publish);
        let publisher = || media::publish(&scene.file, &url);
        let player = scene.play_to_end(&mut player, publisher);
        scene.assert_played(&player);
        let log = scene.server.log();
        assert!(
            !log.contains("pub-key") && !log.contains("play-key"),
            "{log}"
        );

        let url = scene.url("", "live/cam?key=wrong");
        let told = "wrong or missing key: use NAME?key=KEY";
        scene.assert_fails(media::publish(&scene.file, &url), told);
    }
}

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0"]
fn gstreamer_logs_in_to_publish_and_to_play() {
    let scene = Scene::with_users();
    let recorded = scene.dir.join("recorded.flv");
    let url = scene.url("", "live/cam");
    let mut player = Command::new("gst-launch-1.0");
    player.args(["-q", "rtmp2src", "username=eve", "password=play-pw"]);
    player.args([&format!("location={url}"), "!", "filesink"]);
    player.arg(format!("location={}", recorded.display()));
    let pipeline = format!(
        "-q filesrc location={} ! flvdemux ! h264parse ! flvmux streamable=true \
         ! rtmp2sink username=bob password=pub-pw location={url}",
        scene.file.display()
    );
    let mut publisher = Command::new("gst-launch-1.0");
    publisher.args(pipeline.split_whitespace());
    scene.play_to_end(&mut player, || Program::start(&mut publisher));
    let (source, got) = (Capture::of_file(&scene.file), Capture::of_file(&recorded));
    assert_eq!(got.hashes(Track::Video), source.hashes(Track::Video));
}

/// As a player it can't log in.
#[test]
#[ignore = "needs ffmpeg, rtmpdump"]
fn rtmpdump_shows_a_key_or_a_password_in_the_url() {
    for (access, path) in [
        (["--play-key", "s3cret"], "live/cam?key=s3cret"),
        (["--play-key", "s3cret"], "live/cam/s3cret"),
        (
            ["--play-user", "eve:s3cret"],
            "live?user=eve&pass=s3cret/cam",
        ),
    ] {
        let scene = Scene::new(&access);
        let recorded = scene.dir.join("recorded.flv");
        let mut player = Command::new("rtmpdump");
        player.args(["-q", "--live", "-r", &scene.url("", path), "-o"]);
        player.arg(&recorded);
        let url = scene.url("", "live/cam");
        scene.play_to_end(&mut player, || media::publish(&scene.file, &url));
        let count = |file| flv_tags(file).iter().filter(|tag| tag.type_id == 9).count();
        assert!(count(&recorded) >= SECONDS as usize * 30, "{path}");
        assert!(!scene.server.log().contains("s3cret"), "{path}");
    }
}
