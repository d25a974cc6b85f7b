//! Playlists, segments and parts over HTTP.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brooklet::config::{Access, Key};
use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::stream_key::StreamKey;
use brooklet::{Client as Peer, Config, Handler, Refusal, Server, StreamRequest};

use crate::client::{
    AAC_HEADER, AVC_320X240, Client, DEADLINE, on_free_ports, server, short_grace,
};
use crate::common::http::{Answer, HttpClient};

fn http(server: &Server) -> HttpClient {
    HttpClient::connect(server.http_addresses()[0])
}

/// A publisher of `live/door`, and how many frames were sent.
struct Camera {
    client: Client,
    frames: u32,
    /// The length of a video frame, in bytes.
    len: usize,
}

impl Camera {
    fn start(server: &Server, name: &str) -> Camera {
        Camera::start_with(server, name, 3_000)
    }

    fn start_with(server: &Server, name: &str, len: usize) -> Camera {
        let address = server.rtmp_addresses()[0];
        let mut client = Client::publishing(address, "live", name);
        client.send_message(9, 1, 0, AVC_320X240);
        client.send_message(8, 1, 0, AAC_HEADER);
        let frames = 0;
        let mut camera = Camera {
            client,
            frames,
            len,
        };
        camera.frames(240);
        camera
    }

    /// Sends video frames 40 ms apart in GOPs of two seconds, each followed by an audio frame.
    fn frames(&mut self, count: u32) {
        for _ in 0..count {
            let (number, time) = (self.frames, self.frames * 40);
            self.client
                .send_frame(number, time, number % 50 == 0, self.len);
            self.client
                .send_message(8, 1, time, b"\xAF\x01\x21\x10\x05");
            self.frames += 1;
        }
        // Once this is answered, all frames have been taken.
        let arguments = Vec::new();
        self.client
            .send_command(0, "createStream", 9.0, Value::Null, arguments);
        self.client.wait_for_command("_result");
    }
}

/// The lines of a playlist that are URIs, and the URIs within tags that begin like this.
fn uris<'a>(playlist: &'a str, tag: &str) -> Vec<&'a str> {
    let lines = playlist.lines();
    if tag.is_empty() {
        return lines.filter(|line| !line.starts_with('#')).collect();
    }
    let tagged = lines.filter(|line| line.starts_with(tag));
    let uri = |line: &'a str| line.split("URI=\"").nth(1)?.split('"').next();
    tagged.filter_map(uri).collect()
}

