use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::live::finding::Finding;
use crate::live::preamble::{Preamble, Slot};
use crate::live::report::{Delivered, TrackReport, Viewers};
use crate::live::tracks::Tracks;
use crate::media::mp4::{AudioTrack, Presentation, VideoTrack};
use crate::media::tag::Medium;

/// H.264 Baseline 3.0, 640x360 pixels.
const AVC: &[u8] = b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";

/// AAC LC, 48 kHz, two channels.
const AAC: &[u8] = b"\xAF\0\x11\x90";

/// Names that StreamKey lets through, and what clients may call themselves.
const HOSTILE: &[&str] = &[
    "\"><script>alert(1)</script>",
    "a&b;&lt;'\"",
    "]]>--><!--",
    "{stream=\"x\"} 1",
    "\u{202E}\u{2028}\u{2029}\u{FEFF}\u{FFFE}\u{FFFF}",
    "\u{1F3A5} d\u{F6}r",
    "%s%n${x}",
];

fn key(name: &str) -> StreamKey {
    StreamKey::new("live", name).unwrap()
}

fn connection(id: u64, protocol: &'static str, client: &str) -> ConnectionReport {
    ConnectionReport {
        id,
        address: format!("192.0.2.{id}:5123").parse().unwrap(),
        protocol,
        client: client.to_owned(),
        since: 9_000,
        publishes: Vec::new(),
        plays: Vec::new(),
        bytes_in: id * 1000,
        bytes_out: id * 10,
    }
}

/// A server as a test wants it.
#[derive(Clone, Default)]
struct Figures {
    status: Status,
    streams: Vec<(StreamKey, StreamReport)>,
    viewers: Vec<ViewerReport>,
    connections: Vec<ConnectionReport>,
}

impl Source for Figures {
    fn stream_after(&mut self, key: Option<&StreamKey>) -> Option<StreamStatus> {
        let later = self
            .streams
            .iter()
            .filter(|(other, _)| key.is_none_or(|key| other > key));
        let (key, report) = later.min_by(|(a, _), (b, _)| a.cmp(b))?;
        Some(StreamStatus::new(key.clone(), report.clone()))
    }

    fn is_locked(&self) -> bool {
        false
    }

    fn viewer_after(&mut self, key: &StreamKey, viewer: u64) -> Option<ViewerReport> {
        let (_, report) = self.streams.iter().find(|(other, _)| other == key)?;
        let has_viewers = report.viewers != Viewers::default();
        let mut viewers = self.viewers.iter().filter(|_| has_viewers);
        viewers.find(|found| found.id > viewer).cloned()
    }

    fn connection_after(&mut self, id: u64) -> Option<ConnectionReport> {
        let mut connections = self.connections.iter();
        connections.find(|found| found.id > id).cloned()
    }

    fn connection(&mut self, id: u64) -> Option<ConnectionReport> {
        self.connection_after(id - 1).filter(|found| found.id == id)
    }
}

type Form = fn(&mut dyn std::fmt::Write, &Status, &mut dyn Source);

fn told(form: Form, server: &Figures) -> String {
    let mut text = String::new();
    form(&mut text, &server.status, &mut server.clone());
    text
}

/// Two viewers, of whom one is slow.
fn viewers() -> Vec<ViewerReport> {
    let viewer = |connection, protocol, lag, skips| ViewerReport {
        id: connection + 100,
        connection,
        protocol,
        since: 70_000,
        delivered: Delivered {
            bytes: 40_000,
            skips,
            skipped_messages: u64::from(skips) * 50,
        },
        lag,
    };
    vec![viewer(18, "rtmp", 20, 0), viewer(19, "mp4", 1_250, 2)]
}

/// A camera with these viewers.
fn door() -> StreamReport {
    let mut all = Viewers::default();
    viewers().iter().for_each(|viewer| all.add(viewer));
    let track = |bytes, messages, bits_per_second| TrackReport {
        bytes,
        messages,
        bits_per_second,
        sample: vec![0x27, 1],
    };
    let preamble = Preamble::default().with(Slot::Video(0), AVC);
    let preamble = preamble.and_then(|preamble| preamble.with(Slot::Audio(0), AAC));
    let presentation = Presentation {
        video: VideoTrack::from_sequence_header(AVC),
        audio: AudioTrack::from_sequence_header(AAC),
    };
    StreamReport {
        is_live: true,
        publishes: 2,
        since: 60_000,
        publisher: Some((17, [192, 0, 2, 17].into())),
        audio: track(96_000, 1_000, 128_000),
        video: track(1_800_000, 300, 2_400_999),
        frame_rate: Some(29_970),
        keyframe_interval: Some(2_000),
        dropped_messages: 3,
        bytes_out: 123_456,
        bits_out: 5_000_000,
        skips: 2,
        skipped_messages: 100,
        peak_viewers: 5,
        blocks: 10,
        preamble: Arc::new(preamble.unwrap()),
        tracks: Arc::new(Tracks {
            presentation,
            ..Tracks::default()
        }),
        findings: vec![Finding::MissingTrack(Medium::Audio)],
        hls_viewers: 4,
        past: Default::default(),
        viewers: all,
    }
}

