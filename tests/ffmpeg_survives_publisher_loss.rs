//! A publisher that is lost and comes back doesn't end its players' sessions; one that stays away
//! ends them cleanly.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::media::{self, AAC, H264};
use common::packets::{Capture, Track, assert_is_part, assert_monotonic};
use common::process::Program;
use common::{Brooklet, SOON, TempDir, all_the_while, wait_until};

/// The frames of the source, 30 per second.
const PICTURES: usize = 5 * 30;

/// The frames that a player has before its publisher is lost.
const PICTURES_BEFORE: usize = 2 * 30;

/// How the publisher is lost.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    /// It dies; the kernel closes its connection.
    Killed,
    /// It hangs; its connection stays open, and it wakes up when its successor is there.
    Frozen,
}

/// A server, a file to publish, and two players that are there from the start.
struct Scene {
    /// Holds the file.
    _dir: TempDir,
    file: PathBuf,
    server: Brooklet,
    /// Prints its packets.
    player: Program,
    /// Decodes them.
    decoder: Program,
}

impl Scene {
    fn new(arguments: &[&str]) -> Scene {
        let dir = TempDir::new();
        let file = media::make(&dir, 5, &[H264, AAC]);
        let server = Brooklet::start(arguments);
        let url = server.url("cam");
        let (player, decoder) = (media::play(&url), media::play_decoding(&url));
        server.wait_for_log("waiting for its publisher", 2);
        Scene {
            _dir: dir,
            file,
            server,
            player,
            decoder,
        }
    }

    fn publish(&self) -> Program {
        media::publish(&self.file, &self.server.url("cam"))
    }

    fn wait_for_pictures(&self, count: usize) {
        wait_until(&format!("the player has {count} pictures"), SOON, || {
            Capture::of_player(&self.player).track(Track::Video).len() >= count
        });
    }

    fn are_players_there(&mut self) -> bool {
        self.player.is_running() && self.decoder.is_running()
    }
}

fn players_go_on(loss: Loss, away: Duration) {
    let mut scene = Scene::new(&[]);
    let mut lost = scene.publish();
    scene.wait_for_pictures(PICTURES_BEFORE);
    match loss {
        Loss::Killed => lost.kill(),
        Loss::Frozen => lost.signal("STOP"),
    }
    all_the_while("the players stay", away, || scene.are_players_there());
    let before = Capture::of_player(&scene.player).track(Track::Video).len();

    let mut back = scene.publish();
    scene.server.wait_for_log("publishing from", 2);
    if loss == Loss::Frozen {
        lost.signal("CONT");
        // Its name is taken over; it finds its connection closed.
        assert!(!lost.wait(SOON).success());
    }
    back.wait_for_success(SOON);
    scene.wait_for_pictures(before + PICTURES - 30);
    assert!(scene.are_players_there());
    scene.server.stop();
    scene.player.wait_for_success(SOON);
    scene.decoder.wait_for_success(SOON);

    let (source, got) = (
        Capture::of_file(&scene.file),
        Capture::of_player(&scene.player),
    );
    assert_monotonic(&got, "player");
    assert_eq!(got.tracks, source.tracks);
    let (source, pictures) = (source.hashes(Track::Video), got.track(Track::Video));
    let seam = pictures
        .iter()
        .rposition(|picture| picture.is_keyframe)
        .unwrap_or_default();
    assert!(
        seam >= PICTURES_BEFORE,
        "the new publisher's pictures begin with a keyframe"
    );
    let hashes = got.hashes(Track::Video);
    assert_eq!(hashes[seam..], source[..], "the new publisher's pictures");
    assert_is_part(
        &source,
        &hashes[..seam],
        PICTURES_BEFORE,
        "the old publisher's pictures",
    );
    assert_eq!(hashes[0], source[0]);
    assert_eq!(
        scene.decoder.stderr(),
        "",
        "the decoder has nothing to complain about"
    );
}

#[test]
#[ignore = "needs ffmpeg"]
fn players_go_on_when_a_killed_publisher_is_back_after_three_seconds() {
    players_go_on(Loss::Killed, Duration::from_secs(3));
}

#[test]
#[ignore = "needs ffmpeg"]
fn players_go_on_when_a_killed_publisher_is_back_after_twenty_seconds() {
    players_go_on(Loss::Killed, Duration::from_secs(20));
}

#[test]
#[ignore = "needs ffmpeg"]
fn players_go_on_when_a_frozen_publisher_is_replaced_after_three_seconds() {
    players_go_on(Loss::Frozen, Duration::from_secs(3));
}

#[test]
#[ignore = "needs ffmpeg"]
fn players_go_on_when_a_frozen_publisher_is_replaced_after_twenty_seconds() {
    players_go_on(Loss::Frozen, Duration::from_secs(20));
}

#[test]
#[ignore = "needs ffmpeg"]
fn players_end_cleanly_when_the_publisher_stays_away() {
    let mut scene = Scene::new(&["--grace", "2s"]);
    let mut lost = scene.publish();
    scene.wait_for_pictures(PICTURES_BEFORE);
    lost.kill();
    scene.player.wait_for_success(SOON);
    scene.decoder.wait_for_success(SOON);
    let (source, got) = (
        Capture::of_file(&scene.file),
        Capture::of_player(&scene.player),
    );
    assert_monotonic(&got, "player");
    let (source, got) = (source.hashes(Track::Video), got.hashes(Track::Video));
    assert_eq!(got[..], source[..got.len()]);
    scene.server.stop();
}
