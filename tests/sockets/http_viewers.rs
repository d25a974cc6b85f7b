//! Viewers of FLV and fragmented MP4 over HTTP and WebSocket, on real sockets.

use std::net::SocketAddr;

use brooklet::{Config, Server};

use crate::client::{AAC_HEADER, AVC_320X240, Client, Message, server, short_grace, wait_until};
use crate::common::Brooklet;
use crate::common::http::HttpClient;
use crate::viewer::{Frame, Part, Viewer, opcode};

const AUDIO: &[u8] = b"\xAF\x01\x21\x10\x04\x60\x8C\x1C";

/// The duration of a video frame and of an audio frame, in ms.
const STEP: u32 = 40;

/// The number of video frames from one keyframe to the next.
const GOP: u32 = 25;

/// A path, and the function that requests it.
type Way = (&'static str, fn(SocketAddr, &str) -> Viewer);

/// All ways to watch a stream.
const WAYS: [Way; 4] = [
    ("/live/door.flv", Viewer::of),
    ("/live/door.mp4", Viewer::of),
    ("/live/door.flv", Viewer::of_websocket),
    ("/live/door.mp4", Viewer::of_websocket),
];

/// A publisher, and the number of its next frame, from which the timestamp follows.
struct Camera {
    client: Client,
    next: u32,
}

impl Camera {
    fn start(rtmp: SocketAddr) -> Camera {
        let mut client = Client::publishing(rtmp, "live", "door");
        client.send_message(9, 1, 0, AVC_320X240);
        client.send_message(8, 1, 0, AAC_HEADER);
        Camera { client, next: 0 }
    }

    /// Sends a video frame of `len` bytes and an audio frame. Returns the number of the video frame.
    fn frame(&mut self, len: usize) -> u32 {
        let (number, time) = (self.next, self.next * STEP);
        self.client.send_frame(number, time, number % GOP == 0, len);
        self.client.send_message(8, 1, time, AUDIO);
        self.next += 1;
        number
    }
}

fn addresses(server: &Server) -> (SocketAddr, SocketAddr) {
    (server.rtmp_addresses()[0], server.http_addresses()[0])
}

#[test]
fn a_viewer_that_joins_gets_headers_and_the_keyframe_first_and_then_everything() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    let mut witness = Client::playing(rtmp, "live", "door");
    for number in 0..GOP + 10 {
        assert_eq!(camera.frame(1_000), number);
        while !witness.wait_for_media().is_video() {}
    }
    for (target, open) in WAYS {
        let mut viewer = open(http, &format!("{target}?join=gop"));
        let mut parts = Vec::new();
        let first = loop {
            match viewer.next().expect("the file goes on") {
                Part::Frame(frame) => break frame,
                part => parts.push(part),
            }
        };
        if target.ends_with("flv") {
            assert_eq!(parts[0], Part::FileHeader(5));
            for header in [AVC_320X240, AAC_HEADER] {
                assert!(parts.contains(&Part::Header(header.to_vec())), "{target}");
            }
        } else {
            assert!(matches!(parts[..], [Part::Init(_)]), "{target}: {parts:?}");
        }
        assert_eq!((first.number, first.is_keyframe), (GOP, true), "{target}");
        assert!(first.time < 1_000, "{target} begins at {} ms", first.time);
        let until = camera.frame(1_000);
        for number in GOP + 1..=until {
            let frame = viewer.next_frame();
            let expected = Frame {
                number,
                time: first.time + u64::from((number - GOP) * STEP),
                is_keyframe: number % GOP == 0,
                len: 995,
            };
            assert_eq!(frame, expected, "{target}");
        }
    }
}

#[test]
fn by_default_a_viewer_starts_at_the_live_edge() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    let mut witness = Client::playing(rtmp, "live", "door");
    for _ in 0..20 {
        camera.frame(1_000);
        while !witness.wait_for_media().is_video() {}
    }
    for (target, open) in WAYS {
        let mut viewer = open(http, target);
        let frames: Vec<_> = (0..camera.next).map(|_| viewer.next_frame()).collect();
        let steps = frames.windows(2).map(|pair| pair[1].time - pair[0].time);
        assert!(
            steps.into_iter().all(|step| step == 1),
            "{target}: {frames:?}"
        );
    }
}