fn get_ok(client: &mut HttpClient, target: &str) -> Answer {
    let answer = client.get(target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer
}

/// The media playlist, once it has been requested at the start and lists all GOPs since.
fn media_playlist(client: &mut HttpClient, camera: &mut Camera) -> String {
    get_ok(client, "/live/door.m3u8");
    camera.frames(140);
    get_ok(client, "/live/door/media.m3u8?_HLS_msn=4").text()
}

#[test]
fn a_playlist_leads_to_segments_and_these_are_their_parts() {
    let server = server(Config::default());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let text = media_playlist(&mut client, &mut camera);
    for (target, uri) in [
        ("/live/door.m3u8", "door/media.m3u8"),
        ("/live/door/index.m3u8?key=a&_HLS_msn=1", "media.m3u8?key=a"),
    ] {
        let playlist = get_ok(&mut client, target);
        let content_type = playlist.header("content-type");
        assert_eq!(content_type, Some("application/vnd.apple.mpegurl"));
        assert_eq!(playlist.header("cache-control"), Some("no-cache"));
        assert_eq!(uris(&playlist.text(), ""), [uri]);
        assert!(
            playlist
                .text()
                .contains("CODECS=\"avc1.42C00D,mp4a.40.2\",RESOLUTION=320x240")
        );
    }
    let init = uris(&text, "#EXT-X-MAP");
    let init = get_ok(&mut client, &format!("/live/door/{}", init[0]));
    assert_eq!(init.header("content-type"), Some("video/mp4"));
    assert_eq!(init.body[4..12], *b"ftypiso6");

    let (segments, parts) = (uris(&text, ""), uris(&text, "#EXT-X-PART:"));
    assert!(segments.len() >= 3 && parts.len() >= 10, "{text}");
    let mut from_parts = Vec::new();
    for part in &parts {
        from_parts.extend(get_ok(&mut client, &format!("/live/door/{part}")).body);
    }
    let mut whole = Vec::new();
    // Older segments have no parts any more.
    for segment in &segments[segments.len() - 3..] {
        let segment = get_ok(&mut client, &format!("/live/door/{segment}"));
        assert_eq!(segment.header("content-type"), Some("video/mp4"));
        assert!(
            segment
                .header("cache-control")
                .unwrap()
                .contains("immutable")
        );
        assert_eq!(segment.body[4..8], *b"moof");
        whole.extend(segment.body);
    }
    // The open segment has parts too.
    assert!(from_parts.starts_with(&whole));
    assert_eq!(
        server.connection_count(),
        2,
        "all of it over one connection"
    );
}

/// A segment of 3 MB whose first reader stops reading.
#[test]
fn a_reader_that_stops_within_a_segment_delays_nobody_and_gets_the_rest_later() {
    let server = server(Config::default());
    let mut camera = Camera::start_with(&server, "door", 60_000);
    let mut client = http(&server);
    let text = media_playlist(&mut client, &mut camera);
    let segment = format!("/live/door/{}", uris(&text, "").last().unwrap());
    let whole = get_ok(&mut client, &segment).body;
    assert!(whole.len() > 50 * 60_000, "{}", whole.len());
    let mut stopped: Vec<_> = (0..3)
        .map(|_| HttpClient::with_receive_buffer(server.http_addresses()[0], 4_096))
        .collect();
    for stopped in &mut stopped {
        stopped.request("GET", &segment, "");
        stopped.wait_for_byte();
    }
    // Two more segments are published, and read by others.
    camera.frames(100);
    assert!(get_ok(&mut client, &segment).body == whole);
    for stopped in &mut stopped {
        let answer = stopped.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.body == whole, "{} bytes", answer.body.len());
        assert_eq!(
            stopped.get("/healthz").text(),
            "ok\n",
            "nothing came behind"
        );
    }
}