fn server(is_privileged: bool) -> Figures {
    let mut publisher = connection(17, "rtmp", "FMLE/3.0");
    publisher.publishes = vec![key("door")];
    let mut player = connection(18, "rtmp", "LNX 9,0,124,2");
    player.plays = vec![key("door")];
    let status = Status {
        now: 72_345,
        // 2026-11-21T08:00:12.345Z
        wall_clock: 1_795_248_012_345,
        rtmp_port: Some(1935),
        is_privileged,
        connections: 3,
        accepted: 19,
        bytes_in: 2_000_000,
        bytes_out: 200_000,
        free_blocks: 2_038,
        total_blocks: 2_048,
    };
    Figures {
        status,
        streams: vec![(key("door"), door())],
        viewers: viewers(),
        connections: vec![publisher, player, connection(19, "http", "Mozilla/5.0")],
    }
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

#[test]
fn streams_are_listed_as_the_page_reads_them() {
    let expected = json!({
        "server": {"name": "brooklet", "version": VERSION, "uptime_s": 72, "rtmp_port": 1935},
        "locked": false,
        "streams": [{
            "name": "live/door",
            "is_live": true,
            "since": "2026-11-21T08:00:00Z",
            "uptime_s": 12,
            "video": {
                "codec": "H.264", "mime_codec": "avc1.42C01E", "width": 640, "height": 360,
                "frame_rate": 29.97, "kbit_s": 2400, "keyframe_interval_s": 2
            },
            "audio": {
                "codec": "AAC", "mime_codec": "mp4a.40.2", "sample_rate": 48000, "channels": 2,
                "kbit_s": 128
            },
            "kbit_s_in": 2528, "kbit_s_out": 5000, "bytes_in": 1_896_000, "bytes_out": 123_456,
            "viewers": 6, "peak_viewers": 5, "skips": 2, "dropped_messages": 3,
            "findings": [{
                "id": "missing-audio",
                "text": Finding::MissingTrack(Medium::Audio).to_string()
            }],
            "publisher": {"connection": 17, "client": "FMLE/3.0"}
        }]
    });
    assert_eq!(read(&told(api::streams, &server(false))), expected);
}

#[test]
fn the_privileged_see_viewers_and_addresses() {
    let answer = read(&told(api::streams, &server(true)));
    let stream = &answer["streams"][0];
    assert_eq!(
        stream["publisher"],
        json!({"connection": 17, "client": "FMLE/3.0", "address": "192.0.2.17:5123"})
    );
    assert_eq!(
        stream["viewer_list"],
        json!([
            {
                "connection": 18, "client": "LNX 9,0,124,2", "address": "192.0.2.18:5123",
                "protocol": "rtmp", "since": "2026-11-21T08:00:10Z", "uptime_s": 2,
                "bytes_out": 40_000, "lag_ms": 20, "skips": 0, "skipped_messages": 0
            },
            {
                "connection": 19, "client": "Mozilla/5.0", "address": "192.0.2.19:5123",
                "protocol": "mp4", "since": "2026-11-21T08:00:10Z", "uptime_s": 2,
                "bytes_out": 40_000, "lag_ms": 1250, "skips": 2, "skipped_messages": 100
            }
        ])
    );
}

#[test]
fn no_form_shows_addresses_to_the_others() {
    let server = server(false);
    for (form, text) in [
        ("JSON", told(api::streams, &server)),
        ("Prometheus", told(metrics::text, &server)),
        ("nginx-rtmp", told(stat::xml, &server)),
    ] {
        assert!(!text.contains("192.0.2"), "{form}: {text}");
    }
}

#[test]
fn what_is_unknown_is_null() {
    let mut server = server(true);
    server.status.rtmp_port = None;
    server.streams[0].1 = StreamReport {
        video: TrackReport {
            messages: 1,
            // VP6.
            sample: vec![0x24, 0],
            ..TrackReport::default()
        },
        ..StreamReport::default()
    };
    let answer = read(&told(api::streams, &server));
    assert_eq!(answer["server"]["rtmp_port"], Value::Null);
    let stream = &answer["streams"][0];
    assert_eq!(
        stream["video"],
        json!({
            "codec": "VP6", "mime_codec": null, "width": null, "height": null,
            "frame_rate": null, "kbit_s": 0, "keyframe_interval_s": null
        })
    );
    assert_eq!(stream["audio"], Value::Null);
    assert_eq!(stream["publisher"], Value::Null);
    assert_eq!(stream["viewer_list"], json!([]));
}

#[test]
fn a_header_of_the_publisher_before_is_no_track() {
    let mut server = server(false);
    server.streams[0].1.audio = TrackReport::default();
    let answer = read(&told(api::streams, &server));
    assert_eq!(answer["streams"][0]["audio"], Value::Null);
    assert_ne!(answer["streams"][0]["video"], Value::Null);
}

#[test]
fn connections_are_listed_by_number() {
    let answer = read(&told(api::connections, &server(true)));
    let connections = answer["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 3);
    assert_eq!(
        connections[0],
        json!({
            "id": 17, "address": "192.0.2.17:5123", "protocol": "rtmp", "client": "FMLE/3.0",
            "since": "2026-11-21T07:59:09Z", "uptime_s": 63, "publishes": ["live/door"],
            "plays": [], "bytes_in": 17_000, "bytes_out": 170
        })
    );
    assert_eq!(connections[1]["plays"], json!(["live/door"]));
    assert_eq!(connections[2]["protocol"], "http");
}

#[test]
fn an_empty_server_has_empty_lists() {
    let empty = Figures::default();
    assert_eq!(read(&told(api::streams, &empty))["streams"], json!([]));
    assert_eq!(
        read(&told(api::connections, &empty)),
        json!({"connections": []})
    );
    assert_eq!(samples(&told(metrics::text, &empty)).len(), 8);
}

/// Streams with hostile names, published by clients with such names.
fn hostile() -> Figures {
    let mut server = server(true);
    server.streams = HOSTILE.iter().map(|name| (key(name), door())).collect();
    server.streams.sort_by(|(a, _), (b, _)| a.cmp(b));
    server.streams[0].1.publisher = Some((40, [192, 0, 2, 40].into()));
    let client = HOSTILE.concat() + "\0\x01\r\n\x1B\u{7F}\u{85}";
    server.connections.push(connection(40, "rtmp", &client));
    server
}

#[test]
fn hostile_names_come_out_of_json_as_they_went_in() {
    let server = hostile();
    let text = told(api::streams, &server);
    assert!(!text.contains(['<', '\u{2028}', '\n']), "{text}");
    let answer = read(&text);
    let listed = answer["streams"].as_array().unwrap();
    assert_eq!(listed.len(), HOSTILE.len());
    for (stream, (key, _)) in listed.iter().zip(&server.streams) {
        assert_eq!(stream["name"], key.as_str());
    }
    let client = &answer["streams"][0]["publisher"]["client"];
    assert_eq!(client, &server.connections[3].client);
    let answer = read(&told(api::connections, &server));
    assert_eq!(answer["connections"][3]["client"], *client);
}

/// Samples by name and labels, as another parser reads them.
fn samples(text: &str) -> HashMap<(String, Vec<(String, String)>), f64> {
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let scrape = prometheus_parse::Scrape::parse(lines).unwrap();
    let samples = scrape.samples.into_iter().map(|sample| {
        let labels = sample.labels.iter();
        let mut labels: Vec<_> = labels.map(|(k, v)| (k.clone(), v.clone())).collect();
        labels.sort();
        let value = match sample.value {
            prometheus_parse::Value::Counter(value) | prometheus_parse::Value::Gauge(value) => {
                value
            }
            other => panic!("{} has no type: {other:?}", sample.metric),
        };
        ((sample.metric, labels), value)
    });
    samples.collect()
}

#[test]
fn metrics_are_read_by_another_parser() {
    let samples = samples(&told(metrics::text, &server(false)));
    let value = |name: &str, labels: &[(&str, &str)]| {
        let mut labels: Vec<_> = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        labels.sort();
        let value = samples.get(&(name.to_owned(), labels));
        *value.unwrap_or_else(|| panic!("no {name}: {samples:#?}"))
    };
    let door = ("stream", "live/door");
    for (name, labels, expected) in [
        ("brooklet_build_info", &[("version", VERSION)][..], 1.0),
        ("process_start_time_seconds", &[], 1_795_247_940.0),
        ("brooklet_connections", &[], 3.0),
        ("brooklet_connections_accepted_total", &[], 19.0),
        ("brooklet_received_bytes_total", &[], 2e6),
        ("brooklet_sent_bytes_total", &[], 2e5),
        ("brooklet_memory_bytes", &[], 33_554_432.0),
        ("brooklet_memory_free_bytes", &[], 33_390_592.0),
        ("brooklet_stream_live", &[door], 1.0),
        ("brooklet_stream_publishes_total", &[door], 2.0),
        ("brooklet_stream_sent_bytes_total", &[door], 123_456.0),
        ("brooklet_stream_frame_rate_hertz", &[door], 29.97),
        ("brooklet_stream_keyframe_interval_seconds", &[door], 2.0),
        ("brooklet_stream_dropped_messages_total", &[door], 3.0),
        ("brooklet_stream_viewer_lag_max_seconds", &[door], 1.25),
        ("brooklet_stream_skips_total", &[door], 2.0),
        ("brooklet_stream_skipped_messages_total", &[door], 100.0),
        ("brooklet_stream_memory_bytes", &[door], 163_840.0),
        (
            "brooklet_stream_received_bytes_total",
            &[door, ("medium", "video")],
            1_800_000.0,
        ),
        (
            "brooklet_stream_received_messages_total",
            &[door, ("medium", "audio")],
            1_000.0,
        ),
        (
            "brooklet_stream_viewers",
            &[door, ("protocol", "rtmp")],
            1.0,
        ),
        ("brooklet_stream_viewers", &[door, ("protocol", "flv")], 0.0),
        ("brooklet_stream_viewers", &[door, ("protocol", "mp4")], 1.0),
        ("brooklet_stream_viewers", &[door, ("protocol", "hls")], 4.0),
        (
            "brooklet_stream_finding",
            &[door, ("finding", "missing-audio")],
            1.0,
        ),
        (
            "brooklet_stream_info",
            &[
                door,
                ("video_codec", "H.264"),
                ("resolution", "640x360"),
                ("audio_codec", "AAC"),
            ],
            1.0,
        ),
    ] {
        assert_eq!(value(name, labels), expected, "{name}");
    }
    assert_eq!(samples.len(), 28);
}

/// The value of a line's first label and what follows it, by the format's definition: that other
/// parser knows no escapes.
fn first_label(line: &str) -> (String, &str) {
    let (_, quoted) = line.split_once("=\"").expect(line);
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next().expect("the end of the value") {
            '"' => return (value, chars.as_str()),
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("an escape {other:?} in {line}"),
            }),
            c => value.push(c),
        }
    }
}

