//! The server's state over HTTP, as JSON, for Prometheus, and as nginx-rtmp's XML; and closing a
//! connection.

mod counters;

use std::net::SocketAddr;

use brooklet::config::{Access, Key, parse_api_key};
use brooklet::rtmp::command::{object, text};
use brooklet::{Config, Server};
use serde_json::{Value, json};

use crate::client::{AAC_HEADER, AVC_320X240, Client, server, short_grace, wait_until};
use crate::common::Brooklet;
use crate::common::http::{Answer, HttpClient};

const STREAMS: &str = "/api/v1/streams";
const CONNECTIONS: &str = "/api/v1/connections";

/// Sends a request with additional header lines, each ending with CR LF.
fn ask(server: SocketAddr, method: &str, target: &str, headers: &str) -> Answer {
    let mut client = HttpClient::connect(server);
    client.request(method, target, headers);
    client.answer()
}

fn get(server: SocketAddr, target: &str) -> Answer {
    ask(server, "GET", target, "")
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    serde_json::from_slice(&answer.body).unwrap()
}

fn streams(server: SocketAddr) -> Value {
    json_of(&get(server, STREAMS))
}

/// Publishes with this client name, and sends some frames.
fn camera(server: &Server, client: &str, name: &str) -> Client {
    let parameters = object([("app", text("live")), ("flashVer", text(client))]);
    let address = server.rtmp_addresses()[0];
    let mut camera = Client::handshaken(address).connect_with(parameters);
    camera.publish(name);
    assert_eq!(camera.wait_for_status().1, "NetStream.Publish.Start");
    camera.send_headers();
    for index in 0..60 {
        camera.send_frame(index, index * 40, index % 25 == 0, 1_000);
    }
    camera
}

/// Returns a value from the Prometheus text, given everything in front of it.
fn metric(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn a_published_stream_is_listed_in_all_formats() {
    let server = server(Config::default());
    let (rtmp, http) = (server.rtmp_addresses()[0], server.http_addresses()[0]);
    assert_eq!(streams(http)["streams"], json!([]));
    let camera = camera(&server, "FMLE/3.0 \"<&\u{F6}\n", "door<&\">");
    let mut player = Client::playing(rtmp, "live", "door<&\">");
    player.wait_for_media();
    wait_until("all pictures have come", || {
        streams(http)["streams"][0]["bytes_in"] == json!(60_000 + 20 + 4)
    });

    let answer = streams(http);
    assert_eq!(answer["server"]["rtmp_port"], rtmp.port());
    assert_eq!(answer["locked"], false);
    let stream = &answer["streams"][0];
    assert_eq!(stream["name"], "live/door<&\">");
    assert_eq!(
        (&stream["is_live"], &stream["viewers"]),
        (&json!(true), &json!(1))
    );
    let since = stream["since"].as_str().unwrap();
    assert!(since.starts_with("20") && since.ends_with('Z') && since.len() == 20);
    let video = &stream["video"];
    assert_eq!(video["codec"], "H.264");
    assert_eq!(
        (&video["frame_rate"], &video["keyframe_interval_s"]),
        (&json!(25), &json!(1))
    );
    assert_eq!(stream["audio"]["sample_rate"], 44_100);
    let publisher = &stream["publisher"];
    assert_eq!(publisher["client"], "FMLE/3.0 \"<&??");
    let viewer = &stream["viewer_list"][0];
    assert_eq!(
        (&viewer["protocol"], &viewer["lag_ms"]),
        (&json!("rtmp"), &json!(0))
    );
    assert!(viewer["bytes_out"].as_u64().unwrap() > 1_000);
    let addresses = [&publisher["address"], &viewer["address"]].map(|a| a.as_str().unwrap());
    assert_eq!(
        addresses[0],
        camera.socket().local_addr().unwrap().to_string()
    );
    assert_eq!(
        addresses[1],
        player.socket().local_addr().unwrap().to_string()
    );

    // Connections of earlier requests are gone in a moment.
    let mut answer = get(http, "/metrics");
    wait_until("three connections are left", || {
        answer = get(http, "/metrics");
        metric(&answer.text(), "brooklet_connections") == Some(3.0)
    });
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(content_type));
    let metrics = answer.text();
    let lines = metrics.lines().map(|line| Ok(line.to_owned()));
    let parsed = prometheus_parse::Scrape::parse(lines).unwrap();
    assert!(parsed.samples.len() > 20);
    let stream = "{stream=\"live/door<&\\\">\"";
    for (series, expected) in [
        ("brooklet_connections".to_owned(), 3.0),
        (format!("brooklet_stream_live{stream}}}"), 1.0),
        (
            format!("brooklet_stream_received_messages_total{stream},medium=\"video\"}}"),
            61.0,
        ),
        (
            format!("brooklet_stream_viewers{stream},protocol=\"rtmp\"}}"),
            1.0,
        ),
    ] {
        assert_eq!(metric(&metrics, &series), Some(expected), "{series}");
    }
    assert!(metric(&metrics, "brooklet_received_bytes_total").unwrap() > 60_000.0);
    assert!(metric(&metrics, "brooklet_sent_bytes_total").unwrap() > 2_000.0);

    let answer = get(http, "/stat");
    assert_eq!(
        answer.header("content-type"),
        Some("text/xml; charset=utf-8")
    );
    let stat = answer.text();
    let root: Stat = quick_xml::de::from_str(&stat).unwrap();
    let [application] = &root.server.application[..] else {
        panic!("{stat}")
    };
    let [stream] = &application.live.stream[..] else {
        panic!("{stat}")
    };
    assert_eq!(
        (&application.name[..], &stream.name[..], stream.nclients),
        ("live", "door<&\">", 2)
    );
    assert_eq!(stream.bytes_in, 60_024);

    // The stream's viewers still wait for it. Tools see it as offline.
    drop(camera);
    wait_until("the publish has ended", || {
        streams(http)["streams"][0]["is_live"] == false
    });
    let stat = get(http, "/stat").text();
    let root: Stat = quick_xml::de::from_str(&stat).unwrap();
    assert!(root.server.application[0].live.stream.is_empty());
}