#[test]
fn a_stream_that_is_not_live_is_not_found() {
    let server = server(Config::default());
    let (_, http) = addresses(&server);
    // All at once, since each is held for a while.
    let viewers = [
        "/live/door.flv",
        "/live/door.mp4",
        "/live/a%20b/c.flv?join=next",
    ]
    .map(|target| (target, Viewer::ask(http, target)));
    for (target, mut viewer) in viewers {
        let head = viewer.head();
        assert_eq!(head.status, 404, "{target}: {head:?}");
        assert!(head.field("content-length").is_some(), "{head:?}");
    }
}

#[test]
fn a_viewer_that_joins_before_the_first_frame_waits_for_it() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    let mut viewers = ["/live/door.flv", "/live/door.mp4"].map(|path| Viewer::ask(http, path));
    wait_until("both are there", || server.connection_count() == 3);
    for number in 0..3 {
        camera.frame(1_000);
        for viewer in &mut viewers {
            if number == 0 {
                assert_eq!(viewer.head().status, 200);
            }
            assert_eq!(viewer.next_frame().number, number);
        }
    }
}

#[test]
fn a_stream_that_ends_before_its_first_frame_is_not_found() {
    let server = server(short_grace());
    let (rtmp, http) = addresses(&server);
    let camera = Camera::start(rtmp);
    let mut viewers = ["/live/door.flv", "/live/door.mp4"].map(|path| Viewer::ask(http, path));
    wait_until("both are there", || server.connection_count() == 3);
    drop(camera);
    for viewer in &mut viewers {
        let head = viewer.head();
        assert_eq!(head.status, 404, "{head:?}");
        assert!(head.field("content-length").is_some(), "{head:?}");
    }
    wait_until("all are gone", || server.connection_count() == 0);
}

#[test]
fn a_stream_without_mp4_codecs_is_refused_as_mp4() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut client = Client::publishing(rtmp, "live", "door");
    let messages: [(u8, &[u8]); 4] = [
        (9, b"\x90zzzz\x01config"),
        (8, b"\x90qqqqconfig"),
        (9, b"\x91zzzzkey"),
        (8, b"\x91qqqqframe"),
    ];
    for (type_id, payload) in messages {
        client.send_message(type_id, 1, 0, payload);
    }
    let head = Viewer::ask(http, "/live/door.mp4").head();
    assert_eq!(head.status, 415, "{head:?}");
    let why = "the stream's codecs don't fit this format. Try RTMP, or .flv\n";
    let len = why.len().to_string();
    assert_eq!(head.field("content-length"), Some(&*len), "{head:?}");
}

#[test]
fn the_content_type_names_the_codecs() {
    // From this machine, HTTP/1.0 looks like a proxy that doesn't name its client.
    let mut config = Config::default();
    config.play.from.push(brooklet::config::Network::Any);
    let server = server(config);
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.frame(1_000);
    for (path, expected) in [
        ("/live/door.flv", "video/x-flv"),
        (
            "/live/door.mp4",
            r#"video/mp4; codecs="avc1.42c00d,mp4a.40.2""#,
        ),
    ] {
        let mut viewer = Viewer::ask(http, path);
        let head = viewer.head();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.field("content-type"), Some(expected));
        assert_eq!(head.field("content-length"), None, "it never ends");
        assert_eq!(head.field("transfer-encoding"), Some("chunked"));
        let mut old = Viewer::ask_by_http_1_0(http, path);
        let head = old.head();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.field("transfer-encoding"), None, "it knows of none");
        assert_eq!(head.field("connection"), Some("close"));
        assert_eq!(old.next_frame().number, 0);

        let mut viewer = Viewer::of_websocket(http, path);
        if path.ends_with(".flv") {
            assert_eq!(viewer.next_frame().number, 0, "it has no content type");
            continue;
        }
        let (opcode, text) = viewer.next_message().unwrap();
        assert_eq!(opcode, opcode::TEXT);
        let text = String::from_utf8(text).unwrap().to_lowercase();
        assert_eq!(text, expected);
    }
}