#[test]
fn hostile_names_stay_within_their_labels() {
    let mut server = hostile();
    let names = server.streams.iter();
    let names: Vec<_> = names.map(|(key, _)| key.as_str().to_owned()).collect();
    let text = told(metrics::text, &server);
    let live = text
        .lines()
        .filter(|line| line.starts_with("brooklet_stream_live{"));
    let found: Vec<_> = live.map(first_label).collect();
    assert_eq!(found.len(), HOSTILE.len());
    for ((found, rest), name) in found.iter().zip(&names) {
        assert_eq!((found, *rest), (name, "} 1"));
    }
    let families = text.lines().filter(|line| line.starts_with("# TYPE"));
    assert_eq!(families.count(), 23);

    server.streams.truncate(1);
    server.streams[0].0 = key("a\"b");
    let text = told(metrics::text, &server);
    assert!(text.contains("brooklet_stream_live{stream=\"live/a\\\"b\"} 1\n"));
}

/// The rules of promtool's linter, and of the format: help and type once, before all samples of
/// the name, which stand together; counters and nothing else end in `_total`; base units.
#[test]
fn metrics_follow_the_naming_rules() {
    let text = told(metrics::text, &hostile());
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let mut seen = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").expect(line);
        let (name, help) = help.split_once(' ').unwrap();
        assert!(help.ends_with('.') && !help.contains('\\'), "{help}");
        assert!(!seen.contains(&name), "{name} twice");
        seen.push(name);
        let is_legal = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(is_legal), "{name}");
        let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
        let kind = kind.strip_prefix(name).unwrap();
        assert!([" gauge", " counter"].contains(&kind), "{kind}");
        assert_eq!(kind == " counter", name.ends_with("_total"), "{name}");
        for unit in [
            "milli", "kilo", "kbit", "bits", "minutes", "percent", "_ms", "count",
        ] {
            assert!(!name.contains(unit), "{name}");
        }
        for reserved in ["_sum", "_bucket", "gauge", "counter"] {
            assert!(!name.ends_with(reserved), "{name}");
        }
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let rest = sample.strip_prefix(name).expect(sample);
            assert!(rest.starts_with([' ', '{']), "{sample}");
        }
    }
}