#[derive(serde::Deserialize)]
struct Stat {
    server: StatServer,
}

#[derive(serde::Deserialize)]
struct StatServer {
    application: Vec<StatApplication>,
}

#[derive(serde::Deserialize)]
struct StatApplication {
    name: String,
    live: StatLive,
}

#[derive(serde::Deserialize)]
struct StatLive {
    #[serde(default)]
    stream: Vec<StatStream>,
}

#[derive(serde::Deserialize)]
struct StatStream {
    name: String,
    bytes_in: u64,
    nclients: u32,
}

#[test]
fn connections_are_listed_with_what_they_do() {
    let server = server(Config::default());
    let (rtmp, http) = (server.rtmp_addresses()[0], server.http_addresses()[0]);
    let mut camera = camera(&server, "a camera", "door");
    let mut player = Client::playing(rtmp, "live", "door");
    player.wait_for_media();
    let headers = "User-Agent: curl/8.5\r\n";
    let connections = || json_of(&ask(http, "GET", CONNECTIONS, headers))["connections"].clone();
    let found = connections();
    let brief: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|connection| {
            ["protocol", "client", "publishes", "plays"].map(|name| connection[name].clone())
        })
        .collect();
    assert_eq!(
        brief,
        [
            [
                json!("rtmp"),
                json!("a camera"),
                json!(["live/door"]),
                json!([])
            ],
            [
                json!("rtmp"),
                json!("test"),
                json!([]),
                json!(["live/door"])
            ],
            [json!("http"), json!("curl/8.5"), json!([]), json!([])],
        ]
    );
    assert!(found[0]["bytes_in"].as_u64().unwrap() > 60_000);
    assert!(found[1]["bytes_out"].as_u64().unwrap() > 3_000);
    assert_eq!(
        found[1]["address"],
        player.socket().local_addr().unwrap().to_string()
    );

    camera.send_command(
        1,
        "closeStream",
        0.0,
        brooklet::rtmp::amf0::Value::Null,
        vec![],
    );
    wait_until("nothing is published", || {
        connections()[0]["publishes"] == json!([])
    });
    drop(player);
    wait_until("the player is gone", || {
        connections().as_array().unwrap().len() == 2
    });
}

