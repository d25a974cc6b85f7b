//! Requests to record streams: by the settings, by publishers, over HTTP, and by the embedding program.

use std::net::SocketAddr;
use std::time::Duration;

use brooklet::config::{Record, RecordFormat, parse_recorded};
use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::text;
use brooklet::rtmp::message::type_id;
use brooklet::{
    Config, Finding, RecordingTrouble, Server, StartErrorKind, StartRefused, StreamKey,
};
use serde_json::Value as Json;

use crate::client::{Client, server, wait_until};
use crate::common::TempDir;
use crate::common::http::{Answer, HttpClient};

/// Settings that record nothing in this folder unless asked to.
fn record(folder: &TempDir) -> Record {
    Record::default()
        .dir(Some(folder.path().to_owned()))
        .streams(Vec::new())
        .free(Some(0))
}

/// Settings of a server that is asked often.
fn polled() -> Config {
    Config::default().max_connect_rate(10_000)
}

/// Publishes with this type. Returns the codes of all statuses in reply to it.
fn publish(address: SocketAddr, name: &str, kind: &str) -> (Client, Vec<String>) {
    let mut client = Client::connected(address, "live");
    let arguments = vec![text(name), text(kind)];
    client.send_command(1, "publish", 3.0, Value::Null, arguments);
    // The reply to this follows all statuses.
    client.send_command(0, "createStream", 4.0, Value::Null, vec![]);
    let mut codes = Vec::new();
    loop {
        let message = client.next().unwrap();
        let command = message.command();
        if command.is_some_and(|command| command.name == "_result") {
            return (client, codes);
        }
        codes.extend(message.status().map(|(_, code, _)| code));
    }
}

fn ask(server: &Server, method: &str, target: &str) -> Answer {
    let mut client = HttpClient::connect(server.http_addresses()[0]);
    client.request(method, target, "Content-Length: 0\r\n");
    client.answer()
}

/// The recording of the only stream, as listed.
fn listed(server: &Server) -> Json {
    let answer = ask(server, "GET", "/api/v1/streams").text();
    let answer: Json = serde_json::from_str(&answer).unwrap();
    answer["streams"][0]["recording"].clone()
}

#[test]
fn the_settings_decide_which_streams_are_recorded() {
    let folder = TempDir::new();
    let streams = vec![parse_recorded("live/door").unwrap()];
    let server = server(polled().record(record(&folder).streams(streams)));
    for (name, is_recorded) in [("gate", false), ("door", true)] {
        // A publisher isn't told what it hasn't asked for.
        let (_publisher, codes) = publish(server.rtmp_addresses()[0], name, "live");
        assert_eq!(codes, ["NetStream.Publish.Start"]);
        let streams = server.streams();
        let stream = streams
            .iter()
            .find(|stream| stream.key.as_str().ends_with(name));
        assert_eq!(stream.unwrap().recording.is_some(), is_recorded, "{name}");
    }
}

#[test]
fn a_second_server_is_refused_the_folder_of_the_first() {
    let folder = TempDir::new();
    let config = Config::default().record(record(&folder));
    let first = server(config.clone());
    let free = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    let second = config.rtmp(free).http(Vec::new());
    let error = Server::start(second.clone()).err().unwrap();
    assert_eq!(error.kind(), StartErrorKind::Record);
    let process = std::process::id();
    let expected = format!(
        "cannot record: process {process} is recording in {}",
        folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    Server::start(second).unwrap();
}

#[test]
fn a_publisher_that_asks_is_recorded_if_it_may_ask() {
    let folder = TempDir::new();
    for (may_ask, kind, is_recorded) in [
        (true, "live", false),
        (true, "nonsense", false),
        (true, "record", true),
        (true, "append", true),
        (false, "record", false),
    ] {
        let record = record(&folder).on_request(may_ask);
        let server = server(polled().record(record));
        let (_publisher, codes) = publish(server.rtmp_addresses()[0], "door", kind);
        let expected = ["NetStream.Publish.Start", "NetStream.Record.Start"];
        assert_eq!(codes, expected[..1 + usize::from(is_recorded)], "{kind}");
        assert_eq!(listed(&server).is_object(), is_recorded, "{kind}");
    }
}

#[test]
fn a_recording_begins_and_ends_over_http() {
    const DOOR: &str = "/api/v1/streams/live/door/recording";

    let folder = TempDir::new();
    let server = server(polled().record(record(&folder)));
    assert_eq!(ask(&server, "POST", DOOR).status, 404);
    let (_publisher, _) = publish(server.rtmp_addresses()[0], "door", "live");
    assert_eq!(listed(&server), Json::Null);
    for preroll in ["soon", "-1s", "2h", ""] {
        let target = format!("{DOOR}?preroll={preroll}");
        assert_eq!(ask(&server, "POST", &target).status, 400, "{preroll}");
    }
    assert_eq!(listed(&server), Json::Null);
    for target in [DOOR, &format!("{DOOR}?preroll=10s")] {
        let answer = ask(&server, "POST", target);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let recording: Json = serde_json::from_str(&answer.text()).unwrap();
        assert!(recording["state"].is_string(), "{recording}");
    }
    assert!(listed(&server).is_object());
    let answer = ask(&server, "GET", DOOR);
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), Some("POST, DELETE, OPTIONS"));
    assert_eq!(ask(&server, "DELETE", DOOR).status, 200);
    wait_until("it has ended", || listed(&server) == Json::Null);
    assert_eq!(ask(&server, "DELETE", DOOR).status, 404);
}