/// What NOALBS reads, and what exporters do: all of it has to be there.
#[derive(Debug, Deserialize)]
struct Rtmp {
    nginx_version: String,
    nginx_rtmp_version: String,
    compiler: String,
    built: String,
    pid: u32,
    uptime: u32,
    naccepted: u32,
    bw_in: u64,
    bytes_in: u64,
    bw_out: u64,
    bytes_out: u64,
    server: Server,
}

#[derive(Debug, Deserialize)]
struct Server {
    application: Vec<Application>,
}

#[derive(Debug, Deserialize)]
struct Application {
    name: String,
    live: Live,
}

#[derive(Debug, Deserialize)]
struct Live {
    #[serde(default)]
    stream: Vec<Stream>,
    nclients: u32,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
    time: u64,
    bw_in: u64,
    bytes_in: u64,
    bw_out: u64,
    bytes_out: u64,
    bw_audio: u64,
    bw_video: u32,
    bw_data: u64,
    #[serde(default)]
    client: Vec<Client>,
    meta: Meta,
    nclients: u32,
    publishing: Option<()>,
    active: Option<()>,
}

#[derive(Debug, Deserialize)]
struct Client {
    id: u32,
    address: String,
    port: u16,
    time: u64,
    flashver: String,
    bytes_in: u64,
    bytes_out: u64,
    dropped: u64,
    avsync: i64,
    timestamp: u64,
    publishing: Option<()>,
    active: Option<()>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    video: VideoMeta,
    audio: AudioMeta,
}