#[test]
fn names_with_waiting_players_only_are_not_listed() {
    let server = server(Config::default());
    let (rtmp, http) = (server.rtmp_addresses()[0], server.http_addresses()[0]);
    let _player = Client::playing(rtmp, "live", "<img src=x>");
    assert_eq!(streams(http)["streams"], json!([]));
    assert!(!get(http, "/metrics").text().contains("img"));
    assert!(!get(http, "/stat").text().contains("img"));
}

#[test]
fn an_hls_viewer_is_listed_and_logged_once() {
    let server = Brooklet::start(&[]);
    let http = server.http_address();
    let mut camera = Client::publishing(server.address(), "live", "door");
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    let mut send = |index: u32| {
        camera.send_frame(index, index * 40, index % 50 == 0, 1_000);
        camera.send_message(8, 1, index * 40, b"\xAF\x01\x21\x10\x05");
    };
    (0..300).for_each(&mut send);
    let mut player = HttpClient::connect(http);
    let mut ask = || {
        player.request("GET", "/live/door/media.m3u8", "User-Agent: a player\r\n");
        assert_eq!(player.answer().status, 200);
        streams(http)["streams"][0].clone()
    };
    ask();
    let stream = ask();
    assert_eq!(stream["viewers"], 1);
    let viewers = stream["viewer_list"].as_array().unwrap();
    assert_eq!(viewers.len(), 1, "{viewers:?}");
    assert_eq!(viewers[0]["protocol"], "hls");
    assert_eq!(viewers[0]["client"], "a player");
    let words = format!(
        "#{} live/door: playing to 127.0.0.1:",
        viewers[0]["connection"]
    );
    server.wait_for_log(&words, 1);
    let log = server.log();
    assert_eq!(log.matches(" as HLS (a player)").count(), 1, "{log}");
    // The viewer is gone once it has sent no request for 15 s, which no option shortens; the publisher
    // continues.
    let mut number = 300;
    wait_until("it no longer counts", || {
        send(number);
        number += 1;
        std::thread::sleep(std::time::Duration::from_millis(40));
        server.log().contains("live/door: stopped playing by HLS")
    });
    assert_eq!(streams(http)["streams"][0]["viewer_list"], json!([]));
}

#[test]
fn delete_disconnects_and_the_log_names_the_caller() {
    let server = Brooklet::start(&[]);
    let http = server.http_address();
    let mut camera = Client::publishing(server.address(), "live", "door");
    camera.send_headers();
    camera.send_frame(0, 0, true, 1_000);
    let mut player = Client::playing(server.address(), "live", "door");
    player.wait_for_media();
    let delete = |id: &Value| {
        let mut client = HttpClient::connect(http);
        client.request("DELETE", &format!("{CONNECTIONS}/{id}"), "");
        client.answer().status
    };
    assert_eq!(delete(&json!(4_000_000)), 404);
    let stream = streams(http)["streams"][0].clone();
    let player_id = &stream["viewer_list"][0]["connection"];
    assert_eq!(delete(player_id), 204);
    player.until_closed();
    server.wait_for_log("disconnected: disconnected through the API", 1);
    // Over HTTP, the viewer's thread is that of the request.
    let mut viewer = HttpClient::connect(http);
    viewer.request("GET", "/live/door.flv", "");
    let viewers = || streams(http)["streams"][0]["viewer_list"].clone();
    wait_until("it is a viewer", || viewers()[0]["protocol"] == "flv");
    assert_eq!(delete(&viewers()[0]["connection"]), 204);
    assert!(viewer.until_closed().starts_with(b"HTTP/1.1 200 OK"));
    server.wait_for_log("MB sent: disconnected through the API", 2);
    let camera_id = &stream["publisher"]["connection"];
    assert_eq!(delete(camera_id), 204);
    camera.until_closed();
    server.wait_for_log("disconnected: disconnected through the API", 3);
    server.wait_for_log(&format!("ended #{camera_id} through the API"), 1);
    // The connection is closed, though the stream waits for its publisher.
    wait_until("it is over", || delete(camera_id) == 404);
    server.stop();
}

