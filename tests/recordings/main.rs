//! Recordings over HTTP: the list, files, spans and playlists.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod beginning;
#[allow(dead_code)]
#[path = "../browser/chromium.rs"]
mod chromium;
mod disks;
mod ffmpeg;
mod files;
mod kills;
mod long_spans;
mod matrix;
mod movie;
mod players;
mod playlists;
mod sources;
mod sparse;

use std::net::SocketAddr;
use std::path::Path;

use brooklet::record::name::Format;
use brooklet::{Config, Server};
use common::http::{Answer, HttpClient};
use common::random::Random;
use common::{SOON, TempDir, start_library_server, wait_until};
use files::{FRAGMENT, START};
use serde_json::Value;

/// Starts a server on a folder of recordings, and waits until it has listed `streams` of them.
fn start(folder: &Path, streams: usize, configure: impl FnOnce(&mut Config)) -> Server {
    let server = start_library_server(|config| {
        config.record.dir = Some(folder.to_owned());
        config.record.streams.clear();
        // The disk of a test may be nearly full.
        config.record.free = Some(0);
        config.max_connect_rate = 1_000;
        configure(config);
    });
    let address = server.http_addresses()[0];
    wait_until("the recordings are listed", SOON, || {
        let list = list(address, "?api_key=api-key");
        list["recordings"].as_array().unwrap().len() == streams
    });
    server
}

fn list(address: SocketAddr, query: &str) -> Value {
    let target = format!("/api/v1/recordings{query}");
    let answer = HttpClient::connect(address).get(&target);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

fn get(address: SocketAddr, target: &str, headers: &str) -> Answer {
    let mut client = HttpClient::connect(address);
    client.request("GET", target, headers);
    client.answer()
}

/// A server with two files of `live/door`: 20 and 10 s.
struct Door {
    dir: TempDir,
    names: Vec<String>,
    _server: Server,
    address: SocketAddr,
}

impl Door {
    fn start() -> Door {
        let dir = TempDir::new();
        let names = files::write(dir.path(), "live/door", &[20, 10]);
        let server = start(dir.path(), 1, |_| {});
        let address = server.http_addresses()[0];
        Door {
            dir,
            names,
            _server: server,
            address,
        }
    }

    fn bytes(&self, index: usize) -> Vec<u8> {
        let path = self.dir.join("live").join("door").join(&self.names[index]);
        std::fs::read(path).unwrap()
    }

    fn url(&self, index: usize) -> String {
        format!("/recordings/live/door/{}", self.names[index])
    }
}

/// The target of a span, from and to seconds after the start.
fn span(from: u64, to: u64) -> String {
    let [from, to] = [from, to].map(|seconds| START + seconds * FRAGMENT);
    format!("/recordings/live/door.mp4?from={from}&to={to}")
}

#[test]
fn recordings_are_listed() {
    let door = Door::start();
    let all = list(door.address, "");
    let stream = &all["recordings"][0];
    assert_eq!(stream["stream"], "live/door");
    assert_eq!(stream["is_recording"], false);
    let spans = stream["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 1);
    assert_eq!(stream.get("files"), None);
    let one = list(door.address, "?stream=live/door&from=2026-11-28T11:30:25Z");
    let files = one["recordings"][0]["files"].as_array().unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0]["name"], *door.names[1]);
    assert_eq!(files[0]["bytes"], door.bytes(1).len());
    assert_eq!(
        list(door.address, "?stream=live/yard")["recordings"],
        serde_json::json!([])
    );
    for query in ["?from=now", "?from=2&to=1", "?stream=", "?stream=.."] {
        let answer = get(door.address, &format!("/api/v1/recordings{query}"), "");
        assert_eq!(answer.status, 400, "{query} {}", answer.text());
    }
}

