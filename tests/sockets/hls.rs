//! Playlists, segments and parts over HTTP.

mod ended;
mod waiting;

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

/// A publisher of `live/door`, and the number of frames that it has sent.
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
        // Once this command is answered, the server has processed all frames.
        let arguments = Vec::new();
        self.client
            .send_command(0, "createStream", 9.0, Value::Null, arguments);
        self.client.wait_for_command("_result");
    }
}

/// Returns the lines of a playlist that are URIs, or, if `tag` isn't empty, the URIs in tags that begin
/// with it.
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

/// Returns the media playlist, after requesting it at the start and publishing all the GOPs that it then
/// lists.
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

/// The segment has 3 MB, and its first reader stops reading.
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
fn the_key_of_a_playlist_stands_behind_every_uri_in_it() {
    let play = Access::default().keys(vec![Key::parse("sesame").unwrap()]);
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

/// Returns metadata of `len` bytes, in the form that encoders send.
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

/// A handler that records who plays and stops, and lets nobody play `live/private`.
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
    // A server that stops ends the remaining plays.
    get_ok(&mut http(&server), "/live/door.m3u8");
    assert_eq!(lines().len(), 6);
    server.stop();
    assert_eq!(lines().len(), 7);
    assert!(lines()[6].ends_with("stop live/door"));
}