#[test]
fn a_websocket_answers_pings_and_the_close_while_frames_go_on() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.frame(1_000);
    for path in ["/live/door.flv", "/live/door.mp4"] {
        let mut viewer = Viewer::of_websocket(http, path);
        viewer.next_frame();
        for round in 0..3 {
            viewer.send_message(opcode::PING, &[b'a', round]);
            // Messages from a page are ignored and do no harm.
            viewer.send_message(opcode::TEXT, b"hello");
            let number = camera.frame(70_000);
            while viewer.next_frame().number != number {}
            loop {
                match viewer.next_message().unwrap() {
                    (opcode::TEXT, _) => {}
                    message => {
                        assert_eq!(message, (opcode::PONG, vec![b'a', round]));
                        break;
                    }
                }
            }
        }
        viewer.send_message(opcode::CLOSE, &1000_u16.to_be_bytes());
        let goodbye = viewer.next_message();
        assert_eq!(goodbye, Some((opcode::CLOSE, vec![0x03, 0xE8])), "{path}");
        assert_eq!(viewer.next_message(), None, "{path}");
    }
    wait_until("only the camera is left", || server.connection_count() == 1);
}

#[test]
fn a_viewer_that_hangs_up_is_removed_at_once_even_if_nothing_is_sent() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.frame(1_000);
    let viewers = WAYS.map(|(path, open)| {
        let mut viewer = open(http, path);
        viewer.next_frame();
        viewer
    });
    assert_eq!(server.connection_count(), 5);
    drop(viewers);
    wait_until("only the camera is left", || server.connection_count() == 1);
}

#[test]
fn a_viewer_keeps_its_connection_while_the_publisher_is_away() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.frame(1_000);
    let mut viewers = WAYS.map(|(path, open)| open(http, path));
    let mut newest = [0; 4];
    for (viewer, newest) in viewers.iter_mut().zip(&mut newest) {
        *newest = viewer.next_frame().time;
    }
    for _ in 0..2 {
        drop(camera);
        camera = Camera::start(rtmp);
        for number in 0..GOP + 2 {
            camera.frame(1_000);
            for (index, viewer) in viewers.iter_mut().enumerate() {
                let frame = viewer.next_frame();
                assert_eq!(frame.number, number, "{:?}", WAYS[index].0);
                assert_eq!(frame.is_keyframe, number % GOP == 0);
                assert!(frame.time > newest[index], "{frame:?} {newest:?}");
                newest[index] = frame.time;
            }
        }
    }
}

#[test]
fn when_the_publisher_stays_away_the_file_ends_at_a_frame() {
    let server = server(short_grace());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.frame(1_000);
    let mut viewers = WAYS.map(|(path, open)| open(http, path));
    for viewer in &mut viewers {
        viewer.next_frame();
    }
    let last = camera.frame(50_000);
    for viewer in &mut viewers {
        assert_eq!(viewer.next_frame().number, last);
    }
    drop(camera);
    for (index, viewer) in viewers.iter_mut().enumerate() {
        while viewer.next().is_some() {}
        assert!(viewer.is_whole(), "{}", WAYS[index].0);
        if index >= 2 {
            let messages = std::iter::from_fn(|| viewer.next_message());
            let last = messages.last();
            assert_eq!(last, Some((opcode::CLOSE, vec![0x03, 0xE9])), "going away");
        }
    }
    drop(viewers);
    wait_until("all are gone", || server.connection_count() == 0);
}

#[test]
fn clients_that_stay_after_the_end_are_disconnected_within_seconds() {
    let server = server(short_grace());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.frame(1_000);
    let mut player = Client::playing(rtmp, "live", "door");
    player.wait_for_media();
    let mut viewers = WAYS.map(|(path, open)| open(http, path));
    for viewer in &mut viewers {
        viewer.next_frame();
    }
    drop(camera);
    for viewer in &mut viewers {
        while viewer.next().is_some() {}
    }
    // A connection that waits for its next request is kept for 15 s, so it outlives the viewers, unless
    // their threads sleep until their next tick after 20 s.
    let mut idle = HttpClient::connect(http);
    assert_eq!(idle.get("/").status, 200);
    wait_until("only one is left", || server.connection_count() == 1);
    assert_eq!(idle.get("/").status, 200);
    player.until_closed();
}

/// Checks the frames of a viewer that reads too slowly: only newer frames, and jumps only to keyframes.
fn assert_jumps(seen: &[Frame], who: &str) {
    let mut jumps = 0;
    for pair in seen.windows(2) {
        // Media that arrives faster than time passes gets a new clock. Where it begins, two timestamps
        // may be equal.
        let is_newer = pair[0].number < pair[1].number && pair[0].time <= pair[1].time;
        assert!(is_newer, "{who}: {pair:?}");
        if pair[1].number != pair[0].number + 1 {
            assert!(pair[1].is_keyframe, "{who}: {pair:?}");
            jumps += 1;
        }
    }
    println!("{who}: {} pictures, {jumps} jumps", seen.len());
}

