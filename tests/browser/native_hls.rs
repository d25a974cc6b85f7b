//! HLS in the browser's own player.

use serde_json::json;

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
    let player = Player("native");
    let playlist = format!("http://{}/live/door.m3u8", watched.server.http_address());
    let playlist = json!(playlist);
    // Chromium 156 fetches all that is listed before it plays, and mostly takes it for an error
    // that there is no more ("Segment queue never had any data"), so pages have to retry. Without
    // CORS no script may read its frames.
    watched.evaluate(&format!(
        "{{
            const player = add('native'), {{ video }} = player;
            player.attempts = 0;
            video.crossOrigin = 'anonymous';
            const load = () => {{
                player.attempts++;
                video.src = {playlist};
            }};
            video.onerror = () => {{
                if (player.hasPlayed) player.errors.push(video.error.message);
                else setTimeout(load, 300);
            }};
            video.ontimeupdate = () => player.hasPlayed ||= video.currentTime > 1;
            load();
        }}"
    ));
    player.wait_for(&mut watched, "it plays", "player.hasPlayed");
    let attempts = player.number(&mut watched, "player.attempts");
    println!("the browser's own HLS plays after {attempts} attempts");
    watch(&mut watched, &player, "native-hls");

    let buffered = "player.video.buffered.end(player.video.buffered.length - 1)";
    publisher.kill();
    let end = player.number(&mut watched, buffered);
    let _publisher = clock::publish(&url);
    // What was published before the outage is no longer than a segment.
    let is_new = format!("player.video.currentTime > {end} + 2.5");
    player.wait_for(&mut watched, "it plays what came since", &is_new);
    watch(&mut watched, &player, "native-hls-back");
    watched.check_at(&site);
}

fn watch(watched: &mut Watched, player: &Player, name: &str) {
    player.wait_for_frames(watched, 100);
    let latency = clock::latency(watched);
    println!("{name}: {latency:?} from ffmpeg to the screen");
    watched.screenshot(name);
    assert_eq!(player.errors(watched), json!([]));
}