#[test]
fn a_stream_that_the_format_cannot_hold_is_a_finding() {
    /// A keyframe of Sorenson's codec, which only FLV has a place for.
    const SORENSON: &[u8] = &[0x12, 0, 0, 0x84, 0, 0x40, 0x05, 0x03, 0xC0];

    let folder = TempDir::new();
    let all = vec![parse_recorded("*").unwrap()];
    for (format, state) in [
        (RecordFormat::Mp4, "no format"),
        (RecordFormat::Auto, "recording"),
    ] {
        let record = record(&folder).streams(all.clone()).format(format);
        let server = server(polled().record(record));
        let (mut publisher, _) = publish(server.rtmp_addresses()[0], "door", "live");
        let mut timestamp = 0;
        wait_until("its state is known", || {
            publisher.send_message(type_id::VIDEO, 1, timestamp, SORENSON);
            timestamp += 100;
            std::thread::sleep(Duration::from_millis(100));
            listed(&server)["state"] == state
        });
        let mut findings = server.streams()[0].report.findings.clone();
        findings.retain(|finding| matches!(finding, Finding::Recording(_)));
        let expected = Finding::Recording(RecordingTrouble::NoFormat);
        let is_found = format == RecordFormat::Mp4;
        assert_eq!(findings, [expected][..usize::from(is_found)]);
    }
}

#[test]
fn without_a_folder_nothing_can_be_recorded_and_the_answer_says_so() {
    let server = server(polled());
    let (_publisher, codes) = publish(server.rtmp_addresses()[0], "door", "record");
    assert_eq!(codes, ["NetStream.Publish.Start"]);
    let answer = ask(&server, "POST", "/api/v1/streams/live/door/recording");
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains("--record DIR"), "{}", answer.text());
    assert!(server.disk().is_none());
}

#[test]
fn the_program_that_embeds_the_server_may_ask() {
    let folder = TempDir::new();
    let server = server(polled().record(record(&folder)));
    let door = StreamKey::new("live", "door").unwrap();
    let start = || server.start_recording(&door, Duration::from_secs(10));
    assert_eq!(start(), Err(StartRefused::NotLive));
    let (_publisher, _) = publish(server.rtmp_addresses()[0], "door", "live");
    assert_eq!(start(), Ok(()));
    assert!(server.streams()[0].recording.is_some());
    assert!(server.stop_recording(&door));
    wait_until("it has ended", || server.streams()[0].recording.is_none());
    assert!(!server.stop_recording(&door));
}

#[test]
fn a_recording_begins_with_the_first_keyframe_and_not_with_the_newest() {
    /// The sequence header of H.264, and what a keyframe begins with, the length of its NAL unit last.
    const HEADER: &[u8] = &[
        0x17, 0, 0, 0, 0, 1, 0x42, 0, 0x0A, 0xFF, 0xE1, 0, 7, 0x67, 0x42, 0, 0x0A, 0xF8, 0x41,
        0xA2, 1, 0, 4, 0x68, 0xCE, 0x38, 0x80,
    ];
    const KEYFRAME: &[u8] = &[0x17, 1, 0, 0, 0, 0, 0, 0, 11, 0x65];

    let folder = TempDir::new();
    let all = vec![parse_recorded("*").unwrap()];
    let record = record(&folder).streams(all);
    let server = server(polled().record(record));
    let (mut publisher, _) = publish(server.rtmp_addresses()[0], "door", "live");
    publisher.send_message(type_id::AUDIO, 1, 0, &[0xAF, 0, 0x12, 0x10]);
    publisher.send_message(type_id::VIDEO, 1, 0, HEADER);
    let mut count = 0;
    wait_until("it is recorded", || {
        let frame = [KEYFRAME, format!("frame {count:04}").as_bytes()].concat();
        publisher.send_message(type_id::VIDEO, 1, count * 25, &frame);
        count += 1;
        std::thread::sleep(Duration::from_millis(25));
        let recording = server.streams()[0].recording.clone();
        recording.is_some_and(|recording| recording.bytes > 0)
    });
    drop(publisher);
    drop(server);
    let files = std::fs::read_dir(folder.join("live/door")).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let [file] = &files[..] else {
        panic!("{files:?}");
    };
    let bytes = std::fs::read(file).unwrap();
    for number in 0..count {
        let frame = format!("frame {number:04}");
        let is_there = bytes
            .windows(frame.len())
            .any(|window| window == frame.as_bytes());
        assert!(is_there, "{frame} is missing");
    }
}