#[test]
fn a_file_is_sent_as_it_is_and_in_ranges() {
    let door = Door::start();
    let whole = door.bytes(0);
    let answer = get(door.address, &door.url(0), "");
    assert_eq!(answer.status, 200);
    assert!(answer.body == whole);
    assert_eq!(answer.header("content-type"), Some("video/mp4"));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    let modified = answer.header("last-modified");
    assert_eq!(modified, Some("Sat, 28 Nov 2026 11:30:20 GMT"));
    let tag = answer.header("etag").unwrap().to_owned();
    let none_match = format!("If-None-Match: {tag}\r\n");
    let again = get(door.address, &door.url(0), &none_match);
    assert_eq!((again.status, again.body.len()), (304, 0));
    check_ranges(door.address, &door.url(0), &whole, &tag);
    let mut client = HttpClient::connect(door.address);
    client.request("HEAD", &door.url(0), "");
    let head = client.bodiless_answer();
    assert_eq!(
        head.header("content-length"),
        Some(&*whole.len().to_string())
    );
    // The connection goes on.
    assert_eq!(client.get(&door.url(1)).status, 200);
    let download = client.get(&format!("{}?download", door.url(0)));
    let disposition = "attachment; filename=\"door_2026-11-28_11-30-00.mp4\"";
    assert_eq!(download.header("content-disposition"), Some(disposition));
    let init = client.get(&format!("{}?init", door.url(0)));
    assert!(init.body.len() < 2_000);
    assert_eq!(init.body[36..], whole[52..init.body.len() + 16]);
}

#[test]
fn long_spans_are_limited_to_what_a_client_needs() {
    let door = Door::start();
    let mut client = HttpClient::connect(door.address);
    for kind in ["mp4", "m3u8"] {
        let target = format!("/recordings/live/door.{kind}?from=0&to=86400000");
        let is_refused = (0..500).any(|_| client.get(&target).status == 429);
        assert!(is_refused, "{kind}");
    }
}

/// Compares ranges with the whole.
fn check_ranges(address: SocketAddr, target: &str, whole: &[u8], tag: &str) {
    let mut client = HttpClient::connect(address);
    let mut random = Random(7);
    let len = whole.len();
    for round in 0..1_000 {
        let start = random.below(len);
        let end = start + 1 + random.below((len - start).min(20_000));
        let range = format!("Range: bytes={start}-{}\r\nIf-Range: {tag}\r\n", end - 1);
        client.request("GET", target, &range);
        let answer = client.answer();
        assert_eq!(answer.status, 206, "round {round}");
        let expected = format!("bytes {start}-{}/{len}", end - 1);
        assert_eq!(answer.header("content-range"), Some(&*expected));
        assert!(
            answer.body == whole[start..end],
            "round {round}: {start}..{end}"
        );
    }
    client.request("GET", target, &format!("Range: bytes={len}-\r\n"));
    let answer = client.answer();
    let unsatisfied = format!("bytes */{len}");
    assert_eq!(answer.header("content-range"), Some(&*unsatisfied));
    assert_eq!(answer.status, 416);
    client.request("GET", target, "Range: bytes=0-9\r\nIf-Range: \"other\"\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.len()), (200, len));
}

#[test]
fn a_span_is_sent_as_one_file_and_in_ranges() {
    let door = Door::start();
    let target = span(5, 25);
    let answer = get(door.address, &target, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("recording-from"),
        Some("2026-11-28T11:30:05.000Z")
    );
    assert_eq!(
        answer.header("recording-to"),
        Some("2026-11-28T11:30:25.000Z")
    );
    let tag = answer.header("etag").unwrap().to_owned();
    check_ranges(door.address, &target, &answer.body, &tag);
    let by_duration = target.replace(&format!("to={}", START + 25_000), "duration=20s");
    assert!(get(door.address, &by_duration, "").body == answer.body);
    let other = get(door.address, &span(5, 24), "");
    assert_ne!(other.header("etag"), Some(&*tag));
    let download = get(door.address, &format!("{target}&download=1"), "");
    let disposition = "attachment; filename=\"door_2026-11-28_11-30-05.mp4\"";
    assert_eq!(download.header("content-disposition"), Some(disposition));
}

#[test]
fn what_is_not_there_is_refused_with_a_reason() {
    let door = Door::start();
    for (target, status, words) in [
        (
            "/recordings/live/door.mp4",
            404,
            "recordings/live/door isn't live; recordings need .mp4?from=TIME or .m3u8?from=TIME",
        ),
        (
            "/recordings/live/door.flv?from=0",
            404,
            "recordings need .mp4?from=TIME",
        ),
        (
            "/recordings/live/door.mp4?from=2026-11-28T11:30:00%2B01:00",
            400,
            "from is a time in UTC",
        ),
        (
            "/recordings/live/door.m3u8?from=1795865400",
            404,
            "at that time, from 1970-01-21T18:51:05.400Z",
        ),
        ("/recordings/live/door.mp4?from=", 400, "from is a time"),
        (
            "/recordings/live/door.mp4?from=5&to=4",
            400,
            "from isn't before to",
        ),
        (
            "/recordings/live/door.mp4?from=5&to=5",
            400,
            "from isn't before to",
        ),
        (
            "/recordings/live/door.mp4?from=0&to=86400001",
            400,
            "24 hours",
        ),
        (
            "/recordings/live/door.mp4?from=0&duration=x",
            400,
            "duration isn't a time",
        ),
        (
            "/recordings/live/door.mp4?from=0",
            404,
            "nothing was recorded of live/door",
        ),
        (
            "/recordings/live/yard.mp4?from=0",
            404,
            "nothing was recorded of live/yard",
        ),
        (
            "/recordings/live/door.m3u8?from=0",
            404,
            "nothing was recorded",
        ),
        (
            "/recordings/live/yard/2026-11-28T11-30-00Z.mp4",
            404,
            "no such recording",
        ),
        (
            "/recordings/live/door/2026-11-28T11-30-01Z.mp4",
            404,
            "no such recording",
        ),
        (
            "/recordings/live/door/2026-99-99T99-99-99Z.mp4",
            404,
            "no such recording",
        ),
        (
            "/recordings/live/../live/door/2026-11-28T11-30-00Z.mp4",
            404,
            "not found",
        ),
        (
            "/recordings/live/door/%2e%2e/2026-11-28T11-30-00Z.mp4",
            404,
            "not found",
        ),
        ("/recordings/.brooklet", 404, "not found"),
    ] {
        let answer = get(door.address, target, "");
        assert_eq!(answer.status, status, "{target} {}", answer.text());
        assert!(answer.text().contains(words), "{target} {}", answer.text());
    }
    let mut client = HttpClient::connect(door.address);
    client.request("DELETE", &door.url(0), "");
    assert_eq!(client.answer().status, 405);
}

#[test]
fn flv_has_no_spans_and_the_reason_names_a_file() {
    let dir = TempDir::new();
    let name = files::write_sparse(dir.path(), "live/the door", 1_000, Format::Flv);
    let server = start(dir.path(), 1, |_| {});
    let address = server.http_addresses()[0];
    for form in ["mp4", "m3u8"] {
        let target = format!("/recordings/live/the%20door.{form}?from={START}");
        let answer = get(address, &target, "");
        assert_eq!(answer.status, 415, "{}", answer.text());
        let text = answer.text();
        let (_, path) = text.trim().split_once(": ").unwrap();
        assert_eq!(path, format!("/recordings/live/the%20door/{name}"));
        assert_eq!(get(address, path, "").status, 200);
    }
}

#[test]
fn a_server_without_recordings_says_so() {
    let server = start_library_server(|_| {});
    let address = server.http_addresses()[0];
    assert_eq!(list(address, "")["recordings"], serde_json::json!([]));
    let answer = get(address, &span(0, 1), "");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.text(), "nothing is recorded here\n");
}

