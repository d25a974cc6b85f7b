//! FLV over HTTP and WebSockets in mpegts.js.

use serde_json::json;

use super::common::TempDir;
use super::common::media::quiet;
use super::common::process::Program;
use super::elsewhere::{Player, Site};
use super::{Watched, clock, codecs};

fn open_site(watched: &mut Watched) -> Site {
    let package = "mpegts.js 1.8.2 (dist/mpegts.js)";
    let site = Site::with_library("BROOKLET_MPEGTS_JS", package);
    site.open(watched);
    site
}

/// Makes the player play the URL that it is named after, below `/live/` of the server.
fn play(watched: &mut Watched, player: &Player) {
    let (scheme, file) = player.0.split_once(' ').expect("a scheme and a file");
    let url = format!("{scheme}://{}/live/{file}", watched.server.http_address());
    let (name, url) = (json!(player.0), json!(url));
    watched.evaluate(&format!(
        "{{
            const player = add({name});
            mpegts.LoggingControl.enableAll = false;
            player.mpegts = mpegts.createPlayer({{ type: 'flv', isLive: true, url: {url} }});
            player.mpegts.on(mpegts.Events.ERROR, (...error) => player.errors.push(error));
            player.mpegts.on(mpegts.Events.LOADING_COMPLETE, () => player.isOver = true);
            player.mpegts.attachMediaElement(player.video);
            player.mpegts.load();
        }}"
    ));
}

/// Publishes test video (30 frames per second, a keyframe every four) and a tone until it is
/// dropped.
fn publish(url: &str, encoders: &str) -> Program {
    let mut command = quiet("ffmpeg");
    let inputs = "-re -f lavfi -i testsrc=size=320x180:rate=30 \
                  -f lavfi -i sine=beep_factor=4:sample_rate=48000 -pix_fmt yuv420p -g 120";
    command.args(inputs.split_whitespace());
    command.args(encoders.split_whitespace());
    Program::start(command.args(["-f", "flv", url]))
}

/// Plays a while without an error.
fn watch(watched: &mut Watched, player: &Player) {
    player.wait_for_frames(watched, 100);
    assert_eq!(player.errors(watched), json!([]), "{}", player.0);
}

/// The burst of a join at the live edge has new decode times but the old frame order.
#[test]
#[ignore = "needs Chromium, ffmpeg, BROOKLET_MPEGTS_JS"]
fn video_never_freezes_wherever_mpegts_js_joins() {
    let mut watched = Watched::start(&[]);
    let _publishers = [
        (
            "b-frames",
            "-c:v libx264 -preset veryfast -bf 2 -c:a aac -ac 2",
        ),
        ("silent", "-c:v libx264 -preset veryfast -bf 3 -an"),
    ]
    .map(|(name, encoders)| publish(&watched.server.url(name), encoders));
    watched.server.wait_for_log("publishing from", 2);
    let site = open_site(&mut watched);
    let players = [
        "http b-frames.flv",
        "http b-frames.flv?join=gop",
        "ws b-frames.flv",
        "http silent.flv",
        "ws silent.flv?join=next",
    ]
    .map(Player);
    for player in &players {
        // The next one joins a little later in the GOP.
        play(&mut watched, player);
        player.wait_for_frames(&mut watched, 20);
    }
    for player in &players {
        watch(&mut watched, player);
        let standstill = player.standstill(&mut watched);
        println!("{}: a frame stood for {standstill:.2} s", player.0);
        assert!(standstill < 1.0, "{}", player.0);
    }
    watched.screenshot("mpegts-js");
    watched.check_at(&site);
}

#[test]
#[ignore = "needs Chromium, ffmpeg, BROOKLET_MPEGTS_JS"]
fn mpegts_js_goes_on_when_the_publisher_is_back_and_ends_otherwise() {
    let mut watched = Watched::start(&["--grace", "3"]);
    let url = watched.server.url("door");
    let mut publisher = clock::publish(&url);
    watched.server.wait_for_log("publishing from", 1);
    let site = open_site(&mut watched);
    let players = ["http door.flv", "ws door.flv"].map(Player);
    for player in &players {
        play(&mut watched, player);
        watch(&mut watched, player);
    }
    let latency = clock::latency(&mut watched);
    println!("FLV over HTTP: {latency:?} from ffmpeg to the screen");
    publisher.kill();
    publisher = clock::publish(&url);
    watched.server.wait_for_log("publishing from", 2);
    for player in &players {
        watch(&mut watched, player);
        assert_ne!(player.evaluate(&mut watched, "player.isOver"), true);
        println!(
            "{}: a frame stood for {:.2} s",
            player.0,
            player.standstill(&mut watched)
        );
    }
    publisher.kill();
    for player in &players {
        player.wait_for(&mut watched, "it is over", "player.isOver");
        assert_eq!(player.errors(&mut watched), json!([]), "{}", player.0);
    }
    watched.check_at(&site);
}