#[test]
fn a_range_of_a_segment_may_be_asked_for_and_its_head_alone() {
    let server = server(Config::default());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let text = media_playlist(&mut client, &mut camera);
    let segment = format!("/live/door/{}", uris(&text, "")[1]);
    let whole = get_ok(&mut client, &segment).body;
    let len = whole.len();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-20099", 100, 20_100),
        ("bytes=30000-", 30_000, len),
        ("bytes=-5", len - 5, len),
        ("bytes=5-99999999", 5, len),
    ] {
        client.request("GET", &segment, &format!("Range: {range}\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == whole[from..to], "{range}");
        let expected = format!("bytes {from}-{}/{len}", to - 1);
        assert_eq!(answer.header("content-range"), Some(expected.as_str()));
    }
    client.request("GET", &segment, "Range: bytes=99999999-\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 416);
    let expected = format!("bytes */{len}");
    assert_eq!(answer.header("content-range"), Some(expected.as_str()));
    client.request("HEAD", &segment, "");
    let answer = client.bodiless_answer();
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-length"),
        Some(len.to_string().as_str())
    );
    client.request("HEAD", "/live/door/media.m3u8", "");
    assert_eq!(client.bodiless_answer().status, 200);
    assert_eq!(client.get("/healthz").text(), "ok\n", "nothing came behind");
}

#[test]
fn requests_for_what_is_not_there_get_the_right_status() {
    let server = server(Config::default());
    let mut client = http(&server);
    for target in [
        "/live/door.m3u8",
        "/live/door/media.m3u8",
        "/live/door/00000000-1.m4s",
    ] {
        assert_eq!(client.get(target).status, 404, "{target}");
    }
    let mut camera = Camera::start(&server, "door");
    let text = media_playlist(&mut client, &mut camera);
    let life = uris(&text, "")[0].split('-').next().unwrap().to_owned();
    let media = "/live/door/media.m3u8";
    for (target, status) in [
        (format!("{media}?_HLS_part=1"), 400),
        (format!("{media}?_HLS_msn=x"), 400),
        (format!("{media}?_HLS_msn=1&_HLS_part=-1"), 400),
        (format!("{media}?_HLS_msn=99"), 400),
        (format!("{media}?_HLS_msn=0&_HLS_part=99"), 200),
        (format!("/live/door/{life}-99.m4s"), 404),
        (format!("/live/door/{life}-99.mp4"), 404),
        (format!("/live/door/{life}-1.99.m4s"), 404),
        ("/live/door/00000000-1.m4s".to_owned(), 404),
        ("/live/other/media.m3u8".to_owned(), 404),
    ] {
        assert_eq!(client.get(&target).status, status, "{target}");
    }
}

#[test]
fn a_blocking_reload_waits_for_the_next_part() {
    let server = server(Config::default());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let text = media_playlist(&mut client, &mut camera);
    let hint = uris(&text, "#EXT-X-PRELOAD-HINT")[0];
    let (segment, part) = hint.split('-').nth(1).unwrap().split_once('.').unwrap();
    let part = part.strip_suffix(".m4s").unwrap();
    let mut waiting = http(&server);
    client.request("GET", &format!("/live/door/{hint}"), "");
    let target = format!("/live/door/media.m3u8?_HLS_msn={segment}&_HLS_part={part}");
    waiting.request("GET", &target, "");
    let patience = Some(Duration::from_millis(200));
    for client in [&client, &waiting] {
        client.socket().set_read_timeout(patience).unwrap();
        assert!(
            client.socket().peek(&mut [0]).is_err(),
            "it is answered already"
        );
        client.socket().set_read_timeout(Some(DEADLINE)).unwrap();
    }
    camera.frames(14);
    let hinted = client.answer();
    assert_eq!((hinted.status, &hinted.body[4..8]), (200, &b"moof"[..]));
    let text = waiting.answer().text();
    assert!(uris(&text, "#EXT-X-PART:").contains(&hint), "{text}");
}

/// A stream of three GOPs of 10 s, of which two are listed: a request for the fourth waits for half
/// a minute.
fn slow_camera(server: &Server) -> Client {
    let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    slow_frames(&mut camera, 0..751);
    camera
}

fn slow_frames(camera: &mut Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        camera.send_frame(number, number * 40, number % 250 == 0, 500);
        camera.send_message(8, 1, number * 40, b"\xAF\x01\x21\x10\x05");
    }
}

#[test]
fn a_waiting_client_that_hangs_up_frees_its_place() {
    // One client may have eight waiting requests.
    let config = Config::default().max_connections(32);
    let server = server(config);
    let mut camera = slow_camera(&server);
    let playlist = get_ok(&mut http(&server), "/live/door/media.m3u8").text();
    assert!(
        playlist.contains("#EXT-X-TARGETDURATION:10\n"),
        "{playlist}"
    );
    let wanted = "/live/door/media.m3u8?_HLS_msn=4";
    let waits = || {
        let mut client = http(&server);
        client.request("GET", wanted, "");
        let patience = Some(Duration::from_millis(200));
        client.socket().set_read_timeout(patience).unwrap();
        let peeked = client.socket().peek(&mut [0]);
        let waits = peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        waits.then_some(client)
    };
    let waiting: Vec<_> = std::iter::from_fn(waits).collect();
    assert_eq!(waiting.len(), 8);
    drop(waiting);
    crate::client::wait_until("there is a place", || {
        // Otherwise it would end at some time, and the waiting requests with it.
        camera.send_message(18, 1, 30_040, &metadata(0));
        // No more than may connect.
        std::thread::sleep(Duration::from_millis(200));
        waits().is_some()
    });
}

#[test]
fn a_long_wait_does_not_count_against_the_time_to_read_the_response() {
    let server = server(Config::default());
    let mut camera = slow_camera(&server);
    let mut client = http(&server);
    get_ok(&mut client, "/live/door/media.m3u8");
    client.request("GET", "/live/door/media.m3u8?_HLS_msn=4", "");
    // Longer than the 15 s that a client has to read a response, which no option shortens.
    for _ in 0..16 {
        std::thread::sleep(Duration::from_secs(1));
        camera.send_message(18, 1, 30_040, &metadata(0));
    }
    slow_frames(&mut camera, 751..1_001);
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("connection"), None);
    get_ok(&mut client, "/live/door/media.m3u8");
}