#[test]
fn while_the_folder_is_away_its_recordings_cannot_be_read() {
    let door = Door::start();
    let (folder, elsewhere) = (door.dir.path(), TempDir::new());
    let away = elsewhere.join("away");
    let playlist = span(0, 3).replace(".mp4", ".m3u8");
    for is_there in [true, false, true] {
        for target in [&door.url(0), &span(0, 3), &playlist] {
            let answer = get(door.address, target, "");
            let text = answer.text();
            let status = if is_there { 200 } else { 503 };
            assert_eq!(answer.status, status, "{target} {text}");
            assert!(is_there || text.contains("disk gone"), "{text}");
        }
        if is_there && folder.exists() {
            std::fs::rename(folder, &away).unwrap();
        } else {
            std::fs::rename(&away, folder).unwrap();
        }
    }
}

#[test]
fn a_file_that_vanishes_is_not_found_and_is_taken_off_the_list() {
    let door = Door::start();
    std::fs::remove_file(door.dir.join("live").join("door").join(&door.names[0])).unwrap();
    assert_eq!(get(door.address, &door.url(0), "").status, 404);
    let answer = get(door.address, &span(0, 30), "");
    assert_eq!(
        answer.header("recording-from"),
        Some("2026-11-28T11:30:20.000Z")
    );
    wait_until("it is off the list", SOON, || {
        let list = list(door.address, "?stream=live/door");
        list["recordings"][0]["files"].as_array().unwrap().len() == 1
    });
}