/// What remains of a stream for mpegts.js.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Picture,
    /// Audio only.
    Sound,
    Nothing,
}

struct Case {
    file: &'static str,
    encoders: &'static str,
    left: Left,
    /// The browser's name for it, to query its support.
    mime_codecs: &'static str,
}

/// mpegts.js reads order hints where there are none.
const AV1_OPUS: &str = "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 300k \
                        -aom-params enable-order-hint=0 -c:a libopus -b:a 64k -ac 2";

const CASES: &[Case] = &[
    Case {
        file: "ws h264-mp3.flv",
        encoders: "-c:v libx264 -preset veryfast -bf 3 -c:a libmp3lame",
        left: Left::Picture,
        mime_codecs: "avc1.64001e",
    },
    Case {
        file: "ws sound.flv",
        encoders: "-vn -c:a aac -ac 2",
        left: Left::Sound,
        mime_codecs: "mp4a.40.2",
    },
    Case {
        file: "ws av1-opus.flv",
        encoders: AV1_OPUS,
        left: Left::Picture,
        mime_codecs: "av01.0.00M.08,opus",
    },
    Case {
        file: "ws hevc-aac.flv",
        encoders: "-c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=0 -tag:v hvc1 \
                   -c:a aac -ac 2",
        left: Left::Picture,
        mime_codecs: "hvc1.1.6.L60.90,mp4a.40.2",
    },
    Case {
        file: "ws two-tracks-of-each.flv",
        encoders: "-map 0 -map 0 -map 1 -map 1 -c:v libx264 -preset veryfast -bf 2 -c:a aac -ac 2",
        left: Left::Picture,
        mime_codecs: "avc1.64001e,mp4a.40.2",
    },
    Case {
        file: "http vp9-aac.flv",
        encoders: "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k -c:a aac -ac 2",
        left: Left::Sound,
        mime_codecs: "mp4a.40.2",
    },
    Case {
        file: "http vp9-ac3.flv",
        encoders: "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k -c:a ac3 -ac 2",
        left: Left::Nothing,
        mime_codecs: "mp4a.40.2",
    },
];

#[test]
#[ignore = "needs Chromium, ffmpeg, BROOKLET_PYAV, BROOKLET_MPEGTS_JS"]
fn mpegts_js_is_sent_only_codecs_that_it_can_read() {
    let dir = TempDir::new();
    let mut watched = Watched::start(&[]);
    let name = |case: &Case| {
        let (_, file) = case.file.split_once(' ').expect("a scheme and a file");
        file.trim_end_matches(".flv")
    };
    let commands: Vec<_> = CASES
        .iter()
        .map(|case| codecs::make(&dir, name(case), case.encoders))
        .collect();
    let _publishers: Vec<_> = commands
        .into_iter()
        .zip(CASES)
        .map(|(mut command, case)| Program::start(command.arg(watched.server.url(name(case)))))
        .collect();
    watched.server.wait_for_log("publishing from", CASES.len());
    let site = open_site(&mut watched);
    for case in CASES {
        play(&mut watched, &Player(case.file));
    }
    for case in CASES {
        let player = Player(case.file);
        let asked = format!(
            "MediaSource.isTypeSupported('video/mp4; codecs=\"{}\"')",
            case.mime_codecs
        );
        let can_play = watched.evaluate(&asked) == true;
        let error = match case.left {
            Left::Picture if can_play => {
                watch(&mut watched, &player);
                continue;
            }
            Left::Sound => {
                player.wait_for(&mut watched, "it plays", "player.video.currentTime > 3");
                assert_eq!(player.errors(&mut watched), json!([]), "{}", player.0);
                continue;
            }
            Left::Picture => "is unsupported",
            Left::Nothing => "415",
        };
        player.wait_for(&mut watched, "it says why not", "player.errors.length > 0");
        let errors = player.errors(&mut watched);
        println!("{}: {errors}", player.0);
        assert!(errors.to_string().contains(error), "{errors}");
    }
    watched.screenshot("mpegts-js-codecs");
    watched.check_at(&site);
}