#[test]
fn the_key_of_a_playlist_stands_behind_every_uri_in_it() {
    let play = Access {
        keys: vec![Key::parse("sesame").unwrap()],
        ..Access::default()
    };
    let server = server(Config::default().play(play));
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    for target in ["/live/door.m3u8", "/live/door/media.m3u8?key=wrong"] {
        assert_ne!(client.get(target).status, 200, "{target}");
    }
    let text = get_ok(&mut client, "/live/door.m3u8?key=sesame").text();
    assert_eq!(uris(&text, ""), ["door/media.m3u8?key=sesame"]);
    camera.frames(60);
    let target = "/live/door/media.m3u8?_HLS_msn=1&key=sesame&_HLS_part=0";
    let text = get_ok(&mut client, target).text();
    let tags = ["", "#EXT-X-MAP", "#EXT-X-PART:", "#EXT-X-PRELOAD-HINT"];
    let all: Vec<_> = tags.iter().flat_map(|tag| uris(&text, tag)).collect();
    assert!(
        all.len() > 5 && all.iter().all(|uri| uri.ends_with("?key=sesame")),
        "{text}"
    );
    let (name, _) = all[0].split_once('?').unwrap();
    get_ok(&mut client, &format!("/live/door/{}", all[0]));
    assert_ne!(client.get(&format!("/live/door/{name}")).status, 200);
}

/// Takes as long as an ended playlist stays: three target durations of 2 s.
#[test]
fn an_ended_stream_keeps_its_playlist_for_a_moment() {
    let server = server(short_grace());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    media_playlist(&mut client, &mut camera);
    client.request("GET", "/live/door/media.m3u8?_HLS_msn=9", "");
    drop(camera);
    let text = client.answer().text();
    assert!(text.ends_with("\n#EXT-X-ENDLIST\n"), "{text}");
    for uri in uris(&text, "") {
        get_ok(&mut client, &format!("/live/door/{uri}"));
    }
    crate::client::wait_until("it is gone", || {
        client.get("/live/door/media.m3u8").status == 404
    });
    let (free, total) = server.blocks();
    assert_eq!(free, total);
}

/// The state of a stream's playlist.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    GoesOn,
    Ended,
    NotFound,
}

fn stage(client: &mut HttpClient, name: &str) -> Stage {
    let answer = client.get(&format!("/live/{name}/media.m3u8"));
    match answer.status {
        200 if answer.text().ends_with("\n#EXT-X-ENDLIST\n") => Stage::Ended,
        200 => Stage::GoesOn,
        404 => Stage::NotFound,
        _ => panic!("{}: {}", answer.status, answer.text()),
    }
}

/// Takes twice the grace time, which has to be longer than the requests, and the ended playlist's 6 s.
#[test]
fn the_playlist_of_a_publisher_that_vanished_goes_on_for_twice_the_grace_time() {
    let server = server(Config::default().grace(Duration::from_secs(2)));
    let mut client = http(&server);
    let mut cameras = ["lost", "done"].map(|name| Camera::start(&server, name));
    for name in ["lost", "done"] {
        assert_eq!(stage(&mut client, name), Stage::GoesOn);
    }
    // One publisher is cut off, the other says that it has finished.
    let stream = vec![Value::Number(1.0)];
    let [lost, done] = &mut cameras;
    let socket = lost.client.socket();
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    let (client_of_done, null) = (&mut done.client, Value::Null);
    client_of_done.send_command(0, "deleteStream", 0.0, null, stream);
    let mut seen = vec![[Stage::GoesOn; 2]];
    crate::client::wait_until("both are gone", || {
        let now = ["lost", "done"].map(|name| stage(&mut client, name));
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        now == [Stage::NotFound; 2]
    });
    use Stage::{Ended, GoesOn, NotFound};
    for index in [0, 1] {
        let mut stages: Vec<_> = seen.iter().map(|stages| stages[index]).collect();
        stages.dedup();
        assert_eq!(stages, [GoesOn, Ended, NotFound]);
    }
    assert!(seen.contains(&[GoesOn, Ended]), "{seen:?}");
    assert!(!seen.contains(&[Ended, GoesOn]), "{seen:?}");
    drop(cameras);
    crate::client::wait_until("no place is held", || server.connection_count() == 1);
    let (free, total) = server.blocks();
    assert_eq!(free, total);
}