#[derive(Debug, Deserialize)]
struct VideoMeta {
    width: u16,
    height: u16,
    frame_rate: f64,
    data_rate: u16,
    codec: String,
    profile: String,
    compat: u16,
    level: f64,
}

#[derive(Debug, Deserialize)]
struct AudioMeta {
    codec: Option<String>,
    profile: Option<String>,
    channels: Option<u32>,
    sample_rate: Option<u32>,
}

fn read_xml(server: &Figures) -> Rtmp {
    let xml = told(stat::xml, server);
    quick_xml::de::from_str(&xml).unwrap_or_else(|error| panic!("{error}: {xml}"))
}

#[test]
fn what_is_made_for_nginx_rtmp_reads_the_streams() {
    let rtmp = read_xml(&server(true));
    assert!(rtmp.nginx_version.contains("brooklet") && !rtmp.nginx_rtmp_version.is_empty());
    assert!(!rtmp.compiler.is_empty() && !rtmp.built.is_empty() && rtmp.pid > 0);
    assert_eq!((rtmp.uptime, rtmp.naccepted), (72, 19));
    assert_eq!((rtmp.bw_in, rtmp.bytes_in), (2_528_999, 2_000_000));
    assert_eq!((rtmp.bw_out, rtmp.bytes_out), (5_000_000, 200_000));
    let [Application { name, live }] = &rtmp.server.application[..] else {
        panic!("{rtmp:?}")
    };
    assert_eq!((&name[..], live.nclients), ("live", 7));
    let [stream] = &live.stream[..] else {
        panic!("{live:?}")
    };
    assert_eq!((&stream.name[..], stream.time), ("door", 12_345));
    assert_eq!((stream.bw_in, stream.bytes_in), (2_528_999, 1_896_000));
    assert_eq!((stream.bw_out, stream.bytes_out), (5_000_000, 123_456));
    assert_eq!((stream.bw_audio, stream.bw_video), (128_000, 2_400_999));
    assert_eq!((stream.bw_data, stream.nclients), (0, 7));
    assert!(stream.publishing.is_some() && stream.active.is_some());

    let [publisher, player, slow] = &stream.client[..] else {
        panic!("{stream:?}")
    };
    assert_eq!((publisher.id, &publisher.address[..]), (17, "192.0.2.17"));
    assert_eq!((publisher.port, publisher.time), (5123, 12_345));
    assert_eq!(publisher.flashver, "FMLE/3.0");
    assert_eq!((publisher.bytes_in, publisher.bytes_out), (17_000, 170));
    assert_eq!((publisher.dropped, publisher.avsync), (3, 0));
    assert_eq!(publisher.timestamp, 12_345);
    assert!(publisher.publishing.is_some() && publisher.active.is_some());
    assert_eq!(
        (player.id, player.publishing, player.bytes_out),
        (18, None, 40_000)
    );
    assert_eq!((slow.id, slow.dropped, slow.time), (19, 100, 2_345));

    let VideoMeta {
        width,
        height,
        frame_rate,
        data_rate,
        codec,
        profile,
        compat,
        level,
    } = &stream.meta.video;
    assert_eq!((*width, *height, *data_rate), (640, 360, 2_400));
    assert_eq!((*frame_rate, *compat, *level), (29.97, 192, 3.0));
    assert_eq!((&codec[..], &profile[..]), ("H264", "Baseline"));
    let audio = &stream.meta.audio;
    assert_eq!(audio.codec.as_deref(), Some("AAC"));
    assert_eq!(audio.profile.as_deref(), Some("LC"));
    assert_eq!((audio.channels, audio.sample_rate), (Some(2), Some(48_000)));
}

