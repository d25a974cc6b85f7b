//! HLS in hls.js, which most pages use for it.

use serde_json::json;

use super::elsewhere::{Player, Site};
use super::{Watched, clock};

fn play(watched: &mut Watched, player: &Player, is_low_latency: bool) {
    let url = format!(
        "http://{}/live/door.m3u8?key=sesame",
        watched.server.http_address()
    );
    let (name, url) = (json!(player.0), json!(url));
    watched.evaluate(&format!(
        "{{
            const player = add({name});
            player.hls = new Hls({{ lowLatencyMode: {is_low_latency} }});
            player.hls.on(Hls.Events.ERROR, (event, {{ details, fatal, error }}) =>
                player.errors.push({{ details, fatal, text: String(error) }}));
            player.hls.loadSource({url});
            player.hls.attachMedia(player.video);
        }}"
    ));
}

fn print_latency(watched: &mut Watched, player: &Player) {
    let latency = player.number(watched, "player.hls.latency");
    println!("{}: {latency:.2} s behind, as hls.js sees it", player.0);
}

/// Plays a while without an error, except that a busy machine may be too slow for a buffer of a
/// second.
fn watch(watched: &mut Watched, player: &Player) {
    player.wait_for_frames(watched, 100);
    print_latency(watched, player);
    let errors = player.errors(watched);
    println!("{}: {errors}", player.0);
    let others = "player.errors.filter(error => error.details !== 'bufferStalledError')";
    let others = player.evaluate(watched, others);
    assert_eq!(others, json!([]), "{}", player.0);
}

#[test]
#[ignore = "needs Chromium, ffmpeg, BROOKLET_HLS_JS"]
fn hls_js_plays_parts_or_segments_and_goes_on_when_the_publisher_is_back() {
    let site = Site::with_library("BROOKLET_HLS_JS", "hls.js 1.7.4 (dist/hls.js)");
    let mut watched = Watched::start(&["--play-key", "sesame"]);
    let url = watched.server.url("door");
    let mut publisher = clock::publish(&url);
    watched.server.wait_for_log("publishing from", 1);
    site.open(&mut watched);

    // The very first second of the stream is available by now.
    let low_latency = Player("low latency");
    play(&mut watched, &low_latency, true);
    watch(&mut watched, &low_latency);
    let latency = clock::latency(&mut watched);
    println!("low latency: {latency:?} from ffmpeg to the screen");
    let usual = Player("usual");
    play(&mut watched, &usual, false);
    watch(&mut watched, &usual);
    watched.screenshot("hls-js");

    publisher.kill();
    let back = watched.number("Date.now()");
    let _publisher = clock::publish(&url);
    for player in [&low_latency, &usual] {
        let is_new = format!("player.hls.playingDate > {back}");
        player.wait_for(&mut watched, "it plays what came since", &is_new);
        player.wait_for_frames(&mut watched, 100);
        print_latency(&mut watched, player);
        let errors = player.errors(&mut watched);
        println!("{}: {errors}", player.0);
        let fatal = "player.video.error || player.errors.some(error => error.fatal)";
        assert_ne!(player.evaluate(&mut watched, fatal), true, "{errors}");
    }
    watched.screenshot("hls-js-back");

    let requests = watched.requests();
    let has = |text: &str| requests.iter().any(|url| url.contains(text));
    assert!(has("/media.m3u8?key=sesame&_HLS_msn="), "{requests:#?}");
    assert!(has(".0.m4s?key=sesame"), "parts: {requests:#?}");
    watched.check_at(&site);
}