#[test]
fn a_camera_that_was_cut_off_goes_on_in_the_same_playlist() {
    let server = server(Config::default());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let before = media_playlist(&mut client, &mut camera);
    drop(camera);
    let mut away = before.clone();
    crate::client::wait_until("it is cut off", || {
        away = get_ok(&mut client, "/live/door/media.m3u8").text();
        uris(&away, "").last() != uris(&before, "").last()
    });
    assert!(
        !away.contains("DISCONTINUITY") && !away.contains("ENDLIST"),
        "{away}"
    );
    // The answer stays the same as long as nothing comes.
    let again = get_ok(&mut client, "/live/door/media.m3u8").text();
    assert!(again == away, "{away}{again}");
    let waiting = uris(&away, "").last().unwrap().split(['-', '.']).nth(1);
    let next = waiting.unwrap().parse::<u64>().unwrap() + 1;
    let mut waiting = http(&server);
    waiting.request("GET", &format!("/live/door/media.m3u8?_HLS_msn={next}"), "");
    let _camera = Camera::start(&server, "door");
    let after = waiting.answer().text();
    let segments = uris(&after, "");
    // Numbers and names continue.
    let first = after.split("#EXT-X-MEDIA-SEQUENCE:").nth(1).unwrap();
    let first: u64 = first.lines().next().unwrap().parse().unwrap();
    let life = uris(&away, "")[0].split('-').next().unwrap();
    for (number, uri) in (first..).zip(&segments) {
        assert_eq!(*uri, format!("{life}-{number}.m4s"));
        get_ok(&mut client, &format!("/live/door/{uri}"));
    }
    assert!(
        (first..first + segments.len() as u64).contains(&next),
        "{after}"
    );
    assert_eq!(
        after.matches("#EXT-X-DISCONTINUITY\n").count(),
        1,
        "{after}"
    );
}

/// Takes the 5 s for which such a request waits.
#[test]
fn requests_for_an_awaited_stream_are_told_to_retry() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut camera = Client::publishing(address, "live", "door");
    let _player = Client::playing(address, "live", "door");
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    drop(camera);
    let _never = Client::playing(address, "live", "never");
    let mut client = http(&server);
    let answer = client.get("/live/door.m3u8");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("1"));
    // This stream was never published.
    assert_eq!(client.get("/live/never.m3u8").status, 404);
}

#[test]
fn publishers_that_are_gone_make_room_for_new_ones() {
    let server = server(Config::default().max_connections(6));
    for name in ["a", "b", "c", "d", "e", "f"] {
        let camera = Camera::start(&server, name);
        let mut client = http(&server);
        assert_eq!(stage(&mut client, name), Stage::GoesOn);
        drop((camera, client));
    }
    crate::client::wait_until("places are taken", || server.connection_count() >= 6);
    let camera = Camera::start(&server, "g");
    let mut client = http(&server);
    assert_eq!(stage(&mut client, "g"), Stage::GoesOn);
    // The first publishers had to give up their places, and are gone.
    crate::client::wait_until("it is gone", || stage(&mut client, "a") == Stage::NotFound);
    assert_eq!(stage(&mut client, "f"), Stage::GoesOn);
    crate::client::wait_until("there are no more", || server.connection_count() <= 6);
    drop(camera);
}

#[test]
fn a_server_that_stops_ends_waiting_requests() {
    let mut server = server(Config::default());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let text = media_playlist(&mut client, &mut camera);
    let hint = uris(&text, "#EXT-X-PRELOAD-HINT")[0];
    client.request("GET", &format!("/live/door/{hint}"), "");
    let mut other = http(&server);
    other.request("GET", "/live/door/media.m3u8?_HLS_msn=9", "");
    crate::client::wait_until("they are there", || server.connection_count() == 3);
    server.stop();
    assert_eq!(server.connection_count(), 0);
}