#[test]
fn without_the_api_key_addresses_are_hidden_and_delete_is_refused() {
    let server =
        server(Config::default().api_key(Some(parse_api_key("correct-horse-battery").unwrap())));
    let http = server.http_addresses()[0];
    let _camera = camera(&server, "a camera", "door");
    let key = "Authorization: Bearer correct-horse-battery\r\n";
    for (headers, is_allowed) in [("", false), (key, true)] {
        let expected = if is_allowed { 200 } else { 401 };
        assert_eq!(ask(http, "GET", CONNECTIONS, headers).status, expected);
        let answer = json_of(&ask(http, "GET", STREAMS, headers));
        let stream = &answer["streams"][0];
        assert_eq!(stream["name"], "live/door");
        assert_eq!(stream["publisher"]["address"].is_string(), is_allowed);
        assert_eq!(stream["viewer_list"].is_array(), is_allowed);
        let stat = ask(http, "GET", "/stat", headers).text();
        assert_eq!(stat.contains("<client>"), is_allowed);
        let connection = format!("{CONNECTIONS}/{}", stream["publisher"]["connection"]);
        let expected = if is_allowed { 204 } else { 401 };
        assert_eq!(ask(http, "DELETE", &connection, headers).status, expected);
    }
    let with_query = format!("{CONNECTIONS}?api_key=correct-horse-battery");
    assert_eq!(get(http, &with_query).status, 200);
}

#[test]
fn streams_that_require_a_key_are_listed_for_clients_with_it() {
    let server = server(
        Config::default()
            .api_key(Some(parse_api_key("correct-horse-battery").unwrap()))
            .play(Access::default().keys(vec![Key::parse("play-key").unwrap()])),
    );
    let http = server.http_addresses()[0];
    let _camera = camera(&server, "a camera", "door");
    for (query, count, is_locked) in [
        ("", 0, true),
        ("?key=play-key", 1, false),
        ("?api_key=correct-horse-battery", 1, false),
    ] {
        let answer = json_of(&get(http, &format!("{STREAMS}{query}")));
        let found = answer["streams"].as_array().unwrap().len();
        assert_eq!(
            (found, &answer["locked"]),
            (count, &json!(is_locked)),
            "{query}"
        );
        for target in ["/metrics", "/stat"] {
            let text = get(http, &format!("{target}{query}")).text();
            assert_eq!(text.contains("door"), count == 1, "{target}{query}");
        }
    }
}

#[test]
fn findings_are_logged_once_and_listed() {
    let server = Brooklet::start(&["--memory", "1M"]);
    let mut camera = Client::publishing(server.address(), "live", "door");
    camera.send_headers();
    // One GOP of two megabytes.
    for index in 0..200 {
        camera.send_frame(index, index * 20, index == 0, 10_000);
    }
    let text = "live/door: from one keyframe to the next come more than";
    server.wait_for_log(text, 1);
    let findings = || streams(server.http_address())["streams"][0]["findings"].clone();
    wait_until("it is told", || findings()[0]["id"] == "memory");
    let metrics = get(server.http_address(), "/metrics").text();
    let series = "brooklet_stream_finding{stream=\"live/door\",finding=\"memory\"}";
    assert_eq!(metric(&metrics, series), Some(1.0));
    for index in 0..400 {
        camera.send_frame(index, 4_000 + index * 20, index % 200 == 0, 10_000);
    }
    wait_until("all has come", || {
        streams(server.http_address())["streams"][0]["bytes_in"]
            .as_u64()
            .is_some_and(|bytes| bytes > 6_000_000)
    });
    server.with_log(|log| assert_eq!(log.matches(text).count(), 1, "{log}"));
    server.stop();
}