/// Publishes frames of 16 KB while viewers of each kind read everything, and other viewers read every
/// third frame or nothing at all.
fn publish_to_good_and_bad(
    (rtmp, http): (SocketAddr, SocketAddr),
    frames: u32,
    mut each: impl FnMut(u32),
) {
    let mut camera = Camera::start(rtmp);
    camera.frame(16_000);
    let open_all = || WAYS.map(|(path, open)| open(http, path));
    let (mut good, mut slow, mut stuck) = (open_all(), open_all(), open_all());
    let mut player = Client::playing(rtmp, "live", "door");
    for viewer in good.iter_mut().chain(&mut slow).chain(&mut stuck) {
        assert_eq!(viewer.next_frame().number, 0);
    }
    let mut seen = vec![Vec::new(); slow.len()];
    for number in 1..=frames {
        camera.frame(16_000);
        for (index, viewer) in good.iter_mut().enumerate() {
            assert_eq!(viewer.next_frame().number, number, "{}", WAYS[index].0);
        }
        let is_frame = |message: &Message| message.is_media() && message.is_video();
        while player.wait_for("a picture", is_frame).number() != number {}
        if number % 3 == 0 {
            for (viewer, seen) in slow.iter_mut().zip(&mut seen) {
                seen.push(viewer.next_frame());
            }
        }
        each(number);
    }
    for (index, mut seen) in seen.into_iter().enumerate() {
        while seen.last().is_none_or(|last| last.number < frames) {
            seen.push(slow[index].next_frame());
        }
        assert_jumps(&seen, &format!("{}, slow", WAYS[index].0));
        assert!(seen.len() < frames as usize * 2 / 3);
    }
    // Most viewers were in the middle of a frame that has left the log. The others receive the newest
    // frames.
    for (index, viewer) in stuck.iter_mut().enumerate() {
        let mut seen = Vec::new();
        for frame in viewer.frames() {
            seen.push(frame);
            if frame.number == frames {
                break;
            }
        }
        assert_jumps(&seen, &format!("{}, stuck", WAYS[index].0));
        assert!(seen.len() < frames as usize / 3);
        let is_at_newest = seen.last().is_some_and(|last| last.number == frames);
        assert!(is_at_newest || !viewer.is_whole(), "it was cut off");
    }
}

#[test]
fn slow_viewers_cost_the_others_nothing() {
    /// The length of a frame in the other stream, whose GOP occupies a quarter of the memory.
    const LEN: usize = 40_000;

    let server = server(Config::default().memory(4 << 20));
    let (rtmp, http) = addresses(&server);
    let mut other = None;
    let mut joined = 0;
    // The history that slow viewers make the stream keep belongs to the stream as long as it isn't
    // needed elsewhere. Then another stream gets its share immediately, and its viewers a whole GOP.
    publish_to_good_and_bad((rtmp, http), 1_500, |number| {
        if number < 700 {
            return;
        }
        let other = other.get_or_insert_with(|| {
            let mut camera = Client::publishing(rtmp, "live", "other");
            camera.send_message(9, 1, 0, AVC_320X240);
            camera.send_message(8, 1, 0, AAC_HEADER);
            (camera, Client::playing(rtmp, "live", "other"))
        });
        let at = number - 700;
        let (camera, player) = other;
        camera.send_frame(at, at * STEP, at % GOP == 0, LEN);
        while player
            .wait_for("a picture", |m| m.is_media() && m.is_video())
            .number()
            != at
        {}
        if at % 200 == GOP - 1 {
            let mut viewer = Viewer::of(http, "/live/other.mp4?join=gop");
            for expected in at + 1 - GOP..=at {
                assert_eq!(viewer.next_frame().number, expected, "{joined} joined");
            }
            joined += 1;
        }
    });
    assert_eq!(joined, 4);
}

#[test]
fn slow_viewers_do_not_grow_the_server() {
    let server = Brooklet::start(&["--memory", "4M"]);
    let resident = || server.status("VmRSS");
    let (mut before, mut after) = (0, 0);
    let addresses = (server.address(), server.http_address());
    publish_to_good_and_bad(addresses, 1_500, |number| match number {
        // By now all of the arena has been used, and every viewer has been served.
        500 => before = resident(),
        1_500 => after = resident(),
        _ => {}
    });
    println!("resident: {before} kB, {after} kB after 16 MB more");
    assert!(after < before + 512, "{before} kB grew to {after} kB");
}
