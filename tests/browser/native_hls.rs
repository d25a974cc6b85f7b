//! HLS as the browser plays it by itself.

use serde_json::json;

use super::common::http::HttpClient;
use super::common::{SOON, wait_until};
use super::elsewhere::{Player, Site};
use super::{Watched, clock};

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_browser_with_hls_plays_it_and_goes_on_when_the_publisher_is_back() {
    let site = Site::bare();
    let mut watched = Watched::start(&[]);
    site.open(&mut watched);
    let can = "document.createElement('video').canPlayType('application/vnd.apple.mpegurl')";
    if watched.text(can).is_empty() {
        println!("not tested: this browser has no HLS of its own");
        return;
    }
    let url = watched.server.url("door");
    let mut publisher = clock::publish(&url);
    watched.server.wait_for_log("publishing from", 1);
    // Chromium 156 plays nothing of the first segment, and takes it for an error when the playlist
    // has no other with a keyframe.
    let mut other_viewer = HttpClient::connect(watched.server.http_address());
    wait_until("three segments are listed", SOON, || {
        let playlist = other_viewer.get("/live/door/media.m3u8").text();
        playlist.matches("#EXTINF").count() >= 3
    });
    let player = Player("native");
    let playlist = format!("http://{}/live/door.m3u8", watched.server.http_address());
    let playlist = json!(playlist);
    // Without this its pictures can't be read.
    watched.evaluate(&format!(
        "add('native').video.crossOrigin = 'anonymous';
         players.native.video.src = {playlist};"
    ));
    watch(&mut watched, &player, "native-hls");

    let buffered = "player.video.buffered.end(player.video.buffered.length - 1)";
    publisher.kill();
    let end = player.number(&mut watched, buffered);
    let _publisher = clock::publish(&url);
    // What was published before it went away is no longer than a segment.
    let is_new = format!("player.video.currentTime > {end} + 2.5");
    player.wait_for(&mut watched, "it plays what came since", &is_new);
    watch(&mut watched, &player, "native-hls-back");
    watched.check_at(&site);
}

fn watch(watched: &mut Watched, player: &Player, name: &str) {
    player.wait_for_pictures(watched, 100);
    let latency = clock::latency(watched);
    println!("{name}: {latency:?} from ffmpeg to the screen");
    watched.screenshot(name);
    assert_eq!(player.errors(watched), json!([]));
}
