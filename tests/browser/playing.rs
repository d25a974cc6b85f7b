//! Video, audio, and what happens when either side goes away.

use std::time::{Duration, Instant};

use super::common::media::{AAC, H264, make, quiet};
use super::common::process::Program;
use super::common::{SOON, TempDir, all_the_while, wait_until};
use super::{SAID, SHOWN, Watched, clock};

/// Plays a while, prints the latency, and takes a screenshot.
fn watch(watched: &mut Watched, name: &str) {
    watched.wait_until_it_plays();
    let dropped = watched.wait_for_frames(100);
    let latency = clock::latency(&mut watched.browser);
    println!("{name}: {latency:?} from ffmpeg to the screen, {dropped} frames dropped");
    watched.screenshot(name);
}

/// The number of WebSockets that were opened.
fn sockets(watched: &Watched) -> usize {
    let requests = watched.requests();
    requests.iter().filter(|url| url.starts_with("ws")).count()
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_click_plays_a_stream_and_it_resumes_when_its_publisher_is_back() {
    let mut watched = Watched::start(&["--grace", "1"]);
    let url = watched.server.url("door");
    let mut publisher = clock::publish(&url);
    watched.open_path("/");
    watched.wait_for("the stream is there", "document.querySelector('.play')");
    let facts = ".textContent.includes('H.264 640×360 30 fps · AAC 48 kHz stereo')";
    let facts = format!("document.querySelector('.soft'){facts}");
    watched.wait_for("what it is has been measured", &facts);

    let clicked = Instant::now();
    watched.click(".play");
    watched.wait_for("a frame", &format!("{SHOWN} > 0"));
    println!("frame {:?} after the click", clicked.elapsed());
    watch(&mut watched, "click");
    let viewers = "document.querySelector('.soft').textContent.includes(' 1 viewer ')";
    watched.wait_for("the list counts the viewer", viewers);

    // The first button turns on the audio; browsers decode none before.
    assert_eq!(
        watched.evaluate("document.querySelector('.player video').muted"),
        true
    );
    watched.click(".bar button");
    let audio = "(v => !v.muted && !v.paused && v.webkitAudioDecodedByteCount)";
    let audio = format!("{audio}(document.querySelector('.player video')) > 0");
    watched.wait_for("there is audio", &audio);
    watched.wait_for_frames(30);
    let name = watched.text("document.querySelector('.bar button').textContent");
    assert_eq!(name, "Sound off");

    publisher.kill();
    watched.wait_for("the player says so", SAID);
    watched.wait_for(
        "the stream is over",
        &format!("{SAID}.includes('not live')"),
    );
    watched.screenshot("gone");
    let _publisher = clock::publish(&url);
    watch(&mut watched, "back");
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_publisher_that_is_back_within_the_grace_time_goes_on_in_the_same_connection() {
    let mut watched = Watched::start(&[]);
    let url = watched.server.url("door");
    let mut publisher = clock::publish(&url);
    watched.open_path("/live/door");
    watch(&mut watched, "before-grace");
    let connections = sockets(&watched);
    publisher.kill();
    watched.wait_for("the player says so", SAID);
    let _publisher = clock::publish(&url);
    watch(&mut watched, "after-grace");
    assert_eq!(sockets(&watched), connections);
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn after_a_network_stall_the_player_returns_to_the_live_edge() {
    let mut watched = Watched::start(&[]);
    let publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/live/door");
    watched.wait_until_it_plays();
    watched.wait_for_frames(30);
    publisher.signal("STOP");
    watched.wait_for(
        "the player says so",
        &format!("{SAID}.includes('No picture')"),
    );
    // What was held back comes all at once.
    publisher.signal("CONT");
    watched.wait_for("it goes on", &format!("!{SAID}"));
    let behind = "(v => v.buffered.end(v.buffered.length - 1) - v.currentTime)\
                  (document.querySelector('.player video'))";
    watched.wait_for("it is at the edge", &format!("{behind} < 1"));
    watch(&mut watched, "stutter");
    println!("{:.2} s behind the newest frame", watched.number(behind));
    watched.wait_for("it still is", &format!("{behind} < 1"));
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_player_alone_waits_for_its_stream_and_starts_by_itself() {
    let mut watched = Watched::start(&[]);
    watched.open_path("/live/door");
    watched.wait_for(
        "it says so",
        &format!("{SAID}.includes('live/door is not live')"),
    );
    watched.screenshot("alone-waiting");
    let _publisher = clock::publish(&watched.server.url("door"));
    watch(&mut watched, "alone");
    let inner = "innerWidth === document.querySelector('video').clientWidth \
                 && innerHeight === document.querySelector('video').clientHeight";
    assert_eq!(watched.evaluate(inner), true, "it fills the window");
    assert_eq!(watched.text("document.title"), "live/door");
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn without_web_sockets_it_plays_over_http() {
    let mut watched = Watched::start(&[]);
    watched.prepare(
        "self.WebSocket = class {
            constructor() { setTimeout(() => this.onclose({ code: 1006 })); }
            close() {}
        };",
    );
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/live/door");
    watch(&mut watched, "http");
    let requests = watched.requests();
    assert!(
        requests
            .iter()
            .any(|url| url.ends_with("/live/door.mp4?challenge=off&join=gop"))
    );
    assert!(!requests.iter().any(|url| url.starts_with("ws")));
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn without_media_source_it_plays_hls_if_the_browser_can() {
    let mut watched = Watched::start(&[]);
    watched.prepare("delete self.MediaSource; delete self.ManagedMediaSource;");
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/live/door");
    let can = "document.createElement('video').canPlayType('application/vnd.apple.mpegurl')";
    if watched.text(can).is_empty() {
        println!("this Chromium has no HLS of its own");
        watched.wait_for("it says so", &format!("{SAID}.includes('cannot play')"));
    } else {
        watched.wait_until_it_plays();
        watched.wait_for_frames(100);
        let latency = clock::latency(&mut watched.browser);
        println!("HLS of the browser: {latency:?} from ffmpeg to the screen");
        watched.screenshot("hls");
    }
    watched.check();
}

/// Browsers open six HTTP connections to a host.
#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn eight_streams_play_on_one_page_beside_its_list() {
    const STREAMS: usize = 8;

    let dir = TempDir::new();
    let small: &[&str] = &["-vf", "scale=160:90", "-r", "10"];
    let file = make(&dir, 4, &[H264, AAC, small]);
    let mut watched = Watched::start(&[]);
    let publishers: Vec<_> = (0..STREAMS)
        .map(|number| {
            let url = watched.server.url(&format!("cam{number}"));
            // Endless.
            let mut command = quiet("ffmpeg");
            command.args(["-re", "-stream_loop", "-1", "-i"]).arg(&file);
            command.args(["-c", "copy", "-f", "flv", &url]);
            Program::start(&mut command)
        })
        .collect();
    watched.open_path("/");
    let cards = format!("document.querySelectorAll('.play').length === {STREAMS}");
    watched.wait_for("all are there", &cards);
    for number in 0..STREAMS {
        watched.click(&format!("[aria-label='Play live/cam{number}']"));
    }
    let all_move = "[...document.querySelectorAll('.player video')].every(v => v.currentTime > 0 \
                    && v.getVideoPlaybackQuality().totalVideoFrames > 20)";
    watched.wait_for("all of them move", all_move);
    watched.screenshot("eight");
    drop(publishers);
    let over = "document.querySelector('header p').textContent === 'Nothing is live.'";
    watched.wait_for("the list sees them go", over);
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_stopped_player_receives_no_more() {
    let mut watched = Watched::start(&[]);
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/");
    watched.click(".play");
    watched.wait_until_it_plays();
    watched.click(".bar button:last-of-type");
    let left = "document.querySelector('.soft').textContent.includes(' 0 viewers ')";
    watched.wait_for("the viewer is gone", left);
    let focused = watched.text("document.activeElement.getAttribute('aria-label')");
    assert_eq!(focused, "Play live/door");
    all_the_while("nobody watches", Duration::from_secs(3), || {
        watched.evaluate("document.querySelectorAll('.player').length") == 0
    });
    watched.check();
}

/// Chromium keeps a page for a while after it was left, with connections that it doesn't read.
#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn leaving_the_page_ends_its_viewer() {
    let mut watched = Watched::start(&[]);
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/live/door");
    watched.wait_until_it_plays();
    watched.open_path("/api/v1/streams");
    let is_over = |log: &str| log.contains("live/door: stopped playing");
    wait_until("the server sees it", SOON * 2, || {
        is_over(&watched.server.log())
    });
    let log = watched.server.log();
    assert!(!log.contains("stalled"), "{log}");
}

/// The browser may report that it has taken one piece when it is already busy with the next.
#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn the_buffer_is_not_trimmed_while_it_is_appended_to() {
    let mut watched = Watched::start(&[]);
    watched.prepare(
        "self.count = 0;
         const time = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'currentTime');
         const append = SourceBuffer.prototype.appendBuffer;
         let later = 0;
         Object.defineProperty(HTMLMediaElement.prototype, 'currentTime', {
             get() { return time.get.call(this) + later; },
             set(value) { time.set.call(this, value); },
         });
         SourceBuffer.prototype.appendBuffer = function (piece) {
             append.call(this, piece);
             if (++count !== 20) return;
             later = 100;
             this.dispatchEvent(new Event('updateend'));
             later = 0;
         };",
    );
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/live/door");
    watched.wait_for("pieces were taken", "count > 40");
    watched.wait_until_it_plays();
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn mp3_plays_where_it_has_its_other_name() {
    let mut watched = Watched::start(&[]);
    watched.prepare(
        "MediaSource.isTypeSupported = type => type.includes(',mp4a.6B');
         const add = MediaSource.prototype.addSourceBuffer;
         MediaSource.prototype.addSourceBuffer = function (type) {
             self.added = type;
             return add.call(this, 'video/mp4; codecs=\"avc1.64001e\"');
         };",
    );
    let mut command = quiet("ffmpeg");
    let arguments = "-re -f lavfi -i testsrc=size=320x180:rate=30 -f lavfi -i sine=sample_rate=44100 \
                     -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 60 -c:a libmp3lame -f flv";
    command.args(arguments.split_whitespace());
    let _publisher = Program::start(command.arg(watched.server.url("door")));
    watched.server.wait_for_log("publishing from", 1);
    watched.open_path("/live/door");
    watched.wait_for("it is taken by that name", "self.added");
    watched.check();
}