#[test]
fn streams_without_video_or_without_anything_are_read_too() {
    let mut server = server(false);
    server.streams[0].1.video = TrackReport::default();
    let rtmp = read_xml(&server);
    let video = &rtmp.server.application[0].live.stream[0].meta.video;
    assert_eq!((video.width, &video.codec[..]), (0, ""));
    assert!(rtmp.server.application[0].live.stream[0].client.is_empty());

    server.streams[0].1.audio = TrackReport::default();
    let rtmp = read_xml(&server);
    let audio = &rtmp.server.application[0].live.stream[0].meta.audio;
    assert_eq!((&audio.codec, audio.sample_rate), (&None, None));
}

#[test]
fn a_stream_that_nobody_publishes_is_offline_and_an_application_is_always_there() {
    let mut server = server(false);
    server.streams[0].1.is_live = false;
    for server in [server, Figures::default()] {
        let rtmp = read_xml(&server);
        let [application] = &rtmp.server.application[..] else {
            panic!("{rtmp:?}")
        };
        assert_eq!(application.name, "live");
        assert!(application.live.stream.is_empty());
        assert_eq!(application.live.nclients, 0);
    }
}

#[test]
fn applications_are_all_but_the_last_part_of_a_name() {
    let mut server = server(false);
    server.streams = ["cam/a", "cam/b", "x"]
        .map(|name| (StreamKey::new("", name).unwrap(), door()))
        .into();
    let rtmp = read_xml(&server);
    let names: Vec<_> = rtmp
        .server
        .application
        .iter()
        .map(|application| {
            let streams = application.live.stream.iter();
            let streams: Vec<_> = streams.map(|stream| &stream.name[..]).collect();
            (&application.name[..], streams)
        })
        .collect();
    assert_eq!(
        names,
        [("live", vec![]), ("", vec!["x"]), ("cam", vec!["a", "b"])]
    );
}

#[test]
fn hostile_names_stay_within_their_elements() {
    let rtmp = read_xml(&hostile());
    // Two of them have slashes of their own.
    let mut names = Vec::new();
    for application in &rtmp.server.application {
        for stream in &application.live.stream {
            names.push(format!("{}/{}", application.name, stream.name));
        }
    }
    let mut expected: Vec<_> = HOSTILE
        .iter()
        .map(|name| format!("live/{name}").replace(['\u{FFFE}', '\u{FFFF}'], " "))
        .collect();
    names.sort();
    expected.sort();
    assert_eq!(names.len(), expected.len());
    for (name, expected) in names.iter().zip(&expected) {
        assert_eq!(name.trim_end(), expected.trim_end());
    }
    let clients = rtmp.server.application.iter().flat_map(|application| {
        let streams = application.live.stream.iter();
        streams.flat_map(|stream| &stream.client)
    });
    let hostile: Vec<_> = clients.filter(|client| client.id == 40).collect();
    assert_eq!(hostile.len(), 1);
    assert!(hostile[0].flashver.starts_with("\"><script>"));
    assert!(!hostile[0].flashver.contains(char::is_control));
}