#[test]
fn a_stream_without_anything_for_mp4_has_no_playlist() {
    let server = server(Config::default());
    let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    for number in 0..100 {
        camera.send_message(9, 1, number * 40, b"\x12\0\0\x84");
        camera.send_message(8, 1, number * 40, b"\xB6\x01\x02");
    }
    let mut client = http(&server);
    crate::client::wait_until("it is there", || {
        client.get("/live/door.m3u8").status == 415
    });
}

/// Metadata of `len` bytes, as encoders send it.
fn metadata(len: usize) -> Vec<u8> {
    let mut payload =
        b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08\0\0\0\x01\0\x07encoder\x02".to_vec();
    payload.extend((len as u16).to_be_bytes());
    payload.resize(payload.len() + len, b'e');
    payload.extend(b"\0\0\x09");
    payload
}

#[test]
fn the_metadata_of_usual_encoders_fits_the_allowance() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    // The last publish has further tracks.
    for (name, header_len, metadata_len, tracks) in [
        ("obs", 50, 600, 1),
        ("long", 500, 800, 1),
        ("many", 50, 600, 4),
    ] {
        let mut client = Client::publishing(address, "live", name);
        client.send_message(18, 1, 0, &metadata(metadata_len));
        let mut header = AVC_320X240.to_vec();
        header.resize(header.len().max(header_len), 0);
        client.send_message(9, 1, 0, &header);
        client.send_message(8, 1, 0, AAC_HEADER);
        for track in 1..tracks {
            let further = [b"\x96\0avc1", &[track][..], &header[5..]].concat();
            client.send_message(9, 1, 0, &further);
        }
        let mut camera = Camera {
            client,
            frames: 0,
            len: 3_000,
        };
        camera.frames(240);
        let mut viewer = http(&server);
        // Without the headers there would never be a playlist.
        crate::client::wait_until(&format!("there is a keyframe of {name}"), || {
            viewer.get(&format!("/live/{name}/frame.mp4")).status == 200
        });
        let playlist = get_ok(&mut viewer, &format!("/live/{name}/media.m3u8")).text();
        assert!(!uris(&playlist, "").is_empty(), "{name}: {playlist}");
    }
}

/// Notes who plays and stops; lets nobody play `live/private`.
#[derive(Default)]
struct Witness(Mutex<Vec<String>>);

impl Handler for Witness {
    fn play(&self, client: &Peer, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        self.note(client, "play", request.key());
        match request.key().as_str() {
            "live/private" => Err(Refusal::new("nobody plays this")),
            _ => Ok(()),
        }
    }

    fn stop(&self, client: &Peer, stream: &StreamKey) {
        self.note(client, "stop", stream);
    }
}

impl Witness {
    fn note(&self, client: &Peer, what: &str, stream: &StreamKey) {
        let line = format!("#{} {what} {stream}", client.id());
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn a_handler_is_asked_once_for_each_viewer_and_notified_when_it_has_gone() {
    let witness = Arc::new(Witness::default());
    let config = on_free_ports(Config::default());
    let mut server = Server::builder(config)
        .handler(witness.clone())
        .start()
        .unwrap();
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let text = media_playlist(&mut client, &mut camera);
    for uri in uris(&text, "") {
        get_ok(&mut client, &format!("/live/door/{uri}"));
    }
    // Another connection of the same player.
    let init = uris(&text, "#EXT-X-MAP")[0];
    get_ok(&mut http(&server), &format!("/live/door/{init}"));
    assert_eq!(client.get("/live/private.m3u8").status, 403);
    let lines = || witness.0.lock().unwrap().clone();
    let until_now = ["#2 play live/door", "#2 play live/private"];
    assert_eq!(lines(), until_now);
    // Another program is another viewer.
    client.request("GET", "/live/door.m3u8", "User-Agent: other\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(lines()[2..], ["#2 play live/door"]);
    // Both have gone after a while, with their connection.
    drop(client);
    crate::client::wait_until("the handler is notified", || {
        std::thread::sleep(Duration::from_millis(100));
        lines().len() == 5
    });
    assert_eq!(lines()[3..], ["#2 stop live/door"; 2]);
    // A server that stops ends what goes on.
    get_ok(&mut http(&server), "/live/door.m3u8");
    assert_eq!(lines().len(), 6);
    server.stop();
    assert_eq!(lines().len(), 7);
    assert!(lines()[6].ends_with("stop live/door"));
}
