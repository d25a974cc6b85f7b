//! Viewers of FLV and fragmented MP4 over HTTP and WebSockets, on real sockets.

use std::net::SocketAddr;

use brooklet::{Config, Server};

use crate::client::{AAC_HEADER, Client, Message, server, short_grace, wait_until};
use crate::common::Brooklet;
use crate::viewer::{Part, Picture, Viewer, opcode};

/// H.264, 320x240.
const AVC: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xc0\x0d\xff\xe1\0\x16\x67\x42\xc0\x0d\xda\x05\x07\xec\x04\x40\
    \0\0\x03\0\x40\0\0\x0c\x83\xc5\x0a\xa8\x01\0\x04\x68\xce\x0f\xc8";

const SOUND: &[u8] = b"\xAF\x01\x21\x10\x04\x60\x8C\x1C";

/// Of a picture and a sound, in ms.
const STEP: u32 = 40;

/// Pictures from one keyframe to the next.
const GOP: u32 = 25;

/// A path, and how it is asked for.
type Way = (&'static str, fn(SocketAddr, &str) -> Viewer);

/// All ways to view a stream.
const WAYS: [Way; 4] = [
    ("/live/door.flv", Viewer::of),
    ("/live/door.mp4", Viewer::of),
    ("/live/door.flv", Viewer::of_websocket),
    ("/live/door.mp4", Viewer::of_websocket),
];

/// A camera, its running number and its clock.
struct Camera {
    client: Client,
    next: u32,
}

impl Camera {
    fn start(rtmp: SocketAddr) -> Camera {
        let mut client = Client::publishing(rtmp, "live", "door");
        client.send_message(9, 1, 0, AVC);
        client.send_message(8, 1, 0, AAC_HEADER);
        Camera { client, next: 0 }
    }

    /// Sends a picture of so many bytes and a sound; returns the picture's number.
    fn picture(&mut self, len: usize) -> u32 {
        let (number, time) = (self.next, self.next * STEP);
        self.client
            .send_picture(number, time, number % GOP == 0, len);
        self.client.send_message(8, 1, time, SOUND);
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
        assert_eq!(camera.picture(1_000), number);
        while !witness.wait_for_media().is_video() {}
    }
    for (target, open) in WAYS {
        let mut viewer = open(http, &format!("{target}?join=gop"));
        let mut parts = Vec::new();
        let first = loop {
            match viewer.next().expect("the file goes on") {
                Part::Picture(picture) => break picture,
                part => parts.push(part),
            }
        };
        if target.ends_with("flv") {
            assert_eq!(parts[0], Part::FileHeader(5));
            for header in [AVC, AAC_HEADER] {
                assert!(parts.contains(&Part::Header(header.to_vec())), "{target}");
            }
        } else {
            assert!(matches!(parts[..], [Part::Init(_)]), "{target}: {parts:?}");
        }
        assert_eq!((first.number, first.is_keyframe), (GOP, true), "{target}");
        assert!(first.time < 1_000, "{target} begins at {} ms", first.time);
        let until = camera.picture(1_000);
        for number in GOP + 1..=until {
            let picture = viewer.next_picture();
            let expected = Picture {
                number,
                time: first.time + u64::from((number - GOP) * STEP),
                is_keyframe: number % GOP == 0,
                len: 995,
            };
            assert_eq!(picture, expected, "{target}");
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
        camera.picture(1_000);
        while !witness.wait_for_media().is_video() {}
    }
    for (target, open) in WAYS {
        let mut viewer = open(http, target);
        let pictures: Vec<_> = (0..camera.next).map(|_| viewer.next_picture()).collect();
        let steps = pictures.windows(2).map(|pair| pair[1].time - pair[0].time);
        assert!(
            steps.into_iter().all(|step| step == 1),
            "{target}: {pictures:?}"
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
fn a_viewer_that_comes_before_the_first_picture_waits_for_it() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    let mut viewers = ["/live/door.flv", "/live/door.mp4"].map(|path| Viewer::ask(http, path));
    wait_until("both are there", || server.connections() == 3);
    for number in 0..3 {
        camera.picture(1_000);
        for viewer in &mut viewers {
            if number == 0 {
                assert_eq!(viewer.head().status, 200);
            }
            assert_eq!(viewer.next_picture().number, number);
        }
    }
}

#[test]
fn a_stream_that_ends_before_the_first_picture_is_not_found() {
    let server = server(short_grace());
    let (rtmp, http) = addresses(&server);
    let camera = Camera::start(rtmp);
    let mut viewers = ["/live/door.flv", "/live/door.mp4"].map(|path| Viewer::ask(http, path));
    wait_until("both are there", || server.connections() == 3);
    drop(camera);
    for viewer in &mut viewers {
        let head = viewer.head();
        assert_eq!(head.status, 404, "{head:?}");
        assert!(head.field("content-length").is_some(), "{head:?}");
    }
    wait_until("all are gone", || server.connections() == 0);
}

#[test]
fn the_content_type_names_the_codecs() {
    // On this machine, HTTP/1.0 is taken for a proxy that doesn't say for whom it comes.
    let mut config = Config::default();
    config.play.from.push(brooklet::config::Network::Any);
    let server = server(config);
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.picture(1_000);
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
        assert_eq!(old.next_picture().number, 0);

        let mut viewer = Viewer::of_websocket(http, path);
        if path.ends_with(".flv") {
            assert_eq!(viewer.next_picture().number, 0, "it has no content type");
            continue;
        }
        let (opcode, text) = viewer.next_message().unwrap();
        assert_eq!(opcode, opcode::TEXT);
        let text = String::from_utf8(text).unwrap().to_lowercase();
        assert_eq!(text, expected);
    }
}

#[test]
fn a_websocket_answers_pings_and_says_goodbye_while_the_pictures_go_on() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.picture(1_000);
    for path in ["/live/door.flv", "/live/door.mp4"] {
        let mut viewer = Viewer::of_websocket(http, path);
        viewer.next_picture();
        for round in 0..3 {
            viewer.send_message(opcode::PING, &[b'a', round]);
            // What a page may say is of no interest, but no harm.
            viewer.send_message(opcode::TEXT, b"hello");
            let number = camera.picture(70_000);
            while viewer.next_picture().number != number {}
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
    wait_until("only the camera is left", || server.connections() == 1);
}

#[test]
fn a_viewer_that_hangs_up_is_gone_at_once_although_nothing_is_published() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.picture(1_000);
    let viewers = WAYS.map(|(path, open)| {
        let mut viewer = open(http, path);
        viewer.next_picture();
        viewer
    });
    assert_eq!(server.connections(), 5);
    drop(viewers);
    wait_until("only the camera is left", || server.connections() == 1);
}

#[test]
fn a_viewer_keeps_its_connection_while_the_camera_is_away() {
    let server = server(Config::default());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.picture(1_000);
    let mut viewers = WAYS.map(|(path, open)| open(http, path));
    let mut newest = [0; 4];
    for (viewer, newest) in viewers.iter_mut().zip(&mut newest) {
        *newest = viewer.next_picture().time;
    }
    for _ in 0..2 {
        drop(camera);
        camera = Camera::start(rtmp);
        for number in 0..GOP + 2 {
            camera.picture(1_000);
            for (index, viewer) in viewers.iter_mut().enumerate() {
                let picture = viewer.next_picture();
                assert_eq!(picture.number, number, "{:?}", WAYS[index].0);
                assert_eq!(picture.is_keyframe, number % GOP == 0);
                assert!(picture.time > newest[index], "{picture:?} {newest:?}");
                newest[index] = picture.time;
            }
        }
    }
}

#[test]
fn when_the_camera_stays_away_the_file_ends_at_a_picture_and_is_whole() {
    let server = server(short_grace());
    let (rtmp, http) = addresses(&server);
    let mut camera = Camera::start(rtmp);
    camera.picture(1_000);
    let mut viewers = WAYS.map(|(path, open)| open(http, path));
    for viewer in &mut viewers {
        viewer.next_picture();
    }
    let last = camera.picture(50_000);
    for viewer in &mut viewers {
        assert_eq!(viewer.next_picture().number, last);
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
    // Players hang up at the end. The server notices a viewer that stays connected only at the next
    // tick of its thread, up to 20 s later.
    drop(viewers);
    wait_until("all are gone", || server.connections() == 0);
}

/// What a viewer saw who reads too little: newer pictures only, and jumps only to keyframes.
fn assert_jumps(seen: &[Picture], who: &str) {
    let mut jumps = 0;
    for pair in seen.windows(2) {
        assert!(pair[0].number < pair[1].number && pair[0].time < pair[1].time);
        if pair[1].number != pair[0].number + 1 {
            assert!(pair[1].is_keyframe, "{who}: {pair:?}");
            jumps += 1;
        }
    }
    println!("{who}: {} pictures, {jumps} jumps", seen.len());
}

/// Publishes `pictures` of 16 KB while viewers of each kind read everything, and others one picture
/// of three, or nothing at all.
fn publish_to_good_and_bad(
    (rtmp, http): (SocketAddr, SocketAddr),
    pictures: u32,
    mut each: impl FnMut(u32),
) {
    let mut camera = Camera::start(rtmp);
    camera.picture(16_000);
    let open_all = || WAYS.map(|(path, open)| open(http, path));
    let (mut good, mut slow, mut stuck) = (open_all(), open_all(), open_all());
    let mut player = Client::playing(rtmp, "live", "door");
    for viewer in good.iter_mut().chain(&mut slow).chain(&mut stuck) {
        assert_eq!(viewer.next_picture().number, 0);
    }
    let mut seen = vec![Vec::new(); slow.len()];
    for number in 1..=pictures {
        camera.picture(16_000);
        for (index, viewer) in good.iter_mut().enumerate() {
            assert_eq!(viewer.next_picture().number, number, "{}", WAYS[index].0);
        }
        let is_picture = |message: &Message| message.is_media() && message.is_video();
        while player.wait_for("a picture", is_picture).number() != number {}
        if number % 3 == 0 {
            for (viewer, seen) in slow.iter_mut().zip(&mut seen) {
                seen.push(viewer.next_picture());
            }
        }
        each(number);
    }
    for (index, mut seen) in seen.into_iter().enumerate() {
        while seen.last().is_none_or(|last| last.number < pictures) {
            seen.push(slow[index].next_picture());
        }
        assert_jumps(&seen, &format!("{}, slow", WAYS[index].0));
        assert!(seen.len() < pictures as usize * 2 / 3);
    }
    // Most were in the middle of a picture that is long gone; the others were not, and find the
    // newest ones.
    for (index, viewer) in stuck.iter_mut().enumerate() {
        let mut seen = Vec::new();
        for picture in viewer.pictures() {
            seen.push(picture);
            if picture.number == pictures {
                break;
            }
        }
        assert_jumps(&seen, &format!("{}, stuck", WAYS[index].0));
        assert!(seen.len() < pictures as usize / 3);
        let is_at_newest = seen.last().is_some_and(|last| last.number == pictures);
        assert!(is_at_newest || !viewer.is_whole(), "it was cut off");
    }
}

#[test]
fn viewers_that_read_too_little_cost_nobody_anything() {
    /// Of a picture of the other stream: its GOP takes a quarter of the memory.
    const LEN: usize = 40_000;

    let server = server(Config {
        memory: 4 << 20,
        ..Config::default()
    });
    let (rtmp, http) = addresses(&server);
    let mut other = None;
    let mut joined = 0;
    // What the slow ones make the stream keep is its own as long as nobody else wants it. Then
    // another stream gets its share at once, and whoever joins it a whole GOP.
    publish_to_good_and_bad((rtmp, http), 1_500, |number| {
        if number < 700 {
            return;
        }
        let other = other.get_or_insert_with(|| {
            let mut camera = Client::publishing(rtmp, "live", "other");
            camera.send_message(9, 1, 0, AVC);
            camera.send_message(8, 1, 0, AAC_HEADER);
            (camera, Client::playing(rtmp, "live", "other"))
        });
        let at = number - 700;
        let (camera, player) = other;
        camera.send_picture(at, at * STEP, at % GOP == 0, LEN);
        while player
            .wait_for("a picture", |m| m.is_media() && m.is_video())
            .number()
            != at
        {}
        if at % 200 == GOP - 1 {
            let mut viewer = Viewer::of(http, "/live/other.mp4?join=gop");
            for expected in at + 1 - GOP..=at {
                assert_eq!(viewer.next_picture().number, expected, "{joined} joined");
            }
            joined += 1;
        }
    });
    assert_eq!(joined, 4);
}

#[test]
fn viewers_that_read_too_little_do_not_grow_the_server() {
    let server = Brooklet::start(&["--memory", "4M"]);
    let resident = || server.status("VmRSS");
    let (mut before, mut after) = (0, 0);
    let addresses = (server.address(), server.http_address());
    publish_to_good_and_bad(addresses, 1_500, |number| match number {
        // All of the arena has been used by now, and everybody has been served.
        500 => before = resident(),
        1_500 => after = resident(),
        _ => {}
    });
    println!("resident: {before} kB, {after} kB after 16 MB more");
    assert!(after < before + 512, "{before} kB grew to {after} kB");
}
